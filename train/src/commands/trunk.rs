//! `boxcam-train trunk`: the trunk of a model by itself, in half precision, for others to start a training from.

use std::path::PathBuf;

use anyhow::Result;
use boxcam::detect::tract::ModelError;
use boxcam_train::{onnx, weights};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The model: the float model that `train` wrote loses least
    model: PathBuf,
    /// Where to write the trunk; `train --weights` takes it
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let trunk = weights::read(&arguments.model)?;
    let model = onnx::read(&arguments.model)?;
    let card = onnx::card(&model).map_err(|source| ModelError::Card {
        model: arguments.model.display().to_string(),
        source,
    })?;
    let half = weights::half_precision(&trunk, &card)?;
    onnx::write(&arguments.output, &half)?;
    eprintln!("written: {}", arguments.output.display());
    Ok(())
}
