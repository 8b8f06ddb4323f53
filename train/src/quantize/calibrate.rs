//! Calibration: the distribution of each activation on real pictures, and the range of it that int8 represents.
//!
//! `docs/quantisation.md` compares the [`Calibration`] methods.

use std::collections::BTreeMap;

use boxcam::preprocess::InputTensor;
use clap::ValueEnum;
use tract_onnx::pb;

use super::activations::ActivationReader;
use super::object_maps::ObjectMaps;
use super::{QuantParams, QuantizeError, Range, quantized_tensors};
use crate::onnx::INPUT;

/// Bins of a histogram: at least eight per int8 step.
const BINS: usize = 2048;

/// Fractions of each end of the full range that [`Calibration::LeastError`] tries, in percent.
const TRIED_PERCENT: std::ops::RangeInclusive<u8> = 5..=100;

/// Passes over both ends: the best end depends on the other one.
const PASSES: usize = 3;

/// Ranges by tensor name.
pub type Ranges = BTreeMap<String, Range>;

/// How the range of an activation is chosen; values outside it are clipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Calibration {
    /// Minimum to maximum: nothing is clipped, but a single outlier makes the scale coarse
    #[value(name = "min-max")]
    MinMax,
    /// Clip 0.1% of the values at each end
    #[value(name = "percentile-99.9")]
    Percentile999,
    /// Clip 0.01% of the values at each end
    #[value(name = "percentile-99.99")]
    Percentile9999,
    /// The range with the smallest mean squared quantization error, each end chosen for itself
    #[value(name = "mse")]
    LeastError,
}

/// A histogram of each activation that becomes int8.
#[derive(Debug, Clone)]
pub struct ActivationStats {
    histograms: BTreeMap<String, Histogram>,
    object_maps: ObjectMaps,
}

impl ActivationStats {
    /// Runs the model twice on each input: first for minimum and maximum, then for the histograms.
    ///
    /// # Errors
    /// [`QuantizeError`] when the engine can't run the model or there is no input.
    pub fn collect(model: &pb::ModelProto, inputs: &[InputTensor]) -> Result<Self, QuantizeError> {
        let shape = inputs.first().ok_or(QuantizeError::NoPictures)?.shape();
        let graph = model.graph.as_ref().ok_or(QuantizeError::NoPictures)?;
        let mut names = quantized_tensors(graph);
        names.remove(INPUT);
        let names: Vec<String> = names.into_iter().collect();
        let reader = ActivationReader::new(model, &names, shape)?;
        let mut full = vec![Range::EMPTY; names.len()];
        for input in inputs {
            reader.run(input, |index, values| {
                full[index].extend(values.all.iter().copied());
            })?;
        }
        let mut histograms: Vec<Histogram> = full.into_iter().map(Histogram::new).collect();
        for input in inputs {
            reader.run(input, |index, values| {
                histograms[index].extend(values.all.iter().copied());
            })?;
        }
        Ok(Self {
            histograms: names.into_iter().zip(histograms).collect(),
            object_maps: ObjectMaps::of(graph),
        })
    }

    #[must_use]
    pub fn ranges(&self, calibration: Calibration) -> Ranges {
        let range = |histogram: &Histogram| match calibration {
            Calibration::MinMax => histogram.full,
            Calibration::Percentile999 => histogram.percentile(0.001),
            Calibration::Percentile9999 => histogram.percentile(0.0001),
            Calibration::LeastError => histogram.least_error(),
        };
        let histograms = self.histograms.iter();
        let mut ranges: Ranges = histograms
            .map(|(name, histogram)| (name.clone(), range(histogram)))
            .collect();
        let full = |name: &String| self.histograms.get(name).map(|histogram| histogram.full);
        self.object_maps.set_score_ranges(&mut ranges, full);
        ranges
    }
}

/// The end of a range that is varied.
#[derive(Debug, Clone, Copy)]
enum End {
    Both,
    Min,
    Max,
}

/// Counts of values over a known range.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    full: Range,
    counts: Vec<u64>,
}

impl Histogram {
    fn new(full: Range) -> Self {
        Self {
            full,
            counts: vec![0; BINS],
        }
    }

    /// Over the range of these values.
    pub(super) fn of(values: &[f32]) -> Self {
        let mut full = Range::EMPTY;
        full.extend(values.iter().copied());
        let mut histogram = Self::new(full);
        histogram.extend(values.iter().copied());
        histogram
    }

    /// With the smallest mean squared quantization error.
    pub(super) fn best_params(&self) -> QuantParams {
        QuantParams::for_range(self.least_error())
    }

