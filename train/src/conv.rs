//! Differentiable channels-last convolutions with fused bias and relu6.
//!
//! On the CPU they run in the crate's own kernels with their own backward pass; on any other device they are composed of
//! burn's operators ([`composed`]). The tests compare both.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::{Flex, FlexTensor};
use burn::backend::{Autodiff, TensorMetadata};
use burn::prelude::*;

use self::kernels::MapShape;

pub mod composed;
mod depthwise;
mod kernels;
mod pointwise;

type AutodiffFlex = Autodiff<Flex>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConvKind {
    /// 1 x 1; weights `[out, in]`.
    Pointwise,
    /// 3 x 3 depthwise, stride 1 or 2; weights `[9, channels]`.
    Depthwise { stride: usize },
    /// 3 x 3 over all channels at stride 2, the first layer of a network, without a gradient of its input; weights
    /// `[out, 3 * 3 * in]`.
    Stem,
}

/// Convolution, bias and, with `relu6`, `min(max(x, 0), 6)`.
///
/// `[batch, height, width, in]` to `[batch, height / stride, width / stride, out]`, rounded up, with
/// TensorFlow's SAME padding.
#[must_use]
pub fn convolve(
    kind: ConvKind,
    input: Tensor<4>,
    weights: Tensor<2>,
    bias: Tensor<1>,
    relu6: bool,
) -> Tensor<4> {
    let layer = FusedConv { kind, relu6 };
    let tracked = (
        input.clone().try_into_primitive::<AutodiffFlex>(),
        weights.clone().try_into_primitive::<AutodiffFlex>(),
        bias.clone().try_into_primitive::<AutodiffFlex>(),
    );
    if let (Ok(input), Ok(weights), Ok(bias)) = tracked {
        let parents = [input.node(), weights.node(), bias.node()];
        let (input, weights, bias) = (
            input.into_primitive(),
            weights.into_primitive(),
            bias.into_primitive(),
        );
        let pass = layer.forward(&input, &weights, &bias);
        let prepared = layer
            .prepare::<NoCheckpointing>(parents)
            .compute_bound()
            .stateful();
        let output = match prepared {
            OpsKind::Tracked(tracked) => {
                let output = pass.output.clone();
                tracked.finish(Saved { weights, pass }, output)
            }
            OpsKind::UnTracked(untracked) => untracked.finish(pass.output),
        };
        return Tensor::from_primitive::<AutodiffFlex>(output);
    }
    let untracked = (
        input.clone().try_into_primitive::<Flex>(),
        weights.clone().try_into_primitive::<Flex>(),
        bias.clone().try_into_primitive::<Flex>(),
    );
    if let (Ok(input), Ok(weights), Ok(bias)) = untracked {
        let pass = layer.forward(&input, &weights, &bias);
        return Tensor::from_primitive::<Flex>(pass.output);
    }
    composed::convolve(kind, input, weights, bias, relu6)
}

#[derive(Debug, Clone, Copy)]
struct FusedConv {
    kind: ConvKind,
    relu6: bool,
}

/// Input and output of a forward pass.
#[derive(Debug, Clone)]
struct ForwardPass {
    /// The input; for a stem its im2col matrix.
    input: FlexTensor,
    output: FlexTensor,
}

/// Saved for the backward pass.
#[derive(Debug, Clone)]
struct Saved {
    weights: FlexTensor,
    pass: ForwardPass,
}

impl FusedConv {
    fn forward(self, input: &FlexTensor, weights: &FlexTensor, bias: &FlexTensor) -> ForwardPass {
        let input = input.to_contiguous();
        let (weights, bias) = (weights.to_contiguous(), bias.to_contiguous());
        let [batch, height, width, _] = input.shape().dims();
        let out = bias.shape().dims::<1>()[0];
        let (input, [out_height, out_width], output) = match self.kind {
            ConvKind::Pointwise => {
                let output =
                    pointwise::forward(floats(&input), floats(&weights), floats(&bias), self.relu6);
                (input, [height, width], output)
            }
            ConvKind::Stem => {
                let (patches, [out_height, out_width]) = stem_patches(&input);
                let output = pointwise::forward(
                    floats(&patches),
                    floats(&weights),
                    floats(&bias),
                    self.relu6,
                );
                (patches, [out_height, out_width], output)
            }
            ConvKind::Depthwise { stride } => {
                let shape = map_shape(&input, stride);
                let (out_height, out_width) = shape.output();
                let output = depthwise::forward(
                    shape,
                    floats(&input),
                    floats(&weights),
                    floats(&bias),
                    self.relu6,
                );
                (input, [out_height, out_width], output)
            }
        };
        let output = tensor(output, [batch, out_height, out_width, out]);
        ForwardPass { input, output }
    }
}

