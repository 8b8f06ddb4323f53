//! `boxcam run`, the real program.

mod common;

use common::TestDir;
use serde_json::Value;

#[test]
fn pictures_are_run_like_any_source() {
    let place = TestDir::new();
    place.write_solid_image("dir/a.png", "red");
    place.write_solid_image("dir/b.png", "green");
    let words = [
        "run",
        "--source",
        "dir",
        "--log",
        "out.jsonl",
        "--snapshots",
        "shots",
    ];
    let said = place.run_tiny(&words);
    said.assert_exit_code(0);
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
    let log = std::fs::read_to_string(place.path("out.jsonl")).expect("a log");
    let pictures: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["picture"].clone())
        .collect();
    assert_eq!(pictures, ["dir/a.png", "dir/b.png"]);
    assert!(place.path("shots/a.png").exists() && place.path("shots/b.png").exists());
    let said = place.run_tiny(&["run", "--source", "dir/b.png", "--frames", "9"]);
    said.assert_exit_code(0);
    assert_eq!(said.lines()[0]["detection"]["class"], "green");
}

#[test]
fn a_source_that_is_not_there_is_a_source_error() {
    let place = TestDir::new();
    let said = place.run_tiny(&["run", "--source", "nothing.jpg"]);
    said.assert_exit_code(4);
    said.assert_stderr_contains(&["picture nothing.jpg: can't be read"]);
}

#[cfg(all(feature = "camera", target_os = "linux"))]
#[test]
fn a_camera_that_is_not_there_is_named_with_a_way_on() {
    let place = TestDir::new();
    let said = place.run_tiny(&["run", "--source", "camera:/dev/video99999"]);
    said.assert_exit_code(4);
    said.assert_stderr_contains(&[
        "camera /dev/video99999: can't be opened (No such file",
        "ls /dev/video*",
    ]);
    let said = place.run_tiny(&["run", "--source", "camera:99999"]);
    said.assert_exit_code(4);
    said.assert_stderr_contains(&["camera /dev/video99999: can't be opened (No such file"]);
    let has_camera = std::fs::read_dir("/dev").is_ok_and(|entries| {
        let names = entries.flatten().map(|entry| entry.file_name());
        names
            .into_iter()
            .any(|name| name.to_string_lossy().starts_with("video"))
    });
    if has_camera {
        eprintln!("skipped: no camera at all, as there is one here");
        return;
    }
    let said = place.run_tiny(&["run"]);
    said.assert_exit_code(4);
    said.assert_stderr_contains(&["there is no /dev/video* here", "boxcam run --source demo"]);
}

#[cfg(not(feature = "camera"))]
#[test]
fn a_build_without_cameras_says_so() {
    let said = TestDir::new().run_tiny(&["run", "--source", "camera"]);
    said.assert_exit_code(2);
    said.assert_stderr_contains(&["built without cameras", "--features camera"]);
}

#[cfg(all(feature = "window", target_os = "linux"))]
#[test]
fn without_a_desktop_a_window_is_an_error_only_if_asked_for() {
    let place = TestDir::new();
    place.write_solid_image("a.png", "red");
    let said = place.run_tiny(&["run", "--source", "a.png", "--display", "window"]);
    said.assert_exit_code(5);
    said.assert_stderr_contains(&["boxcam: window: ", "--display none"]);
    // A display is promised that isn't there.
    let mut command = place.command(&["run", "--source", "a.png", "--model", "tiny.onnx"]);
    let output = command
        .env("DISPLAY", ":9876")
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(0));
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(talk.contains("continuing without a window"), "{talk}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
}

#[test]
fn a_log_that_cannot_be_written_is_a_sink_error() {
    let place = TestDir::new();
    place.write_solid_image("a.png", "red");
    let said = place.run_tiny(&["run", "--source", "a.png", "--log", "no/such/folder.jsonl"]);
    said.assert_exit_code(5);
    said.assert_stderr_contains(&["no/such/folder.jsonl: can't be written"]);
    if cfg!(target_os = "linux") {
        let said = place.run_tiny(&["run", "--source", "a.png", "--log", "/dev/full"]);
        said.assert_exit_code(5);
        said.assert_stderr_contains(&[
            "/dev/full: can't be written (No space left",
            "1 lines were lost at the end",
            "not all could be written",
        ]);
    }
}

#[test]
fn words_that_make_no_sense_are_usage_errors() {
    let place = TestDir::new();
    let cases = [
        (&["run", "--display", "lamp"][..], "'--display <DISPLAY>'"),
        (
            &["run", "--threshold", "2"],
            "expected a number between 0 and 1",
        ),
        (
            &["run", "--source", "camera:"],
            "as camera:0, camera:/dev/video0 or camera:C920",
        ),
        (&["fly"], "unrecognized subcommand 'fly'"),
        (&[], "Usage: boxcam"),
    ];
    for (words, fault) in cases {
        let said = place.run(words);
        said.assert_exit_code(2);
        said.assert_stderr_contains(&[fault]);
        assert_eq!(said.stdout, "");
    }
    let help = place.run(&["--help"]);
    help.assert_exit_code(0);
    assert!(help.stdout.contains("Usage: boxcam") && help.stderr.is_empty());
}
