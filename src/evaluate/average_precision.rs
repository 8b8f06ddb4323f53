//! Average precision, as COCO computes it: the area under the precision-recall curve.
//!
//! A picture has one detection, its top class and its box, ranked by confidence among all detections of that class. It
//! is a hit if a ground-truth box of that class in that picture has an IoU of at least the threshold. Precision at a
//! recall is the highest precision at that recall or a higher one, sampled at the 101 recalls 0, 0.01, ... 1 (Lin et al.,
//! "Microsoft COCO", 2014, and `cocoeval.py` of pycocotools). The mean over classes leaves out classes without boxes.
//!
//! With one detection per picture, at most one of several boxes in a picture is found, so recall and average precision
//! stay below 1 however good the model is. Compare them only between models with one box per picture.

use super::{Evaluation, Mean, PictureResult};
use crate::label::ClassId;

/// Number of recalls at which precision is sampled.
pub(super) const RECALLS: usize = 101;

/// IoU threshold of AP50.
const HALF: f64 = 0.5;

/// Number of IoU thresholds from 0.5 in steps of 0.05, over which AP is the mean.
const IOU_THRESHOLDS: usize = 10;

/// Precision over recall, and the average precision of every class that has ground-truth boxes.
#[derive(Debug, Clone, PartialEq)]
pub struct PrecisionRecall {
    by_class: Vec<Option<AveragePrecision>>,
    /// Precision at each of the [`RECALLS`], at an IoU of 0.5, mean over the classes.
    precisions: Vec<f64>,
}

/// `0..=1`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AveragePrecision {
    /// At an IoU of 0.5.
    pub ap50: f64,
    /// Mean over the IoU thresholds 0.5, 0.55, ... 0.95.
    pub ap: f64,
}

impl PrecisionRecall {
    #[must_use]
    pub fn of(evaluation: &Evaluation) -> Self {
        let ranking = Ranking::of(evaluation);
        let classes = ranking.classes.iter();
        let curves = classes.filter_map(|class| class.precisions(HALF, &|_| 1));
        let curves: Vec<_> = curves.collect();
        let precisions = (0..RECALLS).map(|at| mean(curves.iter().map(|curve| curve[at])));
        Self {
            by_class: ranking.classes.iter().map(ClassRanking::average).collect(),
            precisions: precisions.collect(),
        }
    }

    /// `None` if the class has no ground-truth box.
    #[must_use]
    pub fn of_class(&self, class: ClassId) -> Option<AveragePrecision> {
        self.by_class.get(class.index()).copied().flatten()
    }

    /// Mean over the classes that have ground-truth boxes; 0 without any.
    #[must_use]
    pub fn mean(&self) -> AveragePrecision {
        let classes = || self.by_class.iter().flatten();
        AveragePrecision {
            ap50: mean(classes().map(|class| class.ap50)),
            ap: mean(classes().map(|class| class.ap)),
        }
    }

    /// Pairs of recall and precision at an IoU of 0.5, mean over the classes. The mean of the precisions is
    /// [`AveragePrecision::ap50`] of [`Self::mean`].
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        let recalls = (0..RECALLS).map(recall);
        recalls.zip(self.precisions.iter().copied())
    }
}

/// The detections of every class, ranked once and reused for every bootstrap sample.
#[derive(Debug)]
pub(super) struct Ranking {
    classes: Vec<ClassRanking>,
}

/// The detections and the ground-truth boxes of one class.
#[derive(Debug, Clone, Default)]
struct ClassRanking {
    /// The most confident first: index of the picture, and the highest IoU with a ground-truth box of the class.
    detections: Vec<(usize, f64)>,
    /// Index of a picture, and the number of its ground-truth boxes of the class.
    boxes: Vec<(usize, usize)>,
}

