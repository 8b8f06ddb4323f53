//! Writes each line completely or not at all, to a file, a pipe or a terminal.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::thread;
use std::time::Duration;

/// Delay before another write to a full non-blocking pipe.
const FULL_PIPE_DELAY: Duration = Duration::from_millis(10);

/// A writer that may be able to remove the bytes it wrote last.
pub(super) trait Undo: Write {
    /// Removes the last `count` bytes.
    ///
    /// # Errors
    /// If they cannot be removed.
    fn undo(&mut self, count: u64) -> io::Result<()>;
}

/// Writes lines so that no line is incomplete or mixed with another.
#[derive(Debug)]
pub(super) struct LineWriter<W> {
    inner: W,
    /// The rest of a line of which a part was written and could not be removed. It is written before the next line.
    rest: Vec<u8>,
}

impl<W: Undo> LineWriter<W> {
    pub(super) fn new(inner: W) -> Self {
        let rest = Vec::new();
        Self { inner, rest }
    }

    pub(super) fn inner(&self) -> &W {
        &self.inner
    }

    /// Writes a line. On `Ok` it is written, or a part of it is and the rest precedes the next write.
    ///
    /// # Errors
    /// If nothing of the line was written.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.write_rest()?;
        let Err(partial) = write_counting(&mut self.inner, line) else {
            return Ok(());
        };
        if partial.written == 0 || self.inner.undo(partial.written as u64).is_ok() {
            return Err(partial.error);
        }
        self.rest = line[partial.written..].to_vec();
        Ok(())
    }

    fn write_rest(&mut self) -> io::Result<()> {
        match write_counting(&mut self.inner, &self.rest) {
            Ok(()) => {
                self.rest.clear();
                Ok(())
            }
            Err(partial) => {
                self.rest.drain(..partial.written);
                Err(partial.error)
            }
        }
    }
}

/// A write that failed after some bytes.
struct PartialWrite {
    written: usize,
    error: io::Error,
}

/// `write_all`, but an error has the number of bytes written before it.
fn write_counting(to: &mut impl Write, bytes: &[u8]) -> Result<(), PartialWrite> {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => {
                let error = ErrorKind::WriteZero.into();
                return Err(PartialWrite { written, error });
            }
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // The pipe was opened non-blocking by another program. A slow reader is waited for all the same.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL_PIPE_DELAY),
            Err(error) => return Err(PartialWrite { written, error }),
        }
    }
    Ok(())
}

impl Undo for File {
    fn undo(&mut self, count: u64) -> io::Result<()> {
        let metadata = self.metadata()?;
        let end = metadata.len();
        // Only our own bytes may be removed: the last write must be at the end of the file.
        if !metadata.is_file() || self.stream_position()? != end {
            return Err(ErrorKind::Unsupported.into());
        }
        let start = end.saturating_sub(count);
        self.set_len(start)?;
        self.seek(SeekFrom::Start(start)).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts `room` more bytes and then fails.
    struct LimitedWriter {
        bytes: Vec<u8>,
        room: usize,
        can_undo: bool,
    }

    impl Write for LimitedWriter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= count;
            self.bytes.extend(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Undo for LimitedWriter {
        fn undo(&mut self, count: u64) -> io::Result<()> {
            if !self.can_undo {
                return Err(ErrorKind::Unsupported.into());
            }
            let start = self.bytes.len() - usize::try_from(count).expect("small");
            self.bytes.truncate(start);
            Ok(())
        }
    }

    fn writer(room: usize, can_undo: bool) -> LineWriter<LimitedWriter> {
        let bytes = Vec::new();
        LineWriter::new(LimitedWriter {
            bytes,
            room,
            can_undo,
        })
    }

    #[test]
    fn a_line_that_does_not_fit_is_removed() {
        for room in 4..8 {
            let mut writer = writer(room, true);
            writer.write(b"one\n").expect("fits");
            writer.write(b"two\n").expect_err("too long");
            assert_eq!(writer.inner.bytes, b"one\n", "room for {room}");
            writer.inner.room = 100;
            writer.write(b"three\n").expect("fits again");
            assert_eq!(writer.inner.bytes, b"one\nthree\n");
        }
    }

    #[test]
    fn a_partial_line_that_cannot_be_removed_is_completed_first() {
        for room in 5..8 {
            let mut writer = writer(room, false);
            writer.write(b"one\n").expect("fits");
            writer.write(b"two\n").expect("partly written");
            writer.write(b"three\n").expect_err("the rest does not fit");
            writer.inner.room = 1;
            writer.write(b"four\n").expect_err("still full");
            writer.inner.room = 100;
            writer.write(b"five\n").expect("fits again");
            assert_eq!(writer.inner.bytes, b"one\ntwo\nfive\n", "room for {room}");
        }
    }

    #[test]
    fn only_the_end_of_a_file_can_be_removed() {
        let folder = tempfile::tempdir().expect("created");
        let path = folder.path().join("out");
        for append in [false, true] {
            std::fs::write(&path, "").expect("created");
            let opened = File::options().write(true).append(append).open(&path);
            let mut file = opened.expect("opened");
            file.write_all(b"one\ntwo").expect("written");
            file.undo(3).expect("removed");
            file.write_all(b"three\n").expect("written");
            assert_eq!(std::fs::read(&path).expect("readable"), b"one\nthree\n");
            std::fs::write(&path, "another program has written to it").expect("written");
            file.undo(6).expect_err("not at the end");
        }
    }
}
