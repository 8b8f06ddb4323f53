//! What must be there before anything is measured: a Python with the engines, their models, the pictures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use boxcam::card::ModelCard;
use boxcam::frame::{Frame, Origin};
use boxcam::preprocess::preprocess;
use boxcam::scene::random_scene;

use crate::engine::{Kind, Start};

/// Pictures that the engines must agree on; the first is the one that is timed.
const PICTURES: u64 = 8;

/// The file with the pictures: of the model's size, RGB, one after the other.
pub(crate) const PICTURES_FILE: &str = "pictures.u8";

/// The file with the model's card, for workers that never load the model itself.
pub(crate) const CARD_FILE: &str = "card.json";

/// One thread, whatever an engine is built with; the workers ask each engine in its own words too.
const ONE_THREAD: [&str; 3] = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];

/// A folder with all that the workers need.
pub(crate) struct Setup {
    model: PathBuf,
    folder: PathBuf,
    python: Option<PathBuf>,
}

impl Setup {
    pub(crate) fn make(model: &Path, card: &ModelCard) -> Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
        // Of another model nothing may be left over.
        let models = folder.join("models");
        if models.exists() {
            fs::remove_dir_all(&models)?;
        }
        fs::create_dir_all(&models)?;
        fs::write(models.join(PICTURES_FILE), pictures(card)?)?;
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

    /// Leaves only the picture that is timed, for workers whose answers nobody reads.
    pub(crate) fn keep_one_picture(&self) -> Result<()> {
        let file = self.folder.join(PICTURES_FILE);
        let mut pixels = fs::read(&file)?;
        pixels.truncate(pixels.len() / PICTURES as usize);
        Ok(fs::write(file, pixels)?)
    }

    /// What starts an engine's worker.
    pub(crate) fn command(&self, kind: &Kind) -> Result<Start> {
        let mut command = if kind.is_python {
            let Some(python) = &self.python else {
                bail!("it takes Python 3 and a way to PyPI");
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
        let talk = self.folder.join(format!("{}.stderr", kind.name));
        Ok(Start { command, talk })
    }
}

fn script(name: &str) -> PathBuf {
    crate::root().join("benches/peers").join(name)
}

fn pictures(card: &ModelCard) -> Result<Vec<u8>> {
    let (width, height) = (card.input.width, card.input.height);
    let mut pixels = Vec::new();
    for seed in 0..PICTURES {
        let frame = Frame::new(seed, Origin::Live, random_scene(seed, width, height).image);
        pixels.extend_from_slice(preprocess(&frame, card)?.pixels());
    }
    Ok(pixels)
}

/// Python in an environment of its own, kept between runs, with every engine that can be had.
fn python(home: &Path) -> Option<PathBuf> {
    let python = home.join("bin/python");
    if !python.exists() {
        let made = said(Command::new("python3").args(["-m", "venv"]).arg(home));
        if let Err(why) = made {
            eprintln!("SKIPPED: no Python engine, as python3 can't make an environment: {why:#}");
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
    let all = said(Command::new(&python).args(pip).arg("-r").arg(&requirements));
    if all.is_err() {
        // One that isn't there for this machine must not keep the others away.
        for package in fs::read_to_string(&requirements).ok()?.lines() {
            if let Err(why) = said(Command::new(&python).args(pip).arg(package)) {
                eprintln!("SKIPPED: {package} can't be installed: {why:#}");
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
    match said(&mut command) {
        Ok(talk) => eprint!("{talk}"),
        Err(why) => eprintln!("SKIPPED: some engines' models can't be made: {why:#}"),
    }
}

/// Runs a command; its standard error, or why it failed.
fn said(command: &mut Command) -> Result<String> {
    let program = command.get_program().display().to_string();
    let output = command.output().context(program)?;
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!(
            "{}",
            talk.lines().last().unwrap_or("it failed without a word")
        );
    }
    Ok(talk)
}
