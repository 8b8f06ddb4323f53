//! `boxcam-train data`: convert, inspect, draw and synthesize data sets.

use std::collections::HashSet;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use boxcam::dataset::{AnnotatedPicture, COLUMNS, Dataset};
use boxcam::scene::{self, NegativeKind};
use boxcam_train::dataset::dropped::DroppedBoxes;
use boxcam_train::dataset::inspection::{self, Inspection, IssueKind};
use boxcam_train::dataset::prepared::{self, PreparedError, PreparedSummary, Transfer};
use boxcam_train::dataset::splits::{
    Assignment, SplitOptions, SplitPlan, assign_development, assign_splits,
};
use boxcam_train::dataset::{ImportedDataset, SplitName, review_sheets};
use boxcam_train::message;
use boxcam_train::negative_crops::{may_lack_a_box, negative_crop};
use clap::{Args, Subcommand};
use fastrand::Rng;
use image::imageops::crop_imm;
use image::{ImageFormat, RgbImage};

use super::label::{LabelArguments, label};
use super::scenes::{ScenesArguments, scenes};
use super::show_batch::{ShowBatchArguments, show_batch};
use super::{AnyData, DroppedOptions, FAULTS, OutputError, fingerprints, progress, threads};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Convert a data set of any format into the layout that training reads, without duplicates across splits
    Convert(ConvertArguments),
    /// Report counts, sizes, duplicates and suspicious annotations of a data set
    Inspect(InspectArguments),
    /// Draw boxes on the images of a folder, on a page in the browser
    Label(LabelArguments),
    /// Draw one training batch as the network gets it
    ShowBatch(ShowBatchArguments),
    /// Write a data set of synthetic scenes, to try everything without data of your own
    Synthesize(SynthesizeArguments),
    /// Write pictures or films of cut-out objects on photographs, with exact boxes, to measure models and trackers
    Scenes(ScenesArguments),
    /// Cut crops without any box out of annotated images, to count false alarms on
    MineNegatives(MineNegativesArguments),
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Convert(arguments) => convert(arguments, None),
        Command::Inspect(arguments) => inspect(arguments),
        Command::Label(arguments) => label(arguments),
        Command::ShowBatch(arguments) => show_batch(arguments),
        Command::Synthesize(arguments) => synthesize(arguments),
        Command::Scenes(arguments) => scenes(arguments),
        Command::MineNegatives(arguments) => mine_negatives(arguments),
    }
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArguments {
    #[command(flatten)]
    pub(super) data: AnyData,
    /// Folder to write; it must not exist, or be empty
    #[arg(long, value_name = "FOLDER")]
    pub(super) output: PathBuf,
    /// Share of each class that goes to validation, if the data set has no validation split
    #[arg(long, default_value_t = 0.2, value_parser = validation_share)]
    pub(super) validation: f64,
    /// Cut the validation split from the training images and leave out the data set's own validation and test images:
    /// for choices between models, so that validation is not used for them
    #[arg(long, conflicts_with = "resplit")]
    pub(super) development: bool,
    /// Seed: the same seed gives the same splits
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Ignore the data set's own splits and split again
    #[arg(long)]
    pub(super) resplit: bool,
    /// Hard-link the images instead of copying them: needs no space, but a change to one changes both
    #[arg(long)]
    pub(super) link: bool,
    #[command(flatten)]
    pub(super) dropped: DroppedOptions,
}

/// Parses a number above 0 and below 1.
pub(super) fn validation_share(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("expected a number above 0 and below 1"),
    }
}

/// What `fit` adds to a conversion.
pub(super) struct ConversionForFit<'a> {
    /// [`SplitOptions::development`].
    pub(super) development: f64,
    /// Called with the number of training images before anything is written.
    pub(super) before_writing: &'a mut dyn FnMut(usize) -> Result<()>,
}

/// Converts a data set.
pub(super) fn convert(
    arguments: &ConvertArguments,
    for_fit: Option<ConversionForFit<'_>>,
) -> Result<()> {
    prepared::check_output(&arguments.output, &arguments.data.data)?;
    let (format, dataset) = arguments.data.read()?;
    message!(
        "read as {}: {} images",
        format.name(),
        dataset.pictures.len()
    );
    for fault in dataset.issues.iter().take(FAULTS) {
        message!("left out: {fault}");
    }
    if let Some(more @ 1..) = dataset.issues.len().checked_sub(FAULTS) {
        message!("left out: {more} more (boxcam-train data inspect --all lists them)");
    }
    for note in &dataset.notes {
        message!("note: {note}");
    }
    let prints = fingerprints(&dataset);
    for error in prints.iter().filter_map(|print| print.as_ref().err()) {
        message!("left out: {error}");
    }
    let dropped = DroppedBoxes::of(&dataset, &prints);
    arguments.dropped.check(&dropped, &arguments.data.data)?;
    let options = SplitOptions {
        validation: arguments.validation,
        seed: arguments.seed,
        resplit: arguments.resplit,
        development: for_fit.as_ref().map_or(0.0, |fit| fit.development),
    };
    let plan = match arguments.development {
        true => assign_development(&dataset, &prints, options, threads()),
        false => assign_splits(&dataset, &prints, options, threads()),
    };
    if let Some(fit) = for_fit {
        let is_training =
            |assignment: &&Assignment| **assignment == Assignment::To(SplitName::Train);
        (fit.before_writing)(plan.assignments.iter().filter(is_training).count())?;
    }
    let transfer = match arguments.link {
        true => Transfer::HardLink,
        false => Transfer::Copy,
    };
    let bar = progress(dataset.pictures.len(), "written");
    let summary = prepared::write(&dataset, &plan, &arguments.output, transfer, &|| bar.inc(1))?;
    bar.finish_and_clear();
    name_leaks(&dataset, &plan);
    print_split(&summary, &plan);
    let output = arguments.output.display();
    message!("next: boxcam-train data inspect {output}");
    message!("then: boxcam-train train run --data {output} --run run");
    Ok(())
}

