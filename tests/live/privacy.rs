//! Things of hidden classes can't be recognized in any output of the program: each picture that leaves it is decoded, and no
//! pixel of the box is as the source delivered it.
#![cfg(unix)]

use std::fs;
use std::path::Path;

use crate::common::TestDir;
use boxcam::picture::encode_jpeg;
use boxcam::source::FrameSource as _;
use boxcam::source::recording::RecordingSource;
use image::{Rgb, RgbImage};

const SIZE: (u32, u32) = (320, 240);

/// The two colors of the picture: narrow stripes, so that no block of a box has one of them as its mean.
const STRIPES: [[u8; 3]; 2] = [[255, 30, 30], [205, 130, 130]];

/// What a JPEG may change, less than half of the distance to the mean of the stripes.
const TOLERANCE: u8 = 16;

/// What the tiny model takes for something red in its middle.
fn striped() -> RgbImage {
    RgbImage::from_fn(SIZE.0, SIZE.1, |x, _| Rgb(STRIPES[(x / 2 % 2) as usize]))
}

fn is_original(pixel: &Rgb<u8>) -> bool {
    let is_near = |stripe: &[u8; 3]| {
        let channels = stripe.iter().zip(pixel.0);
        channels
            .into_iter()
            .all(|(own, other)| own.abs_diff(other) <= TOLERANCE)
    };
    STRIPES.iter().any(is_near)
}

/// The shares of original pixels inside the model's box and to the left of all that is hidden around it.
#[track_caller]
fn original_shares(picture: &RgbImage) -> (f64, f64) {
    assert_eq!(picture.dimensions(), SIZE);
    let share = |columns: std::ops::Range<u32>, rows: std::ops::Range<u32>| {
        let all = columns.len() * rows.len();
        let pixels = columns.flat_map(|x| rows.clone().map(move |y| (x, y)));
        let original = pixels.filter(|(x, y)| is_original(picture.get_pixel(*x, *y)));
        original.count() as f64 / all as f64
    };
    let (width, height) = SIZE;
    let inside = share(width / 4..width * 3 / 4, height / 4..height * 3 / 4);
    (inside, share(0..width / 6, height / 4..height * 3 / 4))
}

/// Checks a picture that has left the program.
#[track_caller]
fn check(picture: &RgbImage, is_hidden: bool, name: &str) {
    let (inside, beside) = original_shares(picture);
    assert!(beside > 0.6, "{name}: the rest can be seen: {beside}");
    match is_hidden {
        true => assert_eq!(inside, 0.0, "{name}"),
        // The overlay covers some of it.
        false => assert!(inside > 0.5, "{name}: {inside}"),
    }
}

/// Checks all pictures in a folder; returns their names.
#[track_caller]
fn check_folder(folder: &Path, is_hidden: bool) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        let picture = image::open(entry.path()).expect("a picture");
        check(&picture.into_rgb8(), is_hidden, &name);
        names.push(name);
    }
    names.sort();
    names
}

/// Checks all frames of all clips in a folder; returns the number of clips.
#[track_caller]
fn check_clips(folder: &Path, is_hidden: bool) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let mut frames = RecordingSource::open(entry.path()).expect("opened");
        let mut number = 0;
        while let Some(frame) = frames.next_frame().expect("readable") {
            let name = format!("frame {number} of {}", entry.path().display());
            check(&frame.image, is_hidden, &name);
            number += 1;
        }
        assert!(number > 0, "a clip has frames");
        count += 1;
    }
    count
}

fn jpeg() -> Vec<u8> {
    encode_jpeg(&striped(), 95).expect("encoded")
}

/// The options that hide the thing, also where it is not detected; and without them, that the checks find it.
const CASES: [(&[&str], bool); 4] = [
    (&[], false),
    (&["--hide-classes", "red,blue"], true),
    (
        &[
            "--hide-classes",
            "red",
            "--classes",
            "green",
            "--min-area",
            "0.9",
        ],
        true,
    ),
    (&["--hide-classes", "red", "--threshold", "1"], true),
];

/// Whether the thing is detected with these options.
fn has_events(options: &[&str]) -> bool {
    !options.contains(&"--classes") && !options.contains(&"--threshold")
}

#[test]
fn annotated_pictures_show_nothing_hidden() {
    for (number, (options, is_hidden)) in CASES.iter().enumerate() {
        let dir = TestDir::new();
        dir.write("jpeg.jpg", jpeg());
        striped().save(dir.path("png.png")).expect("written");
        let out = format!("out-{number}");
        let arguments = ["detect", "jpeg.jpg", "png.png", "--annotate", &out];
        dir.run_tiny(&[&arguments, *options].concat())
            .assert_exit_code(0);
        let names = check_folder(&dir.path(&out), *is_hidden);
        assert_eq!(names, ["jpeg.png", "png.png"]);
    }
}

