//! Detects the format of a data set and reads it.
//!
//! Detection looks only at file names and the first bytes of files. Folders of pictures are a data set of their own only
//! where no file may have annotations ([`super::unrecognized`]). A data set may lie one or two folders below the
//! given one, as archives unpack. The labels of `data label` take precedence, since all other annotations of their folder
//! were imported into them.

use std::path::{Path, PathBuf};

use boxcam::walk;
use serde::Serialize;

use super::files::{Files, name_of};
use super::import_error::{ImportError, ImportIssue};
use super::imported::{ImportedDataset, SplitName};
use super::{coco, folders, label_file, labelme, open_images, unrecognized, voc, yolo};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetFormat {
    /// A prepared data set, in the layout of the textbook chapter: `train/CLASS/ID.jpg` and `annotations-train.csv`.
    Chapter,
    /// JSON with `images`, `annotations` and `categories` (<https://cocodataset.org/#format-data>).
    Coco,
    /// One JSON file with `shapes` per picture (<https://github.com/wkentaro/labelme>).
    #[serde(rename = "labelme")]
    LabelMe,
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
    pub const ALL: [Self; 7] = [
        Self::Chapter,
        Self::Coco,
        Self::LabelMe,
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
            Self::LabelMe => "labelme",
            Self::Voc => "voc",
            Self::Yolo => "yolo",
            Self::OpenImages => "open-images",
            Self::Folders => "folders",
        }
    }

    fn matches(self, files: &Files) -> bool {
        match self {
            Self::Chapter => folders::is_prepared(&files.root),
            Self::Coco => !coco::annotation_files(files).is_empty(),
            Self::LabelMe => !labelme::annotation_files(files).is_empty(),
            Self::Voc => voc::matches(files),
            Self::Yolo => yolo::matches(files),
            Self::OpenImages => !open_images::annotation_files(files).is_empty(),
            Self::Folders => !folders::read(files).pictures.is_empty(),
        }
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
    let files = Files::list(root)?;
    let others = files.of_other_formats();
    let mut dataset = match format {
        DatasetFormat::Chapter => folders::read_prepared(root),
        DatasetFormat::Coco => coco::read(&files),
        DatasetFormat::LabelMe => Ok(labelme::read(&files)),
        DatasetFormat::Voc => Ok(voc::read(&files)),
        DatasetFormat::Yolo => yolo::read(&files),
        DatasetFormat::OpenImages => open_images::read(&files),
        DatasetFormat::Folders => Ok(folders::read(&files)),
    }?;
    if dataset.pictures.is_empty() {
        let path = root.to_path_buf();
        return Err(
            match (dataset.issues.into_iter().next(), others.into_iter().next()) {
                (Some(issue), _) => ImportError::NothingUsable(Box::new(issue)),
                (None, Some(files)) => ImportError::OtherFiles { path, files },
                (None, None) => ImportError::NoPictures { path },
            },
        );
    }
    if format == DatasetFormat::Coco {
        dataset.notes.extend(note_about_labels(&files));
    }
    // The chapter's reader lists the folders itself.
    if format != DatasetFormat::Chapter {
        let errors = files.errors.into_iter().map(ImportIssue::from);
        let others = others.into_iter().map(ImportIssue::OtherFiles);
        dataset.issues.splice(0..0, errors.chain(others));
    }
    dataset.pictures.sort_by(|a, b| a.path.cmp(&b.path));
    dataset.add_missing_classes();
    Ok(dataset)
}

/// A message if the labels of `data label` are used and other annotations of the folder are not.
fn note_about_labels(files: &Files) -> Option<String> {
    let labels = label_file::in_folder(&files.root)?;
    let is_other = |format: &DatasetFormat| match format {
        DatasetFormat::Folders => false,
        DatasetFormat::Coco => coco::files_like_coco(files)
            .iter()
            .any(|file| *file != labels),
        other => other.matches(files),
    };
    let others: Vec<&str> = DatasetFormat::ALL
        .iter()
        .filter(|format| is_other(format))
        .map(|format| format.name())
        .collect();
    (!others.is_empty()).then(|| {
        format!(
            "only {} is read, since \"data label\" has imported the other annotations of the folder ({}) into it; to read \
             them as they are now, move it away",
            labels.display(),
            others.join(", ")
        )
    })
}

/// The format of a data set and its root folder, which may lie below `path`.
///
/// # Errors
/// [`ImportError`] if the path is not a folder, or no format or more than one matches.
pub fn detect(path: &Path) -> Result<(DatasetFormat, PathBuf), ImportError> {
    if !path.is_dir() {
        return Err(ImportError::NotAFolder { path: path.into() });
    }
    if label_file::in_folder(path).is_some() {
        return Ok((DatasetFormat::Coco, path.to_owned()));
    }
    let mut root = path.to_owned();
    while let Some(below) = unwrapped(&root) {
        root = below;
    }
    let mut roots = vec![root];
    while let Some(below) = roots.last().and_then(|root| only_folder_in(root)) {
        roots.push(below);
    }
    let listed: Vec<Files> = roots
        .iter()
        .map(|root| Files::list(root))
        .collect::<Result<_, _>>()?;
    for files in &listed {
        if label_file::in_folder(&files.root).is_some() {
            return Ok((DatasetFormat::Coco, files.root.clone()));
        }
        let annotated = DatasetFormat::ALL.into_iter();
        let annotated = annotated.filter(|format| *format != DatasetFormat::Folders);
        let found: Vec<DatasetFormat> = annotated.filter(|format| format.matches(files)).collect();
        match found[..] {
            [] => {}
            [format] => return Ok((format, files.root.clone())),
            _ => {
                let names: Vec<&str> = found.iter().map(|format| format.name()).collect();
                return Err(ImportError::AmbiguousFormat {
                    path: path.into(),
                    found: names.join(", "),
                });
            }
        }
    }
    if let Some(error) = listed
        .first()
        .and_then(|files| unrecognized::annotations(path, files))
    {
        return Err(error);
    }
    let of_folders = listed
        .iter()
        .find(|files| DatasetFormat::Folders.matches(files));
    if let Some(files) = of_folders {
        return Ok((DatasetFormat::Folders, files.root.clone()));
    }
    let path = path.to_path_buf();
    let others = listed.first().map(Files::of_other_formats);
    Err(match others.into_iter().flatten().next() {
        Some(files) => ImportError::OtherFiles { path, files },
        None => ImportError::UnknownFormat { path },
    })
}

/// The visible folder in a folder, if there is exactly one.
fn only_folder_in(root: &Path) -> Option<PathBuf> {
    let folders = walk::entries(root).into_iter().filter(|path| path.is_dir());
    match folders.collect::<Vec<_>>().as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
}

/// The only entry of a folder, if that is a folder with subfolders and its name is not one that a format or a split
/// uses.
fn unwrapped(root: &Path) -> Option<PathBuf> {
    let below = only_folder_in(root)?;
    let name = name_of(&below).to_lowercase();
    let is_known = ["labels", "images", "annotations", "jpegimages"].contains(&name.as_str());
    let has_files = walk::entries(root).iter().any(|path| path.is_file());
    let has_folders = walk::entries(&below).iter().any(|path| path.is_dir());
    (!is_known && !has_files && has_folders && SplitName::in_name(&name).is_none()).then_some(below)
}
