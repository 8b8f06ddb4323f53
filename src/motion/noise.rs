//! How much blocks differ between frames in which nothing moves.

/// Frames before the noise is known.
const MIN_FRAMES: u32 = 8;

/// The level is the minimum of this number of frames, and of as many before them.
const WINDOW: u32 = 64;

/// Motion adds up with time and noise does not: frames count whose difference to the last but one is at most so much larger than
/// that to the last.
const MAX_GROWTH: f32 = 1.25;

/// The mean of the lower half of the absolute values of a normal distribution of the standard deviation 1.
const LOWER_HALF_MEAN: f32 = 0.3244;

/// The median of the absolute values of a normal distribution of the standard deviation 1.
const MEDIAN: f32 = 0.6745;

/// The error of the difference of two values that were each rounded to a step, in steps.
const ROUNDING: f32 = 0.5;

/// The largest deviation of a block's mean that a sensor can have, in levels: one of 32 levels for each of its 64 pixels.
/// More is motion.
const MAX_LEVEL: f32 = 4.0;

/// A block is at most so many times as noisy as the picture: dark and bright parts differ by less.
const MAX_SHARE: f32 = 3.0;

/// How fast the median of a block follows, in levels of the picture for each frame.
const BLOCK_RATE: f32 = 1.0 / 16.0;

/// Standard deviation of the differences between two frames, of the picture and of each block.
#[derive(Debug, Default)]
pub(super) struct NoiseLevel {
    frames: u32,
    /// The minimum of the current window and of the one before.
    minima: [Option<f32>; 2],
    in_window: u32,
    /// The running median of absolute differences of each block.
    medians: Vec<f32>,
}

impl NoiseLevel {
    /// Adds the differences of a frame to the last one and to the one before that, whose values are multiples of `step`.
    pub(super) fn add(&mut self, to_last: &[f32], to_last_but_one: &[f32], step: f32) {
        let rounding = ROUNDING * step;
        let [level, slower] = [to_last, to_last_but_one].map(|differences| {
            let measured = lower_half_mean(differences) / LOWER_HALF_MEAN;
            measured.hypot(rounding)
        });
        if slower > level * MAX_GROWTH {
            return;
        }
        self.frames = self.frames.saturating_add(1);
        self.add_level(level.min(MAX_LEVEL.max(rounding)));
        let typical = self.level() * MEDIAN;
        self.medians.resize(to_last.len(), typical);
        let rate = typical * BLOCK_RATE;
        for (median, difference) in self.medians.iter_mut().zip(to_last) {
            let moved = if difference.abs() > *median {
                rate
            } else {
                -rate
            };
            *median = (*median + moved).clamp(typical, typical * MAX_SHARE);
        }
    }

    fn add_level(&mut self, level: f32) {
        if self.in_window == WINDOW {
            self.minima = [None, self.minima[0]];
            self.in_window = 0;
        }
        self.in_window += 1;
        let minimum = &mut self.minima[0];
        *minimum = Some(minimum.map_or(level, |minimum| minimum.min(level)));
    }

    pub(super) fn is_known(&self) -> bool {
        self.frames >= MIN_FRAMES
    }

    /// The deviation of the picture.
    fn level(&self) -> f32 {
        let minima = self.minima.iter().copied().flatten();
        minima.reduce(f32::min).unwrap_or(MAX_LEVEL)
    }

    /// The differences in deviations of their blocks.
    pub(super) fn excess(&self, differences: &[f32]) -> Vec<f32> {
        let pairs = differences.iter().zip(&self.medians);
        pairs
            .map(|(difference, median)| difference * MEDIAN / median)
            .collect()
    }
}

/// The mean of the lower half of the absolute values: unlike their median it is exact for values with large steps.
fn lower_half_mean(differences: &[f32]) -> f32 {
    let mut absolute: Vec<f32> = differences.iter().map(|value| value.abs()).collect();
    let half = absolute.len().div_ceil(2);
    if half == 0 {
        return 0.0;
    }
    let (lower, middle, _) = absolute.select_nth_unstable_by(half - 1, f32::total_cmp);
    (lower.iter().sum::<f32>() + *middle) / half as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level_of(differences: &[f32]) -> f32 {
        let mut noise = NoiseLevel::default();
        noise.add(differences, differences, 0.01);
        noise.level()
    }

    #[test]
    fn the_level_is_the_deviation_of_a_normal_distribution() {
        let mut random = fastrand::Rng::with_seed(1);
        // Twelve uniform numbers are nearly normal.
        let mut normal = || (0..12).map(|_| random.f32()).sum::<f32>() - 6.0;
        let mut differences: Vec<f32> = (0..5000).map(|_| 0.8 * normal()).collect();
        assert!((level_of(&differences) - 0.8).abs() < 0.03);
        // Something moves in a third of the picture.
        differences[..1666].fill(70.0);
        assert!(level_of(&differences) < 1.6);
    }

    #[test]
    fn rounding_is_noise() {
        let mut noise = NoiseLevel::default();
        noise.add(&[0.0; 100], &[0.0; 100], 2.0);
        assert_eq!(noise.level(), 1.0);
    }

    #[test]
    fn a_difference_that_grows_with_time_is_motion() {
        let mut noise = NoiseLevel::default();
        for _ in 0..100 {
            noise.add(&[2.0; 100], &[4.0; 100], 0.25);
        }
        assert!(!noise.is_known());
    }

    #[test]
    fn more_noise_counts_after_two_windows() {
        let mut noise = NoiseLevel::default();
        let mut add = |value: f32, frames: u32| {
            for _ in 0..frames {
                noise.add(&[value; 100], &[value; 100], 0.01);
            }
            noise.level()
        };
        let before = add(0.1, WINDOW);
        assert_eq!(add(0.3, WINDOW), before);
        assert!(add(0.3, WINDOW) > 2.9 * before);
    }
}
