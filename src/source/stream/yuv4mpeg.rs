//! YUV4MPEG2: a header line with size, rate and chroma, then raw frames with a line before each.
//!
//! Supported are 8 bits a sample with chroma 420 (with any siting), 411, 422, 444 or none. Interlaced frames are not
//! deinterlaced. A stream may contain another header, as concatenated files do.

use std::io::{self, Read};
use std::time::Duration;

use image::RgbImage;
use thiserror::Error;

use super::buffer::{Chunk, MAX_GARBAGE, StreamBuffer};
use crate::picture::MAX_PIXELS;
use crate::source::yuv::{Planes, Range, Subsampling};

/// The start of a header line.
pub(super) const MAGIC: &[u8] = b"YUV4MPEG2 ";

/// The start of the line before a frame.
const FRAME: &[u8] = b"FRAME";

/// The longest line in bytes.
const MAX_LINE: usize = 1024;

/// The header of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    width: u32,
    height: u32,
    /// Frames in this number of seconds.
    rate: Option<(u32, u32)>,
    /// `None` for grey frames.
    chroma: Option<Subsampling>,
    range: Range,
}

/// A header that can't be used.
#[derive(Debug, PartialEq, Error)]
enum HeaderError {
    #[error("the header \"{0}\" has no valid W and H")]
    NoSize(String),
    #[error("its frames are {0} x {1} pixels, expected 1 to {MAX_PIXELS} pixels; scale them down")]
    Size(u32, u32),
    #[error(
        "its pixel format C{0} is not supported; expected 8 bits with 420, 411, 422, 444 or mono, for example with \
         ffmpeg's `-pix_fmt yuv420p`"
    )]
    Chroma(String),
}

/// Finds the next frame; replaces `header` by any header line before it.
pub(super) fn next<R: Read>(
    buffer: &mut StreamBuffer<R>,
    header: &mut Option<Header>,
) -> io::Result<Chunk> {
    loop {
        let Some(line) = line_length(buffer)? else {
            return resync(buffer);
        };
        let bytes = &buffer.bytes()[..line];
        if bytes.starts_with(MAGIC) {
            match Header::parse(&bytes[MAGIC.len()..line - 1]) {
                Ok(read) => *header = Some(read),
                Err(error) => return Ok(Chunk::Unsupported(error.to_string())),
            }
            buffer.consume(line);
            continue;
        }
        let Some(header) = header.as_ref().filter(|_| is_frame_line(bytes)) else {
            return resync(buffer);
        };
        let end = line + header.frame_bytes();
        if buffer.ensure(end)? {
            return Ok(Chunk::Frame { begin: line, end });
        }
        let (length, expected) = (buffer.bytes().len() - line, end - line);
        buffer.consume(end);
        return Ok(Chunk::Corrupt(format!(
            "it is cut off after {length} of {expected} bytes by the end of the stream"
        )));
    }
}

fn is_frame_line(bytes: &[u8]) -> bool {
    let rest = bytes.strip_prefix(FRAME);
    rest.is_some_and(|rest| matches!(rest.first(), Some(b' ' | b'\n')))
}

/// Length of the line at the beginning, with its line feed; `None` if it is longer than [`MAX_LINE`].
fn line_length<R: Read>(buffer: &mut StreamBuffer<R>) -> io::Result<Option<usize>> {
    let mut searched = 0;
    while searched < MAX_LINE && buffer.ensure(searched + 1)? {
        let bytes = buffer.bytes();
        let bytes = &bytes[..bytes.len().min(MAX_LINE)];
        if let Some(end) = bytes[searched..].iter().position(|&byte| byte == b'\n') {
            return Ok(Some(searched + end + 1));
        }
        searched = bytes.len();
    }
    Ok(None)
}

