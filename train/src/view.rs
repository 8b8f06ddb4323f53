//! Views: other looks at the same picture, with its box moved along.
//!
//! In goes a picture, out comes a part of it, perhaps mirrored, in other colours; a box goes through the
//! same cut and flip. A view is drawn by chance from a seeded generator and is the same for the same seed.

use boxcam::geometry::NormBox;
use fastrand::Rng;
use image::imageops::{crop_imm, flip_horizontal};
use image::{Rgb, RgbImage};

/// Least share of the largest box that a crop must keep.
const KEPT: f32 = 0.6;

/// How often a crop is drawn again when it cuts too much of the box away.
const TRIES: usize = 20;

/// A look at a picture: cut, then mirrored, then recoloured.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    crop: NormBox,
    mirrored: bool,
    colour: Colour,
}

/// Factors, 1 leaving a picture as it is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Colour {
    brightness: f32,
    contrast: f32,
    saturation: f32,
}

impl View {
    /// The picture as it is.
    pub const PLAIN: Self = Self {
        crop: NormBox::WHOLE,
        mirrored: false,
        colour: Colour {
            brightness: 1.0,
            contrast: 1.0,
            saturation: 1.0,
        },
    };

    /// The views of one picture: as it is, its mirror image, then as many by chance as are wanted.
    pub fn several(count: usize, largest: Option<&NormBox>, random: &mut Rng) -> Vec<Self> {
        let mirror = Self {
            mirrored: true,
            ..Self::PLAIN
        };
        let mut views = vec![Self::PLAIN, mirror];
        views.truncate(count);
        while views.len() < count {
            views.push(Self::random(largest, random));
        }
        views
    }

    /// A crop of 30 to 100% of the area, mirrored half of the time, each colour factor within 0.3 of 1. A
    /// crop that keeps too little of the largest box is drawn again.
    pub fn random(largest: Option<&NormBox>, random: &mut Rng) -> Self {
        let mut around = |spread: f32| 1.0 + spread * (2.0 * random.f32() - 1.0);
        let colour = Colour {
            brightness: around(0.3),
            contrast: around(0.3),
            saturation: around(0.3),
        };
        let keeps = |crop: &NormBox| {
            largest.is_none_or(|truth| {
                let cut = cut(truth, crop);
                cut.is_some_and(|(x, y)| (x.1 - x.0) * (y.1 - y.0) >= KEPT * truth.area())
            })
        };
        let drawn: Vec<NormBox> = (0..TRIES).map(|_| random_crop(random)).collect();
        Self {
            crop: drawn.into_iter().find(keeps).unwrap_or(NormBox::WHOLE),
            mirrored: random.bool(),
            colour,
        }
    }

    /// What the view shows of a picture.
    #[must_use]
    pub fn of(&self, picture: &RgbImage) -> RgbImage {
        if *self == Self::PLAIN {
            return picture.clone();
        }
        let pixels = self.crop.to_pixels(picture.width(), picture.height());
        let (left, top) = (pixels.top_left.x as u32, pixels.top_left.y as u32);
        let mut part =
            crop_imm(picture, left, top, pixels.size.width, pixels.size.height).to_image();
        if self.mirrored {
            part = flip_horizontal(&part);
        }
        self.colour.apply(&mut part);
        part
    }

    /// Where the view shows a box, or `None` when it is cut away.
    #[must_use]
    pub fn of_box(&self, truth: &NormBox) -> Option<NormBox> {
        let ((left, right), (top, bottom)) = cut(truth, &self.crop)?;
        let crop = &self.crop;
        let across = |x: f32| (x - crop.x_min()) / (crop.x_max() - crop.x_min());
        let down = |y: f32| (y - crop.y_min()) / (crop.y_max() - crop.y_min());
        let (x_min, x_max) = match self.mirrored {
            false => (across(left), across(right)),
            true => (1.0 - across(right), 1.0 - across(left)),
        };
        NormBox::from_regression([x_min, x_max, down(top), down(bottom)])
    }
}

