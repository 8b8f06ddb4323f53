//! Strict JPEG decoding, at full size or scaled down.
//!
//! A JPEG that is damaged or cut off is an error: lenient decoders fill the missing part with grey, and a model would
//! classify that grey. [`decode_scaled`] is for cameras and streams: it adds the Huffman tables that cameras leave out,
//! ignores bytes behind the end, and ignores EXIF, since a camera's frames have the orientation of the camera.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};
use jpeg_decoder::{Decoder, PixelFormat};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::error::{DecodeError, check_size};

/// The largest side that a JPEG can have, in pixels.
const MAX_SIDE: usize = u16::MAX as usize;

/// Appended to the compressed data: room for a decoder that reads ahead, then two fill bytes and a zero, which are
/// ignored between segments but are an error to a decoder that still expects compressed data.
///
/// Without it the decoder takes endless zeros for the data that a cut-off JPEG lacks.
const SENTINEL: [u8; 19] = {
    let mut bytes = [0; 19];
    (bytes[16], bytes[17]) = (0xff, 0xff);
    bytes
};

/// The segment that stands, in an AVI file, for the Huffman tables of the standard.
const STANDARD_TABLES: [u8; 18] = *b"\xff\xe0\0\x10AVI1\0\0\0\0\0\0\0\0\0\0";

/// The shorter side in pixels from which on each scale gives another size.
const MIN_SCALED_SIDE: u32 = 16;

/// The part of a JPEG's structure that is known without decoding its scans.
#[derive(Debug, Default, PartialEq)]
struct JpegMarkers {
    /// Width and height, if there is a frame header.
    size: Option<(u32, u32)>,
    /// Number of color components.
    components: Option<u8>,
    /// Whether it is a single baseline scan with 8 bits a sample, grey or in three colors.
    is_baseline: bool,
    has_huffman_tables: bool,
    /// Offset of the end-of-image marker, if there is one.
    end: Option<usize>,
}

/// Decodes a JPEG and applies its EXIF orientation.
pub(super) fn decode(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    let markers = JpegMarkers::scan(bytes);
    if let Some((width, height)) = markers.size {
        check_size(width, height)?;
    }
    if markers.end.is_none() {
        return Err(DecodeError::Truncated(bytes.len()));
    }
    let (picture, orientation) = decode_full_size(bytes)?;
    let mut picture = DynamicImage::ImageRgb8(picture);
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}

/// Decodes a JPEG at the smallest scale of 1/8, 1/4, 1/2 and 1 that has at least the width and height of `min_size`, in
/// pixels; at full size if it is smaller than that.
///
/// # Errors
/// [`DecodeError`] if it is damaged, cut off or larger than [`MAX_PIXELS`](super::MAX_PIXELS).
pub fn decode_scaled(bytes: &[u8], min_size: (u32, u32)) -> Result<RgbImage, DecodeError> {
    let markers = JpegMarkers::scan(bytes);
    let end = markers.end.ok_or(DecodeError::Truncated(bytes.len()))?;
    let size = markers.size.ok_or_else(no_header)?;
    check_size(size.0, size.1)?;
    let whole = with_tables(&bytes[..end + 2], &markers);
    let scale = scale(size, min_size);
    if scale < 8 && markers.is_baseline {
        decode_at_scale(&whole, size, scale)
    } else if markers.is_baseline {
        // The end marker is left out, so that a decoder that looks for missing data there fails.
        let data = [&whole[..whole.len() - 2], &SENTINEL[..16]].concat();
        decode_full_size(&data).map(|(picture, _)| picture)
    } else {
        decode_full_size(&whole).map(|(picture, _)| picture)
    }
}

