//! Every kernel against the portable one, and the portable one against sums written out.

use fastrand::Rng;

use super::super::arithmetic::{Stored, Target, stored};
use super::super::layer::{DenseLayer, DepthwiseLayer, Sums};
use super::super::map::{Border, Layout, MapSize, SLACK, Walk, Window};
use super::*;

fn q(dice: &mut Rng) -> i8 {
    dice.i8(..)
}

fn window(dice: &mut Rng, is_point: bool) -> Window {
    if is_point {
        return Window {
            stride: dice.usize(1..5),
            ..Window::POINT
        };
    }
    let mut side = || dice.usize(0..2);
    Window {
        border: Border {
            top: side(),
            bottom: side(),
            left: side(),
            right: side(),
        },
        kernel: [3, 3],
        stride: dice.usize(1..5),
    }
}

/// Sums whose results are spread over all values and somewhat beyond.
fn sums(dice: &mut Rng, channels: usize, products: usize) -> Sums {
    let spread = (products as f32).sqrt() * 73.0 * 73.0;
    let ends = [q(dice), q(dice)];
    let target = match dice.u8(0..3) {
        0 => Target::new(-128, -128, 127),
        1 => Target::new(q(dice), -128, 127),
        _ => Target::new(q(dice), ends[0], ends[1]),
    };
    Sums {
        bias: (0..channels).map(|_| dice.i32(-30_000..30_000)).collect(),
        multipliers: (0..channels)
            .map(|_| (0.2 + dice.f32()) * 150.0 / spread)
            .collect(),
        target,
    }
}

fn weights(dice: &mut Rng, count: usize) -> Vec<i8> {
    // Of both extremes there must be some: they are where sums of products overflow 16 bits.
    // Quantisers make no -128, but a model's file may have some.
    let extreme = dice.u8(0..8);
    let weight = |dice: &mut Rng| match extreme {
        0 => [-128, 127][dice.usize(0..2)],
        1..4 => [-127, 127][dice.usize(0..2)],
        _ => dice.i8(-127..=127),
    };
    (0..count).map(|_| weight(dice)).collect()
}

/// A map of which every byte is set, its slack too: what lies there must not matter.
fn map(dice: &mut Rng, layout: &Layout) -> Vec<Stored> {
    let extreme = dice.u8(0..4) == 0;
    let value = |dice: &mut Rng| match extreme {
        true => stored([-128, 127][dice.usize(0..2)]),
        false => stored(q(dice)),
    };
    (0..layout.bytes() + SLACK).map(|_| value(dice)).collect()
}

/// A convolution to try: maps of both sides and where the walk over all rows begins in them.
struct Trial {
    window: Window,
    input: Layout,
    output: Layout,
    values: Vec<Stored>,
}

impl Trial {
    fn new(dice: &mut Rng, window: Window, channels: [usize; 2], is_picture: bool) -> Option<Self> {
        let [height, width] = [dice.usize(1..18), dice.usize(1..18)];
        let [out_height, out_width] = window.places(height, width)?;
        let [in_channels, out_channels] = channels;
        let size = MapSize {
            height,
            width,
            channels: in_channels,
        };
        let input = match is_picture {
            true => Layout::picture(size, window.border),
            false => Layout::new(size, window.border),
        };
        let size = MapSize {
            height: out_height,
            width: out_width,
            channels: out_channels,
        };
        let border = Border {
            top: dice.usize(0..2),
            left: dice.usize(0..2),
            right: dice.usize(0..2),
            bottom: 0,
        };
        Some(Self {
            window,
            input,
            output: Layout::new(size, border),
            values: map(dice, &input),
        })
    }

    /// What a kernel writes, all of the output map; what it must not touch holds a mark.
    fn run(&self, kernel: impl Fn(&Walk, &[Stored], &mut [Stored])) -> Vec<Stored> {
        let mut written = vec![stored(77); self.output.bytes() + SLACK];
        let rows = self.output.size.height;
        // In two parts, as threads share it.
        for (from, count) in [(0, rows / 2), (rows / 2, rows - rows / 2)] {
            if count == 0 {
                continue;
            }
            let (walk, [read, write]) =
                Walk::new(&self.window, &self.input, &self.output, from, count);
            let end =
                write + (count - 1) * self.output.row + self.output.size.width * self.output.pixel;
            kernel(&walk, &self.values[read..], &mut written[write..end]);
        }
        written
    }

    fn value(&self, y: usize, x: usize, channel: usize) -> i32 {
        i32::from(self.values[y * self.input.row + x * self.input.pixel + channel])
    }

