//! `boxcam-train train`: pictures, boxes and ImageNet weights to a float model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use boxcam::card::{BoxOrder, CARD_SCHEMA, InputSpec, ModelCard, Training};
use boxcam::dataset::Dataset;
use boxcam::label::Labels;
use boxcam_train::examples::{Examples, Picture};
use boxcam_train::features::{Features, channels_last};
use boxcam_train::fit::{Fit, TrainingData, ValidationData};
use boxcam_train::model::Model;
use boxcam_train::recipe::{Recipe, Setting};
use boxcam_train::teacher::Teacher;
use boxcam_train::weights::{self, BackboneWeights, WeightsError};
use burn::prelude::*;
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;

use self::run::Run;
use super::{Data, progress};

mod run;

/// From fewer nothing can be learnt.
const LEAST_EXAMPLES: usize = 16;

/// Confidence from which a prediction is a detection, unless something else is said.
pub(super) const THRESHOLD: f32 = 0.4;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) data: Data,
    /// Weights to start from: a quantised MobileNet v1 or v2 as .tflite, the model.json of a detector on MobileNet v2, or
    /// a model made by boxcam-train, whose heads are taken over too where it has the same classes; without it the trunk of the model that ships
    #[arg(long, value_name = "FILE")]
    pub(super) weights: Option<PathBuf>,
    /// A model for the same classes that is asked what each view shows; what it says is learnt beside the true class.
    /// Not for recipes that keep features (quick, book)
    #[arg(long, value_name = "FILE")]
    pub(super) teacher: Option<PathBuf>,
    /// Folder for what comes out: float.onnx, history.csv and a checkpoint, written after each epoch
    #[arg(long, value_name = "FOLDER")]
    pub(super) run: PathBuf,
    /// Go on from the checkpoint in the run's folder, if there is one; the result is that of a run without a
    /// break
    #[arg(long)]
    pub(super) resume: bool,
    /// quick (only the end of the network learns), snacks (nearly all of it: what made the model that ships), small
    /// (the same on small pictures, for the slowest boards), classifier (the class alone: what the chapter starts from)
    /// or book (the textbook chapter)
    #[arg(long, default_value = "quick", value_parser = recipes(|_| true))]
    pub(super) recipe: String,
    /// Side of the picture that the network takes, in pixels, a multiple of 32; in place of the recipe's own
    #[arg(long, value_parser = side)]
    pub(super) side: Option<u32>,
    /// Epochs, in place of the recipe's own number
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) epochs: Option<u16>,
    /// Views of each picture (as it is, mirrored, then crops in other colours), in place of the recipe's
    /// own number; each costs a pass through the trunk and memory
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) views: Option<u16>,
    /// Made-up scenes, in place of the recipe's own number
    #[arg(long)]
    pub(super) scenes: Option<usize>,
    /// Made-up backgrounds without anything to find, in place of the recipe's own number
    #[arg(long)]
    pub(super) backgrounds: Option<usize>,
    /// One choice of the recipe made otherwise, as mixed=0 or schedule.cosine.trunk=1e-4; can be given several
    /// times. A name that there is not is answered with all that there are
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) set: Vec<Setting>,
    /// Seed of every random choice: the same seed gives the same order and the same views
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Computer::Cpu)]
    pub(super) device: Computer,
    /// Confidence from which a prediction is a detection
    #[arg(long, default_value_t = THRESHOLD, value_parser = super::share)]
    pub(super) threshold: f32,
    /// Name of the model for its card
    #[arg(long, default_value = "boxcam model")]
    pub(super) name: String,
    /// What the data is, for the card
    #[arg(long, default_value = "")]
    pub(super) about: String,
    /// Whom to thank for the data, and its licence, for the card
    #[arg(long, default_value = "")]
    pub(super) credits: String,
}

/// The names of the recipes of which that is true.
pub(super) fn recipes(wanted: impl Fn(&Recipe) -> bool) -> PossibleValuesParser {
    let all = Recipe::all().into_iter();
    let names = all.filter(wanted).map(|recipe| recipe.name);
    PossibleValuesParser::new(names.collect::<Vec<_>>())
}

