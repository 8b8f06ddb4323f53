//! `boxcam-train train`: train a float model, measure the speed of training, plot its history.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use boxcam::card::{
    BoxOrder, CARD_SCHEMA, InputSpec, ModelCard, ObjectDecode, ObjectSettings, Training,
};
use boxcam::dataset::Dataset;
use boxcam::label::Labels;
use boxcam_train::checkpoint::{
    Checkpoint, Identity, data_hash, file_hash, network_hash, recipe_text,
};
use boxcam_train::confidence::ConfidenceReport;
use boxcam_train::dataset::dropped::DroppedBoxes;
use boxcam_train::draw::svg;
use boxcam_train::draw::theme::Theme;
use boxcam_train::features::{Features, channels_last};
use boxcam_train::fit_progress::{FitStep, ProgressFile};
use boxcam_train::model::Model;
use boxcam_train::plan::scenes_beside;
use boxcam_train::plot::curves;
use boxcam_train::plot::history::History;
use boxcam_train::plot::training_report::{self, OfFit};
use boxcam_train::recipe::{Override, Recipe, RecipeError};
use boxcam_train::review::Review;
use boxcam_train::samples::{TrainingImage, TrainingSet};
use boxcam_train::scenes::SceneSource;
use boxcam_train::teacher::Teacher;
use boxcam_train::trainer::{
    Epoch, Progress, Trainer, TrainingData, ValidationData, ValidationFigures,
};
use boxcam_train::weights::{self, BackboneWeights, WeightsError};
use boxcam_train::{message, onnx, storage};
use burn::prelude::*;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{DroppedOptions, OutputError, PreparedData, fraction, progress, write};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a float model on a prepared data set
    Run(Box<RunArguments>),
    /// Measure how many images per second this machine trains on
    Benchmark(BenchmarkArguments),
    /// Plot losses and metrics of one or more runs, as an image and an HTML report
    Plot(PlotArguments),
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Run(arguments) => train(arguments, None),
        Command::Benchmark(arguments) => benchmark(arguments),
        Command::Plot(arguments) => plot(arguments),
    }
}

/// Fewest samples to train on.
pub(super) const MIN_SAMPLES: usize = 16;

/// Default confidence threshold of a model.
pub(super) const THRESHOLD: f32 = 0.4;

/// How a new model's objects are selected.
const OBJECTS: ObjectSettings = ObjectSettings {
    threshold: 0.3,
    nms_iou: 0.5,
    most: 100,
    decode: ObjectDecode::InGraph,
};

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(super) data: PreparedData,
    /// Starting weights: a quantized MobileNet v1 or v2 as .tflite, the model.json of a detector on MobileNet v2
    /// (TensorFlow.js), or a model made by boxcam-train, whose heads are used too if it has the same classes. Default:
    /// the backbone of the model that ships
    #[arg(long, value_name = "FILE")]
    pub(super) weights: Option<PathBuf>,
    /// Model for the same classes whose scores and features are distilled into this one. Not for recipes that cache
    /// features (train_last)
    #[arg(long, value_name = "FILE")]
    pub(super) teacher: Option<PathBuf>,
    /// Folder of photographs without any of the objects, for recipes that find several: negatives, and backgrounds of
    /// scenes (key objects.scenes)
    #[arg(long, value_name = "FOLDER")]
    pub(super) backgrounds: Option<PathBuf>,
    /// Folder with cutouts.csv and masks/: objects that were cut out of the training images, to paste onto --backgrounds
    #[arg(long, value_name = "FOLDER", requires = "backgrounds")]
    pub(super) cutouts: Option<PathBuf>,
    /// Folder for float.onnx, history.csv and a checkpoint, written after every epoch
    #[arg(long, value_name = "FOLDER")]
    pub(super) run: PathBuf,
    /// Continue from the run folder's checkpoint, if there is one; the result is identical to an uninterrupted run
    #[arg(long)]
    pub(super) resume: bool,
    #[arg(long, default_value = "quick", value_parser = recipe_name, help = recipe_help())]
    pub(super) recipe: String,
    /// Width and height of the network's input in pixels, a multiple of 32; short for --set input_size=PIXELS
    #[arg(long, value_name = "PIXELS", value_parser = input_size)]
    pub(super) input_size: Option<u32>,
    /// Number of epochs; short for --set epochs=COUNT
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) epochs: Option<u16>,
    /// Change one key of the recipe, e.g. mixup_prob=0 or lr.backbone=1e-4; can be repeated. An unknown key prints the
    /// list of keys
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<Override>,
    /// Seed of all random choices: the same seed gives the same model
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Device to train on
    #[arg(long, value_enum, default_value_t = ComputeDevice::Cpu)]
    pub(super) device: ComputeDevice,
    /// Confidence threshold for the model's card
    #[arg(long, default_value_t = THRESHOLD, value_parser = fraction)]
    pub(super) threshold: f32,
    /// Name of the model, for its card
    #[arg(long, default_value = "boxcam model")]
    pub(super) name: String,
    /// Description of the data, for the card
    #[arg(long, default_value = "")]
    pub(super) about: String,
    /// Credits and licence of the data, for the card
    #[arg(long, default_value = "")]
    pub(super) credits: String,
    #[command(flatten)]
    pub(super) dropped: DroppedOptions,
}

