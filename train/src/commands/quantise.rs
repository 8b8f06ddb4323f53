//! `boxcam-train quantise`: a float model to the int8 model that ships, or a refusal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use boxcam::card::ModelCard;
use boxcam::detect::tract::TractDetector;
use boxcam::evaluate::Figures;
use boxcam::preprocess::{InputTensor, preprocess};
use boxcam::split::Split;
use boxcam_train::golden::add_golden;
use boxcam_train::onnx;
use boxcam_train::quantise::calibrate::calibrate;
use boxcam_train::quantise::{self, Loss};
use prost::Message;

use super::{Data, progress};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: Data,
    /// The float model, as `train` wrote it
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Where to write the int8 model
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Training pictures to calibrate on
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pictures: u32,
    /// Confidence from which a prediction is a detection, in place of the float model's own
    #[arg(long, value_parser = super::share)]
    threshold: Option<f32>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let float = onnx::read(&arguments.model)?;
    let mut card = quantise::card(&float).map_err(quantise::QuantiseError::from)?;
    let train = arguments.data.split("train")?;
    let inputs = calibration_inputs(&train, &card, arguments.pictures as usize);
    let ranges = calibrate(&float, &inputs)?;
    let mut int8 = quantise::quantise(&float, &ranges)?;
    let validation = arguments.data.split("val")?;
    let float_figures = figures(&arguments.model, &float.encode_to_vec(), &validation)?;
    let int8_figures = figures(&arguments.output, &int8.encode_to_vec(), &validation)?;
    println!("model  class accuracy  mean IoU  largest box  over 0.5");
    for (name, figures) in [("float", &float_figures), ("int8 ", &int8_figures)] {
        println!(
            "{name}          {:.4}    {:.4}       {:.4}    {:.4}",
            figures.class_accuracy,
            figures.mean_iou,
            figures.largest_box_mean_iou,
            figures.largest_box_iou_over_half
        );
    }
    let loss = Loss::between(&float_figures, &int8_figures).check()?;
    println!(
        "quantising costs {:.4} of class accuracy and {:.4} of mean IoU",
        loss.accuracy, loss.iou
    );
    card.figures = card_figures(&int8_figures);
    card.threshold = arguments.threshold.unwrap_or(card.threshold);
    // The float model's examples, if it has any, are not what the int8 model says.
    card.golden.clear();
    onnx::set_card(&mut int8, &card);
    add_golden(&mut int8, &arguments.output.display().to_string())?;
    onnx::write(&arguments.output, &int8)?;
    eprintln!("written: {}", arguments.output.display());
    Ok(())
}

/// Pictures spread evenly over the split, so that every class is among them.
fn calibration_inputs(split: &Split, card: &ModelCard, count: usize) -> Vec<InputTensor> {
    let step = (split.pictures.len() / count).max(1);
    let bar = progress(split.pictures.len().div_ceil(step), "calibration");
    split
        .pictures
        .iter()
        .step_by(step)
        .filter_map(move |picture| {
            bar.inc(1);
            let frame = picture.frame().map_err(anyhow::Error::from);
            let input = frame.and_then(|frame| Ok(preprocess(&frame, card)?));
            input
                .inspect_err(|fault| eprintln!("left out: {fault}"))
                .ok()
        })
        .collect()
}

/// The figures of a model as the device runs it.
fn figures(name: &Path, model: &[u8], split: &Split) -> Result<Figures> {
    let detector = TractDetector::from_bytes(&name.display().to_string(), model)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let bar = progress(split.pictures.len(), "evaluation ");
    let (evaluation, faults) = split.evaluate(&detector, threads, &|| bar.inc(1))?;
    bar.finish_and_clear();
    for fault in faults {
        eprintln!("left out: {fault}");
    }
    Ok(evaluation.figures())
}

fn card_figures(figures: &Figures) -> BTreeMap<String, f64> {
    let named = [
        ("rows", figures.rows as f64),
        ("pictures", figures.pictures as f64),
        ("class_accuracy", figures.class_accuracy),
        ("picture_accuracy", figures.picture_accuracy),
        ("mean_iou", figures.mean_iou),
        ("largest_box_mean_iou", figures.largest_box_mean_iou),
        (
            "largest_box_iou_over_half",
            figures.largest_box_iou_over_half,
        ),
        ("box_mse", figures.box_mse),
    ];
    named.map(|(name, value)| (name.to_owned(), value)).into()
}
