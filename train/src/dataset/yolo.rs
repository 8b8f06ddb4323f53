//! YOLO: one text file per picture with a line per box: `class x_center y_center width height`, the class as a number
//! from 0, the rest relative to the picture's width and height (<https://docs.ultralytics.com/datasets/detect/>).
//!
//! The label file of `images/.../ID.jpg` is `labels/.../ID.txt`, or `ID.txt` beside the picture. A picture without a label
//! file has no objects. Class names come from `data.yaml`, whose `names` is a list or a map from numbers, or from
//! `classes.txt`. The splits `train`, `val` and `test` of `data.yaml` are folders, relative to its `path` or to the file
//! itself; folders that do not exist are ignored, since exports contain the paths of another machine. Pictures outside
//! these folders get their split from folders named train, val (or valid) and test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use saphyr::{LoadableYamlNode, Yaml};

use super::files::{find_files, first_bytes, has_extension, pictures, with_extension};
use super::import_error::{AnnotationError, ImportError, Location};
use super::imported::{ImportedDataset, LabeledBox, LabeledPicture, SplitName};
use super::pixel_frame::normalized_box;

/// Text files that contain no labels.
const NOT_LABELS: [&str; 8] = [
    "classes.txt",
    "train.txt",
    "val.txt",
    "valid.txt",
    "test.txt",
    "readme.txt",
    "license.txt",
    "obj.names",
];

pub(super) fn matches(root: &Path) -> Result<bool, ImportError> {
    if names_yaml(root)?.is_some() || names_list(root).is_some() {
        return Ok(true);
    }
    Ok(label_files(root)?
        .iter()
        .any(|path| picture_of(path).is_some()))
}

pub(super) fn read(root: &Path) -> Result<ImportedDataset, ImportError> {
    let names = Names::read(root)?;
    let mut dataset = ImportedDataset {
        classes: names.by_number.values().cloned().collect(),
        ..ImportedDataset::default()
    };
    let mut labels: BTreeSet<PathBuf> = label_files(root)?.into_iter().collect();
    for path in pictures(root)? {
        let split = names
            .split(&path)
            .or_else(|| SplitName::in_folders(root, &path));
        let beside = path.with_extension("txt");
        let label = [label_file_of(&path), Some(beside)]
            .into_iter()
            .flatten()
            .find(|label| labels.contains(label));
        let mut picture = LabeledPicture::new(path, split);
        if let Some(label) = label {
            labels.remove(&label);
            read_file(&label.into(), &names, &mut picture.boxes, &mut dataset);
        }
        dataset.pictures.push(picture);
    }
    for orphan in labels {
        let picture = picture_of(&orphan)
            .unwrap_or_else(|| orphan.clone())
            .with_extension("jpg");
        let location = Location::file(&orphan.into());
        dataset.add_issue(location, AnnotationError::MissingPicture { picture });
    }
    Ok(dataset)
}

fn label_files(root: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let is_not_labels = |path: &Path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        NOT_LABELS.contains(&name.as_str()) || name.starts_with("readme")
    };
    find_files(root, |path| {
        has_extension(path, "txt") && !is_not_labels(path)
    })
}

/// The label file of a picture in `images`.
fn label_file_of(picture: &Path) -> Option<PathBuf> {
    with_folder_renamed(picture, "images", "labels").map(|path| path.with_extension("txt"))
}

/// The picture of a label file in `labels`, with the extension of the label file.
fn picture_of(label: &Path) -> Option<PathBuf> {
    with_folder_renamed(label, "labels", "images")
}

/// The path with its last folder named `from` renamed to `to`.
fn with_folder_renamed(path: &Path, from: &str, to: &str) -> Option<PathBuf> {
    let folder = path
        .parent()?
        .ancestors()
        .find(|folder| folder.ends_with(from))?;
    let rest = path.strip_prefix(folder).ok()?;
    Some(folder.with_file_name(to).join(rest))
}

fn read_file(
    file: &Arc<Path>,
    names: &Names,
    boxes: &mut Vec<LabeledBox>,
    dataset: &mut ImportedDataset,
) {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            return dataset.add_issue(Location::file(file), AnnotationError::Unreadable(error));
        }
    };
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let location = Location::line(file, number);
        match labeled_box(line, names, location.clone()) {
            Ok(labeled) => boxes.push(labeled),
            Err(error) => dataset.add_issue(location, error),
        }
    }
}

fn labeled_box(
    line: &str,
    names: &Names,
    location: Location,
) -> Result<LabeledBox, AnnotationError> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [id, center_x, center_y, width, height] = fields[..] else {
        return Err(AnnotationError::FieldCount {
            found: fields.len(),
            expected: "5: class, x and y of the center, width, height (polygons are not supported)",
        });
    };
    let name = id.parse().ok().and_then(|id: u64| names.by_number.get(&id));
    let class = name.ok_or_else(|| AnnotationError::UnknownClass {
        id: id.to_owned(),
        known: format!("there are {} names, counted from 0", names.by_number.len()),
    })?;
    let number = |field, text: &str| {
        text.parse::<f64>()
            .map_err(|_| AnnotationError::NotANumber {
                field,
                value: text.to_owned(),
            })
    };
    let (x, y) = (number("x", center_x)?, number("y", center_y)?);
    let (width, height) = (number("width", width)?, number("height", height)?);
    let corners = [
        x - width / 2.0,
        x + width / 2.0,
        y - height / 2.0,
        y + height / 2.0,
    ];
    Ok(LabeledBox {
        class: class.clone(),
        bounding_box: normalized_box(corners)?,
        location,
    })
}

