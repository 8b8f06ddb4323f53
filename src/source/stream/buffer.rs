//! The part of a stream that has come and was not used yet.

use std::io::{self, ErrorKind, Read};

/// What is read at once where no more is wanted, in bytes: as much as a pipe holds.
const CHUNK: usize = 64 * 1024;

/// The most that is read at once, in bytes, so that memory is taken for what comes and not for what is claimed.
const MOST_AT_ONCE: usize = 1024 * 1024;

/// Memory that is kept between pictures, in bytes; one large picture must not hold more for months.
const KEPT: usize = 8 * 1024 * 1024;

/// A window on a stream that slides along it.
#[derive(Debug)]
pub(super) struct Buffer<R> {
    reader: R,
    bytes: Vec<u8>,
    /// Where the window begins.
    start: usize,
    is_ended: bool,
}

impl<R: Read> Buffer<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            bytes: Vec::new(),
            start: 0,
            is_ended: false,
        }
    }

    /// Where the bytes come from.
    #[cfg(target_os = "linux")]
    pub(super) fn reader(&self) -> &R {
        &self.reader
    }

    /// What has come and was not used.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Reads until there are so many bytes; false when the stream ends before.
    pub(super) fn ensure(&mut self, length: usize) -> io::Result<bool> {
        while self.bytes().len() < length {
            if !self.read_more(length - self.bytes().len())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes bytes away from the beginning; all of them, if there are fewer.
    pub(super) fn consume(&mut self, length: usize) {
        self.start = (self.start + length).min(self.bytes.len());
    }

    fn read_more(&mut self, wanted: usize) -> io::Result<bool> {
        if self.is_ended {
            return Ok(false);
        }
        self.make_room();
        let length = self.bytes.len();
        self.bytes
            .resize(length + wanted.clamp(CHUNK, MOST_AT_ONCE), 0);
        let read = loop {
            match self.reader.read(&mut self.bytes[length..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes.truncate(length + *read.as_ref().unwrap_or(&0));
        self.is_ended = read? == 0;
        Ok(!self.is_ended)
    }

    fn make_room(&mut self) {
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
    fn the_window_slides_and_ends() {
        let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
        let mut buffer = Buffer::new(bytes.as_slice());
        assert!(buffer.ensure(100_000).expect("read"));
        buffer.consume(99_999);
        assert_eq!(buffer.bytes()[0], bytes[99_999]);
        assert!(buffer.ensure(100_001).expect("read"));
        assert!(!buffer.ensure(100_002).expect("read"), "it has no more");
        assert_eq!(buffer.bytes(), &bytes[99_999..]);
        buffer.consume(usize::MAX / 2);
        assert!(buffer.bytes().is_empty() && !buffer.ensure(1).expect("read"));
    }

    #[test]
    fn memory_of_a_large_picture_is_given_back() {
        let mut buffer = Buffer::new(io::repeat(7));
        assert!(buffer.ensure(40 * 1024 * 1024).expect("read"));
        buffer.consume(40 * 1024 * 1024);
        assert!(buffer.ensure(1000).expect("read"));
        assert!(buffer.capacity() <= KEPT, "{}", buffer.capacity());
    }
}
