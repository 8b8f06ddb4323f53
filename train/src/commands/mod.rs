//! The commands, one file per group, and what they share.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use boxcam::dataset::{self as core_dataset, AnnotatedPicture};
use boxcam::detect::tract::{ModelError, TractDetector};
use boxcam::detect::{DetectError, Prediction};
use boxcam::diagnostics::writing_advice;
use boxcam::evaluate::Evaluator;
use boxcam::picture::PictureError;
use boxcam_train::average::AverageError;
use boxcam_train::checkpoint::CheckpointError;
use boxcam_train::dataset::dropped::{DroppedBoxes, TooManyDropped};
use boxcam_train::dataset::duplicates::{self, Fingerprint};
use boxcam_train::dataset::prepared::PreparedError;
use boxcam_train::dataset::{self, DatasetFormat, ImportError, ImportedDataset, SplitName};
use boxcam_train::fit_progress::OutputLockError;
use boxcam_train::import::ModelImportError;
use boxcam_train::labeling::{LockError, OpenError, ProposalError};
use boxcam_train::onnx::OnnxError;
use boxcam_train::plot::history::HistoryError;
use boxcam_train::quantize::QuantizeError;
use boxcam_train::recipe::RecipeError;
use boxcam_train::scenes::SceneError;
use boxcam_train::summary::SummaryError;
use boxcam_train::weights::WeightsError;
use boxcam_train::{message, storage};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use thiserror::Error;

mod confidence;
pub(crate) mod data;
pub(crate) mod eval;
pub(crate) mod fit;
pub(crate) mod import;
pub(crate) mod label;
pub(crate) mod model_file;
mod review;
pub(crate) mod scenes;
pub(crate) mod show_batch;
pub(crate) mod train;

use confidence::NegativesError;

/// Faults that are reported one by one.
const FAULTS: usize = 20;

/// A prepared data set.
#[derive(Debug, Clone, Args)]
pub(crate) struct PreparedData {
    /// Folder with train/, val/, annotations-train.csv and annotations-val.csv, as `data convert` writes it; the images
    /// are train/CLASS/ID.jpg and val/CLASS/ID.jpg
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: PathBuf,
}

impl PreparedData {
    fn split(&self, name: &str) -> Result<core_dataset::Dataset> {
        split(&self.data, name)
    }

    /// The development part of the training images, if the data set has one.
    fn development(&self) -> Result<Option<core_dataset::Dataset>> {
        let name = SplitName::Development.name();
        let is_there = self.data.join(format!("annotations-{name}.csv")).is_file();
        is_there.then(|| self.split(name)).transpose()
    }
}

/// What to do about boxes that are left out.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct DroppedOptions {
    /// Go on even if more than 10% of the boxes are left out because their annotations cannot be used
    #[arg(long)]
    pub(crate) allow_dropped: bool,
}

impl DroppedOptions {
    /// Reports boxes that are left out of the data set at `data`.
    fn check(self, dropped: &DroppedBoxes, data: &Path) -> Result<(), TooManyDropped> {
        if dropped.dropped == 0 {
            return Ok(());
        }
        if !self.allow_dropped {
            dropped.check(data)?;
        }
        message!("{dropped}");
        Ok(())
    }
}

/// The split `train` or `val` of a prepared data set. Faulty rows are reported on stderr and left out.
fn split(data: &Path, name: &str) -> Result<core_dataset::Dataset> {
    let annotations = data.join(format!("annotations-{name}.csv"));
    let split = core_dataset::Dataset::read(&data.join(name), &annotations)?;
    for fault in split.issues.iter().take(FAULTS) {
        message!("left out: {fault}");
    }
    if let Some(more @ 1..) = split.issues.len().checked_sub(FAULTS) {
        message!("left out: {more} more (boxcam-train data inspect --all lists them)");
    }
    for note in &split.notes {
        message!("note: {note}");
    }
    Ok(split)
}

/// A data set in any format.
#[derive(Debug, Clone, Args)]
pub(crate) struct AnyData {
    /// Folder with images and annotations: a prepared data set, COCO, LabelMe, Pascal VOC, YOLO, Open Images, or only
    /// a folder of images per class
    #[arg(value_name = "FOLDER")]
    pub(crate) data: PathBuf,
    /// The format, if it cannot be detected from the folder's content
    #[arg(long, value_parser = format_parser())]
    pub(crate) format: Option<DatasetFormat>,
}

impl AnyData {
    fn read(&self) -> Result<(DatasetFormat, ImportedDataset), ImportError> {
        match self.format {
            Some(format) => dataset::read_as(format, &self.data).map(|dataset| (format, dataset)),
            None => dataset::read(&self.data),
        }
    }
}

