//! The options of the pictures that are collected for training.

use std::num::NonZeroU64;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;

use super::{InvalidValue, parse_size};

/// Pictures for training.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct CollectOptions {
    /// Save frames that are worth labelling in this folder, with the JPEGs of the camera as they came: detections of low
    /// confidence, tracks whose class is in doubt, and samples
    #[arg(id = "collect", long = "collect", value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Collect one of so many computed frames in any case [default: none]
    #[arg(id = "collect-every", long = "collect-every", value_name = "N")]
    pub every: Option<NonZeroU64>,
    /// Total size of the collected pictures, 1MB or more; the oldest are deleted
    #[arg(id = "collect-size", long = "collect-size", value_name = "SIZE", default_value = "500MB", value_parser = parse_collect_size)]
    pub size: ByteSize,
}

fn parse_collect_size(text: &str) -> Result<ByteSize, InvalidValue> {
    parse_size(text, ByteSize::mb(1), "a size of 1MB or more, as 500MB")
}
