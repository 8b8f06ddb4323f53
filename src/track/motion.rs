//! Where an object is expected: its centre by a Kalman filter of constant velocity, in seconds and not in frames.

use std::time::Duration;

use super::filters::{center_and_size, from_center_and_size};
use crate::geometry::NormBox;

/// Standard deviation of a measured centre, in sizes of the object.
const MEASUREMENT_NOISE: f32 = 0.05;

/// Standard deviation of the speed of an object that was seen once, in sizes per second.
const FIRST_SPEED: f32 = 8.0;

/// How much the speed changes in a second: its standard deviation, in sizes per second.
const SPEED_CHANGE: f32 = 2.0;

/// In this time without a measurement the expected speed falls to 1/e: what is not seen may have stopped.
const COAST_TIME: f32 = 0.5;

/// Time constant of the smoothed width and height in seconds.
const SIZE_TIME_CONSTANT: f32 = 0.1;

/// A box is cut by the edge of the picture if it comes as close as this, as a share of the picture's side.
const EDGE: f32 = 0.01;

/// An object at the edge leaves if it moves outwards faster than this, in sizes per second.
const LEAVING_SPEED: f32 = 0.15;

/// The smallest size for which noise is computed, as a share of the picture's side.
const MIN_SIZE: f32 = 0.01;

/// Position, speed and size of an object.
#[derive(Debug, Clone)]
pub(super) struct Motion {
    /// Of the centre's x and y.
    axes: [Axis; 2],
    /// Smoothed width and height.
    size: [f32; 2],
    /// Time of the last measurement, on the tracker's clock.
    last: Duration,
}

/// The box that is expected for an object, and how far off its centre may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ExpectedBox {
    pub(super) bounding_box: NormBox,
    /// Standard deviations of the centre's x and y, as shares of the picture's sides.
    pub(super) deviation: [f32; 2],
}

impl Motion {
    pub(super) fn new(bounding_box: &NormBox, now: Duration) -> Self {
        let [x, y, width, height] = center_and_size(bounding_box);
        let size = [width, height];
        Self {
            axes: [Axis::new(x, mean_size(size)), Axis::new(y, mean_size(size))],
            size,
            last: now,
        }
    }

    /// Adds a measured box.
    pub(super) fn update(&mut self, bounding_box: &NormBox, now: Duration) {
        let step = self.time_since_last(now);
        let [x, y, width, height] = center_and_size(bounding_box);
        let size = mean_size(self.size);
        for (axis, center) in self.axes.iter_mut().zip([x, y]) {
            *axis = axis.after(step, size);
            axis.measure(center, size);
        }
        let weight = step / (step + SIZE_TIME_CONSTANT);
        for (smoothed, side) in self.size.iter_mut().zip([width, height]) {
            *smoothed += (side - *smoothed) * weight;
        }
        self.last = now;
    }

    /// What is expected at `now`.
    pub(super) fn expected(&self, now: Duration) -> ExpectedBox {
        let step = self.time_since_last(now);
        let size = mean_size(self.size);
        let [x, y] = self.axes.each_ref().map(|axis| axis.after(step, size));
        let [width, height] = self.size;
        let bounding_box = from_center_and_size([x.position, y.position, width, height]);
        ExpectedBox {
            bounding_box: bounding_box.unwrap_or(NormBox::WHOLE),
            deviation: [x, y].map(|axis| axis.position_variance.sqrt()),
        }
    }

    /// How far the centre has moved since the last measurement, as expected at `now`.
    pub(super) fn shift(&self, now: Duration) -> [f32; 2] {
        let step = self.time_since_last(now);
        let coasted = coast(step);
        self.axes.each_ref().map(|axis| axis.speed * coasted)
    }

    /// Whether it moves out of the picture at one of its edges.
    pub(super) fn is_leaving(&self) -> bool {
        let slow = LEAVING_SPEED * mean_size(self.size);
        self.axes.iter().zip(self.size).any(|(axis, side)| {
            let (min, max) = (axis.position - side / 2.0, axis.position + side / 2.0);
            (min <= EDGE && axis.speed < -slow) || (max >= 1.0 - EDGE && axis.speed > slow)
        })
    }

    fn time_since_last(&self, now: Duration) -> f32 {
        now.saturating_sub(self.last).as_secs_f32()
    }
}

/// A coordinate of the centre, as a share of the picture's side, and its speed per second, with their covariance.
#[derive(Debug, Clone, Copy)]
struct Axis {
    position: f32,
    speed: f32,
    position_variance: f32,
    covariance: f32,
    speed_variance: f32,
}

impl Axis {
    /// A coordinate that was measured once.
    fn new(position: f32, size: f32) -> Self {
        Self {
            position,
            speed: 0.0,
            position_variance: (MEASUREMENT_NOISE * size).powi(2),
            covariance: 0.0,
            speed_variance: (FIRST_SPEED * size).powi(2),
        }
    }

