//! Quantized values, how feature maps lie in memory, and the geometry of a convolution over them.
//!
//! # Arithmetic
//! A real value `x` is stored as an integer `q` in `-128..=127` with `x = scale * (q - zero_point)` (Jacob et al. 2018,
//! "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"). Products are
//! summed exactly in 32 bits. A sum is requantized by one multiplication in `f32`, rounded to the nearest integer,
//! halves to even, like ONNX's `QuantizeLinear`. Every step is exact or rounded as IEEE 754 specifies, so every
//! processor returns the same `q`.

use std::ops::{Deref, DerefMut};

/// A `q` in memory, in the type that the processor's multiply instructions take: x86 multiplies unsigned by signed
/// bytes.
#[cfg(target_arch = "x86_64")]
pub type Quantized = u8;
/// A `q` in memory, in the type that the processor's multiply instructions take: all but x86 multiply signed bytes.
#[cfg(not(target_arch = "x86_64"))]
pub type Quantized = i8;

/// Difference between the byte in memory and its `q`.
const STORAGE_OFFSET: i32 = if cfg!(target_arch = "x86_64") { 128 } else { 0 };

/// Adding this float to one of at most 2^22 leaves the nearest integer, halves to even, in the low bits: the step
/// between floats of this size is 1.
pub(super) const ROUNDING_CONSTANT: f32 = 12_582_912.0;

/// Channels are stored in groups of this size: a map of 20 channels takes the memory of 24. Padding channels are
/// multiplied by weights of 0.
pub const CHANNEL_GROUP: usize = 8;

/// Bytes after the last pixel of a map that a kernel may read and must not write.
pub const OVERREAD: usize = 64;

/// Bytes of a cache line, and of the widest vector register.
pub(super) const CACHE_LINE: usize = 64;

/// Converts a `q` to the byte in memory.
#[must_use]
pub const fn encode(q: i8) -> Quantized {
    (q as i32 + STORAGE_OFFSET) as Quantized
}

/// Converts a byte in memory to its `q`.
#[must_use]
pub const fn decode(value: Quantized) -> i8 {
    (value as i32 - STORAGE_OFFSET) as i8
}

/// Zero point and clamping range of a layer's output, all as stored in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputQuant {
    pub zero_point: Quantized,
    /// Least value; above the type's minimum where an activation such as ReLU clamps.
    pub qmin: Quantized,
    /// Greatest value.
    pub qmax: Quantized,
}

impl OutputQuant {
    /// From `q` values; `a` and `b` are the two limits of the range in any order.
    #[must_use]
    pub fn new(zero_point: i8, a: i8, b: i8) -> Self {
        Self {
            zero_point: encode(zero_point),
            qmin: encode(a.min(b)),
            qmax: encode(b.max(a)),
        }
    }

    /// The clamping range relative to the zero point, the unit of a scaled sum.
    pub(super) fn scaled_range(&self) -> (f32, f32) {
        let zero = i32::from(self.zero_point);
        let relative = |value: Quantized| (i32::from(value) - zero) as f32;
        (relative(self.qmin), relative(self.qmax))
    }

    /// Scales a sum by its channel's multiplier, rounds, adds the zero point and clamps.
    ///
    /// `multiplier` is the input's scale times the scale of the channel's weights, divided by the output's scale.
    #[inline]
    #[must_use]
    pub fn requantize(&self, sum: i32, multiplier: f32) -> Quantized {
        self.quantize(sum as f32 * multiplier)
    }

    /// Rounds a real value in units of the output's scale, adds the zero point and clamps.
    #[inline]
    #[must_use]
    pub fn quantize(&self, scaled: f32) -> Quantized {
        let (min, max) = self.scaled_range();
        // The limits are integers, so clamping before rounding gives the same result as clamping after it.
        let scaled = scaled.max(min).min(max);
        let rounded = (scaled + ROUNDING_CONSTANT).to_bits() as i32;
        let rounded = rounded - ROUNDING_CONSTANT.to_bits() as i32;
        (rounded + i32::from(self.zero_point)) as Quantized
    }
}

/// Pixels around a map that hold its zero point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Padding {
    pub top: usize,
    pub bottom: usize,
    pub left: usize,
    pub right: usize,
}

impl Padding {
    pub const NONE: Self = Self {
        top: 0,
        bottom: 0,
        left: 0,
        right: 0,
    };

    /// The smallest padding that contains both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            top: self.top.max(other.top),
            bottom: self.bottom.max(other.bottom),
            left: self.left.max(other.left),
            right: self.right.max(other.right),
        }
    }
}

