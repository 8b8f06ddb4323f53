//! Average precision, as COCO computes it: the area under precision over recall.
//!
//! A picture has one detection, its top class and its one box, ranked by its confidence among all detections of that
//! class. It is a hit where a true row of that class in that picture has an IoU of at least the limit. Precision at a
//! recall is the best that there is at that recall or a higher one, read at the 101 recalls 0, 0.01, ... 1 (Lin et al.,
//! "Microsoft COCO", 2014, and `cocoeval.py` of pycocotools). The mean over classes leaves out a class without rows.
//!
//! There is one box a picture, so of several rows in it at most one is found: recall ends below 1 and so does average
//! precision, however good the model. Only figures of models with one box may be set beside each other.

use super::record::Records;
use crate::label::ClassId;

/// Recalls at which precision is read.
const RECALLS: usize = 101;

/// The IoU from which the figure called AP50 is.
const HALF: f64 = 0.5;

/// IoUs from 0.5 in steps of 0.05 over which the figure called AP is the mean.
const LIMITS: usize = 10;

/// Average precision of every class that has rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Precisions {
    by_class: Vec<Option<AveragePrecision>>,
    /// Precision at each recall, at an IoU of 0.5, mean over the classes.
    over_recall: Vec<f64>,
}

/// An average precision, `0..=1`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AveragePrecision {
    /// At an IoU of 0.5.
    pub at_half: f64,
    /// Mean over the IoUs 0.5, 0.55, ... 0.95.
    pub mean: f64,
}

impl Precisions {
    /// Over all pictures.
    #[must_use]
    pub fn of(records: &Records) -> Self {
        let ranking = Ranking::of(records);
        let once = |_| 1;
        let classes = ranking.classes.iter();
        let curves = classes.filter_map(|class| class.over_recall(HALF, &once));
        let curves: Vec<_> = curves.collect();
        let over_recall = (0..RECALLS).map(|at| mean(curves.iter().map(|curve| curve[at])));
        Self {
            by_class: ranking.classes.iter().map(Ranked::precision).collect(),
            over_recall: over_recall.collect(),
        }
    }

    /// Of one class; none without a row of it.
    #[must_use]
    pub fn of_class(&self, class: ClassId) -> Option<AveragePrecision> {
        self.by_class.get(class.index()).copied().flatten()
    }

    /// Mean over the classes that have rows; 0 without any.
    #[must_use]
    pub fn mean(&self) -> AveragePrecision {
        let classes = || self.by_class.iter().flatten();
        AveragePrecision {
            at_half: mean(classes().map(|class| class.at_half)),
            mean: mean(classes().map(|class| class.mean)),
        }
    }

    /// Pairs of recall and precision at an IoU of 0.5, mean over the classes: [`AveragePrecision::at_half`] of
    /// [`Self::mean`] is the mean of its precisions.
    pub fn over_recall(&self) -> impl Iterator<Item = (f64, f64)> {
        let recalls = (0..RECALLS).map(recall);
        recalls.zip(self.over_recall.iter().copied())
    }
}

/// The detections of every class in the order in which they count: made once, read for every sample of pictures.
#[derive(Debug)]
pub(super) struct Ranking {
    classes: Vec<Ranked>,
}

/// The detections and the true rows of one class.
#[derive(Debug, Clone, Default)]
struct Ranked {
    /// The most confident first: the number of the picture and the best IoU with a row of the class.
    detections: Vec<(usize, f64)>,
    /// The number of a picture, and how many rows of the class it has.
    rows: Vec<(usize, usize)>,
}

impl Ranking {
    pub(super) fn of(records: &Records) -> Self {
        let pictures = records.pictures();
        let mut order: Vec<usize> = (0..pictures.len()).collect();
        // Stable, so that equal confidences keep the order of the pictures.
        order.sort_by(|&a, &b| pictures[b].confidence.total_cmp(&pictures[a].confidence));
        let mut classes = vec![Ranked::default(); records.labels().len()];
        for index in order {
            let picture = &pictures[index];
            let best = f64::from(picture.best_iou().unwrap_or(0.0));
            classes[picture.top.index()].detections.push((index, best));
        }
        for (index, class) in classes.iter_mut().enumerate() {
            let count = |record: &super::Record| record.rows_of(ClassId::new(index)).count();
            let counts = pictures.iter().map(count).enumerate();
            class.rows = counts.filter(|(_, rows)| *rows > 0).collect();
        }
        Self { classes }
    }

    /// Average precision at an IoU of 0.5, mean over the classes, where each picture stands as often as `times` says.
    pub(super) fn at_half(&self, times: &dyn Fn(usize) -> usize) -> f64 {
        let classes = self.classes.iter();
        mean(classes.filter_map(|class| class.at(HALF, times)))
    }
}

impl Ranked {
    fn precision(&self) -> Option<AveragePrecision> {
        let limits = (0..LIMITS).map(|step| HALF + step as f64 * 0.05);
        let precisions = limits.map(|limit| self.at(limit, &|_| 1));
        let precisions: Vec<f64> = precisions.collect::<Option<_>>()?;
        Some(AveragePrecision {
            at_half: precisions[0],
            mean: mean(precisions.into_iter()),
        })
    }

