//! The file that `boxcam-train data label` writes into a folder: COCO JSON with a few more fields.
//!
//! It holds all labels of the folder, since the annotations that were there before are imported into it. So it takes
//! precedence over other annotations in the same folder, and the format of the folder is COCO. Its first key tells it
//! from the COCO files of other programs. Fields that COCO does not have: `exhaustive`, `split` and `folder` of an image
//! (whether every object has a box, the split, and the folder that names the class of the picture).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boxcam::text;
use serde::{Deserialize, Serialize};

use super::imported::SplitName;

/// The name of the file.
pub const FILE_NAME: &str = "boxcam-labels.json";

/// The first key of the file.
const MARK: &str = "boxcam_labels";

/// The version of the format.
const VERSION: u32 = 1;

/// All labels of a folder.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LabelFile {
    /// Class names, each once.
    pub classes: Vec<String>,
    pub images: Vec<LabelFileImage>,
}

/// A picture in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelFileImage {
    /// Its path relative to the folder, with `/`.
    pub name: String,
    /// Width and height of the upright picture in pixels.
    pub size: (u32, u32),
    pub split: Option<SplitName>,
    /// The folder that names its class, in the formats that have one.
    pub folder: Option<String>,
    /// Whether every object has a box; `true` without boxes: the picture shows none of the objects.
    pub exhaustive: Option<bool>,
    /// Classes and boxes: left, top, width, height in pixels of the upright picture.
    pub boxes: Vec<(String, [f64; 4])>,
}

#[derive(Serialize, Deserialize)]
struct Category {
    id: usize,
    name: String,
}

#[derive(Serialize, Deserialize)]
struct Image {
    id: usize,
    file_name: String,
    width: u32,
    height: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exhaustive: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    split: Option<SplitName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Annotation {
    id: usize,
    image_id: usize,
    category_id: usize,
    bbox: [f64; 4],
    #[serde(default)]
    area: f64,
    #[serde(default)]
    iscrowd: u8,
}

#[derive(Deserialize)]
struct Parsed {
    boxcam_labels: u32,
    categories: Vec<Category>,
    images: Vec<Image>,
    annotations: Vec<Annotation>,
}

/// The labels of a folder, if it has such a file.
pub(super) fn in_folder(folder: &Path) -> Option<PathBuf> {
    let file = folder.join(FILE_NAME);
    is_label_file(&file).then_some(file)
}

/// Whether boxcam-train has written the file.
#[must_use]
pub fn is_label_file(file: &Path) -> bool {
    let has_name = file.file_name().is_some_and(|name| name == FILE_NAME);
    has_name && is_marked(&text::start(file))
}

fn is_marked(text: &str) -> bool {
    let rest = text.trim_start().strip_prefix('{');
    let key = rest.and_then(|rest| rest.trim_start().strip_prefix('"'));
    key.and_then(|key| key.strip_prefix(MARK))
        .is_some_and(|rest| rest.starts_with('"'))
}

impl LabelFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// What is wrong with it, as part of a message.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed: Parsed = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if parsed.boxcam_labels > VERSION {
            return Err(format!(
                "a newer boxcam-train has written it, with format {} instead of {VERSION}",
                parsed.boxcam_labels
            ));
        }
        let names: BTreeMap<usize, String> = parsed
            .categories
            .iter()
            .map(|category| (category.id, category.name.clone()))
            .collect();
        let mut indices = BTreeMap::new();
        let mut file = Self::default();
        for category in parsed.categories {
            if !file.classes.contains(&category.name) {
                file.classes.push(category.name);
            }
        }
        for image in parsed.images {
            if indices.insert(image.id, file.images.len()).is_some() {
                return Err(format!("two images have the id {}", image.id));
            }
            file.images.push(LabelFileImage {
                name: image.file_name,
                size: (image.width, image.height),
                split: image.split,
                folder: image.folder,
                exhaustive: image.exhaustive,
                boxes: Vec::new(),
            });
        }
        for annotation in parsed.annotations {
            let id = annotation.id;
            let index = indices.get(&annotation.image_id);
            let index = index.ok_or_else(|| format!("the image of annotation {id} is missing"))?;
            let class = names.get(&annotation.category_id);
            let class = class.ok_or_else(|| format!("the class of annotation {id} is missing"))?;
            file.images[*index]
                .boxes
                .push((class.clone(), annotation.bbox));
        }
        Ok(file)
    }

    /// The text of the file, one image and one annotation per line. Boxes of classes that are not in `classes` are left
    /// out.
    #[must_use]
    pub fn to_text(&self) -> String {
        let ids: BTreeMap<&str, usize> = (1..)
            .zip(&self.classes)
            .map(|(id, name)| (name.as_str(), id))
            .collect();
        let categories = (1..).zip(&self.classes).map(|(id, name)| Category {
            id,
            name: name.clone(),
        });
        let images = (1..).zip(&self.images).map(|(id, image)| Image {
            id,
            file_name: image.name.clone(),
            width: image.size.0,
            height: image.size.1,
            exhaustive: image.exhaustive,
            split: image.split,
            folder: image.folder.clone(),
        });
        let boxes = (1..).zip(&self.images).flat_map(|(image_id, image)| {
            let boxes = image.boxes.iter();
            boxes.map(move |(class, bbox)| (image_id, class.as_str(), *bbox))
        });
        let known = boxes.filter_map(|(image_id, class, bbox)| {
            let category_id = *ids.get(class)?;
            Some((image_id, category_id, bbox))
        });
        let annotations = (1..)
            .zip(known)
            .map(|(id, (image_id, category_id, bbox))| Annotation {
                id,
                image_id,
                category_id,
                bbox,
                area: (bbox[2] * bbox[3] * 100.0).round() / 100.0,
                iscrowd: 0,
            });
        format!(
            "{{\"{MARK}\": {VERSION},\n\"categories\": [{}],\n\"images\": [{}],\n\"annotations\": [{}]}}\n",
            lines(categories),
            lines(images),
            lines(annotations)
        )
    }
}

