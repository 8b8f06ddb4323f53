//! `boxcam run --source demo`, the real program.
#![cfg(feature = "demo")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::TestDir;
use serde_json::Value;

const DEMO: [&str; 5] = ["run", "--source", "demo", "--display", "none"];

#[test]
fn the_demo_needs_nothing_and_knows_the_truth() {
    let place = TestDir::new();
    let said = place.run_tiny(&[&DEMO[..], &["--frames", "40", "--threshold", "0"]].concat());
    said.assert_exit_code(0);
    assert_eq!(
        said.stderr, "",
        "no summary where nobody sits at a terminal"
    );
    let lines = said.lines();
    assert_eq!(lines.len(), 40);
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(
            (&line["schema"], &line["frame"]),
            (&1.into(), &number.into())
        );
        let time = line["time"].as_str().expect("text");
        assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
        assert_eq!(
            (&line["width"], &line["height"]),
            (&640.into(), &480.into())
        );
        assert_eq!(line["detection"]["x_min"], 0.25);
        let truth = &line["truth"];
        if truth.is_null() {
            assert_eq!(line["iou"], Value::Null);
        } else {
            assert!(
                truth["class"].is_string() && truth["y_max"].is_f64(),
                "{line}"
            );
            assert!(
                (0.0..=1.0).contains(&line["iou"].as_f64().expect("a number")),
                "{line}"
            );
        }
    }
    assert!(lines.iter().any(|line| !line["truth"].is_null()));
}

#[test]
fn a_counted_demo_is_the_same_each_time() {
    let place = TestDir::new();
    let truths = || {
        let said = place.run_tiny(&[&DEMO[..], &["--frames", "30"]].concat());
        let lines = said.lines();
        lines
            .iter()
            .map(|line| line["truth"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(truths(), truths());
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_run_well() {
    for signal in ["-INT", "-TERM"] {
        let place = TestDir::new();
        let words = [&DEMO[..], &["--model", "tiny.onnx"]].concat();
        let mut program = place
            .command(&words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut reader = BufReader::new(program.stdout.take().expect("piped"));
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        let id = program.id().to_string();
        let sent = Command::new("kill")
            .args([signal, &id])
            .status()
            .expect("kill is there");
        assert!(sent.success());
        let rest: Vec<String> = reader.lines().map(|line| line.expect("a line")).collect();
        let output = program.wait_with_output().expect("it ends");
        assert_eq!(
            (output.status.code(), output.stderr),
            (Some(0), vec![]),
            "{signal}"
        );
        let whole = |line: &String| serde_json::from_str::<Value>(line).is_ok();
        assert!(rest.iter().all(whole), "no line is cut off");
    }
}

/// Floors for the model that ships on the scenes of the demo; raised when beaten, never lowered.
const RIGHT: f64 = 0.98;
const IOU: f64 = 0.8;

#[test]
fn the_model_that_ships_finds_the_snacks_of_the_demo() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/snacks.onnx");
    let place = TestDir::new();
    let said = place.run(&[&DEMO[..], &["--frames", "600", "--model", model]].concat());
    said.assert_exit_code(0);
    let lines = said.lines();
    // A frame without a snack is right when nothing is found in it.
    let is_right = |line: &&Value| line["detection"]["class"] == line["truth"]["class"];
    let right = lines.iter().filter(is_right).count() as f64 / lines.len() as f64;
    let snacks = lines.iter().filter(|line| !line["truth"].is_null());
    let overlaps: Vec<f64> = snacks
        .map(|line| line["iou"].as_f64().unwrap_or(0.0))
        .collect();
    let iou = overlaps.iter().sum::<f64>() / overlaps.len() as f64;
    eprintln!(
        "{right:.4} right, mean IoU {iou:.4} of {} snacks",
        overlaps.len()
    );
    assert!(right >= RIGHT, "{right:.4} right");
    assert!(iou >= IOU, "mean IoU {iou:.4}");
    assert!(overlaps.len() < lines.len(), "some frames have no snack");
}
