//! Class names and their indices.

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub mod aliases;

/// Index of a class in [`Labels`] and in the scores of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(usize);

impl ClassId {
    #[must_use]
    pub const fn new(index: usize) -> Self {
        Self(index)
    }

    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

/// The class names of a model, in the order of its scores: never empty, none blank or duplicate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Labels(Vec<String>);

/// An invalid list of class names.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LabelsError {
    #[error("there are no class names; a model needs at least one")]
    Empty,
    #[error("class name {number} is blank; give every class a name")]
    Blank {
        /// From 1.
        number: usize,
    },
    #[error("duplicate class name \"{name}\"; give every class a different name")]
    Duplicate { name: String },
}

/// A class that can't be renamed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RenameError {
    #[error("the model has no class \"{name}\"; it has: {known}")]
    Unknown {
        name: String,
        /// The classes of the model, separated by commas.
        known: String,
    },
    #[error(
        "\"{from}\" can't become \"{to}\": the model has a class of that name; rename only one of them"
    )]
    Taken { from: String, to: String },
}

impl Labels {
    /// From names in the order of the model's scores.
    ///
    /// # Errors
    /// [`LabelsError`] if the list is empty, or a name is blank or a duplicate.
    pub fn new(names: Vec<String>) -> Result<Self, LabelsError> {
        if names.is_empty() {
            return Err(LabelsError::Empty);
        }
        for (index, name) in names.iter().enumerate() {
            if name.trim().is_empty() {
                return Err(LabelsError::Blank { number: index + 1 });
            }
            if names[..index].contains(name) {
                return Err(LabelsError::Duplicate { name: name.clone() });
            }
        }
        Ok(Self(names))
    }

    /// Number of classes; at least 1.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "labels are never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// `None` if the class is of another model.
    #[must_use]
    pub fn name(&self, class: ClassId) -> Option<&str> {
        self.0.get(class.0).map(String::as_str)
    }

    /// The class with exactly this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ClassId> {
        self.0.iter().position(|n| n == name).map(ClassId)
    }

    /// With another name for a class.
    ///
    /// # Errors
    /// [`RenameError`] if no class is named `from`, or another one is named `to`.
    pub fn renamed(mut self, from: &str, to: &str) -> Result<Self, RenameError> {
        let class = self.find(from).ok_or_else(|| RenameError::Unknown {
            name: from.to_owned(),
            known: self.0.join(", "),
        })?;
        if self.find(to).is_some_and(|other| other != class) {
            return Err(RenameError::Taken {
                from: from.to_owned(),
                to: to.to_owned(),
            });
        }
        to.clone_into(&mut self.0[class.0]);
        Ok(self)
    }

    /// The names, in the order of the scores.
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
    fn names_map_to_indices_and_back() {
        let labels = Labels::new(names(&["apple", "hot dog"])).expect("valid");
        let hot_dog = labels.find("hot dog").expect("known");
        assert_eq!(
            (hot_dog.index(), labels.name(hot_dog)),
            (1, Some("hot dog"))
        );
        assert_eq!(labels.find("Apple"), None);
        assert_eq!(labels.name(ClassId::new(2)), None);
    }

    #[test]
    fn a_renamed_class_keeps_its_index() {
        let labels = Labels::new(names(&["apple", "donut"])).expect("valid");
        let renamed = labels.clone().renamed("donut", "doughnut").expect("valid");
        assert_eq!(renamed.find("doughnut"), Some(ClassId::new(1)));
        assert_eq!(renamed.find("donut"), None);
        let unknown = labels
            .clone()
            .renamed("pear", "apple")
            .expect_err("unknown");
        let expected = "the model has no class \"pear\"; it has: apple, donut";
        assert_eq!(unknown.to_string(), expected);
        let taken = labels.renamed("donut", "apple").expect_err("taken");
        assert!(
            taken
                .to_string()
                .contains("the model has a class of that name")
        );
    }

    #[test]
    fn invalid_lists_are_refused() {
        assert_eq!(Labels::new(vec![]), Err(LabelsError::Empty));
        let blank = Labels::new(names(&["apple", " "]));
        assert_eq!(blank, Err(LabelsError::Blank { number: 2 }));
        let name = "cake".to_owned();
        let duplicate = Labels::new(names(&["cake", "pie", "cake"]));
        assert_eq!(duplicate, Err(LabelsError::Duplicate { name }));
    }
}
