//! The brightness of a picture in blocks of eight by eight pixels: enough to tell whether something moved.

use image::RgbImage;

/// The side of a block in pixels. It is that of a JPEG's, whose means are in its data.
pub const BLOCK: u32 = 8;

/// Of a block, every so many rows and columns are read.
const SAMPLE_STEP: usize = 2;

/// Weights of red, green and blue in luma (ITU-R BT.601), of 256.
const WEIGHTS: [u32; 3] = [77, 150, 29];

/// Mean luma of each block, `0.0..=255.0`, row by row. Blocks at the right and lower edge may be smaller.
#[derive(Debug, Clone, PartialEq)]
pub struct LumaGrid {
    columns: usize,
    values: Vec<f32>,
    step: f32,
}

impl LumaGrid {
    /// From values that are multiples of `step`, which is positive; `None` unless they fill rows of `columns`.
    #[must_use]
    pub fn new(columns: usize, values: Vec<f32>, step: f32) -> Option<Self> {
        let is_whole = columns > 0 && !values.is_empty() && values.len().is_multiple_of(columns);
        (is_whole && step > 0.0).then_some(Self {
            columns,
            values,
            step,
        })
    }

    /// Of a picture, by a sample of its pixels.
    #[must_use]
    pub fn of(picture: &RgbImage) -> Self {
        let (width, height) = picture.dimensions();
        let columns = width.div_ceil(BLOCK) as usize;
        let block = BLOCK as usize;
        let mut values = Vec::with_capacity(columns * height.div_ceil(BLOCK) as usize);
        let row_bytes = (width as usize * 3).max(1);
        let mut sums = vec![(0, 0); columns];
        for rows in picture.as_raw().chunks(row_bytes * block) {
            sums.fill((0, 0));
            for row in rows.chunks(row_bytes).step_by(SAMPLE_STEP) {
                for ((sum, count), pixels) in sums.iter_mut().zip(row.chunks(block * 3)) {
                    for pixel in pixels.as_chunks::<3>().0.iter().step_by(SAMPLE_STEP) {
                        *sum += luma(*pixel);
                        *count += 1;
                    }
                }
            }
            values.extend(sums.iter().map(|&(sum, count)| mean(sum, count)));
        }
        Self {
            columns: columns.max(1),
            values,
            step: (SAMPLE_STEP * SAMPLE_STEP) as f32 / (BLOCK * BLOCK) as f32,
        }
    }

    #[must_use]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The least difference of two values.
    #[must_use]
    pub const fn step(&self) -> f32 {
        self.step
    }
}

/// In 1/256.
fn luma([red, green, blue]: [u8; 3]) -> u32 {
    let [r, g, b] = WEIGHTS;
    r * u32::from(red) + g * u32::from(green) + b * u32::from(blue)
}

fn mean(sum: u32, count: u32) -> f32 {
    sum as f32 / (256 * count.max(1)) as f32
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn blocks_have_the_mean_of_their_pixels() {
        let mut picture = RgbImage::from_pixel(20, 17, Rgb([40; 3]));
        for (x, y) in (8..16).flat_map(|x| (0..8).map(move |y| (x, y))) {
            picture.put_pixel(x, y, Rgb([200, 100, 50]));
        }
        let grid = LumaGrid::of(&picture);
        assert_eq!((grid.columns(), grid.rows()), (3, 3));
        let colored = 0.299 * 200.0 + 0.587 * 100.0 + 0.114 * 50.0;
        for (index, value) in grid.values().iter().enumerate() {
            let expected = if index == 1 { colored } else { 40.0 };
            assert!((value - expected).abs() < 0.5, "{index}: {value}");
        }
        assert_eq!(LumaGrid::of(&RgbImage::default()).values(), [0.0; 0]);
    }

    #[test]
    fn a_grid_has_whole_rows() {
        assert!(LumaGrid::new(2, vec![0.0; 4], 1.0).is_some());
        for (columns, count, step) in [(2, 3, 1.0), (0, 4, 1.0), (2, 0, 1.0), (2, 4, 0.0)] {
            assert_eq!(LumaGrid::new(columns, vec![0.0; count], step), None);
        }
    }
}
