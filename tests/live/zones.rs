//! Filters, zones and lines, with the program itself and models made by hand.

use crate::common::tiny_model::{self, QUARTERS};
use crate::common::{CommandOutput, TestDir, quarters_image};
use image::Rgb;
use prost::Message;
use serde_json::Value;

/// A film of ten frames a second, each of one color: red, with this much blue. YUV4MPEG2 has the time of each frame.
fn film(blues: &[u8]) -> Vec<u8> {
    let mut film = b"YUV4MPEG2 W64 H48 F10:1 C420jpeg\n".to_vec();
    for blue in blues {
        let (red, blue) = (240.0, f32::from(*blue));
        let luma = 0.299 * red + 0.114 * blue;
        let [u, v] = [0.564 * (blue - luma) + 128.0, 0.713 * (red - luma) + 128.0];
        film.extend(b"FRAME\n");
        for (value, count) in [(luma, 64 * 48), (u, 32 * 24), (v, 32 * 24)] {
            film.extend(std::iter::repeat_n(value as u8, count));
        }
    }
    film
}

/// A thing that goes down, waits, and goes up again.
fn down_and_up() -> Vec<u8> {
    let down = (0..200).step_by(5);
    let wait = std::iter::repeat_n(200, 20);
    down.clone().chain(wait).chain(down.rev()).collect()
}

/// A folder with the film and the model that follows it.
fn folder() -> TestDir {
    let folder = TestDir::new();
    let model = tiny_model::with_moving_box();
    folder.write("moving.onnx", model.encode_to_vec());
    folder.write("film.y4m", film(&down_and_up()));
    folder
}

fn run(folder: &TestDir, more: &[&str]) -> CommandOutput {
    let run = ["run", "--source", "film.y4m", "--model", "moving.onnx"];
    folder.run(&[&run, more].concat())
}

/// Each event as `entered floor`.
fn events(output: &CommandOutput) -> Vec<String> {
    let text = |line: &Value| {
        let fields = ["event", "zone", "line", "direction"];
        let fields = fields.iter().filter_map(|field| line[*field].as_str());
        fields.collect::<Vec<&str>>().join(" ")
    };
    output.lines().iter().map(text).collect()
}

const ZONES: &str = "
lines = \"events\"

