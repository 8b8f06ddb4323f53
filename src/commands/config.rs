//! `boxcam config`: the options that `run` would use, and where each value comes from.

use std::fmt::Write as _;
use std::path::Path;

use boxcam::options::{ConfigOptions, EffectiveOption, RunOptions};
use serde::Serialize;

use super::{Completion, Failure, json, print};

/// The output of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    /// The configuration file that was read; `null` if there is none.
    file: Option<&'a Path>,
    options: &'a [EffectiveOption],
}

pub(super) fn config(options: &ConfigOptions) -> Result<Completion, Failure> {
    print(&match options.json {
        true => as_json(&options.run)?,
        false => Report::of(&options.run).text(),
    })?;
    Ok(Completion::Complete)
}

/// What `--json` prints.
pub(super) fn as_json(run: &RunOptions) -> Result<String, Failure> {
    json(&Report::of(run))
}

impl<'a> Report<'a> {
    fn of(run: &'a RunOptions) -> Self {
        Self {
            file: run.config.as_deref(),
            options: &run.effective,
        }
    }

    /// One line for each option, in the form of the configuration file, with its origin as a comment.
    fn text(&self) -> String {
        let mut text = match self.file {
            Some(file) => format!("# Options of {}\n", file.display()),
            None => "# No configuration file\n".to_owned(),
        };
        let lines = self.options.iter().map(|option| (line(option), option));
        let lines: Vec<(String, &EffectiveOption)> = lines.collect();
        let width = lines.iter().map(|(line, _)| line.chars().count()).max();
        let width = width.unwrap_or_default().min(MAX_COLUMN);
        for (line, option) in lines {
            let _ = writeln!(text, "{line:width$}  # {}", option.origin);
        }
        text
    }
}

/// Column of the comments, if a value is not longer.
const MAX_COLUMN: usize = 40;

fn line(option: &EffectiveOption) -> String {
    let name = &option.name;
    match &option.value {
        None => format!("#{name} ="),
        Some(value) if is_bare(value) => format!("{name} = {value}"),
        // A TOML string has the escapes of a JSON string.
        Some(value) => format!("{name} = {}", serde_json::Value::from(value.as_str())),
    }
}

/// Whether a value is one in TOML without quotes.
fn is_bare(value: &str) -> bool {
    let is_number = value.parse::<f64>().is_ok_and(f64::is_finite)
        && value.starts_with(|first: char| first.is_ascii_digit());
    is_number || value == "true" || value == "false"
}
