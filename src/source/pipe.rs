//! Pipes and devices as a source: standard input, and named pipes.
//!
//! A file on standard input is a recording, anything else is a live stream.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};

use super::cancellable_reader::{CancellableReader, ReadCancelHandle};
use super::stream::{StreamKind, StreamSource};
use super::{CancelHandle, FrameSource, SourceError};
use crate::frame::Frame;

/// The name of standard input in error messages.
const STDIN: &str = "standard input";

/// How to use standard input.
const STDIN_EXAMPLE: &str = "pipe frames into boxcam: `ffmpeg -i FILE -f mjpeg - | boxcam run --source -`, or \
                             `rpicam-vid -n -t 0 --codec mjpeg -o - | boxcam run --source -`";

/// How to use a named pipe.
const PIPE_EXAMPLE: &str = "let a program write frames to it, as `ffmpeg -i FILE -f mjpeg -y PIPE`";

/// Frames from a pipe.
#[derive(Debug)]
pub struct PipeSource {
    name: String,
    /// What to do if nothing comes.
    example: &'static str,
    stream: StreamSource<CancellableReader>,
    cancel: ReadCancelHandle,
    has_begun: bool,
}

/// Standard input, by what is connected to it.
#[derive(Debug)]
pub enum StdinInput {
    /// A pipe or a device, whose frames are lost if they are not read in time.
    Live(PipeSource),
    /// A file, whose frames wait.
    File(PipeSource),
}

impl PipeSource {
    /// Opens standard input. A JPEG may be scaled down, but not below the width and height of `min_size`.
    ///
    /// # Errors
    /// [`SourceError::Stream`] if it is a terminal or can't be used.
    pub fn stdin(min_size: (u32, u32)) -> Result<StdinInput, SourceError> {
        let unusable = |error: io::Error| {
            pipe_error(STDIN, format!("can't be used ({error}); {STDIN_EXAMPLE}"))
        };
        let stdin = io::stdin().as_fd().try_clone_to_owned();
        let stdin = stdin.map_err(unusable)?;
        let stat = fstat(&stdin).map_err(|error| unusable(error.into()))?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let kind = StreamKind::Recording;
                StdinInput::File(Self::new(STDIN, STDIN_EXAMPLE, stdin, kind, min_size)?)
            }
            _ => {
                let kind = StreamKind::Live;
                StdinInput::Live(Self::new(STDIN, STDIN_EXAMPLE, stdin, kind, min_size)?)
            }
        })
    }

    /// Opens a named pipe or a device, without waiting for a program that writes to it. A JPEG may be scaled down, but
    /// not below the width and height of `min_size`.
    ///
    /// # Errors
    /// [`SourceError::Open`], or [`SourceError::Stream`] if it is a terminal.
    pub fn open(path: &Path, min_size: (u32, u32)) -> Result<Self, SourceError> {
        let unusable = |source: io::Error| SourceError::Open {
            path: path.to_path_buf(),
            source,
        };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let opened = open(path, flags, Mode::empty());
        let pipe = opened.map_err(|error| unusable(error.into()))?;
        let name = path.display().to_string();
        Self::new(&name, PIPE_EXAMPLE, pipe, StreamKind::Live, min_size)
    }

    fn new(
        name: &str,
        example: &'static str,
        pipe: OwnedFd,
        kind: StreamKind,
        min_size: (u32, u32),
    ) -> Result<Self, SourceError> {
        if rustix::termios::isatty(&pipe) {
            return Err(pipe_error(name, format!("is a terminal; {example}")));
        }
        let reader = CancellableReader::new(pipe);
        let reader =
            reader.map_err(|error| pipe_error(name, format!("can't be used ({error})")))?;
        Ok(Self {
            name: name.to_owned(),
            example,
            cancel: reader.cancel_handle(),
            stream: StreamSource::new(name, reader, kind, min_size),
            has_begun: false,
        })
    }
}

impl FrameSource for PipeSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        let next = self.stream.next_frame();
        if self.cancel.is_cancelled() {
            return Ok(None);
        }
        if matches!(next, Ok(None)) && !self.has_begun {
            return Err(pipe_error(
                &self.name,
                format!("is empty; {}", self.example),
            ));
        }
        self.has_begun = true;
        next
    }

    fn defer_decoding(&mut self) {
        self.stream.defer_decoding();
    }

    /// Ends the stream for this source; the rest is not read.
    fn cancel_handle(&self) -> Option<CancelHandle> {
        let handle = self.cancel.clone();
        Some(Box::new(move || handle.cancel()))
    }
}

fn pipe_error(name: &str, message: String) -> SourceError {
    SourceError::Stream {
        stream: name.to_owned(),
        message,
    }
}
