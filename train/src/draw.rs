//! Drawing: contact sheets, bar charts, and SVG rendered to pixels.
//!
//! Text uses DejaVu Sans, which is compiled in, so that the output does not depend on installed fonts. Boxes on pictures
//! are drawn by [`boxcam::overlay`], as on the device. No file is read or written here.

pub mod bar_chart;
pub mod sheet;
pub mod svg;
pub mod theme;

use std::io::Cursor;

use image::{ImageError, ImageFormat, RgbImage};
use thiserror::Error;

#[derive(Debug, Error)]
pub enum DrawError {
    /// An SVG that is invalid, or too large for the memory.
    #[error(
        "the drawing of {width} x {height} pixels cannot be rendered ({message}); choose fewer or smaller images"
    )]
    Render {
        width: u32,
        height: u32,
        message: String,
    },
    #[error("the drawing cannot be encoded as PNG: {0}")]
    Encode(#[from] ImageError),
    #[error("the chart cannot be drawn ({message}); check its values")]
    Chart { message: String },
}

/// Encodes a picture as PNG.
///
/// # Errors
/// [`DrawError::Encode`] if the picture has no pixels.
pub fn png(picture: &RgbImage) -> Result<Vec<u8>, DrawError> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}
