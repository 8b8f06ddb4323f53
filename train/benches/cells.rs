//! Ways to decode the cells of the FCOS head to one box, compared on the same model and pictures.
//!
//! `cargo bench --bench cells -- --data SNACKS` runs a model once over all validation pictures and prints the table of
//! docs/training.md.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use boxcam::card::ModelCard;
use boxcam::dataset::{AnnotatedPicture, Dataset};
use boxcam::detect::tract::TractDetector;
use boxcam::detect::{Detector, Prediction};
use boxcam::evaluate::Evaluation;
use boxcam::geometry::{NormBox, iou};
use boxcam_train::data_loader::{Augmented, DataLoader, SampleRequest};
use boxcam_train::features::channels_last;
use boxcam_train::heads::CellPredictions;
use boxcam_train::model::Model;
use boxcam_train::network::to_vec;
use boxcam_train::recipe::{HeadKind, Recipe};
use boxcam_train::samples::TrainingImage;
use boxcam_train::weights;
use burn::prelude::*;
use clap::Parser;

/// Pictures per batch.
const BATCH: usize = 16;

/// Compare ways to decode the cells of the FCOS head to one box
#[derive(Parser)]
struct Options {
    /// Folder with val/ and annotations-val.csv
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    /// Model with an FCOS head, float or int8; it runs in floats
    #[arg(long, default_value_os_t = root().join("models/snacks.onnx"))]
    model: PathBuf,
    /// Cargo passes this to all benches
    #[arg(long, hide = true)]
    bench: bool,
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Decodes the cells of one picture to corners `[1, 4]`; its name is that in the table.
type Decoding = (&'static str, fn(&CellPredictions) -> Tensor<2>);

const DECODINGS: [Decoding; 6] = [
    ("weighted mean of all boxes", |cells| {
        cells.weighted_mean(&Tensor::ones_like(&cells.weights))
    }),
    ("box of the cell with the largest weight", heaviest_cell),
    ("mean of the window with the most weight", heaviest_window),
    ("the same, refined twice", |cells| {
        cells.refine(heaviest_window(cells))
    }),
    (
        "**proposal of nine with the highest expected IoU, refined twice**",
        CellPredictions::decode,
    ),
    (
        "cell's box with the highest expected IoU, refined twice",
        |cells| cells.refine(safest_cell(cells)),
    ),
];

fn main() -> Result<()> {
    let options = Options::parse();
    let annotations = options.data.join("annotations-val.csv");
    let split = Dataset::read(&options.data.join("val"), &annotations)?;
    let detector = TractDetector::from_file(&options.model)?;
    let labels = &detector.card().labels;
    let predictions = predict(&options.model, detector.card(), &split)?;
    println!("| decoding | mean IoU | largest box | over half |");
    println!("| --- | --- | --- | --- |");
    type Decode<'d> = dyn Fn(&AnnotatedPicture, &CellPredictions) -> Tensor<2> + 'd;
    let row = |name: &str, decode: &Decode| -> Result<()> {
        let mut evaluation = Evaluation::new(labels.clone());
        for (picture, cells) in split.pictures.iter().zip(&predictions) {
            let corners = to_vec(decode(picture, cells));
            // Only the box is evaluated.
            let prediction = Prediction::new(vec![1.0; labels.len()], corners.as_chunks().0[0])?;
            evaluation.add(&picture.folder, &picture.annotations, &prediction);
        }
        let found = evaluation.metrics();
        println!(
            "| {name} | {:.4} | {:.4} | {:.4} |",
            found.mean_iou, found.largest_box_mean_iou, found.largest_box_iou_over_half
        );
        Ok(())
    };
    for (name, decode) in DECODINGS {
        row(name, &|_, cells| decode(cells))?;
    }
    let name = "upper bound: the cell's box with the highest IoU with the largest true box";
    row(name, &|picture, cells| {
        let truth = picture.largest_box().map(|row| row.bounding_box);
        let overlaps = boxes(cells).iter().map(|b| overlap(b, &truth)).collect();
        cell_box(cells, argmax(overlaps))
    })
}

/// The cells of each picture, in the split's order.
fn predict(file: &Path, card: &ModelCard, split: &Dataset) -> Result<Vec<CellPredictions>> {
    let weights = weights::read(file)?;
    // Another recipe's head would have other shapes and stay untrained.
    let recipe = Recipe::of_card(&card.training.recipe)?;
    if recipe.head == HeadKind::Global {
        bail!("the recipe {} has no FCOS head", recipe.name);
    }
    let device = Device::flex();
    let model = Model::new(&weights, &card.labels, &recipe, &device);
    let frozen = model.frozen_backbone(&device);
    let pictures = TrainingImage::unaugmented(split);
    let loader = DataLoader {
        images: &pictures,
        card: &channels_last(card),
        features: None,
        scenes: None,
    };
    let all: Vec<SampleRequest> = (0..pictures.len())
        .map(|picture| SampleRequest::new(picture, picture, Augmented::Cached(0)))
        .collect();
    let mut predictions = Vec::new();
    let mut fault = None;
    loader.batches(
        all.chunks(BATCH).map(<[_]>::to_vec).collect(),
        |mut batch| {
            fault = batch.errors.pop();
            let pixels = batch.tensor(&device);
            let input = match &frozen {
                Some(frozen) => frozen.forward(pixels),
                None => pixels,
            };
            if let Some(cells) = model.net.forward(input).cells {
                let [pictures, ..] = cells.logits.dims();
                let of = |values: &Tensor<3>, picture| values.clone().narrow(0, picture, 1);
                predictions.extend((0..pictures).map(|picture| CellPredictions {
                    logits: of(&cells.logits, picture),
                    weights: of(&cells.weights, picture),
                    corners: of(&cells.corners, picture),
                }));
            }
            fault.is_none()
        },
    );
    match fault {
        Some(fault) => Err(fault).context("every picture must be readable for this comparison"),
        None => Ok(predictions),
    }
}

fn heaviest_cell(cells: &CellPredictions) -> Tensor<2> {
    cell_box(cells, argmax(to_vec(cells.weights.clone())))
}

/// The mean box of the window, a third of the map's side wide, that has the most weight.
fn heaviest_window(cells: &CellPredictions) -> Tensor<2> {
    let weights = to_vec(cells.weights.clone());
    let side = weights.len().isqrt();
    let reach = side / 6;
    let is_near = |a: usize, b: usize| {
        (a % side).abs_diff(b % side) <= reach && (a / side).abs_diff(b / side) <= reach
    };
    let all = || 0..weights.len();
    let weight = |centre: usize| -> f32 {
        let near = all().filter(|&cell| is_near(centre, cell));
        near.map(|cell| weights[cell]).sum()
    };
    let centre = argmax(all().map(weight).collect());
    let factors: Vec<f32> = all()
        .map(|cell| f32::from(u8::from(is_near(centre, cell))))
        .collect();
    let shape = cells.weights.dims();
    let factors = Tensor::from_data(TensorData::new(factors, shape), &cells.weights.device());
    cells.weighted_mean(&factors)
}

/// The cell's box with the highest expected IoU: the weighted mean IoU with the boxes of all cells.
fn safest_cell(cells: &CellPredictions) -> Tensor<2> {
    let weights = to_vec(cells.weights.clone());
    let boxes = boxes(cells);
    let expected = boxes.iter().map(|cell| {
        let each = boxes.iter().zip(&weights);
        each.map(|(other, weight)| weight * overlap(cell, other))
            .sum()
    });
    cell_box(cells, argmax(expected.collect()))
}

fn boxes(cells: &CellPredictions) -> Vec<Option<NormBox>> {
    let corners = to_vec(cells.corners.clone().swap_dims(1, 2));
    let corners = corners.as_chunks().0.iter();
    corners
        .map(|&corners| NormBox::from_regression(corners))
        .collect()
}

fn cell_box(cells: &CellPredictions, cell: usize) -> Tensor<2> {
    cells.corners.clone().narrow(2, cell, 1).reshape([1, 4])
}

fn argmax(values: Vec<f32>) -> usize {
    let values = values.into_iter().enumerate();
    values
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(0, |(index, _)| index)
}

fn overlap(a: &Option<NormBox>, b: &Option<NormBox>) -> f32 {
    match (a, b) {
        (Some(a), Some(b)) => iou(a, b),
        _ => 0.0,
    }
}
