//! `boxcam run`: a source is watched until it ends or somebody ends it.

use boxcam::warn;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;

use boxcam::config::{RunConfig, SourceChoice, Threshold};
use boxcam::detect::Detector;
use boxcam::detect::tract::EngineOptions;
use boxcam::health::Health;
use boxcam::pipeline::{Input, Pipeline, PipelineError, Times};
use boxcam::sink::console_stats::ConsoleStats;
use boxcam::sink::{Sink, SinkError};

use super::input::input;
use super::outputs::outputs;
use super::{Completion, Failure, display, model, reload};

pub(super) fn run(config: &RunConfig, stop: &AtomicBool) -> Result<Completion, Failure> {
    let options = model::engine(config.threads);
    let (detector, file) = model::load_from(config.model.file.as_deref(), options)?;
    let health = Arc::new(Health::default());
    let stats = ConsoleStats::default();
    let mut outputs = outputs(config, &health)?;
    outputs.insert(0, Box::new(stats.clone()));
    let mut display = display::open(config)?;
    // Somebody who looks wants to see it move; a count of frames wants to be done, the same each time.
    let is_watched = display.is_some() || config.frames.is_none();
    let input = input(config, is_watched)?;
    let is_live = matches!(input, Input::Live { .. });
    let newer_models = match &file {
        Some(file) if is_live => Some(watch(file, &detector, options, &health)?),
        _ => None,
    };
    let pipeline = Pipeline {
        detector: Box::new(detector),
        newer_models,
        outputs,
        display: display.as_mut().map(|sink| &mut **sink as &mut dyn Sink),
        threshold: config.model.threshold.map(Threshold::value),
        is_tracked: !matches!(config.source, SourceChoice::Pictures(_)),
        frames: config.frames,
        stop,
        health: Arc::clone(&health),
        times: Times {
            stall: config.stall,
            ..Times::default()
        },
    };
    let outcome = pipeline.run(input)?;
    if config.source == SourceChoice::Demo && std::io::stderr().is_terminal() {
        warn!("{stats}");
    }
    // A live run lives with it; whoever replays something wants all of it.
    if !is_live && health.lines_lost.get() + health.snapshots_lost.get() > 0 {
        return Err(SinkError::Incomplete.into());
    }
    Ok(Completion::of(outcome.skipped))
}

fn watch(
    file: &Path,
    running: &dyn Detector,
    options: EngineOptions,
    health: &Arc<Health>,
) -> Result<Receiver<Box<dyn Detector>>, Failure> {
    reload::watch(file, running.model_hash(), options, health).map_err(|source| {
        let what = "the model file";
        PipelineError::Thread { what, source }.into()
    })
}
