//! Which keys of a recipe have an effect, and the ranges of their values.
//!
//! A dot separates a table from its key: `lr.head`.

use toml::{Table, Value};

use super::RecipeError;

/// A key that has an effect in some recipes only.
pub(super) struct Condition {
    pub(super) key: &'static str,
    pub(super) applies: fn(&Table) -> bool,
    /// Why it has no effect otherwise.
    pub(super) otherwise: &'static str,
}

pub(super) const CONDITIONS: [Condition; 18] = [
    Condition {
        key: "cached_augmentations",
        applies: caches_features,
        otherwise: "with freeze_first no features are cached",
    },
    Condition {
        key: "mixup_prob",
        applies: |recipe| augments_anew(recipe) && !has_objects(recipe),
        otherwise: "with train_last features are cached, and cached features are not mixed; with head = \"objects\" \
                    two images in one place have no exact boxes",
    },
    Condition {
        key: "no_aug_epochs",
        applies: augments_anew,
        otherwise: "with train_last the augmentations are cached and the same in every epoch",
    },
    Condition {
        key: "kd_weight",
        applies: augments_anew,
        otherwise: "with train_last features are cached, and a teacher needs images",
    },
    Condition {
        key: "feature_kd_weight",
        applies: augments_anew,
        otherwise: "with train_last features are cached, and a teacher needs images",
    },
    Condition {
        key: "head_channels",
        applies: has_fcos_head,
        otherwise: "only head = \"fcos\" and head = \"objects\" have channels to choose",
    },
    Condition {
        key: "objects",
        applies: has_objects,
        otherwise: "only head = \"objects\" finds several objects",
    },
    Condition {
        key: "objects.mosaic_prob",
        applies: composes,
        otherwise: "mosaics need head = \"objects\", and with train_last the augmentations are cached",
    },
    Condition {
        key: "objects.mosaic_epochs",
        applies: composes,
        otherwise: "mosaics need head = \"objects\", and with train_last the augmentations are cached",
    },
    Condition {
        key: "objects.scenes",
        applies: composes,
        otherwise: "scenes need head = \"objects\", and with train_last the augmentations are cached",
    },
    Condition {
        key: "objects.empty_scenes",
        applies: composes,
        otherwise: "scenes need head = \"objects\", and with train_last the augmentations are cached",
    },
    Condition {
        key: "lr.backbone",
        applies: trains_backbone,
        otherwise: "with train_last = 0 the whole backbone is frozen",
    },
    Condition {
        key: "lr.warmup_epochs",
        applies: |recipe| is(recipe, "lr.schedule", "cosine"),
        otherwise: "only lr.schedule = \"cosine\" has a warm-up",
    },
    Condition {
        key: "box_loss.mse_weight",
        applies: |recipe| is(recipe, "box_loss.type", "mse"),
        otherwise: "box_loss.type is not \"mse\"",
    },
    Condition {
        key: "box_loss.l1_weight",
        applies: has_giou_loss,
        otherwise: "box_loss.type is not \"giou\"",
    },
    Condition {
        key: "box_loss.cell_giou_weight",
        applies: |recipe| has_giou_loss(recipe) && has_fcos_head(recipe),
        otherwise: "cells need head = \"fcos\" or \"objects\", and box_loss.type = \"giou\"",
    },
    Condition {
        key: "box_loss.location_weight",
        applies: |recipe| has_giou_loss(recipe) && has_fcos_head(recipe),
        otherwise: "cells need head = \"fcos\" or \"objects\", and box_loss.type = \"giou\"",
    },
    Condition {
        key: "augmentation",
        applies: |recipe| {
            let cached = get(recipe, "cached_augmentations").and_then(Value::as_integer);
            augments_anew(recipe) || cached.is_some_and(|count| count > 2)
        },
        otherwise: "only the image and its mirror image are cached (cached_augmentations is 2 or less)",
    },
];

/// Keys that a recipe may have without an effect, since another key switches them off: the other key, and why. Changing
/// them alone is refused.
pub(super) const SWITCHED_OFF: [(&str, &str, &str); 6] = [
    (
        "augmentation.zoom_out_area",
        "augmentation.zoom_out_prob",
        "augmentation.zoom_out_prob is 0, so that no image is shrunk",
    ),
    (
        "augmentation.erase_side",
        "augmentation.erase_prob",
        "augmentation.erase_prob is 0, so that nothing is erased",
    ),
    (
        "augmentation.max_erased",
        "augmentation.erase_prob",
        "augmentation.erase_prob is 0, so that nothing is erased",
    ),
    (
        "objects.mosaic_epochs",
        "objects.mosaic_prob",
        "objects.mosaic_prob is 0, so that there are no mosaics",
    ),
    (
        "objects.mosaic_prob",
        "objects.mosaic_epochs",
        "objects.mosaic_epochs is 0, so that there are no mosaics",
    ),
    (
        "objects.empty_scenes",
        "objects.scenes",
        "objects.scenes is 0, so that there are no scenes",
    ),
];

