//! Dense layers: for a panel of channels and a few pixels, all sums at once in registers.
//!
//! The weights of a panel are read from end to end for each tile of pixels, so a block of pixels that the first cache
//! holds goes through all panels before the next begins.

use super::super::super::arithmetic::Stored;
use super::super::super::layer::DenseLayer;
use super::super::super::map::{CHANNEL_GROUP, Walk};
use super::super::PackedDense;
use super::{Narrowing, Products};

/// Pixels of a tile: with four vectors of sums for each, half of the registers are left for what is multiplied. Where
/// fewer pixels are left, the last of them is computed again.
pub(super) const PIXELS: usize = 4;

/// Pixels that go through all panels together: of 512 channels they take half of a Cortex-A53's first cache.
const BLOCK: usize = 32;

/// What is multiplied for a tile: a panel of channels and windows of the input.
pub(super) struct Factors {
    /// The panel's, in the kernel's order.
    pub(super) weights: *const i8,
    /// The panel's, in the kernel's order.
    pub(super) bias: *const i32,
    /// Where each window begins.
    pub(super) windows: [*const i8; PIXELS],
    /// Rows of a window; not 0.
    pub(super) lines: usize,
    /// Bytes of each.
    pub(super) line: usize,
    /// Bytes from a row of a window to the next.
    pub(super) in_line: usize,
}

pub(super) fn pack<S: Products>(layer: &DenseLayer, pixel: usize) -> PackedDense {
    let channels = layer.sums.channels().next_multiple_of(CHANNEL_GROUP);
    let panels = vec![S::PANEL; channels.div_ceil(S::PANEL)];
    PackedDense::new(layer, pixel, S::STEP, &panels, |place| place)
}

/// # Safety
/// The walk fits, and the processor has the instructions of `S`.
#[inline(always)]
pub(super) unsafe fn run<S: Products>(
    layer: &PackedDense,
    walk: &Walk,
    input: &[Stored],
    output: &mut [Stored],
) {
    // SAFETY: the caller's.
    let to = unsafe { Narrowing::new(&layer.target) };
    let [runs, pixels] = walk.runs();
    let mut outputs = [output.as_mut_ptr(); BLOCK];
    for run in 0..runs {
        for begin in (0..pixels).step_by(BLOCK) {
            let outputs = &mut outputs[..BLOCK.min(pixels - begin)];
            for (number, place) in outputs.iter_mut().enumerate() {
                let pixel = run * pixels + begin + number;
                *place = output[walk.output_of(pixel)..].as_mut_ptr();
            }
            let input = input[run * walk.in_row + begin * walk.in_pixel..].as_ptr();
            // SAFETY: the walk fits, and these are its windows and pixels.
            unsafe { all_panels::<S>(layer, walk, &to, input, outputs) }
        }
    }
}

/// Windows that follow each other evenly through all panels.
///
/// # Safety
/// As for [`run`]; there is a window for each output.
#[inline(always)]
unsafe fn all_panels<S: Products>(
    layer: &PackedDense,
    walk: &Walk,
    to: &Narrowing,
    input: *const i8,
    outputs: &[*mut i8],
) {
    let places = layer.lines * layer.line;
    for first in (0..layer.channels).step_by(S::PANEL) {
        let multipliers = &layer.multipliers[first..][..S::PANEL];
        let count = S::PANEL.min(layer.channels - first);
        let mut factors = Factors {
            weights: layer.weights[first * places..].as_ptr(),
            bias: layer.bias[first * S::BIASES..].as_ptr(),
            windows: [input; PIXELS],
            lines: layer.lines,
            line: layer.line,
            in_line: walk.in_line,
        };
        for (tile, outputs) in outputs.chunks(PIXELS).enumerate() {
            let input = input.wrapping_add(tile * PIXELS * walk.in_pixel);
            let last = outputs.len() - 1;
            let window = |p: usize| input.wrapping_add(p.min(last) * walk.in_pixel);
            let outputs: [_; PIXELS] = std::array::from_fn(|p| {
                // SAFETY: the walk fits.
                unsafe { outputs[p.min(last)].add(first) }
            });
            factors.windows = std::array::from_fn(window);
            // SAFETY: the caller's, and the panels were packed one behind the other, each with `places` bytes for a
            // channel.
            unsafe { S::tile(&factors, to, multipliers.as_ptr(), outputs, count) }
        }
    }
}
