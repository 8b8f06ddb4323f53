//! Detects the format of a data set and reads it.
//!
//! Detection looks only at file names and the first bytes of files. A data set may lie one or two folders below the
//! given one, as archives unpack.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::import_error::ImportError;
use super::imported::{ImportedDataset, SplitName};
use super::{coco, folders, open_images, voc, yolo};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetFormat {
    /// A prepared data set, in the layout of the textbook chapter: `train/CLASS/ID.jpg` and `annotations-train.csv`.
    Chapter,
    /// JSON with `images`, `annotations` and `categories` (<https://cocodataset.org/#format-data>).
    Coco,
    /// One XML file per picture (<http://host.robots.ox.ac.uk/pascal/VOC/>).
    Voc,
    /// One text file of numbers per picture (<https://docs.ultralytics.com/datasets/detect/>).
    Yolo,
    /// CSV with `ImageID` and `LabelName` (<https://storage.googleapis.com/openimages/web/download_v7.html>).
    OpenImages,
    /// A folder of pictures per class, without boxes.
    Folders,
}

impl DatasetFormat {
    /// `Folders` is last, since the other formats contain folders of pictures too.
    pub const ALL: [Self; 6] = [
        Self::Chapter,
        Self::Coco,
        Self::Voc,
        Self::Yolo,
        Self::OpenImages,
        Self::Folders,
    ];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chapter => "chapter",
            Self::Coco => "coco",
            Self::Voc => "voc",
            Self::Yolo => "yolo",
            Self::OpenImages => "open-images",
            Self::Folders => "folders",
        }
    }

    fn matches(self, root: &Path) -> Result<bool, ImportError> {
        Ok(match self {
            Self::Chapter => folders::is_prepared(root),
            Self::Coco => !coco::annotation_files(root)?.is_empty(),
            Self::Voc => voc::matches(root)?,
            Self::Yolo => yolo::matches(root)?,
            Self::OpenImages => !open_images::annotation_files(root)?.is_empty(),
            Self::Folders => !folders::read(root)?.pictures.is_empty(),
        })
    }
}

/// Reads a data set in the format that is detected.
///
/// # Errors
/// [`ImportError`] if no format or more than one matches, or nothing can be read.
pub fn read(path: &Path) -> Result<(DatasetFormat, ImportedDataset), ImportError> {
    let (format, root) = detect(path)?;
    read_as(format, &root).map(|dataset| (format, dataset))
}

/// Reads a data set in a given format.
///
/// # Errors
/// [`ImportError`] if nothing can be read.
pub fn read_as(format: DatasetFormat, root: &Path) -> Result<ImportedDataset, ImportError> {
    let mut dataset = match format {
        DatasetFormat::Chapter => folders::read_prepared(root),
        DatasetFormat::Coco => coco::read(root),
        DatasetFormat::Voc => voc::read(root),
        DatasetFormat::Yolo => yolo::read(root),
        DatasetFormat::OpenImages => open_images::read(root),
        DatasetFormat::Folders => folders::read(root),
    }?;
    if dataset.pictures.is_empty() {
        return Err(match dataset.issues.into_iter().next() {
            Some(issue) => ImportError::NothingUsable(Box::new(issue)),
            None => ImportError::NoPictures { path: root.into() },
        });
    }
    dataset.pictures.sort_by(|a, b| a.path.cmp(&b.path));
    dataset.add_missing_classes();
    Ok(dataset)
}

/// The format of a data set and its root folder, which may lie below `path`.
///
/// # Errors
/// [`ImportError`] if the path is not a folder, or no format or more than one matches.
pub fn detect(path: &Path) -> Result<(DatasetFormat, PathBuf), ImportError> {
    if !path.is_dir() {
        return Err(ImportError::NotAFolder { path: path.into() });
    }
    let mut root = path.to_owned();
    while let Some(below) = unwrapped(&root) {
        root = below;
    }
    loop {
        let mut found = Vec::new();
        for format in DatasetFormat::ALL {
            if (format != DatasetFormat::Folders || found.is_empty()) && format.matches(&root)? {
                found.push(format);
            }
        }
        match found[..] {
            [format] => return Ok((format, root)),
            [] => match only_folder_in(&root) {
                Some(below) => root = below,
                None => return Err(ImportError::UnknownFormat { path: path.into() }),
            },
            _ => {
                let names: Vec<&str> = found.iter().map(|format| format.name()).collect();
                return Err(ImportError::AmbiguousFormat {
                    path: path.into(),
                    found: names.join(", "),
                });
            }
        }
    }
}

/// The visible folder in a folder, if there is exactly one.
fn only_folder_in(root: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(root).ok()?.filter_map(Result::ok);
    let folders = entries.map(|entry| entry.path()).filter(|path| {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        path.is_dir() && !hidden
    });
    match folders.collect::<Vec<_>>().as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
}

/// The only entry of a folder, if that is a folder with subfolders and its name is not one that a format or a split
/// uses.
fn unwrapped(root: &Path) -> Option<PathBuf> {
    let below = only_folder_in(root)?;
    let name = below.file_name()?.to_str()?.to_lowercase();
    let is_known = ["labels", "images", "annotations", "jpegimages"].contains(&name.as_str());
    let has_files = std::fs::read_dir(root)
        .ok()?
        .filter_map(Result::ok)
        .any(|entry| entry.path().is_file());
    let has_folders = std::fs::read_dir(&below)
        .ok()?
        .filter_map(Result::ok)
        .any(|entry| entry.path().is_dir());
    (!is_known && !has_files && has_folders && SplitName::in_name(&name).is_none()).then_some(below)
}
