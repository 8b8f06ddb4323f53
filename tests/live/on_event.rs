//! `--on-event` in whole runs, and the examples of docs/events.md.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::common::reports::wait_until;
use crate::common::running::Running;
use crate::common::{CommandOutput, TestDir};
use serde_json::Value;

/// A zone that is the whole picture.
const ZONE: &str =
    "[[zone]]\nname = \"door\"\npoints = [[0, 0], [1, 0], [1, 1], [0, 1]]\nsettle = \"0s\"\n";

/// Two seconds of red at 10 frames per second: it appears, enters the zone and leaves.
fn recording() -> Vec<u8> {
    let red = [&[81_u8; 96 * 64][..], &[90; 48 * 32], &[240; 48 * 32]].concat();
    let frames = [b"FRAME\n", &red[..]].concat().repeat(20);
    [b"YUV4MPEG2 W96 H64 F10:1 C420jpeg\n", &frames[..]].concat()
}

/// A program on the path of [`run`].
fn write_program(dir: &TestDir, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let name = format!("bin/{name}");
    dir.write(&name, format!("#!/bin/sh\n{script}\n"));
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir.path(&name), mode).expect("set");
}

/// Runs the recording with these options.
fn command(dir: &TestDir, options: &str) -> Command {
    dir.write("clip.y4m", recording());
    dir.write("boxcam.toml", format!("{options}\n{ZONE}"));
    let arguments = "run --source clip.y4m --display none --model tiny.onnx --lines events --name kitchen --config boxcam.toml";
    let mut command = dir.command(&arguments.split(' ').collect::<Vec<_>>());
    let path = std::env::var("PATH").expect("set");
    command.env("PATH", format!("{}:{path}", dir.path("bin").display()));
    command
}

fn run(dir: &TestDir, options: &str) -> CommandOutput {
    CommandOutput::of(&mut command(dir, options))
}

fn kinds(output: &CommandOutput) -> Vec<String> {
    let kind = |line: &Value| line["event"].as_str().expect("an event").to_owned();
    output.lines().iter().map(kind).collect()
}

#[test]
fn each_event_is_on_standard_input_and_in_the_environment() {
    let dir = TestDir::new();
    write_program(
        &dir,
        "hook",
        "cat > \"$BOXCAM_EVENT.json\"; env > \"$BOXCAM_EVENT.env\"; echo \"$@\" > arguments",
    );
    let mut command = command(
        &dir,
        "on-event = [\"hook\", \"one two\", \"3\"]\nclips = \"clips\"",
    );
    command
        .env("BOXCAM_MQTT_PASSWORD", "secret")
        .env("BOXCAM_OTHER", "x");
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(log.lines().count(), 4, "{log}");
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let kind = event["event"].as_str().expect("a kind");
        let got = fs::read_to_string(dir.path(&format!("{kind}.json"))).expect("a file");
        // The times of the run are the same, too: it is the line itself.
        assert_eq!(got, format!("{line}\n"));
        let environment = fs::read_to_string(dir.path(&format!("{kind}.env"))).expect("a file");
        let own = environment
            .lines()
            .filter(|line| line.starts_with("BOXCAM_"));
        let mut own: Vec<String> = own.map(str::to_owned).collect();
        own.sort();
        let time = event["time"].as_str().expect("a time");
        let id = event["id"].as_str().expect("an ID");
        let confidence = event["detection"]["confidence"].as_f64().expect("a number");
        let count = event["counts"]["red"].as_u64().unwrap_or(0);
        let mut expected = vec![
            format!("BOXCAM_EVENT={kind}"),
            "BOXCAM_CLASS=red".to_owned(),
            "BOXCAM_LABEL=red".to_owned(),
            format!("BOXCAM_CONFIDENCE={confidence}"),
            format!("BOXCAM_COUNT={count}"),
            "BOXCAM_TRACK=1".to_owned(),
            format!("BOXCAM_ID={id}"),
            format!("BOXCAM_TIME={time}"),
            "BOXCAM_CAMERA=kitchen".to_owned(),
        ];
        let clip = event["clip"].as_str().expect("a name");
        assert!(dir.path("clips").join(clip).exists(), "{clip}");
        expected.push(format!("BOXCAM_CLIP={clip}"));
        if let Some(zone) = event["zone"].as_str() {
            expected.push(format!("BOXCAM_ZONE={zone}"));
        }
        if let Some(duration) = event["duration_s"].as_f64() {
            expected.push(format!("BOXCAM_DURATION={duration}"));
        }
        expected.sort();
        assert_eq!(own, expected);
    }
    let arguments = fs::read_to_string(dir.path("arguments")).expect("a file");
    assert_eq!(arguments, "one two 3\n");
}

