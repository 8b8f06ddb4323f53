//! Errors of the import: of a whole data set, or of one annotation.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxcam::geometry::BoxError;
use boxcam::picture::{OtherFiles, PictureError};
use boxcam::text::TextError;
use boxcam::walk::WalkError;
use thiserror::Error;

/// A file, or a line or element of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Location {
    file: Arc<Path>,
    within: Within,
}

#[derive(Debug, Clone, PartialEq)]
enum Within {
    Whole,
    Line(u64),
    Element(String),
}

impl Location {
    /// The whole file.
    #[must_use]
    pub fn file(file: &Arc<Path>) -> Self {
        Self {
            file: file.clone(),
            within: Within::Whole,
        }
    }

    /// A line, counted from 1.
    #[must_use]
    pub fn line(file: &Arc<Path>, line: u64) -> Self {
        Self {
            file: file.clone(),
            within: Within::Line(line),
        }
    }

    /// An element of a file in which line numbers do not help, such as `annotations[3] (id 17)`.
    #[must_use]
    pub fn element(file: &Arc<Path>, name: String) -> Self {
        Self {
            file: file.clone(),
            within: Within::Element(name),
        }
    }
}

impl Display for Location {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match &self.within {
            Within::Whole => Ok(()),
            Within::Line(line) => write!(f, ", line {line}"),
            Within::Element(name) => write!(f, ", {name}"),
        }
    }
}

/// A part of a data set that was skipped; the rest was read.
#[derive(Debug, Error)]
pub enum ImportIssue {
    #[error(transparent)]
    Prepared(#[from] boxcam::dataset::DatasetIssue),
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// Pictures or films of a format that is not read.
    #[error("{0}")]
    OtherFiles(OtherFiles),
    #[error("{location}: {error}")]
    Annotation {
        location: Location,
        error: AnnotationError,
        /// The number of boxes that are lost.
        boxes: usize,
    },
}

impl ImportIssue {
    /// The number of boxes that are lost.
    #[must_use]
    pub fn boxes(&self) -> usize {
        match self {
            Self::Prepared(issue) => usize::from(issue.reason().is_some()),
            Self::Walk(_) | Self::OtherFiles(_) => 0,
            Self::Annotation { boxes, .. } => *boxes,
        }
    }

    /// Counts one more box that is lost with an annotation.
    pub(super) fn add_box(&mut self) {
        if let Self::Annotation { boxes, .. } = self {
            *boxes += 1;
        }
    }

    /// Why the boxes are lost, as part of a message with their count.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Prepared(issue) => issue.reason().unwrap_or("a link or a file can't be read"),
            Self::Walk(_) => "a link is broken",
            Self::OtherFiles(_) => "their format is not read",
            Self::Annotation { error, .. } => error.reason(),
        }
    }
}

/// Why an annotation or an annotation file cannot be used.
#[derive(Debug, Error)]
pub enum AnnotationError {
    #[error(transparent)]
    Box(#[from] BoxError),
    #[error("the box begins and ends at {at} in {axis}; correct or remove it")]
    NoExtent {
        /// `x` or `y`.
        axis: char,
        at: f64,
    },
    /// A box extends beyond its picture by more than rounding explains.
    #[error(
        "the box goes from {min} to {max} in {axis}, the picture from 0 to {size}; correct the box, or check that \
         it belongs to this picture"
    )]
    Outside {
        /// `x` or `y`.
        axis: char,
        min: f64,
        max: f64,
        /// The picture's width or height, in the unit of `min` and `max`.
        size: f64,
    },
    /// The annotations are for a picture of another shape.
    #[error(
        "the annotations give {} x {} pixels for {}, but it has {} x {}; export the annotations again for this picture",
        stated.0, stated.1, picture.display(), real.0, real.1
    )]
    SizeMismatch {
        picture: PathBuf,
        /// Width and height in the annotations.
        stated: (u32, u32),
        /// Width and height of the upright picture.
        real: (u32, u32),
    },
    #[error("its picture {} is missing; add it or remove the annotation", picture.display())]
    MissingPicture {
        /// Where the picture was expected.
        picture: PathBuf,
    },
    #[error("its picture {} has an annotation file before this one; remove one of them", picture.display())]
    SecondFile { picture: PathBuf },
    /// Usual if only a part of the pictures was downloaded.
    #[error(
        "its picture {picture} is missing, and so are those of {more} more rows; add them, or ignore this if only a part \
         was downloaded"
    )]
    MissingPictures {
        /// The first of them.
        picture: String,
        /// How many more rows have no picture.
        more: u64,
    },
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error("class {id} has no name; {known}")]
    UnknownClass {
        id: String,
        /// Which numbers have names, as part of the message.
        known: String,
    },
    #[error("image {id} is not in \"images\"; add it there or remove the annotation")]
    UnknownImage { id: String },
    #[error("has {found} fields, expected {expected}")]
    FieldCount {
        found: usize,
        expected: &'static str,
    },
    #[error("{field} is \"{value}\", expected a number")]
    NotANumber { field: &'static str, value: String },
    #[error("{field} is \"{value}\", expected true or false")]
    NotABool { field: &'static str, value: String },
    /// A field is missing or empty.
    #[error("has no {field}; add it or remove the annotation")]
    MissingField { field: &'static str },
    #[error("is not valid {language} ({message}); correct the file or export it again")]
    Syntax {
        language: &'static str,
        message: String,
    },
    #[error(
        "two images have the id {id}, so that it is unknown whose boxes these are; give each its own"
    )]
    DuplicateId { id: String },
    #[error(transparent)]
    Text(#[from] TextError),
}

impl AnnotationError {
    fn reason(&self) -> &'static str {
        match self {
            Self::MissingPicture { .. } | Self::MissingPictures { .. } => {
                "their picture is missing"
            }
            Self::Picture(_) => "their picture can't be read",
            Self::SizeMismatch { .. } => "their picture has another size than the annotations say",
            Self::Outside { .. } | Self::Box(_) => "the box is not inside of its picture",
            Self::NoExtent { .. } => "the box has no area",
            Self::UnknownClass { .. } => "their class has no name",
            Self::UnknownImage { .. } => "their image is not listed",
            Self::SecondFile { .. } => "their picture has another annotation file",
            Self::DuplicateId { .. } => "several images have the same id",
            Self::NotANumber { .. } => "a number is invalid",
            Self::NotABool { .. } => "a field is neither true nor false",
            Self::FieldCount { .. } => "the number of fields is wrong",
            Self::MissingField { .. } => "a field is missing",
            Self::Syntax { .. } | Self::Text(_) => "the annotation file is invalid",
        }
    }
}