impl Backward<Flex, 3> for FusedConv {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [to_input, to_weights, to_bias] = ops.parents;
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let Saved { weights, pass } = ops.state;
        let weights = weights.to_contiguous();
        let output = self.relu6.then(|| floats(&pass.output));
        let (input, out) = (floats(&pass.input), gradient.shape().dims::<4>()[3]);
        let found = match self.kind {
            ConvKind::Depthwise { stride } => depthwise::backward(
                map_shape(&pass.input, stride),
                input,
                floats(&weights),
                output,
                floats(&gradient),
            ),
            ConvKind::Pointwise | ConvKind::Stem => {
                let needs_input = to_input.is_some() && self.kind == ConvKind::Pointwise;
                pointwise::backward(
                    input,
                    floats(&weights),
                    output,
                    floats(&gradient),
                    out,
                    needs_input,
                )
            }
        };
        if let (Some(node), Some(found)) = (to_input, found.input) {
            let shape = pass.input.shape().dims::<4>();
            gradients.register::<Flex>(node.id, tensor(found, shape));
        }
        if let Some(node) = to_weights {
            let shape = weights.shape().dims::<2>();
            gradients.register::<Flex>(node.id, tensor(found.weights, shape));
        }
        if let Some(node) = to_bias {
            gradients.register::<Flex>(node.id, tensor(found.bias, [out]));
        }
    }
}

