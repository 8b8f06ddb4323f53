//! What the service manager is told, on a real socket.
#![cfg(all(target_os = "linux", feature = "demo"))]

mod common;

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread::sleep;
use std::time::{Duration, Instant};

use boxcam::detect::tract::TractDetector;
use boxcam::frame::{Frame, Origin};
use boxcam::pipeline::{LiveSource, Pipeline, SourceConfig, Timeouts};
use boxcam::sink::service::ServiceSink;
use boxcam::source::{FrameSource, SourceError};
use common::{TestDir, rpicam, tiny_model};
use image::RgbImage;

/// Longest time that anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Set for the process that is watched in a test, which is this program again.
const IS_WATCHED: &str = "BOXCAM_TEST_IS_WATCHED";

/// The service manager's end of the socket.
struct Manager {
    socket: UnixDatagram,
    path: std::path::PathBuf,
    heard: Vec<String>,
}

impl Manager {
    fn new(place: &TestDir) -> Self {
        let path = place.path("notify.socket");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        Self {
            socket,
            path,
            heard: Vec::new(),
        }
    }

    fn start(&self, mut command: Command) -> Child {
        command.env("NOTIFY_SOCKET", &self.path);
        command.env("WATCHDOG_USEC", "400000");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("it starts")
    }

    /// Keeps what is said within that time.
    fn listen(&mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let mut buffer = [0; 4096];
            self.socket.set_read_timeout(Some(left)).expect("set");
            if let Ok(length) = self.socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                self.heard.extend(text.lines().map(str::to_owned));
            }
        }
    }

    fn count(&self, line: &str) -> usize {
        self.heard.iter().filter(|heard| *heard == line).count()
    }

    #[track_caller]
    fn listen_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < PATIENCE, "only {:?}", self.heard);
            self.listen(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_run_says_that_it_is_ready_that_it_lives_and_that_it_stops() {
    let place = TestDir::new();
    let mut manager = Manager::new(&place);
    let words = "run --source demo --display none --log out.jsonl --model tiny.onnx";
    let mut program = manager.start(place.command(&words.split(' ').collect::<Vec<_>>()));
    manager.listen_until(|manager| manager.count("WATCHDOG=1") >= 5);
    assert_eq!(manager.count("READY=1"), 1);
    assert!(manager.count("STATUS=live") >= 1);
    let ready = manager.heard.iter().position(|line| line == "READY=1");
    let fed = manager.heard.iter().position(|line| line == "WATCHDOG=1");
    assert!(ready < fed, "{:?}", manager.heard);
    assert_eq!(manager.count("STOPPING=1"), 0);
    let id = program.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("kill is there").success());
    manager.listen_until(|manager| manager.count("STOPPING=1") == 1);
    assert!(program.wait().expect("it ends").success());
}

#[test]
fn pictures_are_ready_and_done() {
    let place = TestDir::new();
    place.write_solid_image("a.png", "red");
    let mut manager = Manager::new(&place);
    let words = "run --source a.png --display none --model tiny.onnx";
    let mut program = manager.start(place.command(&words.split(' ').collect::<Vec<_>>()));
    manager.listen_until(|manager| manager.count("STOPPING=1") == 1);
    assert_eq!(manager.count("READY=1"), 1);
    assert!(program.wait().expect("it ends").success());
}

/// Some frames, and then none for ever.
struct Hanging(u64);

impl FrameSource for Hanging {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        if self.0 == 0 {
            sleep(PATIENCE);
        }
        self.0 -= 1;
        sleep(Duration::from_millis(20));
        let image = RgbImage::new(16, 16);
        Ok(Some(Frame::new(self.0, Origin::Live, image)))
    }
}

/// A process to be watched, not a test of its own: it does nothing where nobody watches.
#[test]
fn the_process_that_is_watched() {
    static NEVER: AtomicBool = AtomicBool::new(false);
    if std::env::var_os(IS_WATCHED).is_none() {
        return;
    }
    let service = ServiceSink::from_environment().expect("a manager");
    let detector = TractDetector::from_bytes("tiny", &tiny_model::bytes()).expect("sound");
    let pipeline = Pipeline {
        sinks: vec![Box::new(service)],
        track: true,
        timeouts: Timeouts {
            stall: Duration::from_millis(500),
            ..Timeouts::default()
        },
        ..Pipeline::new(Box::new(detector), &NEVER)
    };
    let mut frames = vec![0, 50];
    let open = move || -> Result<Box<dyn FrameSource>, SourceError> {
        Ok(Box::new(Hanging(frames.pop().unwrap_or(0))))
    };
    let input = SourceConfig::Live(LiveSource {
        open: Box::new(open),
        reopen: true,
        wait: false,
    });
    pipeline.run(input).expect("killed before that");
}

#[test]
fn a_source_that_hangs_does_not_feed_the_watchdog() {
    let place = TestDir::new();
    let mut manager = Manager::new(&place);
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "the_process_that_is_watched"]);
    command.env(IS_WATCHED, "1");
    let mut watched = manager.start(command);
    let is_stalled = |line: &String| line == "STATUS=stalled: no frame for 0.5 s";
    manager.listen_until(|manager| manager.heard.iter().any(is_stalled));
    assert_eq!(manager.count("READY=1"), 1);
    let fed = manager.count("WATCHDOG=1");
    assert!(fed >= 1, "{:?}", manager.heard);
    // Many timeouts the interval in which it was fed.
    manager.listen(Duration::from_secs(2));
    assert_eq!(manager.count("WATCHDOG=1"), fed, "{:?}", manager.heard);
    let is_reopening = |line: &String| line.starts_with("STATUS=reopening: ");
    assert!(
        manager.heard.iter().any(is_reopening),
        "{:?}",
        manager.heard
    );
    watched.kill().expect("killed");
    watched.wait().expect("it ends");
}

#[test]
fn a_camera_program_that_hangs_does_not_feed_the_watchdog() {
    let place = TestDir::new();
    place.write("red.mjpg", rpicam::mjpeg("red", (64, 48), 1));
    // Frames for a while the first time it is started, and never again.
    let script = "[ -e begun ] && exec sleep 600; touch begun
for frame in $(seq 40); do cat red.mjpg; sleep 0.03; done; exec sleep 600";
    let path = rpicam::install(&place, script);
    let words =
        "run --source rpicam --stall 300ms --display none --log out.jsonl --model tiny.onnx";
    let mut manager = Manager::new(&place);
    let mut command = place.command(&words.split(' ').collect::<Vec<_>>());
    command.env("PATH", path);
    let mut program = manager.start(command);
    let is_reopening = |line: &String| line.starts_with("STATUS=reopening: ");
    manager.listen_until(|manager| manager.heard.iter().any(is_reopening));
    assert_eq!(manager.count("READY=1"), 1);
    let fed = manager.count("WATCHDOG=1");
    assert!(fed >= 1, "{:?}", manager.heard);
    // Many timeouts the interval in which it was fed.
    manager.listen(Duration::from_secs(2));
    assert_eq!(manager.count("WATCHDOG=1"), fed, "{:?}", manager.heard);
    let id = program.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("kill is there").success());
    assert!(program.wait().expect("it ends").success());
}
