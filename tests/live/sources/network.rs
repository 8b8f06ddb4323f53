//! Cameras of the network, with ffmpeg itself and with a script in its place; and what such programs say.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::{arguments, frame, has_state, install, logged, run};
use crate::common::reports::wait_until;
use crate::common::running::Running;
use crate::common::{CommandOutput, TestDir, rpicam};

/// A user name and a password as they stand in an address, and what of them must not be shown.
const LOGIN: &str = "admin:hunter2";
const SECRETS: [&str; 2] = ["hunter2", LOGIN];

/// A camera that serves multipart motion JPEG of one color over HTTP, and records the requests.
struct HttpCamera {
    address: SocketAddr,
    requests: std::sync::mpsc::Receiver<String>,
}

impl HttpCamera {
    fn start(color: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, requests) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                std::thread::spawn(move || serve(stream, color, &sender));
            }
        });
        Self { address, requests }
    }
}

/// Answers a request until the client is gone.
fn serve(mut stream: TcpStream, color: &str, requests: &std::sync::mpsc::Sender<String>) {
    let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
    let mut request = String::new();
    while reader
        .read_line(&mut request)
        .is_ok_and(|length| length > 2)
    {}
    drop(requests.send(request));
    let jpeg = rpicam::mjpeg(color, (640, 480), 1);
    let head = "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=cam\r\n\r\n";
    let part = format!(
        "--cam\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
        jpeg.len()
    );
    let part = [part.as_bytes(), &jpeg, b"\r\n"].concat();
    let mut sent = stream.write_all(head.as_bytes());
    while sent.is_ok() {
        sent = stream.write_all(&part);
        std::thread::sleep(Duration::from_millis(30));
    }
}

#[track_caller]
fn assert_no_secret(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{what} has {secret}: {text}");
    }
}

#[test]
fn a_camera_of_the_network_is_read_through_ffmpeg() {
    if test_support::tool_is_missing("ffmpeg") {
        return;
    }
    let camera = HttpCamera::start("blue");
    let dir = TestDir::new();
    let url = format!("http://{LOGIN}@{}/video.mjpg?token=hunter2", camera.address);
    let more = [
        "--frames", "3", "--lines", "frames", "--size", "320x240", "--stall", "10s",
    ];
    let output = run(&dir, &url, &more);
    output.assert_exit_code(0);
    let lines = output.lines();
    let frames: Vec<_> = lines.iter().filter(|line| line["frame"].is_u64()).collect();
    assert_eq!(frames.len(), 3, "{output:?}");
    for line in frames {
        assert_eq!(line["detection"]["class"], "blue");
        assert_eq!(
            (&line["width"], &line["height"]),
            (&320.into(), &240.into())
        );
    }
    assert_no_secret("the output", &format!("{}{}", output.stdout, output.stderr));
    let request = camera
        .requests
        .recv_timeout(Duration::from_secs(60))
        .expect("asked");
    assert!(
        request.starts_with("GET /video.mjpg?token=hunter2 "),
        "{request}"
    );
}

#[test]
fn an_address_that_nobody_answers_is_an_error_without_the_password() {
    if test_support::tool_is_missing("ffmpeg") {
        return;
    }
    let dir = TestDir::new();
    // Nothing listens on the port of a listener that was closed.
    let port = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr();
    let port = port.expect("an address").port();
    for scheme in ["rtsp", "http"] {
        let url = format!("{scheme}://{LOGIN}@127.0.0.1:{port}/stream1");
        let refused = run(&dir, &url, &["--stall", "20s"]);
        refused.assert_exit_code(4);
        let shown = format!("{scheme}://127.0.0.1:{port}/stream1: ffmpeg ended");
        refused.assert_stderr_contains(&[&shown, "Connection refused", "user name and password"]);
        assert_no_secret(scheme, &refused.stderr);
        let doctor = dir.run(&["doctor", "--source", &url, "--display", "none", "--json"]);
        doctor.assert_exit_code(1);
        assert!(
            doctor
                .stdout
                .contains("can't be reached (Connection refused"),
            "{doctor:?}"
        );
        assert_no_secret("doctor", &format!("{}{}", doctor.stdout, doctor.stderr));
    }
}

#[test]
fn a_missing_ffmpeg_is_named_with_its_package() {
    let dir = TestDir::new();
    let mut command = dir.command(&arguments("rtsp://admin:hunter2@cam.lan/1"));
    let missing = CommandOutput::of(command.env("PATH", dir.path("nowhere")));
    missing.assert_exit_code(4);
    missing.assert_stderr_contains(&[
        "rtsp://cam.lan/1: ffmpeg is not installed",
        "sudo apt install ffmpeg",
    ]);
    assert_no_secret("the message", &missing.stderr);
    let doctor = [
        "doctor",
        "--source",
        "rtsp://admin:hunter2@127.0.0.1:1/1",
        "--display",
        "none",
    ];
    let mut command = dir.command(&doctor);
    let doctor = CommandOutput::of(command.env("PATH", dir.path("nowhere")));
    doctor.assert_exit_code(1);
    assert!(
        doctor.stdout.contains("sudo apt install ffmpeg"),
        "{doctor:?}"
    );
    assert_no_secret("doctor", &format!("{}{}", doctor.stdout, doctor.stderr));
}

