//! `boxcam-train speed`: how many pictures a second this machine learns.

use std::path::PathBuf;

use anyhow::Result;
use boxcam::label::Labels;
use boxcam_train::fit::Fit;
use boxcam_train::model::Model;
use boxcam_train::recipe::{Frozen, Recipe};
use clap::Args;
use serde_json::json;

use super::train::{Computer, unnamed_card, weights};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Weights of the network to try; without it those of the model that ships
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Side of the pictures, in pixels
    #[arg(long, default_value_t = 224)]
    side: usize,
    /// Pictures a step
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Steps that are measured, after one that is not
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    steps: u16,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Computer::Cpu)]
    device: Computer,
}

/// Classes of the rehearsal: those of the snacks.
const CLASSES: usize = 20;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let weights = weights(arguments.weights.as_deref())?;
    let device = arguments.device.device().autodiff();
    let recipe = Recipe {
        frozen: Frozen::Nothing,
        ..Recipe::snacks()
    };
    let labels = Labels::new((0..CLASSES).map(|class| class.to_string()).collect())?;
    let card = unnamed_card(labels, u32::try_from(arguments.side)?);
    let model = Model::new(&weights, &card.labels, &recipe, &device);
    let mut fit = Fit::new(model, &recipe, &card, 1, device);
    let batch = usize::from(arguments.batch);
    let shape = [batch, arguments.side, arguments.side, 3];
    let steps = usize::from(arguments.steps);
    let mut seconds: Vec<f64> = fit
        .rehearse(shape, CLASSES, steps + 1)
        .into_iter()
        .skip(1)
        .map(|took| took.as_secs_f64())
        .collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let told = json!({
        "pictures_a_second": batch as f64 / median,
        "step_ms": median * 1e3,
        "batch": batch,
        "side": arguments.side,
        "threads": rayon::current_num_threads(),
    });
    println!("{told}");
    Ok(())
}
