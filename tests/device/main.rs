//! The way from a build to a board: the scripts in `cross`, run as a person would run them.
#![cfg(all(target_os = "linux", feature = "demo"))]

#[path = "../common/mod.rs"]
mod common;

mod board;
mod build;
mod card;
mod install;
mod slots;
mod unit;

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a script said: its exit code and all of its words.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    words: String,
}

impl Said {
    #[track_caller]
    fn expect(self, code: i32, words: &str) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.words);
        assert!(
            self.words.contains(words),
            "no {words:?} in {:?}",
            self.words
        );
        self
    }
}

/// Runs a program to its end, with nothing to read.
fn run(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let words = [output.stdout, output.stderr].concat();
    Said {
        code: output.status.code(),
        words: String::from_utf8_lossy(&words).into_owned(),
    }
}

fn script(name: &str, words: &[&str]) -> Said {
    run(Command::new(repository("cross").join(name)).args(words))
}

#[test]
fn every_script_says_what_it_does_and_refuses_what_it_does_not_know() {
    for name in [
        "build.sh",
        "check.sh",
        "install.sh",
        "build/install.sh",
        "flash.sh",
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
