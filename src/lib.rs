//! boxcam: cameras that see, on small boards.
//!
//! A frame goes from a source through the model to the sinks; the modules stand here in that order.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`geometry`] | a normalised box, its IoU, its pixels |
//! | [`label`] | class names and their numbers |
//! | [`address`], [`log_lines`], [`rotation`] | values that options and sinks share |
//! | [`camera_choice`] | which camera to open |
//! | [`frame`] | one picture with its place in time, and the true boxes of a made-up one |
//! | [`card`] | what travels in the model file: labels, preprocessing, figures |
//! | [`picture`] | a picture file, safely decoded and turned upright |
//! | [`scene`] | made-up pictures with known boxes, for the demo and for training |
//! | [`source`] | where frames come from: pictures, the demo, a camera |
//! | [`preprocess`] | frame to input tensor, the one door to a network |
//! | [`detect`] | input tensor to prediction to detection |
//! | [`track`] | detections to something steady that appears, changes and leaves |
//! | [`health`] | how a run is doing, in numbers |
//! | [`golden`] | holds a detector against the examples in its card |
//! | [`report`] | what is told of a frame |
//! | [`overlay`] | draws a report on a picture |
//! | [`sink`] | where reports go: JSON lines, pictures, a window |
//! | [`pipeline`] | source, model and sinks in motion, and a live source kept alive |
//! | [`dataset`] | a folder of pictures joined with the CSV of ground-truth boxes |
//! | [`evaluate`] | the metrics of a model on them |
//! | [`config`] | the command line, validated |
//! | [`diagnostics`] | messages on standard error |
//!
//! Leaves (geometry, label, frame) do no I/O. Sources know frames; sinks know frames, reports and the
//! overlay; the pipeline knows traits only; `main.rs` alone names concrete sources and sinks.

pub mod address;
pub mod camera_choice;
pub mod card;
pub mod config;
pub mod dataset;
pub mod detect;
pub mod diagnostics;
pub mod evaluate;
pub mod frame;
pub mod geometry;
pub mod golden;
pub mod health;
pub mod label;
pub mod log_lines;
pub mod overlay;
pub mod picture;
pub mod pipeline;
pub mod preprocess;
pub mod report;
pub mod rotation;
#[cfg(feature = "demo")]
pub mod scene;
pub mod sink;
pub mod source;
pub mod track;
