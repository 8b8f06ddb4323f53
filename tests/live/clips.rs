//! Clips of whole runs: what they show and for how long, the same each time, and whole after a kill.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::common::TestDir;
use crate::common::reports::wait_until;
use crate::common::running::Running;
use boxcam::picture::encode_jpeg;
use boxcam::source::FrameSource as _;
use boxcam::source::recording::RecordingSource;
use image::{Rgb, RgbImage};
use test_support::read_files;

const SIZE: (u32, u32) = (96, 64);

/// A frame of one color with a bar whose place depends on the number.
fn picture(color: [u8; 3], number: u32) -> RgbImage {
    let mut picture = RgbImage::from_pixel(SIZE.0, SIZE.1, Rgb(color));
    for (x, y) in (0..4).flat_map(|x| (0..8).map(move |y| (x, y))) {
        picture.put_pixel((number * 4) % 92 + x, y, Rgb([0; 3]));
    }
    picture
}

/// Seven seconds at 25 frames per second: grey, two seconds of red, grey again.
fn film() -> Vec<Vec<u8>> {
    let color = |number| match number {
        75..125 => [230, 20, 20],
        _ => [90; 3],
    };
    let frames = (0..175).map(|number| picture(color(number), number));
    let jpegs = frames.map(|frame| encode_jpeg(&frame, 90).expect("encoded"));
    jpegs.collect()
}

fn run(dir: &TestDir, source: &str, options: &str) -> crate::common::CommandOutput {
    let arguments = format!("run --source {source} --display none --lines events {options}");
    dir.run_tiny(&arguments.split(' ').collect::<Vec<_>>())
}

/// The JPEGs of a clip. Each can be decoded.
#[track_caller]
fn jpegs(path: &Path) -> Vec<Vec<u8>> {
    let mut source = RecordingSource::open(path.to_owned()).expect("opened");
    let mut found = Vec::new();
    while let Some(frame) = source.next_frame().expect("readable") {
        assert_eq!(frame.image.decode().expect("whole").dimensions(), SIZE);
        found.push(frame.image.jpeg().expect("a JPEG").to_vec());
    }
    found
}

/// The length of a clip by its header: microseconds for each frame, and frames.
fn length(avi: &[u8]) -> Duration {
    let word = |at: usize| u32::from_le_bytes(*avi[at..].first_chunk().expect("a header"));
    Duration::from_micros(u64::from(word(32)) * u64::from(word(48)))
}

#[test]
fn clips_have_the_frames_of_a_film_and_are_the_same_each_time() {
    let dir = TestDir::new();
    let film = film();
    dir.write("film.mjpeg", film.concat());
    for folder in ["one", "two"] {
        let options = format!("--clips {folder} --clips-before 500ms --clips-after 400ms");
        let output = run(&dir, "film.mjpeg", &options);
        output.assert_exit_code(0);
        let events: Vec<_> = output
            .lines()
            .iter()
            .map(|line| line["event"].clone())
            .collect();
        assert_eq!(events, ["appeared", "left"]);
        let named: Vec<_> = output
            .lines()
            .iter()
            .map(|line| line["clip"].clone())
            .collect();
        let written = read_files(&dir.path(folder));
        assert_eq!(named, written.keys().cloned().collect::<Vec<_>>());
        assert_eq!(output.stderr, "", "nothing to report");
    }
    let clips = read_files(&dir.path("one"));
    assert_eq!(clips, read_files(&dir.path("two")), "byte for byte");
    assert_eq!(clips.len(), 2);
    for (name, (event, frames)) in clips.keys().zip([("appeared", 70..85), ("left", 145..160)]) {
        let number = name.strip_prefix("film-").expect("the name of the film");
        let (number, rest) = number.split_once('-').expect("a number");
        let number: usize = number.parse().expect("a number");
        assert_eq!(rest, format!("{event}-red-1.avi"));
        assert!(frames.contains(&number), "{name}");
        // 12 and 10 frames are 480 and 400 ms.
        let expected = &film[number - 12..=number + 10];
        assert!(jpegs(&dir.path("one").join(name)) == expected, "{name}");
        assert_eq!(length(&clips[name]), Duration::from_millis(23 * 40));
    }
}

