//! Where frames come from: what every source offers.
//!
//! A source settles the pixel format and hands on [`Frame`]s. A *live* source goes on whether anybody
//! looks or not, so the pipeline drops what it can't keep up with; any other is replayed without dropping:
//! same input, same output. A source knows nothing of models and displays.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use crate::frame::Frame;
use crate::picture::PictureError;

#[cfg(all(feature = "camera", target_os = "linux"))]
pub mod camera;
#[cfg(feature = "demo")]
pub mod demo;
pub mod pictures;

/// A source of frames.
pub trait FrameSource: Send {
    /// The next frame, or `None` at the end. May wait for it as long as the device takes.
    ///
    /// # Errors
    /// [`SourceError`]; after one of which [`SourceError::source_goes_on`] is true the source can be asked
    /// for the next frame.
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError>;

    /// Whether frames go by when nobody asks for them.
    fn is_live(&self) -> bool;
}

/// Which camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CameraChoice {
    /// The first that gives pictures.
    First,
    /// The one with this number: 0 is `/dev/video0`.
    Number(u32),
    /// The one with this device file, or a link to it.
    Device(PathBuf),
}

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
    pub fn source_goes_on(&self) -> bool {
        self.path().is_some()
    }

    /// The picture or folder that can't be read.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Picture(error) => Some(error.path()),
            Self::Folder { path, .. } | Self::NoPictures { path } => Some(path),
            Self::Camera { .. } => None,
        }
    }
}

impl FromStr for CameraChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number) = text.parse() {
            Ok(Self::Number(number))
        } else if text.starts_with('/') {
            Ok(Self::Device(text.into()))
        } else {
            Err(format!(
                "\"camera:{text}\" is no camera; expected camera:0 or camera:/dev/video0"
            ))
        }
    }
}
