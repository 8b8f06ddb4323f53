//! Processors with `SDOT`, which adds four products of bytes to each of four sums: Cortex-A55, A75 and later, such as
//! in the Raspberry Pi 5.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{
    BLOCK_CHANNELS, COLUMNS, ConvGeometry, DepthwiseConv2d, Kernels, NeonPanel, NeonRequantizer,
    NeonTile, NeonVariant, Packed, PackedConv2d, PackedDepthwise, Quantized, TILE_PIXELS,
    pack_conv2d, pack_depthwise, run_conv2d, run_depthwise,
};

pub(super) static KERNELS: Kernels = with_features!(
    "NEON dot product",
    "neon,dotprod",
    DotProduct,
    |layer, pixel_stride| Packed::Native(pack_conv2d::<DotProduct>(layer, pixel_stride)),
    pack_depthwise::<DotProduct>
);

struct DotProduct;

/// For one pixel, the products of one of its four groups of four bytes with four vectors of weights.
macro_rules! pixel {
    ($lane:literal, $values:literal, [$($sums:literal)*], [$($weights:literal)*]) => {
        concat!($("sdot v", $sums, ".4s, v", $weights, ".16b, v", $values, ".4b[", $lane, "]\n"),*)
    };
}

/// The same for four pixels, whose sums are in registers 0 to 15.
macro_rules! group {
    ($lane:literal, [$first:literal $second:literal $third:literal $fourth:literal], $weights:tt) => {
        concat!(
            pixel!($lane, $first, [0 1 2 3], $weights),
            pixel!($lane, $second, [4 5 6 7], $weights),
            pixel!($lane, $third, [8 9 10 11], $weights),
            pixel!($lane, $fourth, [12 13 14 15], $weights),
        )
    };
}

