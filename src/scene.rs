//! Synthetic pictures with known ground truth, for the demo and for training.
//!
//! A [`Scene`] is one of the 20 snacks, as an emoji, over a drawn backdrop, with the tight box of its visible part; in a
//! frame of a [`MovingScene`] there are none to four, cut out of photographs, over a photograph. The same seed gives the same pixels on every machine.

use image::RgbImage;

use crate::frame::GroundTruth;
use crate::geometry::NormBox;

mod backdrop;
mod cutouts;
mod emoji;
mod moving;
mod negatives;
mod path;
mod rng;
mod sprite;
mod texture;
mod view;

pub use emoji::SNACKS;
pub use moving::MovingScene;
pub use negatives::{NegativeKind, negative_picture};
pub use view::View;

use emoji::emoji;
use rng::Rng;
use sprite::{Extent, Pose, Shadow, Sprite};
use texture::Texture;

/// The smallest width and height of a scene in pixels; smaller requests are enlarged to it.
pub const MIN_SIDE: u32 = 16;

/// A synthetic picture with its ground truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    pub image: RgbImage,
    /// The snacks; empty in a scene without one.
    pub truth: Vec<GroundTruth>,
}

/// The independent random streams of a seed.
#[derive(Clone, Copy)]
enum Stream {
    Backdrop = 1,
    Snack,
    Camera,
    Order,
    Path,
    /// Photographs behind moving scenes.
    Stage,
    /// Pictures without a snack.
    Negative,
    /// Numbers of snacks in moving scenes.
    Counts,
    /// Views of photographs.
    View,
}

impl Stream {
    fn rng(self, seed: u64) -> Rng {
        Rng::new(seed, self as u64)
    }
}

/// The seed of a scene of a film.
fn scene_seed(seed: u64, scene: u64) -> u64 {
    seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(scene)
}

/// A picture with one of the 20 snacks, completely inside: its longer visible side is 0.25 to 0.85 of the picture's
/// shorter side, it is rotated by up to 25 degrees, and may be mirrored or have a shadow. Width and height are in pixels,
/// at least [`MIN_SIDE`].
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
    let mut image = backdrop_of(Stream::Backdrop, seed, width, height);
    let mut rng = Stream::Snack.rng(seed);
    let snack = rng.below(SNACKS.len() as u32) as usize;
    let sprite = random_sprite(&mut rng, emoji(snack), image.width().min(image.height()));
    let visible = sprite.visible();
    let x = random_position(&mut rng, visible.left, visible.right, image.width());
    let y = random_position(&mut rng, visible.top, visible.bottom, image.height());
    sprite.draw(&mut image, x, y);
    backdrop::add_camera_effects(&mut Stream::Camera.rng(seed), &mut image);
    let truth = vec![ground_truth(snack, visible, (x, y), &image)];
    Scene { image, truth }
}

/// The picture of [`random_scene`] with the same seed and size, without its snack.
#[must_use]
pub fn background(seed: u64, width: u32, height: u32) -> RgbImage {
    let mut image = backdrop_of(Stream::Backdrop, seed, width, height);
    backdrop::add_camera_effects(&mut Stream::Camera.rng(seed), &mut image);
    image
}

fn backdrop_of(stream: Stream, seed: u64, width: u32, height: u32) -> RgbImage {
    let (width, height) = (width.max(MIN_SIDE), height.max(MIN_SIDE));
    backdrop::draw(&mut stream.rng(seed), width, height)
}

fn random_sprite(rng: &mut Rng, texture: &Texture, shorter_side: u32) -> Sprite {
    let longer = rng.range(0.25, 0.85) * shorter_side as f32;
    let pose = Pose {
        size: longer,
        turn: rng.range(-25.0, 25.0) / 360.0,
        mirrored: rng.chance(0.5),
        offset: (rng.unit(), rng.unit()),
        shadow: random_shadow(rng),
    };
    Sprite::new(texture, &pose.fitted(texture, longer))
}

fn random_shadow(rng: &mut Rng) -> Option<Shadow> {
    rng.chance(0.6).then(|| Shadow {
        shift: (rng.range(-0.08, 0.08), rng.range(0.02, 0.1)),
        strength: rng.range(0.15, 0.55),
    })
}

/// A random position at which an extent `first..end` lies inside `0..size`.
fn random_position(rng: &mut Rng, first: i32, end: i32, size: u32) -> i32 {
    let free = (size as i32 - (end - first)).max(0);
    rng.below(free as u32 + 1) as i32 - first
}

/// The ground truth for a snack whose visible extent is at a position.
fn ground_truth(
    snack: usize,
    visible: Extent,
    (x, y): (i32, i32),
    image: &RgbImage,
) -> GroundTruth {
    let normalized = |pixel: i32, size: u32| (pixel as f32 / size as f32).clamp(0.0, 1.0);
    let (width, height) = image.dimensions();
    let bounding_box = NormBox::new(
        normalized(visible.left + x, width),
        normalized(visible.right + x, width),
        normalized(visible.top + y, height),
        normalized(visible.bottom + y, height),
    )
    .expect("an extent is ordered and its coordinates are clamped to 0..=1");
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
    fn random_scenes_are_the_same_on_every_machine() {
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
    }

    #[test]
    fn every_snack_occurs_inside_with_the_documented_size() {
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
    fn outside_the_snack_and_its_shadow_a_scene_is_its_background() {
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
    fn tiny_and_narrow_scenes_are_drawn() {
        for seed in 0..60 {
            for (width, height) in [(0, 0), (1, 300), (300, 16), (17, 16)] {
                let scene = random_scene(seed, width, height);
                let expected = (width.max(MIN_SIDE), height.max(MIN_SIDE));
                assert_eq!(scene.image.dimensions(), expected);
                assert_eq!(scene.truth.len(), 1);
                assert_eq!(background(seed, width, height).dimensions(), expected);
            }
        }
    }
}
