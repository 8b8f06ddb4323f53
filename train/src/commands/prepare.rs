//! `boxcam-train prepare`: a data set of any format into the layout that `train` and `evaluate` read.

use std::path::PathBuf;

use anyhow::Result;
use boxcam_train::dataset::Part;
use boxcam_train::dataset::prepared::{self, Summary, Transfer};
use boxcam_train::dataset::share::{Choice, Plan, share_out};

use super::{AnyData, fingerprints, progress, threads};

/// Faults that are told one by one.
const FAULTS: usize = 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) data: AnyData,
    /// Folder to write; it must not be there yet, or be empty
    #[arg(long, value_name = "FOLDER")]
    pub(super) output: PathBuf,
    /// Share of each class that goes to validation, where the data set has no split for it
    #[arg(long, default_value_t = 0.2, value_parser = validation)]
    pub(super) validation: f64,
    /// Seed: the same seed gives the same splits
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Split anew what the data set has split already
    #[arg(long)]
    pub(super) resplit: bool,
    /// Link the pictures in place of copying them, which takes no room; to change one is to change both
    #[arg(long)]
    pub(super) link: bool,
}

pub(super) fn validation(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("expected a number above 0 and below 1".to_owned()),
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    prepared::check_place(&arguments.output, &arguments.data.data)?;
    let (format, dataset) = arguments.data.read()?;
    eprintln!(
        "read as {}: {} pictures",
        format.name(),
        dataset.pictures.len()
    );
    for fault in dataset.faults.iter().take(FAULTS) {
        eprintln!("left out: {fault}");
    }
    if let Some(more @ 1..) = dataset.faults.len().checked_sub(FAULTS) {
        eprintln!("left out: {more} more (boxcam-train inspect --all tells them)");
    }
    for note in &dataset.notes {
        eprintln!("note: {note}");
    }
    let prints = fingerprints(&dataset);
    for error in prints.iter().filter_map(|print| print.as_ref().err()) {
        eprintln!("left out: {error}");
    }
    let choice = Choice {
        validation: arguments.validation,
        seed: arguments.seed,
        resplit: arguments.resplit,
    };
    let plan = share_out(&dataset, &prints, choice, threads());
    let transfer = match arguments.link {
        true => Transfer::HardLink,
        false => Transfer::Copy,
    };
    let bar = progress(dataset.pictures.len(), "written");
    let summary = prepared::write(&dataset, &plan, &arguments.output, transfer, &|| bar.inc(1))?;
    bar.finish_and_clear();
    tell(&summary, &plan);
    let output = arguments.output.display();
    eprintln!("next: boxcam-train inspect {output}");
    eprintln!("then: boxcam-train train --data {output} --run run");
    Ok(())
}

/// The summary, on stdout.
fn tell(summary: &Summary, plan: &Plan) {
    let how = if plan.kept {
        "kept as given"
    } else {
        "made anew"
    };
    println!("split: {how}");
    let count = |part| summary.parts.get(&part).copied();
    let parts: Vec<Part> = Part::ALL
        .into_iter()
        .filter(|part| count(*part).is_some())
        .collect();
    for part in &parts {
        let (pictures, rows) = count(*part).unwrap_or_default();
        println!("{part}: {pictures} pictures, {rows} rows");
    }
    for (class, counts) in &summary.classes {
        let numbers = parts
            .iter()
            .map(|part| format!("{} {part}", counts.get(part).unwrap_or(&0)));
        println!("  {class}: {}", numbers.collect::<Vec<_>>().join(", "));
    }
    for (reason, count) in &summary.left_out {
        println!("left out: {count} pictures that {}", reason.words());
    }
}
