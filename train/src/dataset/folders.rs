//! Two layouts in which the folder of a picture is its class.
//!
//! - A prepared data set, the layout of the textbook chapter, which `data convert` writes and training reads:
//!   `train/CLASS/ID.jpg` with `annotations-train.csv`, and the same for `val` and `test`. A split without its CSV file
//!   is skipped.
//! - Pictures without boxes: `CLASS/ANY.jpg`, or `train/CLASS/ANY.jpg` and so on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Files;
use super::import_error::{ImportError, ImportIssue, Location};
use super::imported::{ImportedDataset, LabeledBox, LabeledPicture, SplitName};

fn annotation_file(root: &Path, split: SplitName) -> PathBuf {
    root.join(format!("annotations-{split}.csv"))
}

pub(super) fn is_prepared(root: &Path) -> bool {
    SplitName::ALL
        .iter()
        .any(|split| annotation_file(root, *split).is_file())
}

pub(super) fn read_prepared(root: &Path) -> Result<ImportedDataset, ImportError> {
    let mut dataset = ImportedDataset::default();
    for split in SplitName::ALL {
        let file = annotation_file(root, split);
        if !file.is_file() {
            continue;
        }
        let read = boxcam::dataset::Dataset::read(&root.join(split.name()), &file)?;
        dataset
            .issues
            .extend(read.issues.into_iter().map(ImportIssue::from));
        dataset.notes.extend(read.notes);
        let file: Arc<Path> = file.into();
        for picture in read.pictures {
            let boxes = picture
                .annotations
                .into_iter()
                .map(|annotation| LabeledBox {
                    location: Location::line(&file, annotation.line),
                    class: annotation.class_name,
                    bounding_box: annotation.bounding_box,
                });
            dataset.pictures.push(LabeledPicture {
                boxes: boxes.collect(),
                path: picture.path,
                split: Some(split),
                folder: Some(picture.folder),
                exhaustive: picture.exhaustive,
            });
        }
    }
    Ok(dataset)
}

/// Reads pictures without boxes.
pub(super) fn read(files: &Files) -> ImportedDataset {
    let root: &Path = &files.root;
    let mut dataset = ImportedDataset::default();
    let mut without_class = 0;
    for path in files.pictures() {
        let split = SplitName::in_folders(root, path);
        let folder = path.parent().filter(|folder| *folder != root);
        let name = folder
            .and_then(Path::file_name)
            .map(|name| name.to_string_lossy().into_owned());
        let class = name.filter(|_| folder.is_some_and(|folder| !is_split_folder(folder, root)));
        match class {
            Some(class) => dataset.pictures.push(LabeledPicture {
                folder: Some(class),
                ..LabeledPicture::new(path.to_owned(), split)
            }),
            None => without_class += 1,
        }
    }
    if without_class > 0 {
        dataset.notes.push(format!(
            "{without_class} pictures are not in the folder of a class"
        ));
    }
    dataset
}

/// Whether the last folder of a path is named after a split.
fn is_split_folder(folder: &Path, root: &Path) -> bool {
    let parent = folder.parent().unwrap_or(root);
    SplitName::in_folders(parent, &folder.join("picture")).is_some()
}
