//! The JPEGs that cameras and streams send: decoded strictly, and no larger than needed.
//!
//! In go the bytes of one JPEG, out come RGB pixels at its full size, a half, a quarter or an eighth of it.
//! Tables that cameras leave out are put in, and bytes behind the end are left. What is damaged or cut off is
//! refused as in a file, and so is a size of more than [`MAX_PIXELS`](super::MAX_PIXELS). EXIF is not looked
//! at: a camera's pictures are as the camera stands.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use image::RgbImage;
use jpeg_decoder::{Decoder, PixelFormat};

use super::jpeg::{self, Outline};
use super::{Fault, check_size};

/// Put behind the compressed pixels: what a reader ahead of itself may take, and two fill bytes with a zero,
/// which are nothing between segments but an error to a decoder that still looks for pixels.
///
/// Without it the decoder takes endless zeros for the pixels that a cut-off JPEG lacks.
const SENTINEL: [u8; 19] = {
    let mut bytes = [0; 19];
    (bytes[16], bytes[17]) = (0xff, 0xff);
    bytes
};

/// The segment that says, in an AVI file, that the tables of the standard are meant.
const STANDARD_TABLES: [u8; 18] = *b"\xff\xe0\0\x10AVI1\0\0\0\0\0\0\0\0\0\0";

/// Sides from which on each of the scales gives another size.
const SMALLEST_SCALED: u32 = 16;

/// Decodes a JPEG at the smallest scale that still has `at_least` (width and height in pixels), or whole, where
/// it is smaller than that.
///
/// # Errors
/// What is wrong with it, in words that follow on the name of the source.
pub fn decode(bytes: &[u8], at_least: (u32, u32)) -> Result<RgbImage, String> {
    let outline = Outline::of(bytes);
    let end = outline.end.ok_or(Fault::Truncated);
    let end = end.map_err(|fault| words(&fault, bytes.len()))?;
    let size = outline.size.ok_or("the JPEG has no size")?;
    check_size(size.0, size.1).map_err(|fault| words(&fault, bytes.len()))?;
    let whole = with_tables(&bytes[..end + 2], &outline);
    let eighths = eighths(size, at_least);
    let decoded = if eighths < 8 && outline.is_plain {
        scaled(&whole, size, eighths)
    } else if outline.is_plain {
        // Without its end: a decoder that looks for pixels there finds that they lack.
        let pixels = [&whole[..whole.len() - 2], &SENTINEL[..16]].concat();
        jpeg::pixels(&pixels).map(|(picture, _)| picture)
    } else {
        jpeg::pixels(&whole).map(|(picture, _)| picture)
    };
    decoded.map_err(|fault| words(&fault, bytes.len()))
}

fn words(fault: &Fault, length: usize) -> String {
    match fault {
        Fault::ZeroSized(width, height) => format!("the JPEG is {width} x {height} pixels"),
        Fault::TooLarge(width, height) => format!(
            "the JPEG is {width} x {height} pixels, the limit is {} pixels",
            super::MAX_PIXELS
        ),
        Fault::Truncated => format!("the JPEG is cut off after {length} bytes"),
        Fault::Decode(message) => format!("the JPEG can't be decoded: {message}"),
    }
}

/// How many eighths of its size a picture is needed at: 1, 2, 4 or 8.
fn eighths(size: (u32, u32), at_least: (u32, u32)) -> u32 {
    if size.0.min(size.1) < SMALLEST_SCALED {
        return 8;
    }
    let covers = |eighths: &u32| {
        let (width, height) = scaled_size(size, *eighths);
        width >= at_least.0 && height >= at_least.1
    };
    [1, 2, 4].into_iter().find(covers).unwrap_or(8)
}

fn scaled_size((width, height): (u32, u32), eighths: u32) -> (u32, u32) {
    (
        (width * eighths).div_ceil(8),
        (height * eighths).div_ceil(8),
    )
}

/// Decodes with fewer than 8 x 8 pixels a block.
fn scaled(bytes: &[u8], size: (u32, u32), eighths: u32) -> Result<RgbImage, Fault> {
    let (pixels, end) = bytes.split_at(bytes.len() - 2);
    let mut decoder = Decoder::new(Cursor::new(pixels).chain(&SENTINEL[..]).chain(end));
    let fault = |error: jpeg_decoder::Error| Fault::Decode(error.to_string());
    // Of two sizes it takes the smaller scale, so none but the wanted one may do.
    let wanted = scaled_size(size, eighths);
    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
    decoder
        .scale(side(wanted.0), side(wanted.1))
        .map_err(fault)?;
    let pixels = decoder.decode().map_err(fault)?;
    let info = decoder.info();
    let info = info.ok_or_else(|| Fault::Decode("it has no header".to_owned()))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    let rgb = match info.pixel_format {
        PixelFormat::RGB24 => Some(pixels),
        PixelFormat::L8 => Some(pixels.into_iter().flat_map(|grey| [grey; 3]).collect()),
        PixelFormat::L16 | PixelFormat::CMYK32 => None,
    };
    let picture = rgb.and_then(|rgb| RgbImage::from_raw(width, height, rgb));
    picture.ok_or_else(|| Fault::Decode(format!("it is not {width} x {height} RGB pixels")))
}

/// The JPEG with a mark, where it has no Huffman tables of its own, by which decoders use those of the standard.
fn with_tables<'a>(bytes: &'a [u8], outline: &Outline) -> Cow<'a, [u8]> {
    match bytes.split_at_checked(2) {
        Some((start, rest)) if !outline.has_tables => {
            Cow::Owned([start, &STANDARD_TABLES, rest].concat())
        }
        _ => Cow::Borrowed(bytes),
    }
}

#[cfg(test)]
mod tests;
