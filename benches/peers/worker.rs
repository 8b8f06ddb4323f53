//! The Rust engines, each in its own process: the worker side of [`crate::engine`].
//!
//! The input of boxcam is pixels, as in its pipeline; the input of stock `tract` is floats that are ready made, as for the
//! engines of peers.py.

use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use boxcam::card::ModelCard;
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

/// A loaded network, which runs one of its images.
type Run = Box<dyn FnMut(usize) -> Result<Prediction>>;

/// Runs one engine until standard input ends.
pub(crate) fn run(engine: &str, model: &Path, folder: &Path) -> Result<()> {
    let card = serde_json::from_str(&std::fs::read_to_string(folder.join(CARD_FILE))?)?;
    let inputs = inputs(&folder.join(IMAGES_FILE), &card)?;
    let count = inputs.len();
    let start = ProcessTime::try_now()?;
    let (mut run, version) = match engine {
        OURS => (ours(model, inputs)?, env!("CARGO_PKG_VERSION").to_owned()),
        "tract-f32" => (
            tract(&folder.join("float.onnx"), &inputs)?,
            tract_version()?,
        ),
        "tract-int8" => (tract(model, &inputs)?, tract_version()?),
        _ => bail!("unknown engine \"{engine}\""),
    };
    let load_ms = start.try_elapsed()?.as_secs_f64() * 1e3;
    let start = ProcessTime::try_now()?;
    run(0)?;
    let ready = Ready {
        version,
        load_ms,
        first_ms: start.try_elapsed()?.as_secs_f64() * 1e3,
        predictions: (0..count).map(&mut run).collect::<Result<_>>()?,
    };
    println!("{}", serde_json::to_string(&ready)?);
    for line in std::io::stdin().lock().lines() {
        let inferences: u32 = line?.trim().parse()?;
        let (cpu, wall) = (ProcessTime::try_now()?, Instant::now());
        for _ in 0..inferences {
            std::hint::black_box(run(0)?);
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

fn ours(model: &Path, inputs: Vec<InputTensor>) -> Result<Run> {
    let mut detector = TractDetector::from_file(model)?;
    Ok(Box::new(move |image| {
        let prediction = detector.predict(&inputs[image])?;
        let corners = prediction.bounding_box().corners().to_vec();
        Ok((prediction.scores().to_vec(), corners))
    }))
}

/// Stock `tract`, without boxcam's operators.
fn tract(model: &Path, inputs: &[InputTensor]) -> Result<Run> {
    let shape = inputs.first().context("no images")?.shape();
    let plan = onnx()
        .model_for_path(model)?
        .with_input_fact(0, f32::fact(shape).into())?
        .into_optimized()?
        .into_runnable()?;
    let ready = |input: &InputTensor| Ok(Tensor::from_shape(&shape, &input.to_f32())?.into());
    let inputs: Vec<TValue> = inputs.iter().map(ready).collect::<Result<_>>()?;
    Ok(Box::new(move |image| {
        // A clone of a value shares its data.
        let outputs = plan.run(tvec!(inputs[image].clone()))?;
        let [scores, corners] = &outputs[..] else {
            bail!("{} outputs, expected two", outputs.len());
        };
        Ok((floats(scores)?, floats(corners)?))
    }))
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
