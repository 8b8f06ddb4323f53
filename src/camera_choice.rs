//! Which camera to open, as the user names it with `--source camera:...`.

use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// Which camera to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CameraChoice {
    /// The first one that sends frames.
    First,
    /// The one with this number: 0 is `/dev/video0`.
    Number(u32),
    /// The one with this device file, or a link to it.
    Device(PathBuf),
    /// The one with this entry in `/dev/v4l/by-id`, or the first whose name contains this text.
    Named(String),
}

/// A text that names no camera.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "\"camera:{0}\" names no camera; expected a number, a device file or a part of a camera's name, as camera:0, \
     camera:/dev/video0 or camera:C920"
)]
pub struct CameraChoiceError(String);

impl FromStr for CameraChoice {
    type Err = CameraChoiceError;

    fn from_str(text: &str) -> Result<Self, CameraChoiceError> {
        match text.trim() {
            "" => Err(CameraChoiceError(text.to_owned())),
            "auto" => Ok(Self::First),
            path if path.starts_with('/') => Ok(Self::Device(path.into())),
            name => match name.parse() {
                Ok(number) => Ok(Self::Number(number)),
                Err(_) => Ok(Self::Named(name.to_owned())),
            },
        }
    }
}
