//! Writes a data set in the layout that training and evaluation read.
//!
//! An [`ImportedDataset`] and a [`SplitPlan`] become a folder with `SPLIT/CLASS/ID.EXTENSION` and `annotations-SPLIT.csv`
//! for train, val and, if there is one, test. `CLASS` is [`LabeledPicture::class`]. Everything is written to a temporary folder
//! beside the output, which is renamed when it is complete; existing files are never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use boxcam::dataset::{COLUMNS, EXHAUSTIVE_COLUMN};
use boxcam::diagnostics::writing_advice;
use thiserror::Error;

use super::imported::{ImportedDataset, LabeledPicture, SplitName};
use super::splits::{Assignment, ExclusionReason, SplitPlan};
use crate::storage;

/// How picture files are transferred to the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    Copy,
    /// Takes no space; falls back to a copy if the file system does not support it.
    HardLink,
}

/// Counts of what was written and excluded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PreparedSummary {
    /// Number of pictures and of boxes per split.
    pub splits: BTreeMap<SplitName, (usize, usize)>,
    /// Number of pictures per class and split.
    pub classes: BTreeMap<String, BTreeMap<SplitName, usize>>,
    /// Number of excluded pictures per reason.
    pub excluded: BTreeMap<ExclusionReason, usize>,
}

/// A prepared data set that cannot be written.
#[derive(Debug, Error)]
pub enum PreparedError {
    #[error("output {}: already exists and is not empty; choose a new folder", path.display())]
    OutputExists { path: PathBuf },
    /// The temporary folder exists.
    #[error(
        "output {}: exists, from a conversion that was interrupted or is still running; remove it or choose another \
         output", path.display()
    )]
    Unfinished { path: PathBuf },
    /// The output would become part of the input.
    #[error("output {}: is inside the data set; choose a folder outside of it", path.display())]
    InsideInput { path: PathBuf },
    /// Two classes would get the same folder name.
    #[error(
        "classes \"{first}\" and \"{second}\" would both get the folder \"{folder}\"; rename one of them"
    )]
    SameFolder {
        first: String,
        second: String,
        folder: String,
    },
    /// Training and validation each need at least one picture.
    #[error(
        "train would have {train} pictures and val {val}, expected at least one in each; add pictures, at least two per class \
         that are not duplicates"
    )]
    TooFew { train: usize, val: usize },
    #[error("{}: cannot be written ({source}); {}", path.display(), writing_advice(source))]
    Write { path: PathBuf, source: io::Error },
}

/// Checks the output folder before the long work of fingerprinting.
///
/// # Errors
/// [`PreparedError`] if `output` exists and is not empty, or is inside `data`.
pub fn check_output(output: &Path, data: &Path) -> Result<(), PreparedError> {
    let path = || output.to_owned();
    let exists = match std::fs::read_dir(output) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => output.exists(),
    };
    if exists {
        return Err(PreparedError::OutputExists { path: path() });
    }
    let unfinished = temporary_folder(output);
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
        true => Err(PreparedError::InsideInput { path: path() }),
        false => Ok(()),
    }
}

/// Writes the prepared data set. `on_picture` is called after each picture.
///
/// # Errors
/// [`PreparedError`]; the temporary folder is removed.
pub fn write(
    dataset: &ImportedDataset,
    plan: &SplitPlan,
    output: &Path,
    transfer: Transfer,
    on_picture: &dyn Fn(),
) -> Result<PreparedSummary, PreparedError> {
    let summary = summarize(dataset, plan);
    let count = |split| {
        summary
            .splits
            .get(&split)
            .map_or(0, |(pictures, _)| *pictures)
    };
    let (train, val) = (count(SplitName::Train), count(SplitName::Val));
    if train == 0 || val == 0 {
        return Err(PreparedError::TooFew { train, val });
    }
    let folders = class_folders(dataset)?;
    let temporary = temporary_folder(output);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PreparedError::Write { path, source }
    };
    if let Some(parent) = temporary
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        std::fs::create_dir_all(parent).map_err(failed(parent))?;
    }
    std::fs::create_dir(&temporary).map_err(failed(&temporary))?;
    let written = write_split_folders(dataset, plan, &folders, &temporary, transfer, on_picture)
        .and_then(|()| std::fs::rename(&temporary, output).map_err(failed(output)));
    if let Err(error) = written {
        // An error of the cleanup must not hide the first error.
        let _ = std::fs::remove_dir_all(&temporary);
        return Err(error);
    }
    Ok(summary)
}

