//! Operations that take so little time that one loop serves every processor: input quantization, padding, addition,
//! upsampling, pooling, heads and dequantization.

use super::super::graph::{Conv2d, FeatureMap};
use super::super::tensor::{
    ConvGeometry, MapLayout, MapSize, OutputQuant, Padding, Quantized, Window, encode,
};

/// Fills a map's padding with its zero point.
pub(super) fn fill_padding(layout: &MapLayout, zero_point: Quantized, map: &mut [Quantized]) {
    let padding = layout.padding;
    let (top, rest) = map.split_at_mut(padding.top * layout.row_stride);
    top.fill(zero_point);
    let (rows, rest) = rest.split_at_mut(layout.size.height * layout.row_stride);
    rest[..padding.bottom * layout.row_stride].fill(zero_point);
    if padding.left + padding.right > 0 {
        let right = layout.row_stride - padding.right * layout.pixel_stride;
        for row in rows.chunks_exact_mut(layout.row_stride) {
            row[..padding.left * layout.pixel_stride].fill(zero_point);
            row[right..].fill(zero_point);
        }
    }
}

/// Quantizes an image, `[height, width, channels]`, by table lookup.
///
/// # Panics
/// If the image and the map differ in size.
pub(super) fn quantize_pixels(
    table: &[Quantized; 256],
    pixels: &[u8],
    layout: &MapLayout,
    map: &mut [Quantized],
) {
    let channels = layout.size.channels;
    let row = layout.size.width * channels;
    assert_eq!(
        pixels.len(),
        row * layout.size.height,
        "the image's size in bytes"
    );
    // Most models map pixel 128 to 0 with one step per pixel value. That needs no table lookup and vectorizes.
    let is_identity =
        (0..=u8::MAX).all(|pixel| table[usize::from(pixel)] == encode((pixel ^ 0x80) as i8));
    for (y, pixels) in pixels.chunks_exact(row).enumerate() {
        let to = &mut map[layout.row_start(y)..][..layout.row_bytes()];
        if layout.pixel_stride != channels {
            for (to, pixel) in to
                .chunks_exact_mut(layout.pixel_stride)
                .zip(pixels.chunks_exact(channels))
            {
                let pairs = to.iter_mut().zip(pixel);
                pairs.for_each(|(to, &value)| *to = table[usize::from(value)]);
            }
            continue;
        }
        let pairs = to.iter_mut().zip(pixels);
        if is_identity {
            pairs.for_each(|(to, &pixel)| *to = encode((pixel ^ 0x80) as i8));
        } else {
            pairs.for_each(|(to, &pixel)| *to = table[usize::from(pixel)]);
        }
    }
}

/// Quantizes floats, `[channels, height, width]`, like ONNX's `QuantizeLinear`.
///
/// # Panics
/// If their number differs from the map's size.
pub(super) fn quantize_floats(
    input: &FeatureMap,
    floats: &[f32],
    layout: &MapLayout,
    map: &mut [Quantized],
) {
    let size = layout.size;
    let output = OutputQuant {
        zero_point: input.zero_point,
        qmin: encode(i8::MIN),
        qmax: encode(i8::MAX),
    };
    assert_eq!(floats.len(), size.volume(), "the input's number of floats");
    for (channel, plane) in floats.chunks_exact(size.height * size.width).enumerate() {
        for (y, row) in plane.chunks_exact(size.width).enumerate() {
            let to = map[layout.row_start(y) + channel..]
                .iter_mut()
                .step_by(layout.pixel_stride);
            for (to, &float) in to.zip(row) {
                *to = output.quantize(float / input.scale);
            }
        }
    }
}

/// Parameters of the sum of two maps.
#[derive(Debug)]
pub(super) struct Addition {
    /// For each input: its zero point, and its scale divided by the output's.
    inputs: [(i32, f32); 2],
    output_quant: OutputQuant,
}

impl Addition {
    pub(super) fn new(inputs: [FeatureMap; 2], scale: f32, output_quant: OutputQuant) -> Self {
        Self {
            inputs: inputs.map(|map| (i32::from(map.zero_point), map.scale / scale)),
            output_quant,
        }
    }

    pub(super) fn run(
        &self,
        [(a_layout, a), (b_layout, b)]: [(&MapLayout, &[Quantized]); 2],
        (layout, output): (&MapLayout, &mut [Quantized]),
    ) {
        let [(a_zero, a_scale), (b_zero, b_scale)] = self.inputs;
        let length = layout.row_bytes();
        for y in 0..layout.size.height {
            let a = &a[a_layout.row_start(y)..][..length];
            let b = &b[b_layout.row_start(y)..][..length];
            let out = &mut output[layout.row_start(y)..][..length];
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                let a = (i32::from(a) - a_zero) as f32 * a_scale;
                let b = (i32::from(b) - b_zero) as f32 * b_scale;
                *out = self.output_quant.quantize(a + b);
            }
        }
    }
}

/// Repeats each pixel `factor` times in both directions.
pub(super) fn upsample_nearest(
    factor: usize,
    (layout, input): (&MapLayout, &[Quantized]),
    (out_layout, output): (&MapLayout, &mut [Quantized]),
) {
    for y in 0..out_layout.size.height {
        let row = &input[layout.row_start(y / factor)..][..layout.row_bytes()];
        let out = &mut output[out_layout.row_start(y)..];
        let pixels = out.chunks_exact_mut(out_layout.pixel_stride * factor);
        for (out, pixel) in pixels.zip(row.chunks_exact(layout.pixel_stride)) {
            for out in out.chunks_exact_mut(out_layout.pixel_stride) {
                out.copy_from_slice(pixel);
            }
        }
    }
}