/// A data set that cannot be read at all.
#[derive(Debug, Error)]
pub enum ImportError {
    #[error("data set {}: is not a folder; give the folder that contains pictures and annotations", path.display())]
    NotAFolder { path: PathBuf },
    #[error(
        "data set {}: has no format that boxcam-train knows; expected one of: annotations-train.csv beside \
         train/CLASS/ID.jpg; COCO's *.json with \"images\" and \"annotations\"; LabelMe's *.json with \"shapes\"; Pascal \
         VOC's *.xml; YOLO's labels/*.txt; Open Images' CSV with ImageID; or a folder of pictures per class", path.display()
    )]
    UnknownFormat { path: PathBuf },
    /// There are pictures, but a file among them may have annotations that would be lost.
    #[error(
        "data set {}: {} {reason}, and is in no format that boxcam-train knows{}; export the annotations as COCO, \
         LabelMe, Pascal VOC, YOLO or Open Images. If there are none, remove the file or add --format folders: each \
         folder of pictures is then a class", path.display(), file.display(), and_more(*more)
    )]
    Unrecognized {
        path: PathBuf,
        /// The first such file.
        file: PathBuf,
        /// What the file is, as part of the message.
        reason: String,
        /// How many more there are.
        more: usize,
    },
    #[error("data set {}: contains annotations in several formats ({found}); choose one with --format", path.display())]
    AmbiguousFormat {
        path: PathBuf,
        /// Names of the formats, separated by commas.
        found: String,
    },
    #[error(transparent)]
    ListFolder(WalkError),
    /// A file that the whole data set depends on is invalid.
    #[error("{location}: {error}")]
    File {
        location: Location,
        error: AnnotationError,
    },
    #[error(
        "{location}: has no column \"{column}\" (it has: {found}); the first line must name it"
    )]
    MissingColumn {
        location: Location,
        column: &'static str,
        /// The columns of the file, separated by commas.
        found: String,
    },
    #[error(
        "data set {}: has no names for its classes; add data.yaml with \"names: [first, second]\", or \
         classes.txt with one name per line", path.display()
    )]
    NoClassNames { path: PathBuf },
    #[error(transparent)]
    Prepared(#[from] boxcam::dataset::DatasetError),
    #[error("data set {}: has no pictures; add JPEG, PNG, WebP or BMP files", path.display())]
    NoPictures { path: PathBuf },
    /// All pictures have a format that is not read.
    #[error("data set {}: has no pictures that boxcam reads; {files}", path.display())]
    OtherFiles { path: PathBuf, files: OtherFiles },
    /// There are annotations, but none has a usable picture.
    #[error("no picture can be used; the first problem: {0}")]
    NothingUsable(Box<ImportIssue>),
}

/// Continues a message about one file.
fn and_more(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => ", as is 1 more file".to_owned(),
        count => format!(", as are {count} more files"),
    }
}
