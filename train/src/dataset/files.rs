//! The files of a data set: by folder, by extension, and by the names that annotations give to pictures.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use boxcam::picture::{OtherFiles, is_image_path};
use boxcam::picture_name::{file_name, fold, spellings};
use boxcam::walk::{self, WalkError};

use super::import_error::ImportError;

/// Folder levels that are searched.
const MAX_DEPTH: usize = 8;

/// All files of a data set, sorted by path.
pub(super) struct Files {
    pub(super) root: PathBuf,
    pub(super) paths: Vec<PathBuf>,
    /// Links and folders that can't be followed.
    pub(super) errors: Vec<WalkError>,
}

impl Files {
    pub(super) fn list(root: &Path) -> Result<Self, ImportError> {
        let mut files = Self {
            root: root.to_owned(),
            paths: Vec::new(),
            errors: Vec::new(),
        };
        for found in walk::files(root, MAX_DEPTH, |_| true) {
            match found {
                Ok(path) => files.paths.push(path),
                Err(error) if error.path() == root => return Err(ImportError::ListFolder(error)),
                Err(error) => files.errors.push(error),
            }
        }
        files.paths.sort();
        Ok(files)
    }

    pub(super) fn with_extension(&self, extension: &str) -> impl Iterator<Item = &Path> {
        let paths = self.paths.iter().map(PathBuf::as_path);
        paths.filter(move |path| has_extension(path, extension))
    }

    pub(super) fn pictures(&self) -> impl Iterator<Item = &Path> {
        let paths = self.paths.iter().map(PathBuf::as_path);
        paths.filter(|path| is_image_path(path))
    }

    /// Pictures and films that boxcam does not read.
    pub(super) fn of_other_formats(&self) -> Vec<OtherFiles> {
        OtherFiles::among(self.paths.iter().map(PathBuf::as_path))
    }
}

/// The pictures of a data set, sorted by path, and what can't be listed.
///
/// # Errors
/// [`ImportError`] if the folder itself can't be listed.
pub fn picture_files(root: &Path) -> Result<(Vec<PathBuf>, Vec<WalkError>), ImportError> {
    let files = Files::list(root)?;
    let pictures = files.pictures().map(Path::to_owned).collect();
    Ok((pictures, files.errors))
}

/// Compares without regard to case.
pub(super) fn has_extension(path: &Path, extension: &str) -> bool {
    let found = path.extension().and_then(OsStr::to_str);
    found.is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

/// The name of a file as text.
pub(super) fn name_of(path: &Path) -> String {
    text(path.file_name())
}

/// The name of a file without its extension as text.
pub(super) fn stem_of(path: &Path) -> String {
    text(path.file_stem())
}

fn text(name: Option<&OsStr>) -> String {
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// Number of folders at the beginning of two paths that are the same.
pub(super) fn shared_folders(a: &Path, b: &Path) -> usize {
    a.components()
        .zip(b.components())
        .take_while(|(a, b)| a == b)
        .count()
}

/// Pictures by their folded name without extension, so that annotations find them in any folder.
pub(super) struct PictureIndex<'f>(BTreeMap<String, Vec<&'f Path>>);

/// A picture that an annotation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FoundPicture<'f> {
    pub(super) path: &'f Path,
    /// How many components at the end of the path are those that the annotation names.
    pub(super) matched: usize,
}

impl<'f> PictureIndex<'f> {
    pub(super) fn new(files: &'f Files) -> Self {
        let mut index: BTreeMap<String, Vec<&Path>> = BTreeMap::new();
        for path in files.pictures() {
            index.entry(fold(&stem_of(path))).or_default().push(path);
        }
        Self(index)
    }

    /// The picture of this very path.
    pub(super) fn with_path(&self, path: &Path) -> Option<FoundPicture<'f>> {
        let mut found = self.with_stem(&stem_of(path)).iter();
        let matched = path.components().count();
        let path = found.find(|found| **found == path)?;
        Some(FoundPicture { path, matched })
    }

    /// The pictures with this name without extension.
    pub(super) fn with_stem(&self, stem: &str) -> &[&'f Path] {
        self.0.get(&fold(stem)).map_or(&[], Vec::as_slice)
    }

    /// The picture that a name, path or URL means. Of several with the same file name: the one that matches most of the
    /// path, then the least by `rank`. A picture with another extension is found if it is the only one with that stem.
    pub(super) fn find<K: Ord>(
        &self,
        name: &str,
        rank: impl Fn(&Path) -> K,
    ) -> Option<FoundPicture<'f>> {
        let spellings = spellings(name);
        let by_name = |spelling: &String| {
            let file = file_name(spelling);
            let is_named = |path: &&&Path| match is_image_path(Path::new(file)) {
                true => fold(&name_of(path)) == fold(file),
                false => true,
            };
            let stem = match is_image_path(Path::new(file)) {
                true => stem_of(Path::new(file)),
                false => file.to_owned(),
            };
            let same_name = self.with_stem(&stem).iter().filter(is_named);
            let found = same_name.map(|path| FoundPicture {
                path,
                matched: matched_components(path, spelling),
            });
            found.min_by_key(|found| {
                let is_other_case = name_of(found.path) != file;
                (Reverse(found.matched), is_other_case, rank(found.path))
            })
        };
        let by_stem = |spelling: &String| match self.with_stem(&stem_of(Path::new(spelling))) {
            [path] => Some(FoundPicture { path, matched: 0 }),
            _ => None,
        };
        let mut by_name = spellings.iter().filter_map(by_name);
        by_name
            .next()
            .or_else(|| spellings.iter().find_map(by_stem))
    }
}

/// At least 1: the file name itself.
fn matched_components(path: &Path, spelling: &str) -> usize {
    let named = spelling
        .rsplit('/')
        .filter(|part| !matches!(*part, "" | "." | ".."));
    let components = path.iter().rev().map(|part| fold(&part.to_string_lossy()));
    let folders = named.zip(components).skip(1);
    1 + folders
        .take_while(|(named, found)| fold(named) == *found)
        .count()
}
