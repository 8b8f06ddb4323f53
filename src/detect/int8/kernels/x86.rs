//! x86-64: four products of an unsigned and a signed byte are added to a sum of 32 bits (`VPDPBUSD`, or an equivalent
//! sequence without it).
//!
//! The loops are written once over [`Vector`], a register of 32 or 64 bytes. x86 narrows sums to bytes within 16-byte
//! lanes. The sums are arranged so that the narrowed channels are in order without a shuffle across these lanes: in a
//! panel of four vectors, element `i` of 16-byte lane `l` of vector `v` is channel `16 l + 4 v + i`.

#![allow(unsafe_code)]

use super::super::graph::{Conv2d, DepthwiseConv2d};
use super::super::tensor::{CHANNEL_GROUP, ConvGeometry, OutputQuant, Quantized};
use super::{Packed, PackedConv2d, PackedDepthwise, portable};

mod vectors;

pub(super) use vectors::available;

/// Vectors of a full panel.
const PANEL_VECTORS: usize = 4;

/// Bytes of a pixel that a step of a convolution reads.
const STEP: usize = 4;

/// Bytes of the input that are computed for all panels before the next bytes. The weights of a panel are read once for
/// each tile of pixels, so the pixels are processed in blocks that stay in the L2 cache.
const BLOCK_BYTES: usize = 128 * 1024;

/// Kernel columns of a depthwise convolution.
const COLUMNS: usize = 3;

/// [`OutputQuant`] in the types of the vector instructions.
#[derive(Clone, Copy)]
struct X86Requantizer {
    zero_point: i16,
    qmin: u8,
    qmax: u8,
}

impl X86Requantizer {
    fn new(output_quant: &OutputQuant) -> Self {
        Self {
            zero_point: i16::from(output_quant.zero_point),
            qmin: output_quant.qmin,
            qmax: output_quant.qmax,
        }
    }
}

/// A vector register and the instructions on it.
///
/// # Safety
/// Every method requires a processor that has the instructions, and pointers to as many bytes as it states, with any
/// alignment. All are inlined into functions that enable the instructions.
unsafe trait Vector: Copy {
    /// 32-bit sums in a vector.
    const LANES: usize;
    /// Pixels whose sums for a full panel fit in the registers.
    const TILE_PIXELS: usize;
    /// Half of the register, for remaining channels.
    type Half: Vector;

    /// Loads `4 * LANES` bytes.
    unsafe fn load(from: *const u8) -> Self;
    /// Loads the same 4 bytes into each lane.
    unsafe fn broadcast(from: *const u8) -> Self;
    /// Adds to each sum the products of the 4 unsigned bytes in `values` and the 4 signed bytes in `weights`.
    unsafe fn add_products(self, values: Self, weights: Self) -> Self;
    /// Interleaves four kernel rows, first by bytes and then by pairs of bytes, so that the four values of each channel
    /// are adjacent. The channels of the four vectors are in the order of a full panel.
    unsafe fn interleave(rows: [Self; 4]) -> [Self; PANEL_VECTORS];
    /// Requantizes four vectors of sums to bytes in the order of channels.
    unsafe fn requantize(
        sums: [Self; PANEL_VECTORS],
        multipliers: *const f32,
        to: &X86Requantizer,
    ) -> Self;
    /// Stores `4 * LANES` bytes.
    unsafe fn store(self, to: *mut u8);
    /// Stores the first `count` bytes; less than `4 * LANES`, a multiple of 8.
    unsafe fn store_part(self, to: *mut u8, count: usize);
    /// Requantizes one vector of sums and stores the first `count` bytes, 8 or 16.
    unsafe fn requantize_one(
        self,
        multipliers: *const f32,
        to: &X86Requantizer,
        out: *mut u8,
        count: usize,
    );
}

/// The channel of a lane, counted over full panels of vectors with `vector_lanes` lanes.
fn panel_channel(lane: usize, vector_lanes: usize) -> usize {
    let panel = PANEL_VECTORS * vector_lanes;
    let (first, lane) = (lane / panel * panel, lane % panel);
    let (vector, element) = (lane / vector_lanes, lane % vector_lanes);
    first + element / 4 * 16 + vector * 4 + element % 4
}

