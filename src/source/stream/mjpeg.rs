//! Motion JPEG: finds one JPEG after the other without decoding them.
//!
//! Anything between two JPEGs (a multipart boundary, the chunk headers of an AVI file, garbage) is skipped. Within a
//! JPEG, segments are skipped by their length, so the end of an embedded thumbnail is not the end of the frame. A JPEG
//! without an end marker ends where the next one starts; whether it is whole, its decoder decides.

use std::io::{self, Read};

use super::buffer::{Chunk, MAX_GARBAGE, StreamBuffer};

/// The most bytes that a JPEG of a stream may have: 32 MiB.
const MAX_JPEG: usize = 32 * 1024 * 1024;

/// The start of every JPEG: the start-of-image marker and the first byte of the next marker.
pub(super) const START: [u8; 3] = [0xff, 0xd8, 0xff];

/// The most segments of one JPEG; cameras send about ten.
const MAX_SEGMENTS: usize = 1024;

/// The most JPEGs and damaged places in which [`has_frames`] searches.
const MAX_SEARCHED: usize = 8;

/// The result of [`find_end`].
enum Extent {
    /// The JPEG has this number of bytes.
    Complete(usize),
    /// The JPEG is damaged: the number of bytes to skip before the search goes on, and the reason.
    Damaged(usize, String),
}

/// Finds the next JPEG and drops the bytes before it.
pub(super) fn next<R: Read>(buffer: &mut StreamBuffer<R>) -> io::Result<Chunk> {
    let mut garbage = 0;
    while !seek_start(buffer, &mut garbage)? {
        if garbage > MAX_GARBAGE {
            let message = format!("{garbage} bytes contain no JPEG");
            return Ok(Chunk::Corrupt(message));
        }
        if !buffer.ensure(START.len())? {
            return Ok(Chunk::End);
        }
    }
    Ok(match find_end(buffer)? {
        Extent::Complete(length) => Chunk::Frame {
            begin: 0,
            end: length,
        },
        Extent::Damaged(resume, message) => {
            buffer.consume(resume);
            Chunk::Corrupt(message)
        }
    })
}

/// Whether the stream begins with this number of JPEGs of one size. Cameras and telephones append other pictures to one
/// (a preview, a gain map, the view of the other eye): these have another size, or the first one has an index of them.
pub(super) fn has_frames<R: Read>(buffer: &mut StreamBuffer<R>, wanted: usize) -> io::Result<bool> {
    let (mut found, mut first_size) = (0, None);
    for _ in 0..MAX_SEARCHED {
        match next(buffer)? {
            Chunk::Frame { begin, end } => {
                let Some(header) = header(&buffer.bytes()[begin..end]) else {
                    return Ok(false);
                };
                if *first_size.get_or_insert(header.size) != header.size || header.has_index {
                    return Ok(false);
                }
                found += 1;
                if found == wanted {
                    return Ok(true);
                }
                buffer.consume(end);
            }
            Chunk::Corrupt(_) => {}
            Chunk::Unsupported(_) | Chunk::End => return Ok(false),
        }
    }
    Ok(false)
}

/// What the segments before the scan of a JPEG contain.
struct Header {
    /// Height and width, as stored.
    size: [u8; 4],
    /// Whether there is an index of several pictures (CIPA DC-007).
    has_index: bool,
}

fn header(jpeg: &[u8]) -> Option<Header> {
    let (mut at, mut has_index) = (2, false);
    loop {
        match *jpeg.get(at..at + 2)? {
            [0xff, 0xff] => at += 1,
            // The start of a frame, but no Huffman table, extension or arithmetic coding.
            [0xff, 0xc0..=0xcf] if !matches!(jpeg[at + 1], 0xc4 | 0xc8 | 0xcc) => {
                let size = *jpeg.get(at + 5..)?.first_chunk()?;
                return Some(Header { size, has_index });
            }
            [0xff, marker] => {
                let length = *jpeg.get(at + 2..)?.first_chunk()?;
                let content = jpeg.get(at + 4..)?;
                has_index |= marker == 0xe2 && content.starts_with(b"MPF\0");
                at += 2 + usize::from(u16::from_be_bytes(length));
            }
            _ => return None,
        }
    }
}

/// Drops the bytes before the next JPEG; false if none starts in the bytes that were read.
fn seek_start<R: Read>(buffer: &mut StreamBuffer<R>, garbage: &mut usize) -> io::Result<bool> {
    buffer.ensure(START.len())?;
    let bytes = buffer.bytes();
    let found = bytes.windows(START.len()).position(|three| three == START);
    let skipped = found.unwrap_or(bytes.len().saturating_sub(START.len() - 1));
    buffer.consume(skipped);
    *garbage += skipped;
    Ok(found.is_some())
}

