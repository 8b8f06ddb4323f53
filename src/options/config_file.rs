//! Reads a configuration file: TOML whose keys are the long options of `boxcam run`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::{Spanned, Value};

use crate::diagnostics::reading_advice;
use crate::stream_url;

/// A configuration file that can't be used.
#[derive(Debug, Error)]
pub enum ConfigFileError {
    #[error("{}: can't be read ({source}); {}", path.display(), reading_advice(source))]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: line {line}: {key}: {message}", path.display())]
    Line {
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key, or the whole line if it has none.
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
    let text = std::fs::read_to_string(path).map_err(|source| ConfigFileError::Read {
        path: path.into(),
        source,
    })?;
    parse(&text, path)
}

pub(super) fn parse(text: &str, path: &Path) -> Result<Vec<Setting>, ConfigFileError> {
    let failure = |start: usize, message: &str| {
        let line = line_at(text, start);
        let content = text.lines().nth(line - 1).unwrap_or_default();
        let key = content.split_once('=').map_or(content, |(key, _)| key);
        ConfigFileError::Line {
            path: path.into(),
            line,
            // A line that is no setting is shown as a whole, and may have a password.
            key: stream_url::redact(key.trim()),
            message: message.to_owned(),
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

/// The line of a byte, from 1.
fn line_at(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().iter().take(byte);
    1 + before.filter(|byte| **byte == b'\n').count()
}
