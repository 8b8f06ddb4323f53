//! Draw targets of ours: a picture in memory, and a coarser view of any target.

use std::convert::Infallible;

use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;
use image::{Rgb, RgbImage};

/// An [`RgbImage`] to draw on. What lies outside of it is cut off.
///
/// ```
/// use boxcam::overlay::Canvas;
/// use embedded_graphics::{pixelcolor::Rgb888, prelude::*};
///
/// let mut image = image::RgbImage::new(4, 3);
/// Canvas::new(&mut image).clear(Rgb888::CSS_TOMATO)?;
/// assert_eq!(image.get_pixel(3, 2).0, [255, 99, 71]);
/// # Ok::<(), std::convert::Infallible>(())
/// ```
pub struct Canvas<'a>(&'a mut RgbImage);

impl<'a> Canvas<'a> {
    /// A canvas over a picture.
    pub fn new(image: &'a mut RgbImage) -> Self {
        Self(image)
    }
}

impl OriginDimensions for Canvas<'_> {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Canvas<'_> {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Self::Error>
    where
        I: IntoIterator<Item = Pixel<Self::Color>>,
    {
        for Pixel(place, colour) in pixels {
            let (Ok(x), Ok(y)) = (u32::try_from(place.x), u32::try_from(place.y)) else {
                continue;
            };
            if let Some(pixel) = self.0.get_pixel_mut_checked(x, y) {
                *pixel = to_pixel(colour);
            }
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, colour: Self::Color) -> Result<(), Self::Error> {
        let area = area.intersection(&self.bounding_box());
        let (left, top) = (area.top_left.x as usize, area.top_left.y as usize);
        let (width, height) = (area.size.width as usize, area.size.height as usize);
        let Rgb(pixel) = to_pixel(colour);
        let line = self.0.width() as usize;
        // Whole lines at once: on a large screen most of the time goes into filled grounds.
        let pixels = self.0.as_chunks_mut::<3>().0;
        for row in top..top + height {
            pixels[row * line + left..][..width].fill(pixel);
        }
        Ok(())
    }
}

fn to_pixel(colour: Rgb888) -> Rgb<u8> {
    Rgb([colour.r(), colour.g(), colour.b()])
}

/// A target whose pixels are squares of `scale` x `scale` pixels of another, so that a font of a fixed
/// size can be read on a large picture.
pub(super) struct Scaled<'a, D> {
    pub(super) target: &'a mut D,
    pub(super) scale: u32,
}

impl<D: DrawTarget> Scaled<'_, D> {
    fn enlarged(&self, area: &Rectangle) -> Rectangle {
        Rectangle::new(area.top_left * self.scale as i32, area.size * self.scale)
    }
}

impl<D: DrawTarget> Dimensions for Scaled<'_, D> {
    fn bounding_box(&self) -> Rectangle {
        let area = self.target.bounding_box();
        Rectangle::new(area.top_left / self.scale as i32, area.size / self.scale)
    }
}

impl<D: DrawTarget> DrawTarget for Scaled<'_, D> {
    type Color = D::Color;
    type Error = D::Error;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Self::Error>
    where
        I: IntoIterator<Item = Pixel<Self::Color>>,
    {
        for Pixel(place, colour) in pixels {
            let square = self.enlarged(&Rectangle::new(place, Size::new_equal(1)));
            self.target.fill_solid(&square, colour)?;
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, colour: Self::Color) -> Result<(), Self::Error> {
        let area = self.enlarged(area);
        self.target.fill_solid(&area, colour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_is_cut_off() {
        let mut image = RgbImage::new(3, 2);
        let mut canvas = Canvas::new(&mut image);
        let places = [(-1, 0), (0, -1), (3, 0), (0, 2), (2, 1)];
        let pixels = places.map(|(x, y)| Pixel(Point::new(x, y), Rgb888::WHITE));
        canvas.draw_iter(pixels).expect("infallible");
        let around = Rectangle::new(Point::new(-5, -5), Size::new(6, 6));
        canvas.fill_solid(&around, Rgb888::RED).expect("infallible");
        let expected = [255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255];
        assert_eq!(image.into_raw(), expected);
    }

    #[test]
    fn a_scaled_pixel_is_a_square() {
        let mut image = RgbImage::new(6, 6);
        let mut canvas = Canvas::new(&mut image);
        let mut scaled = Scaled {
            target: &mut canvas,
            scale: 3,
        };
        assert_eq!(scaled.bounding_box().size, Size::new(2, 2));
        Pixel(Point::new(1, 0), Rgb888::WHITE)
            .draw(&mut scaled)
            .expect("infallible");
        for (x, y, pixel) in image.enumerate_pixels() {
            assert_eq!(pixel[0] == 255, x >= 3 && y < 3, "{x} {y}");
        }
    }
}
