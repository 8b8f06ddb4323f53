//! What a user may write for a source, and the answer.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use super::{arguments, frame, has_state, make_pipe, run};
use crate::common::TestDir;
use crate::common::running::Running;

#[cfg(feature = "camera")]
#[test]
fn numbers_and_video_devices_are_cameras() {
    let dir = TestDir::new();
    for source in [
        "99999",
        "video99999",
        "/dev/video99999",
        "camera:99999",
        "v4l2:///dev/video99999",
    ] {
        let output = run(&dir, source, &[]);
        output.assert_exit_code(4);
        let message = "camera /dev/video99999: can't be opened (No such file";
        output.assert_stderr_contains(&[message, "ls /dev/video*"]);
    }
    let by_id = "/dev/v4l/by-id/usb-No_Such_Camera-video-index0";
    run(&dir, by_id, &[]).assert_stderr_contains(&["camera /dev/v4l/by-id/", "can't be opened"]);
}

#[test]
fn a_word_that_means_a_camera_is_answered_with_what_to_write() {
    let dir = TestDir::new();
    let cases = [
        ("usb", "`--source camera`"),
        ("webcam", "`--source camera`"),
        ("cam0", "`--source camera`"),
        ("picamera", "`--source rpicam`"),
        ("libcamera", "`--source rpicam`"),
        ("stdin", "`--source -`"),
        ("rtsp:cam.lan", "rtsp://HOST/PATH"),
        ("holiday", "check the path"),
    ];
    for (source, advice) in cases {
        let output = run(&dir, source, &[]);
        output.assert_exit_code(4);
        output.assert_stderr_contains(&[&format!("source {source}: "), advice]);
        assert!(!output.stderr.contains("permission"), "{output:?}");
    }
    // A file that exists is read, even if its name looks like a camera.
    dir.write("webcam", frame("red"));
    let lines = run(&dir, "webcam", &[]).lines();
    assert_eq!(lines[0]["detection"]["class"], "red");
}

#[test]
fn an_address_that_is_not_supported_is_a_usage_error_without_its_password() {
    let dir = TestDir::new();
    let cases = [
        ("rtmp://admin:hunter2@cam/live", "pipe any other"),
        ("rtsp://admin:hunter2@cam:port/live", "expected rtsp://"),
        ("rtsp://admin:hunter/2@cam/live", "write / as %2F"),
        ("rtsp://", "expected rtsp://"),
    ];
    for (source, advice) in cases {
        let output = run(&dir, source, &[]);
        output.assert_exit_code(2);
        output.assert_stderr_contains(&["--source", advice]);
        assert!(!output.stderr.contains("hunter"), "{output:?}");
    }
}

#[test]
fn an_encoding_is_not_answered_with_permissions() {
    let dir = TestDir::new();
    let utf16: Vec<u8> = "\u{feff}source = \"demo\"\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    dir.write("options.toml", utf16);
    let output = dir.run(&["run", "--config", "options.toml"]);
    output.assert_exit_code(2);
    output.assert_stderr_contains(&["options.toml: can't be read", "save it as UTF-8"]);
    assert!(!output.stderr.contains("permission"), "{output:?}");
    let missing = dir.run(&["run", "--config", "none.toml"]);
    missing.assert_stderr_contains(&["check the path"]);
    assert!(!missing.stderr.contains("permission"), "{missing:?}");
}

#[test]
fn a_named_pipe_is_a_stream() {
    let dir = TestDir::new();
    make_pipe(&dir, "frames");
    let mut command = dir.command(&arguments("frames"));
    command.args(["--lines", "frames", "--log", "log.jsonl"]);
    let mut program = Running::with_stderr(&mut command);
    // Opening waits until the program has opened it, too.
    let mut pipe = File::options()
        .write(true)
        .open(dir.path("frames"))
        .expect("opened");
    pipe.write_all(&frame("blue").repeat(3)).expect("written");
    drop(pipe);
    assert_eq!(program.wait().code(), Some(0), "{:#?}", program.lines);
    let lines = super::logged(&dir);
    let frames: Vec<_> = lines.iter().filter(|line| line["frame"].is_u64()).collect();
    assert!((1..=3).contains(&frames.len()), "{lines:?}");
    assert_eq!(frames[0]["detection"]["class"], "blue");
}

#[test]
fn a_named_pipe_without_a_frame_is_an_error() {
    let dir = TestDir::new();
    make_pipe(&dir, "frames");
    let mut program = Running::with_stderr(&mut dir.command(&arguments("frames")));
    let mut pipe = File::options()
        .write(true)
        .open(dir.path("frames"))
        .expect("opened");
    pipe.write_all(&frame("blue")[..200]).expect("written");
    drop(pipe);
    assert_eq!(program.wait().code(), Some(4));
    let said = program.lines.join("\n");
    assert!(
        said.contains("frames: brought no readable frame: 200 bytes"),
        "{said}"
    );
}

#[test]
fn one_signal_ends_a_run_of_a_pipe_that_nobody_writes_to() {
    for through_stdin in [false, true] {
        let dir = TestDir::new();
        make_pipe(&dir, "frames");
        let source = if through_stdin { "-" } else { "frames" };
        let mut command = dir.command(&arguments(source));
        command.args(["--stall", "200ms", "--log", "log.jsonl"]);
        if through_stdin {
            // Opened for writing, too: a shell's `< frames` waits for a writer before it starts the program.
            let pipe = File::options()
                .read(true)
                .write(true)
                .open(dir.path("frames"));
            command.stdin(pipe.expect("opened"));
        }
        let mut program = Running::with_stderr(&mut command);
        crate::common::reports::wait_until("a stall", || has_state(&dir, "stalled"));
        let start = Instant::now();
        program.signal("-TERM");
        assert_eq!(program.wait().code(), Some(0), "{:#?}", program.lines);
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{:?}",
            start.elapsed()
        );
        let said = program.lines.join("\n");
        assert!(
            said.contains("the source has stalled: no frame for 0.4 s"),
            "{said}"
        );
    }
}
