//! Strict JPEG decoding, at full size or scaled down.
//!
//! A JPEG is whole if its scans have the data of all its pixels, with or without an end marker; one that is damaged or
//! cut off is an error. Lenient decoders fill the missing part with grey, and a model would classify that grey. Bytes
//! behind the picture are ignored, and the Huffman tables that cameras leave out are added. [`decode_scaled`] is for
//! cameras and streams: it ignores EXIF, since a camera's frames have the orientation of the camera.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};
use jpeg_decoder::{Decoder, PixelFormat};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::error::{DecodeError, check_size};
use crate::luma_grid::LumaGrid;

mod entropy;
mod huffman;
mod segments;

use huffman::{STANDARD_TABLES, definitions};
use segments::{Coding, FrameHeader, ScanHeader, Segments, marker};

/// The largest side that a JPEG can have, in pixels.
const MAX_SIDE: usize = u16::MAX as usize;

/// Ones for a decoder that still expects data where the data of a scan ends: no code begins with 16 of them, so it
/// fails. Without them it would take zeros for what is missing.
///
/// At most 31 belong to a code that begins before them, and jpeg-decoder finds a marker only within 56 bits.
const SEAL: [u8; 12] = *b"\xff\0\xff\0\xff\0\xff\0\xff\0\xff\0";

/// The shorter side in pixels from which on each scale gives another size.
const MIN_SCALED_SIDE: u32 = 16;

/// Decodes a JPEG and applies its EXIF orientation.
pub(super) fn decode(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    let (picture, orientation) = decode_whole(bytes, None)?;
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
    decode_whole(bytes, Some(min_size)).map(|(picture, _)| picture)
}

/// Width and height of a JPEG in pixels, as stored; `None` if it has no frame header.
#[must_use]
pub fn stored_size(bytes: &[u8]) -> Option<(u32, u32)> {
    Segments::read(bytes).size()
}

/// What a JPEG tells without being decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct JpegPreview {
    /// Its brightness at an eighth of its size.
    pub luma: LumaGrid,
    /// Width and height of what [`decode_scaled`] makes of it, in pixels.
    pub size: (u32, u32),
}

/// Checks that a JPEG is whole, and looks at it at an eighth of its size, without colour. `None` for one with several scans,
/// which must be decoded to see anything.
///
/// # Errors
/// [`DecodeError`], as [`decode_scaled`].
pub fn preview(bytes: &[u8], min_size: (u32, u32)) -> Result<Option<JpegPreview>, DecodeError> {
    let segments = Segments::read(bytes);
    if let Some((width, height)) = segments.size() {
        check_size(width, height)?;
    }
    let frame = segments.frame()?;
    let luma = entropy::luma_grid(&segments)?;
    let full = (frame.width, frame.height);
    let size = match can_be_scaled(&frame) {
        true => scaled_size(full, scale(full, min_size)),
        false => full,
    };
    Ok(luma.map(|luma| JpegPreview { luma, size }))
}

/// Decodes a JPEG if it is whole; at full size without a `min_size`. Returns its EXIF orientation too.
fn decode_whole(
    bytes: &[u8],
    min_size: Option<(u32, u32)>,
) -> Result<(RgbImage, Orientation), DecodeError> {
    let segments = Segments::read(bytes);
    if let Some((width, height)) = segments.size() {
        check_size(width, height)?;
    }
    let frame = segments.frame()?;
    let scale = match min_size {
        Some(min_size) if can_be_scaled(&frame) => scale((frame.width, frame.height), min_size),
        _ => 8,
    };
    if let Some(sealed) = sealed(&segments, &frame)
        && let Ok(picture) = decode_at(&sealed, &frame, scale)
    {
        return Ok(picture);
    }
    // It has several scans, it is not whole, or the decoder stumbles over something else.
    entropy::check_whole(&segments)?;
    let unsealed = unsealed(&segments, &frame);
    if can_be_scaled(&frame) && segments.has_several_scans() {
        // zune-jpeg mixes up the rows of components that are subsampled in a scan of their own.
        return decode_at_scale(&unsealed, (frame.width, frame.height), scale);
    }
    decode_at(&unsealed, &frame, scale)
}

