//! `boxcam detect`: one JSON line for each picture.

use std::sync::atomic::AtomicBool;

use boxcam::options::{DetectOptions, Threshold};
use boxcam::pipeline::{Pipeline, SourceConfig};
use boxcam::sink::Sink;
use boxcam::sink::console_stats::ConsoleStats;
use boxcam::sink::json::JsonSink;
use boxcam::sink::picture_files::PictureSink;
use boxcam::source::pictures::PicturesSource;

use super::{Completion, Failure, model};

pub(super) fn detect(options: &DetectOptions, stop: &AtomicBool) -> Result<Completion, Failure> {
    let engine = model::engine(options.threads);
    let (detector, _) = model::load_from(options.model.file.as_deref(), engine)?;
    let mut sinks: Vec<Box<dyn Sink + Send>> = vec![
        Box::new(JsonSink::stdout()),
        Box::new(ConsoleStats::default()),
    ];
    if let Some(folder) = &options.annotate {
        sinks.push(Box::new(PictureSink::new(folder)?));
    }
    let pipeline = Pipeline {
        sinks,
        threshold: options.model.threshold.map(Threshold::value),
        ..Pipeline::new(Box::new(detector), stop)
    };
    let source = PicturesSource::new(options.pictures.iter().cloned());
    let summary = pipeline.run(SourceConfig::Offline(Box::new(source)))?;
    Ok(Completion::of(summary.skipped))
}
