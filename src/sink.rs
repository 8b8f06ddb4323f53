//! Where reports go: what every sink offers.
//!
//! A sink shows or writes a frame with its report. It never changes either and never blocks on a person.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use thiserror::Error;

use crate::frame::{Frame, UnreadableFrame};
use crate::health::StateChange;
use crate::report::Report;

#[cfg(all(feature = "framebuffer", target_os = "linux"))]
pub mod framebuffer;
pub mod json;
pub mod log;
mod loss;
#[cfg(feature = "mqtt")]
pub mod mqtt;
pub mod picture;
pub mod snapshots;
#[cfg(any(feature = "window", all(feature = "framebuffer", target_os = "linux")))]
mod view;
#[cfg(feature = "web")]
pub mod web;
#[cfg(feature = "window")]
pub mod window;
#[cfg(any(feature = "mqtt", feature = "web"))]
mod words;

/// Something that shows or writes what was seen.
pub trait Sink {
    /// Shows one frame with its report.
    ///
    /// # Errors
    /// [`SinkError`] when it could not be shown.
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError>;

    /// Whether it has no use for a report without events, so that no frame is kept for it then. Asked once,
    /// before the run.
    fn events_only(&self) -> bool {
        false
    }

    /// Takes note that what was there has left, as the run or the model at hand has come to its end, or no
    /// frames come any more. `frame` is the last that was shown, so a sink that counts frames must not count
    /// it again; one that wants only events shows it like any other.
    ///
    /// # Errors
    /// [`SinkError`] when the note could not be made.
    fn left(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        if self.events_only() {
            self.show(frame, report)
        } else {
            Ok(())
        }
    }

    /// Takes note of a picture that can't be read. Most sinks have nothing to show then.
    ///
    /// # Errors
    /// [`SinkError`] when the note could not be made.
    fn skip(&mut self, _frame: &UnreadableFrame) -> Result<(), SinkError> {
        Ok(())
    }

    /// Takes note that capture went from one state to another: the camera vanished, or came back.
    ///
    /// # Errors
    /// [`SinkError`] when the note could not be made.
    fn state(&mut self, _change: &StateChange) -> Result<(), SinkError> {
        Ok(())
    }

    /// Called a few times a second while there is no frame to show, so that a window still answers.
    ///
    /// # Errors
    /// [`SinkError::Closed`] when nobody looks any more.
    fn idle(&mut self) -> Result<(), SinkError> {
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
    /// A framebuffer can't be used.
    #[error("screen {}: {message}", path.display())]
    Framebuffer {
        /// The device.
        path: PathBuf,
        /// What happened and what to do.
        message: String,
    },
    /// A window can't be opened.
    #[error("window: {message}; on a machine without a desktop use `--display none`")]
    Window {
        /// The window system's words.
        message: String,
    },
    /// A run came to its end, but without some of what it should have written.
    #[error("not all could be written; what stands above says what is missing, and why")]
    Incomplete,
    /// The web page can't be served.
    #[error(
        "web page at {address}: can't be served ({source}); choose another address or port with `--web`"
    )]
    Web {
        /// Where it was to be.
        address: SocketAddr,
        /// The system's words.
        source: std::io::Error,
    },
    /// A thread that a sink needs can't be started.
    #[error("no thread could be started for {what} ({source}); end other programs and try again")]
    Thread {
        /// The sink.
        what: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
    /// Nobody looks any more, as the window was closed or the reader of a pipe has left: the run is done.
    #[error("nobody looks any more: the window or the pipe was closed")]
    Closed,
}
