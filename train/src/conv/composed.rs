//! The convolutions composed of burn's operators, for devices without kernels of this crate.

use burn::prelude::*;
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

use super::ConvKind;

/// See [`super::convolve`].
#[must_use]
pub fn convolve(
    kind: ConvKind,
    input: Tensor<4>,
    weights: Tensor<2>,
    bias: Tensor<1>,
    relu6: bool,
) -> Tensor<4> {
    let [_, height, width, channels] = input.dims();
    let [rows, _] = weights.dims();
    let (weights, stride, groups) = match kind {
        ConvKind::Pointwise => (weights.reshape([rows, channels, 1, 1]), 1, 1),
        ConvKind::Depthwise { stride } => {
            let weights = weights.transpose().reshape([channels, 1, 3, 3]);
            (weights, stride, channels)
        }
        ConvKind::Stem => {
            let weights = weights.reshape([rows, 3, 3, channels]);
            (weights.permute([0, 3, 1, 2]), 2, 1)
        }
    };
    let padding = |side: usize| usize::from(stride == 1 || side % 2 == 1);
    let padding = match kind {
        ConvKind::Pointwise => [(0, 0); 2],
        _ => [(padding(height), 1), (padding(width), 1)],
    };
    let options = ConvOptions::new_with_padding([stride; 2], padding, [1, 1], groups);
    let output = conv2d(input.permute([0, 3, 1, 2]), weights, Some(bias), options);
    let output = output.permute([0, 2, 3, 1]);
    if relu6 { clip(output) } else { output }
}

/// `min(max(x, 0), 6)`. Two `relu` have a far cheaper gradient than one `clamp`.
fn clip(x: Tensor<4>) -> Tensor<4> {
    let x = relu(x);
    x.clone() - relu(x - 6.0)
}
