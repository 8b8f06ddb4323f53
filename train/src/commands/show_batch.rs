//! `boxcam-train data show-batch`: pictures of a training as the network gets them.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use boxcam::card::ModelCard;
use boxcam::dataset::Dataset;
use boxcam::frame::{Frame, GroundTruth};
use boxcam::overlay::{Canvas, draw_box, draw_ground_truth};
use boxcam::preprocess::preprocess;

use boxcam_train::augmentation::Augmentation;
use boxcam_train::data_loader::{Augmented, DataLoader, SampleRequest};
use boxcam_train::draw;
use boxcam_train::draw::sheet::{Grid, SHEET_THEME, Tile};
use boxcam_train::message;
use boxcam_train::plan::EpochPlan;
use boxcam_train::recipe::Recipe;
use boxcam_train::samples::{Object, Sample, TrainingSet};
use boxcam_train::truth::{ImageClass, Truth};
use clap::Args;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{RgbColor, WebColors};
use fastrand::Rng;
use image::RgbImage;

use super::train::{input_size, labels, recipe_help, recipe_name, scenes, unnamed_card};
use super::{PreparedData, write};

/// Tiles per row of a drawn batch.
const TILES: usize = 8;

#[derive(Debug, Args)]
pub(crate) struct ShowBatchArguments {
    #[command(flatten)]
    data: PreparedData,
    #[arg(long, default_value = "full", value_parser = recipe_name, help = recipe_help())]
    recipe: String,
    /// Width and height of the network's input in pixels, instead of the recipe's (224 if it has none)
    #[arg(long, value_name = "PIXELS", value_parser = input_size)]
    input_size: Option<u32>,
    /// Samples in the batch
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    count: u16,
    /// Seed: the same seed draws the same batch
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For recipes that find several objects: folder of photographs without any of them, for scenes
    #[arg(long, value_name = "FOLDER")]
    backgrounds: Option<PathBuf>,
    /// Folder with cutouts.csv and masks/: objects to paste onto --backgrounds
    #[arg(long, value_name = "FOLDER", requires = "backgrounds")]
    cutouts: Option<PathBuf>,
    /// The PNG file to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

pub(super) fn show_batch(arguments: &ShowBatchArguments) -> Result<()> {
    let recipe = Recipe::named(&arguments.recipe)?;
    let train = arguments.data.split("train")?;
    let size = arguments.input_size.or(recipe.input_size).unwrap_or(224);
    let card = unnamed_card(labels(&train)?, size);
    let set = TrainingSet::new(&train, &card.labels, &recipe, arguments.seed);
    let tiles = match (&recipe.objects, &arguments.backgrounds) {
        (Some(_), _) => epoch_tiles(arguments, &set, &card, &recipe, &train)?,
        (None, None) => sample_tiles(arguments, &set, &card, &recipe),
        (None, Some(_)) => bail!(
            "the recipe {} has no scenes, so --backgrounds has no effect; leave it out, or add --recipe objects",
            recipe.name
        ),
    };
    if tiles.is_empty() {
        bail!(
            "the recipe {} has no sample to draw; its images must be readable, and rows or folders named by a class",
            recipe.name
        );
    }
    let title = format!("A batch of {} as the network gets it", tiles.len());
    let about = format!(
        "recipe {}, seed {}, {size} × {size} pixels each, of {} samples",
        recipe.name,
        arguments.seed,
        set.samples.len()
    );
    let grid = Grid {
        columns: TILES,
        tile: (size, size),
    };
    let page = draw::sheet::draw_sheet(&title, &about, &tiles, grid)?;
    write(&arguments.output, &draw::png(&page)?)?;
    println!("{about}");
    Ok(())
}

/// The pictures of the first epoch of a training of several objects: images, mosaics and scenes, with what they teach.
fn epoch_tiles(
    arguments: &ShowBatchArguments,
    set: &TrainingSet,
    card: &ModelCard,
    recipe: &Recipe,
    train: &Dataset,
) -> Result<Vec<Tile>> {
    let (backgrounds, cutouts) = (&arguments.backgrounds, &arguments.cutouts);
    let labels = &card.labels;
    let scenes = scenes(
        backgrounds.as_deref(),
        cutouts.as_deref(),
        recipe,
        train,
        labels,
    )?;
    let plan = EpochPlan {
        recipe,
        set,
        features: None,
        scenes: scenes.as_ref(),
        seed: arguments.seed,
        epoch: 1,
    };
    let loader = DataLoader {
        images: &set.images,
        card,
        features: None,
        scenes: scenes.as_ref(),
    };
    let tile = |request: &SampleRequest| {
        let tile = request_tile(request, &loader);
        tile.inspect_err(|fault| message!("left out: {fault:#}"))
            .ok()
    };
    let requests = plan.requests();
    let tiles = requests.iter().filter_map(tile);
    Ok(tiles.take(usize::from(arguments.count)).collect())
}

/// A picture with its objects: white boxes with a class; grey ones where no cell learns that an object is absent.
fn request_tile(request: &SampleRequest, loader: &DataLoader<'_>) -> Result<Tile> {
    let card = loader.card;
    let mut picture = preprocessed(&loader.frame(request)?, card)?;
    let empty = "its truth is missing";
    let truth = request.truth.as_ref().context(empty)?;
    for ignored in &truth.ignored {
        let color = Rgb888::CSS_GRAY;
        // Drawing into an image in memory cannot fail.
        let Ok(()) = draw_box(
            &mut Canvas::new(&mut picture),
            &ignored.bounding_box,
            color,
            "",
        );
    }
    let named = |object: &Object| GroundTruth {
        label: object
            .class
            .and_then(|class| card.labels.name(class))
            .unwrap_or_default()
            .to_owned(),
        bounding_box: object.bounding_box,
    };
    let boxes: Vec<GroundTruth> = truth.objects.iter().map(named).collect();
    let Ok(()) = draw_ground_truth(&mut Canvas::new(&mut picture), &boxes);
    let kind = match &request.augmented {
        Augmented::Cached(_) => "cached augmentation",
        Augmented::New(_) => "image",
        Augmented::Mosaic(..) => "mosaic",
        Augmented::Scene(..) => "scene",
    };
    Ok(Tile {
        picture,
        captions: vec![
            (
                format!("{kind}: {}", image_class(truth, card)),
                SHEET_THEME.text,
            ),
            (counts(truth), SHEET_THEME.muted),
        ],
    })
}

/// The class of the picture as a whole.
fn image_class<'a>(truth: &Truth, card: &'a ModelCard) -> &'a str {
    match truth.image_class {
        ImageClass::Is(class) => card.labels.name(class).unwrap_or("?"),
        ImageClass::Negative => "negative",
        ImageClass::Unknown => "no class as a whole",
    }
}