/// Number of full panels, and the lanes of the remaining whole vectors.
fn conv2d_panels<S: Vector>(channels: usize) -> (usize, usize) {
    let full = PANEL_VECTORS * S::LANES;
    (
        channels / full,
        (channels % full).next_multiple_of(S::LANES),
    )
}

fn pack_conv2d<S: Vector>(layer: &Conv2d, pixel_stride: usize) -> Packed<PackedConv2d> {
    let full = PANEL_VECTORS * S::LANES;
    let channels = layer.epilogue.channels().next_multiple_of(CHANNEL_GROUP);
    let (count, rest) = conv2d_panels::<S>(channels);
    let mut widths = vec![full; count];
    widths.extend((rest > 0).then_some(rest));
    let lane_channel = |lane| {
        if lane < count * full {
            panel_channel(lane, S::LANES)
        } else {
            lane
        }
    };
    let packed = PackedConv2d::new(layer, pixel_stride, STEP, &widths, lane_channel);
    Packed::Native(packed)
}

/// Computes a convolution: for a panel of channels and a tile of pixels, all sums at once in registers. Each step reads
/// 4 bytes of each pixel and 4 weights of each channel.
///
/// # Safety
/// The geometry fits the slices, and the processor has the instructions of `S`.
#[inline(always)]
unsafe fn run_conv2d<S: Vector>(
    layer: &PackedConv2d,
    geometry: &ConvGeometry,
    input: &[Quantized],
    output: &mut [Quantized],
) {
    let [runs, pixels] = geometry.runs();
    let block = (BLOCK_BYTES / geometry.window_step_x)
        .max(S::TILE_PIXELS)
        .min(pixels.max(1));
    let to = X86Requantizer::new(&layer.output_quant);
    for run in 0..runs {
        for first in (0..pixels).step_by(block) {
            let start = run * geometry.window_step_y + first * geometry.window_step_x;
            let block = PixelBlock {
                layer,
                geometry,
                to,
                input: input[start..].as_ptr(),
                output: output.as_mut_ptr(),
                first: run * pixels + first,
                pixels: block.min(pixels - first),
            };
            // SAFETY: guaranteed by the caller.
            unsafe { block.all_panels::<S>() }
        }
    }
}

/// Evenly spaced windows.
struct PixelBlock<'a> {
    layer: &'a PackedConv2d,
    geometry: &'a ConvGeometry,
    to: X86Requantizer,
    /// The first of the windows.
    input: *const u8,
    /// The first pixel of the geometry.
    output: *mut u8,
    /// Index of the first window in the geometry.
    first: usize,
    pixels: usize,
}

/// Packed parameters of a panel of channels.
struct X86Panel {
    weights: *const i8,
    bias: *const i32,
    multipliers: *const f32,
    first_channel: usize,
}

