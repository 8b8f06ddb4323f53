//! boxcam as its service, put by `cross/install.sh`'s half for the board on an emulated computer that runs Debian's systemd.

use image::{Rgb, RgbImage};
use serde_json::Value;

use crate::assert_has;
use crate::computer::{Board, Results};
use crate::screen::{assert_camera, assert_no_picture};

/// Columns of the screen that are left of the picture.
const MARGIN: u32 = 100;

/// `CAP_SYS_TTY_CONFIG` and no other, as the kernel tells it.
const ONLY_CONSOLES: &str = "0000000004000000";

#[test]
fn the_service_is_up_with_its_first_frame() {
    let Some(board) = Board::debian() else { return };
    let results = board.results("systemd");
    println!("in hundredths of a second:\n{}", results.text("times.txt"));
    assert_says(&results, "waiting", &["SubState=start", "NRestarts=0"]);
    let live = ["ActiveState=active", "SubState=running", "StatusText=live"];
    assert_says(&results, "up", &live);
    assert_logged(&results, "log-1");
}

#[test]
fn the_service_comes_back_whatever_ends_it() {
    let Some(board) = Board::debian() else { return };
    let results = board.results("systemd");
    assert_says(&results, "killed", &["SubState=running", "NRestarts=1"]);
    assert_says(&results, "restarted", &["SubState=running", "NRestarts=0"]);
    assert_says(&results, "stopped", &["SubState=running", "NRestarts=1"]);
    let journal = "journal-1.txt";
    assert_has(&results, journal, "status=9/KILL");
    assert_has(&results, journal, "Watchdog timeout (limit 5s)");
    assert_has(&results, journal, "Failed with result 'watchdog'");
    // From where the power was cut.
    assert_logged(&results, "log-2");
}

#[test]
fn the_service_ends_well_and_gives_the_text_back_then_and_when_it_hangs() {
    let Some(board) = Board::debian() else { return };
    let results = board.results("systemd");
    let ended = ["ActiveState=inactive", "Result=success", "ExecMainStatus=0"];
    assert_says(&results, "ended", &ended);
    let journal = results.text("journal-1.txt");
    assert!(!journal.contains("State 'stop-sigterm' timed out"));
    for picture in ["ended.png", "hung.png"] {
        assert_no_picture(&results.picture(picture));
    }
}

#[test]
fn the_service_shows_its_picture_on_the_console_and_after_a_start_of_the_computer() {
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
    assert_has(&results, "id.txt", "uid=999(boxcam)");
    assert_privileges(&results);
    for user in ["boxcam", "root"] {
        assert_confined(&results, user);
    }
    // For whom the file would let in, it is the list of devices that does not.
    assert_refused(&results, "root", "open vda", "Operation not permitted");
    assert_refused(&results, "root", "open mem", "Operation not permitted");
    assert_refused(&results, "boxcam", "see the first process", "No such file");
}

#[test]
fn versions_are_changed_while_the_service_runs() {
    let Some(board) = Board::debian() else { return };
    let results = board.results("systemd");
    assert_eq!(results.text("versions.txt"), "versions/two\nversions/one\n");
    let talk = results.text("install.log");
    assert_eq!(talk.matches("boxcam is up").count(), 4, "{talk}");
}

/// Left of the picture, where a login would ask for a name, the screen is dark.
#[track_caller]
fn assert_no_text(screen: &RgbImage) {
    let is_lit = |x: u32, y: u32| *screen.get_pixel(x, y) != Rgb([0; 3]);
    let lit = (0..MARGIN).any(|x| (0..screen.height()).any(|y| is_lit(x, y)));
    assert!(!lit, "text beside the picture");
}

/// systemd said these of the service then.
#[track_caller]
fn assert_says(results: &Results, then: &str, wanted: &[&str]) {
    let about = results.text(&format!("{then}.txt"));
    for line in wanted {
        assert!(about.lines().any(|said| said == *line), "{line}: {about}");
    }
}

/// The log tells of frames and of what they showed.
#[track_caller]
fn assert_logged(results: &Results, log: &str) {
    let states = results.states(log);
    assert!(states.contains(&"live".to_owned()), "{states:?}");
    let events = results.events(log);
    let is_seen = |event: &Value| event["event"] == "appeared";
    assert!(events.iter().any(is_seen), "{events:?}");
}

/// The running program is nobody in particular, can become nobody else, and may do one thing more than others.
#[track_caller]
fn assert_privileges(results: &Results) {
    let status = results.text("status.txt");
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name}: {status}")).trim()
    };
    assert_eq!(of("Uid:"), "999\t999\t999\t999");
    assert_eq!(of("NoNewPrivs:"), "1");
    assert_eq!(of("Seccomp:"), "2");
    for set in ["CapEff:", "CapPrm:", "CapBnd:", "CapAmb:"] {
        assert_eq!(of(set), ONLY_CONSOLES, "{set}");
    }
}

/// What the unit keeps its program from, whoever runs it.
#[track_caller]
fn assert_confined(results: &Results, user: &str) {
    let refused = |what: &str, words| assert_refused(results, user, what, words);
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
        assert_has(
            results,
            &format!("confined-{user}.txt"),
            &format!("{allowed}: done\n"),
        );
    }
}

/// That could not be done, for that reason.
#[track_caller]
fn assert_refused(results: &Results, user: &str, what: &str, words: &str) {
    let tried = results.text(&format!("confined-{user}.txt"));
    let told = tried
        .lines()
        .find_map(|line| line.strip_prefix(what)?.strip_prefix(": "));
    let told = told.unwrap_or_else(|| panic!("{what}: {tried}"));
    assert!(told != "done" && told.contains(words), "{what}: {told}");
}
