//! Open Images: CSV files with `ImageID, LabelName, XMin, XMax, YMin, YMax` among their columns
//! (<https://storage.googleapis.com/openimages/web/download_v7.html>).
//!
//! The CSV files are in the root folder or up to two levels below it; the picture `ImageID.jpg` may be in any folder.
//! Class names (`/m/014j1m` is an apple) come from a CSV file of two columns without a header whose name starts with
//! `class-descriptions` or `classes`; a label without a name is used as the name. The split comes from the name of the
//! CSV file, else from the picture's folder. Rows without a picture are one issue per file. Boxes of groups (`IsGroupOf`)
//! are skipped: they surround many objects at once. Drawings of an object (`IsDepiction`) are used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxcam::text::{self, TextError};
use csv::StringRecord;

use super::files::{Files, PictureIndex, name_of};
use super::import_error::{AnnotationError, ImportError, Location};
use super::imported::{ImportedDataset, LabeledBox, LabeledPicture, SplitName};
use super::pixel_frame::normalized_box;
use super::value;

const COLUMNS: [&str; 6] = ["ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"];

/// The CSV files with boxes.
pub(super) fn annotation_files(files: &Files) -> Vec<&Path> {
    let has_boxes = |path: &&Path| {
        let start = text::start(path);
        let header = start.lines().next().unwrap_or_default();
        let has = |column: &str| {
            let mut names = header.split([',', ';', '\t']);
            names.any(|name| text::trim(name).trim_matches('"') == column)
        };
        // A CSV file of labels without boxes has `ImageID` and `LabelName` too.
        has("ImageID") && (has("XMin") || has("XMax") || has("YMin"))
    };
    files.with_extension("csv").filter(has_boxes).collect()
}

pub(super) fn read(files: &Files) -> Result<ImportedDataset, ImportError> {
    let names = class_names(files)?;
    let by_name = PictureIndex::new(files);
    let mut dataset = ImportedDataset::default();
    let mut pictures = BTreeMap::new();
    for file in annotation_files(files) {
        let table = AnnotationTable {
            split: SplitName::in_name(&name_of(file)),
            file: file.into(),
            root: &files.root,
            names: &names,
            by_name: &by_name,
        };
        table.read(&mut pictures, &mut dataset)?;
    }
    dataset.pictures = pictures.into_values().collect();
    Ok(dataset)
}

/// Class names by label.
fn class_names(files: &Files) -> Result<BTreeMap<String, String>, ImportError> {
    let mut names = BTreeMap::new();
    for path in files.with_extension("csv") {
        let name = name_of(path).to_lowercase();
        if !name.starts_with("class-descriptions") && !name.starts_with("classes") {
            continue;
        }
        let file: Arc<Path> = path.into();
        let text = read_bytes(&file)?;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .delimiter(text::delimiter(&text))
            .from_reader(text.as_slice());
        for record in reader.records() {
            let record = record.map_err(|error| csv_error(&file, &error))?;
            if let (Some(label), Some(name)) = (record.get(0), record.get(1)) {
                names.insert(label.to_owned(), text::trim(name).to_owned());
            }
        }
    }
    Ok(names)
}

fn read_bytes(file: &Arc<Path>) -> Result<Vec<u8>, ImportError> {
    let bytes = std::fs::read(file).map_err(TextError::from);
    bytes
        .and_then(text::to_utf8)
        .map_err(|error| ImportError::File {
            location: Location::file(file),
            error: error.into(),
        })
}

fn csv_error(file: &Arc<Path>, error: &csv::Error) -> ImportError {
    let line = error.position().map(csv::Position::line);
    ImportError::File {
        location: line.map_or_else(|| Location::file(file), |line| Location::line(file, line)),
        error: AnnotationError::Syntax {
            language: "CSV",
            message: error.to_string(),
        },
    }
}

/// Reads one CSV file.
struct AnnotationTable<'a> {
    file: Arc<Path>,
    split: Option<SplitName>,
    root: &'a Path,
    names: &'a BTreeMap<String, String>,
    by_name: &'a PictureIndex<'a>,
}