/// Follows the markers to the end of the JPEG at the beginning of the buffer.
fn find_end<R: Read>(buffer: &mut StreamBuffer<R>) -> io::Result<Extent> {
    let (mut at, mut segments) = (2, 0);
    let mut has_scan = false;
    while at < MAX_JPEG && segments < MAX_SEGMENTS {
        if !buffer.ensure(at + 2)? {
            let length = buffer.bytes().len();
            return Ok(if has_scan {
                Extent::Complete(length)
            } else {
                truncated(buffer)
            });
        }
        match (buffer.bytes()[at], buffer.bytes()[at + 1]) {
            // A fill byte.
            (0xff, 0xff) => at += 1,
            (0xff, 0xd9) => return Ok(Extent::Complete(at + 2)),
            (0xff, 0xd8) if has_scan => {
                return Ok(Extent::Complete(without_part_header(&buffer.bytes()[..at])));
            }
            (0xff, 0xd8) => {
                let message = format!("it is cut off after {at} bytes, where the next one starts");
                return Ok(Extent::Damaged(at, message));
            }
            // Markers without a segment.
            (0xff, 0x01 | 0xd0..=0xd7) => at += 2,
            (0xff, marker @ 2..) => {
                if !buffer.ensure(at + 4)? {
                    return Ok(truncated(buffer));
                }
                let length = [buffer.bytes()[at + 2], buffer.bytes()[at + 3]];
                // The length includes its own two bytes.
                at += 2 + usize::from(u16::from_be_bytes(length)).max(2);
                segments += 1;
                if marker == 0xda {
                    has_scan = true;
                    at = scan_end(buffer, at)?;
                }
            }
            _ => {
                let message = format!("it is damaged at byte {at}");
                return Ok(Extent::Damaged(START.len() - 1, message));
            }
        }
    }
    let message =
        format!("it has no end within {MAX_JPEG} bytes and {MAX_SEGMENTS} segments, the limits");
    Ok(Extent::Damaged(START.len() - 1, message))
}

/// The length without the boundary and the header of the next part of a multipart stream, which a decoder would take
/// for data.
fn without_part_header(bytes: &[u8]) -> usize {
    /// Longer than the header of a part.
    const MAX_HEADER: usize = 1024;
    if !bytes.ends_with(b"\n\r\n") && !bytes.ends_with(b"\n\n") {
        return bytes.len();
    }
    let start = bytes.len().saturating_sub(MAX_HEADER);
    let header = &bytes[start..];
    let boundary = header.windows(3).rposition(|three| three == b"\n--");
    let Some(boundary) = boundary else {
        return bytes.len();
    };
    let has_return = header[..boundary].ends_with(b"\r");
    start + boundary - usize::from(has_return)
}

/// The stream has ended. Only the start is skipped: a damaged length may have led past other JPEGs.
fn truncated<R: Read>(buffer: &StreamBuffer<R>) -> Extent {
    let length = buffer.bytes().len();
    let message = format!("it is cut off after {length} bytes by the end of the stream");
    Extent::Damaged(START.len() - 1, message)
}

/// The end of the compressed data that begins here: a marker other than a restart marker.
fn scan_end<R: Read>(buffer: &mut StreamBuffer<R>, begin: usize) -> io::Result<usize> {
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
        crate::picture::encode_jpeg(&picture, 75).expect("encoded")
    }

    /// The JPEGs of a stream that is read in steps of this many bytes; `None` for corrupt ones.
    fn split(stream: &[u8], step: usize) -> Vec<Option<Vec<u8>>> {
        struct Steps<'a>(&'a [u8], usize);
        impl Read for Steps<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let length = self.1.min(into.len());
                self.0.read(&mut into[..length])
            }
        }
        let mut buffer = StreamBuffer::new(Steps(stream, step));
        let mut found = Vec::new();
        loop {
            match next(&mut buffer).expect("readable") {
                Chunk::Frame { begin, end } => {
                    found.push(Some(buffer.bytes()[begin..end].to_vec()));
                    buffer.consume(end);
                }
                Chunk::Corrupt(_) => found.push(None),
                Chunk::Unsupported(message) => panic!("{message}"),
                Chunk::End => return found,
            }
        }
    }

    #[test]
    fn jpegs_are_found_with_any_read_size() {
        let (first, second) = (jpeg(40), jpeg(90));
        let boundary = b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n".as_slice();
        let stream = [boundary, &first, boundary, &second, &first, b"\xff\xd8end"].concat();
        let expected = [&first, &second, &first].map(|jpeg| Some(jpeg.clone()));
        for step in [1, 2, 3, 700, 1 << 20] {
            assert_eq!(split(&stream, step), expected, "{step} bytes at once");
        }
    }

    #[test]
    fn a_jpeg_without_an_end_marker_ends_where_the_next_starts() {
        let (first, second) = (jpeg(40), jpeg(90));
        let unended = |jpeg: &[u8]| jpeg[..jpeg.len() - 2].to_vec();
        let (first, second) = (unended(&first), unended(&second));
        let parts = [
            &b""[..],
            b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n",
            b"\n--b\n\n",
        ];
        for part in parts {
            let stream = [part, &first, part, &second, part, &first].concat();
            let expected = [&first, &second, &first].map(|jpeg| Some(jpeg.clone()));
            for step in [1, 700, 1 << 20] {
                assert_eq!(split(&stream, step), expected, "{step} bytes at once");
            }
        }
        // Neither the data nor a header is there.
        let header = &first[..first.len() / 8];
        assert_eq!(
            split(&[header, &second].concat(), 99).last(),
            Some(&Some(second))
        );
    }

    #[test]
    fn an_embedded_thumbnail_is_not_a_frame() {
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
        // The end of the header is not there; the decoder refuses what has a scan.
        let stream = [&whole[..], &whole[..200]].concat();
        assert_eq!(split(&stream, 50), [Some(whole), None], "half at the end");
    }

    #[test]
    fn a_jpeg_without_an_end_is_skipped() {
        let whole = jpeg(64);
        let head = &whole[..whole.len() - 2];
        let endless = vec![0x55; MAX_JPEG + 5000];
        let found = split(&[head, &endless, &whole].concat(), usize::MAX);
        assert_eq!(found.last(), Some(&Some(whole)));
        assert!(found[..found.len() - 1].iter().all(Option::is_none));
    }

    #[test]
    fn long_garbage_is_reported_repeatedly() {
        let found = split(&vec![0; 5 * MAX_GARBAGE], usize::MAX);
        assert!((3..=5).contains(&found.len()), "{}", found.len());
        assert!(found.iter().all(Option::is_none));
    }
}