#[test]
fn a_clip_is_a_film_for_ffmpeg() {
    let dir = TestDir::new();
    dir.write("film.mjpeg", film().concat());
    let output = run(&dir, "film.mjpeg", "--clips clips");
    output.assert_exit_code(0);
    let clips = read_files(&dir.path("clips"));
    let [name] = Vec::from_iter(clips.keys()).try_into().expect("one clip");
    for line in output.lines() {
        assert_eq!(line["clip"], **name, "{line}");
    }
    let path = dir.path("clips").join(name);
    // From the start to the end, since both events overlap.
    assert_eq!(jpegs(&path).len(), 175);
    if test_support::tool_is_missing("ffmpeg") {
        return;
    }
    let entries = "stream=codec_name,width,height,nb_read_frames,duration,avg_frame_rate";
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_entries", entries])
        .args(["-of", "default=noprint_wrappers=1"])
        .arg(&path)
        .output()
        .expect("ffprobe starts");
    let text = String::from_utf8(probed.stdout).expect("UTF-8");
    assert_eq!(String::from_utf8_lossy(&probed.stderr), "");
    let lines: Vec<&str> = text.lines().collect();
    let expected = [
        "codec_name=mjpeg",
        "width=96",
        "height=64",
        "avg_frame_rate=25/1",
        "duration=7.000000",
        "nb_read_frames=175",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn frames_without_a_jpeg_are_encoded() {
    let dir = TestDir::new();
    let red = [&[81_u8; 96 * 64][..], &[90; 48 * 32], &[240; 48 * 32]].concat();
    let frames = [b"FRAME\n", &red[..]].concat().repeat(20);
    let header = b"YUV4MPEG2 W96 H64 F10:1 C420jpeg\n";
    dir.write("film.y4m", [&header[..], &frames].concat());
    run(&dir, "film.y4m", "--clips clips").assert_exit_code(0);
    let clips = read_files(&dir.path("clips"));
    let (name, avi) = clips.iter().next().expect("a clip");
    assert_eq!(length(avi), Duration::from_secs(2));
    let jpegs = jpegs(&dir.path("clips").join(name));
    assert_eq!(jpegs.len(), 20);
    let shown = image::load_from_memory(&jpegs[19])
        .expect("a JPEG")
        .into_rgb8();
    let Rgb([red, green, blue]) = *shown.get_pixel(48, 32);
    assert!(red > 200 && green < 60 && blue < 60, "{red} {green} {blue}");
}

#[test]
fn a_file_of_the_user_is_not_replaced() {
    let dir = TestDir::new();
    dir.write("film.mjpeg", film().concat());
    run(&dir, "film.mjpeg", "--clips clips").assert_exit_code(0);
    let name = read_files(&dir.path("clips"))
        .into_keys()
        .next()
        .expect("a clip");
    // boxcam may replace its own.
    run(&dir, "film.mjpeg", "--clips clips").assert_exit_code(0);
    fs::write(dir.path("clips").join(&name), "RIFF mine").expect("written");
    let output = run(&dir, "film.mjpeg", "--clips clips");
    output.assert_exit_code(5);
    output.assert_stderr_contains(&[&format!(
        "clips/{name}: exists and was not written by boxcam"
    )]);
    assert_eq!(output.lines().len(), 2, "the run went on");
    assert_eq!(
        fs::read(dir.path("clips").join(&name)).expect("there"),
        b"RIFF mine"
    );
}

#[test]
fn pictures_have_no_clips() {
    let dir = TestDir::new();
    dir.write_solid_image("a.png", "red");
    let output = run(&dir, "a.png", "--clips clips");
    output.assert_exit_code(0);
    output.assert_stderr_contains(&["--clips has no effect on pictures"]);
    assert!(read_files(&dir.path("clips")).is_empty());
}

/// A program with a camera that sends the film again and again on its standard input, at 50 frames per second.
fn with_camera(dir: &TestDir) -> Running {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let arguments = "run --source - --display none --lines events --clips clips --model tiny.onnx";
    let mut command = dir.command(&arguments.split(' ').collect::<Vec<_>>());
    let running = Running::with_stderr(command.stdin(reader).stdout(Stdio::null()));
    // The program alone has the other end from here on.
    drop(command);
    thread::spawn(move || {
        for jpeg in film().iter().cycle() {
            if writer.write_all(jpeg).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    running
}

/// Whether a program has begun to write a clip.
fn is_writing(dir: &TestDir, program: &Running) -> bool {
    let name = format!(".boxcam-{}.part", program.id());
    dir.path("clips").join(name).exists()
}

#[test]
fn a_clip_is_whole_or_not_there_when_the_program_is_killed() {
    let dir = TestDir::new();
    let program = with_camera(&dir);
    wait_until("a clip", || is_writing(&dir, &program));
    program.signal("-KILL");
    drop(program);
    let left = read_files(&dir.path("clips"));
    assert!(
        left.keys().all(|name| name.ends_with(".part")),
        "{:?}",
        left.keys()
    );
    let mut program = with_camera(&dir);
    wait_until("a clip", || is_writing(&dir, &program));
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0), "{:?}", program.lines);
    let clips = read_files(&dir.path("clips"));
    let [(name, avi)] = Vec::from_iter(&clips)
        .try_into()
        .expect("one clip and no leftover");
    let jpegs = jpegs(&dir.path("clips").join(name));
    // Frames of the camera, in their order. A busy machine may lose some.
    let film = film();
    let first = film.iter().position(|frame| *frame == jpegs[0]);
    let frames = film.iter().cycle().skip(first.expect("of the film"));
    let mut frames = frames.take(2 * film.len());
    assert!(jpegs.iter().all(|jpeg| frames.any(|frame| frame == jpeg)));
    assert!(
        length(avi) > Duration::from_millis(150),
        "{} frames",
        jpegs.len()
    );
}
