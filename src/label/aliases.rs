//! Labels in other languages: the names that are shown for classes.
//!
//! A class keeps its own name in the model, in options and in what programs read; an alias is for people. A file of aliases
//! is TOML with a line for each class, as `cat = "Katze"`. Those of [`Language`] have the classes of the models that ship.

use std::collections::BTreeMap;
use std::str::FromStr;

use thiserror::Error;
use toml::{Table, Value};

/// The names to show for classes. Classes of other models may be among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aliases {
    /// By the class's own name.
    by_class: BTreeMap<String, String>,
}

/// A language whose aliases come along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    German,
    French,
    Spanish,
    Chinese,
}

/// A text that is no file of aliases.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AliasesError {
    #[error("line {line}: {message}; expected lines as cat = \"Katze\"")]
    Toml {
        /// From 1.
        line: usize,
        message: String,
    },
    #[error("the alias of \"{class}\" is not text; write \"{class}\" = \"ALIAS\"")]
    NotText { class: String },
    #[error(
        "the alias of \"{class}\" is blank or has control characters; give it a name or leave it out"
    )]
    NotAName { class: String },
}

/// A text that is no code of a [`Language`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected de, fr, es or zh")]
pub struct UnknownLanguage;

impl Aliases {
    /// Parses a file of aliases.
    ///
    /// # Errors
    /// [`AliasesError`]
    pub fn parse(text: &str) -> Result<Self, AliasesError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            let before = text.as_bytes().iter().take(at);
            AliasesError::Toml {
                line: 1 + before.filter(|byte| **byte == b'\n').count(),
                message: error.message().to_owned(),
            }
        })?;
        let entry = |(class, value)| match value {
            Value::String(alias) if is_name(&alias) => Ok((class, alias)),
            Value::String(_) => Err(AliasesError::NotAName { class }),
            _ => Err(AliasesError::NotText { class }),
        };
        Ok(Self {
            by_class: table.into_iter().map(entry).collect::<Result<_, _>>()?,
        })
    }

    /// The name to show for a class; `None` for its own.
    #[must_use]
    pub fn get(&self, class: &str) -> Option<&str> {
        self.by_class.get(class).map(String::as_str)
    }

    /// The classes with exactly this alias. Several classes may share one.
    pub fn classes_of(&self, alias: &str) -> impl Iterator<Item = &str> {
        let of_alias = self.by_class.iter().filter(move |(_, own)| *own == alias);
        of_alias.map(|(class, _)| class.as_str())
    }
}

fn is_name(alias: &str) -> bool {
    !alias.trim().is_empty() && !alias.contains(char::is_control)
}

impl Language {
    pub const ALL: [Self; 4] = [Self::German, Self::French, Self::Spanish, Self::Chinese];

    /// The code of ISO 639-1.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
            Self::Chinese => "zh",
        }
    }

    /// The aliases that come along.
    #[must_use]
    pub fn aliases(self) -> Aliases {
        let text = match self {
            Self::German => include_str!("aliases/de.toml"),
            Self::French => include_str!("aliases/fr.toml"),
            Self::Spanish => include_str!("aliases/es.toml"),
            Self::Chinese => include_str!("aliases/zh.toml"),
        };
        Aliases::parse(text).expect("tests parse the aliases that come along")
    }
}

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(code: &str) -> Result<Self, UnknownLanguage> {
        let languages = Self::ALL.into_iter();
        let mut found = languages.filter(|language| language.code() == code);
        found.next().ok_or(UnknownLanguage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The classes of COCO whose names are the most likely to be mistranslated, and those that only the snacks have.
    const CHECKED: [&str; 8] = [
        "person",
        "bench",
        "mouse",
        "tie",
        "hot dog",
        "cell phone",
        "watermelon",
        "doughnut",
    ];

    #[test]
    fn a_class_has_its_alias_or_none() {
        let text = "cat = \"Katze\"\n\"hot dog\" = 'Hotdog'\ncar = \"Auto\"\ntruck = \"Auto\"\n";
        let aliases = Aliases::parse(text).expect("valid");
        assert_eq!(aliases.get("cat"), Some("Katze"));
        assert_eq!(aliases.get("hot dog"), Some("Hotdog"));
        assert_eq!((aliases.get("Katze"), aliases.get("dog")), (None, None));
        let classes: Vec<&str> = aliases.classes_of("Auto").collect();
        assert_eq!(classes, ["car", "truck"]);
        assert_eq!(aliases.classes_of("auto").count(), 0);
        assert_eq!(Aliases::parse("# none\n"), Ok(Aliases::default()));
    }

    #[test]
    fn an_invalid_file_is_an_error_that_names_the_line_or_the_class() {
        let message = |text: &str| Aliases::parse(text).expect_err("invalid").to_string();
        assert!(message("cat = \"Katze\"\nhot dog = \"x\"\n").starts_with("line 2: "));
        assert!(message("cat = \"a\"\ncat = \"b\"\n").starts_with("line 2: "));
        assert!(message("cat: Katze").starts_with("line 1: "));
        assert!(message("cat = 5").contains("the alias of \"cat\" is not text"));
        assert!(message("[labels]\ncat = \"a\"").contains("the alias of \"labels\" is not text"));
        for blank in ["", "  ", "a\\nb"] {
            let text = format!("cat = \"{blank}\"");
            assert!(message(&text).contains("\"cat\" is blank"), "{blank}");
        }
    }

    #[test]
    fn each_language_has_all_classes_of_the_models_that_ship() {
        let german = Language::German.aliases();
        let classes: Vec<&String> = german.by_class.keys().collect();
        assert_eq!(classes.len(), 80 + 14);
        for language in Language::ALL {
            let aliases = language.aliases();
            let own: Vec<&String> = aliases.by_class.keys().collect();
            assert_eq!(own, classes, "{language:?}");
            assert_eq!(language.code().parse(), Ok(language));
            for alias in aliases.by_class.values() {
                assert_eq!(alias.trim(), alias, "{language:?}");
            }
        }
        assert_eq!("en".parse::<Language>(), Err(UnknownLanguage));
    }

    #[test]
    fn ambiguous_names_have_the_sense_of_the_class() {
        let expected = [
            ["Person", "personne", "persona", "人"],
            ["Bank", "banc", "banco", "长椅"],
            ["Maus", "souris", "ratón", "鼠标"],
            ["Krawatte", "cravate", "corbata", "领带"],
            ["Hotdog", "hot-dog", "perrito caliente", "热狗"],
            ["Handy", "téléphone portable", "teléfono móvil", "手机"],
            ["Wassermelone", "pastèque", "sandía", "西瓜"],
            ["Donut", "donut", "dónut", "甜甜圈"],
        ];
        for (class, expected) in CHECKED.into_iter().zip(expected) {
            let found = Language::ALL.map(Language::aliases);
            let found = found.each_ref().map(|aliases| aliases.get(class));
            assert_eq!(found, expected.map(Some), "{class}");
        }
    }
}