impl PixelBlock<'_> {
    /// # Safety
    /// As for [`run_conv2d`].
    #[inline(always)]
    unsafe fn all_panels<S: Vector>(&self) {
        let (count, rest) = conv2d_panels::<S>(self.layer.channels);
        let full = PANEL_VECTORS * S::LANES;
        let lane_bytes = self.layer.kernel_rows * self.layer.kernel_row_bytes;
        let panel = |number: usize| {
            let first = number * full;
            // SAFETY: the panels are packed one after the other, each with `lane_bytes` bytes per lane.
            unsafe {
                X86Panel {
                    weights: self.layer.weights.as_ptr().add(first * lane_bytes),
                    bias: self.layer.bias.as_ptr().add(first),
                    multipliers: self.layer.multipliers.as_ptr().add(first),
                    first_channel: first,
                }
            }
        };
        // SAFETY: guaranteed by the caller.
        unsafe {
            for number in 0..count {
                self.all_pixels::<S, PANEL_VECTORS, true>(&panel(number));
            }
            match rest / S::LANES {
                0 => {}
                1 => self.all_pixels::<S, 1, false>(&panel(count)),
                2 => self.all_pixels::<S, 2, false>(&panel(count)),
                3 => self.all_pixels::<S, 3, false>(&panel(count)),
                _ => self.all_pixels::<S, 4, false>(&panel(count)),
            }
        }
    }

    /// Computes all pixels for a panel in tiles of nearly equal height: a tile of one pixel would wait for its own
    /// sums.
    ///
    /// # Safety
    /// As for [`run_conv2d`].
    #[inline(always)]
    unsafe fn all_pixels<S: Vector, const V: usize, const IS_FULL: bool>(&self, panel: &X86Panel) {
        let tiles = self.pixels.div_ceil(S::TILE_PIXELS);
        let (pixels, larger) = (self.pixels / tiles, self.pixels % tiles);
        let mut cursor = OutputCursor::new(self.geometry, self.first);
        let mut input = self.input;
        for tile in 0..tiles {
            let pixels = pixels + usize::from(tile < larger);
            // SAFETY: the geometry fits the slices.
            unsafe {
                match pixels {
                    1 => self.tile::<S, 1, V, IS_FULL>(panel, input, &mut cursor),
                    2 => self.tile::<S, 2, V, IS_FULL>(panel, input, &mut cursor),
                    3 => self.tile::<S, 3, V, IS_FULL>(panel, input, &mut cursor),
                    4 => self.tile::<S, 4, V, IS_FULL>(panel, input, &mut cursor),
                    5 => self.tile::<S, 5, V, IS_FULL>(panel, input, &mut cursor),
                    _ => self.tile::<S, 6, V, IS_FULL>(panel, input, &mut cursor),
                }
                input = input.add(pixels * self.geometry.window_step_x);
            }
        }
    }

    /// Computes `P` pixels of the `V` vectors of a panel.
    ///
    /// # Safety
    /// As for [`run_conv2d`].
    #[inline(always)]
    unsafe fn tile<S: Vector, const P: usize, const V: usize, const IS_FULL: bool>(
        &self,
        panel: &X86Panel,
        input: *const u8,
        cursor: &mut OutputCursor<'_>,
    ) {
        let bias: [S; V] = std::array::from_fn(|v| {
            // SAFETY: the panel has a bias for each lane.
            unsafe { S::load(panel.bias.add(v * S::LANES).cast()) }
        });
        let mut sums = [bias; P];
        let mut weights: *const u8 = panel.weights.cast();
        for row in 0..self.layer.kernel_rows {
            // SAFETY: the geometry fits the slices, and the panel has weights for each step.
            unsafe {
                let mut at = input.add(row * self.geometry.kernel_row_stride);
                for _ in 0..self.layer.kernel_row_bytes / STEP {
                    let w: [S; V] =
                        std::array::from_fn(|v| S::load(weights.add(v * S::LANES * STEP)));
                    for (p, pixel) in sums.iter_mut().enumerate() {
                        let values = S::broadcast(at.add(p * self.geometry.window_step_x));
                        for (sums, w) in pixel.iter_mut().zip(w) {
                            *sums = sums.add_products(values, w);
                        }
                    }
                    at = at.add(STEP);
                    weights = weights.add(V * S::LANES * STEP);
                }
            }
        }
        for pixel in sums {
            // SAFETY: the geometry fits the slices: `channels` bytes of each pixel may be written.
            unsafe {
                let out = self.output.add(cursor.next() + panel.first_channel);
                if IS_FULL {
                    let pixel = std::array::from_fn(|v| pixel[v % V]);
                    S::requantize(pixel, panel.multipliers, &self.to).store(out);
                    continue;
                }
                for (v, sums) in pixel.into_iter().enumerate() {
                    let lane = v * S::LANES;
                    let channels = self.layer.channels - panel.first_channel - lane;
                    let count = channels.min(S::LANES);
                    debug_assert!(count.is_multiple_of(CHANNEL_GROUP));
                    sums.requantize_one(
                        panel.multipliers.add(lane),
                        &self.to,
                        out.add(lane),
                        count,
                    );
                }
            }
        }
    }
}

/// Iterates over the byte offsets of output pixels.
struct OutputCursor<'a> {
    geometry: &'a ConvGeometry,
    x: usize,
    offset: usize,
}

