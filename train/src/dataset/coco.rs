//! COCO: one JSON file per split, with `images`, `annotations` and `categories` (<https://cocodataset.org/#format-data>).
//!
//! The JSON files are in the root folder, in `annotations/` or beside the pictures; if the names of some start with
//! `instances`, only those are read. A picture is found by the end of its `file_name`, first in the folder of the same
//! split. `bbox` is `[left, top, width, height]` in pixels. Crowds (`iscrowd`) are skipped: their boxes surround many
//! objects at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::files::{PictureIndex, first_bytes, with_extension};
use super::import_error::{AnnotationError, ImportError, Location};
use super::imported::{ImportedDataset, LabeledBox, LabeledPicture, SplitName};
use super::pixel_frame::PixelFrame;

/// Fields are untyped values so that one invalid annotation is one issue and does not fail the whole file.
#[derive(Deserialize)]
struct CocoFile {
    images: Vec<CocoImage>,
    annotations: Vec<CocoAnnotation>,
    categories: Vec<CocoCategory>,
}

#[derive(Deserialize)]
struct CocoImage {
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
struct CocoAnnotation {
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
struct CocoCategory {
    id: Value,
    name: String,
}

/// The JSON files of a data set that look like COCO.
pub(super) fn annotation_files(root: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let mut found = with_extension(root, 2, "json")?;
    found.retain(|path| {
        let start = first_bytes(path);
        let has = |key: &str| start.contains(&format!("\"{key}\""));
        // The order of the keys and the length of their values differ between tools.
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

pub(super) fn read(root: &Path) -> Result<ImportedDataset, ImportError> {
    let mut dataset = ImportedDataset::default();
    let pictures = PictureIndex::new(root, Path::file_name)?;
    for file in annotation_files(root)? {
        let reader = Reader {
            root,
            split: file
                .file_name()
                .and_then(|name| SplitName::in_name(&name.to_string_lossy()))
                .or_else(|| SplitName::in_folders(root, &file)),
            file: file.into(),
            pictures: &pictures,
        };
        reader.read(&mut dataset)?;
    }
    Ok(dataset)
}

/// By image id; `None` for a missing picture, and no frame for one whose size is invalid. Their issues are reported with the
/// image.
type FoundImages = BTreeMap<String, Option<(LabeledPicture, Option<PixelFrame>)>>;

/// Reads one JSON file.
struct Reader<'a> {
    root: &'a Path,
    file: Arc<Path>,
    split: Option<SplitName>,
    pictures: &'a PictureIndex,
}

impl Reader<'_> {
    fn read(&self, dataset: &mut ImportedDataset) -> Result<(), ImportError> {
        let CocoFile {
            images,
            annotations,
            categories,
        } = self.parse()?;
        let names: BTreeMap<String, String> = categories
            .into_iter()
            .map(|category| (key(&category.id), category.name.trim().to_owned()))
            .collect();
        for name in names.values() {
            if !dataset.classes.contains(name) {
                dataset.classes.push(name.clone());
            }
        }
        let mut found = self.find_images(&images, dataset);
        self.add_boxes(&annotations, &names, &mut found, dataset);
        let pictures = found.into_values().flatten().map(|(picture, _)| picture);
        dataset.pictures.extend(pictures);
        Ok(())
    }

    /// The pictures that exist, by image id.
    fn find_images(&self, images: &[CocoImage], dataset: &mut ImportedDataset) -> FoundImages {
        let mut found = BTreeMap::new();
        for (index, image) in images.iter().enumerate() {
            let location = self.element("images", index, &image.id);
            match self.picture(image) {
                Ok(picture) => {
                    let frame = PixelFrame::of(&picture.path, image.stated_size());
                    let frame = frame
                        .map_err(|error| dataset.add_issue(location, error))
                        .ok();
                    found.insert(key(&image.id), Some((picture, frame)));
                }
                Err(error) => {
                    found.insert(key(&image.id), None);
                    dataset.add_issue(location, error);
                }
            }
        }
        found
    }

    fn add_boxes(
        &self,
        annotations: &[CocoAnnotation],
        names: &BTreeMap<String, String>,
        found: &mut FoundImages,
        dataset: &mut ImportedDataset,
    ) {
        let mut crowds = 0;
        for (index, annotation) in annotations.iter().enumerate() {
            if annotation.is_crowd() {
                crowds += 1;
                continue;
            }
            let location = self.element("annotations", index, &annotation.id);
            let labeled = match found.get_mut(&key(&annotation.image_id)) {
                None => Err(AnnotationError::UnknownImage {
                    id: key(&annotation.image_id),
                }),
                // The issue was reported with the picture.
                Some(None | Some((_, None))) => continue,
                Some(Some((picture, Some(frame)))) => annotation
                    .labeled_box(&location, names, frame)
                    .map(|labeled| picture.boxes.push(labeled)),
            };
            if let Err(error) = labeled {
                dataset.add_issue(location, error);
            }
        }
        if crowds > 0 {
            let file = self.file.display();
            dataset
                .notes
                .push(format!("{file}: {crowds} crowds (iscrowd) are skipped"));
        }
    }

    fn parse(&self) -> Result<CocoFile, ImportError> {
        let failed = |location, error| ImportError::File { location, error };
        let bytes = std::fs::read(&self.file).map_err(|error| {
            failed(
                Location::file(&self.file),
                AnnotationError::Unreadable(error),
            )
        })?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let location = Location::line(&self.file, error.line() as u64);
            let message = error.to_string();
            failed(
                location,
                AnnotationError::Syntax {
                    language: "COCO JSON",
                    message,
                },
            )
        })
    }

