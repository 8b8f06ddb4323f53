//! 32-bit ARM with NEON: Cortex-A7 and later, such as in the Raspberry Pi 2, and 3 and 4 with a 32-bit system.
//!
//! Rust has no stable NEON intrinsics for 32-bit ARM, so the innermost loops are assembly, one for each kind of layer.
//! The Rust code around them computes the addresses of windows and pixels.
//!
//! NEON flushes denormal floats to 0 here. Such a product of a sum and a multiplier rounds to 0 anyway, and so does a
//! product with a denormal multiplier: the results are equal to those of other processors.

#![allow(unsafe_code)]

use std::arch::naked_asm;
use std::mem::offset_of;

use super::super::graph::{Conv2d, DepthwiseConv2d};
use super::super::tensor::{
    AlignedBuffer, CHANNEL_GROUP, ConvGeometry, OutputQuant, Quantized, ROUNDING_CONSTANT,
};
use super::{Kernels, Packed, PackedConv2d, PackedDepthwise, has_weight_of_minus_128, portable};

/// Channels of a panel of a convolution.
const PANEL_CHANNELS: usize = 4;

/// Pixels of a tile of a convolution: with four vectors of sums each, half of the registers remain for values and
/// weights.
const TILE_PIXELS: usize = 2;

/// Bytes of a kernel row that a convolution reads at once.
const STEP: usize = 16;

/// Pixels that are computed for all panels before the next pixels: with 512 channels they take half of a Cortex-A7's L1
/// cache.
const BLOCK_PIXELS: usize = 32;

static KERNELS: Kernels = Kernels {
    name: "NEON",
    pack_conv2d,
    conv2d,
    pack_depthwise,
    depthwise,
};

/// These kernels, if the processor has NEON.
pub(super) fn available() -> Option<&'static Kernels> {
    /// From Linux's `asm/hwcap.h`.
    const HWCAP_NEON: libc::c_ulong = 1 << 12;
    // SAFETY: reads the auxiliary vector, which the kernel provides for every process.
    let capabilities = unsafe { libc::getauxval(libc::AT_HWCAP) };
    (capabilities & HWCAP_NEON != 0).then_some(&KERNELS)
}

/// [`OutputQuant`] as the assembly reads it: each value in all lanes of a vector.
#[repr(C, align(16))]
struct ArmRequantizer {
    min: [f32; 4],
    max: [f32; 4],
    rounding_constant: [f32; 4],
    /// Subtracted from the bits of a float to which the rounding constant was added; leaves the integer plus the zero
    /// point.
    bits: [i32; 4],
}

impl ArmRequantizer {
    fn new(output_quant: &OutputQuant) -> Self {
        let (min, max) = output_quant.scaled_range();
        Self {
            min: [min; 4],
            max: [max; 4],
            rounding_constant: [ROUNDING_CONSTANT; 4],
            bits: [ROUNDING_CONSTANT.to_bits() as i32 - i32::from(output_quant.zero_point); 4],
        }
    }
}

fn pack_conv2d(layer: &Conv2d, pixel_stride: usize) -> Packed<PackedConv2d> {
    if has_weight_of_minus_128(&layer.weights) {
        return Packed::Portable(portable::pack_conv2d(layer, pixel_stride));
    }
    assert!(layer.window.kernel[0] > 0, "a kernel has at least one row");
    let channels = layer.epilogue.channels().next_multiple_of(CHANNEL_GROUP);
    let panels = vec![PANEL_CHANNELS; channels / PANEL_CHANNELS];
    let mut packed = PackedConv2d::new(layer, pixel_stride, STEP, &panels, |lane| lane);
    // Each sum is accumulated in four parts.
    let parts: Vec<i32> = packed
        .bias
        .iter()
        .flat_map(|&bias| [bias, 0, 0, 0])
        .collect();
    packed.bias = AlignedBuffer::copied(&parts);
    Packed::Native(packed)
}

