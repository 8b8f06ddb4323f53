//! Annotated pictures: a folder `DATASET/FOLDER/IMAGE_ID.jpg` joined with the CSV of ground-truth boxes.
//!
//! Evaluation and training both load their data here. Rows and links that can't be used are skipped and listed in
//! [`Dataset::issues`]; they never hide the rest. What a row means is normalized first and checked then: swapped corners
//! are swapped back, corners up to two pixels outside of the picture are clamped, and a picture is found in spite of
//! another case of its name, another extension, a path, a URL or percent-encoding.

mod csv_rows;
pub mod films;
mod picture_index;

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::diagnostics::reading_advice;
use crate::frame::{Frame, Origin};
use crate::geometry::{BoxError, NormBox};
use crate::path_text::PathText;
use crate::picture::{self, FileKind, Header, OtherFiles, PictureError, is_image_path};
use crate::text::TextError;
use crate::walk::{self, WalkError};
use csv_rows::{CsvContent, UncheckedRow, read_csv};
use picture_index::PictureIndex;

/// The columns that the CSV must have, in any order; others are ignored.
pub const COLUMNS: [&str; 7] = [
    "image_id",
    "x_min",
    "x_max",
    "y_min",
    "y_max",
    "class_name",
    "folder",
];

/// A column that the CSV may have: whether every object of the row's picture has a row, `true` or `false`. An empty field
/// leaves that open.
pub const EXHAUSTIVE_COLUMN: &str = "exhaustive";

/// How far a box may extend beyond its picture, in pixels: tools round, count from 1, or count edges.
pub const ROUNDING_TOLERANCE: f64 = 2.0;

/// Pictures with their ground-truth boxes.
#[derive(Debug, Default)]
pub struct Dataset {
    /// Sorted by path.
    pub pictures: Vec<AnnotatedPicture>,
    /// What was skipped.
    pub issues: Vec<DatasetIssue>,
    /// Messages about rows that are used although they are unusual.
    pub notes: Vec<String>,
}

/// A picture and its ground truth.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotatedPicture {
    pub path: PathBuf,
    /// Name of the folder that contains the picture: the class of the picture as a whole.
    pub folder: String,
    /// Ground-truth boxes; may be empty.
    pub annotations: Vec<Annotation>,
    /// Whether every object has a ground-truth box, if its rows say so; one `false` is enough for `false`.
    pub exhaustive: Option<bool>,
}

/// One ground-truth box: a row of the CSV.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// Line in the CSV, from 1; the header is line 1.
    pub line: u64,
    /// File name of the picture without its extension.
    pub image_id: String,
    pub bounding_box: NormBox,
    /// Class of the object in the box.
    pub class_name: String,
    /// Class of the picture as a whole; the folder that contains it.
    pub folder: String,
}

