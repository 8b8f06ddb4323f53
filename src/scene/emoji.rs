//! The pictures of the 20 snacks, ready to be placed.
//!
//! In goes the place of a snack in [`SNACKS`], out comes its emoji from Twemoji, enlarged four times with
//! smooth edges, its outline, and its shadow. Every picture is decoded once and kept.

use std::sync::OnceLock;

use image::imageops::{FilterType, resize};
use image::{Rgba, RgbaImage};
use twemoji_assets::png::PngTwemojiAsset;
use twemoji_assets::png::codes;

use super::noise::mix;
use super::shadow::Silhouette;

/// The 20 snacks by the names of the data set, in the order of the alphabet.
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

/// Their emoji, in the same order. Naming each one keeps the other 3,800 out of the binary.
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

/// Pixels on a side of an emoji as Twemoji draws it.
const DRAWN: u32 = 72;
/// Pixels on a side of an enlarged emoji.
pub(super) const SIDE: u32 = DRAWN * 4;
/// One snack's pictures.
pub(super) struct Emoji {
    /// Colours times alpha, and alpha; [`SIDE`] pixels on a side and one clear pixel around them.
    texels: Vec<[u8; 4]>,
    /// Ends of every row's visible pixels, from the centre, in sides of the emoji.
    outline: Vec<(f32, f32)>,
    /// The silhouette, blurred.
    pub(super) shadow: Silhouette,
}

/// The emoji of the snack at that place of [`SNACKS`]; places beyond the last start again.
pub(super) fn emoji(snack: usize) -> &'static Emoji {
    static DECODED: [OnceLock<Emoji>; 20] = [const { OnceLock::new() }; 20];
    let snack = snack % DECODED.len();
    DECODED[snack].get_or_init(|| Emoji::decode(EMOJI[snack]))
}

impl Emoji {
    pub(super) fn decode(asset: &PngTwemojiAsset) -> Self {
        let drawn = image::load_from_memory(asset.data.0)
            .expect(
                "the PNGs of Twemoji are compiled in and every one of these is decoded by a test",
            )
            .into_rgba8();
        let flat = premultiplied(&drawn);
        let mut picture = resize(&flat, SIDE, SIDE, FilterType::CatmullRom);
        picture
            .pixels_mut()
            .for_each(|pixel| *pixel = crisp(*pixel));
        Self {
            texels: bordered(&picture),
            outline: outline(&picture),
            shadow: Silhouette::of(&flat),
        }
    }

    /// Red, green and blue times alpha, and alpha, at a place of the emoji's square, `0..1` each way; a
    /// mixture of the four pixels around the place. `None` outside of the square.
    pub(super) fn at(&self, u: f32, v: f32) -> Option<[f32; 4]> {
        let (x, y) = (u * SIDE as f32 + 0.5, v * SIDE as f32 + 0.5);
        let places = 0.0..(STRIDE - 1) as f32;
        if !places.contains(&x) || !places.contains(&y) {
            return None;
        }
        // A cast rounds down, and both numbers are at least 0.
        let (column, row) = (x as usize, y as usize);
        let (across, down) = (x - column as f32, y - row as f32);
        let first = row * STRIDE + column;
        let (above, below) = (&self.texels[first..], &self.texels[first + STRIDE..]);
        let mut mixed = [0.0; 4];
        for (channel, sum) in mixed.iter_mut().enumerate() {
            let value = |texel: [u8; 4]| f32::from(texel[channel]);
            let upper = mix(value(above[0]), value(above[1]), across);
            let lower = mix(value(below[0]), value(below[1]), across);
            *sum = mix(upper, lower, down) / 255.0;
        }
        Some(mixed)
    }

    /// The longer side of what can be seen of the emoji at a turn, in sides of the emoji.
    pub(super) fn longer_side(&self, cosine: f32, sine: f32) -> f32 {
        let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
        for (x, y) in &self.outline {
            let turned = [x * cosine - y * sine, x * sine + y * cosine];
            for (axis, place) in turned.into_iter().enumerate() {
                low[axis] = low[axis].min(place);
                high[axis] = high[axis].max(place);
            }
        }
        (high[0] - low[0]).max(high[1] - low[1])
    }
}

