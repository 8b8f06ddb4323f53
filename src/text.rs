//! Text files of other programs: their encodings, line ends and numbers.
//!
//! Text is UTF-8 or UTF-16 (either byte order), with or without a byte order mark; the mark is no part of the text. Line
//! ends are LF, CR LF or CR, and become LF.

use std::io::{self, Read as _};
use std::path::Path;

use thiserror::Error;

use crate::diagnostics::reading_advice;

/// Why a file is no text.
#[derive(Debug, Error)]
pub enum TextError {
    #[error("can't be read ({source}); {}", reading_advice(source))]
    Read {
        #[from]
        source: io::Error,
    },
    #[error("is not UTF-8 or UTF-16 text (line {line}); save it as UTF-8")]
    NotUtf8 {
        /// The first line that isn't, from 1.
        line: usize,
    },
    #[error("is {encoding} text that can't be decoded ({cause}); save it as UTF-8")]
    Encoding {
        encoding: String,
        cause: &'static str,
    },
}

/// The bytes before which NULs are looked for, to recognize UTF-16 without a byte order mark.
const PROBE: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Utf16 {
    LittleEndian,
    BigEndian,
}

/// Reads a whole file.
///
/// # Errors
/// [`TextError`] if it can't be read, or is in none of the encodings.
pub fn read(path: &Path) -> Result<String, TextError> {
    decode(std::fs::read(path)?)
}

/// Decodes the bytes of a text file.
///
/// # Errors
/// [`TextError`], but not [`TextError::Read`].
pub fn decode(bytes: Vec<u8>) -> Result<String, TextError> {
    String::from_utf8(to_utf8(bytes)?).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        TextError::NotUtf8 {
            line: 1 + valid.iter().filter(|byte| **byte == b'\n').count(),
        }
    })
}

/// The same without the check that UTF-8 is valid, for formats in which one invalid line costs only itself.
///
/// # Errors
/// [`TextError::Encoding`] for invalid UTF-16 and for UTF-32.
pub fn to_utf8(mut bytes: Vec<u8>) -> Result<Vec<u8>, TextError> {
    let invalid = |encoding: &str, cause| TextError::Encoding {
        encoding: encoding.to_owned(),
        cause,
    };
    if bytes.starts_with(&[0xFF, 0xFE, 0, 0]) || bytes.starts_with(&[0, 0, 0xFE, 0xFF]) {
        return Err(invalid("UTF-32", "boxcam reads UTF-8 and UTF-16"));
    }
    if let Some(order) = utf16_order(&bytes) {
        if bytes.len() % 2 == 1 {
            return Err(invalid("UTF-16", "its last character is cut off"));
        }
        let text: Result<String, _> = char::decode_utf16(units(&bytes, order)).collect();
        bytes = text
            .map_err(|_| invalid("UTF-16", "it has an unpaired surrogate"))?
            .into_bytes();
    }
    while bytes.starts_with("\u{feff}".as_bytes()) {
        bytes.drain(..3);
    }
    Ok(with_line_feeds(bytes))
}

/// The first 64 KiB of a file as text; characters that can't be decoded are replaced. Empty if it can't be read.
#[must_use]
pub fn start(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        // A file that fails here fails again, with a message, when it is read in full.
        let _ = file.take(64 * 1024).read_to_end(&mut bytes);
    }
    let text = match utf16_order(&bytes) {
        Some(order) => char::decode_utf16(units(&bytes, order))
            .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
        None => String::from_utf8_lossy(&bytes).into_owned(),
    };
    trim(&text).replace("\r\n", "\n").replace('\r', "\n")
}

/// The text without white space, byte order marks and zero-width spaces at both ends.
#[must_use]
pub fn trim(text: &str) -> &str {
    text.trim_matches(|letter: char| {
        letter.is_whitespace() || ['\u{feff}', '\u{200b}', '\0'].contains(&letter)
    })
}

/// A number with a decimal point, or with a decimal comma if that is the only way to read it. NaN and infinities count as
/// numbers. `1,234` is none: the comma may separate thousands.
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    let text = trim(text);
    text.parse().ok().or_else(|| {
        let (whole, fraction) = text.split_once(',')?;
        let digits = |part: &str| part.chars().all(|letter| letter.is_ascii_digit());
        let bare = whole.trim_start_matches(['-', '+']);
        let is_thousands = fraction.len() == 3 && !bare.trim_start_matches('0').is_empty();
        let is_decimal = !fraction.is_empty() && digits(fraction) && digits(bare) && !is_thousands;
        let point = || format!("{whole}.{fraction}").parse().ok();
        is_decimal.then(point).flatten()
    })
}

