//! Writes motion JPEG into an AVI file.
//!
//! The format is AVI 1.0: a RIFF file with one video stream of the codec `MJPG`, whose frames are whole JPEGs in chunks `00dc`,
//! and an index `idx1` at its end (Microsoft, *AVI RIFF File Reference*). An AVI has a fixed frame rate. Frames of a camera have none,
//! so the rate is set in two steps: while frames come, a gap is filled with empty chunks, for which players show the frame before
//! again; at the end, the rate is set to that at which the first and the last frame are shown as far apart as they were
//! captured.

use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::time::Duration;

use crate::output_file::AVI_MARK;

/// The most bytes of a file. Sizes have 32 bits, and some players take them for signed.
pub(super) const MAX_BYTES: u64 = 1 << 30;

/// The shortest and the longest time between two frames that is assumed while frames come.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(1));

/// Bytes of the header of a chunk: its name and its size.
const CHUNK_HEADER: u64 = 8;

/// Bytes of an entry of the index.
const INDEX_ENTRY: u64 = 16;

const FRAME_CHUNK: &[u8; 4] = b"00dc";
const CODEC: &[u8; 4] = b"MJPG";

/// In the main header: the file has an index.
const HAS_INDEX: u32 = 0x10;
/// In the index: the frame does not depend on others.
const IS_KEY_FRAME: u32 = 0x10;

/// One frame of a film.
#[derive(Debug, Clone, Copy)]
pub(super) struct AviFrame<'a> {
    /// A whole JPEG.
    pub(super) jpeg: &'a [u8],
    /// When it was captured, from any point of time on.
    pub(super) at: Duration,
}

/// Writes the frames of one film.
#[derive(Debug)]
pub(super) struct AviWriter<W> {
    file: W,
    /// Width and height in pixels.
    size: (u32, u32),
    /// The assumed time between two frames.
    interval: Duration,
    start: Duration,
    last: Duration,
    /// Bytes of the JPEG of each chunk; 0 for an empty one.
    chunks: Vec<u32>,
    /// Bytes written so far.
    bytes: u64,
}

/// A film with its headers and its index.
#[derive(Debug)]
pub(super) struct FinishedAvi<W> {
    pub(super) file: W,
    /// Its first bytes, with boxcam's mark.
    pub(super) start: Vec<u8>,
    pub(super) bytes: u64,
}

impl<W: Write + Seek> AviWriter<W> {
    /// Writes the headers and the first frame to an empty file. `size` is the width and height of all frames in pixels,
    /// `interval` the likely time between two frames.
    ///
    /// # Errors
    /// Those of the file, and [`ErrorKind::FileTooLarge`] beyond [`MAX_BYTES`].
    pub(super) fn begin(
        mut file: W,
        size: (u32, u32),
        interval: Duration,
        first: AviFrame<'_>,
    ) -> io::Result<Self> {
        let headers = unfinished_headers(size);
        file.write_all(&headers)?;
        let mut avi = Self {
            file,
            size,
            interval: interval.clamp(INTERVALS.0, INTERVALS.1),
            start: first.at,
            last: first.at,
            chunks: Vec::new(),
            bytes: headers.len() as u64,
        };
        avi.append(first)?;
        Ok(avi)
    }

