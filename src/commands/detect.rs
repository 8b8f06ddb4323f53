//! `boxcam detect`: each picture once, a JSON line each.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use boxcam::config::{DetectConfig, Threshold};
use boxcam::health::Health;
use boxcam::pipeline::{Input, Pipeline, Times};
use boxcam::sink::Sink;
use boxcam::sink::console_stats::ConsoleStats;
use boxcam::sink::json::JsonSink;
use boxcam::sink::picture_files::PictureSink;
use boxcam::source::pictures::PicturesSource;

use super::{Completion, Failure, model};

pub(super) fn detect(config: &DetectConfig, stop: &AtomicBool) -> Result<Completion, Failure> {
    let options = model::engine(config.threads);
    let (detector, _) = model::load_from(config.model.file.as_deref(), options)?;
    let mut outputs: Vec<Box<dyn Sink + Send>> = vec![
        Box::new(JsonSink::stdout()),
        Box::new(ConsoleStats::default()),
    ];
    if let Some(folder) = &config.annotate {
        outputs.push(Box::new(PictureSink::new(folder)?));
    }
    let pipeline = Pipeline {
        detector: Box::new(detector),
        newer_models: None,
        outputs,
        display: None,
        threshold: config.model.threshold.map(Threshold::value),
        is_tracked: false,
        frames: None,
        stop,
        health: Arc::new(Health::default()),
        times: Times::default(),
    };
    let source = PicturesSource::new(config.pictures.iter().cloned());
    let outcome = pipeline.run(Input::Replayed(Box::new(source)))?;
    Ok(Completion::of(outcome.skipped))
}
