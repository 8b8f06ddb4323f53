//! What can be wrong with a data set: with the whole of it, or with one annotation.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxcam::geometry::BoxError;
use boxcam::picture::PictureError;
use thiserror::Error;

/// Where something stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    file: Arc<Path>,
    within: Within,
}

/// Where in a file.
#[derive(Debug, Clone, PartialEq)]
enum Within {
    Whole,
    Line(u64),
    Element(String),
}

impl Place {
    /// A file as a whole.
    #[must_use]
    pub fn file(file: &Arc<Path>) -> Self {
        Self {
            file: file.clone(),
            within: Within::Whole,
        }
    }

    /// A line of a file, from 1.
    #[must_use]
    pub fn line(file: &Arc<Path>, line: u64) -> Self {
        Self {
            file: file.clone(),
            within: Within::Line(line),
        }
    }

    /// An element of a file that has no lines to speak of, as in `annotations[3] (id 17)`.
    #[must_use]
    pub fn element(file: &Arc<Path>, name: String) -> Self {
        Self {
            file: file.clone(),
            within: Within::Element(name),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match &self.within {
            Within::Whole => Ok(()),
            Within::Line(line) => write!(f, ", line {line}"),
            Within::Element(name) => write!(f, ", {name}"),
        }
    }
}

/// Something in a data set that was passed over; the rest was not.
#[derive(Debug, Error)]
pub enum Fault {
    /// A fault in the layout of the chapter.
    #[error(transparent)]
    Split(#[from] boxcam::dataset::DatasetIssue),
    /// A fault of one annotation.
    #[error("{place}: {fault}")]
    Annotation {
        /// Where it stands.
        place: Place,
        /// What is wrong with it.
        fault: AnnotationFault,
    },
    /// A picture can't be read.
    #[error(transparent)]
    Picture(#[from] PictureError),
}

/// What can be wrong with an annotation.
#[derive(Debug, Error)]
pub enum AnnotationFault {
    /// The corners are no box.
    #[error(transparent)]
    Box(#[from] BoxError),
    /// A minimum is not below its maximum.
    #[error("{axis}_min {min} is not less than {axis}_max {max}; swap them or remove the box")]
    Reversed {
        /// `x` or `y`.
        axis: char,
        /// The minimum as given.
        min: f64,
        /// The maximum as given.
        max: f64,
    },
    /// A box reaches out of its picture by more than rounding explains.
    #[error(
        "the box goes from {min} to {max} in {axis}, the picture from 0 to {size}; mend the box, or check that \
         it belongs to this picture"
    )]
    Outside {
        /// `x` or `y`.
        axis: char,
        /// The minimum as given.
        min: f64,
        /// The maximum as given.
        max: f64,
        /// The picture's side.
        size: f64,
    },
    /// The annotations are for a picture of another size.
    #[error(
        "says that {} is {} x {} pixels, but it is {} x {}; export the annotations again for this picture",
        picture.display(), stated.0, stated.1, real.0, real.1
    )]
    OtherSize {
        /// The picture.
        picture: PathBuf,
        /// Width and height as annotated.
        stated: (u32, u32),
        /// Width and height of the upright picture.
        real: (u32, u32),
    },
    /// The picture is not there.
    #[error("its picture {} is missing; add it or remove the annotation", picture.display())]
    MissingPicture {
        /// Where it should be.
        picture: PathBuf,
    },
    /// Pictures are not there, as is usual where only a part was downloaded.
    #[error(
        "its picture {picture} is missing, as are those of {more} more rows; add them, or leave it so"
    )]
    MissingPictures {
        /// The first of them.
        picture: String,
        /// How many rows more.
        more: u64,
    },
    /// The picture is there but can't be used.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A class has a number that no name belongs to.
    #[error("class {id} has no name; {known}")]
    UnknownClass {
        /// The number as given.
        id: String,
        /// What numbers have names.
        known: String,
    },
    /// An image has a number that is not in the list.
    #[error("image {id} is not in \"images\"; add it there or remove the annotation")]
    UnknownImage {
        /// The number as given.
        id: String,
    },
    /// Another number of fields.
    #[error("has {found} fields, expected {expected}")]
    Fields {
        /// How many there are.
        found: usize,
        /// What there should be.
        expected: &'static str,
    },
    /// A field is no number.
    #[error("{field} is \"{value}\", expected a number")]
    NotANumber {
        /// Its name.
        field: &'static str,
        /// What stands there.
        value: String,
    },
    /// A field is missing or empty.
    #[error("has no {field}; add it or remove the annotation")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// The file is not in its own language.
    #[error("is no {language} ({message}); mend the file or export it again")]
    Syntax {
        /// The language.
        language: &'static str,
        /// The reader's words.
        message: String,
    },
    /// A file can't be read.
    #[error("can't be read ({0}); check its permissions")]
    Unreadable(std::io::Error),
}

/// A data set of which nothing can be used.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// The path is no folder.
    #[error("data set {}: is no folder; give the folder that holds pictures and annotations", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// It is in no known layout.
    #[error(
        "data set {}: is in no layout that boxcam-train knows; expected one of: annotations-train.csv beside \
         train/CLASS/ID.jpg; COCO's *.json with \"images\" and \"annotations\"; Pascal VOC's *.xml; YOLO's \
         labels/*.txt; Open Images' CSV with ImageID; or a folder of pictures for each class", path.display()
    )]
    Unknown {
        /// The folder.
        path: PathBuf,
    },
    /// It may be read in more than one way.
    #[error("data set {}: holds annotations in several formats ({found}); say which with --format", path.display())]
    Ambiguous {
        /// The folder.
        path: PathBuf,
        /// The formats.
        found: String,
    },
    /// A folder can't be listed.
    #[error("folder {}: can't be listed ({source}); check the path and its permissions", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A file that all depends on is wrong.
    #[error("{place}: {fault}")]
    File {
        /// Where.
        place: Place,
        /// What is wrong with it.
        fault: AnnotationFault,
    },
    /// A column is missing.
    #[error("{place}: has no column \"{column}\" (it has: {found}); the first line must name it")]
    MissingColumn {
        /// The file.
        place: Place,
        /// The column.
        column: &'static str,
        /// The columns there are.
        found: String,
    },
    /// No names for the numbers of the classes.
    #[error(
        "data set {}: has no names for its classes; add data.yaml with \"names: [first, second]\", or \
         classes.txt with one name a line", path.display()
    )]
    NoNames {
        /// The folder.
        path: PathBuf,
    },
    /// The layout of the chapter can't be read.
    #[error(transparent)]
    Split(#[from] boxcam::dataset::DatasetError),
    /// There is no picture.
    #[error("data set {}: has no pictures; JPEG, PNG, WebP and BMP are looked for", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// There are annotations but no picture to go with them.
    #[error("no picture can be used; the first fault: {0}")]
    NothingUsable(Box<Fault>),
}
