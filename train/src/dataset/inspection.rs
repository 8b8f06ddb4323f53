//! What there is to know of a data set before a network is trained on it.
//!
//! In go a data set and its fingerprints, out comes an [`Inspection`]: counts and sizes, and all that a person should
//! look at once. It judges nothing by itself and changes nothing. [`text`] puts it in words.

use std::collections::{BTreeMap, BTreeSet};

use boxcam::geometry::iou;
use boxcam::picture::PictureError;
use serde::Serialize;

use super::fingerprint::{Fingerprint, Likeness, pairs};
use super::{Dataset, Format, Part, Picture, Row};

pub mod text;

/// A side of a box below this share of the picture's is tiny: 7 pixels of the 224 that the network sees.
pub const TINY: f32 = 1.0 / 32.0;

/// Boxes of one class in one picture with more than this IoU are one box drawn twice.
pub const DOUBLE: f32 = 0.9;

/// The least of each span of rows in a picture.
const SPANS: [(usize, &str); 9] = [
    (0, "0"),
    (1, "1"),
    (2, "2"),
    (3, "3"),
    (4, "4"),
    (5, "5"),
    (6, "6-10"),
    (11, "11-20"),
    (21, "over 20"),
];

/// What was seen of a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// The layout that it was read from.
    pub format: Format,
    /// Pictures and rows of each split; `undivided` are those in none.
    pub splits: BTreeMap<String, Count>,
    /// The same of each class: pictures by what they show as a whole, rows by what is in the box.
    pub classes: Vec<Class>,
    /// How many pictures have so many rows, by spans.
    pub rows_per_picture: Vec<(&'static str, usize)>,
    /// The most rows in a picture.
    pub most_rows: usize,
    /// Width and height of the upright pictures, in pixels.
    pub width: Option<Spread>,
    /// As for the width.
    pub height: Option<Spread>,
    /// The share of its picture that a box covers.
    pub box_area: Option<Spread>,
    /// Width of a box by its height, in pixels.
    pub box_shape: Option<Spread>,
    /// What a person should look at, by kind; each a list.
    pub findings: BTreeMap<Finding, Vec<Found>>,
    /// What was passed over by rule.
    pub notes: Vec<String>,
}

/// Pictures and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Count {
    /// Pictures.
    pub pictures: usize,
    /// Rows, which is to say boxes.
    pub rows: usize,
}

/// A class and its counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Its counts in each split.
    pub splits: BTreeMap<String, Count>,
}

/// Where the values of something lie: least, a twentieth, a quarter, half, three quarters, 19 of 20, greatest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread(pub [f32; 7]);

/// What a person should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The same picture in two splits.
    Leak,
    /// The same picture twice in one split.
    DuplicatePicture,
    /// A picture that can't be read.
    Unreadable,
    /// An annotation that was passed over, such as a box outside of its picture.
    Fault,
    /// A row that is there twice.
    DuplicateRow,
    /// Two boxes of one class nearly on top of each other.
    DoubleBox,
    /// A box that the network can hardly see.
    TinyBox,
    /// A row that names another class than its picture's folder.
    OtherClass,
    /// A picture without a row.
    WithoutRows,
}

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// What it is, with its place.
    pub what: String,
    /// The pictures it is about, as places in [`Dataset::pictures`].
    #[serde(skip)]
    pub pictures: Vec<usize>,
}

impl Spread {
    /// The spread of some values; none of none.
    #[must_use]
    pub fn of(mut values: Vec<f32>) -> Option<Self> {
        values.sort_by(f32::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |share: f32| values[(share * last as f32).round() as usize];
        Some(Self([0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0].map(at)))
    }
}

impl Inspection {
    /// Looks at a data set. `prints` are [`super::fingerprint::all`]'s, one for each picture.
    #[must_use]
    pub fn of(
        format: Format,
        dataset: &Dataset,
        prints: &[Result<Fingerprint, PictureError>],
        threads: usize,
    ) -> Self {
        let sizes = || {
            prints
                .iter()
                .filter_map(|print| print.as_ref().ok())
                .map(|print| print.size)
        };
        let rows = || dataset.pictures.iter().flat_map(|picture| &picture.rows);
        let shapes = dataset
            .pictures
            .iter()
            .zip(prints)
            .filter_map(|(picture, print)| {
                let (width, height) = print.as_ref().ok()?.size;
                let picture_shape = width as f32 / height as f32;
                Some(
                    picture
                        .rows
                        .iter()
                        .filter_map(move |row| shape(row, picture_shape)),
                )
            });
        let mut inspection = Self {
            format,
            splits: BTreeMap::new(),
            classes: classes(dataset),
            rows_per_picture: rows_per_picture(&dataset.pictures),
            most_rows: dataset
                .pictures
                .iter()
                .map(|picture| picture.rows.len())
                .max()
                .unwrap_or(0),
            width: Spread::of(sizes().map(|(width, _)| width as f32).collect()),
            height: Spread::of(sizes().map(|(_, height)| height as f32).collect()),
            box_area: Spread::of(rows().map(|row| row.bounding_box.area()).collect()),
            box_shape: Spread::of(shapes.flatten().collect()),
            findings: BTreeMap::new(),
            notes: dataset.notes.clone(),
        };
        for picture in &dataset.pictures {
            let count = inspection
                .splits
                .entry(split_name(picture.part))
                .or_default();
            count.pictures += 1;
            count.rows += picture.rows.len();
        }
        for fault in &dataset.faults {
            inspection.find(Finding::Fault, fault.to_string(), Vec::new());
        }
        for (index, (picture, print)) in dataset.pictures.iter().zip(prints).enumerate() {
            if let Err(error) = print {
                inspection.find(Finding::Unreadable, error.to_string(), Vec::new());
            }
            inspection.look_at(index, picture);
        }
        inspection.look_for_duplicates(dataset, prints, threads);
        inspection
    }