/// The values of a contiguous tensor.
fn floats(tensor: &FlexTensor) -> &[f32] {
    let shape = tensor.shape();
    &tensor.storage::<f32>()[tensor.layout().start_offset()..][..shape.num_elements()]
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

fn map_shape(input: &FlexTensor, stride: usize) -> MapShape {
    let [_, height, width, channels] = input.shape().dims();
    MapShape {
        height,
        width,
        channels,
        stride,
    }
}

/// The im2col matrix of a stem, with the height and width of its output.
fn stem_patches(input: &FlexTensor) -> (FlexTensor, [usize; 2]) {
    let shape = map_shape(input, 2);
    let [batch, ..] = input.shape().dims::<4>();
    let (height, width) = shape.output();
    let values = kernels::im2col(shape, floats(input));
    let patches = tensor(values, [batch, height, width, 9 * shape.channels]);
    (patches, [height, width])
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;
    use crate::network::to_vec;

    /// Output, and gradients of input, weights and bias.
    fn pass(
        convolve: impl Fn(ConvKind, Tensor<4>, Tensor<2>, Tensor<1>, bool) -> Tensor<4>,
        kind: ConvKind,
        input: &Tensor<4>,
        weights: &Tensor<2>,
        bias: &Tensor<1>,
        relu6: bool,
    ) -> [Vec<f32>; 4] {
        let input = input.clone().require_grad();
        let (weights, bias) = (weights.clone().require_grad(), bias.clone().require_grad());
        let output = convolve(kind, input.clone(), weights.clone(), bias.clone(), relu6);
        // A different gradient at each output.
        let upstream: Vec<f32> = (0..output.shape().num_elements())
            .map(|index| ((index * 37 % 101) as f32 - 50.0) / 50.0)
            .collect();
        let upstream =
            Tensor::<4>::from_data(TensorData::new(upstream, output.dims()), &output.device());
        let gradients = (output.clone() * upstream).sum().backward();
        let to_input = match kind {
            ConvKind::Stem => Vec::new(),
            _ => to_vec(input.grad(&gradients).expect("gradient")),
        };
        [
            to_vec(output),
            to_input,
            to_vec(weights.grad(&gradients).expect("gradient")),
            to_vec(bias.grad(&gradients).expect("gradient")),
        ]
    }

    #[test]
    fn kernels_equal_burns_operators_forward_and_backward() {
        let device = Device::flex().autodiff();
        device.seed(3);
        let cases = [
            (ConvKind::Pointwise, [2, 5, 7, 12], 20),
            (ConvKind::Pointwise, [3, 40, 37, 24], 96),
            (ConvKind::Depthwise { stride: 1 }, [2, 7, 9, 19], 19),
            (ConvKind::Depthwise { stride: 1 }, [1, 1, 1, 32], 32),
            (ConvKind::Depthwise { stride: 2 }, [2, 8, 10, 48], 48),
            (ConvKind::Depthwise { stride: 2 }, [2, 9, 7, 8], 8),
            (ConvKind::Depthwise { stride: 2 }, [1, 1, 2, 5], 5),
            (ConvKind::Stem, [2, 10, 12, 3], 8),
            (ConvKind::Stem, [2, 9, 11, 3], 17),
        ];
        for (kind, shape, out) in cases {
            for relu6 in [false, true] {
                let channels = shape[3];
                let weights = match kind {
                    ConvKind::Pointwise => [out, channels],
                    ConvKind::Depthwise { .. } => [9, channels],
                    ConvKind::Stem => [out, 9 * channels],
                };
                // A deviation large enough that relu6 clips at both ends.
                let wide = Distribution::Normal(0.0, 3.0);
                let input = Tensor::random(shape, wide, &device);
                let weights = Tensor::random(weights, Distribution::Normal(0.0, 1.0), &device);
                let bias = Tensor::random([out], wide, &device);
                let ours = pass(convolve, kind, &input, &weights, &bias, relu6);
                let burns = pass(composed::convolve, kind, &input, &weights, &bias, relu6);
                for (which, (ours, burns)) in ours.iter().zip(&burns).enumerate() {
                    assert_eq!(ours.len(), burns.len(), "{kind:?} {shape:?} {which}");
                    let max = burns.iter().fold(1.0f32, |m, v| m.max(v.abs()));
                    for (a, b) in ours.iter().zip(burns) {
                        let off = (a - b).abs() / max;
                        assert!(
                            off < 1e-4,
                            "{kind:?} {shape:?} relu6 {relu6} {which}: {a} {b}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_output_is_the_same_with_and_without_autodiff() {
        let (autodiff, plain) = (Device::flex().autodiff(), Device::flex());
        let output = |device: &Device| {
            let ramp =
                |count: usize, step: f32| (0..count).map(|i| (i % 13) as f32 * step).collect();
            let of = |shape: [usize; 4], values: Vec<f32>| {
                Tensor::<4>::from_data(TensorData::new(values, shape), device)
            };
            let input = of([1, 4, 4, 6], ramp(96, 0.1));
            let weights = of([1, 1, 9, 6], ramp(54, 0.05)).reshape([9, 6]);
            let bias = Tensor::zeros([6], device);
            to_vec(convolve(
                ConvKind::Depthwise { stride: 1 },
                input,
                weights,
                bias,
                true,
            ))
        };
        assert_eq!(output(&autodiff), output(&plain));
    }

    #[test]
    fn gradients_are_bit_identical_for_any_number_of_threads() {
        let gradients = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("thread pool").install(|| {
                let input: Vec<f32> = (0..4 * 31 * 31 * 24)
                    .map(|i| (i % 97) as f32 - 48.0)
                    .collect();
                let weights: Vec<f32> = (0..24 * 40).map(|i| (i % 31) as f32 * 0.01).collect();
                let upstream: Vec<f32> = (0..4 * 31 * 31 * 40)
                    .map(|i| (i % 53) as f32 - 26.0)
                    .collect();
                let found = pointwise::backward(&input, &weights, None, &upstream, 40, true);
                (found.weights, found.bias, found.input)
            })
        };
        assert_eq!(gradients(1), gradients(3));
    }
}