/// A row of the CSV, a link, a folder or files that were skipped.
#[derive(Debug, Error)]
pub enum DatasetIssue {
    #[error(transparent)]
    Row(#[from] RowError),
    #[error("annotations {file}, line {line}: its picture {} is missing; add it or remove the row", picture.display())]
    MissingPicture {
        file: String,
        /// From 1.
        line: u64,
        /// Where the picture was expected.
        picture: PathBuf,
    },
    #[error(transparent)]
    Walk(#[from] WalkError),
    #[error("{0}")]
    OtherFiles(OtherFiles),
}

/// An invalid row of the CSV.
#[derive(Debug, Error)]
#[error("annotations {file}, line {line}: {kind}")]
pub struct RowError {
    pub file: String,
    /// From 1.
    pub line: u64,
    pub kind: RowErrorKind,
}

#[derive(Debug, Error)]
pub enum RowErrorKind {
    #[error("has {found} fields, expected {expected} as in the first line")]
    FieldCount { found: u64, expected: u64 },
    #[error("is not UTF-8 text; save the file as UTF-8")]
    NotUtf8,
    #[error("{0}")]
    Csv(csv::Error),
    #[error("{column} is \"{value}\", expected a number between 0 and 1")]
    NotANumber { column: &'static str, value: String },
    #[error("{column} is \"{value}\", expected true, false or nothing")]
    NotABool { column: &'static str, value: String },
    #[error(transparent)]
    Box(#[from] BoxError),
    #[error("{column} is empty")]
    Empty { column: &'static str },
}

/// A dataset that can't be used at all.
#[derive(Debug, Error)]
pub enum DatasetError {
    #[error("annotations {file}: can't be read ({source}); {}", csv_advice(source))]
    ReadCsv { file: String, source: csv::Error },
    #[error("annotations {file}: {source}")]
    Text { file: String, source: TextError },
    #[error(
        "annotations {file}: has no column \"{column}\" (it has: {found}); the first line must name \
         image_id, x_min, x_max, y_min, y_max, class_name and folder"
    )]
    MissingColumn {
        file: String,
        column: &'static str,
        /// The columns of the file, separated by commas.
        found: String,
    },
    #[error(transparent)]
    ListFolder(WalkError),
    #[error("folder {}: has no pictures; expected FOLDER/CLASS/IMAGE_ID.jpg", path.display())]
    NoPictures { path: PathBuf },
    #[error("folder {}: has no pictures that boxcam reads; {files}", path.display())]
    OtherFiles { path: PathBuf, files: OtherFiles },
}

/// The next step after a CSV file could not be read.
fn csv_advice(error: &csv::Error) -> &'static str {
    match error.kind() {
        csv::ErrorKind::Io(error) => reading_advice(error),
        csv::ErrorKind::Utf8 { .. } => "save it as UTF-8 text",
        csv::ErrorKind::UnequalLengths { .. } => "give each line as many fields as the first has",
        _ => "write it again as CSV with commas",
    }
}

impl DatasetIssue {
    /// Why a row was skipped, as part of a message with a count; `None` for what is no row.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::MissingPicture { .. } => Some("their picture is missing"),
            Self::Walk(_) | Self::OtherFiles(_) => None,
            Self::Row(row) => Some(match row.kind {
                RowErrorKind::Box(BoxError::OutOfRange { .. }) => {
                    "the box is not inside of its picture"
                }
                RowErrorKind::Box(BoxError::Reversed { .. }) => "the box has no area",
                RowErrorKind::NotANumber { .. } => "a number is invalid",
                RowErrorKind::NotABool { .. } => "a field is neither true nor false",
                RowErrorKind::Empty { .. } => "a field is empty",
                RowErrorKind::NotUtf8 => "the text is not UTF-8",
                RowErrorKind::FieldCount { .. } | RowErrorKind::Csv(_) => {
                    "the row has another form than the first line"
                }
            }),
        }
    }
}

impl Dataset {
    /// Lists the pictures one folder below `folder` and joins them with the rows of the CSV.
    ///
    /// # Errors
    /// [`DatasetError`] if the folder has no pictures or the CSV is unusable as a whole.
    pub fn read(folder: &Path, annotations: &Path) -> Result<Self, DatasetError> {
        let CsvContent { rows, errors } = read_csv(annotations)?;
        let mut dataset = Self::without_annotations(folder)?;
        let index = PictureIndex::new(&dataset.pictures);
        let file = annotations.display().to_string();
        let rows_of_csv = errors.into_iter().map(DatasetIssue::from);
        dataset.issues.extend(rows_of_csv);
        let mut swapped = Vec::new();
        for row in rows {
            let line = row.line;
            let Some(picture) = index.find(&row.folder, &row.image_id) else {
                let picture = folder
                    .join(&row.folder)
                    .join(format!("{}.jpg", row.image_id));
                let file = file.clone();
                dataset.issues.push(DatasetIssue::MissingPicture {
                    file,
                    line,
                    picture,
                });
                continue;
            };
            let picture = &mut dataset.pictures[picture];
            let is_swapped = row.is_swapped();
            let exhaustive = row.exhaustive;
            match row.check(&picture.path) {
                Ok(annotation) => {
                    picture.annotations.push(annotation);
                    picture.exhaustive = both(picture.exhaustive, exhaustive);
                    swapped.extend(is_swapped.then_some(line));
                }
                Err(kind) => {
                    let file = file.clone();
                    let error = RowError { file, line, kind };
                    dataset.issues.push(error.into());
                }
            }
        }
        if let Some(first) = swapped.first() {
            dataset.notes.push(format!(
                "annotations {file}: minimum and maximum are swapped in {} rows and are exchanged, first in line {first}",
                swapped.len()
            ));
        }
        Ok(dataset)
    }

