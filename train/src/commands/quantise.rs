//! `boxcam-train quantise`: a float model to the int8 model that ships, or a refusal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use boxcam::card::ModelCard;
use boxcam::dataset::Dataset;
use boxcam::detect::tract::TractDetector;
use boxcam::evaluate::{Evaluator, Metrics};
use boxcam::preprocess::{InputTensor, preprocess};
use boxcam_train::golden::add_golden;
use boxcam_train::onnx;
use boxcam_train::quantize::activations::{TensorReport, tensor_reports};
use boxcam_train::quantize::calibrate::Calibration;
use boxcam_train::quantize::search::{
    Overrides, QuantizedModel, SearchInputs, Trial, search, split_pictures,
};
use boxcam_train::quantize::{self, AccuracyDrop, WeightScales};
use boxcam_train::storage;
use clap::{ArgAction, ValueEnum};
use prost::Message;

use super::{Data, progress, threads};

/// Calibration pictures on which the errors of stored values are measured, at most.
const ERROR_PICTURES: usize = 32;

/// Stored values whose errors are told; a file gets all.
const WORST: usize = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) data: Data,
    /// The float model, as `train` wrote it
    #[arg(long, value_name = "FILE")]
    pub(super) model: PathBuf,
    /// Where to write the int8 model
    #[arg(long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Training pictures to calibrate on
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) pictures: u32,
    /// Which range of an activation is stored; without it all are tried on training pictures
    #[arg(long, value_enum)]
    pub(super) calibration: Option<Calibration>,
    /// What one step of a weight is worth; without it both are tried
    #[arg(long, value_enum)]
    pub(super) weight_scales: Option<WeightScales>,
    /// Take the mean of what rounding does to a channel off its bias; without it both are tried
    #[arg(long, value_name = "true|false", action = ArgAction::Set)]
    pub(super) bias_correction: Option<bool>,
    /// Write the error of every stored value: a table where FILE ends with .csv, else JSON
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Confidence from which a prediction is a detection, in place of the float model's own
    #[arg(long, value_parser = super::share)]
    pub(super) threshold: Option<f32>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let float = onnx::read(&arguments.model)?;
    let mut card = onnx::card(&float).map_err(quantize::QuantizeError::from)?;
    let train = arguments.data.split("train")?;
    let pictures = pictures(&train, &card, arguments.pictures as usize)?;
    let overrides = Overrides {
        calibration: arguments.calibration,
        weight_scales: arguments.weight_scales,
        correct_biases: arguments.bias_correction,
    };
    eprintln!("distance to the float model on training pictures:");
    eprintln!("calibration       weights   biases     scores   boxes");
    let chosen = search(&float, &pictures, overrides, |trial| {
        eprintln!("{}", line(trial));
    })?;
    eprintln!("kept:\n{}", line(&chosen.trial));
    let QuantizedModel {
        model: mut int8, ..
    } = chosen;
    let some = pictures.calibration.len().min(ERROR_PICTURES);
    let errors = tensor_reports(&float, &int8, &pictures.calibration[..some])?;
    report(&errors, arguments.report.as_deref())?;
    let validation = arguments.data.split("val")?;
    let float_figures = figures(&arguments.model, &float.encode_to_vec(), &validation)?;
    let int8_figures = figures(&arguments.output, &int8.encode_to_vec(), &validation)?;
    println!("model  class accuracy  mean IoU  largest box  over 0.5");
    for (name, figures) in [("float", &float_figures), ("int8 ", &int8_figures)] {
        println!(
            "{name}          {:.4}    {:.4}       {:.4}    {:.4}",
            figures.class_accuracy,
            figures.mean_iou,
            figures.largest_box_mean_iou,
            figures.largest_box_iou_over_half
        );
    }
    let loss = AccuracyDrop::between(&float_figures, &int8_figures).check()?;
    println!(
        "quantising costs {:.4} of class accuracy and {:.4} of mean IoU",
        loss.accuracy, loss.iou
    );
    card.figures = card_figures(&int8_figures);
    card.threshold = arguments.threshold.unwrap_or(card.threshold);
    // The float model's examples, if it has any, are not what the int8 model says.
    card.golden.clear();
    onnx::set_card(&mut int8, &card);
    add_golden(&mut int8, &arguments.output.display().to_string())?;
    onnx::write(&arguments.output, &int8)?;
    eprintln!("written: {}", arguments.output.display());
    Ok(())
}