/// The elements of a JSON array, one per line.
fn lines<T: Serialize>(elements: impl Iterator<Item = T>) -> String {
    let mut text = String::new();
    for element in elements {
        text.push_str(if text.is_empty() { "\n" } else { ",\n" });
        // Numbers and texts can always be written.
        text.push_str(&serde_json::to_string(&element).unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> LabelFile {
        let image = LabelFileImage {
            name: "a/b \"c\".jpg".to_owned(),
            size: (640, 480),
            split: Some(SplitName::Val),
            folder: Some("mug".to_owned()),
            exhaustive: Some(true),
            boxes: vec![
                ("cup".to_owned(), [1.0, 2.0, 30.25, 40.0]),
                ("mug".to_owned(), [0.0, 0.0, 640.0, 480.0]),
            ],
        };
        let empty = LabelFileImage {
            name: "b.jpg".to_owned(),
            split: None,
            folder: None,
            exhaustive: None,
            boxes: Vec::new(),
            ..image.clone()
        };
        LabelFile {
            classes: vec!["mug".to_owned(), "cup".to_owned(), "unused".to_owned()],
            images: vec![image, empty],
        }
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        for file in [file(), LabelFile::default()] {
            let text = file.to_text();
            assert_eq!(LabelFile::parse(&text).expect(&text), file);
            assert!(is_marked(&text), "{text}");
        }
    }

    #[test]
    fn files_of_other_programs_are_told_apart() {
        for text in [
            "",
            "{}",
            "{\"info\": {}, \"boxcam_labels\": 1}",
            "[\"boxcam_labels\"]",
            "{\"boxcam_labels_2\": 1}",
        ] {
            assert!(!is_marked(text), "{text}");
        }
        assert!(is_marked(" {\n \"boxcam_labels\" : 1}"));
    }

    #[test]
    fn what_would_be_lost_is_an_error() {
        let text = file().to_text();
        for (from, to, expected) in [
            ("\"image_id\":1", "\"image_id\":9", "image of annotation"),
            (
                "\"category_id\":1",
                "\"category_id\":9",
                "class of annotation",
            ),
            ("\"id\":2,\"file_name\"", "\"id\":1,\"file_name\"", "two"),
            ("labels\": 1", "labels\": 2", "newer"),
            ("\"annotations\"", "\"annotation\"", "missing field"),
        ] {
            assert!(text.contains(from), "{text}");
            let error = LabelFile::parse(&text.replace(from, to)).expect_err(to);
            assert!(error.contains(expected), "{error}");
        }
    }
}
