//! Made-up pictures without any snack, to count false alarms on.
//!
//! In go a [`NegativeKind`] and a seed, out comes a picture in which nothing is to be found. The same seed gives the
//! same pixels on every machine.

use std::sync::OnceLock;

use image::imageops::{FilterType, resize};
use image::{Rgb, RgbImage};
use twemoji_assets::png::PngTwemojiAsset;
use twemoji_assets::png::codes;

use super::dice::Rng;
use super::emoji::Emoji;
use super::noise::noise_at;
use super::{LEAST_SIDE, Purpose, backdrop, background, place, random_sprite};

/// What an empty picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NegativeKind {
    /// A drawn background with plain shapes, as behind a snack.
    Backdrop,
    /// One to three things on such a background, none of them food.
    Things,
    /// The same out of focus.
    Defocused,
    /// Grains of every colour, as of a camera in the dark.
    Noise,
    /// One grey from black to white, with a little grain or without.
    Flat,
}

impl NegativeKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Backdrop,
        Self::Things,
        Self::Defocused,
        Self::Noise,
        Self::Flat,
    ];

    /// Its name, as a folder may have it.
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

/// Animals, faces, vehicles, tools, plants, clothes and things of a house.
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

fn thing(number: usize) -> &'static Emoji {
    static DECODED: [OnceLock<Emoji>; THINGS.len()] = [const { OnceLock::new() }; THINGS.len()];
    let number = number % THINGS.len();
    DECODED[number].get_or_init(|| Emoji::decode(THINGS[number]))
}

/// A picture of that kind. Width and height are in pixels, at least [`LEAST_SIDE`].
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
    let (width, height) = (width.max(LEAST_SIDE), height.max(LEAST_SIDE));
    let mut rng = Purpose::Empty.rng(seed);
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
    let mut image = backdrop::draw(&mut Purpose::Backdrop.rng(seed), width, height);
    for _ in 0..=rng.below(3) {
        let emoji = thing(rng.below(THINGS.len() as u32) as usize);
        let sprite = random_sprite(rng, emoji, width.min(height));
        let visible = sprite.visible();
        let x = place(rng, visible.left, visible.right, width);
        let y = place(rng, visible.top, visible.bottom, height);
        sprite.put(&mut image, x, y);
    }
    backdrop::photograph(&mut Purpose::Camera.rng(seed), &mut image);
    image
}

/// Made smaller and large again: what is finer than a tenth to a twentieth of the picture is lost.
fn defocused(rng: &mut Rng, sharp: &RgbImage) -> RgbImage {
    let (width, height) = sharp.dimensions();
    let cells = 10 + rng.below(11);
    let across = (cells * width / width.min(height)).max(1);
    let down = (cells * height / width.min(height)).max(1);
    let small = resize(sharp, across, down, FilterType::Triangle);
    resize(&small, width, height, FilterType::Triangle)
}

fn noise(rng: &mut Rng, width: u32, height: u32) -> RgbImage {
    let level = rng.between(0.0, 0.6);
    let grain = rng.between(0.1, 1.0);
    let seeds = [rng.word(), rng.word(), rng.word()];
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
    let seed = rng.word();
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
    fn every_thing_has_a_picture() {
        for number in 0..THINGS.len() {
            let (emoji, other) = (thing(number), thing(number + 1));
            assert!(emoji.longer_side(1.0, 0.0) > 0.4, "{number}");
            assert!(!std::ptr::eq(emoji, other), "{number}");
        }
    }

    #[test]
    fn every_kind_differs_from_seed_to_seed_and_from_a_scene() {
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
        let least = negative_picture(NegativeKind::Defocused, 1, 0, 300);
        assert_eq!(least.dimensions(), (LEAST_SIDE, 300));
    }

    #[test]
    fn a_picture_out_of_focus_has_no_edges() {
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