impl Ranking {
    pub(super) fn of(evaluation: &Evaluation) -> Self {
        let pictures = evaluation.pictures();
        let mut order: Vec<usize> = (0..pictures.len()).collect();
        // Stable, so that equal confidences keep the order of the pictures.
        order.sort_by(|&a, &b| pictures[b].confidence.total_cmp(&pictures[a].confidence));
        let mut classes = vec![ClassRanking::default(); evaluation.labels().len()];
        for index in order {
            let picture = &pictures[index];
            let best = f64::from(picture.best_iou().unwrap_or(0.0));
            let class = &mut classes[picture.top_class.index()];
            class.detections.push((index, best));
        }
        for (index, class) in classes.iter_mut().enumerate() {
            let count = |picture: &PictureResult| picture.boxes_of(ClassId::new(index)).count();
            let counts = pictures.iter().map(count).enumerate();
            class.boxes = counts.filter(|(_, boxes)| *boxes > 0).collect();
        }
        Self { classes }
    }

    /// Average precision at an IoU of 0.5, mean over the classes; `weight` is how often a picture counts.
    pub(super) fn ap50(&self, weight: &dyn Fn(usize) -> usize) -> f64 {
        let classes = self.classes.iter();
        mean(classes.filter_map(|class| class.average_at(HALF, weight)))
    }
}

impl ClassRanking {
    fn average(&self) -> Option<AveragePrecision> {
        let thresholds = (0..IOU_THRESHOLDS).map(|step| HALF + step as f64 * 0.05);
        let precisions = thresholds.map(|threshold| self.average_at(threshold, &|_| 1));
        let precisions: Vec<f64> = precisions.collect::<Option<_>>()?;
        Some(AveragePrecision {
            ap50: precisions[0],
            ap: mean(precisions.into_iter()),
        })
    }

    /// Average precision at an IoU threshold; `None` without a ground-truth box.
    fn average_at(&self, threshold: f64, weight: &dyn Fn(usize) -> usize) -> Option<f64> {
        let precisions = self.precisions(threshold, weight)?;
        Some(mean(precisions.into_iter()))
    }

    /// Precision at each recall; `None` without a ground-truth box.
    fn precisions(&self, threshold: f64, weight: &dyn Fn(usize) -> usize) -> Option<Vec<f64>> {
        let boxes = self.boxes.iter();
        let total: usize = boxes.map(|(picture, boxes)| weight(*picture) * boxes).sum();
        if total == 0 {
            return None;
        }
        let mut points = Vec::new();
        let (mut hits, mut detections) = (0_usize, 0_usize);
        for (picture, best) in &self.detections {
            for _ in 0..weight(*picture) {
                detections += 1;
                hits += usize::from(*best >= threshold);
                points.push((hits as f64 / total as f64, hits as f64 / detections as f64));
            }
        }
        Some(interpolate(points))
    }
}

/// The highest precision at each recall or a higher one, of points sorted by recall; 0 beyond the highest recall.
fn interpolate(mut points: Vec<(f64, f64)>) -> Vec<f64> {
    let mut best = 0.0_f64;
    for (_, precision) in points.iter_mut().rev() {
        best = best.max(*precision);
        *precision = best;
    }
    let at = |wanted: f64| {
        let first = points.partition_point(|(recall, _)| *recall < wanted);
        points.get(first).map_or(0.0, |(_, precision)| *precision)
    };
    (0..RECALLS).map(|step| at(recall(step))).collect()
}

/// The recall of a step, as numpy's `linspace` rounds it: another rounding would select another precision.
pub(super) fn recall(step: usize) -> f64 {
    step as f64 * 0.01
}

