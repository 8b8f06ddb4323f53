//! Standard input as a source: a file is a recording, anything else is live.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{FileType, fstat};

use super::input::{CancelToken, CancellableReader};
use super::{StreamKind, StreamSource};
use crate::frame::Frame;
use crate::source::{CancelHandle, FrameSource, SourceError};

/// What errors call it.
const NAME: &str = "standard input";

/// How standard input is meant to be used.
const EXAMPLE: &str = "pipe pictures into boxcam: `ffmpeg -i FILE -f mjpeg - | boxcam run --source -`, or \
                       `rpicam-vid -n -t 0 --codec mjpeg -o - | boxcam run --source -`";

/// Frames from standard input.
#[derive(Debug)]
pub struct StdinSource {
    stream: StreamSource<CancellableReader>,
    break_off: CancelToken,
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
    /// Takes standard input. A JPEG may be decoded at a part of its size, but not smaller than `at_least`.
    ///
    /// # Errors
    /// [`SourceError::Stream`] when it is a terminal, or nothing can wait for it.
    pub fn open(at_least: (u32, u32)) -> Result<StdinInput, SourceError> {
        let stdin = io::stdin();
        if rustix::termios::isatty(&stdin) {
            return Err(fault(format!("is a keyboard; {EXAMPLE}")));
        }
        let unusable = |error: io::Error| fault(format!("can't be used ({error}); {EXAMPLE}"));
        let stat = fstat(&stdin).map_err(|error| unusable(error.into()))?;
        let stream = stdin.as_fd().try_clone_to_owned();
        let input = stream.and_then(CancellableReader::new).map_err(unusable)?;
        let source = |pace| Self {
            break_off: input.break_off(),
            stream: StreamSource::new(NAME, input, pace, at_least),
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
        if matches!(next, Ok(None)) && !self.has_begun && !self.break_off.is_done() {
            return Err(fault(format!("has no picture; {EXAMPLE}")));
        }
        self.has_begun = true;
        next
    }

    /// Ends the stream for this source; what it has not read is left.
    fn cancel_handle(&self) -> Option<CancelHandle> {
        let break_off = self.break_off.clone();
        Some(Box::new(move || break_off.now()))
    }
}

fn fault(message: String) -> SourceError {
    SourceError::Stream {
        stream: NAME.to_owned(),
        message,
    }
}
