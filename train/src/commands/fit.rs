//! `boxcam-train fit`: from a data set to the model file that boxcam runs, in one command.
//!
//! The steps of `data convert`, `train run`, `model quantize` and `train plot` with settings that suit most data, after an
//! estimate of the time; then the confidence is calibrated and the thresholds are chosen. An interrupted `fit` is resumed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use boxcam::label::Labels;
use boxcam_train::confidence::CONFIDENCE_FILE;
use boxcam_train::dataset::prepared;
use boxcam_train::dataset::splits::MIN_DEVELOPMENT;
use boxcam_train::fit_progress::{FitSettings, FitStep, OutputLock, ProgressFile, run_folder};
use boxcam_train::message;
use boxcam_train::model::Model;
use boxcam_train::quantize::WeightScales;
use boxcam_train::quantize::calibrate::Calibration;
use boxcam_train::recipe::{BoxLoss, Override, Recipe, RecipeError};
use boxcam_train::review::REVIEW_FILE;
use boxcam_train::samples::max_negative_crops;
use boxcam_train::trainer::Trainer;
use burn::prelude::*;
use burn::tensor::Distribution;
use clap::Args;
use thiserror::Error;

use super::confidence::{CalibrationPictures, GivenThresholds, calibrate, list_negatives};
use super::data::{self, ConversionForFit, ConvertArguments, validation_share};
use super::model_file::{self, CalibrationData, QuantizeArguments};
use super::review::review;
use super::train::{
    self, ComputeDevice, MIN_SAMPLES, PlotArguments, RunArguments, input_size, recipe_help,
    recipe_name, starting_weights, unnamed_card,
};
use super::{AnyData, DroppedOptions, PreparedData, fraction, write};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: AnyData,
    /// Folder for all results; the model is boxcam.onnx in it
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
    /// Name of the model, for its card
    #[arg(long, default_value = "my model")]
    name: String,
    /// Credits and licence of the images, for the card
    #[arg(long, default_value = "")]
    credits: String,
    /// Share of each class that is kept for validation, if the data set has no validation split
    #[arg(long, default_value_t = VALIDATION, value_parser = validation_share)]
    validation: f64,
    /// Share of each class of the training images that is not trained on, but kept to calibrate the confidence and to choose
    /// the thresholds, at least 20 images if a quarter of all is as many; 0 keeps none, and the default thresholds
    #[arg(long, value_name = "SHARE", default_value_t = DEVELOPMENT, value_parser = development_share)]
    development: f64,
    /// Folder of photographs that show none of the objects, 20 or more, better of the place where the camera will be: the
    /// thresholds are chosen so that at most 5% of them have a false alarm. By default, parts of the development images
    /// without a box
    #[arg(long, value_name = "FOLDER")]
    negatives: Option<PathBuf>,
    /// Confidence threshold for the model's card, instead of choosing one
    #[arg(long, value_parser = fraction)]
    threshold: Option<f32>,
    /// Threshold of the objects, for recipes that find several, instead of choosing one
    #[arg(long, value_parser = fraction)]
    objects_threshold: Option<f32>,
    #[arg(long, default_value = "quick", value_parser = recipe_name, help = recipe_help())]
    recipe: String,
    /// Width and height of the network's input in pixels, a multiple of 32; smaller is faster on the board and worse
    /// on small objects
    #[arg(long, value_name = "PIXELS", value_parser = input_size)]
    input_size: Option<u32>,
    /// Number of epochs, instead of the recipe's
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    epochs: Option<u16>,
    /// Change one key of the recipe, e.g. negative_crops=0; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Override>,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Device to train on
    #[arg(long, value_enum, default_value_t = ComputeDevice::Cpu)]
    device: ComputeDevice,
    #[command(flatten)]
    dropped: DroppedOptions,
}

/// Defaults of options.
const VALIDATION: f64 = 0.2;
const DEVELOPMENT: f64 = 0.1;

/// The data set is too small.
#[derive(Debug, Error)]
#[error(
    "{found} training images are too few: at least {MIN_SAMPLES} images with a box are needed, besides those that are kept for \
     validation, better a hundred; label more"
)]
pub(crate) struct TooFewImages {
    found: usize,
}

/// Parses a number from 0 to below 1.
fn development_share(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to below 1"),
    }
}

/// Training images that the ranges of activations are calibrated on.
const CALIBRATION_IMAGES: u32 = 100;

