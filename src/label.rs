//! Class names and the numbers that stand for them.
//!
//! In goes a list of names, out come [`Labels`]: never empty, no name blank or twice. A [`ClassId`] is
//! only given out by the labels that it indexes, or for the place of a score.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The place of a class in its [`Labels`] and in the scores of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(usize);

impl ClassId {
    /// The class at `index` of a model's scores.
    #[must_use]
    pub const fn new(index: usize) -> Self {
        Self(index)
    }

    /// The index into labels and scores.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

/// The class names of a model, in the order of its scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Labels(Vec<String>);

/// A list of names that can't label a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LabelsError {
    /// The list has no name in it.
    #[error("there are no class names; a model needs at least one")]
    Empty,
    /// A name is empty or only spaces.
    #[error("class name {place} is blank; give every class a name")]
    Blank {
        /// Its place, from 1.
        place: usize,
    },
    /// A name stands twice.
    #[error("the class name \"{name}\" stands twice; every class needs a name of its own")]
    Twice {
        /// The name.
        name: String,
    },
}

impl Labels {
    /// Labels from names in the order of the model's scores.
    ///
    /// # Errors
    /// [`LabelsError`] when the list is empty, or a name is blank or stands twice.
    pub fn new(names: Vec<String>) -> Result<Self, LabelsError> {
        if names.is_empty() {
            return Err(LabelsError::Empty);
        }
        for (index, name) in names.iter().enumerate() {
            if name.trim().is_empty() {
                return Err(LabelsError::Blank { place: index + 1 });
            }
            if names[..index].contains(name) {
                return Err(LabelsError::Twice { name: name.clone() });
            }
        }
        Ok(Self(names))
    }

    /// How many classes there are; at least 1.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "labels are never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of a class, or `None` for a class of another model.
    #[must_use]
    pub fn name(&self, class: ClassId) -> Option<&str> {
        self.0.get(class.0).map(String::as_str)
    }

    /// The class of that name, spelled exactly so.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ClassId> {
        self.0.iter().position(|n| n == name).map(ClassId)
    }

    /// All names, in the order of the scores.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl TryFrom<Vec<String>> for Labels {
    type Error = LabelsError;

    fn try_from(names: Vec<String>) -> Result<Self, LabelsError> {
        Self::new(names)
    }
}

impl From<Labels> for Vec<String> {
    fn from(labels: Labels) -> Self {
        labels.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&n| n.to_owned()).collect()
    }

    #[test]
    fn names_and_numbers_go_both_ways() {
        let labels = Labels::new(names(&["apple", "hot dog"])).expect("sound");
        let hot_dog = labels.find("hot dog").expect("known");
        assert_eq!(
            (hot_dog.index(), labels.name(hot_dog)),
            (1, Some("hot dog"))
        );
        assert_eq!(labels.find("Apple"), None);
        assert_eq!(labels.name(ClassId::new(2)), None);
    }

    #[test]
    fn lists_that_cannot_label_are_refused() {
        assert_eq!(Labels::new(vec![]), Err(LabelsError::Empty));
        let blank = Labels::new(names(&["apple", " "]));
        assert_eq!(blank, Err(LabelsError::Blank { place: 2 }));
        let name = "cake".to_owned();
        let twice = Labels::new(names(&["cake", "pie", "cake"]));
        assert_eq!(twice, Err(LabelsError::Twice { name }));
    }
}
