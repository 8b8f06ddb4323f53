//! The emulated ARM boards: the tests of the PC that depend on processor or board, boxcam with the options of its service,
//! and a power cut.

use boxcam::geometry::iou;
use serde_json::Value;

use crate::computer::{Board, Results};
use crate::power::assert_logs_survive;
use crate::screen::assert_image_and_box;
use crate::{assert_contains, assert_framebuffer, assert_reopened, assert_sizes_in_steps, box_of};

#[test]
fn virt_supports_a_range_of_sizes() {
    let Some(board) = Board::virt() else { return };
    assert_sizes_in_steps(board);
}

#[test]
fn virt_has_a_screen_of_32_bits() {
    let Some(board) = Board::virt() else { return };
    assert_framebuffer(board, 32, (800, 480));
}

#[test]
fn virt_detects_the_snack_through_its_webcam() {
    let Some(board) = Board::virt() else { return };
    let results = board.results("service");
    assert_service(&results, &board.scene.jpeg, &board.scene.shipped);
}

#[test]
fn virt_reopens_a_webcam() {
    let Some(board) = Board::virt() else { return };
    assert_reopened(&board.results("unplug"), 5);
}

#[test]
fn virt_continues_its_logs_after_a_power_cut() {
    let Some(board) = Board::virt() else { return };
    assert_logs_survive(&board.results("power"));
}

#[test]
fn a_raspberry_pi_has_a_screen_of_16_bits() {
    let Some(board) = Board::raspi3b() else {
        return;
    };
    assert_framebuffer(board, 16, (640, 480));
}

#[test]
fn a_raspberry_pi_detects_the_snack_through_its_webcam() {
    let Some(board) = Board::raspi3b() else {
        return;
    };
    let results = board.results("service");
    assert_contains(&results, "doctor.txt", "Raspberry Pi 3 Model B");
    assert_service(&results, &board.scene.jpeg, &board.scene.small);
}

#[test]
fn a_raspberry_pi_reopens_a_webcam() {
    let Some(board) = Board::raspi3b() else {
        return;
    };
    assert_reopened(&board.results("unplug"), 5);
}

#[test]
fn a_raspberry_pi_continues_its_logs_after_a_power_cut() {
    let Some(board) = Board::raspi3b() else {
        return;
    };
    assert_logs_survive(&board.results("power"));
}

/// boxcam detected the same as this machine in the same image, drew the logged box, logged the loss of its webcam, and
/// detected the object again.
#[track_caller]
fn assert_service(results: &Results, jpeg: &[u8], expected: &Value) {
    // The model computes the same as on the machine that trained it.
    assert_eq!(results.code("doctor"), 0, "{}", results.text("doctor.txt"));
    assert_contains(results, "doctor.txt", "passed");
    assert_reopened(results, 1);
    let events = results.events("run");
    let kinds = events.iter().filter_map(|line| line["event"].as_str());
    // The last track ends with the program.
    assert!(
        kinds.eq(["appeared", "left", "appeared", "left"]),
        "{events:?}"
    );
    let image = image::load_from_memory(jpeg).expect("a JPEG").into_rgb8();
    let appeared = events.iter().filter(|line| line["event"] == "appeared");
    for (event, name) in appeared.zip(["seen.png", "again.png"]) {
        let (found, expected) = (&event["detection"], &expected["detection"]);
        assert_eq!(found["class"], expected["class"], "{event}");
        let iou = iou(&box_of(found), &box_of(expected));
        assert!(iou > 0.99, "IoU {iou}: {event}");
        assert_image_and_box(&results.picture(name), &image, found);
    }
}
