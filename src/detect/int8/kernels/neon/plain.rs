//! Processors without `SDOT`: Cortex-A53 and A72, so a Raspberry Pi 3, 4 and Zero 2 W.
//!
//! Two products of bytes fit in 16 bits as long as not all four bytes are -128, so two at a time are added there before
//! their sum goes on to one of 32 bits. Quantisers make no weights of -128; should a layer have one, the portable
//! kernels get it.

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::super::aligned::Aligned;
use super::super::super::layer::{DenseLayer, DepthwiseLayer};
use super::dense::{Factors, PIXELS};
use super::depthwise::{BLOCK, COLUMNS};
use super::{
    Kernels, Narrowing, PackedDense, PackedDepthwise, Products, Row, Stored, Walk, dense,
    depthwise, kernels,
};

pub(super) static KERNELS: Kernels =
    kernels!(
        "NEON",
        "neon",
        Plain,
        pack_dense,
        |layer| depthwise::pack::<Plain>(layer)
    );

struct Plain;

fn pack_dense(layer: &DenseLayer, pixel: usize) -> PackedDense {
    let mut packed = dense::pack::<Plain>(layer, pixel);
    let parts: Vec<i32> = packed
        .bias
        .iter()
        .flat_map(|&bias| [bias, 0, 0, 0])
        .collect();
    packed.bias = Aligned::copied(&parts);
    packed
}

/// For one pixel, the products of 16 bytes with the weights of four channels, each on its way through 16 bits. `$then`
/// comes when the weights were used.
macro_rules! pixel {
    ($values:literal, [$($sums:literal)*] $(, $then:literal)?) => {
        pixel!(@ $values, [24 25 26 27], [28 29 30 31], [$($sums)*], [$($then)?])
    };
    (@ $values:literal, [$($weights:literal)*], [$($words:literal)*], [$($sums:literal)*], [$($then:literal)?]) => {
        concat!(
            $("smull v", $words, ".8h, v", $weights, ".8b, v", $values, ".8b\n",)*
            $("smlal2 v", $words, ".8h, v", $weights, ".16b, v", $values, ".16b\n",)*
            $($then, "\n",)?
            $("sadalp v", $sums, ".4s, v", $words, ".8h\n",)*
        )
    };
}

/// For each pixel the sums of a panel's channels, each in four parts.
///
/// # Safety
/// As for [`Products::tile`].
#[target_feature(enable = "neon")]
#[inline]
unsafe fn sums(factors: &Factors) -> [[int32x4_t; 4]; PIXELS] {
    let mut sums = [[vdupq_n_s32(0); 4]; PIXELS];
    let [a, b, c, d] = &mut sums;
    let [first, second, third, fourth] = factors.windows;
    // SAFETY: reads what the caller says is there.
    unsafe {
        asm!(
            // The same sums for each pixel to begin with.
            "ld1 {{v0.4s-v3.4s}}, [{bias}]",
            "ld1 {{v4.4s-v7.4s}}, [{bias}]",
            "ld1 {{v8.4s-v11.4s}}, [{bias}]",
            "ld1 {{v12.4s-v15.4s}}, [{bias}]",
            // Each row of the window: 32 bytes a turn, then the 16 that may be left.
            "2:",
            "lsr {turns}, {line}, #5",
            "cbz {turns}, 4f",
            "3:",
            "ldp q16, q20, [{first}], #32",
            "ld1 {{v24.16b-v27.16b}}, [{weights}], #64",
            "ldp q17, q21, [{second}], #32",
            pixel!(16, [0 1 2 3]),
            "ldp q18, q22, [{third}], #32",
            pixel!(17, [4 5 6 7]),
            "ldp q19, q23, [{fourth}], #32",
            pixel!(18, [8 9 10 11]),
            pixel!(19, [12 13 14 15], "ld1 {{v24.16b-v27.16b}}, [{weights}], #64"),
            pixel!(20, [0 1 2 3]),
            pixel!(21, [4 5 6 7]),
            pixel!(22, [8 9 10 11]),
            "subs {turns}, {turns}, #1",
            pixel!(23, [12 13 14 15]),
            "b.ne 3b",
            "4:",
            "tbz {line}, #4, 5f",
            "ldr q16, [{first}], #16",
            "ld1 {{v24.16b-v27.16b}}, [{weights}], #64",
            "ldr q17, [{second}], #16",
            "ldr q18, [{third}], #16",
            "ldr q19, [{fourth}], #16",
            pixel!(16, [0 1 2 3]),
            pixel!(17, [4 5 6 7]),
            pixel!(18, [8 9 10 11]),
            pixel!(19, [12 13 14 15]),
            "5:",
            "subs {lines}, {lines}, #1",
            "b.eq 6f",
            "add {first}, {first}, {jump}",
            "add {second}, {second}, {jump}",
            "add {third}, {third}, {jump}",
            "add {fourth}, {fourth}, {jump}",
            "b 2b",
            "6:",
            bias = in(reg) factors.bias,
            weights = inout(reg) factors.weights => _,
            first = inout(reg) first => _,
            second = inout(reg) second => _,
            third = inout(reg) third => _,
            fourth = inout(reg) fourth => _,
            line = in(reg) factors.line,
            lines = inout(reg) factors.lines => _,
            jump = in(reg) factors.in_line.wrapping_sub(factors.line),
            turns = out(reg) _,
            out("v0") a[0], out("v1") a[1], out("v2") a[2], out("v3") a[3],
            out("v4") b[0], out("v5") b[1], out("v6") b[2], out("v7") b[3],
            out("v8") c[0], out("v9") c[1], out("v10") c[2], out("v11") c[3],
            out("v12") d[0], out("v13") d[1], out("v14") d[2], out("v15") d[3],
            out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _,
            out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(readonly, nostack)
        );
    }
    sums
}

