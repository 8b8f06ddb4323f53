//! The command line: words in, one validated [`Config`] out.
//!
//! What clap reads is private to this module; the rest of the program sees only a [`Config`], in which
//! every value has been checked as far as that goes without opening anything. Whether a file is there, and
//! is what it should be, is seen by whoever opens it.

use std::ffi::OsString;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::source::CameraChoice;

/// What the program is asked to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Config {
    /// Watch a source and show what is seen.
    Run(RunConfig),
    /// Look at pictures once.
    Detect(DetectConfig),
    /// Measure a model on annotated pictures.
    Evaluate(EvaluateConfig),
}

/// What `boxcam run` is asked to do.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct RunConfig {
    /// Where frames come from: camera, camera:N, camera:/dev/videoN, demo, a picture or a folder
    #[arg(long, value_name = "SOURCE", default_value = "camera")]
    pub source: SourceChoice,
    /// Where frames are shown; auto is a window where there is a desktop
    #[arg(long, value_enum, default_value_t = DisplayChoice::Auto)]
    pub display: DisplayChoice,
    /// Where JSON lines go: a file, or - for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub log: LogChoice,
    /// Save every frame with its box drawn as a picture in this folder
    #[arg(long, value_name = "FOLDER")]
    pub snapshots: Option<PathBuf>,
    /// Stop after so many frames
    #[arg(long, value_name = "N")]
    pub frames: Option<NonZeroU64>,
    /// The model and its threshold.
    #[command(flatten)]
    pub model: ModelConfig,
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
    /// The model and its threshold.
    #[command(flatten)]
    pub model: ModelConfig,
}

/// What `boxcam evaluate` is asked to do.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct EvaluateConfig {
    /// Folder with a folder of pictures for each class
    #[arg(long, value_name = "SPLIT_FOLDER")]
    pub pictures: PathBuf,
    /// True boxes, with the columns image_id, x_min, x_max, y_min, y_max, class_name, folder
    #[arg(long, value_name = "CSV")]
    pub annotations: PathBuf,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Model file; without it boxcam.onnx beside the program, then the built-in one
    #[arg(long = "model", value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Threads to use; all cores without it
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
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

/// Where frames come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceChoice {
    /// A camera.
    Camera(CameraChoice),
    /// The built-in moving scenes.
    Demo,
    /// A picture or a folder of pictures.
    Pictures(PathBuf),
}

/// Where frames are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DisplayChoice {
    /// A window where there is a desktop, else nowhere.
    Auto,
    /// A window, or an error.
    Window,
    /// Nowhere.
    None,
}

/// Where JSON lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogChoice {
    /// Standard output.
    Stdout,
    /// A file, made anew.
    File(PathBuf),
}

/// A confidence in `0..=1`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Threshold(f32);

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
    Run(RunConfig),
    /// Look at pictures and print what is in them, one JSON line each
    Detect(DetectConfig),
    /// Measure a model on annotated pictures
    Evaluate(EvaluateConfig),
}

impl Config {
    /// Reads the words of a command line, the program's name first.
    ///
    /// # Errors
    /// clap's, which knows how to print itself; asking for help is one of them.
    pub fn from_args<W>(words: impl IntoIterator<Item = W>) -> Result<Self, clap::Error>
    where
        W: Into<OsString> + Clone,
    {
        Ok(match Options::try_parse_from(words)?.command {
            Command::Run(run) => Self::Run(run),
            Command::Detect(detect) => Self::Detect(detect),
            Command::Evaluate(evaluate) => Self::Evaluate(evaluate),
        })
    }
}

impl ModelConfig {
    /// The confidence to use for a model that would have its own.
    #[must_use]
    pub fn threshold_or(&self, own: f32) -> f32 {
        self.threshold.map_or(own, Threshold::value)
    }
}

impl FromStr for SourceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("camera:")) {
            ("", _) => Err("expected camera, demo, a picture or a folder".to_owned()),
            ("camera", _) => Ok(Self::Camera(CameraChoice::First)),
            ("demo", _) => Ok(Self::Demo),
            (_, Some(camera)) => camera.parse().map(Self::Camera),
            (path, None) => Ok(Self::Pictures(path.into())),
        }
    }
}

impl FromStr for LogChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("expected a file, or - for standard output".to_owned()),
            "-" => Ok(Self::Stdout),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(value) if (0.0..=1.0).contains(&value) => Ok(Self(value)),
            _ => Err("expected a number between 0 and 1".to_owned()),
        }
    }
}

impl Threshold {
    /// The confidence.
    #[must_use]
    pub const fn value(self) -> f32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn config(line: &str) -> Result<Config, clap::Error> {
        Config::from_args(line.split(' '))
    }

    fn run(line: &str) -> RunConfig {
        match config(line) {
            Ok(Config::Run(run)) => run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn clap_finds_no_fault_with_the_definition() {
        Options::command().debug_assert();
    }

    #[test]
    fn run_has_a_choice_for_everything() {
        let plain = run("boxcam run");
        assert_eq!(plain.source, SourceChoice::Camera(CameraChoice::First));
        assert_eq!(
            (plain.display, plain.log),
            (DisplayChoice::Auto, LogChoice::Stdout)
        );
        let full = run(
            "boxcam run --source demo --display none --log out.jsonl --snapshots s --model m.onnx \
             --threshold 0.25 --frames 7",
        );
        assert_eq!(full.source, SourceChoice::Demo);
        assert_eq!(full.log, LogChoice::File("out.jsonl".into()));
        assert_eq!(full.model.threshold.map(Threshold::value), Some(0.25));
        assert_eq!(full.frames.map(NonZeroU64::get), Some(7));
    }

    #[test]
    fn sources_are_told_apart() {
        let source = |text: &str| text.parse::<SourceChoice>();
        let camera = |choice| Ok(SourceChoice::Camera(choice));
        assert_eq!(source("camera:2"), camera(CameraChoice::Number(2)));
        let by_id = "/dev/v4l/by-id/usb-Cam-index0";
        let expected = camera(CameraChoice::Device(by_id.into()));
        assert_eq!(source(&format!("camera:{by_id}")), expected);
        assert!(source("camera:front").is_err() && source("").is_err());
        let folder = SourceChoice::Pictures("pictures/demo".into());
        assert_eq!(source("pictures/demo"), Ok(folder));
    }

    #[test]
    fn values_that_cannot_be_are_usage_errors() {
        let lines = [
            "boxcam",
            "boxcam dance",
            "boxcam detect",
            "boxcam run --threshold 1.5 --source demo",
            "boxcam run --threshold NaN",
            "boxcam run --frames 0",
            "boxcam run --display lamp",
            "boxcam run --source camera:front",
            "boxcam evaluate --pictures val",
            "boxcam evaluate --pictures val --annotations a.csv --threads 0",
        ];
        for line in lines {
            let error = config(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
        assert_eq!(config("boxcam --help").expect_err("help").exit_code(), 0);
    }

    #[test]
    fn evaluate_and_detect_take_paths() {
        let line = "boxcam evaluate --pictures val --annotations a.csv --json --threads 3";
        let Ok(Config::Evaluate(evaluate)) = config(line) else {
            panic!("{line}");
        };
        assert!(evaluate.json && evaluate.threads.map(NonZeroUsize::get) == Some(3));
        let Ok(Config::Detect(detect)) = config("boxcam detect a.jpg b --annotate out") else {
            panic!("detect");
        };
        assert_eq!(detect.pictures, [PathBuf::from("a.jpg"), "b".into()]);
        assert_eq!(detect.annotate, Some("out".into()));
    }
}
