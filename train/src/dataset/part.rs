//! The splits of a data set, and how others name them.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use serde::Serialize;

/// What a picture is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// To learn from.
    Train,
    /// To choose by.
    Val,
    /// To judge by, once.
    Test,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// As folders and files of the chapter's layout are named.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }

    /// The split that a name speaks of, as in `train2017`, `valid` or `oidv6-validation-annotations-bbox.csv`.
    #[must_use]
    pub fn in_name(name: &str) -> Option<Self> {
        let lower = name.to_lowercase();
        let mut words = lower.split(|letter: char| !letter.is_ascii_alphabetic());
        words.find_map(|word| match word {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" => Some(Self::Val),
            "test" | "testing" => Some(Self::Test),
            _ => None,
        })
    }

    /// The split that one of the folders of a path speaks of, the first below `root`. A name must be that of a
    /// split and nothing else but a number: a class may be called "test tube".
    #[must_use]
    pub fn in_folders(root: &Path, path: &Path) -> Option<Self> {
        let below = path.strip_prefix(root).unwrap_or(path);
        let mut folders = below.parent()?.iter().filter_map(|folder| folder.to_str());
        folders.find_map(|folder| {
            let bare = folder.trim_end_matches(|letter: char| letter.is_ascii_digit());
            let is_word = bare.chars().all(|letter| letter.is_ascii_alphabetic());
            is_word.then(|| Self::in_name(bare)).flatten()
        })
    }
}

impl Display for Part {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_names_are_understood() {
        let cases = [
            ("instances_train2017.json", Some(Part::Train)),
            ("oidv6-validation-annotations-bbox.csv", Some(Part::Val)),
            ("valid", Some(Part::Val)),
            ("TEST", Some(Part::Test)),
            ("trainer", None),
            ("labels", None),
        ];
        for (name, part) in cases {
            assert_eq!(Part::in_name(name), part, "{name}");
        }
        let of = |path: &str| Part::in_folders(Path::new("/d/train"), Path::new(path));
        assert_eq!(of("/d/train/images/val2017/a.jpg"), Some(Part::Val));
        assert_eq!(of("/d/train/test tube/a.jpg"), None);
        assert_eq!(
            of("/d/train/a/test.jpg"),
            None,
            "the file's own name is no folder"
        );
    }
}