/// Size of a feature map in pixels and channels, without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapSize {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl MapSize {
    /// Number of values.
    #[must_use]
    pub fn volume(&self) -> usize {
        self.height * self.width * self.channels
    }
}

/// Memory layout of a feature map: channels last (HWC), with padding around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapLayout {
    pub size: MapSize,
    pub padding: Padding,
    /// Bytes from one pixel to the next.
    pub pixel_stride: usize,
    /// Bytes from one row to the next.
    pub row_stride: usize,
}

impl MapLayout {
    /// Layout of activations, whose channels are stored in groups of [`CHANNEL_GROUP`].
    #[must_use]
    pub fn new(size: MapSize, padding: Padding) -> Self {
        let pixel_stride = size.channels.next_multiple_of(CHANNEL_GROUP);
        Self::with_pixel_stride(size, padding, pixel_stride)
    }

    /// Layout of an image, whose channels are stored without padding channels.
    #[must_use]
    pub fn image(size: MapSize, padding: Padding) -> Self {
        Self::with_pixel_stride(size, padding, size.channels)
    }

    fn with_pixel_stride(size: MapSize, padding: Padding, pixel_stride: usize) -> Self {
        let row_stride = (padding.left + size.width + padding.right) * pixel_stride;
        Self {
            size,
            padding,
            pixel_stride,
            row_stride,
        }
    }

    /// Size in bytes, padding included, [`OVERREAD`] not.
    #[must_use]
    pub fn bytes(&self) -> usize {
        (self.padding.top + self.size.height + self.padding.bottom) * self.row_stride
    }

    /// Byte offset of the first channel of the first pixel in a row of the map.
    #[must_use]
    pub fn row_start(&self, y: usize) -> usize {
        (self.padding.top + y) * self.row_stride + self.padding.left * self.pixel_stride
    }

    /// Bytes of a row without padding.
    #[must_use]
    pub fn row_bytes(&self) -> usize {
        self.size.width * self.pixel_stride
    }
}

/// The window of a convolution, without dilation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns.
    pub kernel: [usize; 2],
    /// In both directions.
    pub stride: usize,
    pub padding: Padding,
}

impl Window {
    /// 1x1, stride 1.
    pub const POINTWISE: Self = Self {
        kernel: [1, 1],
        stride: 1,
        padding: Padding::NONE,
    };

    /// Height and width of the output for an input of `height` and `width`; `None` where the window is larger than
    /// the padded input.
    #[must_use]
    pub fn output_size(&self, height: usize, width: usize) -> Option<[usize; 2]> {
        let [rows, columns] = self.kernel;
        let positions = |side: usize, kernel: usize| {
            Some(side.checked_sub(kernel)?.checked_div(self.stride)? + 1)
        };
        Some([
            positions(self.padding.top + height + self.padding.bottom, rows)?,
            positions(self.padding.left + width + self.padding.right, columns)?,
        ])
    }
}

/// Strides in bytes with which a kernel visits the windows of some output rows, relative to the start of its input and
/// output slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Rows of the output.
    pub rows: usize,
    /// Pixels of an output row.
    pub width: usize,
    /// In the input, from a window to the next in its row.
    pub window_step_x: usize,
    /// In the input, from a row of windows to the next.
    pub window_step_y: usize,
    /// In the input, from a kernel row to the next in the same window.
    pub kernel_row_stride: usize,
    /// In the output, from a pixel to the next.
    pub out_pixel_stride: usize,
    /// In the output, from a row to the next.
    pub out_row_stride: usize,
}

impl ConvGeometry {
    /// Geometry of `rows` output rows from row `first` on, and the byte offsets of its first window in the input and of
    /// its first pixel in the output.
    #[must_use]
    pub fn new(
        window: &Window,
        input: &MapLayout,
        output: &MapLayout,
        first: usize,
        rows: usize,
    ) -> (Self, [usize; 2]) {
        let geometry = Self {
            rows,
            width: output.size.width,
            window_step_x: window.stride * input.pixel_stride,
            window_step_y: window.stride * input.row_stride,
            kernel_row_stride: input.row_stride,
            out_pixel_stride: output.pixel_stride,
            out_row_stride: output.row_stride,
        };
        // The input may be padded for another reader that needs more.
        let top = input.padding.top - window.padding.top;
        let left = input.padding.left - window.padding.left;
        let start = (top + first * window.stride) * input.row_stride + left * input.pixel_stride;
        (geometry, [start, output.row_start(first)])
    }

