//! Contact sheets (PNG) of a data set, for a person to review: one per class with evenly sampled pictures, and one of
//! suspicious pictures.
//!
//! Ground-truth boxes are white with a black outline, as in the textbook chapter. The cell of an unreadable picture is
//! empty.

use std::collections::BTreeSet;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use boxcam::frame::GroundTruth;
use boxcam::overlay::{Canvas, draw_caption, draw_ground_truth};
use boxcam::picture;
use image::imageops::{FilterType, replace, resize, thumbnail};
use image::{ImageFormat, Rgb, RgbImage};

use super::imported::{ImportedDataset, LabeledBox, LabeledPicture};
use super::inspection::{Inspection, IssueKind};
use crate::storage;

/// Width and height of a cell in pixels.
const CELL: u32 = 224;

/// Pixels between cells.
const GAP: u32 = 4;

/// Cells per row of a sheet.
const COLUMNS: usize = 6;

/// Maximum number of pictures on the sheet of a class.
const PER_CLASS: usize = 36;

/// Maximum number of issues per kind on the sheet of suspicious pictures.
const PER_ISSUE_KIND: usize = 12;

/// With more boxes than this, each class is labeled once per picture.
const MAX_LABELS: usize = 8;

/// Writes the sheets into a folder and returns their paths. `on_sheet` is called after each.
///
/// # Errors
/// The file that cannot be written, and why.
pub fn write(
    dataset: &ImportedDataset,
    inspection: &Inspection,
    folder: &Path,
    on_sheet: &dyn Fn(),
) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let mut files = Vec::new();
    let mut used = BTreeSet::new();
    let mut save = |name: &str, cells: Vec<RgbImage>| {
        // Lower case, since some file systems ignore case; equal names are numbered.
        let base = file_name(name);
        let numbered = (2..).map(|number: u64| format!("{base}-{number}"));
        let mut names = std::iter::once(base.clone()).chain(numbered);
        let free = names
            .find(|name| used.insert(name.clone()))
            .unwrap_or_default();
        let path = folder.join(format!("{free}.png"));
        save_sheet(&path, &cells).map_err(|error| (path.clone(), error))?;
        files.push(path);
        on_sheet();
        Ok(())
    };
    for class in &dataset.classes {
        let of_class = |picture: &&LabeledPicture| picture.class() == Some(class);
        let pictures: Vec<&LabeledPicture> = dataset.pictures.iter().filter(of_class).collect();
        if !pictures.is_empty() {
            let cells =
                sample_evenly(&pictures, PER_CLASS).map(|picture| cell(picture, &caption(picture)));
            save(&format!("class-{class}"), cells.collect())?;
        }
    }
    let suspects = suspects(dataset, inspection);
    if !suspects.is_empty() {
        save("suspects", suspects)?;
    }
    Ok(files)
}

fn file_name(name: &str) -> String {
    let plain = |letter: char| {
        if letter.is_alphanumeric() {
            letter
        } else {
            '-'
        }
    };
    name.to_lowercase().chars().map(plain).collect()
}

/// At most `max` items, evenly spaced.
fn sample_evenly<'a, T: Copy>(items: &'a [T], max: usize) -> impl Iterator<Item = T> + 'a {
    let count = items.len().min(max);
    (0..count).map(move |index| items[index * items.len() / count])
}

/// Split and file name, without the extension to save space.
fn caption(picture: &LabeledPicture) -> String {
    let name = picture
        .path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    match picture.split {
        Some(split) => format!("{split} {name}"),
        None => name.into_owned(),
    }
}

