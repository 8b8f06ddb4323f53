//! Targets of the object branch: which cells learn which object, and how much (task-aligned assignment, Feng et al. 2021,
//! "TOOD").
//!
//! The cells whose centre is inside an object's box compete by `score^0.5 * IoU^4` of their own predictions; the best of
//! them learn it. A cell that several objects want learns the one that its box overlaps most. The target of its score is
//! the same product, scaled so that the best cell of an object gets the highest IoU with it.

use boxcam::geometry::NormBox;
use boxcam::label::ClassId;
use burn::prelude::*;

use crate::heads::ObjectPredictions;
use crate::network::to_vec;
use crate::recipe::ObjectTraining;
use crate::samples::Object;
use crate::truth::Truth;

/// Exponent of the score.
const SCORE_POWER: f32 = 0.5;

/// Exponent of the IoU.
const IOU_POWER: i32 = 4;

/// Least target of an object's best cell. Without it, an object that no box overlaps would never be learned.
const LEAST_TARGET: f32 = 0.05;

/// Targets of a batch, as the losses take them.
#[derive(Debug, Clone)]
pub(crate) struct ObjectTargets {
    /// Target of each score, `[batch, cells, classes]`, `0..=1`: above 0 for the class that a cell learns.
    pub(crate) scores: Tensor<3>,
    /// How much each score counts that has the target 0, of the same shape, `0..=1`.
    pub(crate) negatives: Tensor<3>,
    /// Corners of the object that a cell learns, `[batch, cells, 4]`; zeros if none.
    pub(crate) corners: Tensor<3>,
    /// Weight of a cell's box, `[batch, cells]`: the target of its score.
    pub(crate) weights: Tensor<2>,
    /// Sum of the weights, at least 1.
    pub(crate) total: f32,
}

/// What a cell learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CellTarget {
    /// Index of the object.
    pub(crate) object: usize,
    /// Target of the score of its class.
    pub(crate) score: f32,
}

/// Predictions of all cells of a picture, row by row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cells<'a> {
    /// `[cells, classes]`
    pub(crate) scores: &'a [f32],
    /// `[cells, 4]` in `x_min, x_max, y_min, y_max` order.
    pub(crate) corners: &'a [f32],
    pub(crate) classes: usize,
}

impl ObjectTargets {
    /// The targets of a batch of truths for these predictions.
    pub(crate) fn new(
        truths: &[Truth],
        predictions: &ObjectPredictions,
        settings: &ObjectTraining,
    ) -> Self {
        let device = predictions.logits.device();
        let [batch, cells, classes] = predictions.logits.dims();
        let all_scores = to_vec(predictions.scores().detach().inner());
        let all_corners = to_vec(predictions.corners.clone().detach().inner());
        let mut scores = vec![0.0; batch * cells * classes];
        let mut negatives = Vec::with_capacity(scores.len());
        let mut corners = vec![0.0; batch * cells * 4];
        let mut weights = vec![0.0; batch * cells];
        for (picture, truth) in truths.iter().enumerate() {
            let first = picture * cells;
            let predicted = Cells {
                scores: &all_scores[first * classes..][..cells * classes],
                corners: &all_corners[first * 4..][..cells * 4],
                classes,
            };
            let assigned = assign(&truth.objects, predicted, settings.cells_per_object);
            for (cell, target) in assigned.into_iter().enumerate() {
                let Some(CellTarget { object, score }) = target else {
                    continue;
                };
                let object = &truth.objects[object];
                if let Some(class) = object.class {
                    scores[(first + cell) * classes + class.index()] = score;
                }
                corners[(first + cell) * 4..][..4].copy_from_slice(&object.bounding_box.corners());
                weights[first + cell] = score;
            }
            let own = settings.own_class_weight;
            negatives.extend(negative_weights(truth, cells.isqrt(), classes, own));
        }
        let total = weights.iter().sum::<f32>().max(1.0);
        let tensor = |values: Vec<f32>, width: usize| -> Tensor<3> {
            Tensor::from_data(TensorData::new(values, [batch, cells, width]), &device)
        };
        Self {
            scores: tensor(scores, classes),
            negatives: tensor(negatives, classes),
            corners: tensor(corners, 4),
            weights: Tensor::from_data(TensorData::new(weights, [batch, cells]), &device),
            total,
        }
    }
}

