//! Statistics of a data set and a list of suspicious pictures and annotations, to be checked before training.
//!
//! [`Inspection::of`] collects them; [`text`] formats them for a terminal. Nothing is changed or excluded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use boxcam::geometry::iou;
use boxcam::picture::PictureError;
use serde::Serialize;

use super::duplicates::{Fingerprint, Similarity, duplicate_pairs};
use super::format::DatasetFormat;
use super::imported::{ImportedDataset, LabeledBox, LabeledPicture, SplitName};

/// A box is tiny if its width or height is below this fraction of the picture's: 7 of the 224 pixels of the network's
/// input.
pub const TINY_BOX: f32 = 1.0 / 32.0;

/// Boxes of one class in one picture with an IoU above this probably mark the same object.
pub const OVERLAPPING_IOU: f32 = 0.9;

/// Bins of the number of boxes per picture: the minimum and the label of each.
const BINS: [(usize, &str); 9] = [
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

/// The statistics and issues of a data set. Field names of the JSON form are stable.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    pub format: DatasetFormat,
    /// Counts per split; `undivided` are pictures in no split.
    pub splits: BTreeMap<String, Count>,
    /// Counts per class: pictures by their own class, boxes by the class of the box.
    pub classes: Vec<ClassCounts>,
    /// Number of pictures per number of boxes, in bins.
    #[serde(rename = "rows_per_picture")]
    pub boxes_per_picture: Vec<(&'static str, usize)>,
    /// The maximum number of boxes in a picture.
    #[serde(rename = "most_rows")]
    pub max_boxes: usize,
    /// Width of the upright pictures in pixels.
    pub width: Option<Quantiles>,
    /// Height of the upright pictures in pixels.
    pub height: Option<Quantiles>,
    /// Area of the boxes relative to their pictures.
    pub box_area: Option<Quantiles>,
    /// Aspect ratio (width / height) of the boxes, both in pixels.
    #[serde(rename = "box_shape")]
    pub aspect_ratio: Option<Quantiles>,
    #[serde(rename = "findings")]
    pub issues: BTreeMap<IssueKind, Vec<Issue>>,
    /// Messages about valid data that was skipped by a rule of the format.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Count {
    pub pictures: usize,
    #[serde(rename = "rows")]
    pub boxes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassCounts {
    pub name: String,
    /// Counts per split.
    pub splits: BTreeMap<String, Count>,
}

/// Minimum, quantiles 0.05, 0.25, 0.5, 0.75 and 0.95, and maximum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles(pub [f32; 7]);

/// Kinds of issues, the most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueKind {
    /// Duplicates in different splits.
    Leak,
    /// Duplicates in one split.
    DuplicatePicture,
    /// A picture that cannot be read.
    Unreadable,
    /// An invalid annotation, such as a box outside of its picture.
    #[serde(rename = "fault")]
    SkippedAnnotation,
    /// Equal boxes of one class in one picture.
    #[serde(rename = "duplicate_row")]
    DuplicateBox,
    /// Boxes of one class with an IoU above [`OVERLAPPING_IOU`].
    #[serde(rename = "double_box")]
    OverlappingBoxes,
    /// A box with a side below [`TINY_BOX`].
    TinyBox,
    /// A box of another class than its picture's folder.
    #[serde(rename = "other_class")]
    ClassMismatch,
    #[serde(rename = "without_rows")]
    NoBoxes,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// The message, with file and line.
    #[serde(rename = "what")]
    pub message: String,
    /// Indices in [`ImportedDataset::pictures`].
    #[serde(skip)]
    pub pictures: Vec<usize>,
}

impl Quantiles {
    /// `None` without values.
    #[must_use]
    pub fn of(mut values: Vec<f32>) -> Option<Self> {
        values.sort_by(f32::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |quantile: f32| values[(quantile * last as f32).round() as usize];
        Some(Self([0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0].map(at)))
    }
}

impl Inspection {
    /// Inspects a data set. `prints`: one per picture, from [`super::duplicates::fingerprints`].
    #[must_use]
    pub fn of(
        format: DatasetFormat,
        dataset: &ImportedDataset,
        prints: &[Result<Fingerprint, PictureError>],
        threads: usize,
    ) -> Self {
        let sizes = || {
            prints
                .iter()
                .filter_map(|print| print.as_ref().ok())
                .map(|print| print.size)
        };
        let boxes = || dataset.pictures.iter().flat_map(|picture| &picture.boxes);
        let mut inspection = Self {
            format,
            splits: split_counts(dataset),
            classes: class_counts(dataset),
            boxes_per_picture: boxes_per_picture(&dataset.pictures),
            max_boxes: dataset
                .pictures
                .iter()
                .map(|picture| picture.boxes.len())
                .max()
                .unwrap_or(0),
            width: Quantiles::of(sizes().map(|(width, _)| width as f32).collect()),
            height: Quantiles::of(sizes().map(|(_, height)| height as f32).collect()),
            box_area: Quantiles::of(boxes().map(|labeled| labeled.bounding_box.area()).collect()),
            aspect_ratio: Quantiles::of(aspect_ratios(dataset, prints)),
            issues: BTreeMap::new(),
            notes: dataset.notes.clone(),
        };
        for issue in &dataset.issues {
            inspection.add_issue(IssueKind::SkippedAnnotation, issue.to_string(), Vec::new());
        }
        for (index, (picture, print)) in dataset.pictures.iter().zip(prints).enumerate() {
            if let Err(error) = print {
                inspection.add_issue(IssueKind::Unreadable, error.to_string(), Vec::new());
            }
            inspection.check_picture(index, picture);
        }
        inspection.check_duplicates(dataset, prints, threads);
        inspection
    }

    /// The number of issues of a kind.
    #[must_use]
    pub fn count(&self, kind: IssueKind) -> usize {
        self.issues.get(&kind).map_or(0, Vec::len)
    }

    fn add_issue(&mut self, kind: IssueKind, message: String, pictures: Vec<usize>) {
        self.issues
            .entry(kind)
            .or_default()
            .push(Issue { message, pictures });
    }

    fn check_picture(&mut self, index: usize, picture: &LabeledPicture) {
        if picture.boxes.is_empty() {
            self.add_issue(
                IssueKind::NoBoxes,
                picture.path.display().to_string(),
                vec![index],
            );
        }
        for (number, labeled) in picture.boxes.iter().enumerate() {
            let corners = labeled.bounding_box.corners();
            let [x_min, x_max, y_min, y_max] = corners;
            let (width, height) = (x_max - x_min, y_max - y_min);
            if width.min(height) < TINY_BOX {
                let message = format!(
                    "{}: {} is {:.1}% x {:.1}% of its picture",
                    labeled.location,
                    labeled.class,
                    width * 100.0,
                    height * 100.0
                );
                self.add_issue(IssueKind::TinyBox, message, vec![index]);
            }
            if let Some(folder) = picture
                .folder
                .as_ref()
                .filter(|folder| **folder != labeled.class)
            {
                let message = format!("{}: {} in folder {folder}", labeled.location, labeled.class);
                self.add_issue(IssueKind::ClassMismatch, message, vec![index]);
            }
            let earlier = picture.boxes[..number].iter();
            if let Some((kind, other)) = earlier
                .filter_map(|other| Some((repetition(other, labeled)?, other)))
                .min_by_key(|(kind, _)| *kind)
            {
                let message = format!(
                    "{}: {} as in {}",
                    labeled.location, labeled.class, other.location
                );
                self.add_issue(kind, message, vec![index]);
            }
        }
    }

    fn check_duplicates(
        &mut self,
        dataset: &ImportedDataset,
        prints: &[Result<Fingerprint, PictureError>],
        threads: usize,
    ) {
        for pair in duplicate_pairs(prints, threads) {
            let (first, second) = (
                &dataset.pictures[pair.first],
                &dataset.pictures[pair.second],
            );
            let kind = match first.split == second.split {
                true => IssueKind::DuplicatePicture,
                false => IssueKind::Leak,
            };
            let how = match pair.similarity {
                Similarity::Exact => "the same pixels",
                Similarity::Near => "nearly the same",
            };
            let message = format!(
                "{} and {}: {how}",
                first.path.display(),
                second.path.display()
            );
            self.add_issue(kind, message, vec![pair.first, pair.second]);
        }
    }
}

/// Whether a box repeats an earlier one of its picture.
fn repetition(earlier: &LabeledBox, labeled: &LabeledBox) -> Option<IssueKind> {
    if earlier.class != labeled.class {
        None
    } else if earlier.bounding_box == labeled.bounding_box {
        Some(IssueKind::DuplicateBox)
    } else {
        (iou(&earlier.bounding_box, &labeled.bounding_box) > OVERLAPPING_IOU)
            .then_some(IssueKind::OverlappingBoxes)
    }
}

/// Width / height in pixels of all boxes on readable pictures.
fn aspect_ratios(
    dataset: &ImportedDataset,
    prints: &[Result<Fingerprint, PictureError>],
) -> Vec<f32> {
    let mut ratios = Vec::new();
    for (picture, print) in dataset.pictures.iter().zip(prints) {
        if let Ok(print) = print {
            let picture_ratio = print.size.0 as f32 / print.size.1 as f32;
            let boxes = picture.boxes.iter();
            ratios.extend(boxes.filter_map(|labeled| aspect_ratio(labeled, picture_ratio)));
        }
    }
    ratios
}

/// Width / height of a box in pixels; `None` if it has no height.
fn aspect_ratio(labeled: &LabeledBox, picture_ratio: f32) -> Option<f32> {
    let [x_min, x_max, y_min, y_max] = labeled.bounding_box.corners();
    (y_max > y_min).then(|| (x_max - x_min) / (y_max - y_min) * picture_ratio)
}

/// The key of a split in [`Inspection::splits`].
fn split_label(split: Option<SplitName>) -> String {
    split.map_or("undivided", SplitName::name).to_owned()
}

fn split_counts(dataset: &ImportedDataset) -> BTreeMap<String, Count> {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for picture in &dataset.pictures {
        let count = counts.entry(split_label(picture.split)).or_default();
        count.pictures += 1;
        count.boxes += picture.boxes.len();
    }
    counts
}

fn class_counts(dataset: &ImportedDataset) -> Vec<ClassCounts> {
    let mut counts: BTreeMap<&str, BTreeMap<String, Count>> = BTreeMap::new();
    for picture in &dataset.pictures {
        let of_picture = picture.class().map(|class| (class, 1, 0));
        let of_boxes = picture
            .boxes
            .iter()
            .map(|labeled| (labeled.class.as_str(), 0, 1));
        for (class, pictures, boxes) in of_picture.into_iter().chain(of_boxes) {
            let splits = counts.entry(class).or_default();
            let count = splits.entry(split_label(picture.split)).or_default();
            count.pictures += pictures;
            count.boxes += boxes;
        }
    }
    let mut listed = BTreeSet::new();
    let names = dataset
        .classes
        .iter()
        .filter(|name| listed.insert(name.as_str()));
    let class = |name: &String| ClassCounts {
        name: name.clone(),
        splits: counts.remove(name.as_str()).unwrap_or_default(),
    };
    names.map(class).collect()
}

fn boxes_per_picture(pictures: &[LabeledPicture]) -> Vec<(&'static str, usize)> {
    let mut bins = BINS.map(|(_, name)| (name, 0));
    for picture in pictures {
        let bin = BINS
            .iter()
            .rposition(|(minimum, _)| picture.boxes.len() >= *minimum);
        bins[bin.unwrap_or(0)].1 += 1;
    }
    bins.to_vec()
}

/// Issues of a kind that are listed without `--all`.
const MAX_LISTED: usize = 5;

/// Width of the longest bar of a histogram, in characters.
const BAR_WIDTH: usize = 40;

const ISSUE_TITLES: [(IssueKind, &str); 9] = [
    (
        IssueKind::Leak,
        "duplicates in different splits (leaks: the figures become too good)",
    ),
    (IssueKind::DuplicatePicture, "duplicates in one split"),
    (IssueKind::Unreadable, "unreadable pictures"),
    (IssueKind::SkippedAnnotation, "invalid annotations, skipped"),
    (
        IssueKind::DuplicateBox,
        "equal boxes of one class in one picture",
    ),
    (
        IssueKind::OverlappingBoxes,
        "boxes of one class that overlap (IoU over 0.9)",
    ),
    (
        IssueKind::TinyBox,
        "tiny boxes (width or height below 1/32 of the picture's)",
    ),
    (
        IssueKind::ClassMismatch,
        "boxes of another class than the folder",
    ),
    (IssueKind::NoBoxes, "pictures without boxes"),
];

/// The inspection as tables and lists for a terminal; lists all issues if `all`, else the first few of each kind.
#[must_use]
pub fn text(inspection: &Inspection, all: bool) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "format: {}", inspection.format.name());
    write_classes(&mut out, inspection);
    write_histogram(&mut out, inspection);
    write_quantiles(&mut out, inspection);
    write_issues(&mut out, inspection, all);
    for note in &inspection.notes {
        let _ = writeln!(out, "\nnote: {note}");
    }
    out
}