    /// Appends a frame, which was captured after all others.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub(super) fn append(&mut self, frame: AviFrame<'_>) -> io::Result<()> {
        if self.bytes_with(frame) > MAX_BYTES {
            let message = format!("a film has at most {MAX_BYTES} bytes");
            return Err(io::Error::new(ErrorKind::FileTooLarge, message));
        }
        for _ in 0..self.empty_chunks_before(frame.at) {
            self.write_chunk(&[])?;
        }
        self.write_chunk(frame.jpeg)?;
        self.last = self.last.max(frame.at);
        Ok(())
    }

    /// The size of the finished file if it had this frame, too.
    pub(super) fn bytes_with(&self, frame: AviFrame<'_>) -> u64 {
        let empty = self.empty_chunks_before(frame.at) as u64;
        let jpeg = frame.jpeg.len() as u64;
        let chunks = self.bytes + (empty + 1) * CHUNK_HEADER + jpeg + jpeg % 2;
        let count = self.chunks.len() as u64 + empty + 1;
        chunks + CHUNK_HEADER + count * INDEX_ENTRY
    }

    /// When the first frame was captured.
    pub(super) const fn start(&self) -> Duration {
        self.start
    }

    /// Writes the index, and the headers again.
    ///
    /// # Errors
    /// Those of the file.
    pub(super) fn finish(mut self) -> io::Result<FinishedAvi<W>> {
        let movie_end = self.bytes;
        let index = chunk(b"idx1", &self.index());
        self.file.write_all(&index)?;
        self.bytes += index.len() as u64;
        let start = self.headers(movie_end);
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&start)?;
        self.file.flush()?;
        Ok(FinishedAvi {
            file: self.file,
            start,
            bytes: self.bytes,
        })
    }

    /// The number of empty chunks that fill the gap before a frame.
    fn empty_chunks_before(&self, at: Duration) -> usize {
        let elapsed = at.saturating_sub(self.start).as_secs_f64();
        let position = (elapsed / self.interval.as_secs_f64()).round() as usize;
        position.saturating_sub(self.chunks.len())
    }

    fn write_chunk(&mut self, jpeg: &[u8]) -> io::Result<()> {
        let size = u32::try_from(jpeg.len()).map_err(io::Error::other)?;
        self.file.write_all(&chunk_header(FRAME_CHUNK, size))?;
        self.file.write_all(jpeg)?;
        // A chunk begins at an even place.
        self.file.write_all(&[0][..jpeg.len() % 2])?;
        self.chunks.push(size);
        self.bytes += chunk_bytes(size);
        Ok(())
    }

    /// The entries of the index. Offsets are from the name of the list `movi`.
    fn index(&self) -> Vec<u8> {
        let mut entries = Vec::with_capacity(self.chunks.len() * INDEX_ENTRY as usize);
        let mut offset = 4;
        for &size in &self.chunks {
            let flags = if size > 0 { IS_KEY_FRAME } else { 0 };
            entries.extend_from_slice(FRAME_CHUNK);
            entries.extend(words(&[flags, offset as u32, size]));
            offset += chunk_bytes(size);
        }
        entries
    }

    fn headers(&self, movie_end: u64) -> Vec<u8> {
        let frames = self.chunks.len();
        let elapsed = self.last.saturating_sub(self.start);
        let interval = match u32::try_from(frames - 1) {
            Ok(steps @ 1..) if !elapsed.is_zero() => elapsed / steps,
            _ => self.interval,
        };
        headers(
            self.size,
            &Totals {
                frames: frames as u32,
                microseconds: u32::try_from(interval.as_micros())
                    .unwrap_or(u32::MAX)
                    .max(1),
                largest: self.chunks.iter().copied().max().unwrap_or_default(),
                movie_end: movie_end as u32,
                file_end: self.bytes as u32,
            },
        )
    }
}

/// The first bytes of a film before it is finished, with boxcam's mark.
pub(super) fn unfinished_headers(size: (u32, u32)) -> Vec<u8> {
    headers(size, &Totals::default())
}

/// What is known at the end of a film.
#[derive(Debug, Default)]
struct Totals {
    /// The number of chunks, the empty ones among them.
    frames: u32,
    /// The time between two chunks.
    microseconds: u32,
    /// Bytes of the largest chunk.
    largest: u32,
    /// Where the frames and the file end, in bytes from its beginning.
    movie_end: u32,
    file_end: u32,
}

/// All up to the first frame. Its length is always the same.
fn headers((width, height): (u32, u32), totals: &Totals) -> Vec<u8> {
    let Totals {
        frames,
        microseconds,
        largest,
        ..
    } = *totals;
    let per_second = u64::from(totals.movie_end) * 1_000_000
        / (u64::from(microseconds) * u64::from(frames)).max(1);
    let per_second = u32::try_from(per_second).unwrap_or(u32::MAX);
    // AVIMAINHEADER; the last four are reserved.
    let main = words(&[
        microseconds,
        per_second,
        0,
        HAS_INDEX,
        frames,
        0,
        1,
        largest,
        width,
        height,
        0,
        0,
        0,
        0,
    ]);
    // AVISTREAMHEADER. Its rate is in chunks per `microseconds` microseconds; the quality is the codec's default.
    let rectangle = [0, 0, width, height].map(|side| i16::try_from(side).unwrap_or(i16::MAX));
    let stream = [
        b"vids".to_vec(),
        CODEC.to_vec(),
        words(&[
            0,
            0,
            0,
            microseconds,
            1_000_000,
            0,
            frames,
            largest,
            u32::MAX,
            0,
        ]),
        rectangle.map(i16::to_le_bytes).concat(),
    ];
    // BITMAPINFOHEADER: one plane, 24 bits a pixel.
    let format = [
        words(&[40, width, height, 1 | 24 << 16]),
        CODEC.to_vec(),
        words(&[width.saturating_mul(height).saturating_mul(3), 0, 0, 0, 0]),
    ];
    let stream = [
        b"strl".to_vec(),
        chunk(b"strh", &stream.concat()),
        chunk(b"strf", &format.concat()),
    ];
    let header = [
        b"hdrl".to_vec(),
        chunk(b"avih", &main),
        chunk(b"LIST", &stream.concat()),
    ];
    let lists = [chunk(b"LIST", &header.concat()), AVI_MARK.to_vec()].concat();
    let movie_start = (12 + lists.len() + CHUNK_HEADER as usize) as u32;
    [
        &chunk_header(b"RIFF", totals.file_end.saturating_sub(CHUNK_HEADER as u32))[..],
        b"AVI ",
        &lists,
        &chunk_header(b"LIST", totals.movie_end.saturating_sub(movie_start)),
        b"movi",
    ]
    .concat()
}

