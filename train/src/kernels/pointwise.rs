//! The convolution of 1 x 1: every pixel is a row, and the layer a matrix product.
//!
//! Rows go through in blocks that stay in the cache, so that bias, `relu6` and their gradients cost no second
//! pass over memory.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::matrix::{Matrix, add_product, product};
use super::{Gradients, SIX, add, open, written};

/// Numbers of input and output rows that a block takes: 1 MB, half of a second-level cache.
const BLOCK: usize = 1 << 18;

/// Parts that a sum over all rows is made of.
const PARTS: usize = 8;

/// Rows in a block.
fn block_rows(inputs: usize, outputs: usize) -> usize {
    (BLOCK / (inputs + outputs)).clamp(64, 4096)
}

/// `[rows, inputs]` to `[rows, outputs]`; `weights` is `[outputs, inputs]`, `bias` `[outputs]`.
pub(crate) fn forward(input: &[f32], weights: &[f32], bias: &[f32], relu6: bool) -> Vec<f32> {
    let outputs = bias.len();
    let inputs = weights.len() / outputs;
    let rows = block_rows(inputs, outputs);
    let weights = Matrix::rows(weights, outputs, inputs).transposed();
    let fill = |out: &mut [MaybeUninit<f32>]| {
        let blocks = out.par_chunks_mut(rows * outputs);
        let blocks = blocks.zip(input.par_chunks(rows * inputs));
        blocks.for_each(|(out, input)| {
            let rows = input.len() / inputs;
            let out = product(out, Matrix::rows(input, rows, inputs), weights);
            for row in out.chunks_exact_mut(outputs) {
                finish(row, bias, relu6);
            }
        });
    };
    #[allow(
        unsafe_code,
        reason = "the blocks are the whole list, and a product writes all of its block"
    )]
    unsafe {
        written(input.len() / inputs * outputs, fill)
    }
}

/// Bias and `relu6` on one row.
fn finish(row: &mut [f32], bias: &[f32], relu6: bool) {
    if relu6 {
        row.iter_mut()
            .zip(bias)
            .for_each(|(v, b)| *v = (*v + b).clamp(0.0, SIX));
    } else {
        row.iter_mut().zip(bias).for_each(|(v, b)| *v += b);
    }
}

/// The gradients from that of the output, `[rows, outputs]`; `output` is what [`forward`] gave where
/// `relu6` came after it, else `None`. `to_input`: whether the gradient of the input is wanted.
pub(crate) fn backward(
    input: &[f32],
    weights: &[f32],
    output: Option<&[f32]>,
    gradient: &[f32],
    outputs: usize,
    to_input: bool,
) -> Gradients {
    let inputs = weights.len() / outputs;
    let rows = input.len() / inputs;
    let part = rows.div_ceil(PARTS).max(1);
    let mut parts: Vec<(Vec<f32>, Vec<f32>)> = Vec::new();
    let mut fill = |to: &mut [MaybeUninit<f32>]| {
        // An empty list has no chunks to go with those of the input.
        let pieces: Vec<Option<&mut [MaybeUninit<f32>]>> = if to_input {
            to.chunks_mut(part * inputs).map(Some).collect()
        } else {
            (0..rows.div_ceil(part)).map(|_| None).collect()
        };
        let done = pieces.into_par_iter().enumerate().map(|(index, to)| {
            let rows = index * part..rows.min((index + 1) * part);
            let of = |width: usize| rows.start * width..rows.end * width;
            let layer = Part {
                input: &input[of(inputs)],
                weights,
                output: output.map(|output| &output[of(outputs)]),
                gradient: &gradient[of(outputs)],
                inputs,
                outputs,
            };
            layer.backward(to)
        });
        parts = done.collect();
    };
    #[allow(
        unsafe_code,
        reason = "the parts are the whole list, and each writes all of its own"
    )]
    let to = unsafe { written(if to_input { input.len() } else { 0 }, &mut fill) };
    Gradients::of_parts(to_input.then_some(to), &parts, (weights.len(), outputs))
}

/// Some of the rows of a layer.
struct Part<'a> {
    input: &'a [f32],
    weights: &'a [f32],
    output: Option<&'a [f32]>,
    gradient: &'a [f32],
    inputs: usize,
    outputs: usize,
}

impl Part<'_> {
    /// Gradients of weights and bias; that of the input goes into `to`.
    fn backward(&self, mut to: Option<&mut [MaybeUninit<f32>]>) -> (Vec<f32>, Vec<f32>) {
        let Self {
            inputs, outputs, ..
        } = *self;
        let mut weights = vec![0.0; self.weights.len()];
        let mut bias = vec![0.0; outputs];
        let step = block_rows(inputs, outputs);
        let mut masked = vec![
            0.0;
            if self.output.is_some() {
                step * outputs
            } else {
                0
            }
        ];
        let all = self.input.len() / inputs;
        for start in (0..all).step_by(step) {
            let rows = step.min(all - start);
            let gradient = &self.gradient[start * outputs..][..rows * outputs];
            let gradient = match self.output {
                Some(output) => {
                    let output = &output[start * outputs..][..rows * outputs];
                    let masked = &mut masked[..rows * outputs];
                    for ((m, g), y) in masked.iter_mut().zip(gradient).zip(output) {
                        *m = g * open(*y);
                    }
                    &*masked
                }
                None => gradient,
            };
            for row in gradient.chunks_exact(outputs) {
                add(&mut bias, row);
            }
            let gradient = Matrix::rows(gradient, rows, outputs);
            let input = Matrix::rows(&self.input[start * inputs..][..rows * inputs], rows, inputs);
            add_product(&mut weights, gradient.transposed(), input);
            if let Some(to) = &mut to {
                let to = &mut to[start * inputs..][..rows * inputs];
                let layer = Matrix::rows(self.weights, outputs, inputs);
                product(to, gradient, layer);
            }
        }
        (weights, bias)
    }
}
