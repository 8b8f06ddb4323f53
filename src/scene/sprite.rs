//! The snacks' emoji from Twemoji, and sprites: an emoji turned, scaled, with a shadow and a tight box around what is
//! visible of it.
//!
//! Each emoji is decoded once and enlarged four times with sharpened edges.

use std::sync::OnceLock;

use image::imageops::{FilterType, resize};
use image::{Rgb, RgbImage, Rgba, RgbaImage};
use twemoji_assets::png::PngTwemojiAsset;
use twemoji_assets::png::codes;

use super::rng::{cosine, mix, sine};

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

/// A decoded emoji.
pub(super) struct Emoji {
    /// Premultiplied RGBA: [`SIDE`] x [`SIDE`] pixels with a transparent border of one pixel.
    texels: Vec<[u8; 4]>,
    /// The first and last visible pixel of each row, relative to the center, in sides of the emoji.
    outline: Vec<(f32, f32)>,
    shadow: Silhouette,
}

/// The emoji of a snack by its index in [`SNACKS`], modulo their number.
pub(super) fn emoji(snack: usize) -> &'static Emoji {
    static DECODED: [OnceLock<Emoji>; 20] = [const { OnceLock::new() }; 20];
    let snack = snack % DECODED.len();
    DECODED[snack].get_or_init(|| Emoji::decode(EMOJI[snack]))
}

impl Emoji {
    pub(super) fn decode(asset: &PngTwemojiAsset) -> Self {
        let drawn = image::load_from_memory(asset.data.0)
            .expect("a built-in PNG that a test decodes")
            .into_rgba8();
        let flat = premultiplied(&drawn);
        let mut picture = resize(&flat, SIDE, SIDE, FilterType::CatmullRom);
        picture
            .pixels_mut()
            .for_each(|pixel| *pixel = sharpen(*pixel));
        Self {
            texels: with_border(&picture),
            outline: outline(&picture),
            shadow: Silhouette::of(&flat),
        }
    }

    /// Premultiplied RGBA at a position in `0..1` each way, interpolated between four pixels; `None` outside.
    fn at(&self, u: f32, v: f32) -> Option<[f32; 4]> {
        let (x, y) = (u * SIDE as f32 + 0.5, v * SIDE as f32 + 0.5);
        let places = 0.0..(TEXEL_STRIDE - 1) as f32;
        if !places.contains(&x) || !places.contains(&y) {
            return None;
        }
        // The cast rounds down, since both numbers are at least 0.
        let (column, row) = (x as usize, y as usize);
        let (across, down) = (x - column as f32, y - row as f32);
        let first = row * TEXEL_STRIDE + column;
        let (above, below) = (&self.texels[first..], &self.texels[first + TEXEL_STRIDE..]);
        let mut mixed = [0.0; 4];
        for (channel, sum) in mixed.iter_mut().enumerate() {
            let value = |texel: [u8; 4]| f32::from(texel[channel]);
            let upper = mix(value(above[0]), value(above[1]), across);
            let lower = mix(value(below[0]), value(below[1]), across);
            *sum = mix(upper, lower, down) / 255.0;
        }
        Some(mixed)
    }

    /// The longer side of the visible part after a rotation, in sides of the emoji.
    pub(super) fn longer_side(&self, cosine: f32, sine: f32) -> f32 {
        let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
        for (x, y) in &self.outline {
            let turned = [x * cosine - y * sine, x * sine + y * cosine];
            for (axis, position) in turned.into_iter().enumerate() {
                low[axis] = low[axis].min(position);
                high[axis] = high[axis].max(position);
            }
        }
        (high[0] - low[0]).max(high[1] - low[1])
    }
}

/// Pixels in a row of [`Emoji::texels`].
const TEXEL_STRIDE: usize = SIDE as usize + 2;

fn with_border(picture: &RgbaImage) -> Vec<[u8; 4]> {
    let mut texels = vec![[0; 4]; TEXEL_STRIDE * TEXEL_STRIDE];
    for (x, y, pixel) in picture.enumerate_pixels() {
        texels[(y as usize + 1) * TEXEL_STRIDE + x as usize + 1] = pixel.0;
    }
    texels
}

