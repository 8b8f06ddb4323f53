//! Shared by the tests of the program: the program and the model that ships.
#![allow(dead_code, reason = "no test uses all of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by tests that train for long: a training uses all processors, and two at a time wait for each other's threads.
pub(crate) fn train_alone() -> MutexGuard<'static, ()> {
    static TRAINING: Mutex<()> = Mutex::new(());
    TRAINING.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn model_that_ships() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/snacks.onnx")
}

pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boxcam-train"));
    command.args(arguments);
    command
}

pub(crate) fn boxcam_train(arguments: &[&str]) -> Output {
    let output = program(arguments).output();
    output.expect("boxcam-train starts")
}

/// Stdout of a run that must succeed.
pub(crate) fn succeed(arguments: &[&str]) -> String {
    succeed_saying(arguments).0
}

/// Stdout and stderr of a run that must succeed.
pub(crate) fn succeed_saying(arguments: &[&str]) -> (String, String) {
    let output = boxcam_train(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    (String::from_utf8_lossy(&output.stdout).into_owned(), stderr)
}

/// Exit code and stderr of a run that must fail.
pub(crate) fn fail(arguments: &[&str]) -> (i32, String) {
    let output = boxcam_train(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("no signal"), stderr)
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}