    /// How many findings of a kind there are.
    #[must_use]
    pub fn count(&self, finding: Finding) -> usize {
        self.findings.get(&finding).map_or(0, Vec::len)
    }

    fn find(&mut self, finding: Finding, what: String, pictures: Vec<usize>) {
        self.findings
            .entry(finding)
            .or_default()
            .push(Found { what, pictures });
    }

    fn look_at(&mut self, index: usize, picture: &Picture) {
        if picture.rows.is_empty() {
            self.find(
                Finding::WithoutRows,
                picture.path.display().to_string(),
                vec![index],
            );
        }
        for (number, row) in picture.rows.iter().enumerate() {
            let corners = row.bounding_box.corners();
            let [x_min, x_max, y_min, y_max] = corners;
            let (width, height) = (x_max - x_min, y_max - y_min);
            if width.min(height) < TINY {
                let what = format!(
                    "{}: {} is {:.1}% x {:.1}% of its picture",
                    row.place,
                    row.class,
                    width * 100.0,
                    height * 100.0
                );
                self.find(Finding::TinyBox, what, vec![index]);
            }
            if let Some(folder) = picture
                .folder
                .as_ref()
                .filter(|folder| **folder != row.class)
            {
                let what = format!("{}: {} in folder {folder}", row.place, row.class);
                self.find(Finding::OtherClass, what, vec![index]);
            }
            let earlier = picture.rows[..number].iter();
            if let Some((finding, other)) = earlier
                .filter_map(|other| Some((double(other, row)?, other)))
                .min_by_key(|(finding, _)| *finding)
            {
                let what = format!("{}: {} as in {}", row.place, row.class, other.place);
                self.find(finding, what, vec![index]);
            }
        }
    }

    fn look_for_duplicates(
        &mut self,
        dataset: &Dataset,
        prints: &[Result<Fingerprint, PictureError>],
        threads: usize,
    ) {
        let readable: Vec<Option<Fingerprint>> = prints
            .iter()
            .map(|print| print.as_ref().ok().cloned())
            .collect();
        for pair in pairs(&readable, threads) {
            let (first, second) = (
                &dataset.pictures[pair.first],
                &dataset.pictures[pair.second],
            );
            let finding = match first.part == second.part {
                true => Finding::DuplicatePicture,
                false => Finding::Leak,
            };
            let how = match pair.likeness {
                Likeness::Exact => "the same pixels",
                Likeness::Near => "nearly the same",
            };
            let what = format!(
                "{} and {}: {how}",
                first.path.display(),
                second.path.display()
            );
            self.find(finding, what, vec![pair.first, pair.second]);
        }
    }
}

/// Whether a row repeats an earlier one of its picture.
fn double(earlier: &Row, row: &Row) -> Option<Finding> {
    if earlier.class != row.class {
        None
    } else if earlier.bounding_box == row.bounding_box {
        Some(Finding::DuplicateRow)
    } else {
        (iou(&earlier.bounding_box, &row.bounding_box) > DOUBLE).then_some(Finding::DoubleBox)
    }
}

/// Width by height of a box in pixels; none where it has no height.
fn shape(row: &Row, picture_shape: f32) -> Option<f32> {
    let [x_min, x_max, y_min, y_max] = row.bounding_box.corners();
    (y_max > y_min).then(|| (x_max - x_min) / (y_max - y_min) * picture_shape)
}

/// What a split is called in figures.
#[must_use]
pub fn split_name(part: Option<Part>) -> String {
    part.map_or("undivided", Part::name).to_owned()
}

fn classes(dataset: &Dataset) -> Vec<Class> {
    let mut counts: BTreeMap<&str, BTreeMap<String, Count>> = BTreeMap::new();
    for picture in &dataset.pictures {
        let of_picture = picture.class().map(|class| (class, 1, 0));
        let of_rows = picture.rows.iter().map(|row| (row.class.as_str(), 0, 1));
        for (class, pictures, rows) in of_picture.into_iter().chain(of_rows) {
            let splits = counts.entry(class).or_default();
            let count = splits.entry(split_name(picture.part)).or_default();
            count.pictures += pictures;
            count.rows += rows;
        }
    }
    let mut seen = BTreeSet::new();
    let names = dataset
        .classes
        .iter()
        .filter(|name| seen.insert(name.as_str()));
    let class = |name: &String| Class {
        name: name.clone(),
        splits: counts.remove(name.as_str()).unwrap_or_default(),
    };
    names.map(class).collect()
}

fn rows_per_picture(pictures: &[Picture]) -> Vec<(&'static str, usize)> {
    let mut spans = SPANS.map(|(_, name)| (name, 0));
    for picture in pictures {
        let span = SPANS
            .iter()
            .rposition(|(least, _)| picture.rows.len() >= *least);
        spans[span.unwrap_or(0)].1 += 1;
    }
    spans.to_vec()
}

#[cfg(test)]
mod tests;