impl<'a> OutputCursor<'a> {
    fn new(geometry: &'a ConvGeometry, pixel: usize) -> Self {
        Self {
            geometry,
            x: pixel % geometry.width,
            offset: geometry.output_offset(pixel),
        }
    }

    #[inline(always)]
    fn next(&mut self) -> usize {
        let ConvGeometry {
            width,
            out_pixel_stride,
            out_row_stride,
            ..
        } = *self.geometry;
        let offset = self.offset;
        self.x += 1;
        self.offset += out_pixel_stride;
        if self.x == width {
            self.x = 0;
            self.offset += out_row_stride - width * out_pixel_stride;
        }
        offset
    }
}

/// Number of full channel blocks, and whether one of half the width follows.
fn depthwise_blocks<S: Vector>(channels: usize) -> (usize, bool) {
    let full = PANEL_VECTORS * S::LANES;
    let half = PANEL_VECTORS * S::Half::LANES;
    let rest = channels % full;
    if rest > 0 && rest <= half && half < full {
        (channels / full, true)
    } else {
        (channels.div_ceil(full), false)
    }
}

/// The channel of a lane, counted over all blocks.
fn depthwise_channel<S: Vector>(lane: usize, channels: usize) -> usize {
    let full_lanes = depthwise_blocks::<S>(channels).0 * PANEL_VECTORS * S::LANES;
    if lane < full_lanes {
        panel_channel(lane, S::LANES)
    } else {
        full_lanes + panel_channel(lane - full_lanes, S::Half::LANES)
    }
}

fn pack_depthwise<S: Vector>(layer: &DepthwiseConv2d) -> Packed<PackedDepthwise> {
    if layer.window.kernel != [3, COLUMNS] || layer.window.stride > 2 {
        return Packed::Portable(portable::pack_depthwise(layer));
    }
    let channels = layer.epilogue.channels().next_multiple_of(CHANNEL_GROUP);
    let (count, has_half) = depthwise_blocks::<S>(channels);
    let mut widths = vec![PANEL_VECTORS * S::LANES; count];
    widths.extend(has_half.then_some(PANEL_VECTORS * S::Half::LANES));
    let mut weights = Vec::new();
    let mut first = 0;
    for width in &widths {
        // Of the four values of a column, the upper output row skips the fourth, the lower one the first.
        for (lower, column) in (0..2).flat_map(|lower| (0..COLUMNS).map(move |x| (lower, x))) {
            for lane in first..first + width {
                let channel = depthwise_channel::<S>(lane, channels);
                let weight = |row: usize| match row.checked_sub(lower) {
                    Some(row) => layer.weight(row, column, channel),
                    None => 0,
                };
                weights.extend((0..4).map(weight));
            }
        }
        first += width;
    }
    let lane_channel = |lane| depthwise_channel::<S>(lane, channels);
    Packed::Native(PackedDepthwise::new(layer, first, &weights, lane_channel))
}