/// Drops the bytes up to the next header or frame line.
fn resync<R: Read>(buffer: &mut StreamBuffer<R>) -> io::Result<Chunk> {
    if !buffer.ensure(1)? {
        return Ok(Chunk::End);
    }
    let mut dropped = 1;
    buffer.consume(1);
    while buffer.ensure(MAGIC.len())? {
        let bytes = buffer.bytes();
        let is_line = |bytes: &[u8]| bytes == MAGIC || is_frame_line(bytes);
        let found = bytes.windows(MAGIC.len()).position(is_line);
        let step = found.unwrap_or(bytes.len() - MAGIC.len() + 1);
        buffer.consume(step);
        dropped += step;
        if found.is_some() || dropped > MAX_GARBAGE {
            return Ok(Chunk::Corrupt(format!(
                "expected the line FRAME, skipped {dropped} bytes"
            )));
        }
    }
    dropped += buffer.bytes().len();
    buffer.consume(usize::MAX / 2);
    Ok(Chunk::Corrupt(format!(
        "the last {dropped} bytes are not a frame"
    )))
}

impl Header {
    /// Parses the fields behind [`MAGIC`].
    fn parse(line: &[u8]) -> Result<Self, HeaderError> {
        let line = String::from_utf8_lossy(line);
        let (mut width, mut height) = (None, None);
        let mut header = Self {
            width: 0,
            height: 0,
            rate: None,
            chroma: Some(Subsampling::YUV420),
            range: Range::Limited,
        };
        for field in line.split_ascii_whitespace() {
            match (field.get(..1), field.get(1..).unwrap_or_default()) {
                (Some("W"), number) => width = number.parse().ok(),
                (Some("H"), number) => height = number.parse().ok(),
                (Some("F"), rate) => header.rate = parse_rate(rate),
                (Some("C"), chroma) => header.chroma = parse_chroma(chroma)?,
                (Some("X"), "COLORRANGE=FULL") => header.range = Range::Full,
                // Interlacing, the pixel aspect ratio and comments.
                _ => {}
            }
        }
        let (width, height): (u32, u32) = width
            .zip(height)
            .ok_or_else(|| HeaderError::NoSize(line.into_owned()))?;
        let pixels = u64::from(width) * u64::from(height);
        if !(1..=MAX_PIXELS).contains(&pixels) {
            return Err(HeaderError::Size(width, height));
        }
        (header.width, header.height) = (width, height);
        Ok(header)
    }

    fn frame_bytes(&self) -> usize {
        self.planes_lengths().iter().sum()
    }

    fn planes_lengths(&self) -> [usize; 3] {
        let luma = self.width as usize * self.height as usize;
        let chroma = self.chroma.map_or(0, |chroma| {
            let (across, down) = chroma.chroma_size(self.width, self.height);
            across * down
        });
        [luma, chroma, chroma]
    }

    /// Converts a frame of [`Self::frame_bytes`] to RGB; `None` if it is shorter.
    pub(super) fn picture(&self, bytes: &[u8]) -> Option<RgbImage> {
        let [luma, chroma, _] = self.planes_lengths();
        let (y, rest) = bytes.split_at_checked(luma)?;
        let (u, rest) = rest.split_at_checked(chroma)?;
        let v = rest.get(..chroma)?;
        let planes = Planes {
            size: (self.width, self.height),
            y,
            chroma: self.chroma.map(|subsampling| (subsampling, u, v)),
            range: self.range,
        };
        Some(planes.to_rgb())
    }

    /// The time of a frame from the start of a recording, by the number of the frame.
    pub(super) fn position(&self, number: u64) -> Option<Duration> {
        let (frames, seconds) = self.rate?;
        let nanoseconds = u128::from(number) * u128::from(seconds) * 1_000_000_000;
        let nanoseconds = nanoseconds / u128::from(frames);
        Some(Duration::from_nanos(nanoseconds.try_into().ok()?))
    }
}

fn parse_rate(text: &str) -> Option<(u32, u32)> {
    let (frames, seconds) = text.split_once(':')?;
    let rate = (frames.parse().ok()?, seconds.parse().ok()?);
    (rate.0 > 0 && rate.1 > 0).then_some(rate)
}

