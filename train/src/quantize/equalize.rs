//! Cross-layer equalisation: channels of an activation are scaled so that one step of int8 suits all of them.
//!
//! Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.1, with calibration
//! pictures. A convolution that writes a channel is multiplied by a factor and those that read it are divided by it, so the
//! float model computes the same. Weights have a scale per output channel and absorb the factor of the writer; the reader's
//! weights and the activation are weighed against each other: of a few exponents of the full equalisation, each activation
//! takes the one with the least noise at the outputs of its readers.
//!
//! Factors of a channel in front of a `relu6` are 1 or more and leave its largest calibration value below 6, so that the
//! clipping there stays as it is.

use boxcam::preprocess::InputTensor;
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::QuantizeError;
use super::calibrate::Histogram;
use super::channel_groups::{ChannelGroup, channel_groups};
use super::channel_samples::ChannelSamples;
use crate::onnx::{tensor, tensor_floats};

/// Exponents of the full equalisation that are tried beside 0, no equalisation.
const EXPONENTS: [f32; 4] = [0.25, 0.5, 0.75, 1.0];

/// Largest factor of a channel: one that calibration pictures hardly activate may be strong on others.
const MAX_FACTOR: f32 = 16.0;

/// A clipped channel is scaled to so much of the clipping bound.
const CLIPPED_SHARE: f32 = 0.95;

/// Weights of int8 reach from -127 to 127.
const WEIGHT_STEPS: f64 = 127.0;

/// Variance of the rounding error of a step of 1.
const ROUNDING: f64 = 1.0 / 12.0;

/// The model with equalised channels, which computes the same in floats.
///
/// # Errors
/// [`QuantizeError`] when the engine can't run the model or there is no input.
pub fn equalize(
    model: &pb::ModelProto,
    inputs: &[InputTensor],
) -> Result<pb::ModelProto, QuantizeError> {
    let mut model = model.clone();
    let groups = model.graph.as_ref().map(channel_groups).unwrap_or_default();
    let tensors = groups.iter().flat_map(|group| &group.tensors);
    let names: Vec<String> = tensors.cloned().collect();
    let samples = ChannelSamples::collect(&model, &names, inputs)?;
    if let Some(graph) = &mut model.graph {
        let mut weights = Weights(&mut graph.initializer);
        for group in &groups {
            let tensors = group.tensors.iter().filter_map(|name| samples.get(name));
            let tensors: Vec<&ChannelSamples> = tensors.collect();
            if let Some(factors) = best_factors(group, &tensors, &weights) {
                weights.scale(group, &factors);
            }
        }
    }
    Ok(model)
}

/// The factor of each channel; `None` if none are better than 1.
fn best_factors(
    group: &ChannelGroup,
    tensors: &[&ChannelSamples],
    weights: &Weights<'_>,
) -> Option<Vec<f32>> {
    let full = full_factors(group, tensors)?;
    let noise = |factors: &[f32]| -> f64 {
        let each = group.readers.iter().filter_map(|reader| {
            let samples = tensors.get(reader.tensor)?;
            let noise = activation_noise(samples, factors);
            let layer = weights.layer(&reader.weights, reader.groups)?;
            Some(layer.output_noise(&noise, &samples.power(), factors))
        });
        each.sum()
    };
    let mut best = (noise(&vec![1.0; full.len()]), None);
    for exponent in EXPONENTS {
        let factors: Vec<f32> = full.iter().map(|factor| factor.powf(exponent)).collect();
        let noise = noise(&factors);
        if noise < best.0 {
            best = (noise, Some(factors));
        }
    }
    best.1
}

/// The factors that give every channel the same largest value.
fn full_factors(group: &ChannelGroup, tensors: &[&ChannelSamples]) -> Option<Vec<f32>> {
    let channels = tensors.first()?.channels();
    let largest = |channel: usize| {
        let each = tensors.iter().map(|samples| samples.largest(channel));
        each.fold(f32::MIN_POSITIVE, f32::max)
    };
    let largest: Vec<f32> = (0..channels).map(largest).collect();
    let (common, lowest) = match group.clipped_at {
        Some(bound) => (bound * CLIPPED_SHARE, 1.0),
        None => (median(&largest), 1.0 / MAX_FACTOR),
    };
    let factors = largest.iter().map(|largest| common / largest);
    Some(factors.map(|f| f.clamp(lowest, MAX_FACTOR)).collect())
}

fn median(values: &[f32]) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    sorted[sorted.len() / 2]
}

/// Mean squared error of each channel when the scaled activation is quantized, in units of the channel before scaling.
fn activation_noise(samples: &ChannelSamples, factors: &[f32]) -> Vec<f64> {
    let params = Histogram::of(&samples.scaled(factors)).best_params();
    let mut noise = vec![0.0; factors.len()];
    for position in samples.positions() {
        for ((noise, value), factor) in noise.iter_mut().zip(position).zip(factors) {
            let error = params.fake_quantize(value * factor) / factor - value;
            *noise += f64::from(error).powi(2);
        }
    }
    let count = samples.positions().len().max(1) as f64;
    noise.iter().map(|sum| sum / count).collect()
}

/// The constants of a graph.
struct Weights<'g>(&'g mut Vec<pb::TensorProto>);

/// The weights of a convolution.
struct ConvWeights {
    /// `[out channels][in channels of a group][taps]`
    values: Vec<f32>,
    out_channels: usize,
    /// Of a group.
    in_channels: usize,
    groups: usize,
}