pub(super) fn caches_features(recipe: &Table) -> bool {
    recipe.contains_key("train_last")
}

fn augments_anew(recipe: &Table) -> bool {
    !caches_features(recipe)
}

fn trains_backbone(recipe: &Table) -> bool {
    get(recipe, "train_last").and_then(Value::as_integer) != Some(0)
}

fn has_fcos_head(recipe: &Table) -> bool {
    is(recipe, "head", "fcos") || has_objects(recipe)
}

fn has_objects(recipe: &Table) -> bool {
    is(recipe, "head", "objects")
}

/// Whether pictures are composed of several images.
fn composes(recipe: &Table) -> bool {
    has_objects(recipe) && augments_anew(recipe)
}

fn has_giou_loss(recipe: &Table) -> bool {
    is(recipe, "box_loss.type", "giou")
}

fn is(recipe: &Table, key: &str, value: &str) -> bool {
    get(recipe, key).and_then(Value::as_str) == Some(value)
}

/// Smallest and largest values of numbers.
pub(super) const RANGES: [(&str, f64, f64); 26] = [
    ("epochs", 1.0, 1e6),
    ("batch_size", 1.0, 1e6),
    ("input_size", 32.0, 4096.0),
    ("cached_augmentations", 1.0, 1e6),
    ("head_channels", 1.0, 4096.0),
    ("dropout", 0.0, 0.99),
    ("label_smoothing", 0.0, 1.0),
    ("mixup_prob", 0.0, 1.0),
    ("kd_weight", 0.0, 1.0),
    ("clip_norm", 1e-6, f64::MAX),
    ("ema_decay", 0.0, 0.999_999),
    ("lr.warmup_epochs", 0.0, 1e6),
    ("augmentation.crop_max_aspect", 1.0, 100.0),
    ("augmentation.zoom_out_prob", 0.0, 1.0),
    ("augmentation.color_jitter", 0.0, 1.0),
    ("augmentation.erase_prob", 0.0, 1.0),
    ("augmentation.tint", 0.0, 1.0),
    ("objects.own_class_weight", 0.0, 1.0),
    ("objects.negative_weight", 0.0, 1e6),
    ("objects.giou_weight", 0.0, 1e6),
    ("objects.cells_per_object", 1.0, 1e6),
    ("objects.mosaic_prob", 0.0, 1.0),
    ("objects.mosaic_epochs", 0.0, 1.0),
    // A training of scenes alone would not know its own images.
    ("objects.scenes", 0.0, 0.9),
    ("objects.empty_scenes", 0.0, 1.0),
    ("augmentation.min_visible", 0.0, 1.0),
];

/// Every conditional key is there if it has an effect, and only then.
pub(super) fn check_effects(name: &str, recipe: &Table) -> Result<(), RecipeError> {
    for condition in &CONDITIONS {
        let key = condition.key;
        match ((condition.applies)(recipe), get(recipe, key).is_some()) {
            (false, true) => {
                return Err(RecipeError::NoEffect {
                    recipe: name.to_owned(),
                    key,
                    reason: condition.otherwise,
                });
            }
            (true, false) => {
                return Err(RecipeError::Missing {
                    recipe: name.to_owned(),
                    key,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The value of a number of either type.
pub(super) fn number(value: &Value) -> Option<f64> {
    let integer = || value.as_integer().map(|integer| integer as f64);
    value.as_float().or_else(integer)
}

pub(super) fn check_ranges(recipe: &Table) -> Result<(), String> {
    for (key, low, high) in RANGES {
        let value = get(recipe, key);
        if value
            .and_then(number)
            .is_some_and(|number| !(low..=high).contains(&number))
        {
            let value = value.map_or(String::new(), Value::to_string);
            return Err(format!("{key} is {value}, expected {low} to {high}"));
        }
    }
    if has_objects(recipe) && is(recipe, "sample_per", "box") {
        return Err(
            "head = \"objects\" learns all boxes of an image at once, expected sample_per = \"image\""
                .to_owned(),
        );
    }
    match get(recipe, "input_size").and_then(Value::as_integer) {
        Some(size) if size % 32 != 0 => {
            Err(format!("input_size is {size}, expected a multiple of 32"))
        }
        _ => Ok(()),
    }
}

pub(super) fn get<'t>(recipe: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        Some((table, key)) => get(recipe.get(table)?.as_table()?, key),
        None => recipe.get(key),
    }
}

pub(super) fn set(recipe: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        Some((table, key)) => {
            let table = recipe.entry(table).or_insert_with(|| Table::new().into());
            if let Some(table) = table.as_table_mut() {
                set(table, key, value);
            }
        }
        None => drop(recipe.insert(key.to_owned(), value)),
    }
}

pub(super) fn remove(recipe: &mut Table, key: &str) {
    match key.split_once('.') {
        Some((table, key)) => {
            if let Some(table) = recipe.get_mut(table).and_then(Value::as_table_mut) {
                remove(table, key);
            }
        }
        None => drop(recipe.remove(key)),
    }
}