/// What separates the fields of a CSV, by its first line: a comma, a semicolon or a tab.
#[must_use]
pub fn delimiter(csv: &[u8]) -> u8 {
    let header = csv.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: u8| header.iter().filter(|byte| **byte == delimiter).count();
    // Of equal counts the last is taken.
    let likely = [b'\t', b';', b','].into_iter();
    likely
        .max_by_key(|delimiter| count(*delimiter))
        .unwrap_or(b',')
}

/// By the byte order mark, else by where the NULs of Latin letters are: UTF-8 text has none.
fn utf16_order(bytes: &[u8]) -> Option<Utf16> {
    match bytes {
        [0xFF, 0xFE, ..] => return Some(Utf16::LittleEndian),
        [0xFE, 0xFF, ..] => return Some(Utf16::BigEndian),
        _ => {}
    }
    let nuls = |parity| {
        let probe = bytes.iter().take(PROBE).skip(parity).step_by(2);
        probe.filter(|byte| **byte == 0).count()
    };
    let (even, odd) = (nuls(0), nuls(1));
    match even.cmp(&odd) {
        std::cmp::Ordering::Less => Some(Utf16::LittleEndian),
        std::cmp::Ordering::Greater => Some(Utf16::BigEndian),
        std::cmp::Ordering::Equal => None,
    }
}

fn units(bytes: &[u8], order: Utf16) -> impl Iterator<Item = u16> {
    bytes
        .as_chunks::<2>()
        .0
        .iter()
        .map(move |pair| match order {
            Utf16::LittleEndian => u16::from_le_bytes(*pair),
            Utf16::BigEndian => u16::from_be_bytes(*pair),
        })
}

/// With LF in place of CR LF and CR.
fn with_line_feeds(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.contains(&b'\r') {
        return bytes;
    }
    let mut lines = Vec::with_capacity(bytes.len());
    let mut after_return = false;
    for byte in bytes {
        match byte {
            b'\n' if after_return => {}
            b'\r' => lines.push(b'\n'),
            other => lines.push(other),
        }
        after_return = byte == b'\r';
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn every_encoding_gives_the_same_text() {
        let text = "{\"name\": \"杯子 Käse 🍕\"}\nsecond\n";
        let marked = format!("\u{feff}{text}");
        let windows = text.replace('\n', "\r\n");
        let cases = [
            ("UTF-8", text.as_bytes().to_vec()),
            ("UTF-8 with a mark", marked.clone().into_bytes()),
            ("two marks", format!("\u{feff}{marked}").into_bytes()),
            ("UTF-16 LE with a mark", utf16(&marked, u16::to_le_bytes)),
            ("UTF-16 BE with a mark", utf16(&marked, u16::to_be_bytes)),
            ("UTF-16 LE", utf16(text, u16::to_le_bytes)),
            ("UTF-16 BE", utf16(text, u16::to_be_bytes)),
            ("CR LF", windows.clone().into_bytes()),
            ("CR", text.replace('\n', "\r").into_bytes()),
            ("UTF-16 with CR LF", utf16(&windows, u16::to_le_bytes)),
        ];
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("text");
        for (name, bytes) in cases {
            std::fs::write(&path, &bytes).expect("written");
            assert_eq!(read(&path).expect(name), text, "{name}");
            assert_eq!(start(&path), text.trim(), "{name}");
        }
    }

    #[test]
    fn other_encodings_are_refused() {
        let latin = b"first\nK\xE4se\n".to_vec();
        let cases = [
            (latin, "is not UTF-8 or UTF-16 text (line 2)"),
            (vec![0xFF, 0xFE, 0, 0, b'a', 0, 0, 0], "is UTF-32 text"),
            (vec![0xFF, 0xFE, b'a'], "its last character is cut off"),
            (vec![0xFF, 0xFE, 0x3D, 0xD8], "an unpaired surrogate"),
        ];
        for (bytes, message) in cases {
            let error = decode(bytes).expect_err(message).to_string();
            assert!(error.contains(message), "{error}");
            assert!(error.contains("save it as UTF-8"), "{error}");
        }
        let missing = read(Path::new("nowhere")).expect_err("missing");
        assert!(missing.to_string().contains("can't be read"), "{missing}");
    }

    #[test]
    fn numbers_have_a_point_or_a_comma() {
        for (text, value) in [
            (" 0.5 ", Some(0.5)),
            ("0,5", Some(0.5)),
            ("-12,25", Some(-12.25)),
            ("0,125", Some(0.125)),
            ("\u{feff}1", Some(1.0)),
            ("0.0e+00", Some(0.0)),
            ("inf", Some(f64::INFINITY)),
            ("1,234", None),
            ("1,2,3", None),
            ("1,", None),
            ("wide", None),
            ("", None),
        ] {
            assert_eq!(number(text), value, "{text}");
        }
        assert!(number("NaN").is_some_and(f64::is_nan));
    }
}
