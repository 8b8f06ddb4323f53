//! Pascal VOC: one XML file per picture, and lists of picture names for the splits
//! (<http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/>).
//!
//! The XML files are in `Annotations/` with the pictures in `JPEGImages/`, or beside the pictures. The picture is that with
//! the name of the XML file, else that of `<filename>` or `<path>`. Pixels count from 1 and
//! the maxima are inclusive, as in VOC's development kit: of 10 pixels, 1 to 10 is the whole width. An object without
//! `<bndbox>` has the box of its `<polygon>` or `<robndbox>`. If
//! `ImageSets/Main/train.txt` and `val.txt` exist, they and `test.txt` define the splits, and pictures in no list are
//! skipped; else folders named train, val and test do.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use boxcam::picture::is_image_path;
use boxcam::picture_name::{file_name, fold};
use boxcam::text;
use roxmltree::{Document, Node, ParsingOptions};

use super::files::{Files, PictureIndex, stem_of};
use super::import_error::{AnnotationError, Location};
use super::imported::{ImportedDataset, LabeledBox, LabeledPicture, SplitName};
use super::outline::Bounds;
use super::own_picture::{OwnPicture, OwnPictures};
use super::pixel_frame::PixelFrame;
use super::{value, xml};

/// Whether an XML file has `<annotation>` as its root element. `<annotations>` is the one of CVAT's own format.
pub(super) fn is_annotation(path: &Path) -> bool {
    let start = text::start(path);
    let mut elements = start.split('<').skip(1);
    let root = elements.find(|element| !element.starts_with(['?', '!']));
    root.and_then(|root| root.split([' ', '>', '/', '\n', '\t']).next())
        .is_some_and(|name| name.rsplit(':').next() == Some("annotation"))
}

pub(super) fn matches(files: &Files) -> bool {
    files.with_extension("xml").any(is_annotation)
}

pub(super) fn read(files: &Files) -> ImportedDataset {
    let mut dataset = ImportedDataset::default();
    let root = &files.root;
    let pictures = PictureIndex::new(files);
    let mut own = OwnPictures::new(&pictures, "<filename>", files.with_extension("xml"));
    let lists = split_lists(root);
    let mut in_no_list = 0;
    for path in files.with_extension("xml") {
        let split = match &lists {
            Some(lists) => lists.get(&fold(&stem_of(path))).copied(),
            None => SplitName::in_folders(root, path),
        };
        if lists.is_some() && split.is_none() {
            in_no_list += 1;
            continue;
        }
        let file: Arc<Path> = path.into();
        match read_file(&file, &mut own, &mut dataset) {
            Ok(mut picture) => {
                picture.split = split.or_else(|| SplitName::in_folders(root, &picture.path));
                dataset.pictures.push(picture);
            }
            Err((location, error, boxes)) => dataset.add_issue_of(location, error, boxes),
        }
    }
    if in_no_list > 0 {
        dataset.notes.push(format!(
            "{in_no_list} annotations are in no list of ImageSets/Main and are skipped"
        ));
    }
    dataset.notes.extend(own.note());
    dataset
}

/// The split of each picture name; `None` without lists for both train and val.
fn split_lists(root: &Path) -> Option<BTreeMap<String, SplitName>> {
    let mut lists = BTreeMap::new();
    for split in [SplitName::Test, SplitName::Val, SplitName::Train] {
        let file = root.join("ImageSets/Main").join(format!("{split}.txt"));
        match text::read(&file) {
            Ok(text) => lists.extend(text.lines().filter_map(listed).map(|name| (name, split))),
            Err(_) if split == SplitName::Test => {}
            Err(_) => return None,
        }
    }
    Some(lists)
}

/// The folded name of a picture in a line of a split list.
fn listed(line: &str) -> Option<String> {
    let line = text::trim(line);
    // Lists of a single class have a second field, 1, 0 or -1.
    let name = match line.rsplit_once(char::is_whitespace) {
        Some((name, "1" | "0" | "-1")) => name.trim_end(),
        _ => line,
    };
    let name = file_name(name);
    let name = match is_image_path(Path::new(name)) {
        true => stem_of(Path::new(name)),
        false => name.to_owned(),
    };
    (!name.is_empty()).then(|| fold(&name))
}

/// A location, what is wrong there, and the number of boxes that are lost.
type FileError = (Location, AnnotationError, usize);

