//! Views: other looks at the same picture, with its box moved along.
//!
//! In goes a picture, out comes a part of it, perhaps mirrored, in other colours; a box goes through the
//! same cut and flip. A view is drawn by chance from a seeded generator and is the same for the same seed.

use boxcam::geometry::NormBox;
use fastrand::Rng;
use image::imageops::{crop_imm, flip_horizontal, replace};
use image::{Rgb, RgbImage};

/// Least share of the largest box that a crop must keep.
const KEPT: f32 = 0.6;

/// How often a picture is made smaller.
const FARTHER: f32 = 0.3;

/// Least area of a largest box that was larger before.
const TINY: f32 = 0.02;

/// How often a window is drawn again when it shows too little of the box.
const TRIES: usize = 20;

/// How often a part of what is seen is hidden.
const HIDDEN: f32 = 0.25;

/// Most of a box that may be hidden.
const MOST_HIDDEN: f32 = 0.4;

/// A look at a picture: cut or set into a plain surface, then mirrored, then recoloured, then partly hidden.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    window: Window,
    mirrored: bool,
    colour: Colour,
    hidden: Option<Patch>,
}

/// A plain rectangle over what is seen (random erasing, Zhong et al. 2020), in shares of the view.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Patch {
    place: NormBox,
    colour: [u8; 3],
}

/// What is seen, in shares of the picture: inside 0 to 1 a part of it, beyond that a plain surface around it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Window {
    x: Span,
    y: Span,
    /// Colour of what lies around the picture.
    around: [u8; 3],
}

type Span = (f32, f32);

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
        window: Window::WHOLE,
        mirrored: false,
        colour: Colour {
            brightness: 1.0,
            contrast: 1.0,
            saturation: 1.0,
        },
        hidden: None,
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

    /// Mostly a crop of 30 to 100% of the area, sometimes the picture made smaller on a plain surface (so
    /// that small things are learnt too), mirrored half of the time, each colour factor within 0.3 of 1,
    /// a quarter of the time with a patch over it. A window that keeps too little of the largest box, or makes it
    /// tiny, is drawn again; a patch that hides too much of it is left out.
    pub fn random(largest: Option<&NormBox>, random: &mut Rng) -> Self {
        let mut around = |spread: f32| 1.0 + spread * (2.0 * random.f32() - 1.0);
        let colour = Colour {
            brightness: around(0.3),
            contrast: around(0.3),
            saturation: around(0.3),
        };
        let keeps = |window: &Window| {
            largest.is_none_or(|truth| {
                let ((left, right), (top, bottom)) = window.place(truth);
                let unit = |v: f32| v.clamp(0.0, 1.0);
                let seen = (unit(right) - unit(left)) * (unit(bottom) - unit(top));
                let whole = (right - left) * (bottom - top);
                seen >= KEPT * whole && seen >= TINY.min(truth.area())
            })
        };
        let farther = random.f32() < FARTHER;
        let mut draw = || Window::random(farther, random);
        let drawn = (0..TRIES).map(|_| draw()).find(keeps);
        let view = Self {
            window: drawn.unwrap_or(Window::WHOLE),
            mirrored: random.bool(),
            colour,
            hidden: None,
        };
        let seen = largest.and_then(|truth| view.of_box(truth));
        let patch = (random.f32() < HIDDEN).then(|| Patch::random(random));
        let shows = |patch: &Patch| {
            let hides = |seen: &NormBox| patch.hides(seen);
            seen.as_ref().map_or(0.0, hides) <= MOST_HIDDEN
        };
        Self {
            hidden: patch.flatten().filter(shows),
            ..view
        }
    }

    /// The picture nearly as it is: mirrored half of the time, each colour factor within 0.1 of 1, and 85 to 100% of
    /// its width and height.
    pub fn near(random: &mut Rng) -> Self {
        let mut around = |spread: f32| 1.0 + spread * (2.0 * random.f32() - 1.0);
        let colour = Colour {
            brightness: around(0.1),
            contrast: around(0.1),
            saturation: around(0.1),
        };
        let mut span = || {
            let extent = 0.85 + 0.15 * random.f32();
            let start = random.f32() * (1.0 - extent);
            (start, start + extent)
        };
        let (x, y) = (span(), span());
        Self {
            window: Window {
                x,
                y,
                ..Window::WHOLE
            },
            mirrored: random.bool(),
            colour,
            hidden: None,
        }
    }

    /// What the view shows of a picture.
    #[must_use]
    pub fn of(&self, picture: &RgbImage) -> RgbImage {
        if *self == Self::PLAIN {
            return picture.clone();
        }
        let mut part = self.window.of(picture);
        if self.mirrored {
            part = flip_horizontal(&part);
        }
        self.colour.apply(&mut part);
        if let Some(patch) = self.hidden {
            patch.draw(&mut part);
        }
        part
    }

    /// Where the view shows a box, or `None` when it is cut away.
    #[must_use]
    pub fn of_box(&self, truth: &NormBox) -> Option<NormBox> {
        let ((left, right), (top, bottom)) = self.window.place(truth);
        let unit = |(low, high): Span| (low.clamp(0.0, 1.0), high.clamp(0.0, 1.0));
        let ((left, right), (top, bottom)) = (unit((left, right)), unit((top, bottom)));
        if left >= right || top >= bottom {
            return None;
        }
        let (x_min, x_max) = match self.mirrored {
            false => (left, right),
            true => (1.0 - right, 1.0 - left),
        };
        NormBox::from_regression([x_min, x_max, top, bottom])
    }
}

