//! Motion JPEG: one JPEG behind the other, told apart without decoding them.
//!
//! Whatever stands between two of them (a multipart boundary, an AVI's chunk headers, garbage) is stepped over.
//! Within one, segments are stepped over by their length, so a thumbnail's end is not taken for the picture's.

use std::io::{self, Read};

use super::buffer::Buffer;
use super::piece::Chunk;

/// The most bytes that a JPEG of a stream may have: 32 MiB.
pub(super) const MAX_JPEG: usize = 32 * 1024 * 1024;

/// Bytes without a JPEG after which that is said.
pub(super) const MOST_GARBAGE: usize = 1024 * 1024;

/// What every JPEG begins with: start of image and the first byte of the next marker.
pub(super) const START: [u8; 3] = [0xff, 0xd8, 0xff];

/// The most segments of one JPEG; cameras send about ten.
const MOST_SEGMENTS: usize = 1024;

/// How a walk through a JPEG ended.
enum Walk {
    /// At its end, after so many bytes.
    Whole(usize),
    /// Somewhere else; the search for the next goes on after so many bytes.
    Broken(usize, String),
}

/// The next JPEG; it stands at the beginning of the buffer.
pub(super) fn next<R: Read>(buffer: &mut Buffer<R>) -> io::Result<Chunk> {
    let mut garbage = 0;
    while !seek_start(buffer, &mut garbage)? {
        if garbage > MOST_GARBAGE {
            let message = format!("{garbage} bytes came without a JPEG among them");
            return Ok(Chunk::Broken(message));
        }
        if !buffer.ensure(START.len())? {
            return Ok(Chunk::End);
        }
    }
    Ok(match walk(buffer)? {
        Walk::Whole(length) => Chunk::Picture {
            begin: 0,
            end: length,
        },
        Walk::Broken(resume, message) => {
            buffer.consume(resume);
            Chunk::Broken(message)
        }
    })
}

/// Drops what stands before the next JPEG, as far as it has come; true when one begins.
fn seek_start<R: Read>(buffer: &mut Buffer<R>, garbage: &mut usize) -> io::Result<bool> {
    buffer.ensure(START.len())?;
    let bytes = buffer.bytes();
    let found = bytes.windows(START.len()).position(|three| three == START);
    let skipped = found.unwrap_or(bytes.len().saturating_sub(START.len() - 1));
    buffer.consume(skipped);
    *garbage += skipped;
    Ok(found.is_some())
}

/// Walks from marker to marker to the end of the JPEG at the beginning of the buffer.
fn walk<R: Read>(buffer: &mut Buffer<R>) -> io::Result<Walk> {
    let (mut at, mut segments) = (2, 0);
    while at < MAX_JPEG && segments < MOST_SEGMENTS {
        if !buffer.ensure(at + 2)? {
            return Ok(cut_off(buffer));
        }
        match (buffer.bytes()[at], buffer.bytes()[at + 1]) {
            // A fill byte.
            (0xff, 0xff) => at += 1,
            (0xff, 0xd9) => return Ok(Walk::Whole(at + 2)),
            (0xff, 0xd8) => {
                let message = format!("it is cut off after {at} bytes, where the next begins");
                return Ok(Walk::Broken(at, message));
            }
            // Markers that stand alone.
            (0xff, 0x01 | 0xd0..=0xd7) => at += 2,
            (0xff, marker @ 2..) => {
                if !buffer.ensure(at + 4)? {
                    return Ok(cut_off(buffer));
                }
                let length = [buffer.bytes()[at + 2], buffer.bytes()[at + 3]];
                // At least its own two bytes.
                at += 2 + usize::from(u16::from_be_bytes(length)).max(2);
                segments += 1;
                if marker == 0xda {
                    at = scan_end(buffer, at)?;
                }
            }
            _ => {
                let message = format!("it is damaged {at} bytes after its start");
                return Ok(Walk::Broken(START.len() - 1, message));
            }
        }
    }
    let message =
        format!("it has no end within {MAX_JPEG} bytes and {MOST_SEGMENTS} segments, the limits");
    Ok(Walk::Broken(START.len() - 1, message))
}

