//! A file of motion JPEG or YUV4MPEG2 as a source: every frame, in order.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::stream::{StreamKind, StreamSource, is_stream};
use super::{FrameSource, SourceError};
use crate::frame::{Frame, Origin};

/// Extensions of motion JPEG. A file with one of them is a recording even if it has one frame.
const EXTENSIONS: [&str; 3] = ["mjpeg", "mjpg", "mjpe"];

/// JPEGs of a recording keep their size.
const FULL_SIZE: (u32, u32) = (u32::MAX, u32::MAX);

/// Frames of a recording, with their positions.
#[derive(Debug)]
pub struct RecordingSource {
    path: PathBuf,
    stream: StreamSource<File>,
    /// The number of the next frame, from 0.
    number: u64,
    has_failed: bool,
}

impl RecordingSource {
    /// # Errors
    /// [`SourceError::Open`].
    pub fn open(path: PathBuf) -> Result<Self, SourceError> {
        match File::open(&path) {
            Ok(file) => {
                let name = path.display().to_string();
                Ok(Self {
                    stream: StreamSource::new(name, file, StreamKind::Recording, FULL_SIZE),
                    path,
                    number: 0,
                    has_failed: false,
                })
            }
            Err(source) => Err(SourceError::Open { path, source }),
        }
    }
}

impl FrameSource for RecordingSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        if self.has_failed {
            return Ok(None);
        }
        let next = self.stream.next_frame();
        let number = self.number;
        self.number += 1;
        match next {
            Ok(Some(frame)) => Ok(Some(Frame {
                origin: Origin::Recording(self.path.clone()),
                ..frame
            })),
            Err(SourceError::BrokenFrame { message, .. }) => {
                Err(SourceError::BrokenRecordedFrame {
                    path: self.path.clone(),
                    number,
                    message,
                })
            }
            Err(SourceError::Stream { message, .. }) => {
                self.has_failed = true;
                Err(SourceError::Recording {
                    path: self.path.clone(),
                    message,
                })
            }
            next => next,
        }
    }

    fn defer_decoding(&mut self) {
        self.stream.defer_decoding();
    }
}

/// Whether a file holds a stream of frames, judged by its content: YUV4MPEG2, several JPEGs of one size, or parts of a
/// multipart message. One JPEG is a picture.
///
/// # Errors
/// If the file can't be opened or read.
pub fn is_recording(path: &Path) -> io::Result<bool> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_named_so = extension.is_some_and(|extension| {
        let mut known = EXTENSIONS.iter();
        known.any(|known| extension.eq_ignore_ascii_case(known))
    });
    is_stream(File::open(path)?, is_named_so)
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::picture::encode_jpeg;

    fn jpeg(side: u32) -> Vec<u8> {
        let picture = RgbImage::from_pixel(side, side, Rgb([9, 200, 30]));
        encode_jpeg(&picture, 80).expect("encoded")
    }

    fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        (folder, path)
    }

    /// A segment of this kind with a content, behind the start of a JPEG.
    fn with_segment(jpeg: &[u8], marker: u8, content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u16 + 2).to_be_bytes();
        [&jpeg[..2], &[0xff, marker], &length, content, &jpeg[2..]].concat()
    }

    #[test]
    fn recordings_are_recognized_by_their_content() {
        let (one, other) = (jpeg(40), jpeg(16));
        let part = b"--cam\r\nContent-Type: image/jpeg\r\n\r\n";
        let cases: [(&str, Vec<u8>, bool); 14] = [
            ("clip.mjpeg", one.repeat(3), true),
            ("clip.jpg", one.repeat(2), true),
            ("clip", one.repeat(2), true),
            ("clip.mjpg", one.clone(), true),
            ("CLIP.MJPEG", one.clone(), true),
            ("photo.jpg", one.clone(), false),
            (
                "dump.bin",
                [&part[..], &one, &part[..], &one].concat(),
                true,
            ),
            ("dump.bin", [b"\r\n", &part[..], &one].concat(), true),
            ("clip.y4m", b"YUV4MPEG2 W2 H2\nFRAME\n......".to_vec(), true),
            ("clip", b"YUV4MPEG2 W2 H2\nFRAME\n......".to_vec(), true),
            // A preview behind the picture.
            ("photo.jpg", [&one[..], &other].concat(), false),
            // Several pictures in one file of a camera: the first is the picture.
            (
                "photo.jpg",
                with_segment(&one, 0xe2, b"MPF\0").repeat(2),
                false,
            ),
            ("notes.txt", b"-- a list\nof things".to_vec(), false),
            ("empty", Vec::new(), false),
        ];
        for (name, bytes, expected) in cases {
            let (_folder, path) = written(name, &bytes);
            let length = bytes.len();
            assert_eq!(
                is_recording(&path).expect("read"),
                expected,
                "{name}, {length} bytes"
            );
        }
    }

    #[test]
    fn frames_have_their_file_number_and_position() {
        let frames = [&jpeg(40)[..], &jpeg(40)[..300], &jpeg(40), &jpeg(40)].concat();
        let (_folder, path) = written("clip.mjpeg", &frames);
        let mut source = RecordingSource::open(path.clone()).expect("opened");
        let mut found = Vec::new();
        loop {
            match source.next_frame() {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    assert_eq!(frame.origin, Origin::Recording(path.clone()));
                    let position = frame.position.expect("a recording").as_millis();
                    found.push((frame.sequence, Some(position)));
                }
                Err(error) => {
                    let reason = error.unreadable_frame().expect("recoverable");
                    assert_eq!(reason.path.as_ref(), Some(&path));
                    let number = u64::from(reason.reason.contains("unreadable frame 1 skipped"));
                    found.push((number, None));
                }
            }
        }
        let expected = [(0, Some(0)), (1, None), (2, Some(80)), (3, Some(120))];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_large_frame_keeps_its_size() {
        let (_folder, path) = written("clip.mjpeg", &jpeg(1500));
        let mut source = RecordingSource::open(path).expect("opened");
        let frame = source.next_frame().expect("valid").expect("not the end");
        assert_eq!(frame.image.dimensions(), (1500, 1500));
    }
}
