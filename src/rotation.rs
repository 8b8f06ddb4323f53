//! The clockwise rotation of the image on a screen.

use std::str::FromStr;

use thiserror::Error;

/// A clockwise rotation in steps of 90 degrees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rotation {
    #[default]
    None,
    /// By 90 degrees.
    Quarter,
    /// By 180 degrees.
    Half,
    /// By 270 degrees.
    ThreeQuarters,
}

/// A text that is not a [`Rotation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected 0, 90, 180 or 270")]
pub struct RotationError;

impl FromStr for Rotation {
    type Err = RotationError;

    fn from_str(text: &str) -> Result<Self, RotationError> {
        match text {
            "0" => Ok(Self::None),
            "90" => Ok(Self::Quarter),
            "180" => Ok(Self::Half),
            "270" => Ok(Self::ThreeQuarters),
            _ => Err(RotationError),
        }
    }
}
