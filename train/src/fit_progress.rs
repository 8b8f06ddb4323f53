//! How far a `fit` is, in a file that other programs read, and the lock of its output folder.
//!
//! `progress.json` in the folder of a run has the settings, so that another program can resume the training, the step and
//! the time that is left. The figures of the epochs are in `history.csv` beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use boxcam::diagnostics::writing_advice;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::storage;

/// The file in the folder of a run.
pub const PROGRESS_FILE: &str = "progress.json";

/// Hidden, in the output folder of `fit`.
pub const LOCK_FILE: &str = ".boxcam-fit.lock";

/// The version of the file's format.
const SCHEMA: u32 = 1;

/// How often the file is written within a step.
const WRITE_INTERVAL: Duration = Duration::from_millis(500);

/// Share of the epochs from which their own time tells better than the estimate how long the rest takes.
const MEASURED_SHARE: f64 = 0.05;

/// What a `fit` does, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FitStep {
    /// Prepares the images.
    Data,
    /// Computes the features of the frozen layers.
    Features,
    Epochs,
    Quantization,
    Calibration,
    Review,
    /// The model is written.
    Finished,
}

/// The options of a `fit` that another program needs to resume it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FitSettings {
    pub name: String,
    pub recipe: String,
    pub input_size: Option<u32>,
    pub epochs: Option<u16>,
    /// Changes of the recipe, each `KEY=VALUE`.
    #[serde(default)]
    pub set: Vec<String>,
    pub seed: u64,
    /// Names of options that were given and are not among these: with them, only the same command line resumes.
    #[serde(default)]
    pub other_options: Vec<String>,
}

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitProgress {
    pub schema: u32,
    /// The folder with the images, as an absolute path.
    pub data: PathBuf,
    pub settings: FitSettings,
    pub step: FitStep,
    /// Share of the step, of an epoch in [`FitStep::Epochs`], in `0..=1`.
    pub step_share: f64,
    /// Number of complete epochs.
    pub epoch: usize,
    /// Number of all epochs.
    pub epochs: usize,
    /// The estimate of the whole training.
    pub estimate_seconds: Option<f64>,
    pub seconds_left: Option<f64>,
}

impl FitProgress {
    /// That of the `fit` with this output folder; `None` if there is none, or if it can't be read.
    #[must_use]
    pub fn of_output(output: &Path) -> Option<Self> {
        let bytes = std::fs::read(run_folder(output).join(PROGRESS_FILE)).ok()?;
        let progress: Self = serde_json::from_slice(&bytes).ok()?;
        (progress.schema == SCHEMA).then_some(progress)
    }
}

/// The folder of the run in the output folder of a `fit`.
#[must_use]
pub fn run_folder(output: &Path) -> PathBuf {
    output.join("run")
}

/// Writes the file while `fit` runs. Errors are left out: a training must not fail because nobody can see how far it is,
/// and what matters is written by others, which report the same error.
#[derive(Debug)]
pub struct ProgressFile {
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    progress: FitProgress,
    /// Parts of the present step.
    count: usize,
    total: usize,
    started: Instant,
    /// When the epochs of this process began, and the number of those before.
    epochs_began: Option<(Instant, usize)>,
    written: Instant,
}

impl ProgressFile {
    /// Writes the file for the first step.
    #[must_use]
    pub fn create(output: &Path, data: &Path, settings: FitSettings, epochs: usize) -> Self {
        let progress = FitProgress {
            schema: SCHEMA,
            data: std::path::absolute(data).unwrap_or_else(|_| data.to_owned()),
            settings,
            step: FitStep::Data,
            step_share: 0.0,
            epoch: 0,
            epochs,
            estimate_seconds: None,
            seconds_left: None,
        };
        let now = Instant::now();
        let file = Self {
            file: run_folder(output).join(PROGRESS_FILE),
            state: Mutex::new(State {
                progress,
                count: 0,
                total: 0,
                started: now,
                epochs_began: None,
                written: now,
            }),
        };
        file.state.lock().write(&file.file);
        file
    }

    /// The training takes this long.
    pub fn estimated(&self, whole: Duration) {
        let mut state = self.state.lock();
        state.started = Instant::now();
        state.progress.estimate_seconds = Some(whole.as_secs_f64());
        state.write(&self.file);
    }

    /// A step of `total` parts begins.
    pub fn begin(&self, step: FitStep, total: usize) {
        let mut state = self.state.lock();
        state.progress.step = step;
        (state.count, state.total) = (0, total);
        state.write(&self.file);
    }

    /// An epoch of `total` parts begins after `complete` others.
    pub fn begin_epoch(&self, complete: usize, total: usize) {
        let mut state = self.state.lock();
        state.progress.step = FitStep::Epochs;
        state.progress.epoch = complete;
        state.epochs_began.get_or_insert((Instant::now(), complete));
        (state.count, state.total) = (0, total);
        state.write(&self.file);
    }

