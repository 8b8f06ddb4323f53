//! The program that is run at each event, with its arguments.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A program and its arguments.
///
/// As a text they are words as in a shell, with its quotes; variables, pipes and other syntax of a shell have no meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventCommand {
    /// A name that is looked up in `PATH`, or a path.
    pub program: String,
    pub arguments: Vec<String>,
}

/// A text without a program, with an open quote or with a zero byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "expected a program and its arguments, as \"notify.sh --loud\" or [\"notify.sh\", \"--loud\"], with each quote closed"
)]
pub struct InvalidEventCommand;

impl FromStr for EventCommand {
    type Err = InvalidEventCommand;

    fn from_str(text: &str) -> Result<Self, InvalidEventCommand> {
        let words = shlex::split(text).filter(|_| !text.contains('\0'));
        let mut words = words.ok_or(InvalidEventCommand)?.into_iter();
        let program = words.next().filter(|program| !program.trim().is_empty());
        Ok(Self {
            program: program.ok_or(InvalidEventCommand)?,
            arguments: words.collect(),
        })
    }
}

/// The text that is parsed as these words. One with a zero byte, which no command has, is left as it is.
#[must_use]
pub fn quoted<'a>(words: impl Iterator<Item = &'a str> + Clone) -> String {
    shlex::try_join(words.clone()).unwrap_or_else(|_| words.collect::<Vec<_>>().join(" "))
}

impl fmt::Display for EventCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments = self.arguments.iter().map(String::as_str);
        f.write_str(&quoted(
            [self.program.as_str()].into_iter().chain(arguments),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<EventCommand, InvalidEventCommand> {
        text.parse()
    }

    #[test]
    fn words_and_quotes_are_those_of_a_shell() {
        let command = parsed("curl -H 'Title: a cat' \"$X\" ''").expect("valid");
        assert_eq!(command.program, "curl");
        assert_eq!(command.arguments, ["-H", "Title: a cat", "$X", ""]);
        for text in ["", " ", "''", "\"open", "a\0b"] {
            assert_eq!(parsed(text), Err(InvalidEventCommand), "{text:?}");
        }
    }

    #[test]
    fn the_text_is_parsed_as_the_same_command() {
        let command = EventCommand {
            program: "/opt/my tools/notify".to_owned(),
            arguments: ["it's", "", "a\nb", "#x", "~", "\"", "ü"]
                .map(str::to_owned)
                .into(),
        };
        assert_eq!(parsed(&command.to_string()), Ok(command));
    }
}