fn outline(picture: &RgbaImage) -> Vec<(f32, f32)> {
    let mut points = Vec::new();
    for (row, pixels) in picture.rows().enumerate() {
        let pixels: Vec<_> = pixels.collect();
        let first = pixels.iter().position(|pixel| pixel[3] > 127);
        let last = pixels.iter().rposition(|pixel| pixel[3] > 127);
        let centred = |position: usize| (position as f32 + 0.5) / SIDE as f32 - 0.5;
        points.extend(
            first
                .into_iter()
                .chain(last)
                .map(|x| (centred(x), centred(row))),
        );
    }
    points
}

/// With premultiplied alpha, so that transparent pixels add no color to an average.
fn premultiplied(picture: &RgbaImage) -> RgbaImage {
    let mut flat = picture.clone();
    for Rgba([red, green, blue, alpha]) in flat.pixels_mut() {
        for channel in [red, green, blue] {
            *channel = ((u16::from(*channel) * u16::from(*alpha) + 127) / 255) as u8;
        }
    }
    flat
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

/// Margin of a silhouette around the emoji, in sides of the emoji.
const SHADOW_REACH: f32 = 1.0 / 6.0;
/// Radius of one pass of the blur, in sides of the emoji.
const BLUR_RADIUS: f32 = 1.0 / 24.0;

/// The blurred alpha channel of an emoji, from which its shadow is drawn.
struct Silhouette {
    /// Side in cells.
    side: usize,
    /// Row by row, in `0..=1`.
    cells: Vec<f32>,
}

impl Silhouette {
    /// From a square picture, with one cell a pixel.
    fn of(picture: &RgbaImage) -> Self {
        let drawn = picture.width() as f32;
        let margin = (drawn * SHADOW_REACH) as usize;
        let side = picture.width() as usize + 2 * margin;
        let mut cells = vec![0.0; side * side];
        for (x, y, pixel) in picture.enumerate_pixels() {
            let index = (y as usize + margin) * side + x as usize + margin;
            cells[index] = f32::from(pixel[3]) / 255.0;
        }
        // Three passes of a box blur approximate a Gaussian and stay inside the margin.
        for _ in 0..3 {
            cells = blur_transposed(&cells, side, (drawn * BLUR_RADIUS) as usize);
            cells = blur_transposed(&cells, side, (drawn * BLUR_RADIUS) as usize);
        }
        Self { side, cells }
    }

    /// The coverage at a position of the emoji, `0..1` each way; 0 outside the margin.
    fn at(&self, u: f32, v: f32) -> f32 {
        let cells =
            |w: f32| (w + SHADOW_REACH) / (1.0 + 2.0 * SHADOW_REACH) * self.side as f32 - 0.5;
        let (x, y) = (cells(u), cells(v));
        let (column, row) = (x.floor(), y.floor());
        let (across, down) = (x - column, y - row);
        let pair = |row: i32| {
            let column = column as i32;
            mix(self.cell(column, row), self.cell(column + 1, row), across)
        };
        mix(pair(row as i32), pair(row as i32 + 1), down)
    }

    fn cell(&self, column: i32, row: i32) -> f32 {
        let inside = 0..self.side as i32;
        if inside.contains(&column) && inside.contains(&row) {
            self.cells[row as usize * self.side + column as usize]
        } else {
            0.0
        }
    }
}

/// Averages each row over `2 * radius + 1` cells and transposes.
fn blur_transposed(cells: &[f32], side: usize, radius: usize) -> Vec<f32> {
    let mut blurred = vec![0.0; cells.len()];
    for (row, line) in cells.chunks_exact(side).enumerate() {
        for column in 0..side {
            let window = &line[column.saturating_sub(radius)..(column + radius + 1).min(side)];
            blurred[column * side + row] = window.iter().sum::<f32>() / (2 * radius + 1) as f32;
        }
    }
    blurred
}

/// Size, rotation and shadow of an emoji.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pose {
    /// Side of the emoji before rotation, in pixels; at least 1.
    pub(super) size: f32,
    /// Rotation in turns, clockwise.
    pub(super) turn: f32,
    pub(super) mirrored: bool,
    /// Subpixel position of the center, `0..1`, to the right and down.
    pub(super) offset: (f32, f32),
    pub(super) shadow: Option<Shadow>,
}

/// A soft shadow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shadow {
    /// Offset to the right and down, in sides of the emoji.
    pub(super) shift: (f32, f32),
    /// Opacity, `0..=1`.
    pub(super) strength: f32,
}