    /// Whether all windows are evenly spaced, without a jump at the end of a row.
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        self.rows <= 1 || self.window_step_y == self.width * self.window_step_x
    }

    /// Runs of evenly spaced windows: their number, and the windows in each.
    #[must_use]
    pub fn runs(&self) -> [usize; 2] {
        if self.is_contiguous() {
            [1, self.rows * self.width]
        } else {
            [self.rows, self.width]
        }
    }

    /// Byte offset in the output of a pixel, counted over all rows.
    #[must_use]
    pub fn output_offset(&self, pixel: usize) -> usize {
        pixel / self.width * self.out_row_stride + pixel % self.width * self.out_pixel_stride
    }

    /// Whether a kernel that reads `kernel_row_bytes` of each of `kernel_rows` rows of a window and writes `out_bytes`
    /// per pixel stays inside slices of the lengths `input` and `output`.
    #[must_use]
    pub fn fits(
        &self,
        kernel_rows: usize,
        kernel_row_bytes: usize,
        out_bytes: usize,
        input: usize,
        output: usize,
    ) -> bool {
        let (Some(last_row), Some(last_column)) =
            (self.rows.checked_sub(1), self.width.checked_sub(1))
        else {
            return true;
        };
        let last = |row: usize, pixel: usize| last_row * row + last_column * pixel;
        let read = last(self.window_step_y, self.window_step_x)
            + kernel_rows.saturating_sub(1) * self.kernel_row_stride
            + kernel_row_bytes;
        let written = last(self.out_row_stride, self.out_pixel_stride) + out_bytes;
        read <= input && written <= output
    }
}

/// A slice of fixed length that starts at a multiple of 64 bytes, so that a load of 64 bytes touches one cache line.
#[derive(Debug)]
pub struct AlignedBuffer<T> {
    storage: Vec<T>,
    start: usize,
    length: usize,
}

impl<T: Copy> AlignedBuffer<T> {
    #[must_use]
    pub fn filled(value: T, length: usize) -> Self {
        let storage = vec![value; length + CACHE_LINE / size_of::<T>()];
        let start = storage.as_ptr().align_offset(CACHE_LINE);
        Self {
            storage,
            start,
            length,
        }
    }

    #[must_use]
    pub fn copied(values: &[T]) -> Self
    where
        T: Default,
    {
        let mut aligned = Self::filled(T::default(), values.len());
        aligned.copy_from_slice(values);
        aligned
    }
}

impl<T> Deref for AlignedBuffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.storage[self.start..][..self.length]
    }
}

impl<T> DerefMut for AlignedBuffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.storage[self.start..][..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_inverts_encode() {
        for q in i8::MIN..=i8::MAX {
            assert_eq!(decode(encode(q)), q);
        }
    }

    #[test]
    fn requantize_rounds_like_onnx() {
        let output = OutputQuant::new(-3, -128, 127);
        let mut rng = fastrand::Rng::with_seed(1);
        let mut sums: Vec<(i32, f32)> = (0..100_000)
            .map(|_| (rng.i32(-2_000_000..2_000_000), rng.f32() * 1e-3))
            .collect();
        // Halves, and values far outside the range.
        sums.extend((-600..600).map(|sum| (sum, 0.5)));
        sums.extend([(i32::MAX, 0.9), (i32::MIN, 0.9), (0, 0.1)]);
        for (sum, multiplier) in sums {
            let real = (sum as f32 * multiplier).round_ties_even();
            let expected = (f64::from(real) - 3.0).clamp(-128.0, 127.0) as i8;
            let found = decode(output.requantize(sum, multiplier));
            assert_eq!(found, expected, "{sum} * {multiplier}");
        }
    }

    #[test]
    fn an_activation_clamps_the_output() {
        let relu6 = OutputQuant::new(-100, -100, 20);
        assert_eq!(decode(relu6.requantize(-50, 1.0)), -100);
        assert_eq!(decode(relu6.requantize(50, 1.0)), -50);
        assert_eq!(decode(relu6.requantize(500, 1.0)), 20);
    }

    #[test]
    fn a_buffer_stays_aligned_when_it_is_moved() {
        for length in [0, 1, 63, 64, 65, 100_000] {
            let bytes = AlignedBuffer::filled(7u8, length);
            let moved = Box::new(bytes);
            assert_eq!(moved.as_ptr() as usize % CACHE_LINE, 0);
            assert_eq!(moved[..], vec![7; length]);
            let floats = AlignedBuffer::copied(&vec![0.5f32; length]);
            assert_eq!(floats.as_ptr() as usize % CACHE_LINE, 0);
            assert_eq!(floats[..], vec![0.5; length]);
        }
    }
}
