//! The reference implementation, in plain loops that compilers vectorize: eight channels at a time, with any window and
//! any number of channels.

use super::super::graph::{Conv2d, DepthwiseConv2d};
use super::super::tensor::{CHANNEL_GROUP, ConvGeometry, Quantized};
use super::{Kernels, Packed, PackedConv2d, PackedDepthwise};

/// Bytes of a kernel row that are multiplied in one step.
const STEP: usize = 2;

/// For every processor.
pub(super) static KERNELS: Kernels = Kernels {
    name: "portable",
    pack_conv2d: |layer, pixel_stride| Packed::Native(pack_conv2d(layer, pixel_stride)),
    conv2d,
    pack_depthwise: |layer| Packed::Native(pack_depthwise(layer)),
    depthwise,
};

pub(super) fn pack_conv2d(layer: &Conv2d, pixel_stride: usize) -> PackedConv2d {
    let panels = vec![CHANNEL_GROUP; layer.epilogue.channels().div_ceil(CHANNEL_GROUP)];
    PackedConv2d::new(layer, pixel_stride, STEP, &panels, |lane| lane)
}

pub(super) fn conv2d(
    layer: &PackedConv2d,
    geometry: &ConvGeometry,
    input: &[Quantized],
    output: &mut [Quantized],
) {
    layer.check(geometry, input, output);
    let panel_weights = layer.kernel_rows * layer.kernel_row_bytes * CHANNEL_GROUP;
    for_each_pixel(geometry, |from, to| {
        for first in (0..layer.channels).step_by(CHANNEL_GROUP) {
            let panel = &layer.weights[first / CHANNEL_GROUP * panel_weights..][..panel_weights];
            let mut sums = group(&layer.bias, first);
            let rows = panel.chunks_exact((layer.kernel_row_bytes * CHANNEL_GROUP).max(1));
            for (y, weights) in rows.enumerate() {
                let values = &input[from + y * geometry.kernel_row_stride..];
                let (values, _) = values[..layer.kernel_row_bytes].as_chunks::<STEP>();
                let (weights, _) = weights.as_chunks::<{ STEP * CHANNEL_GROUP }>();
                for (values, weights) in values.iter().zip(weights) {
                    add_pairs(&mut sums, *values, weights);
                }
            }
            let multipliers = group(&layer.multipliers, first);
            let out = &mut output[to + first..][..CHANNEL_GROUP];
            for ((out, sum), multiplier) in out.iter_mut().zip(sums).zip(multipliers) {
                *out = layer.output_quant.requantize(sum, multiplier);
            }
        }
    });
}

pub(super) fn pack_depthwise(layer: &DepthwiseConv2d) -> PackedDepthwise {
    let channels = layer.epilogue.channels().next_multiple_of(CHANNEL_GROUP);
    let [rows, columns] = layer.window.kernel;
    let weights: Vec<i8> = (0..rows * columns)
        .flat_map(|tap| (0..channels).map(move |c| layer.weight(tap / columns, tap % columns, c)))
        .collect();
    PackedDepthwise::new(layer, channels, &weights, |lane| lane)
}

pub(super) fn depthwise(
    layer: &PackedDepthwise,
    geometry: &ConvGeometry,
    input: &[Quantized],
    output: &mut [Quantized],
) {
    layer.check(geometry, input, output);
    let [rows, columns] = layer.kernel;
    let channels = layer.channels;
    for_each_pixel(geometry, |from, to| {
        for first in (0..channels).step_by(CHANNEL_GROUP) {
            let mut sums = group(&layer.bias, first);
            for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                let offset = from + y * geometry.kernel_row_stride + x * channels + first;
                let values = group(input, offset);
                let weights = group(&layer.weights, (y * columns + x) * channels + first);
                add_products(&mut sums, values, &weights);
            }
            let multipliers = group(&layer.multipliers, first);
            let out = &mut output[to + first..][..CHANNEL_GROUP];
            for ((out, sum), multiplier) in out.iter_mut().zip(sums).zip(multipliers) {
                *out = layer.output_quant.requantize(sum, multiplier);
            }
        }
    });
}

/// Calls `run` with the offsets of each window in the input and of its pixel in the output.
fn for_each_pixel(geometry: &ConvGeometry, mut run: impl FnMut(usize, usize)) {
    for y in 0..geometry.rows {
        for x in 0..geometry.width {
            run(
                y * geometry.window_step_y + x * geometry.window_step_x,
                y * geometry.out_row_stride + x * geometry.out_pixel_stride,
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

/// Adds the products of two values with the two weights of each channel: most vector units have one instruction for
/// this.
#[inline(always)]
fn add_pairs(
    sums: &mut [i32; CHANNEL_GROUP],
    values: [Quantized; STEP],
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
    values: [Quantized; CHANNEL_GROUP],
    weights: &[i8; CHANNEL_GROUP],
) {
    for ((sum, value), &weight) in sums.iter_mut().zip(values).zip(weights) {
        // A product fits in 16 bits, which most vector units multiply in one instruction.
        *sum += i32::from(i16::from(value).wrapping_mul(i16::from(weight)));
    }
}
