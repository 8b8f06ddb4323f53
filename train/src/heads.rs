//! Class head and box heads on a backbone.
//!
//! Heads return class logits `[batch, classes]` and corners `[batch, 4]` in the order `x_min, x_max, y_min, y_max`, and
//! export themselves into an ONNX graph.

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

mod decode;
mod fcos;
mod objects;

pub use decode::CellPredictions;
pub use fcos::FcosHead;
pub use objects::{ObjectBranch, ObjectPredictions};

/// Global average pooling, dropout, one dense layer.
#[derive(Module, Debug)]
pub struct ClassHead {
    dropout: Dropout,
    dense: Linear,
}

/// Box head on globally pooled features: 3 x 3 convolution to 512 channels, batch norm, ReLU, global average pooling and a
/// dense layer of 4 (the textbook chapter's).
#[derive(Module, Debug)]
pub struct GlobalBoxHead {
    conv: Conv2d,
    norm: BatchNorm,
    dense: Linear,
}

/// Output of a box head for a batch.
#[derive(Debug, Clone)]
pub struct BoxOutput {
    /// Corners of one box per picture, `[batch, 4]`.
    pub corners: Tensor<2>,
    /// Predictions of all cells for that box, if the head has them.
    pub cells: Option<CellPredictions>,
    /// Predictions of all cells for all objects, if the head has them.
    pub objects: Option<ObjectPredictions>,
}

/// Names of a box head's values in a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedBoxes {
    /// `[1, 4]`
    pub corners: String,
    /// Scores `[1, cells, classes]` and corners `[1, cells, 4]` of all cells, if the head has them.
    pub objects: Option<[String; 2]>,
}

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a program has only one")]
pub enum BoxHead {
    Global(GlobalBoxHead),
    Fcos(FcosHead),
}

/// Global average pooling: `[batch, height, width, channels]` to `[batch, channels]`.
pub(crate) fn pool(map: Tensor<4>) -> Tensor<2> {
    let [batch, height, width, channels] = map.dims();
    map.reshape([batch, height * width, channels])
        .mean_dim(1)
        .reshape([batch, channels])
}

/// Weights `[out, in]` and biases of a dense layer.
fn dense_weights(dense: &Linear) -> (Vec<f32>, Vec<f32>) {
    let weights = to_vec(dense.weight.val().transpose());
    let bias = dense.bias.as_ref().map(|bias| to_vec(bias.val()));
    (weights, bias.unwrap_or_default())
}

impl ClassHead {
    /// `dropout` is the probability with which a feature is dropped in training.
    #[must_use]
    pub fn new(channels: usize, classes: usize, dropout: f64, device: &Device) -> Self {
        Self {
            dropout: DropoutConfig::new(dropout).init(),
            dense: LinearConfig::new(channels, classes).init(device),
        }
    }

    /// The head with the weights of another model; unchanged if they have another shape.
    #[must_use]
    pub fn load_pretrained(mut self, pretrained: &DenseWeights) -> Self {
        let [inputs, classes] = self.dense.weight.dims();
        if pretrained.shape != [classes, inputs] {
            return self;
        }
        let device = self.dense.weight.device();
        let weights = TensorData::new(pretrained.weights.clone(), pretrained.shape);
        let weights = Tensor::<2>::from_data(weights, &device).transpose();
        let bias = TensorData::new(pretrained.bias.clone(), [classes]);
        self.dense.weight = Param::from_tensor(weights);
        self.dense.bias = Some(Param::from_tensor(Tensor::from_data(bias, &device)));
        self
    }

    /// Class logits `[batch, classes]` of pooled features `[batch, channels]`.
    #[must_use]
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        self.dense.forward(self.dropout.forward(features))
    }

    /// Sum of the squared weights, for an L2 penalty.
    #[must_use]
    pub fn squared_weights(&self) -> Tensor<1> {
        self.dense.weight.val().powi_scalar(2).sum()
    }

    /// Adds the head and its softmax to a graph; returns the name of the scores.
    pub fn export(&self, graph: &mut GraphBuilder, map: &str) -> String {
        let (weights, bias) = dense_weights(&self.dense);
        let pooled = graph.pool("class.pool", map);
        let logits = graph.dense(CLASS_LAYER, &pooled, &weights, &bias);
        graph.softmax("class.scores", &logits, 1)
    }
}

impl GlobalBoxHead {
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

    /// The convolution with the batch norm folded into its weights.
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
    /// The head with the weights of another model; unchanged if that has another head.
    #[must_use]
    pub fn load_pretrained(self, pretrained: &HeadWeights) -> Self {
        match self {
            // A model file has its batch norm folded, which can't be undone.
            Self::Global(head) => Self::Global(head),
            Self::Fcos(head) => Self::Fcos(head.load_pretrained(&pretrained.box_convs)),
        }
    }

    #[must_use]
    pub fn forward(&self, maps: FeatureMaps) -> BoxOutput {
        match self {
            Self::Global(head) => BoxOutput {
                corners: head.forward(maps.last),
                cells: None,
                objects: None,
            },
            Self::Fcos(head) => {
                let (cells, objects) = head.forward(maps);
                BoxOutput {
                    corners: cells.decode(),
                    cells: Some(cells),
                    objects,
                }
            }
        }
    }

    /// Adds the head to a graph, on the stride-16 and the stride-32 map; `side` is that of the latter.
    pub fn export(&self, graph: &mut GraphBuilder, maps: [&str; 2], side: usize) -> ExportedBoxes {
        match self {
            Self::Global(head) => ExportedBoxes {
                corners: head.export(graph, maps[1]),
                objects: None,
            },
            Self::Fcos(head) => head.export(graph, maps, side),
        }
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    const SHAPE: [usize; 4] = [3, 3, 3, 8];

    fn map(values: &[f32], device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), SHAPE), device)
    }

    /// The gradient of the input map equals the numerical slope of the loss, batch norm included.
    #[test]
    fn the_global_box_head_propagates_the_gradient() {
        let device = Device::flex().autodiff();
        device.seed(1);
        let head = GlobalBoxHead::new(SHAPE[3], &device);
        let random = &mut Rng::with_seed(3);
        let values: Vec<f32> = (0..SHAPE.iter().product()).map(|_| random.f32()).collect();
        let loss = |map: Tensor<4>| {
            let corners = head.forward(map);
            (corners.clone() * corners).sum()
        };
        let input = map(&values, &device).require_grad();
        let gradients = loss(input.clone()).backward();
        let found = to_vec(input.grad(&gradients).expect("gradient"));
        let step = 1e-2;
        for index in (0..values.len()).step_by(13) {
            let at = |by: f32| {
                let mut moved = values.clone();
                moved[index] += by;
                to_vec(loss(map(&moved, &device)))[0]
            };
            let slope = (at(step) - at(-step)) / (2.0 * step);
            // A step may cross the kink of the ReLU.
            let allowed = 0.1 * slope.abs().max(0.05);
            let found = found[index];
            assert!((found - slope).abs() < allowed, "{index}: {found} {slope}");
        }
    }
}
