//! boxcam: cameras that see, on small boards.
//!
//! A frame goes from a source through the model to the sinks; the modules stand here in that order.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`geometry`] | a normalised box, its IoU, its pixels |
//! | [`label`] | class names and their numbers |
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
//! | `service` | what the service manager (systemd) is told; on Linux |
//! | [`annotations`] | the CSV of true boxes |
//! | [`split`] | a folder of pictures joined with that CSV |
//! | [`evaluate`] | the figures of a model on them |
//! | [`options`] | the command line and the configuration file |
//! | [`diagnostics`] | messages on standard error |
//!
//! Leaves (geometry, label, frame) do no I/O. Sources know frames; sinks know frames, reports and the
//! overlay; the pipeline knows traits only; `main.rs` alone names concrete sources and sinks.

pub mod annotations;
pub mod camera_choice;
pub mod card;
pub mod options;
pub mod detect;
pub mod diagnostics;
pub mod evaluate;
pub mod frame;
pub mod geometry;
pub mod golden;
pub mod health;
pub mod label;
pub mod overlay;
pub mod picture;
pub mod pipeline;
pub mod preprocess;
pub mod report;
#[cfg(feature = "demo")]
pub mod scene;
#[cfg(target_os = "linux")]
pub mod service;
pub mod sink;
pub mod source;
pub mod split;
pub mod track;
pub mod values;
