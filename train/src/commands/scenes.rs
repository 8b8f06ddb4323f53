//! `boxcam-train scenes`: a data set of made-up scenes, to try the whole way without a picture of one's own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use boxcam::dataset::COLUMNS;
use boxcam::scene::{self, NegativeKind};
use boxcam_train::storage;
use fastrand::Rng;

use super::progress;

/// Pixels of a scene.
const SIZE: (u32, u32) = (320, 240);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Folder to write; it gets train/, val/ and their annotations, and empty/ with a folder for each kind of
    /// picture without a snack
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
    /// Training scenes
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    train: u32,
    /// Validation scenes
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    val: u32,
    /// Pictures without a snack, of each kind: drawn backgrounds, things that are no food, the same out of
    /// focus, noise, plain greys
    #[arg(long, default_value_t = 0)]
    empty: u32,
    /// Seed: the same seed gives the same pictures
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let random = &mut Rng::with_seed(arguments.seed);
    for (split, count) in [("train", arguments.train), ("val", arguments.val)] {
        write_split(&arguments.output, split, count, random)?;
    }
    for kind in NegativeKind::ALL {
        write_empty(&arguments.output, kind, arguments)?;
    }
    eprintln!("written: {}", arguments.output.display());
    Ok(())
}

/// Of other seeds than the scenes with a snack, so that no background stands in both.
fn write_empty(output: &Path, kind: NegativeKind, arguments: &Arguments) -> Result<()> {
    let folder = output.join("empty").join(kind.name());
    let random = &mut Rng::with_seed(!arguments.seed);
    for number in 0..arguments.empty {
        let file = folder.join(format!("{}-{number:05}.jpg", kind.name()));
        let failed = || format!("{}: can't be written", file.display());
        std::fs::create_dir_all(&folder).with_context(failed)?;
        let picture = scene::negative_picture(kind, random.u64(..), SIZE.0, SIZE.1);
        picture.save(&file).with_context(failed)?;
    }
    Ok(())
}

fn write_split(output: &Path, split: &str, count: u32, random: &mut Rng) -> Result<()> {
    let bar = progress(count as usize, split);
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(COLUMNS)?;
    for number in 0..count {
        let scene = scene::random_scene(random.u64(..), SIZE.0, SIZE.1);
        let image_id = format!("scene-{number:05}");
        for truth in &scene.truth {
            let mut record = vec![image_id.clone()];
            record.extend(
                truth
                    .bounding_box
                    .corners()
                    .map(|corner| corner.to_string()),
            );
            record.extend([truth.label.clone(), truth.label.clone()]);
            csv.write_record(&record)?;
            let folder = output.join(split).join(&truth.label);
            let file = folder.join(format!("{image_id}.jpg"));
            let failed = || format!("{}: can't be written", file.display());
            std::fs::create_dir_all(&folder).with_context(failed)?;
            scene.image.save(&file).with_context(failed)?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let file = output.join(format!("annotations-{split}.csv"));
    let bytes = csv.into_inner().map_err(csv::IntoInnerError::into_error)?;
    storage::write_whole(&file, &bytes)
        .with_context(|| format!("{}: can't be written", file.display()))
}
