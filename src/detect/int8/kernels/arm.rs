//! 32 bit ARM with NEON: Cortex-A7 and what came after it, so a Raspberry Pi 2, and 3 and 4 with a system of 32 bits.
//!
//! Rust has no stable intrinsics for it, so the innermost loops are assembly, one for each kind of layer. What is
//! around them is Rust: it says where windows and pixels are.

#![allow(unsafe_code)]

use super::super::aligned::Aligned;
use super::super::arithmetic::{Stored, Target};
use super::super::layer::{DenseLayer, DepthwiseLayer};
use super::super::map::{CHANNEL_GROUP, Walk};
use super::{Kernels, PackedDense, PackedDepthwise, fallback, portable};

mod loops;

use loops::{PIXELS, Panel, Row, Tile};

/// Channels of a panel of a dense layer.
const PANEL: usize = 4;

/// Bytes of a row of a window that a dense layer reads at once.
const STEP: usize = 16;

/// Adding this float leaves the nearest whole number in the low bits, as in [`Target::requantise`].
const ROUNDER: f32 = 12_582_912.0;

/// Pixels that go through all panels together: of 512 channels they take half of a Cortex-A7's first cache.
const BLOCK: usize = 32;

static KERNELS: Kernels = Kernels {
    name: "NEON",
    pack_dense,
    dense,
    pack_depthwise,
    depthwise,
};

/// These kernels, where the processor has what they use.
pub(super) fn available() -> Option<&'static Kernels> {
    /// In the words of Linux's `asm/hwcap.h`: `HWCAP_NEON`.
    const NEON: libc::c_ulong = 1 << 12;
    // SAFETY: reads what the kernel gave the process when it began.
    let capabilities = unsafe { libc::getauxval(libc::AT_HWCAP) };
    (capabilities & NEON != 0).then_some(&KERNELS)
}

/// What sums become, as the loops read it: each number as often as a vector has places.
#[repr(C, align(16))]
struct Narrowing {
    low: [f32; 4],
    high: [f32; 4],
    rounder: [f32; 4],
    /// What is taken off a float's bits to leave the whole number in it, with the zero point added.
    bits: [i32; 4],
}

impl Narrowing {
    fn new(target: &Target) -> Self {
        let (low, high) = target.ends();
        Self {
            low: [low; 4],
            high: [high; 4],
            rounder: [ROUNDER; 4],
            bits: [ROUNDER.to_bits() as i32 - i32::from(target.zero_point); 4],
        }
    }
}

fn pack_dense(layer: &DenseLayer, pixel: usize) -> PackedDense {
    if fallback::has_least(&layer.weights) {
        return fallback::pack_dense(layer, pixel);
    }
    assert!(layer.window.kernel[0] > 0, "a window without rows");
    let channels = layer.sums.channels().next_multiple_of(CHANNEL_GROUP);
    let panels = vec![PANEL; channels / PANEL];
    let mut packed = PackedDense::new(layer, pixel, STEP, &panels, |place| place);
    // Sums are made in four parts.
    let parts: Vec<i32> = packed
        .bias
        .iter()
        .flat_map(|&bias| [bias, 0, 0, 0])
        .collect();
    packed.bias = Aligned::copied(&parts);
    packed
}

fn dense(layer: &PackedDense, walk: &Walk, input: &[Stored], output: &mut [Stored]) {
    if fallback::is_marked(&layer.weights) {
        return (portable::KERNELS.dense)(layer, walk, input, output);
    }
    layer.check(walk, input, output);
    let to = Narrowing::new(&layer.target);
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
            for first in (0..layer.channels).step_by(PANEL) {
                let panel = Panel {
                    weights: layer.weights[first * layer.lines * layer.line..].as_ptr(),
                    bias: layer.bias[first * 4..].as_ptr(),
                    multipliers: layer.multipliers[first..].as_ptr(),
                    to: &to,
                    first,
                    lines: layer.lines,
                    steps: layer.line / STEP,
                    jump: walk.in_line.wrapping_sub(layer.line),
                };
                // SAFETY: `available` hands these kernels out where the processor has NEON; the walk fits, and
                // the panels were packed one behind the other, each with as many bytes for a channel as windows have.
                unsafe { loops::dense(&panel, tiles.as_ptr(), tiles.len()) }
            }
        }
    }
}

fn pack_depthwise(layer: &DepthwiseLayer) -> PackedDepthwise {
    if layer.window.kernel != [3, 3] || fallback::has_least(&layer.weights) {
        return fallback::pack_depthwise(layer);
    }
    let channels = layer.sums.channels().next_multiple_of(CHANNEL_GROUP);
    let groups = (0..channels).step_by(CHANNEL_GROUP);
    let weights: Vec<i8> = groups
        .flat_map(|first| (0..9).map(move |tap| (first, tap)))
        .flat_map(|(first, tap)| {
            (first..first + CHANNEL_GROUP).map(move |c| layer.weight(tap / 3, tap % 3, c))
        })
        .collect();
    PackedDepthwise::new(layer, channels, &weights, |place| place)
}

fn depthwise(layer: &PackedDepthwise, walk: &Walk, input: &[Stored], output: &mut [Stored]) {
    if fallback::is_marked(&layer.weights) {
        return (portable::KERNELS.depthwise)(layer, walk, input, output);
    }
    layer.check(walk, input, output);
    if walk.width == 0 {
        return;
    }
    let to = Narrowing::new(&layer.target);
    // Row by row through all channels, so that the rows that two windows share are still in the first cache.
    for y in 0..walk.rows {
        for first in (0..layer.channels).step_by(CHANNEL_GROUP) {
            let from = y * walk.in_row + first;
            let row = Row {
                lines: [0, 1, 2].map(|line| input[from + line * walk.in_line..].as_ptr()),
                pixel: layer.channels,
                jump: walk.in_pixel.wrapping_sub(3 * layer.channels),
                output: output[y * walk.out_row + first..].as_mut_ptr(),
                out_pixel: walk.out_pixel,
                width: walk.width,
                weights: layer.weights[first * 9..].as_ptr(),
                bias: layer.bias[first..].as_ptr(),
                multipliers: layer.multipliers[first..].as_ptr(),
                to: &to,
            };
            // SAFETY: as above.
            unsafe { loops::depthwise(&row) }
        }
    }
}
