//! Names of files and folders in a prepared data set: safe on any system, and no two the same.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Dataset, Picture};

/// A name that may be that of a file or folder on any system, and stands in a CSV without loss.
pub(super) fn safe(name: &str) -> String {
    let forbidden = |letter: char| letter.is_control() || "/\\:*?\"<>|".contains(letter);
    let plain: String = name
        .trim()
        .chars()
        .map(|letter| if forbidden(letter) { '-' } else { letter })
        .collect();
    let plain = plain.trim_end_matches(['.', ' ']);
    // Hidden files are looked for nowhere.
    let rest = plain.trim_start_matches('.');
    match (rest.len() == plain.len(), rest.is_empty()) {
        (_, true) => "-".to_owned(),
        (true, false) => plain.to_owned(),
        (false, false) => format!("-{rest}"),
    }
}

/// Names for pictures that are unique in the whole data set: the file's own, where no other file has it, else one
/// with the folder's before it, else one with a number behind it.
pub(super) struct Ids {
    shared: BTreeSet<String>,
    taken: BTreeSet<String>,
}

impl Ids {
    pub(super) fn new(dataset: &Dataset) -> Self {
        let (mut once, mut shared) = (BTreeSet::new(), BTreeSet::new());
        for picture in &dataset.pictures {
            let stem = stem(picture).to_lowercase();
            if !once.insert(stem.clone()) {
                shared.insert(stem);
            }
        }
        Self {
            // Names made of two may not be those of others.
            taken: once.difference(&shared).cloned().collect(),
            shared,
        }
    }

    pub(super) fn of(&mut self, picture: &Picture) -> String {
        let stem = stem(picture);
        if !self.shared.contains(&stem.to_lowercase()) {
            return stem;
        }
        let folder = picture
            .path
            .parent()
            .and_then(Path::file_name)
            .unwrap_or_default();
        let longer = safe(&format!("{}-{stem}", folder.to_string_lossy()));
        let numbered = (2..).map(|number: u64| format!("{longer}-{number}"));
        let mut names = std::iter::once(longer.clone()).chain(numbered);
        let free = names.find(|name| self.taken.insert(name.to_lowercase()));
        free.unwrap_or(longer)
    }
}

fn stem(picture: &Picture) -> String {
    safe(
        &picture
            .path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_everywhere() {
        for (name, expected) in [
            ("hot dog", "hot dog"),
            ("a/b", "a-b"),
            ("..", "-"),
            ("../etc", "--etc"),
            (".hidden", "-hidden"),
            (" Käse ", "Käse"),
            ("", "-"),
            ("end.", "end"),
        ] {
            assert_eq!(safe(name), expected, "{name}");
        }
    }

    #[test]
    fn ids_are_unique() {
        let paths = [
            "a/1.jpg",
            "b/1.jpg",
            "b/1.png",
            "c/b-1.jpg",
            "c/2.jpg",
            "c/B-1.bmp",
        ];
        let pictures = paths.map(|path| Picture {
            path: path.into(),
            part: None,
            folder: None,
            rows: Vec::new(),
        });
        let dataset = Dataset {
            pictures: pictures.to_vec(),
            ..Dataset::default()
        };
        let mut ids = Ids::new(&dataset);
        let names = pictures.map(|picture| ids.of(&picture));
        let lower: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(lower.len(), paths.len(), "{names:?}");
        assert_eq!(names[4], "2");
    }
}
