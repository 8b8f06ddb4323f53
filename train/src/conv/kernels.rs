//! CPU kernels of the convolutions, forward and backward, on channels-last slices.
//!
//! Feature maps are `[batch, height, width, channels]`, weights `[out, in]` (pointwise) or `[3, 3, channels]` (depthwise).
//! Bias and relu6 are fused, so that a map is written once and never copied to another layout.
//!
//! A sum over the batch is made of a fixed number of partial sums in a fixed order, so the result does not depend on the
//! number of threads.

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// Gradients of one layer.
pub(super) struct Gradients {
    /// Gradient of the input map; `None` if it was not requested.
    pub(super) input: Option<Vec<f32>>,
    pub(super) weights: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Gradients {
    /// Sums the partial gradients of weights and bias in their order.
    pub(super) fn from_parts(
        input: Option<Vec<f32>>,
        parts: &[(Vec<f32>, Vec<f32>)],
        weights: usize,
        biases: usize,
    ) -> Self {
        let mut sum = Self {
            input,
            weights: vec![0.0; weights],
            bias: vec![0.0; biases],
        };
        for (weights, bias) in parts {
            add(&mut sum.weights, weights);
            add(&mut sum.bias, bias);
        }
        sum
    }
}

/// Adds one slice to another element by element.
pub(super) fn add(sum: &mut [f32], part: &[f32]) {
    sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
}

pub(super) const RELU6_MAX: f32 = 6.0;

/// The derivative of relu6 where its output is `y`: 1 or 0.
#[inline(always)]
pub(super) fn relu6_mask(y: f32) -> f32 {
    f32::from(u8::from(y > 0.0 && y < RELU6_MAX))
}

/// Shape of the input map of a 3 x 3 convolution with TensorFlow's SAME padding.
#[derive(Debug, Clone, Copy)]
pub(super) struct MapShape {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    /// 1 or 2.
    pub(super) stride: usize,
}

impl MapShape {
    /// Height and width of the output.
    pub(super) fn output(&self) -> (usize, usize) {
        (
            self.height.div_ceil(self.stride),
            self.width.div_ceil(self.stride),
        )
    }

    /// Rows and columns of padding before the first: SAME at stride 2 pads an even side only right and bottom.
    pub(super) fn padding(&self) -> (usize, usize) {
        let padding = |side: usize| match (self.stride, side % 2) {
            (2, 0) => 0,
            _ => 1,
        };
        (padding(self.height), padding(self.width))
    }

    pub(super) fn pixels(&self) -> usize {
        self.height * self.width
    }
}

/// The 3 x 3 neighbourhood of each output pixel as a row of `9 * channels`, zeros outside the map.
pub(super) fn im2col(shape: MapShape, input: &[f32]) -> Vec<f32> {
    let (height, width) = shape.output();
    let (top, left) = shape.padding();
    let channels = shape.channels;
    let picture = shape.pixels() * channels;
    let mut out = vec![0.0; input.len() / picture * height * width * 9 * channels];
    let rows = out.par_chunks_mut(width * 9 * channels);
    rows.enumerate().for_each(|(index, row)| {
        let picture = &input[index / height * picture..][..picture];
        let y = index % height;
        for (x, patch) in row.chunks_exact_mut(9 * channels).enumerate() {
            for (tap, to) in patch.chunks_exact_mut(channels).enumerate() {
                // Before the first row or column the difference wraps around and is out of range.
                let y = (y * shape.stride + tap / 3).wrapping_sub(top);
                let x = (x * shape.stride + tap % 3).wrapping_sub(left);
                if y < shape.height && x < shape.width {
                    to.copy_from_slice(&picture[(y * shape.width + x) * channels..][..channels]);
                }
            }
        }
    });
    out
}

/// A vector that `fill` initializes: filling it with zeros first would cost a pass over memory.
///
/// # Safety
/// `fill` must write every element.
#[allow(unsafe_code, reason = "uninitialized memory")]
pub(super) unsafe fn uninit(length: usize, fill: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut list = Vec::with_capacity(length);
    fill(&mut list.spare_capacity_mut()[..length]);
    // SAFETY: the capacity is at least `length`, and by the contract of this function `fill` has written every element.
    unsafe { list.set_len(length) };
    list
}
