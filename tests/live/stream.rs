//! Streams into the program: from ffmpeg, from files, and from a script that stands in for `rpicam-vid`.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::rpicam::{self, ENDLESS};
use crate::common::{CommandOutput, TestDir};

/// The longest wait of a test.
const TIMEOUT: Duration = Duration::from_secs(30);

const STDIN: [&str; 7] = [
    "run",
    "--source",
    "-",
    "--model",
    "tiny.onnx",
    "--lines",
    "frames",
];

/// Writes five frames of a color to the file `stream`, with these arguments of ffmpeg.
fn ffmpeg(dir: &TestDir, color: &str, arguments: &str) {
    let graph = format!("color={color}:size=640x480:rate=30");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", &graph, "-frames:v", "5"]);
    let status = command
        .args(arguments.split(' '))
        .arg(dir.path("stream"))
        .status();
    assert!(status.expect("ffmpeg starts").success(), "{arguments}");
}

/// The class in each frame; lines about states are ignored.
fn classes(output: &CommandOutput) -> Vec<String> {
    let lines = output.lines();
    let frames = lines.iter().filter(|line| line["frame"].is_u64());
    frames
        .map(|line| line["detection"]["class"].to_string())
        .collect()
}

#[test]
fn streams_of_ffmpeg_are_decoded() {
    if test_support::tool_is_missing("ffmpeg") {
        return;
    }
    let dir = TestDir::new();
    let formats = [
        "-f mjpeg",
        "-f mpjpeg",
        "-f yuv4mpegpipe -pix_fmt yuv420p",
        "-f yuv4mpegpipe -pix_fmt yuvj420p",
        "-f yuv4mpegpipe -pix_fmt yuv422p",
        "-f yuv4mpegpipe -pix_fmt yuv444p",
        "-f yuv4mpegpipe -pix_fmt yuv411p",
    ];
    for (format, color) in formats.iter().zip(["red", "lime", "blue"].iter().cycle()) {
        ffmpeg(&dir, color, &format!("{format} -y"));
        let class = if *color == "lime" { "green" } else { color };
        let stream = File::open(dir.path("stream")).expect("made");
        let recorded = CommandOutput::of(dir.command(&STDIN).stdin(stream));
        recorded.assert_exit_code(0);
        assert_eq!(
            classes(&recorded),
            vec![format!("\"{class}\""); 5],
            "{format}"
        );
        // The same stream through a pipe is live: frames that are not processed in time are dropped.
        let mut sender = Command::new("cat")
            .arg(dir.path("stream"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let live = CommandOutput::of(
            dir.command(&STDIN)
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
fn unsupported_input_is_refused_with_an_example() {
    let dir = TestDir::new();
    let empty = CommandOutput::of(&mut dir.command(&STDIN));
    empty.assert_exit_code(4);
    empty.assert_stderr_contains(&[
        "standard input: is empty",
        "ffmpeg -i FILE",
        "rpicam-vid -n",
    ]);
    dir.write("notes.txt", "not at all a picture");
    let text = File::open(dir.path("notes.txt")).expect("written");
    let text = CommandOutput::of(dir.command(&STDIN).stdin(text));
    text.assert_exit_code(4);
    text.assert_stderr_contains(&["standard input: is neither motion JPEG nor YUV4MPEG2"]);
}

#[test]
fn a_stalled_pipe_continues() {
    let dir = TestDir::new();
    let frame = rpicam::mjpeg("blue", (64, 48), 1);
    let mut command = dir.command(&STDIN);
    command
        .args(["--frames", "2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&frame).expect("written");
    stdin.write_all(&frame[..100]).expect("written");
    std::thread::sleep(Duration::from_millis(500));
    assert!(
        child.try_wait().expect("checked").is_none(),
        "it waits for more"
    );
    stdin.write_all(&frame[100..]).expect("written");
    let output = child.wait_with_output().expect("ended");
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout)
            .matches("\"detection\":{\"class\":\"blue\"")
            .count(),
        2
    );
}

/// `boxcam run --source rpicam:1` with a script as `rpicam-vid`.
fn with_rpicam(dir: &TestDir, script: &str) -> Command {
    let path = rpicam::install(dir, script);
    let arguments = [
        "run", "--source", "rpicam:1", "--size", "64x48", "--rate", "15",
    ];
    let mut command = dir.command(&arguments);
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

/// Waits until the script has ended.
#[track_caller]
fn assert_gone(dir: &TestDir) {
    let pid = fs::read_to_string(dir.path("pid")).expect("it ran");
    let process = Path::new("/proc").join(pid.trim());
    let start = Instant::now();
    while process.exists() && start.elapsed() < TIMEOUT {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(
        !process.exists(),
        "it is still running after boxcam has ended"
    );
}

#[test]
fn rpicam_gets_the_requested_mode_and_ends_with_the_run() {
    let dir = TestDir::new();
    dir.write("frames.mjpg", rpicam::mjpeg("green", (64, 48), 30));
    let output = CommandOutput::of(&mut with_rpicam(&dir, ENDLESS));
    output.assert_exit_code(0);
    assert_eq!(classes(&output), ["\"green\""; 20]);
    let arguments = fs::read_to_string(dir.path("arguments")).expect("it ran");
    let expected =
        "--camera 1 --width 64 --height 48 --framerate 15 -n -t 0 --codec mjpeg --flush -o -";
    assert_eq!(arguments.trim(), expected);
    assert_gone(&dir);
}

#[test]
fn garbage_and_size_changes_are_recovered_from() {
    let dir = TestDir::new();
    dir.write("small.mjpg", rpicam::mjpeg("red", (32, 24), 10));
    dir.write("large.mjpg", rpicam::mjpeg("red", (320, 240), 10));
    let script = "while cat small.mjpg && head -c 5000 /dev/urandom && cat large.mjpg && head -c 300 small.mjpg; do :; done";
    let output = CommandOutput::of(&mut with_rpicam(&dir, script));
    assert!(matches!(output.code, 0 | 4), "{output:?}");
    let seen = classes(&output);
    let red = seen.iter().filter(|class| *class == "\"red\"").count();
    assert_eq!(red, 20, "{seen:?}");
    assert_gone(&dir);
}

#[test]
fn a_missing_camera_is_reported_with_the_programs_message() {
    let dir = TestDir::new();
    let dies = CommandOutput::of(&mut with_rpicam(
        &dir,
        "echo 'ERROR: *** no cameras available ***' >&2; exit 255",
    ));
    dies.assert_exit_code(4);
    dies.assert_stderr_contains(&[
        "rpicam:1: rpicam-vid ended",
        "no cameras available",
        "rpicam-hello --list-cameras",
    ]);
    assert_gone(&dir);
    let mut command = with_rpicam(&dir, "");
    let missing = CommandOutput::of(command.env("PATH", dir.path("nowhere")));
    missing.assert_exit_code(4);
    missing.assert_stderr_contains(&[
        "rpicam:1: rpicam-vid is not installed",
        "sudo apt install rpicam-apps",
    ]);
}

#[test]
fn a_blocked_rpicam_is_killed_when_boxcam_ends() {
    for signal in ["-TERM", "-KILL"] {
        let dir = TestDir::new();
        let mut child = with_rpicam(&dir, "exec sleep 600")
            .spawn()
            .expect("started");
        let start = Instant::now();
        while !dir.path("pid").exists() && start.elapsed() < TIMEOUT {
            std::thread::sleep(Duration::from_millis(10));
        }
        // Until after the timeout for its first byte.
        std::thread::sleep(Duration::from_secs(4));
        let pid = child.id().to_string();
        let killed = Command::new("kill").args([signal, &pid]).status();
        assert!(killed.expect("kill starts").success());
        let ended = child.wait().expect("ended");
        assert_eq!(ended.success(), signal == "-TERM", "{ended}");
        assert_gone(&dir);
    }
}
