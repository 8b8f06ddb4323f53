//! `boxcam-train predict`: truth and prediction drawn together, worst and best first, and a row for each picture.
//!
//! The prediction is the device's own detector's, without a threshold. The truth is a picture's largest box, as in the
//! figures of `evaluate`; its other boxes are drawn in grey.

use std::path::PathBuf;

use anyhow::{Context, Result};
use boxcam::dataset::AnnotatedPicture;
use boxcam::dataset::Annotation;
use boxcam::detect::tract::TractDetector;
use boxcam::detect::{Detector, Prediction};
use boxcam::geometry::iou;
use boxcam::label::Labels;
use boxcam::overlay::{Canvas, draw_box};
use boxcam_train::draw;
use boxcam_train::draw::palette::Colour;
use boxcam_train::draw::sheet::{Grid, PAGE, Tile, fitted, sheet};
use clap::ValueEnum;
use embedded_graphics::pixelcolor::Rgb888;
use fastrand::Rng;

use super::output::write;
use super::{Data, predictions};

/// Tiles a row, and the most pixels of a tile.
const GRID: Grid = Grid {
    columns: 6,
    tile: (260, 220),
};

/// A box counts as right from this IoU on, as in `evaluate`.
const RIGHT_IOU: f32 = 0.5;

/// A true box; one of the others of a picture.
const TRUTH: Colour = [255, 255, 255];
const OTHER: Colour = [150, 150, 150];

/// Class and box right; the class alone; the class wrong. Of Paul Tol's light scheme, as the overlay's.
const RIGHT: Colour = [0x44, 0xBB, 0x99];
const LOOSE: Colour = [0xEE, 0xDD, 0x88];
const WRONG: Colour = [0xEE, 0x88, 0x66];

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: Data,
    /// The model file, float or int8
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Which pictures
    #[arg(long, default_value = "val", value_parser = ["train", "val"])]
    split: String,
    /// Folder to write predictions.csv and a sheet for each order to
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
    /// Pictures a sheet
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=240))]
    count: u16,
    /// Which pictures come first; several with commas between them
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Order::Worst, Order::Best])]
    sort: Vec<Order>,
    /// Seed of the random order
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Which pictures come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    /// The lowest IoU first
    Worst,
    /// The highest IoU first
    Best,
    /// Any picture with a true box, by chance
    Random,
}

/// A picture, its truth and what was said of it.
struct Judged<'a> {
    picture: &'a AnnotatedPicture,
    truth: Option<&'a Annotation>,
    prediction: Prediction,
    /// With the truth.
    iou: Option<f32>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let detector = TractDetector::from_file(&arguments.model)?;
    let split = arguments.data.split(&arguments.split)?;
    let told = predictions(&detector, &split, "predicting")?;
    let judged: Vec<Judged> = told
        .into_iter()
        .map(|(picture, said)| judge(picture, said))
        .collect();
    let labels = &detector.card().labels;
    write(
        &arguments.output.join("predictions.csv"),
        &csv(&judged, labels)?,
    )?;
    for &order in &arguments.sort {
        let chosen = chosen(&judged, order, usize::from(arguments.count), arguments.seed);
        let title = match order {
            Order::Worst => "Lowest overlap first",
            Order::Best => "Highest overlap first",
            Order::Random => "By chance",
        };
        let about = format!(
            "{}, {}: white is true, green is right, yellow has the class only, orange is wrong",
            detector.card().name,
            arguments.split
        );
        let tiles: Result<Vec<Tile>> = chosen.iter().map(|judged| tile(judged, labels)).collect();
        let page = sheet(title, &about, &tiles?, GRID)?;
        let name = order
            .to_possible_value()
            .map_or(String::new(), |value| value.get_name().to_owned());
        write(
            &arguments.output.join(format!("{name}.png")),
            &draw::png(&page)?,
        )?;
    }
    print_figures(&judged, labels);
    Ok(())
}

fn judge(picture: &AnnotatedPicture, prediction: Prediction) -> Judged<'_> {
    let truth = picture.largest_box();
    let iou = truth.map(|truth| iou(&truth.bounding_box, prediction.bounding_box()));
    Judged {
        picture,
        truth,
        prediction,
        iou,
    }
}

