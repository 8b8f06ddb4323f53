//! `boxcam-train model summary`: prints a model's layers as a table.

use std::path::PathBuf;

use anyhow::Result;
use boxcam_train::onnx;
use boxcam_train::summary::{Summary, bytes, table};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The model file, float or int8
    model: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let file = arguments.model.display().to_string();
    let model = onnx::read(&arguments.model)?;
    let size = std::fs::metadata(&arguments.model).map_or(0, |data| data.len());
    print!("{}", table(&Summary::of(&file, &model)?));
    println!("file: {file}, {}", bytes(size));
    Ok(())
}
