//! Classes that are selected by their names.
//!
//! The names are of options, which are read before there is a model, and stay when another model is loaded.

use std::str::FromStr;

use thiserror::Error;

use crate::label::{ClassId, Labels};

/// The selected classes: all, or those of these names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassSelection {
    /// Not empty.
    names: Option<Vec<String>>,
}

/// A text that is no list of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected names of classes with commas between them, as apple,cup")]
pub struct ClassSelectionError;

/// A selected class that a model does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the model has no class \"{name}\"{}; its classes are {}", suggestion(nearest.as_deref()), classes.join(", "))]
pub struct UnknownClass {
    pub name: String,
    /// The class of the model whose name is spelt most alike, if one is.
    pub nearest: Option<String>,
    /// All classes of the model.
    pub classes: Vec<String>,
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!(" (did you mean \"{nearest}\"?)")
    })
}

impl ClassSelection {
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match &self.names {
            None => true,
            Some(names) => names.iter().any(|own| own == name),
        }
    }

    /// Whether each class of a model is selected, in the order of its labels; `None` if all classes of any model are.
    #[must_use]
    pub fn mask(&self, labels: &Labels) -> Option<Vec<bool>> {
        self.names.as_ref()?;
        Some(labels.iter().map(|name| self.contains(name)).collect())
    }

    /// Checks that a model has all selected classes.
    ///
    /// # Errors
    /// [`UnknownClass`] of the first that it does not have.
    pub fn check(&self, labels: &Labels) -> Result<(), UnknownClass> {
        let names = self.names.iter().flatten();
        let mut unknown = names.filter(|name| labels.find(name).is_none());
        match unknown.next() {
            None => Ok(()),
            Some(name) => Err(UnknownClass {
                name: name.clone(),
                nearest: nearest(name, labels),
                classes: labels.iter().map(str::to_owned).collect(),
            }),
        }
    }
}

impl FromStr for ClassSelection {
    type Err = ClassSelectionError;

    fn from_str(text: &str) -> Result<Self, ClassSelectionError> {
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if names.iter().any(String::is_empty) {
            return Err(ClassSelectionError);
        }
        Ok(Self { names: Some(names) })
    }
}

/// The class whose name is nearest, in lower case, if less than half of its letters differ.
fn nearest(name: &str, labels: &Labels) -> Option<String> {
    let name = name.to_lowercase();
    let rated = (0..labels.len()).filter_map(|index| {
        let class = labels.name(ClassId::new(index))?;
        let distance = edit_distance(&name, &class.to_lowercase());
        (2 * distance < class.chars().count()).then_some((distance, class))
    });
    let nearest = rated.min_by_key(|(distance, _)| *distance);
    nearest.map(|(_, class)| class.to_owned())
}

/// The least number of letters to insert, remove or replace (Levenshtein, 1965).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        let names = ["apple", "hot dog", "grape", "Cup"].map(str::to_owned);
        Labels::new(names.to_vec()).expect("valid")
    }

    #[test]
    fn a_selection_is_a_list_of_names() {
        let some: ClassSelection = "apple, hot dog".parse().expect("valid");
        assert!(some.contains("apple") && some.contains("hot dog") && !some.contains("grape"));
        assert_eq!(some.mask(&labels()), Some(vec![true, true, false, false]));
        assert_eq!(some.check(&labels()), Ok(()));
        let all = ClassSelection::default();
        assert!(all.contains("anything"));
        assert_eq!((all.mask(&labels()), all.check(&labels())), (None, Ok(())));
        for invalid in ["", ",", "apple,", " "] {
            assert_eq!(invalid.parse::<ClassSelection>(), Err(ClassSelectionError));
        }
    }

    #[test]
    fn an_unknown_class_is_an_error_with_the_nearest_and_all_names() {
        let message = |text: &str| {
            let selection: ClassSelection = text.parse().expect("valid");
            let error = selection.check(&labels()).expect_err("unknown");
            error.to_string()
        };
        let all = "its classes are apple, hot dog, grape, Cup";
        let cases = [
            ("apple,aple", "aple", Some("apple")),
            ("hotdog", "hotdog", Some("hot dog")),
            ("cup", "cup", Some("Cup")),
            ("Grapes", "Grapes", Some("grape")),
            ("zebra", "zebra", None),
        ];
        for (text, name, nearest) in cases {
            let nearest = nearest.map_or_else(String::new, |n| format!(" (did you mean \"{n}\"?)"));
            let expected = format!("the model has no class \"{name}\"{nearest}; {all}");
            assert_eq!(message(text), expected);
        }
    }

    #[test]
    fn the_edit_distance_counts_letters() {
        let cases = [
            ("", "", 0),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ];
        for (a, b, expected) in cases {
            assert_eq!(
                (edit_distance(a, b), edit_distance(b, a)),
                (expected, expected)
            );
        }
    }
}