/// Decodes a JPEG whose size was checked; returns its EXIF orientation too.
fn decode_full_size(bytes: &[u8]) -> Result<(RgbImage, Orientation), DecodeError> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let pixels = decoder
        .decode()
        .map_err(|error| DecodeError::Invalid(error.to_string()))?;
    let info = decoder.info().ok_or_else(no_header)?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    let picture = RgbImage::from_raw(width, height, pixels);
    let picture = picture.ok_or_else(|| not_rgb(width, height))?;
    let exif = decoder
        .exif()
        .and_then(|exif| Orientation::from_exif_chunk(exif));
    Ok((picture, exif.unwrap_or(Orientation::NoTransforms)))
}

fn no_header() -> DecodeError {
    DecodeError::Invalid("it has no frame header".to_owned())
}

fn not_rgb(width: u32, height: u32) -> DecodeError {
    DecodeError::Invalid(format!(
        "it does not decode to {width} x {height} RGB pixels"
    ))
}

/// The scale in eighths: 1, 2, 4 or 8.
fn scale(size: (u32, u32), min_size: (u32, u32)) -> u32 {
    if size.0.min(size.1) < MIN_SCALED_SIDE {
        return 8;
    }
    let is_large_enough = |scale: &u32| {
        let (width, height) = scaled_size(size, *scale);
        width >= min_size.0 && height >= min_size.1
    };
    [1, 2, 4].into_iter().find(is_large_enough).unwrap_or(8)
}

fn scaled_size((width, height): (u32, u32), scale: u32) -> (u32, u32) {
    ((width * scale).div_ceil(8), (height * scale).div_ceil(8))
}

/// Decodes with fewer than 8 x 8 pixels a block.
fn decode_at_scale(bytes: &[u8], size: (u32, u32), scale: u32) -> Result<RgbImage, DecodeError> {
    let (data, end) = bytes.split_at(bytes.len() - 2);
    let mut decoder = Decoder::new(Cursor::new(data).chain(&SENTINEL[..]).chain(end));
    let invalid = |error: jpeg_decoder::Error| DecodeError::Invalid(error.to_string());
    // The decoder takes the smallest scale with at least the requested size, so the exact size is requested.
    let requested = scaled_size(size, scale);
    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
    decoder
        .scale(side(requested.0), side(requested.1))
        .map_err(invalid)?;
    let pixels = decoder.decode().map_err(invalid)?;
    let info = decoder.info().ok_or_else(no_header)?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    let rgb = match info.pixel_format {
        PixelFormat::RGB24 => Some(pixels),
        PixelFormat::L8 => Some(pixels.into_iter().flat_map(|grey| [grey; 3]).collect()),
        PixelFormat::L16 | PixelFormat::CMYK32 => None,
    };
    let picture = rgb.and_then(|rgb| RgbImage::from_raw(width, height, rgb));
    picture.ok_or_else(|| not_rgb(width, height))
}

/// The JPEG; if it has no Huffman tables, with the segment that makes decoders use those of the standard.
fn with_tables<'a>(bytes: &'a [u8], markers: &JpegMarkers) -> Cow<'a, [u8]> {
    match bytes.split_at_checked(2) {
        Some((start, rest)) if !markers.has_huffman_tables => {
            Cow::Owned([start, &STANDARD_TABLES, rest].concat())
        }
        _ => Cow::Borrowed(bytes),
    }
}

impl JpegMarkers {
    /// Reads marker after marker. Segments are skipped by their length, so the markers of an embedded thumbnail don't
    /// count; within a scan, restart markers and stuffed bytes don't either.
    fn scan(bytes: &[u8]) -> Self {
        let mut markers = Self::default();
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|&byte| byte == 0xff) {
            rest = &rest[at..];
            let offset = bytes.len() - rest.len();
            let step = match rest.get(1) {
                None => break,
                Some(0xff) => 1,
                // A stuffed FF, or a marker without a segment.
                Some(0x00 | 0x01 | 0xd0..=0xd8) => 2,
                Some(0xd9) => {
                    markers.end = Some(offset);
                    break;
                }
                Some(marker) => {
                    let Some(length) = be_u16(rest, 2) else { break };
                    markers.read_segment(*marker, rest);
                    2 + length as usize
                }
            };
            rest = rest.get(step..).unwrap_or_default();
        }
        markers
    }

    fn read_segment(&mut self, marker: u8, segment: &[u8]) {
        match marker {
            0xc4 => self.has_huffman_tables = true,
            0xda => self.is_baseline &= segment.get(4).copied() == self.components,
            _ if is_frame_header(marker) && self.size.is_none() => {
                self.size = be_u16(segment, 7).zip(be_u16(segment, 5));
                let is_8_bit = marker == 0xc0 && segment.get(4) == Some(&8);
                self.components = segment.get(9).copied();
                self.is_baseline = is_8_bit && matches!(self.components, Some(1 | 3));
            }
            _ => {}
        }
    }
}