impl AnnotationTable<'_> {
    fn read(
        &self,
        pictures: &mut BTreeMap<PathBuf, LabeledPicture>,
        dataset: &mut ImportedDataset,
    ) -> Result<(), ImportError> {
        let text = read_bytes(&self.file)?;
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .delimiter(text::delimiter(&text))
            .from_reader(text.as_slice());
        let header = reader
            .headers()
            .map_err(|error| csv_error(&self.file, &error))?;
        let columns = self.columns(header)?;
        let group = header.iter().position(|name| name == "IsGroupOf");
        let mut groups = 0;
        let mut missing: Option<(Location, String, u64)> = None;
        let mut record = StringRecord::new();
        loop {
            let location_of = |record: &StringRecord| {
                Location::line(&self.file, record.position().map_or(0, csv::Position::line))
            };
            match reader.read_record(&mut record) {
                Ok(false) => break,
                Ok(true) => {}
                Err(error) => match error.kind() {
                    csv::ErrorKind::UnequalLengths { len, .. } => {
                        let error = AnnotationError::FieldCount {
                            found: usize::try_from(*len).unwrap_or(usize::MAX),
                            expected: "as many as in the first line",
                        };
                        dataset.add_issue(location_of(&record), error);
                        continue;
                    }
                    _ => return Err(csv_error(&self.file, &error)),
                },
            }
            let is_group = group.and_then(|column| record.get(column));
            if is_group.is_some_and(|text| value::flag(&text.into())) {
                groups += 1;
                continue;
            }
            let location = location_of(&record);
            let id = record.get(columns[0]).unwrap_or_default();
            let Some(path) = self.find(id) else {
                missing
                    .get_or_insert_with(|| (location, format!("{id}.jpg"), 0))
                    .2 += 1;
                continue;
            };
            let picture = pictures.entry(path.to_owned()).or_insert_with(|| {
                let split = self
                    .split
                    .or_else(|| SplitName::in_folders(self.root, path));
                LabeledPicture::new(path.to_owned(), split)
            });
            match self.labeled_box(columns, &record, path, &location) {
                Ok(labeled) => picture.boxes.push(labeled),
                Err(error) => dataset.add_issue(location, error),
            }
        }
        if let Some((location, picture, count)) = missing {
            let more = count - 1;
            let boxes = usize::try_from(count).unwrap_or(usize::MAX);
            let error = AnnotationError::MissingPictures { picture, more };
            dataset.add_issue_of(location, error, boxes);
        }
        if groups > 0 {
            let file = self.file.display();
            dataset
                .notes
                .push(format!("{file}: {groups} groups (IsGroupOf) are skipped"));
        }
        Ok(())
    }

    fn columns(&self, header: &StringRecord) -> Result<[usize; 6], ImportError> {
        let mut columns = [0; 6];
        for (index, column) in columns.iter_mut().zip(COLUMNS) {
            let is_column = |name: &str| text::trim(name) == column;
            *index =
                header
                    .iter()
                    .position(is_column)
                    .ok_or_else(|| ImportError::MissingColumn {
                        location: Location::line(&self.file, 1),
                        column,
                        found: header.iter().collect::<Vec<_>>().join(", "),
                    })?;
        }
        Ok(columns)
    }

    /// Of several pictures with this name, the one in a folder of the same split.
    fn find(&self, id: &str) -> Option<&Path> {
        let found = self.by_name.find(id, |path| {
            self.split.is_some() && SplitName::in_folders(self.root, path) != self.split
        });
        found.map(|found| found.path)
    }

    fn labeled_box(
        &self,
        columns: [usize; 6],
        record: &StringRecord,
        picture: &Path,
        location: &Location,
    ) -> Result<LabeledBox, AnnotationError> {
        let label = record.get(columns[1]).unwrap_or_default();
        if label.is_empty() {
            return Err(AnnotationError::MissingField { field: "LabelName" });
        }
        let mut corners = [0.0; 4];
        for (corner, column) in corners.iter_mut().zip(2..) {
            let text = record.get(columns[column]).unwrap_or_default();
            *corner = text::number(text).ok_or_else(|| AnnotationError::NotANumber {
                field: COLUMNS[column],
                value: text.to_owned(),
            })?;
        }
        Ok(LabeledBox {
            class: self
                .names
                .get(label)
                .cloned()
                .unwrap_or_else(|| label.to_owned()),
            bounding_box: normalized_box(corners, picture)?,
            location: location.clone(),
        })
    }
}
