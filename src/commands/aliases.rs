//! Loads the aliases that `--aliases` chooses.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxcam::label::Labels;
use boxcam::label::aliases::{Aliases, AliasesError, Language};
use boxcam::options::AliasChoice;
use boxcam::overlay;
use boxcam::text::{self, TextError};
use boxcam::warn;
use thiserror::Error;

/// A file of aliases that can't be used.
#[derive(Debug, Error)]
pub(crate) enum AliasFileError {
    #[error("aliases {}: {source}; the languages that come along are {}", file.display(), languages())]
    Read { file: PathBuf, source: TextError },
    #[error("aliases {}: {source}", file.display())]
    Parse { file: PathBuf, source: AliasesError },
}

fn languages() -> String {
    Language::ALL.map(Language::code).join(", ")
}

/// The chosen aliases, or none. Prints a warning if the model has none of their classes.
pub(super) fn load(
    choice: Option<&AliasChoice>,
    labels: &Labels,
) -> Result<Arc<Aliases>, AliasFileError> {
    let aliases = match choice {
        None => return Ok(Arc::default()),
        Some(AliasChoice::Language(language)) => language.aliases(),
        Some(AliasChoice::File(file)) => read(file)?,
    };
    if labels.iter().all(|class| aliases.get(class).is_none()) {
        warn!("--aliases: the model has none of these classes; its labels stay as they are");
    }
    Ok(Arc::new(aliases))
}

fn read(file: &Path) -> Result<Aliases, AliasFileError> {
    let text = text::read(file).map_err(|source| AliasFileError::Read {
        file: file.to_owned(),
        source,
    })?;
    Aliases::parse(&text).map_err(|source| AliasFileError::Parse {
        file: file.to_owned(),
        source,
    })
}

/// Prints a warning if pictures can't show some aliases, because their fonts lack a character.
pub(super) fn warn_of_missing_characters(aliases: &Aliases, labels: &Labels) {
    if let Some(message) = missing_characters(aliases, labels) {
        warn!("{message}");
    }
}

fn missing_characters(aliases: &Aliases, labels: &Labels) -> Option<String> {
    let of_model = labels
        .iter()
        .filter_map(|class| Some((class, aliases.get(class)?)));
    let missing: Vec<(&str, &str)> = of_model
        .filter(|(_, alias)| !overlay::can_draw(alias))
        .collect();
    let (class, alias) = missing.first()?;
    Some(format!(
        "--aliases: the fonts of pictures lack characters for {} of the {} labels, as \"{alias}\"; pictures show the \
         class's own name, as \"{class}\"",
        missing.len(),
        labels.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        Labels::new(["cat", "dog", "unicorn"].map(str::to_owned).to_vec()).expect("valid")
    }

    #[test]
    fn aliases_that_pictures_cannot_show_are_reported_once() {
        let message = |language: Language| missing_characters(&language.aliases(), &labels());
        let chinese = message(Language::Chinese).expect("missing");
        assert!(
            chinese.contains("for 2 of the 3 labels, as \"猫\";"),
            "{chinese}"
        );
        for european in [Language::German, Language::French, Language::Spanish] {
            assert_eq!(message(european), None);
        }
    }

    #[test]
    fn a_file_that_is_missing_or_wrong_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("it.toml");
        let message = |file: &Path| {
            let choice = AliasChoice::File(file.to_owned());
            load(Some(&choice), &labels())
                .expect_err("unusable")
                .to_string()
        };
        let missing = message(&file);
        assert!(missing.contains("it.toml: can't be read"), "{missing}");
        assert!(
            missing.contains("come along are de, fr, es, zh"),
            "{missing}"
        );
        std::fs::write(&file, "cat = gatto").expect("written");
        assert!(message(&file).contains("it.toml: line 1: "));
        std::fs::write(&file, "cat = \"gatto\"").expect("written");
        let aliases = load(Some(&AliasChoice::File(file)), &labels()).expect("valid");
        assert_eq!(aliases.get("cat"), Some("gatto"));
    }
}