/// A rectangle in pixels, relative to the position of the sprite; right and bottom are exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
}

impl Extent {
    pub(super) fn width(&self) -> i32 {
        self.right - self.left
    }

    pub(super) fn height(&self) -> i32 {
        self.bottom - self.top
    }
}

/// An emoji drawn in a pose.
pub(super) struct Sprite {
    /// The pixels of `texels`.
    canvas: Extent,
    /// Premultiplied RGBA and the opacity of the shadow, row by row, in `0..=1`.
    texels: Vec<[f32; 5]>,
    /// The pixels that the emoji covers by at least half.
    visible: Extent,
}

/// Minimum alpha of a visible pixel.
const MIN_VISIBLE_ALPHA: f32 = 0.5;

impl Pose {
    /// The pose with the size at which the longer visible side is `longer` pixels.
    pub(super) fn fitted(self, emoji: &Emoji, longer: f32) -> Self {
        // The mirror image has the extent of the original rotated the other way.
        let turn = if self.mirrored { -self.turn } else { self.turn };
        let seen = emoji.longer_side(cosine(turn), sine(turn));
        Self {
            size: (longer / seen).max(1.0),
            ..self
        }
    }
}

impl Sprite {
    /// A snack upright, without a shadow, `longer` pixels long.
    #[cfg(test)]
    pub(super) fn of_snack(snack: usize, longer: f32) -> Self {
        let pose = Pose {
            size: longer,
            turn: 0.0,
            mirrored: false,
            offset: (0.0, 0.0),
            shadow: None,
        };
        let emoji = emoji(snack);
        Self::new(emoji, &pose.fitted(emoji, longer))
    }

    pub(super) fn new(emoji: &Emoji, pose: &Pose) -> Self {
        let sampler = Sampler::new(emoji, pose);
        let reach = sampler.reach();
        let canvas = Extent {
            left: -reach,
            top: -reach,
            right: reach + 1,
            bottom: reach + 1,
        };
        let mut texels = Vec::with_capacity((canvas.width() * canvas.height()) as usize);
        let mut visible: Option<Extent> = None;
        for y in canvas.top..canvas.bottom {
            for x in canvas.left..canvas.right {
                let texel = sampler.texel(x, y);
                if texel[3] >= MIN_VISIBLE_ALPHA {
                    visible = Some(including(visible, x, y));
                }
                texels.push(texel);
            }
        }
        // A tiny emoji may cover no pixel by half; then the pixel of its center counts.
        let visible = visible.unwrap_or_else(|| including(None, 0, 0));
        Self {
            canvas,
            texels,
            visible,
        }
    }

    /// Whether the emoji covers this pixel, relative to the position of the sprite, by at least half.
    pub(super) fn covers(&self, x: i32, y: i32) -> bool {
        let Extent {
            left,
            top,
            right,
            bottom,
        } = self.canvas;
        let inside = (left..right).contains(&x) && (top..bottom).contains(&y);
        let index = || ((y - top) * self.canvas.width() + x - left) as usize;
        inside && self.texels[index()][3] >= MIN_VISIBLE_ALPHA
    }

    /// The pixels that the emoji covers by at least half, relative to the position of the sprite.
    pub(super) fn covered(&self) -> impl Iterator<Item = (i32, i32)> {
        let rows = self.visible.top..self.visible.bottom;
        let columns = self.visible.left..self.visible.right;
        let pixels = rows.flat_map(move |y| columns.clone().map(move |x| (x, y)));
        pixels.filter(|(x, y)| self.covers(*x, *y))
    }

    /// The tight rectangle around the visible pixels.
    pub(super) fn visible(&self) -> Extent {
        self.visible
    }

    /// Draws the sprite at a position of a picture; parts outside the picture are clipped.
    pub(super) fn draw(&self, image: &mut RgbImage, x: i32, y: i32) {
        let (width, height) = (image.width() as i32, image.height() as i32);
        let rows = self.texels.chunks_exact(self.canvas.width() as usize);
        for (row, texels) in (self.canvas.top + y..).zip(rows) {
            for (column, texel) in (self.canvas.left + x..).zip(texels) {
                let inside = (0..height).contains(&row) && (0..width).contains(&column);
                if inside && (texel[3] > 0.0 || texel[4] > 0.0) {
                    blend(image.get_pixel_mut(column as u32, row as u32), texel);
                }
            }
        }
    }
}

