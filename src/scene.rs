//! Made-up pictures whose true boxes are known, for the demo and for training.
//!
//! In goes a seed, out comes a [`Scene`]: one of the 20 snacks, as an emoji, over a drawn background, with
//! the tight box of what can be seen of it. The same seed gives the same pixels on every machine: nothing
//! here takes a draw or a sine that could differ between two of them. Nothing here reads a file or a clock.

use image::RgbImage;

use crate::frame::GroundTruth;
use crate::geometry::NormBox;

mod backdrop;
mod colour;
mod dice;
mod emoji;
mod empty;
mod motion;
mod noise;
mod pattern;
mod shadow;
mod sprite;

pub use emoji::SNACKS;
pub use empty::{NegativeKind, negative_picture};
pub use motion::MovingScene;

use dice::Rng;
use emoji::{Emoji, emoji};
use sprite::{Extent, Pose, Shadow, Sprite};

/// The least width and height of a scene, in pixels; less is drawn at this size, since a snack could not
/// be told from a speck.
pub const LEAST_SIDE: u32 = 16;

/// A made-up picture with what is truly in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// The pixels.
    pub image: RgbImage,
    /// The snack in it: one, or none in a scene of only background.
    pub truth: Vec<GroundTruth>,
}

/// What a stream of draws is for; streams of one seed don't touch each other.
#[derive(Clone, Copy)]
enum Purpose {
    Backdrop = 1,
    Snack,
    Camera,
    Order,
    Path,
    /// Backdrops in motion: none of them is that of a random scene, which a model may have been
    /// trained on.
    Stage,
    /// What stands in a picture without a snack.
    Empty,
}

impl Purpose {
    fn rng(self, seed: u64) -> Rng {
        Rng::new(seed, self as u64)
    }
}

/// A picture with exactly one snack: any of the 20, at any place wholly inside, its longer visible side
/// 0.25 to 0.85 of the picture's shorter side, turned by up to 25 degrees, mirrored now and then, with or
/// without a shadow. Width and height are in pixels, at least [`LEAST_SIDE`].
///
/// ```
/// use boxcam::scene::random_scene;
///
/// let scene = random_scene(7, 320, 240);
/// assert_eq!(scene.image.dimensions(), (320, 240));
/// assert_eq!(scene.truth.len(), 1);
/// assert_eq!(scene, random_scene(7, 320, 240));
/// ```
#[must_use]
pub fn random_scene(seed: u64, width: u32, height: u32) -> Scene {
    let mut image = backdrop_of(Purpose::Backdrop, seed, width, height);
    let mut rng = Purpose::Snack.rng(seed);
    let snack = rng.below(SNACKS.len() as u32) as usize;
    let sprite = random_sprite(&mut rng, emoji(snack), image.width().min(image.height()));
    let visible = sprite.visible();
    let x = place(&mut rng, visible.left, visible.right, image.width());
    let y = place(&mut rng, visible.top, visible.bottom, image.height());
    sprite.put(&mut image, x, y);
    backdrop::photograph(&mut Purpose::Camera.rng(seed), &mut image);
    let truth = vec![true_box(snack, visible, (x, y), &image)];
    Scene { image, truth }
}

/// The picture of [`random_scene`] with the same seed and size, but without its snack.
#[must_use]
pub fn background(seed: u64, width: u32, height: u32) -> RgbImage {
    let mut image = backdrop_of(Purpose::Backdrop, seed, width, height);
    backdrop::photograph(&mut Purpose::Camera.rng(seed), &mut image);
    image
}

fn backdrop_of(purpose: Purpose, seed: u64, width: u32, height: u32) -> RgbImage {
    let (width, height) = (width.max(LEAST_SIDE), height.max(LEAST_SIDE));
    backdrop::draw(&mut purpose.rng(seed), width, height)
}

fn random_sprite(rng: &mut Rng, emoji: &Emoji, shorter_side: u32) -> Sprite {
    let longer = rng.between(0.25, 0.85) * shorter_side as f32;
    let pose = Pose {
        size: longer,
        turn: rng.between(-25.0, 25.0) / 360.0,
        mirrored: rng.chance(0.5),
        offset: (rng.unit(), rng.unit()),
        shadow: random_shadow(rng),
    };
    Sprite::new(emoji, &pose.fitted(emoji, longer))
}

fn random_shadow(rng: &mut Rng) -> Option<Shadow> {
    rng.chance(0.6).then(|| Shadow {
        shift: (rng.between(-0.08, 0.08), rng.between(0.02, 0.1)),
        strength: rng.between(0.15, 0.55),
    })
}