/// Files with one class name per line.
const NAME_LISTS: [&str; 3] = ["classes.txt", "obj.names", "labels/classes.txt"];

/// Class names and split folders of a data set.
#[derive(Debug, Default)]
struct Names {
    by_number: BTreeMap<u64, String>,
    split_folders: Vec<(PathBuf, SplitName)>,
}

/// The YAML file with class names, if any.
fn names_yaml(root: &Path) -> Result<Option<PathBuf>, ImportError> {
    let both = [
        with_extension(root, 1, "yaml")?,
        with_extension(root, 1, "yml")?,
    ]
    .concat();
    let has_names = |path: &PathBuf| {
        let text = first_bytes(path);
        text.lines()
            .any(|line| line.trim_start_matches(['"', '\'']).starts_with("names"))
    };
    Ok(both.into_iter().find(has_names))
}

/// The text file with class names, if any.
fn names_list(root: &Path) -> Option<PathBuf> {
    NAME_LISTS
        .iter()
        .map(|name| root.join(name))
        .find(|path| path.is_file())
}

impl Names {
    fn read(root: &Path) -> Result<Self, ImportError> {
        if let Some(file) = names_yaml(root)? {
            return Self::from_yaml(&file.into());
        }
        let file =
            names_list(root).ok_or_else(|| ImportError::NoClassNames { path: root.into() })?;
        let text = read_text(&file.into())?;
        let names = text
            .lines()
            .map(|line| line.trim().to_owned())
            .filter(|name| !name.is_empty());
        Ok(Self {
            by_number: (0..).zip(names).collect(),
            split_folders: Vec::new(),
        })
    }

    /// The split of a picture according to the folders in the YAML file.
    fn split(&self, picture: &Path) -> Option<SplitName> {
        self.split_folders
            .iter()
            .find(|(folder, _)| picture.starts_with(folder))
            .map(|(_, split)| *split)
    }

    fn from_yaml(file: &Arc<Path>) -> Result<Self, ImportError> {
        let text = read_text(file)?;
        let invalid = |location, message: String| ImportError::File {
            location,
            error: AnnotationError::Syntax {
                language: "YAML with class names",
                message,
            },
        };
        let documents = Yaml::load_from_str(&text).map_err(|error| {
            let line = error.marker().line() as u64;
            invalid(Location::line(file, line), error.info().to_owned())
        })?;
        let line = text
            .lines()
            .position(|line| line.starts_with("names"))
            .unwrap_or(0)
            + 1;
        let at_names = || Location::line(file, line as u64);
        let root = documents.first();
        let names = root.and_then(|root| root.as_mapping_get("names"));
        let names = names
            .and_then(names_by_number)
            .filter(|names| !names.is_empty());
        let names = names.ok_or_else(|| {
            invalid(
                at_names(),
                "expected names: [first, second], or a map such as 0: first".to_owned(),
            )
        })?;
        Ok(Self {
            by_number: names,
            split_folders: root.map_or_else(Vec::new, |root| split_folders(file, root)),
        })
    }
}

fn read_text(file: &Arc<Path>) -> Result<String, ImportError> {
    std::fs::read_to_string(file).map_err(|error| ImportError::File {
        location: Location::file(file),
        error: AnnotationError::Unreadable(error),
    })
}

/// Names by number, from a list or a map.
fn names_by_number(names: &Yaml<'_>) -> Option<BTreeMap<u64, String>> {
    if let Some(list) = names.as_sequence() {
        return (0..)
            .zip(list)
            .map(|(id, name)| Some((id, class_name(name)?)))
            .collect();
    }
    let entries = names.as_mapping()?.iter();
    let numbered =
        entries.map(|(id, name)| Some((u64::try_from(id.as_integer()?).ok()?, class_name(name)?)));
    numbered.collect()
}

/// A class name; YAML parses an unquoted number as an integer.
fn class_name(name: &Yaml<'_>) -> Option<String> {
    let number = || name.as_integer().map(|number| number.to_string());
    name.as_str()
        .map(|name| name.trim().to_owned())
        .or_else(number)
}

/// The split folders that exist.
fn split_folders(file: &Path, root: &Yaml<'_>) -> Vec<(PathBuf, SplitName)> {
    let here = file.parent().unwrap_or(Path::new(""));
    let base = root.as_mapping_get("path").and_then(|path| path.as_str());
    let base = base
        .map(|path| here.join(path))
        .filter(|path| path.is_dir());
    let mut folders = Vec::new();
    for split in SplitName::ALL {
        let Some(entry) = root.as_mapping_get(split.name()) else {
            continue;
        };
        let one = entry.as_str().into_iter();
        let several = entry
            .as_sequence()
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.as_str());
        for name in one.chain(several) {
            // Roboflow writes ../train/images for a folder beside the file.
            let bare = name.trim_start_matches("../").trim_start_matches("./");
            let bases = base.as_deref().into_iter().chain([here]);
            let folder = bases
                .map(|base| base.join(bare))
                .find(|folder| folder.is_dir());
            folders.extend(folder.map(|folder| (folder, split)));
        }
    }
    folders
}
