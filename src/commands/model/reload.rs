//! New models for a run: from its model file when that changes, or from a request to the web page.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use boxcam::class_selection::{ClassSelection, UnknownClass};
use boxcam::detect::Detector;
use boxcam::detect::tract::{EngineOptions, ModelError, TractDetector};
use boxcam::golden::{self, Agreement, GoldenError};
use boxcam::health::Health;
use boxcam::{info, warn};
use parking_lot::Mutex;
use thiserror::Error;

/// How often the model file is checked. It is loaded when it is the same at two checks, so that a copy in progress is
/// not loaded.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A model that is not used.
#[derive(Debug, Error)]
pub(crate) enum ReloadError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("model {model}: {source}")]
    Golden { model: String, source: GoldenError },
    #[error(
        "model {model} has no golden examples, so nothing proves it; add some with \
         `boxcam-train model card FILE --golden --output FILE`"
    )]
    Unproved { model: String },
    #[error("model {model}: --hide-classes: {source}")]
    Hidden { model: String, source: UnknownClass },
    #[error(
        "the model is built in, so there is no file to load again; give one with `--model FILE`"
    )]
    NoFile,
    #[error("the last new model is not in use yet; try again")]
    Busy,
    #[error("the run is ending")]
    Ended,
}

/// A model that the run uses from the next frame on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Switched {
    pub(crate) model_hash: String,
    pub(crate) agreement: Agreement,
    /// Whether it is another one than before.
    pub(crate) is_new: bool,
}

/// Loads new models, proves them by their golden examples, and passes them to a run.
pub(crate) struct ModelSwitch {
    /// `None` for a built-in model.
    file: Option<PathBuf>,
    engine: EngineOptions,
    /// The classes that each model must have.
    hidden: Option<ClassSelection>,
    health: Arc<Health>,
    /// Locked while a model is loaded, so that there is one at a time.
    state: Mutex<SwitchState>,
}

struct SwitchState {
    /// Hash of the current model.
    running: String,
    models: SyncSender<Box<dyn Detector>>,
}

/// Where a new model comes from.
enum NewModel<'a> {
    File(&'a Path),
    #[cfg_attr(
        not(feature = "web"),
        allow(dead_code, reason = "only the web page sends models")
    )]
    Bytes(&'a [u8]),
}

impl ModelSwitch {
    /// The receiver gets one model at a time.
    pub(crate) fn new(
        file: Option<PathBuf>,
        running: &dyn Detector,
        engine: EngineOptions,
        hidden: Option<ClassSelection>,
        health: Arc<Health>,
    ) -> (Arc<Self>, Receiver<Box<dyn Detector>>) {
        let (models, receiver) = sync_channel(1);
        let state = SwitchState {
            running: running.model_hash().to_owned(),
            models,
        };
        let switch = Self {
            file,
            engine,
            hidden,
            health,
            state: Mutex::new(state),
        };
        (Arc::new(switch), receiver)
    }

    /// Loads the model file again.
    pub(crate) fn reload(&self) -> Result<Switched, ReloadError> {
        let file = self.file.as_deref().ok_or(ReloadError::NoFile)?;
        self.switch_to(&NewModel::File(file))
    }

    /// Loads a model from the bytes of an ONNX file, which must have golden examples.
    #[cfg_attr(
        not(feature = "web"),
        allow(dead_code, reason = "only the web page sends models")
    )]
    pub(crate) fn install(&self, bytes: &[u8]) -> Result<Switched, ReloadError> {
        self.switch_to(&NewModel::Bytes(bytes))
    }

    fn switch_to(&self, new: &NewModel<'_>) -> Result<Switched, ReloadError> {
        let mut state = self.state.lock();
        let switched = self.load(new).and_then(|(detector, agreement)| {
            let model_hash = detector.model_hash().to_owned();
            // A file was touched, or replaced by the same model.
            let is_new = model_hash != state.running;
            if is_new {
                state
                    .models
                    .try_send(detector)
                    .map_err(|error| match error {
                        TrySendError::Full(_) => ReloadError::Busy,
                        TrySendError::Disconnected(_) => ReloadError::Ended,
                    })?;
                state.running.clone_from(&model_hash);
            }
            Ok(Switched {
                model_hash,
                agreement,
                is_new,
            })
        });
        self.report(new, &switched, &state.running);
        switched
    }

    fn load(&self, new: &NewModel<'_>) -> Result<(Box<dyn Detector>, Agreement), ReloadError> {
        let mut detector = match new {
            NewModel::File(file) => TractDetector::from_file_with(file, self.engine)?,
            NewModel::Bytes(bytes) => {
                TractDetector::from_bytes_with(&new.name(), bytes, self.engine)?
            }
        };
        if let Some(hidden) = &self.hidden {
            let known = hidden.check(&detector.card().labels);
            known.map_err(|source| ReloadError::Hidden {
                model: new.name(),
                source,
            })?;
        }
        let agreement = golden::check(&mut detector).map_err(|source| ReloadError::Golden {
            model: new.name(),
            source,
        })?;
        if agreement.examples == 0 && matches!(new, NewModel::Bytes(_)) {
            return Err(ReloadError::Unproved { model: new.name() });
        }
        Ok((Box::new(detector), agreement))
    }

    fn report(&self, new: &NewModel<'_>, switched: &Result<Switched, ReloadError>, running: &str) {
        match switched {
            Ok(Switched { is_new: false, .. }) | Err(ReloadError::Busy | ReloadError::Ended) => {}
            Ok(switched) => info!(
                "model {}: new model {} passed {} golden examples (max difference {:.3}), now active",
                new.name(),
                switched.model_hash,
                switched.agreement.examples,
                switched.agreement.difference
            ),
            Err(error) => {
                self.health.models_refused.add(1);
                warn!("{error}; model {running} stays active");
            }
        }
    }

    /// Loads the model file whenever it has changed, on a thread of its own, which ends with the run. Without a file there is
    /// nothing to watch.
    pub(crate) fn watch(self: &Arc<Self>) -> std::io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let watcher = FileWatcher::new(file.clone());
        let switch = Arc::clone(self);
        std::thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || watcher.run(&switch))?;
        Ok(())
    }
}

impl NewModel<'_> {
    /// The name in messages.
    fn name(&self) -> String {
        match self {
            Self::File(file) => file.display().to_string(),
            Self::Bytes(_) => "of the request".to_owned(),
        }
    }
}

/// Identifies the content of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    length: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

struct FileWatcher {
    file: PathBuf,
    loaded: Option<FileStamp>,
    last_seen: Option<FileStamp>,
}

impl FileWatcher {
    fn new(file: PathBuf) -> Self {
        let now = stamp(&file);
        Self {
            file,
            loaded: now,
            last_seen: now,
        }
    }

    fn run(mut self, switch: &ModelSwitch) {
        loop {
            std::thread::sleep(CHECK_INTERVAL);
            if !self.is_new_and_complete() {
                continue;
            }
            match switch.reload() {
                Err(ReloadError::Ended) => return,
                // At the next check.
                Err(ReloadError::Busy) => self.loaded = None,
                _ => {}
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
        let mut watcher = FileWatcher::new(file.clone());
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
