//! Sources of frames: cameras, streams, picture files and the demo.
//!
//! A source converts its pixels to RGB and returns [`Frame`]s. Frames of a live source are lost if they are not read in
//! time, so the pipeline drops what it can't process; other sources are read without dropping, so the same input gives
//! the same output. Which kind a source is, its caller knows when it opens the source.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::diagnostics::reading_advice;
use crate::frame::{Frame, UnreadableFrame};
use crate::picture::{OtherFiles, PictureError};

#[cfg(all(feature = "camera", target_os = "linux"))]
pub mod camera;
#[cfg(target_os = "linux")]
mod cancellable_reader;
#[cfg(feature = "demo")]
pub mod demo;
pub mod given_path;
#[cfg(target_os = "linux")]
pub mod network;
pub mod pictures;
#[cfg(target_os = "linux")]
pub mod pipe;
#[cfg(target_os = "linux")]
pub mod program;
pub mod recording;
#[cfg(target_os = "linux")]
pub mod rpicam;
mod stored_jpeg;
pub mod stream;
mod yuv;

/// A source of frames.
pub trait FrameSource: Send {
    /// Waits for the next frame; `None` at the end.
    ///
    /// # Errors
    /// [`SourceError`]. If [`SourceError::is_recoverable`], the next frame can be requested.
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError>;

    /// A function that another thread calls to make a blocked `next_frame` return. `None` if `next_frame` never blocks
    /// for long, or can't be cancelled.
    fn cancel_handle(&self) -> Option<CancelHandle> {
        None
    }

    /// Lets JPEGs be decoded when their pixels are needed, and not before. A source of other images ignores it.
    fn defer_decoding(&mut self) {}

    /// A function that another thread calls to learn why a blocked `next_frame` may not return.
    fn message_handle(&self) -> Option<MessageHandle> {
        None
    }
}

/// Makes a blocked [`FrameSource::next_frame`] in another thread return soon.
pub type CancelHandle = Box<dyn Fn() + Send>;

/// What the program behind a source has said last, as a clause for a message; `None` if it has said nothing.
pub type MessageHandle = Box<dyn Fn() -> Option<String> + Send>;

/// Opens a source for the first time, and again after it failed.
pub type SourceFactory = Box<dyn FnMut() -> Result<Box<dyn FrameSource>, SourceError> + Send>;

/// An error of a source.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A picture file can't be read; others may follow.
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error("folder {}: can't be listed ({source}); {}", path.display(), reading_advice(source))]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
    /// Pictures or films of a format that boxcam does not read; the others in the folder follow.
    #[error("folder {}: {files}", folder.display())]
    OtherFiles { folder: PathBuf, files: OtherFiles },
    #[error("folder {}: contains no pictures; boxcam reads JPEG, PNG, WebP and BMP", path.display())]
    NoPictures { path: PathBuf },
    /// There is no such file, and the text names no other source.
    #[error("source {}: there is no such file or folder; {advice}", path.display())]
    Unknown { path: PathBuf, advice: &'static str },
    /// A file can't be opened as a source.
    #[error("source {}: can't be opened ({source}); {}", path.display(), reading_advice(source))]
    Open {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A recording can't be read, or has no readable frame.
    #[error("recording {}: {message}", path.display())]
    Recording {
        path: PathBuf,
        /// The cause and the next step.
        message: String,
    },
    /// A frame of a recording can't be read; others may follow.
    #[error("{}: unreadable frame {number} skipped: {message}", path.display())]
    BrokenRecordedFrame {
        path: PathBuf,
        /// The number of the frame, from 0.
        number: u64,
        /// What is wrong with the frame.
        message: String,
    },
    /// A frame of a camera or stream can't be read; others may follow.
    #[error("{stream}: unreadable frame skipped: {message}")]
    BrokenFrame {
        /// The name of the source.
        stream: String,
        /// What is wrong with the frame.
        message: String,
    },
    /// A program or standard input can't be read, or ended unexpectedly.
    #[error("{stream}: {message}")]
    Stream {
        /// The name of the source.
        stream: String,
        /// The cause and the next step.
        message: String,
    },
    /// A camera can't be opened, or failed.
    #[error("camera {device}: {message}")]
    Camera {
        device: String,
        /// The cause and the next step.
        message: String,
    },
}

impl SourceError {
    /// Whether only one picture, folder or frame is lost and the source can go on.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        self.path().is_some() || matches!(self, Self::BrokenFrame { .. })
    }

    /// The frame that is skipped, if the error is recoverable.
    #[must_use]
    pub fn unreadable_frame(&self) -> Option<UnreadableFrame> {
        self.is_recoverable().then(|| UnreadableFrame {
            path: self.path().map(Path::to_path_buf),
            reason: self.to_string(),
        })
    }

    /// The picture, folder or recording of which something can't be read.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Picture(error) => Some(error.path()),
            Self::Folder { path, .. }
            | Self::NoPictures { path }
            | Self::OtherFiles { folder: path, .. }
            | Self::Recording { path, .. }
            | Self::BrokenRecordedFrame { path, .. } => Some(path),
            Self::Unknown { .. }
            | Self::Open { .. }
            | Self::BrokenFrame { .. }
            | Self::Stream { .. }
            | Self::Camera { .. } => None,
        }
    }
}
