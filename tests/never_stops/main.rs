//! The real program with a camera that fails in every way: it never stops, and it ends when it is told to.
#![cfg(all(target_os = "linux", feature = "web"))]

#[cfg(feature = "mqtt")]
#[path = "../broker/mod.rs"]
#[allow(dead_code, reason = "not all of it is needed")]
mod broker;
#[path = "../common/mod.rs"]
mod common;
#[path = "../http/mod.rs"]
mod http;

mod camera;
mod ends;
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

use camera::{events, has_been, logged, states};
use processes::{Held, alive_in, held, zombies_of};

/// Faults that are looked at, after those before the first look.
const FAULTS: usize = 3 * camera::KINDS;

/// Times that the faulty camera was started, as process numbers.
fn starts(place: &TestDir) -> Vec<u32> {
    let numbers = fs::read_to_string(place.path("numbers")).unwrap_or_default();
    let whole = &numbers[..numbers.rfind('\n').unwrap_or(0)];
    let numbers = whole.lines().map(str::parse);
    numbers.map(|number| number.expect("a number")).collect()
}

/// What the program holds while frames come from the camera that was started so many times.
fn held_at(place: &TestDir, program: &Running, count: usize) -> Held {
    let mut lines = 0;
    wait_until("the next fault", || {
        lines = logged(place).len();
        starts(place).len() >= count
    });
    wait_until("frames again", || logged(place).len() > lines + 3);
    held(program.id())
}

/// The moment of a line, in milliseconds of the day.
fn moment(line: &Value) -> u64 {
    let time = line["time"].as_str().expect("a time");
    let part = |from: usize, to: usize| time[from..to].parse::<u64>().expect("a number");
    ((part(11, 13) * 60 + part(14, 16)) * 60 + part(17, 19)) * 1000 + part(20, 23)
}

/// The longest time from a state that is not live to the next that is.
fn longest_outage(lines: &[Value]) -> Duration {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let (mut since, mut longest) = (None, 0);
    for line in lines.iter().filter(|line| line["state"].is_string()) {
        if line["state"] != "live" {
            since.get_or_insert(moment(line));
        } else if let Some(since) = since.take() {
            longest = longest.max((moment(line) + DAY - since) % DAY);
        }
    }
    Duration::from_millis(longest)
}

#[test]
fn a_camera_that_fails_again_and_again_leaves_nothing_behind() {
    let place = TestDir::new();
    let words = ["--lines", "frames", "--web", "0"];
    let mut program = Running::with_stderr(&mut camera::watch(&place, camera::FAULTY, &words));
    let early = held_at(&place, &program, camera::KINDS);
    let late = held_at(&place, &program, camera::KINDS + FAULTS);
    assert!(late.threads <= early.threads + 2, "{early:?} -> {late:?}");
    assert!(late.files <= early.files + 4, "{early:?} -> {late:?}");
    assert!(late.memory_kib <= early.memory_kib + 16 * 1024);
    wait_until("no zombies", || zombies_of(program.id()).is_empty());
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0), "{:#?}", program.lines);
    wait_until("no orphans", || alive_in(&starts(&place)).is_empty());
    let said = program.lines.join("\n");
    assert!(!said.contains("panicked"), "{said}");

    let lines = logged(&place);
    let states = states(&lines);
    assert_eq!(states[0], "live");
    for pair in states.windows(2) {
        let may_follow: &[&str] = match &*pair[0] {
            "live" => &["stalled", "reopening"],
            // A last frame may come while it is given up.
            "stalled" => &["reopening", "live"],
            "reopening" => &["live"],
            _ => &[],
        };
        assert!(may_follow.contains(&&*pair[1]), "{states:?}");
    }
    let back = states.iter().filter(|state| *state == "live").count();
    assert!(back >= FAULTS, "{states:?}");
    // What was given up goes on in nobody's numbers.
    let frames = lines.iter().filter_map(|line| line["frame"].as_u64());
    let frames: Vec<u64> = frames.collect();
    assert!(frames.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(frames.len() >= FAULTS * 5, "{} frames", frames.len());
    let outage = longest_outage(&lines);
    eprintln!("{back} times live, the longest outage {outage:?}; {early:?} -> {late:?}");
    assert!(outage < Duration::from_secs(30), "{outage:?}");
}

