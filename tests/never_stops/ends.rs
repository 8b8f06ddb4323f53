//! However a run is doing, it ends when it is told to, and what was there leaves.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::camera::{self, events, has_been, logged, states};
use crate::common::TestDir;
use crate::common::reports::wait_until;
use crate::common::rpicam;
use crate::common::running::Running;

/// Tells it to end, and holds it to that.
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

fn has_appeared(place: &TestDir) -> bool {
    events(&logged(place)) == ["appeared"]
}

#[test]
fn a_run_that_waits_for_its_camera_ends() {
    let place = TestDir::new();
    place.write("gone", "");
    let words = ["--wait"];
    let mut program = Running::with_stderr(&mut camera::watch(&place, camera::VANISHING, &words));
    wait_until("it waits", || has_been(&place, "starting"));
    end(&mut program, "starting");
    assert_eq!(states(&logged(&place)), ["starting"]);
}

#[test]
fn a_live_run_ends_and_what_was_there_leaves() {
    let place = TestDir::new();
    let mut program = Running::with_stderr(&mut camera::watch(&place, camera::VANISHING, &[]));
    wait_until("a thing", || has_appeared(&place));
    end(&mut program, "live");
    let lines = logged(&place);
    assert_eq!(states(&lines), ["live"]);
    assert_eq!(events(&lines), ["appeared", "left"]);
    assert_eq!(lines[2]["detection"]["class"], "red");
}

#[test]
fn a_run_that_opens_its_camera_again_ends_and_what_was_there_leaves() {
    let place = TestDir::new();
    let mut program = Running::with_stderr(&mut camera::watch(&place, camera::VANISHING, &[]));
    wait_until("a thing", || has_appeared(&place));
    place.write("gone", "");
    wait_until("it is missed", || has_been(&place, "reopening"));
    end(&mut program, "reopening");
    assert_eq!(events(&logged(&place)), ["appeared", "left"]);
}

#[test]
fn a_run_whose_camera_hangs_while_it_starts_ends() {
    let place = TestDir::new();
    let mut program = Running::with_stderr(&mut camera::watch(&place, "exec sleep 600", &[]));
    wait_until("it was started", || place.path("number").exists());
    end(&mut program, "opening");
    let number = std::fs::read_to_string(place.path("number")).expect("there");
    let groups = [number.trim().parse().expect("a number")];
    wait_until("no orphans", || {
        crate::processes::alive_in(&groups).is_empty()
    });
}

/// A run of standard input.
fn reading(place: &TestDir, stdin: std::io::PipeReader) -> Command {
    let mut command = place.command(&["run", "--source", "-", "--stall", "300ms"]);
    command.args(["--display", "none", "--model", "tiny.onnx"]);
    command.args(["--log", "log.jsonl"]).stdin(stdin);
    command
}

/// A pipe with a program at its end, into which so much has gone that something is there.
fn piped(place: &TestDir) -> (Running, std::io::PipeWriter, Vec<u8>) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let program = Running::with_stderr(&mut reading(place, reader));
    let frame = rpicam::mjpeg("red", (64, 48), 1);
    wait_until("a thing", || {
        writer.write_all(&frame).expect("it reads");
        has_appeared(place)
    });
    (program, writer, frame)
}

#[test]
fn a_pipe_that_stalls_is_waited_for_and_its_end_is_the_end() {
    let place = TestDir::new();
    let (mut program, mut writer, frame) = piped(&place);
    writer.write_all(&frame[..200]).expect("it reads");
    wait_until("a stall", || has_been(&place, "stalled"));
    writer.write_all(&frame[200..]).expect("it reads");
    wait_until("it goes on", || {
        states(&logged(&place)) == ["live", "stalled", "live"]
    });
    drop(writer);
    assert_eq!(program.wait().code(), Some(0), "{:#?}", program.lines);
    assert_eq!(
        events(&logged(&place)).last().map(String::as_str),
        Some("left")
    );
}

#[test]
fn a_stalled_run_ends_and_what_was_there_leaves() {
    let place = TestDir::new();
    let (mut program, _writer, _) = piped(&place);
    wait_until("a stall", || has_been(&place, "stalled"));
    end(&mut program, "stalled");
    let lines = logged(&place);
    assert_eq!(states(&lines), ["live", "stalled"]);
    assert_eq!(events(&lines), ["appeared", "left"]);
}

#[cfg(feature = "mqtt")]
#[test]
fn the_broker_hears_what_leaves_at_the_end() {
    use crate::broker::Broker;
    let Some(broker) = Broker::start() else {
        return;
    };
    let mut ear = broker.subscribe("boxcam/cam/+");
    let place = TestDir::new();
    let (url, script) = (broker.url(""), camera::VANISHING);
    let words = ["--name", "cam", "--mqtt", &url];
    let mut program = Running::with_stderr(&mut camera::watch(&place, script, &words));
    let event = "boxcam/cam/event";
    assert_eq!(ear.wait_for(event).json()["event"], "appeared");
    end(&mut program, "live, with a broker");
    assert_eq!(ear.wait_for(event).json()["event"], "left");
    let last_state = ear.wait_for("boxcam/cam/state").json();
    assert_eq!(last_state["present"], false, "{last_state}");
    assert_eq!(ear.wait_for("boxcam/cam/status").payload, "offline");
}
