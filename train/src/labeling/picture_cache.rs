//! Pictures for the page: upright files, and thumbnails that are kept in memory.

use std::collections::{HashMap, VecDeque};
use std::path::Path;

use axum::body::Bytes;
use boxcam::picture::{self, FileKind, Header, PictureError, encode_jpeg};
use image::metadata::Orientation;
use image::{DynamicImage, RgbImage, imageops};
use parking_lot::Mutex;

/// Largest width and height of a thumbnail in pixels: twice that on the page, for screens with a high density.
const THUMBNAIL: (u32, u32) = (192, 144);

const THUMBNAIL_QUALITY: u8 = 75;

/// Quality of the upright copy of a picture with an orientation.
const COPY_QUALITY: u8 = 92;

/// Thumbnails to keep, of about 6 kB each.
const MAX_KEPT: usize = 4000;

/// A file for the browser.
pub(super) struct PictureFile {
    pub(super) content_type: &'static str,
    pub(super) bytes: Bytes,
}

/// A picture as the trainer reads it. Without an orientation, it is the file itself; the page tells the browser to apply
/// none.
pub(super) fn upright(path: &Path) -> Result<PictureFile, PictureError> {
    let header = Header::read(path)?;
    let read = |source| PictureError::Read {
        path: path.into(),
        source,
    };
    let kind = FileKind::read(path).map_err(read)?;
    let content_type = match kind {
        Some(FileKind::Jpeg) => "image/jpeg",
        Some(FileKind::Png) => "image/png",
        Some(FileKind::WebP) => "image/webp",
        Some(FileKind::Bmp) => "image/bmp",
        _ => "",
    };
    if header.orientation == Orientation::NoTransforms && !content_type.is_empty() {
        let bytes = std::fs::read(path).map_err(read)?.into();
        return Ok(PictureFile {
            content_type,
            bytes,
        });
    }
    encoded(path, &picture::open(path)?, COPY_QUALITY)
}

fn encoded(path: &Path, image: &RgbImage, quality: u8) -> Result<PictureFile, PictureError> {
    let bytes = encode_jpeg(image, quality).map_err(|error| PictureError::Read {
        path: path.into(),
        source: std::io::Error::other(error),
    })?;
    Ok(PictureFile {
        content_type: "image/jpeg",
        bytes: bytes.into(),
    })
}

/// The last thumbnails, by the index of their picture.
#[derive(Default)]
pub(super) struct Thumbnails(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    bytes: HashMap<usize, Bytes>,
    /// The oldest first.
    order: VecDeque<usize>,
}

impl Thumbnails {
    /// The thumbnail of a picture, a JPEG.
    pub(super) fn get(&self, index: usize, path: &Path) -> Result<Bytes, PictureError> {
        if let Some(bytes) = self.0.lock().bytes.get(&index) {
            return Ok(bytes.clone());
        }
        let bytes = encoded(path, &thumbnail(path)?, THUMBNAIL_QUALITY)?.bytes;
        let mut kept = self.0.lock();
        if kept.bytes.insert(index, bytes.clone()).is_none() {
            kept.order.push_back(index);
        }
        if kept.order.len() > MAX_KEPT
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.bytes.remove(&oldest);
        }
        Ok(bytes)
    }
}

fn thumbnail(path: &Path) -> Result<RgbImage, PictureError> {
    let full = scaled_jpeg(path).map_or_else(|| picture::open(path), Ok)?;
    let (width, height) = full.dimensions();
    let scale =
        (f64::from(THUMBNAIL.0) / f64::from(width)).min(f64::from(THUMBNAIL.1) / f64::from(height));
    if scale >= 1.0 {
        return Ok(full);
    }
    let side = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    Ok(imageops::thumbnail(&full, side(width), side(height)))
}

/// A JPEG, decoded at a part of its size, which is faster; `None` for other files.
fn scaled_jpeg(path: &Path) -> Option<RgbImage> {
    let header = Header::read(path).ok()?;
    if FileKind::read(path).ok()? != Some(FileKind::Jpeg) {
        return None;
    }
    let side = THUMBNAIL.0.max(THUMBNAIL.1);
    let bytes = std::fs::read(path).ok()?;
    let image = picture::jpeg::decode_scaled(&bytes, (side, side)).ok()?;
    let mut image = DynamicImage::from(image);
    image.apply_orientation(header.orientation);
    Some(image.into_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A photograph of `tests/data` with an EXIF orientation.
    fn rotated() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/rotated.jpg")
    }

    fn decoded(bytes: &[u8]) -> RgbImage {
        image::load_from_memory(bytes).expect("a picture").to_rgb8()
    }

    #[test]
    fn a_picture_with_an_orientation_is_copied_upright() {
        let header = Header::read(&rotated()).expect("valid");
        assert_ne!(header.orientation, Orientation::NoTransforms);
        let file = upright(&rotated()).expect("readable");
        assert_eq!(file.content_type, "image/jpeg");
        let (copy, expected) = (
            decoded(&file.bytes),
            picture::open(&rotated()).expect("readable"),
        );
        assert_eq!(copy.dimensions(), expected.dimensions());
        let pixels = copy.as_raw().iter().zip(expected.as_raw());
        let difference: f64 = pixels.map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
        assert!(difference / (copy.as_raw().len() as f64) < 8.0);
        let small = decoded(&Thumbnails::default().get(0, &rotated()).expect("readable"));
        let landscape = |image: &RgbImage| image.width() > image.height();
        assert_eq!(landscape(&small), landscape(&expected));
        assert!(small.width() <= THUMBNAIL.0 && small.height() <= THUMBNAIL.1);
    }

    #[test]
    fn other_pictures_are_served_as_they_are() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/photo.png");
        let file = upright(&path).expect("readable");
        assert_eq!(file.content_type, "image/png");
        assert_eq!(file.bytes, std::fs::read(&path).expect("readable"));
    }
}
