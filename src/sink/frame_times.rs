//! The times of the frames of a run.

use std::time::{Duration, Instant};

use crate::frame::Frame;

/// Gives frames their times: those of a recording from its start, those of a camera from its first frame.
#[derive(Debug, Default)]
pub(super) struct FrameTimes {
    /// When the first frame of a camera was captured.
    start: Option<Instant>,
}

impl FrameTimes {
    pub(super) fn of(&mut self, frame: &Frame) -> Duration {
        frame.position.unwrap_or_else(|| {
            let start = *self.start.get_or_insert(frame.captured_at);
            frame.captured_at.saturating_duration_since(start)
        })
    }
}
