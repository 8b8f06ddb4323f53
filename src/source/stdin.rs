//! Standard input as a source: a file is a recording, anything else is a live stream.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{FileType, fstat};

use super::cancellable_reader::{CancellableReader, ReadCancelHandle};
use super::stream::{StreamKind, StreamSource};
use super::{CancelHandle, FrameSource, SourceError};
use crate::frame::Frame;

/// The name in error messages.
const NAME: &str = "standard input";

/// How to use standard input.
const EXAMPLE: &str = "pipe frames into boxcam: `ffmpeg -i FILE -f mjpeg - | boxcam run --source -`, or \
                       `rpicam-vid -n -t 0 --codec mjpeg -o - | boxcam run --source -`";

/// Frames from standard input.
#[derive(Debug)]
pub struct StdinSource {
    stream: StreamSource<CancellableReader>,
    cancel: ReadCancelHandle,
    has_begun: bool,
}

/// Standard input, by what is connected to it.
#[derive(Debug)]
pub enum StdinInput {
    /// A pipe or a device, whose frames are lost if they are not read in time.
    Live(StdinSource),
    /// A file, whose frames wait.
    File(StdinSource),
}

impl StdinSource {
    /// Opens standard input. A JPEG may be scaled down, but not below the width and height of `min_size`.
    ///
    /// # Errors
    /// [`SourceError::Stream`] if it is a terminal or can't be used.
    pub fn open(min_size: (u32, u32)) -> Result<StdinInput, SourceError> {
        let stdin = io::stdin();
        if rustix::termios::isatty(&stdin) {
            return Err(stdin_error(format!("is a terminal; {EXAMPLE}")));
        }
        let unusable =
            |error: io::Error| stdin_error(format!("can't be used ({error}); {EXAMPLE}"));
        let stat = fstat(&stdin).map_err(|error| unusable(error.into()))?;
        let stream = stdin.as_fd().try_clone_to_owned();
        let input = stream.and_then(CancellableReader::new).map_err(unusable)?;
        let source = |kind| Self {
            cancel: input.cancel_handle(),
            stream: StreamSource::new(NAME, input, kind, min_size),
            has_begun: false,
        };
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => StdinInput::File(source(StreamKind::Recording)),
            _ => StdinInput::Live(source(StreamKind::Live)),
        })
    }
}

impl FrameSource for StdinSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        let next = self.stream.next_frame();
        if matches!(next, Ok(None)) && !self.has_begun && !self.cancel.is_cancelled() {
            return Err(stdin_error(format!("is empty; {EXAMPLE}")));
        }
        self.has_begun = true;
        next
    }

    /// Ends the stream for this source; the rest is not read.
    fn cancel_handle(&self) -> Option<CancelHandle> {
        let handle = self.cancel.clone();
        Some(Box::new(move || handle.cancel()))
    }
}

fn stdin_error(message: String) -> SourceError {
    SourceError::Stream {
        stream: NAME.to_owned(),
        message,
    }
}
