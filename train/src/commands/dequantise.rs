//! `boxcam-train dequantise`: an int8 model back to floats, so that it can be quantised anew.

use std::path::PathBuf;

use anyhow::Result;
use boxcam_train::{onnx, quantize};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The int8 model, as `quantise` wrote it
    model: PathBuf,
    /// Where to write the float model
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let int8 = onnx::read(&arguments.model)?;
    let mut card = onnx::card(&int8).map_err(quantize::QuantizeError::from)?;
    let mut float = quantize::dequantize(&int8)?;
    // What was measured and said was the int8 model's.
    card.figures.clear();
    card.golden.clear();
    onnx::set_card(&mut float, &card);
    onnx::write(&arguments.output, &float)?;
    eprintln!("written: {}", arguments.output.display());
    Ok(())
}