fn conv2d(
    layer: &PackedConv2d,
    geometry: &ConvGeometry,
    input: &[Quantized],
    output: &mut [Quantized],
) {
    layer.check(geometry, input, output);
    let to = ArmRequantizer::new(&layer.output_quant);
    let [runs, pixels] = geometry.runs();
    let output = output.as_mut_ptr();
    let channel_bytes = layer.kernel_rows * layer.kernel_row_bytes;
    let mut tiles = [ArmTile {
        windows: [input.as_ptr(); TILE_PIXELS],
        pixels: [output; TILE_PIXELS],
    }; BLOCK_PIXELS / TILE_PIXELS];
    for run in 0..runs {
        for first in (0..pixels).step_by(BLOCK_PIXELS) {
            let last = BLOCK_PIXELS.min(pixels - first) - 1;
            let tiles = &mut tiles[..=last / TILE_PIXELS];
            for (number, tile) in tiles.iter_mut().enumerate() {
                for p in 0..TILE_PIXELS {
                    let number = first + (number * TILE_PIXELS + p).min(last);
                    let window = run * geometry.window_step_y + number * geometry.window_step_x;
                    let pixel = geometry.output_offset(run * pixels + number);
                    tile.windows[p] = input[window..].as_ptr();
                    tile.pixels[p] = output.wrapping_add(pixel);
                }
            }
            for first in (0..layer.channels).step_by(PANEL_CHANNELS) {
                let panel = ArmPanel {
                    weights: layer.weights[first * channel_bytes..].as_ptr(),
                    bias: layer.bias[first * 4..].as_ptr(),
                    multipliers: layer.multipliers[first..].as_ptr(),
                    to: &to,
                    first_channel: first,
                    kernel_rows: layer.kernel_rows,
                    steps: layer.kernel_row_bytes / STEP,
                    row_jump: geometry
                        .kernel_row_stride
                        .wrapping_sub(layer.kernel_row_bytes),
                };
                // SAFETY: `available` returns these kernels only if the processor has NEON; the geometry fits the
                // slices, and the panels are packed one after the other, each with `channel_bytes` bytes per channel.
                unsafe { conv2d_tiles(&panel, tiles.as_ptr(), tiles.len()) }
            }
        }
    }
}

fn pack_depthwise(layer: &DepthwiseConv2d) -> Packed<PackedDepthwise> {
    if layer.window.kernel != [3, 3] || has_weight_of_minus_128(&layer.weights) {
        return Packed::Portable(portable::pack_depthwise(layer));
    }
    let channels = layer.epilogue.channels().next_multiple_of(CHANNEL_GROUP);
    let groups = (0..channels).step_by(CHANNEL_GROUP);
    let weights: Vec<i8> = groups
        .flat_map(|first| (0..9).map(move |tap| (first, tap)))
        .flat_map(|(first, tap)| {
            (first..first + CHANNEL_GROUP).map(move |c| layer.weight(tap / 3, tap % 3, c))
        })
        .collect();
    Packed::Native(PackedDepthwise::new(layer, channels, &weights, |lane| lane))
}

fn depthwise(
    layer: &PackedDepthwise,
    geometry: &ConvGeometry,
    input: &[Quantized],
    output: &mut [Quantized],
) {
    layer.check(geometry, input, output);
    if geometry.width == 0 {
        return;
    }
    let to = ArmRequantizer::new(&layer.output_quant);
    // All channels of a row before the next row, so that the input rows of both are still in the L1 cache.
    for y in 0..geometry.rows {
        for first in (0..layer.channels).step_by(CHANNEL_GROUP) {
            let from = y * geometry.window_step_y + first;
            let row = DepthwiseRow {
                kernel_rows: [0, 1, 2]
                    .map(|row| input[from + row * geometry.kernel_row_stride..].as_ptr()),
                pixel_stride: layer.channels,
                window_jump: geometry.window_step_x.wrapping_sub(3 * layer.channels),
                output: output[y * geometry.out_row_stride + first..].as_mut_ptr(),
                out_pixel_stride: geometry.out_pixel_stride,
                width: geometry.width,
                weights: layer.weights[first * 9..].as_ptr(),
                bias: layer.bias[first..].as_ptr(),
                multipliers: layer.multipliers[first..].as_ptr(),
                to: &to,
            };
            // SAFETY: as for `conv2d`.
            unsafe { depthwise_row(&row) }
        }
    }
}

/// Windows that are computed together, and their output pixels.
#[derive(Clone, Copy)]
#[repr(C)]
struct ArmTile {
    windows: [*const i8; TILE_PIXELS],
    pixels: [*mut i8; TILE_PIXELS],
}

/// Four channels of a convolution, and the extent of their windows.
#[repr(C)]
struct ArmPanel<'a> {
    /// For each 16 bytes of the window: the weights of each channel.
    weights: *const i8,
    /// For each channel: the initial values of the four parts of its sum.
    bias: *const i32,
    multipliers: *const f32,
    to: &'a ArmRequantizer,
    first_channel: usize,
    /// Not 0.
    kernel_rows: usize,
    /// Steps of 16 bytes per kernel row.
    steps: usize,
    /// Bytes from the end of a kernel row to the start of the next; wraps.
    row_jump: usize,
}