fn blend(pixel: &mut Rgb<u8>, texel: &[f32; 5]) {
    let behind = (1.0 - texel[4]) * (1.0 - texel[3]);
    for (channel, color) in pixel.0.iter_mut().zip(texel) {
        let mixed = color * 255.0 + f32::from(*channel) * behind;
        *channel = (mixed + 0.5) as u8;
    }
}

fn including(extent: Option<Extent>, x: i32, y: i32) -> Extent {
    let pixel = Extent {
        left: x,
        top: y,
        right: x + 1,
        bottom: y + 1,
    };
    extent.map_or(pixel, |e| Extent {
        left: e.left.min(pixel.left),
        top: e.top.min(pixel.top),
        right: e.right.max(pixel.right),
        bottom: e.bottom.max(pixel.bottom),
    })
}

/// Samples an emoji for the pixels of a sprite.
struct Sampler<'a> {
    emoji: &'a Emoji,
    pose: &'a Pose,
    cosine: f32,
    sine: f32,
    /// Samples a pixel in each direction, so that a reduced emoji is antialiased.
    samples: i32,
}

impl<'a> Sampler<'a> {
    fn new(emoji: &'a Emoji, pose: &'a Pose) -> Self {
        Self {
            emoji,
            pose,
            cosine: cosine(pose.turn),
            sine: sine(pose.turn),
            samples: (SIDE as f32 / pose.size).ceil().clamp(1.0, 8.0) as i32,
        }
    }

    /// Pixels from the center to the edge of the emoji and its shadow after rotation.
    fn reach(&self) -> i32 {
        let half_square = 0.5 * (self.cosine.abs() + self.sine.abs());
        let shadow = self.pose.shadow.map_or(0.0, |Shadow { shift, .. }| {
            SHADOW_REACH * 1.5 + shift.0.abs().max(shift.1.abs())
        });
        ((half_square + shadow) * self.pose.size).ceil() as i32 + 1
    }

    fn texel(&self, x: i32, y: i32) -> [f32; 5] {
        let mut sum = [0.0; 4];
        for down in 0..self.samples {
            for across in 0..self.samples {
                let position = |pixel: i32, step: i32| {
                    pixel as f32 + (step as f32 + 0.5) / self.samples as f32
                };
                let (u, v) = self.to_emoji(position(x, across), position(y, down));
                let sample = self.emoji.at(u, v).unwrap_or_default();
                for (total, channel) in sum.iter_mut().zip(sample) {
                    *total += channel;
                }
            }
        }
        let share = 1.0 / (self.samples * self.samples) as f32;
        let [red, green, blue, alpha] = sum.map(|total| total * share);
        let shadow = if alpha < 1.0 { self.shadow(x, y) } else { 0.0 };
        [red, green, blue, alpha, shadow]
    }

    fn shadow(&self, x: i32, y: i32) -> f32 {
        let Some(shadow) = self.pose.shadow else {
            return 0.0;
        };
        let moved = |pixel: i32, shift: f32| pixel as f32 + 0.5 - shift * self.pose.size;
        let (u, v) = self.to_emoji(moved(x, shadow.shift.0), moved(y, shadow.shift.1));
        shadow.strength * self.emoji.shadow.at(u, v)
    }

