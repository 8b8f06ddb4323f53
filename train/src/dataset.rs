//! Data sets of any supported format.
//!
//! [`read`] detects the [`DatasetFormat`] of a folder and returns an [`ImportedDataset`], which is the same type for all formats.
//! An annotation that cannot be used becomes an [`ImportIssue`] with its file and line and is skipped; an
//! [`ImportError`] means that nothing could be read. Boxes in pixels are normalized to the upright picture
//! ([`pixel_frame`]). What is known in spite of how a tool wrote it is used; what is left out is counted ([`dropped`]). The readers decode only the headers of pictures; [`duplicates`] decodes their pixels. No function
//! here changes the data set that it reads.

mod coco;
pub mod dropped;
pub mod duplicates;
mod files;
mod folders;
mod format;
mod import_error;
mod imported;
pub mod inspection;
mod json;
pub mod label_file;
mod labelme;
mod open_images;
mod outline;
mod own_picture;
pub mod pixel_frame;
pub mod prepared;
pub mod review_sheets;
pub mod splits;
mod unrecognized;
mod value;
mod voc;
mod xml;
mod yolo;

#[cfg(test)]
mod field_tests;
#[cfg(test)]
mod tests;

pub use files::picture_files;
pub use format::{DatasetFormat, detect, read, read_as};
pub use import_error::{AnnotationError, ImportError, ImportIssue, Location};
pub use imported::{ImportedDataset, LabeledBox, LabeledPicture, SplitName};
