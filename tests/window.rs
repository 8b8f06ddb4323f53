//! The window on a virtual display (Xvfb), and its error without a display.
//!
//! A window belongs to a process and its environment, so each test starts this test program again to run
//! [`child_shows_a_window`].
#![cfg(all(feature = "window", target_os = "linux"))]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use boxcam::detect::Detection;
use boxcam::frame::{Frame, GroundTruth, Origin};
use boxcam::geometry::NormBox;
use boxcam::label::{ClassId, Labels};
use boxcam::privacy::PublicFrame;
use boxcam::report::Report;
use boxcam::sink::picture_files::annotate;
use boxcam::sink::window::WindowSink;
use boxcam::sink::{Display, SinkError};
use image::{Rgb, RgbImage};

/// Set in the child process that shows a window.
const CHILD: &str = "BOXCAM_TEST_WINDOW";
/// Size of the screen of the test, in pixels.
const SCREEN: (u32, u32) = (800, 600);
/// Size of a new window.
const WINDOW: (u32, u32) = (640, 480);

fn frame_and_report() -> (Frame, Report) {
    let image = RgbImage::from_fn(WINDOW.0, WINDOW.1, |x, y| {
        Rgb([(x / 3) as u8, (y / 2) as u8, ((x + y) / 5) as u8])
    });
    let truth = GroundTruth {
        label: "apple".to_owned(),
        bounding_box: NormBox::new(0.3, 0.7, 0.3, 0.8).expect("valid"),
    };
    let report = Report {
        detection: Some(Detection {
            class: ClassId::new(0),
            confidence: 0.93,
            bounding_box: NormBox::new(0.25, 0.7, 0.25, 0.75).expect("valid"),
        }),
        inference: Duration::from_millis(12),
        frame_age: Duration::from_millis(20),
        frames_per_second: Some(30.0),
        ..Report::waiting(
            Arc::new(Labels::new(vec!["apple".to_owned()]).expect("valid")),
            "0123abcd".into(),
        )
    };
    (Frame::new(0, Origin::Scene(vec![truth]), image), report)
}

/// The child process of the other tests. It does nothing as a test.
#[test]
fn child_shows_a_window() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let (frame, report) = frame_and_report();
    let shown = WindowSink::open().and_then(|mut window| {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            window.show(&frame, &report)?;
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    });
    match shown {
        Ok(()) => println!("outcome: not closed"),
        Err(SinkError::Closed) => println!("outcome: closed"),
        Err(error) => println!("outcome: {error}"),
    }
}

/// The child process, without any display but the given one.
fn child(display: Option<&str>) -> Command {
    let this = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(this);
    command
        .args(["--exact", "child_shows_a_window", "--nocapture"])
        .env(CHILD, "1");
    // Without the folder of its sockets, Wayland is not found by its default name either.
    for variable in [
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "WAYLAND_SOCKET",
        "XDG_RUNTIME_DIR",
    ] {
        command.env_remove(variable);
    }
    if let Some(display) = display {
        command.env("DISPLAY", display);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn outcome(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let line = stdout.lines().find_map(|line| line.split_once("outcome: "));
    let stderr = String::from_utf8_lossy(&output.stderr);
    line.unwrap_or_else(|| panic!("no outcome in {stdout:?}, {stderr:?}"))
        .1
        .to_owned()
}

#[test]
fn without_a_desktop_the_window_fails() {
    for display in [None, Some(":9999")] {
        let output = child(display).output().expect("this program starts");
        let error = outcome(&output);
        assert!(error.starts_with("window: it can't be opened"), "{error}");
        assert!(error.contains("--display none"), "{error}");
    }
}

/// A virtual X server, killed when dropped.
struct Xvfb {
    server: Child,
    display: String,
    folder: tempfile::TempDir,
}

impl Xvfb {
    /// `None` if it is not installed. The test is then reported as skipped.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("created");
        let started = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp", "-screen", "0"])
            .arg(format!("{}x{}x24", SCREEN.0, SCREEN.1))
            .arg("-fbdir")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut server) = started else {
            test_support::skip!("Xvfb is not installed (Debian: apt install xvfb)");
            return None;
        };
        let mut number = String::new();
        let mut stdout = server.stdout.take().expect("piped");
        let mut byte = [0];
        while stdout.read(&mut byte).is_ok_and(|read| read == 1) && byte[0] != b'\n' {
            number.push(char::from(byte[0]));
        }
        assert!(!number.is_empty(), "Xvfb reported no display");
        Some(Self {
            server,
            display: format!(":{number}"),
            folder,
        })
    }

    /// A screenshot.
    fn screen(&self) -> RgbImage {
        let dump = fs::read(self.folder.path().join("Xvfb_screen0")).expect("Xvfb writes it");
        parse_xwd(&dump)
    }
}

