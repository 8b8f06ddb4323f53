//! Runs that compute few frames, with the program itself: still films, a duration, and the units of docs/rest.md.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{CommandOutput, TestDir, solid_image};
use boxcam::picture::encode_jpeg;
use image::{Rgb, RgbImage, imageops};
use serde_json::Value;

/// Different frames of noise; a film repeats them.
const NOISE_FRAMES: usize = 40;

/// Frames per second of motion JPEG.
const RATE: f64 = 25.0;

/// The latest that an event may come with `--motion`, in seconds.
const MAX_DELAY: f64 = 0.2;

/// A grey wall with a pattern, which is no class of the tiny model, and on it a red square at this place.
fn scene((width, height): (u32, u32), square: Option<u32>) -> RgbImage {
    let mut picture = RgbImage::from_fn(width, height, |x, y| {
        let pattern = if (x / 11 + y / 13).is_multiple_of(2) {
            30
        } else {
            0
        };
        Rgb([90 + pattern + (y * 40 / height) as u8; 3])
    });
    if let Some(left) = square {
        let red = imageops::resize(
            &solid_image("red"),
            width * 3 / 4,
            height * 3 / 4,
            imageops::FilterType::Nearest,
        );
        imageops::replace(&mut picture, &red, i64::from(left), i64::from(height / 8));
    }
    picture
}

/// JPEGs of a scene with the noise of a sensor, of this standard deviation in levels.
fn noisy_jpegs(scene: &RgbImage, deviation: f32, count: usize) -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(3);
    let mut normal = move || (0..4).map(|_| random.f32()).sum::<f32>() * 1.732 - 3.464;
    let mut noisy = || {
        let mut picture = scene.clone();
        for channel in picture.iter_mut() {
            let value = f32::from(*channel) + deviation * normal();
            *channel = value.round().clamp(0.0, 255.0) as u8;
        }
        encode_jpeg(&picture, 85).expect("encoded")
    };
    (0..count).map(|_| noisy()).collect()
}

/// A film of a still scene.
fn still_film(size: (u32, u32), frames: usize) -> Vec<u8> {
    let jpegs = noisy_jpegs(&scene(size, None), 3.0, NOISE_FRAMES);
    jpegs
        .iter()
        .cycle()
        .take(frames)
        .flatten()
        .copied()
        .collect()
}

/// A film in which a red square comes after ten seconds, moves, stands still for eight, and goes.
fn film_with_a_square() -> Vec<u8> {
    let size = (160, 120);
    let wall = noisy_jpegs(&scene(size, None), 3.0, NOISE_FRAMES);
    let stands = noisy_jpegs(&scene(size, Some(20)), 3.0, NOISE_FRAMES);
    let moves = (0..20).flat_map(|step| noisy_jpegs(&scene(size, Some(step)), 3.0, 1));
    let empty = wall.iter().cycle();
    let film = empty.clone().take(250).cloned();
    let film = film
        .chain(moves)
        .chain(stands.iter().cycle().take(200).cloned());
    film.chain(empty.take(150).cloned()).flatten().collect()
}

/// Runs the tiny model on a recording.
fn run(folder: &TestDir, film: &str, arguments: &[&str]) -> CommandOutput {
    let source = ["run", "--source", film, "--display", "none"];
    let output = folder.run_tiny(&[&source[..], arguments].concat());
    output.assert_exit_code(0);
    output
}

/// Name, track and time of each event, in seconds from the start of the film.
fn events(output: &CommandOutput, seconds: impl Fn(&Value) -> f64) -> Vec<(String, String, f64)> {
    let lines = output.lines();
    let events = lines.iter().filter(|line| !line["event"].is_null());
    let event = |line: &Value| {
        let class = &line["detection"]["class"];
        (
            format!("{} {class}", line["event"]),
            line["track"].to_string(),
            seconds(line),
        )
    };
    events.map(event).collect()
}

/// Asserts that the same happens, and not much later.
fn assert_not_later(found: &[(String, String, f64)], expected: &[(String, String, f64)]) {
    let names = |events: &[(String, String, f64)]| {
        let names = events
            .iter()
            .map(|(name, track, _)| format!("{name} {track}"));
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(found), names(expected));
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.2 - expected.2 <= MAX_DELAY, "{found:?}, {expected:?}");
    }
}