impl Weights<'_> {
    fn layer(&self, name: &str, groups: usize) -> Option<ConvWeights> {
        let constant = self.0.iter().find(|constant| constant.name == name)?;
        let dim = |index: usize| constant.dims.get(index).map(|&dim| dim as usize);
        Some(ConvWeights {
            values: tensor_floats(constant)?,
            out_channels: dim(0)?,
            in_channels: dim(1)?,
            groups,
        })
    }

    /// Multiplies the writers of the channels by their factors and divides the readers by them.
    fn scale(&mut self, group: &ChannelGroup, factors: &[f32]) {
        for writer in &group.writers {
            for name in [&writer.weights, &writer.bias] {
                self.change(name, |values| {
                    let each = (values.len() / factors.len()).max(1);
                    for (channel, factor) in values.chunks_mut(each).zip(factors) {
                        channel.iter_mut().for_each(|value| *value *= factor);
                    }
                });
            }
        }
        for reader in &group.readers {
            let Some(layer) = self.layer(&reader.weights, reader.groups) else {
                continue;
            };
            self.change(&reader.weights, |values| {
                let rows = values.chunks_mut(layer.taps());
                for (index, row) in rows.enumerate() {
                    let factor = factors[layer.in_channel(index)];
                    row.iter_mut().for_each(|value| *value /= factor);
                }
            });
        }
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Vec<f32>)) {
        let constant = self.0.iter_mut().find(|constant| constant.name == name);
        let Some(constant) = constant else { return };
        let Some(mut values) = tensor_floats(constant) else {
            return;
        };
        change(&mut values);
        let dims: Vec<usize> = constant.dims.iter().map(|&dim| dim as usize).collect();
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        *constant = tensor(name, DataType::Float, &dims, bytes.collect());
    }
}

impl ConvWeights {
    /// Weights of an output channel for an input channel.
    fn taps(&self) -> usize {
        (self.values.len() / (self.out_channels * self.in_channels).max(1)).max(1)
    }

    /// The input channel of a row of taps.
    fn in_channel(&self, row: usize) -> usize {
        let (out_channel, in_channel) = (row / self.in_channels, row % self.in_channels);
        let group = out_channel / (self.out_channels / self.groups).max(1);
        group * self.in_channels + in_channel
    }

    /// Mean over the output channels of noise divided by signal.
    ///
    /// `noise` and `power` are the mean squares of the error and of the value of each input channel, `factors` what the
    /// channels are multiplied by, and the weights divided, before both are quantized.
    fn output_noise(&self, noise: &[f64], power: &[f64], factors: &[f32]) -> f64 {
        let taps = self.taps();
        let mut total = 0.0;
        for out_channel in 0..self.out_channels {
            let (mut signal, mut error, mut largest, mut scaled_power) = (0.0, 0.0, 0.0_f64, 0.0);
            for row in out_channel * self.in_channels..(out_channel + 1) * self.in_channels {
                let channel = self.in_channel(row);
                let factor = f64::from(factors[channel]);
                let weights = self.values[row * taps..(row + 1) * taps].iter();
                let mut squares = 0.0;
                for weight in weights.map(|weight| f64::from(*weight)) {
                    squares += weight * weight;
                    largest = largest.max(weight.abs() / factor);
                }
                signal += squares * power[channel];
                error += squares * noise[channel];
                scaled_power += taps as f64 * power[channel] * factor * factor;
            }
            error += (largest / WEIGHT_STEPS).powi(2) * ROUNDING * scaled_power;
            // An output that is always 0 has no noise that matters.
            total += error / (signal + 1e-6);
        }
        total / self.out_channels.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noise_of_an_output_is_that_of_its_inputs_and_of_its_weights() {
        // Two output channels that read two input channels each.
        let dense = ConvWeights {
            values: vec![1.0, 0.0, 0.0, 2.0],
            out_channels: 2,
            in_channels: 2,
            groups: 1,
        };
        let (noise, power) = ([0.01, 0.0], [1.0, 1.0]);
        // Weights: one step is the largest weight / 127; both inputs are multiplied by a rounded weight.
        let weights = 2.0 * (1.0 / 127.0_f64).powi(2) / 12.0;
        let expected = ((0.01 + weights) + weights) / 2.0;
        let found = dense.output_noise(&noise, &power, &[1.0, 1.0]);
        assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
        // A factor makes the weights of its channel smaller, and the signal at the rounded weights larger.
        let scaled = dense.output_noise(&[0.0, 0.0], &power, &[4.0, 1.0]);
        let first = (0.25 / 127.0_f64).powi(2) / 12.0 * 17.0;
        let second = (2.0 / 127.0_f64).powi(2) / 12.0 * 17.0 / 4.0;
        assert!((scaled - (first + second) / 2.0).abs() < 1e-6, "{scaled}");
    }

    #[test]
    fn a_depthwise_convolution_reads_one_channel_per_output() {
        let depthwise = ConvWeights {
            values: vec![1.0, 0.5, 2.0, 1.0],
            out_channels: 2,
            in_channels: 1,
            groups: 2,
        };
        assert_eq!((depthwise.taps(), depthwise.in_channel(1)), (2, 1));
        let of = |factors: &[f32]| depthwise.output_noise(&[0.0; 2], &[1.0; 2], factors);
        // Its weights have a scale per channel, so that factors change nothing.
        assert!((of(&[1.0, 1.0]) - of(&[8.0, 0.5])).abs() < 1e-12);
    }
}
