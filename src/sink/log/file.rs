//! The log as a file: added to, rotated by size, opened anew when it was moved or deleted.

use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::line_writer::LineWriter;
use super::rotate::rotate;
use super::tail::{Tail, examine};

/// A log file by its name, whatever becomes of the file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// Length in bytes that it may have.
    size: u64,
    /// How many old ones are kept.
    keep: u32,
    open: Option<Open>,
    /// Bytes that were cut off when it was opened, until somebody asks.
    cut: Option<u64>,
}

#[derive(Debug)]
struct Open {
    writer: LineWriter<File>,
    /// `None` for what is no file that could be cut or rotated: a pipe, a device.
    file: Option<Known>,
}

/// What is known of a regular file.
#[derive(Debug)]
struct Known {
    /// Where it really is; rotating a link would leave the file where it was.
    place: PathBuf,
    /// What tells it from another of its name.
    identity: Option<(u64, u64)>,
    length: u64,
}

impl LogFile {
    /// Opens the file at that path, or makes it.
    pub(super) fn open(path: &Path, size: u64, keep: u32) -> io::Result<Self> {
        let mut log = Self {
            path: path.into(),
            size,
            keep,
            open: None,
            cut: None,
        };
        log.reopen()?;
        Ok(log)
    }

    /// Sees to it that what is open is what has the name.
    pub(super) fn make_ready(&mut self) -> io::Result<()> {
        if self
            .open
            .as_mut()
            .is_none_or(|open| !open.is_at(&self.path))
        {
            self.reopen()?;
        }
        Ok(())
    }

    /// How many bytes were cut off the end since this was last asked.
    pub(super) fn take_cut(&mut self) -> Option<u64> {
        self.cut.take()
    }

    /// Adds text that consists of whole lines, to a new file if this one would become too long.
    pub(super) fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if self
            .open
            .as_ref()
            .is_none_or(|open| open.is_full(self.size, text))
        {
            self.rotate()?;
        }
        // A file that is not open is opened by `rotate`, or that failed.
        let open = self.open.as_mut().ok_or(ErrorKind::NotFound)?;
        open.writer.write(text)?;
        if let Some(file) = &mut open.file {
            file.length += text.len() as u64;
        }
        Ok(())
    }

    /// Sees to it that what was written outlasts a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &self.open {
            Some(open) if open.file.is_some() => open.writer.inner().sync_data(),
            _ => Ok(()),
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        if let Some(Known { place, .. }) = self.open.as_ref().and_then(|o| o.file.as_ref()) {
            self.sync()?;
            rotate(place, self.keep).map_err(|error| {
                io::Error::new(error.kind(), format!("it can't be rotated: {error}"))
            })?;
        }
        self.reopen()
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.open = None;
        let file = File::options().append(true).create(true).open(&self.path)?;
        let about = file.metadata()?;
        let mut writer = LineWriter::new(file);
        if !about.is_file() {
            self.open = Some(Open { writer, file: None });
            return Ok(());
        }
        lock(writer.inner())?;
        let mut reader = File::open(&self.path)?;
        if let Some(cut) = mend(&mut reader, &mut writer)? {
            self.cut = Some(self.cut.unwrap_or(0) + cut);
        }
        let place = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let file = Known {
            place,
            identity: identity(&about),
            length: writer.inner().metadata()?.len(),
        };
        self.open = Some(Open {
            writer,
            file: Some(file),
        });
        Ok(())
    }
}

impl Open {
    /// Whether it is still what stands at that path. Takes note of its length.
    fn is_at(&mut self, path: &Path) -> bool {
        let Some(file) = &mut self.file else {
            return true;
        };
        match fs::metadata(path) {
            Ok(about) => {
                file.length = about.len();
                identity(&about) == file.identity
            }
            Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        }
    }

    fn is_full(&self, size: u64, text: &[u8]) -> bool {
        let length = self.file.as_ref().map_or(0, |file| file.length);
        length > 0 && length + text.len() as u64 > size
    }
}

impl Drop for Open {
    /// Gives the lock up at once. A program that is just being started shares all open files until it has
    /// loaded: closing ours alone would leave them locked that long.
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = self.writer.inner().unlock();
        }
    }
}

/// Cuts off a torn last line and says of how many bytes; ends one that lacks only its end.
///
/// # Errors
/// The system's, for example where a file may be added to but not cut.
pub(super) fn mend(log: &mut File, writer: &mut LineWriter<File>) -> io::Result<Option<u64>> {
    match examine(log)? {
        Tail::Whole => Ok(None),
        Tail::Unended => writer.write(b"\n").map(|()| None),
        Tail::Torn { whole, piece } => {
            writer.inner().set_len(whole)?;
            Ok(Some(piece))
        }
    }
}

/// Two programs that rotate the same files would lose lines.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            ErrorKind::ResourceBusy,
            "another boxcam is writing to it",
        )),
        // A file system that knows no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

#[cfg(unix)]
fn identity(about: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((about.dev(), about.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

#[cfg(test)]
mod tests;
