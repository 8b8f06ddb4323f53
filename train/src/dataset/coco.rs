//! COCO: one JSON file per split, with `images`, `annotations` and `categories` (<https://cocodataset.org/#format-data>).
//!
//! If the names of some JSON files start with `instances`, only those are read. A picture is found by the end of its
//! `file_name`, first in the folder of the same split. `bbox` is `[left, top, width, height]` in pixels; without a usable
//! one the box is that of `segmentation` (polygons or run lengths). Crowds (`iscrowd`) are skipped: their boxes surround
//! many objects at once. Whether every object of an image has an annotation is the field `exhaustive` of the image, which
//! COCO itself does not have. A file of `data label` ([`super::label_file`]) in the folder itself is the only one that is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxcam::dataset::{EXHAUSTIVE_COLUMN, both};
use boxcam::text;
use serde::Deserialize;
use serde_json::Value;

use super::files::{Files, FoundPicture, PictureIndex, name_of, shared_folders};
use super::import_error::{AnnotationError, ImportError, Location};
use super::imported::{ImportedDataset, LabeledBox, LabeledPicture, SplitName};
use super::outline::Segmentation;
use super::pixel_frame::PixelFrame;
use super::{json, label_file, value};

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
    #[serde(default)]
    exhaustive: Value,
    #[serde(default)]
    split: Value,
    #[serde(default)]
    folder: Value,
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
    segmentation: Segmentation,
    #[serde(default)]
    iscrowd: Value,
}

#[derive(Deserialize)]
struct CocoCategory {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    name: Value,
}

/// The JSON files of a data set that look like COCO.
pub(super) fn annotation_files(files: &Files) -> Vec<&Path> {
    if let Some(labels) = label_file::in_folder(&files.root) {
        let own = files.paths.iter().map(PathBuf::as_path);
        return own.filter(|path| *path == labels).collect();
    }
    files_like_coco(files)
}

/// Those that look like COCO, whether or not there is a [`label_file`].
pub(super) fn files_like_coco(files: &Files) -> Vec<&Path> {
    let looks_like_coco = |path: &&Path| {
        let start = text::start(path);
        let has = |key: &str| start.contains(&format!("\"{key}\""));
        // The order of the keys and the length of their values differ between tools.
        start.starts_with('{')
            && ((has("images") && (has("file_name") || has("categories")))
                || (has("annotations") && (has("bbox") || has("category_id")))
                || (has("categories") && has("supercategory")))
    };
    let mut found: Vec<&Path> = files
        .with_extension("json")
        .filter(looks_like_coco)
        .collect();
    let is_instances = |path: &&Path| name_of(path).starts_with("instances");
    if found.iter().any(is_instances) {
        found.retain(|path| is_instances(path) || label_file::is_label_file(path));
    }
    found
}

pub(super) fn read(files: &Files) -> Result<ImportedDataset, ImportError> {
    let mut dataset = ImportedDataset::default();
    let pictures = PictureIndex::new(files);
    for file in annotation_files(files) {
        let reader = Reader {
            root: &files.root,
            split: SplitName::in_name(&name_of(file))
                .or_else(|| SplitName::in_folders(&files.root, file)),
            is_label_file: label_file::is_label_file(file),
            file: file.into(),
            pictures: &pictures,
        };
        reader.read(&mut dataset)?;
    }
    Ok(dataset)
}

/// The pictures of a JSON file.
#[derive(Default)]
struct FoundImages {
    /// Each with its frame; none if its size is invalid.
    pictures: Vec<(LabeledPicture, Option<PixelFrame>)>,
    by_id: BTreeMap<String, ImageState>,
}

#[derive(Clone, Copy)]
enum ImageState {
    /// Index in [`FoundImages::pictures`].
    Found(usize),
    /// An issue with this index in the data set says why.
    Unusable(usize),
}

/// Reads one JSON file.
struct Reader<'a> {
    root: &'a Path,
    file: Arc<Path>,
    split: Option<SplitName>,
    /// Whether `data label` has written the file.
    is_label_file: bool,
    pictures: &'a PictureIndex<'a>,
}

