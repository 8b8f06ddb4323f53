//! `boxcam detect`, the real program.

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::TestDir;
use serde_json::{Value, json};

/// A line without what differs from run to run.
fn lasting(mut line: Value) -> Value {
    for field in ["inference_ms", "frame_age_ms"] {
        assert!(line[field].as_f64().expect("a number") >= 0.0);
        line[field] = Value::Null;
    }
    line
}

#[test]
fn each_picture_gives_a_line_in_the_order_given() {
    let place = TestDir::new();
    place.write_solid_image("b.png", "blue");
    place.write_solid_image("a.png", "red");
    place.write_solid_image("more/2.png", "green");
    place.write_solid_image("more/1/x.webp", "red");
    let said = place.run_tiny(&["detect", "b.png", "a.png", "more", "b.png"]);
    said.assert_exit_code(0);
    assert_eq!(said.stderr, "");
    let lines = said.lines();
    let of = |field: fn(&Value) -> &Value| -> Vec<&str> {
        lines
            .iter()
            .map(|line| field(line).as_str().expect("text"))
            .collect()
    };
    let pictures = ["b.png", "a.png", "more/1/x.webp", "more/2.png", "b.png"];
    assert_eq!(of(|line| &line["picture"]), pictures);
    let classes = ["blue", "red", "red", "green", "blue"];
    assert_eq!(of(|line| &line["detection"]["class"]), classes);
}

#[test]
fn a_line_says_all_that_it_should() {
    let place = TestDir::new();
    place.write_solid_image("dir/a.png", "red");
    let said = place.run_tiny(&["detect", "dir/a.png"]);
    let line = lasting(said.lines().remove(0));
    let confidence = line["detection"]["confidence"].as_f64().expect("a number");
    assert!((0.9..=1.0).contains(&confidence), "{line}");
    let hash = line["model"].as_str().expect("text").to_owned();
    assert!(
        hash.len() == 8 && hash.chars().all(|c| c.is_ascii_hexdigit()),
        "{hash}"
    );
    let expected = json!({
        "schema": 1, "picture": "dir/a.png", "width": 32, "height": 24,
        "detection": {
            "class": "red", "confidence": confidence,
            "x_min": 0.25, "x_max": 0.75, "y_min": 0.25, "y_max": 0.75, "pixels": [8, 6, 24, 18],
        },
        "inference_ms": null, "frame_age_ms": null, "model": hash,
    });
    assert_eq!(line, expected);
    let again = place.run_tiny(&["detect", "dir/a.png"]);
    assert_eq!(lasting(again.lines().remove(0)), expected);
}

#[test]
fn below_the_threshold_nothing_is_there() {
    let place = TestDir::new();
    place.write_solid_image("a.png", "red");
    let said = place.run_tiny(&["detect", "a.png", "--threshold", "1"]);
    said.assert_exit_code(0);
    assert_eq!(said.lines()[0]["detection"], Value::Null);
}

#[test]
fn pictures_are_annotated_into_a_folder() {
    let place = TestDir::new();
    place.write_solid_image("a.png", "red");
    place.write_solid_image("b.bmp", "green");
    let said = place.run_tiny(&["detect", "a.png", "b.bmp", "--annotate", "out/drawn"]);
    said.assert_exit_code(0);
    for (name, original) in [("a.png", "red"), ("b.png", "green")] {
        let drawn = image::open(place.path("out/drawn").join(name))
            .expect("a picture")
            .into_rgb8();
        let original = common::solid_image(original);
        assert_eq!(drawn.dimensions(), original.dimensions());
        assert_ne!(drawn, original, "{name} has a box in it");
    }
}

#[test]
fn a_folder_to_annotate_into_that_cannot_be_made_is_a_sink_error() {
    let place = TestDir::new();
    place.write_solid_image("a.png", "red");
    let said = place.run_tiny(&["detect", "a.png", "--annotate", "a.png/drawn"]);
    said.assert_exit_code(5);
    said.assert_stderr_contains(&["a.png/drawn: can't be written"]);
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let place = TestDir::new();
    place.write_solid_image("a.png", "red");
    // Far more lines than a pipe holds.
    let mut words = vec!["detect", "--model", "tiny.onnx"];
    words.extend(["a.png"; 3000]);
    let mut program = place
        .command(&words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut first = String::new();
    let mut reader = BufReader::with_capacity(64, program.stdout.take().expect("piped"));
    reader.read_line(&mut first).expect("a line");
    drop(reader);
    let output = program.wait_with_output().expect("it ends");
    assert!(
        first.starts_with(r#"{"schema":1,"picture":"a.png""#),
        "{first}"
    );
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}