/// Where to compute.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Computer {
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
    pub(super) fn device(self) -> Device {
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
    let mut recipe = recipe(arguments)?;
    let mut weights = weights(arguments.weights.as_deref())?;
    let (train, val) = (arguments.data.split("train")?, arguments.data.split("val")?);
    let labels = labels(&train)?;
    if weights.heads_for(&labels).is_some() {
        eprintln!("the same classes: heads of the same shape go on from what they know");
    }
    let given = u32::try_from(weights.side).context("the weights' input is too large")?;
    let side = recipe.side.unwrap_or(given);
    let card = card(arguments, &recipe, &train, labels.clone(), side);
    let device = arguments.device.device();
    let learning = device.clone().autodiff();
    // Both: burn keeps a generator for each kind of device.
    device.seed(arguments.seed);
    learning.seed(arguments.seed);
    let examples = Examples::new(&train, &labels, &recipe, arguments.seed);
    let found = examples.examples.len();
    if found < LEAST_EXAMPLES {
        bail!(
            "{found} examples are too few; take {LEAST_EXAMPLES} pictures at the least, and better a hundred"
        );
    }
    // A few steps an epoch at least.
    recipe.batch = recipe.batch.min(found / 4);
    let teacher = teacher(arguments, &recipe, &mut weights, &labels, &device)?;
    let model = Model::new(&weights, &labels, &recipe, &learning);
    let shown = Picture::plain(&val);
    let extractor = match recipe.keeps_features() {
        true => model.frozen_backbone(&device),
        false => None,
    };
    let compute = |pictures: &[Picture], what| {
        let trunk = extractor.as_ref()?;
        let bar = progress(pictures.len(), what);
        let card = channels_last(&card);
        let features = Features::compute(pictures, &card, trunk, &device, |fault| {
            bar.inc(1);
            if let Some(fault) = fault {
                bar.suspend(|| eprintln!("left out: {fault}"));
            }
        });
        bar.finish();
        Some(features)
    };
    let of_training = compute(&examples.pictures, "features, training  ");
    let of_validation = compute(&shown, "features, validation");
    let data = TrainingData {
        labels: &labels,
        examples: &examples,
        features: of_training.as_ref(),
    };
    let validation = ValidationData {
        truth: &val.pictures,
        pictures: &shown,
        features: of_validation.as_ref(),
    };
    let settings = format!(
        "{recipe:?}, {} examples, seed {}, teacher {:?}",
        examples.examples.len(),
        arguments.seed,
        arguments.teacher
    );
    let mut run = Run {
        folder: &arguments.run,
        settings,
        history: Vec::new(),
        card: card.clone(),
    };
    let mut fit = Fit::new(model, &recipe, &card, arguments.seed, learning).taught_by(teacher);
    run.begin(&mut fit, arguments.resume)?;
    run.epochs(&mut fit, &recipe, &data, &validation)
}

fn teacher(
    arguments: &Arguments,
    recipe: &Recipe,
    learner: &mut BackboneWeights,
    labels: &Labels,
    device: &Device,
) -> Result<Option<Teacher>> {
    let Some(file) = &arguments.teacher else {
        return Ok(None);
    };
    if recipe.keeps_features() {
        bail!(
            "the recipe {} keeps features, of which a teacher sees nothing; leave out --teacher, or take \
             another --recipe",
            recipe.name
        );
    }
    let teacher = Teacher::new(&weights::read(file)?, learner, labels, device);
    Ok(Some(teacher.with_context(|| file.display().to_string())?))
}

/// The weights of a file, or those that the program carries.
pub(super) fn weights(file: Option<&Path>) -> Result<BackboneWeights, WeightsError> {
    match file {
        Some(file) => weights::read(file),
        None => weights::embedded(),
    }
}

/// A side that every stride of the network divides.
pub(super) fn side(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(side) if side > 0 && side % 32 == 0 => Ok(side),
        _ => Err("expected a multiple of 32".to_owned()),
    }
}

pub(super) fn recipe(arguments: &Arguments) -> Result<Recipe> {
    let name = &arguments.recipe;
    let mut recipe = Recipe::named(name).with_context(|| format!("no recipe \"{name}\""))?;
    for setting in &arguments.set {
        recipe = recipe.with(setting)?;
    }
    if let Some(epochs) = arguments.epochs {
        recipe.schedule = recipe.schedule.with_epochs(usize::from(epochs));
    }
    recipe.side = arguments.side.or(recipe.side);
    recipe.views = arguments.views.map_or(recipe.views, usize::from);
    recipe.scenes = arguments.scenes.unwrap_or(recipe.scenes);
    recipe.backgrounds = arguments.backgrounds.unwrap_or(recipe.backgrounds);
    Ok(recipe)
}

/// The classes are the folders of the training pictures, in alphabetical order.
fn labels(train: &Dataset) -> Result<Labels> {
    let folders: BTreeSet<&str> = train.pictures.iter().map(|p| p.folder.as_str()).collect();
    Ok(Labels::new(
        folders.into_iter().map(str::to_owned).collect(),
    )?)
}

fn card(
    arguments: &Arguments,
    recipe: &Recipe,
    train: &Dataset,
    labels: Labels,
    side: u32,
) -> ModelCard {
    ModelCard {
        name: arguments.name.clone(),
        threshold: arguments.threshold,
        training: Training {
            recipe: recipe.name.to_owned(),
            data: arguments.about.clone(),
            credits: arguments.credits.clone(),
            pictures: train.pictures.len(),
            epochs: 0,
            seed: arguments.seed,
        },
        ..unnamed_card(labels, side)
    }
}

/// The card of a model of which nothing is known but what goes in and what comes out.
pub(super) fn unnamed_card(labels: Labels, side: u32) -> ModelCard {
    ModelCard {
        schema: CARD_SCHEMA,
        name: String::new(),
        labels,
        input: InputSpec::mobilenet(side),
        box_order: BoxOrder::Corners,
        threshold: 0.0,
        training: Training {
            recipe: String::new(),
            data: String::new(),
            credits: String::new(),
            pictures: 0,
            epochs: 0,
            seed: 0,
        },
        figures: BTreeMap::new(),
        golden: Vec::new(),
    }
}
