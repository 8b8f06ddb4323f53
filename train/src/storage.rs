//! Atomic file writes, and CSV.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

/// Rows as CSV with a header. Floats are written so that they are read back bit for bit.
///
/// # Errors
/// [`csv::Error`] when a row is not flat.
pub fn csv<T: Serialize>(rows: &[T]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    let bytes = writer.into_inner();
    Ok(bytes.map_err(csv::IntoInnerError::into_error)?)
}

/// Writes a file atomically: to a temporary file beside it, which is then renamed. Missing folders are created.
///
/// # Errors
/// The I/O error; the old file, if any, is unchanged.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder)?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".part");
    let mut file = File::create(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| std::fs::rename(&temporary, path));
    if placed.is_err() {
        // The first error is reported, not that of the clean-up.
        let _ = std::fs::remove_file(&temporary);
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_no_temporary_file_remains() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("runs/one/model.onnx");
        for text in ["first", "second"] {
            write_whole(&path, text.as_bytes()).expect("written");
            assert_eq!(std::fs::read_to_string(&path).expect("file exists"), text);
        }
        let beside = std::fs::read_dir(path.parent().expect("parent folder")).expect("file exists");
        assert_eq!(beside.count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let taken = folder.path().join("taken");
        std::fs::create_dir_all(taken.join("full")).expect("folder created");
        assert!(write_whole(&taken, b"x").is_err());
        assert!(!folder.path().join("taken.part").exists());
    }
}
