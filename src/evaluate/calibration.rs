//! Whether a confidence is what it says: of the pictures with 0.8, eight in ten should be right.
//!
//! Bins of equal width and the expected calibration error are those of Guo, Pleiss, Sun and Weinberger, "On
//! Calibration of Modern Neural Networks" (2017). A picture is right where its top class is that of its folder.

use serde::Serialize;

use super::Mean;
use super::record::Records;

/// Bins over `0..=1`.
const BINS: usize = 10;

/// Confidence held against what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Mean distance of confidence and accuracy over the bins, each weighted with its pictures; `0..=1`, 0 is best.
    pub expected_error: f64,
    /// From the lowest confidence to the highest.
    pub bins: Vec<CalibrationBin>,
}

/// The pictures with a confidence above `low` and up to `high`; 0 itself is in the first bin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalibrationBin {
    /// Not in it any more.
    pub low: f64,
    /// Still in it.
    pub high: f64,
    /// Pictures.
    pub pictures: usize,
    /// Mean of their highest scores; none without a picture.
    pub mean_confidence: Option<f64>,
    /// Share of them that is right; none without a picture.
    pub accuracy: Option<f64>,
}

impl Calibration {
    /// Over all pictures.
    #[must_use]
    pub fn of(records: &Records) -> Self {
        let mut sums = [(Mean::default(), Mean::default()); BINS];
        for picture in records.pictures() {
            let (confidence, right) = &mut sums[bin_of(picture.confidence)];
            confidence.add(f64::from(picture.confidence));
            right.add_hit(picture.is_right());
        }
        let all = records.pictures().len().max(1) as f64;
        let gap = |(confidence, right): &(Mean, Mean)| {
            let share = right.count() as f64 / all;
            share * (confidence.value() - right.value()).abs()
        };
        Self {
            expected_error: sums.iter().map(gap).sum(),
            bins: sums.iter().enumerate().map(bin).collect(),
        }
    }
}

fn bin((index, (confidence, right)): (usize, &(Mean, Mean))) -> CalibrationBin {
    let is_some = right.count() > 0;
    CalibrationBin {
        low: index as f64 / BINS as f64,
        high: (index + 1) as f64 / BINS as f64,
        pictures: right.count(),
        mean_confidence: is_some.then(|| confidence.value()),
        accuracy: is_some.then(|| right.value()),
    }
}

/// The first bin whose upper edge, as a float of the same width, is not below; sums of scores may end above 1.
fn bin_of(confidence: f32) -> usize {
    let edge = |bin: usize| (bin + 1) as f32 / BINS as f32;
    let found = (0..BINS).find(|&bin| confidence <= edge(bin));
    found.unwrap_or(BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::super::record::{records, seen};
    use super::*;

    #[test]
    fn the_error_is_what_a_hand_computes() {
        let calibration = Calibration::of(&records(vec![
            seen(0, 0.95, &[(0, 0.5)]),
            seen(0, 0.95, &[(1, 0.5)]),
            seen(0, 0.5, &[(0, 0.5)]),
            seen(1, 0.5, &[(1, 0.5)]),
        ]));
        let pictures: Vec<usize> = calibration.bins.iter().map(|bin| bin.pictures).collect();
        assert_eq!(pictures, [0, 0, 0, 0, 2, 0, 0, 0, 0, 2]);
        assert_eq!(calibration.bins[4].accuracy, Some(1.0));
        assert_eq!(calibration.bins[0].accuracy, None);
        // Half of the pictures are 0.45 too sure, half 0.5 not sure enough.
        assert!((calibration.expected_error - 0.475).abs() < 1e-6);
    }

    #[test]
    fn an_upper_edge_belongs_to_its_bin() {
        let bins = [0.0, 0.1, 0.3, 0.300_01, 0.7, 0.999, 1.0, 1.000_001].map(bin_of);
        assert_eq!(bins, [0, 0, 2, 3, 6, 9, 9, 9]);
    }
}
