//! Synthetic pictures without a snack: negatives, to train with and to count false alarms on.

use std::sync::OnceLock;

use image::imageops::{FilterType, resize};
use image::{Rgb, RgbImage};
use twemoji_assets::png::PngTwemojiAsset;
use twemoji_assets::png::codes;

use super::emoji;
use super::rng::{Rng, noise_at};
use super::texture::Texture;
use super::{MIN_SIDE, Stream, backdrop, background, random_position, random_sprite};

/// A kind of picture without a snack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NegativeKind {
    /// The background of a synthetic scene.
    Backdrop,
    /// One to three objects on such a background, none of them food.
    Things,
    /// Objects on a background, out of focus.
    Defocused,
    /// Color noise, as of a camera in the dark.
    Noise,
    /// A uniform grey from black to white, some with a little noise.
    Flat,
}

impl NegativeKind {
    pub const ALL: [Self; 5] = [
        Self::Backdrop,
        Self::Things,
        Self::Defocused,
        Self::Noise,
        Self::Flat,
    ];

    /// The name, which can be used for a folder.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backdrop => "backdrop",
            Self::Things => "things",
            Self::Defocused => "defocused",
            Self::Noise => "noise",
            Self::Flat => "flat",
        }
    }
}

/// Animals, faces, vehicles, tools, plants, clothes and household objects.
static THINGS: [&PngTwemojiAsset; 40] = [
    &codes::U_1F436,
    &codes::U_1F431,
    &codes::U_1F98B,
    &codes::U_1F41F,
    &codes::U_1F422,
    &codes::U_1F984,
    &codes::U_1F418,
    &codes::U_1F600,
    &codes::U_1F60E,
    &codes::U_1F697,
    &codes::U_1F6B2,
    &codes::U_2708,
    &codes::U_1F6A2,
    &codes::U_1F528,
    &codes::U_1F527,
    &codes::U_1F511,
    &codes::U_1F333,
    &codes::U_1F335,
    &codes::U_1F33B,
    &codes::U_1F3E0,
    &codes::U_26BD,
    &codes::U_1F3C0,
    &codes::U_231A,
    &codes::U_1F4F1,
    &codes::U_1F4BB,
    &codes::U_1F4DA,
    &codes::U_1F451,
    &codes::U_1F45F,
    &codes::U_1F455,
    &codes::U_1F3A9,
    &codes::U_1F388,
    &codes::U_1F381,
    &codes::U_1F4A1,
    &codes::U_1F3B8,
    &codes::U_1F56F,
    &codes::U_2615,
    &codes::U_1F37A,
    &codes::U_1F374,
    &codes::U_1F52A,
    &codes::U_1F9F8,
];

fn thing(number: usize) -> &'static Texture {
    static DECODED: [OnceLock<Texture>; THINGS.len()] = [const { OnceLock::new() }; THINGS.len()];
    let number = number % THINGS.len();
    DECODED[number].get_or_init(|| emoji::decode(THINGS[number]))
}

/// A picture of this kind, at least [`MIN_SIDE`] pixels wide and high; the same seed gives the same picture on every
/// machine.
///
/// ```
/// use boxcam::scene::{NegativeKind, negative_picture};
///
/// let picture = negative_picture(NegativeKind::Things, 7, 320, 240);
/// assert_eq!(picture.dimensions(), (320, 240));
/// assert_eq!(picture, negative_picture(NegativeKind::Things, 7, 320, 240));
/// ```
#[must_use]
pub fn negative_picture(kind: NegativeKind, seed: u64, width: u32, height: u32) -> RgbImage {
    let (width, height) = (width.max(MIN_SIDE), height.max(MIN_SIDE));
    let mut rng = Stream::Negative.rng(seed);
    match kind {
        NegativeKind::Backdrop => background(seed, width, height),
        NegativeKind::Things => with_things(&mut rng, seed, width, height),
        NegativeKind::Defocused => {
            let sharp = with_things(&mut rng, seed, width, height);
            defocused(&mut rng, &sharp)
        }
        NegativeKind::Noise => noise(&mut rng, width, height),
        NegativeKind::Flat => flat(&mut rng, width, height),
    }
}

