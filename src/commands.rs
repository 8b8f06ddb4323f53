//! What the program can be asked to do. Here, and only here, concrete sources, models and sinks are named.

use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use boxcam::config::Config;
use boxcam::dataset::DatasetError;
use boxcam::detect::DetectError;
use boxcam::detect::tract::ModelError;
use boxcam::pipeline::PipelineError;
use boxcam::sink::SinkError;
use boxcam::source::SourceError;
use thiserror::Error;

mod bench;
mod detect;
mod display;
mod doctor;
mod evaluate;
mod input;
mod model;
mod network;
mod output;
mod outputs;
mod reload;
mod run;

/// A command that came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completion {
    /// All is done.
    Whole,
    /// Some pictures or rows could not be used; the rest is done.
    Partial,
}

/// A command that could not be carried out.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// This build lacks what was asked for.
    #[cfg_attr(
        all(
            feature = "camera",
            feature = "framebuffer",
            feature = "window",
            feature = "demo",
            feature = "mqtt",
            feature = "web"
        ),
        allow(dead_code, reason = "this build has all of them")
    )]
    #[error("this boxcam was built without {what}; build it with `--features {feature}`")]
    NotBuilt {
        what: &'static str,
        feature: &'static str,
    },
    #[error("{count} of these will not work as asked; do what stands behind the > below each")]
    Ill { count: usize },
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("no model: none is built in and there is no {beside}; give one with `--model FILE`")]
    #[cfg_attr(
        feature = "embedded-model",
        allow(dead_code, reason = "there is always one")
    )]
    NoModel { beside: String },
    #[error(transparent)]
    Detect(#[from] DetectError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[cfg(all(feature = "framebuffer", target_os = "linux"))]
    #[error("boxcam starts console-guard by itself; there is no console to guard ({source})")]
    Guard { source: std::io::Error },
}

/// Exit codes other than 0, as `boxcam --help` tells them.
const ILL: u8 = 1;
const USAGE: u8 = 2;
const MODEL: u8 = 3;
const SOURCE: u8 = 4;
const SINK: u8 = 5;

/// Does what the command line asks for; ends early and well once `stop` becomes true.
pub(crate) fn execute(config: &Config, stop: &AtomicBool) -> Result<Completion, Failure> {
    match config {
        Config::Run(config) => run::run(config, stop),
        Config::Detect(config) => detect::detect(config, stop),
        Config::Evaluate(config) => evaluate::evaluate(config),
        Config::Bench(config) => bench::bench(config),
        Config::Doctor(config) => doctor::doctor(config),
        #[cfg(all(feature = "framebuffer", target_os = "linux"))]
        Config::ConsoleGuard => {
            boxcam::sink::framebuffer::guard_console()
                .map_err(|source| Failure::Guard { source })?;
            Ok(Completion::Whole)
        }
    }
}

impl Completion {
    /// Whole if nothing is missing.
    fn of(missing: u64) -> Self {
        match missing {
            0 => Self::Whole,
            _ => Self::Partial,
        }
    }

    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Whole => ExitCode::SUCCESS,
            Self::Partial => ExitCode::from(SOURCE),
        }
    }
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::NotBuilt { .. } => USAGE,
            Self::Ill { .. } => ILL,
            Self::Model(_) | Self::NoModel { .. } | Self::Detect(_) => MODEL,
            Self::Source(_) | Self::Dataset(_) => SOURCE,
            Self::Sink(_) => SINK,
            #[cfg(all(feature = "framebuffer", target_os = "linux"))]
            Self::Guard { .. } => USAGE,
            Self::Pipeline(error) => match error {
                PipelineError::Detect(_) | PipelineError::ModelPanicked => MODEL,
                PipelineError::Sink(_) | PipelineError::OutputPanicked => SINK,
                PipelineError::Source(_)
                | PipelineError::Thread { .. }
                | PipelineError::SourcePanicked
                | PipelineError::Preprocess(_) => SOURCE,
            },
        })
    }
}
