//! `boxcam-train model`: commands on model files. Quantization, averaging, summaries, cards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use boxcam::card::ModelCard;
use boxcam::dataset::Dataset;
use boxcam::detect::Detector as _;
use boxcam::detect::tract::{ModelError, TractDetector};
use boxcam::evaluate::{Agreement, Evaluation, Evaluator, ObjectEvaluation};
use boxcam::picture;
use boxcam::preprocess::{InputTensor, preprocess};
use boxcam_train::average::average;
use boxcam_train::golden::{add_golden, add_golden_pictures};
use boxcam_train::quantize::activations::{TensorReport, tensor_reports};
use boxcam_train::quantize::calibrate::Calibration;
use boxcam_train::quantize::search::{
    Overrides, QuantizedModel, SearchInputs, Trial, search, split_pictures,
};
use boxcam_train::quantize::{
    self, AccuracyDrop, Figures, QuantizeError, WeightScales, check_agreement,
};
use boxcam_train::summary::{Summary, bytes, table};
use boxcam_train::{message, onnx, storage, weights};
use clap::{ArgAction, Args, Subcommand, ValueEnum};
use prost::Message;
use serde_json::Value;
use tract_onnx::pb::ModelProto;

use super::import::{ImportArguments, import};
use super::{OutputError, PreparedData, fraction, progress, threads};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Convert a detector of TensorFlow, a .tflite or model.json file, to a float model
    Import(Box<ImportArguments>),
    /// Quantize a float model to int8, check it against the float model, and write the file that ships
    Quantize(QuantizeArguments),
    /// Convert an int8 model back to a float model, to quantize it again
    Dequantize(DequantizeArguments),
    /// Average the weights of several models that were trained from the same one
    Average(AverageArguments),
    /// List a model's layers, parameters and multiply-adds
    Summary(SummaryArguments),
    /// Print or change the card of a model file
    Card(CardArguments),
    /// Write a model's backbone in half precision, as starting weights for other trainings
    ExportBackbone(ExportBackboneArguments),
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Import(arguments) => import(arguments),
        Command::Quantize(arguments) => quantize(arguments),
        Command::Dequantize(arguments) => dequantize(arguments),
        Command::Average(arguments) => average_models(arguments),
        Command::Summary(arguments) => summary(arguments),
        Command::Card(arguments) => card(arguments),
        Command::ExportBackbone(arguments) => export_backbone(arguments),
    }
}

/// Reads the card of a model.
fn card_of(file: &Path, model: &ModelProto) -> Result<ModelCard, ModelError> {
    onnx::card(model).map_err(|source| ModelError::Card {
        model: file.display().to_string(),
        source,
    })
}

/// Writes a model and reports it.
pub(super) fn write_model(file: &Path, model: &ModelProto) -> Result<()> {
    onnx::write(file, model)?;
    message!("written: {}", file.display());
    Ok(())
}

/// Most calibration images that quantization errors are measured on.
const ERROR_IMAGES: usize = 32;

/// Quantization errors that are printed; a report has all.
const WORST: usize = 5;

/// The pictures that a model is quantized with.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct CalibrationData {
    /// Folder with train/, val/, annotations-train.csv and annotations-val.csv, as `data convert` writes it
    #[arg(long, value_name = "FOLDER")]
    pub(super) data: Option<PathBuf>,
    /// Folder with folders of pictures without annotations, for a model without image heads; can be repeated
    #[arg(long, value_name = "FOLDER")]
    pub(super) pictures: Vec<PathBuf>,
}

impl CalibrationData {
    /// The training pictures.
    fn training(&self) -> Result<Dataset> {
        if let Some(data) = self.prepared() {
            return data.split("train");
        }
        let mut all = Dataset::default();
        for folder in &self.pictures {
            let pictures = Dataset::without_annotations(folder)?;
            for issue in &pictures.issues {
                message!("left out: {issue}");
            }
            all.pictures.extend(pictures.pictures);
        }
        Ok(all)
    }

    fn prepared(&self) -> Option<PreparedData> {
        let data = self.data.clone();
        data.map(|data| PreparedData { data })
    }
}