/// Bytes of a chunk with its header, up to the next one.
const fn chunk_bytes(size: u32) -> u64 {
    CHUNK_HEADER + (size + size % 2) as u64
}

fn chunk_header(name: &[u8; 4], size: u32) -> [u8; CHUNK_HEADER as usize] {
    let [a, b, c, d] = *name;
    let [e, f, g, h] = size.to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

/// A chunk of an even number of bytes, which are far fewer than 4 GiB.
fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&chunk_header(name, content.len() as u32)[..], content].concat()
}

fn words(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Cursor;

    use super::*;

    /// What an AVI has, as its headers and its index say.
    #[derive(Debug)]
    pub(in super::super) struct ParsedAvi {
        pub(in super::super) size: (u32, u32),
        pub(in super::super) interval: Duration,
        /// The JPEG of each chunk.
        pub(in super::super) chunks: Vec<Vec<u8>>,
    }

    impl ParsedAvi {
        /// Each JPEG with the time when it is shown.
        pub(in super::super) fn frames(&self) -> Vec<(Duration, &[u8])> {
            let chunks = self.chunks.iter().zip(0..);
            let frames = chunks.filter(|(jpeg, _)| !jpeg.is_empty());
            frames
                .map(|(jpeg, number)| (self.interval * number, &**jpeg))
                .collect()
        }
    }

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(*bytes[at..].first_chunk().expect("four bytes"))
    }

    /// The chunks of a list: name and content. Checks that they fill it and are padded.
    fn chunks_of(mut bytes: &[u8]) -> Vec<([u8; 4], &[u8])> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let name = *bytes.first_chunk().expect("a name");
            let size = word(bytes, 4) as usize;
            found.push((name, &bytes[8..8 + size]));
            assert!(
                bytes[8 + size..8 + size + size % 2]
                    .iter()
                    .all(|pad| *pad == 0)
            );
            bytes = &bytes[8 + size + size % 2..];
        }
        found
    }

    fn list<'a>(chunk: &([u8; 4], &'a [u8]), name: &[u8; 4]) -> Vec<([u8; 4], &'a [u8])> {
        assert_eq!(&chunk.0, b"LIST");
        chunks_of(chunk.1.strip_prefix(name).expect("this list"))
    }

    /// Reads a film, and checks that all its parts agree.
    pub(in super::super) fn parse(bytes: &[u8]) -> ParsedAvi {
        let [riff] = chunks_of(bytes).try_into().expect("one chunk");
        assert_eq!(&riff.0, b"RIFF");
        let [header, info, movie, index]: [_; 4] =
            chunks_of(riff.1.strip_prefix(b"AVI ").expect("an AVI"))
                .try_into()
                .expect("four chunks");
        let [main, stream] = list(&header, b"hdrl").try_into().expect("two chunks");
        assert_eq!((&main.0, main.1.len()), (b"avih", 56));
        let [stream, format] = list(&stream, b"strl").try_into().expect("two chunks");
        assert_eq!((&stream.0, stream.1.len()), (b"strh", 56));
        assert_eq!((&format.0, format.1.len()), (b"strf", 40));
        assert_eq!(list(&info, b"INFO"), [(*b"ISFT", &b"boxcam\0"[..])]);
        assert_eq!(
            (&stream.1[..8], &format.1[16..20]),
            (&b"vidsMJPG"[..], &b"MJPG"[..])
        );
        let size = (word(main.1, 32), word(main.1, 36));
        assert_eq!((word(format.1, 4), word(format.1, 8)), size);
        let chunks = list(&movie, b"movi");
        assert!(chunks.iter().all(|(name, _)| name == b"00dc"));
        let count = chunks.len() as u32;
        assert_eq!([word(main.1, 16), word(stream.1, 32)], [count; 2]);
        let microseconds = word(main.1, 0);
        assert_eq!(
            [word(stream.1, 20), word(stream.1, 24)],
            [microseconds, 1_000_000]
        );
        let largest = chunks.iter().map(|(_, jpeg)| jpeg.len()).max();
        assert_eq!(Some(word(main.1, 28) as usize), largest);
        assert_eq!(word(main.1, 12), HAS_INDEX);
        // The index finds each chunk.
        assert_eq!((&index.0, index.1.len()), (b"idx1", chunks.len() * 16));
        for (entry, (name, jpeg)) in index.1.chunks(16).zip(&chunks) {
            assert_eq!(&entry[..4], name);
            let [flags, offset, size] = [4, 8, 12].map(|at| word(entry, at));
            assert_eq!(flags, if jpeg.is_empty() { 0 } else { IS_KEY_FRAME });
            let found = &movie.1[offset as usize..];
            assert_eq!((&found[..4], word(found, 4)), (&name[..], size));
            assert_eq!(&found[8..8 + size as usize], *jpeg);
        }
        ParsedAvi {
            size,
            interval: Duration::from_micros(microseconds.into()),
            chunks: chunks.into_iter().map(|(_, jpeg)| jpeg.to_vec()).collect(),
        }
    }

    /// A film of frames at these times in milliseconds; each has as many bytes as its number, from 1.
    fn film(interval: u64, times: &[u64]) -> Vec<u8> {
        let jpegs: Vec<Vec<u8>> = (1..=times.len()).map(|n| vec![n as u8; n]).collect();
        let mut frames = jpegs.iter().zip(times).map(|(jpeg, at)| AviFrame {
            jpeg,
            at: Duration::from_millis(*at),
        });
        let file = Cursor::new(Vec::new());
        let first = frames.next().expect("a frame");
        let interval = Duration::from_millis(interval);
        let mut avi = AviWriter::begin(file, (64, 48), interval, first).expect("written");
        let mut bytes = None;
        for frame in frames {
            bytes = Some(avi.bytes_with(frame));
            avi.append(frame).expect("written");
        }
        let finished = avi.finish().expect("written");
        let film = finished.file.into_inner();
        assert_eq!(finished.bytes, film.len() as u64);
        assert!(
            bytes.is_none_or(|bytes| bytes == finished.bytes),
            "the size is known before"
        );
        assert!(film.starts_with(&finished.start));
        film
    }

    /// When the frames of a film are shown, in milliseconds.
    fn shown(film: &[u8]) -> Vec<u128> {
        let film = parse(film);
        let frames = film.frames();
        frames.iter().map(|(at, _)| at.as_millis()).collect()
    }

    #[test]
    fn all_parts_of_a_film_agree() {
        let film = film(40, &[1000, 1040, 1080, 1120, 1160]);
        let parsed = parse(&film);
        assert_eq!(
            (parsed.size, parsed.interval),
            ((64, 48), Duration::from_millis(40))
        );
        let lengths: Vec<usize> = parsed.chunks.iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 2, 3, 4, 5]);
        assert!(
            parsed
                .chunks
                .iter()
                .zip(1..)
                .all(|(jpeg, n)| jpeg.iter().all(|b| *b == n))
        );
    }

    #[test]
    fn one_frame_is_a_film() {
        let parsed = parse(&film(40, &[7000]));
        assert_eq!((parsed.chunks.len(), parsed.interval.as_millis()), (1, 40));
    }

    #[test]
    fn a_gap_is_filled_and_the_last_frame_is_shown_when_it_was_captured() {
        assert_eq!(
            shown(&film(100, &[0, 100, 200, 700, 800])),
            [0, 100, 200, 700, 800]
        );
        // Frames come faster or slower than the first ones, or not evenly.
        assert_eq!(
            shown(&film(100, &[0, 50, 100, 150, 200])),
            [0, 50, 100, 150, 200]
        );
        assert_eq!(shown(&film(100, &[0, 200, 400])), [0, 200, 400]);
        assert_eq!(
            shown(&film(100, &[0, 110, 190, 310, 400])),
            [0, 100, 200, 300, 400]
        );
        let last = *shown(&film(100, &[0, 103, 206, 309, 1250]))
            .last()
            .expect("there");
        assert!(last.abs_diff(1250) <= 1, "{last}");
    }

    #[test]
    fn a_film_that_would_be_too_large_is_refused() {
        let jpeg = [0; 8];
        let first = AviFrame {
            jpeg: &jpeg,
            at: Duration::ZERO,
        };
        let interval = Duration::from_millis(1);
        let file = Cursor::new(Vec::new());
        let mut avi = AviWriter::begin(file, (8, 8), interval, first).expect("written");
        let later = AviFrame {
            at: Duration::from_secs(1 << 20),
            ..first
        };
        let error = avi.append(later).expect_err("too many empty chunks");
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    }
}
