//! Fresh layers of the box heads.

use burn::prelude::*;
use burn::tensor::Distribution;

use super::cells::CELL_CHANNELS;
use crate::layer::ConvWeights;
use crate::network::{Conv, to_vec};

/// A pointwise layer with relu6, of random weights (He et al. 2015).
pub(super) fn pointwise(inputs: usize, outputs: usize, device: &Device) -> Conv {
    let deviation = (2.0 / inputs as f64).sqrt();
    Conv::new(
        &random([outputs, inputs, 1, 1], deviation, device),
        true,
        device,
    )
}

/// A depthwise layer of 3 x 3 with relu6 that passes its input on, nearly.
pub(super) fn depthwise(channels: usize, device: &Device) -> Conv {
    let mut layer = random([channels, 1, 3, 3], 0.1, device);
    layer.groups = channels;
    let middle = layer.weights.iter_mut().skip(4).step_by(9);
    middle.for_each(|weight| *weight += 1.0);
    Conv::new(&layer, true, device)
}

/// The layer that says what each cell votes for: the same at first, a box of 0.6 around it.
pub(super) fn vote(inputs: usize, device: &Device) -> Conv {
    let mut vote = random([CELL_CHANNELS, inputs, 1, 1], 0.01, device);
    vote.bias = vec![0.0, 0.3, 0.3, 0.3, 0.3];
    Conv::new(&vote, false, device)
}

/// A convolution of random weights around 0, without bias.
fn random(shape: [usize; 4], deviation: f64, device: &Device) -> ConvWeights {
    let noise = Distribution::Normal(0.0, deviation);
    let weights = to_vec(Tensor::<4>::random(shape, noise, device));
    ConvWeights {
        shape,
        weights,
        bias: vec![0.0; shape[0]],
        stride: 1,
        groups: 1,
    }
}
