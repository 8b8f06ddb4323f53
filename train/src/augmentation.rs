//! Augmentations: random crops, zoom-outs, flips, colors and erased rectangles, with the box moved along.
//!
//! An augmentation is drawn from a seeded generator: the same seed gives the same one.

use boxcam::geometry::NormBox;
use fastrand::Rng;
use image::imageops::{crop_imm, flip_horizontal, replace};
use image::{Rgb, RgbImage};

use crate::recipe::{AugmentationSettings, Recipe};

/// How often a crop is drawn again if it shows too little of the box; then the whole image is taken.
const TRIES: usize = 20;

/// Colors of a light augmentation.
const LIGHT: AugmentationSettings = AugmentationSettings {
    color_jitter: 0.1,
    ..AugmentationSettings::NONE
};

/// One augmentation: cropped or zoomed out, then flipped, then recolored, then partly erased.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmentation {
    crop: Crop,
    flipped: bool,
    color: ColorJitter,
    erased: Option<RandomErase>,
}

impl Augmentation {
    /// The image as it is.
    pub const NONE: Self = Self {
        crop: Crop::WHOLE,
        flipped: false,
        color: ColorJitter::NONE,
        erased: None,
    };

    /// A recipe's cached augmentations of one image: the image, its mirror image, then random ones.
    pub fn cached(recipe: &Recipe, boxes: &[NormBox], random: &mut Rng) -> Vec<Self> {
        let count = recipe.cached_augmentations;
        let flipped = Self {
            flipped: true,
            ..Self::NONE
        };
        let mut augmentations = vec![Self::NONE, flipped];
        augmentations.truncate(count);
        while augmentations.len() < count {
            augmentations.push(Self::random(&recipe.augmentation, boxes, random));
        }
        augmentations
    }

    /// A random augmentation; flipped half of the time. A crop with too little of every box is drawn again, a
    /// rectangle over too much of any box is left out. Without boxes every crop is taken.
    pub fn random(settings: &AugmentationSettings, boxes: &[NormBox], random: &mut Rng) -> Self {
        let color = ColorJitter::random(settings, random);
        let shows = |crop: &Crop, truth: &NormBox| {
            let (visible, whole) = crop.visible_area(truth);
            visible >= settings.min_visible * whole
                && visible >= settings.min_box_area.min(truth.area())
        };
        let is_kept =
            |crop: &Crop| boxes.is_empty() || boxes.iter().any(|truth| shows(crop, truth));
        let zooms_out = random.f32() < settings.zoom_out_prob;
        let mut draw = || Crop::random(settings, zooms_out, random);
        let crop = (0..TRIES).map(|_| draw()).find(is_kept);
        let augmentation = Self {
            crop: crop.unwrap_or(Crop::WHOLE),
            flipped: random.bool(),
            color,
            erased: None,
        };
        let visible = boxes.iter().map(|truth| augmentation.apply_to_box(truth));
        let visible: Vec<NormBox> = visible.flatten().collect();
        let erased = (random.f32() < settings.erase_prob)
            .then(|| RandomErase::random(settings.erase_side, random));
        let erased = erased.flatten().filter(|erased| {
            let share = |visible| erased.share_of(visible);
            visible
                .iter()
                .all(|visible| share(visible) <= settings.max_erased)
        });
        Self {
            erased,
            ..augmentation
        }
    }

    /// Close to the original image: flipped half of the time, little color jitter, 85 to 100 % of width and height.
    pub fn light(random: &mut Rng) -> Self {
        let color = ColorJitter::random(&LIGHT, random);
        let mut span = || {
            let extent = 0.85 + 0.15 * random.f32();
            random_span(extent, random)
        };
        let (x, y) = (span(), span());
        Self {
            crop: Crop {
                x,
                y,
                ..Crop::WHOLE
            },
            flipped: random.bool(),
            color,
            erased: None,
        }
    }

    #[must_use]
    pub fn apply(&self, image: &RgbImage) -> RgbImage {
        if *self == Self::NONE {
            return image.clone();
        }
        let mut augmented = self.crop.apply(image);
        if self.flipped {
            augmented = flip_horizontal(&augmented);
        }
        self.color.apply(&mut augmented);
        if let Some(erased) = self.erased {
            erased.apply(&mut augmented);
        }
        augmented
    }

