//! What the models and the trackers reach, and what other programs compute from the same files.

#[path = "../common/mod.rs"]
mod common;

mod evaluate_objects;
mod figures;
mod moving_photographs;
#[cfg(feature = "demo")]
mod onnxruntime;
mod regions;
mod track_demo;
mod tracking;
