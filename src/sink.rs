//! Where reports go: what every sink offers.
//!
//! A sink shows or writes a frame with its report. It never changes either and never blocks on a person.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use thiserror::Error;

use crate::frame::Frame;
use crate::report::Report;
use crate::source::SourceError;

pub mod json;
pub mod picture;
#[cfg(feature = "window")]
pub mod window;

/// Something that shows or writes what was seen.
pub trait Sink {
    /// Shows one frame with its report.
    ///
    /// # Errors
    /// [`SinkError`] when it could not be shown.
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError>;

    /// Takes note of a picture that can't be read. Most sinks have nothing to show then.
    ///
    /// # Errors
    /// [`SinkError`] when the note could not be made.
    fn skip(&mut self, _error: &SourceError) -> Result<(), SinkError> {
        Ok(())
    }

    /// Called once when a replayed source has come to its end. A sink that a person looks at stays until
    /// they have had enough or `stop` becomes true; any other has nothing to wait for.
    ///
    /// # Errors
    /// [`SinkError`] when it can't be shown any more.
    fn linger(&mut self, _stop: &AtomicBool) -> Result<(), SinkError> {
        Ok(())
    }
}

/// A sink that could not show a frame.
#[derive(Debug, Error)]
pub enum SinkError {
    /// A file or stream can't be written.
    #[error("{}: can't be written ({source}); check the path, its permissions and the space left", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A picture can't be encoded.
    #[error("{}: the picture can't be encoded ({source})", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// The encoder's words.
        source: image::ImageError,
    },
    /// A window can't be opened.
    #[error("window: {message}; on a machine without a desktop use `--display none`")]
    Window {
        /// The window system's words.
        message: String,
    },
    /// Nobody looks any more, as the window was closed or the reader of a pipe has left: the run is done.
    #[error("nobody looks any more: the window or the pipe was closed")]
    Closed,
}