/// Eight channels of a row of a depthwise convolution.
#[repr(C)]
struct DepthwiseRow<'a> {
    /// Start of each kernel row of the first window.
    kernel_rows: [*const i8; 3],
    pixel_stride: usize,
    /// Bytes from the end of a window to the start of the next; wraps.
    window_jump: usize,
    output: *mut i8,
    out_pixel_stride: usize,
    /// Pixels; not 0.
    width: usize,
    /// For each tap of the kernel, row by row: the weights of each channel.
    weights: *const i8,
    bias: *const i32,
    multipliers: *const f32,
    to: &'a ArmRequantizer,
}

/// Assembly with NEON enabled, which the target does not enable.
macro_rules! neon {
    ($($rest:tt)*) => {
        naked_asm!(
            ".fpu neon",
            "push {{r4-r11, lr}}",
            "vpush {{d8-d15}}",
            $($rest)*
        )
    };
}

/// Requantizes the sums in q0 and q1 with the multipliers in `$first` and `$second` to eight bytes in d0. The other
/// registers hold the fields of [`ArmRequantizer`].
macro_rules! requantize {
    ($first:literal, $second:literal, $min:literal, $max:literal, $rounding_constant:literal, $bits:literal) => {
        concat!(
            "vcvt.f32.s32 q0, q0\nvcvt.f32.s32 q1, q1\n",
            "vmul.f32 q0, q0, ",
            $first,
            "\nvmul.f32 q1, q1, ",
            $second,
            "\n",
            "vmax.f32 q0, q0, ",
            $min,
            "\nvmax.f32 q1, q1, ",
            $min,
            "\n",
            "vmin.f32 q0, q0, ",
            $max,
            "\nvmin.f32 q1, q1, ",
            $max,
            "\n",
            "vadd.f32 q0, q0, ",
            $rounding_constant,
            "\nvadd.f32 q1, q1, ",
            $rounding_constant,
            "\n",
            "vsub.i32 q0, q0, ",
            $bits,
            "\nvsub.i32 q1, q1, ",
            $bits,
            "\n",
            "vmovn.i32 d0, q0\nvmovn.i32 d1, q1\n",
            "vmovn.i16 d0, q0\n",
        )
    };
}

/// Adds the products of 16 bytes of both pixels with the weights of two channels in q2 and q3, two products in 16 bits
/// and then to the sums. `$then` is inserted after the last use of the weights.
macro_rules! two_channels {
    ($a0:literal, $a1:literal, $b0:literal, $b1:literal, $then:literal) => {
        concat!(
            "vmull.s8 q4, d0, d4\nvmull.s8 q5, d0, d6\n",
            "vmull.s8 q6, d2, d4\nvmull.s8 q7, d2, d6\n",
            "vmlal.s8 q4, d1, d5\nvmlal.s8 q5, d1, d7\n",
            "vmlal.s8 q6, d3, d5\nvmlal.s8 q7, d3, d7\n",
            $then,
            "\n",
            "vpadal.s16 ",
            $a0,
            ", q4\nvpadal.s16 ",
            $a1,
            ", q5\n",
            "vpadal.s16 ",
            $b0,
            ", q6\nvpadal.s16 ",
            $b1,
            ", q7\n",
        )
    };
}

