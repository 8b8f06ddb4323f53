//! The two heads on a trunk: what it is, and where it is.
//!
//! In goes the trunk's last map, `[batch, channels, side, side]`; out come class logits
//! `[batch, classes]` and corners `[batch, 4]` in the order `x_min, x_max, y_min, y_max`. Each head can
//! write itself into an ONNX graph. Softmax and thresholds are no business of a head.

use burn::module::Param;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Initializer, Linear, LinearConfig,
    PaddingConfig2d,
};
use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::{relu, softmax};

use crate::layer::ConvWeights;
use crate::network::{conv_weights, numbers, relu6};
use crate::onnx::GraphBuilder;

/// Global average pooling, dropout, one dense layer.
#[derive(Module, Debug)]
pub struct ClassHead {
    dropout: Dropout,
    dense: Linear,
}

/// The box of the textbook chapter: 3x3 convolution to 512 channels, batch norm, ReLU, global average
/// pooling, dense layer of 4.
#[derive(Module, Debug)]
pub struct PooledBox {
    conv: Conv2d,
    norm: BatchNorm,
    dense: Linear,
}

/// A box that every cell of the map votes on: a cell says how far the four edges are from its own centre
/// (as FCOS does, Tian et al. 2019), and how much its word counts (softmax over the cells).
///
/// Far cheaper than [`PooledBox`] (6.5 against 231 million multiply-adds at 7x7x1024), and better, since
/// pooling forgets where things are.
#[derive(Module, Debug)]
pub struct AttentionBox {
    reduce: Conv2d,
    look_around: Conv2d,
    vote: Conv2d,
}

/// One of the two box heads.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of it in a program")]
pub enum BoxHead {
    /// See [`PooledBox`].
    Pooled(PooledBox),
    /// See [`AttentionBox`].
    Attention(AttentionBox),
}

/// `[batch, channels, side, side]` to `[batch, channels]`: the mean over the map.
fn pool(map: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = map.dims();
    map.reshape([batch, channels, height * width])
        .mean_dim(2)
        .reshape([batch, channels])
}

/// A dense layer's weights as `[out, in]`, and its biases.
fn dense_weights(dense: &Linear) -> (Vec<f32>, Vec<f32>) {
    let weights = numbers(dense.weight.val().transpose());
    let bias = dense.bias.as_ref().map(|bias| numbers(bias.val()));
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

    /// Class logits, `[batch, classes]`.
    #[must_use]
    pub fn forward(&self, map: Tensor<4>) -> Tensor<2> {
        self.dense.forward(self.dropout.forward(pool(map)))
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
        let logits = graph.dense("class.logits", &pooled, &weights, &bias);
        graph.softmax("class.scores", &logits, 1)
    }
}

impl PooledBox {
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
        let map = relu(self.norm.forward(self.conv.forward(map)));
        self.dense.forward(pool(map))
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
        let gamma = numbers(self.norm.gamma.val());
        let beta = numbers(self.norm.beta.val());
        let mean = numbers(self.norm.running_mean.value_sync());
        let variance = numbers(self.norm.running_var.value_sync());
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

impl AttentionBox {
    /// The head on a map of `channels`.
    #[must_use]
    pub fn new(channels: usize, device: &Device) -> Self {
        let hidden = 128;
        let he = Initializer::KaimingNormal {
            gain: 2f64.sqrt(),
            fan_out_only: false,
        };
        let small = Initializer::Normal {
            mean: 0.0,
            std: 0.01,
        };
        let mut reduce = Conv2dConfig::new([channels, hidden], [1, 1])
            .with_initializer(he)
            .init(device);
        reduce.bias = Some(zeros(hidden, device));
        let mut look_around = Conv2dConfig::new([hidden, hidden], [3, 3])
            .with_groups(hidden)
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .init(device);
        look_around.weight = Param::from_tensor(nearly_identity(hidden, device));
        look_around.bias = Some(zeros(hidden, device));
        let mut vote = Conv2dConfig::new([hidden, 5], [1, 1])
            .with_initializer(small)
            .init(device);
        // Every cell's vote counts the same at first, for a box of 0.6 around it.
        let start = TensorData::from([0.0f32, 0.3, 0.3, 0.3, 0.3]);
        vote.bias = Some(Param::from_data(start, device));
        Self {
            reduce,
            look_around,
            vote,
        }
    }

