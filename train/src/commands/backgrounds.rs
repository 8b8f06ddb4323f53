//! `boxcam-train backgrounds`: parts of annotated pictures without any box, to count false alarms on.

use std::path::PathBuf;

use anyhow::{Context, Result};
use boxcam::dataset::{AnnotatedPicture, Dataset};
use boxcam_train::background::{empty_part, may_lack_a_box};

use super::progress;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Folder with a folder of pictures for each class
    #[arg(long, value_name = "SPLIT_FOLDER")]
    pictures: PathBuf,
    /// Their true boxes; pictures without any, or with a faulty row, are passed over
    #[arg(long, value_name = "CSV")]
    annotations: PathBuf,
    /// Folder to write the parts to
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let split = Dataset::read(&arguments.pictures, &arguments.annotations)?;
    if may_lack_a_box(&split) {
        for fault in &split.issues {
            eprintln!("boxcam-train: {fault}");
        }
        anyhow::bail!("mend these rows first: a picture that lacks one may be taken for empty");
    }
    std::fs::create_dir_all(&arguments.to)
        .with_context(|| format!("{}: can't be made", arguments.to.display()))?;
    let bar = progress(split.pictures.len(), "backgrounds");
    let mut written = 0;
    for picture in split
        .pictures
        .iter()
        .filter(|picture| !picture.annotations.is_empty())
    {
        written += u32::from(write(picture, &arguments.to)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    eprintln!("written: {written} parts to {}", arguments.to.display());
    Ok(())
}

/// Writes the largest part without a box, if there is one; a picture that can't be read is named.
fn write(picture: &AnnotatedPicture, to: &std::path::Path) -> Result<bool> {
    let image = match picture.frame() {
        Ok(frame) => frame.image,
        Err(error) => {
            eprintln!("left out: {error}");
            return Ok(false);
        }
    };
    let Some(area) = empty_part(picture, &image) else {
        return Ok(false);
    };
    let part = area.of(&image);
    let name = picture.path.file_stem().unwrap_or_default();
    let file = to.join(name).with_extension("png");
    part.save(&file)
        .with_context(|| format!("{}: can't be written", file.display()))?;
    Ok(true)
}
