//! Reads a configuration file: TOML whose keys are the long options of `boxcam run`. An option that may be given more than once
//! is an array of tables, `[[zone]]`.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::address::redacted;
use crate::diagnostics::reading_advice;
use crate::event_command;
use crate::user_folders;

/// The configuration file of the whole system, that of the Debian package.
const SYSTEM_FILE: &str = "/etc/boxcam/boxcam.toml";

/// The most bytes of a file. The path may be a device without an end.
const MAX_BYTES: u64 = 64 * 1024;

/// The most settings of a file; each is checked by itself.
const MAX_SETTINGS: usize = 200;

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

/// One key of a file with its value, or one table of an array of tables.
#[derive(Debug, PartialEq)]
pub(super) struct Setting {
    /// From 1.
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) shape: Shape,
}

/// How a value is written in the file.
#[derive(Debug, PartialEq)]
pub(super) enum Shape {
    /// A string or a number.
    Text,
    Bool,
    /// An array of strings and numbers; the value has commas between them.
    List {
        items: Vec<String>,
    },
    /// A table; see [`table_value`].
    Table {
        /// The keys of the table with their lines.
        lines: Vec<(String, usize)>,
    },
}

impl Setting {
    /// The setting as an argument of the command line.
    pub(super) fn argument(&self) -> String {
        format!("--{}={}", self.key, self.value)
    }

    /// Makes the items of an array the words of a command.
    pub(super) fn join_as_command(&mut self) {
        if let Shape::List { items } = &self.shape {
            self.value = event_command::quoted(items.iter().map(String::as_str));
        }
    }

    /// The name of a table.
    pub(super) fn name(&self) -> Option<&str> {
        match self.shape {
            Shape::Table { .. } => self.value.split('=').next().map(str::trim),
            Shape::Text | Shape::Bool | Shape::List { .. } => None,
        }
    }

    /// The line of a key of a table, or of the setting.
    pub(super) fn line_of(&self, key: &str) -> usize {
        let Shape::Table { lines } = &self.shape else {
            return self.line;
        };
        let found = lines.iter().find(|(own, _)| own == key);
        found.map_or(self.line, |(_, line)| *line)
    }
}

/// Where a configuration file is looked for if the command line names none, in this order.
#[must_use]
pub fn candidates() -> Vec<PathBuf> {
    candidates_in(user_folders::config())
}

fn candidates_in(config_folder: Option<PathBuf>) -> Vec<PathBuf> {
    let own = config_folder.map(|folder| folder.join("boxcam/boxcam.toml"));
    own.into_iter()
        .chain([PathBuf::from(SYSTEM_FILE)])
        .collect()
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
    let document = DeTable::parse(text)
        .map_err(|error| failure(error.span().map_or(0, |span| span.start), error.message()))?;
    let mut settings = Vec::new();
    for (key, value) in document.get_ref() {
        let of_key = settings_of(key, value, text);
        settings.extend(of_key.map_err(|InvalidSetting(start, message)| failure(start, message))?);
    }
    if settings.len() > MAX_SETTINGS {
        let message = format!("too many tables; at most {MAX_SETTINGS} settings are allowed");
        return Err(failure(text.len(), &message));
    }
    settings.sort_by_key(|setting| setting.line);
    Ok(settings)
}