/// A cell per suspicious picture with the kind of issue; the two of a pair are adjacent.
fn suspects(dataset: &ImportedDataset, inspection: &Inspection) -> Vec<RgbImage> {
    let kinds = [
        (IssueKind::Leak, "leak"),
        (IssueKind::DuplicatePicture, "duplicate"),
        (IssueKind::DuplicateBox, "duplicate box"),
        (IssueKind::OverlappingBoxes, "overlapping boxes"),
        (IssueKind::TinyBox, "tiny box"),
        (IssueKind::ClassMismatch, "class mismatch"),
    ];
    let mut cells = Vec::new();
    for (kind, title) in kinds {
        let found = inspection.issues.get(&kind).map_or(&[][..], Vec::as_slice);
        let found: Vec<&[usize]> = found
            .iter()
            .map(|issue| issue.pictures.as_slice())
            .collect();
        let mut shown = BTreeSet::new();
        for index in sample_evenly(&found, PER_ISSUE_KIND).flatten() {
            // A picture in several pairs is repeated; a picture with several tiny boxes is not.
            let is_pair = matches!(kind, IssueKind::Leak | IssueKind::DuplicatePicture);
            if is_pair || shown.insert(*index) {
                let picture = &dataset.pictures[*index];
                cells.push(cell(picture, &format!("{title}: {}", caption(picture))));
            }
        }
    }
    cells
}

/// A picture scaled to the cell, with its boxes and a caption.
fn cell(picture: &LabeledPicture, caption: &str) -> RgbImage {
    let mut cell = RgbImage::from_pixel(CELL, CELL, Rgb([40, 40, 40]));
    if let Ok(image) = picture::open(&picture.path) {
        let mut image = scaled_to_cell(&image);
        let Ok(()) = draw_ground_truth(&mut Canvas::new(&mut image), &ground_truth(picture));
        let (x, y) = ((CELL - image.width()) / 2, (CELL - image.height()) / 2);
        replace(&mut cell, &image, x.into(), y.into());
    }
    let Ok(()) = draw_caption(&mut Canvas::new(&mut cell), caption);
    cell
}

/// The ground-truth boxes, the largest first. With more than [`MAX_LABELS`], each class is labeled once.
fn ground_truth(picture: &LabeledPicture) -> Vec<GroundTruth> {
    let mut boxes: Vec<&LabeledBox> = picture.boxes.iter().collect();
    boxes.sort_by(|a, b| b.bounding_box.area().total_cmp(&a.bounding_box.area()));
    let label_all = boxes.len() <= MAX_LABELS;
    let mut labeled_classes = BTreeSet::new();
    let truth = boxes.into_iter().map(|labeled| GroundTruth {
        label: match labeled_classes.insert(&labeled.class) || label_all {
            true => labeled.class.clone(),
            false => String::new(),
        },
        bounding_box: labeled.bounding_box,
    });
    truth.collect()
}

fn scaled_to_cell(image: &RgbImage) -> RgbImage {
    let (width, height) = image.dimensions();
    let scale = f64::from(CELL) / f64::from(width.max(height));
    let side = |side: u32| ((f64::from(side) * scale).round() as u32).clamp(1, CELL);
    match scale < 1.0 {
        true => thumbnail(image, side(width), side(height)),
        false => resize(image, side(width), side(height), FilterType::Triangle),
    }
}

fn save_sheet(path: &Path, cells: &[RgbImage]) -> io::Result<()> {
    let columns = cells.len().min(COLUMNS) as u32;
    let rows = cells.len().div_ceil(COLUMNS) as u32;
    let side = |count: u32| count * (CELL + GAP) + GAP;
    let mut sheet = RgbImage::from_pixel(side(columns), side(rows), Rgb([255, 255, 255]));
    for (index, cell) in cells.iter().enumerate() {
        let (column, row) = (index % COLUMNS, index / COLUMNS);
        let offset = |number: usize| i64::from(number as u32 * (CELL + GAP) + GAP);
        replace(&mut sheet, cell, offset(column), offset(row));
    }
    let mut bytes = Cursor::new(Vec::new());
    sheet
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(io::Error::other)?;
    storage::write_whole(path, bytes.get_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_evenly_spaced() {
        assert_eq!(
            sample_evenly(&[0, 1, 2, 3, 4, 5], 3).collect::<Vec<_>>(),
            [0, 2, 4]
        );
        assert_eq!(sample_evenly(&[7, 8], 36).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(sample_evenly(&[0; 0], 36).count(), 0);
    }

    #[test]
    fn every_shape_fits_into_its_cell() {
        for (width, height) in [(1, 2000), (2000, 1), (50, 20), (224, 224), (1000, 900)] {
            let image = scaled_to_cell(&RgbImage::new(width, height));
            assert!(
                image.width().max(image.height()) == CELL && image.width().min(image.height()) > 0
            );
        }
    }
}
