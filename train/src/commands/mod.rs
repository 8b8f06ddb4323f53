//! The commands, one file each, and what they share: where the data lies, and how they end.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use boxcam::detect::tract::{ModelError, TractDetector};
use boxcam::detect::{DetectError, Prediction};
use boxcam::evaluate::Evaluator;
use boxcam::picture::PictureError;
use boxcam_train::average::AverageError;
use boxcam_train::checkpoint::CheckpointError;
use boxcam_train::dataset::fingerprint::{self, Fingerprint};
use boxcam_train::dataset::prepared::PreparedError;
use boxcam_train::dataset::{self, Dataset, DatasetError, Format};
use boxcam_train::onnx::OnnxError;
use boxcam_train::plot::history::HistoryError;
use boxcam_train::quantize::QuantizeError;
use boxcam_train::recipe::SettingError;
use boxcam_train::summary::SummaryError;
use boxcam_train::weights::WeightsError;
use clap::builder::PossibleValuesParser;
use clap::{Args, builder::TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};

use output::OutputError;

pub(crate) mod average;
pub(crate) mod backgrounds;
pub(crate) mod batch;
pub(crate) mod card;
pub(crate) mod dequantise;
pub(crate) mod inspect;
pub(crate) mod new;
mod output;
pub(crate) mod plot;
pub(crate) mod predict;
pub(crate) mod prepare;
pub(crate) mod quantise;
pub(crate) mod sanity;
pub(crate) mod scenes;
pub(crate) mod speed;
pub(crate) mod summary;
pub(crate) mod temper;
pub(crate) mod train;
pub(crate) mod trunk;

/// Where the pictures and their boxes are.
#[derive(Debug, Clone, Args)]
pub(crate) struct Data {
    /// Folder with train/, val/, annotations-train.csv and annotations-val.csv; the pictures lie in
    /// train/CLASS/ID.jpg and val/CLASS/ID.jpg
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: PathBuf,
}

impl Data {
    /// The split of that name, `train` or `val`. What is wrong with single rows is said on stderr.
    fn split(&self, name: &str) -> Result<boxcam::dataset::Dataset> {
        let annotations = self.data.join(format!("annotations-{name}.csv"));
        let split = boxcam::dataset::Dataset::read(&self.data.join(name), &annotations)?;
        for fault in &split.issues {
            eprintln!("left out: {fault}");
        }
        Ok(split)
    }
}

/// A number between 0 and 1, from the command line.
fn share(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a number between 0 and 1".to_owned()),
    }
}

/// A progress bar on stderr; invisible where stderr is no terminal.
fn progress(steps: usize, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {eta} {msg}");
    let bar = ProgressBar::new(steps as u64).with_prefix(what.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A data set in any format.
#[derive(Debug, Clone, Args)]
pub(crate) struct AnyData {
    /// Folder with pictures and annotations, in the layout that `train` reads, or COCO, Pascal VOC, YOLO, Open
    /// Images, or just a folder of pictures for each class
    #[arg(value_name = "FOLDER")]
    pub(crate) data: PathBuf,
    /// The format, where it can't be told by what lies in the folder
    #[arg(long, value_parser = format_parser())]
    pub(crate) format: Option<Format>,
}

impl AnyData {
    /// The data set, as it is on the disk.
    fn read(&self) -> Result<(Format, Dataset), DatasetError> {
        match self.format {
            Some(format) => dataset::read_as(format, &self.data).map(|dataset| (format, dataset)),
            None => dataset::read(&self.data),
        }
    }
}

fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| {
        let mut formats = Format::ALL.into_iter();
        formats
            .find(|format| format.name() == name)
            .ok_or("no such format")
    })
}

/// The fingerprints of all pictures, with a progress bar.
fn fingerprints(dataset: &Dataset) -> Vec<Result<Fingerprint, PictureError>> {
    let bar = progress(dataset.pictures.len(), "pictures");
    let prints = fingerprint::all(&dataset.pictures, threads(), &|| bar.inc(1));
    bar.finish_and_clear();
    prints
}

/// What a detector says of every picture of a split, with a progress bar; pictures that can't be read are named.
fn predictions<'s>(
    detector: &TractDetector,
    split: &'s boxcam::dataset::Dataset,
    what: &str,
) -> Result<Vec<(&'s boxcam::dataset::AnnotatedPicture, Prediction)>, DetectError> {
    let bar = progress(split.pictures.len(), what);
    let step = || bar.inc(1);
    let predictions = Evaluator::new(detector, threads(), &step).predict(split)?;
    bar.finish_and_clear();
    for skipped in &predictions.skipped {
        eprintln!("left out: {skipped}");
    }
    Ok(predictions.pictures)
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// 2 where the command line makes no sense, 3 where a model is at fault, 4 where the data is, 5 where a drawing can't be
/// written; none for anything else.
pub(crate) fn exit_code(error: &anyhow::Error) -> Option<ExitCode> {
    let model = error.is::<ModelError>()
        || error.is::<DetectError>()
        || error.is::<AverageError>()
        || error.is::<OnnxError>()
        || error.is::<WeightsError>()
        || error.is::<QuantizeError>()
        || error.is::<SummaryError>()
        || error.is::<CheckpointError>();
    let data = error.is::<boxcam::dataset::DatasetError>()
        || error.is::<DatasetError>()
        || error.is::<PictureError>()
        || error.is::<HistoryError>();
    let output = error.is::<OutputError>() || error.is::<PreparedError>();
    if error.is::<SettingError>() {
        return Some(ExitCode::from(2));
    }
    match (model, data) {
        (true, _) => Some(ExitCode::from(3)),
        (_, true) => Some(ExitCode::from(4)),
        _ => output.then_some(ExitCode::from(5)),
    }
}