impl Reader<'_> {
    fn read(&self, dataset: &mut ImportedDataset) -> Result<(), ImportError> {
        let CocoFile {
            images,
            annotations,
            categories,
        } = self.parse()?;
        let mut names = BTreeMap::new();
        for (index, category) in categories.iter().enumerate() {
            match value::name(&category.name) {
                Some(name) => {
                    if !dataset.classes.contains(&name) {
                        dataset.classes.push(name.clone());
                    }
                    names.insert(value::id(&category.id), name);
                }
                None => {
                    let location = self.element("categories", index, &category.id);
                    let missing = AnnotationError::MissingField { field: "name" };
                    dataset.add_issue_of(location, missing, 0);
                }
            }
        }
        let mut found = self.find_images(&images, dataset);
        self.add_boxes(&annotations, &names, &mut found, dataset);
        let pictures = found.pictures.into_iter().map(|(picture, _)| picture);
        dataset.pictures.extend(pictures);
        Ok(())
    }

    /// The pictures that exist. Entries of one picture are joined.
    fn find_images(&self, images: &[CocoImage], dataset: &mut ImportedDataset) -> FoundImages {
        let named: Vec<_> = images.iter().map(|image| self.find(image)).collect();
        let mut best: BTreeMap<&Path, usize> = BTreeMap::new();
        for found in named.iter().flatten() {
            let matched = best.entry(found.path).or_default();
            *matched = found.matched.max(*matched);
        }
        let mut result = FoundImages::default();
        let mut indices: BTreeMap<&Path, usize> = BTreeMap::new();
        for (index, (image, found)) in images.iter().zip(named).enumerate() {
            let location = self.element("images", index, &image.id);
            let id = value::id(&image.id);
            // Of cam1/1.jpg and cam2/1.jpg, one may be missing.
            let found = found.and_then(|found| match found.matched == best[found.path] {
                true => Ok(found.path),
                false => Err(self.missing(image)),
            });
            let state = match found {
                Err(error) => {
                    dataset.add_issue_of(location.clone(), error, 0);
                    ImageState::Unusable(dataset.issues.len() - 1)
                }
                Ok(path) => {
                    let index = *indices.entry(path).or_insert_with(|| {
                        let picture = self.picture(path);
                        result.pictures.push((picture, None));
                        result.pictures.len() - 1
                    });
                    let (picture, _) = &mut result.pictures[index];
                    if self.is_label_file {
                        let split = value::name(&image.split);
                        picture.split = split
                            .and_then(|split| SplitName::in_name(&split))
                            .or(picture.split);
                        picture.folder = value::name(&image.folder);
                    }
                    match image.exhaustive() {
                        Ok(stated) => picture.exhaustive = both(picture.exhaustive, stated),
                        Err(error) => dataset.add_issue_of(location.clone(), error, 0),
                    }
                    match PixelFrame::of(path, image.stated_size()) {
                        Ok(frame) => {
                            result.pictures[index].1 = Some(frame);
                            ImageState::Found(index)
                        }
                        Err(error) => {
                            dataset.add_issue_of(location.clone(), error, 0);
                            ImageState::Unusable(dataset.issues.len() - 1)
                        }
                    }
                }
            };
            let is_other = |former: &ImageState| match (former, state) {
                (ImageState::Found(former), ImageState::Found(index)) => *former != index,
                _ => true,
            };
            if result.by_id.get(&id).is_some_and(is_other) {
                dataset.add_issue_of(location, AnnotationError::DuplicateId { id: id.clone() }, 0);
                let issue = ImageState::Unusable(dataset.issues.len() - 1);
                result.by_id.insert(id, issue);
            } else {
                result.by_id.insert(id, state);
            }
        }
        result
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
            if value::flag(&annotation.iscrowd) {
                crowds += 1;
                continue;
            }
            let location = self.element("annotations", index, &annotation.id);
            let id = value::id(&annotation.image_id);
            let labeled = match found.by_id.get(&id) {
                None => Err(AnnotationError::UnknownImage { id }),
                Some(ImageState::Unusable(issue)) => {
                    dataset.issues[*issue].add_box();
                    continue;
                }
                Some(ImageState::Found(index)) => match &mut found.pictures[*index] {
                    (picture, Some(frame)) => annotation
                        .labeled_box(&location, names, frame)
                        .map(|labeled| picture.boxes.push(labeled)),
                    (_, None) => continue,
                },
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
        let text = text::read(&self.file)
            .map_err(|error| failed(Location::file(&self.file), error.into()))?;
        json::parse(&text).map_err(|error| {
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
        let name = format!("{list}[{index}] (id {})", value::id(id));
        Location::element(&self.file, name)
    }

    fn picture(&self, path: &Path) -> LabeledPicture {
        let split = self
            .split
            .or_else(|| SplitName::in_folders(self.root, path));
        LabeledPicture::new(path.to_owned(), split)
    }

    /// Of several pictures that match equally: one of the same split, then the nearest to the JSON file.
    fn find(&self, image: &CocoImage) -> Result<FoundPicture<'_>, AnnotationError> {
        let missing = AnnotationError::MissingField { field: "file_name" };
        let name = value::name(&image.file_name).ok_or(missing)?;
        if self.is_label_file
            && let Some(found) = self.pictures.with_path(&self.beside_file(&name))
        {
            return Ok(found);
        }
        let found = self.pictures.find(&name, |path| {
            (
                self.split.is_some() && SplitName::in_folders(self.root, path) != self.split,
                path.parent() != self.file.parent(),
                std::cmp::Reverse(shared_folders(path, &self.file)),
            )
        });
        found.ok_or_else(|| self.missing(image))
    }

    /// The path that a name has below the folder of the JSON file.
    fn beside_file(&self, name: &str) -> PathBuf {
        self.file.parent().unwrap_or(self.root).join(name)
    }

    fn missing(&self, image: &CocoImage) -> AnnotationError {
        let name = value::name(&image.file_name).unwrap_or_default();
        AnnotationError::MissingPicture {
            picture: self.root.join(name),
        }
    }
}

impl CocoImage {
    fn stated_size(&self) -> Option<(u32, u32)> {
        value::size(value::number(&self.width), value::number(&self.height))
    }

    fn exhaustive(&self) -> Result<Option<bool>, AnnotationError> {
        value::optional_bool(&self.exhaustive).map_err(|()| AnnotationError::NotABool {
            field: EXHAUSTIVE_COLUMN,
            value: value::name(&self.exhaustive).unwrap_or_else(|| self.exhaustive.to_string()),
        })
    }
}

impl CocoAnnotation {
    fn labeled_box(
        &self,
        location: &Location,
        names: &BTreeMap<String, String>,
        frame: &PixelFrame,
    ) -> Result<LabeledBox, AnnotationError> {
        let id = value::id(&self.category_id);
        let class = names
            .get(&id)
            .ok_or_else(|| AnnotationError::UnknownClass {
                id,
                known: format!(
                    "\"categories\" has {}",
                    names.keys().cloned().collect::<Vec<_>>().join(", ")
                ),
            })?;
        let of_bbox = self
            .bbox_corners()
            .and_then(|corners| frame.normalize(corners));
        let bounding_box = of_bbox.or_else(|error| {
            let outline = self.segmentation.0.corners().ok_or(error)?;
            frame.normalize(outline)
        })?;
        Ok(LabeledBox {
            class: class.clone(),
            bounding_box,
            location: location.clone(),
        })
    }

    fn bbox_corners(&self) -> Result<[f64; 4], AnnotationError> {
        let missing = AnnotationError::MissingField { field: "bbox" };
        let numbers = self.bbox.as_array().filter(|numbers| !numbers.is_empty());
        let numbers = numbers.ok_or(missing)?;
        let [left, top, width, height] = numbers.as_slice() else {
            return Err(AnnotationError::FieldCount {
                found: numbers.len(),
                expected: "4 in bbox: left, top, width, height",
            });
        };
        let number = |number: &Value| {
            let finite = value::number(number).filter(|number| number.is_finite());
            finite.ok_or_else(|| AnnotationError::NotANumber {
                field: "bbox",
                value: value::name(number).unwrap_or_else(|| number.to_string()),
            })
        };
        let (left, top, width, height) =
            (number(left)?, number(top)?, number(width)?, number(height)?);
        Ok([left, left + width, top, top + height])
    }
}