/// Assigns the cells of a square map to objects, of which each has a class; at most `most` cells to each.
pub(crate) fn assign(objects: &[Object], cells: Cells<'_>, most: usize) -> Vec<Option<CellTarget>> {
    let count = cells.corners.len() / 4;
    let side = count.isqrt();
    // Object and IoU with it.
    let mut wanted: Vec<Option<(usize, f32)>> = vec![None; count];
    for (index, object) in objects.iter().enumerate() {
        let mut candidates = candidates(&object.bounding_box, side);
        candidates.sort_by(|a, b| {
            cells
                .metric(*b, object)
                .total_cmp(&cells.metric(*a, object))
        });
        for cell in candidates.into_iter().take(most) {
            let overlap = cells.overlap(cell, object);
            if wanted[cell].is_none_or(|(_, other)| overlap > other) {
                wanted[cell] = Some((index, overlap));
            }
        }
    }
    let mut targets = vec![None; count];
    for (index, object) in objects.iter().enumerate() {
        let own = wanted.iter().enumerate();
        let own = own.filter(|(_, wanted)| wanted.is_some_and(|(object, _)| object == index));
        let own: Vec<usize> = own.map(|(cell, _)| cell).collect();
        let best = |value: &dyn Fn(usize) -> f32| own.iter().map(|c| value(*c)).fold(0.0, f32::max);
        let highest_metric = best(&|cell| cells.metric(cell, object));
        let highest_iou = best(&|cell| cells.overlap(cell, object));
        for cell in own {
            // An object without any overlap has metrics of 0.
            let share = match highest_metric > 0.0 {
                true => cells.metric(cell, object) / highest_metric,
                false => 1.0,
            };
            let score = share * highest_iou.max(LEAST_TARGET);
            targets[cell] = (score > 0.0).then_some(CellTarget {
                object: index,
                score,
            });
        }
    }
    targets
}

/// The cells whose centre is inside a box, or the nearest one.
fn candidates(bounding_box: &NormBox, side: usize) -> Vec<usize> {
    let [x_min, x_max, y_min, y_max] = bounding_box.corners();
    let centre = |index: usize| (index as f32 + 0.5) / side as f32;
    let inside = |cell: &usize| {
        (x_min..=x_max).contains(&centre(cell % side))
            && (y_min..=y_max).contains(&centre(cell / side))
    };
    let found: Vec<usize> = (0..side * side).filter(inside).collect();
    if !found.is_empty() {
        return found;
    }
    let nearest = |low: f32, high: f32| {
        let at = f32::midpoint(low, high) * side as f32;
        (at as usize).min(side.saturating_sub(1))
    };
    vec![nearest(y_min, y_max) * side + nearest(x_min, x_max)]
}

impl Cells<'_> {
    fn overlap(&self, cell: usize, object: &Object) -> f32 {
        let found = std::array::from_fn(|corner| self.corners[cell * 4 + corner]);
        overlap(found, object.bounding_box.corners())
    }

    /// How well a cell predicts an object.
    fn metric(&self, cell: usize, object: &Object) -> f32 {
        let class = object.class.map_or(0, ClassId::index);
        let score = self.scores[cell * self.classes + class];
        score.powf(SCORE_POWER) * self.overlap(cell, object).powi(IOU_POWER)
    }
}

/// IoU of two boxes in `x_min, x_max, y_min, y_max` order, which may reach beyond the picture.
fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let extent = |low: f32, high: f32| (high - low).max(0.0);
    let area = |c: [f32; 4]| extent(c[0], c[1]) * extent(c[2], c[3]);
    let width = extent(a[0].max(b[0]), a[1].min(b[1]));
    let height = extent(a[2].max(b[2]), a[3].min(b[3]));
    let intersection = width * height;
    let union = area(a) + area(b) - intersection;
    if union > 0.0 {
        intersection / union
    } else {
        0.0
    }
}

