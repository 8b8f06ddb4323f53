//! The program itself with a camera that fails in many ways: it recovers, and ends on a signal.
#![allow(
    clippy::print_stderr,
    reason = "shows what was measured with --nocapture"
)]
#![cfg(all(target_os = "linux", feature = "web"))]

#[cfg(feature = "mqtt")]
#[path = "../broker/mod.rs"]
mod broker;
#[path = "../common/mod.rs"]
mod common;
#[path = "../http/mod.rs"]
mod http;

mod camera;
mod ends;
#[cfg(feature = "mqtt")]
mod faults;
mod processes;

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use common::TestDir;
use common::reports::wait_until;
use common::running::Running;
use http::get;
use serde_json::Value;

use camera::{events, has_logged_state, logged, states};
use processes::{Resources, alive_in, resources_of, zombies_of};

/// Number of faults between the two measurements.
const FAULTS: usize = 3 * camera::KINDS;

/// The process numbers of the camera, one for each start.
fn starts(dir: &TestDir) -> Vec<u32> {
    let numbers = fs::read_to_string(dir.path("numbers")).unwrap_or_default();
    let whole = &numbers[..numbers.rfind('\n').unwrap_or(0)];
    let numbers = whole.lines().map(str::parse);
    numbers.map(|number| number.expect("a number")).collect()
}

/// The resources of the program while it receives frames, after `count` starts of the camera.
fn resources_at(dir: &TestDir, program: &Running, count: usize) -> Resources {
    let mut lines = 0;
    wait_until("the next fault", || {
        lines = logged(dir).len();
        starts(dir).len() >= count
    });
    wait_until("frames again", || logged(dir).len() > lines + 3);
    resources_of(program.id())
}

/// The time of a line in milliseconds of the day.
fn time_of(line: &Value) -> u64 {
    let time = line["time"].as_str().expect("a time");
    let part = |from: usize, to: usize| time[from..to].parse::<u64>().expect("a number");
    ((part(11, 13) * 60 + part(14, 16)) * 60 + part(17, 19)) * 1000 + part(20, 23)
}

/// The longest time from the end of the state live to its return.
fn longest_outage(lines: &[Value]) -> Duration {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let (mut since, mut longest) = (None, 0);
    for line in lines.iter().filter(|line| line["state"].is_string()) {
        if line["state"] != "live" {
            since.get_or_insert(time_of(line));
        } else if let Some(since) = since.take() {
            longest = longest.max((time_of(line) + DAY - since) % DAY);
        }
    }
    Duration::from_millis(longest)
}

#[test]
fn a_camera_that_fails_repeatedly_leaks_nothing() {
    let dir = TestDir::new();
    let arguments = ["--lines", "frames", "--web", "0"];
    let mut program = Running::with_stderr(&mut camera::watch(&dir, camera::FAULTY, &arguments));
    let early = resources_at(&dir, &program, camera::KINDS);
    let late = resources_at(&dir, &program, camera::KINDS + FAULTS);
    assert!(late.threads <= early.threads + 2, "{early:?} -> {late:?}");
    assert!(late.files <= early.files + 4, "{early:?} -> {late:?}");
    assert!(late.memory_kib <= early.memory_kib + 16 * 1024);
    wait_until("no zombies", || zombies_of(program.id()).is_empty());
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0), "{:#?}", program.lines);
    wait_until("no orphans", || alive_in(&starts(&dir)).is_empty());
    let lines = program.lines.join("\n");
    assert!(!lines.contains("panicked"), "{lines}");

    let lines = logged(&dir);
    let states = states(&lines);
    assert_eq!(states[0], "live");
    for pair in states.windows(2) {
        let may_follow: &[&str] = match &*pair[0] {
            "live" => &["stalled", "reopening"],
            // A last frame may arrive while the source is given up.
            "stalled" => &["reopening", "live"],
            "reopening" => &["live"],
            _ => &[],
        };
        assert!(may_follow.contains(&&*pair[1]), "{states:?}");
    }
    let back = states.iter().filter(|state| *state == "live").count();
    assert!(back >= FAULTS, "{states:?}");
    // Frame numbers continue over all starts.
    let frames = lines.iter().filter_map(|line| line["frame"].as_u64());
    let frames: Vec<u64> = frames.collect();
    assert!(frames.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(frames.len() >= FAULTS * 5, "{} frames", frames.len());
    let outage = longest_outage(&lines);
    eprintln!("{back} times live, the longest outage {outage:?}; {early:?} -> {late:?}");
    assert!(outage < Duration::from_secs(30), "{outage:?}");
}

