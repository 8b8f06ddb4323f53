//! Streams into the real program: from ffmpeg, from files, and from what plays `rpicam-vid`.
#![cfg(target_os = "linux")]

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::rpicam::{self, ENDLESS};
use common::{CommandOutput, TestDir};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

const STDIN: [&str; 7] = [
    "run",
    "--source",
    "-",
    "--model",
    "tiny.onnx",
    "--lines",
    "frames",
];

fn said(command: &mut Command) -> CommandOutput {
    let output = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    CommandOutput {
        code: output.status.code().expect("no signal ended it"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A stream by ffmpeg in a file: a colour, and what is to be made of it.
fn ffmpeg(place: &TestDir, colour: &str, words: &str) {
    let graph = format!("color={colour}:size=640x480:rate=30");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", &graph, "-frames:v", "5"]);
    let status = command
        .args(words.split(' '))
        .arg(place.path("stream"))
        .status();
    assert!(status.expect("ffmpeg starts").success(), "{words}");
}

/// What was seen in each frame; lines of states are passed over.
fn classes(said: &CommandOutput) -> Vec<String> {
    let lines = said.lines();
    let frames = lines.iter().filter(|line| line["frame"].is_u64());
    frames
        .map(|line| line["detection"]["class"].to_string())
        .collect()
}

#[test]
fn what_ffmpeg_sends_is_seen_as_it_is() {
    if test_support::tool_is_missing("ffmpeg") {
        return;
    }
    let place = TestDir::new();
    let formats = [
        "-f mjpeg",
        "-f mpjpeg",
        "-f yuv4mpegpipe -pix_fmt yuv420p",
        "-f yuv4mpegpipe -pix_fmt yuvj420p",
        "-f yuv4mpegpipe -pix_fmt yuv422p",
        "-f yuv4mpegpipe -pix_fmt yuv444p",
        "-f yuv4mpegpipe -pix_fmt yuv411p",
    ];
    for (format, colour) in formats.iter().zip(["red", "lime", "blue"].iter().cycle()) {
        ffmpeg(&place, colour, &format!("{format} -y"));
        let class = if *colour == "lime" { "green" } else { colour };
        let stream = File::open(place.path("stream")).expect("made");
        let recorded = said(place.command(&STDIN).stdin(stream));
        recorded.assert_exit_code(0);
        assert_eq!(
            classes(&recorded),
            vec![format!("\"{class}\""); 5],
            "{format}"
        );
        // The same through a pipe is live: what is not looked at in time is dropped.
        let mut sender = Command::new("cat")
            .arg(place.path("stream"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let live = said(
            place
                .command(&STDIN)
                .stdin(sender.stdout.take().expect("piped")),
        );
        assert!(sender.wait().expect("waited").success());
        live.assert_exit_code(0);
        let seen = classes(&live);
        assert!((1..=5).contains(&seen.len()), "{format}: {seen:?}");
        assert!(
            seen.iter().all(|seen| *seen == format!("\"{class}\"")),
            "{format}: {seen:?}"
        );
    }
}

#[test]
fn what_is_no_stream_is_refused_with_an_example() {
    let place = TestDir::new();
    let empty = said(&mut place.command(&STDIN));
    empty.assert_exit_code(4);
    empty.assert_stderr_contains(&[
        "standard input: is empty",
        "ffmpeg -i FILE",
        "rpicam-vid -n",
    ]);
    place.write("notes.txt", "not at all a picture");
    let text = File::open(place.path("notes.txt")).expect("written");
    let text = said(place.command(&STDIN).stdin(text));
    text.assert_exit_code(4);
    text.assert_stderr_contains(&["standard input: is neither motion JPEG nor YUV4MPEG2"]);
}

#[test]
fn a_stalled_pipe_goes_on_when_more_comes() {
    let place = TestDir::new();
    let frame = rpicam::mjpeg("blue", (64, 48), 1);
    let mut command = place.command(&STDIN);
    command
        .args(["--frames", "2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&frame).expect("written");
    stdin.write_all(&frame[..100]).expect("written");
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().expect("asked").is_none(), "it waits");
    stdin.write_all(&frame[100..]).expect("written");
    let output = child.wait_with_output().expect("ended");
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout)
            .matches("\"blue\"")
            .count(),
        2
    );
}

/// `boxcam run --source rpicam:1` with a script that plays `rpicam-vid`.
fn with_rpicam(place: &TestDir, script: &str) -> Command {
    let path = rpicam::install(place, script);
    let words = [
        "run", "--source", "rpicam:1", "--size", "64x48", "--rate", "15",
    ];
    let mut command = place.command(&words);
    command.args([
        "--model",
        "tiny.onnx",
        "--lines",
        "frames",
        "--frames",
        "20",
    ]);
    command.env("PATH", path);
    command
}

/// Waits until the process that played `rpicam-vid` is gone.
#[track_caller]
fn assert_gone(place: &TestDir) {
    let number = fs::read_to_string(place.path("number")).expect("it ran");
    let process = Path::new("/proc").join(number.trim());
    let start = Instant::now();
    while process.exists() && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!process.exists(), "it outlived boxcam");
}

#[test]
fn rpicam_is_asked_for_what_is_wanted_and_ends_with_the_run() {
    let place = TestDir::new();
    place.write("frames.mjpg", rpicam::mjpeg("green", (64, 48), 30));
    let said = said(&mut with_rpicam(&place, ENDLESS));
    said.assert_exit_code(0);
    assert_eq!(classes(&said), ["\"green\""; 20]);
    let words = fs::read_to_string(place.path("words")).expect("it ran");
    let wanted =
        "--camera 1 --width 64 --height 48 --framerate 15 -n -t 0 --codec mjpeg --flush -o -";
    assert_eq!(words.trim(), wanted);
    assert_gone(&place);
}

#[test]
fn garbage_and_other_sizes_are_survived() {
    let place = TestDir::new();
    place.write("small.mjpg", rpicam::mjpeg("red", (32, 24), 10));
    place.write("large.mjpg", rpicam::mjpeg("red", (320, 240), 10));
    let script = "while cat small.mjpg && head -c 5000 /dev/urandom && cat large.mjpg && head -c 300 small.mjpg; do :; done";
    let said = said(&mut with_rpicam(&place, script));
    assert!(matches!(said.code, 0 | 4), "{said:?}");
    let seen = classes(&said);
    let red = seen.iter().filter(|class| *class == "\"red\"").count();
    assert_eq!(red, 20, "{seen:?}");
    assert_gone(&place);
}

#[test]
fn a_camera_that_is_not_there_is_told_in_the_programs_words() {
    let place = TestDir::new();
    let dies = said(&mut with_rpicam(
        &place,
        "echo 'ERROR: *** no cameras available ***' >&2; exit 255",
    ));
    dies.assert_exit_code(4);
    dies.assert_stderr_contains(&[
        "rpicam:1: rpicam-vid ended",
        "no cameras available",
        "rpicam-hello --list-cameras",
    ]);
    assert_gone(&place);
    let mut command = with_rpicam(&place, "");
    let missing = said(command.env("PATH", place.path("nowhere")));
    missing.assert_exit_code(4);
    missing.assert_stderr_contains(&[
        "rpicam:1: rpicam-vid is not installed",
        "sudo apt install rpicam-apps",
    ]);
}

#[test]
fn one_that_hangs_is_killed_with_the_run_however_that_ends() {
    for signal in ["-TERM", "-KILL"] {
        let place = TestDir::new();
        let mut child = with_rpicam(&place, "exec sleep 600")
            .spawn()
            .expect("started");
        let start = Instant::now();
        while !place.path("number").exists() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
        // Past the wait for its first picture.
        std::thread::sleep(Duration::from_secs(4));
        let number = child.id().to_string();
        let killed = Command::new("kill").args([signal, &number]).status();
        assert!(killed.expect("kill starts").success());
        let ended = child.wait().expect("ended");
        assert_eq!(ended.success(), signal == "-TERM", "{ended}");
        assert_gone(&place);
    }
}
