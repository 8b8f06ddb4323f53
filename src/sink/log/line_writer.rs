//! Lines as a whole or not at all, on whatever is open: a file, a pipe, a terminal.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::thread;
use std::time::Duration;

/// How long a pipe that is full, and does not block, is left alone.
const FULL_PIPE: Duration = Duration::from_millis(10);

/// Something to write to from which the last bytes may be taken back.
pub(super) trait Undo: Write {
    /// Takes back so many bytes that were written last.
    ///
    /// # Errors
    /// Where that can't be done; they then stay.
    fn undo(&mut self, count: u64) -> io::Result<()>;
}

/// Writes lines so that none stands there torn, or goes on in another.
#[derive(Debug)]
pub(super) struct LineWriter<W> {
    to: W,
    /// The rest of a line whose beginning was written and can't be taken back: it goes before all else.
    rest: Vec<u8>,
}

impl<W: Undo> LineWriter<W> {
    pub(super) fn new(to: W) -> Self {
        let rest = Vec::new();
        Self { to, rest }
    }

    /// What it writes to.
    pub(super) fn inner(&self) -> &W {
        &self.to
    }

    /// Writes a line in one go. When it is `Ok` the line is there, or is begun and its rest comes first when
    /// something is written again.
    ///
    /// # Errors
    /// The system's, after which nothing of the line is there.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.finish()?;
        let Err(failed) = push(&mut self.to, line) else {
            return Ok(());
        };
        if failed.written == 0 || self.to.undo(failed.written as u64).is_ok() {
            return Err(failed.error);
        }
        self.rest = line[failed.written..].to_vec();
        Ok(())
    }

    /// Writes the rest of a line that is begun.
    fn finish(&mut self) -> io::Result<()> {
        match push(&mut self.to, &self.rest) {
            Ok(()) => {
                self.rest.clear();
                Ok(())
            }
            Err(failed) => {
                self.rest.drain(..failed.written);
                Err(failed.error)
            }
        }
    }
}

struct Failed {
    written: usize,
    error: io::Error,
}

/// `write_all` that tells how far it got.
fn push(to: &mut impl Write, bytes: &[u8]) -> Result<(), Failed> {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => {
                let error = ErrorKind::WriteZero.into();
                return Err(Failed { written, error });
            }
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Whoever made this pipe wants no blocking; a slow reader is to be waited for all the same.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL_PIPE),
            Err(error) => return Err(Failed { written, error }),
        }
    }
    Ok(())
}

impl Undo for File {
    fn undo(&mut self, count: u64) -> io::Result<()> {
        let about = self.metadata()?;
        let end = about.len();
        // Nobody else's bytes are cut off: what was written last must be what stands last.
        if !about.is_file() || self.stream_position()? != end {
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

    /// Has room for so many bytes, and fails beyond.
    struct Small {
        bytes: Vec<u8>,
        room: usize,
        can_undo: bool,
    }

    impl Write for Small {
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

    impl Undo for Small {
        fn undo(&mut self, count: u64) -> io::Result<()> {
            if !self.can_undo {
                return Err(ErrorKind::Unsupported.into());
            }
            let start = self.bytes.len() - usize::try_from(count).expect("small");
            self.bytes.truncate(start);
            Ok(())
        }
    }

    fn writer(room: usize, can_undo: bool) -> LineWriter<Small> {
        let bytes = Vec::new();
        LineWriter::new(Small {
            bytes,
            room,
            can_undo,
        })
    }

    #[test]
    fn a_line_that_does_not_fit_leaves_no_trace() {
        for room in 4..8 {
            let mut writer = writer(room, true);
            writer.write(b"one\n").expect("fits");
            writer.write(b"two\n").expect_err("is too much");
            assert_eq!(writer.to.bytes, b"one\n", "room for {room}");
            writer.to.room = 100;
            writer.write(b"three\n").expect("fits again");
            assert_eq!(writer.to.bytes, b"one\nthree\n");
        }
    }

    #[test]
    fn what_cannot_be_taken_back_is_finished_first() {
        for room in 5..8 {
            let mut writer = writer(room, false);
            writer.write(b"one\n").expect("fits");
            writer.write(b"two\n").expect("is begun");
            writer.write(b"three\n").expect_err("the rest comes first");
            writer.to.room = 1;
            writer.write(b"four\n").expect_err("still too little");
            writer.to.room = 100;
            writer.write(b"five\n").expect("fits again");
            assert_eq!(writer.to.bytes, b"one\ntwo\nfive\n", "room for {room}");
        }
    }

    #[test]
    fn the_end_of_a_file_is_taken_back_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        for append in [false, true] {
            std::fs::write(&path, "").expect("made");
            let opened = File::options().write(true).append(append).open(&path);
            let mut file = opened.expect("opened");
            file.write_all(b"one\ntwo").expect("written");
            file.undo(3).expect("taken back");
            file.write_all(b"three\n").expect("written");
            assert_eq!(std::fs::read(&path).expect("there"), b"one\nthree\n");
            std::fs::write(&path, "somebody else has it now").expect("written");
            file.undo(6).expect_err("it is not at the end");
        }
    }
}
