//! Data sets as tools and people really write them: every way of writing gives the same boxes.

mod names;
mod recognition;
mod writing;

use std::fs;

use boxcam::geometry::NormBox;
use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// The picture of 160 x 120 pixels and the box of 60 x 50 pixels in it that all of these data sets have.
const CORNERS: [f32; 4] = [20.0 / 160.0, 80.0 / 160.0, 10.0 / 120.0, 60.0 / 120.0];

struct Field(TempDir);

impl Field {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn put(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("made");
        fs::write(path, bytes).expect("written");
        self
    }

    fn picture(self, name: &str) -> Self {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("made");
        let picture = RgbImage::new(160, 120);
        let saved = picture.save_with_format(path, ImageFormat::Png);
        saved.expect("written");
        self
    }

    fn read(&self) -> (DatasetFormat, ImportedDataset) {
        read(self.0.path()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refused(&self) -> String {
        read(self.0.path()).expect_err("refused").to_string()
    }

    /// Checks that the data set has this format, no issue, and one picture with the box of class mug.
    fn has_the_box(&self, format: DatasetFormat, case: &str) {
        let (found, dataset) = self.read();
        assert_eq!(found, format, "{case}");
        assert!(dataset.issues.is_empty(), "{case}: {:?}", dataset.issues);
        let boxes = boxes(&dataset);
        assert_eq!(boxes.len(), 1, "{case}: {dataset:?}");
        assert_eq!(boxes[0].0, "mug", "{case}");
        assert_corners(&boxes[0].1, CORNERS, case);
    }

    fn issues(&self) -> Vec<String> {
        self.read()
            .1
            .issues
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}

fn boxes(dataset: &ImportedDataset) -> Vec<(&str, NormBox)> {
    let boxes = dataset.pictures.iter().flat_map(|picture| &picture.boxes);
    boxes
        .map(|labeled| (labeled.class.as_str(), labeled.bounding_box))
        .collect()
}

fn assert_corners(found: &NormBox, expected: [f32; 4], case: &str) {
    for (found, expected) in found.corners().into_iter().zip(expected) {
        assert!(
            (found - expected).abs() < 1e-5,
            "{case}: {found} {expected}"
        );
    }
}

fn coco_of(image: Value, annotation: Value) -> Value {
    json!({
        "images": vec![image],
        "annotations": vec![annotation],
        "categories": [{ "id": 1, "name": "mug" }],
    })
}

fn image(name: &str) -> Value {
    json!({ "id": 0, "file_name": name, "width": 160, "height": 120 })
}

fn annotation() -> Value {
    json!({ "id": 7, "image_id": 0, "category_id": 1, "bbox": [20, 10, 60, 50], "iscrowd": 0 })
}

fn with(mut value: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else {
        panic!("{changes} is no object");
    };
    for (key, change) in changes {
        value[key] = change;
    }
    value
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

/// A text in every encoding without a declaration.
fn encodings(text: &str) -> Vec<Vec<u8>> {
    let marked = format!("\u{feff}{text}");
    vec![
        text.as_bytes().to_vec(),
        marked.clone().into_bytes(),
        utf16(&marked, u16::to_le_bytes),
        utf16(&marked, u16::to_be_bytes),
        utf16(text, u16::to_le_bytes),
        utf16(text, u16::to_be_bytes),
        text.replace('\n', "\r\n").into_bytes(),
        text.replace('\n', "\r").into_bytes(),
    ]
}

const VOC: &str = "<annotation>\n<filename>a.png</filename>\n<size><width>160</width><height>120</height></size>\n\
    <object><name>mug</name><bndbox><xmin>21</xmin><ymin>11</ymin><xmax>80</xmax><ymax>60</ymax></bndbox></object>\n\
    </annotation>\n";

const YOLO: &str = "0 0.3125 0.2916667 0.375 0.4166667\n";

const OPEN_IMAGES: &str = "ImageID,Source,LabelName,XMin,XMax,YMin,YMax,IsGroupOf,IsDepiction\n\
    a,xclick,/m/1,0.125,0.5,0.0833333,0.5,0,0\n";

fn labelme() -> Value {
    json!({
        "version": "5.5.0",
        "shapes": [{ "label": "mug", "points": [[20, 10], [80, 60]], "shape_type": "rectangle", "group_id": null }],
        "imagePath": "a.png", "imageData": "iVBORw0KGgo=", "imageHeight": 120, "imageWidth": 160,
    })
}