    /// The visible part of a box in the augmented image; `None` if it is outside the crop.
    #[must_use]
    pub fn apply_to_box(&self, truth: &NormBox) -> Option<NormBox> {
        let (x, y) = self.crop.project(truth);
        let clamp = |(low, high): Span| (low.clamp(0.0, 1.0), high.clamp(0.0, 1.0));
        let ((left, right), (top, bottom)) = (clamp(x), clamp(y));
        if left >= right || top >= bottom {
            return None;
        }
        let (x_min, x_max) = match self.flipped {
            false => (left, right),
            true => (1.0 - right, 1.0 - left),
        };
        NormBox::from_regression([x_min, x_max, top, bottom])
    }

    /// The share of a box that is in the augmented image, `0..=1`.
    #[must_use]
    pub fn visible_share(&self, truth: &NormBox) -> f32 {
        let (visible, whole) = self.crop.visible_area(truth);
        if whole > 0.0 { visible / whole } else { 0.0 }
    }
}

/// First and last coordinate.
type Span = (f32, f32);

/// A span of that length at a random place within `0..=1`; a longer one at a random place around it.
fn random_span(length: f32, random: &mut Rng) -> Span {
    let start = random.f32() * (1.0 - length);
    (start, start + length)
}

/// A rectangle in image coordinates: a crop within `0..=1`, a canvas around the image beyond.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Crop {
    x: Span,
    y: Span,
    /// Color of the canvas around the image.
    canvas: [u8; 3],
}

impl Crop {
    const WHOLE: Self = Self {
        x: (0.0, 1.0),
        y: (0.0, 1.0),
        canvas: [0; 3],
    };

    fn random(settings: &AugmentationSettings, zooms_out: bool, random: &mut Rng) -> Self {
        let [smallest, largest] = match zooms_out {
            true => settings.zoom_out_area,
            false => settings.crop_area,
        };
        let area = smallest + (largest - smallest) * random.f32();
        let spread = settings.crop_max_aspect.ln();
        let aspect = (spread * (2.0 * random.f32() - 1.0)).exp();
        let length = |area: f32| match zooms_out {
            true => area.sqrt().max(1.0),
            false => area.sqrt().min(1.0),
        };
        let mut span = |length: f32| random_span(length, random);
        let (x, y) = (span(length(area * aspect)), span(length(area / aspect)));
        let canvas = [random.u8(..), random.u8(..), random.u8(..)];
        Self { x, y, canvas }
    }

    /// A box in crop coordinates; what is outside `0..=1` is not visible.
    fn project(&self, truth: &NormBox) -> (Span, Span) {
        let [x_min, x_max, y_min, y_max] = truth.corners();
        let project = |v: f32, (low, high): Span| (v - low) / (high - low);
        (
            (project(x_min, self.x), project(x_max, self.x)),
            (project(y_min, self.y), project(y_max, self.y)),
        )
    }

    /// Area of a box within the crop, and of the whole box, both in areas of the crop.
    fn visible_area(&self, truth: &NormBox) -> (f32, f32) {
        let ((left, right), (top, bottom)) = self.project(truth);
        let clamp = |v: f32| v.clamp(0.0, 1.0);
        let visible = (clamp(right) - clamp(left)) * (clamp(bottom) - clamp(top));
        (visible, (right - left) * (bottom - top))
    }

    fn apply(&self, image: &RgbImage) -> RgbImage {
        let pixel = |v: f32, size: u32| (v * size as f32).round() as i64;
        let (left, right) = (
            pixel(self.x.0, image.width()),
            pixel(self.x.1, image.width()),
        );
        let (top, bottom) = (
            pixel(self.y.0, image.height()),
            pixel(self.y.1, image.height()),
        );
        let (width, height) = ((right - left).max(1) as u32, (bottom - top).max(1) as u32);
        if left >= 0 && top >= 0 {
            return crop_imm(image, left as u32, top as u32, width, height).to_image();
        }
        let mut canvas = RgbImage::from_pixel(width, height, Rgb(self.canvas));
        replace(&mut canvas, image, -left, -top);
        canvas
    }
}

/// Factors; 1 is no change.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ColorJitter {
    brightness: f32,
    contrast: f32,
    saturation: f32,
    /// Of each channel.
    tint: [f32; 3],
}

impl ColorJitter {
    const NONE: Self = Self {
        brightness: 1.0,
        contrast: 1.0,
        saturation: 1.0,
        tint: [1.0; 3],
    };