#[test]
fn snapshots_and_clips_of_pictures_and_recordings_show_nothing_hidden() {
    for (options, is_hidden) in CASES {
        let dir = TestDir::new();
        dir.write("photo.jpg", jpeg());
        dir.write("clip.mjpeg", jpeg().repeat(5));
        for (source, count) in [("photo.jpg", 1), ("clip.mjpeg", 5)] {
            let shots = format!("shots-{source}");
            let arguments = [
                "run",
                "--source",
                source,
                "--display",
                "none",
                "--snapshots",
                &shots,
                "--clips",
                "clips",
                "--collect",
                "collected",
                "--collect-every",
                "1",
            ];
            dir.run_tiny(&[&arguments, options].concat())
                .assert_exit_code(0);
            assert_eq!(
                check_folder(&dir.path(&shots), is_hidden).len(),
                count,
                "{source}"
            );
        }
        // The frames of the recording look alike.
        assert!(!check_folder(&dir.path("collected"), is_hidden).is_empty());
        // The thing appears in the last frame, if it is detected.
        let clips = check_clips(&dir.path("clips"), is_hidden);
        assert_eq!(clips, usize::from(has_events(options)));
    }
}

#[test]
fn an_unknown_class_is_a_usage_error_with_a_suggestion() {
    let dir = TestDir::new();
    dir.write_solid_image("red.png", "red");
    let commands = [&["detect", "red.png"][..], &["run", "--source", "red.png"]];
    for command in commands {
        let output = dir.run_tiny(&[command, &["--hide-classes", "redd"]].concat());
        output.assert_exit_code(2);
        output.assert_stderr_contains(&["--hide-classes", "\"redd\"", "did you mean \"red\"?"]);
    }
    let doctor = dir.run_tiny(&["doctor", "--source", "red.png", "--hide-classes", "redd"]);
    assert_eq!(doctor.code, 1);
    assert!(
        doctor
            .stdout
            .contains("--hide-classes: the model has no class"),
        "{doctor:?}"
    );
    // An alias stands for its class.
    dir.write("names.toml", "red = \"rot\"\n");
    let options = ["--aliases", "names.toml", "--hide-classes", "rot"];
    dir.run_tiny(&[&["detect", "red.png"][..], &options].concat())
        .assert_exit_code(0);
}

#[cfg(feature = "web")]
mod live {
    use std::io::Write;
    use std::net::SocketAddr;
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::common::reports::wait_until;
    use crate::common::running::Running;
    use crate::http::{LiveViewer, get};

    /// Gives a program a camera: the picture again and again on its standard input, until it ends.
    fn with_camera(mut command: Command) -> Running {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let running = Running::with_stderr(command.stdin(reader));
        // The program alone has the other end from here on.
        drop(command);
        std::thread::spawn(move || {
            let picture = jpeg();
            while writer.write_all(&picture).is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        running
    }

    #[test]
    fn snapshots_and_clips_of_events_and_the_web_page_show_nothing_hidden() {
        for (options, is_hidden) in CASES {
            let dir = TestDir::new();
            let arguments = [
                "run",
                "--source",
                "-",
                "--model",
                "tiny.onnx",
                "--web",
                "0",
                "--lines",
                "events",
                "--snapshots",
                "shots",
                "--clips",
                "clips",
                "--collect",
                "collected",
                "--collect-every",
                "1",
                "--draw-zones",
                "--zone",
                "middle=0.3,0.3;0.7,0.3;0.7,1;0.3,1;settle=0",
            ];
            let mut program = with_camera(dir.command(&[&arguments, options].concat()));
            let line = program.wait_for("address", |line| line.contains("web page at http://"));
            let address = line.rsplit("http://").next().expect("an address");
            let address: SocketAddr = address.trim_end_matches('/').parse().expect("an address");
            let mut viewer = LiveViewer::open(address);
            for number in 0..5 {
                check(&viewer.picture(), is_hidden, &format!("live {number}"));
            }
            let still = get(address, "/picture.jpg");
            assert_eq!(still.status, 200);
            let still = image::load_from_memory(&still.body).expect("a JPEG");
            check(&still.into_rgb8(), is_hidden, "/picture.jpg");
            let has_events = has_events(options);
            let shots = dir.path("shots");
            let has = |event: &str| {
                let files = fs::read_dir(&shots).into_iter().flatten().flatten();
                let mut names = files.map(|file| file.file_name().into_string().expect("UTF-8"));
                names.any(|name| name.contains(event) && name.ends_with(".jpg"))
            };
            if has_events {
                wait_until("snapshots of events", || has("appeared") && has("entered"));
            }
            program.signal("-TERM");
            assert_eq!(program.wait().code(), Some(0), "{:?}", program.lines);
            assert_eq!(has("left"), has_events);
            check_folder(&shots, is_hidden);
            let clips = check_clips(&dir.path("clips"), is_hidden);
            assert_eq!(clips > 0, has_events);
            assert!(!check_folder(&dir.path("collected"), is_hidden).is_empty());
        }
    }
}