/// The folder that is renamed to `output` when it is complete.
#[must_use]
pub fn temporary_folder(output: &Path) -> PathBuf {
    let mut beside = output.as_os_str().to_owned();
    beside.push(".part");
    beside.into()
}

fn summarize(dataset: &ImportedDataset, plan: &SplitPlan) -> PreparedSummary {
    let mut summary = PreparedSummary::default();
    for (picture, assignment) in dataset.pictures.iter().zip(&plan.assignments) {
        match assignment {
            Assignment::Excluded(reason) => *summary.excluded.entry(*reason).or_default() += 1,
            Assignment::To(split) => {
                let (pictures, boxes) = summary.splits.entry(*split).or_default();
                *pictures += 1;
                *boxes += picture.boxes.len();
                let class = picture.class().unwrap_or_default().to_owned();
                *summary
                    .classes
                    .entry(class)
                    .or_default()
                    .entry(*split)
                    .or_default() += 1;
            }
        }
    }
    summary
}

fn write_split_folders(
    dataset: &ImportedDataset,
    plan: &SplitPlan,
    folders: &BTreeMap<&str, String>,
    output: &Path,
    transfer: Transfer,
    on_picture: &dyn Fn(),
) -> Result<(), PreparedError> {
    let mut tables: BTreeMap<SplitName, csv::Writer<Vec<u8>>> = BTreeMap::new();
    let mut names = UniqueNames::new(dataset);
    // Most data sets leave it open, and have no such column.
    let has_exhaustive = dataset.pictures.iter().any(|p| p.exhaustive.is_some());
    let folder_of = |class: &str| folders.get(class).cloned().unwrap_or_default();
    for (picture, assignment) in dataset.pictures.iter().zip(&plan.assignments) {
        if let Assignment::To(split) = assignment {
            let folder = folder_of(picture.class().unwrap_or_default());
            let id = names.name(picture);
            let extension = picture
                .path
                .extension()
                .unwrap_or_default()
                .to_ascii_lowercase();
            let file = format!("{id}.{}", extension.to_string_lossy());
            let to = output.join(split.name()).join(&folder).join(file);
            transfer_file(&picture.path, &to, transfer).map_err(|source| PreparedError::Write {
                path: to.clone(),
                source,
            })?;
            let table = tables
                .entry(*split)
                .or_insert_with(|| new_table(has_exhaustive));
            for labeled in &picture.boxes {
                let corners = labeled
                    .bounding_box
                    .corners()
                    .map(|corner| corner.to_string());
                let classes = [folder_of(&labeled.class), folder.clone()];
                let record = [id.clone()].into_iter().chain(corners).chain(classes);
                let exhaustive = picture.exhaustive.map_or(String::new(), |e| e.to_string());
                let record = record.chain(has_exhaustive.then_some(exhaustive));
                table
                    .write_record(record)
                    .map_err(|error| write_error(output, error.into()))?;
            }
        }
        on_picture();
    }
    for (split, table) in tables {
        let path = output.join(format!("annotations-{split}.csv"));
        let bytes = table
            .into_inner()
            .map_err(|error| write_error(&path, error.into_error()))?;
        storage::write_whole(&path, &bytes)
            .map_err(|source| PreparedError::Write { path, source })?;
    }
    Ok(())
}

fn new_table(has_exhaustive: bool) -> csv::Writer<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let columns = COLUMNS.into_iter();
    let columns = columns.chain(has_exhaustive.then_some(EXHAUSTIVE_COLUMN));
    // Writing to memory cannot fail.
    let _ = table.write_record(columns);
    table
}

fn write_error(path: &Path, source: io::Error) -> PreparedError {
    let path = path.to_owned();
    PreparedError::Write { path, source }
}

fn transfer_file(from: &Path, to: &Path, transfer: Transfer) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // A hard link to a symbolic link would break when the data set moves.
    let from = from.canonicalize()?;
    if transfer == Transfer::HardLink && std::fs::hard_link(&from, to).is_ok() {
        return Ok(());
    }
    // Not fs::copy, which also copies a read-only permission.
    let bytes = std::fs::read(&from)?;
    std::fs::write(to, bytes)
}

