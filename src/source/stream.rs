//! A stream of frames from standard input or a program: motion JPEG or YUV4MPEG2.
//!
//! The format is detected from the first bytes. A frame that is damaged, cut off or too large is an error, after which
//! the next frame is found; memory stays bounded for any input. JPEGs are scaled down while they are decoded if they are
//! larger than needed. Frames of a live stream have the current time, frames of a recording have a position.

use std::io::{self, Read};
use std::time::Duration;

use super::stored_jpeg::Decoding;
use super::{FrameSource, SourceError};
use crate::frame::{Frame, FrameImage, Origin};

mod buffer;
mod mjpeg;
mod yuv4mpeg;

use buffer::{Chunk, MAX_GARBAGE, StreamBuffer};

/// Frames a second of a motion JPEG recording, which has no rate of its own; ffmpeg's default too.
const MJPEG_RATE: u64 = 25;

/// Whether frames are lost if they are not read in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// They are lost.
    Live,
    /// They wait in a file.
    Recording,
}

/// Frames from a stream.
#[derive(Debug)]
pub struct StreamSource<R> {
    name: String,
    buffer: StreamBuffer<R>,
    format: Option<Format>,
    kind: StreamKind,
    min_size: (u32, u32),
    decoding: Decoding,
    sequence: u64,
    /// Whether a frame could be read.
    has_frame: bool,
    /// Frames that could not be read before the first that could, and the reason for the last of them.
    refused: u64,
    last_reason: String,
}

#[derive(Debug)]
enum Format {
    MotionJpeg,
    /// With the latest header, once one was read.
    Yuv4Mpeg(Option<yuv4mpeg::Header>),
}

impl<R: Read> StreamSource<R> {
    /// A source over a reader; `name` is used in error messages. A JPEG may be scaled down to 1/2, 1/4 or 1/8, but not
    /// below the width and height of `min_size`, in pixels.
    pub fn new(name: impl Into<String>, reader: R, kind: StreamKind, min_size: (u32, u32)) -> Self {
        Self {
            name: name.into(),
            buffer: StreamBuffer::new(reader),
            format: None,
            kind,
            min_size,
            decoding: Decoding::AtOnce,
            sequence: 0,
            has_frame: false,
            refused: 0,
            last_reason: String::new(),
        }
    }

    #[cfg(target_os = "linux")]
    pub(super) fn reader(&self) -> &R {
        self.buffer.reader()
    }

    /// Waits for the first byte; false if the stream ends without one.
    #[cfg(target_os = "linux")]
    pub(super) fn wait_for_data(&mut self) -> Result<bool, SourceError> {
        let has_data = self.buffer.ensure(1);
        has_data.map_err(|error| self.unreadable(&error))
    }

    fn next_chunk(&mut self) -> Result<Chunk, SourceError> {
        if self.format.is_none() {
            self.format = self.detect_format()?;
        }
        let next = match &mut self.format {
            None => Ok(Chunk::End),
            Some(Format::MotionJpeg) => mjpeg::next(&mut self.buffer),
            Some(Format::Yuv4Mpeg(header)) => yuv4mpeg::next(&mut self.buffer, header),
        };
        next.map_err(|error| self.unreadable(&error))
    }

    /// `None` if the stream has no bytes.
    fn detect_format(&mut self) -> Result<Option<Format>, SourceError> {
        let (mut length, mut searched) = (yuv4mpeg::MAGIC.len(), 0);
        loop {
            let has_more = self.buffer.ensure(length);
            let has_more = has_more.map_err(|error| self.unreadable(&error))?;
            let bytes = self.buffer.bytes();
            if bytes.starts_with(yuv4mpeg::MAGIC) {
                return Ok(Some(Format::Yuv4Mpeg(None)));
            }
            let mut windows = bytes[searched..].windows(mjpeg::START.len());
            if windows.any(|window| window == mjpeg::START) {
                return Ok(Some(Format::MotionJpeg));
            }
            if bytes.is_empty() {
                return Ok(None);
            }
            if !has_more || length > MAX_GARBAGE || is_h264(bytes) {
                return Err(self.stream_error(unknown_format(bytes)));
            }
            searched = bytes.len() + 1 - mjpeg::START.len();
            length = bytes.len() + 1;
        }
    }

    fn decode(&self, begin: usize, end: usize) -> Result<FrameImage, SourceError> {
        let bytes = &self.buffer.bytes()[begin..end];
        match &self.format {
            Some(Format::Yuv4Mpeg(header)) => header
                .as_ref()
                .and_then(|header| header.picture(bytes))
                .map(FrameImage::from)
                .ok_or_else(|| self.corrupt_frame("its planes are incomplete".to_owned())),
            _ => (self.decoding)
                .image(bytes, self.min_size)
                .map_err(|error| self.corrupt_frame(error.to_string())),
        }
    }

