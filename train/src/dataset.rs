//! Anybody's data set: a folder in one of six layouts in, pictures with their boxes out.
//!
//! In goes a path, out comes a [`Dataset`], the same for every [`Format`], which is told by what lies in the folder.
//! A single annotation that can't be used is a [`Fault`] with its file and line, and is passed over; a
//! [`DatasetError`] means that nothing can be read. Boxes in pixels become shares of the upright picture
//! ([`pixels`]). Only headers of pictures are read here; [`fingerprint`] looks at their pixels. Nothing here
//! writes into the data set.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use boxcam::geometry::NormBox;

mod chapter;
mod coco;
mod error;
mod files;
pub mod fingerprint;
mod folders;
mod format;
pub mod inspection;
mod open_images;
mod part;
pub mod pixels;
pub mod prepared;
pub mod share;
pub mod sheet;
mod voc;
mod yolo;
mod yolo_names;

#[cfg(test)]
mod tests;

pub use error::{AnnotationFault, DatasetError, Fault, Place};
pub use format::{Format, detect};
pub use part::Part;

/// Pictures with their true boxes, from whatever format.
#[derive(Debug, Default)]
pub struct Dataset {
    /// All pictures, in the order of their paths.
    pub pictures: Vec<Picture>,
    /// Names of the classes: in the order of their numbers where the format numbers them, else sorted.
    pub classes: Vec<String>,
    /// What was passed over because it is wrong.
    pub faults: Vec<Fault>,
    /// What was passed over by rule, in words.
    pub notes: Vec<String>,
}

/// A picture and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Its file.
    pub path: PathBuf,
    /// The split that the data set itself puts it in.
    pub part: Option<Part>,
    /// The folder that names its class, in the formats that have one.
    pub folder: Option<String>,
    /// Its true boxes; may be empty.
    pub rows: Vec<Row>,
}

/// One true box.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What is in the box.
    pub class: String,
    /// Where it is in the upright picture.
    pub bounding_box: NormBox,
    /// Where it was read.
    pub place: Place,
}

impl Picture {
    /// What the picture as a whole shows: the class that its folder names, else that of its
    /// largest box (the first of equals). None where neither is there.
    #[must_use]
    pub fn class(&self) -> Option<&str> {
        self.folder
            .as_deref()
            .or_else(|| self.largest().map(|row| row.class.as_str()))
    }

    /// The box that covers most of the picture; the first of equals.
    #[must_use]
    pub fn largest(&self) -> Option<&Row> {
        let area = |row: &Row| row.bounding_box.area();
        self.rows
            .iter()
            .reduce(|best, row| if area(row) > area(best) { row } else { best })
    }
}

/// Reads a data set in the format that its folder shows.
///
/// # Errors
/// [`DatasetError`] when no format, or more than one, fits, or nothing can be read.
pub fn read(path: &Path) -> Result<(Format, Dataset), DatasetError> {
    let (format, root) = detect(path)?;
    read_as(format, &root).map(|dataset| (format, dataset))
}

/// Reads a data set in a given format.
///
/// # Errors
/// [`DatasetError`] when nothing can be read.
pub fn read_as(format: Format, root: &Path) -> Result<Dataset, DatasetError> {
    let mut dataset = match format {
        Format::Chapter => chapter::read(root),
        Format::Coco => coco::read(root),
        Format::Voc => voc::read(root),
        Format::Yolo => yolo::read(root),
        Format::OpenImages => open_images::read(root),
        Format::Folders => folders::read(root),
    }?;
    if dataset.pictures.is_empty() {
        return Err(match dataset.faults.into_iter().next() {
            Some(fault) => DatasetError::NothingUsable(Box::new(fault)),
            None => DatasetError::Empty { path: root.into() },
        });
    }
    dataset.pictures.sort_by(|a, b| a.path.cmp(&b.path));
    dataset.add_classes();
    Ok(dataset)
}

impl Dataset {
    /// Puts the classes that no list names behind those that one does.
    fn add_classes(&mut self) {
        let known: BTreeSet<&str> = self.classes.iter().map(String::as_str).collect();
        let rows = self.pictures.iter().flat_map(|picture| &picture.rows);
        let named = rows.map(|row| row.class.as_str());
        let folders = self
            .pictures
            .iter()
            .filter_map(|picture| picture.folder.as_deref());
        let more: BTreeSet<String> = named
            .chain(folders)
            .filter(|class| !known.contains(class))
            .map(str::to_owned)
            .collect();
        self.classes.extend(more);
    }

    /// Takes in pictures and faults, of which some may be no boxes.
    fn fault(&mut self, place: Place, fault: AnnotationFault) {
        self.faults.push(Fault::Annotation { place, fault });
    }
}