/// Computes a depthwise 3x3 convolution: the three or four values of a column are interleaved for each channel, so that
/// one instruction multiplies and adds the whole column. At stride 1, two output rows are computed at once from four
/// input rows.
///
/// # Safety
/// The geometry fits the slices, and the processor has the instructions of `S`.
#[inline(always)]
unsafe fn run_depthwise<S: Vector>(
    layer: &PackedDepthwise,
    geometry: &ConvGeometry,
    input: &[Quantized],
    output: &mut [Quantized],
) {
    let (count, has_half) = depthwise_blocks::<S>(layer.channels);
    let full = PANEL_VECTORS * S::LANES;
    let lanes = count * full + usize::from(has_half) * PANEL_VECTORS * S::Half::LANES;
    // Whole vectors are read, also for the last channels.
    let overread = lanes - layer.channels;
    let row_bytes = COLUMNS * layer.channels + overread;
    assert!(
        geometry.fits(3, row_bytes, layer.channels, input.len(), output.len()),
        "a depthwise convolution needs {overread} bytes after its input"
    );
    let mut block = |number: usize| {
        let first = number * full;
        ChannelBlock {
            layer,
            geometry,
            to: X86Requantizer::new(&layer.output_quant),
            first,
            count: (layer.channels - first).min(full),
            input: input.as_ptr(),
            output: output.as_mut_ptr(),
        }
    };
    // All channels of a row before the next row, so that the input rows of both are still in the L1 cache.
    let has_stride_1 = geometry.window_step_x == layer.channels;
    let mut y = 0;
    while y < geometry.rows {
        let rows = if has_stride_1 {
            2.min(geometry.rows - y)
        } else {
            1
        };
        for number in 0..count + usize::from(has_half) {
            let block = block(number);
            // SAFETY: the geometry fits the slices, including what is read after the last channels.
            unsafe {
                match (number < count, has_stride_1, rows) {
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

/// A block of channels of a depthwise convolution.
struct ChannelBlock<'a> {
    layer: &'a PackedDepthwise,
    geometry: &'a ConvGeometry,
    to: X86Requantizer,
    /// Its first channel.
    first: usize,
    /// Number of its channels.
    count: usize,
    input: *const u8,
    output: *mut u8,
}

impl ChannelBlock<'_> {
    /// Computes `ROWS` output rows from row `y` on, with a horizontal stride of `STRIDE` pixels.
    ///
    /// # Safety
    /// As for [`run_depthwise`], and the geometry has these rows.
    #[inline(always)]
    unsafe fn rows<S: Vector, const STRIDE: usize, const ROWS: usize>(&self, y: usize) {
        let ConvGeometry {
            width,
            kernel_row_stride,
            out_pixel_stride,
            out_row_stride,
            ..
        } = *self.geometry;
        let channels = self.layer.channels;
        // SAFETY: the geometry fits the slices, and the weights are packed block by block in this order.
        unsafe {
            let top = self.input.add(y * self.geometry.window_step_y + self.first);
            let out = self.output.add(y * out_row_stride + self.first);
            let weights: *const u8 = self
                .layer
                .weights
                .as_ptr()
                .add(self.first * 2 * COLUMNS * 4)
                .cast();
            let bias = self.layer.bias.as_ptr().add(self.first);
            let multipliers = self.layer.multipliers.as_ptr().add(self.first);
            // With one output row, the fourth value is multiplied by 0: any row serves.
            let kernel_rows = [0, 1, 2, ROWS + 1].map(|row| top.add(row * kernel_row_stride));
            let column =
                |x: usize| S::interleave(kernel_rows.map(|row| S::load(row.add(x * channels))));
            let weight = |row: usize, x: usize, v: usize| {
                S::load(weights.add(((row * COLUMNS + x) * PANEL_VECTORS + v) * S::LANES * 4))
            };
            let is_whole = self.count >= PANEL_VECTORS * S::LANES;
            let mut columns = [column(0), column(1), column(2)];
            for x in 0..width {
                for row in 0..ROWS {
                    let mut sums: [S; PANEL_VECTORS] =
                        std::array::from_fn(|v| S::load(bias.add(v * S::LANES).cast()));
                    for (x, column) in columns.iter().enumerate() {
                        for (v, sums) in sums.iter_mut().enumerate() {
                            *sums = sums.add_products(column[v], weight(row, x, v));
                        }
                    }
                    let bytes = S::requantize(sums, multipliers, &self.to);
                    let at = out.add(row * out_row_stride + x * out_pixel_stride);
                    if is_whole {
                        bytes.store(at);
                    } else {
                        bytes.store_part(at, self.count);
                    }
                }
                if x + 1 == width {
                    break;
                }
                let next = (x + 1) * STRIDE;
                columns = match STRIDE {
                    1 => [columns[1], columns[2], column(next + 2)],
                    _ => [columns[2], column(next + 1), column(next + 2)],
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lanes_of_a_panel_have_distinct_channels() {
        for lanes in [8, 16] {
            let mut channels: Vec<usize> =
                (0..8 * lanes).map(|l| panel_channel(l, lanes)).collect();
            channels[..4 * lanes].sort_unstable();
            channels[4 * lanes..].sort_unstable();
            assert_eq!(channels, (0..8 * lanes).collect::<Vec<_>>());
        }
        assert_eq!(
            [0, 3, 4, 16].map(|lane| panel_channel(lane, 16)),
            [0, 3, 16, 4]
        );
    }
}
