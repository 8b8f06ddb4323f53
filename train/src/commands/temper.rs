//! `boxcam-train temper`: a float model whose confidences mean what they say.

use std::path::PathBuf;

use anyhow::{Context, Result};
use boxcam::dataset::Dataset;
use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::evaluate::{Calibration, Evaluation};
use boxcam_train::onnx;
use boxcam_train::temper::{Answer, cross_entropy, factor, temper};
use prost::Message;

use super::{Data, predictions};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: Data,
    /// The float model, as `train` or `average` wrote it
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Where to write the same model with other confidences
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut model = onnx::read(&arguments.model)?;
    let name = arguments.model.display().to_string();
    let validation = arguments.data.split("val")?;
    let said = said(&name, &model, &validation)?;
    let context = || format!("model {name}");
    let factor = factor(&said.answers).with_context(context)?;
    temper(&mut model, factor).with_context(context)?;
    let after = self::said(&name, &model, &validation)?;
    println!("logits are multiplied by {factor:.3}; on validation pictures");
    println!("                             before    after");
    println!(
        "cross-entropy                {:.4}   {:.4}",
        cross_entropy(&said.answers, 1.0),
        cross_entropy(&after.answers, 1.0)
    );
    println!(
        "expected calibration error   {:.4}   {:.4}",
        said.calibration.expected_error, after.calibration.expected_error
    );
    onnx::write(&arguments.output, &model)?;
    eprintln!("written: {}", arguments.output.display());
    Ok(())
}

/// What a model says of all pictures.
struct Said {
    answers: Vec<Answer>,
    calibration: Calibration,
}

fn said(name: &str, model: &tract_onnx::pb::ModelProto, split: &Dataset) -> Result<Said> {
    let detector = TractDetector::from_bytes(name, &model.encode_to_vec())?;
    let told = predictions(&detector, split, "pictures")?;
    let labels = &detector.card().labels;
    let mut evaluation = Evaluation::new(labels.clone());
    let mut answers = Vec::new();
    for (picture, prediction) in told {
        evaluation.add(&picture.folder, &picture.annotations, &prediction);
        answers.extend(labels.find(&picture.folder).map(|class| Answer {
            scores: prediction.scores().to_vec(),
            class: class.index(),
        }));
    }
    Ok(Said {
        answers,
        calibration: Calibration::of(&evaluation),
    })
}