/// How much the absence of each class counts in each cell, `[cells, classes]`.
///
/// Where a picture may show objects of a class without a box, it counts `own`, or nothing if none has a box. Where an object
/// is that is not to be found, its class does not count, or no class if it has none that is learned.
fn negative_weights(truth: &Truth, side: usize, classes: usize, own: f32) -> Vec<f32> {
    let mut of_classes = vec![1.0; classes];
    for class in &truth.incomplete {
        let has_box = truth.objects.iter().any(|o| o.class == Some(*class));
        of_classes[class.index()] = if has_box { own } else { 0.0 };
    }
    let mut weights = of_classes.repeat(side * side);
    for object in &truth.ignored {
        for cell in candidates(&object.bounding_box, side) {
            let of_cell = &mut weights[cell * classes..][..classes];
            match object.class {
                Some(class) => of_cell[class.index()] = 0.0,
                None => of_cell.fill(0.0),
            }
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use boxcam::label::Labels;

    use super::*;
    use crate::truth::ImageClass;

    fn class(index: usize) -> ClassId {
        let names = ["a", "b", "c"];
        let labels = Labels::new(names.map(str::to_owned).to_vec()).expect("valid labels");
        labels.find(names[index]).expect("known")
    }

    fn object(of: usize, [x_min, x_max, y_min, y_max]: [f32; 4]) -> Object {
        Object {
            class: Some(class(of)),
            bounding_box: NormBox::new(x_min, x_max, y_min, y_max).expect("a valid box"),
        }
    }

    /// The targets on a map of 2 x 2 cells with two classes.
    fn assigned(
        objects: &[Object],
        scores: [[f32; 2]; 4],
        corners: [[f32; 4]; 4],
        most: usize,
    ) -> Vec<Option<(usize, f32)>> {
        let cells = Cells {
            scores: scores.as_flattened(),
            corners: corners.as_flattened(),
            classes: 2,
        };
        let targets = assign(objects, cells, most);
        let target = |target: Option<CellTarget>| target.map(|t| (t.object, t.score));
        targets.into_iter().map(target).collect()
    }

    fn assert_targets(found: &[Option<(usize, f32)>], expected: &[Option<(usize, f32)>]) {
        let same = |a: &Option<(usize, f32)>, b: &Option<(usize, f32)>| match (a, b) {
            (Some(a), Some(b)) => a.0 == b.0 && (a.1 - b.1).abs() < 1e-5,
            (None, None) => true,
            _ => false,
        };
        let all = found.iter().zip(expected).all(|(a, b)| same(a, b));
        assert!(
            found.len() == expected.len() && all,
            "{found:?} {expected:?}"
        );
    }

    const WHOLE: [f32; 4] = [0.0, 1.0, 0.0, 1.0];
    const LEFT: [f32; 4] = [0.0, 0.5, 0.0, 1.0];
    const QUARTER: [f32; 4] = [0.0, 0.5, 0.0, 0.5];

    #[test]
    fn the_best_cells_by_score_and_iou_learn_an_object() {
        let objects = [object(1, WHOLE)];
        // IoU 1, 0.5, 0.5 and 0.25; score^0.5 of class 1: 0.5, 1, 0.5 and 1.
        // Products: 0.5, 0.0625, 0.03125, 0.00390625.
        let scores = [[0.9, 0.25], [0.0, 1.0], [0.9, 0.25], [0.0, 1.0]];
        let corners = [WHOLE, LEFT, LEFT, QUARTER];
        let found = assigned(&objects, scores, corners, 3);
        let expected = [Some((0, 1.0)), Some((0, 0.125)), Some((0, 0.0625)), None];
        assert_targets(&found, &expected);
        let found = assigned(&objects, scores, corners, 1);
        assert_targets(&found, &[Some((0, 1.0)), None, None, None]);
    }

    #[test]
    fn the_best_cell_gets_the_highest_iou_of_any() {
        let objects = [object(0, LEFT)];
        // Centres inside: cells 0 and 2, with IoU 0.5 each way; the scores decide.
        let scores = [[0.04, 0.0], [1.0, 0.0], [0.16, 0.0], [1.0, 0.0]];
        let corners = [WHOLE, LEFT, QUARTER, LEFT];
        let found = assigned(&objects, scores, corners, 9);
        assert_targets(&found, &[Some((0, 0.25)), None, Some((0, 0.5)), None]);
    }

    #[test]
    fn a_cell_learns_the_object_that_its_box_overlaps_most() {
        // Both want cell 0. Its box is half of the first object and all of the second.
        let objects = [object(0, LEFT), object(1, QUARTER)];
        let scores = [[1.0, 0.01], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]];
        let corners = [QUARTER, WHOLE, WHOLE, WHOLE];
        let found = assigned(&objects, scores, corners, 9);
        let expected = [Some((1, 1.0)), None, Some((0, 0.5)), None];
        assert_targets(&found, &expected);
    }

    #[test]
    fn a_small_object_is_learned_by_the_nearest_cell_even_without_overlap() {
        let objects = [object(0, [0.9, 1.0, 0.05, 0.1])];
        let scores = [[0.5, 0.5]; 4];
        let found = assigned(&objects, scores, [QUARTER; 4], 9);
        let expected = [None, Some((0, LEAST_TARGET)), None, None];
        assert_targets(&found, &expected);
        assert_eq!(assigned(&[], scores, [WHOLE; 4], 9), [None; 4]);
    }

    fn truth(objects: Vec<Object>, ignored: Vec<Object>, incomplete: Vec<ClassId>) -> Truth {
        Truth {
            image_class: ImageClass::Unknown,
            objects,
            ignored,
            incomplete,
        }
    }

    #[test]
    fn the_absence_of_a_class_counts_less_where_it_is_not_certain() {
        // Class 0 has a box, class 1 has none, class 2 is hardly visible in the upper right, where something unknown is too.
        let unknown = Object {
            class: None,
            ..object(0, [0.5, 1.0, 0.5, 1.0])
        };
        let truth = truth(
            vec![object(0, LEFT)],
            vec![object(2, [0.5, 1.0, 0.0, 0.5]), unknown],
            vec![class(0), class(1)],
        );
        let found = negative_weights(&truth, 2, 3, 0.5);
        let expected = [
            [0.5, 0.0, 1.0],
            [0.5, 0.0, 0.0],
            [0.5, 0.0, 1.0],
            [0.0, 0.0, 0.0],
        ];
        assert_eq!(found, expected.concat());
    }

    #[test]
    fn the_targets_of_a_batch_are_those_of_its_pictures() {
        let device = Device::flex().autodiff();
        let corners: Vec<f32> = [WHOLE, LEFT, LEFT, QUARTER].concat();
        let predictions = ObjectPredictions {
            logits: Tensor::zeros([2, 4, 2], &device),
            corners: Tensor::from_data(TensorData::new(corners.repeat(2), [2, 4, 4]), &device),
        };
        let settings = crate::recipe::Recipe::named("objects").expect("built in");
        let settings = settings.objects.expect("several objects");
        let truths = [
            truth(vec![], vec![], vec![]),
            truth(vec![object(1, WHOLE)], vec![], vec![class(1)]),
        ];
        let found = ObjectTargets::new(&truths, &predictions, &settings);
        // Equal scores: 1, 1/16, 1/16 and 1/256.
        let shares = [1.0, 0.0625, 0.0625, 0.003_906_25];
        let weights = [[0.0; 4], shares].concat();
        assert_eq!(to_vec(found.weights), weights);
        assert!((found.total - shares.iter().sum::<f32>()).abs() < 1e-6);
        let scores: Vec<f32> = weights.iter().flat_map(|weight| [0.0, *weight]).collect();
        assert_eq!(to_vec(found.scores), scores);
        let negatives = [[[1.0, 1.0]; 4], [[1.0, 0.5]; 4]].concat().concat();
        assert_eq!(to_vec(found.negatives), negatives);
        let corners = [[[0.0; 4]; 4], [WHOLE; 4]].concat().concat();
        assert_eq!(to_vec(found.corners), corners);
    }
}
