//! The pixels of a frame, decoded at once or when they are first needed.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use image::RgbImage;
use thiserror::Error;

use crate::luma_grid::LumaGrid;

/// The pixels of a frame. One that a source has stored as it came, to save the work if nobody needs the pixels, is decoded
/// when they are first read; it dereferences to them.
#[derive(Debug, Clone)]
pub struct FrameImage {
    pixels: OnceLock<RgbImage>,
    /// `None` if it was decoded from the start.
    stored: Option<Arc<dyn StoredImage>>,
    /// The JPEG of it, as a camera has sent it.
    jpeg: Option<Arc<[u8]>>,
}

/// An image as a camera has sent it, of which a small version is known.
pub trait StoredImage: fmt::Debug + Send + Sync {
    /// Width and height in pixels of [`Self::decode`].
    fn size(&self) -> (u32, u32);

    fn luma_grid(&self) -> &Arc<LumaGrid>;

    /// # Errors
    /// [`UndecodableImage`], although the small version could be decoded.
    fn decode(&self) -> Result<RgbImage, UndecodableImage>;
}

/// An image of which only the small version could be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct UndecodableImage {
    /// What is wrong with it, or with the frame that it is of.
    pub message: String,
}

impl FrameImage {
    #[must_use]
    pub fn stored(image: Arc<dyn StoredImage>) -> Self {
        Self {
            pixels: OnceLock::new(),
            stored: Some(image),
            jpeg: None,
        }
    }

    /// With the JPEG that it was or will be decoded from.
    #[must_use]
    pub fn with_jpeg(self, jpeg: Arc<[u8]>) -> Self {
        Self {
            jpeg: Some(jpeg),
            ..self
        }
    }

    /// The JPEG that a camera or stream has sent, which may be larger than [`Self::dimensions`]; `None` if it has sent none.
    #[must_use]
    pub const fn jpeg(&self) -> Option<&Arc<[u8]>> {
        self.jpeg.as_ref()
    }

    /// Decodes it, unless that was done.
    ///
    /// # Errors
    /// [`UndecodableImage`].
    pub fn decode(&self) -> Result<&RgbImage, UndecodableImage> {
        if let (None, Some(stored)) = (self.pixels.get(), &self.stored) {
            let pixels = stored.decode()?;
            return Ok(self.pixels.get_or_init(|| pixels));
        }
        Ok(self)
    }

    /// Width and height in pixels. Decodes nothing, as [`Self::is_empty`] and [`Self::byte_count`].
    #[must_use]
    pub fn dimensions(&self) -> (u32, u32) {
        match (self.pixels.get(), &self.stored) {
            (Some(pixels), _) => pixels.dimensions(),
            (None, Some(stored)) => stored.size(),
            (None, None) => (0, 0),
        }
    }

    /// Whether it has no pixels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let (width, height) = self.dimensions();
        width == 0 || height == 0
    }

    /// Size of the pixels in bytes.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        let (width, height) = self.dimensions();
        width as usize * height as usize * 3
    }

    /// The brightness of its blocks. That of a stored image is known, that of another is computed.
    #[must_use]
    pub fn luma_grid(&self) -> Arc<LumaGrid> {
        match &self.stored {
            Some(stored) => Arc::clone(stored.luma_grid()),
            None => Arc::new(LumaGrid::of(self)),
        }
    }

    #[must_use]
    pub fn into_rgb(self) -> RgbImage {
        let Self { pixels, stored, .. } = self;
        let pixels = pixels.into_inner();
        pixels.unwrap_or_else(|| stored.map_or_else(RgbImage::default, |stored| lenient(&*stored)))
    }
}

/// The pixels; black if they can't be decoded, which [`FrameImage::decode`] tells.
fn lenient(stored: &dyn StoredImage) -> RgbImage {
    let (width, height) = stored.size();
    stored
        .decode()
        .unwrap_or_else(|_| RgbImage::new(width, height))
}

impl Deref for FrameImage {
    type Target = RgbImage;

    fn deref(&self) -> &RgbImage {
        let decode = || {
            self.stored
                .as_deref()
                .map_or_else(RgbImage::default, lenient)
        };
        self.pixels.get_or_init(decode)
    }
}

impl From<RgbImage> for FrameImage {
    fn from(pixels: RgbImage) -> Self {
        Self {
            pixels: OnceLock::from(pixels),
            stored: None,
            jpeg: None,
        }
    }
}

impl Default for FrameImage {
    fn default() -> Self {
        RgbImage::default().into()
    }
}

impl PartialEq for FrameImage {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl PartialEq<RgbImage> for FrameImage {
    fn eq(&self, other: &RgbImage) -> bool {
        **self == *other
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug)]
    struct Stored {
        grid: Arc<LumaGrid>,
        is_damaged: bool,
        decoded: AtomicUsize,
    }

    impl StoredImage for Stored {
        fn size(&self) -> (u32, u32) {
            (4, 2)
        }

        fn luma_grid(&self) -> &Arc<LumaGrid> {
            &self.grid
        }

        fn decode(&self) -> Result<RgbImage, UndecodableImage> {
            self.decoded.fetch_add(1, Ordering::Relaxed);
            match self.is_damaged {
                false => Ok(RgbImage::from_pixel(4, 2, image::Rgb([9; 3]))),
                true => Err(UndecodableImage {
                    message: "cut off".to_owned(),
                }),
            }
        }
    }

    fn stored(is_damaged: bool) -> Arc<Stored> {
        Arc::new(Stored {
            grid: Arc::new(LumaGrid::of(&RgbImage::new(4, 2))),
            is_damaged,
            decoded: AtomicUsize::new(0),
        })
    }

    #[test]
    fn a_stored_image_is_decoded_once_and_when_its_pixels_are_read() {
        let stored = stored(false);
        let image = FrameImage::stored(stored.clone());
        assert_eq!((image.dimensions(), image.byte_count()), ((4, 2), 24));
        assert!(!image.is_empty());
        assert!(Arc::ptr_eq(&image.luma_grid(), &stored.grid));
        assert_eq!(stored.decoded.load(Ordering::Relaxed), 0);
        assert!(image.decode().is_ok());
        assert_eq!(image.get_pixel(0, 0).0, [9; 3]);
        assert_eq!(image.clone().into_rgb(), *image);
        assert_eq!(stored.decoded.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_image_that_cannot_be_decoded_is_an_error_and_black() {
        let image = FrameImage::stored(stored(true));
        let error = image.decode().expect_err("damaged");
        assert_eq!(error.to_string(), "cut off");
        assert_eq!(image, RgbImage::new(4, 2));
    }
}
