//! What the fuzz targets run. Each takes the bytes that come from outside, and fails on a panic, on more CPU time or on more
//! memory than its [`Bounds`] allow.

pub mod address;
mod bounds;
pub mod card;
pub mod dataset;
pub mod import;
pub mod jpeg;
pub mod mjpeg;
pub mod model;
pub mod mqtt;
pub mod options;
pub mod picture;
mod scratch;
mod stream;
pub mod web;
pub mod yuv4mpeg;

pub use bounds::Bounds;
