//! The command line and a file of options: words in, one validated [`Config`] out.
//!
//! What clap and the TOML reader read is private to this module; the rest of the program sees only a [`Config`], in which
//! every value has been checked as far as that goes without opening anything. Whether a file is there, and
//! is what it should be, is seen by whoever opens it.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::UnknownArgumentValueParser;
use clap::{Arg, Args, Parser, Subcommand};
use thiserror::Error;

mod choice;
mod file;
mod run;

pub use choice::{
    CurveFile, DisplayChoice, FrameSize, LogChoice, ReportFile, SourceChoice, Threshold,
};
pub use run::{LEAST_LOG_SIZE, LEAST_SNAPSHOTS_SIZE, RunConfig};

use run::RunOptions;

/// What the program is asked to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Config {
    /// Watch a source and show what is seen.
    Run(Box<RunConfig>),
    /// Look at pictures once.
    Detect(DetectConfig),
    /// Measure a model on annotated pictures.
    Evaluate(EvaluateConfig),
    /// Measure the time and memory that a frame takes here.
    Bench(BenchConfig),
    /// Tell what works here, what doesn't, and how to mend it.
    Doctor(Box<DoctorConfig>),
    /// Give the console back when boxcam ends, however it ends; started by boxcam itself.
    #[cfg(all(feature = "framebuffer", target_os = "linux"))]
    ConsoleGuard,
}

/// Options that make no sense.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The command line; clap's error, which knows how to print itself. Asking for help is one too.
    #[error(transparent)]
    Words(#[from] clap::Error),
    /// The configuration file can't be read.
    #[error("{}: can't be read ({source}); check the path after --config and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A line of the configuration file makes no sense.
    #[error("{}: line {line}: {key}: {message}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key that it sets.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// A value, on the command line or in the file, that can't be used.
    #[error("{option} has a value that can't be used; expected {expected}")]
    Value {
        /// The option, without its dashes.
        option: &'static str,
        /// What would do.
        expected: &'static str,
    },
}

/// What `boxcam detect` is asked to do.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct DetectConfig {
    /// Pictures, and folders of pictures
    #[arg(required = true, value_name = "PICTURE")]
    pub pictures: Vec<PathBuf>,
    /// Save each picture with its box drawn in this folder
    #[arg(long, value_name = "FOLDER")]
    pub annotate: Option<PathBuf>,
    /// Threads that share each inference [default: one less than there are cores, 1 to 4]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// The model and its threshold.
    #[command(flatten)]
    pub model: ModelConfig,
}

/// What `boxcam evaluate` is asked to do.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(arg = renamed("nothing", "--negatives"))]
#[command(arg = renamed("pan", "--sliding-window"))]
pub struct EvaluateConfig {
    /// Folder with a folder of pictures for each class
    #[arg(long, value_name = "SPLIT_FOLDER")]
    pub pictures: PathBuf,
    /// True boxes, with the columns image_id, x_min, x_max, y_min, y_max, class_name, folder
    #[arg(long, value_name = "CSV")]
    pub annotations: PathBuf,
    /// Folder with a subfolder per kind of picture that contains no object, to count false alarms on
    #[arg(long, value_name = "FOLDER")]
    pub negatives: Option<PathBuf>,
    /// Slide a window over these pictures too, and count false appearances per minute; takes 40 times as long
    #[arg(long, requires = "negatives")]
    pub sliding_window: bool,
    /// Write recall and false alarms at every threshold to this file, .csv or .svg
    #[arg(long, value_name = "FILE")]
    pub curve: Option<CurveFile>,
    /// Write every metric, with charts and pictures, to this file, .html; it opens in a browser, offline
    #[arg(long, value_name = "FILE")]
    pub report: Option<ReportFile>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Model file; without it boxcam.onnx beside the program, then the built-in one
    #[arg(long = "model", value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Pictures evaluated at the same time [default: the number of cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

/// An option of an earlier version: using it is an error that names the option that replaced it.
fn renamed(old: &'static str, new: &'static str) -> Arg {
    let parser = UnknownArgumentValueParser::suggest_arg(new);
    Arg::new(old)
        .long(old)
        .hide(true)
        .num_args(0..=1)
        .default_missing_value("")
        .value_parser(parser)
}

/// What `boxcam bench` is asked to do.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct BenchConfig {
    /// Picture to measure with; a frame of the demo without it
    #[arg(long, value_name = "PICTURE")]
    pub picture: Option<PathBuf>,
    /// Frames to measure
    #[arg(long, value_name = "N", default_value = "60")]
    pub frames: NonZeroUsize,
    /// Threads that share each inference
    #[arg(long, value_name = "N", default_value = "1")]
    pub threads: NonZeroUsize,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Model file; without it boxcam.onnx beside the program, then the built-in one
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
}

