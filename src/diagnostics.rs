//! Messages on standard error. Writing one never ends a run.
//!
//! The standard library's `eprintln!` panics if standard error can't be written: its disk is full, or its terminal
//! was closed. `warn!` drops the line instead.

use std::fmt;
use std::io::{Write as _, stderr};

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