fn line(trial: &Trial) -> String {
    let settings = trial.settings;
    let name = |value: Option<clap::builder::PossibleValue>| {
        value.map_or(String::new(), |value| value.get_name().to_owned())
    };
    format!(
        "{:<16}  {:<8}  {:<9}  {:.4}  {:.4}",
        name(settings.calibration.to_possible_value()),
        name(settings.weight_scales.to_possible_value()),
        if settings.correct_biases {
            "corrected"
        } else {
            "as is"
        },
        trial.distance.scores,
        trial.distance.boxes
    )
}

/// The errors of stored values, as a table on stderr and into a file.
fn report(errors: &[TensorReport], file: Option<&Path>) -> Result<()> {
    let mut worst: Vec<&TensorReport> = errors.iter().collect();
    worst.sort_by(|a, b| a.int8_db.total_cmp(&b.int8_db));
    worst.truncate(WORST);
    let all = errors.len();
    eprintln!(
        "the {} worst of {all} stored values (all with --report FILE):",
        worst.len()
    );
    eprintln!("value                     clipped  rounding, dB  int8, dB");
    for error in worst {
        eprintln!(
            "{:<24}  {:>6.3}%  {:>12.1}  {:>8.1}",
            error.value,
            100.0 * error.clipped,
            error.rounding_db,
            error.int8_db
        );
    }
    let Some(file) = file else { return Ok(()) };
    let failed = || format!("{}: can't be written", file.display());
    let bytes = match file
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("csv"))
    {
        true => storage::csv(errors)?,
        false => serde_json::to_vec_pretty(errors)?,
    };
    storage::write_whole(file, &bytes).with_context(failed)
}

/// Training pictures for calibration and for the comparison of candidates, see [`split_pictures`].
fn pictures(split: &Dataset, card: &ModelCard, count: usize) -> Result<SearchInputs> {
    let (calibration, comparison) = split_pictures(split.pictures.len(), count)?;
    Ok(SearchInputs {
        calibration: inputs(split, card, &calibration, "calibration"),
        comparison: inputs(split, card, &comparison, "comparison "),
    })
}

/// These pictures of a split as inputs of the model.
fn inputs(split: &Dataset, card: &ModelCard, indices: &[usize], what: &str) -> Vec<InputTensor> {
    let bar = progress(indices.len(), what);
    let inputs = indices.iter().filter_map(|&index| {
        bar.inc(1);
        let frame = split.pictures[index].frame().map_err(anyhow::Error::from);
        let input = frame.and_then(|frame| Ok(preprocess(&frame, card)?));
        input
            .inspect_err(|fault| eprintln!("left out: {fault}"))
            .ok()
    });
    inputs.collect()
}

/// The figures of a model as the device runs it.
fn figures(name: &Path, model: &[u8], split: &Dataset) -> Result<Metrics> {
    let detector = TractDetector::from_bytes(&name.display().to_string(), model)?;
    let threads = threads();
    let bar = progress(split.pictures.len(), "evaluation ");
    let (evaluation, faults) =
        Evaluator::new(&detector, threads, &|| bar.inc(1)).evaluate(split)?;
    bar.finish_and_clear();
    for fault in faults {
        eprintln!("left out: {fault}");
    }
    Ok(evaluation.metrics())
}

fn card_figures(figures: &Metrics) -> BTreeMap<String, f64> {
    let named = [
        ("rows", figures.boxes as f64),
        ("pictures", figures.pictures as f64),
        ("class_accuracy", figures.class_accuracy),
        ("picture_accuracy", figures.picture_accuracy),
        ("mean_iou", figures.mean_iou),
        ("largest_box_mean_iou", figures.largest_box_mean_iou),
        (
            "largest_box_iou_over_half",
            figures.largest_box_iou_over_half,
        ),
        ("box_mse", figures.box_mse),
    ];
    named.map(|(name, value)| (name.to_owned(), value)).into()
}
