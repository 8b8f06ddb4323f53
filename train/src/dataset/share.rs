//! Who learns from which picture: every picture to one split, duplicates together.
//!
//! In goes a data set with its fingerprints, out comes a [`Plan`]. A split that the data set gives is kept; where its
//! duplicates lie on both sides, those on the learning side are left out, so that what judges stays as it was given.
//! Else each class gives its share to validation: the groups of duplicates of a class in the order of a
//! hash of seed and pixels, until the share is reached. So the same seed gives the same splits on every machine,
//! whatever the files are called, and a picture that is added moves few others.

use std::collections::BTreeMap;

use boxcam::picture::PictureError;
use sha2::{Digest, Sha256};

use super::fingerprint::{Fingerprint, groups, pairs};
use super::{Dataset, Part};

/// How to share out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The share of each class that goes to validation, in `0..1`; at least one picture, but never all.
    pub validation: f64,
    /// The same seed gives the same splits.
    pub seed: u64,
    /// Whether to share out anew what the data set has split already.
    pub resplit: bool,
}

/// Where a picture goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Into a split.
    To(Part),
    /// Nowhere, and why.
    LeftOut(Reason),
}

/// Why a picture goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It can't be read.
    Unreadable,
    /// It has no box and no folder that would name its class.
    NoClass,
    /// The data set has splits, and it is in none.
    NoSplit,
    /// It is a duplicate of a picture that judges what is learnt from it.
    Leak,
}

impl Reason {
    /// In words, after a number of pictures.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Unreadable => "can't be read",
            Self::NoClass => "have no box and no folder that names their class",
            Self::NoSplit => "are in no split, while others are (--resplit takes them in)",
            Self::Leak => "are duplicates of pictures in a split that judges them",
        }
    }
}

/// Where the pictures go, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One for each picture.
    pub fates: Vec<Fate>,
    /// Whether the data set's own split was kept.
    pub kept: bool,
}

/// Shares out the pictures of a data set. `prints` are [`super::fingerprint::all`]'s, one for each picture.
#[must_use]
pub fn share_out(
    dataset: &Dataset,
    prints: &[Result<Fingerprint, PictureError>],
    choice: Choice,
    threads: usize,
) -> Plan {
    let readable: Vec<Option<Fingerprint>> = prints
        .iter()
        .map(|print| print.as_ref().ok().cloned())
        .collect();
    let leaders = groups(readable.len(), &pairs(&readable, threads));
    let has = |part| {
        dataset
            .pictures
            .iter()
            .any(|picture| picture.part == Some(part))
    };
    let kept = !choice.resplit && has(Part::Train) && has(Part::Val);
    let mut fates: Vec<Fate> = dataset
        .pictures
        .iter()
        .zip(&readable)
        .map(
            |(picture, print)| match (print, picture.class(), picture.part) {
                (None, ..) => Fate::LeftOut(Reason::Unreadable),
                (_, None, _) => Fate::LeftOut(Reason::NoClass),
                (_, _, Some(part)) if kept => Fate::To(part),
                (_, _, None) if kept => Fate::LeftOut(Reason::NoSplit),
                // A test split is to be judged by, not to be mixed in, unless that is asked for.
                (_, _, Some(Part::Test)) if !choice.resplit => Fate::To(Part::Test),
                _ => Fate::To(Part::Train),
            },
        )
        .collect();
    if !kept {
        to_validation(dataset, &readable, &leaders, choice, &mut fates);
    }
    leave_out_leaks(&leaders, &mut fates);
    Plan { fates, kept }
}

/// Moves a share of each class from the learning side to validation, by whole groups of duplicates.
fn to_validation(
    dataset: &Dataset,
    prints: &[Option<Fingerprint>],
    leaders: &[usize],
    choice: Choice,
    fates: &mut [Fate],
) {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, leader) in leaders.iter().enumerate() {
        if fates[index] == Fate::To(Part::Train) {
            members.entry(*leader).or_default().push(index);
        }
    }
    let mut classes: BTreeMap<&str, Vec<Vec<usize>>> = BTreeMap::new();
    for group in members.into_values() {
        let class = dataset.pictures[group[0]].class().unwrap_or_default();
        classes.entry(class).or_default().push(group);
    }
    for mut groups in classes.into_values() {
        groups.sort_by_cached_key(|group| rank(choice.seed, group, prints));
        let count: usize = groups.iter().map(Vec::len).sum();
        let wanted = ((count as f64 * choice.validation).round() as usize).max(1);
        let mut taken = 0;
        // The last group stays, so that no class is judged which was never learnt.
        let last = groups.len() - 1;
        for group in &groups[..last] {
            if taken < wanted && taken + group.len() <= wanted.max(1) + wanted / 10 {
                taken += group.len();
                for index in group {
                    fates[*index] = Fate::To(Part::Val);
                }
            }
        }
    }
}

/// The place of a group in the order in which groups go to validation.
fn rank(seed: u64, group: &[usize], prints: &[Option<Fingerprint>]) -> [u8; 32] {
    let contents = group.iter().filter_map(|index| prints[*index].as_ref());
    let least = contents.map(Fingerprint::content).min();
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(least.copied().unwrap_or_default());
    hash.finalize().into()
}

