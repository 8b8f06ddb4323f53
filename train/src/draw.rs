//! Drawing: sheets of pictures with captions, bar charts, and SVG to pixels.
//!
//! In go pictures and words, out come an [`image::RgbImage`], an SVG, or the bytes of a PNG. The letters are
//! DejaVu Sans, which this program carries in itself: a machine without any font draws the same. Boxes on pictures are
//! drawn by [`boxcam::overlay`], as the device draws them. No file is read or written here.

pub mod bars;
pub mod palette;
pub mod sheet;
pub mod svg;

use std::io::Cursor;

use image::{ImageError, ImageFormat, RgbImage};
use thiserror::Error;

/// Something that can't be drawn.
#[derive(Debug, Error)]
pub enum DrawError {
    /// An SVG that the renderer does not take, or a size that it has no memory for.
    #[error(
        "the drawing of {width} x {height} can't be made ({message}); ask for fewer or smaller parts"
    )]
    Render {
        /// Width.
        width: u32,
        /// Height.
        height: u32,
        /// What is wrong.
        message: String,
    },
    /// Pixels that can't be encoded.
    #[error("the drawing can't be written as PNG: {0}")]
    Encode(#[from] ImageError),
    /// The chart library gave up.
    #[error("the chart can't be drawn ({message}); check the numbers that it is to show")]
    Chart {
        /// Its words.
        message: String,
    },
}

/// A picture as the bytes of a PNG.
///
/// # Errors
/// [`DrawError::Encode`], of a picture without pixels.
pub fn png(picture: &RgbImage) -> Result<Vec<u8>, DrawError> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}
