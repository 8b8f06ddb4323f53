//! The interfaces of the outputs. A sink writes, sends or serves frames and their reports; a display shows them.
//!
//! Neither changes a frame or a report, or waits for user input while frames come. A sink gets public frames only, in which
//! the things of hidden classes are pixelated ([`crate::privacy`]).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use thiserror::Error;

use crate::diagnostics::writing_advice;
use crate::frame::{Frame, UnreadableFrame};
use crate::health::StateChange;
use crate::output_file::OutputFileError;
use crate::privacy::PublicFrame;
use crate::report::Report;

mod budget_folder;
pub mod clips;
pub mod collect;
#[cfg(any(feature = "window", all(feature = "framebuffer", target_os = "linux")))]
mod compositor;
pub mod console_stats;
mod event_names;
mod folder_writer;
mod frame_times;
#[cfg(all(feature = "framebuffer", target_os = "linux"))]
pub mod framebuffer;
pub mod json;
pub mod log;
#[cfg(feature = "mqtt")]
pub mod mqtt;
#[cfg(target_os = "linux")]
pub mod on_event;
pub mod picture_files;
#[cfg(any(feature = "mqtt", feature = "web"))]
mod presence;
#[cfg(target_os = "linux")]
pub mod service;
pub mod snapshots;
#[cfg(feature = "web")]
pub mod web;
#[cfg(feature = "window")]
pub mod window;
mod write_failures;
#[cfg(any(feature = "mqtt", feature = "web"))]
mod zone_fields;

/// Writes, sends or serves frames and reports.
pub trait Sink {
    /// Handles one frame and its report.
    ///
    /// # Errors
    /// [`SinkError`] if the output fails for good. It ends the run.
    fn show(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError>;

    /// Whether the sink ignores reports without events, so that such frames are not queued for it. Called once,
    /// before the run.
    fn events_only(&self) -> bool {
        false
    }

    /// Whether the sink gets frames that were not computed, by [`Sink::on_rested_frame`]. Called once, before the run.
    fn wants_rested_frames(&self) -> bool {
        false
    }

    /// Whether the sink gets frames of a live source that the model did not get, since it was busy, by
    /// [`Sink::on_skipped_frame`]. It gets none while classes are hidden: nobody knows where they are. Called once, before the run.
    fn wants_skipped_frames(&self) -> bool {
        false
    }

    /// Handles a frame that the model did not get. It comes before the report of any later frame; that of an earlier one may
    /// still follow.
    ///
    /// # Errors
    /// [`SinkError`], as [`Sink::show`].
    fn on_skipped_frame(&mut self, _frame: &PublicFrame) -> Result<(), SinkError> {
        Ok(())
    }

    /// Handles a frame that was not computed, since nothing moved in it or the rate is limited. `report` is the last one, with
    /// the present tracks; it has no events.
    ///
    /// # Errors
    /// [`SinkError`], as [`Sink::show`].
    fn on_rested_frame(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        match self.wants_rested_frames() {
            true => self.show(frame, report),
            false => Ok(()),
        }
    }

    /// Handles the end of the open tracks at the end of the run, before a model swap or after a gap between frames.
    /// `frame` is the last one that was shown: sinks that count frames must not count it again. By default, sinks
    /// that only want events show it.
    ///
    /// # Errors
    /// [`SinkError`], as [`Sink::show`].
    fn on_track_ended(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        if self.events_only() {
            self.show(frame, report)
        } else {
            Ok(())
        }
    }

    /// Handles a picture or frame that cannot be read.
    ///
    /// # Errors
    /// [`SinkError`], as [`Sink::show`].
    fn on_unreadable_frame(&mut self, _unreadable: &UnreadableFrame) -> Result<(), SinkError> {
        Ok(())
    }

    /// Handles a change of the capture state, for example after the camera was unplugged.
    ///
    /// # Errors
    /// [`SinkError`], as [`Sink::show`].
    fn on_state_change(&mut self, _change: &StateChange) -> Result<(), SinkError> {
        Ok(())
    }

    /// Called once at the end of a recording: waits for what the sink has begun, or until `stop` becomes true.
    ///
    /// # Errors
    /// [`SinkError`] if the output fails for good.
    fn wait_until_done(&mut self, _stop: &AtomicBool) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Shows frames and reports to whoever stands before it. It never stores or sends them.
pub trait Display {
    /// Shows one frame with the latest report.
    ///
    /// # Errors
    /// [`SinkError`] if the display fails for good. It ends the run.
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError>;

    /// Handles a change of the capture state, for example after the camera was unplugged.
    ///
    /// # Errors
    /// [`SinkError`], as [`Display::show`].
    fn on_state_change(&mut self, _change: &StateChange) -> Result<(), SinkError> {
        Ok(())
    }

    /// Called a few times a second while there is no new frame, so that a window stays responsive.
    ///
    /// # Errors
    /// [`SinkError::Closed`] after the user has closed the window.
    fn idle(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Called once at the end of a recording: it stays open until the user closes it or `stop` becomes true.
    ///
    /// # Errors
    /// [`SinkError`] if the display fails.
    fn wait_until_closed(&mut self, _stop: &AtomicBool) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Why a sink cannot go on.
#[derive(Debug, Error)]
pub enum SinkError {
    #[error("{}: can't be written ({source}); {}", path.display(), writing_advice(source))]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A file exists that boxcam did not write, or may not replace.
    #[error(transparent)]
    Kept(OutputFileError),
    #[error("{}: the image can't be encoded ({source})", path.display())]
    Encode {
        path: PathBuf,
        source: image::ImageError,
    },
    #[error("screen {}: {message}", path.display())]
    Framebuffer {
        /// The device file.
        path: PathBuf,
        /// The cause and the next step.
        message: String,
    },
    #[error("window: {message}; on a machine without a desktop use `--display none`")]
    Window { message: String },
    /// A recording was processed to its end, but some of the output is missing.
    #[error("some output was lost; see the messages above for what and why")]
    Incomplete,
    #[error(
        "web page at {address}: can't be served ({source}); choose another address or port with `--web`"
    )]
    Web {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("the thread for {what} can't be started ({source}); end other programs and try again")]
    Thread {
        /// The sink that needs the thread.
        what: &'static str,
        source: std::io::Error,
    },
    /// The user closed the window, or the reader of the pipe exited. It ends the run without an error.
    #[error("the window or pipe was closed")]
    Closed,
}

impl From<OutputFileError> for SinkError {
    fn from(error: OutputFileError) -> Self {
        match error {
            OutputFileError::Write { path, source } => Self::Write { path, source },
            OutputFileError::Kept { .. } => Self::Kept(error),
        }
    }
}