/// Names the pictures that are left out because a duplicate of theirs is kept in another split.
fn name_leaks(dataset: &ImportedDataset, plan: &SplitPlan) {
    let path = |index: usize| dataset.pictures[index].path.display();
    let split = |index: usize| match plan.assignments[index] {
        Assignment::To(split) => format!(" in {split}"),
        Assignment::Excluded(_) => String::new(),
    };
    for leak in plan.leaks.iter().take(FAULTS) {
        let kept = leak.duplicate_of;
        message!(
            "left out: {} is a duplicate of {}{}",
            path(leak.excluded),
            path(kept),
            split(kept)
        );
    }
    if let Some(more @ 1..) = plan.leaks.len().checked_sub(FAULTS) {
        message!("left out: {more} more duplicates (boxcam-train data inspect --all lists them)");
    }
}

fn print_split(summary: &PreparedSummary, plan: &SplitPlan) {
    let origin = if plan.kept {
        "that of the data set"
    } else {
        "new"
    };
    println!("split: {origin}");
    let count = |split| summary.splits.get(&split).copied();
    let splits: Vec<SplitName> = SplitName::ALL
        .into_iter()
        .filter(|split| count(*split).is_some())
        .collect();
    for split in &splits {
        let (pictures, boxes) = count(*split).unwrap_or_default();
        println!("{split}: {pictures} images, {boxes} boxes");
    }
    for (class, counts) in &summary.classes {
        let numbers = splits
            .iter()
            .map(|split| format!("{} {split}", counts.get(split).unwrap_or(&0)));
        println!("  {class}: {}", numbers.collect::<Vec<_>>().join(", "));
    }
    for (reason, count) in &summary.excluded {
        println!("left out: {count} images that {}", reason.description());
    }
}

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    #[command(flatten)]
    data: AnyData,
    /// Print JSON, with every finding
    #[arg(long, conflicts_with = "all")]
    json: bool,
    /// List every finding, not only the first of each kind
    #[arg(long)]
    all: bool,
    /// Write contact sheets (PNG) with the true boxes into this folder: one per class, one of suspicious images
    #[arg(long, value_name = "FOLDER")]
    sheet: Option<PathBuf>,
}

fn inspect(arguments: &InspectArguments) -> Result<()> {
    let (format, dataset) = arguments.data.read()?;
    let prints = fingerprints(&dataset);
    let inspection = Inspection::of(format, &dataset, &prints, threads());
    let report = match arguments.json {
        true => serde_json::to_string_pretty(&inspection)? + "\n",
        false => inspection::text(&inspection, arguments.all),
    };
    std::io::stdout()
        .write_all(report.as_bytes())
        .context("standard output cannot be written")?;
    if let Some(folder) = &arguments.sheet {
        let files = review_sheets::write(&dataset, &inspection, folder, &|| ())
            .map_err(|(path, error)| OutputError::new(&path, std::io::Error::other(error)))?;
        message!("written: {} sheets to {}", files.len(), folder.display());
    }
    let dropped = DroppedBoxes::of(&dataset, &prints);
    if dropped.dropped > 0 {
        message!("{dropped}");
    }
    if inspection.count(IssueKind::Leak) > 0 {
        message!("the splits share images; boxcam-train data convert separates them");
    }
    Ok(())
}

/// Width and height of a synthetic scene in pixels.
const SCENE_SIZE: (u32, u32) = (320, 240);

