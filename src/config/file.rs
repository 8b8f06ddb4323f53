//! A configuration file: TOML with the long options of `boxcam run` as its keys.
//!
//! In goes a file, out come options or a [`ConfigError`] that names the file, the line and the key. Nothing is
//! passed over: a key that is not known is an error, since a misspelt one would silently do nothing.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::str::FromStr;

use serde::Deserializer;
use serde::de::{Error, Visitor};

use super::ConfigError;
use super::run::RunOptions;

/// Reads the options in a file.
pub(super) fn read(path: &Path) -> Result<RunOptions, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.into(),
        source,
    })?;
    parse(&text, path)
}

/// The options in the text of a file.
pub(super) fn parse(text: &str, path: &Path) -> Result<RunOptions, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = text.as_bytes().get(..start).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        ConfigError::Line {
            path: path.into(),
            line,
            key: key_in(text.lines().nth(line - 1).unwrap_or_default()),
            message: error.message().to_owned(),
        }
    })
}

/// The key that a line sets, or the whole line where it sets none.
fn key_in(line: &str) -> String {
    let key = line.split_once('=').map_or(line, |(key, _)| key);
    key.trim().to_owned()
}

/// Reads a value as the command line would, from a string, a number or a yes or no.
pub(super) fn word<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_any(Word(PhantomData)).map(Some)
}

struct Word<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Word<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        match parse(text, Path::new("boxcam.toml")) {
            Err(error) => error.to_string(),
            Ok(options) => panic!("{options:?}"),
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_key_and_line() {
        let cases = [
            (
                "rate = 30\nthreshold = 1.5\n",
                "line 2: threshold: expected a number between 0 and 1",
            ),
            (
                "source = \"camera\"\n\ntreshold = 0.5",
                "line 3: treshold: unknown field `treshold`, expected one of",
            ),
            ("rotate = 45", "line 1: rotate: expected 0, 90, 180 or 270"),
            ("rate = 0", "line 1: rate: number would be zero"),
            ("stall = \"soon\"", "line 1: stall: "),
            (
                "web = \"everywhere\"",
                "line 1: web: expected a port, or an address with a port",
            ),
            (
                "wait = \"yes\"",
                "line 1: wait: invalid type: string \"yes\", expected a boolean",
            ),
            (
                "log = [1]",
                "line 1: log: invalid type: sequence, expected a string or a number",
            ),
            ("size = 640x480", "line 1: size: "),
            ("log-size = \"big\"", "line 1: log-size: "),
            (
                "config = \"other.toml\"",
                "line 1: config: unknown field `config`",
            ),
            (
                "lines = \"all\"",
                "line 1: lines: expected auto, events or frames",
            ),
            ("rate = 30\nrate = 25", "line 2: rate: duplicate key"),
        ];
        for (text, expected) in cases {
            let said = fault(text);
            assert!(said.starts_with("boxcam.toml: "), "{said}");
            assert!(said.contains(expected), "{text}: {said}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read(Path::new("no/such.toml")).expect_err("not there");
        assert!(
            error.to_string().starts_with("no/such.toml: can't be read"),
            "{error}"
        );
    }
}
