//! `boxcam-train summary`: the layers of a model as a table, and the model drawn.

use std::path::{Path, PathBuf};

use anyhow::Result;
use boxcam_train::draw::palette::Palette;
use boxcam_train::draw::svg;
use boxcam_train::onnx;
use boxcam_train::summary::diagram::diagram;
use boxcam_train::summary::{Summary, table};

use super::output::write;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The model file, float or int8
    model: PathBuf,
    /// Draw the model into this file: .svg or .png
    #[arg(long, value_name = "FILE", value_parser = drawing)]
    output: Option<PathBuf>,
}

/// A file whose ending says how to draw.
fn drawing(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match ending(&path) {
        Some("svg" | "png") => Ok(path),
        _ => Err("expected a file that ends in .svg or .png".to_owned()),
    }
}

fn ending(path: &Path) -> Option<&str> {
    path.extension()?.to_str()
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let file = arguments.model.display().to_string();
    let model = onnx::read(&arguments.model)?;
    let summary = Summary::of(&file, &model)?;
    let size = std::fs::metadata(&arguments.model).map_or(0, |data| data.len());
    print!("{}", table::table(&summary));
    println!("file: {file}, {}", table::bytes(size));
    let Some(output) = &arguments.output else {
        return Ok(());
    };
    // A model without a card has layers all the same.
    let name = onnx::card(&model).map_or(file, |card| card.name);
    let svg = diagram(&name, &summary, Palette::LIGHT);
    match ending(output) {
        Some("png") => write(output, &svg::to_png(&svg, 1.5)?)?,
        _ => write(output, svg.as_bytes())?,
    }
    Ok(())
}
