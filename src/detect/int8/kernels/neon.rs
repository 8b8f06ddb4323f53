//! 64-bit ARM: four products of signed bytes are added to a sum of 32 bits (`SDOT`), or two products in 16 bits and
//! then to a sum of 32 bits on processors without it.
//!
//! The loops around the products are written once over [`NeonVariant`]: they visit the windows tile by tile and leave
//! the arithmetic on a few pixels and channels to the variant.

#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

use super::super::graph::{Conv2d, DepthwiseConv2d};
use super::super::tensor::{CHANNEL_GROUP, ConvGeometry, OutputQuant, Quantized};
use super::{Kernels, Packed, PackedConv2d, PackedDepthwise, portable};

mod base;
mod dotprod;

/// Pixels of a tile: with four vectors of sums each, half of the registers remain for values and weights. If fewer
/// pixels are left, the last of them is computed several times.
const TILE_PIXELS: usize = 4;

/// Pixels that are computed for all panels before the next pixels. The weights of a panel are read once for each tile,
/// so the pixels should stay in the L1 cache: with 512 channels they take half of a Cortex-A53's.
const BLOCK_PIXELS: usize = 32;

/// Kernel columns of a depthwise convolution.
const COLUMNS: usize = 3;

/// Channels of a block of a depthwise convolution.
const BLOCK_CHANNELS: usize = 16;

/// The kernels that the processor has the instructions for, the fastest first.
pub(super) fn available() -> impl Iterator<Item = &'static Kernels> {
    let neon = is_aarch64_feature_detected!("neon");
    let dotprod = neon && is_aarch64_feature_detected!("dotprod");
    let all = [(dotprod, &dotprod::KERNELS), (neon, &base::KERNELS)];
    all.into_iter()
        .filter_map(|(is_available, kernels)| is_available.then_some(kernels))
}

/// The arithmetic that depends on the processor's instructions.
///
/// # Safety
/// All methods except those that pack weights require a processor that has the instructions; all are inlined into
/// functions that enable them.
unsafe trait NeonVariant {
    /// Channels of a full panel of a convolution.
    const PANEL_CHANNELS: usize;
    /// Initial values per channel of a convolution's sums.
    const BIASES: usize;
    /// Bytes of a kernel row for which the weights of a channel are adjacent.
    const STEP: usize;
    /// Output rows of a depthwise convolution at stride 1 that are computed at once.
    const ROWS: usize;
    /// Weights of a channel block of a depthwise convolution, or a pointer to them.
    type Weights: Copy;
    /// The values of a kernel column of a depthwise convolution.
    type Column: Copy;

    /// Computes a tile of a convolution for a panel of channels.
    ///
    /// # Safety
    /// Also: the tile's windows and pixels are inside the maps, and the panel is as [`pack_conv2d`] packs it.
    unsafe fn tile(panel: &NeonPanel, tile: &NeonTile, to: &NeonRequantizer);

    /// Packs the weights of a depthwise convolution, block by block.
    fn depthwise_weights(layer: &DepthwiseConv2d, blocks: usize) -> Vec<i8>;

    /// Loads the weights of a block.
    ///
    /// # Safety
    /// Also: `from` points to them.
    unsafe fn weights(from: *const i8) -> Self::Weights;

    /// Loads a column of a block, `offset` bytes after the start of each kernel row.
    ///
    /// # Safety
    /// Also: the column is inside the map.
    unsafe fn column(kernel_rows: [*const i8; 4], offset: usize) -> Self::Column;

    /// The sums of a block's channels for a pixel, in the upper or the lower of two rows that are computed at once.
    ///
    /// # Safety
    /// Also: `bias` points to the biases of a block.
    unsafe fn sums(
        columns: [Self::Column; COLUMNS],
        weights: Self::Weights,
        bias: *const i32,
        is_lower: bool,
    ) -> [int32x4_t; 4];
}