/// Images that the estimate sends through the frozen part of the network.
const ESTIMATE_IMAGES: usize = 4;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let data = arguments.output.join("data");
    let training = training(arguments, data.clone());
    let recipe = training.recipe()?;
    if !matches!(recipe.box_loss, BoxLoss::Giou { .. }) {
        let message =
            "it needs a model trained before it; use `train run`, or choose quick, full or small";
        return Err(RecipeError::Invalid {
            recipe: recipe.name,
            message: message.to_owned(),
        }
        .into());
    }
    if recipe.objects.is_none() && arguments.objects_threshold.is_some() {
        let message = "finds one object, so --objects-threshold has no effect; use --threshold";
        return Err(RecipeError::Invalid {
            recipe: recipe.name,
            message: message.to_owned(),
        }
        .into());
    }
    // A wrong folder must not be noticed after the training.
    let negatives = arguments.negatives.as_deref().map(list_negatives);
    let negatives = negatives.transpose()?.unwrap_or_default();
    let create_report = || {
        let settings = settings(arguments);
        ProgressFile::create(
            &arguments.output,
            &arguments.data.data,
            settings,
            recipe.epochs,
        )
    };
    let mut lock = None;
    if arguments.output.is_dir() {
        lock = Some(OutputLock::take(&arguments.output)?);
        remove_unfinished(&data);
    }
    let mut report = None;
    if data.exists() {
        message!("{} exists and is used as it is", data.display());
    } else {
        let convert = ConvertArguments {
            data: arguments.data.clone(),
            output: data,
            validation: arguments.validation,
            development: false,
            seed: arguments.seed,
            resplit: false,
            link: true,
            dropped: arguments.dropped,
        };
        let mut before_writing = |found| {
            if found < MIN_SAMPLES {
                return Err(TooFewImages { found }.into());
            }
            if lock.is_none() {
                lock = Some(OutputLock::take(&arguments.output)?);
            }
            report = Some(create_report());
            Ok(())
        };
        let for_fit = ConversionForFit {
            development: arguments.development,
            before_writing: &mut before_writing,
        };
        data::convert(&convert, Some(for_fit))?;
    }
    let report = report.unwrap_or_else(create_report);
    let pictures = CalibrationPictures {
        train: training.data.split("train")?.pictures.len(),
        development: training.data.development()?,
        negatives,
    };
    if pictures.development.is_none() && arguments.development > 0.0 {
        message!(
            "the {} training images are too few to keep {MIN_DEVELOPMENT} of them apart: the confidence will not be \
             calibrated, and the thresholds are the defaults",
            pictures.train
        );
    }
    let expected = estimate(&training, &recipe)?;
    message!("training takes about {} here", in_words(expected));
    report.estimated(expected);
    train::train(&training, Some(&report))?;
    report.begin_after_epochs(FitStep::Quantization);
    let model = arguments.output.join("boxcam.onnx");
    let mut int8 = model_file::quantized(&QuantizeArguments {
        data: CalibrationData {
            data: Some(training.data.data.clone()),
            pictures: Vec::new(),
        },
        model: training.run.join("float.onnx"),
        output: model.clone(),
        calibration_images: CALIBRATION_IMAGES,
        calibration: Some(Calibration::LeastError),
        weight_scales: Some(WeightScales::Max),
        bias_correction: Some(true),
        equalization: Some(false),
        report: Some(training.run.join("quantization.csv")),
        threshold: None,
    })?;
    let given = GivenThresholds {
        image: arguments.threshold,
        objects: arguments.objects_threshold,
    };
    report.begin_after_epochs(FitStep::Calibration);
    let confidence = calibrate(&mut int8, &pictures, given)?;
    for sentence in confidence.sentences() {
        println!("{sentence}");
    }
    write(
        &training.run.join(CONFIDENCE_FILE),
        &serde_json::to_vec_pretty(&confidence)?,
    )?;
    report.begin_after_epochs(FitStep::Review);
    let review = review(&int8, &training.data)?;
    for (heading, sentences) in review.parts() {
        println!("\n{heading}:");
        for sentence in sentences {
            println!("- {sentence}");
        }
    }
    let file = training.run.join(REVIEW_FILE);
    write(&file, &serde_json::to_vec_pretty(&review)?)?;
    int8.write(&model)?;
    let plot = PlotArguments {
        output: training.run.join("curves"),
        runs: vec![training.run],
    };
    train::plot(&plot)?;
    report.begin_after_epochs(FitStep::Finished);
    message!(
        "see how it went: {}",
        plot.output.join("report.html").display()
    );
    message!(
        "try it: boxcam run --source camera --model {}",
        model.display()
    );
    Ok(())
}