impl RunArguments {
    pub(super) fn recipe(&self) -> Result<Recipe, RecipeError> {
        let mut overrides = self.set.clone();
        overrides.extend(
            self.epochs
                .map(|count| Override::new("epochs", i64::from(count))),
        );
        let size = self.input_size.map(i64::from);
        overrides.extend(size.map(|size| Override::new("input_size", size)));
        let recipe = Recipe::load(&self.recipe, &overrides)?;
        // What a key needs beside the recipe.
        let has_scenes = recipe.objects.is_some_and(|objects| objects.scenes > 0.0);
        let missing = |key: &str| match key {
            "kd_weight" | "feature_kd_weight" if self.teacher.is_none() => Some("--teacher FILE"),
            "objects.scenes" | "objects.empty_scenes"
                if has_scenes && self.backgrounds.is_none() =>
            {
                Some("--backgrounds FOLDER")
            }
            _ => None,
        };
        let mut keys = self.set.iter().map(Override::key);
        match keys.find_map(|key| Some((key, missing(key)?))) {
            Some((key, option)) => Err(RecipeError::Invalid {
                recipe: self.recipe.clone(),
                message: format!(
                    "{key} has no effect without {option} of `train run`; add it, or leave the key out"
                ),
            }),
            None => Ok(recipe),
        }
    }
}

/// Parses the name of a recipe.
pub(super) fn recipe_name(name: &str) -> Result<String, RecipeError> {
    Recipe::named(name).map(|recipe| recipe.name)
}

/// The help of `--recipe`: every built-in recipe with its description.
pub(super) fn recipe_help() -> String {
    let recipes = Recipe::names().filter_map(|name| Recipe::named(name).ok());
    let lines = recipes.map(|recipe| format!("\n{}: {}", recipe.name, recipe.description));
    let lines: String = lines.collect();
    format!("Recipe, or the path of a .toml file with one{lines}\n")
}

