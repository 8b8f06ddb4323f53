//! Changes of single keys of a recipe: `--set KEY=VALUE`.

use std::fmt;
use std::str::FromStr;

use toml::{Table, Value};

use super::keys::{CONDITIONS, SWITCHED_OFF, check_effects, get, number, remove, set};
use super::{BUILT_IN, RecipeError};

/// Former names of keys, and the present ones.
pub(super) const FORMER_KEYS: [(&str, &str); 26] = [
    ("side", "input_size"),
    ("examples", "sample_per"),
    ("box_head", "head"),
    ("box_head.fine.hidden", "head_channels"),
    ("views", "cached_augmentations"),
    ("scenes", "synthetic_images"),
    ("backgrounds", "synthetic_negatives"),
    ("empty_parts", "negative_crops"),
    ("taught", "kd_weight"),
    ("likeness", "feature_kd_weight"),
    ("mixed", "mixup_prob"),
    ("settling", "no_aug_epochs"),
    ("averaging", "ema_decay (1 - averaging)"),
    ("batch", "batch_size"),
    ("frozen", "freeze_first or train_last"),
    ("frozen.first.convolutions", "freeze_first"),
    ("frozen.all_but.convolutions", "train_last"),
    ("box_loss.squared_error.weight", "box_loss.mse_weight"),
    ("box_loss.overlap.smooth_l1", "box_loss.l1_weight"),
    ("box_loss.overlap.cells", "box_loss.cell_giou_weight"),
    ("box_loss.overlap.middle", "box_loss.location_weight"),
    ("schedule.steps.epochs", "epochs"),
    ("schedule.steps.rate", "lr.head"),
    ("schedule.cosine.epochs", "epochs"),
    ("schedule.cosine.heads", "lr.head"),
    ("schedule.cosine.trunk", "lr.backbone"),
];

/// A key of a recipe and its new value, `KEY=VALUE`. A dot separates a table from its key: `lr.head=1e-3`.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    key: String,
    value: Value,
}

impl Override {
    #[must_use]
    pub fn new(key: &str, value: impl Into<Value>) -> Self {
        Self {
            key: key.to_owned(),
            value: value.into(),
        }
    }

    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

impl FromStr for Override {
    type Err = RecipeError;

    /// A value that is not valid TOML is a string: `sample_per=box`.
    fn from_str(text: &str) -> Result<Self, RecipeError> {
        let (key, value) = text.split_once('=').ok_or(RecipeError::NoPair)?;
        if key.is_empty() {
            return Err(RecipeError::NoPair);
        }
        if let Some(&(former, key)) = FORMER_KEYS.iter().find(|(former, _)| *former == key) {
            let former = former.to_owned();
            return Err(RecipeError::FormerKey { former, key });
        }
        Ok(Self::new(
            key,
            value.parse().unwrap_or_else(|_| Value::from(value)),
        ))
    }
}

pub(super) fn apply(
    name: &str,
    recipe: &mut Table,
    overrides: &[Override],
) -> Result<(), RecipeError> {
    let known = known_keys();
    for Override { key, value } in overrides {
        if !known.contains(key) {
            return Err(RecipeError::UnknownKey {
                key: key.clone(),
                known: known.join(", "),
            });
        }
        check_type(recipe, key, value).map_err(|message| RecipeError::Invalid {
            recipe: name.to_owned(),
            message,
        })?;
        match key.as_str() {
            "freeze_first" => drop(recipe.remove("train_last")),
            "train_last" => drop(recipe.remove("freeze_first")),
            _ => {}
        }
        // A bare number for [lr] is the rate of every part that trains.
        if key == "lr" && value.as_table().is_none() {
            for part in ["lr.head", "lr.backbone"] {
                if get(recipe, part).is_some() {
                    set(recipe, part, value.clone());
                }
            }
        } else {
            set(recipe, key, value.clone());
        }
    }
    for condition in &CONDITIONS {
        if (condition.applies)(recipe) {
            continue;
        }
        let is_override = |o: &Override| {
            o.key == condition.key || o.key.starts_with(&format!("{}.", condition.key))
        };
        if overrides.iter().any(is_override) {
            return Err(RecipeError::NoEffect {
                recipe: name.to_owned(),
                key: condition.key,
                reason: condition.otherwise,
            });
        }
        remove(recipe, condition.key);
    }
    for (key, switch, reason) in SWITCHED_OFF {
        let is_off = get(recipe, switch).and_then(number) == Some(0.0);
        // To switch off what is off is no mistake.
        let is_switch = SWITCHED_OFF.iter().any(|(_, switch, _)| *switch == key);
        let is_off_too = |o: &Override| is_switch && number(&o.value) == Some(0.0);
        let changes = |o: &Override| o.key == key && !is_off_too(o);
        if is_off && overrides.iter().any(changes) {
            return Err(RecipeError::NoEffect {
                recipe: name.to_owned(),
                key,
                reason,
            });
        }
    }
    check_effects(name, recipe)
}

/// A new value has the type of the recipe's own.
fn check_type(recipe: &Table, key: &str, value: &Value) -> Result<(), String> {
    let is_number = |value: &Value| value.is_integer() || value.is_float();
    match get(recipe, key) {
        Some(own) if !own.is_table() && !own.same_type(value) => {
            match is_number(own) && is_number(value) {
                true => Ok(()),
                false => Err(format!(
                    "{key} is {value}, expected {own} or another {}",
                    own.type_str()
                )),
            }
        }
        _ => Ok(()),
    }
}

/// All keys of all built-in recipes, sorted; those of tables with a dot.
pub(super) fn known_keys() -> Vec<String> {
    let mut keys = Vec::new();
    for table in BUILT_IN.iter().filter_map(|(_, text)| text.parse().ok()) {
        collect_keys("", &table, &mut keys);
    }
    keys.retain(|key| key != "description");
    keys.sort();
    keys.dedup();
    keys
}

fn collect_keys(prefix: &str, table: &Table, keys: &mut Vec<String>) {
    for (key, value) in table {
        keys.push(format!("{prefix}{key}"));
        if let Some(table) = value.as_table() {
            collect_keys(&format!("{prefix}{key}."), table, keys);
        }
    }
}
