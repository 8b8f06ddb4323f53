//! Writes the files of a sink into a folder with a budget, and goes on after failed writes.
//!
//! All files of the sink in the folder together stay within the budget; the oldest are deleted first. Those of earlier runs are
//! recognized by their names and by boxcam's mark; any other file is never deleted or replaced. A file is complete when it
//! gets its name. Temporary files of a killed run are deleted at the start, so a folder is for one run at a time.
//!
//! A file that can't be written is dropped, counted and reported once. One whose name a file of the user has is dropped, counted
//! and named.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::SinkError;
use super::budget_folder::{BudgetFolder, FileGroup};
use super::write_failures::WriteFailureLog;
use crate::health::{Counter, Health};
use crate::output_file::{self, OutputFileError, PendingFile, WriteSettings};
use crate::warn;

/// What a [`FolderWriter`] writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct FolderSettings {
    pub(super) group: FileGroup,
    /// Several of the files, for messages: `snapshots`.
    pub(super) items: &'static str,
    /// Counts the files that could not be written.
    pub(super) lost: fn(&Health) -> &Counter,
}

#[derive(Debug)]
pub(super) struct FolderWriter {
    path: PathBuf,
    folder: BudgetFolder,
    failures: WriteFailureLog,
    lost: fn(&Health) -> &Counter,
    health: Arc<Health>,
}

impl FolderWriter {
    /// Creates the folder if it does not exist. `budget` is the maximum total size in bytes.
    ///
    /// # Errors
    /// [`SinkError::Write`] if the folder cannot be created or listed.
    pub(super) fn open(
        settings: FolderSettings,
        path: &Path,
        budget: u64,
        health: Arc<Health>,
    ) -> Result<Self, SinkError> {
        let folder = BudgetFolder::open(settings.group, path, budget);
        let folder = folder.map_err(|source| SinkError::Write {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            path: path.into(),
            folder,
            failures: WriteFailureLog::new(path, settings.items),
            lost: settings.lost,
            health,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The maximum total size in bytes.
    pub(super) const fn budget(&self) -> u64 {
        self.folder.budget()
    }

    /// The paths of the newest files of earlier runs and of this one, the oldest of them first.
    pub(super) fn newest(&self, count: usize) -> Vec<PathBuf> {
        self.folder.newest(count)
    }

    /// Whether a retry delay is running. The next file then counts as lost.
    pub(super) fn drops_during_delay(&mut self) -> bool {
        let may_try = self.failures.may_try(Instant::now());
        if !may_try {
            self.failures.record_drop();
            (self.lost)(&self.health).add(1);
        }
        !may_try
    }

    /// Saves a whole file, and counts it as lost if that fails. Returns the number of files that were deleted for it.
    pub(super) fn save(&mut self, name: String, bytes: io::Result<Vec<u8>>, sync: bool) -> usize {
        let saved = bytes
            .map_err(|error| self.failed(&name, error))
            .and_then(|bytes| self.try_save(name, &bytes, sync));
        self.record(saved).unwrap_or_default()
    }

    fn try_save(
        &mut self,
        name: String,
        bytes: &[u8],
        sync: bool,
    ) -> Result<usize, OutputFileError> {
        let bytes = output_file::marked(bytes);
        let path = self.path.join(&name);
        output_file::check_replaceable(&path, &bytes)?;
        let size = bytes.len() as u64;
        let deleted = self.make_room(&name, size)?;
        let time = self.folder.next_time(SystemTime::now());
        let settings = WriteSettings {
            sync,
            modified: Some(time),
        };
        output_file::write(&path, &bytes, settings)?;
        self.folder.add(name, size, time);
        Ok(deleted)
    }

    /// Begins a file that gets this name in [`Self::complete`]. `start` is its first bytes, with boxcam's mark.
    pub(super) fn begin(&self, name: &str, start: &[u8]) -> Result<PendingFile, OutputFileError> {
        let path = self.path.join(name);
        output_file::check_replaceable(&path, start)?;
        PendingFile::create(&path).map_err(|error| self.failed(name, error))
    }

    /// Deletes the oldest files until one of `size` bytes fits. Returns the number of deleted files.
    pub(super) fn make_room(&mut self, name: &str, size: u64) -> Result<usize, OutputFileError> {
        let deleted = self.folder.make_room(name, size);
        deleted.map_err(|error| self.failed(name, error))
    }

    /// Gives a file its name. It has `size` bytes and begins with `start`.
    pub(super) fn complete(
        &mut self,
        name: String,
        file: PendingFile,
        start: &[u8],
        size: u64,
    ) -> Result<(), OutputFileError> {
        let time = self.folder.next_time(SystemTime::now());
        let settings = WriteSettings {
            sync: true,
            modified: Some(time),
        };
        file.complete(&self.path.join(&name), start, settings)?;
        self.folder.add(name, size, time);
        Ok(())
    }

    pub(super) fn failed(&self, name: &str, source: io::Error) -> OutputFileError {
        let path = self.path.join(name);
        OutputFileError::Write { path, source }
    }

    /// Takes note of a file that was or could not be written. Returns the result of one that was.
    pub(super) fn record<T>(&mut self, saved: Result<T, OutputFileError>) -> Option<T> {
        match saved {
            Ok(value) => {
                self.failures.record_success();
                return Some(value);
            }
            // The next one has another name.
            Err(error @ OutputFileError::Kept { .. }) => {
                warn!("{error}");
                self.health.files_kept.add(1);
            }
            Err(OutputFileError::Write { source, .. }) => {
                self.failures.record_failure(source, Instant::now());
            }
        }
        (self.lost)(&self.health).add(1);
        None
    }
}

impl Drop for FolderWriter {
    fn drop(&mut self) {
        self.failures.finish();
    }
}

/// The error of an encoder, as that of a write.
pub(super) fn encode_error(error: image::ImageError) -> io::Error {
    match error {
        image::ImageError::IoError(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}
