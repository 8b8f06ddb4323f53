//! Atomic file writes, and CSV.

use std::io::{self, ErrorKind};
use std::path::Path;

use boxcam::output_file::{self, OutputFileError, WriteSettings};
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

/// Writes a file atomically: to a temporary file beside it, which is then renamed. Missing folders are created. It
/// replaces no file that another program has written.
///
/// # Errors
/// The I/O error, [`ErrorKind::AlreadyExists`] for a file of another program; the old file, if any, is unchanged.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let settings = WriteSettings {
        sync: true,
        ..WriteSettings::default()
    };
    write(path, bytes, settings)
}

/// As [`write_whole`], and returns when the new name is on the disk too: a power cut can't bring the old file back.
///
/// # Errors
/// As [`write_whole`].
pub fn write_durable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_whole(path, bytes)?;
    // Other systems can't open a folder.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// As [`write_whole`], but the system decides when the file is flushed to the disk: for one of many.
///
/// # Errors
/// As [`write_whole`].
pub fn write_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, WriteSettings::default())
}

fn write(path: &Path, bytes: &[u8], settings: WriteSettings) -> io::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder)?;
    }
    match output_file::write(path, bytes, settings) {
        Ok(_) => Ok(()),
        Err(OutputFileError::Write { source, .. }) => Err(source),
        Err(OutputFileError::Kept { reason, .. }) => {
            let message = format!(
                "it {reason}, so it is left as it is; move it away, or choose another name"
            );
            Err(io::Error::new(ErrorKind::AlreadyExists, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_no_temporary_file_remains() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("runs/one/history.csv");
        for text in ["epoch,loss\n1,0.5\n", "epoch,loss\n1,0.5\n2,0.4\n"] {
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
        let beside = std::fs::read_dir(folder.path()).expect("listed");
        assert_eq!(beside.count(), 1);
    }

    #[test]
    fn a_file_of_another_program_is_kept() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("history.csv");
        std::fs::write(&path, "mine").expect("written");
        let error = write_whole(&path, b"epoch,loss\n").expect_err("kept");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(
            error.to_string().contains("was not written by boxcam"),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).expect("there"), b"mine");
    }
}
