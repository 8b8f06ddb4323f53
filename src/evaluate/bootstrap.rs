//! Confidence intervals of metrics, by the percentile bootstrap.
//!
//! Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13: pictures are resampled with replacement,
//! as many as there are, and the metric is computed again; the interval spans the middle 95% of these values. Whole
//! pictures are resampled because the boxes of one picture are not independent. The seed is fixed.

use serde::Serialize;

use super::average_precision::Ranking;
use super::{CORRECT_IOU, Evaluation, PictureResult};

/// Number of bootstrap samples.
pub(super) const SAMPLES: usize = 1000;

/// Share of the samples below the interval, and above it.
const TAIL: f64 = 0.025;

pub(super) const SEED: u64 = 1993;

/// A 95% confidence interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// The intervals of the metrics of the same names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Intervals {
    pub class_accuracy: Interval,
    pub mean_iou: Interval,
    pub largest_box_mean_iou: Interval,
    pub largest_box_iou_over_half: Interval,
    pub ap50: Interval,
}

/// A metric that is one sum over pictures divided by another: what a picture adds to each.
type Ratio = fn(&PictureResult) -> (f64, f64);

/// Class accuracy, mean IoU, mean IoU of the largest box, and its share over half.
const RATIOS: [Ratio; 4] = [
    |picture| (picture.correct_boxes() as f64, picture.boxes.len() as f64),
    |picture| {
        let overlaps = picture.boxes.iter().map(|truth| f64::from(truth.iou));
        (overlaps.sum(), picture.boxes.len() as f64)
    },
    |picture| {
        picture
            .largest_iou()
            .map_or((0.0, 0.0), |iou| (iou.into(), 1.0))
    },
    |picture| {
        let hit = |iou| f64::from(u8::from(iou >= CORRECT_IOU));
        picture
            .largest_iou()
            .map_or((0.0, 0.0), |iou| (hit(iou), 1.0))
    },
];

impl Intervals {
    /// All zero without pictures.
    pub(super) fn of(evaluation: &Evaluation) -> Self {
        let pictures = evaluation.pictures();
        let ratios = Ratios::of(evaluation);
        let ranking = Ranking::of(evaluation);
        let mut values = [const { Vec::new() }; 5];
        let mut random = fastrand::Rng::with_seed(SEED);
        for _ in 0..SAMPLES {
            let weights = sample(&mut random, pictures.len());
            for (values, ratio) in values.iter_mut().zip(ratios.weighted(&weights)) {
                values.push(ratio);
            }
            values[4].push(ranking.ap50(&|picture| weights[picture]));
        }
        let [class, iou, largest, over_half, precision] = values.map(Interval::of);
        Self {
            class_accuracy: class,
            mean_iou: iou,
            largest_box_mean_iou: largest,
            largest_box_iou_over_half: over_half,
            ap50: precision,
        }
    }
}

/// What each picture adds to numerator and denominator of the metrics that are a ratio of sums.
pub(super) struct Ratios([Vec<(f64, f64)>; RATIOS.len()]);

impl Ratios {
    pub(super) fn of(evaluation: &Evaluation) -> Self {
        let pictures = evaluation.pictures();
        Self(RATIOS.map(|ratio| pictures.iter().map(ratio).collect()))
    }

    /// Class accuracy, mean IoU, mean IoU of the largest box and its share over half, of a sample of the pictures.
    pub(super) fn weighted(&self, weights: &[usize]) -> [f64; RATIOS.len()] {
        self.0.each_ref().map(|parts| weighted(parts, weights))
    }
}

/// How often each picture is in a sample.
pub(super) fn sample(random: &mut fastrand::Rng, pictures: usize) -> Vec<usize> {
    let mut weights = vec![0; pictures];
    for _ in 0..pictures {
        weights[random.usize(..pictures)] += 1;
    }
    weights
}

/// The ratio of a sample; 0 if its denominator is.
fn weighted(parts: &[(f64, f64)], weights: &[usize]) -> f64 {
    let (mut above, mut below) = (0.0, 0.0);
    for ((numerator, denominator), weight) in parts.iter().zip(weights) {
        above += numerator * *weight as f64;
        below += denominator * *weight as f64;
    }
    if below > 0.0 { above / below } else { 0.0 }
}

impl Interval {
    /// The middle 95% of the values.
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            low: quantile(&values, TAIL),
            high: quantile(&values, 1.0 - TAIL),
        }
    }
}

/// Linearly interpolated between the two nearest values; 0 without values.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * sorted.len().saturating_sub(1) as f64;
    let value = |at: f64| sorted.get(at as usize).copied().unwrap_or_default();
    let (below, above) = (value(position.floor()), value(position.ceil()));
    below + (above - below) * position.fract()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{evaluation, result};
    use super::*;

    #[test]
    fn quantiles_are_interpolated() {
        let values = [0.0, 1.0, 2.0, 3.0, 4.0];
        assert_eq!(quantile(&values, 0.5), 2.0);
        assert!((quantile(&values, 0.025) - 0.1).abs() < 1e-9);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }

    /// 80 of 100 pictures are correct: the standard error of a share is `sqrt(0.8 * 0.2 / 100)`, 0.04.
    #[test]
    fn the_interval_of_a_share_is_that_of_the_binomial_distribution() {
        let pictures = (0..100).map(|at| result(0, 0.9, &[(usize::from(at >= 80), 0.6)]));
        let all = evaluation(pictures.collect());
        let intervals = Intervals::of(&all);
        let Interval { low, high } = intervals.class_accuracy;
        assert!((low - (0.8 - 1.96 * 0.04)).abs() < 0.015, "{low}");
        assert!((high - (0.8 + 1.96 * 0.04)).abs() < 0.015, "{high}");
        // A value that is the same in every picture has an interval of width 0.
        let constant = intervals.mean_iou;
        assert!((constant.low - 0.6).abs() < 1e-6 && (constant.high - 0.6).abs() < 1e-6);
        assert_eq!(intervals, Intervals::of(&all));
    }

    #[test]
    fn boxes_of_one_picture_are_resampled_together() {
        let single = (0..40).map(|at| result(0, 0.9, &[(at % 2, 0.6)]));
        let single = Intervals::of(&evaluation(single.collect())).class_accuracy;
        let class = |at| usize::from(at >= 4);
        let grouped = (0..8).map(|at| result(0, 0.9, &[(class(at), 0.6); 5]));
        let grouped = Intervals::of(&evaluation(grouped.collect())).class_accuracy;
        assert!(grouped.high - grouped.low > 1.5 * (single.high - single.low));
    }

    #[test]
    fn without_pictures_intervals_are_zero() {
        assert_eq!(
            Intervals::of(&evaluation(Vec::new())).ap50,
            Interval::default()
        );
    }
}
