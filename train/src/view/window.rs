//! Which part of a picture is seen, or how much plain surface around it.

use boxcam::geometry::NormBox;
use fastrand::Rng;
use image::imageops::{crop_imm, replace};
use image::{Rgb, RgbImage};

use crate::recipe::AugmentationSettings;

/// What is seen, in shares of the picture: inside 0 to 1 a part of it, beyond that a plain surface around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    pub(super) x: Span,
    pub(super) y: Span,
    /// Colour of what lies around the picture.
    pub(super) around: [u8; 3],
}

/// From, to.
pub(super) type Span = (f32, f32);

/// A stretch of that extent, anywhere in 0 to 1; one that is longer, anywhere around it.
pub(super) fn anywhere(extent: f32, random: &mut Rng) -> Span {
    let start = random.f32() * (1.0 - extent);
    (start, start + extent)
}

impl Window {
    pub(super) const WHOLE: Self = Self {
        x: (0.0, 1.0),
        y: (0.0, 1.0),
        around: [0; 3],
    };

    /// 30 to 100% of the area, anywhere in the picture; or 1 to 3 times the area, the picture anywhere in
    /// it. Both 3:4 to 4:3 of the picture's own shape.
    pub(super) fn random(settings: &AugmentationSettings, farther: bool, random: &mut Rng) -> Self {
        let [smallest, largest] = match farther {
            true => settings.zoom_out_area,
            false => settings.crop_area,
        };
        let area = smallest + (largest - smallest) * random.f32();
        let spread = settings.crop_max_aspect.ln();
        let aspect = (spread * (2.0 * random.f32() - 1.0)).exp();
        let extent = |share: f32| match farther {
            true => share.sqrt().max(1.0),
            false => share.sqrt().min(1.0),
        };
        let mut span = |extent: f32| anywhere(extent, random);
        let (x, y) = (span(extent(area * aspect)), span(extent(area / aspect)));
        let around = [random.u8(..), random.u8(..), random.u8(..)];
        Self { x, y, around }
    }

    /// Where a box is seen; beyond 0 to 1 it is cut off.
    pub(super) fn place(&self, truth: &NormBox) -> (Span, Span) {
        let [x_min, x_max, y_min, y_max] = truth.corners();
        let across = |v: f32, (low, high): Span| (v - low) / (high - low);
        (
            (across(x_min, self.x), across(x_max, self.x)),
            (across(y_min, self.y), across(y_max, self.y)),
        )
    }

    pub(super) fn of(&self, picture: &RgbImage) -> RgbImage {
        let pixel = |share: f32, side: u32| (share * side as f32).round() as i64;
        let (left, right) = (
            pixel(self.x.0, picture.width()),
            pixel(self.x.1, picture.width()),
        );
        let (top, bottom) = (
            pixel(self.y.0, picture.height()),
            pixel(self.y.1, picture.height()),
        );
        let (width, height) = ((right - left).max(1) as u32, (bottom - top).max(1) as u32);
        if left >= 0 && top >= 0 {
            return crop_imm(picture, left as u32, top as u32, width, height).to_image();
        }
        let mut surface = RgbImage::from_pixel(width, height, Rgb(self.around));
        replace(&mut surface, picture, -left, -top);
        surface
    }
}
