//! YOLO: one text file a picture, a line a box: `class x_centre y_centre width height`, the class a number
//! from 0, the rest shares of the picture's width and height (<https://docs.ultralytics.com/datasets/detect/>).
//!
//! The text of `images/…/ID.jpg` is `labels/…/ID.txt`, or lies beside the picture. A picture without a text
//! has nothing on it. Names come from [`super::yolo_names`]. Splits are those of `data.yaml`, else of folders called
//! train, val (or valid) and test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::has_ending;
use super::pixels::from_shares;
use super::yolo_names::{Names, list_in, yaml_in};
use super::{AnnotationFault, Dataset, DatasetError, Part, Picture, Place, Row, files};

/// Texts that are no labels.
const OTHERS: [&str; 8] = [
    "classes.txt",
    "train.txt",
    "val.txt",
    "valid.txt",
    "test.txt",
    "readme.txt",
    "license.txt",
    "obj.names",
];

pub(super) fn is_in(root: &Path) -> Result<bool, DatasetError> {
    if yaml_in(root)?.is_some() || list_in(root).is_some() {
        return Ok(true);
    }
    Ok(label_files(root)?
        .iter()
        .any(|path| in_labels(path).is_some()))
}

pub(super) fn read(root: &Path) -> Result<Dataset, DatasetError> {
    let names = Names::read(root)?;
    let mut dataset = Dataset {
        classes: names.names.values().cloned().collect(),
        ..Dataset::default()
    };
    let mut labels: BTreeSet<PathBuf> = label_files(root)?.into_iter().collect();
    for path in files::pictures(root)? {
        let part = names.part(&path).or_else(|| Part::in_folders(root, &path));
        let beside = path.with_extension("txt");
        let label = [in_images(&path), Some(beside)]
            .into_iter()
            .flatten()
            .find(|label| labels.contains(label));
        let mut picture = Picture {
            path,
            part,
            folder: None,
            rows: Vec::new(),
        };
        if let Some(label) = label {
            labels.remove(&label);
            read_file(&label.into(), &names, &mut picture.rows, &mut dataset);
        }
        dataset.pictures.push(picture);
    }
    for orphan in labels {
        let picture = in_labels(&orphan)
            .unwrap_or_else(|| orphan.clone())
            .with_extension("jpg");
        let place = Place::file(&orphan.into());
        dataset.fault(place, AnnotationFault::MissingPicture { picture });
    }
    Ok(dataset)
}

fn label_files(root: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let is_other = |path: &Path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        OTHERS.contains(&name.as_str()) || name.starts_with("readme")
    };
    files::below(root, |path| has_ending(path, "txt") && !is_other(path))
}

/// The label file of a picture in `images`.
fn in_images(picture: &Path) -> Option<PathBuf> {
    swapped(picture, "images", "labels").map(|path| path.with_extension("txt"))
}

/// The picture of a label file in `labels`, but for its ending.
fn in_labels(label: &Path) -> Option<PathBuf> {
    swapped(label, "labels", "images")
}

/// The path with its last folder of that name called otherwise.
fn swapped(path: &Path, from: &str, to: &str) -> Option<PathBuf> {
    let folder = path
        .parent()?
        .ancestors()
        .find(|folder| folder.ends_with(from))?;
    let rest = path.strip_prefix(folder).ok()?;
    Some(folder.with_file_name(to).join(rest))
}

fn read_file(file: &Arc<Path>, names: &Names, rows: &mut Vec<Row>, dataset: &mut Dataset) {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return dataset.fault(Place::file(file), AnnotationFault::Unreadable(error)),
    };
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let place = Place::line(file, number);
        match row(line, names, place.clone()) {
            Ok(row) => rows.push(row),
            Err(fault) => dataset.fault(place, fault),
        }
    }
}

fn row(line: &str, names: &Names, place: Place) -> Result<Row, AnnotationFault> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [id, centre_x, centre_y, width, height] = fields[..] else {
        return Err(AnnotationFault::Fields {
            found: fields.len(),
            expected: "5: class, x of the centre, y of the centre, width, height (outlines are not read)",
        });
    };
    let name = id.parse().ok().and_then(|id: u64| names.names.get(&id));
    let class = name.ok_or_else(|| AnnotationFault::UnknownClass {
        id: id.to_owned(),
        known: format!("there are {} names, counted from 0", names.names.len()),
    })?;
    let number = |field, text: &str| {
        text.parse::<f64>()
            .map_err(|_| AnnotationFault::NotANumber {
                field,
                value: text.to_owned(),
            })
    };
    let (x, y) = (number("x", centre_x)?, number("y", centre_y)?);
    let (width, height) = (number("width", width)?, number("height", height)?);
    let corners = [
        x - width / 2.0,
        x + width / 2.0,
        y - height / 2.0,
        y + height / 2.0,
    ];
    Ok(Row {
        class: class.clone(),
        bounding_box: from_shares(corners)?,
        place,
    })
}
