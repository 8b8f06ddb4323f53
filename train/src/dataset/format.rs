//! Which layout a folder is in.
//!
//! In goes a folder, out comes its [`Format`] and the folder to read it from, which may lie one or two single
//! folders further down, as archives unpack. Only names of files and their beginnings are looked at.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{DatasetError, Part, coco, files, open_images, voc, yolo};

/// A layout of pictures and annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The textbook chapter's, which `train` reads: `train/CLASS/ID.jpg` and `annotations-train.csv`.
    Chapter,
    /// JSON with `images`, `annotations` and `categories` (<https://cocodataset.org/#format-data>).
    Coco,
    /// One XML a picture (<http://host.robots.ox.ac.uk/pascal/VOC/>).
    Voc,
    /// One text file a picture, of numbers (<https://docs.ultralytics.com/datasets/detect/>).
    Yolo,
    /// CSV with `ImageID` and `LabelName` (<https://storage.googleapis.com/openimages/web/download_v7.html>).
    OpenImages,
    /// A folder of pictures for each class, without boxes.
    Folders,
}

impl Format {
    /// All of them; bare folders come last, since the others hold folders of pictures too.
    pub const ALL: [Self; 6] = [
        Self::Chapter,
        Self::Coco,
        Self::Voc,
        Self::Yolo,
        Self::OpenImages,
        Self::Folders,
    ];

    /// As it is written on the command line.
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

    fn is_in(self, root: &Path) -> Result<bool, DatasetError> {
        Ok(match self {
            Self::Chapter => super::chapter::is_in(root),
            Self::Coco => !coco::files_in(root)?.is_empty(),
            Self::Voc => voc::is_in(root)?,
            Self::Yolo => yolo::is_in(root)?,
            Self::OpenImages => !open_images::files_in(root)?.is_empty(),
            Self::Folders => super::folders::is_in(root)?,
        })
    }
}

/// The format of a data set and the folder that it begins in.
///
/// # Errors
/// [`DatasetError`] when the path is no folder, or no format, or more than one, fits.
pub fn detect(path: &Path) -> Result<(Format, PathBuf), DatasetError> {
    if !path.is_dir() {
        return Err(DatasetError::NotAFolder { path: path.into() });
    }
    let mut root = path.to_owned();
    while let Some(below) = wrapped(&root) {
        root = below;
    }
    loop {
        let mut found = Vec::new();
        for format in Format::ALL {
            if (format != Format::Folders || found.is_empty()) && format.is_in(&root)? {
                found.push(format);
            }
        }
        match found[..] {
            [format] => return Ok((format, root)),
            [] => match only_folder_in(&root) {
                Some(below) => root = below,
                None => return Err(DatasetError::Unknown { path: path.into() }),
            },
            _ => {
                let names: Vec<&str> = found.iter().map(|format| format.name()).collect();
                return Err(DatasetError::Ambiguous {
                    path: path.into(),
                    found: names.join(", "),
                });
            }
        }
    }
}

/// The one folder in a folder, if there is just one.
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

/// The data set in a folder that holds nothing else: one folder with folders in it, and not one of those that the
/// formats know by name.
fn wrapped(root: &Path) -> Option<PathBuf> {
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
    (!is_known && !has_files && has_folders && Part::in_name(&name).is_none()).then_some(below)
}

/// The beginning of a file as text; empty where it can't be read.
pub(super) fn beginning(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // A file that fails here fails again, with a message, where it is read in full.
        let _ = file.take(64 * 1024).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Files with an ending in a folder, and in its folders down to `depth`; 1 is the folder's own files.
pub(super) fn near(root: &Path, depth: usize, ending: &str) -> Result<Vec<PathBuf>, DatasetError> {
    files::below_to(root, depth, |path| files::has_ending(path, ending))
}