/// How many objects are to be found and how many are ignored, and of how many classes there may be more.
fn counts(truth: &Truth) -> String {
    let named = [
        ("objects", truth.objects.len()),
        ("ignored", truth.ignored.len()),
        ("incomplete", truth.incomplete.len()),
    ];
    let shown = named.iter().filter(|(_, count)| *count > 0);
    let shown = shown.map(|(name, count)| format!("{name} {count}"));
    shown.collect::<Vec<_>>().join(", ")
}

/// A picture as the network's input, preprocessed by the code that runs on the device.
fn preprocessed(frame: &Frame, card: &ModelCard) -> Result<RgbImage> {
    let input = preprocess(frame, card)?;
    let (width, height) = (card.input.width, card.input.height);
    RgbImage::from_raw(width, height, input.pixels().to_vec())
        .context("the preprocessed image has too few pixels")
}

/// Random samples of a training of one box.
fn sample_tiles(
    arguments: &ShowBatchArguments,
    set: &TrainingSet,
    card: &ModelCard,
    recipe: &Recipe,
) -> Vec<Tile> {
    let random = &mut Rng::with_seed(arguments.seed);
    let mut order: Vec<&Sample> = set.samples.iter().collect();
    random.shuffle(&mut order);
    let tiles = order.into_iter().filter_map(|sample| {
        let tile = sample_tile(sample, set, card, recipe, random);
        tile.inspect_err(|fault| message!("left out: {fault:#}"))
            .ok()
    });
    tiles.take(usize::from(arguments.count)).collect()
}

/// One sample in one of its augmentations.
fn sample_tile(
    sample: &Sample,
    set: &TrainingSet,
    card: &ModelCard,
    recipe: &Recipe,
    random: &mut Rng,
) -> Result<Tile> {
    let image = &set.images[sample.image];
    let wanted = sample.wanted_boxes(recipe);
    let primary = sample.primary_box();
    let truth = primary.as_ref();
    let cached = random.usize(0..image.augmentations.len());
    let (augmentation, caption) = match (recipe.caches_features(), cached) {
        (false, _) => (
            Augmentation::random(&recipe.augmentation, &wanted, random),
            "augmented".to_owned(),
        ),
        (true, 0) => (image.augmentations[0].clone(), "unchanged".to_owned()),
        (true, cached) => {
            let caption = format!(
                "augmentation {} of {}",
                cached + 1,
                image.augmentations.len()
            );
            (image.augmentations[cached].clone(), caption)
        }
    };
    let mut tile = preprocessed(&image.augmented(&augmentation)?, card)?;
    let name = sample.image_class.and_then(|class| card.labels.name(class));
    let name = name.unwrap_or("negative");
    let moved = truth.and_then(|truth| augmentation.apply_to_box(truth));
    if let Some(moved) = &moved {
        // Drawing into an image in memory cannot fail.
        let Ok(()) = draw_box(&mut Canvas::new(&mut tile), moved, Rgb888::WHITE, name);
    }
    let note = match (&moved, truth, sample.image_class) {
        (Some(_), ..) | (None, None, None) => "",
        (None, Some(_), _) => ", box outside the crop",
        (None, None, Some(_)) => ", no box annotated",
    };
    Ok(Tile {
        picture: tile,
        captions: vec![
            (format!("{name}{note}"), SHEET_THEME.text),
            (caption, SHEET_THEME.muted),
        ],
    })
}
