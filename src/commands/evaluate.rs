//! `boxcam evaluate`: measures a model on annotated pictures.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::Instant;

use boxcam::card::ModelCard;
use boxcam::dataset::Dataset;
use boxcam::dataset::films::{Film, read_films};
use boxcam::detect::tract::TractDetector;
use boxcam::detect::{DetectError, Detector as _};
use boxcam::evaluate::{
    Agreement, Compared, Comparison, Details, Evaluation, Evaluator, FalseAlarms, FilmTrackError,
    Metrics, NegativeResults, ObjectEvaluation, Predictions, SkippedPicture, ThresholdPoint,
    TrackEvaluation, TrackMetrics, threshold_curve, track_film,
};
use boxcam::label::{Labels, RenameError};
use boxcam::options::{ClassRename, EvaluateOptions};
use boxcam::output_file::{self, WriteSettings};
use boxcam::preprocess::preprocess;
use boxcam::sink::SinkError;
use boxcam::{diagnostics, warn};
use serde::Serialize;

use super::{Completion, Failure, model};
use super::{json, json_error, print};
use html_report::HtmlReport;
pub(super) use recorded_file::RecordedError;
use recorded_file::RecordedFile;
use reference_file::ReferenceFile;

mod chart;
mod html_report;
mod prediction_files;
mod recorded_file;
mod reference_file;
mod text_report;
mod threshold_report;

/// Maximum number of pictures that are timed, spread evenly: the time depends on the network, hardly on the picture.
const TIMED_PICTURES: usize = 100;

pub(super) fn evaluate(config: &EvaluateOptions) -> Result<Completion, Failure> {
    let detector = model::load(config.model.as_ref())?;
    let card = renamed(detector.card(), &config.rename)?;
    let recorded = config.compare.as_deref().map(RecordedFile::read);
    let recorded = recorded.transpose()?;
    let reference = config.reference.as_deref().map(ReferenceFile::read);
    let reference = reference.transpose()?;
    let annotated = Dataset::read(&config.pictures, &config.annotations)?;
    warn_each(&annotated.notes);
    warn_each(&annotated.issues);
    if let Some(message) = unknown_classes(&annotated, &card.labels) {
        warn!("{message}");
    }
    let negatives = config.negatives.as_deref();
    let negatives = negatives.map(Dataset::without_annotations).transpose()?;
    let negatives = negatives.unwrap_or_default();
    warn_each(&negatives.issues);
    let films = config.films.as_deref().map(read_films).transpose()?;
    let passes = 1 + usize::from(config.sliding_window);
    let progress = Progress::new(annotated.pictures.len() + passes * negatives.pictures.len());
    let step = || progress.step();
    let threads = config.threads.or_else(|| available_parallelism().ok());
    let threads = threads.map_or(1, NonZeroUsize::get);
    let evaluator = Evaluator::new(&detector, threads, &step);
    let predictions = evaluator.predict(&annotated)?;
    let (on_negatives, skipped_negatives) = on_negatives(
        &evaluator,
        &negatives,
        detector.card(),
        config.sliding_window,
    )?;
    progress.clear();
    warn_each(&predictions.skipped);
    warn_each(&skipped_negatives);
    let unlisted = annotated.issues.len() + negatives.issues.len();
    let skipped = unlisted + predictions.skipped.len() + skipped_negatives.len();
    let labels = &card.labels;
    let agreement = reference.map(|reference| {
        // Both the name in the model and the one in the annotations.
        let find = |name: &str| {
            labels
                .find(name)
                .or_else(|| detector.card().labels.find(name))
        };
        let found = reference.detections(&predictions, find)?;
        Ok::<_, RecordedError>(Agreement::of(&predictions, &found, labels))
    });
    let comparison = recorded.map(|recorded| compare(&recorded, &predictions, labels));
    let tracking = films.map(|films| track(&detector, &films)).transpose()?;
    let results = Results {
        tracking,
        agreement: agreement.transpose()?,
        comparison: comparison.transpose()?,
        evaluation: Evaluation::of(&predictions, labels.clone()),
        predictions,
        negatives: on_negatives,
    };
    write_reports(config, &detector, &card, &annotated, &results)?;
    Ok(Completion::of(skipped as u64))
}

/// The card with the names that classes have in the annotations.
fn renamed(card: &ModelCard, renames: &[ClassRename]) -> Result<ModelCard, RenameError> {
    let mut labels = card.labels.clone();
    for ClassRename { from, to } in renames {
        labels = labels.renamed(from, to)?;
    }
    Ok(ModelCard {
        labels,
        ..card.clone()
    })
}

