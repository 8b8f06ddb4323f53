//! Annotated pictures: a folder `DATASET/FOLDER/IMAGE_ID.jpg` joined with the CSV of ground-truth boxes.
//!
//! Evaluation and training both load their data here. Rows that can't be used are skipped and listed in
//! [`Dataset::issues`]; they never hide the rest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;
use walkdir::WalkDir;

use crate::diagnostics::reading_advice;
use crate::frame::{Frame, Origin};
use crate::geometry::{BoxError, NormBox};
use crate::path_text::PathText;
use crate::picture::{self, PictureError};

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

/// File extensions that are tried for the picture of a CSV row, in this order.
const EXTENSIONS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

/// Pictures with their ground-truth boxes.
#[derive(Debug, Default)]
pub struct Dataset {
    /// Sorted by path.
    pub pictures: Vec<AnnotatedPicture>,
    /// Rows of the CSV that were skipped.
    pub issues: Vec<DatasetIssue>,
}

/// A picture and its ground truth.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotatedPicture {
    pub path: PathBuf,
    /// Name of the folder that contains the picture: the class of the picture as a whole.
    pub folder: String,
    /// Ground-truth boxes; may be empty.
    pub annotations: Vec<Annotation>,
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

/// A row of the CSV that was skipped.
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
    #[error("is not UTF-8 text")]
    NotUtf8,
    #[error("{0}")]
    Csv(csv::Error),
    #[error("{column} is \"{value}\", expected a number between 0 and 1")]
    NotANumber { column: &'static str, value: String },
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
    #[error("folder {}: can't be listed ({source}); {}", path.display(), reading_advice(source))]
    ListFolder {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("folder {}: has no pictures; expected FOLDER/CLASS/IMAGE_ID.jpg", path.display())]
    NoPictures { path: PathBuf },
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

impl Dataset {
    /// Lists the pictures one folder below `folder` and joins them with the rows of the CSV.
    ///
    /// # Errors
    /// [`DatasetError`] if the folder has no pictures or the CSV is unusable as a whole.
    pub fn read(folder: &Path, annotations: &Path) -> Result<Self, DatasetError> {
        let CsvContent { rows, errors } = read_csv(annotations)?;
        let mut pictures = list(folder)?;
        let mut issues: Vec<_> = errors.into_iter().map(DatasetIssue::from).collect();
        for annotation in rows {
            let path = annotation.picture_path(folder);
            match pictures.get_mut(&path) {
                Some(picture) => picture.annotations.push(annotation),
                None => issues.push(DatasetIssue::MissingPicture {
                    file: annotations.display().to_string(),
                    line: annotation.line,
                    picture: path,
                }),
            }
        }
        Ok(Self {
            pictures: pictures.into_values().collect(),
            issues,
        })
    }

    /// Lists the pictures one folder below `folder`, without ground-truth boxes.
    ///
    /// # Errors
    /// [`DatasetError`] if there are none.
    pub fn without_annotations(folder: &Path) -> Result<Self, DatasetError> {
        Ok(Self {
            pictures: list(folder)?.into_values().collect(),
            issues: Vec::new(),
        })
    }
}

impl AnnotatedPicture {
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

impl Annotation {
    /// `DATASET/FOLDER/IMAGE_ID.jpg`, or the same with another extension if only that file exists.
    #[must_use]
    pub fn picture_path(&self, dataset: &Path) -> PathBuf {
        let folder = dataset.join(&self.folder);
        let named = |extension| folder.join(format!("{}.{extension}", self.image_id));
        let existing = EXTENSIONS.into_iter().map(named).find(|path| path.exists());
        existing.unwrap_or_else(|| named(EXTENSIONS[0]))
    }
}

/// Pictures in the subfolders of `folder`, by path.
fn list(folder: &Path) -> Result<BTreeMap<PathBuf, AnnotatedPicture>, DatasetError> {
    let mut pictures = BTreeMap::new();
    for entry in WalkDir::new(folder)
        .min_depth(1)
        .max_depth(2)
        .follow_links(true)
    {
        let entry = entry.map_err(|error| DatasetError::ListFolder {
            path: folder.to_owned(),
            source: error.into(),
        })?;
        if entry.depth() < 2 || !picture::is_image_path(entry.path()) {
            continue;
        }
        let parent = entry.path().parent().and_then(Path::file_name);
        let picture = AnnotatedPicture {
            path: entry.path().to_owned(),
            folder: PathText::of(Path::new(parent.unwrap_or_default()))
                .text
                .into_owned(),
            annotations: Vec::new(),
        };
        pictures.insert(picture.path.clone(), picture);
    }
    if pictures.is_empty() {
        let path = folder.to_owned();
        return Err(DatasetError::NoPictures { path });
    }
    Ok(pictures)
}

/// The valid rows of a CSV in file order, and the invalid ones.
#[derive(Debug, Default)]
struct CsvContent {
    rows: Vec<Annotation>,
    errors: Vec<RowError>,
}

fn read_csv(path: &Path) -> Result<CsvContent, DatasetError> {
    let file = path.display().to_string();
    let unreadable = |source| DatasetError::ReadCsv {
        file: file.clone(),
        source,
    };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(unreadable)?;
    let header = reader.headers().map_err(unreadable)?.clone();
    let columns = ColumnIndices::find(&file, &header)?;
    let mut content = CsvContent::default();
    let mut record = csv::StringRecord::new();
    loop {
        let read = reader.read_record(&mut record);
        let line = record.position().map_or(0, csv::Position::line);
        let row = match read {
            Ok(false) => return Ok(content),
            Ok(true) => columns.annotation(line, &record),
            Err(error) if error.is_io_error() => return Err(unreadable(error)),
            Err(error) => Err(RowErrorKind::of_csv(error)),
        };
        match row {
            Ok(row) => content.rows.push(row),
            Err(kind) => content.errors.push(RowError {
                file: file.clone(),
                line,
                kind,
            }),
        }
    }
}

impl RowErrorKind {
    fn of_csv(error: csv::Error) -> Self {
        match *error.kind() {
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => Self::FieldCount {
                found: len,
                expected: expected_len,
            },
            csv::ErrorKind::Utf8 { .. } => Self::NotUtf8,
            _ => Self::Csv(error),
        }
    }
}

/// The index of each of [`COLUMNS`] in a CSV.
struct ColumnIndices([usize; COLUMNS.len()]);

impl ColumnIndices {
    fn find(file: &str, header: &csv::StringRecord) -> Result<Self, DatasetError> {
        let mut indices = [0; COLUMNS.len()];
        for (index, column) in indices.iter_mut().zip(COLUMNS) {
            // Spreadsheets write a byte order mark before the first name.
            let matches = |name: &str| name.trim_start_matches('\u{feff}') == column;
            let found = header.iter().position(matches);
            *index = found.ok_or_else(|| DatasetError::MissingColumn {
                file: file.to_owned(),
                column,
                found: header.iter().collect::<Vec<_>>().join(", "),
            })?;
        }
        Ok(Self(indices))
    }

    fn annotation(
        &self,
        line: u64,
        record: &csv::StringRecord,
    ) -> Result<Annotation, RowErrorKind> {
        let field = |column: usize| record.get(self.0[column]).unwrap_or_default();
        let name = |column: usize| match field(column) {
            "" => Err(RowErrorKind::Empty {
                column: COLUMNS[column],
            }),
            text => Ok(text.to_owned()),
        };
        let mut corners = [0.0; 4];
        for (corner, column) in corners.iter_mut().zip(1..) {
            let text = field(column);
            *corner = text.parse::<f32>().map_err(|_| RowErrorKind::NotANumber {
                column: COLUMNS[column],
                value: text.to_owned(),
            })?;
        }
        let [x_min, x_max, y_min, y_max] = corners;
        Ok(Annotation {
            line,
            image_id: name(0)?,
            bounding_box: NormBox::new(x_min, x_max, y_min, y_max)?,
            class_name: name(5)?,
            folder: name(6)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "image_id,x_min,x_max,y_min,y_max,class_name,folder\n";

    fn read(text: &str) -> Result<CsvContent, DatasetError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("boxes.csv");
        std::fs::write(&path, text).expect("written");
        read_csv(&path)
    }

    #[test]
    fn columns_are_found_by_name() {
        let text = "folder,extra,class_name,y_max,y_min,x_max,x_min,image_id\n\
                    cake,9,ice cream,0.4,0.1,1.0,0.8,009218\n";
        let rows = read(text).expect("readable").rows;
        assert_eq!(rows[0].bounding_box.corners(), [0.8, 1.0, 0.1, 0.4]);
        assert_eq!((rows[0].line, rows[0].image_id.as_str()), (2, "009218"));
        let picture = rows[0].picture_path(Path::new("train"));
        assert_eq!(picture, Path::new("train/cake/009218.jpg"));
    }

    #[test]
    fn a_missing_column_is_named() {
        let error = read("image_id,x_min,x_max,y_min,class_name,folder\n").expect_err("refused");
        assert!(error.to_string().contains("no column \"y_max\""), "{error}");
        let error = read("").expect_err("refused");
        assert!(
            error.to_string().contains("no column \"image_id\""),
            "{error}"
        );
    }

    #[test]
    fn invalid_rows_are_listed_and_the_others_kept() {
        let cases = [
            (
                "a,0.7,0.2,0.1,0.9,cake,cake",
                "x_min 0.7 is greater than x_max 0.2",
            ),
            ("a,left,0.2,0.1,0.9,cake,cake", "x_min is \"left\""),
            ("a,0.1,0.2,0.1,NaN,cake,cake", "y_max is NaN"),
            ("a,0.1,0.2,0.1,1.5,cake,cake", "y_max is 1.5"),
            ("a,0.1,0.2,0.1,0.5,,cake", "class_name is empty"),
            ("a,0.1,0.2,0.1", "has 4 fields, expected 7"),
        ];
        let valid = "b,0.1,0.2,0.1,0.9,cake,cake";
        for (row, message) in cases {
            let content = read(&format!("{HEADER}{valid}\n{row}\n{valid}\n")).expect("readable");
            assert_eq!(content.rows.len(), 2, "{row}");
            let error = content.errors[0].to_string();
            assert!(
                error.contains("boxes.csv, line 3: ") && error.contains(message),
                "{error}"
            );
        }
    }
}
