//! Which model is used: the one that was asked for, else the one beside the program, else the built-in one.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use boxcam::detect::tract::{EngineOptions, TractDetector};

use super::Failure;

/// The name under which a model beside the program is found.
const BESIDE: &str = "boxcam.onnx";

/// Most threads that share an inference unless more are asked for: a layer has few rows.
const MOST_THREADS: usize = 4;

/// How the model is run: with so many threads or, where nobody says how many, with all cores but one, which has frames
/// to take and to show.
pub(super) fn engine(threads: Option<NonZeroUsize>) -> EngineOptions {
    let spare = || {
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        cores.saturating_sub(1).clamp(1, MOST_THREADS)
    };
    EngineOptions {
        threads: threads.map_or_else(spare, NonZeroUsize::get),
        ..EngineOptions::default()
    }
}

/// Loads the model, to be run by one thread.
pub(super) fn load(asked_for: Option<&Path>) -> Result<TractDetector, Failure> {
    load_from(asked_for, EngineOptions::default()).map(|(detector, _)| detector)
}

/// Loads the model, and says from which file; none for the built-in one.
pub(super) fn load_from(
    asked_for: Option<&Path>,
    options: EngineOptions,
) -> Result<(TractDetector, Option<PathBuf>), Failure> {
    let beside = beside_program();
    let file = match asked_for {
        Some(file) => file.to_owned(),
        None if beside.exists() => beside,
        None => return Ok((built_in(&beside, options)?, None)),
    };
    Ok((TractDetector::from_file_with(&file, options)?, Some(file)))
}

fn beside_program() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.with_file_name(BESIDE)
}

#[cfg(feature = "embedded-model")]
fn built_in(_beside: &Path, options: EngineOptions) -> Result<TractDetector, Failure> {
    let bytes = include_bytes!("../../models/snacks.onnx");
    Ok(TractDetector::from_bytes_with(
        "(built in)",
        bytes,
        options,
    )?)
}

#[cfg(not(feature = "embedded-model"))]
fn built_in(beside: &Path, _: EngineOptions) -> Result<TractDetector, Failure> {
    let beside = beside.display().to_string();
    Err(Failure::NoModel { beside })
}
