//! From the cells of a map to one box: the ways to get there, all on the same model and pictures.
//!
//! `cargo bench --bench cells -- --data SNACKS` runs a model's network once over all validation pictures and takes what its cells
//! say in each way. The table is that of docs/training.md.

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
use boxcam_train::model::Model;
use boxcam_train::network::to_vec;
use boxcam_train::recipe::{HeadKind, Recipe};
use boxcam_train::samples::TrainingImage;
use boxcam_train::weights;
use burn::prelude::*;
use burn::tensor::activation::softmax;
use clap::Parser;

/// Pictures that go through the network at a time.
const BATCH: usize = 16;

/// How often a box is drawn anew from the cells that agree with it.
const REFINE_ITERATIONS: usize = 2;

/// From the cells of a map to one box, in all ways
#[derive(Parser)]
struct Options {
    /// Folder with val/ and annotations-val.csv
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    /// Model whose cells are asked, float or int8; its weights are taken as floats
    #[arg(long, default_value_os_t = root().join("models/snacks.onnx"))]
    model: PathBuf,
    /// What cargo says to all benches
    #[arg(long, hide = true)]
    bench: bool,
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What the cells say of one picture.
struct Said {
    /// How much each counts, with a sum of 1.
    weights: Vec<f32>,
    boxes: Vec<[f32; 4]>,
    /// What the model itself makes of it.
    agreed: [f32; 4],
}

/// A way to one box, and its name in the table.
type Way = (&'static str, fn(&Said) -> [f32; 4]);

const WAYS: [Way; 6] = [
    ("mean of all boxes", |said| said.mean(|_, _| 1.0)),
    ("the one cell with the most weight", Said::heaviest),
    (
        "mean of the boxes of the place with the most weight",
        Said::place,
    ),
    (
        "that place, then twice the mean of the boxes that agree with the box so far",
        |said| said.revised(said.place()),
    ),
    (
        "**of nine proposals the one that may expect the most overlap, then the same**",
        |said| said.agreed,
    ),
    (
        "of all cells' boxes the one that may expect the most overlap, then the same",
        |said| said.revised(said.safest()),
    ),
];

fn main() -> Result<()> {
    let options = Options::parse();
    let annotations = options.data.join("annotations-val.csv");
    let split = Dataset::read(&options.data.join("val"), &annotations)?;
    let detector = TractDetector::from_file(&options.model)?;
    let labels = &detector.card().labels;
    let said = said(&options.model, detector.card(), &split)?;
    println!("| how | mean IoU | largest box | over half |");
    println!("| --- | --- | --- | --- |");
    let row = |name: &str, way: &dyn Fn(&AnnotatedPicture, &Said) -> [f32; 4]| -> Result<()> {
        let mut evaluation = Evaluation::new(labels.clone());
        for (picture, said) in split.pictures.iter().zip(&said) {
            // The class is none of the cells' business.
            let prediction = Prediction::new(vec![1.0; labels.len()], way(picture, said))?;
            evaluation.add(&picture.folder, &picture.annotations, &prediction);
        }
        let found = evaluation.metrics();
        println!(
            "| {name} | {:.4} | {:.4} | {:.4} |",
            found.mean_iou, found.largest_box_mean_iou, found.largest_box_iou_over_half
        );
        Ok(())
    };
    for (name, way) in WAYS {
        row(name, &|_, said| way(said))?;
    }
    let name = "for comparison: the cell whose box overlaps most with the largest true one";
    row(name, &|picture, said| {
        let truth = picture.largest_box().map(|row| row.bounding_box);
        said.best(|cell| overlap(&NormBox::from_regression(said.boxes[cell]), &truth))
    })
}

/// What the model's cells say of each picture, in the split's order.
fn said(file: &Path, card: &ModelCard, split: &Dataset) -> Result<Vec<Said>> {
    let weights = weights::read(file)?;
    // A head of another recipe's shape would be a fresh one.
    let recipe = Recipe::of_card(&card.training.recipe)?;
    if recipe.head != HeadKind::Fcos {
        bail!("the recipe {} makes a box without cells", recipe.name);
    }
    let device = Device::flex();
    let model = Model::new(&weights, &card.labels, &recipe, &device);
    let start = model.extractor(&device);
    let pictures = TrainingImage::unaugmented(split);
    let feed = DataLoader {
        images: &pictures,
        card: &channels_last(card),
        features: None,
    };
    let all: Vec<SampleRequest> = (0..pictures.len())
        .map(|picture| SampleRequest::new(picture, picture, Augmented::Cached(0)))
        .collect();
    let mut said = Vec::new();
    let mut fault = None;
    feed.batches(
        all.chunks(BATCH).map(<[_]>::to_vec).collect(),
        |mut batch| {
            fault = batch.errors.pop();
            let views = batch.tensor(&device);
            let input = match &start {
                Some(start) => start.forward(views),
                None => views,
            };
            let answer = model.net.forward(input);
            if let Some(cells) = answer.cells {
                let [pictures, cells_each] = cells.logits.dims();
                let weights = to_vec(softmax(cells.logits, 1));
                let boxes = to_vec(cells.corners);
                let agreed = to_vec(answer.corners);
                said.extend((0..pictures).map(|picture| Said {
                    weights: weights[picture * cells_each..][..cells_each].to_vec(),
                    boxes: boxes.as_chunks().0[picture * cells_each..][..cells_each].to_vec(),
                    agreed: agreed.as_chunks().0[picture],
                }));
            }
            fault.is_none()
        },
    );
    match fault {
        Some(fault) => Err(fault).context("every picture must be readable for this"),
        None => Ok(said),
    }
}

impl Said {
    /// The mean of the boxes, each with its weight by what `factor` says of it and its place.
    fn mean(&self, factor: impl Fn(usize, &[f32; 4]) -> f32) -> [f32; 4] {
        let mut sum = [0.0; 4];
        let mut total = 1e-6;
        for (cell, (corners, weight)) in self.boxes.iter().zip(&self.weights).enumerate() {
            let weight = weight * factor(cell, corners);
            total += weight;
            for (sum, corner) in sum.iter_mut().zip(corners) {
                *sum += weight * corner;
            }
        }
        sum.map(|corner| corner / total)
    }

    fn heaviest(&self) -> [f32; 4] {
        self.best(|cell| self.weights[cell])
    }

    fn best(&self, worth: impl Fn(usize) -> f32) -> [f32; 4] {
        let cells = 0..self.boxes.len();
        let best = cells.max_by(|&a, &b| worth(a).total_cmp(&worth(b)));
        best.map_or([0.0; 4], |cell| self.boxes[cell])
    }

    /// Of each cell with all within a third of the map's side of it, the mean where the weight is greatest.
    fn place(&self) -> [f32; 4] {
        let side = self.boxes.len().isqrt();
        let reach = side / 6;
        let is_near = |a: usize, b: usize| {
            (a % side).abs_diff(b % side) <= reach && (a / side).abs_diff(b / side) <= reach
        };
        let near = |middle: usize| (0..self.boxes.len()).filter(move |&cell| is_near(middle, cell));
        let weight = |middle: usize| near(middle).map(|cell| self.weights[cell]).sum::<f32>();
        let middles = 0..self.boxes.len();
        let Some(middle) = middles.max_by(|&a, &b| weight(a).total_cmp(&weight(b))) else {
            return [0.0; 4];
        };
        self.mean(|cell, _| f32::from(u8::from(is_near(middle, cell))))
    }

    /// The cell's box with the greatest mean overlap with those of all cells.
    fn safest(&self) -> [f32; 4] {
        let boxes: Vec<_> = self
            .boxes
            .iter()
            .map(|&b| NormBox::from_regression(b))
            .collect();
        self.best(|cell| {
            let each = boxes.iter().zip(&self.weights);
            each.map(|(other, weight)| weight * overlap(&boxes[cell], other))
                .sum()
        })
    }

    fn revised(&self, first: [f32; 4]) -> [f32; 4] {
        (0..REFINE_ITERATIONS).fold(first, |found, _| {
            let found = NormBox::from_regression(found);
            self.mean(|_, &corners| {
                overlap(&found, &NormBox::from_regression(corners)).powi(2) + 1e-6
            })
        })
    }
}

fn overlap(a: &Option<NormBox>, b: &Option<NormBox>) -> f32 {
    match (a, b) {
        (Some(a), Some(b)) => iou(a, b),
        _ => 0.0,
    }
}
