//! The layout that `train` and `evaluate` read, written from any data set.
//!
//! In go a data set and a [`Plan`], out comes a folder: `SPLIT/CLASS/ID.ext` and `annotations-SPLIT.csv` for train, val and,
//! where there is one, test. A picture goes to the folder of [`Picture::class`]: the class that its folder named before,
//! else that of its largest box. All is written beside the place first and moved there when it is
//! complete; what lies there already is never touched.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use boxcam::dataset::COLUMNS;
use thiserror::Error;

use self::names::{Ids, safe};
use super::share::{Fate, Plan, Reason};
use super::{Dataset, Part, Picture};
use crate::storage;

mod names;

/// How pictures get to their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// As files of their own.
    Copy,
    /// As other names of the same files, which takes no room; as copies where the file system can't.
    HardLink,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Pictures and rows of each split.
    pub parts: BTreeMap<Part, (usize, usize)>,
    /// Pictures of each class and split.
    pub classes: BTreeMap<String, BTreeMap<Part, usize>>,
    /// Pictures that were left out.
    pub left_out: BTreeMap<Reason, usize>,
}

/// A data set that can't be written.
#[derive(Debug, Error)]
pub enum PreparedError {
    /// Something is there already.
    #[error("output {}: is there already and not empty; name a new folder", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// Something is where the output grows.
    #[error(
        "output {}: is there, from a preparation that was cut short or still runs; remove it or name another \
         output", path.display()
    )]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },
    /// The output would be a part of what is read.
    #[error("output {}: lies in the data set itself; name a folder outside of it", path.display())]
    Inside {
        /// The folder.
        path: PathBuf,
    },
    /// Two classes can't be told apart by the names of their folders.
    #[error(
        "classes \"{first}\" and \"{second}\" would both lie in the folder \"{folder}\"; rename one of them"
    )]
    SameFolder {
        /// One class.
        first: String,
        /// The other.
        second: String,
        /// The folder.
        folder: String,
    },
    /// Nothing would be left to learn from or to judge by.
    #[error(
        "there would be {train} pictures in train and {val} in val, expected some in each; add pictures, at least two \
         of a class that are no duplicates"
    )]
    TooFew {
        /// Pictures to learn from.
        train: usize,
        /// Pictures to judge by.
        val: usize,
    },
    /// The system refuses.
    #[error("{}: can't be written ({source}); check room and permissions", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

/// Whether a data set may be written to `output`, so that it is known before the work.
///
/// # Errors
/// [`PreparedError`] when something is there, or when it lies within `data`.
pub fn check_place(output: &Path, data: &Path) -> Result<(), PreparedError> {
    let path = || output.to_owned();
    let taken = match std::fs::read_dir(output) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => output.exists(),
    };
    if taken {
        return Err(PreparedError::Taken { path: path() });
    }
    let unfinished = growing(output);
    if unfinished.exists() {
        return Err(PreparedError::Unfinished { path: unfinished });
    }
    let absolute = std::path::absolute(output).unwrap_or_else(|_| path());
    let parent = absolute
        .ancestors()
        .skip(1)
        .find_map(|folder| folder.canonicalize().ok());
    let data = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    match parent.is_some_and(|parent| parent.starts_with(data)) {
        true => Err(PreparedError::Inside { path: path() }),
        false => Ok(()),
    }
}

/// Writes the layout. `seen` is called after each picture.
///
/// # Errors
/// [`PreparedError`], after which nothing is left of what was begun.
pub fn write(
    dataset: &Dataset,
    plan: &Plan,
    output: &Path,
    transfer: Transfer,
    seen: &dyn Fn(),
) -> Result<Summary, PreparedError> {
    let summary = summary(dataset, plan);
    let count = |part| {
        summary
            .parts
            .get(&part)
            .map_or(0, |(pictures, _)| *pictures)
    };
    let (train, val) = (count(Part::Train), count(Part::Val));
    if train == 0 || val == 0 {
        return Err(PreparedError::TooFew { train, val });
    }
    let folders = class_folders(dataset)?;
    let growing = growing(output);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PreparedError::Write { path, source }
    };
    if let Some(parent) = growing
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        std::fs::create_dir_all(parent).map_err(failed(parent))?;
    }
    std::fs::create_dir(&growing).map_err(failed(&growing))?;
    let written = fill(dataset, plan, &folders, &growing, transfer, seen)
        .and_then(|()| std::fs::rename(&growing, output).map_err(failed(output)));
    if let Err(error) = written {
        // The first error is the one to tell; that of cleaning up after it would hide it.
        let _ = std::fs::remove_dir_all(&growing);
        return Err(error);
    }
    Ok(summary)
}

