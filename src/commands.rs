//! The commands. Only this module names concrete sources, detectors and sinks.

use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use boxcam::class_selection::UnknownClass;
use boxcam::dataset::DatasetError;
use boxcam::dataset::films::FilmError;
use boxcam::detect::DetectError;
use boxcam::detect::tract::ModelError;
use boxcam::evaluate::FilmTrackError;
use boxcam::label::RenameError;
use boxcam::options::Command;
use boxcam::pipeline::PipelineError;
use boxcam::sink::SinkError;
#[cfg(feature = "mqtt")]
use boxcam::sink::mqtt::CertificateFileError;
#[cfg(target_os = "linux")]
use boxcam::sink::on_event::MissingProgram;
use boxcam::source::SourceError;
use boxcam::zone::{DuplicateName, UnknownZoneClass};
use serde::Serialize;
use thiserror::Error;

use aliases::AliasFileError;
#[cfg(feature = "mqtt")]
use broker::BrokerLoginError;
use model::catalog::UnknownModel;
use web_login::WebLoginError;

mod aliases;
mod bench;
#[cfg(feature = "mqtt")]
mod broker;
mod config;
mod detect;
mod doctor;
mod evaluate;
mod model;
mod models;
mod run;
#[cfg(feature = "web")]
mod web_control;
mod web_login;

/// How a command without an error ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completion {
    Complete,
    /// Some pictures or annotations could not be used.
    Partial,
}

/// The error of a command.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[cfg_attr(
        all(
            feature = "camera",
            feature = "framebuffer",
            feature = "window",
            feature = "demo",
            feature = "mqtt",
            feature = "web"
        ),
        allow(dead_code, reason = "this build has all features")
    )]
    #[error("this boxcam was built without {what}; build it with `--features {feature}`")]
    NotBuilt {
        what: &'static str,
        feature: &'static str,
    },
    #[error("--classes: {0}")]
    Classes(#[from] UnknownClass),
    #[error("--hide-classes: {0}")]
    HiddenClasses(UnknownClass),
    #[error("--rename: {0}")]
    Rename(#[from] RenameError),
    #[error(transparent)]
    Aliases(#[from] AliasFileError),
    #[error(transparent)]
    WebLogin(#[from] WebLoginError),
    #[error(transparent)]
    ZoneClasses(#[from] UnknownZoneClass),
    #[error(transparent)]
    ZoneNames(#[from] DuplicateName),
    #[error(
        "--regions needs a model with object outputs, and \"{model}\" has none; give one with `--model`, as \
         models/snacks-objects.onnx, or leave out --regions"
    )]
    NoObjects { model: String },
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    EventProgram(#[from] MissingProgram),
    #[cfg(feature = "mqtt")]
    #[error(transparent)]
    BrokerLogin(#[from] BrokerLoginError),
    #[cfg(feature = "mqtt")]
    #[error(transparent)]
    BrokerCertificates(#[from] CertificateFileError),
    #[error("failed checks: {count}; see the suggested fixes above")]
    ChecksFailed { count: usize },
    #[error("signals can't be caught ({0}); end other programs and try again")]
    Signals(std::io::Error),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("no model: none is built in and {beside} does not exist; give one with `--model FILE`")]
    NoModel { beside: String },
    #[error(transparent)]
    UnknownModel(#[from] UnknownModel),
    #[error(transparent)]
    Detect(#[from] DetectError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error(transparent)]
    Film(#[from] FilmError),
    #[error(transparent)]
    FilmTrack(#[from] FilmTrackError),
    #[error(transparent)]
    Recorded(#[from] evaluate::RecordedError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[cfg(all(feature = "framebuffer", target_os = "linux"))]
    #[error("console-guard is started by boxcam itself and failed here ({source})")]
    Guard { source: std::io::Error },
}

/// Exit codes other than 0; `boxcam --help` lists them.
const CHECKS_FAILED: u8 = 1;
const USAGE: u8 = 2;
const MODEL: u8 = 3;
const SOURCE: u8 = 4;
const SINK: u8 = 5;

/// Executes a command. It ends early, without an error, when `stop` becomes true.
pub(crate) fn execute(command: &Command, stop: &AtomicBool) -> Result<Completion, Failure> {
    match command {
        Command::Run(options) => run::run(options, stop),
        Command::Detect(options) => detect::detect(options, stop),
        Command::Evaluate(options) => evaluate::evaluate(options),
        Command::Bench(options) => bench::bench(options),
        Command::Models(options) => models::models(options),
        Command::Doctor(options) => doctor::doctor(options),
        Command::Config(options) => config::config(options),
        #[cfg(all(feature = "framebuffer", target_os = "linux"))]
        Command::ConsoleGuard => {
            boxcam::sink::framebuffer::guard_console()
                .map_err(|source| Failure::Guard { source })?;
            Ok(Completion::Complete)
        }
    }
}

/// Prints a text to standard output. A closed pipe (e.g. `head`) is not an error.
fn print(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(stdout_error(error)),
        _ => Ok(()),
    }
}

/// The JSON text of a value, on one line.
fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(json_error)
}

fn json_error(error: serde_json::Error) -> Failure {
    stdout_error(error.into())
}

fn stdout_error(source: std::io::Error) -> Failure {
    let path = PathBuf::from("standard output");
    SinkError::Write { path, source }.into()
}

impl Completion {
    /// Complete if nothing was skipped.
    fn of(skipped: u64) -> Self {
        match skipped {
            0 => Self::Complete,
            _ => Self::Partial,
        }
    }

    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Complete => ExitCode::SUCCESS,
            Self::Partial => ExitCode::from(SOURCE),
        }
    }
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::NotBuilt { .. }
            | Self::Classes(_)
            | Self::HiddenClasses(_)
            | Self::NoObjects { .. }
            | Self::Rename(_)
            | Self::Aliases(_)
            | Self::WebLogin(_)
            | Self::ZoneClasses(_)
            | Self::ZoneNames(_) => USAGE,
            #[cfg(target_os = "linux")]
            Self::EventProgram(_) => USAGE,
            #[cfg(feature = "mqtt")]
            Self::BrokerLogin(_) | Self::BrokerCertificates(_) => USAGE,
            Self::ChecksFailed { .. } | Self::Signals(_) => CHECKS_FAILED,
            Self::Model(_) | Self::NoModel { .. } | Self::UnknownModel(_) | Self::Detect(_) => {
                MODEL
            }
            Self::FilmTrack(FilmTrackError::Detect(_)) => MODEL,
            Self::Source(_)
            | Self::Dataset(_)
            | Self::Film(_)
            | Self::FilmTrack(_)
            | Self::Recorded(_) => SOURCE,
            Self::Sink(_) => SINK,
            #[cfg(all(feature = "framebuffer", target_os = "linux"))]
            Self::Guard { .. } => USAGE,
            Self::Pipeline(error) => match error {
                PipelineError::UnknownHiddenClass(_) => USAGE,
                PipelineError::Detect(_) | PipelineError::ModelPanicked => MODEL,
                PipelineError::Sink(_) | PipelineError::SinkPanicked => SINK,
                PipelineError::Source(_)
                | PipelineError::NoFrame { .. }
                | PipelineError::Thread { .. }
                | PipelineError::SourcePanicked
                | PipelineError::Preprocess(_) => SOURCE,
            },
        })
    }
}
