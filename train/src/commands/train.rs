//! `boxcam-train train`: pictures, boxes and ImageNet weights to a float model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use boxcam::card::{BoxOrder, CARD_SCHEMA, InputSpec, ModelCard, Training};
use boxcam::label::Labels;
use boxcam::split::Split;
use boxcam_train::examples::{Examples, Picture};
use boxcam_train::features::Features;
use boxcam_train::fit::{Epoch, Fit, Progress, TrainingData, ValidationData};
use boxcam_train::model::Model;
use boxcam_train::recipe::Recipe;
use boxcam_train::{onnx, storage, weights};
use burn::prelude::*;
use clap::ValueEnum;

use super::{Data, progress};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: Data,
    /// Weights to start from: a quantised MobileNet v1 as .tflite, or a model made by boxcam-train
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Folder for what comes out: float.onnx and history.csv, written after each epoch
    #[arg(long, value_name = "FOLDER")]
    run: PathBuf,
    /// snacks (what made the model that ships) or book (the textbook chapter)
    #[arg(long, default_value = "snacks", value_parser = ["snacks", "book"])]
    recipe: String,
    /// Epochs, in place of the recipe's own number
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    epochs: Option<u16>,
    /// Views of each picture (as it is, mirrored, then crops in other colours), in place of the recipe's
    /// own number; each costs a pass through the trunk and memory
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    views: Option<u16>,
    /// Made-up scenes, in place of the recipe's own number
    #[arg(long)]
    scenes: Option<usize>,
    /// Made-up backgrounds without anything to find, in place of the recipe's own number
    #[arg(long)]
    backgrounds: Option<usize>,
    /// Seed of every random choice: the same seed gives the same order and the same views
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Computer::Cpu)]
    device: Computer,
    /// Confidence from which a prediction is a detection
    #[arg(long, default_value_t = 0.4, value_parser = super::share)]
    threshold: f32,
    /// Name of the model for its card
    #[arg(long, default_value = "boxcam model")]
    name: String,
    /// What the data is, for the card
    #[arg(long, default_value = "")]
    about: String,
    /// Whom to thank for the data, and its licence, for the card
    #[arg(long, default_value = "")]
    credits: String,
}

/// Where to compute.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Computer {
    /// This machine's processor
    Cpu,
    /// An NVIDIA card
    #[cfg(feature = "cuda")]
    Cuda,
    /// An AMD card
    #[cfg(feature = "rocm")]
    Rocm,
    /// Any card, through WebGPU
    #[cfg(feature = "wgpu")]
    Wgpu,
}

