//! The sources of a run as a user names them: recordings, pipes, cameras of the network; and the signals that end it.
#![cfg(target_os = "linux")]

mod given;
mod network;
mod recordings;
mod signals;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::{CommandOutput, TestDir, rpicam};
use serde_json::Value;

/// The arguments of a run of this source with the tiny model.
fn arguments(source: &str) -> Vec<&str> {
    let mut arguments = vec!["run", "--source", source, "--display", "none"];
    arguments.extend(["--model", "tiny.onnx"]);
    arguments
}

fn run(dir: &TestDir, source: &str, more: &[&str]) -> CommandOutput {
    dir.run(&[&arguments(source)[..], more].concat())
}

/// A run that gets these bytes through a pipe, which is closed then.
fn piped(dir: &TestDir, bytes: &[u8], more: &[&str]) -> CommandOutput {
    let mut command = dir.command(&[&arguments("-")[..], more].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("started");
    let mut stdin = child.stdin.take().expect("piped");
    let bytes = bytes.to_vec();
    // It may end before it has read all.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = child.wait_with_output().expect("ended");
    writer.join().expect("no panic");
    output.into()
}

fn frame(color: &str) -> Vec<u8> {
    rpicam::mjpeg(color, (64, 48), 1)
}

/// A JPEG whose scan is cut in the middle and has an end marker.
fn cut_frame() -> Vec<u8> {
    let noise = image::RgbImage::from_fn(96, 64, |x, y| {
        image::Rgb([(x * 37 + y * 91) as u8, (x * y) as u8, (x ^ y) as u8])
    });
    let whole = boxcam::picture::encode_jpeg(&noise, 90).expect("encoded");
    let scan = whole.windows(2).position(|pair| pair == [0xff, 0xda]);
    let scan = scan.expect("a scan") + 14;
    let end = scan + (whole.len() - scan) * 2 / 5;
    [&whole[..end], &[0xff, 0xd9]].concat()
}

/// The lines of the log so far.
fn logged(dir: &TestDir) -> Vec<Value> {
    let text = fs::read_to_string(dir.path("log.jsonl")).unwrap_or_default();
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let parsed = |line| serde_json::from_str(line).expect("a JSON object per line");
    whole.lines().map(parsed).collect()
}

fn has_event(dir: &TestDir, event: &str) -> bool {
    logged(dir).iter().any(|line| line["event"] == event)
}

fn has_state(dir: &TestDir, state: &str) -> bool {
    logged(dir).iter().any(|line| line["state"] == state)
}

fn make_pipe(dir: &TestDir, name: &str) {
    let made = Command::new("mkfifo").arg(dir.path(name)).status();
    assert!(made.expect("mkfifo starts").success());
}

/// Puts a script in front of PATH under this name, and returns the PATH.
fn install(dir: &TestDir, name: &str, script: &str) -> std::ffi::OsString {
    let path = rpicam::install(dir, script);
    fs::rename(dir.path("bin/rpicam-vid"), dir.path("bin").join(name)).expect("renamed");
    path
}