// SAFETY: each method does what the trait says, and touches no more memory than it says.
unsafe impl Products for Plain {
    const PANEL: usize = 4;
    const BIASES: usize = 4;
    const STEP: usize = 16;
    const ROWS: usize = 1;

    #[inline(always)]
    unsafe fn tile(
        factors: &Factors,
        to: &Narrowing,
        multipliers: *const f32,
        outputs: [*mut i8; PIXELS],
        _: usize,
    ) {
        // SAFETY: the caller's.
        unsafe {
            let sums =
                sums(factors).map(|[a, b, c, d]| vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)));
            let multipliers = [vld1q_f32(multipliers); 4];
            let quads = vreinterpretq_s32_s8(to.bytes(sums, multipliers));
            let [first, second, third, fourth] = outputs;
            vst1q_lane_s32::<0>(first.cast(), quads);
            vst1q_lane_s32::<1>(second.cast(), quads);
            vst1q_lane_s32::<2>(third.cast(), quads);
            vst1q_lane_s32::<3>(fourth.cast(), quads);
        }
    }

    /// For each column, the weights of its three rows.
    fn depthwise_weights(layer: &DepthwiseLayer, blocks: usize) -> Vec<i8> {
        let mut weights = Vec::with_capacity(blocks * BLOCK * 3 * COLUMNS);
        for block in 0..blocks {
            for (column, line) in (0..COLUMNS).flat_map(|x| (0..3).map(move |line| (x, line))) {
                let channels = block * BLOCK..(block + 1) * BLOCK;
                weights.extend(channels.map(|channel| layer.weight(line, column, channel)));
            }
        }
        weights
    }

    #[inline(always)]
    unsafe fn row<const R: usize, const STRIDE: usize>(row: &Row<'_>) {
        let lines = [0, 1, 2].map(|line| row.input.wrapping_add(line * row.walk.in_line));
        // SAFETY: the caller's, and the weights are packed in this order.
        unsafe {
            let column = |at: usize| lines.map(|line| vld1q_s8(line.add(at)));
            let weights: [[int8x16_t; 3]; COLUMNS] = std::array::from_fn(|x| {
                std::array::from_fn(|line| vld1q_s8(row.weights.add((3 * x + line) * BLOCK)))
            });
            let mut columns = [0, 1, 2].map(|x| column(x * row.channels));
            let mut from = 0;
            let mut to = 0;
            for x in 0..row.walk.width {
                let bias = vld1q_s32_x4(row.bias);
                let mut sums = [bias.0, bias.1, bias.2, bias.3];
                let taps = columns.as_flattened();
                let weights = weights.as_flattened();
                for (values, weights) in taps.chunks(2).zip(weights.chunks(2)) {
                    let mut low = vmull_s8(vget_low_s8(values[0]), vget_low_s8(weights[0]));
                    let mut high = vmull_high_s8(values[0], weights[0]);
                    if let ([_, values], [_, weights]) = (values, weights) {
                        low = vmlal_s8(low, vget_low_s8(*values), vget_low_s8(*weights));
                        high = vmlal_high_s8(high, *values, *weights);
                    }
                    sums = [
                        vaddw_s16(sums[0], vget_low_s16(low)),
                        vaddw_high_s16(sums[1], low),
                        vaddw_s16(sums[2], vget_low_s16(high)),
                        vaddw_high_s16(sums[3], high),
                    ];
                }
                let multipliers = vld1q_f32_x4(row.multipliers);
                let multipliers = [multipliers.0, multipliers.1, multipliers.2, multipliers.3];
                let bytes = row.to.bytes(sums, multipliers);
                let output = row.output.add(to);
                if row.is_whole {
                    vst1q_s8(output, bytes);
                } else {
                    vst1_s8(output, vget_low_s8(bytes));
                }
                if x + 1 == row.walk.width {
                    break;
                }
                from += row.walk.in_pixel;
                to += row.walk.out_pixel;
                let next = |x: usize| column(from + x * row.channels);
                columns = match STRIDE {
                    1 => [columns[1], columns[2], next(2)],
                    2 => [columns[2], next(1), next(2)],
                    _ => [next(0), next(1), next(2)],
                };
            }
        }
    }
}