/// Parses a multiple of 32, which every stride of the network divides.
pub(super) fn input_size(text: &str) -> Result<u32, &'static str> {
    match text.parse() {
        Ok(size) if (32..=4096).contains(&size) && size % 32 == 0 => Ok(size),
        _ => Err("expected a multiple of 32, at most 4096"),
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ComputeDevice {
    /// The processor
    Cpu,
    /// An NVIDIA GPU
    #[cfg(feature = "cuda")]
    Cuda,
    /// An AMD GPU
    #[cfg(feature = "rocm")]
    Rocm,
    /// Any GPU, through WebGPU
    #[cfg(feature = "wgpu")]
    Wgpu,
}

impl ComputeDevice {
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

pub(super) fn train(arguments: &RunArguments, report: Option<&ProgressFile>) -> Result<()> {
    let mut recipe = arguments.recipe()?;
    let mut weights = starting_weights(arguments.weights.as_deref())?;
    let (train, val) = (arguments.data.split("train")?, arguments.data.split("val")?);
    let dropped = DroppedBoxes::of_splits(&[&train, &val]);
    arguments.dropped.check(&dropped, &arguments.data.data)?;
    let labels = labels(&train)?;
    if weights.heads_for(&labels).is_some() {
        message!("the starting weights have the same classes: heads of the same shape are reused");
    }
    let given = u32::try_from(weights.side).context("the weights' input is too large")?;
    let size = recipe.input_size.unwrap_or(given);
    let card = card(arguments, &recipe, &train, labels.clone(), size);
    let device = arguments.device.device();
    let learning = device.clone().autodiff();
    // Both: burn keeps a generator for each kind of device.
    device.seed(arguments.seed);
    learning.seed(arguments.seed);
    let set = TrainingSet::new(&train, &labels, &recipe, arguments.seed);
    let found = set.samples.len();
    if found < MIN_SAMPLES {
        bail!(
            "{found} samples are too few: at least {MIN_SAMPLES} images are needed, better a hundred"
        );
    }
    // At least four steps per epoch.
    recipe.batch_size = recipe.batch_size.min(found / 4);
    let (backgrounds, cutouts) = (&arguments.backgrounds, &arguments.cutouts);
    let (backgrounds, cutouts) = (backgrounds.as_deref(), cutouts.as_deref());
    let scenes = scenes(backgrounds, cutouts, &recipe, &train, &labels)?;
    let teacher = teacher(arguments, &recipe, &mut weights, &labels, &device)?;
    let model = Model::new(&weights, &labels, &recipe, &learning);
    let mut run = Run {
        folder: &arguments.run,
        identity: Identity {
            recipe: recipe_text(&recipe),
            seed: arguments.seed,
            data: data_hash(&labels, &[&train, &val]),
            network: network_hash(&weights.layers, model.frozen.len()),
            teacher: teacher_hash(arguments)?,
            scenes: scenes.as_ref().map(SceneSource::hash),
        },
        history: Vec::new(),
        card: card.clone(),
        report,
    };
    let checkpoint = run.checkpoint(arguments.resume)?;
    let validation_images = TrainingImage::unaugmented(&val);
    let extractor = match recipe.caches_features() {
        true => model.frozen_backbone(&device),
        false => None,
    };
    let compute = |images: &[TrainingImage], what| {
        let frozen = extractor.as_ref()?;
        let bar = progress(images.len(), what);
        if let Some(report) = report {
            report.begin(FitStep::Features, images.len());
        }
        let card = channels_last(&card);
        let features = Features::compute(images, &card, frozen, &device, |fault| {
            bar.inc(1);
            if let Some(report) = report {
                report.advance();
            }
            if let Some(fault) = fault {
                bar.suspend(|| message!("left out: {fault}"));
            }
        });
        bar.finish();
        Some(features)
    };
    let of_training = compute(&set.images, "features, training  ");
    let of_validation = compute(&validation_images, "features, validation");
    let data = TrainingData {
        labels: &labels,
        set: &set,
        features: of_training.as_ref(),
        scenes: scenes.as_ref(),
    };
    let validation = ValidationData {
        truth: &val.pictures,
        images: &validation_images,
        features: of_validation.as_ref(),
    };
    let mut trainer =
        Trainer::new(model, &recipe, &card, arguments.seed, learning).with_teacher(teacher);
    if let Some(checkpoint) = checkpoint {
        message!("resuming after epoch {}", checkpoint.history.len());
        trainer.restore(checkpoint.state);
        run.history = checkpoint.history;
    }
    run.epochs(&mut trainer, &recipe, &data, &validation)
}

/// What scenes are made of; `None` without any.
pub(super) fn scenes(
    backgrounds: Option<&Path>,
    cutouts: Option<&Path>,
    recipe: &Recipe,
    train: &Dataset,
    labels: &Labels,
) -> Result<Option<SceneSource>> {
    let share = recipe.objects.map_or(0.0, |objects| objects.scenes);
    let Some(backgrounds) = backgrounds else {
        if share > 0.0 {
            message!("no scenes: add --backgrounds FOLDER with photographs without any object");
        }
        return Ok(None);
    };
    if share == 0.0 {
        return Err(RecipeError::Invalid {
            recipe: recipe.name.clone(),
            message: "has no scenes, so --backgrounds has no effect; leave it out, or choose a recipe with \
                      objects.scenes above 0, e.g. objects"
                .to_owned(),
        }
        .into());
    }
    let source = SceneSource::read(backgrounds, cutouts, train, labels)?;
    let (backgrounds, cutouts) = source.counts();
    message!("scenes: {cutouts} cut-outs, {backgrounds} backgrounds");
    Ok(Some(source))
}

fn teacher_hash(arguments: &RunArguments) -> Result<Option<String>> {
    let hash = arguments.teacher.as_deref().map(file_hash).transpose();
    hash.context("the teacher cannot be read")
}

fn teacher(
    arguments: &RunArguments,
    recipe: &Recipe,
    student: &mut BackboneWeights,
    labels: &Labels,
    device: &Device,
) -> Result<Option<Teacher>> {
    let Some(file) = &arguments.teacher else {
        return Ok(None);
    };
    if recipe.caches_features() {
        bail!(
            "the recipe {} caches features, but a teacher needs images; leave out --teacher, or choose another \
             --recipe",
            recipe.name
        );
    }
    let teacher = Teacher::new(&weights::read(file)?, student, labels, device);
    Ok(Some(teacher.with_context(|| file.display().to_string())?))
}

/// The weights of a file, or the built-in ones.
pub(super) fn starting_weights(file: Option<&Path>) -> Result<BackboneWeights, WeightsError> {
    match file {
        Some(file) => weights::read(file),
        None => weights::embedded(),
    }
}

/// The classes are the folders of the training images, in alphabetical order.
pub(super) fn labels(train: &Dataset) -> Result<Labels> {
    let folders: BTreeSet<&str> = train.pictures.iter().map(|p| p.folder.as_str()).collect();
    Ok(Labels::new(
        folders.into_iter().map(str::to_owned).collect(),
    )?)
}

fn card(
    arguments: &RunArguments,
    recipe: &Recipe,
    train: &Dataset,
    labels: Labels,
    size: u32,
) -> ModelCard {
    ModelCard {
        name: arguments.name.clone(),
        threshold: arguments.threshold,
        objects: recipe.objects.map(|_| OBJECTS),
        training: Training {
            recipe: recipe.name.clone(),
            data: arguments.about.clone(),
            credits: arguments.credits.clone(),
            pictures: train.pictures.len(),
            epochs: 0,
            seed: arguments.seed,
            calibration: String::new(),
        },
        ..unnamed_card(labels, size)
    }
}

/// The card of a model of which only input and output are known.
pub(super) fn unnamed_card(labels: Labels, size: u32) -> ModelCard {
    ModelCard {
        schema: CARD_SCHEMA,
        name: String::new(),
        labels,
        input: InputSpec::mobilenet(size),
        box_order: BoxOrder::Corners,
        threshold: 0.0,
        objects: None,
        training: Training {
            recipe: String::new(),
            data: String::new(),
            credits: String::new(),
            pictures: 0,
            epochs: 0,
            seed: 0,
            calibration: String::new(),
        },
        origin: None,
        figures: BTreeMap::new(),
        golden: Vec::new(),
    }
}

/// A training and what it writes to its folder.
struct Run<'a> {
    folder: &'a Path,
    identity: Identity,
    history: Vec<Epoch>,
    card: ModelCard,
    /// Where other programs read how far it is.
    report: Option<&'a ProgressFile>,
}

impl Run<'_> {
    fn checkpoint_file(&self) -> PathBuf {
        self.folder.join("checkpoint.safetensors")
    }

    /// The folder's checkpoint, if there is one. Without `resume` it is an error, so that no training is overwritten.
    fn checkpoint(&self, resume: bool) -> Result<Option<Checkpoint>> {
        let file = self.checkpoint_file();
        match (file.exists(), resume) {
            (false, _) => Ok(None),
            (true, true) => Ok(Some(Checkpoint::read(&file, &self.identity)?)),
            (true, false) => bail!(
                "{} exists: add --resume to continue from it, or choose another --run",
                file.display()
            ),
        }
    }

    fn epochs(
        &mut self,
        trainer: &mut Trainer,
        recipe: &Recipe,
        data: &TrainingData,
        validation: &ValidationData,
    ) -> Result<()> {
        let has_objects = self.card.objects.is_some();
        println!("{}", header(has_objects));
        for epoch in &self.history {
            println!("{}", row(epoch));
        }
        for epoch in self.history.len() + 1..=recipe.epochs {
            let samples = data.set.samples.len();
            let scenes = match (data.scenes, &recipe.objects) {
                (Some(_), Some(objects)) => scenes_beside(samples, objects),
                _ => 0,
            };
            let steps = (samples + scenes) / recipe.batch_size;
            let bar = progress(steps, &format!("epoch {epoch:2}"));
            if let Some(report) = self.report {
                report.begin_epoch(epoch - 1, steps);
            }
            let advance = |now: &Progress| {
                bar.inc(1);
                if let Some(report) = self.report {
                    report.advance();
                }
                bar.set_message(losses(now));
            };
            let done = trainer.epoch(epoch, data, advance, |fault| {
                bar.suspend(|| message!("left out: {fault}"));
            });
            bar.finish_and_clear();
            let figures = trainer
                .validate(data.labels, validation)
                .context("the training diverged; try lower learning rates or another seed")?;
            let epoch = done.epoch(epoch, &figures);
            println!("{}", row(&epoch));
            self.history.push(epoch);
            self.save(trainer, &figures)?;
        }
        message!("written: {}", self.folder.join("float.onnx").display());
        Ok(())
    }

    /// Writes everything after each epoch, so that an interrupted training has made a model too. The checkpoint is
    /// last: the epochs that it has are written.
    fn save(&mut self, trainer: &Trainer, figures: &ValidationFigures) -> Result<()> {
        let metrics = &figures.metrics;
        self.card.training.epochs = self.history.len();
        self.card.figures = BTreeMap::from([
            ("class_accuracy".to_owned(), metrics.class_accuracy),
            ("mean_iou".to_owned(), metrics.mean_iou),
        ]);
        let objects = figures.objects_ap50;
        let objects = objects.map(|ap50| ("objects_ap50".to_owned(), ap50));
        self.card.figures.extend(objects);
        let file = self.folder.join("float.onnx");
        onnx::write(
            &file,
            &trainer.model().export(&trainer.ema_model(), &self.card),
        )?;
        let file = self.folder.join("history.csv");
        storage::write_whole(&file, &storage::csv(&self.history)?)
            .map_err(|source| OutputError::new(&file, source))?;
        Checkpoint {
            identity: self.identity.clone(),
            history: self.history.clone(),
            state: trainer.state().map(Clone::clone),
        }
        .write(&self.checkpoint_file())?;
        Ok(())
    }
}