impl Patch {
    /// 1 to 16% of the view, each side a tenth to four tenths of it, of any colour, anywhere.
    fn random(random: &mut Rng) -> Option<Self> {
        let mut span = || {
            let extent = 0.1 + 0.3 * random.f32();
            let start = random.f32() * (1.0 - extent);
            (start, start + extent)
        };
        let ((left, right), (top, bottom)) = (span(), span());
        Some(Self {
            place: NormBox::from_regression([left, right, top, bottom])?,
            colour: [random.u8(..), random.u8(..), random.u8(..)],
        })
    }

    /// The share of a box that is under the patch.
    fn hides(&self, seen: &NormBox) -> f32 {
        self.place.shared_area(seen) / seen.area()
    }

    fn draw(self, picture: &mut RgbImage) {
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

impl Window {
    const WHOLE: Self = Self {
        x: (0.0, 1.0),
        y: (0.0, 1.0),
        around: [0; 3],
    };

    /// 30 to 100% of the area, anywhere in the picture; or 1 to 3 times the area, the picture anywhere in
    /// it. Both 3:4 to 4:3 of the picture's own shape.
    fn random(farther: bool, random: &mut Rng) -> Self {
        let area = match farther {
            true => 1.0 + 2.0 * random.f32(),
            false => 0.3 + 0.7 * random.f32(),
        };
        let spread = (4.0f32 / 3.0).ln();
        let aspect = (spread * (2.0 * random.f32() - 1.0)).exp();
        let extent = |share: f32| match farther {
            true => share.sqrt().max(1.0),
            false => share.sqrt().min(1.0),
        };
        let mut span = |extent: f32| {
            let start = random.f32() * (1.0 - extent);
            (start, start + extent)
        };
        let (x, y) = (span(extent(area * aspect)), span(extent(area / aspect)));
        let around = [random.u8(..), random.u8(..), random.u8(..)];
        Self { x, y, around }
    }

    /// Where a box is seen; beyond 0 to 1 it is cut off.
    fn place(&self, truth: &NormBox) -> (Span, Span) {
        let [x_min, x_max, y_min, y_max] = truth.corners();
        let across = |v: f32, (low, high): Span| (v - low) / (high - low);
        (
            (across(x_min, self.x), across(x_max, self.x)),
            (across(y_min, self.y), across(y_max, self.y)),
        )
    }

    fn of(&self, picture: &RgbImage) -> RgbImage {
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
        for mut view in View::several(60, Some(&truth), random) {
            view.window.around = [0; 3];
            view.hidden = None;
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
        assert!(views[1].mirrored && views[1].window == Window::WHOLE);
    }

    #[test]
    fn a_patch_hides_a_part_of_the_box_at_most() {
        let (_, truth) = square();
        let views = View::several(400, Some(&truth), &mut Rng::with_seed(7));
        let white = RgbImage::from_pixel(200, 100, Rgb([255; 3]));
        let mut hidden = 0;
        for view in views {
            let Some(patch) = view.hidden else { continue };
            hidden += 1;
            let seen = view.of_box(&truth).expect("most of it is kept");
            assert!(patch.hides(&seen) <= MOST_HIDDEN, "{view:?}");
            let (mut shown, mut covered) = (white.clone(), white.clone());
            patch.draw(&mut shown);
            let [x_min, x_max, y_min, y_max] = patch.place.corners();
            for (x, y, pixel) in covered.enumerate_pixels_mut() {
                let (x, y) = ((x as f32 + 0.5) / 200.0, (y as f32 + 0.5) / 100.0);
                if (x_min..x_max).contains(&x) && (y_min..y_max).contains(&y) {
                    pixel.0 = patch.colour;
                }
            }
            assert!(shown == covered, "{patch:?}");
        }
        assert!((50..150).contains(&hidden), "{hidden} of 400");
    }

    #[test]
    fn a_box_outside_the_crop_is_gone() {
        let view = View {
            window: Window {
                x: (0.5, 1.0),
                ..Window::WHOLE
            },
            ..View::PLAIN
        };
        let left = NormBox::new(0.1, 0.4, 0.1, 0.4).expect("sound");
        assert_eq!(view.of_box(&left), None);
    }
}