fn format_parser() -> impl TypedValueParser<Value = DatasetFormat> {
    PossibleValuesParser::new(DatasetFormat::ALL.map(DatasetFormat::name)).try_map(|name| {
        let mut formats = DatasetFormat::ALL.into_iter();
        formats
            .find(|format| format.name() == name)
            .ok_or("no such format")
    })
}

/// Parses a number in `0..=1`.
fn fraction(text: &str) -> Result<f32, &'static str> {
    match text.parse() {
        Ok(fraction) if (0.0..=1.0).contains(&fraction) => Ok(fraction),
        _ => Err("expected a number between 0 and 1"),
    }
}

/// A progress bar on stderr; invisible if stderr is not a terminal.
fn progress(steps: usize, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {eta} {msg}");
    let bar = ProgressBar::new(steps as u64).with_prefix(what.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The fingerprints of all images, with a progress bar.
fn fingerprints(dataset: &ImportedDataset) -> Vec<Result<Fingerprint, PictureError>> {
    let bar = progress(dataset.pictures.len(), "images");
    let prints = duplicates::fingerprints(&dataset.pictures, threads(), &|| bar.inc(1));
    bar.finish_and_clear();
    prints
}

/// A detector's predictions on a split, with a progress bar. Unreadable images are reported and left out.
fn predictions<'s>(
    detector: &TractDetector,
    split: &'s core_dataset::Dataset,
    what: &str,
) -> Result<Vec<(&'s AnnotatedPicture, Prediction)>, DetectError> {
    let bar = progress(split.pictures.len(), what);
    let step = || bar.inc(1);
    let predictions = Evaluator::new(detector, threads(), &step).predict(split)?;
    bar.finish_and_clear();
    for skipped in &predictions.skipped {
        message!("left out: {skipped}");
    }
    Ok(predictions.pictures)
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A file that cannot be written; the old one, if any, is unchanged.
#[derive(Debug, Error)]
#[error("{}: cannot be written ({source}); {}", file.display(), writing_advice(source))]
pub(crate) struct OutputError {
    file: PathBuf,
    source: std::io::Error,
}

impl OutputError {
    fn new(file: &Path, source: impl Into<std::io::Error>) -> Self {
        Self {
            file: file.to_owned(),
            source: source.into(),
        }
    }
}

/// Writes a file whole or not at all, and reports it.
fn write(file: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    storage::write_whole(file, bytes).map_err(|source| OutputError::new(file, source))?;
    message!("written: {}", file.display());
    Ok(())
}

/// 2: usage, 3: model, 4: data, 5: output; `None` for anything else.
pub(crate) fn exit_code(error: &anyhow::Error) -> Option<ExitCode> {
    // A model or checkpoint that is not replaced.
    let is_kept = |cause: &(dyn std::error::Error + 'static)| {
        let source = cause.downcast_ref::<std::io::Error>();
        source.is_some_and(|source| source.kind() == std::io::ErrorKind::AlreadyExists)
    };
    if error.chain().any(is_kept) {
        return Some(ExitCode::from(5));
    }
    let model = error.is::<ModelError>()
        || error.is::<DetectError>()
        || error.is::<AverageError>()
        || error.is::<OnnxError>()
        || error.is::<ModelImportError>()
        || error.is::<WeightsError>()
        || error.is::<QuantizeError>()
        || error.is::<SummaryError>()
        || error.is::<CheckpointError>();
    let data = error.is::<core_dataset::DatasetError>()
        || error.is::<ImportError>()
        || error.is::<TooManyDropped>()
        || error.is::<PictureError>()
        || error.is::<SceneError>()
        || error.is::<HistoryError>()
        || error.is::<NegativesError>()
        || error.is::<fit::TooFewImages>();
    if let Some(error) = error.downcast_ref::<ProposalError>() {
        let is_usage = matches!(error, ProposalError::UnknownModel { .. });
        return Some(ExitCode::from(if is_usage { 2 } else { 3 }));
    }
    if let Some(error) = error.downcast_ref::<OpenError>() {
        return Some(ExitCode::from(match error {
            OpenError::Class(_) => 2,
            OpenError::Lock(LockError::Write { .. }) | OpenError::ForeignFile { .. } => 5,
            _ => 4,
        }));
    }
    let output =
        error.is::<OutputError>() || error.is::<PreparedError>() || error.is::<OutputLockError>();
    if error.is::<RecipeError>() {
        return Some(ExitCode::from(2));
    }
    match (model, data) {
        (true, _) => Some(ExitCode::from(3)),
        (_, true) => Some(ExitCode::from(4)),
        _ => output.then_some(ExitCode::from(5)),
    }
}
