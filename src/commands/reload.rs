//! A model file that changes while boxcam runs is loaded beside the running model and, if it proves itself,
//! handed over; if not, the old one goes on.
//!
//! In goes the path of the file, out come detectors that have passed their own golden examples. A file is read
//! only once it has stopped growing, so that a copy in progress is no broken model.

use boxcam::warn;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use boxcam::detect::Detector;
use boxcam::detect::tract::{EngineOptions, TractDetector};
use boxcam::golden;
use boxcam::health::Health;

/// How often the file is looked at; it must look the same twice in a row.
const EVERY: Duration = Duration::from_secs(1);

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

/// Watches a model file from now on, until nobody takes models any more.
pub(super) fn watch(
    file: &Path,
    running: &str,
    options: EngineOptions,
    health: &Arc<Health>,
) -> std::io::Result<Receiver<Box<dyn Detector>>> {
    let (sender, receiver) = sync_channel(1);
    let watcher = Watcher {
        file: file.to_owned(),
        running: running.to_owned(),
        options,
        loaded: stamp(file),
        seen: stamp(file),
        health: Arc::clone(health),
    };
    std::thread::Builder::new()
        .name("model".to_owned())
        .spawn(move || watcher.run(&sender))?;
    Ok(receiver)
}

struct Watcher {
    file: PathBuf,
    /// Hash of the model in use.
    running: String,
    options: EngineOptions,
    loaded: Option<Stamp>,
    seen: Option<Stamp>,
    health: Arc<Health>,
}

impl Watcher {
    fn run(mut self, to: &SyncSender<Box<dyn Detector>>) {
        loop {
            std::thread::sleep(EVERY);
            if !self.has_settled_anew() {
                continue;
            }
            match load(&self.file, self.options) {
                // Touched or copied over itself.
                Ok(detector) if detector.model_hash() == self.running => {}
                Ok(detector) => {
                    self.running = detector.model_hash().to_owned();
                    if to.send(detector).is_err() {
                        return;
                    }
                }
                Err(message) => {
                    self.health.models_refused.add(1);
                    let running = &self.running;
                    warn!("{message}; model {running} goes on");
                }
            }
        }
    }

    /// Whether the file has changed since it was last loaded, and not since it was last looked at.
    fn has_settled_anew(&mut self) -> bool {
        let now = stamp(&self.file);
        let has_settled = now == self.seen;
        self.seen = now;
        // A file that is gone is about to be replaced, or not needed any more.
        let is_new = now.is_some() && now != self.loaded;
        if has_settled && is_new {
            self.loaded = now;
        }
        has_settled && is_new
    }
}

fn load(file: &Path, options: EngineOptions) -> Result<Box<dyn Detector>, String> {
    let mut detector =
        TractDetector::from_file_with(file, options).map_err(|error| error.to_string())?;
    let name = file.display();
    let agreement =
        golden::check(&mut detector).map_err(|error| format!("model {name}: {error}"))?;
    let hash = detector.model_hash();
    warn!(
        "model {name} has changed to {hash}: {} golden examples agree within {:.3}, it is taken in",
        agreement.examples, agreement.difference
    );
    Ok(Box::new(detector))
}

fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(file).ok()?;
    Some(Stamp {
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
    fn a_file_is_looked_at_once_it_has_settled() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("model.onnx");
        std::fs::write(&file, "one").expect("written");
        let mut watcher = Watcher {
            file: file.clone(),
            running: String::new(),
            options: EngineOptions::default(),
            loaded: stamp(&file),
            seen: stamp(&file),
            health: Arc::default(),
        };
        assert!(!watcher.has_settled_anew(), "nothing has changed");
        std::fs::write(&file, "half of").expect("written");
        assert!(!watcher.has_settled_anew(), "it may still grow");
        std::fs::write(&file, "half of two").expect("written");
        assert!(!watcher.has_settled_anew(), "it has grown");
        assert!(watcher.has_settled_anew());
        assert!(!watcher.has_settled_anew(), "once is enough");
        std::fs::remove_file(&file).expect("removed");
        assert!(!watcher.has_settled_anew() && !watcher.has_settled_anew());
    }
}