/// The JPEG with [`SEAL`]s behind its data and an end marker. `None` if it has several scans, or codes that make the
/// seals useless.
fn sealed(segments: &Segments<'_>, frame: &FrameHeader) -> Option<Vec<u8>> {
    let scan = segments.list.iter().find(|s| s.marker == marker::SOS)?;
    let header = ScanHeader::read(segments.payload(scan), frame)?;
    let has_all = header.components.len() == frame.components.len();
    if frame.coding == Coding::Progressive || !has_all || !reserve_ones(segments) {
        return None;
    }
    let (first, last) = (scan.intervals.first()?, scan.intervals.last()?);
    let mut sealed = beginning(
        segments,
        frame,
        last.end + SEAL.len() * scan.intervals.len(),
    );
    sealed.extend_from_slice(&segments.bytes[2..first.start]);
    let mut at = first.start;
    for interval in &scan.intervals {
        // With the restart marker before it.
        sealed.extend_from_slice(&segments.bytes[at..interval.end]);
        sealed.extend_from_slice(&SEAL);
        at = interval.end;
    }
    sealed.extend_from_slice(&[0xff, marker::EOI]);
    Some(sealed)
}

/// The JPEG with an end marker and without the bytes behind it.
fn unsealed(segments: &Segments<'_>, frame: &FrameHeader) -> Vec<u8> {
    let mut unsealed = beginning(segments, frame, segments.end);
    unsealed.extend_from_slice(segments.bytes.get(2..segments.end).unwrap_or_default());
    unsealed.extend_from_slice(&[0xff, marker::EOI]);
    unsealed
}

/// The start marker, and the tables of the standard for a frame that has none; with room for `length` bytes more.
fn beginning(segments: &Segments<'_>, frame: &FrameHeader, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + STANDARD_TABLES.len() + 4);
    bytes.extend_from_slice(&[0xff, marker::SOI]);
    let has_tables = segments.list.iter().any(|s| s.marker == marker::DHT);
    if !has_tables && frame.coding != Coding::Progressive {
        bytes.extend_from_slice(&STANDARD_TABLES);
    }
    bytes
}

/// Whether no code of any table is all ones.
fn reserve_ones(segments: &Segments<'_>) -> bool {
    let tables = segments.list.iter().filter(|s| s.marker == marker::DHT);
    tables
        .flat_map(|segment| definitions(segments.payload(segment)))
        .all(|table| table.reserves_ones())
}

/// Whether the decoder that scales reads it.
fn can_be_scaled(frame: &FrameHeader) -> bool {
    frame.coding == Coding::Baseline && matches!(frame.components.len(), 1 | 3)
}

/// Decodes at a scale in eighths.
fn decode_at(
    bytes: &[u8],
    frame: &FrameHeader,
    scale: u32,
) -> Result<(RgbImage, Orientation), DecodeError> {
    match scale {
        8 => decode_full_size(bytes),
        _ => decode_at_scale(bytes, (frame.width, frame.height), scale),
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

/// Decodes with fewer than 8 x 8 pixels a block, or with 8 x 8 at a scale of 8. Returns the EXIF orientation too.
fn decode_at_scale(
    bytes: &[u8],
    size: (u32, u32),
    scale: u32,
) -> Result<(RgbImage, Orientation), DecodeError> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
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
    let picture = picture.ok_or_else(|| not_rgb(width, height))?;
    let exif = decoder.exif_data().and_then(Orientation::from_exif_chunk);
    Ok((picture, exif.unwrap_or(Orientation::NoTransforms)))
}

#[cfg(test)]
mod tests;
