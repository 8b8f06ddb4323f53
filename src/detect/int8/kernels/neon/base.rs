//! Processors without `SDOT`: Cortex-A53 and A72, such as in the Raspberry Pi 3, 4 and Zero 2 W.
//!
//! Two products of bytes are added in 16 bits before they are added to a sum of 32 bits. They fit unless all four bytes
//! are -128, so layers with a weight of -128 run in the portable kernels.

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::super::tensor::AlignedBuffer;
use super::super::has_weight_of_minus_128;
use super::{
    BLOCK_CHANNELS, COLUMNS, Conv2d, ConvGeometry, DepthwiseConv2d, Kernels, NeonPanel,
    NeonRequantizer, NeonTile, NeonVariant, Packed, PackedConv2d, PackedDepthwise, Quantized,
    TILE_PIXELS, portable, run_conv2d, run_depthwise,
};

pub(super) static KERNELS: Kernels =
    with_features!("NEON", "neon", Base, pack_conv2d, pack_depthwise);

struct Base;

fn pack_conv2d(layer: &Conv2d, pixel_stride: usize) -> Packed<PackedConv2d> {
    if has_weight_of_minus_128(&layer.weights) {
        return Packed::Portable(portable::pack_conv2d(layer, pixel_stride));
    }
    let mut packed = super::pack_conv2d::<Base>(layer, pixel_stride);
    // Each sum is accumulated in four parts.
    let parts: Vec<i32> = packed
        .bias
        .iter()
        .flat_map(|&bias| [bias, 0, 0, 0])
        .collect();
    packed.bias = AlignedBuffer::copied(&parts);
    Packed::Native(packed)
}

fn pack_depthwise(layer: &DepthwiseConv2d) -> Packed<PackedDepthwise> {
    if has_weight_of_minus_128(&layer.weights) {
        return Packed::Portable(portable::pack_depthwise(layer));
    }
    super::pack_depthwise::<Base>(layer)
}

/// For one pixel, adds the products of 16 bytes with the weights of four channels through 16 bits. `$then` is inserted
/// after the last use of the weights.
macro_rules! pixel {
    ($values:literal, [$($sums:literal)*] $(, $then:literal)?) => {
        pixel!(@ $values, [24 25 26 27], [28 29 30 31], [$($sums)*], [$($then)?])
    };
    (@ $values:literal, [$($weights:literal)*], [$($halves:literal)*], [$($sums:literal)*], [$($then:literal)?]) => {
        concat!(
            $("smull v", $halves, ".8h, v", $weights, ".8b, v", $values, ".8b\n",)*
            $("smlal2 v", $halves, ".8h, v", $weights, ".16b, v", $values, ".16b\n",)*
            $($then, "\n",)?
            $("sadalp v", $sums, ".4s, v", $halves, ".8h\n",)*
        )
    };
}

/// Multiplies (or multiplies and adds) 16 values and weights to 16 bits, in two registers.
macro_rules! products {
    ($operation:literal, $low:literal, $high:literal, $values:literal, $weights:literal) => {
        concat!(
            $operation,
            " v",
            $low,
            ".8h, {",
            $values,
            ":v}.8b, {",
            $weights,
            ":v}.8b\n",
            $operation,
            "2 v",
            $high,
            ".8h, {",
            $values,
            ":v}.16b, {",
            $weights,
            ":v}.16b\n",
        )
    };
}

/// Adds these products to the sums in registers 0 to 3.
macro_rules! add_halves {
    ($low:literal, $high:literal) => {
        concat!(
            "saddw v0.4s, v0.4s, v",
            $low,
            ".4h\nsaddw2 v1.4s, v1.4s, v",
            $low,
            ".8h\n",
            "saddw v2.4s, v2.4s, v",
            $high,
            ".4h\nsaddw2 v3.4s, v3.4s, v",
            $high,
            ".8h\n",
        )
    };
}

/// For each pixel, the sums of a panel's channels, each in four parts.
///
/// # Safety
/// As for [`NeonVariant::tile`].
#[target_feature(enable = "neon")]
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
            // Each kernel row: 32 bytes per iteration, then the 16 that may be left.
            "2:",
            "lsr {iterations}, {kernel_row_bytes}, #5",
            "cbz {iterations}, 4f",
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
            "subs {iterations}, {iterations}, #1",
            pixel!(23, [12 13 14 15]),
            "b.ne 3b",
            "4:",
            "tbz {kernel_row_bytes}, #4, 5f",
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
            "subs {kernel_rows}, {kernel_rows}, #1",
            "b.eq 6f",
            "add {first}, {first}, {row_jump}",
            "add {second}, {second}, {row_jump}",
            "add {third}, {third}, {row_jump}",
            "add {fourth}, {fourth}, {row_jump}",
            "b 2b",
            "6:",
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
unsafe impl NeonVariant for Base {
    const PANEL_CHANNELS: usize = 4;
    const BIASES: usize = 4;
    const STEP: usize = 16;
    const ROWS: usize = 1;
    type Weights = [Self::Column; COLUMNS];
    /// In each vector, a value of each channel.
    type Column = [int8x16_t; 3];

