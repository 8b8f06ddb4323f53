//! `boxcam detect`, with the program itself.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::common::TestDir;
use serde_json::{Value, json};

/// A line without the times, which differ between runs.
fn without_times(mut line: Value) -> Value {
    for field in ["inference_ms", "frame_age_ms"] {
        assert!(line[field].as_f64().expect("a number") >= 0.0);
        line[field] = Value::Null;
    }
    line
}

#[test]
fn each_picture_has_a_line_in_the_given_order() {
    let dir = TestDir::new();
    dir.write_solid_image("b.png", "blue");
    dir.write_solid_image("a.png", "red");
    dir.write_solid_image("more/2.png", "green");
    dir.write_solid_image("more/1/x.webp", "red");
    let output = dir.run_tiny(&["detect", "b.png", "a.png", "more", "b.png"]);
    output.assert_exit_code(0);
    assert_eq!(output.stderr, "");
    let lines = output.lines();
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
fn a_line_has_all_fields() {
    let dir = TestDir::new();
    dir.write_solid_image("dir/a.png", "red");
    let output = dir.run_tiny(&["detect", "dir/a.png"]);
    let line = without_times(output.lines().remove(0));
    let confidence = line["detection"]["confidence"].as_f64().expect("a number");
    assert!((0.9..=1.0).contains(&confidence), "{line}");
    let hash = line["model"].as_str().expect("text").to_owned();
    assert!(
        hash.len() == 8 && hash.chars().all(|c| c.is_ascii_hexdigit()),
        "{hash}"
    );
    let detection = json!({
        "class": "red", "confidence": confidence,
        "x_min": 0.25, "x_max": 0.75, "y_min": 0.25, "y_max": 0.75, "pixels": [8, 6, 24, 18],
    });
    let expected = json!({
        "schema": 1, "picture": "dir/a.png", "width": 32, "height": 24,
        "detection": detection, "detections": [detection],
        "inference_ms": null, "frame_age_ms": null, "model": hash,
    });
    assert_eq!(line, expected);
    let again = dir.run_tiny(&["detect", "dir/a.png"]);
    assert_eq!(without_times(again.lines().remove(0)), expected);
}

#[test]
fn a_score_below_the_threshold_is_no_detection() {
    let dir = TestDir::new();
    dir.write_solid_image("a.png", "red");
    let output = dir.run_tiny(&["detect", "a.png", "--threshold", "1"]);
    output.assert_exit_code(0);
    assert_eq!(output.lines()[0]["detection"], Value::Null);
}

#[test]
fn pictures_are_annotated_into_a_folder() {
    let dir = TestDir::new();
    dir.write_solid_image("a.png", "red");
    dir.write_solid_image("b.bmp", "green");
    let output = dir.run_tiny(&["detect", "a.png", "b.bmp", "--annotate", "out/drawn"]);
    output.assert_exit_code(0);
    for (name, original) in [("a.png", "red"), ("b.png", "green")] {
        let drawn = image::open(dir.path("out/drawn").join(name))
            .expect("a picture")
            .into_rgb8();
        let original = crate::common::solid_image(original);
        assert_eq!(drawn.dimensions(), original.dimensions());
        assert_ne!(drawn, original, "{name} has a box in it");
    }
}

#[test]
fn a_folder_that_cannot_be_created_is_a_sink_error() {
    let dir = TestDir::new();
    dir.write_solid_image("a.png", "red");
    let output = dir.run_tiny(&["detect", "a.png", "--annotate", "a.png/drawn"]);
    output.assert_exit_code(5);
    output.assert_stderr_contains(&["a.png/drawn: can't be written"]);
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let dir = TestDir::new();
    dir.write_solid_image("a.png", "red");
    // Far more lines than a pipe holds.
    let mut arguments = vec!["detect", "--model", "tiny.onnx"];
    arguments.extend(["a.png"; 3000]);
    let mut program = dir
        .command(&arguments)
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

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf8_stay_distinct() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = TestDir::new();
    let names: [&[u8]; 4] = [
        b"in/a\xe8.png",
        b"in/a\xe9.png",
        b"in/100%\xff.png",
        b"in/z%E9.png",
    ];
    for name in names {
        folder.write_solid_image("red.png", "red");
        let to = folder.path("").join(OsStr::from_bytes(name));
        std::fs::create_dir_all(folder.path("in")).expect("created");
        std::fs::rename(folder.path("red.png"), to).expect("renamed");
    }
    let broken = folder.path("in").join(OsStr::from_bytes(b"b\xe9.png"));
    std::fs::write(broken, "no picture").expect("written");
    let output = folder.run_tiny(&["detect", "in", "--annotate", "out"]);
    output.assert_exit_code(4);
    let lines = output.lines();
    let pictures: Vec<_> = lines
        .iter()
        .map(|line| (line["picture"].as_str(), line["picture_encoding"].as_str()))
        .collect();
    let expected = [
        (Some("in/100%25%FF.png"), Some("percent")),
        (Some("in/a%E8.png"), Some("percent")),
        (Some("in/a%E9.png"), Some("percent")),
        (Some("in/b%E9.png"), Some("percent")),
        (Some("in/z%E9.png"), None),
    ];
    assert_eq!(pictures, expected);
    let saved = std::fs::read_dir(folder.path("out")).expect("listed");
    let mut saved: Vec<_> = saved
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    saved.sort();
    assert_eq!(saved, ["100%25%FF.png", "a%E8.png", "a%E9.png", "z%E9.png"]);
}
