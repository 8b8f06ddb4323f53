//! Differentiable losses over a batch.
//!
//! Boxes are `[batch, 4]` in the order `x_min, x_max, y_min, y_max`. `has_box` is `[batch]`, 1 for an example with a
//! box, else 0.

use burn::prelude::*;
use burn::tensor::activation::{log_sigmoid, log_softmax, relu, sigmoid};

use crate::heads::{CellPredictions, ObjectPredictions};
use crate::recipe::{BoxLoss, ObjectTraining};
use crate::targets::objects::ObjectTargets;

/// Added to a divisor to keep the quotient finite.
const EPSILON: f32 = 1e-6;

/// Where smooth L1 changes from quadratic to linear, as a fraction of the picture's side.
const SMOOTH_L1_BETA: f32 = 0.1;

/// Cross-entropy of class logits with target probabilities, both `[batch, classes]`; mean over the batch.
#[must_use]
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let [batch, _] = logits.dims();
    let log = log_softmax(logits, 1);
    (log * targets).sum().neg() / batch as f32
}

/// Squared distance between the student's and the teacher's features, both `[batch, channels]`, divided by the squared
/// norm of the teacher's: all-zero features cost 1.
#[must_use]
pub fn feature_distillation_loss(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    let squared_error = (student - teacher.clone()).powi_scalar(2).sum();
    squared_error / (teacher.powi_scalar(2).sum() + EPSILON)
}

/// The recipe's loss of the decoded box; mean over the examples with a box.
#[must_use]
pub fn box_loss(
    kind: BoxLoss,
    predicted: Tensor<2>,
    target: Tensor<2>,
    has_box: Tensor<1>,
) -> Tensor<1> {
    let each = match kind {
        BoxLoss::None => return Tensor::zeros([1], &has_box.device()),
        BoxLoss::Mse { mse_weight } => squared_error(predicted, target) * mse_weight,
        BoxLoss::Giou { l1_weight, .. } => {
            let overlap = giou(&predicted, &target).neg() + 1.0;
            overlap + smooth_l1(predicted, target) * l1_weight
        }
    };
    let count = has_box.clone().sum() + EPSILON;
    (each * has_box).sum() / count
}

/// Dense loss of the cells: GIoU of each cell's box with the target, weighted by `box_weight`, plus the cross-entropy
/// of the cell weights with `location_target` (both `[batch, cells]`, see `targets.rs`). Mean over the examples
/// with a box; `None` for a recipe without an overlap loss.
#[must_use]
pub fn dense_loss(
    kind: BoxLoss,
    cells: &CellPredictions,
    target: &Tensor<2>,
    box_weight: Tensor<2>,
    location_target: Tensor<2>,
) -> Option<Tensor<1>> {
    let BoxLoss::Giou {
        cell_giou_weight,
        location_weight,
        ..
    } = kind
    else {
        return None;
    };
    let [batch, count] = box_weight.dims();
    let target = target
        .clone()
        .reshape([batch, 1, 4])
        .expand([batch, count, 4]);
    let flat = |boxes: Tensor<3>| boxes.reshape([batch * count, 4]);
    let corners = cells.corners.clone().swap_dims(1, 2);
    let overlap = giou(&flat(corners), &flat(target)).reshape([batch, count]);
    let examples = location_target.clone().sum() + EPSILON;
    let box_loss = ((overlap.neg() + 1.0) * box_weight).sum();
    let logits = cells.logits.clone().reshape([batch, count]);
    let location_loss = (log_softmax(logits, 1) * location_target).sum().neg();
    Some((box_loss * cell_giou_weight + location_loss * location_weight) / examples)
}

