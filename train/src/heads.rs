//! The two heads on a trunk: what it is, and where it is.
//!
//! In goes the trunk's last map, `[batch, side, side, channels]`; out come class logits
//! `[batch, classes]` and corners `[batch, 4]` in the order `x_min, x_max, y_min, y_max`. Each head can
//! write itself into an ONNX graph. Softmax of the classes and thresholds are no business of a head.

use burn::module::Param;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d,
};
use burn::prelude::*;
use burn::tensor::activation::relu;

use crate::layer::{ConvWeights, DenseWeights};
use crate::network::{FeatureMaps, to_vec};
use crate::onnx::{CLASS_LAYER, GraphBuilder};
use crate::weights::HeadWeights;

mod cells;
mod fine;
mod layers;

pub use cells::CellPredictions;
pub use fine::FcosHead;

/// Global average pooling, dropout, one dense layer.
#[derive(Module, Debug)]
pub struct ClassHead {
    dropout: Dropout,
    dense: Linear,
}

/// The box of the textbook chapter: 3x3 convolution to 512 channels, batch norm, ReLU, global average
/// pooling, dense layer of 4.
#[derive(Module, Debug)]
pub struct GlobalBoxHead {
    conv: Conv2d,
    norm: BatchNorm,
    dense: Linear,
}

/// One of the box heads.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of it in a program")]
pub enum BoxHead {
    /// See [`GlobalBoxHead`].
    Pooled(GlobalBoxHead),
    /// See [`FcosHead`].
    Fine(FcosHead),
}

/// `[batch, side, side, channels]` to `[batch, channels]`: the mean over the map.
pub(crate) fn pool(map: Tensor<4>) -> Tensor<2> {
    let [batch, height, width, channels] = map.dims();
    map.reshape([batch, height * width, channels])
        .mean_dim(1)
        .reshape([batch, channels])
}

/// A dense layer's weights as `[out, in]`, and its biases.
fn dense_weights(dense: &Linear) -> (Vec<f32>, Vec<f32>) {
    let weights = to_vec(dense.weight.val().transpose());
    let bias = dense.bias.as_ref().map(|bias| to_vec(bias.val()));
    (weights, bias.unwrap_or_default())
}

impl ClassHead {
    /// A head for `classes` on a map of `channels`; `dropout` is the share of features left out in
    /// training.
    #[must_use]
    pub fn new(channels: usize, classes: usize, dropout: f64, device: &Device) -> Self {
        Self {
            dropout: DropoutConfig::new(dropout).init(),
            dense: LinearConfig::new(channels, classes).init(device),
        }
    }

    /// The same head with the weights of another model; as it is where those are of another shape.
    #[must_use]
    pub fn load_pretrained(mut self, given: &DenseWeights) -> Self {
        let [inputs, classes] = self.dense.weight.dims();
        if given.shape != [classes, inputs] {
            return self;
        }
        let device = self.dense.weight.device();
        let weights = TensorData::new(given.weights.clone(), given.shape);
        let weights = Tensor::<2>::from_data(weights, &device).transpose();
        let bias = TensorData::new(given.bias.clone(), [classes]);
        self.dense.weight = Param::from_tensor(weights);
        self.dense.bias = Some(Param::from_tensor(Tensor::from_data(bias, &device)));
        self
    }

    /// Class logits, `[batch, classes]`, of a map's pooled features, `[batch, channels]`.
    #[must_use]
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        self.dense.forward(self.dropout.forward(features))
    }

    /// Sum of the squared weights, for the chapter's L2 penalty.
    #[must_use]
    pub fn squared_weights(&self) -> Tensor<1> {
        self.dense.weight.val().powi_scalar(2).sum()
    }

    /// Adds the head and its softmax to a graph; gives back the scores' name.
    pub fn export(&self, graph: &mut GraphBuilder, map: &str) -> String {
        let (weights, bias) = dense_weights(&self.dense);
        let pooled = graph.pool("class.pool", map);
        let logits = graph.dense(CLASS_LAYER, &pooled, &weights, &bias);
        graph.softmax("class.scores", &logits, 1)
    }
}

impl GlobalBoxHead {
    /// The head on a map of `channels`.
    #[must_use]
    pub fn new(channels: usize, device: &Device) -> Self {
        let hidden = 512;
        Self {
            conv: Conv2dConfig::new([channels, hidden], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device),
            norm: BatchNormConfig::new(hidden).init(device),
            dense: LinearConfig::new(hidden, 4).init(device),
        }
    }

    fn forward(&self, map: Tensor<4>) -> Tensor<2> {
        let map = self.conv.forward(map.permute([0, 3, 1, 2]));
        let map = relu(self.norm.forward(map));
        self.dense.forward(pool(map.permute([0, 2, 3, 1])))
    }

    fn export(&self, graph: &mut GraphBuilder, map: &str) -> String {
        let conv = graph.conv("box.conv", map, &self.folded());
        let conv = graph.relu("box.relu", &conv);
        let (weights, bias) = dense_weights(&self.dense);
        let pooled = graph.pool("box.pool", &conv);
        graph.dense("box.corners", &pooled, &weights, &bias)
    }

    /// The convolution with the batch norm worked into its weights.
    fn folded(&self) -> ConvWeights {
        let mut layer = conv_weights(&self.conv);
        let gamma = to_vec(self.norm.gamma.val());
        let beta = to_vec(self.norm.beta.val());
        let mean = to_vec(self.norm.running_mean.value_sync());
        let variance = to_vec(self.norm.running_var.value_sync());
        let per_channel = layer.weights.len() / layer.bias.len();
        for channel in 0..layer.bias.len() {
            let factor = gamma[channel] / (variance[channel] + self.norm.epsilon as f32).sqrt();
            for weight in &mut layer.weights[channel * per_channel..][..per_channel] {
                *weight *= factor;
            }
            layer.bias[channel] = (layer.bias[channel] - mean[channel]) * factor + beta[channel];
        }
        layer
    }
}

/// The weights of burn's own convolution, as plain numbers.
fn conv_weights(conv: &Conv2d) -> ConvWeights {
    let shape = conv.weight.val().dims();
    ConvWeights {
        shape,
        weights: to_vec(conv.weight.val()),
        bias: conv
            .bias
            .as_ref()
            .map_or_else(|| vec![0.0; shape[0]], |bias| to_vec(bias.val())),
        stride: conv.stride[0],
        groups: conv.groups,
    }
}

impl BoxHead {
    /// The same head with the weights of another model; as it is where that has another head.
    #[must_use]
    pub fn load_pretrained(self, given: &HeadWeights) -> Self {
        match self {
            // Its batch norm is gone from the file.
            Self::Pooled(head) => Self::Pooled(head),
            Self::Fine(head) => Self::Fine(head.load_pretrained(&given.box_convs)),
        }
    }

    /// Corners `[batch, 4]`, and what each cell says where the head asks them.
    #[must_use]
    pub fn forward(&self, maps: FeatureMaps) -> (Tensor<2>, Option<CellPredictions>) {
        match self {
            Self::Pooled(head) => (head.forward(maps.last), None),
            Self::Fine(head) => {
                let cells = head.forward(maps);
                (cells.decode(), Some(cells))
            }
        }
    }

    /// Adds the head to a graph: on the maps of those names, the finer one first; `side` is that of the last map.
    /// Gives back the corners' name.
    pub fn export(&self, graph: &mut GraphBuilder, maps: [&str; 2], side: usize) -> String {
        match self {
            Self::Pooled(head) => head.export(graph, maps[1]),
            Self::Fine(head) => head.export(graph, maps, side),
        }
    }
}

#[cfg(test)]
mod tests;
