//! Emulated computers, in which boxcam uses Linux's V4L2 drivers and framebuffers: a PC here, ARM boards in [`arm`], a PC
//! with Debian's systemd in [`systemd`].
//!
//! `cross/board.sh` boots each computer once for all its tests and collects the files of the scripts in
//! `cross/board/guest/tests`; each test checks the files of one script. The cameras are the kernel's `vivid`, which plays color
//! bars and has faults on request, and the USB webcam `cross/webcam`, which the kernel drives with uvcvideo.

#[path = "../common/mod.rs"]
mod common;

mod arm;
mod color_bars;
mod computer;
mod inputs;
mod package;
mod power;
mod screen;
mod systemd;

use boxcam::geometry::{NormBox, iou};
use serde_json::Value;

use color_bars::assert_bars;
use computer::{Board, Results};
use screen::assert_screen;

#[test]
fn a_webcam_is_captured_in_the_requested_size() {
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
        let picture = results.captured(name, inputs::SIZE);
        assert_bars(&picture, name == "GREY");
    }
}

#[test]
fn a_range_of_sizes_is_supported() {
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
fn a_snack_is_detected_through_the_webcam_as_in_its_image() {
    let Some(board) = Board::pc() else { return };
    let results = board.results("shipped");
    let stderr = results.text("shipped.err");
    assert_eq!(results.code("shipped"), 0, "{stderr}");
    let frames = results.frames("shipped");
    assert_eq!(frames.len(), 2);
    for frame in frames {
        let (found, expected) = (&frame["detection"], &board.scene.shipped["detection"]);
        assert_eq!(found["class"], expected["class"], "{frame}");
        let iou = iou(&box_of(found), &box_of(expected));
        assert!(iou > 0.9, "IoU {iou}: {frame}");
    }
}

#[test]
fn a_camera_that_vanishes_stalls_or_is_disconnected_is_reopened() {
    let Some(board) = Board::pc() else { return };
    assert_reopened(&board.results("vanish"), 5);
}

#[test]
fn a_usb_webcam_that_is_unplugged_stalls_or_sends_garbage_is_reopened() {
    let Some(board) = Board::pc() else { return };
    assert_reopened(&board.results("unplug"), 5);
}

#[test]
fn a_screen_of_16_bits_shows_the_camera_and_restores_the_console() {
    let Some(board) = Board::pc() else { return };
    assert_framebuffer(board, 16, (640, 480));
}

#[test]
fn a_screen_of_32_bits_shows_the_camera_and_restores_the_console() {
    let Some(board) = Board::pc() else { return };
    assert_framebuffer(board, 32, (1280, 800));
}

/// A camera with a range of sizes was opened in one of them.
#[track_caller]
fn assert_sizes_in_steps(board: &Board) {
    let results = board.results("svideo");
    assert_contains(&results, "offered.txt", "Stepwise");
    assert_bars(&results.captured("svideo", (640, 480)), false);
}

/// A framebuffer with this color depth showed the camera, and the text console was restored.
#[track_caller]
fn assert_framebuffer(board: &Board, bits: u32, size: (u32, u32)) {
    let results = board.results(&format!("screen{bits}"));
    assert_contains(
        &results,
        "framebuffer.txt",
        &format!("bits_per_pixel {bits}"),
    );
    assert_screen(&results, size);
}

#[track_caller]
fn assert_contains(results: &Results, file: &str, expected: &str) {
    let text = results.text(file);
    assert!(text.contains(expected), "no {expected} in {file}: {text}");
}

/// boxcam lost its camera at least that often, reopened it each time, exited with 0, and each line of its log is valid.
#[track_caller]
fn assert_reopened(results: &Results, times: usize) {
    // The times are only printed: they depend on the load of the host.
    println!("times in 1/100 s:\n{}", results.text("times.txt"));
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
