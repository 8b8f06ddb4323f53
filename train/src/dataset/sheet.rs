//! Contact sheets: many pictures on one, each with its true boxes, to be looked at by a person.
//!
//! In go a data set and its inspection, out come PNG: one a class, of pictures evenly spread over it, and one of what
//! should be looked at. Boxes are drawn as in the textbook chapter, white with a black outline. A picture that can't
//! be read leaves its place empty.

use std::collections::BTreeSet;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use boxcam::frame::GroundTruth;
use boxcam::overlay::{Canvas, draw_caption, draw_ground_truth};
use boxcam::picture;
use image::imageops::{FilterType, replace, resize, thumbnail};
use image::{ImageFormat, Rgb, RgbImage};

use super::inspection::{Finding, Inspection};
use super::{Dataset, Picture, Row};
use crate::storage;

/// Pixels of the square that a picture has.
const CELL: u32 = 224;

/// Pixels between squares.
const GAP: u32 = 4;

/// Squares in a row of a sheet.
const ACROSS: usize = 6;

/// Pictures of a class on its sheet.
const PER_CLASS: usize = 36;

/// Findings of each kind on the sheet of what is suspect.
const PER_FINDING: usize = 12;

/// The most boxes of a picture that all get their labels.
const NAMED: usize = 8;

/// Writes the sheets into a folder, and gives their files. `seen` is called after each.
///
/// # Errors
/// The system's, with the file that can't be written.
pub fn write(
    dataset: &Dataset,
    inspection: &Inspection,
    folder: &Path,
    seen: &dyn Fn(),
) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let mut files = Vec::new();
    let mut taken = BTreeSet::new();
    let mut save = |name: &str, cells: Vec<RgbImage>| {
        // Only lower case, as some file systems don't tell; names that meet are numbered.
        let base = file_name(name);
        let numbered = (2..).map(|number: u64| format!("{base}-{number}"));
        let mut names = std::iter::once(base.clone()).chain(numbered);
        let free = names
            .find(|name| taken.insert(name.clone()))
            .unwrap_or_default();
        let path = folder.join(format!("{free}.png"));
        save_sheet(&path, &cells).map_err(|error| (path.clone(), error))?;
        files.push(path);
        seen();
        Ok(())
    };
    for class in &dataset.classes {
        let of_class = |picture: &&Picture| picture.class() == Some(class);
        let pictures: Vec<&Picture> = dataset.pictures.iter().filter(of_class).collect();
        if !pictures.is_empty() {
            let cells =
                spread(&pictures, PER_CLASS).map(|picture| cell(picture, &caption(picture)));
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

/// At most `most` of some things, evenly spread over them.
fn spread<'a, T: Copy>(things: &'a [T], most: usize) -> impl Iterator<Item = T> + 'a {
    let count = things.len().min(most);
    (0..count).map(move |index| things[index * things.len() / count])
}

/// Split and name; without the ending, which would not fit behind the names that most data sets have.
fn caption(picture: &Picture) -> String {
    let name = picture
        .path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    match picture.part {
        Some(part) => format!("{part} {name}"),
        None => name.into_owned(),
    }
}

/// Pictures to look at, each with what is suspect; both of a pair, one after the other.
fn suspects(dataset: &Dataset, inspection: &Inspection) -> Vec<RgbImage> {
    let kinds = [
        (Finding::Leak, "leak"),
        (Finding::DuplicatePicture, "duplicate"),
        (Finding::DuplicateRow, "row twice"),
        (Finding::DoubleBox, "double box"),
        (Finding::TinyBox, "tiny box"),
        (Finding::OtherClass, "other class"),
    ];
    let mut cells = Vec::new();
    for (finding, words) in kinds {
        let found = inspection
            .findings
            .get(&finding)
            .map_or(&[][..], Vec::as_slice);
        let found: Vec<&[usize]> = found.iter().map(|one| one.pictures.as_slice()).collect();
        let mut shown = BTreeSet::new();
        for index in spread(&found, PER_FINDING).flatten() {
            // Pairs are repeated where they belong together; a picture with many tiny boxes is not.
            let is_pair = matches!(finding, Finding::Leak | Finding::DuplicatePicture);
            if is_pair || shown.insert(*index) {
                let picture = &dataset.pictures[*index];
                cells.push(cell(picture, &format!("{words}: {}", caption(picture))));
            }
        }
    }
    cells
}

/// A picture as large as its square allows, with its boxes and a line below.
fn cell(picture: &Picture, words: &str) -> RgbImage {
    let mut cell = RgbImage::from_pixel(CELL, CELL, Rgb([40, 40, 40]));
    if let Ok(image) = picture::open(&picture.path) {
        let mut image = fitted(&image);
        let Ok(()) = draw_ground_truth(&mut Canvas::new(&mut image), &truth(picture));
        let (x, y) = ((CELL - image.width()) / 2, (CELL - image.height()) / 2);
        replace(&mut cell, &image, x.into(), y.into());
    }
    let Ok(()) = draw_caption(&mut Canvas::new(&mut cell), words);
    cell
}

/// The true boxes, the largest first. Where labels would hide the picture, each class is named once.
fn truth(picture: &Picture) -> Vec<GroundTruth> {
    let mut rows: Vec<&Row> = picture.rows.iter().collect();
    rows.sort_by(|a, b| b.bounding_box.area().total_cmp(&a.bounding_box.area()));
    let all_named = rows.len() <= NAMED;
    let mut named = BTreeSet::new();
    let boxes = rows.into_iter().map(|row| GroundTruth {
        label: match named.insert(&row.class) || all_named {
            true => row.class.clone(),
            false => String::new(),
        },
        bounding_box: row.bounding_box,
    });
    boxes.collect()
}

fn fitted(image: &RgbImage) -> RgbImage {
    let (width, height) = image.dimensions();
    let scale = f64::from(CELL) / f64::from(width.max(height));
    let side = |side: u32| ((f64::from(side) * scale).round() as u32).clamp(1, CELL);
    match scale < 1.0 {
        true => thumbnail(image, side(width), side(height)),
        false => resize(image, side(width), side(height), FilterType::Triangle),
    }
}

fn save_sheet(path: &Path, cells: &[RgbImage]) -> io::Result<()> {
    let across = cells.len().min(ACROSS) as u32;
    let down = cells.len().div_ceil(ACROSS) as u32;
    let side = |count: u32| count * (CELL + GAP) + GAP;
    let mut sheet = RgbImage::from_pixel(side(across), side(down), Rgb([255, 255, 255]));
    for (index, cell) in cells.iter().enumerate() {
        let (column, row) = (index % ACROSS, index / ACROSS);
        let place = |number: usize| i64::from(number as u32 * (CELL + GAP) + GAP);
        replace(&mut sheet, cell, place(column), place(row));
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
    fn a_few_are_evenly_spread() {
        assert_eq!(
            spread(&[0, 1, 2, 3, 4, 5], 3).collect::<Vec<_>>(),
            [0, 2, 4]
        );
        assert_eq!(spread(&[7, 8], 36).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(spread(&[0; 0], 36).count(), 0);
    }

    #[test]
    fn any_shape_fits_into_its_square() {
        for (width, height) in [(1, 2000), (2000, 1), (50, 20), (224, 224), (1000, 900)] {
            let image = fitted(&RgbImage::new(width, height));
            assert!(
                image.width().max(image.height()) == CELL && image.width().min(image.height()) > 0
            );
        }
    }
}
