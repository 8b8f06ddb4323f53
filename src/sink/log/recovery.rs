//! Repairs the end of a log that an earlier run left truncated, after a kill, a power cut or on a full disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::line_writer::LineWriter;

/// The start of every line of a log.
const LINE_START: &[u8] = br#"{"schema":"#;

/// Bytes read at once when searching backwards from the end.
const CHUNK: u64 = 64 * 1024;

/// Longer lines are not parsed.
const LONGEST_LINE: u64 = 1024 * 1024;

/// Whether a file is empty or begins with a line, or a part of one.
pub(super) fn begins_as_log(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(CHUNK).read_to_end(&mut start)?;
    let is_lost = start.iter().all(|&byte| byte == 0);
    Ok(is_lost || start.starts_with(LINE_START) || LINE_START.starts_with(&start))
}

/// The end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogEnd {
    /// A complete line, or the log is empty.
    Complete,
    /// A line that lacks only its line break, or one that boxcam did not write.
    NoLineBreak,
    /// A part of a line.
    Truncated {
        /// Length in bytes of the complete lines before it.
        complete: u64,
        /// Length in bytes of the part.
        partial: u64,
    },
}

/// Removes a truncated last line, or adds a missing line break. Returns the number of bytes removed, if any.
///
/// # Errors
/// For example if the file may be appended to but not truncated.
pub(super) fn repair(log: &mut File, writer: &mut LineWriter<File>) -> io::Result<Option<u64>> {
    match find_end(log)? {
        LogEnd::Complete => Ok(None),
        LogEnd::NoLineBreak => writer.write(b"\n").map(|()| None),
        LogEnd::Truncated { complete, partial } => {
            writer.inner().set_len(complete)?;
            Ok(Some(partial))
        }
    }
}

fn find_end(log: &mut (impl Read + Seek)) -> io::Result<LogEnd> {
    let length = log.seek(SeekFrom::End(0))?;
    let complete = length_of_complete_lines(log, length)?;
    if complete == length {
        return Ok(LogEnd::Complete);
    }
    let mut last = Vec::new();
    log.seek(SeekFrom::Start(complete))?;
    log.take(LONGEST_LINE).read_to_end(&mut last)?;
    let partial = length - complete;
    if !is_from_boxcam(&last) || (partial < LONGEST_LINE && is_json(&last)) {
        return Ok(LogEnd::NoLineBreak);
    }
    Ok(LogEnd::Truncated { complete, partial })
}

/// The length in bytes up to and including the last line break.
fn length_of_complete_lines(log: &mut (impl Read + Seek), length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut chunk = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        chunk.clear();
        log.seek(SeekFrom::Start(start))?;
        log.by_ref().take(end - start).read_to_end(&mut chunk)?;
        if let Some(at) = chunk.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// After a power cut, some file systems leave zeros in place of the line.
fn is_from_boxcam(line: &[u8]) -> bool {
    let head = &line[..line.len().min(LINE_START.len())];
    LINE_START.starts_with(head) || head.first() == Some(&0)
}

fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn end_of(text: &[u8]) -> LogEnd {
        find_end(&mut Cursor::new(text)).expect("a cursor can be read")
    }

    #[test]
    fn a_log_truncated_at_any_byte_is_recognized() {
        let line =
            "{\"schema\":1,\"time\":\"2026-11-23T20:45:01.123Z\",\"class\":\"crème brûlée\"}\n";
        let text = line.repeat(3);
        for length in 0..=text.len() {
            let expected = match length % line.len() {
                0 => LogEnd::Complete,
                partial if partial + 1 == line.len() => LogEnd::NoLineBreak,
                partial => LogEnd::Truncated {
                    complete: (length - partial) as u64,
                    partial: partial as u64,
                },
            };
            assert_eq!(
                end_of(&text.as_bytes()[..length]),
                expected,
                "{length} bytes"
            );
        }
    }

    #[test]
    fn any_number_of_zeros_after_a_power_cut_is_removed() {
        for count in [1, 100, CHUNK - 1, CHUNK, 3 * CHUNK, 2 * LONGEST_LINE] {
            let mut text = b"{\"schema\":1}\n".to_vec();
            text.resize(13 + count as usize, 0);
            let truncated = LogEnd::Truncated {
                complete: 13,
                partial: count,
            };
            assert_eq!(end_of(&text), truncated);
        }
    }

    #[test]
    fn lines_of_other_programs_are_kept() {
        assert_eq!(end_of(b"hello"), LogEnd::NoLineBreak);
        assert_eq!(end_of(b"hello,\nto"), LogEnd::NoLineBreak);
        assert_eq!(end_of(b"hello\n"), LogEnd::Complete);
    }
}
