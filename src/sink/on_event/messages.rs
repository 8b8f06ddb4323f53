//! What programs write, as messages of boxcam: a limited number of lines of a limited length.

use std::time::{Duration, Instant};

use crate::{info, warn};

/// The most lines in [`INTERVAL`], of all programs together: their output must not drown other messages.
pub(super) const MAX_LINES: u32 = 20;

pub(super) const INTERVAL: Duration = Duration::from_secs(60);

/// The most bytes of a line; the rest is left out.
pub(super) const MAX_LINE_BYTES: usize = 400;

/// Writes lines as messages, as long as there are not too many.
#[derive(Debug)]
pub(super) struct ProgramMessages {
    /// The program, for messages.
    program: String,
    interval_start: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl ProgramMessages {
    pub(super) fn new(program: &str) -> Self {
        Self {
            program: program.to_owned(),
            interval_start: None,
            lines: 0,
            left_out: 0,
        }
    }

    /// Writes a line, or counts it.
    pub(super) fn add(&mut self, line: &str, now: Instant) {
        if let Some(line) = self.accept(line, now) {
            info!("{line}");
        }
    }

    /// The message for a line; `None` if there are too many.
    fn accept(&mut self, line: &str, now: Instant) -> Option<String> {
        let start = *self.interval_start.get_or_insert(now);
        if now.saturating_duration_since(start) >= INTERVAL {
            self.finish();
            self.interval_start = Some(now);
            self.lines = 0;
        }
        if self.lines >= MAX_LINES {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(format!("on-event: {}: {line}", self.program))
    }

    /// Reports how many lines were left out.
    pub(super) fn finish(&mut self) {
        match std::mem::take(&mut self.left_out) {
            0 => {}
            count => warn!(
                "on-event: {}: {count} more lines were left out",
                self.program
            ),
        }
    }
}

/// Splits a program's output into lines without control characters, each of at most [`MAX_LINE_BYTES`].
#[derive(Debug, Default)]
pub(super) struct LineSplitter {
    line: Vec<u8>,
    is_cut: bool,
}

impl LineSplitter {
    /// Adds bytes, and calls `emit` for each line that they complete.
    pub(super) fn add(&mut self, bytes: &[u8], mut emit: impl FnMut(&str)) {
        for &byte in bytes {
            match byte {
                b'\n' | b'\r' => self.finish(&mut emit),
                _ if self.line.len() < MAX_LINE_BYTES => self.line.push(byte),
                _ => self.is_cut = true,
            }
        }
    }

    /// Emits the last line, which may have no line break.
    pub(super) fn finish(&mut self, mut emit: impl FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.line);
        // Escape sequences of a terminal must not get into a log.
        let mut text = text.replace(char::is_control, " ");
        if std::mem::take(&mut self.is_cut) {
            text.push_str(" ...");
        }
        self.line.clear();
        if !text.trim().is_empty() {
            emit(text.trim_end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(parts: &[&[u8]]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut splitter = LineSplitter::default();
        for part in parts {
            splitter.add(part, |line| lines.push(line.to_owned()));
        }
        splitter.finish(|line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn lines_are_joined_from_parts_and_have_no_control_characters() {
        let parts: [&[u8]; 3] = [b"one\ntw", b"o\r\n\n", b"\x1b[31mred\xff\x07"];
        assert_eq!(split(&parts), ["one", "two", " [31mred\u{fffd}"]);
    }

    #[test]
    fn long_lines_are_cut() {
        let long = [b'x'; 3 * MAX_LINE_BYTES];
        let lines = split(&[&long, &long, b"\nshort"]);
        let expected = format!("{} ...", "x".repeat(MAX_LINE_BYTES));
        assert_eq!(lines, [expected.as_str(), "short"]);
    }

    #[test]
    fn the_number_of_lines_in_an_interval_is_limited() {
        let mut messages = ProgramMessages::new("notify");
        let start = Instant::now();
        let first = messages.accept("hello", start);
        assert_eq!(first.as_deref(), Some("on-event: notify: hello"));
        let accepted = (0..100).filter_map(|_| messages.accept("x", start)).count();
        assert_eq!(accepted as u32, MAX_LINES - 1);
        assert_eq!(messages.left_out, 101 - u64::from(MAX_LINES));
        let later = start + INTERVAL;
        assert!(messages.accept("x", later).is_some());
        assert_eq!(messages.left_out, 0);
    }
}
