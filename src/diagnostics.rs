//! Messages on standard error. Writing one never ends a run.
//!
//! The standard library's `eprintln!` panics if standard error can't be written: its disk is full, or its terminal
//! was closed. `warn!` drops the line instead.

use std::fmt;
use std::io::{self, ErrorKind, Write as _, stderr};

/// Writes one line to standard error, after the program's name.
#[macro_export]
macro_rules! warn {
    ($($message:tt)*) => {
        $crate::diagnostics::write_line(format_args!("boxcam: {}", format_args!($($message)*)))
    };
}

/// Writes one line to standard error and drops it if that fails: there is nowhere to report the failure.
pub fn write_line(line: fmt::Arguments<'_>) {
    write(format_args!("{line}\n"));
}

/// The same without a newline at the end, for progress on a terminal.
pub fn write(text: fmt::Arguments<'_>) {
    let _ = stderr().write_all(text.to_string().as_bytes());
}

/// The next step after a file or folder could not be read.
#[must_use]
pub fn reading_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => {
            "check the path"
        }
        ErrorKind::PermissionDenied => "check its permissions",
        ErrorKind::IsADirectory => "give a file, not a folder",
        ErrorKind::InvalidData => "save it as UTF-8 text",
        ErrorKind::FileTooLarge => "give a smaller file",
        _ => "check the file, and the disk or network that it is on",
    }
}

/// The next step after a file could not be written.
#[must_use]
pub fn writing_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => "create its folder, or check the path",
        ErrorKind::InvalidFilename => "give a shorter name",
        ErrorKind::PermissionDenied => "check its permissions and those of its folder",
        ErrorKind::IsADirectory => "give a file, not a folder",
        ErrorKind::AlreadyExists => "give another name",
        ErrorKind::ReadOnlyFilesystem => "its file system is read-only: give another place",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "free some space"
        }
        _ => "check the path, and the disk or network that it is on",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_mentioned_only_if_they_are_the_cause() {
        let kinds = [
            ErrorKind::NotFound,
            ErrorKind::InvalidData,
            ErrorKind::IsADirectory,
            ErrorKind::StorageFull,
            ErrorKind::ReadOnlyFilesystem,
            ErrorKind::TimedOut,
            ErrorKind::Other,
        ];
        for kind in kinds {
            let error = io::Error::from(kind);
            for advice in [reading_advice(&error), writing_advice(&error)] {
                assert!(!advice.contains("permission"), "{kind}: {advice}");
            }
        }
        let denied = io::Error::from(ErrorKind::PermissionDenied);
        assert!(reading_advice(&denied).contains("permissions"));
        assert!(writing_advice(&denied).contains("permissions"));
        let encoding = io::Error::from(ErrorKind::InvalidData);
        assert!(reading_advice(&encoding).contains("UTF-8"));
        let full = io::Error::from_raw_os_error(28);
        assert!(writing_advice(&full).contains("space"), "{full}");
    }
}
