//! What a wrong answer costs: the losses, differentiable, over a batch.
//!
//! In go the network's outputs and the truth as tensors, out comes one number. Boxes are
//! `[batch, 4]` in the order `x_min, x_max, y_min, y_max`; `known` is `[batch]`, 1 where an example has a
//! box and 0 where it has none. `inside` and `middle` are `[batch, cells]`: how much each cell of the map is
//! taught, a share that sums to 1, or to 0 where there is no box.

use boxcam::geometry::NormBox;
use burn::prelude::*;
use burn::tensor::activation::{log_softmax, relu};

use crate::heads::Cells;
use crate::recipe::BoxLoss;

/// Below this a sum of weights or an area counts as none; keeps a division finite.
const TINY: f32 = 1e-6;

/// Where smooth L1 turns from square to straight, in shares of the picture.
const SMOOTH: f32 = 0.1;

/// Cross-entropy of class logits with target probabilities, both `[batch, classes]`; mean over the batch.
#[must_use]
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let [batch, _] = logits.dims();
    let log = log_softmax(logits, 1);
    (log * targets).sum().neg() / batch as f32
}

/// How unlike two lots of features are, both `[batch, channels]`: the squared distance by the square of what was wanted,
/// so that 1 is what nothing at all would cost.
#[must_use]
pub fn unlikeness(found: Tensor<2>, wanted: Tensor<2>) -> Tensor<1> {
    let off = (found - wanted.clone()).powi_scalar(2).sum();
    off / (wanted.powi_scalar(2).sum() + TINY)
}

/// The recipe's loss of the box that a model says; mean over the examples with a box.
#[must_use]
pub fn box_loss(kind: BoxLoss, found: Tensor<2>, truth: Tensor<2>, known: Tensor<1>) -> Tensor<1> {
    let each = match kind {
        BoxLoss::None => return Tensor::zeros([1], &known.device()),
        BoxLoss::Mse { mse_weight } => squared_error(found, truth) * mse_weight,
        BoxLoss::Giou { l1_weight, .. } => {
            let overlap = giou(&found, &truth).neg() + 1.0;
            overlap + smooth_l1(found, truth) * l1_weight
        }
    };
    let count = known.clone().sum() + TINY;
    (each * known).sum() / count
}

/// What it costs that the cells of a map say something else than the truth: each box inside the true one
/// by its GIoU, and the weights by their cross-entropy with the cells in its middle. Mean over the examples
/// with a box.
#[must_use]
pub fn cell_loss(
    kind: BoxLoss,
    cells: &Cells,
    truth: &Tensor<2>,
    inside: Tensor<2>,
    middle: Tensor<2>,
) -> Option<Tensor<1>> {
    let BoxLoss::Giou {
        cell_giou_weight,
        location_weight,
        ..
    } = kind
    else {
        return None;
    };
    let [batch, count] = inside.dims();
    let wanted = truth
        .clone()
        .reshape([batch, 1, 4])
        .expand([batch, count, 4]);
    let flat = |boxes: Tensor<3>| boxes.reshape([batch * count, 4]);
    let overlap = giou(&flat(cells.corners.clone()), &flat(wanted)).reshape([batch, count]);
    let known = middle.clone().sum() + TINY;
    let of_boxes = ((overlap.neg() + 1.0) * inside).sum();
    let of_weights = (log_softmax(cells.logits.clone(), 1) * middle).sum().neg();
    Some((of_boxes * cell_giou_weight + of_weights * location_weight) / known)
}

/// How much each cell of a map of `side * side` is taught of a true box: `(inside, middle)`, each with a sum of one.
///
/// Inside are the cells whose centre lies in the box, in the middle those in the half of it around its
/// own centre; of a box that holds no centre, the nearest cell is both.
#[must_use]
pub fn taught(truth: &NormBox, side: usize) -> (Vec<f32>, Vec<f32>) {
    let centre = |cell: usize| (cell as f32 + 0.5) / side as f32;
    let [x_min, x_max, y_min, y_max] = truth.corners();
    let (x, y) = (f32::midpoint(x_min, x_max), f32::midpoint(y_min, y_max));
    let (half_width, half_height) = ((x_max - x_min) / 2.0, (y_max - y_min) / 2.0);
    let within = |share: f32| -> Vec<f32> {
        let cells = (0..side * side).map(|cell| {
            let across = (centre(cell % side) - x).abs() <= half_width * share;
            let down = (centre(cell / side) - y).abs() <= half_height * share;
            f32::from(u8::from(across && down))
        });
        let cells: Vec<f32> = cells.collect();
        let count: f32 = cells.iter().sum();
        if count > 0.0 {
            return cells.into_iter().map(|cell| cell / count).collect();
        }
        let nearest = |at: f32| ((at * side as f32) as usize).min(side.saturating_sub(1));
        let mut one = vec![0.0; side * side];
        one[nearest(y) * side + nearest(x)] = 1.0;
        one
    };
    (within(1.0), within(0.5))
}

