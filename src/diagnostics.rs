//! Messages on standard error. Writing one never ends a run.
//!
//! The standard library's `eprintln!` panics if standard error can't be written: its disk is full, or its terminal
//! was closed. `error!`, `warn!` and `info!` drop the line instead. If standard error is the journal of systemd, each line
//! has its priority, so that `journalctl -p warning` leaves out what is no problem.

use std::fmt;
use std::io::{self, ErrorKind, Write as _, stderr};
use std::sync::LazyLock;

/// Writes why the program ends to standard error, after the program's name.
#[macro_export]
macro_rules! error {
    ($($message:tt)*) => {
        $crate::diagnostics::write_message($crate::diagnostics::Priority::Error, format_args!($($message)*))
    };
}

/// Writes what is wrong, or may be, to standard error, after the program's name.
#[macro_export]
macro_rules! warn {
    ($($message:tt)*) => {
        $crate::diagnostics::write_message($crate::diagnostics::Priority::Warning, format_args!($($message)*))
    };
}

/// Writes what is good to know to standard error, after the program's name.
#[macro_export]
macro_rules! info {
    ($($message:tt)*) => {
        $crate::diagnostics::write_message($crate::diagnostics::Priority::Info, format_args!($($message)*))
    };
}

/// How important a message is, as a number of syslog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    Error = 3,
    Warning = 4,
    Info = 6,
}

/// Writes one message to standard error, after the program's name and, in the journal, its priority.
pub fn write_message(priority: Priority, message: fmt::Arguments<'_>) {
    let text = format!("boxcam: {message}");
    match *IS_JOURNAL {
        true => write_line(format_args!("{}", prioritized(priority, &text))),
        false => write_line(format_args!("{text}")),
    }
}

/// Each line of the text with its priority, since the journal takes each line for a message of its own
/// (sd-daemon(3)).
fn prioritized(priority: Priority, text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| format!("<{}>{line}", priority as u8));
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether standard error is a stream of the journal.
static IS_JOURNAL: LazyLock<bool> = LazyLock::new(|| {
    let stream = std::env::var("JOURNAL_STREAM").ok();
    stream.is_some_and(|stream| is_stderr(&stream).unwrap_or(false))
});

/// Whether standard error has this device and inode, as `8:1234`: one that was redirected has others (systemd.exec(5)).
#[cfg(unix)]
fn is_stderr(stream: &str) -> Option<bool> {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::MetadataExt as _;
    let (device, inode) = stream.split_once(':')?;
    let (device, inode): (u64, u64) = (device.parse().ok()?, inode.parse().ok()?);
    let file = std::fs::File::from(stderr().as_fd().try_clone_to_owned().ok()?);
    let metadata = file.metadata().ok()?;
    Some((metadata.dev(), metadata.ino()) == (device, inode))
}

#[cfg(not(unix))]
fn is_stderr(_: &str) -> Option<bool> {
    None
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
    fn each_line_of_a_message_has_the_priority() {
        let text = "boxcam: one\n  two";
        assert_eq!(
            prioritized(Priority::Error, text),
            "<3>boxcam: one\n<3>  two"
        );
        assert_eq!(prioritized(Priority::Info, "x"), "<6>x");
    }

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