/// Loss of the object branch: varifocal loss of the scores and weighted `1 - GIoU` of the boxes, divided by the sum of the
/// targets.
#[must_use]
pub(crate) fn object_loss(
    predictions: &ObjectPredictions,
    targets: &ObjectTargets,
    settings: &ObjectTraining,
) -> Tensor<1> {
    let scores = varifocal(
        predictions.logits.clone(),
        targets.scores.clone(),
        targets.negatives.clone() * settings.negative_weight,
    );
    let [batch, cells, _] = targets.corners.dims();
    let flat = |boxes: &Tensor<3>| boxes.clone().reshape([batch * cells, 4]);
    let overlap = giou(&flat(&predictions.corners), &flat(&targets.corners));
    let weights = targets.weights.clone().reshape([batch * cells]);
    let boxes = ((overlap.neg() + 1.0) * weights).sum();
    (scores + boxes * settings.giou_weight) / targets.total
}

/// Varifocal loss (Zhang et al. 2021) of logits with target scores, all `[batch, cells, classes]`; the sum of all. A target
/// above 0 weighs its own cross-entropy, a target of 0 is weighed by `negatives * score^2`.
fn varifocal(logits: Tensor<3>, targets: Tensor<3>, negatives: Tensor<3>) -> Tensor<1> {
    let is_negative = targets.clone().equal_elem(0.0).float();
    // -log(1 - score), and the cross-entropy -t log(score) - (1 - t) log(1 - score).
    let absent = log_sigmoid(logits.clone().neg()).neg();
    let cross_entropy = absent - logits.clone() * targets.clone();
    let of_negative = sigmoid(logits).powi_scalar(2) * negatives * is_negative;
    (cross_entropy * (targets + of_negative)).sum()
}

fn mean_of_corners(each: Tensor<2>) -> Tensor<1> {
    each.mean_dim(1).squeeze_dim(1)
}

fn squared_error(predicted: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    mean_of_corners((predicted - target).powi_scalar(2))
}

fn smooth_l1(predicted: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    let error = (predicted - target).abs();
    let linear = relu(error.clone() - SMOOTH_L1_BETA);
    let quadratic = error - linear.clone();
    mean_of_corners(quadratic.powi_scalar(2) / (2.0 * SMOOTH_L1_BETA) + linear)
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
    let intersection_x = extent(max(&a0, &b0), min(&a1, &b1));
    let intersection_y = extent(max(&a2, &b2), min(&a3, &b3));
    let intersection = intersection_x * intersection_y;
    let hull_x = extent(min(&a0, &b0), max(&a1, &b1));
    let hull_y = extent(min(&a2, &b2), max(&a3, &b3));
    let hull = hull_x * hull_y + EPSILON;
    let union = area_a + area_b - intersection.clone() + EPSILON;
    let giou = intersection / union.clone() - (hull.clone() - union) / hull;
    giou.squeeze_dim(1)
}

fn max(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    b.clone() + relu(a.clone() - b.clone())
}

fn min(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    a.clone() - relu(a.clone() - b.clone())
}

#[cfg(test)]
mod tests {
    use boxcam::geometry::{NormBox, iou};
    use burn::tensor::activation::softmax;

    use super::*;
    use crate::network::to_vec;

    fn boxes(corners: &[[f32; 4]]) -> Tensor<2> {
        let data = TensorData::new(corners.concat(), [corners.len(), 4]);
        Tensor::from_data(data, &Device::flex())
    }

