//! `boxcam run`, with the program itself.

use crate::common::TestDir;
use serde_json::Value;

#[test]
fn pictures_are_a_source() {
    let dir = TestDir::new();
    dir.write_solid_image("dir/a.png", "red");
    dir.write_solid_image("dir/b.png", "green");
    let arguments = [
        "run",
        "--source",
        "dir",
        "--log",
        "out.jsonl",
        "--snapshots",
        "shots",
    ];
    let output = dir.run_tiny(&arguments);
    output.assert_exit_code(0);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    let log = std::fs::read_to_string(dir.path("out.jsonl")).expect("a log");
    let pictures: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["picture"].clone())
        .collect();
    assert_eq!(pictures, ["dir/a.png", "dir/b.png"]);
    assert!(dir.path("shots/a.png").exists() && dir.path("shots/b.png").exists());
    let output = dir.run_tiny(&["run", "--source", "dir/b.png", "--frames", "9"]);
    output.assert_exit_code(0);
    assert_eq!(output.lines()[0]["detection"]["class"], "green");
}

#[test]
fn a_missing_picture_is_a_source_error() {
    let dir = TestDir::new();
    let output = dir.run_tiny(&["run", "--source", "nothing.jpg"]);
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["picture nothing.jpg: can't be read"]);
}

#[cfg(all(feature = "camera", target_os = "linux"))]
#[test]
fn a_missing_camera_is_named_with_a_fix() {
    let dir = TestDir::new();
    let output = dir.run_tiny(&["run", "--source", "camera:/dev/video99999"]);
    output.assert_exit_code(4);
    output.assert_stderr_contains(&[
        "camera /dev/video99999: can't be opened (No such file",
        "ls /dev/video*",
    ]);
    let output = dir.run_tiny(&["run", "--source", "camera:99999"]);
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["camera /dev/video99999: can't be opened (No such file"]);
    let has_camera = std::fs::read_dir("/dev").is_ok_and(|entries| {
        let names = entries.flatten().map(|entry| entry.file_name());
        names
            .into_iter()
            .any(|name| name.to_string_lossy().starts_with("video"))
    });
    if has_camera {
        test_support::skip!("this machine has a camera");
        return;
    }
    let output = dir.run_tiny(&["run"]);
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["there is no /dev/video*", "boxcam run --source demo"]);
}

#[cfg(not(feature = "camera"))]
#[test]
fn a_build_without_cameras_reports_it() {
    let output = TestDir::new().run_tiny(&["run", "--source", "camera"]);
    output.assert_exit_code(2);
    output.assert_stderr_contains(&["built without cameras", "--features camera"]);
}

#[cfg(all(feature = "window", target_os = "linux"))]
#[test]
fn without_a_desktop_only_an_explicit_window_is_an_error() {
    let dir = TestDir::new();
    dir.write_solid_image("a.png", "red");
    let output = dir.run_tiny(&["run", "--source", "a.png", "--display", "window"]);
    output.assert_exit_code(5);
    output.assert_stderr_contains(&["boxcam: window: ", "--display none"]);
    // DISPLAY names a display that does not exist.
    let mut command = dir.command(&["run", "--source", "a.png", "--model", "tiny.onnx"]);
    let output = command
        .env("DISPLAY", ":9876")
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("continuing without a window"), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
}

#[test]
fn a_log_that_cannot_be_written_is_a_sink_error() {
    let dir = TestDir::new();
    dir.write_solid_image("a.png", "red");
    let output = dir.run_tiny(&["run", "--source", "a.png", "--log", "no/such/folder.jsonl"]);
    output.assert_exit_code(5);
    output.assert_stderr_contains(&["no/such/folder.jsonl: can't be written"]);
    if cfg!(target_os = "linux") {
        let output = dir.run_tiny(&["run", "--source", "a.png", "--log", "/dev/full"]);
        output.assert_exit_code(5);
        output.assert_stderr_contains(&[
            "/dev/full: can't be written (No space left",
            "1 lines were lost at the end",
            "some output was lost",
        ]);
    }
}

#[test]
fn invalid_arguments_are_usage_errors() {
    let dir = TestDir::new();
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
    for (arguments, expected) in cases {
        let output = dir.run(arguments);
        output.assert_exit_code(2);
        output.assert_stderr_contains(&[expected]);
        assert_eq!(output.stdout, "");
    }
    let help = dir.run(&["--help"]);
    help.assert_exit_code(0);
    assert!(help.stdout.contains("Usage: boxcam") && help.stderr.is_empty());
}
