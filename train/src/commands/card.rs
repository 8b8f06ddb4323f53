//! `boxcam-train card`: the card of a model file, as JSON; or the file anew with parts of its card changed.

use std::path::PathBuf;

use anyhow::Result;
use boxcam::detect::tract::ModelError;
use boxcam_train::golden::add_golden;
use boxcam_train::onnx;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The model file
    model: PathBuf,
    /// Write the model with the changes below into this file, which may be the same
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Confidence from which a prediction is a detection
    #[arg(long, requires = "output", value_parser = super::share)]
    threshold: Option<f32>,
    /// Record golden examples anew, by which a board proves that it computes what this machine computes
    #[arg(long, requires = "output")]
    golden: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut model = onnx::read(&arguments.model)?;
    let name = arguments.model.display().to_string();
    let mut card = onnx::card(&model).map_err(|source| ModelError::Card {
        model: name.clone(),
        source,
    })?;
    let Some(output) = &arguments.output else {
        println!("{}", serde_json::to_string_pretty(&card)?);
        return Ok(());
    };
    card.threshold = arguments.threshold.unwrap_or(card.threshold);
    onnx::set_card(&mut model, &card);
    if arguments.golden {
        add_golden(&mut model, &name)?;
    }
    onnx::write(output, &model)?;
    eprintln!("written: {}", output.display());
    Ok(())
}