/// Computes tiles of a convolution for a panel of channels.
///
/// # Safety
/// The processor has NEON; `tiles` points to `count` tiles, at least one; their windows and pixels are inside the maps,
/// and the panel is packed as its fields describe.
#[unsafe(naked)]
unsafe extern "C" fn conv2d_tiles(panel: &ArmPanel<'_>, tiles: *const ArmTile, count: usize) {
    neon!(
        "2:",
        "ldm r1!, {{r3, r4, r5, r6}}",
        "ldr r7, [r0, #{weights}]",
        "ldr r12, [r0, #{bias}]",
        "ldr r8, [r0, #{kernel_rows}]",
        "ldr r11, [r0, #{steps}]",
        "ldr r10, [r0, #{row_jump}]",
        "add r9, r12, #32",
        "vld1.32 {{d16-d19}}, [r12]",
        "vld1.32 {{d20-d23}}, [r9]",
        "vld1.32 {{d24-d27}}, [r12]",
        "vld1.32 {{d28-d31}}, [r9]",
        // Each kernel row.
        "3:",
        "movs r9, r11",
        "beq 5f",
        "4:",
        "vld1.8 {{d0-d1}}, [r3]!",
        "vld1.8 {{d4-d7}}, [r7]!",
        "vld1.8 {{d2-d3}}, [r4]!",
        "subs r9, r9, #1",
        two_channels!("q8", "q9", "q12", "q13", "vld1.8 {{d4-d7}}, [r7]!"),
        two_channels!("q10", "q11", "q14", "q15", ""),
        "bne 4b",
        "5:",
        "add r3, r3, r10",
        "add r4, r4, r10",
        "subs r8, r8, #1",
        "bne 3b",
        // Add the four parts of each sum.
        "vadd.i32 d0, d16, d17",
        "vadd.i32 d1, d18, d19",
        "vadd.i32 d2, d20, d21",
        "vadd.i32 d3, d22, d23",
        "vadd.i32 d4, d24, d25",
        "vadd.i32 d5, d26, d27",
        "vadd.i32 d6, d28, d29",
        "vadd.i32 d7, d30, d31",
        "vpadd.i32 d0, d0, d1",
        "vpadd.i32 d1, d2, d3",
        "vpadd.i32 d2, d4, d5",
        "vpadd.i32 d3, d6, d7",
        "ldr r12, [r0, #{multipliers}]",
        "ldr r9, [r0, #{to}]",
        "ldr r8, [r0, #{first_channel}]",
        "vld1.32 {{d4-d5}}, [r12]",
        "vld1.32 {{d16-d19}}, [r9]!",
        "vld1.32 {{d20-d23}}, [r9]",
        requantize!("q2", "q2", "q8", "q9", "q10", "q11"),
        "add r5, r5, r8",
        "add r6, r6, r8",
        "vst1.32 {{d0[0]}}, [r5]",
        "vst1.32 {{d0[1]}}, [r6]",
        "subs r2, r2, #1",
        "bne 2b",
        "vpop {{d8-d15}}",
        "pop {{r4-r11, pc}}",
        ".fpu vfpv3-d16",
        weights = const offset_of!(ArmPanel<'static>, weights),
        bias = const offset_of!(ArmPanel<'static>, bias),
        kernel_rows = const offset_of!(ArmPanel<'static>, kernel_rows),
        steps = const offset_of!(ArmPanel<'static>, steps),
        row_jump = const offset_of!(ArmPanel<'static>, row_jump),
        multipliers = const offset_of!(ArmPanel<'static>, multipliers),
        to = const offset_of!(ArmPanel<'static>, to),
        first_channel = const offset_of!(ArmPanel<'static>, first_channel),
    )
}

/// Computes a row of a depthwise convolution.
///
/// # Safety
/// The processor has NEON; the row's windows and pixels are inside the maps, and its weights are packed as its fields
/// describe.
#[unsafe(naked)]
unsafe extern "C" fn depthwise_row(row: &DepthwiseRow<'_>) {
    neon!(
        "ldm r0!, {{r1, r2, r3, r4, r5, r6, r7, r8}}",
        "ldm r0, {{r9, r10, r11, r12}}",
        "vld1.8 {{d16-d19}}, [r9]!",
        "vld1.8 {{d20-d23}}, [r9]!",
        "vld1.8 {{d24}}, [r9]",
        "vld1.32 {{d12-d15}}, [r12]!",
        "vld1.32 {{d26-d29}}, [r12]",
        "2:",
        "vld1.32 {{d0-d3}}, [r10]",
        "vld1.8 {{d8}}, [r1], r4",
        "vld1.8 {{d9}}, [r1], r4",
        "vld1.8 {{d10}}, [r1], r4",
        "vld1.8 {{d11}}, [r2], r4",
        "vmull.s8 q2, d8, d16",
        "vmull.s8 q3, d10, d18",
        "vld1.8 {{d8}}, [r2], r4",
        "vmlal.s8 q2, d9, d17",
        "vmlal.s8 q3, d11, d19",
        "vld1.8 {{d9}}, [r2], r4",
        "vld1.8 {{d10}}, [r3], r4",
        "vaddw.s16 q0, q0, d4",
        "vaddw.s16 q1, q1, d5",
        "vmull.s8 q2, d8, d20",
        "vld1.8 {{d11}}, [r3], r4",
        "vaddw.s16 q0, q0, d6",
        "vaddw.s16 q1, q1, d7",
        "vmull.s8 q3, d10, d22",
        "vld1.8 {{d8}}, [r3], r4",
        "vmlal.s8 q2, d9, d21",
        "vmlal.s8 q3, d11, d23",
        "add r1, r1, r5",
        "vmull.s8 q4, d8, d24",
        "add r2, r2, r5",
        "vaddw.s16 q0, q0, d4",
        "vaddw.s16 q1, q1, d5",
        "add r3, r3, r5",
        "vaddw.s16 q0, q0, d6",
        "vaddw.s16 q1, q1, d7",
        "subs r8, r8, #1",
        "vaddw.s16 q0, q0, d8",
        "vaddw.s16 q1, q1, d9",
        "vld1.32 {{d8-d11}}, [r11]",
        requantize!("q4", "q5", "q6", "q7", "q13", "q14"),
        "vst1.8 {{d0}}, [r6], r7",
        "bne 2b",
        "vpop {{d8-d15}}",
        "pop {{r4-r11, pc}}",
        ".fpu vfpv3-d16",
    )
}
