//! Kernels of the 3 x 3 depthwise convolution.
//!
//! A map is processed in blocks of channels, one SIMD vector wide. Each block is copied into a zero-padded map that stays
//! in the cache while all nine taps are summed, so that edges need no special case.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::kernels::{Gradients, MapShape, RELU6_MAX, uninit};

const TAPS: usize = 9;

/// `[batch, height, width, channels]` to the same layout at the output's size; `weights` is `[9, channels]`.
pub(super) fn forward(
    shape: MapShape,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    relu6: bool,
) -> Vec<f32> {
    let (height, width) = shape.output();
    let picture = shape.pixels() * shape.channels;
    let pictures = input.len() / picture;
    let fill = |out: &mut [MaybeUninit<f32>]| {
        out.par_chunks_mut(height * width * shape.channels)
            .zip(input.par_chunks(picture))
            .for_each(|(out, input)| {
                Arch::new().dispatch(Forward {
                    shape,
                    input,
                    weights,
                    bias,
                    relu6,
                    out,
                });
            });
    };
    #[allow(unsafe_code, reason = "uninitialized memory")]
    // SAFETY: the chunks cover the whole vector, and `Forward` stores all blocks of channels of every pixel.
    unsafe {
        uninit(pictures * height * width * shape.channels, fill)
    }
}

/// Gradients of the layer from that of its output; see [`super::pointwise::backward`].
pub(super) fn backward(
    shape: MapShape,
    input: &[f32],
    weights: &[f32],
    output: Option<&[f32]>,
    gradient: &[f32],
) -> Gradients {
    let (height, width) = shape.output();
    let picture = shape.pixels() * shape.channels;
    let result = height * width * shape.channels;
    let mut parts: Vec<(Vec<f32>, Vec<f32>)> = Vec::new();
    let mut fill = |to: &mut [MaybeUninit<f32>]| {
        let pictures = to.par_chunks_mut(picture).enumerate();
        let done = pictures.map(|(index, to)| {
            let input = &input[index * picture..][..picture];
            let output = output.map(|output| &output[index * result..][..result]);
            let gradient = &gradient[index * result..][..result];
            Arch::new().dispatch(Backward {
                shape,
                input,
                weights,
                output,
                gradient,
                to,
            })
        });
        parts = done.collect();
    };
    #[allow(unsafe_code, reason = "uninitialized memory")]
    // SAFETY: the chunks cover the whole vector, and `Backward` stores all blocks of channels of every pixel.
    let to = unsafe { uninit(input.len(), &mut fill) };
    Gradients::from_parts(Some(to), &parts, weights.len(), shape.channels)
}

/// Forward pass of one picture.
struct Forward<'a> {
    shape: MapShape,
    input: &'a [f32],
    weights: &'a [f32],
    bias: &'a [f32],
    relu6: bool,
    out: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.shape.channels;
        let (height, width) = self.shape.output();
        let wide = self.shape.padded().1;
        let (top, left) = self.shape.first();
        let (low, high) = (simd.splat_f32s(0.0), simd.splat_f32s(RELU6_MAX));
        let mut padded = self.shape.zeros(simd);
        for block in blocks::<S>(channels) {
            let taps = taps(simd, self.weights, channels, &block);
            let bias = load(simd, &self.bias[block.clone()]);
            pad(simd, self.shape, &block, self.input, &mut padded);
            for y in 0..height {
                let from = (y * self.shape.stride + top) * wide;
                let rows = rows(&padded, from, wide);
                let to = &mut self.out[y * width * channels..][..width * channels];
                for (x, to) in to.chunks_exact_mut(channels).enumerate() {
                    let mut sum = conv3x3(simd, &rows, x * self.shape.stride + left, &taps, bias);
                    if self.relu6 {
                        sum = simd.min_f32s(simd.max_f32s(sum, low), high);
                    }
                    store(simd, &mut to[block.clone()], sum);
                }
            }
        }
    }
}

