//! A training that the page starts: `fit` in a process of its own.
//!
//! What it shows is read from the files of the run ([`crate::fit_progress`], `history.csv`, `review.json`), so that it is
//! the same in every window, and after the program was started again.

mod fit_process;
mod outputs;

use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::dataset::{DatasetFormat, label_file};
use crate::fit_progress::{FitProgress, FitSettings, FitStep, run_folder};
use crate::plot::history::History;
use crate::review::{REVIEW_FILE, Review};
use fit_process::{End, FitProcess};

/// The file of the model in the output folder.
const MODEL_FILE: &str = "boxcam.onnx";

/// The seed of trainings that the page starts: that of `fit`.
const SEED: u64 = 1;

/// How trainings are started.
#[derive(Debug, Clone)]
pub struct TrainingOptions {
    /// The program that has the command `fit`.
    pub program: PathBuf,
    /// The folder with the pictures.
    pub folder: PathBuf,
    /// The format of annotations that the folder has, if it was given.
    pub format: Option<DatasetFormat>,
    /// Go on without more than a tenth of the boxes.
    pub allow_dropped: bool,
}

/// What the page asks for.
#[derive(Debug, Clone, Deserialize)]
pub struct TrainingRequest {
    /// The output folder, in the folder that contains that of the pictures: its name or its absolute path.
    pub output: String,
    /// Go on with the training in the output folder, with its own settings.
    #[serde(default)]
    pub resume: bool,
    /// Name of the model.
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub recipe: String,
    #[serde(default)]
    pub input_size: Option<u32>,
    #[serde(default)]
    pub epochs: Option<u16>,
    /// Changes of the recipe, each `KEY=VALUE`.
    #[serde(default)]
    pub set: Vec<String>,
}

/// Why no training begins, or none is stopped.
#[derive(Debug, Error)]
pub enum TrainingError {
    #[error("{}: a training is running; stop it first, or wait for its end", output.display())]
    Running { output: PathBuf },
    #[error("no training is running")]
    NotRunning,
    #[error("boxcam-train is ending; start it again")]
    Closed,
    #[error("the folder for the results has no name; give one")]
    NoName,
    #[error("{}: exists and is not empty; choose another name for the results", path.display())]
    Occupied { path: PathBuf },
    #[error(
        "{}: is not beside the folder of the pictures; give a name, or use `boxcam-train fit --output`", path.display()
    )]
    Elsewhere { path: PathBuf },
    #[error("{}: is inside the folder of the pictures; choose a folder outside of it", path.display())]
    InsideFolder { path: PathBuf },
    #[error("{}: has no training of these pictures that can be resumed; start a new one", path.display())]
    NothingToResume { path: PathBuf },
    #[error("{}: the training is finished; start a new one with another name", path.display())]
    Finished { path: PathBuf },
    #[error(
        "{}: was started with {options}, which the page cannot repeat; resume it with the same command line", path.display()
    )]
    OtherOptions { path: PathBuf, options: String },
    #[error("{}: cannot be started ({source}); start boxcam-train again", program.display())]
    Start {
        program: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "the training does not react to the signal that ends it ({source}); end the process {process}"
    )]
    Stop {
        process: u32,
        source: std::io::Error,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainingState {
    /// No training yet.
    None,
    Running,
    /// It was asked to end.
    Stopping,
    /// It can be resumed.
    Stopped,
    Failed,
    Finished,
}

/// What the page shows.
#[derive(Debug, Clone, Serialize)]
pub struct TrainingStatus {
    pub state: TrainingState,
    /// The output folder.
    pub output: Option<PathBuf>,
    /// The file of the last finished model.
    pub model: Option<PathBuf>,
    pub progress: Option<FitProgress>,
    pub history: Vec<EpochFigures>,
    /// The last lines that the training has printed, if it failed.
    pub message: Option<String>,
    /// Of a finished training.
    pub review: Option<Review>,
    /// A name for the results of the next training.
    pub next_output: String,
}

/// The figures of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpochFigures {
    pub epoch: u32,
    pub loss: Option<f64>,
    pub class_accuracy: Option<f64>,
    pub mean_iou: Option<f64>,
    pub objects_ap50: Option<f64>,
}

/// The trainings of a folder, one at a time. Dropping it stops the one that is running.
#[derive(Debug)]
pub struct Training {
    options: TrainingOptions,
    present: Mutex<Present>,
}

