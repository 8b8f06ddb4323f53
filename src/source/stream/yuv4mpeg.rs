//! YUV4MPEG2: a line that tells size, rate and chroma, then raw pictures with a line before each.
//!
//! Read are 8 bits a sample with chroma 420 (wherever its samples stand), 411, 422, 444 or none. Interlaced
//! pictures are taken as they are. A stream may begin anew with another line, as files behind each other do.

use std::io::{self, Read};
use std::time::Duration;

use image::RgbImage;

use super::buffer::Buffer;
use super::piece::Chunk;
use super::yuv::{self, Planes, Range, Subsampling};
use crate::picture::MAX_PIXELS;

/// What a stream begins with.
pub(super) const MAGIC: &[u8] = b"YUV4MPEG2 ";

/// What a picture begins with.
const FRAME: &[u8] = b"FRAME";

/// The most bytes of a line.
const MAX_LINE: usize = 1024;

/// What the first line says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    width: u32,
    height: u32,
    /// Pictures in so many seconds.
    rate: Option<(u32, u32)>,
    /// `None`: there is no chroma.
    chroma: Option<Subsampling>,
    range: Range,
}

/// The next picture. The header is read where it stands.
pub(super) fn next<R: Read>(
    buffer: &mut Buffer<R>,
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
                Err(message) => return Ok(Chunk::Refused(message)),
            }
            buffer.consume(line);
            continue;
        }
        let Some(header) = header.as_ref().filter(|_| begins_frame(bytes)) else {
            return resync(buffer);
        };
        let end = line + header.picture_length();
        if buffer.ensure(end)? {
            return Ok(Chunk::Picture { begin: line, end });
        }
        let (length, expected) = (buffer.bytes().len() - line, end - line);
        buffer.consume(end);
        return Ok(Chunk::Broken(format!(
            "it is cut off after {length} of {expected} bytes, where the stream ends"
        )));
    }
}

fn begins_frame(bytes: &[u8]) -> bool {
    let rest = bytes.strip_prefix(FRAME);
    rest.is_some_and(|rest| matches!(rest.first(), Some(b' ' | b'\n')))
}

/// Length of the line at the beginning with its end, if it has one soon.
fn line_length<R: Read>(buffer: &mut Buffer<R>) -> io::Result<Option<usize>> {
    let mut looked = 0;
    while looked < MAX_LINE && buffer.ensure(looked + 1)? {
        let bytes = buffer.bytes();
        let bytes = &bytes[..bytes.len().min(MAX_LINE)];
        if let Some(end) = bytes[looked..].iter().position(|&byte| byte == b'\n') {
            return Ok(Some(looked + end + 1));
        }
        looked = bytes.len();
    }
    Ok(None)
}

/// Drops all up to the next line that can be one of the stream.
fn resync<R: Read>(buffer: &mut Buffer<R>) -> io::Result<Chunk> {
    if !buffer.ensure(1)? {
        return Ok(Chunk::End);
    }
    let mut dropped = 1;
    buffer.consume(1);
    while buffer.ensure(MAGIC.len())? {
        let bytes = buffer.bytes();
        let is_line = |at: &[u8]| at == MAGIC || begins_frame(at);
        let found = bytes.windows(MAGIC.len()).position(is_line);
        let step = found.unwrap_or(bytes.len() - MAGIC.len() + 1);
        buffer.consume(step);
        dropped += step;
        if found.is_some() || dropped > super::mjpeg::MOST_GARBAGE {
            return Ok(Chunk::Broken(format!(
                "{dropped} bytes stand where the line FRAME should"
            )));
        }
    }
    dropped += buffer.bytes().len();
    buffer.consume(usize::MAX / 2);
    Ok(Chunk::Broken(format!(
        "{dropped} bytes at the end belong to no picture"
    )))
}

impl Header {
    /// Reads the words behind the magic.
    fn parse(line: &[u8]) -> Result<Self, String> {
        let line = String::from_utf8_lossy(line);
        let (mut width, mut height) = (None, None);
        let mut header = Self {
            width: 0,
            height: 0,
            rate: None,
            chroma: Some(Subsampling::TWO_BY_TWO),
            range: Range::Limited,
        };
        for word in line.split_ascii_whitespace() {
            match (word.get(..1), word.get(1..).unwrap_or_default()) {
                (Some("W"), number) => width = number.parse().ok(),
                (Some("H"), number) => height = number.parse().ok(),
                (Some("F"), rate) => header.rate = rate_of(rate),
                (Some("C"), chroma) => header.chroma = chroma_of(chroma)?,
                (Some("X"), "COLORRANGE=FULL") => header.range = Range::Full,
                // Interlacing, the shape of a pixel, and comments.
                _ => {}
            }
        }
        let (width, height): (u32, u32) = width
            .zip(height)
            .ok_or_else(|| format!("its first line \"{line}\" lacks W or H, a number each"))?;
        let pixels = u64::from(width) * u64::from(height);
        if !(1..=MAX_PIXELS).contains(&pixels) {
            return Err(format!(
                "its pictures are {width} x {height} pixels, expected 1 to {MAX_PIXELS} pixels; scale them"
            ));
        }
        (header.width, header.height) = (width, height);
        Ok(header)
    }

    /// Bytes of one picture.
    fn picture_length(&self) -> usize {
        self.planes_lengths().iter().sum()
    }

    fn planes_lengths(&self) -> [usize; 3] {
        let luma = self.width as usize * self.height as usize;
        let chroma = self.chroma.map_or(0, |chroma| {
            let (across, down) = chroma.size(self.width, self.height);
            across * down
        });
        [luma, chroma, chroma]
    }

    /// The picture of so many bytes as [`Self::picture_length`] says, as RGB.
    pub(super) fn picture(&self, bytes: &[u8]) -> Option<RgbImage> {
        let [luma, chroma, _] = self.planes_lengths();
        let (y, rest) = bytes.split_at_checked(luma)?;
        let (u, rest) = rest.split_at_checked(chroma)?;
        let v = rest.get(..chroma)?;
        Some(yuv::to_rgb(&Planes {
            size: (self.width, self.height),
            y,
            chroma: self.chroma.map(|subsampling| (subsampling, u, v)),
            range: self.range,
        }))
    }

    /// When a picture of this number is shown, from the start of a recording.
    pub(super) fn moment(&self, number: u64) -> Option<Duration> {
        let (pictures, seconds) = self.rate?;
        let nanoseconds = u128::from(number) * u128::from(seconds) * 1_000_000_000;
        let nanoseconds = nanoseconds / u128::from(pictures);
        Some(Duration::from_nanos(nanoseconds.try_into().ok()?))
    }
}

fn rate_of(text: &str) -> Option<(u32, u32)> {
    let (pictures, seconds) = text.split_once(':')?;
    let rate = (pictures.parse().ok()?, seconds.parse().ok()?);
    (rate.0 > 0 && rate.1 > 0).then_some(rate)
}

fn chroma_of(text: &str) -> Result<Option<Subsampling>, String> {
    Ok(Some(match text {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Subsampling::TWO_BY_TWO,
        "411" => Subsampling::FOUR_BY_ONE,
        "422" => Subsampling::TWO_BY_ONE,
        "444" => Subsampling::ONE_BY_ONE,
        "mono" => return Ok(None),
        other => {
            return Err(format!(
                "its pixels are C{other}, which boxcam can't read; expected 8 bits with 420, 411, 422, 444 or \
                 mono, as ffmpeg gives with `-pix_fmt yuv420p`"
            ));
        }
    }))
}

#[cfg(test)]
mod tests;
