//! JSON lines: one object a line, for programs to read.
//!
//! In go frames with their reports, out come lines, each flushed so that a reader sees it at once. A reader
//! that has had enough (`| head`) ends the run quietly. This sink ends a run when it can't write; the one that
//! goes on, and rotates files, is [`super::log`].
//!
//! Every line has `schema`, which is [`LINE_SCHEMA`]; what else stands in it tells its kind:
//!
//! | line | fields |
//! | --- | --- |
//! | a frame | `time` and `frame`, or `picture`; `track` where something is steadily there; `width`, `height`, `detection`; `truth` and `iou` in made-up scenes; `inference_ms`, `frame_age_ms`, `model` |
//! | an event | `time`, `frame`, `event` (`appeared`, `changed`, `left`), `track`, `from` (what it was taken for before it changed), `duration_s` (not with `appeared`), `width`, `height`, `detection`, `inference_ms`, `frame_age_ms`, `model` |
//! | a state | `time`, `state` (`starting`, `live`, `stalled`, `reopening`), `reason`, empty where nothing is wrong |
//! | a picture that can't be read | `picture`, or `time` for a frame of a stream, and `error` |
//! | a gap | `time`, `lost`: how many lines are missing here, and `error`: why |
//!
//! `time` is RFC 3339 in UTC to the millisecond: when the frame was taken, when the state changed, when the gap
//! was over. `detection` is `null` or has `class`, `confidence`, the corners `x_min`, `x_max`, `y_min`, `y_max`
//! as shares of the frame, and `pixels`. A frame's detection is what was found in that very frame; an event's is
//! the steady one. `duration_s` is in seconds.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{Sink, SinkError};
use crate::frame::{Frame, UnreadableFrame};
use crate::health::StateChange;
use crate::report::Report;
use crate::track::Event;

mod line;

pub(super) use line::rfc3339;
use line::{ErrorLine, EventLine, FrameLine, LostLine, StateLine};

/// The version of the lines; it goes up when a field changes its meaning or goes away.
pub const LINE_SCHEMA: u32 = 1;

/// What gets a line, and a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// Whatever appears, changes or leaves.
    Events,
    /// Every frame.
    Frames,
}

/// Writes JSON lines, one a frame, to a stream.
pub struct JsonSink<W> {
    to: W,
    /// What errors call it.
    name: PathBuf,
}

/// The line of a frame, without its end.
pub(crate) fn frame_line(frame: &Frame, report: &Report) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&FrameLine::of(frame, report))
}

/// The line of an event that came with a frame, without its end.
pub(crate) fn event_line(
    frame: &Frame,
    report: &Report,
    event: &Event,
) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&EventLine::of(frame, report, event))
}

/// The line of a picture or frame that can't be read, without its end.
pub(crate) fn error_line(frame: &UnreadableFrame) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&ErrorLine::of(frame))
}

/// The line of a change of state, without its end.
pub(crate) fn state_line(change: &StateChange) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&StateLine::of(change))
}

/// The line that stands where so many lines are missing, without its end.
pub(crate) fn lost_line(count: u64, error: &str) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&LostLine::of(count, error))
}

impl JsonSink<std::io::Stdout> {
    /// Writes to standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(std::io::stdout(), Path::new("standard output"))
    }
}

impl<W: Write> JsonSink<W> {
    /// Writes to anything; `name` is what errors call it.
    pub fn new(to: W, name: &Path) -> Self {
        Self {
            to,
            name: name.into(),
        }
    }

    fn write_line(&mut self, line: serde_json::Result<Vec<u8>>) -> Result<(), SinkError> {
        // In one piece, so that a line is there as a whole or not at all.
        let mut text = line.map_err(|error| self.failed(error.into()))?;
        text.push(b'\n');
        let written = self.to.write_all(&text).and_then(|()| self.to.flush());
        written.map_err(|error| self.failed(error))
    }

    fn failed(&self, source: std::io::Error) -> SinkError {
        match source.kind() {
            ErrorKind::BrokenPipe => SinkError::Closed,
            _ => SinkError::Write {
                path: self.name.clone(),
                source,
            },
        }
    }
}

impl<W: Write> Sink for JsonSink<W> {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        self.write_line(frame_line(frame, report))
    }

    fn skip(&mut self, frame: &UnreadableFrame) -> Result<(), SinkError> {
        self.write_line(error_line(frame))
    }
}

#[cfg(test)]
mod tests;