/// The last training.
#[derive(Debug, Default)]
struct Present {
    output: Option<PathBuf>,
    process: Option<FitProcess>,
    /// How the last process ended; `None` if there was none since the program was started.
    end: Option<End>,
    /// The output folder of the last finished training: its model stays when another one begins.
    finished: Option<PathBuf>,
    /// The program is ending.
    is_closed: bool,
}

impl Present {
    /// Notices that the process has ended.
    fn update(&mut self) {
        if let Some(end) = self.process.as_mut().and_then(FitProcess::end) {
            self.end = Some(end);
            self.process = None;
            let finished = self.output.clone().filter(|output| is_finished(output));
            self.finished = finished.or_else(|| self.finished.take());
        }
    }

    fn model(&self) -> Option<PathBuf> {
        let model = self.finished.as_deref()?.join(MODEL_FILE);
        model.is_file().then_some(model)
    }

    fn state(&self) -> TrainingState {
        if let Some(process) = &self.process {
            return match process.was_asked_to_end() {
                true => TrainingState::Stopping,
                false => TrainingState::Running,
            };
        }
        let Some(output) = &self.output else {
            return TrainingState::None;
        };
        match (&self.end, is_finished(output)) {
            (_, true) => TrainingState::Finished,
            (Some(End::Failed(_)), false) => TrainingState::Failed,
            _ => TrainingState::Stopped,
        }
    }
}

fn is_finished(output: &Path) -> bool {
    let progress = FitProgress::of_output(output);
    progress.is_some_and(|p| p.step == FitStep::Finished) && output.join(MODEL_FILE).is_file()
}

impl Training {
    /// Finds the last training of the folder, if its output has the name that the page proposes.
    #[must_use]
    pub fn new(options: TrainingOptions) -> Self {
        let folder = outputs::absolute(&options.folder);
        let mut own = outputs::own(&folder);
        let finished = own.iter().rfind(|output| is_finished(output)).cloned();
        let output = own.pop();
        Self {
            options: TrainingOptions { folder, ..options },
            present: Mutex::new(Present {
                output,
                finished,
                ..Present::default()
            }),
        }
    }

    /// Starts or resumes a training.
    ///
    /// # Errors
    /// [`TrainingError`]; errors of the training itself are part of the status.
    pub fn start(&self, request: &TrainingRequest) -> Result<(), TrainingError> {
        let mut present = self.present.lock();
        present.update();
        if present.is_closed {
            return Err(TrainingError::Closed);
        }
        if let (Some(_), Some(output)) = (&present.process, &present.output) {
            let output = output.clone();
            return Err(TrainingError::Running { output });
        }
        let folder = &self.options.folder;
        let output = outputs::path(folder, &request.output)?;
        let settings = match request.resume {
            true => resumed_settings(folder, &output)?,
            false => {
                outputs::check_free(folder, &output)?;
                settings(request)
            }
        };
        let arguments = self.arguments(&output, &settings);
        let program = &self.options.program;
        let process =
            FitProcess::start(program, &arguments).map_err(|source| TrainingError::Start {
                program: program.clone(),
                source,
            })?;
        *present = Present {
            output: Some(output),
            process: Some(process),
            finished: present.finished.take(),
            ..Present::default()
        };
        Ok(())
    }

    /// Asks the training to end as Ctrl-C does. Its checkpoint stays.
    ///
    /// # Errors
    /// [`TrainingError::NotRunning`], [`TrainingError::Stop`]
    pub fn stop(&self) -> Result<(), TrainingError> {
        let mut present = self.present.lock();
        present.update();
        let process = present.process.as_mut();
        let process = process.ok_or(TrainingError::NotRunning)?;
        process.ask_to_end().map_err(|source| TrainingError::Stop {
            process: process.id(),
            source,
        })
    }

    /// Stops the training that is running, if there is one, and waits for its end. No other begins. Returns how to go on with
    /// one that was stopped.
    pub fn shut_down(&self) -> Option<String> {
        let mut present = self.present.lock();
        present.is_closed = true;
        if let Some(mut process) = present.process.take() {
            present.end = Some(process.stop_and_wait());
        }
        if present.end != Some(End::Stopped) || present.state() != TrainingState::Stopped {
            return None;
        }
        let output = present.output.as_deref()?;
        Some(format!(
            "the training was stopped {}; go on with Resume on the page, or: {}",
            complete_epochs(output),
            self.command_line(output)
        ))
    }

