//! The labels of all pictures of a folder, in memory and on disk.
//!
//! A change names the revision that it is based on, which is a hash of the labels ([`PictureLabels::revision`]): so it is
//! refused if somebody else has changed them since, also after the program was restarted. An accepted change is on disk
//! when [`Store::set`] returns.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use boxcam::picture::{Header, PictureError};
use serde::Serialize;
use thiserror::Error;

use super::folder_lock::FolderLock;
use super::labels::{LabelBox, LabelError, PictureLabels, new_class};
use crate::dataset::SplitName;
use crate::dataset::label_file::{LabelFile, LabelFileImage};
use crate::dataset::prepared::possible_ids;
use crate::storage;

/// The labels of a folder; no other program has them as long as this exists.
#[derive(Debug)]
pub struct Store {
    pub(super) lock: FolderLock,
    pub(super) folder: PathBuf,
    pub(super) file: PathBuf,
    pub(super) classes: Vec<String>,
    pub(super) pictures: Vec<Picture>,
    /// Labels of pictures that are not in the folder at the moment, or have another size now. They are written again, so that
    /// nothing is lost.
    pub(super) absent: Vec<LabelFileImage>,
    /// What the file was when it was read or written; `None` without a file.
    pub(super) stamp: Option<FileStamp>,
    /// The number of changes.
    pub(super) version: u64,
}

/// A picture of the folder.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Picture {
    /// Its path relative to the folder, with `/`.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// Width and height of the upright picture in pixels, once known.
    pub(super) size: Option<(u32, u32)>,
    pub(super) split: Option<SplitName>,
    /// The folder that names its class, in the formats that have one.
    pub(super) folder: Option<String>,
    /// Whether the imported annotations list it, with or without boxes.
    pub(super) is_listed: bool,
    pub(super) labels: PictureLabels,
    /// The version of the store in which its labels were changed last; 0 for those that were read.
    pub(super) changed: u64,
}

/// A picture in the list of the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PictureSummary {
    pub index: usize,
    pub name: String,
    /// Number of boxes.
    pub boxes: usize,
    /// `unlabeled`, `nothing` or `boxes`.
    pub state: &'static str,
}

/// The labels of a picture, and what they are in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PictureState {
    pub index: usize,
    pub name: String,
    /// Of the upright picture in pixels.
    pub width: u32,
    pub height: u32,
    pub revision: String,
    pub labels: PictureLabels,
}

/// A change of the labels of one picture.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct Change {
    /// The revision of the labels that were changed.
    pub revision: String,
    pub labels: PictureLabels,
}

/// Identifies the content of a file without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileStamp {
    length: u64,
    modified: Option<SystemTime>,
}

