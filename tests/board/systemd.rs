//! boxcam as a service, installed by `cross/install/device.sh` on an emulated computer with Debian's systemd.

use image::{Rgb, RgbImage};
use serde_json::Value;

use crate::assert_contains;
use crate::computer::{Board, Results};
use crate::screen::{assert_camera, assert_no_picture};

/// Columns of the screen left of the image.
const MARGIN: u32 = 100;

/// The capability mask with `CAP_SYS_TTY_CONFIG` only.
const ONLY_CONSOLES: &str = "0000000004000000";

#[test]
fn the_service_is_up_with_its_first_frame() {
    let Some(board) = Board::debian() else { return };
    let results = board.results("systemd");
    println!("times in 1/100 s:\n{}", results.text("times.txt"));
    assert_properties(&results, "waiting", &["SubState=start", "NRestarts=0"]);
    let live = ["ActiveState=active", "SubState=running", "StatusText=live"];
    assert_properties(&results, "up", &live);
    assert_logged(&results, "log-1");
}

#[test]
fn the_service_is_restarted_after_a_crash_and_a_hang() {
    let Some(board) = Board::debian() else { return };
    let results = board.results("systemd");
    assert_properties(&results, "killed", &["SubState=running", "NRestarts=1"]);
    assert_properties(&results, "restarted", &["SubState=running", "NRestarts=0"]);
    assert_properties(&results, "stopped", &["SubState=running", "NRestarts=1"]);
    let journal = "journal-1.txt";
    assert_contains(&results, journal, "status=9/KILL");
    assert_contains(&results, journal, "Watchdog timeout (limit 5s)");
    assert_contains(&results, journal, "Failed with result 'watchdog'");
    // Continued after the power cut.
    assert_logged(&results, "log-2");
}

#[test]
fn the_console_is_restored_when_the_service_stops_and_when_it_hangs() {
    let Some(board) = Board::debian() else { return };
    let results = board.results("systemd");
    let ended = ["ActiveState=inactive", "Result=success", "ExecMainStatus=0"];
    assert_properties(&results, "ended", &ended);
    let journal = results.text("journal-1.txt");
    assert!(!journal.contains("State 'stop-sigterm' timed out"));
    for picture in ["ended.png", "hung.png"] {
        assert_no_picture(&results.picture(picture));
    }
}

#[test]
fn the_service_shows_its_image_after_installation_and_after_a_boot() {
    let Some(board) = Board::debian() else { return };
    let results = board.results("systemd");
    for (picture, log) in [("up.png", "log-1"), ("by-itself.png", "log-2")] {
        let events = results.events(log);
        let appeared = events.last().expect("something was seen");
        let screen = results.picture(picture);
        assert_camera(&screen, &appeared["detection"]);
        assert_no_text(&screen);
    }
}

#[test]
fn the_service_is_confined() {
    let Some(board) = Board::debian() else { return };
    let results = board.results("systemd");
    assert_privileges(&results);
    for user in ["boxcam", "root"] {
        assert_confined(&results, user);
    }
    // Root could open these files; the unit's list of devices denies it.
    assert_refused(&results, "root", "open vda", "Operation not permitted");
    assert_refused(&results, "root", "open mem", "Operation not permitted");
    assert_refused(&results, "boxcam", "see the first process", "No such file");
}

#[test]
fn versions_are_changed_while_the_service_runs() {
    let Some(board) = Board::debian() else { return };
    let results = board.results("systemd");
    assert_eq!(results.text("versions.txt"), "versions/two\nversions/one\n");
    let log = results.text("install.log");
    assert_eq!(log.matches("boxcam is up").count(), 4, "{log}");
}

/// The screen is black left of the image, where a login prompt would be.
#[track_caller]
fn assert_no_text(screen: &RgbImage) {
    let is_lit = |x: u32, y: u32| *screen.get_pixel(x, y) != Rgb([0; 3]);
    let lit = (0..MARGIN).any(|x| (0..screen.height()).any(|y| is_lit(x, y)));
    assert!(!lit, "text beside the image");
}

/// The service had these properties at that time.
#[track_caller]
fn assert_properties(results: &Results, saved: &str, expected: &[&str]) {
    let about = results.text(&format!("{saved}.txt"));
    for line in expected {
        assert!(
            about.lines().any(|property| property == *line),
            "{line}: {about}"
        );
    }
}

/// The log has a live state and an appearance.
#[track_caller]
fn assert_logged(results: &Results, log: &str) {
    let states = results.states(log);
    assert!(states.contains(&"live".to_owned()), "{states:?}");
    let events = results.events(log);
    let is_appearance = |event: &Value| event["event"] == "appeared";
    assert!(events.iter().any(is_appearance), "{events:?}");
}

/// The process has its own user, cannot gain privileges, and has one capability.
#[track_caller]
fn assert_privileges(results: &Results) {
    let id = results.text("id.txt");
    let user = id
        .strip_prefix("uid=")
        .and_then(|id| id.split_once("(boxcam)"));
    let user = user.unwrap_or_else(|| panic!("no user: {id}")).0;
    assert_ne!(user, "0");
    let status = results.text("status.txt");
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name}: {status}")).trim()
    };
    assert_eq!(of("Uid:"), [user; 4].join("\t"));
    assert_eq!(of("NoNewPrivs:"), "1");
    assert_eq!(of("Seccomp:"), "2");
    for set in ["CapEff:", "CapPrm:", "CapBnd:", "CapAmb:"] {
        assert_eq!(of(set), ONLY_CONSOLES, "{set}");
    }
}

/// The unit's restrictions, which hold for every user.
#[track_caller]
fn assert_confined(results: &Results, user: &str) {
    let refused = |what: &str, reason| assert_refused(results, user, what, reason);
    for file in ["etc", "usr/local/lib/boxcam", "var/lib", "var/log"] {
        refused(&format!("write /{file}/hole"), "Read-only file system");
    }
    for device in ["vda", "mem", "kmsg"] {
        refused(&format!("open {device}"), "");
    }
    for forbidden in [
        "log in the kernel",
        "make a namespace",
        "become nicer",
        "take a real clock",
        "become another system",
        "mark a file as its owner's",
        "write code",
        "change the root",
    ] {
        refused(forbidden, "Operation not permitted");
    }
    for allowed in [
        "write /var/log/boxcam/own",
        "write /var/lib/boxcam/own",
        "open video0",
        "open media0",
        "open fb0",
    ] {
        assert_contains(
            results,
            &format!("confined-{user}.txt"),
            &format!("{allowed}: done\n"),
        );
    }
}

/// The operation failed for that reason.
#[track_caller]
fn assert_refused(results: &Results, user: &str, what: &str, reason: &str) {
    let attempts = results.text(&format!("confined-{user}.txt"));
    let outcome = attempts
        .lines()
        .find_map(|line| line.strip_prefix(what)?.strip_prefix(": "));
    let outcome = outcome.unwrap_or_else(|| panic!("{what}: {attempts}"));
    assert!(
        outcome != "done" && outcome.contains(reason),
        "{what}: {outcome}"
    );
}
