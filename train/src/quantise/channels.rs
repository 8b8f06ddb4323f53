//! The weights and biases of one layer in whole numbers, with a scale for each output channel.

use clap::ValueEnum;

/// Greatest magnitude of a quantised bias: room is left for the sum that it is added to.
const MAX_BIAS: f32 = (1u32 << 30) as f32;

/// Shares of a channel's greatest weight that are tried as the greatest with a place, in hundredths.
const TRIED: std::ops::RangeInclusive<u8> = 50..=100;

/// What one step of a channel's weights is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WeightScales {
    /// The greatest weight becomes 127
    Greatest,
    /// The scale with the least squared error of the channel's weights; the greatest may be cut off
    #[value(name = "mse")]
    LeastError,
}

/// The weights and biases of a layer in whole numbers.
pub(super) struct ChannelWeights {
    pub(super) scales: Vec<f32>,
    pub(super) weights: Vec<i8>,
    pub(super) biases: Vec<i32>,
}

impl ChannelWeights {
    /// Quantises `[out, ...]` weights with a scale an output channel, and biases in steps of
    /// `in_scale * scale`.
    pub(super) fn quantise(
        weights: &[f32],
        biases: &[f32],
        in_scale: f32,
        choice: WeightScales,
    ) -> Self {
        let per_channel = (weights.len() / biases.len().max(1)).max(1);
        let mut quantised = Self {
            scales: Vec::with_capacity(biases.len()),
            weights: Vec::with_capacity(weights.len()),
            biases: Vec::with_capacity(biases.len()),
        };
        for (channel, &bias) in weights.chunks(per_channel).zip(biases) {
            let scale = match choice {
                WeightScales::Greatest => greatest_scale(channel),
                WeightScales::LeastError => least_error_scale(channel),
            };
            // A channel of tiny weights with a bias would overflow the bias; a coarser scale costs it
            // nothing, since its output is the bias.
            let scale = scale.max(bias.abs() / (in_scale * MAX_BIAS));
            let scale = if scale > 0.0 { scale } else { 1.0 };
            let whole = channel.iter().map(|w| rounded(*w, scale) as i8);
            quantised.weights.extend(whole);
            quantised
                .biases
                .push((bias / (in_scale * scale)).round() as i32);
            quantised.scales.push(scale);
        }
        quantised
    }
}

fn rounded(weight: f32, scale: f32) -> f32 {
    (weight / scale).round().clamp(-127.0, 127.0)
}

fn greatest_scale(channel: &[f32]) -> f32 {
    channel.iter().fold(0.0f32, |max, w| max.max(w.abs())) / 127.0
}

fn least_error_scale(channel: &[f32]) -> f32 {
    let greatest = greatest_scale(channel);
    let error = |scale: f32| -> f64 {
        let off = channel.iter().map(|&w| w - rounded(w, scale) * scale);
        off.map(|off| f64::from(off).powi(2)).sum()
    };
    let mut best = (greatest, f64::INFINITY);
    for hundredths in TRIED.rev() {
        let scale = greatest * f32::from(hundredths) / 100.0;
        // Weights of 0 leave no scale to try.
        if scale > 0.0 && error(scale) < best.1 {
            best = (scale, error(scale));
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_own_scale_and_keeps_its_greatest_weight() {
        let weights = [1.0, -0.5, 100.0, 25.0];
        let choice = WeightScales::Greatest;
        let channels = ChannelWeights::quantise(&weights, &[0.5, -50.0], 0.1, choice);
        assert_eq!(channels.weights, [127, -64, 127, 32]);
        let back =
            |channel: usize| channels.biases[channel] as f32 * channels.scales[channel] * 0.1;
        assert!((back(0) - 0.5).abs() < 1e-3 && (back(1) + 50.0).abs() < 0.1);
    }

    #[test]
    fn a_channel_without_weights_keeps_its_bias_and_does_not_overflow() {
        for choice in [WeightScales::Greatest, WeightScales::LeastError] {
            let channels = ChannelWeights::quantise(&[0.0, 1e-20], &[3.0, -3.0], 0.02, choice);
            for (channel, bias) in [(0, 3.0), (1, -3.0)] {
                let back = channels.biases[channel] as f32 * channels.scales[channel] * 0.02;
                assert!((back - bias).abs() < 1e-3, "{back}");
            }
        }
    }

    #[test]
    fn the_scale_of_least_error_is_no_worse_and_finer_where_one_weight_stands_out() {
        let weights: Vec<f32> = (0..5_000)
            .map(|i| (i as f32 * 0.7).sin())
            .chain([1.4])
            .collect();
        let [plain, fine] = [WeightScales::Greatest, WeightScales::LeastError]
            .map(|choice| ChannelWeights::quantise(&weights, &[0.0], 1.0, choice));
        let error = |channels: &ChannelWeights| -> f32 {
            let pairs = weights.iter().zip(&channels.weights);
            let off = pairs.map(|(w, &q)| w - f32::from(q) * channels.scales[0]);
            off.map(|off| off * off).sum()
        };
        assert!(fine.scales[0] < plain.scales[0]);
        assert!(error(&fine) < error(&plain));
    }
}