    fn element(&self, list: &str, index: usize, id: &Value) -> Location {
        Location::element(&self.file, format!("{list}[{index}] (id {})", key(id)))
    }

    fn picture(&self, image: &CocoImage) -> Result<LabeledPicture, AnnotationError> {
        let missing = AnnotationError::MissingField { field: "file_name" };
        let name = image
            .file_name
            .as_str()
            .filter(|name| !name.is_empty())
            .ok_or(missing)?;
        let path = self
            .find(name)
            .ok_or_else(|| AnnotationError::MissingPicture {
                picture: self.root.join(name),
            })?;
        let split = self
            .split
            .or_else(|| SplitName::in_folders(self.root, path));
        Ok(LabeledPicture::new(path.clone(), split))
    }

    /// Of several pictures with this file name: one that matches the whole given path, then one of the same split, then one
    /// beside the JSON file, then the first.
    fn find(&self, name: &str) -> Option<&PathBuf> {
        let wanted = Path::new(name);
        let same_name = self.pictures.named(&wanted.file_name()?.to_string_lossy());
        same_name.iter().min_by_key(|path| {
            (
                !path.ends_with(wanted),
                self.split.is_some() && SplitName::in_folders(self.root, path) != self.split,
                path.parent() != self.file.parent(),
            )
        })
    }
}

impl CocoImage {
    fn stated_size(&self) -> Option<(u32, u32)> {
        let side = |value: &Value| {
            let whole = value
                .as_f64()
                .filter(|side| side.fract() == 0.0 && *side > 0.0);
            whole.map(|side| side as u32)
        };
        side(&self.width).zip(side(&self.height))
    }
}

impl CocoAnnotation {
    fn is_crowd(&self) -> bool {
        self.iscrowd.as_f64().is_some_and(|crowd| crowd > 0.0) || self.iscrowd == Value::Bool(true)
    }

    fn labeled_box(
        &self,
        location: &Location,
        names: &BTreeMap<String, String>,
        frame: &PixelFrame,
    ) -> Result<LabeledBox, AnnotationError> {
        let id = key(&self.category_id);
        let class = names
            .get(&id)
            .ok_or_else(|| AnnotationError::UnknownClass {
                id,
                known: format!(
                    "\"categories\" has {}",
                    names.keys().cloned().collect::<Vec<_>>().join(", ")
                ),
            })?;
        let missing = AnnotationError::MissingField { field: "bbox" };
        let numbers = self.bbox.as_array().ok_or(missing)?;
        let [left, top, width, height] = numbers.as_slice() else {
            return Err(AnnotationError::FieldCount {
                found: numbers.len(),
                expected: "4 in bbox: left, top, width, height",
            });
        };
        let number = |value: &Value| {
            value.as_f64().ok_or_else(|| AnnotationError::NotANumber {
                field: "bbox",
                value: value.to_string(),
            })
        };
        let (left, top, width, height) =
            (number(left)?, number(top)?, number(width)?, number(height)?);
        Ok(LabeledBox {
            class: class.clone(),
            bounding_box: frame.normalize([left, left + width, top, top + height])?,
            location: location.clone(),
        })
    }
}

/// An id as a map key: some tools write `"1"` for 1.
fn key(id: &Value) -> String {
    match id {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
