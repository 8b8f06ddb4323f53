//! boxcam: object detection for small boards.
//!
//! A frame passes from a source through the model and the tracker to the sinks. `docs/architecture.md` shows how.
//! Modules by layer; a layer imports only lower ones, which come first.
//!
//! | layer | modules |
//! | --- | --- |
//! | values | [`geometry`], [`label`], [`values`], [`camera_choice`], [`frame`], [`card`] |
//! | input and output | [`picture`], [`scene`], [`diagnostics`] |
//! | source | [`source`] |
//! | detect | [`preprocess`], [`detect`], [`golden`] |
//! | track | [`track`] |
//! | report | [`report`], [`health`] |
//! | sink | [`overlay`], [`sink`], `service` |
//! | pipeline | [`pipeline`] |
//! | options | [`options`] |
//! | evaluation | [`dataset`], [`evaluate`] |

pub mod camera_choice;
pub mod card;
pub mod options;
pub mod dataset;
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
pub mod track;
pub mod values;