    /// The state after `step` seconds without a measurement. The speed decays, and changes by white noise.
    fn after(&self, step: f32, size: f32) -> Self {
        let (coasted, kept) = (coast(step), (-step / COAST_TIME).exp());
        let noise = (SPEED_CHANGE * size).powi(2);
        Self {
            position: self.position + self.speed * coasted,
            speed: self.speed * kept,
            position_variance: self.position_variance
                + 2.0 * coasted * self.covariance
                + coasted * coasted * self.speed_variance
                + noise * step.powi(3) / 3.0,
            covariance: kept * (self.covariance + coasted * self.speed_variance)
                + noise * step.powi(2) / 2.0,
            speed_variance: kept * kept * self.speed_variance + noise * step,
        }
    }

    fn measure(&mut self, position: f32, size: f32) {
        let total = self.position_variance + (MEASUREMENT_NOISE * size).powi(2);
        let (gain, speed_gain) = (self.position_variance / total, self.covariance / total);
        let difference = position - self.position;
        self.position += gain * difference;
        self.speed += speed_gain * difference;
        self.speed_variance -= speed_gain * self.covariance;
        self.covariance *= 1.0 - gain;
        self.position_variance *= 1.0 - gain;
    }
}

/// The way in `step` seconds of something with speed 1 that decays.
fn coast(step: f32) -> f32 {
    COAST_TIME * (1.0 - (-step / COAST_TIME).exp())
}

fn mean_size([width, height]: [f32; 2]) -> f32 {
    (width * height).sqrt().max(MIN_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A box that is 0.2 wide, at `x`.
    fn at(x: f32) -> NormBox {
        NormBox::new(x, x + 0.2, 0.4, 0.6).expect("valid")
    }

    /// An object that moves to the right by 0.3 a second, for a second.
    fn moving(frames_per_second: u32) -> Motion {
        let mut motion = Motion::new(&at(0.1), Duration::ZERO);
        for frame in 1..=frames_per_second {
            let seconds = frame as f32 / frames_per_second as f32;
            motion.update(&at(0.1 + 0.3 * seconds), Duration::from_secs_f32(seconds));
        }
        motion
    }

    #[test]
    fn motion_goes_on_at_any_frame_rate() {
        for rate in [2, 5, 15, 30] {
            let motion = moving(rate);
            for (milliseconds, tolerance) in [(0, 0.01), (66, 0.01), (200, 0.03)] {
                let now = Duration::from_millis(1000 + milliseconds);
                let expected = motion.expected(now).bounding_box.x_min();
                let truth = 0.1 + 0.3 * now.as_secs_f32();
                let error = (expected - truth).abs();
                assert!(
                    error < tolerance,
                    "{rate} frames/s, {milliseconds} ms: {error}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_measured_comes_to_rest() {
        let motion = moving(15);
        let far = motion
            .expected(Duration::from_secs(60))
            .bounding_box
            .x_min();
        let [way, _] = motion.shift(Duration::from_secs(60));
        assert!((way - 0.3 * COAST_TIME).abs() < 0.03, "{way}");
        assert!((far - 0.4 - way).abs() < 0.02, "{far}");
    }

    #[test]
    fn uncertainty_grows_with_time_and_shrinks_with_measurements() {
        let deviation = |motion: &Motion, milliseconds| {
            let now = Duration::from_millis(milliseconds);
            motion.expected(now).deviation[0]
        };
        let new = Motion::new(&at(0.1), Duration::from_secs(1));
        let known = moving(15);
        let grown = [1033, 1100, 1500].map(|now| deviation(&known, now));
        assert!(grown.is_sorted_by(|a, b| a < b), "{grown:?}");
        assert!(deviation(&new, 1100) > 2.0 * deviation(&known, 1100));
    }

    #[test]
    fn an_object_leaves_if_it_moves_outwards_at_the_edge() {
        let mut motion = Motion::new(&at(0.2), Duration::ZERO);
        for frame in 1..=10 {
            assert!(!motion.is_leaving(), "at frame {frame}");
            let x = 0.2 - 0.02 * frame as f32;
            motion.update(&at(x.max(0.0)), Duration::from_millis(66 * frame));
        }
        assert!(motion.is_leaving());
        let resting = Motion::new(&at(0.0), Duration::ZERO);
        assert!(!resting.is_leaving());
    }

    #[test]
    fn equal_times_and_a_box_without_area_are_accepted() {
        let point = NormBox::new(0.5, 0.5, 0.5, 0.5).expect("valid");
        let mut motion = Motion::new(&point, Duration::ZERO);
        for _ in 0..100 {
            motion.update(&point, Duration::ZERO);
        }
        let expected = motion.expected(Duration::from_secs(1_000_000));
        assert!(expected.deviation.iter().all(|d| d.is_finite() && *d > 0.0));
        assert_eq!(expected.bounding_box.corners(), [0.5; 4]);
    }
}