/// The address of the web page of a run.
fn web_page(program: &mut Running) -> SocketAddr {
    let line = program.wait_for("address", |line| line.contains("web page at http://"));
    let address = line.rsplit("http://").next().expect("an address");
    address.trim_end_matches('/').parse().expect("an address")
}

#[test]
fn a_camera_that_comes_and_goes_is_waited_for_and_shown_on_healthz() {
    let dir = TestDir::new();
    dir.write("gone", "");
    let arguments = ["--wait", "--lines", "events", "--web", "0"];
    let mut program = Running::with_stderr(&mut camera::watch(&dir, camera::VANISHING, &arguments));
    let page = web_page(&mut program);
    let is_healthy = || get(page, "/healthz").status == 200;
    wait_until("waiting", || has_logged_state(&dir, "starting"));
    assert!(!is_healthy());
    let come = Instant::now();
    fs::remove_file(dir.path("gone")).expect("removed");
    wait_until("healthy", is_healthy);
    eprintln!("healthy {:?} after the camera came", come.elapsed());
    wait_until("a track", || events(&logged(&dir)) == ["appeared"]);

    dir.write("gone", "");
    wait_until("the loss is noticed", || {
        has_logged_state(&dir, "reopening")
    });
    // Without frames the track ends.
    wait_until("the track leaves", || {
        events(&logged(&dir)) == ["appeared", "left"]
    });
    let logged_events = get(page, "/events").json();
    let logged_events = logged_events.as_array().expect("a list");
    assert_eq!(events(logged_events), ["appeared", "left"]);
    wait_until("unhealthy", || !is_healthy());
    let text = get(page, "/healthz").text();
    assert!(text.contains("no cameras available"), "{text}");

    let back = Instant::now();
    fs::remove_file(dir.path("gone")).expect("removed");
    wait_until("healthy again", is_healthy);
    let elapsed = back.elapsed();
    eprintln!("healthy {elapsed:?} after the camera came back");
    assert!(elapsed < Duration::from_secs(30), "{elapsed:?}");
    wait_until("another track", || {
        events(&logged(&dir)) == ["appeared", "left", "appeared"]
    });
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0), "{:#?}", program.lines);
    let lines = logged(&dir);
    assert_eq!(states(&lines), ["starting", "live", "reopening", "live"]);
    assert_eq!(events(&lines), ["appeared", "left", "appeared", "left"]);
}

#[test]
fn a_camera_that_hangs_at_its_start_is_live_soon_after_its_return() {
    let dir = TestDir::new();
    let mut program = Running::with_stderr(&mut camera::watch(&dir, camera::HANGING, &[]));
    wait_until("live", || has_logged_state(&dir, "live"));
    dir.write("gone", "");
    wait_until("the loss is noticed", || {
        has_logged_state(&dir, "reopening")
    });
    // A failed attempt to reopen is not logged.
    wait_until("attempts", || starts(&dir).len() >= 6);
    fs::remove_file(dir.path("gone")).expect("removed");
    let back = Instant::now();
    let states = || states(&logged(&dir));
    wait_until("live again", || {
        states() == ["live", "stalled", "reopening", "live"]
    });
    eprintln!("live {:?} after the camera stopped hanging", back.elapsed());
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0), "{:#?}", program.lines);
    wait_until("no orphans", || alive_in(&starts(&dir)).is_empty());
}

#[test]
fn an_unwritable_standard_error_does_not_end_a_run() {
    let dir = TestDir::new();
    let arguments = ["--lines", "frames"];
    let mut command = camera::watch(&dir, camera::FAULTY, &arguments);
    let full = fs::File::create("/dev/full").expect("Linux has it");
    let mut program = command.stderr(full).spawn().expect("the program starts");
    wait_until("faults", || states(&logged(&dir)).len() >= 6);
    assert!(program.try_wait().expect("asked").is_none(), "it runs");
    let id = program.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("kill is there").success());
    assert!(program.wait().expect("the program ends").success());
}