impl Computer {
    fn device(self) -> Device {
        match self {
            Self::Cpu => Device::flex(),
            #[cfg(feature = "cuda")]
            Self::Cuda => Device::cuda(0),
            #[cfg(feature = "rocm")]
            Self::Rocm => Device::rocm(0),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Device::wgpu(burn::tensor::DeviceKind::default()),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let recipe = recipe(arguments)?;
    let weights = weights::read(&arguments.weights)?;
    let (train, val) = (arguments.data.split("train")?, arguments.data.split("val")?);
    let labels = labels(&train)?;
    let side = u32::try_from(weights.side).context("the weights' input is too large")?;
    let card = card(arguments, &recipe, &train, labels.clone(), side);
    let device = arguments.device.device();
    let learning = device.clone().autodiff();
    // Both: burn keeps a generator for each kind of device.
    device.seed(arguments.seed);
    learning.seed(arguments.seed);
    let model = Model::new(&weights, labels.len(), &recipe, &learning);
    let extractor = model.extractor(&device);
    let examples = Examples::new(&train, &labels, &recipe, arguments.seed);
    if examples.examples.len() < recipe.batch {
        let found = examples.examples.len();
        bail!(
            "{found} examples are too few; one step takes {}",
            recipe.batch
        );
    }
    let compute = |pictures: &[Picture], what| {
        let bar = progress(pictures.len(), what);
        let features = Features::compute(pictures, &card, &extractor, &device, |fault| {
            bar.inc(1);
            if let Some(fault) = fault {
                bar.suspend(|| eprintln!("left out: {fault}"));
            }
        });
        bar.finish();
        features
    };
    let data = TrainingData {
        labels: &labels,
        examples: &examples,
        features: &compute(&examples.pictures, "features, training  "),
    };
    let validation = ValidationData {
        pictures: &val.pictures,
        features: &compute(&Picture::plain(&val), "features, validation"),
    };
    fit(
        arguments,
        Fit::new(model, &recipe, arguments.seed, learning),
        &recipe,
        &data,
        &validation,
        card,
    )
}

fn fit(
    arguments: &Arguments,
    mut fit: Fit,
    recipe: &Recipe,
    data: &TrainingData,
    validation: &ValidationData,
    mut card: ModelCard,
) -> Result<()> {
    println!("{HEADER}");
    let mut history = Vec::new();
    for epoch in 1..=recipe.schedule.epochs() {
        let steps = data.examples.examples.len() / recipe.batch;
        let bar = progress(steps, &format!("epoch {epoch:2}"));
        let done = fit.epoch(epoch, data, |now| {
            bar.inc(1);
            bar.set_message(message(now));
        });
        bar.finish_and_clear();
        let (figures, class_loss) = fit
            .validate(data.labels, validation)
            .context("training went astray; try fewer epochs or another seed")?;
        let epoch = done.epoch(epoch, &figures, class_loss);
        println!("{}", row(&epoch));
        history.push(epoch);
        card.training.epochs = epoch.epoch;
        card.figures = BTreeMap::from([
            ("class_accuracy".to_owned(), figures.class_accuracy),
            ("mean_iou".to_owned(), figures.mean_iou),
        ]);
        // After each epoch: a training that is cut short has still made something.
        let file = arguments.run.join("float.onnx");
        onnx::write(&file, &fit.model().export(&card))?;
        write_history(&arguments.run.join("history.csv"), &history)?;
    }
    eprintln!("written: {}", arguments.run.join("float.onnx").display());
    Ok(())
}

fn recipe(arguments: &Arguments) -> Result<Recipe> {
    let name = &arguments.recipe;
    let mut recipe = Recipe::named(name).with_context(|| format!("no recipe \"{name}\""))?;
    if let Some(epochs) = arguments.epochs {
        recipe.schedule = recipe.schedule.with_epochs(usize::from(epochs));
    }
    recipe.views = arguments.views.map_or(recipe.views, usize::from);
    recipe.scenes = arguments.scenes.unwrap_or(recipe.scenes);
    recipe.backgrounds = arguments.backgrounds.unwrap_or(recipe.backgrounds);
    Ok(recipe)
}

/// The classes are the folders of the training pictures, in alphabetical order.
fn labels(train: &Split) -> Result<Labels> {
    let folders: BTreeSet<&str> = train.pictures.iter().map(|p| p.folder.as_str()).collect();
    Ok(Labels::new(
        folders.into_iter().map(str::to_owned).collect(),
    )?)
}

fn card(
    arguments: &Arguments,
    recipe: &Recipe,
    train: &Split,
    labels: Labels,
    side: u32,
) -> ModelCard {
    ModelCard {
        schema: CARD_SCHEMA,
        name: arguments.name.clone(),
        labels,
        input: InputSpec::mobilenet(side),
        box_order: BoxOrder::Corners,
        threshold: arguments.threshold,
        training: Training {
            recipe: recipe.name.to_owned(),
            data: arguments.about.clone(),
            credits: arguments.credits.clone(),
            pictures: train.pictures.len(),
            epochs: 0,
            seed: arguments.seed,
        },
        figures: BTreeMap::new(),
        golden: Vec::new(),
    }
}

const HEADER: &str = "\
epoch |  loss  class    box  accuracy mean IoU | val: class box MSE accuracy mean IoU
------+---------------------------------------+-------------------------------------";

fn row(e: &Epoch) -> String {
    format!(
        "{:5} | {:5.3}  {:5.3}  {:5.3}    {:6.4}   {:6.4} |     {:6.3}  {:6.4}   {:6.4}   {:6.4}",
        e.epoch,
        e.loss,
        e.class_loss,
        e.box_loss,
        e.class_accuracy,
        e.mean_iou,
        e.val_class_loss,
        e.val_box_mse,
        e.val_class_accuracy,
        e.val_mean_iou,
    )
}

fn message(now: &Progress) -> String {
    format!(
        "loss {:.3} class {:.3} box {:.3} accuracy {:.3} IoU {:.3}",
        now.loss(),
        now.class_loss(),
        now.box_loss(),
        now.class_accuracy(),
        now.mean_iou(),
    )
}

fn write_history(path: &std::path::Path, history: &[Epoch]) -> Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for epoch in history {
        writer.serialize(epoch)?;
    }
    let failed = || format!("{}: can't be written", path.display());
    let bytes = writer
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)
        .with_context(failed)?;
    storage::write_whole(path, &bytes).with_context(failed)
}
