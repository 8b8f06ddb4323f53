//! `boxcam-train card`: the card of a model file, as JSON.

use std::path::PathBuf;

use anyhow::Result;
use boxcam::detect::tract::ModelError;
use boxcam_train::{onnx, quantise};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The model file.
    model: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let model = onnx::read(&arguments.model)?;
    let card = quantise::card(&model).map_err(|source| ModelError::Card {
        model: arguments.model.display().to_string(),
        source,
    })?;
    println!("{}", serde_json::to_string_pretty(&card)?);
    Ok(())
}
