//! The password of the web page.

use std::fmt::{self, Debug, Formatter};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// Whether the web page asks for a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebLogin {
    /// Whoever reaches the page can watch.
    Open,
    Password(WebPassword),
}

/// A password, of which only the hash is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct WebPassword {
    hash: [u8; 32],
}

/// A text that is no password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WebPasswordError {
    #[error("it is empty; write a password into its first line")]
    Empty,
    #[error(
        "its first line is longer than {} bytes; write a password into it",
        WebPassword::MAX_LENGTH
    )]
    TooLong,
}

impl WebPassword {
    /// The longest password, in bytes.
    pub const MAX_LENGTH: usize = 1024;

    /// The first line of a file.
    ///
    /// # Errors
    /// [`WebPasswordError`] if it is empty or too long.
    pub fn from_file_content(content: &[u8]) -> Result<Self, WebPasswordError> {
        let line = content.split(|byte| *byte == b'\n').next();
        let line = line.unwrap_or_default();
        let password = line.strip_suffix(b"\r").unwrap_or(line);
        match password.len() {
            0 => Err(WebPasswordError::Empty),
            1..=Self::MAX_LENGTH => Ok(Self {
                hash: Sha256::digest(password).into(),
            }),
            _ => Err(WebPasswordError::TooLong),
        }
    }

    /// Whether a text is the password. The time that this takes tells nothing about the password.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        // Hashes have the same length, so the length of the password does not show either.
        let hash: [u8; 32] = Sha256::digest(text).into();
        self.hash.ct_eq(&hash).into()
    }
}

impl Debug for WebPassword {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("WebPassword(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_the_file_is_the_password() {
        let contents = [
            "s3cret \u{e4}",
            "s3cret \u{e4}\n",
            "s3cret \u{e4}\r\nmore\n",
        ];
        for content in contents {
            let password = WebPassword::from_file_content(content.as_bytes()).expect("valid");
            assert!(password.matches("s3cret \u{e4}".as_bytes()), "{content:?}");
            for other in [
                "",
                "s3cret",
                "s3cret \u{e4} ",
                "S3cret \u{e4}",
                content.trim_end_matches('\u{e4}'),
            ] {
                assert!(!password.matches(other.as_bytes()), "{other:?}");
            }
            assert!(!format!("{password:?}").contains("s3cret"));
        }
    }

    #[test]
    fn an_empty_or_endless_file_is_an_error() {
        for empty in ["", "\n", "\r\n", "\nsecond\n"] {
            let read = WebPassword::from_file_content(empty.as_bytes());
            assert_eq!(read, Err(WebPasswordError::Empty), "{empty:?}");
        }
        let longest = "x".repeat(WebPassword::MAX_LENGTH);
        assert!(WebPassword::from_file_content(longest.as_bytes()).is_ok());
        let longer = WebPassword::from_file_content(format!("{longest}x").as_bytes());
        assert_eq!(longer, Err(WebPasswordError::TooLong));
    }
}
