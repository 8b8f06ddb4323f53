//! The emulated ARM boards: what the PC is tested for where it depends on the processor or the board, boxcam as its
//! service runs it, and a power cut.

use boxcam::geometry::iou;
use serde_json::Value;

use crate::computer::{Board, Results};
use crate::power::assert_power;
use crate::seen::assert_seen;
use crate::{assert_framebuffer, assert_has, assert_sizes_in_steps, assert_taken_up, box_of};

#[test]
fn virt_takes_sizes_in_steps() {
    let Some(board) = Board::virt() else { return };
    assert_sizes_in_steps(board);
}

#[test]
fn virt_has_a_screen_of_32_bits() {
    let Some(board) = Board::virt() else { return };
    assert_framebuffer(board, 32, (800, 480));
}

#[test]
fn virt_sees_the_snack_before_its_webcam() {
    let Some(board) = Board::virt() else { return };
    let results = board.results("service");
    assert_service(&results, &board.scene.jpeg, &board.scene.shipped);
}

#[test]
fn virt_takes_up_a_webcam_again() {
    let Some(board) = Board::virt() else { return };
    assert_taken_up(&board.results("unplug"), 5);
}

#[test]
fn virt_loses_its_power_and_its_log_goes_on() {
    let Some(board) = Board::virt() else { return };
    assert_power(&board.results("power"));
}

#[test]
fn a_raspberry_pi_has_a_screen_of_16_bits() {
    let Some(board) = Board::raspi3b() else {
        return;
    };
    assert_framebuffer(board, 16, (640, 480));
}

#[test]
fn a_raspberry_pi_sees_the_snack_before_its_webcam() {
    let Some(board) = Board::raspi3b() else {
        return;
    };
    let results = board.results("service");
    assert_has(&results, "doctor.txt", "Raspberry Pi 3 Model B");
    assert_service(&results, &board.scene.jpeg, &board.scene.small);
}

#[test]
fn a_raspberry_pi_takes_up_a_webcam_again() {
    let Some(board) = Board::raspi3b() else {
        return;
    };
    assert_taken_up(&board.results("unplug"), 5);
}

#[test]
fn a_raspberry_pi_loses_its_power_and_its_log_goes_on() {
    let Some(board) = Board::raspi3b() else {
        return;
    };
    assert_power(&board.results("power"));
}

/// The service saw what this machine sees in the same picture, showed it where it logged it, lost its webcam, said so, and
/// saw it again.
#[track_caller]
fn assert_service(results: &Results, jpeg: &[u8], wanted: &Value) {
    // The board computes what the trainer's machine did.
    assert_eq!(results.code("doctor"), 0, "{}", results.text("doctor.txt"));
    assert_has(results, "doctor.txt", "passed");
    assert_taken_up(results, 1);
    let events = results.events("run");
    let kinds = events.iter().filter_map(|line| line["event"].as_str());
    // The last one leaves as the service is ended.
    assert!(
        kinds.eq(["appeared", "left", "appeared", "left"]),
        "{events:?}"
    );
    let picture = image::load_from_memory(jpeg).expect("a JPEG").into_rgb8();
    let appeared = events.iter().filter(|line| line["event"] == "appeared");
    for (event, name) in appeared.zip(["seen.png", "again.png"]) {
        let (seen, wanted) = (&event["detection"], &wanted["detection"]);
        assert_eq!(seen["class"], wanted["class"], "{event}");
        let overlap = iou(&box_of(seen), &box_of(wanted));
        assert!(overlap > 0.99, "IoU {overlap}: {event}");
        assert_seen(&results.picture(name), &picture, seen);
    }
}
