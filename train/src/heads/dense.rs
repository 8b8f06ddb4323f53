//! A box that every cell of the map votes on.
//!
//! A cell says how far the four edges are from its own centre (as FCOS does, Tian et al. 2019), and how much
//! its word counts (softmax over the cells). Every cell inside a true box can be taught by itself
//! ([`Cells`]), and all together by what they agree on. Far cheaper than the chapter's head (33 against 231
//! million multiply-adds), and better, since pooling forgets where things are.

use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::{relu, softmax};

use crate::layer::ConvWeights;
use crate::network::{Conv, numbers};
use crate::onnx::GraphBuilder;

/// See the module.
#[derive(Module, Debug)]
pub struct DenseBox {
    reduce: Conv,
    around: Conv,
    mix: Conv,
    further: Conv,
    vote: Conv,
}

/// What each cell of a map says.
#[derive(Debug, Clone)]
pub struct Cells {
    /// How much its word counts, as logits: `[batch, cells]`.
    pub logits: Tensor<2>,
    /// Its box: `[batch, cells, 4]`.
    pub corners: Tensor<3>,
}

impl Cells {
    /// The mean of the boxes, each with its weight: `[batch, 4]`.
    #[must_use]
    pub fn agreed(&self) -> Tensor<2> {
        let [batch, cells] = self.logits.dims();
        let weights = softmax(self.logits.clone(), 1).reshape([batch, cells, 1]);
        (self.corners.clone() * weights)
            .sum_dim(1)
            .reshape([batch, 4])
    }
}

impl DenseBox {
    /// The head on a map of `channels`, with `hidden` channels of its own.
    #[must_use]
    pub fn new(channels: usize, hidden: usize, device: &Device) -> Self {
        let relu6 = |weights: &ConvWeights| Conv::new(weights, true, device);
        let mut vote = random([5, hidden, 1, 1], 0.01, device);
        // Every cell's vote counts the same at first, for a box of 0.6 around it.
        vote.bias = vec![0.0, 0.3, 0.3, 0.3, 0.3];
        let he = |inputs: usize| (2.0 / inputs as f64).sqrt();
        Self {
            reduce: relu6(&random([hidden, channels, 1, 1], he(channels), device)),
            around: relu6(&nearly_identity(hidden, device)),
            mix: relu6(&random([hidden, hidden, 1, 1], he(hidden), device)),
            further: relu6(&nearly_identity(hidden, device)),
            vote: Conv::new(&vote, false, device),
        }
    }

    /// What each cell of `[batch, height, width, channels]` says.
    #[must_use]
    pub fn forward(&self, map: Tensor<4>) -> Cells {
        let hidden = self.around.forward(self.reduce.forward(map));
        let hidden = self.further.forward(self.mix.forward(hidden));
        let votes = self.vote.forward(hidden);
        let [batch, height, width, _] = votes.dims();
        let cells = height * width;
        let votes = votes.reshape([batch, cells, 5]);
        let distances = relu(votes.clone().narrow(2, 1, 4));
        let device = distances.device();
        let centres: Vec<f32> = centres(height, width).collect();
        let centres = TensorData::new(centres, [1, cells, 4]);
        let signs = TensorData::new(SIGNS.to_vec(), [1, 1, 4]);
        let offsets = distances * Tensor::<3>::from_data(signs, &device);
        Cells {
            logits: votes.narrow(2, 0, 1).reshape([batch, cells]),
            corners: offsets + Tensor::<3>::from_data(centres, &device),
        }
    }

    /// Adds the head to a graph; see [`super::BoxHead::export`].
    pub(super) fn export(&self, graph: &mut GraphBuilder, map: &str, side: usize) -> String {
        let cells = side * side;
        let layers = [
            ("box.reduce", &self.reduce),
            ("box.around", &self.around),
            ("box.mix", &self.mix),
            ("box.further", &self.further),
        ];
        let hidden = layers.iter().fold(map.to_owned(), |value, (name, conv)| {
            graph.conv_relu6(name, &value, &conv.weights())
        });
        let votes = graph.conv("box.vote", &hidden, &self.vote.weights());
        let votes = graph.reshape("box.votes", &votes, &[1, 5, cells as i64]);
        let logits = graph.slice_channels("box.weight_logits", &votes, 0, 1);
        let weight = graph.softmax("box.weights", &logits, 2);
        let weight = graph.reshape("box.weight_column", &weight, &[1, cells as i64, 1]);
        let raw = graph.slice_channels("box.raw_distances", &votes, 1, 5);
        let distance = graph.relu("box.distances", &raw);
        let signs = graph.floats("box.signs", &[1, 4, 1], &SIGNS);
        let signed = graph.binary("Mul", "box.offsets", &distance, &signs);
        let by_cell: Vec<f32> = centres(side, side).collect();
        let corner = |corner: usize| by_cell.iter().skip(corner).step_by(4).copied();
        let by_corner: Vec<f32> = (0..4).flat_map(corner).collect();
        let centres = graph.floats("box.centres", &[1, 4, cells], &by_corner);
        let corners = graph.binary("Add", "box.cell_corners", &signed, &centres);
        let corners = graph.binary("MatMul", "box.mean_corners", &corners, &weight);
        graph.reshape("box.corners", &corners, &[1, 4])
    }
}

/// From a cell's centre to `x_min, x_max, y_min, y_max`: back, forth, up, down.
const SIGNS: [f32; 4] = [-1.0, 1.0, -1.0, 1.0];

/// The centres of the cells in `0..=1`, row by row, each as `x, x, y, y`.
pub(crate) fn centres(height: usize, width: usize) -> impl Iterator<Item = f32> {
    let cells = (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)));
    cells.flat_map(move |(x, y)| {
        let x = (x as f32 + 0.5) / width as f32;
        let y = (y as f32 + 0.5) / height as f32;
        [x, x, y, y]
    })
}

/// A convolution of random weights around 0, without bias.
fn random(shape: [usize; 4], deviation: f64, device: &Device) -> ConvWeights {
    let noise = Distribution::Normal(0.0, deviation);
    let weights = numbers(Tensor::<4>::random(shape, noise, device));
    ConvWeights {
        shape,
        weights,
        bias: vec![0.0; shape[0]],
        stride: 1,
        groups: 1,
    }
}

/// Depthwise 3x3 weights that pass their input on, nearly.
fn nearly_identity(channels: usize, device: &Device) -> ConvWeights {
    let mut layer = random([channels, 1, 3, 3], 0.1, device);
    layer.groups = channels;
    let middle = layer.weights.iter_mut().skip(4).step_by(9);
    middle.for_each(|weight| *weight += 1.0);
    layer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_agree_on_the_mean_of_their_boxes() {
        let device = Device::flex();
        let cells = Cells {
            logits: Tensor::from_data([[0.0f32, 3f32.ln()]], &device),
            corners: Tensor::from_data([[[0.0f32, 0.4, 0.2, 0.6], [0.4, 0.8, 0.2, 1.0]]], &device),
        };
        let agreed = numbers(cells.agreed());
        for (found, expected) in agreed.into_iter().zip([0.3, 0.7, 0.2, 0.9]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn a_fresh_head_says_a_box_of_0_6_in_the_middle() {
        let device = Device::flex();
        let head = DenseBox::new(16, 8, &device);
        let map = Tensor::zeros([2, 5, 5, 16], &device);
        for corners in numbers(head.forward(map).agreed()).chunks(4) {
            for (found, expected) in corners.iter().zip([0.2, 0.8, 0.2, 0.8]) {
                assert!((found - expected).abs() < 1e-5, "{corners:?}");
            }
        }
    }
}