#[derive(Debug, Args)]
pub(crate) struct SynthesizeArguments {
    /// Folder to write: train/, val/, their annotations, and empty/ with a folder for each kind of negative
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
    /// Training images
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    train: u32,
    /// Validation images
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    val: u32,
    /// Negatives of each kind: drawn backgrounds, objects that are no food, the same out of focus, noise, plain greys
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    negatives: u32,
    /// Seed: the same seed gives the same images
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn synthesize(arguments: &SynthesizeArguments) -> Result<()> {
    let mut entries = std::fs::read_dir(&arguments.output).into_iter().flatten();
    if entries.next().is_some() {
        // Its annotations may be those of a user.
        let path = arguments.output.clone();
        return Err(PreparedError::OutputExists { path }.into());
    }
    let random = &mut Rng::with_seed(arguments.seed);
    for (split, count) in [("train", arguments.train), ("val", arguments.val)] {
        write_scenes(&arguments.output, split, count, random)?;
    }
    for kind in NegativeKind::ALL {
        write_negatives(&arguments.output, kind, arguments)?;
    }
    message!("written: {}", arguments.output.display());
    Ok(())
}

/// The seeds differ from those of the scenes, so that no background is in both.
fn write_negatives(
    output: &Path,
    kind: NegativeKind,
    arguments: &SynthesizeArguments,
) -> Result<()> {
    let folder = output.join("empty").join(kind.name());
    let random = &mut Rng::with_seed(!arguments.seed);
    for number in 0..arguments.negatives {
        let file = folder.join(format!("{}-{number:05}.jpg", kind.name()));
        let picture = scene::negative_picture(kind, random.u64(..), SCENE_SIZE.0, SCENE_SIZE.1);
        save(&picture, &file)?;
    }
    Ok(())
}

fn write_scenes(output: &Path, split: &str, count: u32, random: &mut Rng) -> Result<()> {
    let bar = progress(count as usize, split);
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(COLUMNS)?;
    for number in 0..count {
        let scene = scene::random_scene(random.u64(..), SCENE_SIZE.0, SCENE_SIZE.1);
        let image_id = format!("scene-{number:05}");
        for truth in &scene.truth {
            let corners = truth.bounding_box.corners();
            let mut record = vec![image_id.clone()];
            record.extend(corners.map(|corner| corner.to_string()));
            record.extend([truth.label.clone(), truth.label.clone()]);
            csv.write_record(&record)?;
            let folder = output.join(split).join(&truth.label);
            save(&scene.image, &folder.join(format!("{image_id}.jpg")))?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let file = output.join(format!("annotations-{split}.csv"));
    let bytes = csv.into_inner().map_err(csv::IntoInnerError::into_error)?;
    boxcam_train::storage::write_whole(&file, &bytes)
        .map_err(|source| OutputError::new(&file, source))?;
    Ok(())
}

/// Writes an image; its folder is created.
fn save(image: &RgbImage, file: &Path) -> Result<(), OutputError> {
    let failed = |source| OutputError::new(file, source);
    let encoded = ImageFormat::from_path(file).and_then(|format| {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format)?;
        Ok(bytes.into_inner())
    });
    let bytes = encoded.map_err(|error| failed(std::io::Error::other(error)))?;
    boxcam_train::storage::write_unsynced(file, &bytes).map_err(failed)
}

#[derive(Debug, Args)]
pub(crate) struct MineNegativesArguments {
    /// Folder with a folder of images per class
    #[arg(long, value_name = "SPLIT_FOLDER")]
    pictures: PathBuf,
    /// The CSV file with their true boxes; images without a box are left out
    #[arg(long, value_name = "CSV")]
    annotations: PathBuf,
    /// Folder to write the crops to
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
}

fn mine_negatives(arguments: &MineNegativesArguments) -> Result<()> {
    let split = Dataset::read(&arguments.pictures, &arguments.annotations)?;
    if may_lack_a_box(&split) {
        for fault in &split.issues {
            message!("boxcam-train: {fault}");
        }
        bail!("correct these rows first: a crop of an image with a missing box may show an object");
    }
    std::fs::create_dir_all(&arguments.output)
        .map_err(|source| OutputError::new(&arguments.output, source))?;
    let bar = progress(split.pictures.len(), "crops");
    let mut written = 0;
    let mut names = HashSet::new();
    for picture in &split.pictures {
        written += u32::from(write_negative(picture, &arguments.output, &mut names)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    message!("written: {written} crops to {}", arguments.output.display());
    Ok(())
}

/// Writes the largest crop without a box, if there is one. An unreadable image is reported.
fn write_negative(
    picture: &AnnotatedPicture,
    output: &Path,
    names: &mut HashSet<String>,
) -> Result<bool> {
    if picture.annotations.is_empty() {
        return Ok(false);
    }
    let image = match picture.frame() {
        Ok(frame) => frame.image.into_rgb(),
        Err(error) => {
            message!("left out: {error}");
            return Ok(false);
        }
    };
    let Some(crop) = negative_crop(picture, &image) else {
        return Ok(false);
    };
    let stem = picture.path.file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy();
    // Pictures of several folders may have one name, and some file systems ignore the case.
    let numbered = (2_u32..).map(|copy| format!("{stem}-{copy}"));
    let mut free = [stem.to_string()].into_iter().chain(numbered);
    let name = free.find(|name| names.insert(name.to_lowercase()));
    let file = output.join(format!("{}.png", name.unwrap_or_default()));
    let crop = crop_imm(&image, crop.x, crop.y, crop.width, crop.height);
    save(&crop.to_image(), &file)?;
    Ok(true)
}
