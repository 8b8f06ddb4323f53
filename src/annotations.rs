//! The CSV of true boxes: one row a box, checked as it is read.
//!
//! In goes a file with the columns `image_id, x_min, x_max, y_min, y_max, class_name, folder` (in any
//! order, others are ignored), out come [`Annotations`]: the sound rows, and beside them every row that is
//! not, each with its line and its fault. One bad row never hides the others. Whether a picture exists is
//! seen by whoever opens it, not here.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::geometry::{BoxError, NormBox};

/// The columns that the file must have, found by name.
pub const COLUMNS: [&str; 7] = [
    "image_id",
    "x_min",
    "x_max",
    "y_min",
    "y_max",
    "class_name",
    "folder",
];

/// Endings under which the picture of a row is looked for, in this order.
const ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

/// One true box of one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// Line in the file, from 1, the header being line 1.
    pub line: u64,
    /// Name of the picture's file without its ending.
    pub image_id: String,
    /// Where the thing is.
    pub bounding_box: NormBox,
    /// What is in the box.
    pub class_name: String,
    /// What the picture as a whole shows; the folder that it lies in.
    pub folder: String,
}

/// The rows of a file.
#[derive(Debug, Default)]
pub struct Annotations {
    /// The sound rows, in the order of the file.
    pub rows: Vec<Annotation>,
    /// The rows that were left out.
    pub faults: Vec<RowError>,
}

/// A file without usable rows.
#[derive(Debug, Error)]
pub enum AnnotationsError {
    /// The file can't be opened or read.
    #[error("annotations {file}: can't be read ({source}); check the path and its permissions")]
    Read {
        /// The file.
        file: String,
        /// The reader's words.
        source: csv::Error,
    },
    /// A column is missing.
    #[error(
        "annotations {file}: has no column \"{column}\" (it has: {found}); the first line must name \
         image_id, x_min, x_max, y_min, y_max, class_name and folder"
    )]
    MissingColumn {
        /// The file.
        file: String,
        /// The column that is missing.
        column: &'static str,
        /// The columns there are.
        found: String,
    },
}

/// A row that was left out.
#[derive(Debug, Error)]
#[error("annotations {file}, line {line}: {fault}")]
pub struct RowError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub fault: RowFault,
}

/// What can be wrong with a row.
#[derive(Debug, Error)]
pub enum RowFault {
    /// It has another number of fields than the header, or is no text.
    #[error("{0}")]
    Form(String),
    /// A coordinate is no number.
    #[error("{column} is \"{value}\", expected a number between 0 and 1")]
    NotANumber {
        /// The column.
        column: &'static str,
        /// The field as it stands.
        value: String,
    },
    /// The coordinates are no box.
    #[error(transparent)]
    Box(#[from] BoxError),
    /// A name is empty.
    #[error("{column} is empty")]
    Empty {
        /// The column.
        column: &'static str,
    },
}

impl Annotations {
    /// Reads a file.
    ///
    /// # Errors
    /// [`AnnotationsError`] when the file can't be read at all or lacks a column; a faulty row is no error
    /// but an entry of [`Annotations::faults`].
    pub fn read(path: &Path) -> Result<Self, AnnotationsError> {
        let file = path.display().to_string();
        let unreadable = |source| AnnotationsError::Read {
            file: file.clone(),
            source,
        };
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_path(path)
            .map_err(unreadable)?;
        let header = reader.headers().map_err(unreadable)?.clone();
        let columns = Columns::find(&file, &header)?;
        let mut annotations = Self::default();
        let mut record = csv::StringRecord::new();
        loop {
            let read = reader.read_record(&mut record);
            let line = record.position().map_or(0, csv::Position::line);
            let row = match read {
                Ok(false) => return Ok(annotations),
                Ok(true) => columns.row(line, &record),
                Err(error) if matches!(error.kind(), csv::ErrorKind::Io(_)) => {
                    return Err(unreadable(error));
                }
                Err(error) => Err(RowFault::Form(form_fault(&error))),
            };
            match row {
                Ok(row) => annotations.rows.push(row),
                Err(fault) => annotations.faults.push(RowError {
                    file: file.clone(),
                    line,
                    fault,
                }),
            }
        }
    }
}

impl Annotation {
    /// The file of the picture below the folder of the split: `SPLIT/FOLDER/IMAGE_ID.jpg`, or with
    /// another ending where only that file exists.
    #[must_use]
    pub fn picture(&self, split: &Path) -> PathBuf {
        let folder = split.join(&self.folder);
        let named = |ending| folder.join(format!("{}.{ending}", self.image_id));
        let existing = ENDINGS.into_iter().map(named).find(|path| path.exists());
        existing.unwrap_or_else(|| named(ENDINGS[0]))
    }
}

fn form_fault(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("has {len} fields, expected {expected_len} as in the first line"),
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}

/// Where each of [`COLUMNS`] stands in this file.
struct Columns([usize; COLUMNS.len()]);

impl Columns {
    fn find(file: &str, header: &csv::StringRecord) -> Result<Self, AnnotationsError> {
        let mut places = [0; COLUMNS.len()];
        for (place, column) in places.iter_mut().zip(COLUMNS) {
            // Spreadsheets like to put a byte order mark before the first name.
            let is_it = |name: &str| name.trim_start_matches('\u{feff}') == column;
            *place =
                header
                    .iter()
                    .position(is_it)
                    .ok_or_else(|| AnnotationsError::MissingColumn {
                        file: file.to_owned(),
                        column,
                        found: header.iter().collect::<Vec<_>>().join(", "),
                    })?;
        }
        Ok(Self(places))
    }

    fn row(&self, line: u64, record: &csv::StringRecord) -> Result<Annotation, RowFault> {
        let field = |column: usize| record.get(self.0[column]).unwrap_or_default();
        let name = |column: usize| match field(column) {
            "" => Err(RowFault::Empty {
                column: COLUMNS[column],
            }),
            text => Ok(text.to_owned()),
        };
        let mut corners = [0.0; 4];
        for (corner, column) in corners.iter_mut().zip(1..) {
            let text = field(column);
            *corner = text.parse::<f32>().map_err(|_| RowFault::NotANumber {
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

    fn read(text: &str) -> Result<Annotations, AnnotationsError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("boxes.csv");
        std::fs::write(&path, text).expect("written");
        Annotations::read(&path)
    }

    #[test]
    fn a_row_is_read_by_the_names_of_its_columns() {
        let text = "folder,extra,class_name,y_max,y_min,x_max,x_min,image_id\n\
                    cake,9,ice cream,0.4,0.1,1.0,0.8,009218\n";
        let rows = read(text).expect("readable").rows;
        assert_eq!(rows[0].bounding_box.corners(), [0.8, 1.0, 0.1, 0.4]);
        assert_eq!((rows[0].line, rows[0].image_id.as_str()), (2, "009218"));
        let picture = rows[0].picture(Path::new("train"));
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
    fn bad_rows_are_named_and_the_others_kept() {
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
        let sound = "b,0.1,0.2,0.1,0.9,cake,cake";
        for (row, fault) in cases {
            let read = read(&format!("{HEADER}{sound}\n{row}\n{sound}\n")).expect("readable");
            assert_eq!(read.rows.len(), 2, "{row}");
            let said = read.faults[0].to_string();
            assert!(
                said.contains("boxes.csv, line 3: ") && said.contains(fault),
                "{said}"
            );
        }
    }
}
