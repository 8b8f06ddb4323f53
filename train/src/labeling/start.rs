//! Opens the labels of a folder: those of the last time, else the annotations that the folder has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boxcam::output_file;
use boxcam::text;
use thiserror::Error;

use super::folder_lock::{FolderLock, LockError};
use super::labels::{LabelBox, LabelError, PictureLabels, new_class, picture_name, rounded};
use super::store::{FileStamp, Picture, Store};
use crate::dataset::dropped::{DroppedBoxes, TooManyDropped};
use crate::dataset::label_file::{self, LabelFile, LabelFileImage};
use crate::dataset::pixel_frame::PixelFrame;
use crate::dataset::{
    self, DatasetFormat, ImportError, ImportedDataset, LabeledPicture, picture_files,
};

/// What a person asks for when the labeling begins.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// The format of the annotations that the folder has; detected if it is `None`.
    pub format: Option<DatasetFormat>,
    /// Classes to begin with.
    pub classes: Vec<String>,
    /// Go on without more than a tenth of the boxes.
    pub allow_dropped: bool,
}

/// Why a folder cannot be labeled.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Dropped(#[from] TooManyDropped),
    #[error("--classes: {0}")]
    Class(#[from] LabelError),
    #[error("folder {}: has no pictures; add JPEG, PNG, WebP or BMP files", path.display())]
    NoPictures { path: PathBuf },
    #[error(
        "{}: cannot be read ({reason}); restore it, or move it away to begin again", path.display()
    )]
    LabelFile { path: PathBuf, reason: String },
    #[error(
        "{}: exists and was not written by \"data label\", which would write its labels there; move it away", path.display()
    )]
    ForeignFile { path: PathBuf },
}

/// Opens the labels of a folder. Nothing is written before the first change. The messages say what was read and what
/// was left out.
///
/// # Errors
/// [`OpenError`]
pub fn open(folder: &Path, options: &StartOptions) -> Result<(Store, Vec<String>), OpenError> {
    if !folder.is_dir() {
        let path = folder.to_owned();
        return Err(ImportError::NotAFolder { path }.into());
    }
    let lock = FolderLock::take(folder)?;
    output_file::remove_abandoned(folder);
    let mut messages = Vec::new();
    let pictures = list(folder, &mut messages)?;
    let file = folder.join(label_file::FILE_NAME);
    let mut store = Store {
        lock,
        folder: folder.to_owned(),
        stamp: FileStamp::of(&file),
        file,
        classes: Vec::new(),
        pictures,
        absent: Vec::new(),
        version: 0,
    };
    if store.stamp.is_none() {
        import(&mut store, options, &mut messages)?;
    } else if label_file::is_label_file(&store.file) {
        read_again(&mut store, &mut messages)?;
    } else {
        return Err(OpenError::ForeignFile { path: store.file });
    }
    for name in &options.classes {
        store.classes.extend(new_class(name, &store.classes)?);
    }
    Ok((store, messages))
}

fn list(folder: &Path, messages: &mut Vec<String>) -> Result<Vec<Picture>, OpenError> {
    let (paths, errors) = picture_files(folder)?;
    messages.extend(errors.iter().map(|error| format!("left out: {error}")));
    let mut pictures = Vec::new();
    for path in paths {
        match picture_name(folder, &path) {
            Some(name) => pictures.push(Picture::new(name, path)),
            None => messages.push(format!(
                "left out: {}: its name is not valid Unicode; rename it",
                path.display()
            )),
        }
    }
    match pictures.is_empty() {
        true => Err(OpenError::NoPictures {
            path: folder.to_owned(),
        }),
        false => Ok(pictures),
    }
}

/// Reads the labels of the last time.
fn read_again(store: &mut Store, messages: &mut Vec<String>) -> Result<(), OpenError> {
    let path = store.file.clone();
    let failed = |reason| OpenError::LabelFile {
        path: path.clone(),
        reason,
    };
    let text = text::read(&path).map_err(|error| failed(error.to_string()))?;
    let LabelFile { classes, images } = LabelFile::parse(&text).map_err(failed)?;
    store.classes = classes;
    let names = store.pictures.iter().map(|picture| picture.name.clone());
    let indices: BTreeMap<String, usize> = names.zip(0..).collect();
    for image in images {
        let found = indices.get(&image.name);
        let picture = found.map(|index| &mut store.pictures[*index]);
        let reason = match picture {
            None => Some("is not in the folder".to_owned()),
            Some(picture) => take_labels(picture, &image, &store.classes).err(),
        };
        if let Some(reason) = reason {
            messages.push(format!(
                "{}: {reason}; its labels are kept in {}, but not shown",
                image.name,
                label_file::FILE_NAME
            ));
            store.absent.push(image);
        }
    }
    messages.push(format!(
        "read {}: {} of {} pictures are labeled",
        store.file.display(),
        store.labeled(),
        store.len()
    ));
    Ok(())
}