/// The stream ended; if a damaged length led past other JPEGs, they are still to be found.
fn cut_off<R: Read>(buffer: &Buffer<R>) -> Walk {
    let length = buffer.bytes().len();
    let message = format!("it is cut off after {length} bytes, where the stream ends");
    Walk::Broken(START.len() - 1, message)
}

/// Where the compressed pixels that begin here end: at a marker that is no restart.
fn scan_end<R: Read>(buffer: &mut Buffer<R>, begin: usize) -> io::Result<usize> {
    let mut at = begin;
    while at < MAX_JPEG && buffer.ensure(at + 2)? {
        let rest = &buffer.bytes()[at..];
        let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7);
        match rest.windows(2).position(is_marker) {
            Some(found) => return Ok(at + found),
            // The last byte may be the first of a marker.
            None => at += rest.len() - 1,
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    fn jpeg(side: u32) -> Vec<u8> {
        let picture = RgbImage::from_fn(side, side, |x, y| Rgb([(x * y) as u8, x as u8, y as u8]));
        let mut file = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new(&mut file);
        picture.write_with_encoder(encoder).expect("encoded");
        file
    }

    /// The JPEGs of a stream that comes in pieces of any size, and the broken ones as `None`.
    fn split(stream: &[u8], step: usize) -> Vec<Option<Vec<u8>>> {
        struct Steps<'a>(&'a [u8], usize);
        impl Read for Steps<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let length = self.1.min(into.len());
                self.0.read(&mut into[..length])
            }
        }
        let mut buffer = Buffer::new(Steps(stream, step));
        let mut found = Vec::new();
        loop {
            match next(&mut buffer).expect("readable") {
                Chunk::Picture { begin, end } => {
                    found.push(Some(buffer.bytes()[begin..end].to_vec()));
                    buffer.consume(end);
                }
                Chunk::Broken(_) => found.push(None),
                Chunk::Refused(message) => panic!("{message}"),
                Chunk::End => return found,
            }
        }
    }

    #[test]
    fn jpegs_are_told_apart_however_they_come() {
        let (first, second) = (jpeg(40), jpeg(90));
        let boundary = b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n".as_slice();
        let stream = [boundary, &first, boundary, &second, &first, b"\xff\xd8end"].concat();
        let expected = [&first, &second, &first].map(|jpeg| Some(jpeg.clone()));
        for step in [1, 2, 3, 700, 1 << 20] {
            assert_eq!(split(&stream, step), expected, "{step} bytes at once");
        }
    }

    #[test]
    fn a_thumbnail_in_a_segment_is_no_picture() {
        let (picture, thumbnail) = (jpeg(40), jpeg(8));
        let length = (thumbnail.len() as u16 + 2).to_be_bytes();
        let stream = [
            &picture[..2],
            &[0xff, 0xe1],
            &length,
            &thumbnail,
            &picture[2..],
        ]
        .concat();
        assert_eq!(split(&stream, 100), [Some(stream.clone())]);
    }

    #[test]
    fn after_damage_the_next_jpeg_is_found() {
        let whole = jpeg(64);
        for cut in (3..whole.len()).step_by(7) {
            let stream = [&whole[..cut], &whole, &whole].concat();
            let found = split(&stream, 1000);
            let lengths = || found.iter().map(|one| one.as_ref().map(Vec::len));
            assert_eq!(
                lengths().next_back(),
                Some(Some(whole.len())),
                "cut after {cut}"
            );
        }
        let stream = [&whole[..], &whole[..200]].concat();
        assert_eq!(split(&stream, 50), [Some(whole), None], "half at the end");
    }

    #[test]
    fn one_without_an_end_is_given_up() {
        let whole = jpeg(64);
        let head = &whole[..whole.len() - 2];
        let endless = vec![0x55; MAX_JPEG + 5000];
        let found = split(&[head, &endless, &whole].concat(), usize::MAX);
        assert_eq!(found.last(), Some(&Some(whole)));
        assert!(found[..found.len() - 1].iter().all(Option::is_none));
    }

    #[test]
    fn garbage_is_said_now_and_then() {
        let found = split(&vec![0; 5 * MOST_GARBAGE], usize::MAX);
        assert!((3..=5).contains(&found.len()), "{}", found.len());
        assert!(found.iter().all(Option::is_none));
    }
}
