//! Signals end a run gracefully: its track leaves, and a hangup that is ignored stays ignored.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::common::reports::wait_until;
use crate::common::running::Running;
use crate::common::{TestDir, rpicam};
use crate::{arguments, has_event, logged};

/// A run of a camera that delivers frames for ever, with a track.
fn watching(dir: &TestDir, start: impl FnOnce(Command) -> Command) -> Running {
    dir.write("red.mjpg", rpicam::mjpeg("red", (64, 48), 1));
    let path = rpicam::install(dir, "while cat red.mjpg; do sleep 0.03; done");
    let mut command = dir.command(&arguments("rpicam"));
    command.args(["--log", "log.jsonl"]).env("PATH", path);
    let program = Running::with_stderr(&mut start(command));
    wait_until("a track", || has_event(dir, "appeared"));
    program
}

#[test]
fn each_signal_ends_a_run_and_its_track_leaves() {
    for signal in ["-HUP", "-INT", "-QUIT", "-TERM"] {
        let dir = TestDir::new();
        let mut program = watching(&dir, |command| command);
        program.signal(signal);
        let status = program.wait();
        assert_eq!(status.code(), Some(0), "{signal}: {:#?}", program.lines);
        assert!(has_event(&dir, "left"), "{signal}: {:?}", logged(&dir));
    }
}

#[test]
fn a_hangup_with_other_signals_is_still_graceful() {
    for signals in [["-HUP", "-HUP"], ["-TERM", "-HUP"], ["-HUP", "-TERM"]] {
        let dir = TestDir::new();
        let mut program = watching(&dir, |command| command);
        let id = program.id().to_string();
        let both = format!("kill {} {id}; kill {} {id}; :", signals[0], signals[1]);
        let sent = Command::new("sh").args(["-c", &both]).status();
        assert!(sent.expect("sh starts").success());
        let status = program.wait();
        assert_eq!(status.code(), Some(0), "{signals:?}: {:#?}", program.lines);
        assert!(has_event(&dir, "left"), "{signals:?}");
    }
}

#[test]
fn an_ignored_hangup_stays_ignored() {
    let dir = TestDir::new();
    let mut program = watching(&dir, |command| {
        // As nohup does.
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
        shell.arg(command.get_program()).args(command.get_args());
        shell.current_dir(dir.path(".")).stdin(Stdio::null());
        shell.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        for (name, value) in command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)))
        {
            shell.env(name, value);
        }
        shell
    });
    program.signal("-HUP");
    // It is alive if it notices that the camera is gone.
    std::fs::remove_file(dir.path("red.mjpg")).expect("removed");
    wait_until("the loss is noticed", || {
        crate::has_state(&dir, "reopening")
    });
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0), "{:#?}", program.lines);
}

#[test]
fn a_closed_standard_output_ends_a_run() {
    let dir = TestDir::new();
    dir.write("frames.mjpg", rpicam::mjpeg("red", (64, 48), 30));
    let path = rpicam::install(&dir, rpicam::ENDLESS);
    let mut command = dir.command(&arguments("rpicam"));
    command.args(["--lines", "frames"]).env("PATH", path);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("started");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    drop(stdout);
    assert_eq!(child.wait().expect("ended").code(), Some(0), "{line}");
}

#[test]
fn one_signal_ends_detect_on_a_pipe_that_nobody_writes_to() {
    let dir = TestDir::new();
    crate::make_pipe(&dir, "picture.jpg");
    let arguments = ["detect", "picture.jpg", "--model", "tiny.onnx"];
    let mut child = dir.command(&arguments).spawn().expect("started");
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("kill starts").success());
    assert_eq!(child.wait().expect("ended").signal(), Some(15));
}

#[test]
fn a_command_that_only_computes_ends_with_the_first_signal() {
    let dir = TestDir::new();
    for signal in [1, 2, 15] {
        let arguments = ["bench", "--frames", "100000000", "--model", "tiny.onnx"];
        let mut command = dir.command(&arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("started");
        let id = child.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &id])
            .status();
        assert!(sent.expect("kill starts").success());
        let mut ended = None;
        wait_until("it ends", || {
            ended = child.try_wait().expect("asked");
            ended.is_some()
        });
        assert_eq!(ended.and_then(|status| status.signal()), Some(signal));
    }
}
