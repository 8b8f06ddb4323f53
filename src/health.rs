//! The health of a run: the capture state, the time of the last inference, and counters.
//!
//! The pipeline and the sinks update it; the log, the screen, the web page and the service manager read it. It
//! does no I/O.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CaptureState {
    /// The source is being opened for the first time.
    #[default]
    Starting,
    /// Frames arrive.
    Live,
    /// No frame arrived within the timeout; the source is about to be closed.
    Stalled,
    /// The source was closed and is being reopened, with exponential backoff.
    Reopening,
}

impl CaptureState {
    pub const ALL: [Self; 4] = [Self::Starting, Self::Live, Self::Stalled, Self::Reopening];

    /// The name in logs: `starting`, `live`, `stalled` or `reopening`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Live => "live",
            Self::Stalled => "stalled",
            Self::Reopening => "reopening",
        }
    }
}

/// A change of the capture state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// The new state.
    pub state: CaptureState,
    pub time: SystemTime,
    /// The cause, as text for a person; empty if there is no failure.
    pub reason: String,
}

/// A monotonic counter, shared between threads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often a duration was in each range, shared between threads.
#[derive(Debug, Default)]
pub struct DurationHistogram {
    /// The number of durations up to each of [`Self::BOUNDS`] and above the one before, and of longer ones.
    counts: [AtomicU64; Self::BOUNDS.len() + 1],
    /// In microseconds.
    sum: AtomicU64,
}

/// The values of a [`DurationHistogram`] at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramValues {
    /// Each of [`DurationHistogram::BOUNDS`] with the number of durations up to it.
    pub buckets: Vec<(f64, u64)>,
    /// The number of all durations.
    pub count: u64,
    /// In seconds.
    pub sum: f64,
}

impl DurationHistogram {
    /// In seconds: from a small model on a PC to a large one with regions on a small board.
    pub const BOUNDS: [f64; 12] = [
        0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ];

    pub fn add(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let index = Self::BOUNDS.partition_point(|bound| *bound < seconds);
        self.counts[index].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    #[must_use]
    pub fn values(&self) -> HistogramValues {
        let mut count = 0;
        let mut cumulative = self.counts.iter().map(|own| {
            count += own.load(Ordering::Relaxed);
            count
        });
        let buckets = Self::BOUNDS.into_iter().zip(&mut cumulative).collect();
        let count = cumulative.next().unwrap_or_default();
        HistogramValues {
            buckets,
            count,
            sum: self.sum.load(Ordering::Relaxed) as f64 / 1e6,
        }
    }
}

/// The health of a run, shared by its threads.
#[derive(Debug, Default)]
pub struct Health {
    /// Frames from the source.
    pub captured: Counter,
    /// Frames processed by the model.
    pub inferred: Counter,
    /// Inferences; more than one for a frame if regions are looked at.
    pub inferences: Counter,
    /// Frames dropped because the model was busy.
    pub dropped: Counter,
    /// Frames that were not computed, because nothing had moved.
    pub still: Counter,
    /// Frames that were not computed, because the rate of inferences is limited.
    pub held_back: Counter,
    /// Pictures and frames that could not be read.
    pub broken: Counter,
    /// Times the source was reopened.
    pub reopened: Counter,
    /// Tracks started.
    pub appeared: Counter,
    /// Log lines that could not be written.
    pub lines_lost: Counter,
    /// Snapshots that could not be written.
    pub snapshots_lost: Counter,
    /// Clips that could not be written.
    pub clips_lost: Counter,
    /// Collected pictures that could not be written.
    pub collected_lost: Counter,
    /// Pictures and clips that were not written, since a file of their name exists that boxcam did not write.
    pub files_kept: Counter,
    /// Reports dropped because a sink was too slow.
    pub reports_lost: Counter,
    /// Events that did not reach the MQTT broker.
    pub events_lost: Counter,
    /// Events that `--on-event` did not handle, because its program was too slow.
    pub event_programs_dropped: Counter,
    /// Programs of `--on-event` that failed or were killed.
    pub event_programs_failed: Counter,
    /// Models loaded while running.
    pub models_swapped: Counter,
    /// Changed model files that failed their checks.
    pub models_refused: Counter,
    /// Durations of the inference of a frame, or of all its inferences.
    pub inference_durations: DurationHistogram,
    /// Ages of frames when their reports were made.
    pub frame_ages: DurationHistogram,
    status: Mutex<HealthStatus>,
}

/// The part of [`Health`] that changes as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HealthStatus {
    pub state: CaptureState,
    /// The cause of the state, as text for a person; empty if there is no failure.
    pub reason: String,
    /// Time of the last inference.
    pub last_inference: Option<Instant>,
    /// Time of the last frame that was not computed on purpose.
    pub last_rest: Option<Instant>,
    /// Duration of the last inference.
    pub inference: Duration,
    /// Inferences per second.
    pub frames_per_second: Option<f32>,
    /// Age of the last report's frame when the report was made.
    pub frame_age: Duration,
    /// The first 8 hex digits of the SHA-256 of the model file.
    pub model: String,
}

impl HealthStatus {
    /// When the last frame was computed, or was left out on purpose.
    #[must_use]
    pub fn last_processed(&self) -> Option<Instant> {
        self.last_inference.max(self.last_rest)
    }
}

impl Health {
    #[must_use]
    pub fn status(&self) -> HealthStatus {
        self.status.lock().clone()
    }

    /// The capture state. It is read for each frame, so this copies nothing else.
    #[must_use]
    pub fn state(&self) -> CaptureState {
        self.status.lock().state
    }

    pub fn update(&self, change: impl FnOnce(&mut HealthStatus)) {
        change(&mut self.status.lock());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_up_to_each_bound() {
        let histogram = DurationHistogram::default();
        let empty = histogram.values();
        assert_eq!((empty.count, empty.sum, empty.buckets.len()), (0, 0.0, 12));
        for millis in [0, 10, 11, 40, 60_000] {
            histogram.add(Duration::from_millis(millis));
        }
        let values = histogram.values();
        let up_to = |bound| {
            let found = values.buckets.iter().find(|(own, _)| *own == bound);
            found.expect("a bound").1
        };
        assert_eq!(
            [0.0025, 0.01, 0.025, 0.05, 10.0].map(up_to),
            [1, 2, 3, 4, 4]
        );
        assert_eq!((values.count, values.sum), (5, 60.061));
    }

    #[test]
    fn updates_can_be_read() {
        let health = Health::default();
        health.captured.add(2);
        health.captured.add(3);
        health.update(|status| status.state = CaptureState::Live);
        assert_eq!(health.captured.get(), 5);
        assert_eq!(health.status().state, CaptureState::Live);
        let names = CaptureState::ALL.map(CaptureState::name);
        assert_eq!(names, ["starting", "live", "stalled", "reopening"]);
    }
}
