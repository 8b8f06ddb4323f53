//! How far a figure could be off by the luck of which pictures were looked at.
//!
//! The percentile bootstrap of Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13: pictures are
//! drawn anew, with repetition, as many as there are, and the figure is computed again; the interval is where the middle
//! 95 of 100 of these figures lie. Whole pictures are drawn, since the rows of one picture hang together. The draws are
//! the same every time.

use serde::Serialize;

use super::RIGHT_IOU;
use super::precision::Ranking;
use super::record::{Record, Records};

/// How often all pictures are drawn anew.
const RESAMPLES: usize = 1000;

/// Share of the draws below the interval, and above it.
const TAIL: f64 = 0.025;

const SEED: u64 = 1993;

/// Where a figure probably lies, with a confidence of 95 of 100.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Interval {
    /// Its low end.
    pub low: f64,
    /// Its high end.
    pub high: f64,
}

/// Intervals of the figures that they are named after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Intervals {
    /// Of [`Figures::class_accuracy`](super::Figures::class_accuracy).
    pub class_accuracy: Interval,
    /// Of [`Figures::mean_iou`](super::Figures::mean_iou).
    pub mean_iou: Interval,
    /// Of [`Figures::largest_box_mean_iou`](super::Figures::largest_box_mean_iou).
    pub largest_box_mean_iou: Interval,
    /// Of [`Figures::largest_box_iou_over_half`](super::Figures::largest_box_iou_over_half).
    pub largest_box_iou_over_half: Interval,
    /// Of [`AveragePrecision::at_half`](super::AveragePrecision::at_half), mean over classes.
    pub ap50: Interval,
}

/// A figure that is a sum over pictures divided by another: what a picture adds to each.
type Ratio = fn(&Record) -> (f64, f64);

const RATIOS: [Ratio; 4] = [
    |picture| (picture.rows_right() as f64, picture.rows.len() as f64),
    |picture| {
        let overlaps = picture.rows.iter().map(|row| f64::from(row.iou));
        (overlaps.sum(), picture.rows.len() as f64)
    },
    |picture| {
        picture
            .largest_iou()
            .map_or((0.0, 0.0), |iou| (iou.into(), 1.0))
    },
    |picture| {
        let hit = |iou| f64::from(u8::from(iou >= RIGHT_IOU));
        picture
            .largest_iou()
            .map_or((0.0, 0.0), |iou| (hit(iou), 1.0))
    },
];

impl Intervals {
    /// Over all pictures; from 0 to 0 without any.
    #[must_use]
    pub fn of(records: &Records) -> Self {
        let parts = RATIOS.map(|ratio| records.pictures().iter().map(ratio).collect::<Vec<_>>());
        let ranking = Ranking::of(records);
        let mut drawn = [const { Vec::new() }; 5];
        let mut random = fastrand::Rng::with_seed(SEED);
        for _ in 0..RESAMPLES {
            let times = draw(&mut random, records.pictures().len());
            for (drawn, parts) in drawn.iter_mut().zip(&parts) {
                drawn.push(weighted(parts, &times));
            }
            drawn[4].push(ranking.at_half(&|picture| times[picture]));
        }
        let [class, iou, largest, over_half, precision] = drawn.map(Interval::of);
        Self {
            class_accuracy: class,
            mean_iou: iou,
            largest_box_mean_iou: largest,
            largest_box_iou_over_half: over_half,
            ap50: precision,
        }
    }
}

/// How often each of so many pictures is drawn in as many draws.
fn draw(random: &mut fastrand::Rng, pictures: usize) -> Vec<usize> {
    let mut times = vec![0; pictures];
    for _ in 0..pictures {
        times[random.usize(..pictures)] += 1;
    }
    times
}

/// The ratio where each picture stands that often; 0 where there is nothing to divide by.
fn weighted(parts: &[(f64, f64)], times: &[usize]) -> f64 {
    let (mut above, mut below) = (0.0, 0.0);
    for ((numerator, denominator), times) in parts.iter().zip(times) {
        above += numerator * *times as f64;
        below += denominator * *times as f64;
    }
    if below > 0.0 { above / below } else { 0.0 }
}

impl Interval {
    /// The middle of these figures.
    fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        Self {
            low: quantile(&figures, TAIL),
            high: quantile(&figures, 1.0 - TAIL),
        }
    }
}

/// Between the two values next to it, in proportion.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let value = |at: f64| sorted.get(at as usize).copied().unwrap_or_default();
    let (below, above) = (value(place.floor()), value(place.ceil()));
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::super::record::{records, seen};
    use super::*;

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        let figures = [0.0, 1.0, 2.0, 3.0, 4.0];
        assert_eq!(quantile(&figures, 0.5), 2.0);
        assert!((quantile(&figures, 0.025) - 0.1).abs() < 1e-9);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }

    /// Of 100 pictures 80 are right: the standard error of a share is `sqrt(0.8 * 0.2 / 100)`, 0.04.
    #[test]
    fn a_share_has_the_interval_that_the_binomial_gives() {
        let pictures = (0..100).map(|at| seen(0, 0.9, &[(usize::from(at >= 80), 0.6)]));
        let all = records(pictures.collect());
        let intervals = Intervals::of(&all);
        let Interval { low, high } = intervals.class_accuracy;
        assert!((low - (0.8 - 1.96 * 0.04)).abs() < 0.015, "{low}");
        assert!((high - (0.8 + 1.96 * 0.04)).abs() < 0.015, "{high}");
        // What is the same in every picture is sure.
        let sure = intervals.mean_iou;
        assert!((sure.low - 0.6).abs() < 1e-6 && (sure.high - 0.6).abs() < 1e-6);
        assert_eq!(intervals, Intervals::of(&all));
    }

    #[test]
    fn rows_of_one_picture_are_drawn_together() {
        let alone = (0..40).map(|at| seen(0, 0.9, &[(at % 2, 0.6)]));
        let alone = Intervals::of(&records(alone.collect())).class_accuracy;
        let class = |at| usize::from(at >= 4);
        let together = (0..8).map(|at| seen(0, 0.9, &[(class(at), 0.6); 5]));
        let together = Intervals::of(&records(together.collect())).class_accuracy;
        assert!(together.high - together.low > 1.5 * (alone.high - alone.low));
    }

    #[test]
    fn of_nothing_it_is_nothing() {
        assert_eq!(
            Intervals::of(&records(Vec::new())).ap50,
            Interval::default()
        );
    }
}
