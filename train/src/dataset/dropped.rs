//! How many boxes of a data set are left out, and whether that is too many to go on.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use boxcam::dataset::{Dataset, DatasetIssue};
use boxcam::picture::PictureError;
use thiserror::Error;

use super::duplicates::Fingerprint;
use super::imported::ImportedDataset;

/// The largest part of the boxes that may be left out, in percent.
pub const MAX_PERCENT: usize = 10;

/// Counts of boxes. Those that a rule of the format skips, such as crowds, are not counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DroppedBoxes {
    /// Boxes that are left out.
    pub dropped: usize,
    /// All boxes, with those that are left out.
    pub total: usize,
    reasons: BTreeMap<&'static str, usize>,
}

/// More than [`MAX_PERCENT`] of the boxes are left out.
#[derive(Debug, Error)]
#[error(
    "data set {}: {dropped}, which is more than {MAX_PERCENT}%; correct the annotations (boxcam-train data inspect {} \
     --all lists them), or go on without these boxes with --allow-dropped", path.display(), path.display()
)]
pub struct TooManyDropped {
    path: PathBuf,
    dropped: DroppedBoxes,
}

impl DroppedBoxes {
    /// `prints`: one per picture, from [`super::duplicates::fingerprints`]. Boxes of unreadable pictures are left out.
    #[must_use]
    pub fn of(dataset: &ImportedDataset, prints: &[Result<Fingerprint, PictureError>]) -> Self {
        let mut counts = Self::default();
        for issue in &dataset.issues {
            counts.add(issue.reason(), issue.boxes());
        }
        for (picture, print) in dataset.pictures.iter().zip(prints) {
            match print {
                Ok(_) => counts.total += picture.boxes.len(),
                Err(_) => counts.add("their picture can't be read", picture.boxes.len()),
            }
        }
        counts
    }

    /// Without a look at the pictures: as if all were readable.
    #[must_use]
    pub fn of_annotations(dataset: &ImportedDataset) -> Self {
        let mut counts = Self::default();
        for issue in &dataset.issues {
            counts.add(issue.reason(), issue.boxes());
        }
        let boxes = dataset.pictures.iter().map(|picture| picture.boxes.len());
        counts.total += boxes.sum::<usize>();
        counts
    }

    /// Of the splits of a prepared data set.
    #[must_use]
    pub fn of_splits(splits: &[&Dataset]) -> Self {
        let mut counts = Self::default();
        for split in splits {
            for reason in split.skipped_rows().filter_map(DatasetIssue::reason) {
                counts.add(reason, 1);
            }
            let boxes = split
                .pictures
                .iter()
                .map(|picture| picture.annotations.len());
            counts.total += boxes.sum::<usize>();
        }
        counts
    }

    fn add(&mut self, reason: &'static str, boxes: usize) {
        self.total += boxes;
        self.dropped += boxes;
        if boxes > 0 {
            *self.reasons.entry(reason).or_default() += boxes;
        }
    }

    /// Whether at most [`MAX_PERCENT`] of the boxes are left out. `path` is the data set, for the message.
    ///
    /// # Errors
    /// [`TooManyDropped`] with the counts.
    pub fn check(&self, path: &Path) -> Result<(), TooManyDropped> {
        match self.dropped * 100 > self.total * MAX_PERCENT {
            true => Err(TooManyDropped {
                path: path.to_owned(),
                dropped: self.clone(),
            }),
            false => Ok(()),
        }
    }
}

impl Display for DroppedBoxes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} boxes left out", self.dropped, self.total)?;
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (index, (reason, count)) in reasons.into_iter().enumerate() {
            let before = if index == 0 { ": " } else { ", " };
            write!(f, "{before}{count} because {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_not_too_many() {
        for (dropped, total, is_few) in [(0, 0, true), (1, 10, true), (2, 19, false), (1, 1, false)]
        {
            let counts = DroppedBoxes {
                dropped,
                total,
                ..DroppedBoxes::default()
            };
            assert_eq!(counts.check(Path::new("d")).is_ok(), is_few, "{counts}");
        }
    }

    #[test]
    fn the_most_frequent_reason_is_first() {
        let mut counts = DroppedBoxes::default();
        counts.add("of this", 1);
        counts.add("of that", 2);
        counts.add("of nothing", 0);
        assert_eq!(
            counts.to_string(),
            "3 of 3 boxes left out: 2 because of that, 1 because of this"
        );
    }
}
