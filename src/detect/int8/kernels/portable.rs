//! The reference: plain loops that compilers turn into vectors, and that say what is to be computed.
//!
//! Eight channels at a time, their sums in an array; any window, any number of channels.

use super::super::arithmetic::Stored;
use super::super::layer::{DenseLayer, DepthwiseLayer};
use super::super::map::{CHANNEL_GROUP, Walk};
use super::{Kernels, PackedDense, PackedDepthwise};

/// Bytes that are multiplied together.
const STEP: usize = 2;

/// Runs on every processor.
pub(super) static KERNELS: Kernels = Kernels {
    name: "portable",
    pack_dense,
    dense,
    pack_depthwise,
    depthwise,
};

fn pack_dense(layer: &DenseLayer, pixel: usize) -> PackedDense {
    let panels = vec![CHANNEL_GROUP; layer.sums.channels().div_ceil(CHANNEL_GROUP)];
    PackedDense::new(layer, pixel, STEP, &panels, |place| place)
}

fn dense(layer: &PackedDense, walk: &Walk, input: &[Stored], output: &mut [Stored]) {
    layer.check(walk, input, output);
    let panel_weights = layer.lines * layer.line * CHANNEL_GROUP;
    for_each_pixel(walk, |from, to| {
        for first in (0..layer.channels).step_by(CHANNEL_GROUP) {
            let panel = &layer.weights[first / CHANNEL_GROUP * panel_weights..][..panel_weights];
            let mut sums = group(&layer.bias, first);
            let lines = panel.chunks_exact((layer.line * CHANNEL_GROUP).max(1));
            for (y, weights) in lines.enumerate() {
                let values = &input[from + y * walk.in_line..][..layer.line];
                let (values, _) = values.as_chunks::<STEP>();
                let (weights, _) = weights.as_chunks::<{ STEP * CHANNEL_GROUP }>();
                for (values, weights) in values.iter().zip(weights) {
                    add_pairs(&mut sums, *values, weights);
                }
            }
            let multipliers = group(&layer.multipliers, first);
            let out = &mut output[to + first..][..CHANNEL_GROUP];
            for ((out, sum), multiplier) in out.iter_mut().zip(sums).zip(multipliers) {
                *out = layer.target.requantise(sum, multiplier);
            }
        }
    });
}

fn pack_depthwise(layer: &DepthwiseLayer) -> PackedDepthwise {
    let channels = layer.sums.channels().next_multiple_of(CHANNEL_GROUP);
    let [down, across] = layer.window.kernel;
    let weights: Vec<i8> = (0..down * across)
        .flat_map(|tap| (0..channels).map(move |c| layer.weight(tap / across, tap % across, c)))
        .collect();
    PackedDepthwise::new(layer, channels, &weights, |place| place)
}

fn depthwise(layer: &PackedDepthwise, walk: &Walk, input: &[Stored], output: &mut [Stored]) {
    layer.check(walk, input, output);
    let [down, across] = layer.kernel;
    let channels = layer.channels;
    for_each_pixel(walk, |from, to| {
        for first in (0..channels).step_by(CHANNEL_GROUP) {
            let mut sums = group(&layer.bias, first);
            for (y, x) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
                let values = group(input, from + y * walk.in_line + x * channels + first);
                let weights = group(&layer.weights, (y * across + x) * channels + first);
                add_products(&mut sums, values, &weights);
            }
            let multipliers = group(&layer.multipliers, first);
            let out = &mut output[to + first..][..CHANNEL_GROUP];
            for ((out, sum), multiplier) in out.iter_mut().zip(sums).zip(multipliers) {
                *out = layer.target.requantise(sum, multiplier);
            }
        }
    });
}

/// Calls with the places of each window in the input and of its pixel in the output.
fn for_each_pixel(walk: &Walk, mut at: impl FnMut(usize, usize)) {
    for y in 0..walk.rows {
        for x in 0..walk.width {
            at(
                y * walk.in_row + x * walk.in_pixel,
                y * walk.out_row + x * walk.out_pixel,
            );
        }
    }
}

#[inline]
fn group<T: Copy + Default>(values: &[T], from: usize) -> [T; CHANNEL_GROUP] {
    let mut group = [T::default(); CHANNEL_GROUP];
    group.copy_from_slice(&values[from..][..CHANNEL_GROUP]);
    group
}

/// Adds the products of two values with the two weights of each channel: most vector units have an instruction for
/// just that.
#[inline(always)]
fn add_pairs(
    sums: &mut [i32; CHANNEL_GROUP],
    values: [Stored; STEP],
    weights: &[i8; STEP * CHANNEL_GROUP],
) {
    let values = values.map(i16::from);
    for (lane, sum) in sums.iter_mut().enumerate() {
        let product =
            |at: usize| i32::from(values[at]) * i32::from(i16::from(weights[lane * STEP + at]));
        *sum += product(0) + product(1);
    }
}

#[inline]
fn add_products(
    sums: &mut [i32; CHANNEL_GROUP],
    values: [Stored; CHANNEL_GROUP],
    weights: &[i8; CHANNEL_GROUP],
) {
    for ((sum, value), &weight) in sums.iter_mut().zip(values).zip(weights) {
        // A product fits in 16 bits, which most vector units multiply in one step.
        *sum += i32::from(i16::from(value).wrapping_mul(i16::from(weight)));
    }
}
