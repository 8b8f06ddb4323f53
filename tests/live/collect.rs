//! Pictures that whole runs collect for training.

use crate::common::TestDir;
use boxcam::output_file::marked;
use boxcam::picture::encode_jpeg;
use image::{Rgb, RgbImage};
use test_support::read_files;

/// The tiny model is sure of red, less so of a light red, and sees nothing in grey.
const RED: [u8; 3] = [230, 20, 20];
const LIGHT_RED: [u8; 3] = [105, 90, 90];
const GREY: [u8; 3] = [90; 3];

/// A JPEG of one color with a bar at a place of its own.
fn jpeg(color: [u8; 3], place: u32) -> Vec<u8> {
    let bar = place * 16..place * 16 + 16;
    let picture = RgbImage::from_fn(160, 96, |x, y| match bar.contains(&x) && y < 48 {
        true => Rgb([0; 3]),
        false => Rgb(color),
    });
    encode_jpeg(&picture, 90).expect("encoded")
}

/// Two seconds of each, at 25 frames per second; the bar moves on each half second.
fn film() -> Vec<Vec<u8>> {
    let colors = [GREY, RED, LIGHT_RED, RED];
    let frames = (0..200).map(|number| jpeg(colors[number / 50], number as u32 / 13 % 10));
    frames.collect()
}

fn collect(dir: &TestDir, options: &str) -> crate::common::CommandOutput {
    let options = format!("run --source film.mjpeg --display none --collect kept {options}");
    dir.run_tiny(&options.trim().split(' ').collect::<Vec<_>>())
}

/// The number of the frame and the reason in the name of a picture.
fn parts(name: &str) -> (usize, &str) {
    let rest = name.strip_prefix("film-").expect("the name of the film");
    let rest = rest.strip_suffix(".jpg").expect("a JPEG");
    let (number, reason) = rest.split_once('-').expect("a number");
    (number.parse().expect("a number"), reason)
}

#[test]
fn frames_of_low_confidence_are_kept_as_they_came() {
    let dir = TestDir::new();
    let film = film();
    dir.write("film.mjpeg", film.concat());
    let output = collect(&dir, "");
    output.assert_exit_code(0);
    assert_eq!(output.stderr, "");
    let kept = read_files(&dir.path("kept"));
    assert!(!kept.is_empty() && kept.len() <= 2, "{:?}", kept.keys());
    for (name, bytes) in &kept {
        let (number, reason) = parts(name);
        assert_eq!(reason, "uncertain-red");
        assert!((100..150).contains(&number), "{name}");
        assert_eq!(
            *bytes,
            *marked(&film[number]),
            "the JPEG with boxcam's mark"
        );
    }
    // The same film gives the same pictures, and none twice.
    collect(&dir, "").assert_exit_code(0);
    assert_eq!(read_files(&dir.path("kept")), kept);
}

#[test]
fn samples_are_kept_within_the_budget_and_beside_files_of_the_user() {
    let dir = TestDir::new();
    dir.write("film.mjpeg", film().concat());
    dir.write("kept/film-000000-sample.jpg", "mine");
    dir.write("kept/.boxcam-4711.part", "of a killed run");
    let output = collect(&dir, "--collect-every 1");
    output.assert_exit_code(5);
    output.assert_stderr_contains(&[
        "kept/film-000000-sample.jpg: exists and was not written by boxcam",
    ]);
    let kept = read_files(&dir.path("kept"));
    assert_eq!(kept["film-000000-sample.jpg"], b"mine");
    let numbers: Vec<usize> = kept.keys().map(|name| parts(name).0).collect();
    assert!(numbers.len() >= 4, "{numbers:?}");
    assert!(
        numbers.windows(2).all(|two| two[1] - two[0] >= 25),
        "{numbers:?}"
    );
    let samples = kept.keys().filter(|name| parts(name).1 == "sample");
    assert!(samples.count() >= 3, "{:?}", kept.keys());
    assert_eq!(output.lines().len(), 200, "the run went on");
}
