//! The Rust engines, each in its own process: the worker side of [`crate::engine`].
//!
//! The input of boxcam is pixels, as in its pipeline; the input of stock `tract` is floats that are ready made, as for the
//! engines of peers.py.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use boxcam::card::{
    BOX_OUTPUT, CLASS_OUTPUT, ModelCard, OBJECT_BOXES_OUTPUT, OBJECT_SCORES_OUTPUT,
};
use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::frame::{Frame, Origin};
use boxcam::preprocess::{InputTensor, preprocess};
use cpu_time::ProcessTime;
use image::RgbImage;
use tract_onnx::prelude::*;

use crate::engine::{OURS, Ready};
use crate::setup::{CARD_FILE, IMAGES_FILE};

/// Scores and corners.
type Prediction = (Vec<f32>, Vec<f32>);

/// A loaded network.
trait Network {
    /// Runs it on one of the images.
    fn predict(&mut self, image: usize) -> Result<Prediction>;

    /// Called once, between the predictions that are compared and those that are timed.
    fn before_timing(&mut self) {}
}

/// Runs one engine until standard input ends.
pub(crate) fn run(engine: &str, model: &Path, folder: &Path) -> Result<()> {
    let card = serde_json::from_str(&std::fs::read_to_string(folder.join(CARD_FILE))?)?;
    let inputs = inputs(&folder.join(IMAGES_FILE), &card)?;
    let count = inputs.len();
    let start = ProcessTime::try_now()?;
    let (mut network, version): (Box<dyn Network>, String) = match engine {
        OURS => {
            let detector = TractDetector::from_file(model)?;
            let version = env!("CARGO_PKG_VERSION").to_owned();
            (Box::new(Ours { detector, inputs }), version)
        }
        "tract-f32" => {
            let network = Tract::load(&folder.join("float.onnx"), &inputs)?;
            (Box::new(network), tract_version()?)
        }
        "tract-int8" => (Box::new(Tract::load(model, &inputs)?), tract_version()?),
        _ => bail!("unknown engine \"{engine}\""),
    };
    let load_ms = start.try_elapsed()?.as_secs_f64() * 1e3;
    let start = ProcessTime::try_now()?;
    network.predict(0)?;
    let ready = Ready {
        version,
        load_ms,
        first_ms: start.try_elapsed()?.as_secs_f64() * 1e3,
        predictions: (0..count)
            .map(|image| network.predict(image))
            .collect::<Result<_>>()?,
    };
    println!("{}", serde_json::to_string(&ready)?);
    network.before_timing();
    for line in std::io::stdin().lock().lines() {
        let inferences: u32 = line?.trim().parse()?;
        let (cpu, wall) = (ProcessTime::try_now()?, Instant::now());
        for _ in 0..inferences {
            std::hint::black_box(network.predict(0)?);
        }
        let (cpu, wall) = (cpu.try_elapsed()?, wall.elapsed());
        println!("{} {}", cpu.as_secs_f64(), wall.as_secs_f64());
    }
    Ok(())
}

fn inputs(file: &Path, card: &ModelCard) -> Result<Vec<InputTensor>> {
    let (width, height) = (card.input.width, card.input.height);
    let pixels = std::fs::read(file).with_context(|| file.display().to_string())?;
    let images = pixels.chunks_exact(width as usize * height as usize * 3);
    let input = |(number, pixels): (u64, &[u8])| {
        let image =
            RgbImage::from_raw(width, height, pixels.to_vec()).context("an image is truncated")?;
        Ok(preprocess(&Frame::new(number, Origin::Live, image), card)?)
    };
    (0..).zip(images).map(input).collect()
}

/// boxcam's detector.
struct Ours {
    detector: TractDetector,
    inputs: Vec<InputTensor>,
}

impl Network for Ours {
    fn predict(&mut self, image: usize) -> Result<Prediction> {
        let prediction = self.detector.predict(&self.inputs[image])?;
        let corners = prediction.bounding_box().corners().to_vec();
        Ok((prediction.scores().to_vec(), corners))
    }

