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
pub(super) const CELL_CHANNELS: usize = 5;

/// From a cell's centre to `x_min, x_max, y_min, y_max`: back, forth, up, down.
const SIGNS: [f32; 4] = [-1.0, 1.0, -1.0, 1.0];

/// Squares of cells along each side of the map, of which each proposes a box.
const SQUARES: usize = 3;

/// How sharply the best proposal stands out from all others: of two boxes of which one may expect a hundredth more
/// overlap they count 3 to 1.
const SHARPNESS: f32 = 100.0;

/// How often the box is drawn anew from the cells that agree with it.
const REFINE_ITERATIONS: usize = 2;

/// Keeps a division finite.
const TINY: f32 = 1e-6;

/// What each cell of a map says.
#[derive(Debug, Clone)]
pub struct CellPredictions {
    /// How much its word counts, as logits: `[batch, cells]`.
    pub logits: Tensor<2>,
    /// Its box: `[batch, cells, 4]`.
    pub corners: Tensor<3>,
}

impl CellPredictions {
    /// From `[batch, height, width, 5]`.
    pub(super) fn new(votes: Tensor<4>) -> Self {
        let [batch, height, width, _] = votes.dims();
        let cells = height * width;
        let votes = votes.reshape([batch, cells, CELL_CHANNELS]);
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
    /// Where a map has two things, the mean of all boxes is the box of neither. So each of nine squares of cells proposes
    /// the mean of its own boxes, and the proposal that may expect the most overlap counts: the mean IoU with the boxes of all
    /// cells, weighted as they are. Then, twice, comes the mean of all boxes, each counting as
    /// the square of its IoU with the box so far (a mean shift, Comaniciu and Meer 2002). What is learnt is the boxes
    /// and weights; which of them count is taken as given.
    #[must_use]
    pub fn decode(&self) -> Tensor<2> {
        let weights = softmax(self.logits.clone(), 1);
        let place = self.place(weights.clone().detach());
        let first = self.mean(weights.clone() * place);
        (0..REFINE_ITERATIONS).fold(first, |found, _| {
            let [batch, cells] = self.logits.dims();
            let found = found.detach().reshape([batch, 1, 4]);
            let overlap = self.overlap(&found).reshape([batch, cells]);
            self.mean(weights.clone() * (overlap.powi_scalar(2) + TINY))
        })
    }

    /// What each cell's weight is to be multiplied with, so that the mean of the boxes is that of the best proposal:
    /// `[batch, cells]`; without gradients.
    fn place(&self, weights: Tensor<2>) -> Tensor<2> {
        let [batch, cells] = weights.dims();
        let squares = squares(cells.isqrt());
        let count = squares.len() / cells;
        let squares = TensorData::new(squares, [1, cells, count]);
        let squares = Tensor::<3>::from_data(squares, &weights.device());
        let weights = weights.reshape([batch, cells, 1]);
        let of_square = weights.clone() * squares.clone();
        let sums = of_square.clone().sum_dim(1) + TINY;
        let corners = self.corners.clone().detach().swap_dims(1, 2);
        let proposed = corners.matmul(of_square) / sums.clone();
        let expected = self.overlap(&proposed.swap_dims(1, 2)).matmul(weights);
        let best = softmax(expected * SHARPNESS, 1);
        let shares = best / sums.swap_dims(1, 2);
        let squares = squares.expand([batch, cells, count]);
        squares.matmul(shares).reshape([batch, cells])
    }

    /// The mean of the boxes, each with its weight.
    fn mean(&self, weights: Tensor<2>) -> Tensor<2> {
        let [batch, cells] = weights.dims();
        let sum = weights.clone().sum_dim(1);
        let weights = weights.reshape([batch, cells, 1]);
        let corners = (self.corners.clone() * weights).sum_dim(1);
        corners.reshape([batch, 4]) / sum
    }

    /// IoU of boxes `[batch, boxes, 4]` with those of all cells, `[batch, boxes, cells]`; without gradients.
    fn overlap(&self, found: &Tensor<3>) -> Tensor<3> {
        let [batch, boxes, _] = found.dims();
        let [_, cells] = self.logits.dims();
        let shape = [batch, boxes, cells];
        let own = self.corners.clone().detach().swap_dims(1, 2);
        let own = |corner: usize| own.clone().narrow(1, corner, 1).expand(shape);
        let found = |corner: usize| found.clone().narrow(2, corner, 1).expand(shape);
        let shared = |low: usize| {
            relu(own(low + 1).min_pair(found(low + 1)) - own(low).max_pair(found(low)))
        };
        let shared = shared(0) * shared(2);
        let own_area = (own(1) - own(0)) * (own(3) - own(2));
        let found_area = (found(1) - found(0)) * (found(3) - found(2));
        shared.clone() / (own_area + found_area - shared + TINY)
    }
}

/// For each cell of a map of that side, row by row, which squares it is in: 1 or 0. There are [`SQUARES`] along each side,
/// two thirds of it wide, each next one a third further on, so that they overlap; what would lie beyond the map is cut off.
fn squares(side: usize) -> Vec<f32> {
    let third = side as f32 / SQUARES as f32;
    let is_in = |cell: usize, square: usize| {
        let (cell, middle) = (cell as f32 + 0.5, (square as f32 + 0.5) * third);
        (cell - middle).abs() <= third
    };
    let cells = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
    let each = cells.flat_map(|(x, y)| {
        let squares = (0..SQUARES).flat_map(|down| (0..SQUARES).map(move |across| (across, down)));
        squares.map(move |(across, down)| is_in(x, across) && is_in(y, down))
    });
    each.map(|inside| f32::from(u8::from(inside))).collect()
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
    use crate::network::to_vec;

    /// On a map of 9 x 9 nothing counts but these cells: place, weight, corners.
    fn agreed(said: &[(usize, f32, [f32; 4])]) -> Vec<f32> {
        let device = Device::flex();
        let mut logits = vec![-20.0f32; 81];
        let mut corners = vec![[0.5f32; 4]; 81];
        for &(cell, weight, corner) in said {
            logits[cell] = weight.ln();
            corners[cell] = corner;
        }
        let cells = CellPredictions {
            logits: Tensor::from_data(TensorData::new(logits, [1, 81]), &device),
            corners: Tensor::from_data(TensorData::new(corners.concat(), [1, 81, 4]), &device),
        };
        to_vec(cells.decode())
    }

    fn near(found: &[f32], expected: [f32; 4]) {
        for (one, other) in found.iter().zip(expected) {
            assert!((one - other).abs() < 1e-2, "{found:?}, not {expected:?}");
        }
    }

    #[test]
    fn of_two_places_the_one_with_more_weight_counts() {
        let found = agreed(&[
            (0, 0.35, [0.0, 0.2, 0.0, 0.2]),
            (10, 0.25, [0.0, 0.4, 0.0, 0.2]),
            (80, 0.4, [0.8, 1.0, 0.8, 1.0]),
        ]);
        // The square of the IoU with the mean: the wide box's is 0.7 of that of the narrow one, then 0.6 and so on.
        assert!(found[1] > 0.2 && found[1] < 0.35, "{found:?}");
        near(&found, [0.0, found[1], 0.0, 0.2]);
    }

    #[test]
    fn a_box_that_most_agree_with_counts_more_than_the_place_with_most_weight() {
        let whole = [0.0, 1.0, 0.0, 1.0];
        let found = agreed(&[
            (0, 0.2, whole),
            (8, 0.2, whole),
            (40, 0.2, whole),
            (80, 0.4, [0.8, 1.0, 0.8, 1.0]),
        ]);
        near(&found, whole);
    }

    #[test]
    fn every_cell_is_in_a_square_and_the_middle_in_all_of_a_map_of_three() {
        for side in [3, 6, 7, 16, 18] {
            let squares = squares(side);
            assert_eq!(squares.len(), side * side * 9);
            let mut cells = squares.chunks(9);
            assert!(cells.all(|of_cell| of_cell.contains(&1.0)), "{side}");
        }
        assert_eq!(squares(3).chunks(9).nth(4), Some(&[1.0; 9][..]));
    }
}