fn write_classes(out: &mut String, inspection: &Inspection) {
    let splits: Vec<&String> = inspection.splits.keys().collect();
    let names = inspection
        .classes
        .iter()
        .map(|class| class.name.chars().count());
    let width = names.max().unwrap_or(0).max(12);
    let _ = write!(out, "\n{:width$}", "class");
    for split in &splits {
        let _ = write!(out, "  {:>18} {:>8}", format!("{split} pictures"), "boxes");
    }
    out.push('\n');
    let mut line = |name: &str, counts: &BTreeMap<String, Count>| {
        let _ = write!(out, "{name:width$}");
        for split in &splits {
            let count = counts.get(*split).copied().unwrap_or_default();
            let _ = write!(out, "  {:>18} {:>8}", count.pictures, count.boxes);
        }
        out.push('\n');
    };
    for ClassCounts { name, splits } in &inspection.classes {
        line(name, splits);
    }
    line("all", &inspection.splits);
}

fn write_histogram(out: &mut String, inspection: &Inspection) {
    let largest = inspection
        .boxes_per_picture
        .iter()
        .map(|(_, count)| *count)
        .max()
        .unwrap_or(0);
    let _ = writeln!(
        out,
        "\nboxes per picture (maximum: {})",
        inspection.max_boxes
    );
    for (bin, count) in &inspection.boxes_per_picture {
        let length = (count * BAR_WIDTH).div_ceil(largest.max(1));
        let _ = writeln!(out, "{bin:>8} {count:>8} {}", "#".repeat(length));
    }
}

