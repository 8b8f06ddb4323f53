//! What the whole-program tests share: the program, pictures, and a model of a few bytes.
#![allow(dead_code, reason = "no test needs all of it")]

pub(crate) mod cross;
pub(crate) mod rpicam;
pub(crate) mod running;
pub(crate) mod seen;
pub(crate) mod tiny_model;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use image::{Rgb, RgbImage};
use serde_json::Value;

/// A temporary folder with the tiny model in it, in which the program is run.
pub(crate) struct Workplace {
    folder: tempfile::TempDir,
}

/// What the program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("tiny.onnx"), tiny_model::bytes()).expect("written");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("made");
        fs::write(path, bytes).expect("written");
    }

    /// A picture of one colour, 32 x 24, which the tiny model knows by name: red, green or blue.
    pub(crate) fn paint(&self, name: &str, colour: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("made");
        painted(colour).save(path).expect("written");
    }

    /// The program in this folder, with no desktop in sight.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_boxcam"));
        command.args(words).current_dir(self.folder.path());
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        command.stdin(Stdio::null());
        command
    }

    /// Runs the program with these words.
    pub(crate) fn run(&self, words: &[&str]) -> Said {
        let output = self.command(words).output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Said {
            code: output.status.code().expect("no signal ended it"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Runs it with the tiny model.
    pub(crate) fn run_tiny(&self, words: &[&str]) -> Said {
        self.run(&[words, &["--model", "tiny.onnx"]].concat())
    }
}

impl Said {
    /// Standard output as JSON, line by line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let parsed = |line| serde_json::from_str(line).expect("a JSON object a line");
        self.stdout.lines().map(parsed).collect()
    }

    /// Ended with this code, and nothing panicked on the way.
    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
    }

    /// Said all of these on standard error.
    #[track_caller]
    pub(crate) fn assert_talk(&self, words: &[&str]) {
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self:?}");
        }
    }
}

pub(crate) fn painted(colour: &str) -> RgbImage {
    let rgb = match colour {
        "red" => [230, 20, 20],
        "green" => [20, 230, 20],
        "blue" => [20, 20, 230],
        other => panic!("no colour {other}"),
    };
    RgbImage::from_pixel(32, 24, Rgb(rgb))
}

/// One of the small files that were made beforehand.
pub(crate) fn data(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    fs::read(path).expect("a file in tests/data")
}

/// Whether a program that a test needs is missing here; says so, or fails where everything must be there.
pub(crate) fn lacking(what: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&folders).any(|folder| folder.join(what).is_file());
    if !is_there {
        let words = format!("{what} is not installed");
        assert!(std::env::var_os("BOXCAM_REQUIRE_ALL").is_none(), "{words}");
        eprintln!("SKIPPED: {words}");
    }
    !is_there
}