/// A message about the boxes of classes that the model does not know; `None` without any.
fn unknown_classes(dataset: &Dataset, labels: &Labels) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let annotations = dataset
        .pictures
        .iter()
        .flat_map(|picture| &picture.annotations);
    for annotation in annotations {
        if labels.find(&annotation.class_name).is_none() {
            *counts.entry(&annotation.class_name).or_default() += 1;
        }
    }
    let boxes: usize = counts.values().sum();
    let classes = counts
        .iter()
        .map(|(class, count)| format!("{class} ({count})"));
    let classes: Vec<String> = classes.collect();
    (boxes > 0).then(|| {
        format!(
            "annotations: {boxes} boxes are of classes that the model lacks and are left out of average precision: {}; give the \
             model's name of a class with `--rename FROM=TO`",
            classes.join(", ")
        )
    })
}

fn warn_each(issues: &[impl Display]) {
    for issue in issues {
        warn!("{issue}");
    }
}

/// The predictions for the annotated pictures and for the negatives.
struct Results<'d> {
    predictions: Predictions<'d>,
    /// Of `predictions`, picture by picture.
    evaluation: Evaluation,
    negatives: NegativeResults,
    comparison: Option<NamedComparison>,
    agreement: Option<Agreement>,
    /// Over the films.
    tracking: Option<TrackMetrics>,
}

/// The comparison with another model.
#[derive(Serialize)]
struct NamedComparison {
    /// First digits of the hash of the other model's file.
    model: String,
    #[serde(flatten)]
    comparison: Comparison,
}

fn compare(
    recorded: &RecordedFile,
    predictions: &Predictions<'_>,
    labels: &Labels,
) -> Result<NamedComparison, RecordedError> {
    let other = recorded.predictions(predictions, labels)?;
    let [model, other] = [
        Compared::of(predictions, labels),
        Compared::of(&other, labels),
    ];
    Ok(NamedComparison {
        model: recorded.model().to_owned(),
        comparison: Comparison::of(&model, &other),
    })
}

/// Metrics of the tracks that are found in films.
fn track(detector: &TractDetector, films: &[Film]) -> Result<TrackMetrics, FilmTrackError> {
    let mut detector = detector.clone();
    let mut evaluation = TrackEvaluation::default();
    for film in films {
        evaluation.add_film(&track_film(&mut detector, film)?);
    }
    Ok(evaluation.metrics())
}

fn on_negatives(
    evaluator: &Evaluator<'_, TractDetector>,
    negatives: &Dataset,
    card: &ModelCard,
    with_clips: bool,
) -> Result<(NegativeResults, Vec<SkippedPicture>), DetectError> {
    let mut results = NegativeResults::new(card);
    let predictions = evaluator.predict(negatives)?;
    for (picture, prediction) in &predictions.pictures {
        results.add(&picture.folder, prediction);
    }
    if with_clips {
        // The same pictures are skipped as in the first pass.
        for (picture, clip) in evaluator.predict_clips(negatives)?.pictures {
            results.add_clip(&picture.folder, clip);
        }
    }
    Ok((results, predictions.skipped))
}

/// The output of `--json`.
#[derive(Serialize)]
struct JsonReport<'a> {
    model: &'a str,
    #[serde(flatten)]
    metrics: &'a Metrics,
    /// Number of negatives, by kind.
    #[serde(rename = "nothing")]
    negatives_by_kind: BTreeMap<&'a str, usize>,
    /// With `--negatives`.
    #[serde(rename = "negatives", skip_serializing_if = "Option::is_none")]
    false_alarms: Option<FalseAlarms>,
    curve: &'a [ThresholdPoint],
    #[serde(flatten)]
    details: &'a Details,
    speed: &'a Speed,
    /// With `--compare`.
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<&'a NamedComparison>,
    /// With `--reference`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a Agreement>,
    /// With `--films`.
    #[serde(skip_serializing_if = "Option::is_none")]
    tracking: Option<&'a TrackMetrics>,
}

