//! `boxcam run --source demo`.
#![cfg(feature = "demo")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::common::TestDir;
use serde_json::Value;

const DEMO: [&str; 5] = ["run", "--source", "demo", "--display", "none"];

#[test]
fn the_demo_has_ground_truth() {
    let dir = TestDir::new();
    let output = dir.run_tiny(&[&DEMO[..], &["--frames", "40", "--threshold", "0"]].concat());
    output.assert_exit_code(0);
    assert_eq!(output.stderr, "", "no summary without a terminal");
    let lines = output.lines();
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
fn a_demo_with_a_frame_limit_is_reproducible() {
    let dir = TestDir::new();
    let truths = || {
        let output = dir.run_tiny(&[&DEMO[..], &["--frames", "30"]].concat());
        let lines = output.lines();
        lines
            .iter()
            .map(|line| line["truth"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(truths(), truths());
}

#[test]
fn the_film_is_the_same_on_every_machine() {
    // FNV-1a of the pixels.
    let checksum = |image: &image::RgbImage| {
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        image.as_raw().iter().fold(0xCBF2_9CE4_8422_2325, mix)
    };
    let mut film = boxcam::scene::MovingScene::new(0, 160, 120);
    let sums = [55, 149, 1575].map(|number| checksum(&film.frame(number).image));
    assert_eq!(
        sums,
        [
            0x603A_00EA_B2D3_5F27,
            0x571A_3398_528B_5F47,
            0x8856_A689_43A1_18FD
        ]
    );
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_run_with_success() {
    for signal in ["-INT", "-TERM"] {
        let dir = TestDir::new();
        let arguments = [&DEMO[..], &["--model", "tiny.onnx"]].concat();
        let mut program = dir
            .command(&arguments)
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
            .expect("kill starts");
        assert!(sent.success());
        let rest: Vec<String> = reader.lines().map(|line| line.expect("a line")).collect();
        let output = program.wait_with_output().expect("it ends");
        assert_eq!(
            (output.status.code(), output.stderr),
            (Some(0), vec![]),
            "{signal}"
        );
        let is_complete = |line: &String| serde_json::from_str::<Value>(line).is_ok();
        assert!(rest.iter().all(is_complete), "no line is truncated");
    }
}

/// Minimum accuracy and IoU of the primary detection in frames with one snack that is whole; may be raised, never lowered. The
/// IoU is lower than it was on drawings: the snacks are photographs.
const MIN_ACCURACY: f64 = 0.98;
const MIN_IOU: f64 = 0.75;

/// A true box or a detection: the class, and left, top, right and bottom as shares of the picture.
struct Labelled {
    class: String,
    corners: [f64; 4],
}

impl Labelled {
    fn all(list: &Value) -> Vec<Self> {
        let corner = |fields: &Value, name: &str| fields[name].as_f64().expect("a number");
        let of = |fields: &Value| Self {
            class: fields["class"].as_str().expect("text").to_owned(),
            corners: ["x_min", "y_min", "x_max", "y_max"].map(|name| corner(fields, name)),
        };
        list.as_array().expect("a list").iter().map(of).collect()
    }

    /// Whether it is not cut off by an edge of the picture.
    fn is_whole(&self) -> bool {
        let inside = 0.002..=0.998;
        self.corners.iter().all(|corner| inside.contains(corner))
    }
}

#[test]
fn the_shipped_model_finds_the_snacks_of_the_demo() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/snacks.onnx");
    let dir = TestDir::new();
    let output = dir.run(&[&DEMO[..], &["--frames", "600", "--model", model]].concat());
    output.assert_exit_code(0);
    let (mut ious, mut correct, mut counts) = (Vec::new(), 0, [0; 5]);
    for line in output.lines() {
        let truths = Labelled::all(&line["truths"]);
        counts[truths.len()] += 1;
        if let [truth] = truths.as_slice()
            && truth.is_whole()
        {
            correct += u32::from(line["detection"]["class"] == truth.class.as_str());
            ious.push(line["iou"].as_f64().unwrap_or(0.0));
        }
    }
    let accuracy = f64::from(correct) / ious.len() as f64;
    let iou = ious.iter().sum::<f64>() / ious.len() as f64;
    println!(
        "accuracy {accuracy:.4}, mean IoU {iou:.4} in {} frames with one snack",
        ious.len()
    );
    assert!(accuracy >= MIN_ACCURACY, "accuracy {accuracy:.4}");
    assert!(iou >= MIN_IOU, "mean IoU {iou:.4}");
    assert!(
        counts.iter().all(|count| *count > 0),
        "none to four snacks: {counts:?}"
    );
}
