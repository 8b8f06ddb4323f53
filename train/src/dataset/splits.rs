//! Assigns every picture to a split; duplicates never lie in two splits.
//!
//! A split that the data set defines is kept; of duplicates in several splits, only those in test, else in val, are kept,
//! so that evaluation uses what the data set intended. Otherwise validation gets a fraction of each class: groups of
//! duplicates, in the order of a hash of seed and pixels, until the fraction is reached. The same seed therefore gives
//! the same splits on every machine, independent of file names, and an added picture moves few others.
//!
//! A development split ([`assign_development`]) is a second validation split, cut from train the same way: choices are made
//! on it, so that the figures of val stay those of pictures that nothing was chosen by. A development part
//! ([`SplitOptions::development`]) is a third split beside train and val, for the choices of one training.

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
    /// The fraction of each class of the training pictures that becomes the development part, in `0..1`, if that is enough
    /// pictures; 0: none. A development part of the data set itself is kept.
    pub development: f64,
}

/// Fewest pictures of a development part: a threshold or a temperature from fewer is worth less than the default.
pub const MIN_DEVELOPMENT: usize = 20;

/// The largest fraction of the training pictures that [`MIN_DEVELOPMENT`] may take.
const MAX_DEVELOPMENT: f64 = 0.25;

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
            Self::Leak => "are duplicates of images in val, test or development",
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
    /// Pictures that are excluded as [`ExclusionReason::Leak`], each with the first of its duplicates that is kept.
    pub leaks: Vec<Leak>,
}

/// Positions among the pictures of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leak {
    pub excluded: usize,
    pub duplicate_of: usize,
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
    let leaks = exclude_leaks(&groups, &mut assignments);
    let is_there = assignments.contains(&Assignment::To(SplitName::Development));
    if options.development > 0.0 && !is_there {
        assign_development_part(dataset, prints, &groups, options, &mut assignments);
    }
    SplitPlan {
        assignments,
        kept,
        leaks,
    }
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
            _ => Assignment::To(match picture.split {
                None | Some(SplitName::Development) => SplitName::Train,
                Some(split) => split,
            }),
        })
        .collect();
    let leaks = exclude_leaks(&groups, &mut assignments);
    for assignment in &mut assignments {
        if matches!(assignment, Assignment::To(split) if *split != SplitName::Train) {
            *assignment = Assignment::Excluded(ExclusionReason::HeldBack);
        }
    }
    assign_validation(dataset, prints, &groups, options, &mut assignments);
    SplitPlan {
        assignments,
        kept: false,
        leaks,
    }
}

/// Moves a fraction of each class from train to validation, at least one picture.
fn assign_validation(
    dataset: &ImportedDataset,
    prints: &[Result<Fingerprint, PictureError>],
    group_of: &[usize],
    options: SplitOptions,
    assignments: &mut [Assignment],
) {
    let target = |count: usize| ((count as f64 * options.validation).round() as usize).max(1);
    let taken = fraction_of_train(dataset, prints, group_of, options.seed, assignments, target);
    for index in taken {
        assignments[index] = Assignment::To(SplitName::Val);
    }
}

/// Moves a fraction of each class from train to the development part; none if that would be too few pictures to choose by,
/// or too many of a small data set.
fn assign_development_part(
    dataset: &ImportedDataset,
    prints: &[Result<Fingerprint, PictureError>],
    group_of: &[usize],
    options: SplitOptions,
    assignments: &mut [Assignment],
) {
    let is_train = |assignment: &&Assignment| **assignment == Assignment::To(SplitName::Train);
    let train = assignments.iter().filter(is_train).count();
    let share = options
        .development
        .max(MIN_DEVELOPMENT as f64 / train.max(1) as f64);
    let most = (options.development.max(MAX_DEVELOPMENT) * train as f64).ceil();
    // A rounding error must not take one more.
    let target = |count: usize| (count as f64 * share - 1e-9).ceil() as usize;
    let taken = fraction_of_train(dataset, prints, group_of, options.seed, assignments, target);
    // Rounding up may take more of many small classes.
    if taken.len() < MIN_DEVELOPMENT || taken.len() as f64 > most {
        return;
    }
    for index in taken {
        assignments[index] = Assignment::To(SplitName::Development);
    }
}

