//! The end of a log that an earlier run left: whole, or torn by a kill, a power cut or a full disk.

use std::io::{self, Read, Seek, SeekFrom};

/// How every line of a log begins.
const START: &[u8] = br#"{"schema":"#;

/// Bytes that are looked at together on the way back from the end.
const CHUNK: u64 = 64 * 1024;

/// A line longer than this is not looked into.
const LONGEST_LINE: u64 = 1024 * 1024;

/// How a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// With a whole line, or it is empty.
    Whole,
    /// With a line that lacks nothing but its end, or is none of boxcam's.
    Unended,
    /// With a piece of a line.
    Torn {
        /// Where the whole lines end, in bytes from the start.
        whole: u64,
        /// Length of the piece, in bytes.
        piece: u64,
    },
}

/// Looks at the end of a log.
pub(super) fn examine(log: &mut (impl Read + Seek)) -> io::Result<Tail> {
    let length = log.seek(SeekFrom::End(0))?;
    let whole = end_of_lines(log, length)?;
    if whole == length {
        return Ok(Tail::Whole);
    }
    let mut last = Vec::new();
    log.seek(SeekFrom::Start(whole))?;
    log.take(LONGEST_LINE).read_to_end(&mut last)?;
    let piece = length - whole;
    if !is_ours(&last) || (piece < LONGEST_LINE && is_object(&last)) {
        return Ok(Tail::Unended);
    }
    Ok(Tail::Torn { whole, piece })
}

/// Where the last line break is over, or 0.
fn end_of_lines(log: &mut (impl Read + Seek), length: u64) -> io::Result<u64> {
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

/// Whether boxcam began this line. After a power cut some file systems have zeros where it should be.
fn is_ours(line: &[u8]) -> bool {
    let head = &line[..line.len().min(START.len())];
    START.starts_with(head) || head.first() == Some(&0)
}

fn is_object(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn tail(text: &[u8]) -> Tail {
        examine(&mut Cursor::new(text)).expect("memory can be read")
    }

    #[test]
    fn a_log_can_be_torn_at_every_byte() {
        let line =
            "{\"schema\":1,\"time\":\"2026-11-23T20:45:01.123Z\",\"class\":\"crème brûlée\"}\n";
        let text = line.repeat(3);
        for length in 0..=text.len() {
            let expected = match length % line.len() {
                0 => Tail::Whole,
                piece if piece + 1 == line.len() => Tail::Unended,
                piece => Tail::Torn {
                    whole: (length - piece) as u64,
                    piece: piece as u64,
                },
            };
            assert_eq!(tail(&text.as_bytes()[..length]), expected, "{length} bytes");
        }
    }

    #[test]
    fn zeros_of_a_power_cut_are_torn_however_many_they_are() {
        for count in [1, 100, CHUNK - 1, CHUNK, 3 * CHUNK, 2 * LONGEST_LINE] {
            let mut text = b"{\"schema\":1}\n".to_vec();
            text.resize(13 + count as usize, 0);
            let torn = Tail::Torn {
                whole: 13,
                piece: count,
            };
            assert_eq!(tail(&text), torn);
        }
    }

    #[test]
    fn what_is_not_of_boxcam_is_kept() {
        assert_eq!(tail(b"dear diary"), Tail::Unended);
        assert_eq!(tail(b"dear diary,\nto"), Tail::Unended);
        assert_eq!(tail(b"dear diary\n"), Tail::Whole);
    }
}
