//! `boxcam-train eval`: a model's predictions, drawn beside the ground truth, and calibration of its confidence.
//!
//! Predictions are those of the device's detector, without a threshold. The ground truth is an image's largest box, as in the
//! figures of `boxcam evaluate`; its other boxes are drawn in grey.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use boxcam::dataset::{AnnotatedPicture, Annotation, Dataset};
use boxcam::detect::tract::TractDetector;
use boxcam::detect::{Detector, Prediction};
use boxcam::evaluate::{Calibration, Evaluation};
use boxcam::frame::{Frame, Origin};
use boxcam::geometry::iou;
use boxcam::label::{ClassId, Labels};
use boxcam::overlay::{Canvas, draw_box};
use boxcam::picture;
use boxcam::preprocess::preprocess;
use boxcam_train::draw;
use boxcam_train::draw::bar_chart::bar_chart;
use boxcam_train::draw::sheet::{Grid, SHEET_THEME, Tile, draw_sheet, fit_within};
use boxcam_train::draw::svg;
use boxcam_train::draw::theme::{Color, Theme};
use boxcam_train::temperature::{ScoredImage, cross_entropy, fit_factor, scale_logits};
use boxcam_train::{message, onnx};
use clap::{Args, Subcommand, ValueEnum};
use embedded_graphics::pixelcolor::Rgb888;
use fastrand::Rng;
use prost::Message;

use super::{PreparedData, predictions, split, write};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Draw predictions beside the ground truth; or with --raw, print everything that a model outputs for one image
    Predict(PredictArguments),
    /// Calibrate a float model's confidence on the validation split (temperature scaling)
    Calibrate(CalibrateArguments),
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Predict(arguments) => match &arguments.raw {
            Some(image) => predict_raw(&arguments.model, image, arguments.output.as_deref()),
            None => predict(arguments),
        },
        Command::Calibrate(arguments) => calibrate(arguments),
    }
}

/// Tiles per row, and the largest size of a tile in pixels.
const GRID: Grid = Grid {
    columns: 6,
    tile: (260, 220),
};

/// Least IoU of a correct box, as in `boxcam evaluate`.
const CORRECT_IOU: f32 = 0.5;

/// The true box; another box of the image.
const TRUTH: Color = [255, 255, 255];
const OTHER: Color = [150, 150, 150];

/// Class and box correct; only the class; the class wrong. From Paul Tol's light scheme, as the overlay's colours.
const CORRECT: Color = [0x44, 0xBB, 0x99];
const LOOSE: Color = [0xEE, 0xDD, 0x88];
const WRONG: Color = [0xEE, 0x88, 0x66];

#[derive(Debug, Args)]
pub(crate) struct PredictArguments {
    /// The model file, float or int8
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Folder of a prepared data set
    #[arg(long, value_name = "FOLDER", required_unless_present = "raw")]
    data: Option<PathBuf>,
    /// Print the scores and the unclamped box of this image instead
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["data", "split", "count", "sort", "seed"])]
    raw: Option<PathBuf>,
    /// Which split
    #[arg(long, default_value = "val", value_parser = ["train", "development", "val"])]
    split: String,
    /// Folder to write predictions.csv and a sheet per order to; with --raw: PNG file to draw the scores into
    #[arg(long, value_name = "PATH", required_unless_present = "raw")]
    output: Option<PathBuf>,
    /// Images per sheet
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=240))]
    count: u16,
    /// Orders of images; several separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Order::Worst, Order::Best])]
    sort: Vec<Order>,
    /// Seed of the random order
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Which images are first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    /// Lowest IoU first
    Worst,
    /// Highest IoU first
    Best,
    /// Random images with a true box
    Random,
}

/// An image with its ground truth and prediction.
struct Evaluated<'a> {
    picture: &'a AnnotatedPicture,
    truth: Option<&'a Annotation>,
    prediction: Prediction,
    /// Of the predicted and the true box.
    iou: Option<f32>,
}

fn predict(arguments: &PredictArguments) -> Result<()> {
    let (Some(data), Some(output)) = (&arguments.data, &arguments.output) else {
        unreachable!("clap requires --data and --output without --raw");
    };
    let detector = TractDetector::from_file(&arguments.model)?;
    let split = split(data, &arguments.split)?;
    let evaluated: Vec<Evaluated> = predictions(&detector, &split, "predicting")?
        .into_iter()
        .map(|(picture, prediction)| evaluate(picture, prediction))
        .collect();
    let labels = &detector.card().labels;
    write(&output.join("predictions.csv"), &csv(&evaluated, labels)?)?;
    for &order in &arguments.sort {
        let chosen = choose(
            &evaluated,
            order,
            usize::from(arguments.count),
            arguments.seed,
        );
        let title = match order {
            Order::Worst => "Lowest IoU first",
            Order::Best => "Highest IoU first",
            Order::Random => "Random images",
        };
        let about = format!(
            "{}, {}: true box white; prediction green: correct, yellow: only the class, orange: wrong class",
            detector.card().name,
            arguments.split
        );
        let tiles: Result<Vec<Tile>> = chosen.iter().map(|each| tile(each, labels)).collect();
        let page = draw_sheet(title, &about, &tiles?, GRID)?;
        let name = order
            .to_possible_value()
            .map_or(String::new(), |value| value.get_name().to_owned());
        write(&output.join(format!("{name}.png")), &draw::png(&page)?)?;
    }
    print_figures(&evaluated, labels);
    Ok(())
}