/// Sends some frames, says why it will stall, and stalls; after a restart it sends frames for ever. Its process numbers
/// are appended to `numbers`.
const STALLING: &str = "\
echo $$ >> numbers
if [ $(wc -l < numbers) -gt 1 ]; then while cat red.mjpg; do sleep 0.03; done; fi
for frame in 1 2 3 4 5; do cat red.mjpg; sleep 0.03; done
echo 'rtsp://admin:hunter2@cam.lan:8554/1: Device timeout detected' >&2
echo \"login admin:hunter2 is late\" >&2
exec sleep 600";

fn ended(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn a_stalled_program_is_restarted_and_what_it_said_is_shown() {
    for (program, source) in [
        ("rpicam-vid", "rpicam"),
        ("ffmpeg", "rtsp://admin:hunter2@cam.lan:8554/1"),
    ] {
        let dir = TestDir::new();
        dir.write("red.mjpg", frame("red"));
        let path = install(&dir, program, STALLING);
        let mut command = dir.command(&arguments(source));
        command
            .args(["--stall", "300ms", "--log", "log.jsonl"])
            .env("PATH", path);
        let mut boxcam = Running::with_stderr(&mut command);
        boxcam.wait_for("stall", |line| {
            line.contains("the source has stalled") && line.contains("Device timeout detected")
        });
        boxcam.wait_for("recovery", |line| line.contains("the source is live"));
        boxcam.signal("-TERM");
        assert_eq!(boxcam.wait().code(), Some(0), "{:#?}", boxcam.lines);
        let lines = logged(&dir);
        let stalled = lines.iter().find(|line| line["state"] == "stalled");
        let reason = stalled.expect("logged")["reason"]
            .as_str()
            .expect("text")
            .to_owned();
        assert!(reason.contains("no frame for 0.3 s; "), "{reason}");
        assert!(reason.contains(&format!("{program} says: ")), "{reason}");
        assert!(reason.contains("Device timeout detected"), "{reason}");
        let numbers = fs::read_to_string(dir.path("numbers")).expect("it ran");
        assert!(numbers.lines().count() >= 2, "{numbers}");
        wait_until("all are gone", || numbers.lines().all(ended));
        if program == "ffmpeg" {
            let log = fs::read_to_string(dir.path("log.jsonl")).expect("a log");
            assert_no_secret("the log", &log);
            assert_no_secret("standard error", &boxcam.lines.join("\n"));
            let given = fs::read_to_string(dir.path("arguments")).expect("it ran");
            let input = "-rtsp_transport tcp -allowed_media_types video -i rtsp://admin:hunter2@cam.lan:8554/1 ";
            assert!(given.contains(input), "{given}");
        }
    }
}

#[test]
fn ffmpeg_that_ends_is_started_again() {
    let dir = TestDir::new();
    dir.write("red.mjpg", frame("red"));
    let script = "for frame in 1 2 3 4 5; do cat red.mjpg; sleep 0.03; done; echo lost >&2; exit 1";
    let path = install(&dir, "ffmpeg", script);
    let mut command = dir.command(&arguments("http://cam.lan/v.mjpg"));
    command
        .args(["--log", "log.jsonl", "--lines", "frames"])
        .env("PATH", path);
    let mut boxcam = Running::with_stderr(&mut command);
    boxcam.wait_for("end", |line| {
        line.contains("reopening the source: http://cam.lan/v.mjpg: ffmpeg ended (exit status: 1)")
            && line.contains("with the message: lost")
    });
    boxcam.wait_for("recovery", |line| line.contains("the source is live"));
    boxcam.signal("-TERM");
    assert_eq!(boxcam.wait().code(), Some(0), "{:#?}", boxcam.lines);
}

#[cfg(feature = "web")]
#[test]
fn the_web_page_shows_no_password() {
    use std::io::Read;
    let dir = TestDir::new();
    dir.write("red.mjpg", frame("red"));
    let path = install(&dir, "ffmpeg", STALLING);
    let mut command = dir.command(&arguments("rtsp://admin:hunter2@cam.lan:8554/1"));
    command.args(["--stall", "300ms", "--log", "log.jsonl", "--web", "0"]);
    let mut boxcam = Running::with_stderr(command.env("PATH", path));
    let line = boxcam.wait_for("address", |line| line.contains("web page at http://"));
    let address = line
        .rsplit("http://")
        .next()
        .expect("an address")
        .trim_end_matches('/')
        .to_owned();
    wait_until("a stall", || has_state(&dir, "stalled"));
    for page in ["/", "/state", "/events", "/metrics", "/healthz"] {
        let mut stream = TcpStream::connect(&address).expect("connected");
        let request =
            format!("GET {page} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        assert_no_secret(page, &answer);
    }
    boxcam.signal("-TERM");
    assert_eq!(boxcam.wait().code(), Some(0));
}
