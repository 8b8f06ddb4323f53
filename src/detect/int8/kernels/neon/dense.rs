//! Dense layers: for a panel of channels and a few pixels, all sums at once in registers.
//!
//! The weights of a panel are read from end to end for each tile of pixels, so a block of pixels that the first cache
//! holds goes through all panels before the next begins.

use super::super::super::arithmetic::Stored;
use super::super::super::layer::DenseLayer;
use super::super::super::map::{CHANNEL_GROUP, Walk};
use super::super::{PackedDense, fallback, portable};
use super::{Narrowing, Products};

/// Pixels of a tile: with four vectors of sums for each, half of the registers are left for what is multiplied. Where
/// fewer pixels are left, the last of them is computed again.
pub(super) const PIXELS: usize = 4;

/// Pixels that go through all panels together: of 512 channels they take half of a Cortex-A53's first cache.
const BLOCK: usize = 32;

/// Windows that go through a panel together, and the pixels they become.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// Where each window begins.
    pub(super) windows: [*const i8; PIXELS],
    /// Where each pixel begins.
    pub(super) pixels: [*mut i8; PIXELS],
}

/// A panel of channels, and how far their windows go.
pub(super) struct Panel {
    /// In the kernel's order.
    pub(super) weights: *const i8,
    /// In the kernel's order.
    pub(super) bias: *const i32,
    pub(super) multipliers: *const f32,
    /// The panel's first channel.
    pub(super) first: usize,
    /// Channels that are written.
    pub(super) count: usize,
    /// Rows of a window; not 0.
    pub(super) lines: usize,
    /// Bytes of each.
    pub(super) line: usize,
    /// Bytes from the end of a row of a window to the next; wraps.
    pub(super) jump: usize,
}

pub(super) fn pack<S: Products>(layer: &DenseLayer, pixel: usize) -> PackedDense {
    let channels = layer.sums.channels().next_multiple_of(CHANNEL_GROUP);
    assert!(layer.window.kernel[0] > 0, "a window without rows");
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
    if fallback::is_marked(&layer.weights) {
        return (portable::KERNELS.dense)(layer, walk, input, output);
    }
    // SAFETY: the caller's.
    let to = unsafe { Narrowing::new(&layer.target) };
    let [runs, pixels] = walk.runs();
    let output = output.as_mut_ptr();
    let mut tiles = [Tile {
        windows: [input.as_ptr(); PIXELS],
        pixels: [output; PIXELS],
    }; BLOCK / PIXELS];
    for run in 0..runs {
        for begin in (0..pixels).step_by(BLOCK) {
            let last = BLOCK.min(pixels - begin) - 1;
            let tiles = &mut tiles[..=last / PIXELS];
            for (number, tile) in tiles.iter_mut().enumerate() {
                for p in 0..PIXELS {
                    let number = begin + (number * PIXELS + p).min(last);
                    let window = run * walk.in_row + number * walk.in_pixel;
                    let pixel = walk.output_of(run * pixels + number);
                    tile.windows[p] = input[window..].as_ptr();
                    tile.pixels[p] = output.wrapping_add(pixel);
                }
            }
            // SAFETY: the walk fits, and these are its windows and pixels.
            unsafe { all_panels::<S>(layer, walk, &to, tiles) }
        }
    }
}

/// # Safety
/// As for [`run`], and the tiles are the walk's.
#[inline(always)]
unsafe fn all_panels<S: Products>(
    layer: &PackedDense,
    walk: &Walk,
    to: &Narrowing,
    tiles: &[Tile],
) {
    let places = layer.lines * layer.line;
    for first in (0..layer.channels).step_by(S::PANEL) {
        let panel = Panel {
            weights: layer.weights[first * places..].as_ptr(),
            bias: layer.bias[first * S::BIASES..].as_ptr(),
            multipliers: layer.multipliers[first..].as_ptr(),
            first,
            count: S::PANEL.min(layer.channels - first),
            lines: layer.lines,
            line: layer.line,
            jump: walk.in_line.wrapping_sub(layer.line),
        };
        for tile in tiles {
            // SAFETY: the caller's, and the panels were packed one behind the other, each with `places` bytes for a
            // channel.
            unsafe { S::tile(&panel, tile, to) }
        }
    }
}
