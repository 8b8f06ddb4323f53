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
mod tests;
