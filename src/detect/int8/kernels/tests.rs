//! Every kernel against the definition of the layers in nested sums, bit for bit.

use fastrand::Rng;

use super::super::tensor::{MapLayout, MapSize, OVERREAD, Padding, Window, encode};
use super::*;

fn window(rng: &mut Rng, is_point: bool) -> Window {
    if is_point {
        return Window {
            stride: rng.usize(1..5),
            ..Window::POINTWISE
        };
    }
    let mut side = || rng.usize(0..2);
    Window {
        padding: Padding {
            top: side(),
            bottom: side(),
            left: side(),
            right: side(),
        },
        kernel: [3, 3],
        stride: rng.usize(1..5),
    }
}

/// An epilogue whose results cover the whole range and exceed it somewhat.
fn epilogue(rng: &mut Rng, channels: usize, products: usize) -> Epilogue {
    let spread = (products as f32).sqrt() * 73.0 * 73.0;
    let range = [rng.i8(..), rng.i8(..)];
    let output_quant = match rng.u8(0..3) {
        0 => OutputQuant::new(-128, -128, 127),
        1 => OutputQuant::new(rng.i8(..), -128, 127),
        _ => OutputQuant::new(rng.i8(..), range[0], range[1]),
    };
    Epilogue {
        bias: (0..channels).map(|_| rng.i32(-30_000..30_000)).collect(),
        multipliers: (0..channels)
            .map(|_| (0.2 + rng.f32()) * 150.0 / spread)
            .collect(),
        output_quant,
    }
}

fn weights(rng: &mut Rng, count: usize) -> Vec<i8> {
    // The extremes are where sums of products overflow 16 bits. Quantizers do not emit -128, but a model file may
    // contain it.
    let extreme = rng.u8(0..8);
    let weight = |rng: &mut Rng| match extreme {
        0 => [-128, 127][rng.usize(0..2)],
        1..4 => [-127, 127][rng.usize(0..2)],
        _ => rng.i8(-127..=127),
    };
    (0..count).map(|_| weight(rng)).collect()
}

/// A map with random bytes everywhere, also in its padding channels and after its end: they must not affect the result.
fn map(rng: &mut Rng, layout: &MapLayout) -> Vec<Quantized> {
    let extreme = rng.u8(0..4) == 0;
    let value = |rng: &mut Rng| match extreme {
        true => encode([-128, 127][rng.usize(0..2)]),
        false => encode(rng.i8(..)),
    };
    (0..layout.bytes() + OVERREAD).map(|_| value(rng)).collect()
}

/// Input and output layout of a random convolution, and its input values.
struct Trial {
    window: Window,
    input: MapLayout,
    output: MapLayout,
    values: Vec<Quantized>,
}

impl Trial {
    fn new(rng: &mut Rng, window: Window, channels: [usize; 2], is_image: bool) -> Option<Self> {
        let [height, width] = [rng.usize(1..18), rng.usize(1..18)];
        let [out_height, out_width] = window.output_size(height, width)?;
        let [in_channels, out_channels] = channels;
        let size = MapSize {
            height,
            width,
            channels: in_channels,
        };
        let input = match is_image {
            true => MapLayout::image(size, window.padding),
            false => MapLayout::new(size, window.padding),
        };
        let size = MapSize {
            height: out_height,
            width: out_width,
            channels: out_channels,
        };
        let padding = Padding {
            top: rng.usize(0..2),
            left: rng.usize(0..2),
            right: rng.usize(0..2),
            bottom: 0,
        };
        Some(Self {
            window,
            input,
            output: MapLayout::new(size, padding),
            values: map(rng, &input),
        })
    }

    /// Runs a kernel and returns the whole output map; bytes that it must not write hold a marker value.
    fn run(
        &self,
        kernel: impl Fn(&ConvGeometry, &[Quantized], &mut [Quantized]),
    ) -> Vec<Quantized> {
        let mut written = vec![encode(77); self.output.bytes() + OVERREAD];
        let rows = self.output.size.height;
        // In two parts, like two threads.
        for (from, count) in [(0, rows / 2), (rows / 2, rows - rows / 2)] {
            if count == 0 {
                continue;
            }
            let (geometry, [read, write]) =
                ConvGeometry::new(&self.window, &self.input, &self.output, from, count);
            let end = write
                + (count - 1) * self.output.row_stride
                + self.output.size.width * self.output.pixel_stride;
            kernel(&geometry, &self.values[read..], &mut written[write..end]);
        }
        written
    }

    fn value(&self, y: usize, x: usize, channel: usize) -> i32 {
        i32::from(self.values[y * self.input.row_stride + x * self.input.pixel_stride + channel])
    }