/// Pictures of train, `target` of the number in each class, in whole groups of duplicates. No class is taken whole.
fn fraction_of_train(
    dataset: &ImportedDataset,
    prints: &[Result<Fingerprint, PictureError>],
    group_of: &[usize],
    seed: u64,
    assignments: &[Assignment],
    target: impl Fn(usize) -> usize,
) -> Vec<usize> {
    let mut all = Vec::new();
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
        groups.sort_by_cached_key(|group| rank(seed, group, prints));
        let target = target(groups.iter().map(Vec::len).sum());
        let mut taken = 0;
        // The last group stays in train, so that no class occurs only in another split.
        let last = groups.len() - 1;
        for group in &groups[..last] {
            if taken < target && taken + group.len() <= target + target / 10 {
                taken += group.len();
                all.extend(group);
            }
        }
    }
    all
}

/// Sort key of a group in the order in which groups leave train.
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

/// Of each group in several splits, keeps only the pictures in test, else those in val, else those in development.
fn exclude_leaks(groups: &[usize], assignments: &mut [Assignment]) -> Vec<Leak> {
    // Per group: the split that is kept, and its first picture.
    let mut kept: BTreeMap<usize, (SplitName, usize)> = BTreeMap::new();
    for (index, (group, assignment)) in groups.iter().zip(&*assignments).enumerate() {
        if let Assignment::To(split) = assignment {
            let kept = kept.entry(*group).or_insert((*split, index));
            if *split > kept.0 {
                *kept = (*split, index);
            }
        }
    }
    let mut leaks = Vec::new();
    for (excluded, (group, assignment)) in groups.iter().zip(assignments).enumerate() {
        let Assignment::To(split) = *assignment else {
            continue;
        };
        if let Some(&(_, duplicate_of)) = kept.get(group).filter(|(kept, _)| *kept != split) {
            *assignment = Assignment::Excluded(ExclusionReason::Leak);
            leaks.push(Leak {
                excluded,
                duplicate_of,
            });
        }
    }
    leaks
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
        development: 0.0,
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
                .map(|_| Some(SplitName::ALL[random.usize(0..4)]).filter(|_| random.u8(0..8) > 0))
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
                development: random.f64() * 0.5,
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

    /// The sizes of the development parts of these classes.
    fn development_part(classes: &[(&str, usize)], development: f64) -> Vec<usize> {
        let names: Vec<&str> = classes
            .iter()
            .flat_map(|(class, count)| vec![*class; *count])
            .collect();
        // Every tenth picture is a copy of the one before.
        let noise = |index: usize| {
            let seed = index - usize::from(index % 10 == 9);
            let random = &mut fastrand::Rng::with_seed(seed as u64);
            RgbImage::from_fn(17, 16, |_, _| Rgb([random.u8(..); 3]))
        };
        let prints: Vec<_> = (0..names.len())
            .map(|index| Ok(Fingerprint::of(&noise(index))))
            .collect();
        let data = dataset(names.len(), |index| names[index].to_owned(), |_| None);
        let options = SplitOptions {
            development,
            ..OPTIONS
        };
        let plan = assign_splits(&data, &prints, options, 2);
        for pair in (9..names.len()).step_by(10) {
            let [first, copy] = [pair - 1, pair].map(|index| plan.assignments[index]);
            assert!(names[pair - 1] != names[pair] || first == copy, "{pair}");
        }
        let without = assign_splits(&data, &prints, OPTIONS, 1).assignments;
        let to = |split| Assignment::To(split);
        for (with, without) in plan.assignments.iter().zip(&without) {
            let is_taken = *with == to(SplitName::Development);
            assert!(with == without || is_taken && *without == to(SplitName::Train));
        }
        let count = |class: &str| {
            let assigned = names.iter().zip(&plan.assignments);
            assigned
                .filter(|(name, split)| **name == class && **split == to(SplitName::Development))
                .count()
        };
        classes.iter().map(|(class, _)| count(class)).collect()
    }

    #[test]
    fn the_development_part_is_a_fraction_of_train_if_that_is_enough() {
        // A fifth of each goes to validation first.
        assert_eq!(
            development_part(&[("many", 300), ("few", 100)], 0.1),
            [24, 8]
        );
        assert_eq!(
            development_part(&[("many", 300), ("few", 100)], 0.0),
            [0, 0]
        );
        // A tenth would be eight pictures.
        assert_eq!(
            development_part(&[("one", 60), ("other", 40)], 0.1),
            [12, 8]
        );
        // Twenty would be more than a quarter of 64.
        assert_eq!(development_part(&[("one", 40), ("other", 40)], 0.1), [0, 0]);
        assert_eq!(
            development_part(&[("one", 40), ("other", 40)], 0.4),
            [13, 13]
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
        let leak = Leak {
            excluded: 0,
            duplicate_of: 3,
        };
        assert_eq!(plan.leaks, [leak]);
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