/// Why a request to the store fails. Nothing has changed then.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("there is no picture {index}; reload the page")]
    NoPicture { index: usize },
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error(transparent)]
    Invalid(#[from] LabelError),
    /// Somebody else has changed the labels since.
    #[error("{}: was labeled in another window meanwhile; its newer labels are shown", current.name)]
    Conflict { current: Box<PictureState> },
    #[error(
        "{}: was changed by another program, whose changes would be lost; end this program with Ctrl-C and start it again", path.display()
    )]
    ChangedFile { path: PathBuf },
    #[error("{}: cannot be written ({source})", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Store {
    /// The folder with the pictures.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file that holds the labels; it exists after the first change.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The number of changes so far.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The number of pictures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Whether the folder has no pictures.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// The number of pictures with labels.
    #[must_use]
    pub fn labeled(&self) -> usize {
        let labeled = |picture: &&Picture| picture.labels != PictureLabels::Unlabeled;
        self.pictures.iter().filter(labeled).count()
    }

    /// Tells other programs that try to label the folder where this one serves its page.
    pub fn describe_lock(&mut self, page: &str) {
        self.lock.describe(page);
    }

    /// The pictures that were changed after a version; all if it is `None`.
    #[must_use]
    pub fn summaries(&self, after: Option<u64>) -> Vec<PictureSummary> {
        let all = self.pictures.iter().enumerate();
        let changed = all.filter(|(_, picture)| after.is_none_or(|after| picture.changed > after));
        changed
            .map(|(index, picture)| PictureSummary {
                index,
                name: picture.name.clone(),
                boxes: picture.labels.count(),
                state: match picture.labels {
                    PictureLabels::Unlabeled => "unlabeled",
                    PictureLabels::Nothing => "nothing",
                    PictureLabels::Boxes { .. } => "boxes",
                },
            })
            .collect()
    }

    /// The picture with boxes that has this ID in a prepared data set, for each ID, if it is certain which one that is.
    #[must_use]
    pub fn find_by_ids(&self, ids: &[&str]) -> Vec<Option<usize>> {
        let mut found = vec![[Vec::new(), Vec::new()]; ids.len()];
        let with_boxes = |(_, picture): &(usize, &Picture)| picture.labels.count() > 0;
        for (index, picture) in self.pictures.iter().enumerate().filter(with_boxes) {
            let possible = possible_ids(&picture.path);
            for (id, found) in ids.iter().zip(&mut found) {
                for (possible, found) in possible.iter().zip(found) {
                    found.extend((possible == id).then_some(index));
                }
            }
        }
        let only = |[named, with_folder]: &[Vec<usize>; 2]| match (
            named.as_slice(),
            with_folder.as_slice(),
        ) {
            ([index], _) | ([], [index]) => Some(*index),
            _ => None,
        };
        found.iter().map(only).collect()
    }

    /// The path of a picture.
    ///
    /// # Errors
    /// [`StoreError::NoPicture`]
    pub fn path(&self, index: usize) -> Result<&Path, StoreError> {
        let picture = self.pictures.get(index);
        let picture = picture.ok_or(StoreError::NoPicture { index })?;
        Ok(&picture.path)
    }

    /// The labels of a picture.
    ///
    /// # Errors
    /// [`StoreError`] if there is no such picture, or it can't be read.
    pub fn state(&mut self, index: usize) -> Result<PictureState, StoreError> {
        let picture = self.pictures.get_mut(index);
        let picture = picture.ok_or(StoreError::NoPicture { index })?;
        let (width, height) = picture.read_size()?;
        Ok(PictureState {
            index,
            name: picture.name.clone(),
            width,
            height,
            revision: picture.labels.revision(),
            labels: picture.labels.clone(),
        })
    }

    /// Replaces the labels of a picture. When this returns, they are on disk.
    ///
    /// # Errors
    /// [`StoreError`]; then the labels are unchanged, on disk too.
    pub fn set(&mut self, index: usize, change: Change) -> Result<PictureState, StoreError> {
        let current = self.state(index)?;
        let size = (current.width, current.height);
        let labels = change.labels.checked(&self.classes, size)?;
        // A browser may send a request again whose answer was lost.
        if labels == current.labels {
            return Ok(current);
        }
        if change.revision != current.revision {
            let current = Box::new(current);
            return Err(StoreError::Conflict { current });
        }
        let before = std::mem::replace(&mut self.pictures[index].labels, labels);
        if let Err(error) = self.write() {
            self.pictures[index].labels = before;
            return Err(error);
        }
        self.version += 1;
        self.pictures[index].changed = self.version;
        self.state(index)
    }

    /// Adds a class, unless there is one of this name. When this returns, it is on disk.
    ///
    /// # Errors
    /// [`StoreError`]; then the classes are unchanged.
    pub fn add_class(&mut self, name: &str) -> Result<(), StoreError> {
        let Some(name) = new_class(name, &self.classes)? else {
            return Ok(());
        };
        self.classes.push(name);
        if let Err(error) = self.write() {
            self.classes.pop();
            return Err(error);
        }
        self.version += 1;
        Ok(())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let path = self.file.clone();
        if FileStamp::of(&path) != self.stamp {
            return Err(StoreError::ChangedFile { path });
        }
        let text = self.label_file()?.to_text();
        storage::write_durable(&path, text.as_bytes())
            .map_err(|source| StoreError::Write { path, source })?;
        self.stamp = FileStamp::of(&self.file);
        Ok(())
    }

    fn label_file(&mut self) -> Result<LabelFile, StoreError> {
        let mut images = Vec::new();
        for picture in &mut self.pictures {
            if picture.is_listed || picture.labels != PictureLabels::Unlabeled {
                images.extend(picture.label_file_image()?);
            }
        }
        let is_labeled = |name: &str| {
            let found = self.pictures.iter().find(|picture| picture.name == name);
            found.is_some_and(|picture| picture.labels != PictureLabels::Unlabeled)
        };
        let absent = self.absent.iter();
        images.extend(absent.filter(|image| !is_labeled(&image.name)).cloned());
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(LabelFile {
            classes: self.classes.clone(),
            images,
        })
    }
}

impl Picture {
    pub(super) fn new(name: String, path: PathBuf) -> Self {
        Self {
            name,
            path,
            size: None,
            split: None,
            folder: None,
            is_listed: false,
            labels: PictureLabels::Unlabeled,
            changed: 0,
        }
    }

    /// Width and height of the upright picture in pixels.
    pub(super) fn read_size(&mut self) -> Result<(u32, u32), PictureError> {
        match self.size {
            Some(size) => Ok(size),
            None => {
                let size = Header::read(&self.path)?.upright();
                self.size = Some(size);
                Ok(size)
            }
        }
    }

    /// `None` for one without labels that can't be read.
    fn label_file_image(&mut self) -> Result<Option<LabelFileImage>, PictureError> {
        let size = match (self.read_size(), &self.labels) {
            (Ok(size), _) => size,
            (Err(_), PictureLabels::Unlabeled) => return Ok(None),
            (Err(error), _) => return Err(error),
        };
        let pair = |labeled: &LabelBox| (labeled.class.clone(), labeled.bounds);
        let (boxes, exhaustive) = match &self.labels {
            PictureLabels::Unlabeled => (Vec::new(), None),
            PictureLabels::Nothing => (Vec::new(), Some(true)),
            PictureLabels::Boxes { boxes, exhaustive } => {
                (boxes.iter().map(pair).collect(), *exhaustive)
            }
        };
        Ok(Some(LabelFileImage {
            name: self.name.clone(),
            size,
            split: self.split,
            folder: self.folder.clone(),
            exhaustive,
            boxes,
        }))
    }
}

impl FileStamp {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = path.symlink_metadata().ok()?;
        Some(Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

#[cfg(test)]
mod tests;
