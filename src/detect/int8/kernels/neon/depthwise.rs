//! Depthwise layers of 3x3, 16 channels at a time; other windows go to the portable kernel.

use super::super::super::arithmetic::Stored;
use super::super::super::layer::DepthwiseLayer;
use super::super::super::map::{CHANNEL_GROUP, Walk};
use super::super::{PackedDepthwise, portable};
use super::{Narrowing, Products};

/// Columns of a window.
pub(super) const COLUMNS: usize = 3;

/// Channels of a block.
pub(super) const BLOCK: usize = 16;

/// A block's windows in a row of the output, or in as many rows as the function has that gets it.
pub(super) struct Row<'a> {
    pub(super) to: &'a Narrowing,
    pub(super) weights: *const i8,
    pub(super) bias: *const i32,
    pub(super) multipliers: *const f32,
    /// The first window.
    pub(super) input: *const i8,
    /// Bytes from one pixel of a window to the next.
    pub(super) channels: usize,
    /// The first pixel.
    pub(super) output: *mut i8,
    /// Whether the block has all of its channels, or half of them.
    pub(super) is_whole: bool,
    pub(super) walk: &'a Walk,
}

pub(super) fn pack<S: Products>(layer: &DepthwiseLayer) -> PackedDepthwise {
    if layer.window.kernel != [3, COLUMNS] {
        return (portable::KERNELS.pack_depthwise)(layer);
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
    if layer.kernel != [3, COLUMNS] {
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
    while y < walk.rows {
        let rows = match stride {
            1 => S::ROWS.min(walk.rows - y),
            _ => 1,
        };
        for block in 0..blocks {
            let first = block * BLOCK;
            let row = Row {
                to: &to,
                weights: layer.weights[block * block_weights..].as_ptr(),
                bias: layer.bias[first..].as_ptr(),
                multipliers: layer.multipliers[first..].as_ptr(),
                input: input[y * walk.in_row + first..].as_ptr(),
                channels,
                output: output[y * walk.out_row + first..].as_mut_ptr(),
                is_whole: first + BLOCK <= channels,
                walk,
            };
            // SAFETY: the walk fits, with what is read beyond the last channels too.
            unsafe {
                match (stride, rows) {
                    (1, 2) => S::row::<2, 1>(&row),
                    (1, _) => S::row::<1, 1>(&row),
                    (2, _) => S::row::<1, 2>(&row),
                    _ => S::row::<1, 3>(&row),
                }
            }
        }
        y += rows;
    }
}
