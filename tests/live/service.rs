//! Notifications of the service manager, on a real socket.
#![cfg(all(target_os = "linux", feature = "demo"))]

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::{TestDir, rpicam, tiny_model};
use boxcam::detect::tract::TractDetector;
use boxcam::frame::{Frame, Origin};
use boxcam::pipeline::{LiveSource, Pipeline, SourceConfig, Timeouts};
use boxcam::sink::service::ServiceSink;
use boxcam::source::{FrameSource, SourceError};
use image::RgbImage;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Set in the child process that a test starts: this test program itself.
const IS_CHILD: &str = "BOXCAM_TEST_IS_CHILD";

/// The service manager, which receives the notifications.
struct Manager {
    socket: UnixDatagram,
    path: std::path::PathBuf,
    received: Vec<String>,
}

impl Manager {
    fn new(folder: &TestDir) -> Self {
        let path = folder.path("notify.socket");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        Self {
            socket,
            path,
            received: Vec::new(),
        }
    }

    fn start(&self, mut command: Command) -> Child {
        command.env("NOTIFY_SOCKET", &self.path);
        command.env("WATCHDOG_USEC", "400000");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("started")
    }

    /// Receives for that time.
    fn receive_for(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let mut buffer = [0; 4096];
            self.socket.set_read_timeout(Some(left)).expect("set");
            if let Ok(length) = self.socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                self.received.extend(text.lines().map(str::to_owned));
            }
        }
    }

    fn count(&self, line: &str) -> usize {
        self.received
            .iter()
            .filter(|received| *received == line)
            .count()
    }

    #[track_caller]
    fn receive_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < TIMEOUT, "only {:?}", self.received);
            self.receive_for(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_run_notifies_that_it_is_ready_alive_and_stopping() {
    let folder = TestDir::new();
    let mut manager = Manager::new(&folder);
    let arguments = "run --source demo --display none --log out.jsonl --model tiny.onnx";
    let mut program = manager.start(folder.command(&arguments.split(' ').collect::<Vec<_>>()));
    manager.receive_until(|manager| manager.count("WATCHDOG=1") >= 5);
    assert_eq!(manager.count("READY=1"), 1);
    assert!(manager.count("STATUS=live") >= 1);
    let ready = manager.received.iter().position(|line| line == "READY=1");
    let fed = manager
        .received
        .iter()
        .position(|line| line == "WATCHDOG=1");
    assert!(ready < fed, "{:?}", manager.received);
    assert_eq!(manager.count("STOPPING=1"), 0);
    let id = program.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("kill runs").success());
    manager.receive_until(|manager| manager.count("STOPPING=1") == 1);
    assert!(program.wait().expect("exited").success());
}

#[test]
fn a_run_over_pictures_notifies_that_it_is_ready_and_stopping() {
    let folder = TestDir::new();
    folder.write_solid_image("a.png", "red");
    let mut manager = Manager::new(&folder);
    let arguments = "run --source a.png --display none --model tiny.onnx";
    let mut program = manager.start(folder.command(&arguments.split(' ').collect::<Vec<_>>()));
    manager.receive_until(|manager| manager.count("STOPPING=1") == 1);
    assert_eq!(manager.count("READY=1"), 1);
    assert!(program.wait().expect("exited").success());
}

/// Gives some frames and then hangs.
struct HangingSource(u64);

impl FrameSource for HangingSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        if self.0 == 0 {
            sleep(TIMEOUT);
        }
        self.0 -= 1;
        sleep(Duration::from_millis(20));
        let image = RgbImage::new(16, 16);
        Ok(Some(Frame::new(self.0, Origin::Live, image)))
    }
}

/// The child process of another test. It does nothing as a test.
#[test]
fn child_with_a_hanging_source() {
    static NEVER: AtomicBool = AtomicBool::new(false);
    if std::env::var_os(IS_CHILD).is_none() {
        return;
    }
    let service = ServiceSink::from_environment().expect("a service manager");
    let detector = TractDetector::from_bytes("tiny", &tiny_model::bytes()).expect("valid");
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
        Ok(Box::new(HangingSource(frames.pop().unwrap_or(0))))
    };
    let input = SourceConfig::Live(LiveSource {
        open: Box::new(open),
        reopen: true,
        wait: false,
    });
    pipeline.run(input).expect("killed before it ends");
}

