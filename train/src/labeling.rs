//! A web page to draw boxes on the pictures of a folder.
//!
//! The [`Store`] holds the labels of all pictures and writes them to one COCO file
//! ([`crate::dataset::label_file`]) after each change, before the change is answered. [`router`] is the page and its
//! requests, [`ProposalModel`] a detector whose boxes a person may accept. Boxes are in pixels of the upright picture, as
//! [`boxcam::picture`] decodes it: the page gets pictures with an orientation as upright copies, so that what is drawn is
//! what is trained on. [`Training`] runs `fit` on the folder; its model can be tried, and sent to a board ([`board`]).

pub mod board;
mod folder_lock;
pub mod labels;
mod picture_cache;
mod proposals;
mod routes;
mod start;
mod store;
pub mod training;

pub use folder_lock::LockError;
pub use proposals::{ProposalError, ProposalModel};
pub use routes::{LabelServer, router};
pub use start::{OpenError, StartOptions, open};
pub use store::{Change, Store, StoreError};
pub use training::{Training, TrainingOptions};