    /// Counts values; one outside the range goes into the first or last bin.
    fn extend(&mut self, values: impl IntoIterator<Item = f32>) {
        let width = self.bin_width();
        for value in values {
            // `as` turns negative numbers and NaN into 0.
            let bin = ((value - self.full.min) / width) as usize;
            self.counts[bin.min(BINS - 1)] += 1;
        }
    }

    /// The range without this fraction of the values at each end, to the accuracy of a bin.
    fn percentile(&self, fraction: f64) -> Range {
        let all: u64 = self.counts.iter().sum();
        let clipped = (all as f64 * fraction) as u64;
        let clipped_bins = |counts: &mut dyn Iterator<Item = &u64>| {
            let mut sum = 0;
            let is_clipped = |count: &&u64| {
                sum += **count;
                sum <= clipped
            };
            counts.take_while(is_clipped).count() as f32
        };
        let width = self.bin_width();
        let range = Range {
            min: self.full.min + clipped_bins(&mut self.counts.iter()) * width,
            max: self.full.max - clipped_bins(&mut self.counts.iter().rev()) * width,
        };
        // An empty histogram has all bins clipped.
        if range.min < range.max {
            range
        } else {
            self.full
        }
    }

    fn bin_width(&self) -> f32 {
        ((self.full.max - self.full.min) / BINS as f32).max(f32::MIN_POSITIVE)
    }

    /// The range with the smallest mean squared error, found end by end: clipping a few large values makes the scale finer for
    /// all others.
    fn least_error(&self) -> Range {
        let mut best = (self.full, self.squared_error(self.full));
        for _ in 0..PASSES {
            for end in [End::Both, End::Min, End::Max] {
                let Range { min, max } = best.0;
                for percent in TRIED_PERCENT.rev() {
                    let factor = f32::from(percent) / 100.0;
                    let (low, high) = (self.full.min * factor, self.full.max * factor);
                    let range = match end {
                        End::Both => Range {
                            min: low,
                            max: high,
                        },
                        End::Min => Range { min: low, max },
                        End::Max => Range { min, max: high },
                    };
                    let error = self.squared_error(range);
                    if error < best.1 {
                        best = (range, error);
                    }
                }
            }
        }
        best.0
    }

    fn squared_error(&self, range: Range) -> f64 {
        let params = QuantParams::for_range(range);
        let width = self.bin_width();
        let bins = self.counts.iter().enumerate();
        let errors = bins.filter(|(_, count)| **count > 0).map(|(bin, &count)| {
            let value = self.full.min + (bin as f32 + 0.5) * width;
            count as f64 * f64::from(value - params.fake_quantize(value)).powi(2)
        });
        errors.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evenly_distributed_values_are_not_clipped() {
        let full = Range { min: 0.0, max: 6.0 };
        let mut histogram = Histogram::new(full);
        histogram.extend((0..60_000).map(|i| i as f32 / 10_000.0));
        assert!(histogram.least_error().max > 5.8);
    }

    #[test]
    fn a_percentile_clips_its_fraction_at_both_ends() {
        let full = Range {
            min: -10.0,
            max: 10.0,
        };
        let mut histogram = Histogram::new(full);
        histogram.extend((0..10_000).map(|i| i as f32 / 10_000.0));
        histogram.extend([-10.0, -9.0, 10.0, 9.0, 8.0]);
        let close = |a: f32, b: f32| assert!((a - b).abs() < 0.03, "{a}, expected {b}");
        let range = histogram.percentile(0.001);
        close(range.min, 0.0);
        close(range.max, 1.0);
        let range = histogram.percentile(0.0001);
        close(range.min, -9.0);
        close(range.max, 9.0);
        let all = histogram.percentile(0.0);
        close(all.min, -10.0);
        close(all.max, 10.0);
        assert_eq!(Histogram::new(full).percentile(0.001), full);
    }

    #[test]
    fn a_few_large_values_are_clipped_for_a_finer_scale() {
        let full = Range { min: 0.0, max: 6.0 };
        let mut histogram = Histogram::new(full);
        histogram.extend((0..1_000_000).map(|i| i as f32 / 1_000_000.0));
        histogram.extend([6.0, 5.9]);
        let clipped = histogram.least_error();
        assert!(clipped.max < 4.0, "{clipped:?}");
        assert!(histogram.squared_error(clipped) < histogram.squared_error(full));
    }

    #[test]
    fn an_outlier_at_one_end_leaves_the_other_end_as_it_is() {
        let full = Range {
            min: -90.0,
            max: 5.0,
        };
        let mut histogram = Histogram::new(full);
        histogram.extend((0..1_000_000).map(|i| i as f32 / 100_000.0 - 5.0));
        histogram.extend([-90.0]);
        let clipped = histogram.least_error();
        assert!(clipped.min > -45.0 && clipped.max > 4.5, "{clipped:?}");
    }
}