/// The first pictures in that order, of those with a true box; equals in the order of their paths.
fn chosen<'j, 'a>(
    judged: &'j [Judged<'a>],
    order: Order,
    count: usize,
    seed: u64,
) -> Vec<&'j Judged<'a>> {
    let mut ranked: Vec<_> = judged.iter().filter_map(|j| Some((j.iou?, j))).collect();
    match order {
        Order::Worst => ranked.sort_by(|a, b| a.0.total_cmp(&b.0)),
        Order::Best => ranked.sort_by(|a, b| b.0.total_cmp(&a.0)),
        Order::Random => Rng::with_seed(seed).shuffle(&mut ranked),
    }
    ranked
        .into_iter()
        .take(count)
        .map(|(_, judged)| judged)
        .collect()
}

/// What the picture truly is: the class of its largest box, or its folder.
fn true_class<'a>(judged: &Judged<'a>) -> &'a str {
    judged
        .truth
        .map_or(judged.picture.folder.as_str(), |truth| &truth.class_name)
}

fn tile(judged: &Judged<'_>, labels: &Labels) -> Result<Tile> {
    let frame = judged.picture.frame()?;
    // Lines are drawn on the small picture, so that they keep their width.
    let mut shown = fitted(&frame.image, GRID.tile);
    let (class, score) = judged.prediction.top();
    let said = labels.name(class).unwrap_or("?");
    let truth = true_class(judged);
    let iou = judged.iou.unwrap_or(0.0);
    let colour = match (said == truth, iou >= RIGHT_IOU) {
        (true, true) => RIGHT,
        (true, false) => LOOSE,
        (false, _) => WRONG,
    };
    let others = judged
        .picture
        .annotations
        .iter()
        .filter(|&row| Some(row) != judged.truth);
    let boxes = others.map(|row| (&row.bounding_box, OTHER));
    let boxes = boxes.chain(judged.truth.map(|truth| (&truth.bounding_box, TRUTH)));
    let boxes = boxes.chain([(judged.prediction.bounding_box(), colour)]);
    for (bounding_box, [red, green, blue]) in boxes {
        let ink = Rgb888::new(red, green, blue);
        // Drawing on a picture in memory can't fail.
        let Ok(()) = draw_box(&mut Canvas::new(&mut shown), bounding_box, ink, "");
    }
    let name = judged.picture.path.file_stem().unwrap_or_default();
    Ok(Tile {
        picture: shown,
        captions: vec![
            (format!("true: {truth}, IoU {iou:.2}"), TRUTH),
            (format!("said: {said} {:.0}%", score * 100.0), colour),
            (
                format!("{}/{}", judged.picture.folder, name.to_string_lossy()),
                PAGE.quiet,
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

/// A row for each picture, in the order of their paths; without a true box the IoU is left open.
fn csv(judged: &[Judged<'_>], labels: &Labels) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for judged in judged {
        let (class, score) = judged.prediction.top();
        let mut record = vec![
            judged.picture.path.display().to_string(),
            judged.picture.folder.clone(),
            true_class(judged).to_owned(),
            labels.name(class).unwrap_or("?").to_owned(),
            format!("{score:.4}"),
            judged.iou.map_or(String::new(), |iou| format!("{iou:.4}")),
        ];
        let corners = judged.prediction.bounding_box().corners();
        record.extend(corners.map(|corner| format!("{corner:.4}")));
        writer.write_record(&record)?;
    }
    writer
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)
        .context("the table can't be made")
}

fn print_figures(judged: &[Judged<'_>], labels: &Labels) {
    let overlaps: Vec<f32> = judged.iter().filter_map(|judged| judged.iou).collect();
    let right = judged.iter().filter(|judged| {
        let (class, _) = judged.prediction.top();
        labels.name(class) == Some(true_class(judged))
    });
    let share = |count: usize, of: usize| count as f32 / of.max(1) as f32;
    let over = overlaps.iter().filter(|&&iou| iou >= RIGHT_IOU).count();
    println!(
        "{} pictures, {} with a box: class right {:.4}, mean IoU {:.4}, IoU at least {RIGHT_IOU} on {:.4}",
        judged.len(),
        overlaps.len(),
        share(right.count(), judged.len()),
        overlaps.iter().sum::<f32>() / overlaps.len().max(1) as f32,
        share(over, overlaps.len())
    );
}