const HEADER: [&str; 2] = [
    "epoch |  loss  class    box  accuracy mean IoU | val: class box MSE accuracy mean IoU",
    "------+---------------------------------------+-------------------------------------",
];

/// With a column for the objects' AP50, if the model has any.
fn header(has_objects: bool) -> String {
    let [names, line] = HEADER;
    match has_objects {
        true => format!("{names}    AP50\n{line}--------"),
        false => format!("{names}\n{line}"),
    }
}

fn row(e: &Epoch) -> String {
    let objects = e.val_objects_ap50;
    let objects = objects.map_or(String::new(), |ap50| format!("  {ap50:6.4}"));
    format!(
        "{:5} | {:5.3}  {:5.3}  {:5.3}    {:6.4}   {:6.4} |     {:6.3}  {:6.4}   {:6.4}   {:6.4}{objects}",
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

fn losses(now: &Progress) -> String {
    format!(
        "loss {:.3} class {:.3} box {:.3} accuracy {:.3} IoU {:.3}",
        now.loss(),
        now.class_loss(),
        now.box_loss(),
        now.class_accuracy(),
        now.mean_iou(),
    )
}

#[derive(Debug, Args)]
pub(crate) struct BenchmarkArguments {
    /// Weights of the network to measure. Default: the backbone of the model that ships
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Width and height of the network's input in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 224)]
    input_size: usize,
    /// Images per step
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: u16,
    /// Measured steps, after one of warm-up
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    steps: u16,
    /// Device to measure
    #[arg(long, value_enum, default_value_t = ComputeDevice::Cpu)]
    device: ComputeDevice,
}

/// Classes of the benchmark's model: as many as the snacks have.
const CLASSES: usize = 20;

fn benchmark(arguments: &BenchmarkArguments) -> Result<()> {
    let weights = starting_weights(arguments.weights.as_deref())?;
    let device = arguments.device.device().autodiff();
    let recipe = Recipe::load("full", &[Override::new("freeze_first", 0)])?;
    let labels = Labels::new((0..CLASSES).map(|class| class.to_string()).collect())?;
    let card = unnamed_card(labels, u32::try_from(arguments.input_size)?);
    let model = Model::new(&weights, &card.labels, &recipe, &device);
    let mut trainer = Trainer::new(model, &recipe, &card, 1, device);
    let batch = usize::from(arguments.batch_size);
    let shape = [batch, arguments.input_size, arguments.input_size, 3];
    let steps = usize::from(arguments.steps);
    let mut seconds: Vec<f64> = trainer
        .benchmark_steps(shape, CLASSES, steps + 1)
        .into_iter()
        .skip(1)
        .map(|took| took.as_secs_f64())
        .collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let result = json!({
        "images_per_second": batch as f64 / median,
        "step_ms": median * 1e3,
        "batch_size": batch,
        "input_size": arguments.input_size,
        "threads": rayon::current_num_threads(),
    });
    println!("{result}");
    Ok(())
}

/// The curves are drawn at twice their display size.
const SCALE: f32 = 0.5;

#[derive(Debug, Args)]
pub(crate) struct PlotArguments {
    /// Folder of a run, or its history.csv; several runs that continue each other in their order
    #[arg(required = true, value_name = "RUN")]
    pub(super) runs: Vec<PathBuf>,
    /// Folder to write curves.png and report.html to
    #[arg(long, value_name = "FOLDER")]
    pub(super) output: PathBuf,
}

pub(super) fn plot(arguments: &PlotArguments) -> Result<()> {
    let history = History::read(&arguments.runs)?;
    let curves = svg::to_png(&curves::all_panels(&history, Theme::LIGHT)?, SCALE)?;
    let last = history.runs.last().map(|run| run.file.as_path());
    let of_fit = OfFit {
        review: last.and_then(Review::beside),
        confidence: last.and_then(ConfidenceReport::beside),
    };
    let report = training_report::render(&history, &of_fit)?;
    write(&arguments.output.join("curves.png"), &curves)?;
    write(&arguments.output.join("report.html"), report.as_bytes())?;
    let count = history.epochs.len();
    let figure = |value: Option<f64>| value.map_or("unknown".to_owned(), |v| format!("{v:.4}"));
    match history.best() {
        Some(best) => {
            let objects = best.value("val_objects_ap50");
            let objects = objects.map_or(String::new(), |ap50| format!(", AP50 {ap50:.4}"));
            println!(
                "best epoch: {} of {count}; class accuracy {}, mean IoU {}{objects} on validation",
                best.number,
                figure(best.value("val_class_accuracy")),
                figure(best.value("val_mean_iou"))
            );
        }
        None => println!("{count} epochs, without validation figures"),
    }
    Ok(())
}