    #[inline(always)]
    unsafe fn tile(panel: &NeonPanel, tile: &NeonTile, to: &NeonRequantizer) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let sums = sums(panel, tile)
                .map(|[a, b, c, d]| vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)));
            let multipliers = [vld1q_f32(panel.multipliers); 4];
            let quads = vreinterpretq_s32_s8(to.bytes(sums, multipliers));
            let [first, second, third, fourth] =
                tile.pixels.map(|pixel| pixel.add(panel.first_channel));
            vst1q_lane_s32::<0>(first.cast(), quads);
            vst1q_lane_s32::<1>(second.cast(), quads);
            vst1q_lane_s32::<2>(third.cast(), quads);
            vst1q_lane_s32::<3>(fourth.cast(), quads);
        }
    }

    /// For each column, the weights of its three rows.
    fn depthwise_weights(layer: &DepthwiseConv2d, blocks: usize) -> Vec<i8> {
        let mut weights = Vec::with_capacity(blocks * BLOCK_CHANNELS * 3 * COLUMNS);
        for block in 0..blocks {
            for (column, row) in (0..COLUMNS).flat_map(|x| (0..3).map(move |row| (x, row))) {
                let channels = block * BLOCK_CHANNELS..(block + 1) * BLOCK_CHANNELS;
                weights.extend(channels.map(|channel| layer.weight(row, column, channel)));
            }
        }
        weights
    }

    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::Weights {
        let vector = |number: usize| {
            // SAFETY: guaranteed by the caller, and the weights are packed in this order.
            unsafe { vld1q_s8(from.add(number * BLOCK_CHANNELS)) }
        };
        std::array::from_fn(|column| std::array::from_fn(|row| vector(3 * column + row)))
    }

    #[inline(always)]
    unsafe fn column([first, second, third, _]: [*const i8; 4], offset: usize) -> Self::Column {
        [first, second, third].map(|row| {
            // SAFETY: guaranteed by the caller.
            unsafe { vld1q_s8(row.wrapping_add(offset)) }
        })
    }

    #[inline(always)]
    unsafe fn sums(
        columns: [Self::Column; COLUMNS],
        weights: Self::Weights,
        bias: *const i32,
        _: bool,
    ) -> [int32x4_t; 4] {
        // SAFETY: guaranteed by the caller.
        unsafe { depthwise_sums(columns, weights, bias) }
    }
}

/// The sums of a block's channels. In assembly, as compilers move the upper halves of vectors to the lower ones first
/// and spill registers.
///
/// # Safety
/// `bias` points to that of a block.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn depthwise_sums(
    [first, second, third]: [[int8x16_t; 3]; COLUMNS],
    [first_weights, second_weights, third_weights]: [[int8x16_t; 3]; COLUMNS],
    bias: *const i32,
) -> [int32x4_t; 4] {
    let mut sums = [vdupq_n_s32(0); 4];
    // SAFETY: the assembly reads only what the caller guarantees.
    unsafe {
        asm!(
            "ld1 {{v0.4s-v3.4s}}, [{bias}]",
            products!("smull", "4", "5", "a0", "w0"),
            products!("smull", "6", "7", "a2", "w2"),
            products!("smlal", "4", "5", "a1", "w1"),
            products!("smlal", "6", "7", "b0", "w3"),
            add_halves!("4", "5"),
            products!("smull", "4", "5", "b1", "w4"),
            add_halves!("6", "7"),
            products!("smull", "6", "7", "c0", "w6"),
            products!("smlal", "4", "5", "b2", "w5"),
            products!("smlal", "6", "7", "c1", "w7"),
            add_halves!("4", "5"),
            products!("smull", "4", "5", "c2", "w8"),
            add_halves!("6", "7"),
            add_halves!("4", "5"),
            bias = in(reg) bias,
            a0 = in(vreg) first[0], a1 = in(vreg) first[1], a2 = in(vreg) first[2],
            b0 = in(vreg) second[0], b1 = in(vreg) second[1], b2 = in(vreg) second[2],
            c0 = in(vreg) third[0], c1 = in(vreg) third[1], c2 = in(vreg) third[2],
            w0 = in(vreg) first_weights[0], w1 = in(vreg) first_weights[1], w2 = in(vreg) first_weights[2],
            w3 = in(vreg) second_weights[0], w4 = in(vreg) second_weights[1], w5 = in(vreg) second_weights[2],
            w6 = in(vreg) third_weights[0], w7 = in(vreg) third_weights[1], w8 = in(vreg) third_weights[2],
            out("v0") sums[0], out("v1") sums[1], out("v2") sums[2], out("v3") sums[3],
            out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            options(readonly, nostack, preserves_flags)
        );
    }
    sums
}
