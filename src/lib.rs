//! boxcam: object detection for small boards.
//!
//! A frame passes from a source through the model and the tracker to the sinks. `docs/architecture.md` shows how.
//! Modules by layer; a layer imports only lower ones, which come first.
//!
//! | layer | modules |
//! | --- | --- |
//! | values | [`geometry`], [`label`], [`address`], [`camera_choice`], [`log_lines`], [`rotation`], [`stream_url`], [`luma_grid`], [`frame`], [`card`], [`path_text`], [`run_id`], [`spelling`], [`class_selection`], [`event_command`], [`model_choice`], [`zone`] |
//! | input and output | [`walk`], [`user_folders`], [`text`], [`picture_name`], [`picture`], [`output_file`], [`scene`], [`diagnostics`], [`child_process`], [`heat`], `http_server` |
//! | source | [`source`] |
//! | detect | [`preprocess`], [`detect`], [`golden`], [`regions`], [`motion`] |
//! | track | [`track`], [`zone_monitor`] |
//! | privacy | [`privacy`] |
//! | report | [`report`], [`health`] |
//! | sink | [`overlay`], [`sink`] |
//! | pipeline | [`pipeline`] |
//! | options | [`options`] |
//! | evaluation | [`dataset`], [`evaluate`] |

pub mod address;
pub mod camera_choice;
pub mod card;
#[cfg(target_os = "linux")]
pub mod child_process;
pub mod class_selection;
pub mod dataset;
pub mod detect;
pub mod diagnostics;
pub mod evaluate;
pub mod event_command;
pub mod frame;
pub mod geometry;
pub mod golden;
pub mod health;
pub mod heat;
#[cfg(feature = "http-server")]
pub mod http_server;
pub mod label;
pub mod log_lines;
pub mod luma_grid;
pub mod model_choice;
pub mod motion;
pub mod options;
pub mod output_file;
pub mod overlay;
pub mod path_text;
pub mod picture;
pub mod picture_name;
pub mod pipeline;
pub mod preprocess;
pub mod privacy;
pub mod regions;
pub mod report;
pub mod resize;
pub mod rotation;
pub mod run_id;
#[cfg(feature = "demo")]
pub mod scene;
pub mod sink;
pub mod source;
pub mod spelling;
pub mod stream_url;
pub mod text;
pub mod track;
pub mod user_folders;
pub mod walk;
pub mod zone;
pub mod zone_monitor;