    /// The status.
    pub fn status(&self) -> TrainingStatus {
        let mut present = self.present.lock();
        present.update();
        let state = present.state();
        let output = present.output.clone();
        let message = match &present.end {
            Some(End::Failed(lines)) if state == TrainingState::Failed => Some(lines.clone()),
            _ => None,
        };
        let model = present.model();
        drop(present);
        let is_finished = state == TrainingState::Finished;
        let of_output = output.as_deref();
        let review = of_output.filter(|_| is_finished);
        TrainingStatus {
            state,
            model,
            progress: of_output.and_then(FitProgress::of_output),
            history: of_output.map_or_else(Vec::new, figures),
            message,
            review: review.and_then(|output| Review::beside(&run_folder(output).join(REVIEW_FILE))),
            next_output: outputs::next_name(&self.options.folder),
            output,
        }
    }

    /// The file of the last finished model, if there is one.
    pub fn model(&self) -> Option<PathBuf> {
        let mut present = self.present.lock();
        present.update();
        present.model()
    }

    fn arguments(&self, output: &Path, settings: &FitSettings) -> Vec<std::ffi::OsString> {
        let options = &self.options;
        let mut arguments = vec!["fit".into(), options.folder.clone().into_os_string()];
        arguments.extend(["--output".into(), output.into()]);
        // With "=", so that no value is taken for an option.
        let mut add = |text: String| arguments.push(text.into());
        add(format!("--name={}", settings.name));
        add(format!("--recipe={}", settings.recipe));
        add(format!("--seed={}", settings.seed));
        if let Some(size) = settings.input_size {
            add(format!("--input-size={size}"));
        }
        if let Some(epochs) = settings.epochs {
            add(format!("--epochs={epochs}"));
        }
        for change in &settings.set {
            add(format!("--set={change}"));
        }
        // The labels are in the page's own format once there are any.
        let has_labels = options.folder.join(label_file::FILE_NAME).exists();
        if let Some(format) = options.format.filter(|_| !has_labels) {
            add(format!("--format={}", format.name()));
        }
        if options.allow_dropped {
            add("--allow-dropped".to_owned());
        }
        arguments
    }

    /// The command that resumes a training.
    fn command_line(&self, output: &Path) -> String {
        let settings = FitProgress::of_output(output).map(|progress| progress.settings);
        let arguments = self.arguments(output, &settings.unwrap_or_default());
        let words = arguments.iter().map(|argument| {
            let text = argument.to_string_lossy();
            match text
                .contains(|letter: char| letter.is_whitespace() || "\"'$&;()*".contains(letter))
            {
                true => format!("'{}'", text.replace('\'', "'\\''")),
                false => text.into_owned(),
            }
        });
        let words: Vec<String> = words.collect();
        format!("boxcam-train {}", words.join(" "))
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        self.shut_down();
    }
}

fn complete_epochs(output: &Path) -> String {
    let complete = figures(output).len();
    match FitProgress::of_output(output) {
        Some(progress) if complete > 0 => format!(
            "after epoch {complete} of {}, its checkpoint is kept",
            progress.epochs
        ),
        _ => "before its first epoch was complete".to_owned(),
    }
}

fn settings(request: &TrainingRequest) -> FitSettings {
    let text = |text: &str, default: &str| match text.trim() {
        "" => default.to_owned(),
        text => text.to_owned(),
    };
    FitSettings {
        name: text(&request.name, "my model"),
        recipe: text(&request.recipe, "quick"),
        input_size: request.input_size,
        epochs: request.epochs,
        set: request.set.clone(),
        seed: SEED,
        other_options: Vec::new(),
    }
}

fn resumed_settings(folder: &Path, output: &Path) -> Result<FitSettings, TrainingError> {
    let path = output.to_owned();
    let progress =
        FitProgress::of_output(output).filter(|progress| outputs::is_same(&progress.data, folder));
    let Some(progress) = progress else {
        return Err(TrainingError::NothingToResume { path });
    };
    if is_finished(output) {
        return Err(TrainingError::Finished { path });
    }
    let options = progress.settings.other_options.join(", ");
    match options.is_empty() {
        true => Ok(progress.settings),
        false => Err(TrainingError::OtherOptions { path, options }),
    }
}

