//! Textures: what sprites show, a snack that was drawn or cut out of a photograph, without a background.

use image::imageops::{FilterType, resize};
use image::{Rgba, RgbaImage};

use super::rng::mix;

/// A square picture with transparency.
pub(super) struct Texture {
    /// Width and height in pixels, without the border.
    side: u32,
    /// Premultiplied RGBA, row by row, with a transparent border of one pixel.
    texels: Vec<[u8; 4]>,
    /// The first and last visible pixel of each row, relative to the center, in sides.
    outline: Vec<(f32, f32)>,
    shadow: Silhouette,
}

/// Side of the picture from which a shadow is made, at most: it is blurred anyway.
const SHADOW_SIDE: u32 = 72;

impl Texture {
    /// From a square picture with premultiplied alpha.
    pub(super) fn new(picture: &RgbaImage) -> Self {
        let side = picture.width().min(SHADOW_SIDE);
        let small = resize(picture, side, side, FilterType::Triangle);
        Self::with_shadow_of(picture, &small)
    }

    /// From square pictures with premultiplied alpha: what it shows, and what its shadow is made from.
    pub(super) fn with_shadow_of(picture: &RgbaImage, shadow: &RgbaImage) -> Self {
        Self {
            side: picture.width(),
            texels: with_border(picture),
            outline: outline(picture),
            shadow: Silhouette::of(shadow),
        }
    }

    /// Width and height in pixels.
    pub(super) const fn side(&self) -> u32 {
        self.side
    }

    /// Its pixels with their border.
    #[cfg(test)]
    pub(super) fn texels(&self) -> &[[u8; 4]] {
        &self.texels
    }

    /// The coverage of its shadow at a position in `0..1` each way.
    pub(super) fn shadow_at(&self, u: f32, v: f32) -> f32 {
        self.shadow.at(u, v)
    }

    /// Premultiplied RGBA at a position in `0..1` each way, interpolated between four pixels; `None` outside.
    pub(super) fn at(&self, u: f32, v: f32) -> Option<[f32; 4]> {
        let (x, y) = (u * self.side as f32 + 0.5, v * self.side as f32 + 0.5);
        let stride = self.side as usize + 2;
        let places = 0.0..(stride - 1) as f32;
        if !places.contains(&x) || !places.contains(&y) {
            return None;
        }
        // The cast rounds down, since both numbers are at least 0.
        let (column, row) = (x as usize, y as usize);
        let (across, down) = (x - column as f32, y - row as f32);
        let first = row * stride + column;
        let (above, below) = (&self.texels[first..], &self.texels[first + stride..]);
        let mut mixed = [0.0; 4];
        for (channel, sum) in mixed.iter_mut().enumerate() {
            let value = |texel: [u8; 4]| f32::from(texel[channel]);
            let upper = mix(value(above[0]), value(above[1]), across);
            let lower = mix(value(below[0]), value(below[1]), across);
            *sum = mix(upper, lower, down) / 255.0;
        }
        Some(mixed)
    }

    /// The longer side of the visible part after a rotation, in sides.
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

fn with_border(picture: &RgbaImage) -> Vec<[u8; 4]> {
    let stride = picture.width() as usize + 2;
    let mut texels = vec![[0; 4]; stride * stride];
    for (x, y, pixel) in picture.enumerate_pixels() {
        texels[(y as usize + 1) * stride + x as usize + 1] = pixel.0;
    }
    texels
}

fn outline(picture: &RgbaImage) -> Vec<(f32, f32)> {
    let mut points = Vec::new();
    let side = picture.width() as f32;
    for (row, pixels) in picture.rows().enumerate() {
        let pixels: Vec<_> = pixels.collect();
        let first = pixels.iter().position(|pixel| pixel[3] > 127);
        let last = pixels.iter().rposition(|pixel| pixel[3] > 127);
        let centred = |position: usize| (position as f32 + 0.5) / side - 0.5;
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
pub(super) fn premultiplied(picture: &RgbaImage) -> RgbaImage {
    let mut flat = picture.clone();
    for Rgba([red, green, blue, alpha]) in flat.pixels_mut() {
        for channel in [red, green, blue] {
            *channel = ((u16::from(*channel) * u16::from(*alpha) + 127) / 255) as u8;
        }
    }
    flat
}

/// Margin of a silhouette around the texture, in sides of the texture.
pub(super) const SHADOW_REACH: f32 = 1.0 / 6.0;
/// Radius of one pass of the blur, in sides of the texture.
const BLUR_RADIUS: f32 = 1.0 / 24.0;

/// The blurred alpha channel of a texture, from which its shadow is drawn.
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

    /// The coverage at a position of the texture, `0..1` each way; 0 outside the margin.
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_texture_is_interpolated_and_transparent_outside() {
        let mut picture = RgbaImage::from_pixel(10, 10, Rgba([200, 100, 0, 255]));
        picture.put_pixel(0, 0, Rgba([0; 4]));
        let texture = Texture::new(&picture);
        assert_eq!(texture.side(), 10);
        let red = |u, v| texture.at(u, v).map(|[red, ..]| (red * 255.0).round());
        assert_eq!(red(0.55, 0.55), Some(200.0));
        assert_eq!(red(0.05, 0.05), Some(0.0));
        assert_eq!(red(0.10, 0.05), Some(100.0));
        assert_eq!(red(-0.1, 0.5), None);
    }
}
