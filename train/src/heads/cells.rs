//! What the cells of a map say of a box, and what they come to together.
//!
//! In goes a map of five numbers a cell, `[batch, height, width, 5]`: how much the cell's word counts, and how
//! far the box's edges are from the cell's own centre (as FCOS does, Tian et al. 2019). Out comes one box, as
//! tensors in training and as nodes of an ONNX graph ([`export`]). How the five numbers are made is for the heads.

use burn::prelude::*;
use burn::tensor::activation::{relu, softmax};

mod graph;

pub(super) use graph::export;

/// Numbers of a cell: its weight, then back, forth, up, down.
pub(super) const VOTE: usize = 5;

/// From a cell's centre to `x_min, x_max, y_min, y_max`: back, forth, up, down.
const SIGNS: [f32; 4] = [-1.0, 1.0, -1.0, 1.0];

/// How sharply the place where most of the weight is stands out from all others: two places of which one has a
/// tenth more of all the weight count 1 to 20.
const SHARPNESS: f32 = 30.0;

/// How often the box is drawn anew from the cells that agree with it.
const REVISIONS: usize = 2;

/// Keeps a division finite.
const TINY: f32 = 1e-6;

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

    /// The box that the cells agree on, `[batch, 4]`. For square maps.
    ///
    /// Where a map has two things, the mean of all boxes is the box of neither. So first comes the mean of the boxes
    /// of one place, where a square of cells has most of the weight; then, twice, that of all boxes, each counting as
    /// the square of its IoU with the box so far (a mean shift, Comaniciu and Meer 2002). What is learnt is the boxes
    /// and weights; which of them count is taken as given.
    #[must_use]
    pub fn agreed(&self) -> Tensor<2> {
        let weights = softmax(self.logits.clone(), 1);
        let place = place(weights.clone().detach());
        let first = self.mean(weights.clone() * place);
        (0..REVISIONS).fold(first, |found, _| {
            let overlap = self.overlap(&found.detach());
            self.mean(weights.clone() * (overlap.powi_scalar(2) + TINY))
        })
    }

    /// The mean of the boxes, each with its weight.
    fn mean(&self, weights: Tensor<2>) -> Tensor<2> {
        let [batch, cells] = weights.dims();
        let sum = weights.clone().sum_dim(1);
        let weights = weights.reshape([batch, cells, 1]);
        let corners = (self.corners.clone() * weights).sum_dim(1);
        corners.reshape([batch, 4]) / sum
    }

    /// IoU of each cell's box with that of its picture, `[batch, cells]`; without gradients.
    fn overlap(&self, found: &Tensor<2>) -> Tensor<2> {
        let [batch, cells] = self.logits.dims();
        let own = self.corners.clone().detach();
        let own = |corner: usize| own.clone().narrow(2, corner, 1).reshape([batch, cells]);
        let found = |corner: usize| found.clone().narrow(1, corner, 1).expand([batch, cells]);
        let shared = |low: usize| {
            relu(own(low + 1).min_pair(found(low + 1)) - own(low).max_pair(found(low)))
        };
        let shared = shared(0) * shared(2);
        let own_area = (own(1) - own(0)) * (own(3) - own(2));
        let found_area = (found(1) - found(0)) * (found(3) - found(2));
        shared.clone() / (own_area + found_area - shared + TINY)
    }
}

/// Where most of the weight is: about 1 in the square around it, 0 elsewhere; `[batch, cells]` of a square map.
fn place(weights: Tensor<2>) -> Tensor<2> {
    let [batch, cells] = weights.dims();
    let side = cells.isqrt();
    let square = TensorData::new(neighbours(side), [1, side, side]);
    let square = Tensor::<3>::from_data(square, &weights.device());
    let around = |map: Tensor<2>| {
        let map = map.reshape([batch, side, side]);
        let sums = square.clone().matmul(map).matmul(square.clone());
        sums.reshape([batch, cells])
    };
    around(softmax(around(weights) * SHARPNESS, 1))
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
