//! `boxcam-train batch`: one training batch as the network gets it, its true boxes moved along.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use boxcam::card::{BoxOrder, CARD_SCHEMA, InputSpec, ModelCard, Training};
use boxcam::dataset::Dataset;
use boxcam::label::Labels;
use boxcam::overlay::{Canvas, draw_box};
use boxcam::preprocess::preprocess;
use boxcam_train::draw;
use boxcam_train::draw::sheet::{Grid, PAGE, Tile, sheet};
use boxcam_train::examples::{Example, Examples};
use boxcam_train::recipe::Recipe;
use boxcam_train::view::View;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::RgbColor;
use fastrand::Rng;
use image::RgbImage;

use super::Data;
use super::output::write;

/// Tiles a row.
const COLUMNS: usize = 8;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: Data,
    /// The recipe whose examples and views are drawn
    #[arg(long, default_value = "snacks", value_parser = recipe)]
    recipe: Recipe,
    /// Width and height of the network's input
    #[arg(long, default_value_t = 224, value_parser = clap::value_parser!(u32).range(8..=1024))]
    side: u32,
    /// Examples of the batch
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    count: u16,
    /// Seed of views and choice: the same seed draws the same batch
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The PNG to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

fn recipe(name: &str) -> Result<Recipe, String> {
    let known = || Recipe::all().map(|recipe| recipe.name).join(", ");
    Recipe::named(name).ok_or_else(|| format!("there is none of that name, only: {}", known()))
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let train = arguments.data.split("train")?;
    let card = card(&train, arguments.side)?;
    let examples = Examples::new(&train, &card.labels, &arguments.recipe, arguments.seed);
    let random = &mut Rng::with_seed(arguments.seed);
    let wanted = usize::from(arguments.count);
    let mut order: Vec<&Example> = examples.examples.iter().collect();
    random.shuffle(&mut order);
    let keeps_views = arguments.recipe.keeps_features();
    let mut tiles = Vec::new();
    for example in order {
        if tiles.len() == wanted {
            break;
        }
        match tile(example, &examples, &card, keeps_views, random) {
            Ok(tile) => tiles.push(tile),
            Err(fault) => eprintln!("left out: {fault:#}"),
        }
    }
    if tiles.is_empty() {
        bail!(
            "no example of this recipe can be drawn; a row or a folder must name a class, and its picture be readable"
        );
    }
    let title = format!("A batch of {} as the network gets it", tiles.len());
    let side = arguments.side;
    let about = format!(
        "recipe {}, seed {}, {side} × {side} pixels each, of {} examples",
        arguments.recipe.name,
        arguments.seed,
        examples.examples.len()
    );
    let grid = Grid {
        columns: COLUMNS,
        tile: (side, side),
    };
    write(
        &arguments.output,
        &draw::png(&sheet(&title, &about, &tiles, grid)?)?,
    )?;
    println!("{about}");
    Ok(())
}

/// As much of a card as preprocessing asks for.
fn card(train: &Dataset, side: u32) -> Result<ModelCard> {
    let folders: BTreeSet<String> = train.pictures.iter().map(|p| p.folder.clone()).collect();
    Ok(ModelCard {
        schema: CARD_SCHEMA,
        name: String::new(),
        labels: Labels::new(folders.into_iter().collect())?,
        input: InputSpec::mobilenet(side),
        box_order: BoxOrder::Corners,
        threshold: 0.0,
        training: Training::default(),
        figures: std::collections::BTreeMap::new(),
        golden: Vec::new(),
    })
}

/// One example in one of its views, through the same door as in training.
fn tile(
    example: &Example,
    examples: &Examples,
    card: &ModelCard,
    keeps_views: bool,
    random: &mut Rng,
) -> Result<Tile> {
    let picture = &examples.pictures[example.picture];
    let truth = example.bounding_box.as_ref();
    let kept = random.usize(0..picture.views.len());
    let (view, looks) = match (keeps_views, kept) {
        (false, _) => (View::random(truth, random), "one view of many".to_owned()),
        (true, 0) => (picture.views[0].clone(), "as it is".to_owned()),
        (true, kept) => {
            let number = kept + 1;
            let looks = format!("view {number} of {}", picture.views.len());
            (picture.views[kept].clone(), looks)
        }
    };
    let input = preprocess(&picture.show(&view)?, card)?;
    let (width, height) = (card.input.width, card.input.height);
    let mut shown = RgbImage::from_raw(width, height, input.pixels().to_vec())
        .context("a view has too few pixels")?;
    let name = example.class.and_then(|class| card.labels.name(class));
    let name = name.unwrap_or("nothing");
    let moved = truth.and_then(|truth| view.of_box(truth));
    if let Some(moved) = &moved {
        // Drawing on a picture in memory can't fail.
        let Ok(()) = draw_box(&mut Canvas::new(&mut shown), moved, Rgb888::WHITE, name);
    }
    let what = match (&moved, truth) {
        (Some(_), _) => String::new(),
        (None, Some(_)) => ", its box is cut away".to_owned(),
        (None, None) if example.class.is_some() => ", its box is not known".to_owned(),
        (None, None) => " to find".to_owned(),
    };
    Ok(Tile {
        picture: shown,
        captions: vec![(format!("{name}{what}"), PAGE.ink), (looks, PAGE.quiet)],
    })
}
