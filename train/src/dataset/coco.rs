//! COCO: one JSON a split, with `images`, `annotations` and `categories`
//! (<https://cocodataset.org/#format-data>).
//!
//! The JSON lies in the data set's folder, in `annotations/` or beside its pictures; where some are called
//! `instances…`, only those are read. A picture is found by the end of its `file_name`, in the folder of the same split
//! first. `bbox` is `[left, top, width, height]` in pixels. Crowds (`iscrowd`) are passed over: their
//! boxes are drawn around many things at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::files::ByName;
use super::format::{beginning, near};
use super::pixels::Ground;
use super::{AnnotationFault, Dataset, DatasetError, Part, Picture, Place, Row, files};

/// What is read of the JSON. Values are loose so that a bad annotation is one fault and not the end.
#[derive(Deserialize)]
struct Instances {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    file_name: Value,
    #[serde(default)]
    width: Value,
    #[serde(default)]
    height: Value,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    image_id: Value,
    #[serde(default)]
    category_id: Value,
    #[serde(default)]
    bbox: Value,
    #[serde(default)]
    iscrowd: Value,
}

#[derive(Deserialize)]
struct Category {
    id: Value,
    name: String,
}

/// The JSON files of a data set.
pub(super) fn files_in(root: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let mut found = near(root, 2, "json")?;
    found.retain(|path| {
        let start = beginning(path);
        let has = |key: &str| start.contains(&format!("\"{key}\""));
        // Which of the keys comes first, and how long its value is, differs.
        start.trim_start().starts_with('{')
            && ((has("images") && (has("file_name") || has("categories")))
                || (has("annotations") && has("bbox"))
                || (has("categories") && has("supercategory")))
    });
    let is_instances = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("instances")
    };
    if found.iter().any(is_instances) {
        found.retain(is_instances);
    }
    Ok(found)
}

pub(super) fn read(root: &Path) -> Result<Dataset, DatasetError> {
    let mut dataset = Dataset::default();
    let pictures = ByName::new(files::pictures(root)?, Path::file_name);
    for file in files_in(root)? {
        let reader = Reader {
            root,
            part: file
                .file_name()
                .and_then(|name| Part::in_name(&name.to_string_lossy()))
                .or_else(|| Part::in_folders(root, &file)),
            file: file.into(),
            pictures: &pictures,
        };
        reader.read(&mut dataset)?;
    }
    Ok(dataset)
}

/// One JSON being read.
struct Reader<'a> {
    root: &'a Path,
    file: Arc<Path>,
    part: Option<Part>,
    pictures: &'a ByName,
}

