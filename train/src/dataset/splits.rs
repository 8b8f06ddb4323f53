//! Assigns every picture to a split; duplicates never lie in two splits.
//!
//! A split that the data set defines is kept; of duplicates in several splits, only those in test, else in val, are kept,
//! so that evaluation uses what the data set intended. Otherwise validation gets a fraction of each class: groups of
//! duplicates, in the order of a hash of seed and pixels, until the fraction is reached. The same seed therefore gives
//! the same splits on every machine, independent of file names, and an added picture moves few others.
//!
//! A development split ([`assign_development`]) is a second validation split, cut from train the same way: choices are made
//! on it, so that the figures of val stay those of pictures that nothing was chosen by.

use std::collections::BTreeMap;

use boxcam::picture::PictureError;
use sha2::{Digest, Sha256};

use super::duplicates::{Fingerprint, duplicate_groups, duplicate_pairs};
use super::imported::{ImportedDataset, SplitName};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SplitOptions {
    /// The fraction of each class that goes to validation, in `0..1`; at least one picture, but never all.
    pub validation: f64,
    /// The same seed gives the same splits.
    pub seed: u64,
    /// Ignore the splits of the data set.
    pub resplit: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    To(SplitName),
    Excluded(ExclusionReason),
}

/// Why a picture is in no split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExclusionReason {
    Unreadable,
    /// Neither a box nor a folder names its class.
    NoClass,
    /// The data set has splits, and the picture is in none of them.
    NoSplit,
    /// It is a duplicate of a picture in a split used for evaluation.
    Leak,
    /// It is in val or test, and the plan is a development split.
    HeldBack,
}

impl ExclusionReason {
    /// Continues a message such as "left out: 3 images that ...".
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Unreadable => "cannot be read",
            Self::NoClass => "have neither a box nor a folder that names their class",
            Self::NoSplit => "are in no split, while others are (--resplit includes them)",
            Self::Leak => "are duplicates of images in val or test",
            Self::HeldBack => "are in val or test",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitPlan {
    /// One per picture.
    pub assignments: Vec<Assignment>,
    /// Whether the splits of the data set were kept.
    pub kept: bool,
}

/// Assigns the pictures of a data set to splits. `prints`: one per picture, from [`super::duplicates::fingerprints`].
#[must_use]
pub fn assign_splits(
    dataset: &ImportedDataset,
    prints: &[Result<Fingerprint, PictureError>],
    options: SplitOptions,
    threads: usize,
) -> SplitPlan {
    let groups = duplicate_groups(prints.len(), &duplicate_pairs(prints, threads));
    let has = |split| {
        dataset
            .pictures
            .iter()
            .any(|picture| picture.split == Some(split))
    };
    let kept = !options.resplit && has(SplitName::Train) && has(SplitName::Val);
    let mut assignments: Vec<Assignment> = dataset
        .pictures
        .iter()
        .zip(prints)
        .map(
            |(picture, print)| match (print, picture.class(), picture.split) {
                (Err(_), ..) => Assignment::Excluded(ExclusionReason::Unreadable),
                (_, None, _) => Assignment::Excluded(ExclusionReason::NoClass),
                (_, _, Some(split)) if kept => Assignment::To(split),
                (_, _, None) if kept => Assignment::Excluded(ExclusionReason::NoSplit),
                // The test split stays as it is unless --resplit is given.
                (_, _, Some(SplitName::Test)) if !options.resplit => {
                    Assignment::To(SplitName::Test)
                }
                _ => Assignment::To(SplitName::Train),
            },
        )
        .collect();
    if !kept {
        assign_validation(dataset, prints, &groups, options, &mut assignments);
    }
    exclude_leaks(&groups, &mut assignments);
    SplitPlan { assignments, kept }
}

/// A development split: val gets a fraction of each class of the data set's own training pictures, in whole groups of
/// duplicates. Pictures of the data set's own val and test are left out, and so are training pictures that are their
/// duplicates. A data set without splits is all training pictures.
#[must_use]
pub fn assign_development(
    dataset: &ImportedDataset,
    prints: &[Result<Fingerprint, PictureError>],
    options: SplitOptions,
    threads: usize,
) -> SplitPlan {
    let groups = duplicate_groups(prints.len(), &duplicate_pairs(prints, threads));
    let pictures = dataset.pictures.iter().zip(prints);
    let mut assignments: Vec<Assignment> = pictures
        .map(|(picture, print)| match (print, picture.class()) {
            (Err(_), _) => Assignment::Excluded(ExclusionReason::Unreadable),
            (_, None) => Assignment::Excluded(ExclusionReason::NoClass),
            _ => Assignment::To(picture.split.unwrap_or(SplitName::Train)),
        })
        .collect();
    exclude_leaks(&groups, &mut assignments);
    for assignment in &mut assignments {
        if matches!(assignment, Assignment::To(split) if *split != SplitName::Train) {
            *assignment = Assignment::Excluded(ExclusionReason::HeldBack);
        }
    }
    assign_validation(dataset, prints, &groups, options, &mut assignments);
    SplitPlan {
        assignments,
        kept: false,
    }
}

/// Moves a fraction of each class from train to validation, in whole groups of duplicates.
fn assign_validation(
    dataset: &ImportedDataset,
    prints: &[Result<Fingerprint, PictureError>],
    group_of: &[usize],
    options: SplitOptions,
    assignments: &mut [Assignment],
) {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, group) in group_of.iter().enumerate() {
        if assignments[index] == Assignment::To(SplitName::Train) {
            members.entry(*group).or_default().push(index);
        }
    }
    let mut classes: BTreeMap<&str, Vec<Vec<usize>>> = BTreeMap::new();
    for group in members.into_values() {
        let class = dataset.pictures[group[0]].class().unwrap_or_default();
        classes.entry(class).or_default().push(group);
    }
    for mut groups in classes.into_values() {
        groups.sort_by_cached_key(|group| rank(options.seed, group, prints));
        let count: usize = groups.iter().map(Vec::len).sum();
        let target = ((count as f64 * options.validation).round() as usize).max(1);
        let mut taken = 0;
        // The last group stays in train, so that no class occurs only in validation.
        let last = groups.len() - 1;
        for group in &groups[..last] {
            if taken < target && taken + group.len() <= target + target / 10 {
                taken += group.len();
                for index in group {
                    assignments[*index] = Assignment::To(SplitName::Val);
                }
            }
        }
    }
}

