//! Where frames come from: what every source offers.
//!
//! A source settles the pixel format and hands on [`Frame`]s. A *live* source goes on whether anybody
//! looks or not, so the pipeline drops what it can't keep up with; any other is replayed without dropping:
//! same input, same output. A source knows nothing of models and displays.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::frame::{Frame, UnreadableFrame};
use crate::picture::PictureError;

#[cfg(all(feature = "camera", target_os = "linux"))]
pub mod camera;
#[cfg(feature = "demo")]
pub mod demo;
pub mod pictures;
#[cfg(target_os = "linux")]
pub mod rpicam;
pub mod stream;
mod yuv;

/// A source of frames.
pub trait FrameSource: Send {
    /// The next frame, or `None` at the end. May wait for it as long as the device takes.
    ///
    /// # Errors
    /// [`SourceError`]; after one of which [`SourceError::is_recoverable`] is true the source can be asked
    /// for the next frame.
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError>;

    /// What breaks off a `next_frame` that hangs, called from another thread when the source is given up.
    /// `None` where a read can't hang for long, or nothing can break it off.
    fn cancel_handle(&self) -> Option<CancelHandle> {
        None
    }
}

/// Makes a `next_frame` that hangs in another thread return soon.
pub type CancelHandle = Box<dyn Fn() + Send>;

/// Opens a source, the first time and each time after it was given up.
pub type SourceFactory = Box<dyn FnMut() -> Result<Box<dyn FrameSource>, SourceError> + Send>;

/// A source that has no frame to give.
#[derive(Debug, Error)]
pub enum SourceError {
    /// One picture of several can't be read.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A folder can't be listed.
    #[error("folder {}: can't be listed ({source}); check the path and its permissions", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A folder has no picture in it.
    #[error("folder {}: has no picture in it; boxcam reads JPEG, PNG, WebP and BMP", path.display())]
    NoPictures {
        /// The folder.
        path: PathBuf,
    },
    /// One frame of a stream can't be read.
    #[error("{stream}: a frame can't be read ({message}); it is passed over")]
    BrokenFrame {
        /// The source.
        stream: String,
        /// What is wrong with it.
        message: String,
    },
    /// A program or standard input can't give frames, or stopped giving them.
    #[error("{stream}: {message}")]
    Stream {
        /// The source.
        stream: String,
        /// What happened and what to do.
        message: String,
    },
    /// A camera can't be opened or stopped giving frames.
    #[error("camera {device}: {message}")]
    Camera {
        /// The device.
        device: String,
        /// What happened and what to do.
        message: String,
    },
}

impl SourceError {
    /// Whether only one picture or folder is lost and the source has more to give.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        self.path().is_some() || matches!(self, Self::BrokenFrame { .. })
    }

    /// The frame that is left out, if the source can go on after this error.
    #[must_use]
    pub fn unreadable_frame(&self) -> Option<UnreadableFrame> {
        self.is_recoverable().then(|| UnreadableFrame {
            path: self.path().map(Path::to_path_buf),
            reason: self.to_string(),
        })
    }

    /// The picture or folder that can't be read.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Picture(error) => Some(error.path()),
            Self::Folder { path, .. } | Self::NoPictures { path } => Some(path),
            Self::BrokenFrame { .. } | Self::Stream { .. } | Self::Camera { .. } => None,
        }
    }
}
