//! Prepares a run: a Python environment with the engines, their models, and the images.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use boxcam::card::ModelCard;
use boxcam::frame::{Frame, Origin};
use boxcam::preprocess::preprocess;
use boxcam::scene::random_scene;

use crate::engine::{EngineKind, WorkerCommand};

/// Images on which the engines are compared; the first one is timed.
const IMAGES: u64 = 8;

/// The images of the model's input size, RGB, one after the other.
pub(crate) const IMAGES_FILE: &str = "images.u8";

/// The model's card, for workers that do not read it from the model.
pub(crate) const CARD_FILE: &str = "card.json";

/// One thread, in addition to each engine's own setting.
const ONE_THREAD: [&str; 3] = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];

/// The folder with all files that the workers read.
pub(crate) struct Setup {
    model: PathBuf,
    folder: PathBuf,
    python: Option<PathBuf>,
}

impl Setup {
    pub(crate) fn make(model: &Path, card: &ModelCard) -> Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
        // No file of another model may be left.
        let models = folder.join("models");
        if models.exists() {
            fs::remove_dir_all(&models)?;
        }
        fs::create_dir_all(&models)?;
        fs::write(models.join(IMAGES_FILE), images(card)?)?;
        fs::write(models.join(CARD_FILE), serde_json::to_string(card)?)?;
        let python = python(&folder.join("python"));
        if let Some(python) = &python {
            make_models(python, model, &models);
        }
        Ok(Self {
            model: model.to_owned(),
            folder: models,
            python,
        })
    }

    /// Keeps only the image that is timed, for workers whose predictions are not used.
    pub(crate) fn keep_one_image(&self) -> Result<()> {
        let file = self.folder.join(IMAGES_FILE);
        let mut pixels = fs::read(&file)?;
        pixels.truncate(pixels.len() / IMAGES as usize);
        Ok(fs::write(file, pixels)?)
    }

    /// The command of an engine's worker.
    pub(crate) fn command(&self, kind: &EngineKind) -> Result<WorkerCommand> {
        let mut command = if kind.is_python {
            let Some(python) = &self.python else {
                bail!("needs Python 3 with venv, and PyPI");
            };
            let mut command = Command::new(python);
            command.arg(script("peers.py")).arg(kind.name);
            command.arg(&self.model).arg(&self.folder);
            command
        } else {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("--model").arg(&self.model);
            command.arg("--worker").arg(kind.name).arg(&self.folder);
            command
        };
        command.envs(ONE_THREAD.map(|name| (name, "1")));
        let log = self.folder.join(format!("{}.stderr", kind.name));
        Ok(WorkerCommand { command, log })
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn images(card: &ModelCard) -> Result<Vec<u8>> {
    let (width, height) = (card.input.width, card.input.height);
    let mut pixels = Vec::new();
    for seed in 0..IMAGES {
        let frame = Frame::new(seed, Origin::Live, random_scene(seed, width, height).image);
        pixels.extend_from_slice(preprocess(&frame, card)?.pixels());
    }
    Ok(pixels)
}

/// Python in a virtual environment, kept between runs, with every engine that can be installed.
fn python(home: &Path) -> Option<PathBuf> {
    let python = home.join("bin/python");
    if !python.exists() {
        let made = run(Command::new("python3").args(["-m", "venv"]).arg(home));
        if let Err(why) = made {
            eprintln!("no Python engine is measured: python3 -m venv failed: {why:#}");
            return None;
        }
    }
    let requirements = script("requirements.txt");
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    eprintln!("installing the engines from PyPI");
    let all = run(Command::new(&python).args(pip).arg("-r").arg(&requirements));
    if all.is_err() {
        // A package without a wheel for this machine must not prevent the others.
        for package in fs::read_to_string(&requirements).ok()?.lines() {
            if let Err(why) = run(Command::new(&python).args(pip).arg(package)) {
                eprintln!("{package} is not installed: {why:#}");
            }
        }
    }
    Some(python)
}

fn make_models(python: &Path, model: &Path, folder: &Path) {
    let mut command = Command::new(python);
    command.arg(script("make_models.py")).arg(model).arg(folder);
    // No __pycache__ beside the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    match run(&mut command) {
        Ok(messages) => eprint!("{messages}"),
        Err(why) => eprintln!("models of other engines are not written: {why:#}"),
    }
}

/// Runs a command and returns its standard error; fails with its last line.
fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().display().to_string();
    let output = command.output().context(program)?;
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!(
            "{}",
            messages
                .lines()
                .last()
                .unwrap_or("it failed without a message")
        );
    }
    Ok(messages)
}
