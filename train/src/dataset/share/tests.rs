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
