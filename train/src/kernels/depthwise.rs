//! The depthwise convolution of 3 x 3: each channel has its own nine weights.
//!
//! A picture's map is taken apart into blocks of channels, each with a ring of zeros around it, which lie in
//! the cache while all nine taps are summed up; what lies at an edge needs no case of its own.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{Gradients, SIX, written};

/// Taps of the kernel.
const TAPS: usize = 9;

/// Shapes of a layer's maps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Height of the input.
    pub(crate) height: usize,
    /// Width of the input.
    pub(crate) width: usize,
    /// Channels of both.
    pub(crate) channels: usize,
    /// 1, or 2: then the padding is that of TensorFlow's SAME, on an even side only right and bottom.
    pub(crate) stride: usize,
}

impl Shape {
    /// Height and width of the output.
    pub(crate) fn output(&self) -> (usize, usize) {
        (
            self.height.div_ceil(self.stride),
            self.width.div_ceil(self.stride),
        )
    }

    /// Zeros before the first row and the first column: what SAME leaves there.
    pub(crate) fn before(&self) -> (usize, usize) {
        let before = |side: usize| match (self.stride, side % 2) {
            (2, 0) => 0,
            _ => 1,
        };
        (before(self.height), before(self.width))
    }

    fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Height and width with the ring of zeros.
    fn padded(&self) -> (usize, usize) {
        (self.height + 2, self.width + 2)
    }
}

/// `[batch, height, width, channels]` to the same at the output's size; `weights` is `[9, channels]`.
pub(crate) fn forward(
    shape: Shape,
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
    #[allow(
        unsafe_code,
        reason = "every pixel of every picture has all its blocks stored"
    )]
    unsafe {
        written(pictures * height * width * shape.channels, fill)
    }
}

/// The gradients from that of the output; see [`super::pointwise::backward`].
pub(crate) fn backward(
    shape: Shape,
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
    #[allow(
        unsafe_code,
        reason = "every pixel of every picture has all its blocks stored"
    )]
    let to = unsafe { written(input.len(), &mut fill) };
    Gradients::of_parts(Some(to), &parts, (weights.len(), shape.channels))
}

/// One picture's way forward.
struct Forward<'a> {
    shape: Shape,
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
        let (low, high) = (simd.splat_f32s(0.0), simd.splat_f32s(SIX));
        let mut ring = self.shape.ring(simd);
        for block in blocks::<S>(channels) {
            let taps = taps(simd, self.weights, channels, &block);
            let bias = load(simd, &self.bias[block.clone()]);
            surround(simd, self.shape, &block, self.input, &mut ring);
            for y in 0..height {
                let from = (y * self.shape.stride + top) * wide;
                let rows = rows(&ring, from, wide);
                let to = &mut self.out[y * width * channels..][..width * channels];
                for (x, to) in to.chunks_exact_mut(channels).enumerate() {
                    let mut sum = tapped(simd, &rows, x * self.shape.stride + left, &taps, bias);
                    if self.relu6 {
                        sum = simd.min_f32s(simd.max_f32s(sum, low), high);
                    }
                    store(simd, &mut to[block.clone()], sum);
                }
            }
        }
    }
}

/// One picture's way backward: gives back the gradients of weights and bias.
struct Backward<'a> {
    shape: Shape,
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
        let mut of_weights = vec![0.0; self.weights.len()];
        let mut of_bias = vec![0.0; channels];
        let (mut ring, mut back) = (shape.ring(simd), shape.ring(simd));
        let wide = shape.padded().1;
        for block in blocks::<S>(channels) {
            surround(simd, shape, &block, self.input, &mut ring);
            let sum = spread(simd, shape, &block, self.output, self.gradient, &mut back);
            simd.partial_store_f32s(&mut of_bias[block.clone()], sum);
            for (tap, sum) in of_taps(simd, shape, &ring, &back).into_iter().enumerate() {
                let row = &mut of_weights[tap * channels..][..channels];
                simd.partial_store_f32s(&mut row[block.clone()], sum);
            }
            let mut flipped = taps(simd, self.weights, channels, &block);
            flipped.reverse();
            let none = simd.splat_f32s(0.0);
            for y in 0..shape.height {
                let rows = rows(&back, y * wide, wide);
                let to = &mut to[y * shape.width * channels..][..shape.width * channels];
                for (x, to) in to.chunks_exact_mut(channels).enumerate() {
                    let sum = tapped(simd, &rows, x, &flipped, none);
                    store(simd, &mut to[block.clone()], sum);
                }
            }
        }
        (of_weights, of_bias)
    }
}

impl Shape {
    /// Row and column of the ring's map where the first kernel begins.
    fn first(&self) -> (usize, usize) {
        let (top, left) = self.before();
        (1 - top, 1 - left)
    }

