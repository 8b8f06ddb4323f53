//! A cut-out at its place in a picture: its pixels, and the box around them.

use std::path::Path;

use boxcam::geometry::NormBox;
use boxcam::picture::{self, PictureError};
use image::imageops::{FilterType, crop_imm, flip_horizontal, resize};
use image::math::Rect;
use image::{GrayImage, Rgb, RgbImage};

/// Opacity from which a pixel is the object's.
const OPAQUE: u8 = 128;

/// A cut-out as it was cut from its picture.
#[derive(Debug, Clone)]
pub(crate) struct CutoutPixels {
    color: RgbImage,
    /// Of any size: it covers all of `color`.
    opacity: GrayImage,
}

/// Where a cut-out is in a picture, and how it looks there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Placement {
    /// Left, top, right and bottom edge, as shares of the picture; it may reach beyond it.
    pub(crate) crop: [f32; 4],
    pub(crate) flipped: bool,
    /// What its colors are multiplied by.
    pub(crate) brightness: f32,
}

/// A cut-out in the pixels of a picture, which it may reach beyond.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    left: i64,
    top: i64,
    color: RgbImage,
    /// Of the same size.
    opacity: GrayImage,
    brightness: f32,
}

impl CutoutPixels {
    /// # Errors
    /// [`PictureError`] if the picture or the mask cannot be read.
    pub(crate) fn open(picture: &Path, crop: Rect, mask: &Path) -> Result<Self, PictureError> {
        let whole = picture::open(picture)?;
        Ok(Self {
            color: crop_imm(&whole, crop.x, crop.y, crop.width, crop.height).to_image(),
            opacity: open_mask(mask)?,
        })
    }

    #[cfg(test)]
    pub(crate) const fn new(color: RgbImage, opacity: GrayImage) -> Self {
        Self { color, opacity }
    }

    /// The cut-out in a picture of `width` x `height` pixels.
    pub(crate) fn placed(&self, place: &Placement, (width, height): (u32, u32)) -> Layer {
        let pixel = |share: f32, side: u32| (share * side as f32).round() as i64;
        let [left, top, right, bottom] = place.crop;
        let (left, right) = (pixel(left, width), pixel(right, width));
        let (top, bottom) = (pixel(top, height), pixel(bottom, height));
        let size = ((right - left).max(1) as u32, (bottom - top).max(1) as u32);
        let mut color = resize(&self.color, size.0, size.1, FilterType::Triangle);
        let mut opacity = resize(&self.opacity, size.0, size.1, FilterType::Triangle);
        if place.flipped {
            color = flip_horizontal(&color);
            opacity = flip_horizontal(&opacity);
        }
        Layer {
            left,
            top,
            color,
            opacity,
            brightness: place.brightness,
        }
    }
}

impl Layer {
    /// Draws it over a picture.
    pub(crate) fn blend(&self, onto: &mut RgbImage) {
        let (width, height) = onto.dimensions();
        for (x, y, Rgb(color)) in self.color.enumerate_pixels() {
            let Some((at_x, at_y)) = self.within(x, y, (width, height)) else {
                continue;
            };
            let opacity = f32::from(self.opacity.get_pixel(x, y).0[0]) / 255.0;
            let Rgb(under) = onto.get_pixel_mut(at_x, at_y);
            for (under, color) in under.iter_mut().zip(color) {
                let color = (f32::from(*color) * self.brightness).min(255.0);
                let below = f32::from(*under);
                *under = (below + opacity * (color - below)).round() as u8;
            }
        }
    }

    /// The object's pixels that are within a picture of this size.
    pub(crate) fn object_pixels(&self, size: (u32, u32)) -> impl Iterator<Item = (u32, u32)> {
        let opaque = self.opaque();
        opaque.filter_map(move |(x, y)| self.within(x, y, size))
    }

    /// Number of the object's pixels, also beyond the picture.
    pub(crate) fn object_size(&self) -> usize {
        self.opaque().count()
    }

    fn opaque(&self) -> impl Iterator<Item = (u32, u32)> {
        let pixels = self.opacity.enumerate_pixels();
        let opaque = pixels.filter(|(_, _, pixel)| pixel.0[0] >= OPAQUE);
        opaque.map(|(x, y, _)| (x, y))
    }

    /// A pixel of the layer as one of the picture.
    fn within(&self, x: u32, y: u32, (width, height): (u32, u32)) -> Option<(u32, u32)> {
        let x = u32::try_from(self.left + i64::from(x)).ok()?;
        let y = u32::try_from(self.top + i64::from(y)).ok()?;
        (x < width && y < height).then_some((x, y))
    }
}