    /// A part of the step is complete.
    pub fn advance(&self) {
        let mut state = self.state.lock();
        state.count += 1;
        if state.written.elapsed() >= WRITE_INTERVAL {
            state.write(&self.file);
        }
    }

    /// All epochs are complete, and this step begins.
    pub fn begin_after_epochs(&self, step: FitStep) {
        let epochs = self.state.lock().progress.epochs;
        self.state.lock().progress.epoch = epochs;
        self.begin(step, 0);
    }
}

impl State {
    fn write(&mut self, file: &Path) {
        let share = self.count as f64 / self.total.max(1) as f64;
        self.progress.step_share = share.min(1.0);
        self.progress.seconds_left = self.seconds_left();
        self.written = Instant::now();
        let json = serde_json::to_vec_pretty(&self.progress).unwrap_or_default();
        let _ = storage::write_unsynced(file, &json);
    }

    fn seconds_left(&self) -> Option<f64> {
        let progress = &self.progress;
        let estimated = || {
            let left = progress.estimate_seconds? - self.started.elapsed().as_secs_f64();
            (left > 0.0).then_some(left)
        };
        match (progress.step, self.epochs_began) {
            (FitStep::Data | FitStep::Features, _) => estimated(),
            (FitStep::Epochs, Some((began, before))) => {
                let complete = (progress.epoch - before) as f64 + progress.step_share;
                let all = (progress.epochs - before) as f64;
                match complete >= MEASURED_SHARE * all {
                    true => Some(began.elapsed().as_secs_f64() / complete * (all - complete)),
                    false => estimated(),
                }
            }
            _ => None,
        }
    }
}

/// Why an output folder can't be used.
#[derive(Debug, Error)]
pub enum OutputLockError {
    #[error(
        "{}: another boxcam-train trains in this folder; wait until it ends, or choose another output", folder.display()
    )]
    Taken { folder: PathBuf },
    #[error("{}: cannot be written ({source}); {}", path.display(), writing_advice(source))]
    Write { path: PathBuf, source: io::Error },
}

/// One `fit` at a time uses an output folder. Held until it is dropped or the program ends; the file itself remains.
#[derive(Debug)]
pub struct OutputLock {
    _file: File,
}

impl OutputLock {
    /// Locks the folder, which is created if it is missing.
    ///
    /// # Errors
    /// [`OutputLockError`]
    pub fn take(folder: &Path) -> Result<Self, OutputLockError> {
        let path = folder.join(LOCK_FILE);
        let failed = |source| OutputLockError::Write {
            path: path.clone(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OutputLockError::Taken {
                folder: folder.to_owned(),
            }),
            // Some network file systems have no locks.
            Err(TryLockError::Error(source)) if source.kind() == io::ErrorKind::Unsupported => {
                Ok(Self { _file: file })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &Path) -> FitProgress {
        FitProgress::of_output(output).expect("written")
    }

    #[test]
    fn the_file_has_the_settings_the_step_and_the_time_that_is_left() {
        let output = tempfile::tempdir().expect("a folder");
        assert_eq!(FitProgress::of_output(output.path()), None);
        let settings = FitSettings {
            recipe: "quick".to_owned(),
            set: vec!["negative_crops=0".to_owned()],
            ..FitSettings::default()
        };
        let file = ProgressFile::create(output.path(), Path::new("things"), settings.clone(), 4);
        let first = read(output.path());
        assert_eq!((first.step, first.settings), (FitStep::Data, settings));
        assert!(first.data.is_absolute() && first.data.ends_with("things"));
        assert_eq!(first.seconds_left, None);
        file.estimated(Duration::from_secs(1000));
        file.begin(FitStep::Features, 10);
        let left = read(output.path()).seconds_left.expect("estimated");
        assert!(left > 0.0 && left <= 1000.0, "{left}");
        // A resumed training: two of four epochs are complete. The rest is measured, not estimated.
        file.begin_epoch(2, 5);
        file.begin_epoch(3, 5);
        let epochs = read(output.path());
        assert_eq!((epochs.step, epochs.epoch), (FitStep::Epochs, 3));
        let left = epochs.seconds_left.expect("measured");
        assert!(left < 900.0, "{left}");
        file.begin_after_epochs(FitStep::Finished);
        let last = read(output.path());
        assert_eq!((last.step, last.epoch), (FitStep::Finished, 4));
        assert_eq!(last.seconds_left, None);
    }

    #[test]
    fn a_folder_has_one_training() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("mine");
        let lock = OutputLock::take(&folder).expect("free");
        let message = OutputLock::take(&folder).expect_err("taken").to_string();
        assert!(message.contains("another boxcam-train"), "{message}");
        drop(lock);
        OutputLock::take(&folder).expect("free again");
    }
}
