//! YOLO: one text file per picture with a line per box: `class x_center y_center width height`, the class as a number
//! from 0, the rest relative to the picture's width and height (<https://docs.ultralytics.com/datasets/detect/>).
//!
//! A line may also have the confidence of a prediction behind the box, or be the outline `class x1 y1 x2 y2 x3 y3 ...`, of
//! which the bounds are taken. Key points (`kpt_shape` in `data.yaml`) are ignored.
//!
//! The label file of `images/.../ID.jpg` is `labels/.../ID.txt`, or `ID.txt` beside the picture. A picture without a label
//! file has no objects. Class names come from `data.yaml`, whose `names` is a list or a map from numbers, or from
//! `classes.txt`, where the number of a class is its line. The splits `train`, `val` and `test` of `data.yaml` are folders,
//! relative to its `path` or to the file
//! itself; folders that do not exist are ignored, since exports contain the paths of another machine. Pictures outside
//! these folders get their split from folders named train, val (or valid) and test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxcam::picture_name::fold;
use boxcam::text;
use saphyr::{LoadableYamlNode, Yaml};

use super::files::{Files, PictureIndex, name_of, stem_of};
use super::import_error::{AnnotationError, ImportError, Location};
use super::imported::{ImportedDataset, LabeledBox, LabeledPicture, SplitName};
use super::outline::Bounds;
use super::pixel_frame::normalized_box;
use super::value;

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

pub(super) fn matches(files: &Files) -> bool {
    let labels = label_files(files);
    let has_labels = || labels.iter().any(|path| has_label(path));
    names_yaml(files).is_some()
        || (names_list(files).is_some() && has_labels())
        || labels.iter().any(|path| picture_of(path).is_some())
}

pub(super) fn read(files: &Files) -> Result<ImportedDataset, ImportError> {
    let names = Names::read(files)?;
    let mut dataset = ImportedDataset {
        classes: names.by_number.values().cloned().collect(),
        ..ImportedDataset::default()
    };
    let labels = LabelIndex::new(files);
    for path in files.pictures() {
        let split = names
            .split(path)
            .or_else(|| SplitName::in_folders(&files.root, path));
        let mut picture = LabeledPicture::new(path.to_owned(), split);
        if let Some(label) = labels.label_of(path) {
            let label = label.into();
            let boxes = read_file(&label, &names, path, &mut dataset);
            picture.boxes = boxes;
        }
        dataset.pictures.push(picture);
    }
    for orphan in labels.without_picture(files) {
        let text = text::start(orphan);
        let boxes = text.lines().filter(|line| is_label(line)).count();
        // Notes and captions are no labels.
        if boxes > 0 {
            let picture = picture_of(orphan)
                .unwrap_or_else(|| orphan.to_owned())
                .with_extension("jpg");
            let location = Location::file(&orphan.into());
            dataset.add_issue_of(location, AnnotationError::MissingPicture { picture }, boxes);
        }
    }
    Ok(dataset)
}

fn label_files(files: &Files) -> Vec<&Path> {
    let is_not_labels = |path: &Path| {
        let name = name_of(path).to_lowercase();
        NOT_LABELS.contains(&name.as_str()) || name.starts_with("readme")
    };
    let text_files = files.with_extension("txt");
    text_files.filter(|path| !is_not_labels(path)).collect()
}

/// Whether a line consists of at least five fields, most of them numbers.
fn is_label(line: &str) -> bool {
    let fields = fields(line);
    let numbers = fields.iter().filter(|field| text::number(field).is_some());
    fields.len() >= 5 && numbers.count() + 1 >= fields.len()
}

/// Whether the beginning of a text has a label.
pub(super) fn has_label(path: &Path) -> bool {
    text::start(path).lines().any(is_label)
}

/// Label files by what their names have in common with those of their pictures.
struct LabelIndex<'f> {
    labels: BTreeMap<PathBuf, &'f Path>,
    /// Labels that no picture has by folder and name, by their name alone: for `labels/1.txt` of `images/train/1.jpg`.
    by_stem: BTreeMap<String, &'f Path>,
}

impl<'f> LabelIndex<'f> {
    fn new(files: &'f Files) -> Self {
        let mut labels = BTreeMap::new();
        for label in label_files(files) {
            labels.insert(key(label), label);
        }
        let pictures = PictureIndex::new(files);
        let mut index = Self {
            labels,
            by_stem: BTreeMap::new(),
        };
        let known: BTreeSet<&Path> = files
            .pictures()
            .filter_map(|path| index.label_at_home(path))
            .collect();
        let mut ambiguous = BTreeSet::new();
        for label in index
            .labels
            .values()
            .filter(|label| !known.contains(*label))
        {
            let stem = fold(&stem_of(label));
            let is_unique = match pictures.with_stem(&stem) {
                [picture] => index.label_at_home(picture).is_none(),
                _ => false,
            };
            if is_unique && index.by_stem.insert(stem.clone(), label).is_some() {
                ambiguous.insert(stem);
            }
        }
        index.by_stem.retain(|stem, _| !ambiguous.contains(stem));
        index
    }

