//! `boxcam-train new`: from somebody's pictures to a model that boxcam runs, in one go.
//!
//! The same steps as one by one: `prepare`, `train`, `quantise`, with settings that suit most data, and before
//! them an estimate of how long it will take here. What was begun and broken off is gone on with.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use boxcam::label::Labels;
use boxcam_train::examples::empty_parts;
use boxcam_train::fit::Fit;
use boxcam_train::model::Model;
use boxcam_train::quantize::WeightScales;
use boxcam_train::quantize::calibrate::Calibration;
use boxcam_train::recipe::{BoxLoss, Recipe};
use burn::prelude::*;
use burn::tensor::Distribution;
use clap::Args;

use super::train::{Computer, unnamed_card, weights};
use super::{AnyData, Data, prepare, quantise, train};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: AnyData,
    /// Folder for all that is made; the model is boxcam.onnx in it
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
    /// Name of the model for its card
    #[arg(long, default_value = "my model")]
    name: String,
    /// Whom to thank for the pictures, and their licence, for the card
    #[arg(long, default_value = "")]
    credits: String,
    /// Share of each class that is kept to check the model with, where the data set has no split for it
    #[arg(long, default_value_t = 0.2, value_parser = prepare::validation)]
    validation: f64,
    /// quick (minutes: only the end of the network learns) or snacks (hours: all of it, a little better)
    #[arg(long, default_value = "quick", value_parser = train::recipes(finds_boxes))]
    recipe: String,
    /// Side of the picture that the network takes, in pixels, a multiple of 32; smaller is faster on the
    /// board and finds small things less well
    #[arg(long, value_parser = train::side)]
    side: Option<u32>,
    /// Epochs, in place of the recipe's own number
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    epochs: Option<u16>,
    /// Seed of every random choice
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Computer::Cpu)]
    device: Computer,
}

/// Pictures that ranges of activations are measured on.
const CALIBRATION: u32 = 100;

/// Views that the estimate sends through the frozen part.
const TRIED: usize = 4;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let data = arguments.output.join("data");
    if data.exists() {
        eprintln!("{} is there and is gone on with", data.display());
    } else {
        prepare::run(&prepare::Arguments {
            data: arguments.data.clone(),
            output: data.clone(),
            validation: arguments.validation,
            seed: arguments.seed,
            resplit: false,
            link: true,
        })?;
    }
    let training = training(arguments, data);
    let expected = estimate(&training)?;
    eprintln!("training takes about {} here", words(expected));
    train::run(&training)?;
    let model = arguments.output.join("boxcam.onnx");
    quantise::run(&quantise::Arguments {
        data: training.data.clone(),
        model: training.run.join("float.onnx"),
        output: model.clone(),
        pictures: CALIBRATION,
        calibration: Some(Calibration::LeastError),
        weight_scales: Some(WeightScales::Max),
        bias_correction: Some(true),
        report: Some(training.run.join("quantisation.csv")),
        threshold: None,
    })?;
    let (model, run) = (model.display(), training.run.display());
    eprintln!("see how it learnt: boxcam-train plot {run} --output {run}/curves");
    eprintln!("try it: boxcam run --source camera --model {model}");
    Ok(())
}

fn training(arguments: &Arguments, data: PathBuf) -> train::Arguments {
    train::Arguments {
        data: Data { data },
        weights: None,
        teacher: None,
        run: arguments.output.join("run"),
        resume: true,
        recipe: arguments.recipe.clone(),
        side: arguments.side,
        epochs: arguments.epochs,
        views: None,
        scenes: Some(0),
        backgrounds: None,
        set: vec![],
        seed: arguments.seed,
        device: arguments.device,
        threshold: train::THRESHOLD,
        name: arguments.name.clone(),
        about: folder_name(&arguments.data.data),
        credits: arguments.credits.clone(),
    }
}

/// What makes a model from nothing but pictures; the chapter's recipes go on from one another.
fn finds_boxes(recipe: &Recipe) -> bool {
    matches!(recipe.box_loss, BoxLoss::Overlap { .. })
}

fn folder_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// How long the training will take, from a few steps on noise. Reading pictures goes on beside it and is
/// not counted.
fn estimate(arguments: &train::Arguments) -> Result<Duration> {
    let recipe = train::recipe(arguments)?;
    let split = arguments.data.split("train")?;
    let pictures = split.pictures.len();
    let pictures = pictures + recipe.backgrounds + empty_parts(pictures, &recipe);
    let weights = weights(None)?;
    let side = recipe.side.unwrap_or(weights.side as u32);
    // Any two classes: heads take next to no time.
    let labels = Labels::new(vec!["a".to_owned(), "b".to_owned()])?;
    let (card, classes) = (unnamed_card(labels, side), 2);
    let device = arguments.device.device();
    let model = Model::new(&weights, &card.labels, &recipe, &device.clone().autodiff());
    let side = side as usize;
    let mut shape = [recipe.batch, side, side, 3];
    let mut seconds = 0.0;
    if let Some(extractor) = model.frozen_backbone(&device) {
        let noise = Distribution::Uniform(-1.0, 1.0);
        let input = Tensor::random([TRIED, side, side, 3], noise, &device);
        let start = Instant::now();
        let features = extractor.forward(input);
        let [_, height, width, channels] = features.dims();
        shape = [recipe.batch, height, width, channels];
        // To read a number back is to wait for it.
        let _ = features.sum().into_scalar::<f32>();
        let each = start.elapsed().as_secs_f64() / TRIED as f64;
        let passes = match recipe.keeps_features() {
            true => recipe.views,
            false => recipe.schedule.epochs(),
        };
        seconds += each * (passes * pictures) as f64;
    }
    let steps = steps(&recipe, pictures);
    let mut fit = Fit::new(model, &recipe, &card, 1, device.autodiff());
    // The first warms up.
    let took = fit.rehearse(shape, classes, 2);
    seconds += took.last().map_or(0.0, Duration::as_secs_f64) * steps as f64;
    Ok(Duration::from_secs_f64(seconds))
}

fn steps(recipe: &Recipe, pictures: usize) -> usize {
    recipe.schedule.epochs() * pictures / recipe.batch
}

fn words(duration: Duration) -> String {
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
    fn a_duration_is_told_in_the_unit_that_suits_it() {
        let told = [
            (0, "0 seconds"),
            (90, "90 seconds"),
            (91, "2 minutes"),
            (9000, "2.5 hours"),
        ];
        for (seconds, expected) in told {
            assert_eq!(words(Duration::from_secs(seconds)), expected);
        }
    }
}
