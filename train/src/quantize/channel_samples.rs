//! Values of activations at some positions of the calibration pictures, channel by channel.

use std::collections::BTreeMap;

use boxcam::preprocess::InputTensor;
use tract_onnx::pb;

use super::activations::{ActivationReader, Values};
use super::{QuantizeError, Range};

/// Positions of a feature map that are kept of a picture.
const POSITIONS: usize = 8;

/// Added to the positions from picture to picture: a prime, so that all positions of a map come in turn.
const SHIFT: usize = 7919;

/// Of one activation.
#[derive(Debug, Clone, Default)]
pub(super) struct ChannelSamples {
    /// Over all positions.
    ranges: Vec<Range>,
    /// `[position][channel]`
    values: Vec<f32>,
}

impl ChannelSamples {
    /// Runs the model once on each input; the samples by the activation's name.
    pub(super) fn collect(
        model: &pb::ModelProto,
        names: &[String],
        inputs: &[InputTensor],
    ) -> Result<BTreeMap<String, Self>, QuantizeError> {
        let shape = inputs.first().ok_or(QuantizeError::NoPictures)?.shape();
        let reader = ActivationReader::new(model, names, shape)?;
        let mut samples = vec![Self::default(); names.len()];
        for (number, input) in inputs.iter().enumerate() {
            reader.run(input, |index, values| samples[index].add(values, number))?;
        }
        Ok(names.iter().cloned().zip(samples).collect())
    }

    fn add(&mut self, values: Values<'_>, picture: usize) {
        let channels: Vec<&[f32]> = values.by_channel().collect();
        self.ranges.resize(channels.len(), Range::EMPTY);
        for (range, channel) in self.ranges.iter_mut().zip(&channels) {
            range.extend(channel.iter().copied());
        }
        let size = channels.first().map_or(0, |channel| channel.len());
        let count = size.min(POSITIONS);
        for position in 0..count {
            let position = (position * size / count + picture * SHIFT) % size;
            let at = channels.iter().map(|channel| channel[position]);
            self.values.extend(at);
        }
    }

    pub(super) fn channels(&self) -> usize {
        self.ranges.len()
    }

    /// The largest magnitude of a channel.
    pub(super) fn largest(&self, channel: usize) -> f32 {
        let Range { min, max } = self.ranges[channel];
        min.abs().max(max.abs())
    }

    /// The values of all channels at each position.
    pub(super) fn positions(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.channels().max(1))
    }

    /// All values, each channel times its factor.
    pub(super) fn scaled(&self, factors: &[f32]) -> Vec<f32> {
        let positions = self.positions();
        positions
            .flat_map(|position| position.iter().zip(factors).map(|(v, f)| v * f))
            .collect()
    }

    /// Mean square of each channel.
    pub(super) fn power(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.channels()];
        for position in self.positions() {
            for (sum, value) in sums.iter_mut().zip(position) {
                *sum += f64::from(*value).powi(2);
            }
        }
        let count = self.positions().len().max(1) as f64;
        sums.iter().map(|sum| sum / count).collect()
    }
}