fn evaluate(picture: &AnnotatedPicture, prediction: Prediction) -> Evaluated<'_> {
    let truth = picture.largest_box();
    let iou = truth.map(|truth| iou(&truth.bounding_box, prediction.bounding_box()));
    Evaluated {
        picture,
        truth,
        prediction,
        iou,
    }
}

/// The first images in that order, of those with a true box; equal ones in the order of their paths.
fn choose<'e, 'a>(
    evaluated: &'e [Evaluated<'a>],
    order: Order,
    count: usize,
    seed: u64,
) -> Vec<&'e Evaluated<'a>> {
    let mut ranked: Vec<_> = evaluated.iter().filter_map(|j| Some((j.iou?, j))).collect();
    match order {
        Order::Worst => ranked.sort_by(|a, b| a.0.total_cmp(&b.0)),
        Order::Best => ranked.sort_by(|a, b| b.0.total_cmp(&a.0)),
        Order::Random => Rng::with_seed(seed).shuffle(&mut ranked),
    }
    ranked
        .into_iter()
        .take(count)
        .map(|(_, each)| each)
        .collect()
}

/// The true class: that of the largest box, else the folder.
fn true_class<'a>(each: &Evaluated<'a>) -> &'a str {
    each.truth
        .map_or(each.picture.folder.as_str(), |truth| &truth.class_name)
}

fn tile(each: &Evaluated<'_>, labels: &Labels) -> Result<Tile> {
    let frame = each.picture.frame()?;
    // Lines are drawn after scaling, so that they keep their width.
    let mut shown = fit_within(&frame.image, GRID.tile);
    let (class, score) = each.prediction.top();
    let predicted = labels.name(class).unwrap_or("?");
    let truth = true_class(each);
    let iou = each.iou.unwrap_or(0.0);
    let colour = match (predicted == truth, iou >= CORRECT_IOU) {
        (true, true) => CORRECT,
        (true, false) => LOOSE,
        (false, _) => WRONG,
    };
    let others = each
        .picture
        .annotations
        .iter()
        .filter(|&row| Some(row) != each.truth);
    let boxes = others.map(|row| (&row.bounding_box, OTHER));
    let boxes = boxes.chain(each.truth.map(|truth| (&truth.bounding_box, TRUTH)));
    let boxes = boxes.chain([(each.prediction.bounding_box(), colour)]);
    for (bounding_box, [red, green, blue]) in boxes {
        let ink = Rgb888::new(red, green, blue);
        // Drawing into an image in memory cannot fail.
        let Ok(()) = draw_box(&mut Canvas::new(&mut shown), bounding_box, ink, "");
    }
    let name = each.picture.path.file_stem().unwrap_or_default();
    Ok(Tile {
        picture: shown,
        captions: vec![
            (format!("true: {truth}, IoU {iou:.2}"), TRUTH),
            (
                format!("predicted: {predicted} {:.0}%", score * 100.0),
                colour,
            ),
            (
                format!("{}/{}", each.picture.folder, name.to_string_lossy()),
                SHEET_THEME.muted,
            ),
        ],
    })
}

const COLUMNS: [&str; 10] = [
    "picture",
    "folder",
    "true_class",
    "predicted_class",
    "score",
    "iou",
    "x_min",
    "x_max",
    "y_min",
    "y_max",
];

/// A row per image, in the order of their paths; without a true box the IoU is empty.
fn csv(evaluated: &[Evaluated<'_>], labels: &Labels) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for each in evaluated {
        let (class, score) = each.prediction.top();
        let mut record = vec![
            each.picture.path.display().to_string(),
            each.picture.folder.clone(),
            true_class(each).to_owned(),
            labels.name(class).unwrap_or("?").to_owned(),
            format!("{score:.4}"),
            each.iou.map_or(String::new(), |iou| format!("{iou:.4}")),
        ];
        let corners = each.prediction.bounding_box().corners();
        record.extend(corners.map(|corner| format!("{corner:.4}")));
        writer.write_record(&record)?;
    }
    writer
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)
        .context("the table cannot be written")
}

