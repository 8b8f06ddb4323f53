//! Files of motion JPEG and YUV4MPEG2, and streams that bring nothing.

use std::fs::File;
use std::process::Command;

use serde_json::Value;

use super::{cut_frame, frame, piped, run};
use crate::common::{CommandOutput, TestDir, rpicam};

/// Lines of a run without the times that differ each time.
fn without_times(mut lines: Vec<Value>) -> Vec<Value> {
    for line in &mut lines {
        let line = line.as_object_mut().expect("an object");
        line.remove("inference_ms");
        line.remove("frame_age_ms");
    }
    lines
}

fn y4m(frames: usize) -> Vec<u8> {
    let red = [&[81_u8; 96 * 64][..], &[90; 48 * 32], &[240; 48 * 32]].concat();
    let frame = [b"FRAME\n", &red[..]].concat().repeat(frames);
    [b"YUV4MPEG2 W96 H64 F10:1 C420jpeg\n", &frame[..]].concat()
}

#[test]
fn every_frame_of_a_recording_is_replayed() {
    let dir = TestDir::new();
    let part = b"--cam\r\nContent-Type: image/jpeg\r\n\r\n".as_slice();
    let multipart = [part, &frame("red"), b"\r\n"].concat().repeat(20);
    let clip = rpicam::mjpeg("red", (64, 48), 20);
    let cases = [
        ("clip.mjpeg", clip.clone(), 0.04),
        ("clip.mjpg", clip.clone(), 0.04),
        ("clip.jpg", clip.clone(), 0.04),
        ("clip", clip, 0.04),
        ("dump.multipart", multipart, 0.04),
        ("clip.y4m", y4m(20), 0.1),
        ("frames.yuv", y4m(20), 0.1),
    ];
    for (name, bytes, step) in cases {
        dir.write(name, bytes);
        let replayed = run(&dir, name, &[]);
        replayed.assert_exit_code(0);
        let lines = replayed.lines();
        assert_eq!(lines.len(), 20, "{name}: {replayed:?}");
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(line["picture"], name, "{line}");
            assert_eq!(line["frame"], number, "{line}");
            let position = line["position_s"].as_f64().expect("a number");
            assert!((position - step * number as f64).abs() < 1e-6, "{line}");
            assert_eq!(line["detection"]["class"], "red", "{line}");
            assert!(line.get("time").is_none(), "the same each time: {line}");
        }
        assert_eq!(lines[19]["track"], 1, "frames follow each other");
        let again = run(&dir, name, &[]);
        assert_eq!(without_times(again.lines()), without_times(lines), "{name}");
    }
    let few = run(&dir, "clip.mjpeg", &["--frames", "3"]);
    assert_eq!(few.lines().len(), 3);
    let events = run(&dir, "clip.mjpeg", &["--lines", "events"]).lines();
    assert_eq!(events.first().expect("one")["event"], "appeared");
    assert_eq!(events.last().expect("one")["event"], "left");
    assert!(
        events.iter().all(|line| line["picture"] == "clip.mjpeg"),
        "{events:?}"
    );
}

#[test]
fn snapshots_of_a_recording_have_a_name_each() {
    let dir = TestDir::new();
    dir.write("clip.mjpeg", rpicam::mjpeg("red", (64, 48), 5));
    run(&dir, "clip.mjpeg", &["--snapshots", "shots"]).assert_exit_code(0);
    let saved = std::fs::read_dir(dir.path("shots"))
        .expect("a folder")
        .flatten();
    let mut names: Vec<_> = saved
        .map(|entry| entry.file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    let expected: Vec<String> = (0..5)
        .map(|number| format!("clip-{number:06}.png"))
        .collect();
    assert_eq!(names, expected);
}

#[test]
fn a_single_picture_stays_a_picture() {
    let dir = TestDir::new();
    dir.write("photo.jpg", frame("blue"));
    let preview = rpicam::mjpeg("red", (16, 16), 1);
    dir.write("with_preview.jpg", [frame("blue"), preview].concat());
    for name in ["photo.jpg", "with_preview.jpg"] {
        let lines = run(&dir, name, &[]).lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["detection"]["class"], "blue");
        assert!(lines[0].get("frame").is_none(), "{lines:?}");
    }
}

#[test]
fn a_damaged_frame_is_named_and_the_others_are_replayed() {
    let dir = TestDir::new();
    let clip = [
        frame("red"),
        frame("red"),
        frame("red")[..200].to_vec(),
        frame("blue"),
    ]
    .concat();
    dir.write("clip.mjpeg", clip);
    let replayed = run(&dir, "clip.mjpeg", &[]);
    replayed.assert_exit_code(4);
    let lines = replayed.lines();
    assert_eq!(lines.len(), 4, "{replayed:?}");
    assert_eq!(lines[2]["picture"], "clip.mjpeg");
    let error = lines[2]["error"].as_str().expect("an error");
    assert!(
        error.contains("clip.mjpeg: unreadable frame 2 skipped"),
        "{error}"
    );
    assert_eq!(
        (&lines[3]["frame"], &lines[3]["detection"]["class"]),
        (&3.into(), &"blue".into())
    );
    replayed.assert_stderr_contains(&["clip.mjpeg: unreadable frame 2 skipped"]);
}