/// Where the page of a run is.
fn page(program: &mut Running) -> SocketAddr {
    let line = program.wait_for("address", |line| line.contains("web page at http://"));
    let address = line.rsplit("http://").next().expect("an address");
    address.trim_end_matches('/').parse().expect("an address")
}

#[test]
fn a_camera_that_comes_and_goes_is_waited_for_and_its_health_is_told() {
    let place = TestDir::new();
    place.write("gone", "");
    let words = ["--wait", "--lines", "events", "--web", "0"];
    let mut program = Running::with_stderr(&mut camera::watch(&place, camera::VANISHING, &words));
    let page = page(&mut program);
    let is_well = || get(page, "/healthz").status == 200;
    wait_until("it waits", || has_been(&place, "starting"));
    assert!(!is_well());
    let come = Instant::now();
    fs::remove_file(place.path("gone")).expect("removed");
    wait_until("it is well", is_well);
    eprintln!("well {:?} after the camera came", come.elapsed());
    wait_until("a thing", || events(&logged(&place)) == ["appeared"]);

    place.write("gone", "");
    wait_until("it is missed", || has_been(&place, "reopening"));
    // Nobody knows what is there now.
    wait_until("the thing leaves", || {
        events(&logged(&place)) == ["appeared", "left"]
    });
    let told = get(page, "/events").json();
    let told = told.as_array().expect("a list");
    assert_eq!(events(told), ["appeared", "left"]);
    wait_until("it is ill", || !is_well());
    let words = get(page, "/healthz").text();
    assert!(words.contains("no cameras available"), "{words}");

    let back = Instant::now();
    fs::remove_file(place.path("gone")).expect("removed");
    wait_until("it is well again", is_well);
    let elapsed = back.elapsed();
    eprintln!("well {elapsed:?} after the camera came back");
    assert!(elapsed < Duration::from_secs(30), "{elapsed:?}");
    wait_until("another thing", || {
        events(&logged(&place)) == ["appeared", "left", "appeared"]
    });
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0), "{:#?}", program.lines);
    let lines = logged(&place);
    assert_eq!(states(&lines), ["starting", "live", "reopening", "live"]);
    assert_eq!(events(&lines), ["appeared", "left", "appeared", "left"]);
}

#[test]
fn a_camera_that_hangs_whenever_it_is_started_is_there_soon_after_its_return() {
    let place = TestDir::new();
    let mut program = Running::with_stderr(&mut camera::watch(&place, camera::HANGING, &[]));
    wait_until("it is live", || has_been(&place, "live"));
    place.write("gone", "");
    wait_until("it is missed", || has_been(&place, "reopening"));
    // It was tried again and again, which is no news.
    wait_until("attempts", || starts(&place).len() >= 6);
    fs::remove_file(place.path("gone")).expect("removed");
    let back = Instant::now();
    let states = || states(&logged(&place));
    wait_until("it is back", || {
        states() == ["live", "stalled", "reopening", "live"]
    });
    eprintln!("live {:?} after the camera hung no more", back.elapsed());
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0), "{:#?}", program.lines);
    wait_until("no orphans", || alive_in(&starts(&place)).is_empty());
}

#[test]
fn a_standard_error_that_takes_nothing_ends_no_run() {
    let place = TestDir::new();
    let words = ["--lines", "frames"];
    let mut command = camera::watch(&place, camera::FAULTY, &words);
    let full = fs::File::create("/dev/full").expect("Linux has it");
    let mut program = command.stderr(full).spawn().expect("it starts");
    wait_until("faults", || states(&logged(&place)).len() >= 6);
    assert!(program.try_wait().expect("asked").is_none(), "it runs");
    let id = program.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("kill is there").success());
    assert!(program.wait().expect("it ends").success());
}
