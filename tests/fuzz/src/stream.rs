//! A stream of frames.

use std::io::{self, Read};

use boxcam::source::FrameSource;
use boxcam::source::stream::{StreamKind, StreamSource};

use crate::Bounds;

/// Reads all frames. The first byte of the input is the number of bytes that each read returns, as a pipe returns them.
pub(crate) fn run(bytes: &[u8], start: &[u8]) {
    let Some((&step, bytes)) = bytes.split_first() else {
        return;
    };
    let reader = Pieces {
        bytes: &[start, bytes].concat(),
        step: usize::from(step) + 1,
    };
    let mut source = StreamSource::new("fuzz", reader, StreamKind::Recording, (8, 8));
    let mut frames = 0;
    Bounds::PICTURE.check(|| {
        while let Ok(true) = next(&mut source) {
            frames += 1;
            assert!(frames <= start.len() + bytes.len(), "the stream ends");
        }
    });
}

/// Whether there may be another frame: a broken one does not end a stream.
fn next(source: &mut impl FrameSource) -> Result<bool, boxcam::source::SourceError> {
    match source.next_frame() {
        Err(boxcam::source::SourceError::BrokenFrame { .. }) => Ok(true),
        frame => frame.map(|frame| frame.is_some()),
    }
}

struct Pieces<'a> {
    bytes: &'a [u8],
    step: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.step.min(self.bytes.len()).min(buffer.len());
        let (piece, rest) = self.bytes.split_at(length);
        buffer[..length].copy_from_slice(piece);
        self.bytes = rest;
        Ok(length)
    }
}
