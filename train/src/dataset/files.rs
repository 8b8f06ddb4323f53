//! Finding files of a data set by folder, extension and name.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use boxcam::picture::is_image_path;
use walkdir::WalkDir;

use super::import_error::ImportError;

/// Folder levels that are searched.
const MAX_DEPTH: usize = 8;

/// All files below a folder for which `wanted` is true, sorted. Hidden folders are skipped.
pub(super) fn find_files(
    root: &Path,
    wanted: impl Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, ImportError> {
    find_files_to_depth(root, MAX_DEPTH, wanted)
}

fn find_files_to_depth(
    root: &Path,
    depth: usize,
    wanted: impl Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, ImportError> {
    let visible = |name: &OsStr| !name.to_string_lossy().starts_with('.');
    let mut found = Vec::new();
    let walk = WalkDir::new(root).follow_links(true).max_depth(depth);
    let entries = walk
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || visible(entry.file_name()));
    for entry in entries {
        let entry = entry.map_err(|error| ImportError::ListFolder {
            path: error.path().unwrap_or(root).to_owned(),
            source: error.into(),
        })?;
        if entry.file_type().is_file() && wanted(entry.path()) {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

/// The files with an extension in a folder and its subfolders down to `depth`; depth 1 is the folder's own files.
pub(super) fn with_extension(
    root: &Path,
    depth: usize,
    extension: &str,
) -> Result<Vec<PathBuf>, ImportError> {
    find_files_to_depth(root, depth, |path| has_extension(path, extension))
}

/// All pictures below a folder, sorted.
pub(super) fn pictures(root: &Path) -> Result<Vec<PathBuf>, ImportError> {
    find_files(root, is_image_path)
}

/// Compares without regard to case.
pub(super) fn has_extension(path: &Path, extension: &str) -> bool {
    let found = path.extension().and_then(OsStr::to_str);
    found.is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

/// The first 64 KiB of a file as text; empty if it cannot be read.
pub(super) fn first_bytes(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // A file that fails here fails again, with a message, when it is read in full.
        let _ = file.take(64 * 1024).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Pictures indexed by file name, so that annotations find them in any folder.
pub(super) struct PictureIndex(BTreeMap<String, Vec<PathBuf>>);

impl PictureIndex {
    /// Indexes all pictures below a folder by `key`: [`Path::file_name`] or [`Path::file_stem`].
    pub(super) fn new(root: &Path, key: fn(&Path) -> Option<&OsStr>) -> Result<Self, ImportError> {
        let mut index: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for path in pictures(root)? {
            let name = key(&path).unwrap_or_default();
            let name = name.to_string_lossy().into_owned();
            index.entry(name).or_default().push(path);
        }
        Ok(Self(index))
    }

    pub(super) fn named(&self, name: &str) -> &[PathBuf] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}
