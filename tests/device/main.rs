//! The scripts in `cross` that build, check, install and flash, run as a user would run them.
#![cfg(all(target_os = "linux", feature = "demo"))]

#[path = "../common/mod.rs"]
mod common;

mod board;
mod build;
mod card;
mod install;
mod install_package;
mod package;
mod slots;
mod unit;

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Exit code of a script, and its standard output followed by its standard error.
#[derive(Debug)]
struct ScriptOutput {
    code: Option<i32>,
    text: String,
}

impl ScriptOutput {
    #[track_caller]
    fn expect(self, code: i32, text: &str) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.text);
        assert!(self.text.contains(text), "no {text:?} in {:?}", self.text);
        self
    }
}

/// Runs a program to its end, with an empty standard input.
fn run(command: &mut Command) -> ScriptOutput {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let bytes = [output.stdout, output.stderr].concat();
    ScriptOutput {
        code: output.status.code(),
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// Runs a script of `cross`.
fn script(name: &str, arguments: &[&str]) -> ScriptOutput {
    run(Command::new(repository("cross").join(name)).args(arguments))
}

#[test]
fn every_script_has_help_and_refuses_unknown_options() {
    for name in [
        "build.sh",
        "check.sh",
        "install.sh",
        "build/install.sh",
        "flash.sh",
        "package.sh",
    ] {
        script(name, &["--help"]).expect(0, "Exit code");
        script(name, &["--no-such-option"]).expect(2, "--help");
        script(name, &[]).expect(2, "--help");
    }
    for name in ["image.sh", "image/boot.sh", "../benches/peers/arm/run.sh"] {
        script(name, &["--help"]).expect(0, "Exit code");
        script(name, &["--no-such-option"]).expect(2, "--help");
    }
}