fn write_quantiles(out: &mut String, inspection: &Inspection) {
    let _ = writeln!(
        out,
        "\n{:28}{:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "min", "5%", "25%", "median", "75%", "95%", "max"
    );
    let mut line = |name: &str, quantiles: Option<Quantiles>, digits: usize| {
        if let Some(Quantiles(values)) = quantiles {
            let _ = write!(out, "{name:28}");
            for value in values {
                let _ = write!(out, "{value:>8.digits$} ");
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
    };
    line("picture width, pixels", inspection.width, 0);
    line("picture height, pixels", inspection.height, 0);
    line("box area / picture area", inspection.box_area, 4);
    line("box width / height", inspection.aspect_ratio, 2);
}

fn write_issues(out: &mut String, inspection: &Inspection, all: bool) {
    let _ = writeln!(out, "\nto check");
    for (kind, title) in ISSUE_TITLES {
        let found = inspection.issues.get(&kind).map_or(&[][..], Vec::as_slice);
        let _ = writeln!(out, "{:>8}  {title}", found.len());
        let shown = if all { found.len() } else { MAX_LISTED };
        for issue in &found[..shown.min(found.len())] {
            let _ = writeln!(out, "            {}", issue.message);
        }
        if found.len() > shown {
            let _ = writeln!(
                out,
                "            and {} more (--all lists them)",
                found.len() - shown
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use boxcam::geometry::NormBox;
    use boxcam::scene::random_scene;

    use super::super::import_error::Location;
    use super::*;

    fn labeled_box(class: &str, [x_min, x_max, y_min, y_max]: [f32; 4], line: u64) -> LabeledBox {
        let file: Arc<Path> = Path::new("boxes.csv").into();
        LabeledBox {
            class: class.to_owned(),
            bounding_box: NormBox::new(x_min, x_max, y_min, y_max).expect("valid"),
            location: Location::line(&file, line),
        }
    }

    fn picture(name: &str, split: SplitName, boxes: Vec<LabeledBox>) -> LabeledPicture {
        LabeledPicture {
            path: name.into(),
            split: Some(split),
            folder: Some("cup".to_owned()),
            boxes,
            exhaustive: None,
        }
    }

    #[test]
    fn every_kind_of_issue_is_found() {
        let whole = [0.0, 1.0, 0.0, 1.0];
        let dataset = ImportedDataset {
            pictures: vec![
                picture(
                    "a",
                    SplitName::Train,
                    vec![labeled_box("cup", whole, 2), labeled_box("cup", whole, 3)],
                ),
                picture(
                    "b",
                    SplitName::Train,
                    vec![
                        labeled_box("cup", whole, 4),
                        labeled_box("cup", [0.0, 0.95, 0.0, 1.0], 5),
                    ],
                ),
                picture(
                    "c",
                    SplitName::Train,
                    vec![labeled_box("mug", [0.5, 0.52, 0.5, 0.9], 6)],
                ),
                picture("d", SplitName::Val, vec![]),
                picture("e", SplitName::Val, vec![labeled_box("cup", whole, 2)]),
            ],
            classes: vec!["cup".to_owned(), "mug".to_owned(), "jug".to_owned()],
            ..ImportedDataset::default()
        };
        // b and d are duplicates of a; d is in the other split.
        let seeds = [1, 1, 2, 1];
        let mut prints: Vec<_> = seeds
            .iter()
            .map(|seed| Ok(Fingerprint::of(&random_scene(*seed, 64, 48).image)))
            .collect();
        prints.push(Err(PictureError::Empty { path: "e".into() }));
        let inspection = Inspection::of(DatasetFormat::Chapter, &dataset, &prints, 2);
        let expected = [
            (IssueKind::Leak, 2),
            (IssueKind::DuplicatePicture, 1),
            (IssueKind::Unreadable, 1),
            (IssueKind::SkippedAnnotation, 0),
            (IssueKind::DuplicateBox, 1),
            (IssueKind::OverlappingBoxes, 1),
            (IssueKind::TinyBox, 1),
            (IssueKind::ClassMismatch, 1),
            (IssueKind::NoBoxes, 1),
        ];
        for (kind, count) in expected {
            assert_eq!(inspection.count(kind), count, "{kind:?}");
        }
        assert_eq!(
            inspection.splits["train"],
            Count {
                pictures: 3,
                boxes: 5
            }
        );
        assert_eq!(
            inspection.classes[1].splits["train"],
            Count {
                pictures: 0,
                boxes: 1
            }
        );
        assert!(
            inspection.classes[2].splits.is_empty(),
            "a class without pictures is listed too"
        );
        assert_eq!(
            inspection.boxes_per_picture[..3],
            [("0", 1), ("1", 2), ("2", 2)]
        );
        let text = text(&inspection, false);
        for expected in [
            "boxes.csv, line 3: cup as in boxes.csv, line 2",
            "mug in folder cup",
            "a and d: the same pixels",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        let json = serde_json::to_value(&inspection).expect("serializable");
        assert_eq!(
            json["findings"]["leak"][0]["what"],
            "a and d: the same pixels"
        );
    }

    #[test]
    fn quantiles_do_not_need_sorted_values() {
        let quantiles = Quantiles::of((0..=100).rev().map(|value| value as f32).collect());
        assert_eq!(
            quantiles,
            Some(Quantiles([0.0, 5.0, 25.0, 50.0, 75.0, 95.0, 100.0]))
        );
        assert_eq!(Quantiles::of(Vec::new()), None);
    }
}