    /// From pixels around the center to a position of the emoji, `0..1` each way.
    fn to_emoji(&self, x: f32, y: f32) -> (f32, f32) {
        let (x, y) = (x - self.pose.offset.0, y - self.pose.offset.1);
        let across = (x * self.cosine + y * self.sine) / self.pose.size;
        let down = (y * self.cosine - x * self.sine) / self.pose.size;
        let across = if self.pose.mirrored { -across } else { across };
        (across + 0.5, down + 0.5)
    }
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
            let texels = &emoji(snack).texels;
            let covered = texels.iter().filter(|texel| texel[3] > 127).count();
            assert!(covered > texels.len() / 8, "{name}");
            assert!(!seen.contains(&texels));
            seen.push(texels);
        }
    }

    #[test]
    fn colors_are_never_brighter_than_their_alpha() {
        for snack in 0..SNACKS.len() {
            for texel in &emoji(snack).texels {
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

    #[test]
    fn a_silhouette_fades_at_its_edges() {
        let square = RgbaImage::from_pixel(72, 72, Rgba([0, 0, 0, 255]));
        let silhouette = Silhouette::of(&square);
        assert!(silhouette.at(0.5, 0.5) > 0.99);
        let across = [-0.16, -0.08, 0.0, 0.08, 0.16].map(|u| silhouette.at(u, 0.5));
        assert!(across.is_sorted() && across[0] < 0.01 && across[4] > 0.99);
        assert!((across[2] - 0.5).abs() < 0.01);
        for outside in [-3.0, 4.0] {
            assert_eq!(silhouette.at(outside, 0.5), 0.0);
        }
    }

    const PLAIN: Pose = Pose {
        size: 100.0,
        turn: 0.0,
        mirrored: false,
        offset: (0.0, 0.0),
        shadow: None,
    };

    fn on_white(pose: &Pose, snack: usize) -> RgbImage {
        let mut image = RgbImage::from_pixel(160, 160, Rgb([255; 3]));
        Sprite::new(emoji(snack), pose).draw(&mut image, 80, 80);
        image
    }

    #[test]
    fn the_visible_extent_is_tight() {
        for snack in 0..20 {
            let pose = Pose {
                turn: 0.05,
                offset: (0.3, 0.7),
                ..PLAIN
            };
            let sprite = Sprite::new(emoji(snack), &pose);
            let covered = |x: i32, y: i32| {
                let row = (y - sprite.canvas.top) * sprite.canvas.width();
                sprite.texels[(row + x - sprite.canvas.left) as usize][3] >= 0.5
            };
            let rows = sprite.canvas.top..sprite.canvas.bottom;
            let columns = sprite.canvas.left..sprite.canvas.right;
            let row_seen = |y: &i32| columns.clone().any(|x| covered(x, *y));
            let column_seen = |x: &i32| rows.clone().any(|y| covered(*x, y));
            let visible = sprite.visible();
            assert_eq!(rows.clone().find(row_seen), Some(visible.top));
            assert_eq!(rows.clone().rfind(row_seen), Some(visible.bottom - 1));
            assert_eq!(columns.clone().find(column_seen), Some(visible.left));
            assert_eq!(columns.clone().rfind(column_seen), Some(visible.right - 1));
        }
    }

    #[test]
    fn a_mirrored_snack_is_the_mirror_image() {
        let mirrored = Pose {
            mirrored: true,
            ..PLAIN
        };
        let flipped = image::imageops::flip_horizontal(&on_white(&mirrored, 1));
        let plain = on_white(&PLAIN, 1);
        assert_ne!(plain, on_white(&mirrored, 1));
        for (a, b) in plain.as_raw().iter().zip(flipped.as_raw()) {
            assert!(a.abs_diff(*b) <= 1);
        }
    }

    #[test]
    fn a_quarter_turn_rotates_the_picture() {
        let turned = Pose {
            turn: 0.25,
            ..PLAIN
        };
        let expected = image::imageops::rotate90(&on_white(&PLAIN, 4));
        for (a, b) in on_white(&turned, 4).as_raw().iter().zip(expected.as_raw()) {
            assert!(a.abs_diff(*b) <= 1);
        }
    }

    #[test]
    fn a_shadow_darkens_only_the_background() {
        let shaded = Pose {
            shadow: Some(Shadow {
                shift: (0.1, 0.1),
                strength: 0.5,
            }),
            ..PLAIN
        };
        let (plain, shaded) = (on_white(&PLAIN, 6), on_white(&shaded, 6));
        assert_eq!(plain.get_pixel(80, 36), shaded.get_pixel(80, 36));
        assert!(shaded.get_pixel(120, 120)[0] < plain.get_pixel(120, 120)[0]);
        assert_eq!(shaded.get_pixel(2, 2), &Rgb([255; 3]));
    }

    #[test]
    fn tiny_sizes_and_positions_outside_are_accepted() {
        let mut image = RgbImage::new(8, 8);
        for size in [1.0, 2.0, 20.0] {
            let sprite = Sprite::new(emoji(2), &Pose { size, ..PLAIN });
            assert!(sprite.visible().width() >= 1);
            for position in [-500, -3, 4, 9, 500] {
                sprite.draw(&mut image, position, position);
            }
        }
    }
}