/// [`OutputQuant`] in vectors.
#[derive(Clone, Copy)]
struct NeonRequantizer {
    zero_point: int16x8_t,
    qmin: int8x16_t,
    qmax: int8x16_t,
}

impl NeonRequantizer {
    #[target_feature(enable = "neon")]
    #[inline]
    fn new(output_quant: &OutputQuant) -> Self {
        Self {
            zero_point: vdupq_n_s16(i16::from(output_quant.zero_point)),
            qmin: vdupq_n_s8(output_quant.qmin),
            qmax: vdupq_n_s8(output_quant.qmax),
        }
    }

    /// Requantizes four vectors of sums to bytes in the same order.
    ///
    /// Equal to [`OutputQuant::requantize`]: a value outside 16 bits is outside the output's range, before and after
    /// the zero point is added, and saturation preserves that.
    #[target_feature(enable = "neon")]
    #[inline]
    fn bytes(&self, sums: [int32x4_t; 4], multipliers: [float32x4_t; 4]) -> int8x16_t {
        let scaled = |v: usize| vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums[v]), multipliers[v]));
        let halves = |first: int32x4_t, second: int32x4_t| {
            let halves = vqmovn_high_s32(vqmovn_s32(first), second);
            vqaddq_s16(halves, self.zero_point)
        };
        let first = halves(scaled(0), scaled(1));
        let second = halves(scaled(2), scaled(3));
        let bytes = vqmovn_high_s16(vqmovn_s16(first), second);
        vminq_s8(vmaxq_s8(bytes, self.qmin), self.qmax)
    }
}

/// Windows that are computed together, and their output pixels.
#[derive(Clone, Copy)]
struct NeonTile {
    windows: [*const i8; TILE_PIXELS],
    pixels: [*mut i8; TILE_PIXELS],
}

/// A panel of channels, and the extent of their windows.
struct NeonPanel {
    /// In the kernel's order.
    weights: *const i8,
    /// In the kernel's order.
    bias: *const i32,
    multipliers: *const f32,
    first_channel: usize,
    /// Channels that are written.
    channels: usize,
    /// Not 0.
    kernel_rows: usize,
    kernel_row_bytes: usize,
    /// Bytes from the end of a kernel row to the start of the next; wraps.
    row_jump: usize,
}

fn pack_conv2d<S: NeonVariant>(layer: &Conv2d, pixel_stride: usize) -> PackedConv2d {
    let channels = layer.epilogue.channels().next_multiple_of(CHANNEL_GROUP);
    assert!(layer.window.kernel[0] > 0, "a kernel has at least one row");
    let panels = vec![S::PANEL_CHANNELS; channels.div_ceil(S::PANEL_CHANNELS)];
    PackedConv2d::new(layer, pixel_stride, S::STEP, &panels, |lane| lane)
}

/// Computes a convolution: for a panel of channels and a tile of pixels, all sums at once in registers.
///
/// # Safety
/// The geometry fits the slices, and the processor has the instructions of `S`.
#[inline(always)]
unsafe fn run_conv2d<S: NeonVariant>(
    layer: &PackedConv2d,
    geometry: &ConvGeometry,
    input: &[Quantized],
    output: &mut [Quantized],
) {
    // SAFETY: guaranteed by the caller.
    let to = unsafe { NeonRequantizer::new(&layer.output_quant) };
    let [runs, pixels] = geometry.runs();
    let output = output.as_mut_ptr();
    let mut tiles = [NeonTile {
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
            // SAFETY: the geometry fits the slices, and these are its windows and pixels.
            unsafe { all_panels::<S>(layer, geometry, &to, tiles) }
        }
    }
}

