//! Whole emulated computers, in which boxcam uses real V4L2 drivers and a real framebuffer of Linux: a PC here, ARM
//! boards in [`arm`], a PC with Debian's systemd in [`systemd`].
//!
//! `cross/board.sh` boots each once for all its tests and leaves in a folder what the scripts in
//! `cross/board/guest/tests` wrote; each test looks at what one of them left. The cameras are the kernel's own
//! `vivid`, which plays colour bars and has faults on request, and a USB webcam of ours (`cross/webcam`) that the
//! kernel drives with uvcvideo.

#[path = "../common/mod.rs"]
mod common;

mod additions;
mod arm;
mod computer;
mod picture;
mod power;
mod screen;
mod seen;
mod systemd;

use boxcam::geometry::{NormBox, iou};
use serde_json::Value;

use computer::{Board, Results};
use picture::assert_bars;
use screen::assert_screen;

#[test]
fn a_webcam_is_captured_in_the_size_that_was_asked_for() {
    let Some(board) = Board::pc() else { return };
    let results = board.results("camera");
    for size in [(640, 480), (1280, 720), (320, 180)] {
        let name = format!("{}x{}", size.0, size.1);
        assert_bars(&results.captured(&name, size), false);
    }
}

#[test]
fn a_usb_webcam_is_captured_in_each_of_its_formats() {
    let Some(board) = Board::pc() else { return };
    let results = board.results("usb");
    let formats = [
        ("MJPG", "'MJPG'"),
        ("YUY2", "'YUYV'"),
        ("NV12", "'NV12'"),
        ("GREY", "'GREY'"),
        ("BGR3", "'BGR3'"),
    ];
    for (name, code) in formats {
        let offered = results.text(&format!("{name}.offered"));
        assert!(offered.contains(code), "{offered}");
        let picture = results.captured(name, additions::SIZE);
        assert_bars(&picture, name == "GREY");
    }
}

#[test]
fn a_range_of_sizes_is_understood() {
    let Some(board) = Board::pc() else { return };
    assert_sizes_in_steps(board);
}

#[test]
fn a_grabber_is_captured() {
    let Some(board) = Board::pc() else { return };
    let results = board.results("hdmi");
    assert_bars(&results.captured("hdmi", (640, 480)), false);
}

#[test]
fn a_snack_before_the_webcam_is_found_as_in_its_picture() {
    let Some(board) = Board::pc() else { return };
    let results = board.results("shipped");
    let talk = results.text("shipped.err");
    assert_eq!(results.code("shipped"), 0, "{talk}");
    let frames = results.frames("shipped");
    assert_eq!(frames.len(), 2);
    for frame in frames {
        let (seen, wanted) = (&frame["detection"], &board.scene.shipped["detection"]);
        assert_eq!(seen["class"], wanted["class"], "{frame}");
        let overlap = iou(&box_of(seen), &box_of(wanted));
        assert!(overlap > 0.9, "IoU {overlap}: {frame}");
    }
}

#[test]
fn a_camera_that_vanishes_stalls_or_is_pulled_out_is_taken_up_again() {
    let Some(board) = Board::pc() else { return };
    assert_taken_up(&board.results("vanish"), 5);
}

#[test]
fn a_usb_webcam_that_is_unplugged_hangs_or_sends_rubbish_is_taken_up_again() {
    let Some(board) = Board::pc() else { return };
    assert_taken_up(&board.results("unplug"), 5);
}

#[test]
fn a_screen_of_16_bits_shows_the_camera_and_gives_the_text_back() {
    let Some(board) = Board::pc() else { return };
    assert_framebuffer(board, 16, (640, 480));
}

#[test]
fn a_screen_of_32_bits_shows_the_camera_and_gives_the_text_back() {
    let Some(board) = Board::pc() else { return };
    assert_framebuffer(board, 32, (1280, 800));
}

/// A camera that offers a range of sizes was opened in one of them.
#[track_caller]
fn assert_sizes_in_steps(board: &Board) {
    let results = board.results("svideo");
    assert_has(&results, "offered.txt", "Stepwise");
    assert_bars(&results.captured("svideo", (640, 480)), false);
}

/// A framebuffer of so many bits a pixel showed the camera and gave the text back.
#[track_caller]
fn assert_framebuffer(board: &Board, bits: u32, size: (u32, u32)) {
    let results = board.results(&format!("screen{bits}"));
    assert_has(
        &results,
        "framebuffer.txt",
        &format!("bits_per_pixel {bits}"),
    );
    assert_screen(&results, size);
}

#[track_caller]
fn assert_has(results: &Results, file: &str, words: &str) {
    let text = results.text(file);
    assert!(text.contains(words), "{words} is not in {file}: {text}");
}

/// boxcam lost its camera that many times, went on each time, ended well, and each line of its log is whole.
#[track_caller]
fn assert_taken_up(results: &Results, times: usize) {
    // The durations are for people: an emulated computer is as fast as its host lets it be.
    println!("in hundredths of a second:\n{}", results.text("times.txt"));
    assert_eq!(results.code("run"), 0, "{}", results.text("run.err"));
    let states = results.states("run");
    let lost = states.iter().filter(|state| *state == "reopening").count();
    assert!(lost >= times, "{states:?}");
    assert_eq!(
        states.last().map(String::as_str),
        Some("live"),
        "{states:?}"
    );
}

fn box_of(detection: &Value) -> NormBox {
    let side = |name| detection[name].as_f64().expect("a box") as f32;
    let [left, right, top, bottom] = ["x_min", "x_max", "y_min", "y_max"].map(side);
    NormBox::new(left, right, top, bottom).expect("a box")
}