    fn random(settings: &AugmentationSettings, random: &mut Rng) -> Self {
        let mut factor = |spread: f32| 1.0 + spread * (2.0 * random.f32() - 1.0);
        let spread = settings.color_jitter;
        Self {
            brightness: factor(spread),
            contrast: factor(spread),
            saturation: factor(spread),
            // Without a tint no number is drawn, so that recipes that have none keep their augmentations.
            tint: match settings.tint > 0.0 {
                true => [(); 3].map(|()| factor(settings.tint)),
                false => [1.0; 3],
            },
        }
    }

    /// Brightness, then contrast around the image's mean luma, then saturation around each pixel's luma, then tint.
    fn apply(self, image: &mut RgbImage) {
        if self == Self::NONE {
            return;
        }
        let count = image.pixels().len().max(1) as f32;
        let luma_of = |pixel: &Rgb<u8>| luma(pixel.0.map(f32::from));
        let mean = image.pixels().map(luma_of).sum::<f32>() / count * self.brightness;
        for pixel in image.pixels_mut() {
            let rgb = pixel.0.map(|v| f32::from(v) * self.brightness);
            let rgb = rgb.map(|v| mean + (v - mean) * self.contrast);
            let grey = luma(rgb);
            let rgb = rgb.map(|v| grey + (v - grey) * self.saturation);
            let tinted = [0, 1, 2].map(|channel| rgb[channel] * self.tint[channel]);
            // `as u8` saturates at both ends.
            pixel.0 = tinted.map(|v| v.round() as u8);
        }
    }
}

fn luma([r, g, b]: [f32; 3]) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

/// A rectangle of one color over the image (random erasing, Zhong et al. 2020), in image coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
struct RandomErase {
    area: NormBox,
    color: [u8; 3],
}

impl RandomErase {
    fn random([shortest, longest]: [f32; 2], random: &mut Rng) -> Option<Self> {
        let mut span = || {
            let length = shortest + (longest - shortest) * random.f32();
            random_span(length, random)
        };
        let ((left, right), (top, bottom)) = (span(), span());
        Some(Self {
            area: NormBox::from_regression([left, right, top, bottom])?,
            color: [random.u8(..), random.u8(..), random.u8(..)],
        })
    }

    /// The share of a box that is erased.
    fn share_of(&self, visible: &NormBox) -> f32 {
        self.area.intersection_area(visible) / visible.area()
    }

    fn apply(self, image: &mut RgbImage) {
        let (width, height) = image.dimensions();
        let pixel = |v: f32, size: u32| (v * size as f32).round() as u32;
        let [x_min, x_max, y_min, y_max] = self.area.corners();
        let rows = pixel(y_min, height)..pixel(y_max, height).min(height);
        let columns = pixel(x_min, width)..pixel(x_max, width).min(width);
        for (x, y) in rows.flat_map(|y| columns.clone().map(move |x| (x, y))) {
            image.put_pixel(x, y, Rgb(self.color));
        }
    }
}

#[cfg(test)]
mod tests {
    use boxcam::geometry::iou;

    use super::*;

    /// A white square on black, and its box.
    fn square() -> (RgbImage, NormBox) {
        let truth = NormBox::new(0.3, 0.7, 0.2, 0.5).expect("a valid box");
        let image = RgbImage::from_fn(400, 300, |x, y| {
            let inside = (120..280).contains(&x) && (60..150).contains(&y);
            Rgb([if inside { 255 } else { 0 }; 3])
        });
        (image, truth)
    }

    /// The recipe `full` with so many cached augmentations.
    fn recipe(cached_augmentations: usize) -> Recipe {
        Recipe {
            cached_augmentations,
            ..Recipe::named("full").expect("built in")
        }
    }

    /// The box around all white pixels.
    fn white(image: &RgbImage) -> NormBox {
        let (width, height) = (image.width() as f32, image.height() as f32);
        let lit = || image.enumerate_pixels().filter(|(_, _, p)| p.0[0] > 127);
        let (xs, ys) = (|| lit().map(|p| p.0), || lit().map(|p| p.1));
        let first = |v: Option<u32>| v.expect("some white") as f32;
        let end = |v: Option<u32>| v.expect("some white") as f32 + 1.0;
        NormBox::new(
            first(xs().min()) / width,
            end(xs().max()) / width,
            first(ys().min()) / height,
            end(ys().max()) / height,
        )
        .expect("a valid box")
    }