[[zone]]
name = \"floor\"
points = [[0, 0.6], [1, 0.6], [1, 1], [0, 1]]
classes = [\"red\", \"blue\"]
loiter = \"1s\"

[[zone]]
name = \"left half\"
points = [[0, 0], [0.3, 0], [0.3, 1], [0, 1]]

[[line]]
name = \"door\"
points = [[0.2, 0.45], [0.8, 0.45]]
directions = [\"down\", \"up\"]

[[line]]
name = \"beside the way\"
points = [[0.7, 0.45], [0.9, 0.45]]
";

#[test]
fn a_thing_of_a_film_enters_zones_and_crosses_lines() {
    let folder = folder();
    folder.write("zones.toml", ZONES);
    let output = run(&folder, &["--config", "zones.toml"]);
    output.assert_exit_code(0);
    let expected = [
        "appeared",
        "crossed door down",
        "entered floor",
        "loitering floor",
        "left_zone floor",
        "crossed door up",
        "left",
    ];
    assert_eq!(events(&output), expected, "{output:?}");
    let lines = output.lines();
    let has_duration = |line: &Value| line["duration_s"].is_number();
    let with_duration: Vec<bool> = lines.iter().map(has_duration).collect();
    assert_eq!(
        with_duration,
        [false, false, false, true, true, false, true]
    );
    assert_eq!(lines[3]["duration_s"], 1.0);
    assert!(lines.iter().all(|line| line["track"] == lines[0]["track"]));
    // The same film gives the same lines, but for the time that the inference takes.
    assert_eq!(events(&run(&folder, &["--config", "zones.toml"])), expected);
}

#[test]
fn zones_of_the_command_line_are_those_of_the_file() {
    let folder = folder();
    let zone = "floor=0,0.6;1,0.6;1,1;0,1;settle=0;classes=red";
    let line = "door=0.8,0.45;0.2,0.45";
    let output = run(
        &folder,
        &["--lines", "events", "--zone", zone, "--line", line],
    );
    output.assert_exit_code(0);
    let expected = [
        "appeared",
        "crossed door out",
        "entered floor",
        "left_zone floor",
        "crossed door in",
        "left",
    ];
    assert_eq!(events(&output), expected, "{output:?}");
}

#[test]
fn a_track_that_ends_leaves_its_zone() {
    let folder = folder();
    let all = "all=0,0;1,0;1,1;0,1";
    let output = run(
        &folder,
        &["--lines", "events", "--zone", all, "--frames", "40"],
    );
    assert_eq!(
        events(&output),
        ["appeared", "entered all", "left_zone all", "left"]
    );
}

#[test]
fn only_selected_classes_are_detected() {
    let folder = folder();
    let model = tiny_model::with_objects(false);
    folder.write("objects.onnx", model.encode_to_vec());
    let colors = ["red", "green", "blue", "blue"];
    quarters_image(colors)
        .save(folder.path("a.png"))
        .expect("written");
    let detect = |more: &[&str]| {
        let output = folder.run(&[&["detect", "a.png", "--model", "objects.onnx"], more].concat());
        output.assert_exit_code(0);
        let line = output.lines().remove(0);
        assert_eq!(
            line["detection"],
            line["detections"].get(0).cloned().unwrap_or_default()
        );
        let found = line["detections"].as_array().expect("a list").clone();
        let mut classes: Vec<String> = found
            .iter()
            .map(|found| found["class"].as_str().expect("text").to_owned())
            .collect();
        classes.sort_unstable();
        classes
    };
    assert_eq!(detect(&[]), ["blue", "blue", "green", "red"]);
    assert_eq!(detect(&["--classes", "blue"]), ["blue", "blue"]);
    assert_eq!(detect(&["--classes", "red,green"]), ["green", "red"]);
    let area = QUARTERS[0][1] * QUARTERS[0][3];
    assert_eq!(detect(&["--min-area", &area.to_string()]).len(), 4);
    assert_eq!(detect(&["--min-area", "0.26"]), [""; 0]);
    assert_eq!(detect(&["--classes", "blue", "--threshold", "0"]).len(), 2);
}

#[test]
fn filters_apply_before_tracking() {
    let folder = folder();
    for more in [["--classes", "green"], ["--min-area", "0.05"]] {
        let output = run(&folder, &[&["--lines", "events"], &more[..]].concat());
        output.assert_exit_code(0);
        assert_eq!(events(&output), [""; 0], "{more:?}");
    }
    folder.write(
        "classes.toml",
        "classes = [\"red\"]\nmin-area = 0.03\nlines = \"events\"\n",
    );
    let output = run(&folder, &["--config", "classes.toml"]);
    assert_eq!(events(&output), ["appeared", "left"]);
}

#[test]
fn an_unknown_class_is_a_usage_error_with_the_names() {
    let folder = folder();
    let unknown = [
        "no class \"gren\" (did you mean \"green\"?)",
        "its classes are red, green, blue",
    ];
    let output = run(&folder, &["--classes", "red,gren"]);
    output.assert_exit_code(2);
    output.assert_stderr_contains(&["--classes: the model has", unknown[0], unknown[1]]);
    folder.write_solid_image("red.png", "red");
    let output = folder.run_tiny(&["detect", "red.png", "--classes", "gren"]);
    output.assert_exit_code(2);
    output.assert_stderr_contains(&unknown);
    let output = run(&folder, &["--zone", "table=0,0;1,0;1,1;classes=gren"]);
    output.assert_exit_code(2);
    output.assert_stderr_contains(&["zone \"table\": the model has", unknown[0], unknown[1]]);
    let output = folder.run_tiny(&["doctor", "--classes", "gren"]);
    output.assert_exit_code(1);
    assert!(
        output
            .stdout
            .contains("FAILED classes     --classes: the model has no class"),
        "{output:?}"
    );
    let output = run(&folder, &["--line", "door=0,0;1,1;classes=gren"]);
    output.assert_exit_code(2);
    output.assert_stderr_contains(&["line \"door\": the model has", unknown[0], unknown[1]]);
}

#[test]
fn bad_zones_are_usage_errors() {
    let folder = folder();
    let file = ZONES.replace("[0, 0.6], [1, 0.6], [1, 1], [0, 1]", "[0, 0.6], [1, 0.6]");
    folder.write("bad.toml", file);
    let output = run(&folder, &["--config", "bad.toml"]);
    output.assert_exit_code(2);
    output.assert_stderr_contains(&[
        "bad.toml: line 6: zone.points: a polygon needs at least 3 points, not 2",
    ]);
    folder.write("doubled.toml", ZONES.replace("left half", "floor"));
    let output = run(&folder, &["--config", "doubled.toml"]);
    output.assert_exit_code(2);
    output.assert_stderr_contains(&[
        "doubled.toml: line 11: zone.name: the table at line 4 has the same name",
    ]);
    let output = run(&folder, &["--zone", "a=0,0;1,1;1,0;0,1"]);
    output.assert_exit_code(2);
    output.assert_stderr_contains(&["invalid value", "meets side 3", "list the points in order"]);
    let output = run(&folder, &["--line", "a=0,0;1,1", "--line", "a=0,0;0,1"]);
    output.assert_exit_code(2);
    output.assert_stderr_contains(&["two lines are named \"a\""]);
}

#[test]
fn zones_on_unrelated_pictures_are_reported_as_without_effect() {
    let folder = folder();
    folder.write_solid_image("pictures/red.png", "red");
    let zone = "all=0,0;1,0;1,1;0,1";
    let output = folder.run_tiny(&["run", "--source", "pictures", "--zone", zone]);
    output.assert_exit_code(0);
    output.assert_stderr_contains(&["zones and lines have no effect on pictures"]);
    assert_eq!(output.lines().len(), 1);
}

#[test]
fn snapshots_show_zones_if_that_is_asked_for() {
    let folder = folder();
    let options = [
        "--frames",
        "4",
        "--zone",
        "half=0,0;1,0;1,0.5;0,0.5",
        "--line",
        "door=0,0.8;1,0.8",
    ];
    let mut violet = Vec::new();
    for (name, more) in [("plain", None), ("drawn", Some("--draw-zones"))] {
        let snapshots = ["--snapshots", name];
        let all = [&options[..], &snapshots, more.as_slice()].concat();
        run(&folder, &all).assert_exit_code(0);
        let file = folder.path(name).join("film-000003.png");
        let picture = image::open(&file).expect("a picture").to_rgb8();
        violet.push(
            picture
                .pixels()
                .filter(|pixel| **pixel == Rgb([0xCC, 0x99, 0xFF]))
                .count(),
        );
    }
    assert!(violet[0] == 0 && violet[1] > 64, "{violet:?}");
}
