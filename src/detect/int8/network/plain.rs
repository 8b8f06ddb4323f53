//! Layers that take so little time that one loop serves every processor: sums of two maps, enlarged maps, means, heads.

use super::super::arithmetic::{Stored, Target};
use super::super::graph::MapValue;
use super::super::layer::DenseLayer;
use super::super::map::{Layout, Walk, Window};
use super::Map;

/// The sum of two maps.
#[derive(Debug)]
pub(super) struct Adding {
    /// For each input: its zero point, and its scale over that of the output.
    inputs: [(i32, f32); 2],
    target: Target,
}

impl Adding {
    pub(super) fn new(values: [MapValue; 2], scale: f32, target: Target) -> Self {
        Self {
            inputs: values.map(|value| (i32::from(value.zero_point), value.scale / scale)),
            target,
        }
    }

    pub(super) fn run(
        &self,
        [(a_map, a), (b_map, b)]: [(&Map, &[Stored]); 2],
        (layout, output): (&Layout, &mut [Stored]),
    ) {
        let [(a_zero, a_scale), (b_zero, b_scale)] = self.inputs;
        let length = layout.size.width * layout.pixel;
        for y in 0..layout.size.height {
            let row = |map: &Map| map.layout.row_start(y);
            let (a, b) = (&a[row(a_map)..][..length], &b[row(b_map)..][..length]);
            let out = &mut output[layout.row_start(y)..][..length];
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                let a = (i32::from(a) - a_zero) as f32 * a_scale;
                let b = (i32::from(b) - b_zero) as f32 * b_scale;
                *out = self.target.quantise(a + b);
            }
        }
    }
}

/// Each pixel so many times down and across.
pub(super) fn enlarge(
    times: usize,
    (layout, input): (&Layout, &[Stored]),
    (out_layout, output): (&Layout, &mut [Stored]),
) {
    for y in 0..out_layout.size.height {
        let row = &input[layout.row_start(y / times)..][..layout.size.width * layout.pixel];
        let out = &mut output[out_layout.row_start(y)..];
        let pixels = out.chunks_exact_mut(out_layout.pixel * times);
        for (out, pixel) in pixels.zip(row.chunks_exact(layout.pixel)) {
            for out in out.chunks_exact_mut(out_layout.pixel) {
                out.copy_from_slice(pixel);
            }
        }
    }
}

/// The mean of each channel.
#[derive(Debug)]
pub(super) struct Mean {
    zero_point: i32,
    multiplier: f32,
    target: Target,
}

/// Channels whose sums are held together.
const TOGETHER: usize = 64;

impl Mean {
    pub(super) fn new(input: &MapValue, scale: f32, target: Target) -> Self {
        let pixels = input.size.height * input.size.width;
        Self {
            zero_point: i32::from(input.zero_point) * pixels as i32,
            multiplier: input.scale / (pixels as f32 * scale),
            target,
        }
    }

    pub(super) fn run(
        &self,
        (layout, input): (&Layout, &[Stored]),
        (out_layout, output): (&Layout, &mut [Stored]),
    ) {
        let out = &mut output[out_layout.row_start(0)..][..out_layout.pixel];
        for (group, out) in out.chunks_mut(TOGETHER).enumerate() {
            let mut sums = [0i32; TOGETHER];
            for y in 0..layout.size.height {
                let row = &input[layout.row_start(y)..][..layout.size.width * layout.pixel];
                for pixel in row.chunks_exact(layout.pixel) {
                    let values = &pixel[group * TOGETHER..][..out.len()];
                    let pairs = sums.iter_mut().zip(values);
                    pairs.for_each(|(sum, &value)| *sum += i32::from(value));
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = self
                    .target
                    .requantise(sum - self.zero_point, self.multiplier);
            }
        }
    }
}

/// A dense layer whose sums stay floats.
#[derive(Debug)]
pub(super) struct Head {
    window: Window,
    /// `[out][line][byte]`
    weights: Vec<i8>,
    line: usize,
    bias: Vec<i32>,
    multipliers: Vec<f32>,
}

impl Head {
    pub(super) fn new(layer: &DenseLayer, input: &Layout) -> Self {
        let [lines, across] = layer.window.kernel;
        let line = across * input.pixel;
        let places = (0..layer.sums.channels())
            .flat_map(|out| (0..lines * line).map(move |place| (out, place)));
        let weight = |(out, place): (usize, usize)| {
            layer.weight(out, place / line, place % line, input.pixel)
        };
        Self {
            window: layer.window,
            weights: places.map(weight).collect(),
            line,
            bias: layer.sums.bias.clone(),
            multipliers: layer.sums.multipliers.clone(),
        }
    }

    /// `[channels, height, width]` of floats.
    pub(super) fn run(&self, layout: &Layout, input: &[Stored], output: &mut [f32]) {
        let channels = self.bias.len();
        let [height, width] = self
            .window
            .places(layout.size.height, layout.size.width)
            .expect("the window was found to have places");
        let size = super::super::map::MapSize {
            height,
            width,
            channels,
        };
        let out = Layout::new(size, super::super::map::Border::default());
        let (walk, [start, _]) = Walk::new(&self.window, layout, &out, 0, height);
        let per_channel = self.weights.len() / channels;
        for (channel, weights) in self.weights.chunks_exact(per_channel).enumerate() {
            let plane = &mut output[channel * height * width..][..height * width];
            for (place, out) in plane.iter_mut().enumerate() {
                let at = start + place / width * walk.in_row + place % width * walk.in_pixel;
                let lines = weights.chunks_exact(self.line).enumerate();
                let sums = lines.map(|(line, weights)| {
                    dot(&input[at + line * walk.in_line..][..self.line], weights)
                });
                let sum: i32 = sums.sum();
                *out = (sum + self.bias[channel]) as f32 * self.multipliers[channel];
            }
        }
    }
}

/// The sum of products, which compilers make into those of whole vectors.
fn dot(values: &[Stored], weights: &[i8]) -> i32 {
    let pairs = values.iter().zip(weights);
    pairs
        .map(|(&value, &weight)| i32::from(value) * i32::from(weight))
        .sum()
}

/// What a map stands for: `[channels, height, width]` of floats.
pub(super) fn dequantise(value: &MapValue, layout: &Layout, input: &[Stored], output: &mut [f32]) {
    let size = layout.size;
    let zero = i32::from(value.zero_point);
    for (channel, plane) in output
        .chunks_exact_mut(size.height * size.width)
        .enumerate()
    {
        for (y, row) in plane.chunks_exact_mut(size.width).enumerate() {
            let values = input[layout.row_start(y) + channel..]
                .iter()
                .step_by(layout.pixel);
            for (out, &stored) in row.iter_mut().zip(values) {
                *out = (i32::from(stored) - zero) as f32 * value.scale;
            }
        }
    }
}
