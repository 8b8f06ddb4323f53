//! The pictures below a folder, found by their names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boxcam::picture::is_image_path;
use walkdir::WalkDir;

use super::DatasetError;

/// How deep a data set may be nested.
const DEPTH: usize = 8;

/// All files below a folder of which `wanted` is true, sorted. Hidden folders are left alone.
pub(super) fn below(
    root: &Path,
    wanted: impl Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, DatasetError> {
    below_to(root, DEPTH, wanted)
}

/// As [`below`], but not further down than `depth`: 1 is the folder's own files.
pub(super) fn below_to(
    root: &Path,
    depth: usize,
    wanted: impl Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, DatasetError> {
    let visible = |name: &std::ffi::OsStr| !name.to_string_lossy().starts_with('.');
    let mut found = Vec::new();
    let walk = WalkDir::new(root).follow_links(true).max_depth(depth);
    let entries = walk
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || visible(entry.file_name()));
    for entry in entries {
        let entry = entry.map_err(|error| DatasetError::Folder {
            path: error.path().unwrap_or(root).to_owned(),
            source: error.into(),
        })?;
        if entry.file_type().is_file() && wanted(entry.path()) {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

/// All pictures below a folder, sorted.
pub(super) fn pictures(root: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    below(root, is_image_path)
}

/// Whether a file has that ending, in whatever case.
pub(super) fn has_ending(path: &Path, ending: &str) -> bool {
    let there = path.extension().and_then(|there| there.to_str());
    there.is_some_and(|there| there.eq_ignore_ascii_case(ending))
}

/// Pictures by their file names, so that annotations find them in whatever folder they lie.
pub(super) struct ByName(BTreeMap<String, Vec<PathBuf>>);

impl ByName {
    /// All pictures below a folder, by what `name` makes of each.
    pub(super) fn new(pictures: Vec<PathBuf>, name: fn(&Path) -> Option<&std::ffi::OsStr>) -> Self {
        let mut by_name: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for path in pictures {
            let key = name(&path)
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            by_name.entry(key).or_default().push(path);
        }
        Self(by_name)
    }

    /// The pictures of that name.
    pub(super) fn named(&self, name: &str) -> &[PathBuf] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}