    /// The output by the definition: `sum(y, x, channel)` without the bias.
    fn expected(&self, sums: &Sums, sum: impl Fn(usize, usize, usize) -> i32) -> Vec<Stored> {
        let mut expected = vec![stored(77); self.output.bytes() + SLACK];
        let MapSize {
            height,
            width,
            channels,
        } = self.output.size;
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let at = self.output.row_start(y) + x * self.output.pixel;
            for channel in 0..channels {
                let total = sums.bias[channel]
                    + sum(y * self.window.stride, x * self.window.stride, channel);
                expected[at + channel] = sums.target.requantise(total, sums.multipliers[channel]);
            }
            for made_up in channels..self.output.pixel {
                expected[at + made_up] = sums.target.requantise(0, 0.0);
            }
        }
        expected
    }
}

fn dense_trial(dice: &mut Rng) -> Option<(Trial, DenseLayer)> {
    let is_picture = dice.u8(0..4) == 0;
    let in_channels = if is_picture { 3 } else { dice.usize(1..150) };
    let out_channels = dice.usize(1..150);
    let is_point = !is_picture && dice.u8(0..4) > 0;
    let window = window(dice, is_point);
    let trial = Trial::new(dice, window, [in_channels, out_channels], is_picture)?;
    let products = window.kernel[0] * window.kernel[1] * in_channels;
    let layer = DenseLayer {
        window,
        in_channels,
        weights: weights(dice, out_channels * products),
        sums: sums(dice, out_channels, products),
    };
    Some((trial, layer))
}

fn depthwise_trial(dice: &mut Rng) -> Option<(Trial, DepthwiseLayer)> {
    let channels = dice.usize(1..200);
    let window = window(dice, false);
    let trial = Trial::new(dice, window, [channels; 2], false)?;
    let layer = DepthwiseLayer {
        window,
        weights: weights(dice, 9 * channels),
        sums: sums(dice, channels, 9),
    };
    Some((trial, layer))
}

/// As many trials as asked for that make sense.
fn trials<T>(count: usize, trial: impl Fn(&mut Rng) -> Option<T>) -> impl Iterator<Item = T> {
    let mut dice = Rng::with_seed(7);
    std::iter::repeat_with(move || trial(&mut dice))
        .flatten()
        .take(count)
}

#[test]
fn dense_layers_are_equal_to_the_last_bit() {
    for (number, (trial, layer)) in trials(150, dense_trial).enumerate() {
        let across = layer.window.kernel[1];
        let expected = trial.expected(&layer.sums, |y, x, out| {
            let [down, _] = layer.window.kernel;
            let places = (0..down).flat_map(|line| (0..across).map(move |x| (line, x)));
            let products = places.flat_map(|(line, column)| {
                let layer = &layer;
                let trial = &trial;
                (0..layer.in_channels).map(move |channel| {
                    let byte = column * trial.input.pixel + channel;
                    let weight = i32::from(layer.weight(out, line, byte, trial.input.pixel));
                    trial.value(y + line, x + column, channel) * weight
                })
            });
            products.sum()
        });
        for kernels in Kernels::all() {
            let ready = kernels.ready_dense(&layer, trial.input.pixel);
            let found = trial.run(|walk, input, output| ready.run(walk, input, output));
            assert!(
                found == expected,
                "{} differs in trial {number}: {:?} {:?} {:?}",
                kernels.name,
                trial.input,
                trial.output,
                layer.window
            );
        }
    }
}

#[test]
fn depthwise_layers_are_equal_to_the_last_bit() {
    for (number, (trial, layer)) in trials(150, depthwise_trial).enumerate() {
        let expected = trial.expected(&layer.sums, |y, x, channel| {
            let places = (0..9).map(|tap| (tap / 3, tap % 3));
            let product = |(line, column): (usize, usize)| {
                trial.value(y + line, x + column, channel)
                    * i32::from(layer.weight(line, column, channel))
            };
            places.map(product).sum()
        });
        for kernels in Kernels::all() {
            let ready = kernels.ready_depthwise(&layer);
            let found = trial.run(|walk, input, output| ready.run(walk, input, output));
            assert!(
                found == expected,
                "{} differs in trial {number}: {:?} {:?} {:?}",
                kernels.name,
                trial.input,
                trial.output,
                layer.window
            );
        }
    }
}

#[test]
#[should_panic(expected = "leaves its maps")]
fn a_walk_that_does_not_fit_is_refused() {
    let mut dice = Rng::with_seed(3);
    let (trial, layer) = trials(1, dense_trial).next().expect("endless");
    let kernels = Kernels::all()[dice.usize(0..Kernels::all().len())];
    let ready = kernels.ready_dense(&layer, trial.input.pixel);
    trial.run(|walk, input, _| ready.run(walk, input, &mut []));
}
