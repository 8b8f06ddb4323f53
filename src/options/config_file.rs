//! Reads a configuration file: TOML whose keys are the long options of `boxcam run`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::{Spanned, Value};

use crate::address::redacted;
use crate::diagnostics::reading_advice;

/// The most bytes of a file. The path may be a device without an end.
const MAX_BYTES: u64 = 64 * 1024;

/// A configuration file that can't be used.
#[derive(Debug, Error)]
pub enum ConfigFileError {
    #[error("{}: can't be read ({source}); {}", path.display(), reading_advice(source))]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: line {line}: {key}: {message}", path.display())]
    Line {
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key, or the first word of the line if it has none. A line may contain a password.
        key: String,
        message: String,
    },
}

/// One key of a file with its value.
#[derive(Debug, PartialEq)]
pub(super) struct Setting {
    /// From 1.
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) is_bool: bool,
}

impl Setting {
    /// The setting as an argument of the command line.
    pub(super) fn argument(&self) -> String {
        format!("--{}={}", self.key, self.value)
    }
}

/// Reads the settings of a file, in the order of their lines.
pub(super) fn read(path: &Path) -> Result<Vec<Setting>, ConfigFileError> {
    let text = read_text(path).map_err(|source| ConfigFileError::Read {
        path: path.into(),
        source,
    })?;
    parse(&text, path)
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(MAX_BYTES + 1);
    file.read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        let message = format!("it is longer than {MAX_BYTES} bytes");
        return Err(io::Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

pub(super) fn parse(text: &str, path: &Path) -> Result<Vec<Setting>, ConfigFileError> {
    let failure = |start: usize, message: &str| {
        let line = line_at(text, start);
        let content = text.lines().nth(line - 1).unwrap_or_default();
        ConfigFileError::Line {
            path: path.into(),
            line,
            key: redacted(key_of(content)),
            message: redacted(message),
        }
    };
    let table: BTreeMap<Spanned<String>, Value> = toml::from_str(text)
        .map_err(|error| failure(error.span().map_or(0, |span| span.start), error.message()))?;
    let mut settings = Vec::new();
    for (key, value) in table {
        let start = key.span().start;
        let text_of_value = match &value {
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(value) => value.to_string(),
            Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
                return Err(failure(start, "expected a string, a number, true or false"));
            }
        };
        settings.push(Setting {
            line: line_at(text, start),
            key: key.into_inner(),
            value: text_of_value,
            is_bool: value.is_bool(),
        });
    }
    settings.sort_by_key(|setting| setting.line);
    Ok(settings)
}

/// What stands before the `=` of a line, or its first word.
fn key_of(line: &str) -> &str {
    let line = line.trim();
    if let Some((key, _)) = line.split_once('=') {
        return key.trim();
    }
    let is_key = |c: char| c.is_ascii_alphanumeric() || "-_.[".contains(c);
    let end = line.find(|c| !is_key(c)).unwrap_or(line.len());
    &line[..end]
}

/// The line of a byte, from 1.
fn line_at(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().iter().take(byte);
    1 + before.filter(|byte| **byte == b'\n').count()
}