/// SOF0 to SOF15, without the three codes in between that mean something else (DHT, JPG, DAC).
fn is_frame_header(marker: u8) -> bool {
    (0xc0..=0xcf).contains(&marker) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// The big-endian 16-bit number at an offset.
fn be_u16(bytes: &[u8], at: usize) -> Option<u32> {
    let pair = bytes.get(at..at + 2)?;
    Some(u32::from(pair[0]) << 8 | u32::from(pair[1]))
}

#[cfg(test)]
mod tests {
    use image::codecs::jpeg::JpegEncoder;
    use image::imageops::{self, FilterType};
    use image::{ExtendedColorType, Rgb};

    use super::*;
    use crate::picture::encode_jpeg;

    const CMYK: &[u8] = include_bytes!("../../tests/data/cmyk.jpg");
    const PROGRESSIVE: &[u8] = include_bytes!("../../tests/data/progressive.jpg");

    /// Larger than any picture, so that it is decoded at full size.
    const FULL_SIZE: (u32, u32) = (u32::MAX, u32::MAX);

    /// A gradient, which looks the same at any scale.
    fn gradient(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let (x, y) = (x * 255 / width, y * 255 / height);
            Rgb([x as u8, y as u8, (255 - x) as u8])
        })
    }

    fn jpeg(picture: &RgbImage) -> Vec<u8> {
        encode_jpeg(picture, 95).expect("encoded")
    }

    /// The JPEG without its Huffman tables, as many USB cameras send it.
    fn without_tables(file: &[u8]) -> Vec<u8> {
        let mut kept = file.to_vec();
        while let Some(at) = kept.windows(2).position(|pair| pair == [0xff, 0xc4]) {
            let length = usize::from(u16::from_be_bytes([kept[at + 2], kept[at + 3]]));
            kept.drain(at..at + 2 + length);
        }
        assert!(kept.len() < file.len());
        kept
    }

    fn mean_difference(one: &RgbImage, other: &RgbImage) -> f64 {
        assert_eq!(one.dimensions(), other.dimensions());
        let pairs = one.as_raw().iter().zip(other.as_raw());
        let sum: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / one.as_raw().len() as f64
    }

    #[test]
    fn the_smallest_sufficient_scale_is_used() {
        let file = jpeg(&gradient(1920, 1080));
        let cases = [
            ((1, 1), (240, 135)),
            ((240, 135), (240, 135)),
            ((224, 224), (480, 270)),
            ((480, 271), (960, 540)),
            ((640, 480), (960, 540)),
            ((961, 1), (1920, 1080)),
            ((1920, 1080), (1920, 1080)),
            ((4000, 1), (1920, 1080)),
        ];
        for (min_size, expected) in cases {
            let picture = decode_scaled(&file, min_size).expect("a valid JPEG");
            assert_eq!(picture.dimensions(), expected, "{min_size:?}");
        }
    }

    #[test]
    fn all_scales_show_the_same_picture() {
        for (width, height) in [(320, 240), (333, 219), (40, 250)] {
            let picture = gradient(width, height);
            let file = jpeg(&picture);
            for scale in [8, 4, 2, 1] {
                let size = scaled_size((width, height), scale);
                let found = decode_scaled(&file, size).expect("a valid JPEG");
                let expected = imageops::resize(&picture, size.0, size.1, FilterType::Triangle);
                let difference = mean_difference(&found, &expected);
                assert!(difference < 4.0, "{size:?} is off by {difference}");
            }
        }
    }

    #[test]
    fn missing_huffman_tables_are_those_of_the_standard() {
        let file = jpeg(&gradient(160, 120));
        let stripped = without_tables(&file);
        for min_size in [FULL_SIZE, (80, 60), (20, 15)] {
            assert!(decode_scaled(&stripped, min_size) == decode_scaled(&file, min_size));
        }
    }

    #[test]
    fn bytes_after_the_end_are_ignored() {
        let file = jpeg(&gradient(64, 64));
        let padded = [&file[..], &[0; 500], &file].concat();
        for min_size in [FULL_SIZE, (32, 32)] {
            assert!(decode_scaled(&padded, min_size) == decode_scaled(&file, min_size));
        }
    }

    #[test]
    fn a_truncated_jpeg_is_refused_at_every_scale() {
        let file = jpeg(&gradient(256, 256));
        for min_size in [FULL_SIZE, (128, 128), (64, 64), (32, 32)] {
            assert!(decode_scaled(&file, min_size).is_ok());
            for part in 1..16 {
                let cut = &file[..file.len() * part / 16];
                decode_scaled(cut, min_size).expect_err("cut off");
                // Some cameras write the end marker behind an incomplete frame.
                let ended = [cut, &[0xff, 0xd9]].concat();
                let is_refused = decode_scaled(&ended, min_size).is_err();
                assert!(is_refused, "{part} of 16 parts at {min_size:?}");
            }
        }
    }

    #[test]
    fn grey_cmyk_and_progressive_are_decoded() {
        let mut grey = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut grey, 95);
        encoder
            .encode(&[90; 64 * 64], 64, 64, ExtendedColorType::L8)
            .expect("encoded");
        for min_size in [FULL_SIZE, (32, 32), (8, 8)] {
            let picture = decode_scaled(&grey, min_size).expect("grey");
            assert!(
                picture
                    .pixels()
                    .all(|Rgb(pixel)| pixel.iter().all(|&value| value.abs_diff(90) < 4))
            );
            decode_scaled(CMYK, min_size).expect("CMYK");
            assert_eq!(
                decode_scaled(PROGRESSIVE, min_size)
                    .expect("progressive")
                    .dimensions(),
                (64, 48)
            );
        }
    }

    #[test]
    fn impossible_sizes_are_refused_before_memory_is_allocated() {
        let mut file = jpeg(&gradient(64, 64));
        let frame = file
            .windows(2)
            .position(|pair| pair == [0xff, 0xc0])
            .expect("a frame");
        file[frame + 5..frame + 9].fill(0xff);
        let error = decode_scaled(&file, (64, 64)).expect_err("too large");
        assert_eq!(error, DecodeError::TooLarge(65535, 65535));
        file[frame + 5..frame + 9].fill(0);
        let error = decode_scaled(&file, (64, 64)).expect_err("no pixels");
        assert_eq!(error, DecodeError::ZeroSized(0, 0));
    }

    #[test]
    fn random_damage_never_panics() {
        let files = [
            jpeg(&gradient(120, 90)),
            without_tables(&jpeg(&gradient(64, 64))),
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..3000 {
            let mut file = files[random.usize(..files.len())].clone();
            for _ in 0..random.usize(1..8) {
                let at = random.usize(2..file.len() - 2);
                match random.u8(..3) {
                    0 => file[at] = random.u8(..),
                    1 => drop(file.drain(at..(at + random.usize(..40)).min(file.len() - 2))),
                    _ => file.insert(at, 0xff),
                }
            }
            for min_size in [FULL_SIZE, (40, 40), (8, 8)] {
                // A picture or an error.
                let _ = decode_scaled(&file, min_size);
            }
        }
    }
}
