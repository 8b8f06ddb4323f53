//! Shared by the tests of the whole program: running it, test images, and a model of a few bytes.
#![allow(dead_code, reason = "no test uses all of it")]

pub(crate) mod arm_build;
pub(crate) mod proved_model;
pub(crate) mod reports;
pub(crate) mod rpicam;
pub(crate) mod running;
pub(crate) mod tiny_model;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use image::{Rgb, RgbImage};
use serde_json::Value;

/// A temporary working directory for the program, with the tiny model in it.
pub(crate) struct TestDir {
    folder: tempfile::TempDir,
}

/// Exit code and output of the program.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl TestDir {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("tiny.onnx"), tiny_model::bytes()).expect("written");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and creates its parent folders.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("created");
        fs::write(path, bytes).expect("written");
    }

    /// Writes a [`solid_image`], which the tiny model classifies by its color.
    pub(crate) fn write_solid_image(&self, name: &str, color: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("created");
        solid_image(color).save(path).expect("written");
    }

    /// The program with these arguments, in this folder and without a desktop.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_boxcam"));
        command.args(arguments).current_dir(self.folder.path());
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        command.stdin(Stdio::null());
        command
    }

    /// Runs the program with these arguments.
    pub(crate) fn run(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::of(&mut self.command(arguments))
    }

    /// Runs the program with these arguments and the tiny model.
    pub(crate) fn run_tiny(&self, arguments: &[&str]) -> CommandOutput {
        self.run(&[arguments, &["--model", "tiny.onnx"]].concat())
    }
}

impl CommandOutput {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        command.output().expect("the program starts").into()
    }

    /// The JSON objects on standard output, one per line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let parsed = |line| serde_json::from_str(line).expect("a JSON object per line");
        self.stdout.lines().map(parsed).collect()
    }

    /// The program exited with this code and did not panic.
    #[track_caller]
    pub(crate) fn assert_exit_code(&self, code: i32) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
    }

    /// Standard error contains all of these.
    #[track_caller]
    pub(crate) fn assert_stderr_contains(&self, expected: &[&str]) {
        for text in expected {
            assert!(self.stderr.contains(text), "no {text:?} in {self:?}");
        }
    }
}

impl From<Output> for CommandOutput {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code().expect("not ended by a signal"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// An image of one color, 32 x 24: red, green or blue, the tiny model's classes.
pub(crate) fn solid_image(color: &str) -> RgbImage {
    let rgb = match color {
        "red" => [230, 20, 20],
        "green" => [20, 230, 20],
        "blue" => [20, 20, 230],
        other => panic!("no color {other}"),
    };
    RgbImage::from_pixel(32, 24, Rgb(rgb))
}

/// An image of four colors, 32 x 24, row by row: the objects of [`tiny_model::with_objects`]. `black` is no object.
pub(crate) fn quarters_image(colors: [&str; 4]) -> RgbImage {
    let mut image = RgbImage::new(32, 24);
    for (quarter, color) in colors
        .into_iter()
        .enumerate()
        .filter(|(_, c)| *c != "black")
    {
        let (x, y) = (quarter % 2 * 16, quarter / 2 * 12);
        let part = image::imageops::crop_imm(&solid_image(color), 0, 0, 16, 12).to_image();
        image::imageops::replace(&mut image, &part, x as i64, y as i64);
    }
    image
}

/// A committed file of `tests/data`.
pub(crate) fn data_file(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    fs::read(path).expect("a file in tests/data")
}