/// # Safety
/// As for [`run_conv2d`], and the tiles belong to the geometry.
#[inline(always)]
unsafe fn all_panels<S: NeonVariant>(
    layer: &PackedConv2d,
    geometry: &ConvGeometry,
    to: &NeonRequantizer,
    tiles: &[NeonTile],
) {
    let channel_bytes = layer.kernel_rows * layer.kernel_row_bytes;
    for first in (0..layer.channels).step_by(S::PANEL_CHANNELS) {
        let panel = NeonPanel {
            weights: layer.weights[first * channel_bytes..].as_ptr(),
            bias: layer.bias[first * S::BIASES..].as_ptr(),
            multipliers: layer.multipliers[first..].as_ptr(),
            first_channel: first,
            channels: S::PANEL_CHANNELS.min(layer.channels - first),
            kernel_rows: layer.kernel_rows,
            kernel_row_bytes: layer.kernel_row_bytes,
            row_jump: geometry
                .kernel_row_stride
                .wrapping_sub(layer.kernel_row_bytes),
        };
        for tile in tiles {
            // SAFETY: guaranteed by the caller, and the panels are packed one after the other, each with
            // `channel_bytes` bytes per channel.
            unsafe { S::tile(&panel, tile, to) }
        }
    }
}

fn pack_depthwise<S: NeonVariant>(layer: &DepthwiseConv2d) -> Packed<PackedDepthwise> {
    if layer.window.kernel != [3, COLUMNS] {
        return Packed::Portable(portable::pack_depthwise(layer));
    }
    let channels = layer.epilogue.channels().next_multiple_of(CHANNEL_GROUP);
    let blocks = channels.div_ceil(BLOCK_CHANNELS);
    let weights = S::depthwise_weights(layer, blocks);
    let lanes = blocks * BLOCK_CHANNELS;
    Packed::Native(PackedDepthwise::new(layer, lanes, &weights, |lane| lane))
}

/// Computes a depthwise 3x3 convolution, 16 channels at a time.
///
/// # Safety
/// The geometry fits the slices, and the processor has the instructions of `S`.
#[inline(always)]
unsafe fn run_depthwise<S: NeonVariant>(
    layer: &PackedDepthwise,
    geometry: &ConvGeometry,
    input: &[Quantized],
    output: &mut [Quantized],
) {
    let channels = layer.channels;
    let blocks = channels.div_ceil(BLOCK_CHANNELS);
    // Whole vectors are read, also for the last channels.
    let overread = blocks * BLOCK_CHANNELS - channels;
    let row_bytes = COLUMNS * channels + overread;
    assert!(
        geometry.fits(3, row_bytes, channels, input.len(), output.len()),
        "a depthwise convolution needs {overread} bytes after its input"
    );
    // SAFETY: guaranteed by the caller.
    let to = unsafe { NeonRequantizer::new(&layer.output_quant) };
    let stride = geometry.window_step_x / channels.max(1);
    let block_weights = layer.weights.len() / blocks.max(1);
    // All channels of a row before the next row, so that the input rows of both are still in the L1 cache.
    let mut y = 0;
    while geometry.width > 0 && y < geometry.rows {
        let rows = match stride {
            1 => S::ROWS.min(geometry.rows - y),
            _ => 1,
        };
        for block in 0..blocks {
            let first = block * BLOCK_CHANNELS;
            // SAFETY: the geometry fits the slices, including what is read after the last channels.
            unsafe {
                let multipliers = layer.multipliers[first..][..BLOCK_CHANNELS].as_ptr();
                let channel_block = NeonChannelBlock::<S> {
                    to,
                    weights: S::weights(layer.weights[block * block_weights..].as_ptr()),
                    bias: layer.bias[first..].as_ptr(),
                    multipliers: vld1q_f32_x4(multipliers),
                    is_whole: first + BLOCK_CHANNELS <= channels,
                    channels,
                    geometry,
                };
                let input = input[y * geometry.window_step_y + first..].as_ptr();
                let output = output[y * geometry.out_row_stride + first..].as_mut_ptr();
                match (stride, rows) {
                    (1, 2) => channel_block.rows::<2, 1>(input, output),
                    (1, _) => channel_block.rows::<1, 1>(input, output),
                    (2, _) => channel_block.rows::<1, 2>(input, output),
                    _ => channel_block.rows::<1, 3>(input, output),
                }
            }
        }
        y += rows;
    }
}

