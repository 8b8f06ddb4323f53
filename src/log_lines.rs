//! What gets a line in the log, and a snapshot: each event or each frame.

use std::str::FromStr;

use thiserror::Error;

/// The value of the option `--lines`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogLines {
    /// Depends on the source.
    #[default]
    Auto,
    Events,
    Frames,
}

/// What gets a line in the log, and a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordPer {
    /// Each event of a track.
    Event,
    Frame,
}

/// A text that is not a value of [`LogLines`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected auto, events or frames")]
pub struct LogLinesError;

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

impl FromStr for LogLines {
    type Err = LogLinesError;

    fn from_str(text: &str) -> Result<Self, LogLinesError> {
        match text {
            "auto" => Ok(Self::Auto),
            "events" => Ok(Self::Events),
            "frames" => Ok(Self::Frames),
            _ => Err(LogLinesError),
        }
    }
}
