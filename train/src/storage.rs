//! Files that can't be half-written, and rows as CSV.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

/// Rows as CSV, with a header; its numbers come back to the last bit.
///
/// # Errors
/// [`csv::Error`] when a row has parts that CSV has no place for.
pub fn csv<T: Serialize>(rows: &[T]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    let bytes = writer.into_inner();
    Ok(bytes.map_err(csv::IntoInnerError::into_error)?)
}

/// Writes a file whole or not at all: beside it first, then renamed into its place. Folders on the way are
/// made.
///
/// # Errors
/// The system's, after which the old file, if any, is as it was.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let mut file = File::create(&beside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| std::fs::rename(&beside, path));
    if placed.is_err() {
        // The first error is the one to tell; that of cleaning up after it would hide it.
        let _ = std::fs::remove_file(&beside);
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("runs/one/model.onnx");
        for text in ["first", "second"] {
            write_whole(&path, text.as_bytes()).expect("written");
            assert_eq!(std::fs::read_to_string(&path).expect("there"), text);
        }
        let beside = std::fs::read_dir(path.parent().expect("has one")).expect("there");
        assert_eq!(beside.count(), 1);
    }

    #[test]
    fn what_cannot_be_placed_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let taken = folder.path().join("taken");
        std::fs::create_dir_all(taken.join("full")).expect("made");
        assert!(write_whole(&taken, b"x").is_err());
        assert!(!folder.path().join("taken.part").exists());
    }
}
