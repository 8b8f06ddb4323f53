//! What the cells of a map say of a box, and what they come to together.
//!
//! In goes a map of five numbers a cell, `[batch, height, width, 5]`: how much the cell's word counts, and how
//! far the box's edges are from the cell's own centre (as FCOS does, Tian et al. 2019). Out comes one box, as
//! tensors in training and as nodes of an ONNX graph. How the five numbers are made is for the heads.

use burn::prelude::*;
use burn::tensor::activation::{relu, softmax};

use crate::onnx::GraphBuilder;

/// Numbers of a cell: its weight, then back, forth, up, down.
pub(super) const VOTE: usize = 5;

/// From a cell's centre to `x_min, x_max, y_min, y_max`: back, forth, up, down.
const SIGNS: [f32; 4] = [-1.0, 1.0, -1.0, 1.0];

/// How sharply the place where most of the weight is stands out from all others: two places of which one has a
/// tenth more of all the weight count 1 to 20.
const SHARPNESS: f32 = 30.0;

/// What each cell of a map says.
#[derive(Debug, Clone)]
pub struct Cells {
    /// How much its word counts, as logits: `[batch, cells]`.
    pub logits: Tensor<2>,
    /// Its box: `[batch, cells, 4]`.
    pub corners: Tensor<3>,
}

impl Cells {
    /// From `[batch, height, width, 5]`.
    pub(super) fn new(votes: Tensor<4>) -> Self {
        let [batch, height, width, _] = votes.dims();
        let cells = height * width;
        let votes = votes.reshape([batch, cells, VOTE]);
        let distances = relu(votes.clone().narrow(2, 1, 4));
        let device = distances.device();
        let centres: Vec<f32> = centres(height, width).collect();
        let centres = TensorData::new(centres, [1, cells, 4]);
        let signs = TensorData::new(SIGNS.to_vec(), [1, 1, 4]);
        let offsets = distances * Tensor::<3>::from_data(signs, &device);
        Self {
            logits: votes.narrow(2, 0, 1).reshape([batch, cells]),
            corners: offsets + Tensor::<3>::from_data(centres, &device),
        }
    }

    /// The mean of the boxes of one place, each with its weight: `[batch, 4]`. Where a map has two things, the mean of all boxes is the
    /// box of neither. The place is where a square of cells has most of the weight; the square itself is taken as
    /// given, so that what is learnt is the boxes in it. For square maps.
    #[must_use]
    pub fn agreed(&self) -> Tensor<2> {
        let [batch, cells] = self.logits.dims();
        let side = cells.isqrt();
        let weights = softmax(self.logits.clone(), 1);
        let square = TensorData::new(neighbours(side), [1, side, side]);
        let square = Tensor::<3>::from_data(square, &weights.device());
        let around = |map: Tensor<2>| {
            let map = map.reshape([batch, side, side]);
            square
                .clone()
                .matmul(map)
                .matmul(square.clone())
                .reshape([batch, cells])
        };
        let peak = softmax(around(weights.clone().detach()) * SHARPNESS, 1);
        let weights = weights * around(peak);
        let sum = weights.clone().sum_dim(1);
        let weights = weights.reshape([batch, cells, 1]);
        let corners = (self.corners.clone() * weights).sum_dim(1);
        corners.reshape([batch, 4]) / sum
    }
}

