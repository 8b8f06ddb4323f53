//! JPEG: decoded strictly, and refused when its end is missing.
//!
//! The decoders that are lenient fill what is missing with grey; a model would answer on that grey too.

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{Fault, check_size};

/// Side of the largest JPEG there can be.
const MAX_SIDE: usize = u16::MAX as usize;

/// What can be told of a JPEG without decoding its scans.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outline {
    /// Width and height, if the frame header is there.
    pub(super) size: Option<(u32, u32)>,
    /// Components, as many as it has planes.
    components: Option<u8>,
    /// Whether it is one scan from top to bottom in 8 bits (baseline), grey or in three colours.
    pub(super) is_plain: bool,
    /// Whether Huffman tables are there.
    pub(super) has_tables: bool,
    /// Where the end-of-image marker is, if it is there.
    pub(super) end: Option<usize>,
}

/// Decodes a JPEG and turns it upright.
pub(super) fn decode(bytes: &[u8]) -> Result<RgbImage, Fault> {
    let outline = Outline::of(bytes);
    if let Some((width, height)) = outline.size {
        check_size(width, height)?;
    }
    if outline.end.is_none() {
        return Err(Fault::Truncated);
    }
    let (picture, orientation) = pixels(bytes)?;
    let mut picture = DynamicImage::ImageRgb8(picture);
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}

/// Decodes a JPEG whose size was checked, and says how it is to be turned.
pub(super) fn pixels(bytes: &[u8]) -> Result<(RgbImage, Orientation), Fault> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let pixels = decoder
        .decode()
        .map_err(|error| Fault::Decode(error.to_string()))?;
    let info = decoder
        .info()
        .ok_or_else(|| Fault::Decode("it has no header".to_owned()))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    let wrong_length = || Fault::Decode(format!("it is not {width} x {height} RGB pixels"));
    let picture = RgbImage::from_raw(width, height, pixels).ok_or_else(wrong_length)?;
    let exif = decoder
        .exif()
        .and_then(|exif| Orientation::from_exif_chunk(exif));
    Ok((picture, exif.unwrap_or(Orientation::NoTransforms)))
}

impl Outline {
    /// Walks from marker to marker. Segments are stepped over by their length, so the markers of a
    /// thumbnail inside one don't count; within a scan only what is no restart and no stuffed byte does.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut outline = Self::default();
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|&byte| byte == 0xff) {
            rest = &rest[at..];
            let here = bytes.len() - rest.len();
            let step = match rest.get(1) {
                None => break,
                Some(0xff) => 1,
                // A stuffed FF, and markers that stand alone.
                Some(0x00 | 0x01 | 0xd0..=0xd8) => 2,
                Some(0xd9) => {
                    outline.end = Some(here);
                    break;
                }
                Some(marker) => {
                    let Some(length) = number(rest, 2) else { break };
                    outline.note(*marker, rest);
                    2 + length as usize
                }
            };
            rest = rest.get(step..).unwrap_or_default();
        }
        outline
    }

    /// Takes down what a segment says.
    fn note(&mut self, marker: u8, segment: &[u8]) {
        match marker {
            0xc4 => self.has_tables = true,
            0xda => self.is_plain &= segment.get(4).copied() == self.components,
            _ if is_frame_header(marker) && self.size.is_none() => {
                self.size = number(segment, 7).zip(number(segment, 5));
                let of_eight_bits = marker == 0xc0 && segment.get(4) == Some(&8);
                self.components = segment.get(9).copied();
                self.is_plain = of_eight_bits && matches!(self.components, Some(1 | 3));
            }
            _ => {}
        }
    }
}

/// SOF0 to SOF15, but for the three codes among them that mean something else (DHT, JPG, DAC).
fn is_frame_header(marker: u8) -> bool {
    (0xc0..=0xcf).contains(&marker) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// The 16-bit number at a place.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let pair = bytes.get(at..at + 2)?;
    Some(u32::from(pair[0]) << 8 | u32::from(pair[1]))
}
