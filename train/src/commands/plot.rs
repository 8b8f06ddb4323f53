//! `boxcam-train plot`: the curves of a training, as a picture and as a report.

use std::path::PathBuf;

use anyhow::Result;
use boxcam_train::draw::palette::Palette;
use boxcam_train::draw::svg;
use boxcam_train::plot::history::History;
use boxcam_train::plot::{curves, report};

use super::output::write;

/// The curves are drawn at twice the size that they are looked at.
const SCALE: f32 = 0.5;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of a run of `train`, or its history.csv; several that continue each other, in their order
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder to write curves.png and report.html to
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let history = History::read(&arguments.runs)?;
    let curves = svg::to_png(&curves::all(&history, Palette::LIGHT)?, SCALE)?;
    let report = report::html(&history)?;
    write(&arguments.output.join("curves.png"), &curves)?;
    write(&arguments.output.join("report.html"), report.as_bytes())?;
    let count = history.epochs.len();
    match history.best() {
        Some(best) => println!(
            "best epoch: {} of {count}; class accuracy {}, mean IoU {} on validation",
            best.number,
            figure(best.value("val_class_accuracy")),
            figure(best.value("val_mean_iou"))
        ),
        None => println!("{count} epochs, without figures of a validation split"),
    }
    Ok(())
}

fn figure(value: Option<f64>) -> String {
    value.map_or("unknown".to_owned(), |value| format!("{value:.4}"))
}