#[test]
fn a_stream_without_a_readable_frame_is_an_error() {
    let dir = TestDir::new();
    let cut = frame("red")[..300].to_vec();
    let streams = [
        (cut.repeat(3), "900 bytes, 3 unreadable frames, the last: "),
        (b"YUV4MPEG2 W64 H48\n".to_vec(), "no frame in 18 bytes"),
        (
            b"YUV4MPEG2 W64 H48\nFRAME\nabc".to_vec(),
            "1 unreadable frame",
        ),
        (
            b"--cam\r\nContent-Type: text/html\r\n\r\n<p>".to_vec(),
            "neither motion JPEG nor",
        ),
    ];
    for (stream, reason) in streams {
        let live = piped(&dir, &stream, &[]);
        live.assert_exit_code(4);
        live.assert_stderr_contains(&["standard input: ", reason]);
        assert_eq!(live.lines().len(), 0, "{live:?}");
        dir.write("stream.mjpeg", &stream);
        let stdin = File::open(dir.path("stream.mjpeg")).expect("written");
        let recorded = CommandOutput::of(dir.command(&super::arguments("-")).stdin(stdin));
        recorded.assert_exit_code(4);
        recorded.assert_stderr_contains(&[reason]);
    }
    dir.write("header.y4m", "YUV4MPEG2 W64 H48\n");
    let named = run(&dir, "header.y4m", &[]);
    named.assert_exit_code(4);
    named.assert_stderr_contains(&["recording header.y4m: brought no frame in 18 bytes"]);
    assert_eq!(named.lines()[0]["picture"], "header.y4m");
}

#[test]
fn detect_takes_every_frame_of_a_recording() {
    let dir = TestDir::new();
    dir.write("clip.mjpeg", rpicam::mjpeg("red", (64, 48), 4));
    dir.write("header.y4m", "YUV4MPEG2 W64 H48\n");
    dir.write("photo.jpg", frame("blue"));
    let output = dir.run_tiny(&[
        "detect",
        "clip.mjpeg",
        "header.y4m",
        "photo.jpg",
        "--annotate",
        "out",
    ]);
    output.assert_exit_code(4);
    let lines = output.lines();
    assert_eq!(lines.len(), 6, "{output:?}");
    for (number, line) in lines[..4].iter().enumerate() {
        assert_eq!(
            (&line["picture"], &line["frame"]),
            (&"clip.mjpeg".into(), &number.into())
        );
        assert!(dir.path(&format!("out/clip-{number:06}.png")).exists());
    }
    assert!(
        lines[4]["error"]
            .as_str()
            .is_some_and(|error| error.contains("no frame"))
    );
    assert_eq!(lines[5]["detection"]["class"], "blue");
}

#[test]
fn frames_whose_scan_is_cut_are_not_whole() {
    let dir = TestDir::new();
    let live = piped(&dir, &cut_frame().repeat(4), &["--lines", "frames"]);
    live.assert_exit_code(4);
    live.assert_stderr_contains(&["brought no readable frame", "4 unreadable frames"]);
}

#[test]
fn films_are_named_with_a_line_that_reads_them() {
    if test_support::tool_is_missing("ffmpeg") {
        return;
    }
    let dir = TestDir::new();
    let encoders = [
        ("clip.mp4", "libx264"),
        ("clip.mov", "libx264"),
        ("clip.mkv", "libx264"),
        ("clip.avi", "mpeg4"),
        ("a clip.webm", "libvpx"),
        ("clip.ts", "mpeg2video"),
        ("mjpeg.avi", "mjpeg"),
    ];
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_boxcam"));
    let folder = program.parent().expect("a folder").to_path_buf();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [folder].into_iter().chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders).expect("a path");
    for (name, encoder) in encoders {
        let source = "color=red:size=320x240:rate=25";
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", source, "-frames:v", "5"]);
        let made = ffmpeg.args(["-c:v", encoder]).arg(dir.path(name)).status();
        assert!(made.expect("ffmpeg starts").success(), "{name}");
        let refused = run(&dir, name, &[]);
        refused.assert_exit_code(4);
        let line = refused
            .stderr
            .split('`')
            .find(|part| part.ends_with("boxcam run --source -"));
        let line = line.unwrap_or_else(|| panic!("{name}: {refused:?}"));
        let mut shell = Command::new("sh");
        let line = format!("{line} --model tiny.onnx --display none --lines frames");
        shell.args(["-c", &line]).current_dir(dir.path("."));
        shell
            .env("PATH", &path)
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
        let piped = CommandOutput::of(&mut shell);
        assert_eq!(piped.code, 0, "{line}: {piped:?}");
        let lines = piped.lines();
        let red = lines
            .iter()
            .filter(|line| line["detection"]["class"] == "red");
        assert!((1..=5).contains(&red.count()), "{line}: {piped:?}");
    }
}
