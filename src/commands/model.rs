//! Loads the model of a command: the one that was given by name or file, else the one beside the program, else the
//! built-in one.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;

use boxcam::card::ModelCard;
use boxcam::detect::tract::{EngineOptions, ModelError, TractDetector};
use boxcam::model_choice::ModelChoice;

use super::Failure;

pub(super) mod catalog;
pub(super) mod reload;

use catalog::{Catalog, ModelSource};

/// Maximum of the default number of threads: a layer has too few rows for more.
const MAX_DEFAULT_THREADS: usize = 4;

/// Default threads: the number of cores - 1 (one is left for capture and display), from 1 to 4.
pub(super) fn engine(threads: Option<NonZeroUsize>) -> EngineOptions {
    let default = || {
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        cores.saturating_sub(1).clamp(1, MAX_DEFAULT_THREADS)
    };
    EngineOptions {
        threads: threads.map_or_else(default, NonZeroUsize::get),
        ..EngineOptions::default()
    }
}

/// Loads the model for one thread.
pub(super) fn load(choice: Option<&ModelChoice>) -> Result<TractDetector, Failure> {
    load_from(choice, EngineOptions::default()).map(|(detector, _)| detector)
}

/// Loads the chosen model, or the default one, and returns its file; `None` for a built-in one.
pub(super) fn load_from(
    choice: Option<&ModelChoice>,
    engine: EngineOptions,
) -> Result<(TractDetector, Option<PathBuf>), Failure> {
    let catalog = Catalog::of_program();
    let source = match choice {
        Some(choice) => catalog.find(choice)?,
        None => catalog.default_model().ok_or_else(|| Failure::NoModel {
            beside: catalog.default_file().display().to_string(),
        })?,
    };
    let detector = load_source(&source, engine)?;
    let file = match source {
        ModelSource::File(file) => Some(file),
        ModelSource::BuiltIn(_) => None,
    };
    Ok((detector, file))
}

/// Checks that a model can be used with `--regions`, if that is given.
pub(super) fn check_regions(regions: bool, card: &ModelCard) -> Result<(), Failure> {
    match card.objects {
        None if regions => Err(Failure::NoObjects {
            model: card.name.clone(),
        }),
        _ => Ok(()),
    }
}

pub(super) fn load_source(
    source: &ModelSource,
    engine: EngineOptions,
) -> Result<TractDetector, ModelError> {
    match source {
        ModelSource::File(file) => TractDetector::from_file_with(file, engine),
        ModelSource::BuiltIn(model) => {
            let name = format!("{} (built in)", model.name);
            TractDetector::from_bytes_with(&name, model.bytes, engine)
        }
    }
}
