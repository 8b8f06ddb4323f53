use super::keys::{CONDITIONS, Condition, RANGES};
use super::overrides::{FORMER_KEYS, known_keys};
use super::*;

fn load(name: &str, overrides: &[&str]) -> Result<Recipe, RecipeError> {
    let overrides: Result<Vec<Override>, _> = overrides.iter().map(|o| o.parse()).collect();
    Recipe::load(name, &overrides?)
}

fn message(name: &str, overrides: &[&str]) -> String {
    load(name, overrides).expect_err("refused").to_string()
}

#[test]
fn every_built_in_recipe_is_complete() {
    for name in Recipe::names() {
        let recipe = Recipe::named(name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(recipe.name, name);
        let same = format!("batch_size={}", recipe.batch_size);
        assert_eq!(load(name, &[&same]).expect("a known key"), recipe);
    }
    let known = known_keys();
    for Condition { key, .. } in CONDITIONS {
        assert!(known.iter().any(|known| known == key), "{key}");
    }
    for (key, ..) in RANGES {
        assert!(known.iter().any(|known| known == key), "{key}");
    }
}

#[test]
fn the_step_schedule_has_three_phases_of_five_epochs() {
    let recipe = Recipe::named("baseline").expect("built in");
    assert_eq!(recipe.epochs, 15);
    for (done, rate) in [(0.0, 1e-3), (4.99, 1e-3), (5.0, 1e-4), (14.9, 1e-5)] {
        let head = recipe.rates(done).head;
        assert!((head / rate - 1.0).abs() < 1e-9, "{done}: {head}");
    }
}

#[test]
fn the_cosine_schedule_starts_and_ends_at_zero() {
    let recipe = Recipe::named("full").expect("built in");
    assert_eq!(recipe.rates(0.0).head, 0.0);
    assert!(recipe.rates(recipe.epochs as f64).head < 1e-12);
    assert!(recipe.rates(0.3).head > 0.99e-3);
    assert!(recipe.rates(0.3).backbone < recipe.rates(0.3).head);
    let without = load("full", &["lr.warmup_epochs=0"]).expect("no warm-up");
    assert_eq!(without.rates(0.0).head, 1e-3);
}

#[test]
fn an_override_changes_one_key_and_no_other() {
    let full = Recipe::named("full").expect("built in");
    let expected = Recipe {
        mixup_prob: 0.0,
        ..full.clone()
    };
    assert_eq!(load("full", &["mixup_prob=0"]).expect("a number"), expected);
    let changed = load("full", &["lr.backbone=0.25"]).expect("a rate");
    assert_eq!((changed.lr.backbone, changed.lr.head), (0.25, 1e-3));
    let both = load("full", &["lr=0.5"]).expect("a rate");
    assert_eq!((both.lr.backbone, both.lr.head), (0.5, 0.5));
    let boxes = load("full", &["sample_per=box"]).expect("a string");
    assert_eq!(boxes.sample_per, SamplePer::Box);
    let small = load("full", &["input_size=96"]).expect("a number");
    assert_eq!(small.input_size, Some(96));
    let erased = load("full", &["augmentation.erase_side=[0.2, 0.3]"]).expect("an array");
    assert_eq!(erased.augmentation.erase_side, [0.2, 0.3]);
}

#[test]
fn keys_that_lose_their_effect_are_dropped() {
    let global = load("full", &["head=global"]).expect("another head");
    assert_eq!(global.head_channels, 0);
    let BoxLoss::Giou {
        cell_giou_weight, ..
    } = global.box_loss
    else {
        panic!("{global:?}");
    };
    assert_eq!(cell_giou_weight, 0.0);
    let cached = load("full", &["train_last=13", "cached_augmentations=2"]).expect("cached");
    assert_eq!(cached.frozen(), Frozen::AllButLast(13));
    assert_eq!((cached.freeze_first, cached.mixup_prob), (None, 0.0));
}

#[test]
fn mosaics_end_before_the_last_third() {
    let recipe = Recipe::named("objects").expect("built in");
    let has: Vec<bool> = (1..=6).map(|epoch| recipe.has_mosaics(epoch)).collect();
    assert_eq!(has, [true, true, true, true, false, false]);
    let without = load("objects", &["objects.mosaic_prob=0"]).expect("a share");
    assert!((1..=6).all(|epoch| !without.has_mosaics(epoch)));
    let full = load("objects", &["head=fcos", "mixup_prob=0"]).expect("one box");
    assert_eq!(full.objects, None);
    assert!(!full.has_mosaics(1));
    let boxes = message("objects", &["sample_per=box"]);
    assert!(boxes.contains("expected sample_per"), "{boxes}");
}

#[test]
fn keys_without_an_effect_are_refused() {
    for key in ["mixup_prob=0.5", "no_aug_epochs=1", "kd_weight=1"] {
        let refused = message("quick", &[key]);
        assert!(
            refused.contains("has no effect here: with train_last"),
            "{refused}"
        );
    }
    for (name, keys, reason) in [
        (
            "full",
            vec!["cached_augmentations=4"],
            "no features are cached",
        ),
        (
            "full",
            vec!["head=global", "head_channels=64"],
            "only head = \"fcos\"",
        ),
        ("objects", vec!["mixup_prob=0.5"], "no exact boxes"),
        (
            "full",
            vec!["objects.mosaic_prob=0.5"],
            "head = \"objects\"",
        ),
        (
            "objects",
            vec![
                "train_last=13",
                "cached_augmentations=2",
                "objects.scenes=0.1",
            ],
            "augmentations are cached",
        ),
        (
            "objects",
            vec!["augmentation.erase_side=[0.2, 0.3]"],
            "erase_prob is 0",
        ),
        (
            "objects",
            vec!["objects.scenes=0", "objects.empty_scenes=0.5"],
            "objects.scenes is 0",
        ),
        ("full", vec!["box_loss.mse_weight=1"], "not \"mse\""),
        ("baseline", vec!["lr.backbone=1e-3"], "backbone is frozen"),
        (
            "baseline",
            vec!["augmentation.erase_prob=0"],
            "mirror image",
        ),
    ] {
        let refused = message(name, &keys);
        assert!(refused.contains(reason), "{keys:?}: {refused}");
    }
    let erased = ["augmentation.erase_prob=0.5", "augmentation.max_erased=0.2"];
    assert!(load("objects", &erased).is_ok());
    let missing = message("full", &["train_last=13"]);
    assert!(missing.contains("--set cached_augmentations"), "{missing}");
}

#[test]
fn unknown_and_former_names_are_refused_with_the_valid_ones() {
    assert!(message("full", &["colour=red"]).contains("lr.backbone"));
    let string = message("full", &["mixup_prob=much"]);
    assert!(
        string.contains("mixup_prob is \"much\", expected 0.5"),
        "{string}"
    );
    assert!(message("full", &["mixup_prob=2"]).contains("expected 0 to 1"));
    assert!(message("full", &["input_size=100"]).contains("multiple of 32"));
    assert!(message("full", &["mixup_prob"]).contains("KEY=VALUE"));
    assert!(message("full", &["=1"]).contains("KEY=VALUE"));
    assert!(message("soup", &[]).contains("quick, full, small"));
    for (former, name) in FORMER_RECIPES {
        assert!(message(former, &[]).contains(name));
        assert!(Recipe::named(name).is_ok(), "{name}");
    }
    let known = known_keys();
    for (former, key) in FORMER_KEYS {
        let refused = message("full", &[&format!("{former}=0")]);
        assert!(
            refused.contains(former) && refused.contains(key),
            "{refused}"
        );
        let first = key.split(' ').next().expect("a key");
        assert!(known.iter().any(|known| known == first), "{key}");
    }
}

#[test]
fn a_recipe_is_read_from_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mine.toml");
    let name = file.to_str().expect("a plain name");
    assert!(message(name, &[]).contains("mine.toml: cannot be read"));
    let quick = include_str!("../../recipes/quick.toml");
    std::fs::write(&file, quick).expect("written");
    let mine = load(name, &[]).expect("complete");
    let quick = Recipe::named("quick").expect("built in");
    assert_eq!(
        Recipe {
            name: "quick".to_owned(),
            ..mine
        },
        quick
    );
    let incomplete = include_str!("../../recipes/quick.toml").replace("dropout", "dropped");
    std::fs::write(&file, incomplete).expect("written");
    assert!(message(name, &[]).contains("unknown field `dropped`"));
}
