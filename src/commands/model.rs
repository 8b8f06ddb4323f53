//! Which model is used: the one that was asked for, else the one beside the program, else the built-in one.

use std::path::{Path, PathBuf};

use boxcam::detect::tract::TractDetector;

use super::Failure;

/// The name under which a model beside the program is found.
const BESIDE: &str = "boxcam.onnx";

/// Loads the model.
pub(super) fn load(asked_for: Option<&Path>) -> Result<TractDetector, Failure> {
    load_from(asked_for).map(|(detector, _)| detector)
}

/// Loads the model, and says from which file; none for the built-in one.
pub(super) fn load_from(
    asked_for: Option<&Path>,
) -> Result<(TractDetector, Option<PathBuf>), Failure> {
    let beside = beside_program();
    let file = match asked_for {
        Some(file) => file.to_owned(),
        None if beside.exists() => beside,
        None => return Ok((built_in(&beside)?, None)),
    };
    Ok((TractDetector::from_file(&file)?, Some(file)))
}

fn beside_program() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.with_file_name(BESIDE)
}

#[cfg(feature = "embedded-model")]
fn built_in(_beside: &Path) -> Result<TractDetector, Failure> {
    let bytes = include_bytes!("../../models/snacks.onnx");
    Ok(TractDetector::from_bytes("(built in)", bytes)?)
}

#[cfg(not(feature = "embedded-model"))]
fn built_in(beside: &Path) -> Result<TractDetector, Failure> {
    let beside = beside.display().to_string();
    Err(Failure::NoModel { beside })
}
