//! Depthwise layers of 3x3, 16 channels at a time; other windows are left to the portable kernels.

use std::arch::aarch64::*;

use super::super::super::arithmetic::Stored;
use super::super::super::layer::DepthwiseLayer;
use super::super::super::map::{CHANNEL_GROUP, Walk};
use super::super::{PackedDepthwise, fallback, portable};
use super::{Narrowing, Products};

/// Columns of a window.
pub(super) const COLUMNS: usize = 3;

/// Channels of a block.
pub(super) const BLOCK: usize = 16;

pub(super) fn pack<S: Products>(layer: &DepthwiseLayer) -> PackedDepthwise {
    if layer.window.kernel != [3, COLUMNS] {
        return fallback::pack_depthwise(layer);
    }
    let channels = layer.sums.channels().next_multiple_of(CHANNEL_GROUP);
    let blocks = channels.div_ceil(BLOCK);
    let weights = S::depthwise_weights(layer, blocks);
    PackedDepthwise::new(layer, blocks * BLOCK, &weights, |place| place)
}

/// # Safety
/// The walk fits, and the processor has the instructions of `S`.
#[inline(always)]
pub(super) unsafe fn run<S: Products>(
    layer: &PackedDepthwise,
    walk: &Walk,
    input: &[Stored],
    output: &mut [Stored],
) {
    if fallback::is_marked(&layer.weights) {
        return (portable::KERNELS.depthwise)(layer, walk, input, output);
    }
    let channels = layer.channels;
    let blocks = channels.div_ceil(BLOCK);
    // Whole vectors are read, of the last channels too.
    let beyond = blocks * BLOCK - channels;
    let [read, written] = [input.len(), output.len()];
    assert!(
        walk.fits(3, COLUMNS * channels + beyond, channels, read, written),
        "a depthwise layer needs {beyond} bytes behind its input"
    );
    // SAFETY: the caller's.
    let to = unsafe { Narrowing::new(&layer.target) };
    let stride = walk.in_pixel / channels.max(1);
    let block_weights = layer.weights.len() / blocks.max(1);
    // Row by row through all channels, so that the rows that two windows share are still in the first cache.
    let mut y = 0;
    while walk.width > 0 && y < walk.rows {
        let rows = match stride {
            1 => S::ROWS.min(walk.rows - y),
            _ => 1,
        };
        for block in 0..blocks {
            let first = block * BLOCK;
            // SAFETY: the walk fits, with what is read beyond the last channels too.
            unsafe {
                let row = Block::<S> {
                    to,
                    weights: S::weights(layer.weights[block * block_weights..].as_ptr()),
                    bias: layer.bias[first..].as_ptr(),
                    multipliers: vld1q_f32_x4(layer.multipliers[first..][..BLOCK].as_ptr()),
                    is_whole: first + BLOCK <= channels,
                    channels,
                    walk,
                };
                let input = input[y * walk.in_row + first..].as_ptr();
                let output = output[y * walk.out_row + first..].as_mut_ptr();
                match (stride, rows) {
                    (1, 2) => row.rows::<2, 1>(input, output),
                    (1, _) => row.rows::<1, 1>(input, output),
                    (2, _) => row.rows::<1, 2>(input, output),
                    _ => row.rows::<1, 3>(input, output),
                }
            }
        }
        y += rows;
    }
}

/// A block of channels.
struct Block<'a, S: Products> {
    to: Narrowing,
    weights: S::Weights,
    bias: *const i32,
    multipliers: float32x4x4_t,
    /// Whether the block has all of its channels, or half of them.
    is_whole: bool,
    /// Bytes from one pixel of a window to the next.
    channels: usize,
    walk: &'a Walk,
}

impl<S: Products> Block<'_, S> {
    /// `R` rows of the output. `STRIDE` columns of two windows that follow each other are new: all, where it is 3.
    ///
    /// # Safety
    /// The windows from `input` and pixels from `output` on are inside the maps.
    #[inline(always)]
    unsafe fn rows<const R: usize, const STRIDE: usize>(&self, input: *const i8, output: *mut i8) {
        // Where one row is made, no weight but 0 meets the fourth value: any does.
        let lines = [0, 1, 2, R + 1].map(|line| input.wrapping_add(line * self.walk.in_line));
        // SAFETY: the caller's.
        let columns = [0, 1, 2].map(|x| unsafe { S::column(lines, x * self.channels) });
        let mut place = Place {
            lines,
            columns,
            output,
            left: self.walk.width,
        };
        // The columns that are kept change their places; after three windows they are where they were.
        // SAFETY: the caller's.
        unsafe {
            while self.pixel::<R, STRIDE, 0>(&mut place)
                && self.pixel::<R, STRIDE, 1>(&mut place)
                && self.pixel::<R, STRIDE, 2>(&mut place)
            {}
        }
    }

    /// The pixel whose turn it is, in each row. Says whether there is another.
    ///
    /// # Safety
    /// As for [`Self::rows`].
    #[inline(always)]
    unsafe fn pixel<const R: usize, const STRIDE: usize, const TURN: usize>(
        &self,
        place: &mut Place<S::Column>,
    ) -> bool {
        let order = |turn: usize| [0, 1, 2].map(|x| (turn * STRIDE + x) % COLUMNS);
        let columns = order(TURN).map(|x| place.columns[x]);
        let multipliers = self.multipliers;
        let multipliers = [multipliers.0, multipliers.1, multipliers.2, multipliers.3];
        // SAFETY: the caller's.
        unsafe {
            for row in 0..R {
                let sums = S::sums(columns, self.weights, self.bias, row == 1);
                let bytes = self.to.bytes(sums, multipliers);
                let output = place.output.add(row * self.walk.out_row);
                if self.is_whole {
                    vst1q_s8(output, bytes);
                } else {
                    vst1_s8(output, vget_low_s8(bytes));
                }
            }
            place.left -= 1;
            if place.left == 0 {
                return false;
            }
            place.output = place.output.add(self.walk.out_pixel);
            place.lines = place.lines.map(|line| line.add(self.walk.in_pixel));
            for x in COLUMNS - STRIDE..COLUMNS {
                place.columns[order(TURN + 1)[x]] = S::column(place.lines, x * self.channels);
            }
        }
        true
    }
}

/// How far a row is.
struct Place<C> {
    /// Where the window begins, line by line.
    lines: [*const i8; 4],
    columns: [C; COLUMNS],
    output: *mut i8,
    /// Pixels, this one included.
    left: usize,
}
