//! The names of a YOLO data set's classes, and its splits, from `data.yaml`, or names alone from `classes.txt`.
//!
//! `names` is a list, or a map from numbers; `train`, `val` and `test` are folders, from `path` or from where the file
//! lies. A folder that isn't there is no fault: exports carry those of another machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use saphyr::{LoadableYamlNode, Yaml};

use super::format::near;
use super::{AnnotationFault, DatasetError, Part, Place};

/// Files with one name a line.
const LISTS: [&str; 3] = ["classes.txt", "obj.names", "labels/classes.txt"];

/// What such a file says.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The names by their numbers.
    pub(super) names: BTreeMap<u64, String>,
    /// Folders of the splits.
    parts: Vec<(PathBuf, Part)>,
}

/// The YAML with the names, if there is one.
pub(super) fn yaml_in(root: &Path) -> Result<Option<PathBuf>, DatasetError> {
    let both = [near(root, 1, "yaml")?, near(root, 1, "yml")?].concat();
    let has_names = |path: &PathBuf| {
        let text = super::format::beginning(path);
        text.lines()
            .any(|line| line.trim_start_matches(['"', '\'']).starts_with("names"))
    };
    Ok(both.into_iter().find(has_names))
}

/// The list with the names, if there is one.
pub(super) fn list_in(root: &Path) -> Option<PathBuf> {
    LISTS
        .iter()
        .map(|name| root.join(name))
        .find(|path| path.is_file())
}

impl Names {
    /// Reads the names of a data set.
    ///
    /// # Errors
    /// [`DatasetError`] when there are none, or the file is faulty.
    pub(super) fn read(root: &Path) -> Result<Self, DatasetError> {
        if let Some(file) = yaml_in(root)? {
            return Self::of_yaml(&file.into());
        }
        let file = list_in(root).ok_or_else(|| DatasetError::NoNames { path: root.into() })?;
        let text = text(&file.into())?;
        let names = text
            .lines()
            .map(|line| line.trim().to_owned())
            .filter(|name| !name.is_empty());
        Ok(Self {
            names: (0..).zip(names).collect(),
            parts: Vec::new(),
        })
    }

    /// The split of a picture by the folders that the YAML names.
    pub(super) fn part(&self, picture: &Path) -> Option<Part> {
        let mut parts = self.parts.iter();
        parts
            .find(|(folder, _)| picture.starts_with(folder))
            .map(|(_, part)| *part)
    }

    fn of_yaml(file: &Arc<Path>) -> Result<Self, DatasetError> {
        let text = text(file)?;
        let faulty = |place, message: String| DatasetError::File {
            place,
            fault: AnnotationFault::Syntax {
                language: "YAML with names",
                message,
            },
        };
        let documents = Yaml::load_from_str(&text).map_err(|error| {
            let line = error.marker().line() as u64;
            faulty(Place::line(file, line), error.info().to_owned())
        })?;
        let line = text
            .lines()
            .position(|line| line.starts_with("names"))
            .unwrap_or(0)
            + 1;
        let at_names = || Place::line(file, line as u64);
        let root = documents.first();
        let names = root.and_then(|root| root.as_mapping_get("names"));
        let names = names.and_then(numbered).filter(|names| !names.is_empty());
        let names = names.ok_or_else(|| {
            faulty(
                at_names(),
                "expected names: [first, second], or a map such as 0: first".to_owned(),
            )
        })?;
        Ok(Self {
            names,
            parts: root.map_or_else(Vec::new, |root| folders(file, root)),
        })
    }
}

fn text(file: &Arc<Path>) -> Result<String, DatasetError> {
    std::fs::read_to_string(file).map_err(|error| DatasetError::File {
        place: Place::file(file),
        fault: AnnotationFault::Unreadable(error),
    })
}

/// Names with their numbers, from a list or a map.
fn numbered(names: &Yaml<'_>) -> Option<BTreeMap<u64, String>> {
    if let Some(list) = names.as_sequence() {
        return (0..)
            .zip(list)
            .map(|(id, name)| Some((id, name_of(name)?)))
            .collect();
    }
    let entries = names.as_mapping()?.iter();
    let numbered =
        entries.map(|(id, name)| Some((u64::try_from(id.as_integer()?).ok()?, name_of(name)?)));
    numbered.collect()
}

/// A name; one that YAML takes for a number is a name all the same.
fn name_of(name: &Yaml<'_>) -> Option<String> {
    let number = || name.as_integer().map(|number| number.to_string());
    name.as_str()
        .map(|name| name.trim().to_owned())
        .or_else(number)
}

/// The folders of the splits that are there.
fn folders(file: &Path, root: &Yaml<'_>) -> Vec<(PathBuf, Part)> {
    let here = file.parent().unwrap_or(Path::new(""));
    let base = root.as_mapping_get("path").and_then(|path| path.as_str());
    let base = base
        .map(|path| here.join(path))
        .filter(|path| path.is_dir());
    let mut folders = Vec::new();
    for part in Part::ALL {
        let Some(entry) = root.as_mapping_get(part.name()) else {
            continue;
        };
        let one = entry.as_str().into_iter();
        let several = entry
            .as_sequence()
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.as_str());
        for name in one.chain(several) {
            // Roboflow writes ../train/images for what lies beside the file.
            let bare = name.trim_start_matches("../").trim_start_matches("./");
            let near = base.as_deref().into_iter().chain([here]);
            let folder = near
                .map(|base| base.join(bare))
                .find(|folder| folder.is_dir());
            folders.extend(folder.map(|folder| (folder, part)));
        }
    }
    folders
}