    /// The camera's pipeline needs no objects below half the threshold.
    fn before_timing(&mut self) {
        if let Some(objects) = self.detector.card().objects {
            self.detector.set_min_object_score(objects.threshold / 2.0);
        }
    }
}

/// Stock `tract`, without boxcam's operators.
struct Tract {
    plan: Arc<TypedRunnableModel>,
    inputs: Vec<TValue>,
    outputs: Outputs,
}

/// Indices of the scores and the corners in a model's outputs.
enum Outputs {
    Image([usize; 2]),
    /// Of all cells; only in a model without outputs of the image.
    Objects([usize; 2]),
}

impl Tract {
    fn load(model: &Path, inputs: &[InputTensor]) -> Result<Self> {
        let shape = inputs.first().context("no images")?.shape();
        let proto = onnx().proto_model_for_path(model)?;
        let names = proto.graph.iter().flat_map(|graph| &graph.output);
        let names: Vec<&str> = names.map(|output| output.name.as_str()).collect();
        let position = |name: &str| names.iter().position(|found| *found == name);
        let both = |[a, b]: [&str; 2]| Some([position(a)?, position(b)?]);
        let image = both([CLASS_OUTPUT, BOX_OUTPUT]).map(Outputs::Image);
        let objects = || both([OBJECT_SCORES_OUTPUT, OBJECT_BOXES_OUTPUT]).map(Outputs::Objects);
        let outputs = image.or_else(objects).context("unknown outputs")?;
        let plan = onnx()
            .model_for_proto_model(&proto)?
            .with_input_fact(0, f32::fact(shape).into())?
            .into_optimized()?
            .into_runnable()?;
        let ready = |input: &InputTensor| Ok(Tensor::from_shape(&shape, &input.to_f32())?.into());
        let inputs = inputs.iter().map(ready).collect::<Result<_>>()?;
        Ok(Self {
            plan,
            inputs,
            outputs,
        })
    }
}

impl Network for Tract {
    fn predict(&mut self, image: usize) -> Result<Prediction> {
        // A clone of a value shares its data.
        let outputs = self.plan.run(tvec!(self.inputs[image].clone()))?;
        match self.outputs {
            Outputs::Image([scores, corners]) => {
                Ok((floats(&outputs[scores])?, floats(&outputs[corners])?))
            }
            Outputs::Objects([scores, boxes]) => {
                let classes = outputs[scores].shape().last().copied().unwrap_or(1).max(1);
                Ok(best_object(
                    &floats(&outputs[scores])?,
                    classes,
                    &floats(&outputs[boxes])?,
                ))
            }
        }
    }
}

/// The highest score of each class, and the box of the cell with the highest of them.
fn best_object(scores: &[f32], classes: usize, boxes: &[f32]) -> Prediction {
    let mut highest = vec![0.0f32; classes];
    let (mut best, mut corners) = (f32::NEG_INFINITY, Vec::new());
    for (scores, cell) in scores.chunks_exact(classes).zip(boxes.chunks_exact(4)) {
        for (highest, &score) in highest.iter_mut().zip(scores) {
            *highest = highest.max(score);
            if score > best {
                best = score;
                corners = cell.to_vec();
            }
        }
    }
    (highest, corners)
}

fn floats(value: &TValue) -> Result<Vec<f32>> {
    let view = value.to_plain_array_view::<f32>()?;
    Ok(view.iter().copied().collect())
}

/// The version in Cargo.lock.
fn tract_version() -> Result<String> {
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock"))?;
    let mut lines = lock
        .lines()
        .skip_while(|line| *line != "name = \"tract-core\"");
    let version = lines
        .nth(1)
        .and_then(|line| line.strip_prefix("version = "));
    let version = version.context("Cargo.lock names no tract-core")?;
    Ok(version.trim_matches('"').to_owned())
}
