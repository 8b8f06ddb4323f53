//! TensorFlow 1's bilinear resize, [`crate::card::Resize::Bilinear`], in integer arithmetic.

/// Bits of an interpolation weight. Two weights and a byte fit in 32 bits together.
const WEIGHT_BITS: u32 = 12;

/// The sum of two weights.
const ONE: u32 = 1 << WEIGHT_BITS;

/// Values of a pixel.
const CHANNELS: usize = 3;

/// Where an output position is in the picture: between two indices, `weight / ONE` of the way.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Position {
    first: usize,
    second: usize,
    weight: u32,
}

impl Position {
    /// `index * from / to` rounded down, the next index or the last one, and the nearest weight.
    fn new(index: u32, from: u32, to: u32) -> Self {
        let (scaled, to) = (u64::from(index) * u64::from(from), u64::from(to));
        let first = (scaled / to) as usize;
        let remainder = scaled % to;
        Self {
            first,
            second: (first + 1).min(from as usize - 1),
            weight: ((remainder * u64::from(ONE) + to / 2) / to) as u32,
        }
    }

    fn interpolate(&self, first: u32, second: u32) -> u32 {
        first * (ONE - self.weight) + second * self.weight
    }
}

/// Resizes RGB pixels, row by row, of a picture of `width` x `height` with at least one pixel.
///
/// A value differs by less than 0.57 from the interpolation in real numbers: by 0.5 from rounding, the rest from weights of
/// 12 bits.
pub(super) fn resize(
    pixels: &[u8],
    [width, height]: [u32; 2],
    [to_width, to_height]: [u32; 2],
) -> Vec<u8> {
    let columns = (0..to_width).map(|column| Position::new(column, width, to_width));
    let columns: Vec<Position> = columns.collect();
    let row_length = width as usize * CHANNELS;
    let to_row_length = to_width as usize * CHANNELS;
    let mut resized = vec![0; to_row_length * to_height as usize];
    for (row, to) in (0..to_height).zip(resized.chunks_exact_mut(to_row_length)) {
        let row = Position::new(row, height, to_height);
        let [upper, lower] = [row.first, row.second].map(|y| {
            let (row, _) = pixels[y * row_length..][..row_length].as_chunks();
            row
        });
        resize_row([upper, lower], &row, &columns, to);
    }
    resized
}

/// One row of the output, from two of the picture. Whole pixels are indexed, so that the loop over the channels has no checks.
fn resize_row(
    [upper, lower]: [&[[u8; CHANNELS]]; 2],
    row: &Position,
    columns: &[Position],
    to: &mut [u8],
) {
    let (to, _) = to.as_chunks_mut::<CHANNELS>();
    for (pixel, column) in to.iter_mut().zip(columns) {
        let [upper_left, lower_left] = [upper, lower].map(|row| row[column.first]);
        let [upper_right, lower_right] = [upper, lower].map(|row| row[column.second]);
        for (channel, value) in pixel.iter_mut().enumerate() {
            let along = |left: [u8; CHANNELS], right: [u8; CHANNELS]| {
                column.interpolate(u32::from(left[channel]), u32::from(right[channel]))
            };
            let sum = row.interpolate(
                along(upper_left, upper_right),
                along(lower_left, lower_right),
            );
            *value = ((sum + ONE * ONE / 2) / (ONE * ONE)) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `preprocess` of `shared/reference/ssdlite.py`, in 64-bit floats and without the scaling of values.
    fn reference(
        pixels: &[u8],
        [width, height]: [u32; 2],
        [to_width, to_height]: [u32; 2],
    ) -> Vec<f64> {
        let position = |index: u32, from: u32, to: u32| {
            let at = f64::from(index) * (f64::from(from) / f64::from(to));
            let first = at as usize;
            (first, (first + 1).min(from as usize - 1), at - first as f64)
        };
        let value = |y: usize, x: usize, channel: usize| {
            f64::from(pixels[(y * width as usize + x) * CHANNELS + channel])
        };
        let mut values = Vec::new();
        for row in 0..to_height {
            let (top, bottom, down) = position(row, height, to_height);
            for column in 0..to_width {
                let (left, right, along) = position(column, width, to_width);
                for channel in 0..CHANNELS {
                    let line = |y| {
                        value(y, left, channel) * (1.0 - along) + value(y, right, channel) * along
                    };
                    values.push(line(top) * (1.0 - down) + line(bottom) * down);
                }
            }
        }
        values
    }

    #[test]
    fn every_value_is_the_nearest_of_the_reference() {
        let mut random = fastrand::Rng::with_seed(1);
        let sizes = [
            [300, 300],
            [640, 480],
            [1, 1],
            [3, 500],
            [299, 301],
            [17, 9],
            [1920, 1080],
        ];
        for size in sizes {
            let length = size[0] as usize * size[1] as usize * CHANNELS;
            let pixels: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            for to in [[300, 300], [7, 31]] {
                let found = resize(&pixels, size, to);
                let expected = reference(&pixels, size, to);
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(expected) {
                    let difference = (f64::from(*found) - expected).abs();
                    assert!(difference < 0.57, "{size:?} to {to:?}: {found}, {expected}");
                }
            }
        }
    }

    /// Values of ssdlite.py's `preprocess`, scaled back and rounded, for a picture of 5 x 4 to 3 x 3:
    /// `a[y, x, c] = (37 y + 61 x + 101 c + 7 x y) % 256`.
    #[test]
    fn a_small_picture_is_as_ssdlite_py_resizes_it() {
        let value = |y: usize, x: usize, c: usize| (37 * y + 61 * x + 101 * c + 7 * x * y) % 256;
        let at = |i: usize| value(i / 15, i / 3 % 5, i % 3) as u8;
        let pixels: Vec<u8> = (0..60).map(at).collect();
        let expected = [
            0, 101, 202, 102, 203, 48, 203, 48, 149, 49, 150, 166, 167, 97, 113, 142, 129, 201, 99,
            200, 45, 118, 105, 177, 108, 152, 111,
        ];
        assert_eq!(resize(&pixels, [5, 4], [3, 3]), expected);
    }

    #[test]
    fn a_picture_of_the_size_is_copied_and_one_pixel_is_repeated() {
        let pixels: Vec<u8> = (0..75).map(|value| value * 3).collect();
        assert_eq!(resize(&pixels, [5, 5], [5, 5]), pixels);
        assert_eq!(resize(&[1, 2, 255], [1, 1], [3, 2]), [1, 2, 255].repeat(6));
    }

    /// No half pixel, no antialiasing: every second pixel of a picture of twice the size.
    #[test]
    fn half_the_size_is_every_second_pixel() {
        let pixels: Vec<u8> = (0..8 * 6 * 3)
            .map(|value| (value * 7 % 256) as u8)
            .collect();
        let found = resize(&pixels, [8, 6], [4, 3]);
        let kept = (0..36).map(|i| pixels[(i / 12 * 2 * 8 + i / 3 % 4 * 2) * 3 + i % 3]);
        assert!(found.iter().copied().eq(kept));
    }
}