/// Where the output grows until it is complete.
fn growing(output: &Path) -> PathBuf {
    let mut beside = output.as_os_str().to_owned();
    beside.push(".part");
    beside.into()
}

fn summary(dataset: &Dataset, plan: &Plan) -> Summary {
    let mut summary = Summary::default();
    for (picture, fate) in dataset.pictures.iter().zip(&plan.fates) {
        match fate {
            Fate::LeftOut(reason) => *summary.left_out.entry(*reason).or_default() += 1,
            Fate::To(part) => {
                let (pictures, rows) = summary.parts.entry(*part).or_default();
                *pictures += 1;
                *rows += picture.rows.len();
                let class = picture.class().unwrap_or_default().to_owned();
                *summary
                    .classes
                    .entry(class)
                    .or_default()
                    .entry(*part)
                    .or_default() += 1;
            }
        }
    }
    summary
}

fn fill(
    dataset: &Dataset,
    plan: &Plan,
    folders: &BTreeMap<&str, String>,
    output: &Path,
    transfer: Transfer,
    seen: &dyn Fn(),
) -> Result<(), PreparedError> {
    let mut tables: BTreeMap<Part, csv::Writer<Vec<u8>>> = BTreeMap::new();
    let mut ids = Ids::new(dataset);
    let folder_of = |class: &str| folders.get(class).cloned().unwrap_or_default();
    for (picture, fate) in dataset.pictures.iter().zip(&plan.fates) {
        if let Fate::To(part) = fate {
            let folder = folder_of(picture.class().unwrap_or_default());
            let id = ids.of(picture);
            let ending = picture
                .path
                .extension()
                .unwrap_or_default()
                .to_ascii_lowercase();
            let file = format!("{id}.{}", ending.to_string_lossy());
            let to = output.join(part.name()).join(&folder).join(file);
            put(&picture.path, &to, transfer).map_err(|source| PreparedError::Write {
                path: to.clone(),
                source,
            })?;
            let table = tables.entry(*part).or_insert_with(new_table);
            for row in &picture.rows {
                let corners = row.bounding_box.corners().map(|corner| corner.to_string());
                let names = [folder_of(&row.class), folder.clone()];
                let record = [id.clone()].into_iter().chain(corners).chain(names);
                table
                    .write_record(record)
                    .map_err(|error| in_memory(output, error.into()))?;
            }
        }
        seen();
    }
    for (part, table) in tables {
        let path = output.join(format!("annotations-{part}.csv"));
        let bytes = table
            .into_inner()
            .map_err(|error| in_memory(&path, error.into_error()))?;
        storage::write_whole(&path, &bytes)
            .map_err(|source| PreparedError::Write { path, source })?;
    }
    Ok(())
}

fn new_table() -> csv::Writer<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    // Into memory; what could fail there fails again with the first row.
    let _ = table.write_record(COLUMNS);
    table
}

fn in_memory(path: &Path, source: io::Error) -> PreparedError {
    let path = path.to_owned();
    PreparedError::Write { path, source }
}

fn put(from: &Path, to: &Path, transfer: Transfer) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // A link to a link would break when the data set moves.
    let from = from.canonicalize()?;
    if transfer == Transfer::HardLink && std::fs::hard_link(&from, to).is_ok() {
        return Ok(());
    }
    // Not fs::copy, which takes over that a file must not be written to.
    let bytes = std::fs::read(&from)?;
    std::fs::write(to, bytes)
}

/// The folder of each class: its name, with what no folder may be called replaced by `-`.
fn class_folders(dataset: &Dataset) -> Result<BTreeMap<&str, String>, PreparedError> {
    let mut folders = BTreeMap::new();
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for class in &dataset.classes {
        let folder = safe(class);
        // Some file systems don't tell upper from lower case.
        if let Some(first) = taken
            .insert(folder.to_lowercase(), class)
            .filter(|first| first != class)
        {
            return Err(PreparedError::SameFolder {
                first: first.to_owned(),
                second: class.clone(),
                folder,
            });
        }
        folders.insert(class.as_str(), folder);
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_share_a_folder_are_refused() {
        let dataset = Dataset {
            classes: vec!["a/b".to_owned(), "A-b".to_owned()],
            ..Dataset::default()
        };
        let said = class_folders(&dataset).expect_err("refused").to_string();
        assert!(said.contains("\"a/b\" and \"A-b\""), "{said}");
    }
}