/// Backward pass of one picture; returns the gradients of weights and bias.
struct Backward<'a> {
    shape: MapShape,
    input: &'a [f32],
    weights: &'a [f32],
    output: Option<&'a [f32]>,
    gradient: &'a [f32],
    to: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Backward<'_> {
    type Output = (Vec<f32>, Vec<f32>);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self { shape, to, .. } = self;
        let channels = shape.channels;
        let mut weight_sums = vec![0.0; self.weights.len()];
        let mut bias_sums = vec![0.0; channels];
        let (mut padded, mut back) = (shape.zeros(simd), shape.zeros(simd));
        let wide = shape.padded().1;
        for block in blocks::<S>(channels) {
            pad(simd, shape, &block, self.input, &mut padded);
            let sum = scatter_grad(simd, shape, &block, self.output, self.gradient, &mut back);
            simd.partial_store_f32s(&mut bias_sums[block.clone()], sum);
            for (tap, sum) in weight_gradients(simd, shape, &padded, &back)
                .into_iter()
                .enumerate()
            {
                let row = &mut weight_sums[tap * channels..][..channels];
                simd.partial_store_f32s(&mut row[block.clone()], sum);
            }
            let mut flipped = taps(simd, self.weights, channels, &block);
            flipped.reverse();
            let none = simd.splat_f32s(0.0);
            for y in 0..shape.height {
                let rows = rows(&back, y * wide, wide);
                let to = &mut to[y * shape.width * channels..][..shape.width * channels];
                for (x, to) in to.chunks_exact_mut(channels).enumerate() {
                    let sum = conv3x3(simd, &rows, x, &flipped, none);
                    store(simd, &mut to[block.clone()], sum);
                }
            }
        }
        (weight_sums, bias_sums)
    }
}

impl MapShape {
    /// Height and width of the padded map: one more pixel on each side, whatever the stride.
    fn padded(&self) -> (usize, usize) {
        (self.height + 2, self.width + 2)
    }

    /// Row and column of the padded map where the first kernel begins.
    fn first(&self) -> (usize, usize) {
        let (top, left) = self.padding();
        (1 - top, 1 - left)
    }

    /// An all-zero padded map. Every block of channels writes the same elements, so the others stay zero.
    #[inline(always)]
    fn zeros<S: Simd>(&self, simd: S) -> Vec<S::f32s> {
        let (height, width) = self.padded();
        vec![simd.splat_f32s(0.0); height * width]
    }
}

/// Loads a block; the last one may be shorter than a vector and is filled up with zeros.
#[inline(always)]
fn load<S: Simd>(simd: S, from: &[f32]) -> S::f32s {
    match S::as_simd_f32s(from) {
        ([whole], []) => *whole,
        _ => simd.partial_load_f32s(from),
    }
}

/// Stores the first `to.len()` lanes.
#[inline(always)]
fn store<S: Simd>(_: S, to: &mut [MaybeUninit<f32>], values: S::f32s) {
    let values: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&values));
    to.write_copy_of_slice(&values[..to.len()]);
}

/// The channels in blocks of the width of a SIMD vector.
#[inline(always)]
fn blocks<S: Simd>(channels: usize) -> impl Iterator<Item = Range<usize>> {
    let step = S::F32_LANES;
    (0..channels)
        .step_by(step)
        .map(move |at| at..channels.min(at + step))
}

/// The nine weights of a block.
#[inline(always)]
fn taps<S: Simd>(
    simd: S,
    weights: &[f32],
    channels: usize,
    block: &Range<usize>,
) -> [S::f32s; TAPS] {
    let of = |tap| load(simd, &weights[tap * channels..][block.clone()]);
    [
        of(0),
        of(1),
        of(2),
        of(3),
        of(4),
        of(5),
        of(6),
        of(7),
        of(8),
    ]
}

