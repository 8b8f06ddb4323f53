//! How often a value took which size, and the range that loses least when it is stored in 8 bits.

use super::{Range, Scheme};

/// Cells of a histogram: eight and more for each step of an int8.
const CELLS: usize = 2048;

/// Shares of the whole range that are tried, in hundredths, the whole one first.
const TRIED: std::ops::RangeInclusive<u8> = 20..=100;

/// Counts of values over a range that is known beforehand.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    whole: Range,
    counts: Vec<u64>,
}

impl Histogram {
    /// No values yet, over that range.
    #[must_use]
    pub(super) fn over(whole: Range) -> Self {
        Self {
            whole,
            counts: vec![0; CELLS],
        }
    }

    /// Takes in values; one outside the range counts at its end.
    pub(super) fn extend(&mut self, values: impl IntoIterator<Item = f32>) {
        let width = self.cell_width();
        for value in values {
            // `as` puts what is below 0, and NaN, to 0.
            let cell = ((value - self.whole.min) / width) as usize;
            self.counts[cell.min(CELLS - 1)] += 1;
        }
    }

    /// From the least value to the greatest.
    #[must_use]
    pub(super) fn whole(&self) -> Range {
        self.whole
    }

    /// The range without that share of the values at each end, to a cell.
    #[must_use]
    pub(super) fn without_ends(&self, share: f64) -> Range {
        let all: u64 = self.counts.iter().sum();
        let few = (all as f64 * share) as u64;
        let cells_of_few = |counts: &mut dyn Iterator<Item = &u64>| {
            let mut seen = 0;
            let is_few = |count: &&u64| {
                seen += **count;
                seen <= few
            };
            counts.take_while(is_few).count() as f32
        };
        let width = self.cell_width();
        let range = Range {
            min: self.whole.min + cells_of_few(&mut self.counts.iter()) * width,
            max: self.whole.max - cells_of_few(&mut self.counts.iter().rev()) * width,
        };
        // Without a value nothing can be left out.
        if range.min < range.max {
            range
        } else {
            self.whole
        }
    }

    fn cell_width(&self) -> f32 {
        ((self.whole.max - self.whole.min) / CELLS as f32).max(f32::MIN_POSITIVE)
    }

    /// The range, the whole one cut at both ends in the same share, whose int8 scheme has the least
    /// squared error over all values: cutting off a few large ones makes the steps finer for all others.
    #[must_use]
    pub(super) fn least_error(&self) -> Range {
        let ranges = TRIED.rev().map(|hundredths| {
            let share = f32::from(hundredths) / 100.0;
            Range {
                min: self.whole.min * share,
                max: self.whole.max * share,
            }
        });
        let mut best = (self.whole, f64::INFINITY);
        for range in ranges {
            let error = self.squared_error(Scheme::for_range(range));
            if error < best.1 {
                best = (range, error);
            }
        }
        best.0
    }

    fn squared_error(&self, scheme: Scheme) -> f64 {
        let width = self.cell_width();
        let cells = self.counts.iter().enumerate();
        let errors = cells
            .filter(|(_, count)| **count > 0)
            .map(|(cell, &count)| {
                let value = self.whole.min + (cell as f32 + 0.5) * width;
                count as f64 * f64::from(value - scheme.rounded(value)).powi(2)
            });
        errors.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_fill_their_range_keep_it() {
        let whole = Range { min: 0.0, max: 6.0 };
        let mut histogram = Histogram::over(whole);
        histogram.extend((0..60_000).map(|i| i as f32 / 10_000.0));
        assert!(histogram.least_error().max > 5.8);
    }

    #[test]
    fn a_percentile_leaves_that_share_out_at_both_ends() {
        let whole = Range {
            min: -10.0,
            max: 10.0,
        };
        let mut histogram = Histogram::over(whole);
        histogram.extend((0..10_000).map(|i| i as f32 / 10_000.0));
        histogram.extend([-10.0, -9.0, 10.0, 9.0, 8.0]);
        let close = |a: f32, b: f32| assert!((a - b).abs() < 0.03, "{a}, expected {b}");
        let range = histogram.without_ends(0.001);
        close(range.min, 0.0);
        close(range.max, 1.0);
        let range = histogram.without_ends(0.0001);
        close(range.min, -9.0);
        close(range.max, 9.0);
        let all = histogram.without_ends(0.0);
        close(all.min, -10.0);
        close(all.max, 10.0);
        assert_eq!(Histogram::over(whole).without_ends(0.001), whole);
    }

    #[test]
    fn a_few_large_values_are_cut_off_for_finer_steps() {
        let whole = Range { min: 0.0, max: 6.0 };
        let mut histogram = Histogram::over(whole);
        histogram.extend((0..1_000_000).map(|i| i as f32 / 1_000_000.0));
        histogram.extend([6.0, 5.9]);
        let cut = histogram.least_error();
        assert!(cut.max < 4.0, "{cut:?}");
        let error = |range| histogram.squared_error(Scheme::for_range(range));
        assert!(error(cut) < error(whole));
    }
}
