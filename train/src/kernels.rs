//! The arithmetic of a convolution on the CPU, forward and backward, channels last.
//!
//! In go plain slices: maps `[batch, height, width, channels]`, weights `[out, in]` (pointwise) or
//! `[3, 3, channels]` (depthwise); out come maps of the same layout and, backward, gradients of map, weights
//! and bias. Bias and `relu6` are part of each, so that a map is written once and never copied into another
//! layout. Tensors, gradient graphs and devices are no business of this room: see [`crate::conv`].
//!
//! A sum over a batch is made of a fixed number of parts in a fixed order, so that a result does not depend
//! on the number of threads.

use std::mem::MaybeUninit;

use rayon::prelude::*;

pub(crate) mod depthwise;
mod matrix;
pub(crate) mod pointwise;

/// Gradients of one layer.
pub(crate) struct Gradients {
    /// Of the input map; `None` where nobody asked.
    pub(crate) input: Option<Vec<f32>>,
    /// Of the weights, in their layout.
    pub(crate) weights: Vec<f32>,
    /// Of the bias.
    pub(crate) bias: Vec<f32>,
}

/// The upper end of `relu6`.
const SIX: f32 = 6.0;

/// Whether `relu6` lets the gradient through where its output is `y`: 1 or 0.
#[inline(always)]
fn open(y: f32) -> f32 {
    f32::from(u8::from(y > 0.0 && y < SIX))
}

/// Each output pixel's 3 x 3 surroundings as a row of `9 * channels`, row by row; zeros beyond the edge.
pub(crate) fn patches(shape: depthwise::Shape, input: &[f32]) -> Vec<f32> {
    let (height, width) = shape.output();
    let (top, left) = shape.before();
    let channels = shape.channels;
    let picture = shape.height * shape.width * channels;
    let mut out = vec![0.0; input.len() / picture * height * width * 9 * channels];
    let rows = out.par_chunks_mut(width * 9 * channels);
    rows.enumerate().for_each(|(index, row)| {
        let (picture, y) = (
            &input[index / height * picture..][..picture],
            index % height,
        );
        for (x, patch) in row.chunks_exact_mut(9 * channels).enumerate() {
            for (tap, to) in patch.chunks_exact_mut(channels).enumerate() {
                // Beyond the first row or column the difference wraps around and is too large.
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

/// A list of so many numbers, every one of which `fill` writes: zeros first would cost a pass over memory.
///
/// # Safety
/// `fill` writes every place.
#[allow(unsafe_code, reason = "see above")]
unsafe fn written(length: usize, fill: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut list = Vec::with_capacity(length);
    fill(&mut list.spare_capacity_mut()[..length]);
    unsafe { list.set_len(length) };
    list
}

impl Gradients {
    /// Of the parts of a batch, weights and bias of each, summed up in their order; both sums have as many
    /// numbers as are said.
    fn of_parts(
        input: Option<Vec<f32>>,
        parts: &[(Vec<f32>, Vec<f32>)],
        (weights, bias): (usize, usize),
    ) -> Self {
        let mut sum = Self {
            input,
            weights: vec![0.0; weights],
            bias: vec![0.0; bias],
        };
        for (weights, bias) in parts {
            add(&mut sum.weights, weights);
            add(&mut sum.bias, bias);
        }
        sum
    }
}

/// Adds one list of numbers to another.
fn add(sum: &mut [f32], part: &[f32]) {
    sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
}