#[derive(Debug, Args)]
pub(crate) struct QuantizeArguments {
    #[command(flatten)]
    pub(super) data: CalibrationData,
    /// The float model, as `train run` wrote it
    #[arg(long, value_name = "FILE")]
    pub(super) model: PathBuf,
    /// File to write the int8 model to
    #[arg(long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Training images to calibrate on
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) calibration_images: u32,
    /// Range of an activation; by default all are tried on training images
    #[arg(long, value_enum)]
    pub(super) calibration: Option<Calibration>,
    /// Scale of a channel's weights; by default both are tried
    #[arg(long, value_enum)]
    pub(super) weight_scales: Option<WeightScales>,
    /// Subtract the mean rounding error of a channel from its bias; by default both are tried
    #[arg(long, value_name = "true|false", action = ArgAction::Set)]
    pub(super) bias_correction: Option<bool>,
    /// Scale channels so that one step of int8 suits all of them; by default both are tried
    #[arg(long, value_name = "true|false", action = ArgAction::Set)]
    pub(super) equalization: Option<bool>,
    /// Write the quantization error of every tensor: a table if FILE ends in .csv, else JSON
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Confidence threshold, instead of the float model's
    #[arg(long, value_parser = fraction)]
    pub(super) threshold: Option<f32>,
}

/// An int8 model that is about as accurate as its float model, without golden examples.
pub(super) struct Int8Model {
    pub(super) model: ModelProto,
    /// Its card; that in the model is replaced by it when it is written.
    pub(super) card: ModelCard,
}

impl Int8Model {
    /// Adds golden examples and writes the file.
    pub(super) fn write(mut self, output: &Path) -> Result<()> {
        onnx::set_card(&mut self.model, &self.card);
        add_golden(&mut self.model, &output.display().to_string())?;
        write_model(output, &self.model)
    }
}

fn quantize(arguments: &QuantizeArguments) -> Result<()> {
    quantized(arguments)?.write(&arguments.output)
}

/// Quantizes a model and checks it against the float model; writes nothing but `--report`.
pub(super) fn quantized(arguments: &QuantizeArguments) -> Result<Int8Model> {
    let float = onnx::read(&arguments.model)?;
    let mut card = onnx::card(&float).map_err(QuantizeError::from)?;
    let train = arguments.data.training()?;
    let pictures = pictures(&train, &card, arguments.calibration_images as usize)?;
    let overrides = Overrides {
        calibration: arguments.calibration,
        weight_scales: arguments.weight_scales,
        correct_biases: arguments.bias_correction,
        equalize: arguments.equalization,
    };
    message!("distance to the float model on training images:");
    message!("calibration       weights   biases     channels   scores   boxes   objects");
    let chosen = search(&float, &pictures, overrides, |trial| {
        message!("{}", line(trial));
    })?;
    message!("chosen:\n{}", line(&chosen.trial));
    let QuantizedModel {
        model: int8,
        source,
        agreement,
        ..
    } = chosen;
    let some = pictures.calibration.len().min(ERROR_IMAGES);
    let errors = tensor_reports(&source, &int8, &pictures.calibration[..some])?;
    report(&errors, arguments.report.as_deref())?;
    let has_image_heads = agreement.is_none();
    card.figures = match agreement {
        Some(agreement) => checked_agreement(&agreement)?,
        None => checked_accuracy(arguments, &float, &int8)?,
    };
    if let Some(threshold) = arguments.threshold {
        card.threshold = threshold;
        // A model without image heads has one threshold, that of its objects.
        if let (false, Some(objects)) = (has_image_heads, &mut card.objects) {
            objects.threshold = threshold;
        }
    }
    // The float model's golden examples, if any, do not hold for the int8 model.
    card.golden.clear();
    Ok(Int8Model { model: int8, card })
}

/// The figures of a model without image heads that agrees with its float model.
fn checked_agreement(agreement: &Agreement) -> Result<BTreeMap<String, f64>> {
    println!("class                agreement  objects of the float model");
    for class in &agreement.per_class {
        println!("{:<20}    {:.4}  {}", class.class, class.ap50, class.boxes);
    }
    println!(
        "{:<20}    {:.4}  {}",
        "all", agreement.agreement, agreement.boxes
    );
    check_agreement(agreement)?;
    let figures = [
        ("agreement", agreement.agreement),
        ("agreement_rows", agreement.boxes as f64),
    ];
    Ok(figures.map(|(name, value)| (name.to_owned(), value)).into())
}