/// 0 of nothing.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let mut mean = Mean::default();
    values.for_each(|value| mean.add(value));
    mean.value()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{evaluation, evaluation_of, result};
    use super::*;

    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    }

    #[test]
    fn average_precision_equals_the_value_computed_by_hand() {
        let all = evaluation(vec![
            result(0, 0.9, &[(0, 0.8)]),
            result(0, 0.8, &[(0, 0.4)]),
            result(0, 0.7, &[(0, 0.6), (0, 0.1)]),
        ]);
        let curve = PrecisionRecall::of(&all);
        let apple = curve.of_class(ClassId::new(0)).expect("has boxes");
        // At 0.5 a hit, a miss, a hit: precision 1 up to a recall of 1/4 and 2/3 up to 2/4, of four boxes.
        assert_near(apple.ap50, (26.0 + 25.0 * 2.0 / 3.0) / 101.0);
        // The first is a hit up to 0.8, the last up to 0.6: as `f32`, both IoUs are above these thresholds.
        let both = apple.ap50 * 3.0;
        let first = 26.0 / 101.0 * 4.0;
        assert_near(apple.ap, (both + first) / 10.0);
        assert_eq!(curve.of_class(ClassId::new(1)), None);
        assert_near(curve.mean().ap50, apple.ap50);
    }

    #[test]
    fn a_picture_of_weight_two_counts_twice() {
        let pictures = vec![result(0, 0.9, &[(0, 0.8)]), result(0, 0.8, &[(1, 0.9)])];
        let twice = [&pictures[..], &pictures[..1]].concat();
        let ranking = Ranking::of(&evaluation(pictures));
        let counted = ranking.ap50(&|picture| [2, 1][picture]);
        assert_near(counted, PrecisionRecall::of(&evaluation(twice)).mean().ap50);
    }

    #[test]
    fn the_area_under_the_curve_is_the_average_precision() {
        let all = evaluation(vec![
            result(0, 0.9, &[(0, 0.8), (1, 0.1)]),
            result(1, 0.8, &[(0, 0.9)]),
        ]);
        let curve = PrecisionRecall::of(&all);
        let area = mean(curve.points().map(|(_, precision)| precision));
        assert_near(area, curve.mean().ap50);
        assert_eq!(curve.points().last(), Some((1.0, 0.0)));
    }

    /// Expected values: pycocotools 2.0 on the same 24 pictures. Every box is 100 wide and high; a ground-truth box is
    /// shifted to the right of the predicted one by the given number.
    #[test]
    fn average_precision_equals_that_of_pycocotools() {
        type Picture = (usize, f32, &'static [(usize, u8)]);
        let pictures: [Picture; 24] = [
            (0, 0.2218, &[]),
            (2, 0.2762, &[(2, 18)]),
            (1, 0.2268, &[(1, 58), (1, 9)]),
            (0, 0.005, &[]),
            (1, 0.1, &[(1, 39), (2, 8)]),
            (2, 0.1238, &[]),
            (1, 0.1783, &[]),
            (0, 0.2832, &[(0, 6)]),
            (1, 0.6615, &[]),
            (0, 0.3001, &[(2, 12)]),
            (2, 0.41, &[(1, 26), (2, 24)]),
            (2, 0.4338, &[]),
            (1, 0.0813, &[(1, 58)]),
            (0, 0.5793, &[(1, 37), (0, 54)]),
            (0, 0.9417, &[]),
            (2, 0.1011, &[]),
            (2, 0.5318, &[(2, 37), (0, 55)]),
            (2, 0.4229, &[(2, 11), (1, 54)]),
            (2, 0.5388, &[]),
            (0, 0.7735, &[(0, 49), (0, 4)]),
            (0, 0.0943, &[]),
            (0, 0.5467, &[(0, 45), (2, 20)]),
            (2, 0.0002, &[(2, 53)]),
            (0, 0.526, &[]),
        ];
        let all = pictures.map(|(top, confidence, boxes)| {
            let overlap = |shift: u8| (100.0 - f32::from(shift)) / (100.0 + f32::from(shift));
            let boxes = boxes.iter().map(|(class, shift)| (*class, overlap(*shift)));
            result(top, confidence, &boxes.collect::<Vec<_>>())
        });
        let curve = PrecisionRecall::of(&evaluation_of(3, all.to_vec()));
        assert_near(curve.mean().ap, 0.080_288_385_981_455_28);
        assert_near(curve.mean().ap50, 0.131_541_725_601_131_53);
        let last = curve.of_class(ClassId::new(2)).expect("has boxes");
        assert_near(last.ap50, 0.188_118_811_881_188_12);
        assert_near(last.ap, 0.074_669_966_996_699_67);
    }

    #[test]
    fn without_pictures_average_precision_is_zero() {
        let curve = PrecisionRecall::of(&evaluation(Vec::new()));
        assert_eq!(curve.mean(), AveragePrecision::default());
    }
}
