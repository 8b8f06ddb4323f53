//! 64 bit ARM: products of signed bytes, four at a time into a sum of 32 bits (`SDOT`), or where the processor lacks it
//! two at a time into 16 bits and from there into 32.
//!
//! The loops around the products are written once over [`Products`]: they go through the windows tile by tile and leave
//! to the processor's kind what happens to a few pixels and channels. Sums become bytes as [`Narrowing`] does it.

#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

use super::super::arithmetic::{Stored, Target};
use super::super::layer::DepthwiseLayer;
use super::super::map::Walk;
use super::{Kernels, PackedDense, PackedDepthwise};

mod dense;
mod depthwise;
mod dot;
mod plain;

use dense::{Panel, Tile};

/// These kernels, where the processor has what they use, the faster first.
pub(super) fn available() -> impl Iterator<Item = &'static Kernels> {
    let neon = is_aarch64_feature_detected!("neon");
    let dot = neon && is_aarch64_feature_detected!("dotprod");
    let all = [(dot, &dot::KERNELS), (neon, &plain::KERNELS)];
    all.into_iter()
        .filter_map(|(is_there, kernels)| is_there.then_some(kernels))
}

/// What kinds of processors do each in its own way.
///
/// # Safety
/// Every method but the packing ones wants a processor that has the instructions; all are inlined into functions that
/// enable them.
unsafe trait Products {
    /// Channels of a full panel of a dense layer.
    const PANEL: usize;
    /// Numbers with which the sums of a channel of a dense layer begin.
    const BIASES: usize;
    /// Bytes of a row of the window for which the weights of a place lie together.
    const STEP: usize;
    /// Rows of the output of a depthwise layer that are made at once where its windows overlap.
    const ROWS: usize;
    /// Weights of a block of channels of a depthwise layer, or where they are.
    type Weights: Copy;
    /// What a column of a window of a depthwise layer becomes.
    type Column: Copy;

    /// A tile of a dense layer and a panel of channels.
    ///
    /// # Safety
    /// Besides: the tile's windows and pixels are inside the maps, and the panel is as [`dense::pack`] packs it.
    unsafe fn tile(panel: &Panel, tile: &Tile, to: &Narrowing);

    /// Weights of a depthwise layer, block by block.
    fn depthwise_weights(layer: &DepthwiseLayer, blocks: usize) -> Vec<i8>;
    /// A block's weights at hand.
    ///
    /// # Safety
    /// Besides: they begin there.
    unsafe fn weights(from: *const i8) -> Self::Weights;
    /// A column of a block, `at` bytes on in each line.
    ///
    /// # Safety
    /// Besides: it is inside the map.
    unsafe fn column(lines: [*const i8; 4], at: usize) -> Self::Column;
    /// The sums of a block's channels for a pixel: of the upper of two rows that are made at once, or of the lower one.
    ///
    /// # Safety
    /// Besides: the bias is there, of a block's channels.
    unsafe fn sums(
        columns: [Self::Column; depthwise::COLUMNS],
        weights: Self::Weights,
        bias: *const i32,
        is_lower: bool,
    ) -> [int32x4_t; 4];
}

/// What sums become, ready for vectors.
#[derive(Clone, Copy)]
struct Narrowing {
    zero_point: int16x8_t,
    low: int8x16_t,
    high: int8x16_t,
}

impl Narrowing {
    #[target_feature(enable = "neon")]
    #[inline]
    fn new(target: &Target) -> Self {
        Self {
            zero_point: vdupq_n_s16(i16::from(target.zero_point)),
            low: vdupq_n_s8(target.low),
            high: vdupq_n_s8(target.high),
        }
    }

    /// Four vectors of sums, times their multipliers, as bytes in the same order.
    ///
    /// Equal to [`Target::requantise`]: what is beyond 16 bits is beyond the ends, before and after the zero point is
    /// added, and saturation keeps it there.
    #[target_feature(enable = "neon")]
    #[inline]
    fn bytes(&self, sums: [int32x4_t; 4], multipliers: [float32x4_t; 4]) -> int8x16_t {
        let scaled = |v: usize| vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums[v]), multipliers[v]));
        let words = |first: int32x4_t, second: int32x4_t| {
            let words = vqmovn_high_s32(vqmovn_s32(first), second);
            vqaddq_s16(words, self.zero_point)
        };
        let first = words(scaled(0), scaled(1));
        let second = words(scaled(2), scaled(3));
        let bytes = vqmovn_high_s16(vqmovn_s16(first), second);
        vminq_s8(vmaxq_s8(bytes, self.low), self.high)
    }
}