    fn forward(&self, map: Tensor<4>) -> Tensor<2> {
        let hidden = relu6(self.reduce.forward(map));
        let hidden = relu6(self.look_around.forward(hidden));
        let votes = self.vote.forward(hidden);
        let [batch, _, height, width] = votes.dims();
        let cells = height * width;
        let votes = votes.reshape([batch, 5, cells]);
        let weight = softmax(votes.clone().narrow(1, 0, 1), 2);
        let distance = relu(votes.narrow(1, 1, 4));
        let device = distance.device();
        let centres = TensorData::new(centres(height, width), [1, 4, cells]);
        let signs = TensorData::new(SIGNS.to_vec(), [1, 4, 1]);
        let corners = Tensor::<3>::from_data(centres, &device)
            + distance * Tensor::<3>::from_data(signs, &device);
        (corners * weight).sum_dim(2).reshape([batch, 4])
    }

    fn export(&self, graph: &mut GraphBuilder, map: &str, side: usize) -> String {
        let cells = side * side;
        let reduce = graph.conv_relu6("box.reduce", map, &conv_weights(&self.reduce));
        let around = conv_weights(&self.look_around);
        let around = graph.conv_relu6("box.look_around", &reduce, &around);
        let votes = graph.conv("box.vote", &around, &conv_weights(&self.vote));
        let votes = graph.reshape("box.votes", &votes, &[1, 5, cells as i64]);
        let logits = graph.slice_channels("box.weight_logits", &votes, 0, 1);
        let weight = graph.softmax("box.weights", &logits, 2);
        let weight = graph.reshape("box.weight_column", &weight, &[1, cells as i64, 1]);
        let raw = graph.slice_channels("box.raw_distances", &votes, 1, 5);
        let distance = graph.relu("box.distances", &raw);
        let signs = graph.floats("box.signs", &[1, 4, 1], &SIGNS);
        let signed = graph.binary("Mul", "box.offsets", &distance, &signs);
        let centres = graph.floats("box.centres", &[1, 4, cells], &centres(side, side));
        let corners = graph.binary("Add", "box.cell_corners", &signed, &centres);
        let corners = graph.binary("MatMul", "box.mean_corners", &corners, &weight);
        graph.reshape("box.corners", &corners, &[1, 4])
    }
}

/// From a cell's centre to `x_min, x_max, y_min, y_max`: back, forth, up, down.
const SIGNS: [f32; 4] = [-1.0, 1.0, -1.0, 1.0];

/// The centres of the cells in `0..=1`, once for each corner: `[4, height * width]`.
fn centres(height: usize, width: usize) -> Vec<f32> {
    let cells = move || (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)));
    let xs = || cells().map(move |(x, _)| (x as f32 + 0.5) / width as f32);
    let ys = || cells().map(move |(_, y)| (y as f32 + 0.5) / height as f32);
    xs().chain(xs()).chain(ys()).chain(ys()).collect()
}

fn zeros(channels: usize, device: &Device) -> Param<Tensor<1>> {
    Param::from_tensor(Tensor::zeros([channels], device))
}

/// Depthwise 3x3 weights that pass their input on, nearly.
fn nearly_identity(channels: usize, device: &Device) -> Tensor<4> {
    let mut identity = vec![0.0f32; channels * 9];
    identity
        .iter_mut()
        .skip(4)
        .step_by(9)
        .for_each(|w| *w = 1.0);
    let identity = TensorData::new(identity, [channels, 1, 3, 3]);
    let noise = Distribution::Normal(0.0, 0.1);
    Tensor::from_data(identity, device) + Tensor::random([channels, 1, 3, 3], noise, device)
}

impl BoxHead {
    /// Corners, `[batch, 4]`.
    #[must_use]
    pub fn forward(&self, map: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Pooled(head) => head.forward(map),
            Self::Attention(head) => head.forward(map),
        }
    }

    /// Adds the head to a graph; `side` is that of the map. Gives back the corners' name.
    pub fn export(&self, graph: &mut GraphBuilder, map: &str, side: usize) -> String {
        match self {
            Self::Pooled(head) => head.export(graph, map),
            Self::Attention(head) => head.export(graph, map, side),
        }
    }
}
