//! A network in 8-bit integers, as TFLite's converter makes it.

use super::network::{Layer, Ssd};
use super::pixels;

/// Scales of a network, and the network that its integers stand for.
#[derive(Debug, Clone)]
pub(crate) struct Integers {
    /// 0 to 255 with one scale a tensor, as TensorFlow 1 makes them, instead of -128 to 127 with one a channel of weights.
    pub(crate) is_unsigned: bool,
    /// Scale and zero point of every value of the network.
    pub(crate) values: Vec<(f32, i64)>,
    /// Integers, scales and zero points of each layer's weights and biases.
    pub(crate) layers: Vec<Option<LayerIntegers>>,
    /// With the weights that the integers stand for.
    pub(crate) network: Ssd,
}

#[derive(Debug, Clone)]
pub(crate) struct LayerIntegers {
    /// In the order of the network's weights.
    pub(crate) weights: Vec<i32>,
    /// One, or one an output channel.
    pub(crate) scales: Vec<f32>,
    pub(crate) zero_point: i64,
    pub(crate) bias: Vec<i32>,
}

impl Integers {
    pub(crate) fn new(ssd: &Ssd, is_unsigned: bool) -> Self {
        let least = if is_unsigned { 0.0 } else { -128.0 };
        let mut ranges: Vec<(f32, f32)> = vec![(0.0, 0.0); ssd.layers.len() + 1];
        for seed in [5, 6, 7] {
            for (range, map) in ranges.iter_mut().zip(ssd.values(&pixels(seed))) {
                let (min, max) = range;
                map.values
                    .iter()
                    .for_each(|x| (*min, *max) = (min.min(*x), max.max(*x)));
            }
        }
        // What is joined has one scale.
        let heads = |of: fn(&(usize, usize, usize)) -> usize| ssd.heads.iter().map(of).collect();
        let joined: [Vec<usize>; 2] = [heads(|head| head.0), heads(|head| head.1)];
        for heads in joined {
            let joined = heads.iter().fold((0.0f32, 0.0f32), |(min, max), head| {
                (min.min(ranges[*head].0), max.max(ranges[*head].1))
            });
            heads.iter().for_each(|head| ranges[*head] = joined);
        }
        let mut values: Vec<(f32, i64)> = ranges
            .iter()
            .map(|(min, max)| {
                let scale = (max - min) / 255.0;
                (scale, (least - min / scale).round() as i64)
            })
            .collect();
        // The pixels as they are.
        values[0] = (1.0 / 128.0, if is_unsigned { 128 } else { 0 });
        let mut network = ssd.clone();
        let layers = network.layers.iter_mut();
        let layers = layers.map(|layer| match layer {
            Layer::Conv(input, conv) => {
                let per_channel = conv.weights.len() / conv.out();
                let layer = LayerIntegers::of(
                    &conv.weights,
                    &conv.bias,
                    per_channel,
                    values[*input].0,
                    is_unsigned,
                );
                let scale = |out: usize| layer.scales[out % layer.scales.len()];
                for (at, weight) in conv.weights.iter_mut().enumerate() {
                    let q = i64::from(layer.weights[at]) - layer.zero_point;
                    *weight = q as f32 * scale(at / per_channel);
                }
                for (out, bias) in conv.bias.iter_mut().enumerate() {
                    *bias = layer.bias[out] as f32 * values[*input].0 * scale(out);
                }
                Some(layer)
            }
            _ => None,
        });
        let layers = layers.collect();
        Self {
            is_unsigned,
            values,
            layers,
            network,
        }
    }
}

impl LayerIntegers {
    fn of(
        weights: &[f32],
        bias: &[f32],
        per_channel: usize,
        input: f32,
        is_unsigned: bool,
    ) -> Self {
        let bounds = |weights: &[f32]| {
            weights
                .iter()
                .fold((0.0f32, 0.0f32), |(min, max), w| (min.min(*w), max.max(*w)))
        };
        let (scales, zero_point): (Vec<f32>, i64) = if is_unsigned {
            let (min, max) = bounds(weights);
            let scale = (max - min) / 255.0;
            (vec![scale], (-min / scale).round() as i64)
        } else {
            let channels = weights.chunks(per_channel).map(bounds);
            (
                channels.map(|(min, max)| max.max(-min) / 127.0).collect(),
                0,
            )
        };
        let scale = |out: usize| scales[out % scales.len()];
        let integer = |(at, weight): (usize, &f32)| {
            ((weight / scale(at / per_channel)).round() as i64 + zero_point) as i32
        };
        let bias = bias.iter().enumerate();
        Self {
            weights: weights.iter().enumerate().map(integer).collect(),
            bias: bias
                .map(|(out, b)| (b / (input * scale(out))).round() as i32)
                .collect(),
            scales,
            zero_point,
        }
    }
}