/// Pixels in a row of an emoji with its border.
const STRIDE: usize = SIDE as usize + 2;

fn bordered(picture: &RgbaImage) -> Vec<[u8; 4]> {
    let mut texels = vec![[0; 4]; STRIDE * STRIDE];
    for (x, y, pixel) in picture.enumerate_pixels() {
        texels[(y as usize + 1) * STRIDE + x as usize + 1] = pixel.0;
    }
    texels
}

fn outline(picture: &RgbaImage) -> Vec<(f32, f32)> {
    let mut points = Vec::new();
    for (row, pixels) in picture.rows().enumerate() {
        let pixels: Vec<_> = pixels.collect();
        let first = pixels.iter().position(|pixel| pixel[3] > 127);
        let last = pixels.iter().rposition(|pixel| pixel[3] > 127);
        let centred = |place: usize| (place as f32 + 0.5) / SIDE as f32 - 0.5;
        points.extend(
            first
                .into_iter()
                .chain(last)
                .map(|x| (centred(x), centred(row))),
        );
    }
    points
}

/// Colours times alpha, so that pixels can be averaged without the colour of invisible ones.
fn premultiplied(picture: &RgbaImage) -> RgbaImage {
    let mut flat = picture.clone();
    for Rgba([red, green, blue, alpha]) in flat.pixels_mut() {
        for channel in [red, green, blue] {
            *channel = ((u16::from(*channel) * u16::from(*alpha) + 127) / 255) as u8;
        }
    }
    flat
}

/// The pixel with its coverage pushed away from a half: enlarging spreads an edge over four pixels, and
/// this takes it back to about two.
fn crisp(pixel: Rgba<u8>) -> Rgba<u8> {
    let Rgba([red, green, blue, alpha]) = pixel;
    if alpha == 0 {
        return Rgba([0; 4]);
    }
    let sharp = ((i32::from(alpha) - 128) * 2 + 128).clamp(0, 255);
    let scaled = |channel: u8| {
        // Overshoot of the enlarging could leave a channel above its alpha.
        let colour = i32::from(channel.min(alpha)) * sharp / i32::from(alpha);
        colour as u8
    };
    Rgba([scaled(red), scaled(green), scaled(blue), sharp as u8])
}

#[cfg(test)]
mod tests {
    use std::f32::consts::FRAC_1_SQRT_2;

    use super::*;

    #[test]
    fn every_snack_has_a_picture_of_its_own() {
        assert!(SNACKS.is_sorted());
        let mut seen = Vec::new();
        for (snack, name) in SNACKS.iter().enumerate() {
            let texels = &emoji(snack).texels;
            let covered = texels.iter().filter(|texel| texel[3] > 127).count();
            assert!(covered > texels.len() / 8, "{name}");
            assert!(!seen.contains(&texels));
            seen.push(texels);
        }
    }

    #[test]
    fn colours_are_never_brighter_than_their_alpha() {
        for snack in 0..SNACKS.len() {
            for texel in &emoji(snack).texels {
                assert!(texel[..3].iter().all(|&c| c <= texel[3]));
            }
        }
    }

    #[test]
    fn an_emoji_is_clear_outside_of_its_square() {
        let apple = emoji(0);
        assert!(apple.at(0.5, 0.5).is_some_and(|[.., alpha]| alpha > 0.99));
        for (u, v) in [(-0.01, 0.5), (0.5, 1.01), (f32::NAN, 0.5), (9.0, -9.0)] {
            assert_eq!(apple.at(u, v), None);
        }
    }

    #[test]
    fn the_longer_side_follows_the_turn() {
        // A hot dog lies across its square, so it is longest when it is turned along an axis.
        let hot_dog = emoji(8);
        let (straight, turned) = (
            hot_dog.longer_side(1.0, 0.0),
            hot_dog.longer_side(FRAC_1_SQRT_2, FRAC_1_SQRT_2),
        );
        assert!(turned > straight * 1.2, "{straight} {turned}");
        assert!((0.7..=1.0).contains(&straight));
    }
}