fn position(line: &Value) -> f64 {
    line["position_s"].as_f64().expect("a recording")
}

#[test]
fn a_still_film_takes_few_inferences() {
    let folder = TestDir::new();
    folder.write("still.mjpeg", still_film((160, 120), 400));
    let all = run(&folder, "still.mjpeg", &["--lines", "frames"]);
    assert_eq!(all.lines().len(), 400);
    let rested = run(&folder, "still.mjpeg", &["--lines", "frames", "--motion"]);
    let computed = rested.lines().len();
    assert!(computed <= 20, "{computed} of 400 frames");
    // One in each idle interval, after the noise is known.
    let late = |line: &&Value| position(line) >= 1.0;
    assert_eq!(rested.lines().iter().filter(late).count(), 3);
    let often = ["--lines", "frames", "--motion", "--idle-interval", "1s"];
    assert!(run(&folder, "still.mjpeg", &often).lines().len() > computed + 8);
    let again = run(&folder, "still.mjpeg", &["--lines", "frames", "--motion"]);
    let frames = |output: &CommandOutput| {
        let lines = output.lines();
        lines
            .iter()
            .map(|line| line["frame"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(frames(&again), frames(&rested), "the same input");
}

#[test]
fn what_comes_and_goes_is_told_in_time() {
    let folder = TestDir::new();
    folder.write("film.mjpeg", film_with_a_square());
    let lines = ["--lines", "events"];
    let all = run(&folder, "film.mjpeg", &lines);
    let rested = run(&folder, "film.mjpeg", &[&lines[..], &["--motion"]].concat());
    let expected = events(&all, position);
    assert_eq!(expected.len(), 2, "{expected:?}");
    assert_not_later(&events(&rested, position), &expected);
    let frames = ["--lines", "frames", "--motion"];
    let computed = run(&folder, "film.mjpeg", &frames).lines().len();
    assert!(computed < 350, "{computed} of 620 frames");
}

#[cfg(feature = "demo")]
#[test]
fn the_demo_has_the_same_events() {
    let folder = TestDir::new();
    let demo = [
        "run",
        "--source",
        "demo",
        "--display",
        "none",
        "--frames",
        "240",
    ];
    let demo = [&demo[..], &["--lines", "events"]].concat();
    let seconds = |line: &Value| line["frame"].as_f64().expect("a number") / 30.0;
    let all = folder.run(&demo);
    let rested = folder.run(&[&demo[..], &["--motion"]].concat());
    let expected = events(&all, seconds);
    assert!(!expected.is_empty());
    assert_not_later(&events(&rested, seconds), &expected);
}

#[test]
fn a_rate_and_a_duration_limit_a_recording_by_its_time() {
    let folder = TestDir::new();
    folder.write("still.mjpeg", still_film((64, 48), 200));
    let limited = run(
        &folder,
        "still.mjpeg",
        &["--lines", "frames", "--max-rate", "5", "--duration", "4s"],
    );
    let lines = limited.lines();
    assert_eq!(lines.len(), 20);
    assert!(position(lines.last().expect("lines")) < 4.0);
    let five: Vec<f64> = lines.iter().take(5).map(position).collect();
    assert!(
        five.windows(2)
            .all(|pair| (pair[1] - pair[0] - 5.0 / RATE).abs() < 1e-3),
        "{five:?}"
    );
}

fn documentation() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rest.md");
    fs::read_to_string(path).expect("docs/rest.md")
}

/// The text of the block that follows the name of its file.
fn documented_file(name: &str) -> String {
    let text = documentation();
    let (_, behind) = text.split_once(&format!("{name}`:\n\n```")).expect(name);
    let (_, block) = behind.split_once('\n').expect("a block");
    let (block, _) = block.split_once("```").expect("its end");
    block.to_owned()
}

#[test]
fn the_documented_service_looks_and_tells() {
    let folder = TestDir::new();
    folder.write("film.mjpeg", film_with_a_square());
    let options = documented_file("/etc/boxcam/look.toml");
    let log = folder.path("look.jsonl");
    let here = options.replace("/var/log/boxcam/look.jsonl", &log.display().to_string());
    assert_ne!(here, options);
    folder.write("look.toml", here);
    let service = documented_file("boxcam-look.service");
    let command = service
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/boxcam "));
    let command = command.expect("a command");
    let arguments: Vec<&str> = command
        .split(' ')
        .map(|word| match word {
            "/etc/boxcam/look.toml" => "look.toml",
            word => word,
        })
        .chain(["--source", "film.mjpeg"])
        .collect();
    let output = folder.run_tiny(&arguments);
    output.assert_exit_code(0);
    let told = fs::read_to_string(&log).expect("the log");
    let told: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(told[0]["event"], "appeared");
    assert_eq!(told[0]["detection"]["class"], "red");
    assert!(arguments.contains(&"--duration"));
    // The film is longer than the look: what is there then has left at its end.
    let last = told.last().expect("events");
    assert_eq!(last["event"], "left");
    assert!(position(last) < 20.0, "{last}");
}

#[test]
fn the_documented_units_are_valid() {
    if test_support::tool_is_missing("systemd-analyze") {
        return;
    }
    let folder = TestDir::new();
    for name in ["boxcam-look.service", "boxcam-look.timer"] {
        // systemd wants the program to exist.
        let unit = documented_file(name);
        folder.write(name, unit.replace("/usr/bin/boxcam ", "/bin/true "));
    }
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(folder.path("boxcam-look.timer"))
        .arg(folder.path("boxcam-look.service"))
        .output()
        .expect("started");
    let told = String::from_utf8_lossy(&output.stderr);
    let own: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("boxcam-look"))
        .collect();
    assert!(own.is_empty(), "{own:?}");
}

/// Prints the figures of docs/rest.md, in millions of instructions for a frame.
#[cfg(feature = "embedded-model")]
#[test]
#[ignore = "runs the program in Valgrind, for minutes"]
fn instructions() {
    if test_support::tool_is_missing("valgrind") {
        return;
    }
    let folder = TestDir::new();
    let wall = scene((640, 480), None);
    // A part of it that moves by three pixels from frame to frame.
    let part = |frame: u32| imageops::crop_imm(&wall, frame * 3, 0, 480, 480).to_image();
    let moving = (0..40).flat_map(|frame| noisy_jpegs(&part(frame), 3.0, 1));
    folder.write("moving.mjpeg", moving.flatten().collect::<Vec<u8>>());
    let jpegs = noisy_jpegs(&wall, 3.0, NOISE_FRAMES);
    let still: Vec<u8> = jpegs.iter().cycle().take(300).flatten().copied().collect();
    folder.write("still.mjpeg", still);
    let per_frame = |film: &str, [few, many]: [u32; 2], option: &[&str]| {
        let counted = |frames: u32| counted(&folder, film, frames, option);
        (counted(many) - counted(few)) / f64::from(many - few) / 1e6
    };
    let motion = ["--motion"];
    let moving = per_frame("moving.mjpeg", [15, 35], &[]);
    let moving_with = per_frame("moving.mjpeg", [15, 35], &motion);
    let still = per_frame("still.mjpeg", [15, 35], &[]);
    // Two idle intervals.
    let still_with = per_frame("still.mjpeg", [40, 290], &motion);
    println!(
        "moving: {moving:.1}, with --motion {moving_with:.1} ({:.3})",
        moving_with / moving
    );
    println!(
        "still: {still:.1}, with --motion {still_with:.1} (1/{:.1})",
        still / still_with
    );
    assert!(moving_with <= 1.04 * moving && 8.0 * still_with <= still);
}

/// All instructions of a run of so many frames.
#[cfg(feature = "embedded-model")]
fn counted(folder: &TestDir, film: &str, frames: u32, options: &[&str]) -> f64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env!("CARGO_BIN_EXE_boxcam"))
        .args([
            "run",
            "--source",
            film,
            "--display",
            "none",
            "--threads",
            "1",
        ])
        .args(["--lines", "events", "--frames", &frames.to_string()])
        .args(options)
        .current_dir(folder.path("."))
        .output()
        .expect("started");
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8_lossy(&output.stderr);
    let collected = log.lines().find_map(|line| line.split_once("Collected :"));
    let count = collected.and_then(|(_, count)| count.trim().parse().ok());
    count.expect("a count")
}