    fn position(&self, number: u64) -> Option<Duration> {
        match (&self.format, self.kind) {
            (_, StreamKind::Live) => None,
            (Some(Format::Yuv4Mpeg(header)), _) => header.as_ref()?.position(number),
            _ => Some(Duration::from_millis(
                number.saturating_mul(1000 / MJPEG_RATE),
            )),
        }
    }

    fn unreadable(&self, error: &io::Error) -> SourceError {
        self.stream_error(format!("can't be read ({error}); check what sends it"))
    }

    fn stream_error(&self, message: String) -> SourceError {
        SourceError::Stream {
            stream: self.name.clone(),
            message,
        }
    }

    fn corrupt_frame(&self, message: String) -> SourceError {
        SourceError::BrokenFrame {
            stream: self.name.clone(),
            message,
        }
    }
}

impl<R: Read> StreamSource<R> {
    fn read_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        match self.next_chunk()? {
            Chunk::End => Ok(None),
            Chunk::Unsupported(message) => Err(self.stream_error(message)),
            Chunk::Corrupt(message) => {
                self.sequence += 1;
                Err(self.corrupt_frame(message))
            }
            Chunk::Frame { begin, end } => {
                // The time of arrival, before the frame is decoded.
                let frame = Frame::new(self.sequence, Origin::Live, FrameImage::default());
                self.sequence += 1;
                let image = self.decode(begin, end);
                self.buffer.consume(end);
                Ok(Some(Frame {
                    position: self.position(frame.sequence),
                    image: image?,
                    ..frame
                }))
            }
        }
    }

    /// What came of a stream that has ended without a readable frame.
    fn without_frames(&self) -> SourceError {
        let (bytes, refused) = (self.buffer.total(), self.refused);
        self.stream_error(match refused {
            0 => format!("brought no frame in {bytes} bytes; check what sends it"),
            _ => format!(
                "brought no readable frame: {bytes} bytes, {refused} unreadable frames, the last: {}; check what sends it",
                self.last_reason
            ),
        })
    }
}

impl<R: Read + Send> FrameSource for StreamSource<R> {
    /// The end of a stream that has brought bytes but no readable frame is an error.
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        let next = self.read_frame();
        match &next {
            Ok(Some(_)) => self.has_frame = true,
            Ok(None) if !self.has_frame && self.buffer.total() > 0 => {
                return Err(self.without_frames());
            }
            Err(SourceError::BrokenFrame { message, .. }) if !self.has_frame => {
                self.refused += 1;
                self.last_reason.clone_from(message);
            }
            Ok(None) | Err(_) => {}
        }
        next
    }

    fn defer_decoding(&mut self) {
        self.decoding = Decoding::WhenNeeded;
    }
}

/// Whether a file is a stream of frames rather than a picture. One JPEG is a stream only if its name says so.
pub(super) fn is_stream(file: impl Read, is_named_so: bool) -> io::Result<bool> {
    let mut buffer = StreamBuffer::new(file);
    buffer.ensure(yuv4mpeg::MAGIC.len())?;
    if buffer.bytes().starts_with(yuv4mpeg::MAGIC) {
        return Ok(true);
    }
    let is_jpeg = buffer.bytes().starts_with(&mjpeg::START);
    if is_named_so && is_jpeg {
        return Ok(true);
    }
    if !is_jpeg && !is_named_so && !buffer.bytes().trim_ascii_start().starts_with(b"--") {
        return Ok(false);
    }
    mjpeg::has_frames(&mut buffer, if is_jpeg { 2 } else { 1 })
}

/// Whether the bytes start like H.264 or H.265.
fn is_h264(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0, 0, 0, 1]) || bytes.starts_with(&[0, 0, 1])
}

