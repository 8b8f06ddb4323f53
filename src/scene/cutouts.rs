//! The snacks as cut-outs of photographs, and the photographs that they move over.
//!
//! `cutouts/README.md` and `photographs/README.md` say where they come from. All are WebP files: its decoder computes with
//! integers, so that the pixels are the same on every machine.

use std::sync::OnceLock;

use image::imageops::{FilterType, crop_imm, overlay, resize};
use image::{DynamicImage, RgbImage, RgbaImage};

use super::texture::{Texture, premultiplied};

/// Cut-outs of each snack.
pub(super) const VARIANTS: usize = 2;

macro_rules! cutouts {
    ($($name:literal),* $(,)?) => {
        [$([
            include_bytes!(concat!("cutouts/", $name, "-1.webp")),
            include_bytes!(concat!("cutouts/", $name, "-2.webp")),
        ]),*]
    };
}

/// In the order of [`SNACKS`](super::SNACKS).
static CUTOUTS: [[&[u8]; VARIANTS]; 20] = cutouts![
    "apple",
    "banana",
    "cake",
    "candy",
    "carrot",
    "cookie",
    "doughnut",
    "grape",
    "hot-dog",
    "ice-cream",
    "juice",
    "muffin",
    "orange",
    "pineapple",
    "popcorn",
    "pretzel",
    "salad",
    "strawberry",
    "waffle",
    "watermelon",
];

macro_rules! photographs {
    ($($name:literal),* $(,)?) => {
        [$(include_bytes!(concat!("photographs/", $name, ".webp"))),*]
    };
}

/// None of them shows one of the snacks.
static PHOTOGRAPHS: [&[u8]; PHOTOGRAPH_COUNT] = photographs![
    "asparagus",
    "aubergine",
    "avocado",
    "cabbage",
    "cucumber",
    "leek",
    "mushroom",
    "potato",
    "red-beet",
    "zucchini",
];

pub(super) const PHOTOGRAPH_COUNT: usize = 10;

/// A cut-out of a snack by its index in [`SNACKS`](super::SNACKS), and by its number below [`VARIANTS`].
pub(super) fn cutout(snack: usize, variant: usize) -> &'static Texture {
    static DECODED: [[OnceLock<Texture>; VARIANTS]; 20] =
        [const { [const { OnceLock::new() }; VARIANTS] }; 20];
    DECODED[snack][variant].get_or_init(|| {
        let picture = decode(CUTOUTS[snack][variant]).into_rgba8();
        Texture::new(&premultiplied(&square(&picture)))
    })
}

/// The picture in the middle of a transparent square.
fn square(picture: &RgbaImage) -> RgbaImage {
    let (width, height) = picture.dimensions();
    let side = width.max(height);
    let mut square = RgbaImage::new(side, side);
    let middle = |length: u32| i64::from((side - length) / 2);
    overlay(&mut square, picture, middle(width), middle(height));
    square
}

/// The middle of a photograph, by its number below [`PHOTOGRAPH_COUNT`], at this size in pixels.
pub(super) fn photograph(number: usize, width: u32, height: u32) -> RgbImage {
    let picture = decode(PHOTOGRAPHS[number]).into_rgb8();
    let (left, top, covered_width, covered_height) = middle(picture.dimensions(), (width, height));
    let middle = crop_imm(&picture, left, top, covered_width, covered_height).to_image();
    resize(&middle, width, height, FilterType::CatmullRom)
}

/// The largest rectangle in the middle of a picture with the aspect ratio of another: left, top, width and height.
fn middle((width, height): (u32, u32), (to_width, to_height): (u32, u32)) -> (u32, u32, u32, u32) {
    let part = |length: u32, to: u32, of: u32| {
        (u64::from(length) * u64::from(to) / u64::from(of.max(1))).max(1) as u32
    };
    let (cut_width, cut_height) = (
        part(height, to_width, to_height).min(width),
        part(width, to_height, to_width).min(height),
    );
    let (left, top) = ((width - cut_width) / 2, (height - cut_height) / 2);
    (left, top, cut_width, cut_height)
}

fn decode(webp: &[u8]) -> DynamicImage {
    image::load_from_memory(webp).expect("a built-in picture that a test decodes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::SNACKS;

    #[test]
    fn every_snack_has_its_own_cut_outs() {
        let mut seen = Vec::new();
        for (snack, name) in SNACKS.iter().enumerate() {
            for variant in 0..VARIANTS {
                let texels = cutout(snack, variant).texels();
                let covered = texels.iter().filter(|texel| texel[3] > 127).count();
                assert!(covered > texels.len() / 8, "{name} {variant}");
                assert!(
                    texels
                        .iter()
                        .all(|[r, g, b, alpha]| r.max(g).max(b) <= alpha)
                );
                assert!(!seen.contains(&texels), "{name} {variant}");
                seen.push(texels);
            }
        }
    }

    #[test]
    fn the_cut_outs_are_credited() {
        let credits = include_str!("cutouts/credits.csv");
        for name in SNACKS.map(|name| name.replace(' ', "-")) {
            for variant in 1..=VARIANTS {
                let file = format!("\n{name}-{variant}.webp,");
                assert!(credits.contains(&file), "{file}");
            }
        }
    }

    #[test]
    fn photographs_cover_any_size() {
        for number in 0..PHOTOGRAPH_COUNT {
            for (width, height) in [(64, 48), (16, 300), (300, 16)] {
                let picture = photograph(number, width, height);
                assert_eq!(picture.dimensions(), (width, height));
            }
        }
        assert_eq!(middle((288, 216), (640, 480)), (0, 0, 288, 216));
        assert_eq!(middle((288, 216), (100, 100)), (36, 0, 216, 216));
        assert_eq!(middle((288, 216), (200, 100)), (0, 36, 288, 144));
    }
}