type Span = (f32, f32);

/// The part of a box inside a crop, as spans across and down; `None` when nothing is left.
fn cut(truth: &NormBox, crop: &NormBox) -> Option<(Span, Span)> {
    let x = (
        truth.x_min().max(crop.x_min()),
        truth.x_max().min(crop.x_max()),
    );
    let y = (
        truth.y_min().max(crop.y_min()),
        truth.y_max().min(crop.y_max()),
    );
    (x.0 < x.1 && y.0 < y.1).then_some((x, y))
}

/// 30 to 100% of the area, 3:4 to 4:3 of the picture's own shape, anywhere.
fn random_crop(random: &mut Rng) -> NormBox {
    let area = 0.3 + 0.7 * random.f32();
    let spread = (4.0f32 / 3.0).ln();
    let aspect = (spread * (2.0 * random.f32() - 1.0)).exp();
    let width = (area * aspect).sqrt().min(1.0);
    let height = (area / aspect).sqrt().min(1.0);
    let (left, top) = (random.f32() * (1.0 - width), random.f32() * (1.0 - height));
    NormBox::from_regression([left, left + width, top, top + height]).unwrap_or(NormBox::WHOLE)
}

impl Colour {
    /// Brightness, then contrast around the mean grey, then saturation around each pixel's own grey.
    fn apply(self, picture: &mut RgbImage) {
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

#[cfg(test)]
mod tests {
    use boxcam::geometry::iou;

    use super::*;

    /// A white square on black; its box, and the box of what is white in a picture.
    fn square() -> (RgbImage, NormBox) {
        let truth = NormBox::new(0.3, 0.7, 0.2, 0.5).expect("sound");
        let inside = |v: u32, low: u32, high: u32| (low..high).contains(&v);
        let picture = RgbImage::from_fn(400, 300, |x, y| {
            Rgb([if inside(x, 120, 280) && inside(y, 60, 150) {
                255
            } else {
                0
            }; 3])
        });
        (picture, truth)
    }

    fn white(picture: &RgbImage) -> NormBox {
        let (width, height) = (picture.width() as f32, picture.height() as f32);
        let lit = || picture.enumerate_pixels().filter(|(_, _, p)| p.0[0] > 127);
        let (xs, ys) = (|| lit().map(|p| p.0), || lit().map(|p| p.1));
        let least = |v: Option<u32>| v.expect("some white") as f32;
        let end = |v: Option<u32>| v.expect("some white") as f32 + 1.0;
        NormBox::new(
            least(xs().min()) / width,
            end(xs().max()) / width,
            least(ys().min()) / height,
            end(ys().max()) / height,
        )
        .expect("sound")
    }

    #[test]
    fn the_box_goes_where_the_pixels_go() {
        let (picture, truth) = square();
        let random = &mut Rng::with_seed(5);
        for view in View::several(60, Some(&truth), random) {
            let moved = view.of_box(&truth).expect("most of it is kept");
            let overlap = iou(&moved, &white(&view.of(&picture)));
            assert!(overlap > 0.95, "{view:?}: {overlap}");
        }
    }

    #[test]
    fn the_first_view_is_the_picture_itself() {
        let (picture, truth) = square();
        let views = View::several(3, Some(&truth), &mut Rng::with_seed(1));
        assert_eq!(views.len(), 3);
        assert_eq!(views[0].of(&picture), picture);
        assert_eq!(views[0].of_box(&truth), Some(truth));
        assert!(views[1].mirrored && views[1].crop == NormBox::WHOLE);
    }

    #[test]
    fn a_box_outside_the_crop_is_gone() {
        let view = View {
            crop: NormBox::new(0.5, 1.0, 0.0, 1.0).expect("sound"),
            ..View::PLAIN
        };
        let left = NormBox::new(0.1, 0.4, 0.1, 0.4).expect("sound");
        assert_eq!(view.of_box(&left), None);
    }
}
