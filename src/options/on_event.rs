//! The options of what is run at events.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;

use super::InvalidValue;
use crate::event_command::EventCommand;

/// The option whose value is a command.
pub(super) const COMMAND_OPTION: &str = "on-event";

/// The most programs at the same time that may be asked for; each has a thread.
const MAX_LIMIT: usize = 64;

/// A program that is run at each event.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct OnEventOptions {
    /// Run this program at each event of a track, with the event's JSON on standard input and its fields in variables as
    /// BOXCAM_CLASS; its arguments follow as words of a shell, without any other syntax of one
    #[arg(id = COMMAND_OPTION, long = COMMAND_OPTION, value_name = "COMMAND")]
    pub command: Option<EventCommand>,
    /// Most programs of --on-event that run at the same time, 1 to 64
    #[arg(id = "on-event-limit", long = "on-event-limit", value_name = "N", default_value = "4", value_parser = parse_limit)]
    pub limit: NonZeroUsize,
    /// Kill a program of --on-event after this time, 100ms to 1h
    #[arg(id = "on-event-timeout", long = "on-event-timeout", value_name = "TIME", default_value = "30s", value_parser = parse_timeout)]
    pub timeout: Duration,
}

fn parse_limit(text: &str) -> Result<NonZeroUsize, InvalidValue> {
    let limit = text.parse::<NonZeroUsize>().ok();
    limit
        .filter(|limit| limit.get() <= MAX_LIMIT)
        .ok_or(InvalidValue {
            expected: "a number from 1 to 64",
        })
}

fn parse_timeout(text: &str) -> Result<Duration, InvalidValue> {
    let range = Duration::from_millis(100)..=Duration::from_secs(3600);
    let time = text.parse::<humantime::Duration>().ok().map(Duration::from);
    time.filter(|time| range.contains(time))
        .ok_or(InvalidValue {
            expected: "a time from 100ms to 1h, as 30s",
        })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{run, written};
    use super::*;

    #[test]
    fn a_command_of_the_file_is_an_array_or_a_text() {
        let lines = [
            r#"on-event = ["notify.sh", "--title", "a, \"b\" c", "it's", "", 5]"#,
            r#"on-event = '''notify.sh --title 'a, "b" c' "it's" '' 5'''"#,
        ];
        for line in lines {
            let (_folder, path) = written(line);
            let options = run(&format!("boxcam run --config {}", path.display()));
            let command = options.on_event.command.expect("given");
            assert_eq!(command.program, "notify.sh", "{line}");
            let arguments = ["--title", "a, \"b\" c", "it's", "", "5"];
            assert_eq!(command.arguments, arguments, "{line}");
        }
    }

    #[test]
    fn a_command_of_the_command_line_replaces_that_of_the_file() {
        let (_folder, path) = written("on-event = [\"notify.sh\", \"one\"]");
        let path = path.display();
        let options = run(&format!("boxcam run --on-event beep --config {path}"));
        let command = options.on_event.command.expect("given");
        assert_eq!(
            (command.program.as_str(), command.arguments.len()),
            ("beep", 0)
        );
    }

    #[test]
    fn limits_have_a_range() {
        for text in ["0", "65", "-1", "x", ""] {
            assert!(parse_limit(text).is_err(), "{text}");
        }
        assert_eq!(parse_limit("64").map(NonZeroUsize::get), Ok(64));
        for text in ["99ms", "61min", "5", ""] {
            assert!(parse_timeout(text).is_err(), "{text}");
        }
        assert_eq!(parse_timeout("1h"), Ok(Duration::from_secs(3600)));
    }
}