/// Of each group that lies in several splits, only those in the one that judges last stay.
fn leave_out_leaks(leaders: &[usize], fates: &mut [Fate]) {
    let mut judge: BTreeMap<usize, Part> = BTreeMap::new();
    for (leader, fate) in leaders.iter().zip(&*fates) {
        if let Fate::To(part) = fate {
            let strictest = judge.entry(*leader).or_insert(*part);
            *strictest = (*strictest).max(*part);
        }
    }
    for (leader, fate) in leaders.iter().zip(fates) {
        if matches!(fate, Fate::To(part) if judge.get(leader) != Some(part)) {
            *fate = Fate::LeftOut(Reason::Leak);
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

    use super::super::Picture;
    use super::*;

    const CHOICE: Choice = Choice {
        validation: 0.2,
        seed: 1,
        resplit: false,
    };

    /// Pictures of which some are copies, each with the number of the scene that it shows.
    fn with_copies(random: &mut fastrand::Rng) -> Vec<(usize, RgbImage)> {
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
        part: impl Fn(usize) -> Option<Part>,
    ) -> Dataset {
        let picture = |index| Picture {
            path: PathBuf::from(format!("{index}.png")),
            part: part(index),
            folder: Some(class(index)),
            rows: Vec::new(),
        };
        Dataset {
            pictures: (0..count).map(picture).collect(),
            ..Dataset::default()
        }
    }

    #[test]
    fn no_duplicate_crosses_the_splits() {
        let random = &mut fastrand::Rng::with_seed(5);
        for round in 0..40 {
            let pictures = with_copies(random);
            let prints: Vec<_> = pictures
                .iter()
                .map(|(_, image)| Ok(Fingerprint::of(image)))
                .collect();
            let given: Vec<Option<Part>> = pictures
                .iter()
                .map(|_| Some(Part::ALL[random.usize(0..3)]).filter(|_| random.u8(0..8) > 0))
                .collect();
            // The class may differ between copies too: people make mistakes.
            let classes: Vec<String> = pictures
                .iter()
                .map(|_| random.u8(0..3).to_string())
                .collect();
            let data = dataset(
                pictures.len(),
                |index| classes[index].clone(),
                |index| given[index],
            );
            let choice = Choice {
                validation: random.f64() * 0.8,
                seed: random.u64(..),
                resplit: random.bool(),
            };
            let plan = share_out(&data, &prints, choice, 2);
            let mut parts: BTreeMap<usize, BTreeSet<Part>> = BTreeMap::new();
            for ((scene, _), fate) in pictures.iter().zip(&plan.fates) {
                if let Fate::To(part) = fate {
                    parts.entry(*scene).or_default().insert(*part);
                }
            }
            assert!(
                parts.values().all(|parts| parts.len() == 1),
                "round {round}: {parts:?}"
            );
            assert_eq!(
                plan,
                share_out(&data, &prints, choice, 1),
                "threads change nothing"
            );
        }
    }

    #[test]
    fn every_class_gives_its_share_and_never_all() {
        let sizes = [("many", 50), ("few", 5), ("two", 2), ("one", 1)];
        let classes: Vec<&str> = sizes
            .iter()
            .flat_map(|(class, count)| vec![*class; *count])
            .collect();
        let prints: Vec<_> = (0..classes.len() as u64)
            .map(|seed| Ok(Fingerprint::of(&random_scene(seed, 64, 48).image)))
            .collect();
        let data = dataset(classes.len(), |index| classes[index].to_owned(), |_| None);
        let plan = share_out(&data, &prints, CHOICE, 2);
        let validation = |class: &str| {
            let both = classes.iter().zip(&plan.fates);
            both.filter(|(there, fate)| **there == class && **fate == Fate::To(Part::Val))
                .count()
        };
        assert_eq!(sizes.map(|(class, _)| validation(class)), [10, 1, 1, 0]);
        let other = share_out(&data, &prints, Choice { seed: 2, ..CHOICE }, 2);
        assert_ne!(plan, other, "another seed, other splits");
    }

    #[test]
    fn a_given_split_is_kept_and_its_leaks_are_left_out_where_they_are_learnt() {
        let images = [1, 2, 3, 1].map(|seed| random_scene(seed, 64, 48).image);
        let prints: Vec<_> = images
            .iter()
            .map(|image| Ok(Fingerprint::of(image)))
            .collect();
        let given = [Some(Part::Train), Some(Part::Train), None, Some(Part::Val)];
        let data = dataset(4, |_| "cup".to_owned(), |index| given[index]);
        let plan = share_out(&data, &prints, CHOICE, 1);
        assert!(plan.kept);
        let expected = [
            Fate::LeftOut(Reason::Leak),
            Fate::To(Part::Train),
            Fate::LeftOut(Reason::NoSplit),
            Fate::To(Part::Val),
        ];
        assert_eq!(plan.fates, expected);
        let again = share_out(
            &data,
            &prints,
            Choice {
                resplit: true,
                ..CHOICE
            },
            1,
        );
        assert!(!again.kept && again.fates.iter().all(|fate| matches!(fate, Fate::To(_))));
        assert_eq!(again.fates[0], again.fates[3], "duplicates stay together");
    }
}
