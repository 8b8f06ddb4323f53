//! An image as a draw target.

use std::convert::Infallible;

use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;
use image::{Rgb, RgbImage};

/// An [`RgbImage`] to draw on. Drawing outside of it has no effect.
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
        for Pixel(position, color) in pixels {
            let (Ok(x), Ok(y)) = (u32::try_from(position.x), u32::try_from(position.y)) else {
                continue;
            };
            if let Some(pixel) = self.0.get_pixel_mut_checked(x, y) {
                *pixel = to_pixel(color);
            }
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, color: Self::Color) -> Result<(), Self::Error> {
        let area = area.intersection(&self.bounding_box());
        let (left, top) = (area.top_left.x as usize, area.top_left.y as usize);
        let (width, height) = (area.size.width as usize, area.size.height as usize);
        let Rgb(pixel) = to_pixel(color);
        let line = self.0.width() as usize;
        // Row by row: on a large screen, filled backgrounds take most of the time.
        let pixels = self.0.as_chunks_mut::<3>().0;
        for row in top..top + height {
            pixels[row * line + left..][..width].fill(pixel);
        }
        Ok(())
    }
}

fn to_pixel(color: Rgb888) -> Rgb<u8> {
    Rgb([color.r(), color.g(), color.b()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawing_outside_has_no_effect() {
        let mut image = RgbImage::new(3, 2);
        let mut canvas = Canvas::new(&mut image);
        let positions = [(-1, 0), (0, -1), (3, 0), (0, 2), (2, 1)];
        let pixels = positions.map(|(x, y)| Pixel(Point::new(x, y), Rgb888::WHITE));
        canvas.draw_iter(pixels).expect("infallible");
        let around = Rectangle::new(Point::new(-5, -5), Size::new(6, 6));
        canvas.fill_solid(&around, Rgb888::RED).expect("infallible");
        let expected = [255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255];
        assert_eq!(image.into_raw(), expected);
    }
}