/// Where to put an extent `first..end` so that it lies somewhere in `0..size`.
fn place(rng: &mut Rng, first: i32, end: i32, size: u32) -> i32 {
    let room = (size as i32 - (end - first)).max(0);
    rng.below(room as u32 + 1) as i32 - first
}

/// The true box of a snack whose visible extent was put at a place.
fn true_box(snack: usize, visible: Extent, (x, y): (i32, i32), image: &RgbImage) -> GroundTruth {
    let share = |pixel: i32, size: u32| (pixel as f32 / size as f32).clamp(0.0, 1.0);
    let (width, height) = image.dimensions();
    let bounding_box = NormBox::new(
        share(visible.left + x, width),
        share(visible.right + x, width),
        share(visible.top + y, height),
        share(visible.bottom + y, height),
    )
    .expect("an extent is ordered and its shares are clamped to 0..=1");
    GroundTruth {
        label: SNACKS[snack].to_owned(),
        bounding_box,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// FNV-1a of the pixels.
    fn checksum(image: &RgbImage) -> u64 {
        image
            .as_raw()
            .iter()
            .fold(0xCBF2_9CE4_8422_2325, |hash, &byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
            })
    }

    #[test]
    fn scenes_are_the_same_on_every_machine() {
        let sums = [0, 1, 2, 3].map(|seed| checksum(&random_scene(seed, 160, 120).image));
        assert_eq!(
            sums,
            [
                0xEB02_D2A3_9196_90E9,
                0xC5A6_6053_D767_C4CF,
                0xE7D7_A98F_A533_DDEA,
                0xB550_4441_F620_6581
            ]
        );
        let mut moving = MovingScene::new(0, 160, 120);
        let sums = [0, 29, 40].map(|number| checksum(&moving.frame(number).image));
        assert_eq!(
            sums,
            [
                0xAA10_BC04_3E7C_C674,
                0x3F21_1B08_B43B_E047,
                0x6DA4_F238_2708_D6F4
            ]
        );
    }

    #[test]
    fn every_snack_occurs_wholly_inside_and_at_the_promised_size() {
        let mut labels = BTreeSet::new();
        for seed in 0..200 {
            let scene = random_scene(seed, 120, 90);
            let [truth] = scene.truth.as_slice() else {
                panic!("one snack, not {:?}", scene.truth);
            };
            labels.insert(truth.label.clone());
            let [x_min, x_max, y_min, y_max] = truth.bounding_box.corners();
            let longer = ((x_max - x_min) * 120.0).max((y_max - y_min) * 90.0) / 90.0;
            assert!((0.23..0.88).contains(&longer), "{seed}: {longer}");
        }
        assert_eq!(labels, SNACKS.map(str::to_owned).into());
    }

    #[test]
    fn outside_of_snack_and_shadow_a_scene_is_its_background() {
        for seed in 0..40 {
            let (scene, empty) = (random_scene(seed, 200, 150), background(seed, 200, 150));
            let truth = scene.truth[0].bounding_box.to_pixels(200, 150);
            let (mut inside, mut far) = (0, 0);
            for (x, y, pixel) in scene.image.enumerate_pixels() {
                if pixel == empty.get_pixel(x, y) {
                    continue;
                }
                let (x, y) = (x as i32, y as i32);
                let left = truth.top_left.x;
                let top = truth.top_left.y;
                let right = left + truth.size.width as i32;
                let bottom = top + truth.size.height as i32;
                let margin = 45;
                if (left..right).contains(&x) && (top..bottom).contains(&y) {
                    inside += 1;
                } else if x < left - margin
                    || x > right + margin
                    || y < top - margin
                    || y > bottom + margin
                {
                    far += 1;
                }
            }
            assert_eq!(far, 0, "seed {seed}");
            let area = truth.size.width * truth.size.height;
            assert!(inside > area as i32 / 4, "seed {seed}: {inside} of {area}");
        }
    }

    #[test]
    fn tiny_and_narrow_pictures_have_scenes_too() {
        for seed in 0..60 {
            for (width, height) in [(0, 0), (1, 300), (300, 16), (17, 16)] {
                let scene = random_scene(seed, width, height);
                let expected = (width.max(LEAST_SIDE), height.max(LEAST_SIDE));
                assert_eq!(scene.image.dimensions(), expected);
                assert_eq!(scene.truth.len(), 1);
                assert_eq!(background(seed, width, height).dimensions(), expected);
            }
        }
    }
}