/// Sort key of a group in the order in which groups go to validation.
fn rank(seed: u64, group: &[usize], prints: &[Result<Fingerprint, PictureError>]) -> [u8; 32] {
    let contents = group
        .iter()
        .filter_map(|index| prints[*index].as_ref().ok());
    let least = contents.map(Fingerprint::content).min();
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(least.copied().unwrap_or_default());
    hash.finalize().into()
}

/// Of each group in several splits, keeps only the pictures in test, else those in val.
fn exclude_leaks(groups: &[usize], assignments: &mut [Assignment]) {
    let mut strictest: BTreeMap<usize, SplitName> = BTreeMap::new();
    for (group, assignment) in groups.iter().zip(&*assignments) {
        if let Assignment::To(split) = assignment {
            let kept = strictest.entry(*group).or_insert(*split);
            *kept = (*kept).max(*split);
        }
    }
    for (group, assignment) in groups.iter().zip(assignments) {
        if matches!(assignment, Assignment::To(split) if strictest.get(group) != Some(split)) {
            *assignment = Assignment::Excluded(ExclusionReason::Leak);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use boxcam::scene::random_scene;
    use image::imageops::{FilterType, resize};
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::dataset::LabeledPicture;

    const OPTIONS: SplitOptions = SplitOptions {
        validation: 0.2,
        seed: 1,
        resplit: false,
    };

    /// Pictures with copies among them, each with the number of its scene.
    fn pictures_with_copies(random: &mut fastrand::Rng) -> Vec<(usize, RgbImage)> {
        let mut pictures = Vec::new();
        for scene in 0..random.usize(4..12) {
            let image = random_scene(random.u64(..), 96, 72).image;
            for _ in 0..random.usize(1..4) {
                let copy = match random.u8(0..3) {
                    0 => image.clone(),
                    1 => resize(&image, 64, 48, FilterType::Triangle),
                    _ => RgbImage::from_fn(96, 72, |x, y| {
                        Rgb(image.get_pixel(x, y).0.map(|value| value.saturating_sub(2)))
                    }),
                };
                pictures.push((scene, copy));
            }
        }
        random.shuffle(&mut pictures);
        pictures
    }

    fn dataset(
        count: usize,
        class: impl Fn(usize) -> String,
        split: impl Fn(usize) -> Option<SplitName>,
    ) -> ImportedDataset {
        let picture = |index| LabeledPicture {
            path: PathBuf::from(format!("{index}.png")),
            split: split(index),
            folder: Some(class(index)),
            boxes: Vec::new(),
            exhaustive: None,
        };
        ImportedDataset {
            pictures: (0..count).map(picture).collect(),
            ..ImportedDataset::default()
        }
    }

    #[test]
    fn no_duplicate_crosses_the_splits() {
        let random = &mut fastrand::Rng::with_seed(5);
        for round in 0..40 {
            let pictures = pictures_with_copies(random);
            let prints: Vec<_> = pictures
                .iter()
                .map(|(_, image)| Ok(Fingerprint::of(image)))
                .collect();
            let given: Vec<Option<SplitName>> = pictures
                .iter()
                .map(|_| Some(SplitName::ALL[random.usize(0..3)]).filter(|_| random.u8(0..8) > 0))
                .collect();
            // Copies may have different classes by mistake.
            let classes: Vec<String> = pictures
                .iter()
                .map(|_| random.u8(0..3).to_string())
                .collect();
            let data = dataset(
                pictures.len(),
                |index| classes[index].clone(),
                |index| given[index],
            );
            let options = SplitOptions {
                validation: random.f64() * 0.8,
                seed: random.u64(..),
                resplit: random.bool(),
            };
            let plan = assign_splits(&data, &prints, options, 2);
            let mut splits: BTreeMap<usize, BTreeSet<SplitName>> = BTreeMap::new();
            for ((scene, _), assignment) in pictures.iter().zip(&plan.assignments) {
                if let Assignment::To(split) = assignment {
                    splits.entry(*scene).or_default().insert(*split);
                }
            }
            assert!(
                splits.values().all(|splits| splits.len() == 1),
                "round {round}: {splits:?}"
            );
            assert_eq!(
                plan,
                assign_splits(&data, &prints, options, 1),
                "the number of threads must not matter"
            );
        }
    }

    #[test]
    fn validation_gets_a_fraction_of_every_class_and_never_all() {
        let sizes = [("many", 50), ("few", 5), ("two", 2), ("one", 1)];
        let classes: Vec<&str> = sizes
            .iter()
            .flat_map(|(class, count)| vec![*class; *count])
            .collect();
        let prints: Vec<_> = (0..classes.len() as u64)
            .map(|seed| Ok(Fingerprint::of(&random_scene(seed, 64, 48).image)))
            .collect();
        let data = dataset(classes.len(), |index| classes[index].to_owned(), |_| None);
        let plan = assign_splits(&data, &prints, OPTIONS, 2);
        let validation = |class: &str| {
            let assigned = classes.iter().zip(&plan.assignments);
            assigned
                .filter(|(other, assignment)| {
                    **other == class && **assignment == Assignment::To(SplitName::Val)
                })
                .count()
        };
        assert_eq!(sizes.map(|(class, _)| validation(class)), [10, 1, 1, 0]);
        let other = assign_splits(&data, &prints, SplitOptions { seed: 2, ..OPTIONS }, 2);
        assert_ne!(plan, other, "another seed gives other splits");
    }

    #[test]
    fn a_development_split_is_cut_from_train_alone_and_shares_nothing_with_val() {
        // Picture 0 is a copy of 12, which is in val; 1 and 2 are copies of each other.
        let scenes: Vec<u64> = [9, 1, 1].into_iter().chain(20..29).chain([9, 30]).collect();
        let prints: Vec<_> = scenes
            .iter()
            .map(|seed| Ok(Fingerprint::of(&random_scene(*seed, 64, 48).image)))
            .collect();
        let split = |index| match index {
            12 => Some(SplitName::Val),
            13 => Some(SplitName::Test),
            _ => Some(SplitName::Train),
        };
        let data = dataset(scenes.len(), |_| "cup".to_owned(), split);
        let plan = assign_development(&data, &prints, OPTIONS, 2);
        let excluded = |reason| Assignment::Excluded(reason);
        assert_eq!(plan.assignments[0], excluded(ExclusionReason::Leak));
        assert_eq!(plan.assignments[12], excluded(ExclusionReason::HeldBack));
        assert_eq!(plan.assignments[13], excluded(ExclusionReason::HeldBack));
        assert_eq!(plan.assignments[1], plan.assignments[2]);
        let count = |split| {
            let assigned = plan.assignments.iter();
            assigned.filter(|a| **a == Assignment::To(split)).count()
        };
        // A fifth of the eleven pictures that are left.
        assert_eq!((count(SplitName::Val), count(SplitName::Train)), (2, 9));
        let reversed: Vec<usize> = (0..scenes.len()).rev().collect();
        let prints: Vec<_> = reversed
            .iter()
            .map(|index| Ok(Fingerprint::of(&random_scene(scenes[*index], 64, 48).image)))
            .collect();
        let data = dataset(
            scenes.len(),
            |_| "cup".to_owned(),
            |index| split(reversed[index]),
        );
        let mut again = assign_development(&data, &prints, OPTIONS, 1).assignments;
        again.reverse();
        assert_eq!(
            again, plan.assignments,
            "the order of files must not matter"
        );
    }

    #[test]
    fn given_splits_are_kept_and_leaks_are_excluded_from_train() {
        let images = [1, 2, 3, 1].map(|seed| random_scene(seed, 64, 48).image);
        let prints: Vec<_> = images
            .iter()
            .map(|image| Ok(Fingerprint::of(image)))
            .collect();
        let given = [
            Some(SplitName::Train),
            Some(SplitName::Train),
            None,
            Some(SplitName::Val),
        ];
        let data = dataset(4, |_| "cup".to_owned(), |index| given[index]);
        let plan = assign_splits(&data, &prints, OPTIONS, 1);
        assert!(plan.kept);
        let expected = [
            Assignment::Excluded(ExclusionReason::Leak),
            Assignment::To(SplitName::Train),
            Assignment::Excluded(ExclusionReason::NoSplit),
            Assignment::To(SplitName::Val),
        ];
        assert_eq!(plan.assignments, expected);
        let again = assign_splits(
            &data,
            &prints,
            SplitOptions {
                resplit: true,
                ..OPTIONS
            },
            1,
        );
        assert!(
            !again.kept
                && again
                    .assignments
                    .iter()
                    .all(|assignment| matches!(assignment, Assignment::To(_)))
        );
        assert_eq!(
            again.assignments[0], again.assignments[3],
            "duplicates stay together"
        );
    }
}
