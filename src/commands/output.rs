//! Text to standard output, the same way for every command that prints some.

use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use boxcam::sink::SinkError;
use serde::Serialize;

use super::Failure;

/// Prints a text, which need not end in a new line.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(unwritable(error)),
        // A reader that has had enough is well.
        _ => Ok(()),
    }
}

/// What is printed for programs: one JSON object.
pub(super) fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| unwritable(error.into()))
}

/// That standard output can't be written to.
fn unwritable(source: std::io::Error) -> Failure {
    let path = PathBuf::from("standard output");
    SinkError::Write { path, source }.into()
}
