//! `boxcam detect` prints the same on emulated ARM processors as on this machine, except for times.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::TestDir;
use crate::common::arm_build::is_built;
use boxcam::scene::random_scene;

/// Sizes of the generated scenes: smaller and larger than the models' inputs, and odd.
const SIZES: [(u32, u32); 5] = [(640, 480), (96, 96), (257, 191), (1280, 720), (333, 517)];

/// Number of snack images, if there is data.
const SNACKS: usize = 6;

#[test]
fn detections_are_the_same_on_64_bit_arm() {
    assert_same_lines("aarch64-unknown-linux-gnu");
}

#[test]
fn detections_are_the_same_on_32_bit_arm() {
    assert_same_lines("armv7-unknown-linux-gnueabihf");
}

/// Each line of `detect` is the same, except for the times.
#[track_caller]
fn assert_same_lines(target: &str) {
    if !is_built(target) {
        return;
    }
    let place = TestDir::new();
    let written = write_pictures(&place);
    for model in ["models/snacks.onnx", "models/snacks-small.onnx"] {
        let mut detect = Command::new(env!("CARGO_BIN_EXE_boxcam"));
        // Rebuilt if necessary, and run by qemu.
        let mut emulated = Command::new(root().join("cross/build.sh"));
        emulated.args([target, "--emulated", "run", "--quiet"]);
        emulated.args(["--package", "boxcam", "--"]);
        let [here, there] = [&mut detect, &mut emulated].map(|command| {
            command.args(["detect", "--threshold", "0", "--model"]);
            lines(command.arg(root().join(model)).arg(place.path("pictures")))
        });
        assert_eq!(here.len(), written);
        assert_eq!(here, there);
        println!("{target}, {model}: {written} pictures give the same lines");
    }
}

/// The command's output lines, without times.
#[track_caller]
fn lines(command: &mut Command) -> Vec<String> {
    let output = command.output().expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(without_times).collect()
}

/// A line without `inference_ms` and `frame_age_ms`, which are adjacent.
#[track_caller]
fn without_times(line: &str) -> String {
    let (before, times) = line.split_once("\"inference_ms\":").expect("a time");
    let (_, after) = times.split_once("\"model\":").expect("a model");
    assert!(times.contains("\"frame_age_ms\":"), "{line}");
    format!("{before}{after}")
}

/// Writes images of all kinds and returns their number.
fn write_pictures(place: &TestDir) -> usize {
    let data = files(&root().join("tests/data"));
    let is_picture = |file: &&PathBuf| file.is_file() && file.extension() != Some(OsStr::new("md"));
    let kinds = data.iter().filter(is_picture).cloned();
    let snacks = test_support::optional_data("snacks/val")
        .into_iter()
        .flat_map(|folder| files(&folder))
        .flat_map(|class| files(&class).into_iter().take(1));
    let copied: Vec<PathBuf> = kinds.chain(snacks.take(SNACKS)).collect();
    for (number, file) in copied.iter().enumerate() {
        let name = file.file_name().expect("a name").to_string_lossy();
        let bytes = fs::read(file).expect("a picture");
        place.write(&format!("pictures/{number:02}-{name}"), bytes);
    }
    for ((width, height), seed) in SIZES.into_iter().zip(0..) {
        let scene = random_scene(seed, width, height).image;
        let path = place.path(&format!("pictures/scene-{seed}.jpg"));
        scene.save(path).expect("written");
    }
    copied.len() + SIZES.len()
}

/// The entries of a folder, sorted; empty if there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