/// Parameters of a global average pool.
#[derive(Debug)]
pub(super) struct GlobalAveragePool {
    /// Times the number of pixels.
    zero_point: i32,
    multiplier: f32,
    output_quant: OutputQuant,
}

/// Channels that are summed in one pass over the map.
const POOLED_CHANNELS: usize = 64;

impl GlobalAveragePool {
    pub(super) fn new(input: &FeatureMap, scale: f32, output_quant: OutputQuant) -> Self {
        let pixels = input.size.height * input.size.width;
        Self {
            zero_point: i32::from(input.zero_point) * pixels as i32,
            multiplier: input.scale / (pixels as f32 * scale),
            output_quant,
        }
    }

    pub(super) fn run(
        &self,
        (layout, input): (&MapLayout, &[Quantized]),
        (out_layout, output): (&MapLayout, &mut [Quantized]),
    ) {
        let out = &mut output[out_layout.row_start(0)..][..out_layout.pixel_stride];
        for (group, out) in out.chunks_mut(POOLED_CHANNELS).enumerate() {
            let mut sums = [0i32; POOLED_CHANNELS];
            for y in 0..layout.size.height {
                let row = &input[layout.row_start(y)..][..layout.row_bytes()];
                for pixel in row.chunks_exact(layout.pixel_stride) {
                    let values = &pixel[group * POOLED_CHANNELS..][..out.len()];
                    let pairs = sums.iter_mut().zip(values);
                    pairs.for_each(|(sum, &value)| *sum += i32::from(value));
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = self
                    .output_quant
                    .requantize(sum - self.zero_point, self.multiplier);
            }
        }
    }
}

/// A head: a convolution whose sums are output as floats.
#[derive(Debug)]
pub(super) struct FloatConv2d {
    window: Window,
    /// `[out channel][kernel row][byte]`
    weights: Vec<i8>,
    kernel_row_bytes: usize,
    bias: Vec<i32>,
    multipliers: Vec<f32>,
}

impl FloatConv2d {
    pub(super) fn new(layer: &Conv2d, input: &MapLayout) -> Self {
        let [rows, columns] = layer.window.kernel;
        let pixel_stride = input.pixel_stride;
        let kernel_row_bytes = columns * pixel_stride;
        let kernel_rows = (0..layer.epilogue.channels())
            .flat_map(|channel| (0..rows).map(move |row| (channel, row)));
        let weights = kernel_rows
            .flat_map(|(channel, row)| {
                layer.kernel_row(channel, row, pixel_stride, kernel_row_bytes)
            })
            .collect();
        Self {
            window: layer.window,
            weights,
            kernel_row_bytes,
            bias: layer.epilogue.bias.clone(),
            multipliers: layer.epilogue.multipliers.clone(),
        }
    }

    /// Writes `[channels, height, width]`.
    pub(super) fn run(&self, layout: &MapLayout, input: &[Quantized], output: &mut [f32]) {
        let channels = self.bias.len();
        let [height, width] = self
            .window
            .output_size(layout.size.height, layout.size.width)
            .expect("the window was checked when the layer was matched");
        let size = MapSize {
            height,
            width,
            channels,
        };
        let out_layout = MapLayout::new(size, Padding::NONE);
        let (geometry, [start, _]) =
            ConvGeometry::new(&self.window, layout, &out_layout, 0, height);
        let per_channel = self.weights.len() / channels;
        for (channel, weights) in self.weights.chunks_exact(per_channel).enumerate() {
            let plane = &mut output[channel * height * width..][..height * width];
            for (pixel, out) in plane.iter_mut().enumerate() {
                let window = start
                    + pixel / width * geometry.window_step_y
                    + pixel % width * geometry.window_step_x;
                let rows = weights.chunks_exact(self.kernel_row_bytes).enumerate();
                let sum: i32 = rows
                    .map(|(row, weights)| {
                        let values = &input[window + row * geometry.kernel_row_stride..];
                        dot_product(&values[..self.kernel_row_bytes], weights)
                    })
                    .sum();
                *out = (sum + self.bias[channel]) as f32 * self.multipliers[channel];
            }
        }
    }
}

fn dot_product(values: &[Quantized], weights: &[i8]) -> i32 {
    let pairs = values.iter().zip(weights);
    pairs
        .map(|(&value, &weight)| i32::from(value) * i32::from(weight))
        .sum()
}

/// Writes a map's real values as `[channels, height, width]`.
pub(super) fn dequantize(
    map: &FeatureMap,
    layout: &MapLayout,
    input: &[Quantized],
    output: &mut [f32],
) {
    let size = layout.size;
    let zero = i32::from(map.zero_point);
    for (channel, plane) in output
        .chunks_exact_mut(size.height * size.width)
        .enumerate()
    {
        for (y, row) in plane.chunks_exact_mut(size.width).enumerate() {
            let values = input[layout.row_start(y) + channel..]
                .iter()
                .step_by(layout.pixel_stride);
            for (out, &value) in row.iter_mut().zip(values) {
                *out = (i32::from(value) - zero) as f32 * map.scale;
            }
        }
    }
}
