//! The commands, one file each, and what they share: where the data lies, and how they end.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use boxcam::detect::tract::ModelError;
use boxcam::split::{Split, SplitError};
use boxcam_train::onnx::OnnxError;
use boxcam_train::quantise::QuantiseError;
use boxcam_train::weights::WeightsError;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

pub(crate) mod backgrounds;
pub(crate) mod card;
pub(crate) mod dequantise;
pub(crate) mod quantise;
pub(crate) mod scenes;
pub(crate) mod train;
pub(crate) mod trunk;

/// Where the pictures and their boxes are.
#[derive(Debug, Args)]
pub(crate) struct Data {
    /// Folder with train/, val/, annotations-train.csv and annotations-val.csv; the pictures lie in
    /// train/CLASS/ID.jpg and val/CLASS/ID.jpg
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
}

impl Data {
    /// The split of that name, `train` or `val`. What is wrong with single rows is said on stderr.
    fn split(&self, name: &str) -> Result<Split> {
        let annotations = self.data.join(format!("annotations-{name}.csv"));
        let split = Split::read(&self.data.join(name), &annotations)?;
        for fault in &split.faults {
            eprintln!("left out: {fault}");
        }
        Ok(split)
    }
}

/// A number between 0 and 1, from the command line.
fn share(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a number between 0 and 1".to_owned()),
    }
}

/// A progress bar on stderr; invisible where stderr is no terminal.
fn progress(steps: usize, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {eta} {msg}");
    let bar = ProgressBar::new(steps as u64).with_prefix(what.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// 3 where a model is at fault, 4 where the data is; none for anything else.
pub(crate) fn exit_code(error: &anyhow::Error) -> Option<ExitCode> {
    let model = error.is::<ModelError>()
        || error.is::<OnnxError>()
        || error.is::<WeightsError>()
        || error.is::<QuantiseError>();
    match model {
        true => Some(ExitCode::from(3)),
        false => error.is::<SplitError>().then_some(ExitCode::from(4)),
    }
}
