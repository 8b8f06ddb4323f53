//! Convolutions as the network uses them: channels last, with bias and `relu6`, differentiable.
//!
//! In go tensors `[batch, height, width, channels]` and weights, out comes a tensor of the same layout. On
//! the CPU the arithmetic is that of `kernels`, with its own backward; on any other device the same
//! is put together from burn's own operators ([`composed`]), against which the tests hold the kernels. What is
//! in a network, and in which order, is no business of this room.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::{Flex, FlexTensor};
use burn::backend::{Autodiff, TensorMetadata};
use burn::prelude::*;

use crate::kernels::{self, depthwise, pointwise};

pub mod composed;
#[cfg(test)]
mod tests;

type Learning = Autodiff<Flex>;

/// Which convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 1 x 1; weights `[out, in]`.
    Pointwise,
    /// 3 x 3, each channel on its own, stride 1 or 2; weights `[9, channels]`.
    Depthwise {
        /// Step in both directions.
        stride: usize,
    },
    /// 3 x 3 over all channels at stride 2, the first of a network: no gradient goes through it to the
    /// picture; weights `[out, 9 * in]`, row by row, column by column, channel by channel.
    Stem,
}

/// One convolution, its bias, and `min(max(x, 0), 6)` where `relu6` says so.
///
/// `[batch, height, width, in]` to `[batch, height / stride, width / stride, out]`, rounded up; the padding is
/// TensorFlow's SAME.
#[must_use]
pub fn convolve(
    kind: Kind,
    input: Tensor<4>,
    weights: Tensor<2>,
    bias: Tensor<1>,
    relu6: bool,
) -> Tensor<4> {
    let layer = Layer { kind, relu6 };
    let learning = (
        input.clone().try_into_primitive::<Learning>(),
        weights.clone().try_into_primitive::<Learning>(),
        bias.clone().try_into_primitive::<Learning>(),
    );
    if let (Ok(input), Ok(weights), Ok(bias)) = learning {
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
                tracked.finish(State { weights, pass }, output)
            }
            OpsKind::UnTracked(untracked) => untracked.finish(pass.output),
        };
        return Tensor::from_primitive::<Learning>(output);
    }
    let asked = (
        input.clone().try_into_primitive::<Flex>(),
        weights.clone().try_into_primitive::<Flex>(),
        bias.clone().try_into_primitive::<Flex>(),
    );
    if let (Ok(input), Ok(weights), Ok(bias)) = asked {
        let pass = layer.forward(&input, &weights, &bias);
        return Tensor::from_primitive::<Flex>(pass.output);
    }
    composed::convolve(kind, input, weights, bias, relu6)
}

/// A layer without its numbers.
#[derive(Debug, Clone, Copy)]
struct Layer {
    kind: Kind,
    relu6: bool,
}

/// What one pass forward took and gave.
#[derive(Debug, Clone)]
struct Pass {
    /// The input; of a stem its patches, each pixel's 3 x 3 surroundings as a row.
    input: FlexTensor,
    output: FlexTensor,
}

/// What the way back needs.
#[derive(Debug, Clone)]
struct State {
    weights: FlexTensor,
    pass: Pass,
}

impl Layer {
    fn forward(self, input: &FlexTensor, weights: &FlexTensor, bias: &FlexTensor) -> Pass {
        let input = input.to_contiguous();
        let (weights, bias) = (weights.to_contiguous(), bias.to_contiguous());
        let [batch, height, width, _] = input.shape().dims();
        let out = bias.shape().dims::<1>()[0];
        let (input, [high, wide], output) = match self.kind {
            Kind::Pointwise => {
                let output =
                    pointwise::forward(floats(&input), floats(&weights), floats(&bias), self.relu6);
                (input, [height, width], output)
            }
            Kind::Stem => {
                let (patches, [high, wide]) = patches(&input);
                let output = pointwise::forward(
                    floats(&patches),
                    floats(&weights),
                    floats(&bias),
                    self.relu6,
                );
                (patches, [high, wide], output)
            }
            Kind::Depthwise { stride } => {
                let shape = shape(&input, stride);
                let (high, wide) = shape.output();
                let output = depthwise::forward(
                    shape,
                    floats(&input),
                    floats(&weights),
                    floats(&bias),
                    self.relu6,
                );
                (input, [high, wide], output)
            }
        };
        let output = tensor(output, [batch, high, wide, out]);
        Pass { input, output }
    }
}

impl Backward<Flex, 3> for Layer {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [to_input, to_weights, to_bias] = ops.parents;
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let State { weights, pass } = ops.state;
        let weights = weights.to_contiguous();
        let output = self.relu6.then(|| floats(&pass.output));
        let (input, out) = (floats(&pass.input), gradient.shape().dims::<4>()[3]);
        let found = match self.kind {
            Kind::Depthwise { stride } => depthwise::backward(
                shape(&pass.input, stride),
                input,
                floats(&weights),
                output,
                floats(&gradient),
            ),
            Kind::Pointwise | Kind::Stem => {
                let wanted = to_input.is_some() && self.kind == Kind::Pointwise;
                pointwise::backward(
                    input,
                    floats(&weights),
                    output,
                    floats(&gradient),
                    out,
                    wanted,
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

/// The numbers of a tensor that lies in one piece from the beginning of its storage.
fn floats(tensor: &FlexTensor) -> &[f32] {
    let shape = tensor.shape();
    &tensor.storage::<f32>()[tensor.layout().start_offset()..][..shape.num_elements()]
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

fn shape(input: &FlexTensor, stride: usize) -> depthwise::Shape {
    let [_, height, width, channels] = input.shape().dims();
    depthwise::Shape {
        height,
        width,
        channels,
        stride,
    }
}

/// The patches of a stem and the height and width of their map.
fn patches(input: &FlexTensor) -> (FlexTensor, [usize; 2]) {
    let shape = shape(input, 2);
    let [batch, ..] = input.shape().dims::<4>();
    let (height, width) = shape.output();
    let values = kernels::patches(shape, floats(input));
    let patches = tensor(values, [batch, height, width, 9 * shape.channels]);
    (patches, [height, width])
}
