//! Kernels of the 1 x 1 convolution: a matrix product with a row per pixel.
//!
//! Rows are processed in blocks that stay in the cache, so that bias, relu6 and their gradients cost no second pass over
//! memory.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::kernels::{Gradients, RELU6_MAX, add, relu6_mask, uninit};

/// Values in the input and output rows of a block: 1 MB, half of a second-level cache.
const BLOCK_VALUES: usize = 1 << 18;

/// Partial sums of a sum over all rows.
const PARTS: usize = 8;

fn block_rows(inputs: usize, outputs: usize) -> usize {
    (BLOCK_VALUES / (inputs + outputs)).clamp(64, 4096)
}

/// `[rows, inputs]` to `[rows, outputs]`; `weights` is `[outputs, inputs]`, `bias` `[outputs]`.
pub(super) fn forward(input: &[f32], weights: &[f32], bias: &[f32], relu6: bool) -> Vec<f32> {
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
                add_bias(row, bias, relu6);
            }
        });
    };
    #[allow(unsafe_code, reason = "uninitialized memory")]
    // SAFETY: the blocks cover the whole vector, and `product` writes all of a block.
    unsafe {
        uninit(input.len() / inputs * outputs, fill)
    }
}

/// Adds the bias to a row and applies relu6.
fn add_bias(row: &mut [f32], bias: &[f32], relu6: bool) {
    if relu6 {
        row.iter_mut()
            .zip(bias)
            .for_each(|(v, b)| *v = (*v + b).clamp(0.0, RELU6_MAX));
    } else {
        row.iter_mut().zip(bias).for_each(|(v, b)| *v += b);
    }
}

/// Gradients of the layer from that of its output, `[rows, outputs]`. `output` is the result of [`forward`] if it applied
/// relu6, else `None`; `to_input` requests the gradient of the input.
pub(super) fn backward(
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
        // An empty slice would have no chunks.
        let chunks: Vec<Option<&mut [MaybeUninit<f32>]>> = if to_input {
            to.chunks_mut(part * inputs).map(Some).collect()
        } else {
            (0..rows.div_ceil(part)).map(|_| None).collect()
        };
        let done = chunks.into_par_iter().enumerate().map(|(index, to)| {
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
    #[allow(unsafe_code, reason = "uninitialized memory")]
    // SAFETY: the parts cover the whole vector, and each writes all of its own with `product`.
    let to = unsafe { uninit(if to_input { input.len() } else { 0 }, &mut fill) };
    Gradients::from_parts(to_input.then_some(to), &parts, weights.len(), outputs)
}

/// A range of rows.
struct Part<'a> {
    input: &'a [f32],
    weights: &'a [f32],
    output: Option<&'a [f32]>,
    gradient: &'a [f32],
    inputs: usize,
    outputs: usize,
}

impl Part<'_> {
    /// Returns the gradients of weights and bias and writes that of the input to `to`.
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
                        *m = g * relu6_mask(*y);
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

/// A row-major matrix in a slice, or the transpose of one.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_step: isize,
    column_step: isize,
}

impl<'a> Matrix<'a> {
    fn rows(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "{rows} x {columns}");
        Self {
            values,
            rows,
            columns,
            row_step: columns as isize,
            column_step: 1,
        }
    }

    fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_step: self.column_step,
            column_step: self.row_step,
        }
    }
}

/// `out = a * b`, row-major. Returns the initialized `out`.
fn product<'o>(out: &'o mut [MaybeUninit<f32>], a: Matrix, b: Matrix) -> &'o mut [f32] {
    multiply(out.as_mut_ptr().cast(), out.len(), false, a, b);
    #[allow(unsafe_code, reason = "uninitialized memory")]
    // SAFETY: without `add`, gemm writes every element of `out`.
    unsafe {
        out.assume_init_mut()
    }
}

/// `out += a * b`, row-major.
fn add_product(out: &mut [f32], a: Matrix, b: Matrix) {
    multiply(out.as_mut_ptr(), out.len(), true, a, b);
}

fn multiply(out: *mut f32, length: usize, add: bool, a: Matrix, b: Matrix) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "columns of a must equal rows of b");
    assert_eq!(length, m * n, "{m} x {n}");
    #[allow(unsafe_code, reason = "gemm has no safe API")]
    // SAFETY: gemm reads `a` and `b` and writes `out` within their lengths, by the two assertions above and the one in
    // `Matrix::rows`. With `add` all of `out` is initialized, because it comes from a slice of `f32`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out,
            1,
            n as isize,
            add,
            a.values.as_ptr(),
            a.column_step,
            a.row_step,
            b.values.as_ptr(),
            b.column_step,
            b.row_step,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