fn with_things(rng: &mut Rng, seed: u64, width: u32, height: u32) -> RgbImage {
    let mut image = backdrop::draw(&mut Stream::Backdrop.rng(seed), width, height);
    for _ in 0..=rng.below(3) {
        let emoji = thing(rng.below(THINGS.len() as u32) as usize);
        let sprite = random_sprite(rng, emoji, width.min(height));
        let visible = sprite.visible();
        let x = random_position(rng, visible.left, visible.right, width);
        let y = random_position(rng, visible.top, visible.bottom, height);
        sprite.draw(&mut image, x, y);
    }
    backdrop::add_camera_effects(&mut Stream::Camera.rng(seed), &mut image);
    image
}

/// Reduces and enlarges the picture, so that details smaller than a tenth to a twentieth of it are lost.
fn defocused(rng: &mut Rng, sharp: &RgbImage) -> RgbImage {
    let (width, height) = sharp.dimensions();
    let cells = 10 + rng.below(11);
    let across = (cells * width / width.min(height)).max(1);
    let down = (cells * height / width.min(height)).max(1);
    let small = resize(sharp, across, down, FilterType::Triangle);
    resize(&small, width, height, FilterType::Triangle)
}

fn noise(rng: &mut Rng, width: u32, height: u32) -> RgbImage {
    let level = rng.range(0.0, 0.6);
    let grain = rng.range(0.1, 1.0);
    let seeds = [rng.bits(), rng.bits(), rng.bits()];
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(seeds.map(|seed| {
            let speck = noise_at(x as i32, y as i32, seed) - 0.5;
            ((level + speck * grain).clamp(0.0, 1.0) * 255.0) as u8
        }))
    })
}

fn flat(rng: &mut Rng, width: u32, height: u32) -> RgbImage {
    let level = if rng.chance(0.3) { 0.0 } else { rng.unit() };
    let grain = if rng.chance(0.5) { 0.03 } else { 0.0 };
    let seed = rng.bits();
    RgbImage::from_fn(width, height, |x, y| {
        let speck = noise_at(x as i32, y as i32, seed) - 0.5;
        let value = (level + speck * grain).clamp(0.0, 1.0) * 255.0;
        Rgb([value as u8; 3])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::random_scene;

    #[test]
    fn every_thing_has_an_emoji() {
        for number in 0..THINGS.len() {
            let (emoji, other) = (thing(number), thing(number + 1));
            assert!(emoji.longer_side(1.0, 0.0) > 0.4, "{number}");
            assert!(!std::ptr::eq(emoji, other), "{number}");
        }
    }

    #[test]
    fn every_kind_depends_on_the_seed() {
        for kind in NegativeKind::ALL {
            let pictures: Vec<_> = (0..12)
                .map(|seed| negative_picture(kind, seed, 96, 64))
                .collect();
            assert!(
                pictures.windows(2).any(|pair| pair[0] != pair[1]),
                "{kind:?}"
            );
            for (seed, picture) in (0..).zip(&pictures) {
                assert_eq!(picture.dimensions(), (96, 64));
                assert_ne!(picture, &random_scene(seed, 96, 64).image);
            }
        }
        let narrow = negative_picture(NegativeKind::Defocused, 1, 0, 300);
        assert_eq!(narrow.dimensions(), (MIN_SIDE, 300));
    }

    #[test]
    fn defocused_pictures_have_no_edges() {
        let steepest = |picture: &RgbImage| {
            let pairs = picture.rows().flat_map(|row| {
                let reds: Vec<u8> = row.map(|pixel| pixel[0]).collect();
                let steps = reds.windows(2).map(|pair| pair[0].abs_diff(pair[1]));
                steps.collect::<Vec<_>>()
            });
            pairs.max().unwrap_or(0)
        };
        for seed in 0..10 {
            let (sharp, soft) = (
                steepest(&negative_picture(NegativeKind::Things, seed, 320, 240)),
                steepest(&negative_picture(NegativeKind::Defocused, seed, 320, 240)),
            );
            assert!(soft < sharp / 2, "seed {seed}: {soft} of {sharp}");
        }
    }
}