    /// A map with its ring, all zeros. A block of channels writes only the places that the next one writes
    /// again, so that the zeros between and around them stay.
    #[inline(always)]
    fn ring<S: Simd>(&self, simd: S) -> Vec<S::f32s> {
        let (height, width) = self.padded();
        vec![simd.splat_f32s(0.0); height * width]
    }
}

/// A block's numbers; of a last block with fewer than a vector holds, zeros behind them.
#[inline(always)]
fn load<S: Simd>(simd: S, from: &[f32]) -> S::f32s {
    match S::as_simd_f32s(from) {
        ([whole], []) => *whole,
        _ => simd.partial_load_f32s(from),
    }
}

/// Writes as many numbers as there are places.
#[inline(always)]
fn store<S: Simd>(_: S, to: &mut [MaybeUninit<f32>], values: S::f32s) {
    let values: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&values));
    to.write_copy_of_slice(&values[..to.len()]);
}

/// The channels, as many at a time as a vector of the processor holds.
#[inline(always)]
fn blocks<S: Simd>(channels: usize) -> impl Iterator<Item = Range<usize>> {
    let step = S::F32_LANES;
    (0..channels)
        .step_by(step)
        .map(move |at| at..channels.min(at + step))
}

/// The nine weights of a block of channels.
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

/// Three rows of a map of `wide` columns, from a place on.
#[inline(always)]
fn rows<T>(map: &[T], from: usize, wide: usize) -> [&[T]; 3] {
    [
        &map[from..][..wide],
        &map[from + wide..][..wide],
        &map[from + 2 * wide..][..wide],
    ]
}

/// A block of channels of one picture's map with a ring of zeros around it.
#[inline(always)]
fn surround<S: Simd>(
    simd: S,
    shape: Shape,
    block: &Range<usize>,
    input: &[f32],
    ring: &mut [S::f32s],
) {
    let width = shape.padded().1;
    let row = shape.width * shape.channels;
    for (y, from) in input.chunks_exact(row).enumerate() {
        let to = &mut ring[(y + 1) * width + 1..][..shape.width];
        for (to, from) in to.iter_mut().zip(from.chunks_exact(shape.channels)) {
            *to = load(simd, &from[block.clone()]);
        }
    }
}

/// What comes of one kernel's nine pixels, added to `sum`.
#[inline(always)]
fn tapped<S: Simd>(
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

/// The gradient of the output, through `relu6`, spread over a map of the input's size with its ring: each
/// stands where a kernel turned around and stepping by 1 finds it, all else is 0. Gives back its sum.
#[inline(always)]
fn spread<S: Simd>(
    simd: S,
    shape: Shape,
    block: &Range<usize>,
    output: Option<&[f32]>,
    gradient: &[f32],
    back: &mut [S::f32s],
) -> S::f32s {
    let wide = shape.padded().1;
    let (none, six) = (simd.splat_f32s(0.0), simd.splat_f32s(SIX));
    let (height, width) = shape.output();
    let (top, left) = shape.first();
    let mut sum = none;
    for y in 0..height {
        let row = &mut back[(y * shape.stride + top + 1) * wide..][..wide];
        for x in 0..width {
            let pixel = (y * width + x) * shape.channels;
            let mut slope = load(simd, &gradient[pixel..][block.clone()]);
            if let Some(output) = output {
                let y = load(simd, &output[pixel..][block.clone()]);
                slope = simd.select_f32s(simd.less_than_f32s(none, y), slope, none);
                slope = simd.select_f32s(simd.less_than_f32s(y, six), slope, none);
            }
            sum = simd.add_f32s(sum, slope);
            row[x * shape.stride + left + 1] = slope;
        }
    }
    sum
}

/// The gradient of the nine weights.
#[inline(always)]
fn of_taps<S: Simd>(simd: S, shape: Shape, ring: &[S::f32s], back: &[S::f32s]) -> [S::f32s; TAPS] {
    let (height, width) = shape.output();
    let wide = shape.padded().1;
    let (top, left) = shape.first();
    let mut sums = [simd.splat_f32s(0.0); TAPS];
    for y in 0..height {
        let from = (y * shape.stride + top) * wide;
        let rows = rows(ring, from, wide);
        let slopes = &back[from + wide..][..wide];
        for x in 0..width {
            let x = x * shape.stride + left;
            let slope = slopes[x + 1];
            for (row, sums) in rows.iter().zip(sums.as_chunks_mut::<3>().0) {
                for (pixel, sum) in row[x..x + 3].iter().zip(sums) {
                    *sum = simd.mul_add_f32s(*pixel, slope, *sum);
                }
            }
        }
    }
    sums
}
