//! Depthwise layers of 3x3: the three or four values of a column, one below the other, are put together for each
//! channel, so that one instruction multiplies and adds the whole column.
//!
//! At stride 1 two rows of the output are made at once from four rows of the input. Other windows go to the portable
//! kernel.

use super::super::super::arithmetic::Stored;
use super::super::super::layer::DepthwiseLayer;
use super::super::super::map::{CHANNEL_GROUP, Walk};
use super::super::{PackedDepthwise, portable};
use super::{FULL, Narrowing, Vector, in_panel};

/// Columns of a window.
const COLUMNS: usize = 3;

/// Whether there are loops for this window here.
fn is_known(kernel: [usize; 2], stride: usize) -> bool {
    kernel == [3, COLUMNS] && stride <= 2
}

/// Blocks of full width, and whether one of half the width follows.
fn blocks<S: Vector>(channels: usize) -> (usize, bool) {
    let full = FULL * S::LANES;
    let half = FULL * S::Half::LANES;
    let rest = channels % full;
    if rest > 0 && rest <= half && half < full {
        (channels / full, true)
    } else {
        (channels.div_ceil(full), false)
    }
}

/// The channel that has a place, counted over all blocks.
fn channel<S: Vector>(place: usize, channels: usize) -> usize {
    let full_places = blocks::<S>(channels).0 * FULL * S::LANES;
    if place < full_places {
        in_panel(place, S::LANES)
    } else {
        full_places + in_panel(place - full_places, S::Half::LANES)
    }
}

pub(super) fn pack<S: Vector>(layer: &DepthwiseLayer) -> PackedDepthwise {
    if !is_known(layer.window.kernel, layer.window.stride) {
        return (portable::KERNELS.pack_depthwise)(layer);
    }
    let channels = layer.sums.channels().next_multiple_of(CHANNEL_GROUP);
    let (count, has_half) = blocks::<S>(channels);
    let mut widths = vec![FULL * S::LANES; count];
    widths.extend(has_half.then_some(FULL * S::Half::LANES));
    let mut weights = Vec::new();
    let mut first = 0;
    for width in &widths {
        // The upper row of the output leaves out the fourth value, the lower one the first.
        for (lower, column) in (0..2).flat_map(|lower| (0..COLUMNS).map(move |x| (lower, x))) {
            for place in first..first + width {
                let channel = channel::<S>(place, channels);
                let weight = |line: usize| match line.checked_sub(lower) {
                    Some(line) => layer.weight(line, column, channel),
                    None => 0,
                };
                weights.extend((0..4).map(weight));
            }
        }
        first += width;
    }
    PackedDepthwise::new(layer, first, &weights, |place| {
        channel::<S>(place, channels)
    })
}

/// # Safety
/// The walk fits, and the processor has the instructions of `S`.
#[inline(always)]
pub(super) unsafe fn run<S: Vector>(
    layer: &PackedDepthwise,
    walk: &Walk,
    input: &[Stored],
    output: &mut [Stored],
) {
    if !is_known(layer.kernel, walk.in_pixel / layer.channels) {
        return (portable::KERNELS.depthwise)(layer, walk, input, output);
    }
    let (count, has_half) = blocks::<S>(layer.channels);
    let full = FULL * S::LANES;
    let widest = count * full + usize::from(has_half) * FULL * S::Half::LANES;
    // Whole vectors are read, of the last channels too.
    let beyond = widest - layer.channels;
    assert!(
        walk.fits(
            3,
            COLUMNS * layer.channels + beyond,
            layer.channels,
            input.len(),
            output.len()
        ),
        "a depthwise layer needs {beyond} bytes behind its input"
    );
    let mut block = |number: usize| {
        let first = number * full;
        Block {
            layer,
            walk,
            to: Narrowing::new(&layer.target),
            first,
            count: (layer.channels - first).min(full),
            input: input.as_ptr(),
            output: output.as_mut_ptr(),
        }
    };
    // Row by row through all channels, so that the rows that two windows share are still in the first cache.
    let is_dense = walk.in_pixel == layer.channels;
    let mut y = 0;
    while y < walk.rows {
        let rows = if is_dense { 2.min(walk.rows - y) } else { 1 };
        for number in 0..count + usize::from(has_half) {
            let block = block(number);
            // SAFETY: the walk fits, with what is read beyond the last channels too.
            unsafe {
                match (number < count, is_dense, rows) {
                    (true, true, 2) => block.rows::<S, 1, 2>(y),
                    (true, true, _) => block.rows::<S, 1, 1>(y),
                    (true, false, _) => block.rows::<S, 2, 1>(y),
                    (false, true, 2) => block.rows::<S::Half, 1, 2>(y),
                    (false, true, _) => block.rows::<S::Half, 1, 1>(y),
                    (false, false, _) => block.rows::<S::Half, 2, 1>(y),
                }
            }
        }
        y += rows;
    }
}

/// Some of the channels.
struct Block<'a> {
    layer: &'a PackedDepthwise,
    walk: &'a Walk,
    to: Narrowing,
    /// The first of its channels.
    first: usize,
    /// How many there are.
    count: usize,
    input: *const u8,
    output: *mut u8,
}

impl Block<'_> {
    /// `R` rows of the output from row `y` on; from window to window `NEW` columns are new.
    #[inline(always)]
    unsafe fn rows<S: Vector, const NEW: usize, const R: usize>(&self, y: usize) {
        let Walk { in_line, .. } = *self.walk;
        let channels = self.layer.channels;
        // SAFETY: the walk fits, and the weights were packed block by block in this order.
        unsafe {
            let top = self.input.add(y * self.walk.in_row + self.first);
            let out = self.output.add(y * self.walk.out_row + self.first);
            let weights: *const u8 = self
                .layer
                .weights
                .as_ptr()
                .add(self.first * 2 * COLUMNS * 4)
                .cast();
            let bias = self.layer.bias.as_ptr().add(self.first);
            let multipliers = self.layer.multipliers.as_ptr().add(self.first);
            // Where one row is made the fourth value meets a weight of 0: any value does.
            let lines = [0, 1, 2, R + 1].map(|line| top.add(line * in_line));
            let column =
                |x: usize| S::interleave(lines.map(|line| S::load(line.add(x * channels))));
            let weight = |row: usize, x: usize, v: usize| {
                S::load(weights.add(((row * COLUMNS + x) * FULL + v) * S::LANES * 4))
            };
            let is_whole = self.count >= FULL * S::LANES;
            let mut columns = [column(0), column(1), column(2)];
            for x in 0..self.walk.width {
                for row in 0..R {
                    let mut sums: [S; FULL] =
                        std::array::from_fn(|v| S::load(bias.add(v * S::LANES).cast()));
                    for (x, column) in columns.iter().enumerate() {
                        for (v, sums) in sums.iter_mut().enumerate() {
                            *sums = sums.add_products(column[v], weight(row, x, v));
                        }
                    }
                    let bytes = S::narrow(sums, multipliers, &self.to);
                    let at = out.add(row * self.walk.out_row + x * self.walk.out_pixel);
                    if is_whole {
                        bytes.store(at);
                    } else {
                        bytes.store_part(at, self.count);
                    }
                }
                if x + 1 == self.walk.width {
                    break;
                }
                let next = (x + 1) * NEW;
                columns = match NEW {
                    1 => [columns[1], columns[2], column(next + 2)],
                    _ => [columns[2], column(next + 1), column(next + 2)],
                };
            }
        }
    }
}