/// What `boxcam doctor` is asked to do.
#[derive(Debug, Clone, PartialEq)]
pub struct DoctorConfig {
    /// What `boxcam run` would be asked to do.
    pub run: RunConfig,
    /// Whether to print one JSON object instead of words.
    pub json: bool,
}

/// The options of `boxcam doctor`.
#[derive(Debug, Args)]
struct DoctorOptions {
    /// Print one JSON object instead of words
    #[arg(long)]
    json: bool,
    /// What `boxcam run` would be given.
    #[command(flatten)]
    run: RunOptions,
}

/// Which model, and from which confidence on it is believed.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ModelConfig {
    /// Model file; without it boxcam.onnx beside the program, then the built-in one
    #[arg(long = "model", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Confidence, 0 to 1, from which something counts as found; without it the model's own
    #[arg(long, value_name = "T")]
    pub threshold: Option<Threshold>,
}

/// Cameras that see, on small boards: frames in, one labelled box out
///
/// Data goes to standard output, talk to standard error. Exit codes: 0 done, 2 usage, 3 model, 4 source,
/// 5 output.
#[derive(Debug, Parser)]
#[command(name = "boxcam", version, max_term_width = 100)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a camera, pictures or the built-in demo
    Run(Box<RunOptions>),
    /// Look at pictures and print what is in them, one JSON line each
    Detect(DetectConfig),
    /// Measure a model on annotated pictures
    Evaluate(EvaluateConfig),
    /// Measure the time and memory that a frame takes here
    Bench(BenchConfig),
    /// Tell what works here, what doesn't, and how to mend it; takes the options of `run`
    Doctor(Box<DoctorOptions>),
    #[cfg(all(feature = "framebuffer", target_os = "linux"))]
    #[command(hide = true)]
    ConsoleGuard,
}

impl Config {
    /// Reads the words of a command line, the program's name first.
    ///
    /// # Errors
    /// [`ConfigError`], of which asking for help is one.
    pub fn from_args<W>(words: impl IntoIterator<Item = W>) -> Result<Self, ConfigError>
    where
        W: Into<OsString> + Clone,
    {
        Ok(match Options::try_parse_from(words)?.command {
            Command::Run(options) => Self::Run(Box::new(with_file(*options)?.validated()?)),
            Command::Detect(detect) => Self::Detect(detect),
            Command::Evaluate(evaluate) => Self::Evaluate(evaluate),
            Command::Bench(bench) => Self::Bench(bench),
            Command::Doctor(doctor) => Self::Doctor(Box::new(DoctorConfig {
                run: with_file(doctor.run)?.validated()?,
                json: doctor.json,
            })),
            #[cfg(all(feature = "framebuffer", target_os = "linux"))]
            Command::ConsoleGuard => Self::ConsoleGuard,
        })
    }
}

/// The options of the command line over those of the file that they name, if they do.
fn with_file(options: RunOptions) -> Result<RunOptions, ConfigError> {
    match &options.config {
        Some(path) => {
            let file = file::read(path)?;
            Ok(options.or(file))
        }
        None => Ok(options),
    }
}

impl Config {
    /// Whether this process only guards a console for another, and outlives the signals that end that.
    #[must_use]
    pub const fn is_guard(&self) -> bool {
        #[cfg(all(feature = "framebuffer", target_os = "linux"))]
        return matches!(self, Self::ConsoleGuard);
        #[cfg(not(all(feature = "framebuffer", target_os = "linux")))]
        false
    }
}

impl ModelConfig {
    /// The confidence to use for a model that would have its own.
    #[must_use]
    pub fn threshold_or(&self, own: f32) -> f32 {
        self.threshold.map_or(own, Threshold::value)
    }
}

#[cfg(test)]
mod tests;
