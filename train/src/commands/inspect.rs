//! `boxcam-train inspect`: a look at a data set before anything is trained on it.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use boxcam_train::dataset::inspection::{Finding, Inspection, text};
use boxcam_train::dataset::sheet;

use super::{AnyData, fingerprints, threads};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: AnyData,
    /// Print JSON, with every finding
    #[arg(long, conflicts_with = "all")]
    json: bool,
    /// Tell every finding, not only the first of each kind
    #[arg(long)]
    all: bool,
    /// Write contact sheets (PNG) with the true boxes into this folder: one for each class, one of what is suspect
    #[arg(long, value_name = "FOLDER")]
    sheet: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (format, dataset) = arguments.data.read()?;
    let prints = fingerprints(&dataset);
    let inspection = Inspection::of(format, &dataset, &prints, threads());
    let said = match arguments.json {
        true => serde_json::to_string_pretty(&inspection)? + "\n",
        false => text::text(&inspection, arguments.all),
    };
    std::io::stdout()
        .write_all(said.as_bytes())
        .context("standard output can't be written")?;
    if let Some(folder) = &arguments.sheet {
        let files =
            sheet::write(&dataset, &inspection, folder, &|| ()).map_err(|(path, error)| {
                anyhow::anyhow!("{}: can't be written ({error})", path.display())
            })?;
        eprintln!("written: {} sheets to {}", files.len(), folder.display());
    }
    if inspection.count(Finding::Leak) > 0 {
        eprintln!("the splits share pictures; boxcam-train prepare puts that right");
    }
    Ok(())
}
