//! `boxcam detect`: one JSON line for each picture.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use boxcam::detect::Detector as _;
use boxcam::health::Health;
use boxcam::options::{DetectOptions, Threshold};
use boxcam::pipeline::{Pipeline, SourceConfig};
use boxcam::regions::DEFAULT_REGION_RATE;
use boxcam::sink::console_stats::ConsoleStats;
use boxcam::sink::json::JsonSink;
use boxcam::sink::picture_files::PictureSink;
use boxcam::sink::{Sink, SinkError};
use boxcam::source::pictures::PicturesSource;

use super::{Completion, Failure, aliases, model};

pub(super) fn detect(options: &DetectOptions, stop: &AtomicBool) -> Result<Completion, Failure> {
    let engine = model::engine(options.threads);
    let (detector, _) = model::load_from(options.model.choice.as_ref(), engine)?;
    let labels = &detector.card().labels;
    let aliases = aliases::load(options.filter.aliases.as_ref(), labels)?;
    let filter = options.filter.filter().without_aliases(labels, &aliases);
    filter.check(labels)?;
    let hidden = options.filter.hidden_classes(labels, &aliases);
    let hidden = hidden.map_err(Failure::HiddenClasses)?;
    model::check_regions(options.regions, detector.card())?;
    if options.annotate.is_some() {
        aliases::warn_of_missing_characters(&aliases, labels);
    }
    let health = Arc::new(Health::default());
    let mut sinks: Vec<Box<dyn Sink + Send>> = vec![
        Box::new(JsonSink::stdout()),
        Box::new(ConsoleStats::default()),
    ];
    if let Some(folder) = &options.annotate {
        sinks.push(Box::new(PictureSink::new(folder, Arc::clone(&health))?));
    }
    let pipeline = Pipeline {
        sinks,
        threshold: options.model.threshold.map(Threshold::value),
        filter,
        hidden,
        regions: options.regions.then_some(DEFAULT_REGION_RATE),
        aliases,
        health: Arc::clone(&health),
        ..Pipeline::new(Box::new(detector), stop)
    };
    let source = PicturesSource::new(options.pictures.iter().cloned());
    let summary = pipeline.run(SourceConfig::Offline(Box::new(source)))?;
    if health.files_kept.get() > 0 {
        return Err(SinkError::Incomplete.into());
    }
    Ok(Completion::of(summary.skipped))
}
