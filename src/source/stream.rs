//! A stream of pictures, from standard input or a program: motion JPEG or YUV4MPEG2.
//!
//! In go bytes; which of the two they are is seen from the first of them. Out come RGB frames. A picture that
//! is damaged, cut off or too large is an error of its own and the next is found behind it; memory stays
//! bounded whatever comes. JPEGs are decoded no larger than needed. What is no picture stream at all is refused
//! with words. A live stream is read as it comes; a recording has a moment for each frame.

use std::io::Read;
use std::time::{Duration, Instant, SystemTime};

use image::RgbImage;

use super::{FrameSource, SourceError};
use crate::frame::{Frame, Origin};
use crate::picture::motion_jpeg;

mod buffer;
#[cfg(target_os = "linux")]
pub(super) mod input;
mod mjpeg;
mod piece;
#[cfg(target_os = "linux")]
pub mod stdin;
mod yuv;
mod yuv4mpeg;

use buffer::Buffer;
use piece::Chunk;

/// Frames a second of a motion JPEG recording, which doesn't say; ffmpeg thinks the same.
const MJPEG_RATE: u64 = 25;

/// Whether frames go by when nobody asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// They do.
    Live,
    /// They wait in a file.
    Recording,
}

/// Frames from a stream.
#[derive(Debug)]
pub struct StreamSource<R> {
    name: String,
    buffer: Buffer<R>,
    format: Option<Format>,
    pace: StreamKind,
    at_least: (u32, u32),
    sequence: u64,
}

#[derive(Debug)]
enum Format {
    MotionJpeg,
    /// With the latest header, once it was read.
    Yuv4Mpeg(Option<yuv4mpeg::Header>),
}

impl<R: Read> StreamSource<R> {
    /// A source over a stream; `name` is what errors call it. A JPEG that is larger than `at_least` (width and
    /// height in pixels) may be decoded at a half, a quarter or an eighth, but never smaller than that.
    pub fn new(name: impl Into<String>, reader: R, pace: StreamKind, at_least: (u32, u32)) -> Self {
        Self {
            name: name.into(),
            buffer: Buffer::new(reader),
            format: None,
            pace,
            at_least,
            sequence: 0,
        }
    }

    /// Where the bytes come from.
    #[cfg(target_os = "linux")]
    pub(super) fn reader(&self) -> &R {
        self.buffer.reader()
    }

    /// Waits for the first byte; false when the stream ends without one.
    #[cfg(target_os = "linux")]
    pub(super) fn has_begun(&mut self) -> Result<bool, SourceError> {
        let begun = self.buffer.ensure(1);
        begun.map_err(|error| unreadable(&self.name, &error))
    }

    fn piece(&mut self) -> Result<Chunk, SourceError> {
        if self.format.is_none() {
            self.format = self.recognise()?;
        }
        let next = match &mut self.format {
            None => Ok(Chunk::End),
            Some(Format::MotionJpeg) => mjpeg::next(&mut self.buffer),
            Some(Format::Yuv4Mpeg(header)) => yuv4mpeg::next(&mut self.buffer, header),
        };
        next.map_err(|error| unreadable(&self.name, &error))
    }

    /// Looks what the stream is; `None` when it has no bytes at all.
    fn recognise(&mut self) -> Result<Option<Format>, SourceError> {
        let (mut length, mut looked) = (yuv4mpeg::MAGIC.len(), 0);
        loop {
            let goes_on = self.buffer.ensure(length);
            let goes_on = goes_on.map_err(|error| unreadable(&self.name, &error))?;
            let bytes = self.buffer.bytes();
            let is_jpeg = |at: &[u8]| at == mjpeg::START;
            if bytes.starts_with(yuv4mpeg::MAGIC) {
                return Ok(Some(Format::Yuv4Mpeg(None)));
            }
            if bytes[looked..].windows(mjpeg::START.len()).any(is_jpeg) {
                return Ok(Some(Format::MotionJpeg));
            }
            if bytes.is_empty() {
                return Ok(None);
            }
            if !goes_on || length > mjpeg::MOST_GARBAGE || is_h264(bytes) {
                return Err(self.fault(unknown(bytes)));
            }
            looked = bytes.len() + 1 - mjpeg::START.len();
            length = bytes.len() + 1;
        }
    }

    fn decode(&self, begin: usize, end: usize) -> Result<RgbImage, String> {
        let bytes = &self.buffer.bytes()[begin..end];
        match &self.format {
            Some(Format::Yuv4Mpeg(header)) => header
                .as_ref()
                .and_then(|header| header.picture(bytes))
                .ok_or_else(|| "its planes are not whole".to_owned()),
            _ => motion_jpeg::decode(bytes, self.at_least),
        }
    }

    fn position(&self, number: u64) -> Option<Duration> {
        match (&self.format, self.pace) {
            (_, StreamKind::Live) => None,
            (Some(Format::Yuv4Mpeg(header)), _) => header.as_ref()?.moment(number),
            _ => Some(Duration::from_millis(
                number.saturating_mul(1000 / MJPEG_RATE),
            )),
        }
    }

    fn fault(&self, message: String) -> SourceError {
        SourceError::Stream {
            stream: self.name.clone(),
            message,
        }
    }

    fn broken(&self, message: String) -> SourceError {
        SourceError::BrokenFrame {
            stream: self.name.clone(),
            message,
        }
    }
}

impl<R: Read + Send> FrameSource for StreamSource<R> {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        let piece = self.piece()?;
        let (captured_at, time) = (Instant::now(), SystemTime::now());
        let sequence = self.sequence;
        match piece {
            Chunk::End => Ok(None),
            Chunk::Refused(message) => Err(self.fault(message)),
            Chunk::Broken(message) => {
                self.sequence += 1;
                Err(self.broken(message))
            }
            Chunk::Picture { begin, end } => {
                self.sequence += 1;
                let image = self.decode(begin, end);
                self.buffer.consume(end);
                Ok(Some(Frame {
                    sequence,
                    captured_at,
                    time,
                    position: self.position(sequence),
                    scene_start: false,
                    origin: Origin::Live,
                    image: image.map_err(|message| self.broken(message))?,
                }))
            }
        }
    }
}

fn unreadable(name: &str, error: &std::io::Error) -> SourceError {
    SourceError::Stream {
        stream: name.to_owned(),
        message: format!("can't be read ({error}); look at what sends it"),
    }
}

/// Whether it begins as H.264 and H.265 do.
fn is_h264(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0, 0, 0, 1]) || bytes.starts_with(&[0, 0, 1])
}

fn unknown(bytes: &[u8]) -> String {
    let start = bytes.iter().take(8).map(|byte| format!("{byte:02x}"));
    let start = start.collect::<Vec<_>>().join(" ");
    let advice = if is_h264(bytes) {
        "it looks like H.264; have it sent as JPEGs: `rpicam-vid --codec mjpeg`, or `ffmpeg ... -f mjpeg -`"
    } else {
        "convert it: `ffmpeg -i FILE -f mjpeg - | boxcam run --source -`"
    };
    format!("is neither motion JPEG nor YUV4MPEG2 (it begins with the bytes {start}); {advice}")
}

#[cfg(test)]
mod tests;
