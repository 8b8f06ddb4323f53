//! JPEGs of cameras and streams, decoded when their pixels are needed.

use std::sync::Arc;

use image::RgbImage;

use crate::frame::{FrameImage, StoredImage, UndecodableImage};
use crate::luma_grid::LumaGrid;
use crate::picture::DecodeError;
use crate::picture::jpeg::{JpegPreview, decode_scaled, preview};

/// When a JPEG is decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Decoding {
    #[default]
    AtOnce,
    /// It is only checked, and looked at in small, until its pixels are read.
    WhenNeeded,
}

#[derive(Debug)]
struct StoredJpeg {
    bytes: Arc<[u8]>,
    min_size: (u32, u32),
    size: (u32, u32),
    luma: Arc<LumaGrid>,
}

impl Decoding {
    /// The image of a whole JPEG, which may be scaled down, but not below the width and height of `min_size`. It keeps the
    /// JPEG for outputs that store it: copying it costs little beside decoding it.
    pub(super) fn image(
        self,
        jpeg: &[u8],
        min_size: (u32, u32),
    ) -> Result<FrameImage, DecodeError> {
        if self == Self::WhenNeeded
            && let Some(JpegPreview { luma, size }) = preview(jpeg, min_size)?
        {
            let bytes = Arc::from(jpeg);
            let image = FrameImage::stored(Arc::new(StoredJpeg {
                bytes: Arc::clone(&bytes),
                min_size,
                size,
                luma: Arc::new(luma),
            }));
            return Ok(image.with_jpeg(bytes));
        }
        let image = FrameImage::from(decode_scaled(jpeg, min_size)?);
        Ok(image.with_jpeg(Arc::from(jpeg)))
    }
}

impl StoredImage for StoredJpeg {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn luma_grid(&self) -> &Arc<LumaGrid> {
        &self.luma
    }

    fn decode(&self) -> Result<RgbImage, UndecodableImage> {
        decode_scaled(&self.bytes, self.min_size).map_err(|error| UndecodableImage {
            message: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::picture::encode_jpeg;

    #[test]
    fn a_stored_jpeg_has_the_same_pixels_and_size() {
        let picture = RgbImage::from_fn(300, 200, |x, y| Rgb([x as u8, y as u8, 90]));
        let jpeg = encode_jpeg(&picture, 85).expect("encoded");
        for min_size in [(1, 1), (100, 100), (640, 480)] {
            let image = |decoding: Decoding| decoding.image(&jpeg, min_size).expect("whole");
            let (now, later) = (image(Decoding::AtOnce), image(Decoding::WhenNeeded));
            assert_eq!(later.dimensions(), now.dimensions());
            assert_eq!(later, now);
            for image in [&now, &later] {
                assert_eq!(image.jpeg().map(|jpeg| &**jpeg), Some(&*jpeg));
            }
            let grid = later.luma_grid();
            assert_eq!((grid.columns(), grid.rows()), (38, 25));
        }
        let cut = &jpeg[..jpeg.len() / 2];
        assert!(Decoding::WhenNeeded.image(cut, (1, 1)).is_err());
    }
}