    /// Lists the pictures one folder below `folder`, without ground-truth boxes.
    ///
    /// # Errors
    /// [`DatasetError`] if there are none.
    pub fn without_annotations(folder: &Path) -> Result<Self, DatasetError> {
        let mut dataset = Self::default();
        let mut paths = Vec::new();
        let is_known = |path: &Path| FileKind::of_extension(path).is_some();
        for found in walk::files(folder, 2, is_known) {
            match found {
                Ok(path) => paths.push(path),
                Err(error) if error.path() == folder => {
                    return Err(DatasetError::ListFolder(error));
                }
                Err(error) => dataset.issues.push(error.into()),
            }
        }
        let others = OtherFiles::among(paths.iter().map(PathBuf::as_path));
        let pictures = paths.into_iter().filter(|path| is_image_path(path));
        dataset.pictures = pictures
            .filter_map(|path| AnnotatedPicture::below(folder, path))
            .collect();
        if dataset.pictures.is_empty() {
            let path = folder.to_owned();
            return Err(match others.into_iter().next() {
                Some(files) => DatasetError::OtherFiles { path, files },
                None => DatasetError::NoPictures { path },
            });
        }
        let others = others.into_iter().map(DatasetIssue::OtherFiles);
        dataset.issues.extend(others);
        dataset.pictures.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(dataset)
    }

    /// The rows that were skipped.
    pub fn skipped_rows(&self) -> impl Iterator<Item = &DatasetIssue> {
        let issues = self.issues.iter();
        issues.filter(|issue| issue.reason().is_some())
    }
}

/// Whether two statements about one picture say that it is exhaustively annotated: one `false` is enough for `false`.
#[must_use]
pub fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    one.zip(other)
        .map(|(one, other)| one && other)
        .or(one)
        .or(other)
}

impl AnnotatedPicture {
    /// `None` for a picture that is in no folder of a class.
    fn below(root: &Path, path: PathBuf) -> Option<Self> {
        let parent = path.parent().filter(|parent| *parent != root)?;
        let folder = PathText::of(Path::new(parent.file_name()?))
            .text
            .into_owned();
        Some(Self {
            path,
            folder,
            annotations: Vec::new(),
            exhaustive: None,
        })
    }

    /// Decodes the file.
    ///
    /// # Errors
    /// [`PictureError`] if it can't be read or decoded.
    pub fn frame(&self) -> Result<Frame, PictureError> {
        let origin = Origin::Picture(self.path.clone());
        Ok(Frame::new(0, origin, picture::open(&self.path)?))
    }

    /// The ground-truth box with the largest area; the first of equals.
    #[must_use]
    pub fn largest_box(&self) -> Option<&Annotation> {
        let area = |annotation: &Annotation| annotation.bounding_box.area();
        let larger = |best, other| {
            if area(other) > area(best) {
                other
            } else {
                best
            }
        };
        self.annotations.iter().reduce(larger)
    }
}

impl UncheckedRow {
    /// The row with its box clamped to the picture, if it extends beyond it by no more than rounding explains.
    fn check(self, picture: &Path) -> Result<Annotation, RowErrorKind> {
        let corners = self.ordered_corners();
        let tolerance = match corners.iter().all(|corner| (0.0..=1.0).contains(corner)) {
            true => (0.0, 0.0),
            false => tolerance(picture),
        };
        let clamp = |value: f64, tolerance: f64| {
            let is_rounding = value >= -tolerance && value <= 1.0 + tolerance;
            if is_rounding {
                value.clamp(0.0, 1.0) as f32
            } else {
                value as f32
            }
        };
        let [x_min, x_max, y_min, y_max] = corners;
        let (x, y) = tolerance;
        let bounding_box = NormBox::new(
            clamp(x_min, x),
            clamp(x_max, x),
            clamp(y_min, y),
            clamp(y_max, y),
        )?;
        Ok(Annotation {
            line: self.line,
            image_id: self.image_id,
            bounding_box,
            class_name: self.class_name,
            folder: self.folder,
        })
    }
}

/// [`ROUNDING_TOLERANCE`] relative to the picture's width and height; small if its size is unknown.
fn tolerance(picture: &Path) -> (f64, f64) {
    let Ok(header) = Header::read(picture) else {
        return (0.001, 0.001);
    };
    let (width, height) = header.upright();
    let relative = |side: u32| (ROUNDING_TOLERANCE / f64::from(side)).min(0.05);
    (relative(width), relative(height))
}

#[cfg(test)]
mod tests;