/// The epochs of the history; none if it has none yet.
fn figures(output: &Path) -> Vec<EpochFigures> {
    let history = History::read(&[run_folder(output)]).unwrap_or_default();
    let figures = history.epochs.iter().map(|epoch| EpochFigures {
        epoch: epoch.number,
        loss: epoch.value("loss"),
        class_accuracy: epoch.value("val_class_accuracy"),
        mean_iou: epoch.value("val_mean_iou"),
        objects_ap50: epoch.value("val_objects_ap50"),
    });
    figures.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training(folder: &Path) -> Training {
        Training::new(TrainingOptions {
            program: PathBuf::from("/nowhere/boxcam-train"),
            folder: folder.to_owned(),
            format: None,
            allow_dropped: false,
        })
    }

    fn request(output: &str, resume: bool) -> TrainingRequest {
        TrainingRequest {
            output: output.to_owned(),
            resume,
            name: String::new(),
            recipe: String::new(),
            input_size: None,
            epochs: Some(3),
            set: Vec::new(),
        }
    }

    fn refusal(training: &Training, request: &TrainingRequest) -> String {
        training.start(request).expect_err("refused").to_string()
    }

    /// Leaves the files of an interrupted training.
    fn interrupt(output: &Path, data: &Path, other_options: &[&str]) {
        let settings = FitSettings {
            name: "my 'model'".to_owned(),
            recipe: "quick".to_owned(),
            epochs: Some(3),
            other_options: other_options
                .iter()
                .map(|&option| option.to_owned())
                .collect(),
            ..FitSettings::default()
        };
        let _ = crate::fit_progress::ProgressFile::create(output, data, settings, 3);
    }

    #[test]
    fn nothing_that_exists_is_written_to_and_only_own_trainings_are_resumed() {
        let parent = tempfile::tempdir().expect("created");
        let folder = parent.path().join("things");
        let taken = parent.path().join("taken");
        for path in [&folder, &taken] {
            std::fs::create_dir(path).expect("created");
        }
        std::fs::write(taken.join("precious.txt"), "mine").expect("written");
        let training = training(&folder);
        assert_eq!(training.status().state, TrainingState::None);
        assert_eq!(training.status().next_output, "things-model");
        for (output, resume, part) in [
            ("", false, "give one"),
            ("taken", false, "exists and is not empty"),
            ("taken/precious.txt", false, "exists and is not empty"),
            ("things/model", false, "inside the folder"),
            ("things/../things/model", false, "inside the folder"),
            ("/elsewhere/model", false, "is not beside"),
            ("../model", false, "is not beside"),
            ("taken", true, "no training of these pictures"),
            ("none", true, "no training of these pictures"),
            (
                "things-model",
                false,
                "/nowhere/boxcam-train: cannot be started",
            ),
        ] {
            let message = refusal(&training, &request(output, resume));
            assert!(message.contains(part), "{output}: {message}");
        }
        assert_eq!(training.status().state, TrainingState::None);
        assert!(matches!(training.stop(), Err(TrainingError::NotRunning)));
        interrupt(&taken, Path::new("/elsewhere"), &[]);
        let message = refusal(&training, &request("taken", true));
        assert!(message.contains("no training of these"), "{message}");
        interrupt(&taken, &folder, &["--negatives"]);
        let message = refusal(&training, &request("taken", true));
        assert!(message.contains("--negatives"), "{message}");
    }

    #[test]
    fn an_interrupted_training_is_found_again_with_its_settings() {
        let parent = tempfile::tempdir().expect("created");
        let folder = parent.path().join("things");
        std::fs::create_dir(&folder).expect("created");
        let output = parent.path().join("things-model");
        interrupt(&output, &folder, &[]);
        let training = training(&folder);
        let status = training.status();
        assert_eq!(status.state, TrainingState::Stopped);
        assert_eq!(status.output.as_deref(), Some(output.as_path()));
        assert_eq!(status.next_output, "things-model-2");
        assert_eq!(training.model(), None);
        let command = training.command_line(&output);
        for part in [
            "fit ",
            "'--name=my '\\''model'\\'''",
            "--recipe=quick",
            "--epochs=3",
        ] {
            assert!(command.contains(part), "{command}");
        }
    }
}