    /// The label file in `labels`, or else beside the picture.
    fn label_at_home(&self, picture: &Path) -> Option<&'f Path> {
        let in_labels = with_folder_renamed(picture, "images", "labels");
        let mut homes = in_labels.iter().map(PathBuf::as_path).chain([picture]);
        homes.find_map(|home| self.labels.get(&key(home)).copied())
    }

    fn label_of(&self, picture: &Path) -> Option<&'f Path> {
        let by_stem = || self.by_stem.get(&fold(&stem_of(picture))).copied();
        self.label_at_home(picture).or_else(by_stem)
    }

    fn without_picture(&self, files: &'f Files) -> Vec<&'f Path> {
        let used: BTreeSet<&Path> = files
            .pictures()
            .filter_map(|picture| self.label_of(picture))
            .collect();
        let labels = self.labels.values().copied();
        labels.filter(|label| !used.contains(label)).collect()
    }
}

/// Folder and name without extension, both folded.
fn key(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new(""));
    Path::new(&fold(&folder.to_string_lossy())).join(fold(&stem_of(path)))
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
        .find(|folder| name_of(folder).eq_ignore_ascii_case(from))?;
    let rest = path.strip_prefix(folder).ok()?;
    Some(folder.with_file_name(to).join(rest))
}

/// The boxes of a label file. Invalid lines are added to the issues of the data set.
fn read_file(
    file: &Arc<Path>,
    names: &Names,
    picture: &Path,
    dataset: &mut ImportedDataset,
) -> Vec<LabeledBox> {
    let mut boxes = Vec::new();
    let text = match text::read(file) {
        Ok(text) => text,
        Err(error) => {
            dataset.add_issue(Location::file(file), error.into());
            return boxes;
        }
    };
    for (number, line) in (1..).zip(text.lines()) {
        if text::trim(line).is_empty() {
            continue;
        }
        let location = Location::line(file, number);
        match labeled_box(line, names, picture, location.clone()) {
            Ok(labeled) => boxes.push(labeled),
            Err(error) => dataset.add_issue(location, error),
        }
    }
    boxes
}

/// The fields of a line, separated by white space, or by commas or semicolons alone.
fn fields(line: &str) -> Vec<&str> {
    let fields: Vec<&str> = text::trim(line).split_whitespace().collect();
    match fields[..] {
        [all] => {
            let separator = if all.contains(';') { ';' } else { ',' };
            all.split(separator).collect()
        }
        _ if fields
            .iter()
            .rev()
            .skip(1)
            .all(|field| field.ends_with([',', ';'])) =>
        {
            fields
                .iter()
                .map(|field| field.trim_end_matches([',', ';']))
                .collect()
        }
        _ => fields,
    }
}

fn labeled_box(
    line: &str,
    names: &Names,
    picture: &Path,
    location: Location,
) -> Result<LabeledBox, AnnotationError> {
    let fields = fields(line);
    let (id, numbers) = fields.split_first().unwrap_or((&"", &[]));
    let corners = match (numbers.len(), names.keypoint_fields) {
        (4, _) => center_box(numbers),
        // The confidence of a prediction.
        (5, _) => center_box(&numbers[..4]),
        (count, Some(keypoints)) if count == 4 + keypoints => center_box(&numbers[..4]),
        (count, _) if count >= 6 && count % 2 == 0 => outline(numbers),
        _ => Err(AnnotationError::FieldCount {
            found: fields.len(),
            expected: "5 (class, x and y of the center, width, height), or a class and at least 3 points",
        }),
    };
    Ok(LabeledBox {
        class: names.class(id)?,
        bounding_box: normalized_box(corners?, picture)?,
        location,
    })
}

fn center_box(numbers: &[&str]) -> Result<[f64; 4], AnnotationError> {
    let fields = ["x", "y", "width", "height"];
    let mut values = [0.0; 4];
    for ((value, field), text) in values.iter_mut().zip(fields).zip(numbers) {
        *value = number(field, text)?;
    }
    let [x, y, width, height] = values;
    Ok([
        x - width / 2.0,
        x + width / 2.0,
        y - height / 2.0,
        y + height / 2.0,
    ])
}

/// The bounds of a polygon or of the four corners of a rotated box.
fn outline(numbers: &[&str]) -> Result<[f64; 4], AnnotationError> {
    let mut bounds = Bounds::default();
    for point in numbers.chunks_exact(2) {
        bounds.add(number("x", point[0])?, number("y", point[1])?);
    }
    let missing = AnnotationError::MissingField { field: "point" };
    bounds.corners().ok_or(missing)
}