/// The figures of a model whose accuracy on the validation pictures is as good as that of its float model.
fn checked_accuracy(
    arguments: &QuantizeArguments,
    float: &ModelProto,
    int8: &ModelProto,
) -> Result<BTreeMap<String, f64>> {
    let data = arguments
        .data
        .prepared()
        .ok_or(QuantizeError::NeedsLabels)?;
    let validation = data.split("val")?;
    let float_figures = figures(&arguments.model, &float.encode_to_vec(), &validation)?;
    let int8_figures = figures(&arguments.output, &int8.encode_to_vec(), &validation)?;
    let has_objects = float_figures.objects_ap50.is_some();
    let column = if has_objects { "  AP50" } else { "" };
    println!("model  class accuracy  mean IoU  largest box  over 0.5{column}");
    for (
        name,
        Figures {
            metrics,
            objects_ap50,
        },
    ) in [("float", &float_figures), ("int8 ", &int8_figures)]
    {
        let objects = objects_ap50.map_or(String::new(), |ap50| format!("    {ap50:.4}"));
        println!(
            "{name}          {:.4}    {:.4}       {:.4}    {:.4}{objects}",
            metrics.class_accuracy,
            metrics.mean_iou,
            metrics.largest_box_mean_iou,
            metrics.largest_box_iou_over_half
        );
    }
    let drop = AccuracyDrop::between(&float_figures, &int8_figures).check()?;
    println!("quantization costs {drop}");
    Ok(card_figures(&int8_figures))
}

fn line(trial: &Trial) -> String {
    let settings = trial.settings;
    let name = |value: Option<clap::builder::PossibleValue>| {
        value.map_or(String::new(), |value| value.get_name().to_owned())
    };
    format!(
        "{:<16}  {:<8}  {:<9}  {:<9}  {:.4}  {:.4}  {:.4}",
        name(settings.calibration.to_possible_value()),
        name(settings.weight_scales.to_possible_value()),
        if settings.correct_biases {
            "corrected"
        } else {
            "unchanged"
        },
        if settings.equalize {
            "equalised"
        } else {
            "unchanged"
        },
        trial.distance.scores,
        trial.distance.boxes,
        trial.distance.objects
    )
}

/// Prints the worst quantization errors on stderr and writes all to a file.
fn report(errors: &[TensorReport], file: Option<&Path>) -> Result<()> {
    let mut worst: Vec<&TensorReport> = errors.iter().collect();
    worst.sort_by(|a, b| a.int8_db.total_cmp(&b.int8_db));
    worst.truncate(WORST);
    let all = errors.len();
    message!(
        "the {} largest quantization errors of {all} tensors (all with --report FILE):",
        worst.len()
    );
    message!("tensor                    clipped  rounding, dB  int8, dB");
    for error in worst {
        message!(
            "{:<24}  {:>6.3}%  {:>12.1}  {:>8.1}",
            error.value,
            100.0 * error.clipped,
            error.rounding_db,
            error.int8_db
        );
    }
    let Some(file) = file else { return Ok(()) };
    let bytes = match file
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("csv"))
    {
        true => storage::csv(errors)?,
        false => serde_json::to_vec_pretty(errors)?,
    };
    storage::write_whole(file, &bytes).map_err(|source| OutputError::new(file, source))?;
    Ok(())
}

/// Training images for calibration and for the comparison of candidates, see [`split_pictures`].
fn pictures(split: &Dataset, card: &ModelCard, count: usize) -> Result<SearchInputs> {
    let (calibration, comparison) = split_pictures(split.pictures.len(), count)?;
    Ok(SearchInputs {
        calibration: inputs(split, card, &calibration, "calibration"),
        comparison: inputs(split, card, &comparison, "comparison "),
    })
}

/// These images of a split as inputs of the model.
fn inputs(split: &Dataset, card: &ModelCard, indices: &[usize], what: &str) -> Vec<InputTensor> {
    let bar = progress(indices.len(), what);
    let inputs = indices.iter().filter_map(|&index| {
        bar.inc(1);
        let frame = split.pictures[index].frame().map_err(anyhow::Error::from);
        let input = frame.and_then(|frame| Ok(preprocess(&frame, card)?));
        input
            .inspect_err(|fault| message!("left out: {fault}"))
            .ok()
    });
    inputs.collect()
}

