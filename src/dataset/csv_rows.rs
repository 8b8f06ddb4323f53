//! The rows of the CSV of ground-truth boxes.

use std::path::Path;

use super::{COLUMNS, DatasetError, EXHAUSTIVE_COLUMN, RowError, RowErrorKind};
use crate::text;

/// The readable rows of a CSV in file order, and the invalid ones.
#[derive(Debug, Default)]
pub(super) struct CsvContent {
    pub(super) rows: Vec<UncheckedRow>,
    pub(super) errors: Vec<RowError>,
}

/// A row whose box has not been compared with its picture.
#[derive(Debug)]
pub(super) struct UncheckedRow {
    pub(super) line: u64,
    pub(super) image_id: String,
    /// `x_min, x_max, y_min, y_max` as written.
    pub(super) corners: [f64; 4],
    pub(super) class_name: String,
    pub(super) folder: String,
    /// Whether every object of the picture has a row; `None` if that is left open.
    pub(super) exhaustive: Option<bool>,
}

impl UncheckedRow {
    pub(super) fn is_swapped(&self) -> bool {
        let [x_min, x_max, y_min, y_max] = self.corners;
        x_min > x_max || y_min > y_max
    }

    /// The corners with each minimum before its maximum.
    pub(super) fn ordered_corners(&self) -> [f64; 4] {
        let [x_min, x_max, y_min, y_max] = self.corners;
        let ordered = |a, b| if a > b { (b, a) } else { (a, b) };
        let ((x_min, x_max), (y_min, y_max)) = (ordered(x_min, x_max), ordered(y_min, y_max));
        [x_min, x_max, y_min, y_max]
    }
}

/// Reads a CSV of any encoding of [`crate::text`], separated by commas, semicolons or tabs.
pub(super) fn read_csv(path: &Path) -> Result<CsvContent, DatasetError> {
    let file = path.display().to_string();
    let unreadable = |source| DatasetError::ReadCsv {
        file: file.clone(),
        source,
    };
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.into()))?;
    let bytes = text::to_utf8(bytes).map_err(|source| DatasetError::Text {
        file: file.clone(),
        source,
    })?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .delimiter(text::delimiter(&bytes))
        .from_reader(bytes.as_slice());
    let header = reader.headers().map_err(unreadable)?.clone();
    let columns = ColumnIndices::find(&file, &header)?;
    let mut content = CsvContent::default();
    let mut record = csv::StringRecord::new();
    loop {
        let read = reader.read_record(&mut record);
        let line = record.position().map_or(0, csv::Position::line);
        let row = match read {
            Ok(false) => return Ok(content),
            Ok(true) => columns.row(line, &record),
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

/// Where the columns of a CSV are.
struct ColumnIndices {
    /// Of each of [`COLUMNS`].
    required: [usize; COLUMNS.len()],
    exhaustive: Option<usize>,
}

impl ColumnIndices {
    fn find(file: &str, header: &csv::StringRecord) -> Result<Self, DatasetError> {
        let find = |column: &str| {
            let matches = |name: &str| text::trim(name).eq_ignore_ascii_case(column);
            header.iter().position(matches)
        };
        let mut required = [0; COLUMNS.len()];
        for (index, column) in required.iter_mut().zip(COLUMNS) {
            *index = find(column).ok_or_else(|| DatasetError::MissingColumn {
                file: file.to_owned(),
                column,
                found: header.iter().collect::<Vec<_>>().join(", "),
            })?;
        }
        Ok(Self {
            required,
            exhaustive: find(EXHAUSTIVE_COLUMN),
        })
    }

    fn exhaustive(&self, record: &csv::StringRecord) -> Result<Option<bool>, RowErrorKind> {
        let field = self.exhaustive.and_then(|column| record.get(column));
        let field = text::trim(field.unwrap_or_default());
        match field.to_ascii_lowercase().as_str() {
            "" => Ok(None),
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(RowErrorKind::NotABool {
                column: EXHAUSTIVE_COLUMN,
                value: field.to_owned(),
            }),
        }
    }

    fn row(&self, line: u64, record: &csv::StringRecord) -> Result<UncheckedRow, RowErrorKind> {
        let field = |column: usize| record.get(self.required[column]).unwrap_or_default();
        let name = |column: usize| match text::trim(field(column)) {
            "" => Err(RowErrorKind::Empty {
                column: COLUMNS[column],
            }),
            text => Ok(text.to_owned()),
        };
        let mut corners = [0.0; 4];
        for (corner, column) in corners.iter_mut().zip(1..) {
            let text = field(column);
            *corner = text::number(text).ok_or_else(|| RowErrorKind::NotANumber {
                column: COLUMNS[column],
                value: text.to_owned(),
            })?;
        }
        Ok(UncheckedRow {
            line,
            image_id: name(0)?,
            corners,
            class_name: name(5)?,
            folder: name(6)?,
            exhaustive: self.exhaustive(record)?,
        })
    }
}