/// Three consecutive rows of a map of `wide` columns, from the index `from`.
#[inline(always)]
fn rows<T>(map: &[T], from: usize, wide: usize) -> [&[T]; 3] {
    [
        &map[from..][..wide],
        &map[from + wide..][..wide],
        &map[from + 2 * wide..][..wide],
    ]
}

/// Copies a block of a picture's map into the padded map.
#[inline(always)]
fn pad<S: Simd>(
    simd: S,
    shape: MapShape,
    block: &Range<usize>,
    input: &[f32],
    padded: &mut [S::f32s],
) {
    let width = shape.padded().1;
    let row = shape.width * shape.channels;
    for (y, from) in input.chunks_exact(row).enumerate() {
        let to = &mut padded[(y + 1) * width + 1..][..shape.width];
        for (to, from) in to.iter_mut().zip(from.chunks_exact(shape.channels)) {
            *to = load(simd, &from[block.clone()]);
        }
    }
}

/// Adds the nine products of one output pixel to `sum`.
#[inline(always)]
fn conv3x3<S: Simd>(
    simd: S,
    rows: &[&[S::f32s]; 3],
    x: usize,
    taps: &[S::f32s; TAPS],
    mut sum: S::f32s,
) -> S::f32s {
    for (row, taps) in rows.iter().zip(taps.as_chunks::<3>().0) {
        for (pixel, tap) in row[x..x + 3].iter().zip(taps) {
            sum = simd.mul_add_f32s(*pixel, *tap, sum);
        }
    }
    sum
}

/// Scatters the output's gradient, masked by relu6, into a padded map of the input's size, so that a flipped kernel with
/// stride 1 gives the input's gradient; elements between strides stay 0. Returns the sum of the gradient.
#[inline(always)]
fn scatter_grad<S: Simd>(
    simd: S,
    shape: MapShape,
    block: &Range<usize>,
    output: Option<&[f32]>,
    gradient: &[f32],
    back: &mut [S::f32s],
) -> S::f32s {
    let wide = shape.padded().1;
    let (none, six) = (simd.splat_f32s(0.0), simd.splat_f32s(RELU6_MAX));
    let (height, width) = shape.output();
    let (top, left) = shape.first();
    let mut sum = none;
    for y in 0..height {
        let row = &mut back[(y * shape.stride + top + 1) * wide..][..wide];
        for x in 0..width {
            let pixel = (y * width + x) * shape.channels;
            let mut gradient_at = load(simd, &gradient[pixel..][block.clone()]);
            if let Some(output) = output {
                let y = load(simd, &output[pixel..][block.clone()]);
                gradient_at = simd.select_f32s(simd.less_than_f32s(none, y), gradient_at, none);
                gradient_at = simd.select_f32s(simd.less_than_f32s(y, six), gradient_at, none);
            }
            sum = simd.add_f32s(sum, gradient_at);
            row[x * shape.stride + left + 1] = gradient_at;
        }
    }
    sum
}

/// Gradients of the nine weights.
#[inline(always)]
fn weight_gradients<S: Simd>(
    simd: S,
    shape: MapShape,
    padded: &[S::f32s],
    back: &[S::f32s],
) -> [S::f32s; TAPS] {
    let (height, width) = shape.output();
    let wide = shape.padded().1;
    let (top, left) = shape.first();
    let mut sums = [simd.splat_f32s(0.0); TAPS];
    for y in 0..height {
        let from = (y * shape.stride + top) * wide;
        let rows = rows(padded, from, wide);
        let gradients = &back[from + wide..][..wide];
        for x in 0..width {
            let x = x * shape.stride + left;
            let gradient_at = gradients[x + 1];
            for (row, sums) in rows.iter().zip(sums.as_chunks_mut::<3>().0) {
                for (pixel, sum) in row[x..x + 3].iter().zip(sums) {
                    *sum = simd.mul_add_f32s(*pixel, gradient_at, *sum);
                }
            }
        }
    }
    sums
}
