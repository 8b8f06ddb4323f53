//! One program at a time writes the labels of a folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use boxcam::diagnostics::writing_advice;
use thiserror::Error;

/// Hidden, so that it is no part of the data set.
const FILE_NAME: &str = ".boxcam-labels.lock";

/// The longest text that is read from the file of another program.
const MAX_TEXT: u64 = 200;

/// Why the folder cannot be locked.
#[derive(Debug, Error)]
pub enum LockError {
    #[error(
        "{}: another boxcam-train is labeling this folder{by}; open its page, or end it first", folder.display()
    )]
    Taken {
        folder: PathBuf,
        /// Its page and process, as part of the message.
        by: String,
    },
    #[error("{}: cannot be written ({source}); {}", path.display(), writing_advice(source))]
    Write { path: PathBuf, source: io::Error },
}

/// Held until it is dropped or the program ends, in whatever way. The file itself remains.
#[derive(Debug)]
pub(super) struct FolderLock {
    file: File,
}

impl FolderLock {
    pub(super) fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join(FILE_NAME);
        let failed = |source| LockError::Write {
            path: path.clone(),
            source,
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // On some systems, a locked file cannot be read.
                let _ = (&mut file).take(MAX_TEXT).read_to_string(&mut text);
                let by = match text.trim() {
                    "" => String::new(),
                    text => format!(" ({text})"),
                };
                let folder = folder.to_owned();
                Err(LockError::Taken { folder, by })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Tells other programs who has the lock. It is only part of a message, so errors do not matter.
    pub(super) fn describe(&mut self, page: &str) {
        let text = format!("{page}, process {}\n", std::process::id());
        let _ = self.file.set_len(0);
        let _ = self.file.rewind();
        let _ = self.file.write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_until_the_lock_is_dropped() {
        let folder = tempfile::tempdir().expect("created");
        let mut lock = FolderLock::take(folder.path()).expect("free");
        lock.describe("http://127.0.0.1:1/");
        let message = FolderLock::take(folder.path())
            .expect_err("taken")
            .to_string();
        for part in ["another boxcam-train", "http://127.0.0.1:1/, process"] {
            assert!(message.contains(part), "{message}");
        }
        drop(lock);
        FolderLock::take(folder.path()).expect("free again");
        let error = FolderLock::take(&folder.path().join("none")).expect_err("no folder");
        assert!(matches!(error, LockError::Write { .. }), "{error}");
    }
}
