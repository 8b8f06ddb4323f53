//! How a run is doing: what capture is at, when a frame last went through, and counts of all that happened.
//!
//! The pipeline and the sinks write it, the log, the screen, the web page and the service manager read it. It
//! is only numbers: nothing here does I/O or decides anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// What the capture of frames is at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CaptureState {
    /// The source is being opened for the first time.
    #[default]
    Starting,
    /// Frames come.
    Live,
    /// No frame has come for longer than allowed; the source is about to be given up.
    Stalled,
    /// The source was given up and is being opened anew, with growing pauses.
    Reopening,
}

impl CaptureState {
    /// All of them, in the order of their life.
    pub const ALL: [Self; 4] = [Self::Starting, Self::Live, Self::Stalled, Self::Reopening];

    /// Its name in logs: `starting`, `live`, `stalled` or `reopening`.
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

/// Capture went from one state to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// The state it is in now.
    pub state: CaptureState,
    /// When it got there.
    pub time: SystemTime,
    /// Why, in words for a person; empty where nothing is wrong.
    pub reason: String,
}

/// A number that only grows, shared between threads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts so many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a run is doing, shared by all that take part in it.
#[derive(Debug, Default)]
pub struct Health {
    /// Frames that the source gave.
    pub captured: Counter,
    /// Frames that went through the model.
    pub inferred: Counter,
    /// Frames that nobody had time for.
    pub dropped: Counter,
    /// Pictures and frames that could not be read.
    pub broken: Counter,
    /// Times that the source was opened again.
    pub reopened: Counter,
    /// Things that appeared.
    pub appeared: Counter,
    /// Lines of the log that could not be written.
    pub lines_lost: Counter,
    /// Snapshots that could not be written.
    pub snapshots_lost: Counter,
    /// Reports that a sink was too slow to take.
    pub reports_lost: Counter,
    /// Events that never reached the MQTT broker.
    pub events_lost: Counter,
    /// Models that were taken in while running.
    pub models_swapped: Counter,
    /// Changed model files that were refused.
    pub models_refused: Counter,
    now: Mutex<Now>,
}

/// What changes as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Now {
    /// What capture is at.
    pub state: CaptureState,
    /// Why, in words for a person; empty where nothing is wrong.
    pub reason: String,
    /// When a frame last went through the model.
    pub last_inference: Option<Instant>,
    /// Time that the network took for it.
    pub inference: Duration,
    /// Frames a second that go through the model.
    pub frames_per_second: Option<f32>,
    /// Age of the last report's frame when it was told of.
    pub frame_age: Duration,
    /// The model in use: the first 8 hex digits of its file's SHA-256.
    pub model: String,
}

impl Health {
    /// What is so at the moment.
    #[must_use]
    pub fn now(&self) -> Now {
        self.lock().clone()
    }

    /// What capture is at. Asked for with every frame, so nothing is copied for it.
    #[must_use]
    pub fn state(&self) -> CaptureState {
        self.lock().state
    }

    /// Changes what is so at the moment.
    pub fn update(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.lock());
    }

    /// Each field is sound by itself, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let health = Health::default();
        health.captured.add(2);
        health.captured.add(3);
        health.update(|now| now.state = CaptureState::Live);
        assert_eq!(health.captured.get(), 5);
        assert_eq!(health.now().state, CaptureState::Live);
        let names = CaptureState::ALL.map(CaptureState::name);
        assert_eq!(names, ["starting", "live", "stalled", "reopening"]);
    }
}
