//! The layout of the chapter, which `train` and `evaluate` read: `train/CLASS/ID.jpg` and `annotations-train.csv`,
//! the same for `val` and `test`. A part without its CSV, or without its folder, is not there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Dataset, DatasetError, Fault, Part, Picture, Place, Row};

fn csv(root: &Path, part: Part) -> PathBuf {
    root.join(format!("annotations-{part}.csv"))
}

pub(super) fn is_in(root: &Path) -> bool {
    Part::ALL.iter().any(|part| csv(root, *part).is_file())
}

pub(super) fn read(root: &Path) -> Result<Dataset, DatasetError> {
    let mut dataset = Dataset::default();
    for part in Part::ALL {
        let file = csv(root, part);
        if !file.is_file() {
            continue;
        }
        let split = boxcam::dataset::Dataset::read(&root.join(part.name()), &file)?;
        dataset
            .faults
            .extend(split.issues.into_iter().map(Fault::from));
        let file: Arc<Path> = file.into();
        for picture in split.pictures {
            let rows = picture.annotations.into_iter().map(|row| Row {
                place: Place::line(&file, row.line),
                class: row.class_name,
                bounding_box: row.bounding_box,
            });
            dataset.pictures.push(Picture {
                rows: rows.collect(),
                path: picture.path,
                part: Some(part),
                folder: Some(picture.folder),
            });
        }
    }
    Ok(dataset)
}
