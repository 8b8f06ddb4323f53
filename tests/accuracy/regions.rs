//! `--regions`: small objects in large frames.

mod figures;
mod scenes;

use std::fs;

use crate::common::{CommandOutput, TestDir, tiny_model};
use image::{Rgb, RgbImage};
use prost::Message;
use serde_json::{Value, json};

/// With `objects.onnx`, which finds an object in each quarter of its input that is of one color.
fn folder() -> TestDir {
    let folder = TestDir::new();
    let model = tiny_model::with_objects(false);
    folder.write("objects.onnx", model.encode_to_vec());
    folder
}

/// 64 x 48 pixels, black but for a red square that is the upper left quarter of the first tile.
fn write_small_square(folder: &TestDir, name: &str) {
    let image = RgbImage::from_fn(64, 48, |x, y| match x < 13 && y < 13 {
        true => Rgb([230, 20, 20]),
        false => Rgb([0; 3]),
    });
    image.save(folder.path(name)).expect("written");
}

fn detect(folder: &TestDir, more: &[&str]) -> Value {
    let arguments = ["detect", "a.png", "--model", "objects.onnx"];
    let output = folder.run(&[&arguments[..], more].concat());
    output.assert_exit_code(0);
    output.lines().remove(0)
}

#[test]
fn detect_finds_a_small_object_in_a_tile() {
    let folder = folder();
    write_small_square(&folder, "a.png");
    let whole = detect(&folder, &[]);
    assert_eq!(whole["detections"], json!([]));
    assert!(whole.get("inferences").is_none() && whole.get("crops").is_none());
    let line = detect(&folder, &["--regions", "--annotate", "out"]);
    let crops = line["crops"].as_array().expect("a list");
    assert_eq!(crops[0], json!([0, 0, 23, 26]));
    assert_eq!(line["inferences"], crops.len() + 1);
    assert!(crops.len() < 12, "{line}");
    let detections = line["detections"].as_array().expect("a list");
    assert_eq!(detections.len(), 1, "{line}");
    assert_eq!(line["detection"], detections[0]);
    assert_eq!(detections[0]["class"], "red");
    // The model's cell: a half of the tile.
    assert_eq!(detections[0]["pixels"], json!([0, 0, 12, 13]));
    // The box is drawn in the whole picture.
    let drawn = image::open(folder.path("out/a.png")).expect("a picture");
    assert_eq!((drawn.width(), drawn.height()), (64, 48));
}

#[test]
fn a_picture_of_the_inputs_size_takes_one_inference() {
    let folder = folder();
    let image = RgbImage::from_pixel(8, 8, Rgb([230, 20, 20]));
    image.save(folder.path("a.png")).expect("written");
    let line = detect(&folder, &["--regions"]);
    assert_eq!(
        (&line["inferences"], &line["crops"]),
        (&json!(1), &json!([]))
    );
    assert_eq!(line["detections"].as_array().expect("a list").len(), 4);
}

#[test]
fn a_model_without_objects_is_refused() {
    let folder = folder();
    write_small_square(&folder, "a.png");
    let check = |output: CommandOutput| {
        output.assert_exit_code(2);
        output.assert_stderr_contains(&["--regions needs a model with object outputs", "\"tiny\""]);
        assert_eq!(output.stdout, "");
    };
    check(folder.run(&["detect", "a.png", "--regions", "--model", "tiny.onnx"]));
    let run = [
        "run",
        "--source",
        "a.png",
        "--regions",
        "--model",
        "tiny.onnx",
    ];
    check(folder.run(&run));
}

/// Ten frames a second of 96 x 64 red pixels.
fn y4m(frames: usize) -> Vec<u8> {
    let red = [&[81_u8; 96 * 64][..], &[90; 48 * 32], &[240; 48 * 32]].concat();
    let frame = [b"FRAME\n", &red[..]].concat().repeat(frames);
    [b"YUV4MPEG2 W96 H64 F10:1 C420jpeg\n", &frame[..]].concat()
}

fn run(folder: &TestDir, more: &[&str]) -> Vec<Value> {
    let arguments = [
        "run",
        "--source",
        "clip.y4m",
        "--display",
        "none",
        "--regions",
    ];
    let model = ["--model", "objects.onnx"];
    let output = folder.run(&[&arguments[..], &model, more].concat());
    output.assert_exit_code(0);
    let mut lines = output.lines();
    for line in &mut lines {
        let line = line.as_object_mut().expect("an object");
        line.remove("inference_ms");
        line.remove("frame_age_ms");
    }
    lines
}

#[test]
fn a_recording_gets_its_budget_and_always_the_same() {
    let folder = folder();
    fs::write(folder.path("clip.y4m"), y4m(20)).expect("written");
    let inferences = |lines: &[Value]| -> Vec<u64> {
        let of = |line: &Value| line["inferences"].as_u64().expect("a number");
        lines.iter().map(of).collect()
    };
    let lines = run(&folder, &[]);
    // 60 a second; the interval before the first frame is not known.
    assert_eq!(inferences(&lines)[1..], [6; 19]);
    assert_eq!(lines, run(&folder, &[]));
    // One for each frame, of the whole frame and of a crop by turns.
    let few = run(&folder, &["--region-rate", "5"]);
    assert_eq!(inferences(&few), [1; 20]);
    let crops = |line: &Value| line["crops"].as_array().expect("a list").len();
    let crops: Vec<usize> = few.iter().map(crops).collect();
    assert_eq!(crops, [0, 1].repeat(10));
    // All is red in every view: four objects, which stay the same tracks.
    let tracks = |line: &Value| -> Vec<u64> {
        let detections = line["detections"].as_array().expect("a list");
        let numbers = detections
            .iter()
            .filter_map(|found| found["track"].as_u64());
        numbers.collect()
    };
    assert!(!tracks(&lines[19]).is_empty(), "{}", lines[19]);
}
