//! The options of `run` that are in force, and where each value comes from: for `boxcam config` and the web page.

use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory};
use serde::Serialize;

use super::config_file::Setting;
use super::{Cli, takes_command};
use crate::address::{redacted, redacted_broker};
use crate::event_command::{self, EventCommand};

/// Options that say how to print or where to read, and none of `run` itself.
const NOT_SHOWN: [&str; 3] = ["config", "help", "json"];

/// An option with its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EffectiveOption {
    /// Its long name, which is the key in the configuration file.
    pub name: String,
    /// As on the command line, without passwords; `None` if it has no value.
    pub value: Option<String>,
    pub origin: Origin,
}

/// Where the value of an option comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum Origin {
    Default,
    CommandLine,
    File {
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::CommandLine => f.write_str("command line"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// All options that a configuration file may set, in the order of the help.
///
/// `arguments` are those of the command line; `settings` are those of the file that the command line does not replace.
pub(super) fn effective_options(
    arguments: &[OsString],
    file: Option<(&PathBuf, &[Setting])>,
) -> Result<Vec<EffectiveOption>, clap::Error> {
    let matches = Cli::command().try_get_matches_from(arguments)?;
    let Some((name, matches)) = matches.subcommand() else {
        return Ok(Vec::new());
    };
    let cli = Cli::command();
    let options = cli.find_subcommand(name).into_iter();
    let options = options.flat_map(clap::Command::get_arguments);
    let shown = options.filter(|option| {
        let name = option.get_long();
        !option.is_hide_set() && name.is_some_and(|name| !NOT_SHOWN.contains(&name))
    });
    Ok(shown
        .flat_map(|option| effective(option, matches, file))
        .collect())
}

/// The values of one option: one, or one for each time that it is given.
fn effective(
    option: &Arg,
    matches: &ArgMatches,
    file: Option<(&PathBuf, &[Setting])>,
) -> Vec<EffectiveOption> {
    let name = option.get_long().unwrap_or_default();
    let of = |value: Option<String>, origin| EffectiveOption {
        name: name.to_owned(),
        value: value.map(|value| without_password(name, &value)),
        origin,
    };
    let values = values(option, matches);
    let is_given = matches.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine);
    let is_repeatable = matches!(option.get_action(), ArgAction::Append);
    let mut all = Vec::new();
    if let Some((path, settings)) = file
        && (is_repeatable || !is_given)
    {
        let own = settings.iter().filter(|setting| setting.key == name);
        all.extend(own.map(|setting| {
            let origin = Origin::File {
                path: path.clone(),
                line: setting.line,
            };
            of(Some(setting.value.clone()), origin)
        }));
    }
    if is_given {
        all.extend(values.into_iter().map(|v| of(Some(v), Origin::CommandLine)));
    } else if all.is_empty() {
        all.push(of(values.into_iter().next(), Origin::Default));
    }
    all
}

/// The values as they were written.
fn values(option: &Arg, matches: &ArgMatches) -> Vec<String> {
    let raw = matches.get_raw(option.get_id().as_str());
    let raw = raw.into_iter().flatten();
    raw.map(|value| value.to_string_lossy().into_owned())
        .collect()
}

fn without_password(name: &str, value: &str) -> String {
    match name {
        "mqtt" => redacted_broker(value),
        _ if takes_command(name) => redacted_command(value),
        _ => redacted(value),
    }
}

/// Each word by itself: an `@` of one does not belong to the URL in another.
fn redacted_command(value: &str) -> String {
    let Ok(EventCommand { program, arguments }) = value.parse() else {
        return redacted(value);
    };
    let words: Vec<String> = [program]
        .iter()
        .chain(&arguments)
        .map(|w| redacted(w))
        .collect();
    event_command::quoted(words.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::super::{Command, parse};
    use super::*;

    fn options(arguments: &[&str], file: &str) -> Vec<EffectiveOption> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("boxcam.toml");
        std::fs::write(&path, file).expect("written");
        let all = [&["boxcam", "config"], arguments].concat();
        match parse(all, &[path]).expect("valid") {
            Command::Config(config) => config.run.effective,
            other => panic!("{other:?}"),
        }
    }

    fn find<'a>(options: &'a [EffectiveOption], name: &str) -> Vec<(&'a str, String)> {
        let own = options.iter().filter(|option| option.name == name);
        let about = |option: &'a EffectiveOption| {
            let origin = match &option.origin {
                Origin::File { line, .. } => format!("line {line}"),
                other => other.to_string(),
            };
            (option.value.as_deref().unwrap_or("-"), origin)
        };
        own.map(about).collect()
    }

    #[test]
    fn each_value_says_where_it_comes_from() {
        let file = "rate = 15\nwait = true\nsize = \"320x240\"\n";
        let options = options(&["--size", "800x600"], file);
        assert_eq!(find(&options, "rate"), [("15", "line 1".to_owned())]);
        assert_eq!(find(&options, "wait"), [("true", "line 2".to_owned())]);
        let given = [("800x600", "command line".to_owned())];
        assert_eq!(find(&options, "size"), given);
        let default = [("camera", "default".to_owned())];
        assert_eq!(find(&options, "source"), default);
        assert_eq!(find(&options, "model"), [("-", "default".to_owned())]);
        assert!(find(&options, "json").is_empty() && find(&options, "config").is_empty());
    }

    #[test]
    fn zones_of_file_and_command_line_are_both_in_force() {
        let file = "[[zone]]\nname = \"door\"\npoints = [[0, 0], [1, 0], [1, 1]]\n";
        let options = options(&["--zone", "table=0,0;1,0;1,1"], file);
        let zones = find(&options, "zone");
        assert_eq!(zones.len(), 2, "{zones:?}");
        assert_eq!(zones[0].1, "line 1");
        assert_eq!(zones[1].1, "command line");
    }

    #[test]
    fn the_words_of_a_command_are_kept_without_passwords() {
        let file = "on-event = [\"curl\", \"http://a:secret@home/x\", \"-d\", \"@-\", \"a b\"]\n";
        let options = options(&[], file);
        let shown = find(&options, "on-event");
        assert_eq!(shown.len(), 1, "{shown:?}");
        let words: EventCommand = shown[0].0.parse().expect("a command");
        let expected = "curl http://***@home/x -d @- 'a b'";
        assert_eq!(Ok(words), expected.parse());
    }

    #[test]
    fn passwords_are_not_shown() {
        let options = options(&[], "mqtt = \"mqtt://cam:secret@host\"\n");
        let shown = format!("{options:?}");
        assert!(
            shown.contains("host") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