    /// Average precision at an IoU; none without a row.
    fn at(&self, limit: f64, times: &dyn Fn(usize) -> usize) -> Option<f64> {
        let precisions = self.over_recall(limit, times)?;
        Some(mean(precisions.into_iter()))
    }

    /// Precision at each recall; none without a row.
    fn over_recall(&self, limit: f64, times: &dyn Fn(usize) -> usize) -> Option<Vec<f64>> {
        let rows: usize = self.rows.iter().map(|(at, rows)| times(*at) * rows).sum();
        if rows == 0 {
            return None;
        }
        let mut points = Vec::new();
        let (mut hits, mut said) = (0_usize, 0_usize);
        for (picture, best) in &self.detections {
            for _ in 0..times(*picture) {
                said += 1;
                hits += usize::from(*best >= limit);
                points.push((hits as f64 / rows as f64, hits as f64 / said as f64));
            }
        }
        Some(interpolated(points))
    }
}

/// The best precision at each recall or a higher one, of points of rising recall; 0 beyond the highest recall.
fn interpolated(mut points: Vec<(f64, f64)>) -> Vec<f64> {
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

/// The recall of a step, as numpy's `linspace` gives it: a hundredth more or less here is a step's worth of precision.
fn recall(step: usize) -> f64 {
    step as f64 * 0.01
}

/// The mean; 0 of nothing.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let mut mean = super::Mean::default();
    values.for_each(|value| mean.add(value));
    mean.value()
}

#[cfg(test)]
mod tests {
    use super::super::record::{records, records_of, seen};
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    }

    #[test]
    fn a_class_is_what_a_hand_computes() {
        let all = records(vec![
            seen(0, 0.9, &[(0, 0.8)]),
            seen(0, 0.8, &[(0, 0.4)]),
            seen(0, 0.7, &[(0, 0.6), (0, 0.1)]),
        ]);
        let precisions = Precisions::of(&all);
        let apple = precisions.of_class(ClassId::new(0)).expect("has rows");
        // At 0.5 a hit, a miss, a hit: precision 1 up to a recall of 1/4 and 2/3 up to 2/4, of four rows.
        near(apple.at_half, (26.0 + 25.0 * 2.0 / 3.0) / 101.0);
        // The first is a hit up to 0.8, the last up to 0.6; IoUs are 32-bit, and these two lie above their limits.
        let both = apple.at_half * 3.0;
        let first = 26.0 / 101.0 * 4.0;
        near(apple.mean, (both + first) / 10.0);
        assert_eq!(precisions.of_class(ClassId::new(1)), None);
        near(precisions.mean().at_half, apple.at_half);
    }

    #[test]
    fn a_picture_that_stands_twice_counts_twice() {
        let pictures = vec![seen(0, 0.9, &[(0, 0.8)]), seen(0, 0.8, &[(1, 0.9)])];
        let twice = [&pictures[..], &pictures[..1]].concat();
        let ranking = Ranking::of(&records(pictures));
        let counted = ranking.at_half(&|picture| [2, 1][picture]);
        near(counted, Precisions::of(&records(twice)).mean().at_half);
    }

    #[test]
    fn the_curve_has_the_area_of_the_figure() {
        let all = records(vec![
            seen(0, 0.9, &[(0, 0.8), (1, 0.1)]),
            seen(1, 0.8, &[(0, 0.9)]),
        ]);
        let precisions = Precisions::of(&all);
        let area = mean(precisions.over_recall().map(|(_, precision)| precision));
        near(area, precisions.mean().at_half);
        assert_eq!(precisions.over_recall().last(), Some((1.0, 0.0)));
    }

    /// What pycocotools 2.0 says of the same 24 pictures: every box is 100 wide and high, and a true one lies that
    /// many to the right of the predicted one.
    #[test]
    fn it_is_what_pycocotools_computes() {
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
        let all = pictures.map(|(top, confidence, rows)| {
            let overlap = |right: u8| (100.0 - f32::from(right)) / (100.0 + f32::from(right));
            let rows = rows.iter().map(|(class, right)| (*class, overlap(*right)));
            seen(top, confidence, &rows.collect::<Vec<_>>())
        });
        let precisions = Precisions::of(&records_of(3, all.to_vec()));
        near(precisions.mean().mean, 0.080_288_385_981_455_28);
        near(precisions.mean().at_half, 0.131_541_725_601_131_53);
        let last = precisions.of_class(ClassId::new(2)).expect("has rows");
        near(last.at_half, 0.188_118_811_881_188_12);
        near(last.mean, 0.074_669_966_996_699_67);
    }

    #[test]
    fn of_nothing_it_is_zero() {
        let precisions = Precisions::of(&records(Vec::new()));
        assert_eq!(precisions.mean(), AveragePrecision::default());
    }
}