impl Reader<'_> {
    fn read(&self, dataset: &mut Dataset) -> Result<(), DatasetError> {
        let Instances {
            images,
            annotations,
            categories,
        } = self.parsed()?;
        let names: BTreeMap<String, String> = categories
            .into_iter()
            .map(|category| (key(&category.id), category.name.trim().to_owned()))
            .collect();
        for name in names.values() {
            if !dataset.classes.contains(name) {
                dataset.classes.push(name.clone());
            }
        }
        let mut found = BTreeMap::new();
        for (index, image) in images.iter().enumerate() {
            let place = self.element("images", index, &image.id);
            match self.picture(image) {
                Ok(picture) => {
                    let ground = Ground::of(&picture.path, image.stated());
                    let ground = ground.map_err(|fault| dataset.fault(place, fault)).ok();
                    found.insert(key(&image.id), Some((picture, ground)));
                }
                Err(fault) => {
                    found.insert(key(&image.id), None);
                    dataset.fault(place, fault);
                }
            }
        }
        let mut crowds = 0;
        for (index, annotation) in annotations.iter().enumerate() {
            if annotation.is_crowd() {
                crowds += 1;
                continue;
            }
            let place = self.element("annotations", index, &annotation.id);
            let row = match found.get_mut(&key(&annotation.image_id)) {
                None => Err(AnnotationFault::UnknownImage {
                    id: key(&annotation.image_id),
                }),
                // The fault was named with the picture.
                Some(None | Some((_, None))) => continue,
                Some(Some((picture, Some(ground)))) => annotation
                    .row(&place, &names, ground)
                    .map(|row| picture.rows.push(row)),
            };
            if let Err(fault) = row {
                dataset.fault(place, fault);
            }
        }
        if crowds > 0 {
            let file = self.file.display();
            let words = format!("{file}: {crowds} crowds (iscrowd) are passed over");
            dataset.notes.push(words);
        }
        let pictures = found.into_values().flatten().map(|(picture, _)| picture);
        dataset.pictures.extend(pictures);
        Ok(())
    }

    fn parsed(&self) -> Result<Instances, DatasetError> {
        let failed = |place, fault| DatasetError::File { place, fault };
        let bytes = std::fs::read(&self.file)
            .map_err(|error| failed(Place::file(&self.file), AnnotationFault::Unreadable(error)))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let place = Place::line(&self.file, error.line() as u64);
            let message = error.to_string();
            failed(
                place,
                AnnotationFault::Syntax {
                    language: "COCO JSON",
                    message,
                },
            )
        })
    }

    fn element(&self, list: &str, index: usize, id: &Value) -> Place {
        Place::element(&self.file, format!("{list}[{index}] (id {})", key(id)))
    }

    fn picture(&self, image: &Image) -> Result<Picture, AnnotationFault> {
        let missing = AnnotationFault::Missing { field: "file_name" };
        let name = image
            .file_name
            .as_str()
            .filter(|name| !name.is_empty())
            .ok_or(missing)?;
        let path = self
            .find(name)
            .ok_or_else(|| AnnotationFault::MissingPicture {
                picture: self.root.join(name),
            })?;
        Ok(Picture {
            part: self.part.or_else(|| Part::in_folders(self.root, path)),
            path: path.clone(),
            folder: None,
            rows: Vec::new(),
        })
    }

    /// Of several pictures of a name that with most of the given path; then that of the same split or beside
    /// the JSON; then the first.
    fn find(&self, name: &str) -> Option<&PathBuf> {
        let wanted = Path::new(name);
        let same_name = self.pictures.named(&wanted.file_name()?.to_string_lossy());
        same_name.iter().min_by_key(|path| {
            (
                !path.ends_with(wanted),
                self.part.is_some() && Part::in_folders(self.root, path) != self.part,
                path.parent() != self.file.parent(),
            )
        })
    }
}

impl Image {
    fn stated(&self) -> Option<(u32, u32)> {
        let side = |value: &Value| {
            let whole = value
                .as_f64()
                .filter(|side| side.fract() == 0.0 && *side > 0.0);
            whole.map(|side| side as u32)
        };
        side(&self.width).zip(side(&self.height))
    }
}

impl Annotation {
    fn is_crowd(&self) -> bool {
        self.iscrowd.as_f64().is_some_and(|crowd| crowd > 0.0) || self.iscrowd == Value::Bool(true)
    }

    fn row(
        &self,
        place: &Place,
        names: &BTreeMap<String, String>,
        ground: &Ground,
    ) -> Result<Row, AnnotationFault> {
        let id = key(&self.category_id);
        let class = names
            .get(&id)
            .ok_or_else(|| AnnotationFault::UnknownClass {
                id,
                known: format!(
                    "\"categories\" has {}",
                    names.keys().cloned().collect::<Vec<_>>().join(", ")
                ),
            })?;
        let missing = AnnotationFault::Missing { field: "bbox" };
        let numbers = self.bbox.as_array().ok_or(missing)?;
        let [left, top, width, height] = numbers.as_slice() else {
            return Err(AnnotationFault::Fields {
                found: numbers.len(),
                expected: "4 in bbox: left, top, width, height",
            });
        };
        let number = |value: &Value| {
            value.as_f64().ok_or_else(|| AnnotationFault::NotANumber {
                field: "bbox",
                value: value.to_string(),
            })
        };
        let (left, top, width, height) =
            (number(left)?, number(top)?, number(width)?, number(height)?);
        Ok(Row {
            class: class.clone(),
            bounding_box: ground.shares([left, left + width, top, top + height])?,
            place: place.clone(),
        })
    }
}

/// A number or a text as a key: some tools write `"1"` for 1.
fn key(id: &Value) -> String {
    match id {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
