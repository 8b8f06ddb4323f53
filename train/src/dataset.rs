//! Data sets of any supported format.
//!
//! [`read`] detects the [`DatasetFormat`] of a folder and returns an [`ImportedDataset`], which is the same type for all formats.
//! An annotation that cannot be used becomes an [`ImportIssue`] with its file and line and is skipped; an
//! [`ImportError`] means that nothing could be read. Boxes in pixels are normalized to the upright picture
//! ([`pixel_frame`]). The readers decode only the headers of pictures; [`duplicates`] decodes their pixels. No function
//! here changes the data set that it reads.

mod coco;
pub mod duplicates;
mod files;
mod folders;
mod format;
mod import_error;
mod imported;
pub mod inspection;
mod open_images;
pub mod pixel_frame;
pub mod prepared;
pub mod review_sheets;
pub mod splits;
mod voc;
mod yolo;

#[cfg(test)]
mod tests;

pub use format::{DatasetFormat, detect, read, read_as};
pub use import_error::{AnnotationError, ImportError, ImportIssue, Location};
pub use imported::{ImportedDataset, LabeledBox, LabeledPicture, SplitName};