/// The figures of a model, run by the device's detector.
fn figures(name: &Path, model: &[u8], split: &Dataset) -> Result<Figures> {
    let detector = TractDetector::from_bytes(&name.display().to_string(), model)?;
    let threads = threads();
    let bar = progress(split.pictures.len(), "evaluation ");
    let predictions = Evaluator::new(&detector, threads, &|| bar.inc(1)).predict(split)?;
    bar.finish_and_clear();
    for fault in &predictions.skipped {
        message!("left out: {fault}");
    }
    let card = detector.card();
    let objects = || ObjectEvaluation::of(&predictions, card.labels.clone());
    Ok(Figures {
        metrics: Evaluation::of(&predictions, card.labels.clone()).metrics(),
        objects_ap50: card.objects.map(|_| objects().ap50()),
    })
}

fn card_figures(figures: &Figures) -> BTreeMap<String, f64> {
    let Figures {
        metrics: figures,
        objects_ap50,
    } = figures;
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
    let objects = objects_ap50.map(|ap50| ("objects_ap50", ap50));
    let named = named.into_iter().chain(objects);
    named
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[derive(Debug, Args)]
pub(crate) struct DequantizeArguments {
    /// The int8 model, as `model quantize` wrote it
    model: PathBuf,
    /// File to write the float model to
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

fn dequantize(arguments: &DequantizeArguments) -> Result<()> {
    let int8 = onnx::read(&arguments.model)?;
    let mut card = onnx::card(&int8).map_err(QuantizeError::from)?;
    let mut float = quantize::dequantize(&int8)?;
    // Figures and golden examples are those of the int8 model.
    card.figures.clear();
    card.golden.clear();
    onnx::set_card(&mut float, &card);
    write_model(&arguments.output, &float)
}

#[derive(Debug, Args)]
pub(crate) struct AverageArguments {
    /// The float models, two or more; the card is the first one's
    #[arg(required = true, num_args = 2.., value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// File to write the average to
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

fn average_models(arguments: &AverageArguments) -> Result<()> {
    let models = arguments.models.iter().map(|path| onnx::read(path));
    let models = models.collect::<Result<Vec<_>, _>>()?;
    write_model(&arguments.output, &average(&models)?)
}

#[derive(Debug, Args)]
pub(crate) struct SummaryArguments {
    /// The model file, float or int8
    model: PathBuf,
}

fn summary(arguments: &SummaryArguments) -> Result<()> {
    let file = arguments.model.display().to_string();
    let model = onnx::read(&arguments.model)?;
    let size = std::fs::metadata(&arguments.model).map_or(0, |data| data.len());
    print!("{}", table(&Summary::of(&file, &model)?));
    println!("file: {file}, {}", bytes(size));
    Ok(())
}

#[derive(Debug, Args)]
pub(crate) struct CardArguments {
    /// The model file
    model: PathBuf,
    /// Write the model with the changes below to this file, which may be the same
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Set the confidence threshold
    #[arg(long, requires = "output", value_parser = fraction)]
    threshold: Option<f32>,
    /// Set the threshold of the objects, of a model that finds several
    #[arg(long, requires = "output", value_parser = fraction)]
    objects_threshold: Option<f32>,
    /// Record new golden examples, which `boxcam doctor` compares with the board's results
    #[arg(long, requires = "output")]
    golden: bool,
    /// Record golden examples of this picture of at most 512 x 512 pixels, instead of scenes; can be repeated. Its licence
    /// applies to the model file: name its author with --credits
    #[arg(
        long,
        value_name = "PICTURE",
        requires = "output",
        conflicts_with = "golden"
    )]
    golden_picture: Vec<PathBuf>,
    /// Set authors and licences of the data and of the pictures in the card
    #[arg(long, value_name = "TEXT", requires = "output")]
    credits: Option<String>,
    /// Set the figures to those of this file, which `boxcam evaluate --json` printed
    #[arg(long, value_name = "FILE", requires = "output")]
    figures: Option<PathBuf>,
}

/// Continues what a card says about the choice of its thresholds.
const CHANGED: &str = ". A threshold was changed afterwards";

fn card(arguments: &CardArguments) -> Result<()> {
    let mut model = onnx::read(&arguments.model)?;
    let mut card = card_of(&arguments.model, &model)?;
    let Some(output) = &arguments.output else {
        println!("{}", serde_json::to_string_pretty(&card)?);
        return Ok(());
    };
    card.threshold = arguments.threshold.unwrap_or(card.threshold);
    let has_new_threshold = arguments
        .threshold
        .or(arguments.objects_threshold)
        .is_some();
    let calibration = &mut card.training.calibration;
    if has_new_threshold && !calibration.is_empty() && !calibration.ends_with(CHANGED) {
        calibration.push_str(CHANGED);
    }
    if let Some(threshold) = arguments.objects_threshold {
        let Some(objects) = &mut card.objects else {
            bail!(
                "{}: has no object outputs, so `--objects-threshold` changes nothing; use `--threshold`",
                arguments.model.display()
            );
        };
        objects.threshold = threshold;
    }
    if let Some(credits) = &arguments.credits {
        card.training.credits.clone_from(credits);
    }
    if let Some(file) = &arguments.figures {
        card.figures = evaluated_figures(file)?;
    }
    onnx::set_card(&mut model, &card);
    let name = arguments.model.display().to_string();
    if arguments.golden {
        add_golden(&mut model, &name)?;
    } else if !arguments.golden_picture.is_empty() {
        let pictures = arguments
            .golden_picture
            .iter()
            .map(|file| picture::open(file));
        let pictures = pictures.collect::<Result<Vec<_>, _>>()?;
        add_golden_pictures(&mut model, &name, pictures)?;
    }
    write_model(output, &model)
}

/// Figures of a card and where `boxcam evaluate --json` has them.
const EVALUATED_FIGURES: [(&str, &str); 6] = [
    ("rows", "/rows"),
    ("pictures", "/pictures"),
    ("objects_ap50", "/objects/ap50"),
    ("objects_ap", "/objects/ap"),
    ("agreement", "/reference/agreement"),
    ("agreement_rows", "/reference/rows"),
];

/// The agreement on a class is a figure of its own from this number of boxes on.
const MIN_CLASS_ROWS: u64 = 100;

/// The figures of the objects in a file of `boxcam evaluate --json`, and the agreement on frequent classes.
fn evaluated_figures(file: &Path) -> Result<BTreeMap<String, f64>> {
    let read = || -> Result<Value> { Ok(serde_json::from_slice(&std::fs::read(file)?)?) };
    let report = read().with_context(|| {
        format!(
            "{}: can't be read as JSON; write it with `boxcam evaluate --json`",
            file.display()
        )
    })?;
    let found = EVALUATED_FIGURES.iter().filter_map(|(name, pointer)| {
        let value = report.pointer(pointer)?.as_f64()?;
        Some(((*name).to_owned(), value))
    });
    let mut figures: BTreeMap<String, f64> = found.collect();
    let classes = report.pointer("/reference/per_class");
    let classes = classes.and_then(Value::as_array).into_iter().flatten();
    let frequent = classes.filter(|class| class["rows"].as_u64() >= Some(MIN_CLASS_ROWS));
    figures.extend(frequent.filter_map(|class| {
        let name = class["class"].as_str()?;
        Some((format!("agreement_{name}"), class["ap50"].as_f64()?))
    }));
    if figures.is_empty() {
        bail!(
            "{}: has none of the figures of `boxcam evaluate --json`; write it again",
            file.display()
        );
    }
    Ok(figures)
}

#[derive(Debug, Args)]
pub(crate) struct ExportBackboneArguments {
    /// The model; the float model of `train run` is the most accurate
    model: PathBuf,
    /// File to write the backbone to, for `train run --weights`
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

fn export_backbone(arguments: &ExportBackboneArguments) -> Result<()> {
    let backbone = weights::read(&arguments.model)?;
    let card = card_of(&arguments.model, &onnx::read(&arguments.model)?)?;
    write_model(
        &arguments.output,
        &weights::half_precision(&backbone, &card)?,
    )
}
