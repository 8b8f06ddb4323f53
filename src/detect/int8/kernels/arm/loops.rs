//! The loops in assembly.
//!
//! NEON takes floats too small for a full mantissa for 0 here. Such a sum is rounded to 0 anyhow, and so is one whose
//! multiplier is that small: no result is another than on other processors.

use std::arch::naked_asm;
use std::mem::offset_of;

use super::Narrowing;

/// Pixels of a tile of a dense layer: with four sums in vectors for each, half of the registers are left for what is
/// multiplied.
pub(super) const PIXELS: usize = 2;

/// Windows that go through a panel together, and the pixels they become.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Tile {
    /// Where each window begins.
    pub(super) windows: [*const i8; PIXELS],
    /// Where each pixel begins.
    pub(super) pixels: [*mut i8; PIXELS],
}

/// Four channels of a dense layer, and how far their windows go.
#[repr(C)]
pub(super) struct Panel<'a> {
    /// For each 16 bytes of the window, the weights of each channel.
    pub(super) weights: *const i8,
    /// For each channel the four parts of the sum to begin with.
    pub(super) bias: *const i32,
    pub(super) multipliers: *const f32,
    pub(super) to: &'a Narrowing,
    /// The first channel.
    pub(super) first: usize,
    /// Rows of a window; not 0.
    pub(super) lines: usize,
    /// How often 16 bytes are read of each.
    pub(super) steps: usize,
    /// Bytes from the end of a row of a window to the next; wraps.
    pub(super) jump: usize,
}

/// Eight channels of a row of a depthwise layer.
#[repr(C)]
pub(super) struct Row<'a> {
    /// The rows of the first window.
    pub(super) lines: [*const i8; 3],
    /// Bytes from a pixel of a window to the next.
    pub(super) pixel: usize,
    /// Bytes from the end of a window to the next window; wraps.
    pub(super) jump: usize,
    pub(super) output: *mut i8,
    pub(super) out_pixel: usize,
    /// Pixels; not 0.
    pub(super) width: usize,
    /// For each place of the window, row by row, the weights of each channel.
    pub(super) weights: *const i8,
    pub(super) bias: *const i32,
    pub(super) multipliers: *const f32,
    pub(super) to: &'a Narrowing,
}

/// Assembly with NEON, which the rest of the program is built without.
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

/// Sums in q0 and q1, times the multipliers in two registers, as eight bytes in d0. Low and high end, rounder and bits
/// of [`Narrowing`] are in four others.
macro_rules! narrow {
    ($first:literal, $second:literal, $low:literal, $high:literal, $rounder:literal, $bits:literal) => {
        concat!(
            "vcvt.f32.s32 q0, q0\nvcvt.f32.s32 q1, q1\n",
            "vmul.f32 q0, q0, ",
            $first,
            "\nvmul.f32 q1, q1, ",
            $second,
            "\n",
            "vmax.f32 q0, q0, ",
            $low,
            "\nvmax.f32 q1, q1, ",
            $low,
            "\n",
            "vmin.f32 q0, q0, ",
            $high,
            "\nvmin.f32 q1, q1, ",
            $high,
            "\n",
            "vadd.f32 q0, q0, ",
            $rounder,
            "\nvadd.f32 q1, q1, ",
            $rounder,
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

/// Products of 16 bytes of both pixels with the weights of two channels in q2 and q3, two added in 16 bits, then to the
/// sums. `$then` comes when the weights were used.
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

/// Tiles of a dense layer through a panel.
///
/// # Safety
/// The processor has NEON; there are `count` tiles, not 0; their windows and pixels are inside the maps, and the panel
/// is packed as it says.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn dense(panel: &Panel<'_>, tiles: *const Tile, count: usize) {
    neon!(
        "2:",
        "ldm r1!, {{r3, r4, r5, r6}}",
        "ldr r7, [r0, #{weights}]",
        "ldr r12, [r0, #{bias}]",
        "ldr r8, [r0, #{lines}]",
        "ldr r11, [r0, #{steps}]",
        "ldr r10, [r0, #{jump}]",
        "add r9, r12, #32",
        "vld1.32 {{d16-d19}}, [r12]",
        "vld1.32 {{d20-d23}}, [r9]",
        "vld1.32 {{d24-d27}}, [r12]",
        "vld1.32 {{d28-d31}}, [r9]",
        // Each row of the window.
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
        // The four parts of each sum together.
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
        "ldr r8, [r0, #{first}]",
        "vld1.32 {{d4-d5}}, [r12]",
        "vld1.32 {{d16-d19}}, [r9]!",
        "vld1.32 {{d20-d23}}, [r9]",
        narrow!("q2", "q2", "q8", "q9", "q10", "q11"),
        "add r5, r5, r8",
        "add r6, r6, r8",
        "vst1.32 {{d0[0]}}, [r5]",
        "vst1.32 {{d0[1]}}, [r6]",
        "subs r2, r2, #1",
        "bne 2b",
        "vpop {{d8-d15}}",
        "pop {{r4-r11, pc}}",
        ".fpu vfpv3-d16",
        weights = const offset_of!(Panel<'static>, weights),
        bias = const offset_of!(Panel<'static>, bias),
        lines = const offset_of!(Panel<'static>, lines),
        steps = const offset_of!(Panel<'static>, steps),
        jump = const offset_of!(Panel<'static>, jump),
        multipliers = const offset_of!(Panel<'static>, multipliers),
        to = const offset_of!(Panel<'static>, to),
        first = const offset_of!(Panel<'static>, first),
    )
}

/// A row of a depthwise layer.
///
/// # Safety
/// The processor has NEON; the row's windows and pixels are inside the maps, and its weights are packed as it says.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn depthwise(row: &Row<'_>) {
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
        narrow!("q4", "q5", "q6", "q7", "q13", "q14"),
        "vst1.8 {{d0}}, [r6], r7",
        "bne 2b",
        "vpop {{d8-d15}}",
        "pop {{r4-r11, pc}}",
        ".fpu vfpv3-d16",
    )
}
