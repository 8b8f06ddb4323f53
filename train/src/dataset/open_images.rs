//! Open Images: CSV files with `ImageID, LabelName, XMin, XMax, YMin, YMax`, other columns beside
//! (<https://storage.googleapis.com/openimages/web/download_v7.html>).
//!
//! The CSV lie in the data set's folder or one or two below, the picture `ImageID.jpg` anywhere in it. Names of the classes
//! (`/m/014j1m` is an apple) come from a CSV of two columns without a header, called `class-descriptions…` or
//! `classes…`; a label without a name is its own name. Splits are those of the CSV's name, else of the picture's folder.
//! Rows of pictures that are not there are one fault a file, since few people have all nine million pictures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use csv::StringRecord;

use super::files::ByName;
use super::format::{beginning, near};
use super::pixels::from_shares;
use super::{AnnotationFault, Dataset, DatasetError, Part, Picture, Place, Row, files};

const COLUMNS: [&str; 6] = ["ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"];

/// The CSV files with boxes.
pub(super) fn files_in(root: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let mut found = near(root, 3, "csv")?;
    found.retain(|path| {
        let start = beginning(path);
        let header = start.lines().next().unwrap_or_default();
        let has = |column: &str| {
            header
                .split(',')
                .any(|name| name.trim_matches(['"', ' ', '\u{feff}']) == column)
        };
        // A CSV of labels without boxes has the first two as well.
        has("ImageID") && (has("XMin") || has("XMax") || has("YMin"))
    });
    Ok(found)
}

pub(super) fn read(root: &Path) -> Result<Dataset, DatasetError> {
    let names = names(root)?;
    let by_name = ByName::new(files::pictures(root)?, Path::file_stem);
    let mut dataset = Dataset::default();
    let mut pictures = BTreeMap::new();
    for file in files_in(root)? {
        let table = Table {
            part: Part::in_name(&file.file_name().unwrap_or_default().to_string_lossy()),
            file: file.into(),
            root,
            names: &names,
            by_name: &by_name,
        };
        table.read(&mut pictures, &mut dataset)?;
    }
    dataset.pictures = pictures.into_values().collect();
    Ok(dataset)
}

/// What the labels are called.
fn names(root: &Path) -> Result<BTreeMap<String, String>, DatasetError> {
    let mut names = BTreeMap::new();
    for path in near(root, 3, "csv")? {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        if !name.starts_with("class-descriptions") && !name.starts_with("classes") {
            continue;
        }
        let file: Arc<Path> = path.into();
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_path(&file)
            .map_err(|error| unreadable(&file, &error))?;
        for record in reader.records() {
            let record = record.map_err(|error| unreadable(&file, &error))?;
            if let (Some(label), Some(name)) = (record.get(0), record.get(1)) {
                names.insert(label.to_owned(), name.to_owned());
            }
        }
    }
    Ok(names)
}

fn unreadable(file: &Arc<Path>, error: &csv::Error) -> DatasetError {
    let line = error.position().map(csv::Position::line);
    DatasetError::File {
        place: line.map_or_else(|| Place::file(file), |line| Place::line(file, line)),
        fault: AnnotationFault::Syntax {
            language: "CSV",
            message: error.to_string(),
        },
    }
}

/// A CSV being read.
struct Table<'a> {
    file: Arc<Path>,
    part: Option<Part>,
    root: &'a Path,
    names: &'a BTreeMap<String, String>,
    by_name: &'a ByName,
}

impl Table<'_> {
    fn read(
        &self,
        pictures: &mut BTreeMap<PathBuf, Picture>,
        dataset: &mut Dataset,
    ) -> Result<(), DatasetError> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_path(&self.file)
            .map_err(|error| unreadable(&self.file, &error))?;
        let header = reader
            .headers()
            .map_err(|error| unreadable(&self.file, &error))?;
        let columns = self.columns(header)?;
        let mut missing: Option<(Place, String, u64)> = None;
        let mut record = StringRecord::new();
        loop {
            let place_of = |record: &StringRecord| {
                Place::line(&self.file, record.position().map_or(0, csv::Position::line))
            };
            match reader.read_record(&mut record) {
                Ok(false) => break,
                Ok(true) => {}
                Err(error) => match error.kind() {
                    csv::ErrorKind::UnequalLengths { len, .. } => {
                        let fault = AnnotationFault::Fields {
                            found: usize::try_from(*len).unwrap_or(usize::MAX),
                            expected: "as many as the first line",
                        };
                        dataset.fault(place_of(&record), fault);
                        continue;
                    }
                    _ => return Err(unreadable(&self.file, &error)),
                },
            }
            let place = place_of(&record);
            let id = record.get(columns[0]).unwrap_or_default();
            let Some(path) = self.find(id) else {
                missing
                    .get_or_insert_with(|| (place, format!("{id}.jpg"), 0))
                    .2 += 1;
                continue;
            };
            let picture = pictures.entry(path.clone()).or_insert_with(|| Picture {
                part: self.part.or_else(|| Part::in_folders(self.root, path)),
                path: path.clone(),
                folder: None,
                rows: Vec::new(),
            });
            match self.row(columns, &record, &place) {
                Ok(row) => picture.rows.push(row),
                Err(fault) => dataset.fault(place, fault),
            }
        }
        if let Some((place, picture, count)) = missing {
            let more = count - 1;
            dataset.fault(place, AnnotationFault::MissingPictures { picture, more });
        }
        Ok(())
    }

    fn columns(&self, header: &StringRecord) -> Result<[usize; 6], DatasetError> {
        let mut columns = [0; 6];
        for (place, column) in columns.iter_mut().zip(COLUMNS) {
            let is_it = |name: &str| name.trim_start_matches('\u{feff}') == column;
            *place = header
                .iter()
                .position(is_it)
                .ok_or_else(|| DatasetError::MissingColumn {
                    place: Place::line(&self.file, 1),
                    column,
                    found: header.iter().collect::<Vec<_>>().join(", "),
                })?;
        }
        Ok(columns)
    }

    /// Of several pictures of a name that in the folder of the same split.
    fn find(&self, id: &str) -> Option<&PathBuf> {
        let named = self.by_name.named(id).iter();
        named.min_by_key(|path| {
            self.part.is_some() && Part::in_folders(self.root, path) != self.part
        })
    }

    fn row(
        &self,
        columns: [usize; 6],
        record: &StringRecord,
        place: &Place,
    ) -> Result<Row, AnnotationFault> {
        let label = record.get(columns[1]).unwrap_or_default();
        if label.is_empty() {
            return Err(AnnotationFault::Missing { field: "LabelName" });
        }
        let mut corners = [0.0; 4];
        for (corner, column) in corners.iter_mut().zip(2..) {
            let text = record.get(columns[column]).unwrap_or_default();
            *corner = text.parse().map_err(|_| AnnotationFault::NotANumber {
                field: COLUMNS[column],
                value: text.to_owned(),
            })?;
        }
        Ok(Row {
            class: self
                .names
                .get(label)
                .cloned()
                .unwrap_or_else(|| label.to_owned()),
            bounding_box: from_shares(corners)?,
            place: place.clone(),
        })
    }
}
