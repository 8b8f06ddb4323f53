//! One choice of a recipe made otherwise, from the command line: what an ablation is made of.
//!
//! In goes `name=value`, with a dot for what lies inside another (`schedule.cosine.trunk=1e-4`), out comes the recipe
//! with that one number changed. A name that the recipe does not have is refused, with those that it has.

use std::str::FromStr;

use serde_json::Value;
use thiserror::Error;

use super::Recipe;

/// A name in a recipe and the value that it is to have.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    path: String,
    value: Value,
}

/// A setting that no recipe can have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingError {
    /// There is no `=`, or nothing before it.
    #[error("expected NAME=VALUE, as mixed=0 or schedule.cosine.trunk=1e-4")]
    NoPair,
    /// The recipe has no such name.
    #[error("the recipe has no \"{path}\", only: {known}")]
    Unknown {
        /// What was asked for.
        path: String,
        /// What there is.
        known: String,
    },
    /// The value is none for that name.
    #[error("{path} can't be {value} ({message})")]
    Value {
        /// The name.
        path: String,
        /// What was given.
        value: String,
        /// What was expected.
        message: String,
    },
}

impl FromStr for Setting {
    type Err = SettingError;

    /// What is no JSON is taken as a word: `examples=rows`.
    fn from_str(text: &str) -> Result<Self, SettingError> {
        let (path, value) = text.split_once('=').ok_or(SettingError::NoPair)?;
        if path.is_empty() {
            return Err(SettingError::NoPair);
        }
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        Ok(Self {
            path: path.to_owned(),
            value,
        })
    }
}

impl Recipe {
    /// The same recipe with one choice made otherwise.
    ///
    /// # Errors
    /// [`SettingError`] when the recipe has no such name, or the name can't have that value.
    pub fn with(&self, setting: &Setting) -> Result<Self, SettingError> {
        let Setting { path, value } = setting;
        let refused = |error: serde_json::Error| SettingError::Value {
            path: path.clone(),
            value: value.to_string(),
            message: error.to_string(),
        };
        let mut all = serde_json::to_value(self).map_err(refused)?;
        let pointer = format!("/{}", path.replace('.', "/"));
        let Some(place) = all.pointer_mut(&pointer) else {
            return Err(SettingError::Unknown {
                path: path.clone(),
                known: names(&all).join(", "),
            });
        };
        *place = value.clone();
        let changed: Self = serde_json::from_value(all).map_err(refused)?;
        Ok(Self {
            name: self.name,
            ..changed
        })
    }
}

/// The names of all numbers and words, those inside others with a dot.
fn names(value: &Value) -> Vec<String> {
    let Value::Object(fields) = value else {
        return vec![];
    };
    let each = fields.iter().flat_map(|(name, value)| {
        let inner = names(value);
        let inner = inner.iter().map(|inner| format!("{name}.{inner}"));
        [name.clone()].into_iter().chain(inner).collect::<Vec<_>>()
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{BoxHeadKind, Examples, Schedule};

    fn with(setting: &str) -> Result<Recipe, SettingError> {
        Recipe::snacks().with(&setting.parse()?)
    }

    #[test]
    fn one_choice_is_made_otherwise_and_no_other() {
        let expected = Recipe {
            mixed: 0.0,
            ..Recipe::snacks()
        };
        assert_eq!(with("mixed=0"), Ok(expected));
        let changed = with("schedule.cosine.trunk=0.25").expect("a rate");
        let Schedule::Cosine { trunk, heads, .. } = changed.schedule else {
            panic!("{changed:?}");
        };
        assert_eq!((trunk, heads), (0.25, 1e-3));
        assert_eq!(
            with("examples=rows").expect("a word").examples,
            Examples::Rows
        );
        let pooled = with("box_head=pooled").expect("a word");
        assert_eq!(pooled.box_head, BoxHeadKind::Pooled);
        assert_eq!(with("side=96").expect("a number").side, Some(96));
    }

    #[test]
    fn what_a_recipe_has_not_is_refused_with_what_it_has() {
        let unknown = with("colour=red").expect_err("no such name").to_string();
        assert!(unknown.contains("schedule.cosine.trunk"), "{unknown}");
        let value = with("mixed=much").expect_err("no number").to_string();
        assert!(value.contains("mixed can't be \"much\""), "{value}");
        assert_eq!(with("mixed"), Err(SettingError::NoPair));
        assert_eq!(with("=1"), Err(SettingError::NoPair));
    }

    #[test]
    fn every_recipe_is_the_same_with_a_value_that_it_has() {
        for recipe in Recipe::all() {
            let setting = format!("batch={}", recipe.batch).parse().expect("a pair");
            assert_eq!(recipe.with(&setting), Ok(recipe));
        }
    }
}