    #[test]
    fn giou_is_iou_minus_the_empty_fraction_of_the_hull() {
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
        let found = to_vec(giou(&boxes(&a), &boxes(&b)));
        let norm = |c: [f32; 4]| NormBox::new(c[0], c[1], c[2], c[3]).expect("valid box");
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
    fn examples_without_a_box_add_no_box_loss() {
        let predicted = boxes(&[[0.1, 0.5, 0.1, 0.5], [0.0; 4]]);
        let target = boxes(&[[0.2, 0.5, 0.1, 0.5], [1.0; 4]]);
        let has_box = Tensor::from_data(TensorData::from([1.0f32, 0.0]), &Device::flex());
        let kind = BoxLoss::Mse { mse_weight: 10.0 };
        let loss = to_vec(box_loss(kind, predicted, target, has_box))[0];
        assert!((loss - 10.0 * 0.01 / 4.0).abs() < 1e-5, "{loss}");
    }

    #[test]
    fn dense_loss_is_zero_for_correct_cells_and_positive_for_others() {
        let device = Device::flex();
        let kind = BoxLoss::Giou {
            l1_weight: 0.0,
            cell_giou_weight: 1.0,
            location_weight: 1.0,
        };
        let target = boxes(&[[0.2, 0.6, 0.2, 0.6]]);
        let one_hot = || Tensor::<2>::from_data([[1.0f32, 0.0]], &device);
        let loss = |first: [f32; 4], logits: [f32; 2]| {
            let logits = Tensor::<3>::from_data([[logits]], &device);
            let corners = Tensor::<3>::from_data([[first, [0.0; 4]]], &device);
            let cells = CellPredictions {
                weights: softmax(logits.clone(), 2),
                logits,
                corners: corners.swap_dims(1, 2),
            };
            let loss = dense_loss(kind, &cells, &target, one_hot(), one_hot());
            to_vec(loss.expect("an overlap loss"))[0]
        };
        assert!(loss([0.2, 0.6, 0.2, 0.6], [20.0, 0.0]) < 1e-3);
        // Half of the box, and equal weights of both cells.
        let half = loss([0.2, 0.4, 0.2, 0.6], [0.0, 0.0]);
        assert!((half - (0.5 + 2f32.ln())).abs() < 1e-3, "{half}");
    }

    fn settings() -> ObjectTraining {
        let recipe = crate::recipe::Recipe::named("objects").expect("built in");
        recipe.objects.expect("several objects")
    }

    #[test]
    fn varifocal_loss_weighs_positives_by_their_target_and_negatives_by_their_score() {
        let loss = |logit: f32, target: f32, negative: f32| {
            let tensor = |value: f32| Tensor::<3>::from_data([[[value]]], &Device::flex());
            to_vec(varifocal(tensor(logit), tensor(target), tensor(negative)))[0]
        };
        let ln_2 = 2f32.ln();
        let ln_3 = 3f32.ln();
        // Logit, target, weight of a negative; a score of 0.5 has the logit 0, one of 0.75 ln 3.
        let cases = [
            ((0.0, 1.0, 0.75), ln_2),
            ((0.0, 0.5, 0.75), 0.5 * ln_2),
            ((0.0, 0.0, 0.75), 0.75 * 0.25 * ln_2),
            ((ln_3, 0.0, 0.75), 0.75 * 0.5625 * 4f32.ln()),
            // -0.8 ln 0.75 - 0.2 ln 0.25, times 0.8.
            (
                (ln_3, 0.8, 0.75),
                0.8 * (0.8 * (4f32 / 3.0).ln() + 0.2 * 4f32.ln()),
            ),
            ((0.0, 0.0, 0.0), 0.0),
            ((-100.0, 0.0, 0.75), 0.0),
            ((100.0, 0.0, 1.0), 100.0),
            ((-100.0, 1.0, 1.0), 100.0),
        ];
        for ((logit, target, negative), expected) in cases {
            let found = loss(logit, target, negative);
            assert!(
                (found - expected).abs() < 1e-4,
                "{logit} {target}: {found} {expected}"
            );
        }
    }

    /// Predictions and targets of two cells with two classes: the first learns class 1.
    fn two_cells(
        logits: &[f32],
        corners: &[f32],
        device: &Device,
    ) -> (ObjectPredictions, ObjectTargets) {
        let tensor = |values: &[f32], width: usize| {
            let data = TensorData::new(values.to_vec(), [1, 2, width]);
            Tensor::<3>::from_data(data, device)
        };
        let predictions = ObjectPredictions {
            logits: tensor(logits, 2),
            corners: tensor(corners, 4),
        };
        let targets = ObjectTargets {
            scores: tensor(&[0.0, 0.5, 0.0, 0.0], 2),
            negatives: tensor(&[1.0, 1.0, 0.5, 1.0], 2),
            corners: tensor(&[0.2, 0.6, 0.2, 0.6, 0.0, 0.0, 0.0, 0.0], 4),
            weights: Tensor::from_data([[0.5f32, 0.0]], device),
            total: 2.0,
        };
        (predictions, targets)
    }

    #[test]
    fn the_object_loss_is_scores_and_boxes_over_the_sum_of_the_targets() {
        let device = Device::flex();
        // The first cell's box is half of its object; the second's does not count.
        let corners = [0.2, 0.4, 0.2, 0.6, 0.3, 0.9, 0.1, 0.2];
        let (predictions, targets) = two_cells(&[0.0; 4], &corners, &device);
        let found = to_vec(object_loss(&predictions, &targets, &settings()))[0];
        let negatives = 0.75 * 0.25 * (1.0 + 0.5 + 1.0);
        let scores = 2f32.ln() * (0.5 + negatives);
        let expected = (scores + 2.0 * 0.5 * 0.5) / 2.0;
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }

    #[test]
    fn the_gradient_of_the_object_loss_is_its_slope() {
        let device = Device::flex().autodiff();
        let logits = [0.7, -1.2, 0.4, -0.3];
        let corners = [0.1, 0.45, 0.25, 0.7, 0.3, 0.9, 0.1, 0.2];
        let loss = |logits: &[f32], corners: &[f32]| {
            let (predictions, targets) = two_cells(logits, corners, &device);
            to_vec(object_loss(&predictions, &targets, &settings()))[0]
        };
        let (mut predictions, targets) = two_cells(&logits, &corners, &device);
        predictions.logits = predictions.logits.require_grad();
        predictions.corners = predictions.corners.require_grad();
        let gradients = object_loss(&predictions, &targets, &settings()).backward();
        let found = |tensor: &Tensor<3>| to_vec(tensor.grad(&gradients).expect("gradient"));
        let step = 1e-3;
        let slope = |values: &[f32], index: usize, loss: &dyn Fn(&[f32]) -> f32| {
            let at = |by: f32| {
                let mut moved = values.to_vec();
                moved[index] += by;
                loss(&moved)
            };
            (at(step) - at(-step)) / (2.0 * step)
        };
        for (index, found) in found(&predictions.logits).into_iter().enumerate() {
            let slope = slope(&logits, index, &|logits| loss(logits, &corners));
            assert!(
                (found - slope).abs() < 2e-3,
                "logit {index}: {found} {slope}"
            );
        }
        for (index, found) in found(&predictions.corners).into_iter().enumerate() {
            let slope = slope(&corners, index, &|corners| loss(&logits, corners));
            assert!(
                (found - slope).abs() < 2e-2,
                "corner {index}: {found} {slope}"
            );
        }
    }

    #[test]
    fn smooth_l1_is_quadratic_near_and_linear_far() {
        let predicted = boxes(&[[0.05, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0]]);
        let loss = to_vec(smooth_l1(predicted, boxes(&[[0.0; 4]; 2])));
        assert!((loss[0] - 0.05f32.powi(2) / 0.2 / 4.0).abs() < 1e-6);
        assert!((loss[1] - (0.05 + 0.4) / 4.0).abs() < 1e-6);
    }

    #[test]
    fn feature_distillation_loss_is_the_relative_squared_error() {
        let loss = |student: [f32; 2]| {
            let tensor = |values| Tensor::<2>::from_data([values], &Device::flex());
            to_vec(feature_distillation_loss(
                tensor(student),
                tensor([3.0, 4.0]),
            ))[0]
        };
        assert!(loss([3.0, 4.0]).abs() < 1e-6);
        assert!((loss([0.0, 0.0]) - 1.0).abs() < 1e-5);
        assert!((loss([3.0, 9.0]) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn cross_entropy_takes_soft_targets() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_data([[0.0f32, 0.0], [2.0, 0.0]], &device);
        let targets = Tensor::<2>::from_data([[1.0f32, 0.0], [0.5, 0.5]], &device);
        let second = (1.0 + 2f32.exp()).ln() - 1.0;
        let expected = (2f32.ln() + second) / 2.0;
        assert!((to_vec(cross_entropy(logits, targets))[0] - expected).abs() < 1e-5);
    }
}