/// Where in the text, and why.
struct InvalidSetting(usize, &'static str);

const NO_VALUE: &str = "expected a string, a number, true or false";

/// The settings of a key: one, or one for each of its tables.
fn settings_of(
    key: &Spanned<DeString<'_>>,
    value: &Spanned<DeValue<'_>>,
    text: &str,
) -> Result<Vec<Setting>, InvalidSetting> {
    let start = key.span().start;
    let setting = |value: String, shape: Shape| Setting {
        line: line_at(text, start),
        key: key.get_ref().to_string(),
        value,
        shape,
    };
    Ok(match value.get_ref() {
        DeValue::Boolean(value) => vec![setting(value.to_string(), Shape::Bool)],
        DeValue::Array(tables) if tables.iter().any(|value| value.get_ref().is_table()) => {
            let of_table = |table: &Spanned<DeValue<'_>>| {
                let values = table.get_ref().as_table();
                let values = values.ok_or(InvalidSetting(start, "expected tables only"))?;
                Ok(Setting {
                    line: line_at(text, table.span().start),
                    ..setting(
                        table_value(values, table.span().start)?,
                        lines_of(values, text),
                    )
                })
            };
            tables.iter().map(of_table).collect::<Result<_, _>>()?
        }
        DeValue::Table(table) => vec![setting(table_value(table, start)?, lines_of(table, text))],
        DeValue::Array(items) => {
            let items: Option<Vec<String>> = items
                .iter()
                .map(|item| scalar_text(item.get_ref()))
                .collect();
            let items = items.ok_or(InvalidSetting(start, NO_VALUE))?;
            vec![setting(items.join(","), Shape::List { items })]
        }
        other => {
            let text = scalar_text(other).ok_or(InvalidSetting(start, NO_VALUE))?;
            vec![setting(text, Shape::Text)]
        }
    })
}

/// The value of a table as that of its option: `NAME=X,Y;X,Y;...;KEY=VALUE;...` with the keys `name` and `points` in front.
fn table_value(table: &DeTable<'_>, start: usize) -> Result<String, InvalidSetting> {
    let mut name = String::new();
    let mut points = String::new();
    let mut rest = String::new();
    for (key, value) in table {
        let start = key.span().start;
        let value = value.get_ref();
        if key.get_ref() == "points" {
            let expected = "expected points, as [[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]";
            points = points_text(value).ok_or(InvalidSetting(start, expected))?;
            continue;
        }
        let expected = "expected a string, a number or an array of them";
        let text = list_text(value).ok_or(InvalidSetting(start, expected))?;
        if text.contains([';', '=']) {
            return Err(InvalidSetting(
                start,
                "a value here must not contain \";\" or \"=\"",
            ));
        }
        match key.get_ref().as_ref() {
            "name" => name = text,
            key => rest.push_str(&format!(";{key}={text}")),
        }
    }
    if name.is_empty() {
        return Err(InvalidSetting(
            start,
            "a table here needs a name, as name = \"door\"",
        ));
    }
    Ok(format!("{name}={points}{rest}"))
}

fn lines_of(table: &DeTable<'_>, text: &str) -> Shape {
    let line =
        |key: &Spanned<DeString<'_>>| (key.get_ref().to_string(), line_at(text, key.span().start));
    Shape::Table {
        lines: table.keys().map(line).collect(),
    }
}

/// An array of points, or the text of one.
fn points_text(value: &DeValue<'_>) -> Option<String> {
    let DeValue::Array(points) = value else {
        return scalar_text(value).filter(|text| !text.contains('='));
    };
    let points: Option<Vec<String>> = points.iter().map(|p| list_text(p.get_ref())).collect();
    let points = points?.join(";");
    (!points.contains('=')).then_some(points)
}

/// A string, a number, or an array of them with commas between them.
fn list_text(value: &DeValue<'_>) -> Option<String> {
    let DeValue::Array(values) = value else {
        return scalar_text(value);
    };
    let texts: Option<Vec<String>> = values.iter().map(|v| scalar_text(v.get_ref())).collect();
    Some(texts?.join(","))
}

fn scalar_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            let value = i64::from_str_radix(number.as_str(), number.radix());
            value.ok().map(|value| value.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// What stands before the `=` of a line, or its first word.
fn key_of(line: &str) -> &str {
    let line = line.trim().trim_start_matches('[');
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_file_comes_before_that_of_the_system() {
        let system = PathBuf::from(SYSTEM_FILE);
        let own = PathBuf::from("/xdg/boxcam/boxcam.toml");
        let found = candidates_in(Some("/xdg".into()));
        assert_eq!(found, [own, system.clone()]);
        assert_eq!(candidates_in(None), [system]);
    }
}
