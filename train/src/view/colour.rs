//! What is seen in other colours.

use fastrand::Rng;
use image::{Rgb, RgbImage};

use super::View;

/// Factors, 1 leaving a picture as it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Colour {
    pub(super) brightness: f32,
    pub(super) contrast: f32,
    pub(super) saturation: f32,
}

impl Colour {
    /// Each factor within `spread` of 1.
    pub(super) fn random(spread: f32, random: &mut Rng) -> Self {
        let mut around = || 1.0 + spread * (2.0 * random.f32() - 1.0);
        Self {
            brightness: around(),
            contrast: around(),
            saturation: around(),
        }
    }

    /// Brightness, then contrast around the mean grey, then saturation around each pixel's own grey.
    pub(super) fn apply(self, picture: &mut RgbImage) {
        if self == View::PLAIN.colour {
            return;
        }
        let count = picture.pixels().len().max(1) as f32;
        let mean = picture.pixels().map(grey).sum::<f32>() / count * self.brightness;
        for pixel in picture.pixels_mut() {
            let lit = pixel.0.map(|v| f32::from(v) * self.brightness);
            let lit = lit.map(|v| mean + (v - mean) * self.contrast);
            let own = 0.299 * lit[0] + 0.587 * lit[1] + 0.114 * lit[2];
            // `as u8` saturates at both ends.
            pixel.0 = lit.map(|v| (own + (v - own) * self.saturation).round() as u8);
        }
    }
}

fn grey(pixel: &Rgb<u8>) -> f32 {
    let [r, g, b] = pixel.0.map(f32::from);
    0.299 * r + 0.587 * g + 0.114 * b
}
