//! The network as it is trained: a MobileNet v1 trunk and two heads.
//!
//! In goes a batch of pictures or of cached features, out come class logits and boxes. The trunk is a
//! stack of convolutions that can be cut anywhere: what lies before the cut is frozen and its output can
//! be computed once and kept. No picture is opened here and no weight is read from a file.

use burn::module::Param;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::prelude::*;
use burn::tensor::activation::relu;

use crate::layer::{ConvWeights, Layer};

/// Layers of a trunk in a row, from any place of it on.
#[derive(Module, Debug)]
pub struct ConvStack {
    layers: Vec<Conv2d>,
    relu6: Vec<bool>,
    /// For each layer the place among the inputs of all, 0 for what the first takes in, of what is added.
    add: Vec<Option<usize>>,
}

impl ConvStack {
    /// The layers of a trunk from `from` on, on that device.
    ///
    /// # Panics
    /// When one of them adds the output of a layer before `from - 1`.
    #[must_use]
    pub fn new(trunk: &[Layer], from: usize, device: &Device) -> Self {
        let layers = &trunk[from..];
        let place = |add: usize| (add + 1).checked_sub(from).expect("a block is not cut");
        Self {
            layers: layers
                .iter()
                .map(|layer| conv(&layer.conv, device))
                .collect(),
            relu6: layers.iter().map(|layer| layer.relu6).collect(),
            add: layers.iter().map(|layer| layer.add.map(place)).collect(),
        }
    }

    /// `[batch, channels in, height, width]` to `[batch, channels out, height, width]` of the last layer.
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut maps = vec![input];
        for (number, layer) in self.layers.iter().enumerate() {
            let mut map = layer.forward(maps[number].clone());
            if self.relu6[number] {
                map = relu6(map);
            }
            if let Some(place) = self.add[number] {
                map = map + maps[place].clone();
            }
            maps.push(map);
        }
        maps.pop().expect("has the input at least")
    }

    /// The weights as they are now.
    #[must_use]
    pub fn weights(&self) -> Vec<ConvWeights> {
        self.layers.iter().map(conv_weights).collect()
    }
}

/// `min(max(x, 0), 6)`. Two `relu` have a far cheaper gradient on the CPU than one `clamp`.
#[must_use]
pub fn relu6<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let x = relu(x);
    x.clone() - relu(x - 6.0)
}

/// TensorFlow's SAME padding for a kernel of 3 or 1 on an even side: at stride 2 only right and bottom.
fn padding(kernel: usize, stride: usize) -> PaddingConfig2d {
    match (kernel, stride) {
        (1, _) => PaddingConfig2d::Valid,
        (_, 1) => PaddingConfig2d::Explicit(1, 1, 1, 1),
        _ => PaddingConfig2d::Explicit(0, 0, 1, 1),
    }
}

fn conv(layer: &ConvWeights, device: &Device) -> Conv2d {
    let [out, inner, height, width] = layer.shape;
    let mut conv = Conv2dConfig::new([inner * layer.groups, out], [height, width])
        .with_stride([layer.stride; 2])
        .with_groups(layer.groups)
        .with_padding(padding(height, layer.stride))
        .init(device);
    let weights = TensorData::new(layer.weights.clone(), layer.shape);
    let bias = TensorData::new(layer.bias.clone(), [out]);
    conv.weight = Param::from_data(weights, device);
    conv.bias = Some(Param::from_data(bias, device));
    conv
}

/// The weights of a convolution with bias, as plain numbers.
pub(crate) fn conv_weights(conv: &Conv2d) -> ConvWeights {
    let shape = conv.weight.val().dims();
    ConvWeights {
        shape,
        weights: numbers(conv.weight.val()),
        bias: conv
            .bias
            .as_ref()
            .map_or_else(|| vec![0.0; shape[0]], |bias| numbers(bias.val())),
        stride: conv.stride[0],
        groups: conv.groups,
    }
}

/// The numbers of a tensor, row by row.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .convert::<f32>()
        .try_into_vec()
        .expect("converted to f32 one line above")
}
