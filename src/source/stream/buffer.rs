//! The part of a stream that was read and not yet consumed, and the chunks that parsers find in it.

use std::io::{self, ErrorKind, Read};

/// The least that is read at once, in bytes: the capacity of a pipe.
const MIN_READ: usize = 64 * 1024;

/// The most that is read at once, in bytes, so that a wrong length in the stream does not allocate memory.
const MAX_READ: usize = 1024 * 1024;

/// Memory that is kept between frames, in bytes, however large one frame was.
const KEPT: usize = 8 * 1024 * 1024;

/// Bytes without a frame after which that is reported.
pub(super) const MAX_GARBAGE: usize = 1024 * 1024;

/// The next part of a stream, as a parser finds it.
#[derive(Debug, PartialEq)]
pub(super) enum Chunk {
    /// A frame from `begin` to `end` of the buffer. The caller must consume everything up to `end`.
    Frame { begin: usize, end: usize },
    /// Something that can't be a frame, with the reason; it was consumed.
    Corrupt(String),
    /// The stream can't be used, with the reason.
    Unsupported(String),
    /// The end of the stream.
    End,
}

/// A stream with a window of unconsumed bytes.
#[derive(Debug)]
pub(super) struct StreamBuffer<R> {
    reader: R,
    bytes: Vec<u8>,
    /// Start of the unconsumed bytes.
    start: usize,
    has_ended: bool,
    /// How many bytes were read.
    total: u64,
}

impl<R: Read> StreamBuffer<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            bytes: Vec::new(),
            start: 0,
            has_ended: false,
            total: 0,
        }
    }

    #[cfg(target_os = "linux")]
    pub(super) fn reader(&self) -> &R {
        &self.reader
    }

    /// How many bytes were read since the beginning.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The unconsumed bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Reads until there are at least `length` unconsumed bytes; false if the stream ends before.
    pub(super) fn ensure(&mut self, length: usize) -> io::Result<bool> {
        while self.bytes().len() < length {
            if !self.read_more(length - self.bytes().len())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes bytes from the beginning; all of them if there are fewer.
    pub(super) fn consume(&mut self, length: usize) {
        self.start = (self.start + length).min(self.bytes.len());
    }

    fn read_more(&mut self, missing: usize) -> io::Result<bool> {
        if self.has_ended {
            return Ok(false);
        }
        self.drop_consumed();
        let length = self.bytes.len();
        self.bytes
            .resize(length + missing.clamp(MIN_READ, MAX_READ), 0);
        let read = loop {
            match self.reader.read(&mut self.bytes[length..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes.truncate(length + *read.as_ref().unwrap_or(&0));
        let read = read?;
        self.total += read as u64;
        self.has_ended = read == 0;
        Ok(!self.has_ended)
    }

    fn drop_consumed(&mut self) {
        self.bytes.drain(..self.start);
        self.start = 0;
        if self.bytes.capacity() > KEPT && self.bytes.len() < KEPT / 4 {
            self.bytes.shrink_to(KEPT / 4);
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_and_consumed_to_the_end() {
        let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
        let mut buffer = StreamBuffer::new(bytes.as_slice());
        assert!(buffer.ensure(100_000).expect("read"));
        buffer.consume(99_999);
        assert_eq!(buffer.bytes()[0], bytes[99_999]);
        assert!(buffer.ensure(100_001).expect("read"));
        assert!(
            !buffer.ensure(100_002).expect("read"),
            "the stream has ended"
        );
        assert_eq!(buffer.bytes(), &bytes[99_999..]);
        buffer.consume(usize::MAX / 2);
        assert!(buffer.bytes().is_empty() && !buffer.ensure(1).expect("read"));
    }

    #[test]
    fn memory_of_a_large_frame_is_released() {
        let mut buffer = StreamBuffer::new(io::repeat(7));
        assert!(buffer.ensure(40 * 1024 * 1024).expect("read"));
        buffer.consume(40 * 1024 * 1024);
        assert!(buffer.ensure(1000).expect("read"));
        assert!(buffer.capacity() <= KEPT, "{}", buffer.capacity());
    }
}
