//! Pascal VOC: one XML a picture, and lists of picture names for the splits
//! (<http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/>).
//!
//! The XML lies in `Annotations/` with its picture in `JPEGImages/`, or both in one folder. Pixels count from 1
//! and both edges are within the box, as in VOC's own development kit: 1 to 10 of 10 pixels is the whole width.
//! `ImageSets/Main/{train,val,test}.txt` give the splits where both train and val are there, and pictures in no list
//! are then passed over; else folders called train, val and test do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roxmltree::{Document, Node};

use super::files::{ByName, has_ending};
use super::format::{beginning, near};
use super::pixels::Ground;
use super::{AnnotationFault, Dataset, DatasetError, Part, Picture, Place, Row, files};

pub(super) fn is_in(root: &Path) -> Result<bool, DatasetError> {
    let annotates = |path: PathBuf| beginning(&path).contains("<annotation");
    Ok(near(root, 2, "xml")?.into_iter().any(annotates))
}

pub(super) fn read(root: &Path) -> Result<Dataset, DatasetError> {
    let mut dataset = Dataset::default();
    let pictures = ByName::new(files::pictures(root)?, Path::file_stem);
    let lists = lists(root);
    let mut in_no_list = 0;
    let mut annotated = std::collections::BTreeSet::new();
    for file in files::below(root, |path| has_ending(path, "xml"))? {
        let stem = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let part = match &lists {
            Some(lists) => lists.get(&stem).copied(),
            None => Part::in_folders(root, &file),
        };
        if lists.is_some() && part.is_none() {
            in_no_list += 1;
            continue;
        }
        let file: Arc<Path> = file.into();
        match read_file(&file, &stem, root, &pictures, &mut dataset) {
            Ok(mut picture) => {
                picture.part = part.or_else(|| Part::in_folders(root, &picture.path));
                if annotated.insert(picture.path.clone()) {
                    dataset.pictures.push(picture);
                }
            }
            Err((place, fault)) => dataset.fault(place, fault),
        }
    }
    if in_no_list > 0 {
        let words = format!(
            "{in_no_list} annotations are in no list of ImageSets/Main and are passed over"
        );
        dataset.notes.push(words);
    }
    Ok(dataset)
}

/// The split of each picture's name, where there are lists for train and val.
fn lists(root: &Path) -> Option<BTreeMap<String, Part>> {
    let mut lists = BTreeMap::new();
    for part in [Part::Test, Part::Val, Part::Train] {
        let file = root.join("ImageSets/Main").join(format!("{part}.txt"));
        match std::fs::read_to_string(file) {
            // A line may have a second field, 1 or -1 in the lists of one class.
            Ok(text) => lists.extend(
                text.lines()
                    .filter_map(|line| line.split_whitespace().next())
                    .map(|name| (name.to_owned(), part)),
            ),
            Err(_) if part == Part::Test => {}
            Err(_) => return None,
        }
    }
    Some(lists)
}

type Faulty = (Place, AnnotationFault);

/// The picture of an XML; its faulty boxes go straight to the data set.
fn read_file(
    file: &Arc<Path>,
    stem: &str,
    root: &Path,
    pictures: &ByName,
    dataset: &mut Dataset,
) -> Result<Picture, Faulty> {
    let whole = |fault| (Place::file(file), fault);
    let text =
        std::fs::read_to_string(file).map_err(|error| whole(AnnotationFault::Unreadable(error)))?;
    let document = Document::parse(&text).map_err(|error| {
        let message = error.to_string();
        let fault = AnnotationFault::Syntax {
            language: "XML",
            message,
        };
        (Place::line(file, error.pos().row.into()), fault)
    })?;
    let at =
        |node: Node<'_, '_>| Place::line(file, document.text_pos_at(node.range().start).row.into());
    let annotation = document.root_element();
    let path = find(annotation, stem, file, pictures).ok_or_else(|| {
        let name = text_of(annotation, "filename").unwrap_or(stem);
        whole(AnnotationFault::MissingPicture {
            picture: root.join("JPEGImages").join(name),
        })
    })?;
    let mut picture = Picture {
        path: path.clone(),
        part: None,
        folder: None,
        rows: Vec::new(),
    };
    let stated = stated(annotation).map_err(|fault| (at(annotation), fault));
    let ground = stated.and_then(|stated| Ground::of(path, Some(stated)).map_err(whole));
    let ground = match ground {
        Ok(ground) => ground,
        Err((place, fault)) => {
            dataset.fault(place, fault);
            return Ok(picture);
        }
    };
    for object in annotation
        .children()
        .filter(|node| node.has_tag_name("object"))
    {
        match row(object, &ground, at(object)) {
            Ok(row) => picture.rows.push(row),
            Err(fault) => dataset.fault(at(object), fault),
        }
    }
    Ok(picture)
}

/// By the name in the XML, else by the name of the XML; one beside it before others.
fn find<'p>(
    annotation: Node<'_, '_>,
    stem: &str,
    file: &Path,
    pictures: &'p ByName,
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

fn stated(annotation: Node<'_, '_>) -> Result<(u32, u32), AnnotationFault> {
    let size = child(annotation, "size");
    let size = size.ok_or(AnnotationFault::Missing { field: "<size>" })?;
    let width = number(size, "width")?;
    let height = number(size, "height")?;
    Ok((width as u32, height as u32))
}

fn row(object: Node<'_, '_>, ground: &Ground, place: Place) -> Result<Row, AnnotationFault> {
    let class = text_of(object, "name").filter(|name| !name.is_empty());
    let class = class.ok_or(AnnotationFault::Missing { field: "<name>" })?;
    let corners = child(object, "bndbox").ok_or(AnnotationFault::Missing { field: "<bndbox>" })?;
    let (x_min, x_max) = (number(corners, "xmin")?, number(corners, "xmax")?);
    let (y_min, y_max) = (number(corners, "ymin")?, number(corners, "ymax")?);
    for (axis, min, max) in [('x', x_min, x_max), ('y', y_min, y_max)] {
        if min > max {
            return Err(AnnotationFault::Reversed { axis, min, max });
        }
    }
    Ok(Row {
        class: class.to_owned(),
        bounding_box: ground.shares([x_min - 1.0, x_max, y_min - 1.0, y_max])?,
        place,
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

fn number(node: Node<'_, '_>, name: &'static str) -> Result<f64, AnnotationFault> {
    let text = text_of(node, name).ok_or(AnnotationFault::Missing { field: name })?;
    text.parse().map_err(|_| AnnotationFault::NotANumber {
        field: name,
        value: text.to_owned(),
    })
}
