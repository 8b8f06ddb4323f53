//! The soft silhouette of a snack, from which its shadow is made.
//!
//! In goes the picture of an emoji, out comes its coverage, blurred, a little beyond its square.

use image::RgbaImage;

use super::noise::mix;

/// How far a silhouette reaches beyond the emoji on each side, in sides of the emoji.
pub(super) const REACH: f32 = 1.0 / 6.0;
/// Cells to each side over which one pass of the blur goes, in sides of the emoji.
const RADIUS: f32 = 1.0 / 24.0;

/// A blurred silhouette.
pub(super) struct Silhouette {
    /// Cells on a side.
    side: usize,
    /// Row by row, in `0..=1`.
    cells: Vec<f32>,
}

impl Silhouette {
    /// The silhouette of a square picture, one cell a pixel.
    pub(super) fn of(picture: &RgbaImage) -> Self {
        let drawn = picture.width() as f32;
        let margin = (drawn * REACH) as usize;
        let side = picture.width() as usize + 2 * margin;
        let mut cells = vec![0.0; side * side];
        for (x, y, pixel) in picture.enumerate_pixels() {
            let index = (y as usize + margin) * side + x as usize + margin;
            cells[index] = f32::from(pixel[3]) / 255.0;
        }
        // Three passes of a box are near enough to a Gaussian, and stay inside the margin.
        for _ in 0..3 {
            cells = blur_transposed(&cells, side, (drawn * RADIUS) as usize);
            cells = blur_transposed(&cells, side, (drawn * RADIUS) as usize);
        }
        Self { side, cells }
    }

    /// The coverage at a place of the emoji's square, which is `0..1` each way; 0 far outside.
    pub(super) fn at(&self, u: f32, v: f32) -> f32 {
        let cells = |w: f32| (w + REACH) / (1.0 + 2.0 * REACH) * self.side as f32 - 0.5;
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

/// Averages every row over `2 * radius + 1` cells and turns rows into columns.
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
    use image::Rgba;

    #[test]
    fn a_silhouette_is_full_inside_and_fades_to_nothing_outside() {
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
}
