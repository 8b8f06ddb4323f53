//! Classes that are selected by their names.
//!
//! The names are of options, which are read before there is a model, and stay when another model is loaded.

use std::str::FromStr;

use thiserror::Error;

use crate::label::Labels;
use crate::label::aliases::Aliases;
use crate::spelling;

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
#[error("the model has no class \"{name}\"{}; its classes are {}", spelling::suggestion(nearest.as_deref()), classes.join(", "))]
pub struct UnknownClass {
    pub name: String,
    /// The class of the model whose name is spelt most alike, if one is.
    pub nearest: Option<String>,
    /// All classes of the model.
    pub classes: Vec<String>,
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

    /// The selection with aliases replaced by the classes that they stand for. The name of a class of the model is always
    /// that class.
    #[must_use]
    pub fn without_aliases(&self, labels: &Labels, aliases: &Aliases) -> Self {
        let classes_of = |name: &String| -> Vec<String> {
            let known = |class: &&str| labels.find(class).is_some();
            let classes: Vec<&str> = aliases.classes_of(name).filter(known).collect();
            match labels.find(name) {
                None if !classes.is_empty() => classes.into_iter().map(str::to_owned).collect(),
                _ => vec![name.clone()],
            }
        };
        let names = self.names.as_ref();
        Self {
            names: names.map(|names| names.iter().flat_map(classes_of).collect()),
        }
    }

    /// The selected names; `None` if all classes are selected.
    #[must_use]
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
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
                nearest: spelling::nearest(name, labels.iter()).map(str::to_owned),
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
    fn an_alias_stands_for_its_classes() {
        let text = "apple = \"Apfel\"\ngrape = \"apple\"\n\"hot dog\" = \"Essen\"\nCup = \"Essen\"\nzebra = \"Tier\"";
        let aliases = Aliases::parse(text).expect("valid");
        let resolved = |text: &str| {
            let selection: ClassSelection = text.parse().expect("valid");
            selection.without_aliases(&labels(), &aliases)
        };
        let expected = |text: &str| text.parse::<ClassSelection>().expect("valid");
        assert_eq!(resolved("Apfel,grape"), expected("apple,grape"));
        assert_eq!(resolved("apple"), expected("apple"), "a class of the model");
        assert_eq!(resolved("Essen").check(&labels()), Ok(()));
        assert_eq!(
            resolved("Essen").mask(&labels()),
            Some(vec![false, true, false, true])
        );
        // A class of another model stays unknown, and the error repeats what was given.
        let unknown = resolved("Tier").check(&labels()).expect_err("unknown");
        assert_eq!(unknown.name, "Tier");
        let all = ClassSelection::default();
        assert_eq!(all.without_aliases(&labels(), &aliases), all);
    }
}
