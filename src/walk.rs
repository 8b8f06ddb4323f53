//! Lists the files below a folder.
//!
//! Links are followed; a link to a folder that contains it is skipped. A link that points to nothing and a folder that
//! can't be listed are errors of their own, and the rest is listed. Skipped are hidden files and folders, and those that
//! systems add without being asked (`._photo.jpg`, `__MACOSX`, `Thumbs.db`, `@eaDir`).

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use walkdir::WalkDir;

use crate::diagnostics::reading_advice;

/// Names that systems give to files and folders of their own, in lower case.
const SYSTEM_NAMES: [&str; 9] = [
    "__macosx",
    "@eadir",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
];

/// A part of a folder that can't be listed.
#[derive(Debug, Error)]
pub enum WalkError {
    #[error(
        "link {}: can't be followed ({source}); restore the file that it points to, or remove the link", path.display()
    )]
    Link { path: PathBuf, source: io::Error },
    #[error("folder {}: can't be listed ({source}); {}", path.display(), reading_advice(source))]
    Folder { path: PathBuf, source: io::Error },
}

impl WalkError {
    /// The link or folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Link { path, .. } | Self::Folder { path, .. } => path,
        }
    }
}

/// Whether a file or folder with this name is skipped.
#[must_use]
pub fn is_skipped(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with('.') || SYSTEM_NAMES.contains(&name.to_lowercase().as_str())
}

/// The files below `root` that are `wanted`, sorted by name folder by folder, with the errors at their place among them.
///
/// `max_depth` is the number of folder levels: 1 lists the files of `root` alone. The name of `root` itself is not
/// checked. A link that can't be followed is an error if it is `wanted`, or if it has no extension and so may be a folder.
pub fn files(
    root: &Path,
    max_depth: usize,
    wanted: impl Fn(&Path) -> bool,
) -> Vec<Result<PathBuf, WalkError>> {
    let walk = WalkDir::new(root)
        .follow_links(true)
        .max_depth(max_depth)
        .sort_by_file_name();
    walk.into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !is_skipped(entry.file_name()))
        .filter_map(|entry| match entry {
            Ok(entry) => {
                let is_wanted = entry.file_type().is_file() && wanted(entry.path());
                is_wanted.then(|| Ok(entry.into_path()))
            }
            Err(error) => walk_error(root, error, &wanted).map(Err),
        })
        .collect()
}

/// `None` for a loop of links and for links that nobody asked for.
fn walk_error(
    root: &Path,
    error: walkdir::Error,
    wanted: impl Fn(&Path) -> bool,
) -> Option<WalkError> {
    let path = error.path().unwrap_or(root).to_owned();
    let is_root = error.depth() == 0;
    let source = error.into_io_error()?;
    if is_root || !path.is_symlink() {
        return Some(WalkError::Folder { path, source });
    }
    // walkdir applies the filter to entries only.
    let is_visible = !path.file_name().is_some_and(is_skipped);
    let is_wanted = is_visible && (wanted(&path) || path.extension().is_none());
    is_wanted.then_some(WalkError::Link { path, source })
}

/// The files and folders in a folder that are not skipped, sorted; none if it can't be listed.
#[must_use]
pub fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let visible = entries.filter(|entry| !is_skipped(&entry.file_name()));
    let mut paths: Vec<PathBuf> = visible.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("made");
            std::fs::write(path, "").expect("written");
        }
        root
    }

    /// Paths below the root, errors with an exclamation mark.
    fn names(root: &Path, depth: usize) -> Vec<String> {
        let below = |path: &Path| {
            let path = path.strip_prefix(root).expect("below the root");
            path.display().to_string()
        };
        let is_jpg = |path: &Path| path.extension() == Some(OsStr::new("jpg"));
        files(root, depth, is_jpg)
            .into_iter()
            .map(|found| match found {
                Ok(path) => below(&path),
                Err(error) => format!("! {}", below(error.path())),
            })
            .collect()
    }

    #[test]
    fn files_of_systems_are_skipped() {
        let root = folder_with(&[
            "a/1.jpg",
            "a/._1.jpg",
            "a/.hidden.jpg",
            "a/@eaDir/1.jpg",
            "__MACOSX/a/1.jpg",
            ".git/1.jpg",
            "Thumbs.db",
            "DESKTOP.INI",
            "a/b/2.jpg",
            "0.jpg",
        ]);
        assert_eq!(names(root.path(), 8), ["0.jpg", "a/1.jpg", "a/b/2.jpg"]);
        assert_eq!(names(root.path(), 2), ["0.jpg", "a/1.jpg"]);
        let visible = entries(root.path());
        assert_eq!(visible, [root.path().join("0.jpg"), root.path().join("a")]);
    }

    #[test]
    fn a_hidden_folder_that_is_named_is_listed() {
        let root = folder_with(&[".cache/1.jpg"]);
        assert_eq!(names(&root.path().join(".cache"), 8), ["1.jpg"]);
    }

    #[cfg(unix)]
    #[test]
    fn broken_links_are_errors_and_loops_are_not() {
        use std::os::unix::fs::symlink;
        let root = folder_with(&["a/1.jpg"]);
        for (target, link) in [
            ("nowhere.jpg", "a/0.jpg"),
            ("nowhere.jpg", "a/._0.jpg"),
            ("nowhere.txt", "a/0.txt"),
            ("/nowhere", "a/gone"),
            ("loop.jpg", "a/loop.jpg"),
            (".", "a/again"),
            ("../a", "a/parent"),
        ] {
            symlink(target, root.path().join(link)).expect("linked");
        }
        assert_eq!(
            names(root.path(), 8),
            ["! a/0.jpg", "a/1.jpg", "! a/gone", "! a/loop.jpg"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_cannot_be_listed_is_an_error() {
        use std::os::unix::fs::PermissionsExt;
        let root = folder_with(&["a/1.jpg", "b/2.jpg"]);
        let closed = root.path().join("a");
        std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o000)).expect("set");
        let listed = names(root.path(), 8);
        let is_root_user = std::fs::read_dir(&closed).is_ok();
        std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).expect("set");
        let of_a = if is_root_user { "a/1.jpg" } else { "! a" };
        assert_eq!(listed, [of_a, "b/2.jpg"]);
        let missing = files(&root.path().join("nowhere"), 8, |_| true);
        assert!(matches!(missing[..], [Err(WalkError::Folder { .. })]));
    }
}