/// The smallest rectangle around pixels; `None` without any.
pub(crate) fn bounds(pixels: impl Iterator<Item = (u32, u32)>) -> Option<Rect> {
    let grow = |bounds: Option<[u32; 4]>, (x, y): (u32, u32)| {
        let [left, top, right, bottom] = bounds.unwrap_or([x, y, x, y]);
        Some([left.min(x), top.min(y), right.max(x), bottom.max(y)])
    };
    pixels
        .fold(None, grow)
        .map(|[left, top, right, bottom]| Rect {
            x: left,
            y: top,
            width: right - left + 1,
            height: bottom - top + 1,
        })
}

/// A rectangle in a picture of `width` x `height` pixels, as shares of its sides.
pub(crate) fn as_shares(pixels: Rect, (width, height): (u32, u32)) -> Option<NormBox> {
    let share = |at: u32, side: u32| at as f32 / side as f32;
    NormBox::from_regression([
        share(pixels.x, width),
        share(pixels.x + pixels.width, width),
        share(pixels.y, height),
        share(pixels.y + pixels.height, height),
    ])
}

pub(super) fn open_mask(path: &Path) -> Result<GrayImage, PictureError> {
    let mask = picture::open(path)?;
    // All three channels are the same.
    let values = mask.pixels().map(|pixel| pixel.0[0]).collect();
    Ok(GrayImage::from_raw(mask.width(), mask.height(), values).unwrap_or_default())
}

/// The smallest box around the object's pixels, as shares of the mask's sides.
pub(super) fn opaque_part(mask: &GrayImage) -> Option<NormBox> {
    let pixels = mask.enumerate_pixels();
    let opaque = pixels.filter(|(_, _, pixel)| pixel.0[0] >= OPAQUE);
    as_shares(bounds(opaque.map(|(x, y, _)| (x, y)))?, mask.dimensions())
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;

    /// A red cut-out of 8 x 6 pixels, of which the object is the left half.
    fn cutout() -> CutoutPixels {
        CutoutPixels::new(
            RgbImage::from_pixel(8, 6, Rgb([200, 0, 0])),
            GrayImage::from_fn(8, 6, |x, _| Luma([if x < 4 { 255 } else { 0 }])),
        )
    }

    fn placed(crop: [f32; 4], flipped: bool) -> Layer {
        let place = Placement {
            crop,
            flipped,
            brightness: 1.0,
        };
        cutout().placed(&place, (80, 60))
    }

    fn rect(x: u32, y: u32, width: u32, height: u32) -> Option<Rect> {
        Some(Rect {
            x,
            y,
            width,
            height,
        })
    }

    #[test]
    fn the_box_of_an_object_is_that_of_its_pixels() {
        let layer = placed([0.5, 0.5, 0.6, 0.6], false);
        let mut picture = RgbImage::new(80, 60);
        layer.blend(&mut picture);
        let red = picture.enumerate_pixels().filter(|(_, _, p)| p.0[0] >= 100);
        let red = bounds(red.map(|(x, y, _)| (x, y)));
        assert_eq!(red, rect(40, 30, 4, 6));
        assert_eq!(bounds(layer.object_pixels((80, 60))), red);
        let mirrored = placed([0.5, 0.5, 0.6, 0.6], true);
        assert_eq!(bounds(mirrored.object_pixels((80, 60))), rect(44, 30, 4, 6));
    }

    #[test]
    fn what_is_beyond_the_picture_is_cut_off() {
        let layer = placed([-0.025, -0.05, 0.075, 0.05], false);
        let pixels = bounds(layer.object_pixels((80, 60)));
        assert_eq!(pixels, rect(0, 0, 2, 3));
        assert_eq!(layer.object_size(), 24);
        let norm = as_shares(pixels.expect("some"), (80, 60)).expect("valid");
        assert_eq!(norm.corners(), [0.0, 0.025, 0.0, 0.05]);
        layer.blend(&mut RgbImage::new(80, 60));
        let outside = placed([1.0, 0.0, 1.1, 0.1], false);
        assert_eq!(bounds(outside.object_pixels((80, 60))), None);
    }

    #[test]
    fn brightness_is_limited_to_white() {
        let place = Placement {
            crop: [0.0, 0.0, 1.0, 1.0],
            flipped: false,
            brightness: 1.5,
        };
        let mut picture = RgbImage::from_pixel(8, 6, Rgb([0, 90, 0]));
        cutout().placed(&place, (8, 6)).blend(&mut picture);
        assert_eq!(picture.get_pixel(0, 0).0, [255, 0, 0]);
        assert_eq!(picture.get_pixel(7, 0).0, [0, 90, 0]);
    }
}