#[test]
fn a_missing_program_is_a_usage_error() {
    let dir = TestDir::new();
    dir.write("not-executable", "");
    for program in ["no-such-program", "./not-executable", "/no/such/program"] {
        let output = run(&dir, &format!("on-event = [\"{program}\", \"x\"]"));
        output.assert_exit_code(2);
        output.assert_stderr_contains(&["--on-event", &format!("\"{program}\""), "whole path"]);
        let options = "doctor --source demo --display none --model tiny.onnx --on-event";
        let arguments: Vec<&str> = options.split(' ').chain([program]).collect();
        let doctor = dir.run(&arguments);
        assert_eq!(doctor.code, 1);
        assert!(doctor.stdout.contains("FAILED on-event"), "{doctor:?}");
    }
}

#[test]
fn failures_and_output_are_messages_and_the_run_goes_on() {
    let dir = TestDir::new();
    write_program(
        &dir,
        "hook",
        "echo \"hello $BOXCAM_EVENT\"; printf 'to stderr\\033[31m' >&2; exit 3",
    );
    let output = run(&dir, "on-event = \"hook\"");
    output.assert_exit_code(0);
    for kind in kinds(&output) {
        let line = format!("boxcam: on-event: hook: hello {kind}\n");
        output.assert_stderr_contains(&[&line]);
    }
    output.assert_stderr_contains(&[
        "boxcam: on-event: hook: to stderr [31m\n",
        "boxcam: on-event: hook: failed (exit status: 3)\n",
    ]);
}

#[test]
fn output_is_limited() {
    let dir = TestDir::new();
    write_program(&dir, "hook", "yes \"$(printf %0999d 7)\" | head -n 1000");
    let output = run(&dir, "on-event = \"hook\"");
    output.assert_exit_code(0);
    let lines = output
        .stderr
        .lines()
        .filter(|line| line.contains("on-event"));
    let lines: Vec<&str> = lines.collect();
    assert!(lines.len() <= 25, "{}", lines.len());
    assert!(lines.iter().all(|line| line.len() < 450), "{lines:?}");
    let left_out = format!("{} more lines were left out", 4 * 1000 - 20);
    assert!(
        lines.last().is_some_and(|last| last.contains(&left_out)),
        "{lines:?}"
    );
}

/// The end of a live run, whose program would run for ten minutes.
#[cfg(feature = "demo")]
#[test]
fn no_process_outlives_the_run() {
    let dir = TestDir::new();
    write_program(
        &dir,
        "hook",
        "trap '' TERM INT; sleep 600 & echo $$ $! > new.$$; mv new.$$ pids; wait",
    );
    let options = "run --source demo --display none --model tiny.onnx --threshold 0 --lines events --on-event bin/hook";
    let mut program =
        Running::with_stderr(&mut dir.command(&options.split(' ').collect::<Vec<_>>()));
    let pids = || fs::read_to_string(dir.path("pids")).unwrap_or_default();
    wait_until("the program", || !pids().is_empty());
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0), "{:?}", program.lines);
    assert!(
        program
            .lines
            .iter()
            .any(|line| line.contains("was killed at the end of the run"))
    );
    let is_running = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/stat"));
        status.is_ok_and(|status| !status.contains(") Z "))
    };
    for pid in pids().split_whitespace() {
        wait_until("its end", || !is_running(pid));
    }
}

