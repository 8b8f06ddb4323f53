//! A data set after import: pictures, boxes, classes and splits, independent of the format that it was read from.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use boxcam::geometry::NormBox;
use serde::{Deserialize, Serialize};

use super::import_error::{AnnotationError, ImportIssue, Location};

/// Pictures with their ground-truth boxes.
#[derive(Debug, Default)]
pub struct ImportedDataset {
    /// Sorted by path.
    pub pictures: Vec<LabeledPicture>,
    /// Class names: by class number if the format numbers them, else sorted.
    pub classes: Vec<String>,
    /// Invalid annotations, which were skipped.
    pub issues: Vec<ImportIssue>,
    /// Messages about valid data that was skipped by a rule of the format.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LabeledPicture {
    pub path: PathBuf,
    /// The split that the data set itself assigns.
    pub split: Option<SplitName>,
    /// The folder that names its class, in the formats that have one.
    pub folder: Option<String>,
    /// Ground-truth boxes; may be empty.
    pub boxes: Vec<LabeledBox>,
    /// Whether every object has a box, if the data set says so.
    pub exhaustive: Option<bool>,
}

/// One ground-truth box.
#[derive(Debug, Clone, PartialEq)]
pub struct LabeledBox {
    pub class: String,
    /// Relative to the upright picture.
    pub bounding_box: NormBox,
    /// The annotation that it was read from.
    pub location: Location,
}

impl LabeledPicture {
    /// A picture without boxes and without a class folder.
    pub(super) fn new(path: PathBuf, split: Option<SplitName>) -> Self {
        Self {
            path,
            split,
            folder: None,
            boxes: Vec::new(),
            exhaustive: None,
        }
    }

    /// The class of the picture as a whole: that of its folder, else that of its largest box (the first of equals).
    #[must_use]
    pub fn class(&self) -> Option<&str> {
        self.folder
            .as_deref()
            .or_else(|| self.largest_box().map(|labeled| labeled.class.as_str()))
    }

    /// The box with the largest area; the first of equals.
    #[must_use]
    pub fn largest_box(&self) -> Option<&LabeledBox> {
        let area = |labeled: &LabeledBox| labeled.bounding_box.area();
        self.boxes
            .iter()
            .reduce(|best, next| if area(next) > area(best) { next } else { best })
    }
}

impl ImportedDataset {
    /// Appends, sorted, the classes of boxes and folders that the data set's own list of classes lacks.
    pub(super) fn add_missing_classes(&mut self) {
        let known: BTreeSet<&str> = self.classes.iter().map(String::as_str).collect();
        let boxes = self.pictures.iter().flat_map(|picture| &picture.boxes);
        let of_boxes = boxes.map(|labeled| labeled.class.as_str());
        let of_folders = self
            .pictures
            .iter()
            .filter_map(|picture| picture.folder.as_deref());
        let missing: BTreeSet<String> = of_boxes
            .chain(of_folders)
            .filter(|class| !known.contains(class))
            .map(str::to_owned)
            .collect();
        self.classes.extend(missing);
    }

    /// Records a box that is skipped.
    pub(super) fn add_issue(&mut self, location: Location, error: AnnotationError) {
        self.add_issue_of(location, error, 1);
    }

    /// Records what is skipped, and how many boxes are lost with it.
    pub(super) fn add_issue_of(
        &mut self,
        location: Location,
        error: AnnotationError,
        boxes: usize,
    ) {
        self.issues.push(ImportIssue::Annotation {
            location,
            error,
            boxes,
        });
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitName {
    Train,
    /// The part of the training pictures that a model is not trained on: confidence is calibrated on it. Only a prepared
    /// data set has it.
    Development,
    Val,
    Test,
}

impl SplitName {
    pub const ALL: [Self; 4] = [Self::Train, Self::Development, Self::Val, Self::Test];

    /// The name in folders and files of a prepared data set.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Development => "development",
            Self::Val => "val",
            Self::Test => "test",
        }
    }

    /// The split that a file name contains, as in `train2017`, `valid` or `oidv6-validation-annotations-bbox.csv`.
    #[must_use]
    pub fn in_name(name: &str) -> Option<Self> {
        let lower = name.to_lowercase();
        let mut words = lower.split(|letter: char| !letter.is_ascii_alphabetic());
        words.find_map(|word| match word {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" => Some(Self::Val),
            "test" | "testing" => Some(Self::Test),
            _ => None,
        })
    }

    /// The split that a folder of a path is named after; of several, the first below `root`. The folder's name must be
    /// the split and an optional number, since a class may be called "test tube".
    #[must_use]
    pub fn in_folders(root: &Path, path: &Path) -> Option<Self> {
        let below = path.strip_prefix(root).unwrap_or(path);
        let mut folders = below.parent()?.iter().filter_map(|folder| folder.to_str());
        folders.find_map(|folder| {
            let bare = folder.trim_end_matches(|letter: char| letter.is_ascii_digit());
            let is_word = bare.chars().all(|letter| letter.is_ascii_alphabetic());
            is_word.then(|| Self::in_name(bare)).flatten()
        })
    }
}

impl Display for SplitName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_recognized_in_names_and_folders() {
        let cases = [
            ("instances_train2017.json", Some(SplitName::Train)),
            (
                "oidv6-validation-annotations-bbox.csv",
                Some(SplitName::Val),
            ),
            ("valid", Some(SplitName::Val)),
            ("TEST", Some(SplitName::Test)),
            ("trainer", None),
            ("labels", None),
        ];
        for (name, split) in cases {
            assert_eq!(SplitName::in_name(name), split, "{name}");
        }
        let of = |path: &str| SplitName::in_folders(Path::new("/d/train"), Path::new(path));
        assert_eq!(of("/d/train/images/val2017/a.jpg"), Some(SplitName::Val));
        assert_eq!(of("/d/train/test tube/a.jpg"), None);
        assert_eq!(
            of("/d/train/a/test.jpg"),
            None,
            "the name of the file is not a folder"
        );
    }
}
