//! The 20 snacks as emoji of Twemoji.
//!
//! Each emoji is decoded once and enlarged four times with sharpened edges.

use std::sync::OnceLock;

use image::Rgba;
use image::imageops::{FilterType, resize};
use twemoji_assets::png::PngTwemojiAsset;
use twemoji_assets::png::codes;

use super::texture::{Texture, premultiplied};

/// The class names of the 20 snacks of the data set, in alphabetical order.
pub const SNACKS: [&str; 20] = [
    "apple",
    "banana",
    "cake",
    "candy",
    "carrot",
    "cookie",
    "doughnut",
    "grape",
    "hot dog",
    "ice cream",
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

/// Their emoji in the same order. Since they are named one by one, the other 3,800 are not in the binary.
static EMOJI: [&PngTwemojiAsset; 20] = [
    &codes::U_1F34E,
    &codes::U_1F34C,
    &codes::U_1F370,
    &codes::U_1F36C,
    &codes::U_1F955,
    &codes::U_1F36A,
    &codes::U_1F369,
    &codes::U_1F347,
    &codes::U_1F32D,
    &codes::U_1F366,
    &codes::U_1F9C3,
    &codes::U_1F9C1,
    &codes::U_1F34A,
    &codes::U_1F34D,
    &codes::U_1F37F,
    &codes::U_1F968,
    &codes::U_1F957,
    &codes::U_1F353,
    &codes::U_1F9C7,
    &codes::U_1F349,
];

/// Side of an emoji of Twemoji, in pixels.
const ASSET_SIDE: u32 = 72;
/// Side of an enlarged emoji, in pixels.
const SIDE: u32 = ASSET_SIDE * 4;

/// The emoji of a snack by its index in [`SNACKS`], modulo their number.
pub(super) fn emoji(snack: usize) -> &'static Texture {
    static DECODED: [OnceLock<Texture>; 20] = [const { OnceLock::new() }; 20];
    let snack = snack % DECODED.len();
    DECODED[snack].get_or_init(|| decode(EMOJI[snack]))
}

pub(super) fn decode(asset: &PngTwemojiAsset) -> Texture {
    let drawn = image::load_from_memory(asset.data.0)
        .expect("a built-in PNG that a test decodes")
        .into_rgba8();
    let flat = premultiplied(&drawn);
    let mut picture = resize(&flat, SIDE, SIDE, FilterType::CatmullRom);
    picture
        .pixels_mut()
        .for_each(|pixel| *pixel = sharpen(*pixel));
    Texture::with_shadow_of(&picture, &flat)
}

/// Increases the contrast of the alpha channel: enlarging widens an edge to four pixels, this reduces it to about two.
fn sharpen(pixel: Rgba<u8>) -> Rgba<u8> {
    let Rgba([red, green, blue, alpha]) = pixel;
    if alpha == 0 {
        return Rgba([0; 4]);
    }
    let sharp = ((i32::from(alpha) - 128) * 2 + 128).clamp(0, 255);
    let scaled = |channel: u8| {
        // The resize filter overshoots, so a channel may be above its alpha.
        let color = i32::from(channel.min(alpha)) * sharp / i32::from(alpha);
        color as u8
    };
    Rgba([scaled(red), scaled(green), scaled(blue), sharp as u8])
}

#[cfg(test)]
mod tests {
    use std::f32::consts::FRAC_1_SQRT_2;

    use super::*;

    #[test]
    fn every_snack_has_its_own_emoji() {
        assert!(SNACKS.is_sorted());
        let mut seen = Vec::new();
        for (snack, name) in SNACKS.iter().enumerate() {
            let texels = emoji(snack).texels();
            let covered = texels.iter().filter(|texel| texel[3] > 127).count();
            assert!(covered > texels.len() / 8, "{name}");
            assert!(!seen.contains(&texels));
            seen.push(texels);
        }
    }

    #[test]
    fn colors_are_never_brighter_than_their_alpha() {
        for snack in 0..SNACKS.len() {
            for texel in emoji(snack).texels() {
                assert!(texel[..3].iter().all(|&c| c <= texel[3]));
            }
        }
    }

    #[test]
    fn an_emoji_is_transparent_outside() {
        let apple = emoji(0);
        assert!(apple.at(0.5, 0.5).is_some_and(|[.., alpha]| alpha > 0.99));
        for (u, v) in [(-0.01, 0.5), (0.5, 1.01), (f32::NAN, 0.5), (9.0, -9.0)] {
            assert_eq!(apple.at(u, v), None);
        }
    }

    #[test]
    fn the_longer_side_depends_on_the_rotation() {
        // The hot dog is diagonal, so its bounding box is longest when it is rotated to an axis.
        let hot_dog = emoji(8);
        let (straight, turned) = (
            hot_dog.longer_side(1.0, 0.0),
            hot_dog.longer_side(FRAC_1_SQRT_2, FRAC_1_SQRT_2),
        );
        assert!(turned > straight * 1.2, "{straight} {turned}");
        assert!((0.7..=1.0).contains(&straight));
    }
}