/// The folder of each class: its name with characters that folders may not have replaced by `-`.
fn class_folders(dataset: &ImportedDataset) -> Result<BTreeMap<&str, String>, PreparedError> {
    let mut folders = BTreeMap::new();
    let mut used: BTreeMap<String, &str> = BTreeMap::new();
    for class in &dataset.classes {
        let folder = safe_name(class);
        // Some file systems ignore case.
        if let Some(first) = used
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

/// A name that is valid for a file or folder on any system, and that a CSV file preserves.
fn safe_name(name: &str) -> String {
    let forbidden = |letter: char| letter.is_control() || "/\\:*?\"<>|".contains(letter);
    let plain: String = name
        .trim()
        .chars()
        .map(|letter| if forbidden(letter) { '-' } else { letter })
        .collect();
    let plain = plain.trim_end_matches(['.', ' ']);
    // Hidden files are skipped when a data set is read.
    let rest = plain.trim_start_matches('.');
    match (rest.len() == plain.len(), rest.is_empty()) {
        (_, true) => "-".to_owned(),
        (true, false) => plain.to_owned(),
        (false, false) => format!("-{rest}"),
    }
}

/// The IDs that a picture may have in a prepared data set: its name if no other picture has it, else that with the folder.
/// Numbers that are appended to these are not among them.
#[must_use]
pub fn possible_ids(path: &Path) -> [String; 2] {
    let stem = safe_name(&path.file_stem().unwrap_or_default().to_string_lossy());
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    let longer = safe_name(&format!("{}-{stem}", folder.to_string_lossy()));
    [stem, longer]
}

/// Gives pictures names that are unique in the data set: the file's own if no other file has it, else prefixed with the
/// folder, else with a number appended.
struct UniqueNames {
    shared: BTreeSet<String>,
    taken: BTreeSet<String>,
}

impl UniqueNames {
    fn new(dataset: &ImportedDataset) -> Self {
        let (mut once, mut shared) = (BTreeSet::new(), BTreeSet::new());
        for picture in &dataset.pictures {
            let [stem, _] = possible_ids(&picture.path);
            let stem = stem.to_lowercase();
            if !once.insert(stem.clone()) {
                shared.insert(stem);
            }
        }
        Self {
            // A prefixed name may not equal the name of another file.
            taken: once.difference(&shared).cloned().collect(),
            shared,
        }
    }

    fn name(&mut self, picture: &LabeledPicture) -> String {
        let [stem, longer] = possible_ids(&picture.path);
        if !self.shared.contains(&stem.to_lowercase()) {
            return stem;
        }
        let numbered = (2..).map(|number: u64| format!("{longer}-{number}"));
        let mut names = std::iter::once(longer.clone()).chain(numbered);
        let free = names.find(|name| self.taken.insert(name.to_lowercase()));
        free.unwrap_or(longer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_on_every_system() {
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
            assert_eq!(safe_name(name), expected, "{name}");
        }
    }

    #[test]
    fn picture_names_are_unique() {
        let paths = [
            "a/1.jpg",
            "b/1.jpg",
            "b/1.png",
            "c/b-1.jpg",
            "c/2.jpg",
            "c/B-1.bmp",
        ];
        let pictures = paths.map(|path| LabeledPicture::new(path.into(), None));
        let dataset = ImportedDataset {
            pictures: pictures.to_vec(),
            ..ImportedDataset::default()
        };
        let mut unique = UniqueNames::new(&dataset);
        let names = pictures.map(|picture| unique.name(&picture));
        let lower: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(lower.len(), paths.len(), "{names:?}");
        assert_eq!(names[4], "2");
    }

    #[test]
    fn classes_that_share_a_folder_are_refused() {
        let dataset = ImportedDataset {
            classes: vec!["a/b".to_owned(), "A-b".to_owned()],
            ..ImportedDataset::default()
        };
        let message = class_folders(&dataset).expect_err("refused").to_string();
        assert!(message.contains("\"a/b\" and \"A-b\""), "{message}");
    }
}
