//! Resizes RGB images with the bilinear filter, antialiased where they shrink, in integer arithmetic: the result is the same
//! on every machine.
//!
//! The only place that names the types of pixels: `fast_image_resize` is compiled for each combination of them, and its
//! general functions for all of its thirteen pixel types.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions};
use image::RgbImage;

#[cfg(feature = "demo")]
pub(crate) use fast_image_resize::CropBox;
pub use fast_image_resize::ResizeError;

const SIZED: &str = "an RGB image has three bytes a pixel";

/// Resizes images; reuses its memory.
#[derive(Default)]
pub(crate) struct Resizer(fast_image_resize::Resizer);

impl Resizer {
    /// Stretches the whole of `source` to the size of `target`.
    ///
    /// # Errors
    /// [`ResizeError`] if `fast_image_resize` refuses the sizes.
    pub(crate) fn resize(
        &mut self,
        source: &RgbImage,
        target: &mut RgbImage,
    ) -> Result<(), ResizeError> {
        self.resize_with(source, target, &ResizeOptions::new())
    }

    /// Stretches a part of `source` to the size of `target`.
    ///
    /// # Errors
    /// [`ResizeError`] if the part is not within `source`.
    #[cfg(feature = "demo")]
    pub(crate) fn resize_part(
        &mut self,
        source: &RgbImage,
        part: CropBox,
        target: &mut RgbImage,
    ) -> Result<(), ResizeError> {
        let options = ResizeOptions::new().crop(part.left, part.top, part.width, part.height);
        self.resize_with(source, target, &options)
    }

    fn resize_with(
        &mut self,
        source: &RgbImage,
        target: &mut RgbImage,
        options: &ResizeOptions,
    ) -> Result<(), ResizeError> {
        let options = options.resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        let ((width, height), size) = (source.dimensions(), target.dimensions());
        let source = TypedImageRef::<U8x3>::from_buffer(width, height, source).expect(SIZED);
        let mut target = TypedImage::<U8x3>::from_buffer(size.0, size.1, target).expect(SIZED);
        self.0.resize_typed(&source, &mut target, &options)
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn an_image_is_shrunk_by_averages() {
        let source = RgbImage::from_fn(8, 4, |x, _| Rgb([if x % 2 == 0 { 0 } else { 200 }; 3]));
        let mut target = RgbImage::new(2, 2);
        Resizer::default()
            .resize(&source, &mut target)
            .expect("resized");
        for pixel in target.pixels() {
            assert!(
                pixel.0.iter().all(|value| value.abs_diff(100) < 20),
                "{pixel:?}"
            );
        }
    }

    #[cfg(feature = "demo")]
    #[test]
    fn a_part_is_stretched_and_one_beyond_the_image_is_an_error() {
        let source = RgbImage::from_fn(8, 8, |x, y| Rgb([x as u8, y as u8, 7]));
        let part = |left| CropBox {
            left,
            top: 4.0,
            width: 4.0,
            height: 4.0,
        };
        let mut target = RgbImage::new(4, 4);
        let mut resizer = Resizer::default();
        resizer
            .resize_part(&source, part(2.0), &mut target)
            .expect("within the image");
        assert_eq!(target.get_pixel(0, 0), source.get_pixel(2, 4));
        assert_eq!(target.get_pixel(3, 3), source.get_pixel(5, 7));
        assert!(
            resizer
                .resize_part(&source, part(6.0), &mut target)
                .is_err()
        );
    }
}
