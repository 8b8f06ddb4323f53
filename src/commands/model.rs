//! Loads the model of a command: the one that was given by name or file, else the one beside the program, else the
//! built-in one. Reloads a model file that changes during a run.

use std::fs::Metadata;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::available_parallelism;
use std::time::{Duration, SystemTime};

use boxcam::card::ModelCard;
use boxcam::detect::Detector;
use boxcam::detect::tract::{EngineOptions, ModelError, TractDetector};
use boxcam::golden::{self, Agreement, GoldenError};
use boxcam::health::Health;
use boxcam::model_choice::ModelChoice;
use boxcam::{info, warn};
use thiserror::Error;

use super::Failure;

pub(super) mod catalog;

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

/// How often the model file is checked. It is loaded when it is the same at two checks, so that a copy in progress is
/// not loaded.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A changed model file that is not used.
#[derive(Debug, Error)]
enum ReloadError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("model {}: {source}", file.display())]
    Golden { file: PathBuf, source: GoldenError },
}

/// Identifies the content of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    length: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

/// Watches a model file on a thread of its own, which ends with the receiver. Each new model has passed its golden
/// examples; the receiver gets one at a time.
pub(super) fn watch(
    file: &Path,
    running: &dyn Detector,
    engine: EngineOptions,
    health: &Arc<Health>,
) -> std::io::Result<Receiver<Box<dyn Detector>>> {
    let (sender, receiver) = sync_channel(1);
    let watcher = FileWatcher {
        file: file.to_owned(),
        running: running.model_hash().to_owned(),
        engine,
        loaded: stamp(file),
        last_seen: stamp(file),
        health: Arc::clone(health),
    };
    std::thread::Builder::new()
        .name("reload".to_owned())
        .spawn(move || watcher.run(&sender))?;
    Ok(receiver)
}

struct FileWatcher {
    file: PathBuf,
    /// Hash of the current model.
    running: String,
    engine: EngineOptions,
    loaded: Option<FileStamp>,
    last_seen: Option<FileStamp>,
    health: Arc<Health>,
}

impl FileWatcher {
    fn run(mut self, models: &SyncSender<Box<dyn Detector>>) {
        loop {
            std::thread::sleep(CHECK_INTERVAL);
            if !self.is_new_and_complete() {
                continue;
            }
            match load_verified(&self.file, self.engine) {
                // The file was touched, or replaced by the same model.
                Ok((detector, _)) if detector.model_hash() == self.running => {}
                Ok((detector, agreement)) => {
                    self.running = detector.model_hash().to_owned();
                    if models.send(detector).is_err() {
                        return;
                    }
                    info!(
                        "model {}: new model {} passed {} golden examples (max difference {:.3}), now active",
                        self.file.display(),
                        self.running,
                        agreement.examples,
                        agreement.difference
                    );
                }
                Err(error) => {
                    self.health.models_refused.add(1);
                    warn!("{error}; model {} stays active", self.running);
                }
            }
        }
    }

    /// Whether the file has changed since it was loaded, but not since the last check.
    fn is_new_and_complete(&mut self) -> bool {
        let now = stamp(&self.file);
        let is_complete = now == self.last_seen;
        self.last_seen = now;
        // A missing file is about to be replaced, or no longer needed.
        let is_new = now.is_some() && now != self.loaded;
        if is_complete && is_new {
            self.loaded = now;
        }
        is_complete && is_new
    }
}

/// Loads a model and compares it with its golden examples.
fn load_verified(
    file: &Path,
    engine: EngineOptions,
) -> Result<(Box<dyn Detector>, Agreement), ReloadError> {
    let mut detector = TractDetector::from_file_with(file, engine)?;
    let agreement = golden::check(&mut detector).map_err(|source| ReloadError::Golden {
        file: file.to_owned(),
        source,
    })?;
    Ok((Box::new(detector), agreement))
}

fn stamp(file: &Path) -> Option<FileStamp> {
    let metadata = std::fs::metadata(file).ok()?;
    Some(FileStamp {
        length: metadata.len(),
        modified: metadata.modified().ok(),
        inode: inode(&metadata),
    })
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_loaded_once_when_it_no_longer_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("model.onnx");
        std::fs::write(&file, "one").expect("written");
        let mut watcher = FileWatcher {
            file: file.clone(),
            running: String::new(),
            engine: EngineOptions::default(),
            loaded: stamp(&file),
            last_seen: stamp(&file),
            health: Arc::default(),
        };
        assert!(!watcher.is_new_and_complete(), "nothing has changed");
        std::fs::write(&file, "half of").expect("written");
        assert!(!watcher.is_new_and_complete(), "it may still grow");
        std::fs::write(&file, "half of two").expect("written");
        assert!(!watcher.is_new_and_complete(), "it has grown");
        assert!(watcher.is_new_and_complete());
        assert!(!watcher.is_new_and_complete(), "it was loaded");
        std::fs::remove_file(&file).expect("removed");
        assert!(!watcher.is_new_and_complete() && !watcher.is_new_and_complete());
    }
}
