//! The log as a file: appended to, rotated by size, and reopened after it was moved or deleted.
//!
//! `out.jsonl.1` is the newest rotated file, `out.jsonl.2` the one before, and so on. Rotation only renames files and
//! never replaces one that is kept. If the program or the machine stops in between, each line is still in one file,
//! and at most one number is unused. The next rotation fills that number before it deletes a file.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::line_writer::LineWriter;
use super::recovery::repair;

/// A log file with a fixed path.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// The length in bytes at which it is rotated.
    max_size: u64,
    /// The number of rotated files to keep.
    keep: u32,
    open: Option<OpenLog>,
    /// Bytes of truncated lines removed since the last [`LogFile::take_truncation`].
    truncation: Option<u64>,
}

#[derive(Debug)]
struct OpenLog {
    writer: LineWriter<File>,
    /// `None` for a pipe or a device, which is neither repaired nor rotated.
    regular: Option<RegularFile>,
}

#[derive(Debug)]
struct RegularFile {
    /// The path without symbolic links. Renaming a link would not rotate the file.
    path: PathBuf,
    /// Device and inode.
    identity: Option<(u64, u64)>,
    length: u64,
}

impl LogFile {
    /// Opens or creates the file.
    pub(super) fn open(path: &Path, max_size: u64, keep: u32) -> io::Result<Self> {
        let mut log = Self {
            path: path.into(),
            max_size,
            keep,
            open: None,
            truncation: None,
        };
        log.reopen()?;
        Ok(log)
    }

    /// Reopens the log if the path now names another file, or none.
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

    /// The number of bytes removed from truncated lines since the last call.
    pub(super) fn take_truncation(&mut self) -> Option<u64> {
        self.truncation.take()
    }

    /// Appends complete lines. Rotates first if the file would become too long.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self
            .open
            .as_ref()
            .is_none_or(|open| open.is_full(self.max_size, lines))
        {
            self.rotate()?;
        }
        // `rotate` has opened the file or failed.
        let open = self.open.as_mut().ok_or(ErrorKind::NotFound)?;
        open.writer.write(lines)?;
        if let Some(file) = &mut open.regular {
            file.length += lines.len() as u64;
        }
        Ok(())
    }

    /// Flushes the file to the disk, so that it survives a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &self.open {
            Some(open) if open.regular.is_some() => open.writer.inner().sync_data(),
            _ => Ok(()),
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        if let Some(file) = self.open.as_ref().and_then(|open| open.regular.as_ref()) {
            self.sync()?;
            rotate(&file.path, self.keep).map_err(|error| {
                io::Error::new(error.kind(), format!("it can't be rotated: {error}"))
            })?;
        }
        self.reopen()
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.open = None;
        let file = File::options().append(true).create(true).open(&self.path)?;
        let metadata = file.metadata()?;
        let mut writer = LineWriter::new(file);
        if !metadata.is_file() {
            self.open = Some(OpenLog {
                writer,
                regular: None,
            });
            return Ok(());
        }
        lock(writer.inner())?;
        let mut reader = File::open(&self.path)?;
        if let Some(removed) = repair(&mut reader, &mut writer)? {
            self.truncation = Some(self.truncation.unwrap_or(0) + removed);
        }
        let regular = RegularFile {
            path: fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone()),
            identity: identity(&metadata),
            length: writer.inner().metadata()?.len(),
        };
        self.open = Some(OpenLog {
            writer,
            regular: Some(regular),
        });
        Ok(())
    }
}

impl OpenLog {
    /// Whether the path still names this file. Updates the length.
    fn is_at(&mut self, path: &Path) -> bool {
        let Some(file) = &mut self.regular else {
            return true;
        };
        match fs::metadata(path) {
            Ok(metadata) => {
                file.length = metadata.len();
                identity(&metadata) == file.identity
            }
            Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        }
    }

    fn is_full(&self, max_size: u64, lines: &[u8]) -> bool {
        let length = self.regular.as_ref().map_or(0, |file| file.length);
        length > 0 && length + lines.len() as u64 > max_size
    }
}

impl Drop for OpenLog {
    /// Unlocks at once. A child process shares all open files until it has called `exec`: closing the file here would
    /// leave it locked until then.
    fn drop(&mut self) {
        if self.regular.is_some() {
            let _ = self.writer.inner().unlock();
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
        // The file system does not support locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

/// The path of a rotated log file.
pub(super) fn rotated_path(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

/// Makes the log the newest of at most `keep` rotated files, and deletes the oldest if there are too many.
///
/// # Errors
/// If renaming fails. The log then keeps its name and can be rotated later.
fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    if keep == 0 {
        return fs::remove_file(path);
    }
    let is_free = |number: &u32| is_missing(&rotated_path(path, *number));
    let free = (1..keep).find(is_free).unwrap_or(keep);
    for number in (1..free).rev() {
        fs::rename(rotated_path(path, number), rotated_path(path, number + 1))?;
    }
    fs::rename(path, rotated_path(path, 1))?;
    sync_folder(path);
    Ok(())
}

fn is_missing(path: &Path) -> bool {
    let metadata = path.symlink_metadata();
    metadata.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Flushes the names to the disk, if the file system supports it.
fn sync_folder(path: &Path) {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // If it fails, a power cut may restore an older name, and no line is lost.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

#[cfg(test)]
mod tests;
