//! LabelMe: one JSON file per picture, with `shapes` and `imagePath` (<https://github.com/wkentaro/labelme>).
//!
//! The box of a shape is the smallest around its points; a circle is given by its center and a point on its edge. Shapes of
//! one label and one `group_id` are parts of one object. Points and lines have no area and are skipped. The picture is that
//! with the name of the JSON file, else that of `imagePath`; `imageData` is ignored. Pictures without a JSON file are
//! skipped. Splits are folders.

use std::path::Path;
use std::sync::Arc;

use boxcam::text;
use serde::Deserialize;
use serde_json::Value;

use super::files::{Files, PictureIndex};
use super::import_error::{AnnotationError, Location};
use super::imported::{ImportedDataset, LabeledBox, LabeledPicture, SplitName};
use super::outline::Bounds;
use super::own_picture::{OwnPicture, OwnPictures};
use super::pixel_frame::PixelFrame;
use super::{json, value};

#[derive(Deserialize)]
struct LabelMeFile {
    #[serde(default)]
    shapes: Vec<Shape>,
    #[serde(default, rename = "imagePath")]
    image_path: Value,
    #[serde(default, rename = "imageWidth")]
    image_width: Value,
    #[serde(default, rename = "imageHeight")]
    image_height: Value,
}

#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    label: Value,
    #[serde(default)]
    points: Value,
    #[serde(default)]
    shape_type: Value,
    #[serde(default)]
    group_id: Value,
}

/// The JSON files of a data set that look like LabelMe.
pub(super) fn annotation_files(files: &Files) -> Vec<&Path> {
    let looks_like_labelme = |path: &&Path| {
        let start = text::start(path);
        let has = |key: &str| start.contains(&format!("\"{key}\""));
        start.starts_with('{')
            && (has("imageData") || has("imagePath") || (has("shapes") && has("points")))
    };
    let json = files.with_extension("json");
    json.filter(looks_like_labelme).collect()
}

pub(super) fn read(files: &Files) -> ImportedDataset {
    let mut dataset = ImportedDataset::default();
    let pictures = PictureIndex::new(files);
    let paths = annotation_files(files);
    let mut own = OwnPictures::new(&pictures, "imagePath", paths.iter().copied());
    let mut without_area = 0;
    for path in paths {
        let file: Arc<Path> = path.into();
        let read = match parse(&file) {
            Ok(read) => read,
            Err((location, error)) => {
                dataset.add_issue(location, error);
                continue;
            }
        };
        let boxes = read.shapes.iter().filter(|shape| shape.has_area()).count();
        without_area += read.shapes.len() - boxes;
        let name = value::name(&read.image_path);
        let picture = match own.find(path, name.as_slice()) {
            OwnPicture::Found(picture) => Ok(picture),
            OwnPicture::Taken(picture) => Err(AnnotationError::SecondFile {
                picture: picture.to_owned(),
            }),
            OwnPicture::Missing => Err(AnnotationError::MissingPicture {
                picture: path.with_extension("jpg"),
            }),
        };
        let picture = match picture {
            Ok(picture) => picture,
            Err(error) => {
                dataset.add_issue_of(Location::file(&file), error, boxes);
                continue;
            }
        };
        let split = SplitName::in_folders(&files.root, picture)
            .or_else(|| SplitName::in_folders(&files.root, path));
        let mut labeled = LabeledPicture::new(picture.to_owned(), split);
        match PixelFrame::of(picture, read.stated_size()) {
            Ok(frame) => labeled.boxes = read.boxes(&file, &frame, &mut dataset),
            Err(error) => dataset.add_issue_of(Location::file(&file), error, boxes),
        }
        dataset.pictures.push(labeled);
    }
    if without_area > 0 {
        dataset.notes.push(format!(
            "{without_area} points and lines mark no area and are skipped"
        ));
    }
    dataset.notes.extend(own.note());
    dataset
}

fn parse(file: &Arc<Path>) -> Result<LabelMeFile, (Location, AnnotationError)> {
    let text = text::read(file).map_err(|error| (Location::file(file), error.into()))?;
    json::parse(&text).map_err(|error| {
        let syntax = AnnotationError::Syntax {
            language: "LabelMe JSON",
            message: error.to_string(),
        };
        (Location::line(file, error.line() as u64), syntax)
    })
}

impl LabelMeFile {
    fn stated_size(&self) -> Option<(u32, u32)> {
        value::size(
            value::number(&self.image_width),
            value::number(&self.image_height),
        )
    }

    /// One box per shape, or per group of shapes. Invalid shapes are added to the issues of the data set.
    fn boxes(
        &self,
        file: &Arc<Path>,
        frame: &PixelFrame,
        dataset: &mut ImportedDataset,
    ) -> Vec<LabeledBox> {
        let mut objects: Vec<(Location, String, Option<String>, Bounds)> = Vec::new();
        for (index, shape) in self.shapes.iter().enumerate() {
            if !shape.has_area() {
                continue;
            }
            let location = Location::element(file, format!("shapes[{index}]"));
            let Some(label) = value::name(&shape.label) else {
                dataset.add_issue(location, AnnotationError::MissingField { field: "label" });
                continue;
            };
            let group = value::name(&shape.group_id);
            let is_part = |object: &&mut (Location, String, Option<String>, Bounds)| {
                group.is_some() && object.1 == label && object.2 == group
            };
            match objects.iter_mut().find(is_part) {
                Some(object) => object.3.merge(shape.bounds()),
                None => objects.push((location, label, group, shape.bounds())),
            }
        }
        let mut boxes = Vec::new();
        for (location, class, _, bounds) in objects {
            let missing = AnnotationError::MissingField {
                field: "points that are all pairs of numbers",
            };
            let corners = bounds.corners().ok_or(missing);
            match corners.and_then(|corners| frame.normalize(corners)) {
                Ok(bounding_box) => boxes.push(LabeledBox {
                    class,
                    bounding_box,
                    location,
                }),
                Err(error) => dataset.add_issue(location, error),
            }
        }
        boxes
    }
}

impl Shape {
    /// Old versions draw polygons only and write no type.
    fn has_area(&self) -> bool {
        let kind = self.shape_type.as_str().unwrap_or("polygon");
        !["point", "points", "line", "lines", "linestrip", "polyline"].contains(&kind)
    }

    fn bounds(&self) -> Bounds {
        let number = |point: &Value, index| {
            let number = point.get(index).and_then(value::number);
            number.unwrap_or(f64::NAN)
        };
        let points = self.points.as_array().into_iter().flatten();
        let points: Vec<(f64, f64)> = points
            .map(|point| (number(point, 0), number(point, 1)))
            .collect();
        match (self.shape_type.as_str(), points.as_slice()) {
            (Some("circle"), [(x, y), edge]) => {
                let radius = (edge.0 - x).hypot(edge.1 - y);
                Bounds::of([(x - radius, y - radius), (x + radius, y + radius)])
            }
            _ => Bounds::of(points),
        }
    }
}
