//! What gets a line in the log, and a snapshot: each event or each frame.

use clap::ValueEnum;

/// The value of the option `--lines`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogLines {
    /// Events for cameras and streams, frames for pictures and the demo
    #[default]
    Auto,
    /// Each track that appears, changes or leaves
    Events,
    /// Each frame
    Frames,
}

/// What gets a line in the log, and a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordPer {
    /// Each event of a track.
    Event,
    Frame,
}

impl LogLines {
    /// Resolves [`LogLines::Auto`] to `auto`.
    #[must_use]
    pub fn resolve(self, auto: RecordPer) -> RecordPer {
        match self {
            Self::Auto => auto,
            Self::Events => RecordPer::Event,
            Self::Frames => RecordPer::Frame,
        }
    }
}