#[test]
fn a_source_that_hangs_does_not_feed_the_watchdog() {
    let folder = TestDir::new();
    let mut manager = Manager::new(&folder);
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "service::child_with_a_hanging_source"]);
    command.env(IS_CHILD, "1");
    let mut child = manager.start(command);
    let is_stalled = |line: &String| line == "STATUS=stalled: no frame for 0.5 s";
    manager.receive_until(|manager| manager.received.iter().any(is_stalled));
    assert_eq!(manager.count("READY=1"), 1);
    let fed = manager.count("WATCHDOG=1");
    assert!(fed >= 1, "{:?}", manager.received);
    // Many times the feeding interval.
    manager.receive_for(Duration::from_secs(2));
    assert_eq!(manager.count("WATCHDOG=1"), fed, "{:?}", manager.received);
    let is_reopening = |line: &String| line.starts_with("STATUS=reopening: ");
    assert!(
        manager.received.iter().any(is_reopening),
        "{:?}",
        manager.received
    );
    child.kill().expect("killed");
    child.wait().expect("exited");
}

#[test]
fn a_camera_program_that_hangs_does_not_feed_the_watchdog() {
    let folder = TestDir::new();
    folder.write("red.mjpg", rpicam::mjpeg("red", (64, 48), 1));
    // Gives frames for a while when it is started first, and none after a restart.
    let script = "[ -e begun ] && exec sleep 600; touch begun
for frame in $(seq 40); do cat red.mjpg; sleep 0.03; done; exec sleep 600";
    let path = rpicam::install(&folder, script);
    let arguments =
        "run --source rpicam --stall 300ms --display none --log out.jsonl --model tiny.onnx";
    let mut manager = Manager::new(&folder);
    let mut command = folder.command(&arguments.split(' ').collect::<Vec<_>>());
    command.env("PATH", path);
    let mut program = manager.start(command);
    let is_reopening = |line: &String| line.starts_with("STATUS=reopening: ");
    manager.receive_until(|manager| manager.received.iter().any(is_reopening));
    assert_eq!(manager.count("READY=1"), 1);
    let fed = manager.count("WATCHDOG=1");
    assert!(fed >= 1, "{:?}", manager.received);
    // Many times the feeding interval.
    manager.receive_for(Duration::from_secs(2));
    assert_eq!(manager.count("WATCHDOG=1"), fed, "{:?}", manager.received);
    let id = program.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("kill runs").success());
    assert!(program.wait().expect("exited").success());
}

/// Runs a program whose standard error is a pipe. Returns what it writes to it; `stream` gets the device and inode of the pipe.
fn messages(mut command: Command, stream: impl Fn(u64, u64) -> String) -> String {
    use std::io::Read as _;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::MetadataExt as _;
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let file = std::fs::File::from(OwnedFd::from(writer));
    let metadata = file.metadata().expect("known");
    command.env("JOURNAL_STREAM", stream(metadata.dev(), metadata.ino()));
    command.stdout(Stdio::null()).stderr(file);
    let mut child = command.spawn().expect("started");
    // It holds the other end of the pipe.
    drop(command);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("UTF-8");
    child.wait().expect("exited");
    text
}

#[test]
fn messages_in_the_journal_have_a_priority() {
    let folder = TestDir::new();
    folder.write_solid_image("a.png", "red");
    folder.write("b.png", "no picture");
    let run = |source: &str| {
        let arguments =
            format!("run --source {source} --display none --model tiny.onnx --on-event true");
        folder.command(&arguments.split(' ').collect::<Vec<_>>())
    };
    let journal = |device: u64, inode: u64| format!("{device}:{inode}");
    let text = messages(run("b.png"), journal);
    let lines: Vec<&str> = text.lines().collect();
    assert!(!lines.is_empty());
    for line in &lines {
        let is_error = line.starts_with("<3>boxcam: ") || line.starts_with("<4>boxcam: ");
        assert!(is_error, "{text}");
    }
    let failing = || folder.command(&["run", "--source", "a.png", "--model", "./none.onnx"]);
    let text = messages(failing(), journal);
    assert!(text.starts_with("<3>boxcam: model ./none.onnx"), "{text}");
    let others = [
        |device: u64, inode: u64| format!("{device}:{}", inode + 1),
        |device: u64, inode: u64| format!("{}:{inode}", device + 1),
        |_: u64, _: u64| "x".to_owned(),
        |_: u64, _: u64| String::new(),
    ];
    for other in others {
        let text = messages(failing(), other);
        assert!(!text.contains('<'), "{text}");
    }
    let mut command = run("demo");
    command.args(["--frames", "1", "--web", "127.0.0.1:0"]);
    let text = messages(command, journal);
    if cfg!(feature = "web") {
        assert!(text.contains("<6>boxcam: web page at http://"), "{text}");
    }
}
