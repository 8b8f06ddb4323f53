//! Signals end a run gracefully: its track leaves, and a hangup that is ignored stays ignored.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use super::{arguments, has_event, logged};
use crate::common::reports::wait_until;
use crate::common::running::Running;
use crate::common::{TestDir, rpicam};

/// The command with the default action for each signal, even where the tests run under `nohup` or in the background of a
/// script, which ignore some.
fn with_default_signals(command: &Command) -> Command {
    under(command, "env", &["--default-signal=HUP,INT,QUIT,TERM"])
}

/// The command with its surroundings as arguments of another program, which it replaces.
fn under(command: &Command, program: &str, arguments: &[&str]) -> Command {
    let mut outer = Command::new(program);
    outer
        .args(arguments)
        .arg(command.get_program())
        .args(command.get_args());
    outer.current_dir(command.get_current_dir().expect("a folder"));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer.stdin(Stdio::null());
    outer
}

/// The fields of `/proc/PID/stat` behind the name of a program, once this is boxcam: its state comes first.
fn stat(id: u32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (name, rest) = stat.rsplit_once(") ")?;
    let fields = rest.split(' ').map(str::to_owned);
    name.ends_with("(boxcam").then(|| fields.collect())
}

/// A run of a camera that delivers frames for ever, with a track.
fn watching(dir: &TestDir, start: impl FnOnce(&Command) -> Command) -> Running {
    dir.write("red.mjpg", rpicam::mjpeg("red", (64, 48), 1));
    let path = rpicam::install(dir, "while cat red.mjpg; do sleep 0.03; done");
    let mut command = dir.command(&arguments("rpicam"));
    command.args(["--log", "log.jsonl"]).env("PATH", path);
    let program = Running::with_stderr(&mut start(&command));
    wait_until("a track", || has_event(dir, "appeared"));
    program
}

#[test]
fn each_signal_ends_a_run_and_its_track_leaves() {
    for signal in ["-HUP", "-INT", "-QUIT", "-TERM"] {
        let dir = TestDir::new();
        let mut program = watching(&dir, with_default_signals);
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
        let mut program = watching(&dir, with_default_signals);
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
        under(command, "sh", &["-c", "trap '' HUP; exec \"$@\"", "sh"])
    });
    program.signal("-HUP");
    // It is alive if it notices that the camera is gone.
    std::fs::remove_file(dir.path("red.mjpg")).expect("removed");
    wait_until("the loss is noticed", || {
        super::has_state(&dir, "reopening")
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
    super::make_pipe(&dir, "picture.jpg");
    let arguments = ["detect", "picture.jpg", "--model", "tiny.onnx"];
    let mut child = dir.command(&arguments).spawn().expect("started");
    let mut sleeps = 0;
    wait_until("it waits for the pipe", || {
        let is_asleep = stat(child.id()).is_some_and(|fields| fields[0] == "S");
        sleeps = if is_asleep { sleeps + 1 } else { 0 };
        sleeps > 5
    });
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
        let mut command = with_default_signals(&dir.command(&arguments));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("started");
        wait_until("it computes", || {
            let ticks = stat(child.id()).and_then(|fields| fields[11].parse::<u64>().ok());
            ticks.is_some_and(|ticks| ticks > 20)
        });
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
