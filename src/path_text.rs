//! Paths as text, also those that are not UTF-8.

use std::borrow::Cow;
use std::path::Path;

use percent_encoding::percent_encode_byte;

/// A path as text that differs for different paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathText<'p> {
    /// The path; if it [is encoded](Self::is_encoded), each byte that is not UTF-8, and each `%`, is `%` with two
    /// hexadecimal digits. Decoding the percent signs gives the bytes of the path.
    pub text: Cow<'p, str>,
    /// Whether the path is not UTF-8.
    pub is_encoded: bool,
}

impl<'p> PathText<'p> {
    #[must_use]
    pub fn of(path: &'p Path) -> Self {
        match path.to_str() {
            Some(text) => Self {
                text: Cow::Borrowed(text),
                is_encoded: false,
            },
            None => Self {
                text: Cow::Owned(encoded(path.as_os_str().as_encoded_bytes())),
                is_encoded: true,
            },
        }
    }
}

fn encoded(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('%', percent_encode_byte(b'%')));
        text.extend(
            chunk
                .invalid()
                .iter()
                .map(|byte| percent_encode_byte(*byte)),
        );
    }
    text
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use percent_encoding::percent_decode_str;

    use super::*;

    #[test]
    fn paths_that_are_not_utf8_stay_distinct_and_can_be_decoded() {
        let paths: [(&[u8], &str, bool); 7] = [
            (b"caf\xc3\xa9/100%.jpg", "caf\u{e9}/100%.jpg", false),
            ("\u{fffd}.jpg".as_bytes(), "\u{fffd}.jpg", false),
            (b"caf\xe9.jpg", "caf%E9.jpg", true),
            (b"caf\xe8.jpg", "caf%E8.jpg", true),
            (b"100%\xff/\xc3\xa9", "100%25%FF/\u{e9}", true),
            (b"\xed\xa0\x80", "%ED%A0%80", true),
            (b"\xf0\x9f\x8d", "%F0%9F%8D", true),
        ];
        for (bytes, expected, is_encoded) in paths {
            let path = Path::new(OsStr::from_bytes(bytes));
            let text = PathText::of(path);
            assert_eq!(
                (text.text.as_ref(), text.is_encoded),
                (expected, is_encoded)
            );
            if is_encoded {
                let decoded: Vec<u8> = percent_decode_str(&text.text).collect();
                assert_eq!(decoded, bytes);
            }
        }
    }
}