fn parse_chroma(text: &str) -> Result<Option<Subsampling>, HeaderError> {
    Ok(Some(match text {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Subsampling::YUV420,
        "411" => Subsampling::YUV411,
        "422" => Subsampling::YUV422,
        "444" => Subsampling::YUV444,
        "mono" => return Ok(None),
        other => return Err(HeaderError::Chroma(other.to_owned())),
    }))
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// Colors of a test card, as YUV with limited range, with full range, and as RGB.
    const COLORS: [([u8; 3], [u8; 3], [u8; 3]); 7] = [
        ([16, 128, 128], [0, 128, 128], [0, 0, 0]),
        ([235, 128, 128], [255, 128, 128], [255, 255, 255]),
        ([81, 90, 240], [76, 85, 255], [254, 0, 0]),
        ([145, 54, 34], [150, 44, 21], [0, 255, 1]),
        ([41, 240, 110], [29, 255, 107], [0, 0, 254]),
        ([210, 16, 146], [226, 1, 149], [255, 255, 0]),
        ([170, 166, 16], [179, 171, 1], [1, 255, 255]),
    ];

    /// All frames of a stream; the reason for corrupt ones.
    fn read(stream: &[u8]) -> Vec<Result<RgbImage, String>> {
        let (mut buffer, mut header) = (StreamBuffer::new(stream), None);
        let mut found = Vec::new();
        loop {
            match next(&mut buffer, &mut header).expect("readable") {
                Chunk::Frame { begin, end } => {
                    let header = header.as_ref().expect("a header");
                    let picture = header.picture(&buffer.bytes()[begin..end]);
                    found.push(Ok(picture.expect("complete")));
                    buffer.consume(end);
                }
                Chunk::Corrupt(message) => found.push(Err(message)),
                Chunk::Unsupported(message) => {
                    found.push(Err(message));
                    return found;
                }
                Chunk::End => return found,
            }
        }
    }

    /// A line and a frame of one color with this number of luma and chroma samples.
    fn plain(line: &str, [y, u, v]: [u8; 3], luma: usize, chroma: usize) -> Vec<u8> {
        let planes = [vec![y; luma], vec![u; chroma], vec![v; chroma]].concat();
        [line.as_bytes(), &planes].concat()
    }

    #[track_caller]
    fn assert_near(picture: &RgbImage, expected: [u8; 3]) {
        for Rgb(pixel) in picture.pixels() {
            let mut pairs = pixel.iter().zip(expected);
            assert!(
                pairs.all(|(a, b)| a.abs_diff(b) <= 3),
                "{pixel:?}, not {expected:?}"
            );
        }
    }

    #[test]
    fn every_chroma_format_is_converted_at_odd_sizes() {
        // Chroma samples in a frame of 5 x 3 pixels.
        let chromas = [
            ("", 6),
            (" C420", 6),
            (" C420jpeg", 6),
            (" C420mpeg2", 6),
            (" C420paldv", 6),
            (" C411", 6),
            (" C422", 9),
            (" C444", 15),
        ];
        for (chroma, samples) in chromas {
            for (limited, full, rgb) in COLORS {
                for (range, yuv) in [("", limited), (" XCOLORRANGE=FULL", full)] {
                    let head = format!("YUV4MPEG2 W5 H3 F30:1 It A1:1{chroma} XYSCSS=X{range}\n");
                    let frame = plain("FRAME\n", yuv, 15, samples);
                    let pictures = read(&[head.as_bytes(), &frame, &frame].concat());
                    assert_eq!(pictures.len(), 2, "{head}");
                    for picture in pictures {
                        let picture = picture.expect("valid");
                        assert_eq!(picture.dimensions(), (5, 3));
                        assert_near(&picture, rgb);
                    }
                }
            }
        }
        let frame = plain("FRAME Ip\n", [126, 0, 0], 15, 0);
        let pictures = read(&[b"YUV4MPEG2 W5 H3 Cmono\n", frame.as_slice()].concat());
        assert_near(pictures[0].as_ref().expect("valid"), [128; 3]);
    }

    #[test]
    fn each_pixel_has_its_own_luma_and_shared_chroma() {
        // The left half red, the right half blue, the second row black.
        let stream = b"YUV4MPEG2 W4 H2\nFRAME\n\x51\x51\x29\x29\x10\x10\x10\x10\x5a\xf0\xf0\x6e";
        let pictures = read(stream);
        let picture = pictures[0].as_ref().expect("valid");
        let [left, right] = [1, 2].map(|x| picture.get_pixel(x, 0).0);
        assert!(left[0] > 250 && left[2] < 5, "{left:?}");
        assert!(right[2] > 250 && right[0] < 5, "{right:?}");
        assert!(picture.get_pixel(0, 1)[0] < left[0]);
    }

    #[test]
    fn the_rate_gives_each_frame_its_position() {
        let header = |line: &str| Header::parse(line.as_bytes()).expect("valid");
        let ntsc = header("W4 H2 F30000:1001");
        assert_eq!(ntsc.position(30_000), Some(Duration::from_secs(1001)));
        assert_eq!(header("W4 H2").position(5), None);
        assert_eq!(header("W4 H2 F0:0").position(5), None);
        assert_eq!(header("W4 H2 F1:4294967295").position(u64::MAX), None);
    }

    #[test]
    fn invalid_headers_are_refused() {
        let cases = [
            ("H4", "no valid W and H"),
            ("Wx H4", "no valid W and H"),
            ("W0 H4", "0 x 4 pixels"),
            ("W100000 H100000", "100000 x 100000 pixels"),
            ("W4 H4 C420p10", "C420p10 is not supported"),
            ("W4 H4 C444alpha", "-pix_fmt yuv420p"),
            ("\u{fffd}", "no valid W and H"),
        ];
        for (line, fault) in cases {
            let stream = format!("YUV4MPEG2 {line}\nFRAME\n");
            let [Err(message)] = &read(stream.as_bytes())[..] else {
                panic!("{line}");
            };
            assert!(message.contains(fault), "{message}");
        }
    }

    #[test]
    fn after_damage_the_next_frame_is_found() {
        let head = b"YUV4MPEG2 W4 H2 F25:1\n".as_slice();
        let frame = plain("FRAME\n", [81, 90, 240], 8, 2);
        let count_valid = |stream: &[u8]| read(stream).into_iter().filter_map(Result::ok).count();
        for cut in 1..frame.len() {
            let stream = [head, &frame[..cut], &frame, &frame, &frame].concat();
            let found = read(&stream);
            assert!(count_valid(&stream) >= 2, "cut after {cut}: {found:?}");
            assert!(found.len() <= 5, "cut after {cut}: {found:?}");
            let last = found.last().and_then(|last| last.as_ref().ok());
            assert_near(last.expect("valid"), [254, 0, 0]);
        }
        // Garbage between frames and half a frame at the end.
        let stream = [head, &frame, &[9; 3000], &frame, &frame[..10]].concat();
        let found = read(&stream);
        let kinds: Vec<bool> = found.iter().map(Result::is_ok).collect();
        assert_eq!(kinds, [true, false, true, false], "{found:?}");
        let line_without_end = [head, &frame, &b"FRAME "[..], &[b'x'; 5000], &frame].concat();
        assert_eq!(count_valid(&line_without_end), 2);
    }

    #[test]
    fn a_second_header_changes_the_size() {
        let small = [
            b"YUV4MPEG2 W4 H2\n",
            &plain("FRAME\n", [16, 128, 128], 8, 2)[..],
        ]
        .concat();
        let large = [
            b"YUV4MPEG2 W6 H4\n",
            &plain("FRAME\n", [16, 128, 128], 24, 6)[..],
        ]
        .concat();
        let found = read(&[small, large].concat());
        let sizes = found
            .iter()
            .map(|one| one.as_ref().expect("valid").dimensions());
        assert_eq!(sizes.collect::<Vec<_>>(), [(4, 2), (6, 4)]);
    }
}