/// The picture of an XML file. Invalid boxes are added to the issues of the data set.
fn read_file(
    file: &Arc<Path>,
    own: &mut OwnPictures<'_, '_>,
    dataset: &mut ImportedDataset,
) -> Result<LabeledPicture, FileError> {
    let text = xml::read(file).map_err(|error| (Location::file(file), error.into(), 1))?;
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(&text, options).map_err(|error| {
        let syntax = AnnotationError::Syntax {
            language: "XML",
            message: error.to_string(),
        };
        (Location::line(file, error.pos().row.into()), syntax, 1)
    })?;
    let at = |node: Node<'_, '_>| {
        Location::line(file, document.text_pos_at(node.range().start).row.into())
    };
    let annotation = document.root_element();
    let objects: Vec<Node<'_, '_>> = annotation
        .children()
        .filter(|node| is_named(*node, "object"))
        .collect();
    let names = ["filename", "path"].map(|name| text_of(annotation, name).map(str::to_owned));
    let names: Vec<String> = names.into_iter().flatten().collect();
    let path = match own.find(file, &names) {
        OwnPicture::Found(path) => Ok(path),
        OwnPicture::Taken(path) => Err(AnnotationError::SecondFile {
            picture: path.to_owned(),
        }),
        OwnPicture::Missing => {
            let name = names.first().cloned();
            let picture = name.unwrap_or_else(|| stem_of(file) + ".jpg").into();
            Err(AnnotationError::MissingPicture { picture })
        }
    };
    let path = path.map_err(|error| (Location::file(file), error, objects.len()))?;
    let mut picture = LabeledPicture::new(path.to_owned(), None);
    let frame = match PixelFrame::of(path, stated_size(annotation)) {
        Ok(frame) => frame,
        Err(error) => {
            dataset.add_issue_of(Location::file(file), error, objects.len());
            return Ok(picture);
        }
    };
    for object in objects {
        match labeled_box(object, &frame, at(object)) {
            Ok(labeled) => picture.boxes.push(labeled),
            Err(error) => dataset.add_issue(at(object), error),
        }
    }
    Ok(picture)
}

/// `None` if there is none, or one that is not positive: many tools write 0.
fn stated_size(annotation: Node<'_, '_>) -> Option<(u32, u32)> {
    let size = child(annotation, "size")?;
    let side = |name| text_of(size, name).and_then(text::number);
    value::size(side("width"), side("height"))
}

fn labeled_box(
    object: Node<'_, '_>,
    frame: &PixelFrame,
    location: Location,
) -> Result<LabeledBox, AnnotationError> {
    let class = text_of(object, "name").filter(|name| !name.is_empty());
    let class = class.ok_or(AnnotationError::MissingField { field: "<name>" })?;
    let of_box = child(object, "bndbox")
        .ok_or(AnnotationError::MissingField { field: "<bndbox>" })
        .and_then(corners)
        .and_then(|corners| frame.normalize(corners));
    let bounding_box = of_box.or_else(|error| {
        let outline = outline(object).corners().ok_or(error)?;
        frame.normalize(outline)
    })?;
    Ok(LabeledBox {
        class: class.to_owned(),
        bounding_box,
        location,
    })
}

fn corners(bndbox: Node<'_, '_>) -> Result<[f64; 4], AnnotationError> {
    let (x_min, x_max) = (number(bndbox, "xmin")?, number(bndbox, "xmax")?);
    let (y_min, y_max) = (number(bndbox, "ymin")?, number(bndbox, "ymax")?);
    // Exchanged before the 1 is subtracted, which belongs to the minimum.
    let (left, right) = (x_min.min(x_max), x_max.max(x_min));
    let (top, bottom) = (y_min.min(y_max), y_max.max(y_min));
    Ok([left - 1.0, right, top - 1.0, bottom])
}

/// The bounds of `<polygon>`, whose points are `<x1>`, `<y1>` and so on or `<pt>`, or of the rotated `<robndbox>`.
fn outline(object: Node<'_, '_>) -> Bounds {
    let value = |node: Node<'_, '_>| node.text().and_then(text::number).unwrap_or(f64::NAN);
    if let Some(rotated) = child(object, "robndbox") {
        let of = |name| number(rotated, name).unwrap_or(f64::NAN);
        let (x, y, width, height, angle) = (of("cx"), of("cy"), of("w"), of("h"), of("angle"));
        let (sin, cos) = (angle.sin().abs(), angle.cos().abs());
        let half_width = (width * cos + height * sin) / 2.0;
        let half_height = (width * sin + height * cos) / 2.0;
        return Bounds::of([
            (x - half_width, y - half_height),
            (x + half_width, y + half_height),
        ]);
    }
    let mut bounds = Bounds::default();
    for polygon in object.children().filter(|node| is_named(*node, "polygon")) {
        for point in polygon.children().filter(|node| is_named(*node, "pt")) {
            let of = |name| number(point, name).unwrap_or(f64::NAN);
            bounds.add(of("x"), of("y"));
        }
        let mut x = None;
        for node in polygon.children().filter(Node::is_element) {
            match (node.tag_name().name().chars().next(), x.take()) {
                (Some('x'), _) => x = Some(value(node)),
                (Some('y'), Some(x)) => bounds.add(x, value(node)),
                _ => {}
            }
        }
    }
    bounds
}

/// Without regard to a namespace.
fn is_named(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}

fn child<'d, 't>(node: Node<'d, 't>, name: &str) -> Option<Node<'d, 't>> {
    node.children().find(|node| is_named(*node, name))
}

fn text_of<'d>(node: Node<'d, '_>, name: &str) -> Option<&'d str> {
    child(node, name)
        .and_then(|node| node.text())
        .map(text::trim)
}

fn number(node: Node<'_, '_>, name: &'static str) -> Result<f64, AnnotationError> {
    let text = text_of(node, name).ok_or(AnnotationError::MissingField { field: name })?;
    let number = text::number(text).filter(|number| number.is_finite());
    number.ok_or_else(|| AnnotationError::NotANumber {
        field: name,
        value: text.to_owned(),
    })
}
