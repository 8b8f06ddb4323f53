//! `boxcam-train average`: the mean of several trainings that went on from the same model.

use std::path::PathBuf;

use anyhow::Result;
use boxcam_train::average::average;
use boxcam_train::onnx;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The float models, two or more; the first one's card is kept
    #[arg(required = true, num_args = 2.., value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Where to write the mean
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let models = arguments.models.iter().map(|path| onnx::read(path));
    let models = models.collect::<Result<Vec<_>, _>>()?;
    onnx::write(&arguments.output, &average(&models)?)?;
    eprintln!("written: {}", arguments.output.display());
    Ok(())
}