fn mean_of_corners(each: Tensor<2>) -> Tensor<1> {
    each.mean_dim(1).squeeze_dim(1)
}

fn squared_error(found: Tensor<2>, truth: Tensor<2>) -> Tensor<1> {
    mean_of_corners((found - truth).powi_scalar(2))
}

fn smooth_l1(found: Tensor<2>, truth: Tensor<2>) -> Tensor<1> {
    let off = (found - truth).abs();
    let straight = relu(off.clone() - SMOOTH);
    let bent = off - straight.clone();
    // Up to SMOOTH the square over 2 * SMOOTH, beyond it a straight line with the same slope.
    mean_of_corners(bent.powi_scalar(2) / (2.0 * SMOOTH) + straight)
}

/// Generalised IoU (Rezatofighi et al. 2019) of each pair, `[batch]`, in `-1..=1`.
#[must_use]
pub fn giou(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<1> {
    let corner = |boxes: &Tensor<2>, at: usize| boxes.clone().narrow(1, at, 1);
    let extent = |low: Tensor<2>, high: Tensor<2>| relu(high - low);
    let [a0, a1, a2, a3] = [0, 1, 2, 3].map(|at| corner(a, at));
    let [b0, b1, b2, b3] = [0, 1, 2, 3].map(|at| corner(b, at));
    let area_a = extent(a0.clone(), a1.clone()) * extent(a2.clone(), a3.clone());
    let area_b = extent(b0.clone(), b1.clone()) * extent(b2.clone(), b3.clone());
    let shared_x = extent(greater(&a0, &b0), lesser(&a1, &b1));
    let shared_y = extent(greater(&a2, &b2), lesser(&a3, &b3));
    let shared = shared_x * shared_y;
    let hull_x = extent(lesser(&a0, &b0), greater(&a1, &b1));
    let hull_y = extent(lesser(&a2, &b2), greater(&a3, &b3));
    let hull = hull_x * hull_y + TINY;
    let union = area_a + area_b - shared.clone() + TINY;
    let giou = shared / union.clone() - (hull.clone() - union) / hull;
    giou.squeeze_dim(1)
}

fn greater(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    b.clone() + relu(a.clone() - b.clone())
}

fn lesser(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    a.clone() - relu(a.clone() - b.clone())
}

#[cfg(test)]
mod tests {
    use boxcam::geometry::{NormBox, iou};

    use super::*;
    use crate::network::numbers;

    fn boxes(corners: &[[f32; 4]]) -> Tensor<2> {
        let data = TensorData::new(corners.concat(), [corners.len(), 4]);
        Tensor::from_data(data, &Device::flex())
    }

    #[test]
    fn giou_is_iou_less_the_empty_share_of_the_hull() {
        let a = [
            [0.2, 0.7, 0.3, 0.6],
            [0.0, 0.4, 0.0, 0.4],
            [0.1, 0.3, 0.0, 1.0],
        ];
        let b = [
            [0.4, 0.6, 0.2, 0.5],
            [0.0, 0.4, 0.0, 0.4],
            [0.6, 0.8, 0.0, 1.0],
        ];
        let found = numbers(giou(&boxes(&a), &boxes(&b)));
        let norm = |c: [f32; 4]| NormBox::new(c[0], c[1], c[2], c[3]).expect("sound");
        // Hull 0.5 x 0.4 with a union of 0.17; the same box; hull 0.7 x 1 with a union of 0.4.
        let expected = [
            iou(&norm(a[0]), &norm(b[0])) - 0.03 / 0.2,
            1.0,
            -(0.7 - 0.4) / 0.7,
        ];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-3, "{found} {expected}");
        }
    }

    #[test]
    fn examples_without_a_box_cost_no_box() {
        let found = boxes(&[[0.1, 0.5, 0.1, 0.5], [0.0; 4]]);
        let truth = boxes(&[[0.2, 0.5, 0.1, 0.5], [1.0; 4]]);
        let known = Tensor::from_data(TensorData::from([1.0f32, 0.0]), &Device::flex());
        let kind = BoxLoss::Mse { mse_weight: 10.0 };
        let loss = numbers(box_loss(kind, found, truth, known))[0];
        assert!((loss - 10.0 * 0.01 / 4.0).abs() < 1e-5, "{loss}");
    }

    #[test]
    fn cells_inside_a_box_and_in_its_middle_are_taught() {
        let truth = NormBox::new(0.0, 1.0, 0.0, 0.5).expect("sound");
        let (inside, middle) = taught(&truth, 4);
        let eighth = [0.125; 4];
        assert_eq!(inside, [eighth, eighth, [0.0; 4], [0.0; 4]].concat());
        let quarter = [0.0, 0.25, 0.25, 0.0];
        assert_eq!(middle, [quarter, quarter, [0.0; 4], [0.0; 4]].concat());
    }

    #[test]
    fn a_box_between_centres_teaches_the_nearest_cell() {
        let truth = NormBox::new(0.9, 1.0, 0.95, 1.0).expect("sound");
        let (inside, middle) = taught(&truth, 4);
        assert_eq!(inside, middle);
        assert_eq!(inside[15], 1.0);
        assert_eq!(inside.iter().sum::<f32>(), 1.0);
    }

    #[test]
    fn right_cells_cost_nothing_and_wrong_ones_something() {
        let device = Device::flex();
        let kind = BoxLoss::Giou {
            l1_weight: 0.0,
            cell_giou_weight: 1.0,
            location_weight: 1.0,
        };
        let truth = boxes(&[[0.2, 0.6, 0.2, 0.6]]);
        let shares = || Tensor::<2>::from_data([[1.0f32, 0.0]], &device);
        let cost = |first: [f32; 4], logits: [f32; 2]| {
            let cells = Cells {
                logits: Tensor::from_data([logits], &device),
                corners: Tensor::from_data([[first, [0.0; 4]]], &device),
            };
            let loss = cell_loss(kind, &cells, &truth, shares(), shares());
            numbers(loss.expect("an overlap loss"))[0]
        };
        assert!(cost([0.2, 0.6, 0.2, 0.6], [20.0, 0.0]) < 1e-3);
        // Half of the box, and both cells count the same.
        let half = cost([0.2, 0.4, 0.2, 0.6], [0.0, 0.0]);
        assert!((half - (0.5 + 2f32.ln())).abs() < 1e-3, "{half}");
    }

    #[test]
    fn smooth_l1_is_square_near_and_straight_far() {
        let found = boxes(&[[0.05, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0]]);
        let cost = numbers(smooth_l1(found, boxes(&[[0.0; 4]; 2])));
        assert!((cost[0] - 0.05f32.powi(2) / 0.2 / 4.0).abs() < 1e-6);
        assert!((cost[1] - (0.05 + 0.4) / 4.0).abs() < 1e-6);
    }

    #[test]
    fn features_cost_by_how_far_they_are_off() {
        let cost = |found: [f32; 2]| {
            let tensor = |values| Tensor::<2>::from_data([values], &Device::flex());
            numbers(unlikeness(tensor(found), tensor([3.0, 4.0])))[0]
        };
        assert!(cost([3.0, 4.0]).abs() < 1e-6);
        assert!((cost([0.0, 0.0]) - 1.0).abs() < 1e-5);
        assert!((cost([3.0, 9.0]) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn cross_entropy_is_that_of_the_targets() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_data([[0.0f32, 0.0], [2.0, 0.0]], &device);
        let targets = Tensor::<2>::from_data([[1.0f32, 0.0], [0.5, 0.5]], &device);
        let second = (1.0 + 2f32.exp()).ln() - 1.0;
        let expected = (2f32.ln() + second) / 2.0;
        assert!((numbers(cross_entropy(logits, targets))[0] - expected).abs() < 1e-5);
    }
}
