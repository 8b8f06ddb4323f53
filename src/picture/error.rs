//! Errors of picture files, and the limit on their size.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use image::ImageError;
use thiserror::Error;

use super::FileKind;
use crate::diagnostics::reading_advice;

/// The most pixels that a picture may have: 64 Mi, as in 8192 x 8192.
pub const MAX_PIXELS: u64 = 64 * 1024 * 1024;

/// A picture file that can't be read or decoded.
#[derive(Debug, Error)]
pub enum PictureError {
    #[error("picture {}: can't be read ({source}); {}", path.display(), reading_advice(source))]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("picture {}: is a folder; name the files in it instead", path.display())]
    Folder { path: PathBuf },
    #[error("picture {}: is empty (0 bytes); copy it again", path.display())]
    Empty { path: PathBuf },
    #[error(
        "picture {}: is not a JPEG, PNG, WebP or BMP file (it starts with the bytes {start}); convert it to one of \
         these formats",
        path.display()
    )]
    NotAPicture {
        path: PathBuf,
        /// The first bytes, in hexadecimal.
        start: String,
    },
    #[error("picture {}: is {kind}, which boxcam does not read; {}", path.display(), kind.advice(path))]
    OtherKind { path: PathBuf, kind: FileKind },
    #[error("picture {}: is {width} x {height} pixels, expected at least 1 x 1; save it again", path.display())]
    ZeroSized {
        path: PathBuf,
        width: u32,
        height: u32,
    },
    #[error(
        "picture {}: is {width} x {height} pixels, the limit is {MAX_PIXELS} pixels (8192 x 8192); \
         scale it down first",
        path.display()
    )]
    TooLarge {
        path: PathBuf,
        width: u32,
        height: u32,
    },
    #[error("picture {}: the {format} is cut off after {length} bytes; copy it again", path.display())]
    Truncated {
        path: PathBuf,
        format: &'static str,
        /// Bytes of the file.
        length: usize,
    },
    /// The file is damaged, or of a variant that the decoder does not support.
    #[error("picture {}: the {format} can't be decoded ({message}); save it again as 8-bit {format} or PNG", path.display())]
    Decode {
        path: PathBuf,
        format: &'static str,
        /// The decoder's message.
        message: String,
    },
}

impl PictureError {
    /// The file that can't be used.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. }
            | Self::Folder { path }
            | Self::Empty { path }
            | Self::NotAPicture { path, .. }
            | Self::OtherKind { path, .. }
            | Self::ZeroSized { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Truncated { path, .. }
            | Self::Decode { path, .. } => path,
        }
    }
}

/// Encoded bytes that can't be decoded, wherever they come from.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A side has no pixels: width and height.
    #[error("the picture is {0} x {1} pixels")]
    ZeroSized(u32, u32),
    /// It has more than [`MAX_PIXELS`]: width and height.
    #[error("the picture is {0} x {1} pixels, the limit is {MAX_PIXELS} pixels")]
    TooLarge(u32, u32),
    /// The data ends before the picture does, after this number of bytes.
    #[error("the picture is cut off after {0} bytes")]
    Truncated(usize),
    /// It is damaged or not supported; with the decoder's message.
    #[error("the picture can't be decoded: {0}")]
    Invalid(String),
}

impl DecodeError {
    /// The error of an image decoder, for data of this number of bytes.
    pub(super) fn from_image(error: ImageError, length: usize) -> Self {
        match error {
            ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Self::Truncated(length)
            }
            other => Self::Invalid(other.to_string()),
        }
    }

    /// The error with the file that it occurred in.
    pub(super) fn in_file(self, path: &Path, format: &'static str) -> PictureError {
        let path = path.to_path_buf();
        match self {
            Self::ZeroSized(width, height) => PictureError::ZeroSized {
                path,
                width,
                height,
            },
            Self::TooLarge(width, height) => PictureError::TooLarge {
                path,
                width,
                height,
            },
            Self::Truncated(length) => PictureError::Truncated {
                path,
                format,
                length,
            },
            Self::Invalid(message) => PictureError::Decode {
                path,
                format,
                message,
            },
        }
    }
}

pub(super) fn check_size(width: u32, height: u32) -> Result<(), DecodeError> {
    if width == 0 || height == 0 {
        Err(DecodeError::ZeroSized(width, height))
    } else if u64::from(width) * u64::from(height) > MAX_PIXELS {
        Err(DecodeError::TooLarge(width, height))
    } else {
        Ok(())
    }
}