/// Gives a picture its labels of the last time, scaled if the picture was scaled since.
fn take_labels(
    picture: &mut Picture,
    image: &LabelFileImage,
    classes: &[String],
) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let size = picture.read_size().map_err(|error| text(&error))?;
    let mut boxes = Vec::new();
    for (class, bounds) in &image.boxes {
        let bounds = match size == image.size {
            true => *bounds,
            false => {
                let frame = PixelFrame::of(&picture.path, Some(image.size));
                let frame = frame.map_err(|error| text(&error))?;
                let [left, top, width, height] = *bounds;
                let corners = [left, left + width, top, top + height];
                let scaled = frame.normalize(corners).map_err(|error| text(&error))?;
                in_pixels(scaled.corners(), size)
            }
        };
        boxes.push(LabelBox {
            class: class.clone(),
            bounds,
        });
    }
    let labels = match (boxes.is_empty(), image.exhaustive) {
        (true, Some(true)) => PictureLabels::Nothing,
        (true, _) => PictureLabels::Unlabeled,
        (false, exhaustive) => PictureLabels::Boxes { boxes, exhaustive },
    };
    let labels = labels.checked(classes, size);
    picture.labels = labels.map_err(|error| text(&error))?;
    picture.split = image.split;
    picture.folder.clone_from(&image.folder);
    picture.is_listed = true;
    Ok(())
}

/// Imports the annotations that the folder has in any format.
fn import(
    store: &mut Store,
    options: &StartOptions,
    messages: &mut Vec<String>,
) -> Result<(), OpenError> {
    let Some((format, dataset)) = read_annotations(&store.folder, options.format, messages)? else {
        return Ok(());
    };
    for issue in &dataset.issues {
        messages.push(format!("left out: {issue}"));
    }
    let dropped = DroppedBoxes::of_annotations(&dataset);
    if !options.allow_dropped {
        dropped.check(&store.folder)?;
    }
    if dropped.dropped > 0 {
        messages.push(dropped.to_string());
    }
    for name in &dataset.classes {
        match new_class(name, &store.classes) {
            Ok(new) => store.classes.extend(new),
            // Boxes of this class were drawn before.
            Err(LabelError::OtherCase { .. }) => store.classes.push(name.clone()),
            Err(error) => messages.push(format!("left out: class \"{name}\": {error}")),
        }
    }
    let paths = store.pictures.iter().map(|picture| picture.path.clone());
    let indices: BTreeMap<PathBuf, usize> = paths.zip(0..).collect();
    for labeled in &dataset.pictures {
        let left_out = match indices.get(&labeled.path) {
            None => Some("it is not below the folder".to_owned()),
            Some(index) => take_import(&mut store.pictures[*index], labeled, &store.classes).err(),
        };
        if let Some(reason) = left_out {
            messages.push(format!("left out: {}: {reason}", labeled.path.display()));
        }
    }
    messages.push(format!(
        "imported as {}: {} of {} pictures are labeled; their files stay as they are",
        format.name(),
        store.labeled(),
        store.len()
    ));
    Ok(())
}

/// The annotations of a folder; `None` if it has pictures only.
fn read_annotations(
    folder: &Path,
    format: Option<DatasetFormat>,
    messages: &mut Vec<String>,
) -> Result<Option<(DatasetFormat, ImportedDataset)>, ImportError> {
    let read = match format {
        Some(format) => dataset::read_as(format, folder).map(|dataset| (format, dataset)),
        None => dataset::read(folder),
    };
    match read {
        // These folders may be classes, but also days or cameras.
        Ok((DatasetFormat::Folders, _)) if format.is_none() => {
            messages.push(
                "the names of folders are not read as classes; if they are, add --format folders"
                    .to_owned(),
            );
            Ok(None)
        }
        Ok(read) => Ok(Some(read)),
        Err(ImportError::UnknownFormat { .. } | ImportError::NoPictures { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn take_import(
    picture: &mut Picture,
    labeled: &LabeledPicture,
    classes: &[String],
) -> Result<(), String> {
    picture.split = labeled.split;
    picture.folder.clone_from(&labeled.folder);
    picture.is_listed = true;
    let labels = match (labeled.boxes.is_empty(), labeled.exhaustive) {
        (true, Some(true)) => PictureLabels::Nothing,
        (true, _) => PictureLabels::Unlabeled,
        (false, exhaustive) => {
            let size = picture.read_size().map_err(|error| error.to_string())?;
            let boxes = labeled.boxes.iter().map(|labeled| LabelBox {
                class: labeled.class.clone(),
                bounds: in_pixels(labeled.bounding_box.corners(), size),
            });
            // A box smaller than a pixel would make the others of its picture invalid.
            let is_valid =
                |labeled: &LabelBox| labeled.bounds[2] >= 1.0 && labeled.bounds[3] >= 1.0;
            let boxes: Vec<LabelBox> = boxes.filter(is_valid).collect();
            match boxes.is_empty() {
                true => PictureLabels::Unlabeled,
                false => PictureLabels::Boxes { boxes, exhaustive }
                    .checked(classes, size)
                    .map_err(|error| error.to_string())?,
            }
        }
    };
    picture.labels = labels;
    Ok(())
}

/// Left, top, width and height in pixels of the corners x_min, x_max, y_min, y_max.
pub(super) fn in_pixels(
    [x_min, x_max, y_min, y_max]: [f32; 4],
    (width, height): (u32, u32),
) -> [f64; 4] {
    let (width, height) = (f64::from(width), f64::from(height));
    let [x_min, x_max] = [x_min, x_max].map(|x| rounded(f64::from(x) * width));
    let [y_min, y_max] = [y_min, y_max].map(|y| rounded(f64::from(y) * height));
    [x_min, y_min, x_max - x_min, y_max - y_min].map(rounded)
}