/// Adds what follows the votes, `[1, 5, side, side]`, to a graph; gives back the name of the corners.
pub(super) fn export(graph: &mut GraphBuilder, votes: &str, side: usize) -> String {
    let cells = side * side;
    let votes = graph.reshape("box.votes", votes, &[1, VOTE as i64, cells as i64]);
    let logits = graph.slice_channels("box.weight_logits", &votes, 0, 1);
    let weights = graph.softmax("box.weights", &logits, 2);
    let raw = graph.slice_channels("box.raw_distances", &votes, 1, VOTE as i64);
    let distance = graph.relu("box.distances", &raw);
    let signs = graph.floats("box.signs", &[1, 4, 1], &SIGNS);
    let signed = graph.binary("Mul", "box.offsets", &distance, &signs);
    let by_cell: Vec<f32> = centres(side, side).collect();
    let corner = |corner: usize| by_cell.iter().skip(corner).step_by(4).copied();
    let by_corner: Vec<f32> = (0..4).flat_map(corner).collect();
    let centres = graph.floats("box.centres", &[1, 4, cells], &by_corner);
    let corners = graph.binary("Add", "box.cell_corners", &signed, &centres);
    let column = [1, cells as i64, 1];
    let map = [side as i64, side as i64];
    let weights = graph.reshape("box.weight_map", &weights, &map);
    let square = graph.floats("box.square", &[side, side], &neighbours(side));
    let near = around(graph, "box.near", &weights, &square);
    let sharpness = graph.floats("box.sharpness", &[1, 1], &[SHARPNESS]);
    let near = graph.binary("Mul", "box.sharp", &near, &sharpness);
    let near = graph.reshape("box.sharp_row", &near, &[1, cells as i64]);
    let peak = graph.softmax("box.peak", &near, 1);
    let peak = graph.reshape("box.peak_map", &peak, &map);
    let place = around(graph, "box.place", &peak, &square);
    let there = graph.binary("Mul", "box.weights_there", &weights, &place);
    let column = graph.reshape("box.weight_column", &there, &column);
    let corners = graph.binary("MatMul", "box.sum_of_corners", &corners, &column);
    let ones = graph.floats("box.ones", &[1, 1, cells], &vec![1.0; cells]);
    let sum = graph.binary("MatMul", "box.sum_of_weights", &ones, &column);
    let corners = graph.binary("Div", "box.mean_corners", &corners, &sum);
    graph.reshape("box.corners", &corners, &[1, 4])
}

fn around(graph: &mut GraphBuilder, name: &str, map: &str, square: &str) -> String {
    let down = graph.binary("MatMul", &format!("{name}_down"), square, map);
    graph.binary("MatMul", name, &down, square)
}

/// 1 where two rows, or two columns, of a map of that side are at most an eighth of it apart, as a matrix; times
/// a map from both sides it gives the sum of the square around each cell.
fn neighbours(side: usize) -> Vec<f32> {
    let radius = ((side + 4) / 8).max(1);
    let pairs = (0..side).flat_map(|row| (0..side).map(move |column| (row, column)));
    pairs
        .map(|(row, column)| f32::from(u8::from(row.abs_diff(column) <= radius)))
        .collect()
}

/// The centres of the cells in `0..=1`, row by row, each as `x, x, y, y`.
pub(crate) fn centres(height: usize, width: usize) -> impl Iterator<Item = f32> {
    let cells = (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)));
    cells.flat_map(move |(x, y)| {
        let x = (x as f32 + 0.5) / width as f32;
        let y = (y as f32 + 0.5) / height as f32;
        [x, x, y, y]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::numbers;

    /// On a map of 8 x 8: a box in a corner that two cells vote for, another one far away with less weight.
    #[test]
    fn of_two_places_the_one_with_more_weight_counts() {
        let device = Device::flex();
        let mut logits = vec![-20.0f32; 64];
        let mut corners = vec![[0.5f32; 4]; 64];
        for (cell, weight, corner) in [
            (0, 0.35f32, [0.0, 0.2, 0.0, 0.2]),
            (9, 0.25, [0.0, 0.4, 0.0, 0.2]),
            (63, 0.4, [0.8, 1.0, 0.8, 1.0]),
        ] {
            logits[cell] = weight.ln();
            corners[cell] = corner;
        }
        let cells = Cells {
            logits: Tensor::from_data(TensorData::new(logits, [1, 64]), &device),
            corners: Tensor::from_data(TensorData::new(corners.concat(), [1, 64, 4]), &device),
        };
        let agreed = numbers(cells.agreed());
        let mean = 0.2 * 0.35 / 0.6 + 0.4 * 0.25 / 0.6;
        for (found, expected) in agreed.into_iter().zip([0.0, mean, 0.0, 0.2]) {
            assert!((found - expected).abs() < 1e-2, "{found} {expected}");
        }
    }
}