/// Writes the files that were requested and prints the metrics.
fn write_reports(
    config: &EvaluateOptions,
    detector: &TractDetector,
    card: &ModelCard,
    annotated: &Dataset,
    results: &Results<'_>,
) -> Result<(), Failure> {
    let model = detector.model_hash();
    let metrics = &results.evaluation.metrics();
    let labels = &card.labels;
    let objects = ObjectEvaluation::of(&results.predictions, labels.clone());
    let details = &Details::of(&results.evaluation).with_objects(&objects);
    let curve = threshold_curve(&results.evaluation, &results.negatives);
    // What can't be written does not keep the rest from the user.
    let curve_file = config.curve.as_ref();
    let curve_written = curve_file.map_or(Ok(()), |file| threshold_report::write(file, &curve));
    let predictions_written = write_predictions(config, labels, model, &results.predictions);
    let mut report_written = Ok(());
    let needs_speed = config.json || config.report.is_some();
    let speed = needs_speed.then(|| Speed::measure(detector, annotated));
    let speed = speed.transpose()?;
    let with_negatives = config.negatives.is_some();
    let false_alarms = results.negatives.at_card_thresholds();
    if let (Some(file), Some(speed)) = (&config.report, &speed) {
        let page = HtmlReport {
            model,
            card,
            metrics,
            details,
            speed,
            predictions: &results.predictions,
            evaluation: &results.evaluation,
            curve: with_negatives.then_some(curve.as_slice()),
        };
        report_written = save(file.path(), page.render().as_bytes());
    }
    match &speed {
        Some(speed) if config.json => print(&json(&JsonReport {
            model,
            metrics,
            negatives_by_kind: results.negatives.counts().collect(),
            false_alarms,
            curve: &curve,
            details,
            speed,
            comparison: results.comparison.as_ref(),
            reference: results.agreement.as_ref(),
            tracking: results.tracking.as_ref(),
        })?)?,
        _ => {
            let mut text = text_report::table(model, metrics, details);
            if let Some(compared) = &results.comparison {
                text += &text_report::comparison(&compared.model, &compared.comparison);
            }
            text += &text_report::agreement(results.agreement.as_ref());
            text += &text_report::tracking(results.tracking.as_ref());
            text += &text_report::false_alarms(false_alarms);
            if with_negatives {
                text += &format!("\n{}", threshold_report::table(&curve));
            }
            print(&text)?;
        }
    }
    curve_written.and(report_written)?;
    predictions_written
}

/// Writes the files of predictions that were requested.
fn write_predictions(
    config: &EvaluateOptions,
    labels: &Labels,
    model: &str,
    predictions: &Predictions<'_>,
) -> Result<(), Failure> {
    let mut written = Ok(());
    if let Some(file) = &config.coco_results {
        let text = prediction_files::coco_results(predictions).map_err(json_error)?;
        written = save(file, text.as_bytes());
    }
    if let Some(file) = &config.predictions {
        let text = prediction_files::lines(predictions, labels, model).map_err(json_error)?;
        written = written.and(save(file, text.as_bytes()));
    }
    Ok(written?)
}

/// Writes a report, but not over a file that boxcam did not write.
fn save(path: &Path, bytes: &[u8]) -> Result<(), SinkError> {
    output_file::write(path, bytes, WriteSettings::default())?;
    Ok(())
}

/// Time and size of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Speed {
    /// Median inference time on one thread; `None` without a readable picture.
    inference_p50_ms: Option<f64>,
    /// Number of pictures timed.
    pictures: usize,
    /// Size of the model file.
    model_bytes: usize,
    /// Per picture; `None` if the engine can't count them.
    multiply_adds: Option<u64>,
}

impl Speed {
    /// Times inference alone, without decoding and preprocessing.
    fn measure(detector: &TractDetector, dataset: &Dataset) -> Result<Self, DetectError> {
        let mut detector = detector.clone();
        let step = dataset.pictures.len().div_ceil(TIMED_PICTURES).max(1);
        let mut times = Vec::new();
        for picture in dataset.pictures.iter().step_by(step) {
            // Unreadable pictures were reported before.
            let Ok(frame) = picture.frame() else { continue };
            let Ok(input) = preprocess(&frame, detector.card()) else {
                continue;
            };
            let started = Instant::now();
            detector.predict(&input)?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        // To the microsecond.
        let milliseconds = |micros: f64| micros.round() / 1e3;
        let median = times.get(times.len().saturating_sub(1) / 2);
        Ok(Self {
            inference_p50_ms: median.map(|time| milliseconds(time.as_secs_f64() * 1e6)),
            pictures: times.len(),
            model_bytes: detector.file_bytes(),
            multiply_adds: detector.multiply_adds(),
        })
    }
}

/// A counter on standard error, if that is a terminal.
struct Progress {
    done: AtomicUsize,
    total: usize,
    is_shown: bool,
}

impl Progress {
    fn new(total: usize) -> Self {
        Self {
            done: AtomicUsize::new(0),
            total,
            is_shown: std::io::stderr().is_terminal(),
        }
    }

    fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.is_shown && (done.is_multiple_of(10) || done == self.total) {
            diagnostics::write(format_args!("\r{done} of {} pictures", self.total));
        }
    }

    fn clear(&self) {
        if self.is_shown {
            diagnostics::write(format_args!("\r\x1b[K"));
        }
    }
}
