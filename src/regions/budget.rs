//! How many inferences a frame may take.

use std::num::NonZeroU32;
use std::time::Duration;

use super::MAX_INFERENCES;

/// Time between frames where it is not known.
const NOMINAL_INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 15);

/// Weight of the last frame in the smoothed time of an inference.
const TIME_WEIGHT: f64 = 0.2;

/// When a frame of a run comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameTiming {
    /// From a file, of which no frame is dropped: the time from the last frame to this one in the file, if it is known.
    Offline(Option<Duration>),
    /// From a live source, whose frames are dropped while the model is busy.
    Live {
        /// Time from the last processed frame to this one; `None` for the first.
        interval: Option<Duration>,
        /// Number of frames that the source delivered in that time, at least 1.
        frames: u64,
    },
}

/// Distributes inferences over frames: at most a number per second on average, at least one for each frame.
///
/// The times come from the caller, so a recording always gets the same inferences.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Per second.
    rate: f64,
    /// What earlier frames have left, up to [`MAX_INFERENCES`].
    saved: f64,
    /// Smoothed time of one inference in seconds; `None` before the first.
    inference_time: Option<f64>,
}

impl Budget {
    /// At most `rate` inferences per second, and one for each frame.
    #[must_use]
    pub fn new(rate: NonZeroU32) -> Self {
        Self {
            rate: f64::from(rate.get()),
            saved: 0.0,
            inference_time: None,
        }
    }

    /// The number of inferences for the next frame, from 1 to [`MAX_INFERENCES`]. Of a live source, only as many as end
    /// before the frame after it.
    pub fn next(&mut self, timing: FrameTiming) -> usize {
        let interval = match timing {
            FrameTiming::Offline(interval) | FrameTiming::Live { interval, .. } => interval,
        };
        let seconds = interval.unwrap_or(NOMINAL_INTERVAL).as_secs_f64();
        // A little more, so that rounding does not cost an inference.
        let earned = self.rate * seconds + 1e-6;
        self.saved = (self.saved + earned).min(MAX_INFERENCES as f64);
        let free = match timing {
            FrameTiming::Offline(_) => MAX_INFERENCES,
            FrameTiming::Live { frames, .. } => self.free(seconds / frames.max(1) as f64),
        };
        let count = (self.saved as usize).min(free).max(1);
        self.saved = (self.saved - count as f64).max(0.0);
        count
    }

    /// Takes note of the time that a frame took.
    pub fn record(&mut self, inferences: usize, time: Duration) {
        let time = time.as_secs_f64() / inferences.max(1) as f64;
        let smoothed = self.inference_time.get_or_insert(time);
        *smoothed += (time - *smoothed) * TIME_WEIGHT;
    }

    /// The inferences that fit between two frames of the source.
    fn free(&self, interval: f64) -> usize {
        match self.inference_time {
            Some(time) if time > 0.0 => (interval / time) as usize,
            Some(_) => MAX_INFERENCES,
            None => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(rate: u32) -> Budget {
        Budget::new(NonZeroU32::new(rate).expect("not 0"))
    }

    fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_recording_gets_the_rate_on_average_and_one_for_each_frame() {
        for (rate, interval, frames, expected) in [
            (60, 50, 100, 300),
            (30, 50, 100, 150),
            (5, 50, 100, 100),
            (60, 100, 10, 60),
        ] {
            let mut budget = budget(rate);
            let timing = FrameTiming::Offline(Some(milliseconds(interval)));
            let used: usize = (0..frames).map(|_| budget.next(timing)).sum();
            assert_eq!(used, expected, "{rate}/s, every {interval} ms");
        }
    }

    #[test]
    fn a_frame_gets_no_more_than_the_most() {
        let mut budget = budget(1000);
        let pause = FrameTiming::Offline(Some(Duration::from_secs(60)));
        assert_eq!(budget.next(pause), MAX_INFERENCES);
        assert_eq!(budget.next(FrameTiming::Offline(Some(Duration::ZERO))), 1);
    }

    #[test]
    fn without_times_each_frame_gets_the_same() {
        let mut budget = budget(60);
        let timing = FrameTiming::Offline(None);
        assert_eq!([(); 3].map(|()| budget.next(timing)), [4; 3]);
    }

    #[test]
    fn live_frames_get_what_ends_before_the_next() {
        let counts = |time: u64, frames| {
            let mut budget = budget(90);
            budget.record(2, milliseconds(2 * time));
            let timing = FrameTiming::Live {
                interval: Some(milliseconds(100)),
                frames,
            };
            [(); 3].map(|()| budget.next(timing))
        };
        assert_eq!(counts(30, 1), [3; 3]);
        assert_eq!(counts(10, 1), [9; 3], "no more than the rate");
        assert_eq!(counts(120, 3), [1; 3], "slower than the source");
        assert_eq!(counts(10, 3), [3; 3], "frames were dropped");
    }

    #[test]
    fn the_first_live_frame_gets_one() {
        let first = FrameTiming::Live {
            interval: None,
            frames: 1,
        };
        assert_eq!(budget(90).next(first), 1);
    }
}
