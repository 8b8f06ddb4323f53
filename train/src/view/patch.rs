//! A part of what is seen is hidden.

use boxcam::geometry::NormBox;
use fastrand::Rng;
use image::{Rgb, RgbImage};

use super::window::anywhere;

/// A plain rectangle over what is seen (random erasing, Zhong et al. 2020), in shares of the view.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Patch {
    pub(super) place: NormBox,
    pub(super) colour: [u8; 3],
}

impl Patch {
    /// 1 to 16% of the view, each side a tenth to four tenths of it, of any colour, anywhere.
    pub(super) fn random([shortest, longest]: [f32; 2], random: &mut Rng) -> Option<Self> {
        let mut span = || {
            let extent = shortest + (longest - shortest) * random.f32();
            anywhere(extent, random)
        };
        let ((left, right), (top, bottom)) = (span(), span());
        Some(Self {
            place: NormBox::from_regression([left, right, top, bottom])?,
            colour: [random.u8(..), random.u8(..), random.u8(..)],
        })
    }

    /// The share of a box that is under the patch.
    pub(super) fn hides(&self, seen: &NormBox) -> f32 {
        self.place.intersection_area(seen) / seen.area()
    }

    pub(super) fn draw(self, picture: &mut RgbImage) {
        let (width, height) = picture.dimensions();
        let pixel = |share: f32, side: u32| (share * side as f32).round() as u32;
        let [x_min, x_max, y_min, y_max] = self.place.corners();
        let rows = pixel(y_min, height)..pixel(y_max, height).min(height);
        let columns = pixel(x_min, width)..pixel(x_max, width).min(width);
        for (x, y) in rows.flat_map(|y| columns.clone().map(move |x| (x, y))) {
            picture.put_pixel(x, y, Rgb(self.colour));
        }
    }
}