    #[test]
    fn the_box_moves_with_the_pixels() {
        let (image, truth) = square();
        let random = &mut Rng::with_seed(5);
        for mut augmentation in Augmentation::cached(&recipe(60), &[truth], random) {
            augmentation.crop.canvas = [0; 3];
            augmentation.erased = None;
            let moved = augmentation.apply_to_box(&truth).expect("mostly visible");
            let overlap = iou(&moved, &white(&augmentation.apply(&image)));
            assert!(overlap > 0.95, "{augmentation:?}: {overlap}");
        }
    }

    #[test]
    fn the_first_is_the_image_and_the_second_its_mirror_image() {
        let (image, truth) = square();
        let cached = Augmentation::cached(&recipe(3), &[truth], &mut Rng::with_seed(1));
        assert_eq!(cached.len(), 3);
        assert_eq!(cached[0].apply(&image), image);
        assert_eq!(cached[0].apply_to_box(&truth), Some(truth));
        assert!(cached[1].flipped && cached[1].crop == Crop::WHOLE);
    }

    #[test]
    fn an_image_without_a_box_keeps_the_visible_share_of_a_box() {
        let settings = Recipe::named("full").expect("built in").augmentation;
        let random = &mut Rng::with_seed(9);
        let mut share = |wanted: &[NormBox]| {
            let augmentation = Augmentation::random(&settings, wanted, random);
            augmentation.visible_share(&NormBox::WHOLE)
        };
        // The whole image takes the place of the box.
        let (mut guarded, mut free): (Vec<f32>, Vec<f32>) = (0..500)
            .map(|_| (share(&[NormBox::WHOLE]), share(&[])))
            .unzip();
        guarded.sort_by(f32::total_cmp);
        free.sort_by(f32::total_cmp);
        assert!(guarded[0] >= settings.min_visible, "{}", guarded[0]);
        assert!(
            guarded[100] < 0.9,
            "crops are still drawn: {}",
            guarded[100]
        );
        assert!(free[0] < 0.35, "a negative has no such limit: {}", free[0]);
    }

    #[test]
    fn a_part_of_the_box_is_erased_at_most() {
        let (_, truth) = square();
        let recipe = recipe(400);
        let cached = Augmentation::cached(&recipe, &[truth], &mut Rng::with_seed(7));
        let white = RgbImage::from_pixel(200, 100, Rgb([255; 3]));
        let mut count = 0;
        for augmentation in cached {
            let Some(erased) = augmentation.erased else {
                continue;
            };
            count += 1;
            let visible = augmentation.apply_to_box(&truth).expect("mostly visible");
            let share = erased.share_of(&visible);
            assert!(share <= recipe.augmentation.max_erased, "{augmentation:?}");
            let (mut applied, mut expected) = (white.clone(), white.clone());
            erased.apply(&mut applied);
            let [x_min, x_max, y_min, y_max] = erased.area.corners();
            for (x, y, pixel) in expected.enumerate_pixels_mut() {
                let (x, y) = ((x as f32 + 0.5) / 200.0, (y as f32 + 0.5) / 100.0);
                if (x_min..x_max).contains(&x) && (y_min..y_max).contains(&y) {
                    pixel.0 = erased.color;
                }
            }
            assert!(applied == expected, "{erased:?}");
        }
        assert!((50..150).contains(&count), "{count} of 400");
    }

    #[test]
    fn a_light_augmentation_shows_nearly_the_whole_image() {
        let (image, truth) = square();
        let random = &mut Rng::with_seed(3);
        let mut flipped = 0;
        for _ in 0..100 {
            let augmentation = Augmentation::light(random);
            flipped += usize::from(augmentation.flipped);
            assert_eq!(augmentation.erased, None);
            let crop = augmentation.apply(&image);
            assert!(
                crop.width() >= 339 && crop.height() >= 254,
                "{augmentation:?}"
            );
            assert!(
                crop.width() <= 400 && crop.height() <= 300,
                "{augmentation:?}"
            );
            let moved = augmentation.apply_to_box(&truth).expect("in the middle");
            assert!(moved.area() >= truth.area() - 1e-6, "{augmentation:?}");
        }
        assert!((30..70).contains(&flipped), "{flipped}");
    }

    #[test]
    fn a_box_outside_the_crop_is_none() {
        let augmentation = Augmentation {
            crop: Crop {
                x: (0.5, 1.0),
                ..Crop::WHOLE
            },
            ..Augmentation::NONE
        };
        let left = NormBox::new(0.1, 0.4, 0.1, 0.4).expect("a valid box");
        assert_eq!(augmentation.apply_to_box(&left), None);
    }
}