fn number(field: &'static str, text: &str) -> Result<f64, AnnotationError> {
    let number = text::number(text).filter(|number| number.is_finite());
    number.ok_or_else(|| AnnotationError::NotANumber {
        field,
        value: text.to_owned(),
    })
}

/// Files with one class name per line, relative to the root, in lower case.
const NAME_LISTS: [&str; 4] = [
    "classes.txt",
    "obj.names",
    "classes.names",
    "labels/classes.txt",
];

/// Class names and split folders of a data set.
#[derive(Debug, Default)]
struct Names {
    by_number: BTreeMap<u64, String>,
    split_folders: Vec<(PathBuf, SplitName)>,
    /// Numbers per line that describe key points, if the data set has them.
    keypoint_fields: Option<usize>,
}

/// The YAML file with class names, if any.
fn names_yaml(files: &Files) -> Option<&Path> {
    let has_names = |path: &&Path| {
        let text = text::start(path);
        text.lines()
            .any(|line| line.trim_start_matches(['"', '\'']).starts_with("names"))
    };
    let both = files
        .with_extension("yaml")
        .chain(files.with_extension("yml"));
    let mut in_root = both.filter(|path| path.parent() == Some(&files.root));
    in_root.find(has_names)
}

/// The text file with class names, if any.
fn names_list(files: &Files) -> Option<&Path> {
    NAME_LISTS.iter().find_map(|name| {
        let is_list = |path: &&PathBuf| {
            let below = path.strip_prefix(&files.root).unwrap_or(path);
            below.to_string_lossy().to_lowercase() == *name
        };
        files.paths.iter().find(is_list).map(PathBuf::as_path)
    })
}

impl Names {
    fn read(files: &Files) -> Result<Self, ImportError> {
        if let Some(file) = names_yaml(files) {
            return Self::from_yaml(&file.into());
        }
        let missing = || ImportError::NoClassNames {
            path: files.root.clone(),
        };
        let file = names_list(files).ok_or_else(missing)?;
        let text = read_text(&file.into())?;
        let names = (0..).zip(text.lines().map(|line| text::trim(line).to_owned()));
        Ok(Self {
            by_number: names.filter(|(_, name)| !name.is_empty()).collect(),
            ..Self::default()
        })
    }

    /// The class of a number such as `0` or `0.0e+00`, or of its name.
    fn class(&self, id: &str) -> Result<String, AnnotationError> {
        let number = value::plain_id(id).parse().ok();
        let by_name = || self.by_number.values().find(|name| *name == id);
        let class = number.and_then(|number: u64| self.by_number.get(&number));
        let class = class.or_else(by_name).cloned();
        class.ok_or_else(|| AnnotationError::UnknownClass {
            id: id.to_owned(),
            known: format!("there are {} names, counted from 0", self.by_number.len()),
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
            keypoint_fields: root.and_then(keypoint_fields),
        })
    }
}

fn read_text(file: &Arc<Path>) -> Result<String, ImportError> {
    text::read(file).map_err(|error| ImportError::File {
        location: Location::file(file),
        error: error.into(),
    })
}

/// Names by number, from a list or a map. An empty name leaves its number without one.
fn names_by_number(names: &Yaml<'_>) -> Option<BTreeMap<u64, String>> {
    let mut numbered: BTreeMap<u64, String> = match names.as_sequence() {
        Some(list) => (0..)
            .zip(list)
            .map(|(id, name)| Some((id, class_name(name)?)))
            .collect::<Option<_>>()?,
        None => {
            let entries = names.as_mapping()?.iter();
            entries
                .map(|(id, name)| Some((class_name(id)?.parse().ok()?, class_name(name)?)))
                .collect::<Option<_>>()?
        }
    };
    numbered.retain(|_, name| !name.is_empty());
    Some(numbered)
}

/// A class name; YAML parses an unquoted number as an integer. Empty for null.
fn class_name(name: &Yaml<'_>) -> Option<String> {
    let number = || name.as_integer().map(|number| number.to_string());
    let null = || name.is_null().then(String::new);
    let text = name.as_str().map(|name| text::trim(name).to_owned());
    text.or_else(number).or_else(null)
}

/// The product of `kpt_shape: [17, 3]`.
fn keypoint_fields(root: &Yaml<'_>) -> Option<usize> {
    let shape = root.as_mapping_get("kpt_shape")?.as_sequence()?;
    let sides = shape
        .iter()
        .map(|side| usize::try_from(side.as_integer()?).ok());
    sides.product::<Option<usize>>()
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
