//! Where the commands that draw write to.

use std::path::{Path, PathBuf};

use boxcam_train::storage;
use thiserror::Error;

/// A file that can't be written; the old one, if any, is as it was.
#[derive(Debug, Error)]
#[error("{}: can't be written ({source}); check the folder, its permissions and the space left", file.display())]
pub(crate) struct OutputError {
    file: PathBuf,
    source: std::io::Error,
}

/// Writes a file whole or not at all, and says so.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    storage::write_whole(file, bytes).map_err(|source| OutputError {
        file: file.to_owned(),
        source,
    })?;
    eprintln!("written: {}", file.display());
    Ok(())
}