fn print_figures(evaluated: &[Evaluated<'_>], labels: &Labels) {
    let overlaps: Vec<f32> = evaluated.iter().filter_map(|each| each.iou).collect();
    let correct = evaluated.iter().filter(|each| {
        let (class, _) = each.prediction.top();
        labels.name(class) == Some(true_class(each))
    });
    let share = |count: usize, of: usize| count as f32 / of.max(1) as f32;
    let over = overlaps.iter().filter(|&&iou| iou >= CORRECT_IOU).count();
    println!(
        "{} images, {} with a box: class accuracy {:.4}, mean IoU {:.4}, IoU of at least {CORRECT_IOU} on {:.4}",
        evaluated.len(),
        overlaps.len(),
        share(correct.count(), evaluated.len()),
        overlaps.iter().sum::<f32>() / overlaps.len().max(1) as f32,
        share(over, overlaps.len())
    );
}

/// Classes that are printed.
const TOP: usize = 5;

/// The highest scores and the box of one image, unclamped: shows before a training whether weights were loaded correctly.
fn predict_raw(model: &Path, image_file: &Path, output: Option<&Path>) -> Result<()> {
    let mut detector = TractDetector::from_file(model)?;
    let image = picture::open(image_file)?;
    let frame = Frame::new(0, Origin::Picture(image_file.to_owned()), image);
    let name = image_file.display().to_string();
    let input = preprocess(&frame, detector.card()).with_context(|| format!("picture {name}"))?;
    let prediction = detector.predict(&input)?;
    let labels = detector.card().labels.clone();
    let named: Vec<(&str, f32)> = labels
        .iter()
        .zip(prediction.scores().iter().copied())
        .collect();
    print_top(&named);
    println!("{}", box_text(&prediction));
    let sum: f32 = prediction.scores().iter().sum();
    println!("sum of all scores: {sum:.4}");
    let Some(output) = output else {
        return Ok(());
    };
    let (top, score) = prediction.top();
    let about = format!(
        "{}: {} with {score:.3}",
        detector.card().name,
        label(&named, top)
    );
    let file_name = image_file.file_name().unwrap_or_default();
    let chart = bar_chart(&file_name.to_string_lossy(), &about, &named, Theme::LIGHT);
    write(output, &svg::to_png(&chart, 1.5)?)?;
    Ok(())
}

fn label<'a>(named: &[(&'a str, f32)], class: ClassId) -> &'a str {
    named.get(class.index()).map_or("?", |(name, _)| name)
}

fn print_top(named: &[(&str, f32)]) {
    let mut ranked = named.to_vec();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked.truncate(TOP);
    let width = ranked.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0);
    for (name, score) in ranked {
        println!("{name:<width$}  {score:.4}");
    }
}

/// The raw corners; the valid box too where it differs.
fn box_text(prediction: &Prediction) -> String {
    let text = |corners: [f32; 4]| corners.map(|corner| format!("{corner:.4}")).join(", ");
    let (raw, valid) = (prediction.corners(), prediction.bounding_box().corners());
    let raw_text = format!("box (x_min, x_max, y_min, y_max): {}", text(raw));
    if raw == valid {
        raw_text
    } else {
        format!("{raw_text}; clamped to {}", text(valid))
    }
}

#[derive(Debug, Args)]
pub(crate) struct CalibrateArguments {
    #[command(flatten)]
    data: PreparedData,
    /// The float model, as `train run` or `model average` wrote it
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// File to write the calibrated model to
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

fn calibrate(arguments: &CalibrateArguments) -> Result<()> {
    let mut model = onnx::read(&arguments.model)?;
    let name = arguments.model.display().to_string();
    if onnx::card(&model).is_ok_and(|card| !card.golden.is_empty()) {
        bail!(
            "model {name}: its golden examples have the confidence of now; calibrate the float model, then quantize it"
        );
    }
    let validation = arguments.data.split("val")?;
    let before = confidence(&name, &model, &validation)?;
    let context = || format!("model {name}");
    let factor = fit_factor(&before.images).with_context(context)?;
    scale_logits(&mut model, factor).with_context(context)?;
    let after = confidence(&name, &model, &validation)?;
    println!(
        "temperature {:.3} (logits multiplied by {factor:.3}); on the validation split",
        1.0 / factor
    );
    println!("                             before    after");
    println!(
        "cross-entropy                {:.4}   {:.4}",
        cross_entropy(&before.images, 1.0),
        cross_entropy(&after.images, 1.0)
    );
    println!(
        "expected calibration error   {:.4}   {:.4}",
        before.calibration.expected_error, after.calibration.expected_error
    );
    onnx::write(&arguments.output, &model)?;
    message!("written: {}", arguments.output.display());
    Ok(())
}

/// A model's scores of all images of a split.
pub(super) struct Confidence {
    pub(super) images: Vec<ScoredImage>,
    pub(super) calibration: Calibration,
}

impl Confidence {
    pub(super) fn of(labels: &Labels, predicted: &[(&AnnotatedPicture, Prediction)]) -> Self {
        let mut evaluation = Evaluation::new(labels.clone());
        let mut images = Vec::new();
        for (picture, prediction) in predicted {
            evaluation.add(&picture.folder, &picture.annotations, prediction);
            images.extend(labels.find(&picture.folder).map(|class| ScoredImage {
                scores: prediction.scores().to_vec(),
                class: class.index(),
            }));
        }
        Self {
            images,
            calibration: Calibration::of(&evaluation),
        }
    }
}

fn confidence(
    name: &str,
    model: &tract_onnx::pb::ModelProto,
    split: &Dataset,
) -> Result<Confidence> {
    let detector = TractDetector::from_bytes(name, &model.encode_to_vec())?;
    let predicted = predictions(&detector, split, "images")?;
    Ok(Confidence::of(&detector.card().labels, &predicted))
}
