//! Names of output folders, and which of them are free.

use std::path::{Component, Path, PathBuf};

use super::TrainingError;
use crate::fit_progress::{FitProgress, LOCK_FILE};

/// Names that are tried.
const MOST_NAMES: usize = 10_000;

/// The folder that a person has named. The page has no password, so it only writes beside the folder of the pictures.
pub(super) fn path(folder: &Path, text: &str) -> Result<PathBuf, TrainingError> {
    match text.trim() {
        "" => Err(TrainingError::NoName),
        name => {
            let parent = folder.parent().unwrap_or(folder);
            let path = without_dots(&parent.join(name));
            match path.starts_with(parent) && path != parent {
                true => Ok(path),
                false => Err(TrainingError::Elsewhere { path }),
            }
        }
    }
}

/// The path of the folder with the pictures, without `..`: what a person calls its parent is that.
pub(super) fn absolute(folder: &Path) -> PathBuf {
    let has_parents = folder.components().any(|part| part == Component::ParentDir);
    let path = match has_parents {
        true => folder.canonicalize(),
        false => std::path::absolute(folder),
    };
    path.unwrap_or_else(|_| folder.to_owned())
}

/// Whether both are the same folder, maybe by a link.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| path.canonicalize().ok();
    one == other || resolved(one).is_some_and(|one| Some(one) == resolved(other))
}

/// The path without `.` and `..`.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// Checks that a new training may write to the folder.
pub(super) fn check_free(folder: &Path, output: &Path) -> Result<(), TrainingError> {
    let path = output.to_owned();
    let existing = output.ancestors().find_map(|part| part.canonicalize().ok());
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    if existing.is_some_and(|existing| existing.starts_with(&folder)) {
        return Err(TrainingError::InsideFolder { path });
    }
    match is_free(output) {
        true => Ok(()),
        false => Err(TrainingError::Occupied { path }),
    }
}

/// Whether nothing is there, or only what a training leaves that has not begun.
fn is_free(output: &Path) -> bool {
    match std::fs::read_dir(output) {
        Ok(mut entries) => {
            entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == LOCK_FILE))
        }
        // A link to nothing is something too.
        Err(_) => output.symlink_metadata().is_err(),
    }
}

/// The names that the page proposes.
fn names(folder: &Path) -> impl Iterator<Item = String> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let first = format!("{name}-model");
    let later = (2..MOST_NAMES).map({
        let first = first.clone();
        move |number| format!("{first}-{number}")
    });
    std::iter::once(first).chain(later)
}

/// The first name that is free.
pub(super) fn next_name(folder: &Path) -> String {
    let parent = folder.parent().unwrap_or(folder);
    let free = names(folder).find(|name| is_free(&parent.join(name)));
    free.unwrap_or_default()
}

/// Those of these folders that have a training of the pictures, the oldest name first.
pub(super) fn own(folder: &Path) -> Vec<PathBuf> {
    let parent = folder.parent().unwrap_or(folder);
    let existing = names(folder).map(|name| parent.join(name));
    let existing = existing.take_while(|output| !is_free(output));
    let own = existing.filter(|output| {
        FitProgress::of_output(output).is_some_and(|progress| is_same(&progress.data, folder))
    });
    own.collect()
}