impl Drop for Xvfb {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Reads an X window dump of 32 bits per pixel, blue first, which is Xvfb's format.
fn parse_xwd(dump: &[u8]) -> RgbImage {
    let field = |index: usize| {
        let bytes = dump[index * 4..index * 4 + 4]
            .try_into()
            .expect("four bytes");
        u32::from_be_bytes(bytes)
    };
    let (header, width, height) = (field(0), field(4), field(5));
    let (bits_per_pixel, bytes_per_line, colors) = (field(11), field(12), field(19));
    assert_eq!(bits_per_pixel, 32);
    let pixels = (header + colors * 12) as usize;
    RgbImage::from_fn(width, height, |x, y| {
        let at = pixels + (y * bytes_per_line + x * 4) as usize;
        Rgb([dump[at + 2], dump[at + 1], dump[at]])
    })
}

/// Polls for 10 seconds. Returns whether the condition became true.
fn becomes_true(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(100));
    }
    false
}

fn save(name: &str, image: &RgbImage) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    image.save(&path).expect("written");
    path.display().to_string()
}

#[test]
fn the_window_shows_the_annotated_frame_and_escape_closes_it() {
    let Some(server) = Xvfb::start() else {
        return;
    };
    let child = child(Some(&server.display))
        .spawn()
        .expect("this program starts");
    let (frame, report) = frame_and_report();
    let expected = annotate(&PublicFrame::hiding_nothing(frame), &report);
    let (left, top) = ((SCREEN.0 - WINDOW.0) / 2, (SCREEN.1 - WINDOW.1) / 2);
    let mut seen = RgbImage::new(1, 1);
    let shown = becomes_true(|| {
        let screen = server.screen();
        seen = image::imageops::crop_imm(&screen, left, top, WINDOW.0, WINDOW.1).to_image();
        seen == expected
    });
    let closed = press_escape(&server.display);
    if closed.is_none() {
        // The window cannot be closed, so the child exits with its server.
        drop(server);
    }
    let output = child.wait_with_output().expect("the child ends");
    assert!(
        shown,
        "see {} and {}",
        save("seen.png", &seen),
        save("expected.png", &expected)
    );
    if closed.is_some() {
        assert_eq!(outcome(&output), "closed");
    }
}

/// With the boxcam program.
#[test]
fn a_single_picture_stays_until_the_window_is_closed() {
    let Some(server) = Xvfb::start() else {
        return;
    };
    let picture = server.folder.path().join("picture.png");
    let (frame, _) = frame_and_report();
    frame.image.save(&picture).expect("written");
    let mut program = Command::new(env!("CARGO_BIN_EXE_boxcam"))
        .args(["run", "--display", "window", "--model"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/models/snacks.onnx"))
        .arg("--source")
        .arg(&picture)
        .env("DISPLAY", &server.display)
        .env_remove("WAYLAND_DISPLAY")
        .stdout(Stdio::piped())
        .spawn()
        .expect("boxcam starts");
    let is_lit = |screen: &RgbImage| screen.pixels().any(|pixel| pixel.0 != [0; 3]);
    assert!(
        becomes_true(|| is_lit(&server.screen())),
        "the window stays black"
    );
    // Long after the last frame.
    thread::sleep(Duration::from_secs(1));
    assert!(is_lit(&server.screen()));
    assert!(program.try_wait().expect("is a child").is_none());
    if press_escape(&server.display).is_none() {
        drop(server);
        program.wait().expect("ends with its display");
        return;
    }
    let output = program.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
}

/// Presses Escape over the window; `None` without xdotool.
fn press_escape(display: &str) -> Option<()> {
    let xdotool = |arguments: &[&str]| {
        let status = Command::new("xdotool")
            .args(arguments)
            .env("DISPLAY", display)
            .status();
        status.ok().filter(std::process::ExitStatus::success)
    };
    let pressed = xdotool(&["mousemove", "400", "300"])
        .and_then(|_| xdotool(&["keydown", "Escape"]))
        .and_then(|_| {
            thread::sleep(Duration::from_millis(500));
            xdotool(&["keyup", "Escape"])
        });
    if pressed.is_none() {
        test_support::skip!("xdotool is not installed or failed; Escape was not pressed");
    }
    pressed.map(|_| ())
}
