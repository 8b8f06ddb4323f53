//! A run ends on a signal in every state, and its current track leaves.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::camera::{self, events, has_logged_state, logged, states};
use crate::common::TestDir;
use crate::common::reports::wait_until;
use crate::common::rpicam;
use crate::common::running::Running;

/// Sends a signal and checks that the program ends.
#[track_caller]
fn end(program: &mut Running, during: &str) {
    let start = Instant::now();
    program.signal("-TERM");
    let status = program.wait();
    assert_eq!(status.code(), Some(0), "{during}: {:#?}", program.lines);
    let elapsed = start.elapsed();
    eprintln!("{during}: ended in {elapsed:?}");
    assert!(elapsed < Duration::from_secs(20), "{during}: {elapsed:?}");
}

fn has_appeared(dir: &TestDir) -> bool {
    events(&logged(dir)) == ["appeared"]
}

#[test]
fn a_run_that_waits_for_its_camera_ends_on_a_signal() {
    let dir = TestDir::new();
    dir.write("gone", "");
    let arguments = ["--wait"];
    let mut program = Running::with_stderr(&mut camera::watch(&dir, camera::VANISHING, &arguments));
    wait_until("waiting", || has_logged_state(&dir, "starting"));
    end(&mut program, "starting");
    assert_eq!(states(&logged(&dir)), ["starting"]);
}

#[test]
fn a_live_run_ends_and_its_track_leaves() {
    let dir = TestDir::new();
    let mut program = Running::with_stderr(&mut camera::watch(&dir, camera::VANISHING, &[]));
    wait_until("a track", || has_appeared(&dir));
    end(&mut program, "live");
    let lines = logged(&dir);
    assert_eq!(states(&lines), ["live"]);
    assert_eq!(events(&lines), ["appeared", "left"]);
    assert_eq!(lines[2]["detection"]["class"], "red");
}

#[test]
fn a_reopening_run_ends_and_its_track_leaves() {
    let dir = TestDir::new();
    let mut program = Running::with_stderr(&mut camera::watch(&dir, camera::VANISHING, &[]));
    wait_until("a track", || has_appeared(&dir));
    dir.write("gone", "");
    wait_until("the loss is noticed", || {
        has_logged_state(&dir, "reopening")
    });
    end(&mut program, "reopening");
    assert_eq!(events(&logged(&dir)), ["appeared", "left"]);
}

#[test]
fn a_run_whose_camera_hangs_at_its_start_ends() {
    let dir = TestDir::new();
    let mut program = Running::with_stderr(&mut camera::watch(&dir, "exec sleep 600", &[]));
    wait_until("the start", || dir.path("pid").exists());
    end(&mut program, "opening");
    let pid = std::fs::read_to_string(dir.path("pid")).expect("a process number");
    let groups = [pid.trim().parse().expect("a number")];
    wait_until("no orphans", || {
        crate::processes::alive_in(&groups).is_empty()
    });
}

/// A run that reads standard input.
fn run_of_stdin(dir: &TestDir, stdin: std::io::PipeReader) -> Command {
    let mut command = dir.command(&["run", "--source", "-", "--stall", "300ms"]);
    command.args(["--display", "none", "--model", "tiny.onnx"]);
    command.args(["--log", "log.jsonl"]).stdin(stdin);
    command
}

/// A run that reads a pipe, into which frames are written until a track appears. Returns the pipe and one frame.
fn run_of_pipe(dir: &TestDir) -> (Running, std::io::PipeWriter, Vec<u8>) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let program = Running::with_stderr(&mut run_of_stdin(dir, reader));
    let frame = rpicam::mjpeg("red", (64, 48), 1);
    wait_until("a track", || {
        writer.write_all(&frame).expect("the program reads");
        has_appeared(dir)
    });
    (program, writer, frame)
}

#[test]
fn a_stalled_pipe_is_waited_for_and_its_end_ends_the_run() {
    let dir = TestDir::new();
    let (mut program, mut writer, frame) = run_of_pipe(&dir);
    writer.write_all(&frame[..200]).expect("the program reads");
    wait_until("a stall", || has_logged_state(&dir, "stalled"));
    writer.write_all(&frame[200..]).expect("the program reads");
    wait_until("frames again", || {
        states(&logged(&dir)) == ["live", "stalled", "live"]
    });
    drop(writer);
    assert_eq!(program.wait().code(), Some(0), "{:#?}", program.lines);
    assert_eq!(
        events(&logged(&dir)).last().map(String::as_str),
        Some("left")
    );
}

#[test]
fn a_stalled_run_ends_and_its_track_leaves() {
    let dir = TestDir::new();
    let (mut program, _writer, _) = run_of_pipe(&dir);
    wait_until("a stall", || has_logged_state(&dir, "stalled"));
    end(&mut program, "stalled");
    let lines = logged(&dir);
    assert_eq!(states(&lines), ["live", "stalled"]);
    assert_eq!(events(&lines), ["appeared", "left"]);
}

#[cfg(feature = "mqtt")]
#[test]
fn the_broker_receives_the_last_event_and_offline() {
    use crate::broker::Broker;
    let Some(broker) = Broker::start() else {
        return;
    };
    let mut subscriber = broker.subscribe("boxcam/cam/+");
    let dir = TestDir::new();
    let (url, script) = (broker.url(""), camera::VANISHING);
    let arguments = ["--name", "cam", "--mqtt", &url];
    let mut program = Running::with_stderr(&mut camera::watch(&dir, script, &arguments));
    let event = "boxcam/cam/event";
    assert_eq!(subscriber.wait_for(event).json()["event"], "appeared");
    end(&mut program, "live, with a broker");
    assert_eq!(subscriber.wait_for(event).json()["event"], "left");
    let last_state = subscriber.wait_for("boxcam/cam/state").json();
    assert_eq!(last_state["present"], false, "{last_state}");
    assert_eq!(subscriber.wait_for("boxcam/cam/status").payload, "offline");
}