    /// The output by definition; `sum(y, x, channel)` is the sum of products without the bias.
    fn expected(
        &self,
        epilogue: &Epilogue,
        sum: impl Fn(usize, usize, usize) -> i32,
    ) -> Vec<Quantized> {
        let mut expected = vec![encode(77); self.output.bytes() + OVERREAD];
        let MapSize {
            height,
            width,
            channels,
        } = self.output.size;
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let at = self.output.row_start(y) + x * self.output.pixel_stride;
            for channel in 0..channels {
                let total = epilogue.bias[channel]
                    + sum(y * self.window.stride, x * self.window.stride, channel);
                expected[at + channel] = epilogue
                    .output_quant
                    .requantize(total, epilogue.multipliers[channel]);
            }
            for padding in channels..self.output.pixel_stride {
                expected[at + padding] = epilogue.output_quant.requantize(0, 0.0);
            }
        }
        expected
    }
}

fn conv2d_trial(rng: &mut Rng) -> Option<(Trial, Conv2d)> {
    let is_image = rng.u8(0..4) == 0;
    let in_channels = if is_image { 3 } else { rng.usize(1..150) };
    let out_channels = rng.usize(1..150);
    let is_point = !is_image && rng.u8(0..4) > 0;
    let window = window(rng, is_point);
    let trial = Trial::new(rng, window, [in_channels, out_channels], is_image)?;
    let products = window.kernel[0] * window.kernel[1] * in_channels;
    let layer = Conv2d {
        window,
        in_channels,
        weights: weights(rng, out_channels * products),
        epilogue: epilogue(rng, out_channels, products),
    };
    Some((trial, layer))
}

fn depthwise_trial(rng: &mut Rng) -> Option<(Trial, DepthwiseConv2d)> {
    let channels = rng.usize(1..200);
    let window = window(rng, false);
    let trial = Trial::new(rng, window, [channels; 2], false)?;
    let layer = DepthwiseConv2d {
        window,
        weights: weights(rng, 9 * channels),
        epilogue: epilogue(rng, channels, 9),
    };
    Some((trial, layer))
}

/// The first `count` valid trials.
fn trials<T>(count: usize, trial: impl Fn(&mut Rng) -> Option<T>) -> impl Iterator<Item = T> {
    let mut rng = Rng::with_seed(7);
    std::iter::repeat_with(move || trial(&mut rng))
        .flatten()
        .take(count)
}

#[test]
fn conv2d_matches_its_definition_bit_for_bit() {
    for (number, (trial, layer)) in trials(150, conv2d_trial).enumerate() {
        let [rows, columns] = layer.window.kernel;
        let expected = trial.expected(&layer.epilogue, |y, x, out| {
            let mut sum = 0;
            for (row, column) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                let first = ((out * rows + row) * columns + column) * layer.in_channels;
                let weights = &layer.weights[first..][..layer.in_channels];
                for (channel, &weight) in weights.iter().enumerate() {
                    sum += trial.value(y + row, x + column, channel) * i32::from(weight);
                }
            }
            sum
        });
        for kernels in Kernels::all() {
            let prepared = kernels.prepare_conv2d(&layer, trial.input.pixel_stride);
            let found = trial.run(|geometry, input, output| prepared.run(geometry, input, output));
            assert!(
                found == expected,
                "{} is wrong in trial {number}: {:?} {:?} {:?}",
                kernels.name,
                trial.input,
                trial.output,
                layer.window
            );
        }
    }
}

#[test]
fn depthwise_matches_its_definition_bit_for_bit() {
    for (number, (trial, layer)) in trials(150, depthwise_trial).enumerate() {
        let expected = trial.expected(&layer.epilogue, |y, x, channel| {
            let taps = (0..9).map(|tap| (tap / 3, tap % 3));
            let product = |(row, column): (usize, usize)| {
                trial.value(y + row, x + column, channel)
                    * i32::from(layer.weight(row, column, channel))
            };
            taps.map(product).sum()
        });
        for kernels in Kernels::all() {
            let prepared = kernels.prepare_depthwise(&layer);
            let found = trial.run(|geometry, input, output| prepared.run(geometry, input, output));
            assert!(
                found == expected,
                "{} is wrong in trial {number}: {:?} {:?} {:?}",
                kernels.name,
                trial.input,
                trial.output,
                layer.window
            );
        }
    }
}

#[test]
#[should_panic(expected = "out of bounds of its maps")]
fn a_geometry_out_of_bounds_panics() {
    let mut rng = Rng::with_seed(3);
    let (trial, layer) = trials(1, conv2d_trial).next().expect("trials do not end");
    let kernels = Kernels::all()[rng.usize(0..Kernels::all().len())];
    let prepared = kernels.prepare_conv2d(&layer, trial.input.pixel_stride);
    trial.run(|geometry, input, _| prepared.run(geometry, input, &mut []));
}
