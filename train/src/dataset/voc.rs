//! Pascal VOC: one XML file per picture, and lists of picture names for the splits
//! (<http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/>).
//!
//! The XML files are in `Annotations/` with the pictures in `JPEGImages/`, or beside the pictures. Pixels count from 1 and
//! the maxima are inclusive, as in VOC's development kit: of 10 pixels, 1 to 10 is the whole width. If
//! `ImageSets/Main/train.txt` and `val.txt` exist, they and `test.txt` define the splits, and pictures in no list are
//! skipped; else folders named train, val and test do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roxmltree::{Document, Node};

use super::files::{PictureIndex, find_files, first_bytes, has_extension, with_extension};
use super::import_error::{AnnotationError, ImportError, Location};
use super::imported::{ImportedDataset, LabeledBox, LabeledPicture, SplitName};
use super::pixel_frame::PixelFrame;

pub(super) fn matches(root: &Path) -> Result<bool, ImportError> {
    let annotates = |path: PathBuf| first_bytes(&path).contains("<annotation");
    Ok(with_extension(root, 2, "xml")?.into_iter().any(annotates))
}

pub(super) fn read(root: &Path) -> Result<ImportedDataset, ImportError> {
    let mut dataset = ImportedDataset::default();
    let pictures = PictureIndex::new(root, Path::file_stem)?;
    let lists = split_lists(root);
    let mut in_no_list = 0;
    let mut annotated = BTreeSet::new();
    for file in find_files(root, |path| has_extension(path, "xml"))? {
        let stem = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let split = match &lists {
            Some(lists) => lists.get(&stem).copied(),
            None => SplitName::in_folders(root, &file),
        };
        if lists.is_some() && split.is_none() {
            in_no_list += 1;
            continue;
        }
        let file: Arc<Path> = file.into();
        match read_file(&file, &stem, root, &pictures, &mut dataset) {
            Ok(mut picture) => {
                picture.split = split.or_else(|| SplitName::in_folders(root, &picture.path));
                if annotated.insert(picture.path.clone()) {
                    dataset.pictures.push(picture);
                }
            }
            Err((location, error)) => dataset.add_issue(location, error),
        }
    }
    if in_no_list > 0 {
        dataset.notes.push(format!(
            "{in_no_list} annotations are in no list of ImageSets/Main and are skipped"
        ));
    }
    Ok(dataset)
}

/// The split of each picture name; `None` without lists for both train and val.
fn split_lists(root: &Path) -> Option<BTreeMap<String, SplitName>> {
    let mut lists = BTreeMap::new();
    for split in [SplitName::Test, SplitName::Val, SplitName::Train] {
        let file = root.join("ImageSets/Main").join(format!("{split}.txt"));
        match std::fs::read_to_string(file) {
            // Lists of a single class have a second field, 1 or -1.
            Ok(text) => lists.extend(
                text.lines()
                    .filter_map(|line| line.split_whitespace().next())
                    .map(|name| (name.to_owned(), split)),
            ),
            Err(_) if split == SplitName::Test => {}
            Err(_) => return None,
        }
    }
    Some(lists)
}

type LocatedError = (Location, AnnotationError);

/// The picture of an XML file. Invalid boxes are added to the issues of the data set.
fn read_file(
    file: &Arc<Path>,
    stem: &str,
    root: &Path,
    pictures: &PictureIndex,
    dataset: &mut ImportedDataset,
) -> Result<LabeledPicture, LocatedError> {
    let whole = |error| (Location::file(file), error);
    let text =
        std::fs::read_to_string(file).map_err(|error| whole(AnnotationError::Unreadable(error)))?;
    let document = Document::parse(&text).map_err(|error| {
        let syntax = AnnotationError::Syntax {
            language: "XML",
            message: error.to_string(),
        };
        (Location::line(file, error.pos().row.into()), syntax)
    })?;
    let at = |node: Node<'_, '_>| {
        Location::line(file, document.text_pos_at(node.range().start).row.into())
    };
    let annotation = document.root_element();
    let path = find(annotation, stem, file, pictures).ok_or_else(|| {
        let name = text_of(annotation, "filename").unwrap_or(stem);
        whole(AnnotationError::MissingPicture {
            picture: root.join("JPEGImages").join(name),
        })
    })?;
    let mut picture = LabeledPicture::new(path.clone(), None);
    let stated = stated_size(annotation).map_err(|error| (at(annotation), error));
    let frame = stated.and_then(|stated| PixelFrame::of(path, Some(stated)).map_err(whole));
    let frame = match frame {
        Ok(frame) => frame,
        Err((location, error)) => {
            dataset.add_issue(location, error);
            return Ok(picture);
        }
    };
    for object in annotation
        .children()
        .filter(|node| node.has_tag_name("object"))
    {
        match labeled_box(object, &frame, at(object)) {
            Ok(labeled) => picture.boxes.push(labeled),
            Err(error) => dataset.add_issue(at(object), error),
        }
    }
    Ok(picture)
}

/// The picture named in the XML file, else the one with the name of the XML file; one beside it is preferred.
fn find<'p>(
    annotation: Node<'_, '_>,
    stem: &str,
    file: &Path,
    pictures: &'p PictureIndex,
) -> Option<&'p PathBuf> {
    let named = text_of(annotation, "filename")
        .map(Path::new)
        .and_then(Path::file_stem);
    let named = named.map(|name| pictures.named(&name.to_string_lossy()));
    let found = named
        .filter(|found| !found.is_empty())
        .unwrap_or_else(|| pictures.named(stem));
    found
        .iter()
        .min_by_key(|path| path.parent() != file.parent())
}

fn stated_size(annotation: Node<'_, '_>) -> Result<(u32, u32), AnnotationError> {
    let size = child(annotation, "size");
    let size = size.ok_or(AnnotationError::MissingField { field: "<size>" })?;
    let width = number(size, "width")?;
    let height = number(size, "height")?;
    Ok((width as u32, height as u32))
}

fn labeled_box(
    object: Node<'_, '_>,
    frame: &PixelFrame,
    location: Location,
) -> Result<LabeledBox, AnnotationError> {
    let class = text_of(object, "name").filter(|name| !name.is_empty());
    let class = class.ok_or(AnnotationError::MissingField { field: "<name>" })?;
    let corners =
        child(object, "bndbox").ok_or(AnnotationError::MissingField { field: "<bndbox>" })?;
    let (x_min, x_max) = (number(corners, "xmin")?, number(corners, "xmax")?);
    let (y_min, y_max) = (number(corners, "ymin")?, number(corners, "ymax")?);
    for (axis, min, max) in [('x', x_min, x_max), ('y', y_min, y_max)] {
        if min > max {
            return Err(AnnotationError::Reversed { axis, min, max });
        }
    }
    Ok(LabeledBox {
        class: class.to_owned(),
        bounding_box: frame.normalize([x_min - 1.0, x_max, y_min - 1.0, y_max])?,
        location,
    })
}

fn child<'d, 't>(node: Node<'d, 't>, name: &str) -> Option<Node<'d, 't>> {
    node.children().find(|node| node.has_tag_name(name))
}

fn text_of<'d>(node: Node<'d, '_>, name: &str) -> Option<&'d str> {
    child(node, name)
        .and_then(|node| node.text())
        .map(str::trim)
}

fn number(node: Node<'_, '_>, name: &'static str) -> Result<f64, AnnotationError> {
    let text = text_of(node, name).ok_or(AnnotationError::MissingField { field: name })?;
    text.parse().map_err(|_| AnnotationError::NotANumber {
        field: name,
        value: text.to_owned(),
    })
}
