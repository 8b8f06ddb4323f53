//! `boxcam detect`: each picture once, a JSON line each.

use std::sync::atomic::AtomicBool;

use boxcam::config::DetectConfig;
use boxcam::detect::Detector;
use boxcam::pipeline::Pipeline;
use boxcam::sink::Sink;
use boxcam::sink::json::JsonSink;
use boxcam::sink::picture::PictureSink;
use boxcam::source::pictures::PicturesSource;

use super::tally::Tally;
use super::{Completion, Failure, model};

pub(super) fn detect(config: &DetectConfig, stop: &AtomicBool) -> Result<Completion, Failure> {
    let mut detector = model::load(config.model.file.as_deref())?;
    let threshold = config.model.threshold_or(detector.card().threshold);
    let mut lines = JsonSink::stdout();
    let mut tally = Tally::default();
    let mut annotated = config
        .annotate
        .as_deref()
        .map(PictureSink::new)
        .transpose()?;
    let mut sinks: Vec<&mut dyn Sink> = vec![&mut lines, &mut tally];
    sinks.extend(annotated.as_mut().map(|sink| sink as &mut dyn Sink));
    let pipeline = Pipeline {
        detector: &mut detector,
        sinks,
        threshold,
        frames: None,
        stop,
    };
    let source = PicturesSource::new(config.pictures.iter().cloned());
    let outcome = pipeline.run(Box::new(source))?;
    Ok(Completion::of(outcome.skipped))
}