fn training(arguments: &Arguments, data: PathBuf) -> RunArguments {
    // Scenes of snacks are no images of the user's objects.
    let mut set = vec![Override::new("synthetic_images", 0)];
    // The snacks have objects without a box; who labels images of their own labels all.
    let has_objects = Recipe::named(&arguments.recipe).is_ok_and(|r| r.objects.is_some());
    set.extend(has_objects.then(|| Override::new("objects.exhaustive", true)));
    set.extend(arguments.set.iter().cloned());
    RunArguments {
        data: PreparedData { data },
        weights: None,
        teacher: None,
        backgrounds: None,
        cutouts: None,
        run: run_folder(&arguments.output),
        resume: true,
        recipe: arguments.recipe.clone(),
        input_size: arguments.input_size,
        epochs: arguments.epochs,
        set,
        seed: arguments.seed,
        device: arguments.device,
        threshold: arguments.threshold.unwrap_or(train::THRESHOLD),
        name: arguments.name.clone(),
        about: folder_name(&arguments.data.data),
        credits: arguments.credits.clone(),
        dropped: arguments.dropped,
    }
}

/// What another program needs to resume this training.
fn settings(arguments: &Arguments) -> FitSettings {
    let others = [
        ("--credits", !arguments.credits.is_empty()),
        ("--validation", arguments.validation != VALIDATION),
        ("--development", arguments.development != DEVELOPMENT),
        ("--negatives", arguments.negatives.is_some()),
        ("--threshold", arguments.threshold.is_some()),
        ("--objects-threshold", arguments.objects_threshold.is_some()),
        ("--device", !matches!(arguments.device, ComputeDevice::Cpu)),
    ];
    let given = others.into_iter().filter(|(_, is_given)| *is_given);
    FitSettings {
        name: arguments.name.clone(),
        recipe: arguments.recipe.clone(),
        input_size: arguments.input_size,
        epochs: arguments.epochs,
        set: arguments.set.iter().map(ToString::to_string).collect(),
        seed: arguments.seed,
        other_options: given.map(|(name, _)| name.to_owned()).collect(),
    }
}

/// Removes what an interrupted conversion has left. The lock makes sure that none is running.
fn remove_unfinished(data: &Path) {
    // What can't be removed is reported by the conversion.
    let _ = std::fs::remove_dir_all(prepared::temporary_folder(data));
}

fn folder_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The time of a training, from a few steps on noise. Images are read in the background and not counted.
fn estimate(arguments: &RunArguments, recipe: &Recipe) -> Result<Duration> {
    let images = arguments.data.split("train")?.pictures.len();
    let images = images + recipe.synthetic_negatives + max_negative_crops(images, recipe);
    let weights = starting_weights(None)?;
    let size = recipe.input_size.unwrap_or(weights.side as u32);
    // Any two classes: heads take a negligible part of the time.
    let labels = Labels::new(vec!["a".to_owned(), "b".to_owned()])?;
    let (card, classes) = (unnamed_card(labels, size), 2);
    let device = arguments.device.device();
    let model = Model::new(&weights, &card.labels, recipe, &device.clone().autodiff());
    let size = size as usize;
    let mut shape = [recipe.batch_size, size, size, 3];
    let mut seconds = 0.0;
    if let Some(extractor) = model.frozen_backbone(&device) {
        let noise = Distribution::Uniform(-1.0, 1.0);
        let input = Tensor::random([ESTIMATE_IMAGES, size, size, 3], noise, &device);
        let start = Instant::now();
        let features = extractor.forward(input);
        let [_, height, width, channels] = features.dims();
        shape = [recipe.batch_size, height, width, channels];
        // Reading a value waits for the computation.
        let _ = features.sum().into_scalar::<f32>();
        let each = start.elapsed().as_secs_f64() / ESTIMATE_IMAGES as f64;
        let passes = match recipe.caches_features() {
            true => recipe.cached_augmentations,
            false => recipe.epochs,
        };
        seconds += each * (passes * images) as f64;
    }
    let steps = recipe.epochs * images / recipe.batch_size;
    let mut trainer = Trainer::new(model, recipe, &card, 1, device.autodiff());
    // The first step is warm-up.
    let took = trainer.benchmark_steps(shape, classes, 2);
    seconds += took.last().map_or(0.0, Duration::as_secs_f64) * steps as f64;
    Ok(Duration::from_secs_f64(seconds))
}

fn in_words(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..=90 => format!("{seconds} seconds"),
        seconds @ 91..=5400 => format!("{} minutes", seconds.div_ceil(60)),
        seconds => format!("{:.1} hours", seconds as f64 / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_shown_in_a_suitable_unit() {
        let cases = [
            (0, "0 seconds"),
            (90, "90 seconds"),
            (91, "2 minutes"),
            (9000, "2.5 hours"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(in_words(Duration::from_secs(seconds)), expected);
        }
    }
}