#[test]
fn pictures_have_no_events() {
    let dir = TestDir::new();
    dir.write_solid_image("a.png", "red");
    let output = dir.run_tiny(&[
        "run",
        "--source",
        "a.png",
        "--display",
        "none",
        "--on-event",
        "true",
    ]);
    output.assert_exit_code(0);
    output.assert_stderr_contains(&["--on-event has no effect on pictures"]);
}

/// The examples of docs/events.md, by their headings.
fn example(heading: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.md");
    let page = fs::read_to_string(path).expect("docs/events.md");
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("no {heading}"));
    let block = section.split("```toml\n").nth(1).expect("an example");
    block.split("```").next().expect("its end").to_owned()
}

/// A request: its first line, its headers, its body.
type Request = (String, Vec<String>, String);

/// Answers requests on a port of this machine. Returns its address and the requests.
fn serve() -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address").to_string();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("a line");
                match line.trim_end() {
                    "" => break,
                    line => lines.push(line.to_owned()),
                }
            }
            let length = lines
                .iter()
                .find_map(|line| line.strip_prefix("Content-Length: "));
            let length = length.expect("a length").parse().expect("a number");
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
            reader.get_mut().write_all(answer).expect("sent");
            let body = String::from_utf8(body).expect("UTF-8");
            let first = lines.remove(0);
            if sender.send((first, lines, body)).is_err() {
                return;
            }
        }
    });
    (address, receiver)
}

fn received(requests: &Receiver<Request>) -> Request {
    requests
        .recv_timeout(Duration::from_secs(60))
        .expect("a request")
}

#[test]
fn the_example_of_ntfy_sends_a_message_for_what_appears() {
    if test_support::tool_is_missing("curl") {
        return;
    }
    let (address, requests) = serve();
    let dir = TestDir::new();
    let options =
        example("Send a message").replace("https://ntfy.sh", &format!("http://{address}"));
    let output = run(&dir, &options);
    output.assert_exit_code(0);
    assert!(!output.stderr.contains("on-event"), "{output:?}");
    let (first, headers, body) = received(&requests);
    assert_eq!(first, "POST /boxcam-TOPIC HTTP/1.1");
    assert!(
        headers.contains(&"Title: kitchen".to_owned()),
        "{headers:?}"
    );
    assert_eq!(body, "red appeared");
    assert!(requests.try_recv().is_err(), "only one event is `appeared`");
}

#[test]
fn the_example_of_a_webhook_sends_each_event() {
    if test_support::tool_is_missing("curl") {
        return;
    }
    let (address, requests) = serve();
    let dir = TestDir::new();
    let options = example("Call a webhook").replace("192.168.1.10:1880", &address);
    let output = run(&dir, &options);
    output.assert_exit_code(0);
    assert!(!output.stderr.contains("on-event"), "{output:?}");
    let mut lines: Vec<&str> = output.stdout.lines().collect();
    for _ in 0..4 {
        let (first, headers, body) = received(&requests);
        assert_eq!(first, "POST /boxcam HTTP/1.1");
        let kind = "Content-Type: application/json".to_owned();
        assert!(headers.contains(&kind), "{headers:?}");
        let at = lines.iter().position(|line| *line == body.trim_end());
        lines.remove(at.unwrap_or_else(|| panic!("{body} is no event")));
    }
}

#[test]
fn the_examples_of_a_pin_and_a_sound_call_their_programs() {
    let cases = [
        (
            "Switch a pin",
            "gpioset",
            "--mode=time --sec=1 gpiochip0 17=1\n",
        ),
        (
            "Play a sound",
            "aplay",
            "-q /usr/share/sounds/alsa/Front_Center.wav\n",
        ),
    ];
    for (heading, program, arguments) in cases {
        let dir = TestDir::new();
        // There is no such hardware here.
        write_program(&dir, program, "echo \"$@\" >> arguments");
        let output = run(&dir, &example(heading));
        output.assert_exit_code(0);
        assert!(!output.stderr.contains("on-event"), "{output:?}");
        let called = fs::read_to_string(dir.path("arguments")).expect("called");
        assert_eq!(called, arguments, "once");
    }
}