/// A block of channels of a depthwise convolution.
struct NeonChannelBlock<'a, S: NeonVariant> {
    to: NeonRequantizer,
    weights: S::Weights,
    bias: *const i32,
    multipliers: float32x4x4_t,
    /// Whether the block has all of its channels; half of them otherwise.
    is_whole: bool,
    /// Channels of the layer, the bytes from one pixel of a window to the next.
    channels: usize,
    geometry: &'a ConvGeometry,
}

impl<S: NeonVariant> NeonChannelBlock<'_, S> {
    /// Computes `R` output rows. Of the columns of a window, `STRIDE` are not in the window before it; 3 stands for all
    /// larger strides too.
    ///
    /// # Safety
    /// The windows from `input` on and the pixels from `output` on are inside the maps.
    #[inline(always)]
    unsafe fn rows<const R: usize, const STRIDE: usize>(&self, input: *const i8, output: *mut i8) {
        // With one output row, the fourth value is multiplied by 0: any row serves.
        let kernel_rows =
            [0, 1, 2, R + 1].map(|row| input.wrapping_add(row * self.geometry.kernel_row_stride));
        let columns = [0, 1, 2].map(|x| {
            // SAFETY: guaranteed by the caller.
            unsafe { S::column(kernel_rows, x * self.channels) }
        });
        let mut cursor = RowCursor {
            kernel_rows,
            columns,
            output,
            remaining: self.geometry.width,
        };
        // The columns that are kept rotate; after three pixels they are in their first positions again.
        // SAFETY: guaranteed by the caller.
        unsafe {
            while self.pixel::<R, STRIDE, 0>(&mut cursor)
                && self.pixel::<R, STRIDE, 1>(&mut cursor)
                && self.pixel::<R, STRIDE, 2>(&mut cursor)
            {}
        }
    }

    /// Computes the next pixel of each row and returns whether another follows.
    ///
    /// # Safety
    /// As for [`Self::rows`].
    #[inline(always)]
    unsafe fn pixel<const R: usize, const STRIDE: usize, const ROTATION: usize>(
        &self,
        cursor: &mut RowCursor<S::Column>,
    ) -> bool {
        let order = |rotation: usize| [0, 1, 2].map(|x| (rotation * STRIDE + x) % COLUMNS);
        let columns = order(ROTATION).map(|x| cursor.columns[x]);
        let multipliers = self.multipliers;
        let multipliers = [multipliers.0, multipliers.1, multipliers.2, multipliers.3];
        // SAFETY: guaranteed by the caller.
        unsafe {
            for row in 0..R {
                let sums = S::sums(columns, self.weights, self.bias, row == 1);
                let bytes = self.to.bytes(sums, multipliers);
                let output = cursor.output.add(row * self.geometry.out_row_stride);
                if self.is_whole {
                    vst1q_s8(output, bytes);
                } else {
                    vst1_s8(output, vget_low_s8(bytes));
                }
            }
            cursor.remaining -= 1;
            if cursor.remaining == 0 {
                return false;
            }
            cursor.output = cursor.output.add(self.geometry.out_pixel_stride);
            let step = self.geometry.window_step_x;
            cursor.kernel_rows = cursor.kernel_rows.map(|row| row.add(step));
            for x in COLUMNS - STRIDE..COLUMNS {
                let column = S::column(cursor.kernel_rows, x * self.channels);
                cursor.columns[order(ROTATION + 1)[x]] = column;
            }
        }
        true
    }
}

/// Position in a row of a depthwise convolution.
struct RowCursor<C> {
    /// Start of each kernel row of the window.
    kernel_rows: [*const i8; 4],
    columns: [C; COLUMNS],
    output: *mut i8,
    /// Pixels left, this one included.
    remaining: usize,
}