fn unknown_format(bytes: &[u8]) -> String {
    let start = bytes.iter().take(8).map(|byte| format!("{byte:02x}"));
    let start = start.collect::<Vec<_>>().join(" ");
    let advice = if is_h264(bytes) {
        "it looks like H.264; send JPEGs instead: `rpicam-vid --codec mjpeg`, or `ffmpeg ... -f mjpeg -`"
    } else {
        "convert it: `ffmpeg -i FILE -f mjpeg - | boxcam run --source -`"
    };
    format!("is neither motion JPEG nor YUV4MPEG2 (it starts with the bytes {start}); {advice}")
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::picture::encode_jpeg;

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let picture = RgbImage::from_pixel(width, height, Rgb([200, 30, 30]));
        encode_jpeg(&picture, 75).expect("encoded")
    }

    fn source(stream: &[u8], kind: StreamKind) -> StreamSource<&[u8]> {
        StreamSource::new("test", stream, kind, (640, 480))
    }

    #[test]
    fn frames_of_a_recording_have_positions_and_live_frames_have_none() {
        let mjpeg = jpeg(32, 24).repeat(3);
        let y4m = [&b"YUV4MPEG2 W2 H2 F10:1\n"[..], &b"FRAME\n......".repeat(3)].concat();
        for (stream, step) in [(mjpeg, 40), (y4m, 100)] {
            let mut recorded = source(&stream, StreamKind::Recording);
            let mut live = source(&stream, StreamKind::Live);
            for number in 0..3 {
                let frame = recorded.next_frame().expect("valid").expect("not the end");
                let position = Duration::from_millis(number * step);
                assert_eq!((frame.sequence, frame.position), (number, Some(position)));
                let frame = live.next_frame().expect("valid").expect("not the end");
                assert_eq!((frame.sequence, frame.position), (number, None));
            }
            assert!(recorded.next_frame().expect("valid").is_none());
            assert!(live.next_frame().expect("valid").is_none());
        }
    }

    #[test]
    fn corrupt_frames_are_recoverable_errors() {
        let (small, large) = (jpeg(32, 24), jpeg(64, 48));
        let mut damaged = small.clone();
        let scan = damaged.windows(2).position(|pair| pair == [0xff, 0xda]);
        damaged.drain(scan.expect("a scan") + 15..damaged.len() - 2);
        let stream = [&small[..], &large[..300], &large, &damaged, &small].concat();
        let mut source = source(&stream, StreamKind::Live);
        let mut results = Vec::new();
        loop {
            match source.next_frame() {
                Ok(None) => break,
                Ok(Some(frame)) => results.push(Some((frame.sequence, frame.image.width()))),
                Err(error) => {
                    assert!(error.is_recoverable(), "{error}");
                    let message = error.to_string();
                    assert!(
                        message.starts_with("test: unreadable frame skipped: "),
                        "{message}"
                    );
                    results.push(None);
                }
            }
        }
        let expected = [Some((0, 32)), None, Some((2, 64)), None, Some((4, 32))];
        assert_eq!(results, expected);
    }

    #[test]
    fn a_large_jpeg_is_scaled_down() {
        let stream = jpeg(1920, 1080);
        let frame = source(&stream, StreamKind::Live).next_frame();
        let frame = frame.expect("valid").expect("not the end");
        assert_eq!(frame.image.dimensions(), (960, 540));
    }

    #[test]
    fn unsupported_streams_are_refused_with_advice() {
        let text = b"Once upon a time".repeat(10);
        let flood = vec![0x47; 8 * MAX_GARBAGE];
        let h264 = [&[0, 0, 0, 1, 0x67][..], &[7; 100]].concat();
        let cases = [
            (text, "starts with the bytes 4f 6e 63 65"),
            (flood, "neither motion JPEG nor YUV4MPEG2"),
            (h264, "--codec mjpeg"),
            (b"x".to_vec(), "starts with the bytes 78)"),
            (b"YUV4MPEG2 W4 H4 C420p10\n".to_vec(), "-pix_fmt yuv420p"),
        ];
        for (stream, message) in cases {
            let mut source = source(&stream, StreamKind::Live);
            let Err(error) = source.next_frame() else {
                panic!("{message}");
            };
            assert!(!error.is_recoverable(), "{error}");
            assert!(error.to_string().contains(message), "{error}");
        }
        assert!(
            source(b"", StreamKind::Live)
                .next_frame()
                .expect("valid")
                .is_none()
        );
    }

    #[test]
    fn random_damage_never_ends_a_stream_early() {
        let mut random = fastrand::Rng::with_seed(3);
        let y4m = [
            &b"YUV4MPEG2 W8 H8\n"[..],
            &[b"FRAME\n", &[90; 96][..]].concat().repeat(40),
        ]
        .concat();
        // Long enough: a damaged length of a segment may take 64 KiB with it.
        for stream in [jpeg(64, 48).repeat(200), y4m] {
            for _ in 0..60 {
                let mut stream = stream.clone();
                for _ in 0..10 {
                    let at = random.usize(100..stream.len());
                    match random.u8(..3) {
                        0 => stream[at] = random.u8(..),
                        1 => drop(stream.drain(at..(at + random.usize(..90)).min(stream.len()))),
                        _ => drop(stream.splice(at..at, [0xff, 0xd8, 0xff, 0xda])),
                    }
                }
                let mut source = source(&stream, StreamKind::Live);
                let mut frames = 0;
                loop {
                    match source.next_frame() {
                        Ok(None) => break,
                        Ok(Some(_)) => frames += 1,
                        Err(error) => assert!(error.is_recoverable(), "{error}"),
                    }
                }
                assert!(frames >= 3, "{frames}");
            }
        }
    }
}