/// For each pixel, the sums of a panel's channels.
///
/// # Safety
/// As for [`NeonVariant::tile`].
#[target_feature(enable = "neon,dotprod")]
#[inline]
unsafe fn sums(panel: &NeonPanel, tile: &NeonTile) -> [[int32x4_t; 4]; TILE_PIXELS] {
    let mut sums = [[vdupq_n_s32(0); 4]; TILE_PIXELS];
    let [a, b, c, d] = &mut sums;
    let [first, second, third, fourth] = tile.windows;
    // SAFETY: the assembly reads only what the caller guarantees.
    unsafe {
        asm!(
            // Initial sums, the same for each pixel.
            "ld1 {{v0.4s-v3.4s}}, [{bias}]",
            "ld1 {{v4.4s-v7.4s}}, [{bias}]",
            "ld1 {{v8.4s-v11.4s}}, [{bias}]",
            "ld1 {{v12.4s-v15.4s}}, [{bias}]",
            // Each kernel row: 32 bytes per iteration, then the rest.
            "2:",
            "lsr {iterations}, {kernel_row_bytes}, #5",
            "cbz {iterations}, 4f",
            "3:",
            "ld1 {{v24.16b-v27.16b}}, [{weights}], #64",
            "ldp q16, q20, [{first}], #32",
            "ldp q17, q21, [{second}], #32",
            "ldp q18, q22, [{third}], #32",
            "ldp q19, q23, [{fourth}], #32",
            "ld1 {{v28.16b-v31.16b}}, [{weights}], #64",
            group!(0, [16 17 18 19], [24 25 26 27]),
            "ld1 {{v24.16b-v27.16b}}, [{weights}], #64",
            group!(1, [16 17 18 19], [28 29 30 31]),
            "ld1 {{v28.16b-v31.16b}}, [{weights}], #64",
            group!(2, [16 17 18 19], [24 25 26 27]),
            "ld1 {{v24.16b-v27.16b}}, [{weights}], #64",
            group!(3, [16 17 18 19], [28 29 30 31]),
            "ld1 {{v28.16b-v31.16b}}, [{weights}], #64",
            group!(0, [20 21 22 23], [24 25 26 27]),
            "ld1 {{v24.16b-v27.16b}}, [{weights}], #64",
            group!(1, [20 21 22 23], [28 29 30 31]),
            "ld1 {{v28.16b-v31.16b}}, [{weights}], #64",
            group!(2, [20 21 22 23], [24 25 26 27]),
            "subs {iterations}, {iterations}, #1",
            group!(3, [20 21 22 23], [28 29 30 31]),
            "b.ne 3b",
            "4:",
            "ands {iterations}, {kernel_row_bytes}, #31",
            "b.eq 6f",
            "5:",
            "ldr s16, [{first}], #4",
            "ldr s17, [{second}], #4",
            "ldr s18, [{third}], #4",
            "ldr s19, [{fourth}], #4",
            "ld1 {{v24.16b-v27.16b}}, [{weights}], #64",
            "subs {iterations}, {iterations}, #4",
            group!(0, [16 17 18 19], [24 25 26 27]),
            "b.ne 5b",
            "6:",
            "subs {kernel_rows}, {kernel_rows}, #1",
            "b.eq 7f",
            "add {first}, {first}, {row_jump}",
            "add {second}, {second}, {row_jump}",
            "add {third}, {third}, {row_jump}",
            "add {fourth}, {fourth}, {row_jump}",
            "b 2b",
            "7:",
            bias = in(reg) panel.bias,
            weights = inout(reg) panel.weights => _,
            first = inout(reg) first => _,
            second = inout(reg) second => _,
            third = inout(reg) third => _,
            fourth = inout(reg) fourth => _,
            kernel_row_bytes = in(reg) panel.kernel_row_bytes,
            kernel_rows = inout(reg) panel.kernel_rows => _,
            row_jump = in(reg) panel.row_jump,
            iterations = out(reg) _,
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

// SAFETY: each method implements the trait's contract and accesses only the memory that it allows.
unsafe impl NeonVariant for DotProduct {
    const PANEL_CHANNELS: usize = 16;
    const BIASES: usize = 1;
    const STEP: usize = 4;
    const ROWS: usize = 2;
    /// They do not fit in the registers.
    type Weights = *const i8;
    /// In each vector, the four values of four channels.
    type Column = [int8x16_t; 4];

    #[inline(always)]
    unsafe fn tile(panel: &NeonPanel, tile: &NeonTile, to: &NeonRequantizer) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let sums = sums(panel, tile);
            let multipliers = vld1q_f32_x4(panel.multipliers);
            let multipliers = [multipliers.0, multipliers.1, multipliers.2, multipliers.3];
            for (sums, output) in sums.into_iter().zip(tile.pixels) {
                let bytes = to.bytes(sums, multipliers);
                let output = output.add(panel.first_channel);
                if panel.channels == Self::PANEL_CHANNELS {
                    vst1q_s8(output, bytes);
                } else {
                    vst1_s8(output, vget_low_s8(bytes));
                }
            }
        }
    }

    /// For the upper and the lower of two rows that are computed at once, for each column, for each channel: the
    /// weights of the four values of the column. The upper row skips the fourth value, the lower one the first.
    fn depthwise_weights(layer: &DepthwiseConv2d, blocks: usize) -> Vec<i8> {
        let mut weights = Vec::with_capacity(blocks * BLOCK_WEIGHTS);
        for block in 0..blocks {
            for (lower, column) in (0..2).flat_map(|lower| (0..COLUMNS).map(move |x| (lower, x))) {
                for channel in block * BLOCK_CHANNELS..(block + 1) * BLOCK_CHANNELS {
                    let weight = |row: usize| match row.checked_sub(lower) {
                        Some(row) => layer.weight(row, column, channel),
                        None => 0,
                    };
                    weights.extend((0..4).map(weight));
                }
            }
        }
        weights
    }

    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::Weights {
        from
    }

    #[inline(always)]
    unsafe fn column(kernel_rows: [*const i8; 4], offset: usize) -> Self::Column {
        // SAFETY: guaranteed by the caller.
        unsafe { interleave(kernel_rows.map(|row| vld1q_s8(row.wrapping_add(offset)))) }
    }

    #[inline(always)]
    unsafe fn sums(
        columns: [Self::Column; COLUMNS],
        weights: Self::Weights,
        bias: *const i32,
        is_lower: bool,
    ) -> [int32x4_t; 4] {
        let lower = if is_lower { BLOCK_WEIGHTS / 2 } else { 0 };
        // SAFETY: guaranteed by the caller, and the weights are packed in this order.
        unsafe { depthwise_sums(columns, weights.add(lower), bias) }
    }
}

/// Bytes of the weights of a channel block of a depthwise convolution.
const BLOCK_WEIGHTS: usize = 2 * COLUMNS * BLOCK_CHANNELS * 4;

/// Interleaves four kernel rows so that the four values of each channel are adjacent, channels in order.
#[target_feature(enable = "neon")]
#[inline]
fn interleave([a, b, c, d]: [int8x16_t; 4]) -> [int8x16_t; 4] {
    let pairs = |first, second| {
        [vzip1q_s8(first, second), vzip2q_s8(first, second)]
            .map(|pairs| vreinterpretq_s16_s8(pairs))
    };
    let [upper, lower] = [pairs(a, b), pairs(c, d)];
    let zipped = |half: usize| {
        [
            vzip1q_s16(upper[half], lower[half]),
            vzip2q_s16(upper[half], lower[half]),
        ]
    };
    let [[first, second], [third, fourth]] = [zipped(0), zipped(1)];
    [first, second, third, fourth].map(|quads| vreinterpretq_s8_s16(quads))
}

/// The sums of a block's channels.
///
/// # Safety
/// `bias` and `weights` point to those of a block.
#[target_feature(enable = "neon,dotprod")]
#[inline]
unsafe fn depthwise_sums(
    [first, second, third]: [[int8x16_t; 4]; COLUMNS],
    weights: *const i8,
    bias: *const i32,
) -> [int32x4_t; 4] {
    let mut sums = [vdupq_n_s32(0); 4];
    // SAFETY: the assembly reads only what the caller guarantees.
    unsafe {
        asm!(
            "ld1 {{v0.4s-v3.4s}}, [{bias}]",
            "ld1 {{v4.16b-v7.16b}}, [{weights}], #64",
            "ld1 {{v8.16b-v11.16b}}, [{weights}], #64",
            "sdot v0.4s, v4.16b, {a0:v}.16b",
            "sdot v1.4s, v5.16b, {a1:v}.16b",
            "sdot v2.4s, v6.16b, {a2:v}.16b",
            "sdot v3.4s, v7.16b, {a3:v}.16b",
            "ld1 {{v4.16b-v7.16b}}, [{weights}]",
            "sdot v0.4s, v8.16b, {b0:v}.16b",
            "sdot v1.4s, v9.16b, {b1:v}.16b",
            "sdot v2.4s, v10.16b, {b2:v}.16b",
            "sdot v3.4s, v11.16b, {b3:v}.16b",
            "sdot v0.4s, v4.16b, {c0:v}.16b",
            "sdot v1.4s, v5.16b, {c1:v}.16b",
            "sdot v2.4s, v6.16b, {c2:v}.16b",
            "sdot v3.4s, v7.16b, {c3:v}.16b",
            bias = in(reg) bias,
            weights = inout(reg) weights => _,
            a0 = in(vreg) first[0], a1 = in(vreg) first[1], a2 = in(vreg) first[2], a3 = in(vreg) first[3],
            b0 = in(vreg) second[0], b1 = in(vreg) second[1], b2 = in(vreg) second[2], b3 = in(vreg) second[3],
            c0 = in(vreg) third[0], c1 = in(vreg) third[1], c2 = in(vreg) third[2], c3 = in(vreg) third[3],
            out("v0") sums[0], out("v1") sums[1], out("v2") sums[2], out("v3") sums[3],
            out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _,
            options(readonly, nostack, preserves_flags)
        );
    }
    sums
}
