//! The web page, asked over real connections; the last word on the page itself has `tests/web_browser.rs`.
#![cfg(feature = "web")]

mod common;
mod http;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use boxcam::health::{CaptureState, Health, StateChange};
use boxcam::sink::Sink;
use boxcam::sink::web::{WebSettings, WebSink};
use boxcam::track::EventKind;
use common::TestDir;
use common::reports::{frame, report, wait_until, with_event};
use common::running::Running;
use http::{Live, ask, get};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);

fn settings(clients: usize) -> WebSettings {
    WebSettings {
        address: "127.0.0.1:0".parse().expect("an address"),
        max_clients: NonZeroUsize::new(clients).expect("some"),
        name: "Hans' \"k\u{fc}che\"".to_owned(),
        unhealthy_after: SOON,
    }
}

fn serve(clients: usize) -> (WebSink, Arc<Health>, SocketAddr) {
    let health = Arc::new(Health::default());
    let sink = WebSink::serve(settings(clients), Arc::clone(&health)).expect("served");
    let address = sink.address();
    (sink, health, address)
}

/// Feeds the sink with frames until `work` is done.
fn fed<T>(mut sink: WebSink, work: impl FnOnce() -> T) -> (WebSink, T) {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let feeder = std::thread::spawn(move || {
        let mut number = 0;
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            let frame = frame(number);
            sink.show(&frame, &report(&frame, Some(0))).expect("noted");
            number += 1;
            std::thread::sleep(Duration::from_millis(10));
        }
        sink
    });
    let done = work();
    drop(stop);
    (feeder.join().expect("fed"), done)
}

#[test]
fn the_page_is_there_and_only_to_be_read() {
    let (_sink, _, address) = serve(1);
    let files = [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ];
    for (path, kind) in files {
        let answer = get(address, path);
        assert_eq!((answer.status, answer.header("content-type")), (200, kind));
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("default-src 'none'")
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        // Nothing comes from elsewhere; the name of a drawing's language is no address to load.
        let text = answer.text().replace("http://www.w3.org/2000/svg", "");
        assert!(
            !text.contains("http:") && !text.contains("https:"),
            "{path}"
        );
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = ask(
            address,
            &format!("{method} /state HTTP/1.1\r\nHost: localhost\r\n"),
        );
        assert_eq!(answer.status, 405, "{method}");
    }
    let answer = get(address, "/../etc/passwd");
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("/healthz"));
    let answer = ask(address, "HEAD / HTTP/1.1\r\nHost: localhost\r\n");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

#[test]
fn a_name_that_may_be_anybodys_is_not_answered() {
    let (_sink, _, address) = serve(1);
    for host in ["evil.example", "localhost.evil.example:80"] {
        let answer = ask(address, &format!("GET /state HTTP/1.1\r\nHost: {host}\r\n"));
        assert_eq!(answer.status, 403, "{host}");
        assert!(answer.text().contains("localhost"), "{host}");
    }
    for host in ["localhost:8080", "127.0.0.1", "[::1]:1"] {
        let answer = ask(address, &format!("GET /state HTTP/1.1\r\nHost: {host}\r\n"));
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[test]
fn health_follows_the_frames() {
    let health = Arc::new(Health::default());
    let patience = Duration::from_millis(300);
    let sink = WebSink::serve(
        WebSettings {
            unhealthy_after: patience,
            ..settings(1)
        },
        Arc::clone(&health),
    );
    let address = sink.as_ref().expect("served").address();
    let before = get(address, "/healthz");
    assert_eq!(
        (before.status, &before.json()["state"]),
        (503, &"starting".into())
    );
    assert_eq!(before.json()["seconds_since_frame"], Value::Null);
    wait_until("well", || {
        health.update(|now| {
            now.state = CaptureState::Live;
            now.last_inference = Some(Instant::now());
            now.model = "0badcafe".to_owned();
        });
        let answer = get(address, "/healthz");
        let told = answer.json();
        assert_eq!(told["model"], "0badcafe");
        assert!(told["version"].is_string() && told["seconds_since_frame"].is_f64());
        answer.status == 200 && told["healthy"] == true
    });
    health.update(|now| {
        now.state = CaptureState::Stalled;
        now.reason = "no frame for 2 s".to_owned();
    });
    wait_until("ill", || get(address, "/healthz").status == 503);
    let told = get(address, "/healthz").json();
    assert_eq!(told["reason"], "no frame for 2 s");
    assert_eq!(
        (&told["healthy"], &told["state"]),
        (&false.into(), &"stalled".into())
    );
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let (_sink, health, address) = serve(3);
    health.captured.add(12);
    health.dropped.add(2);
    health.update(|now| {
        now.state = CaptureState::Live;
        now.inference = Duration::from_millis(250);
        now.last_inference = Some(Instant::now());
        now.model = "0badcafe".to_owned();
    });
    let answer = get(address, "/metrics");
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let samples = samples(&answer.text());
    let value = |name: &str| {
        let sample = samples.iter().find(|(has, _)| has == name);
        sample.unwrap_or_else(|| panic!("no {name}")).1
    };
    assert_eq!(value("boxcam_frames_captured_total"), 12.0);
    assert_eq!(value("boxcam_frames_dropped_total"), 2.0);
    assert_eq!(value("boxcam_inference_seconds"), 0.25);
    assert_eq!(value("boxcam_healthy"), 1.0);
    assert_eq!(value("boxcam_capture_state{state=\"live\"}"), 1.0);
    assert_eq!(value("boxcam_capture_state{state=\"stalled\"}"), 0.0);
    let version = env!("CARGO_PKG_VERSION");
    let info = format!(
        "boxcam_info{{camera=\"Hans' \\\"k\u{fc}che\\\"\",model=\"0badcafe\",version=\"{version}\"}}"
    );
    assert_eq!(value(&info), 1.0);
}

/// Each sample with its value; each belongs to a metric that was introduced just before.
fn samples(text: &str) -> Vec<(String, f64)> {
    let mut samples = Vec::new();
    let (mut helped, mut typed) = (String::new(), String::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "HELP", name, help] if !help.is_empty() => helped = (*name).to_owned(),
            ["#", "TYPE", name, "counter"] => {
                assert!(name.ends_with("_total"), "{line}");
                typed = (*name).to_owned();
            }
            ["#", "TYPE", name, "gauge"] => typed = (*name).to_owned(),
            _ => {
                let (sample, value) = line.rsplit_once(' ').expect("a value");
                let name = sample.split('{').next().expect("a name");
                assert_eq!((name, name), (helped.as_str(), typed.as_str()), "{line}");
                samples.push((sample.to_owned(), value.parse().expect("a number")));
            }
        }
    }
    samples
}

#[test]
fn the_last_events_are_told_and_no_more_than_a_hundred() {
    let (mut sink, _, address) = serve(1);
    assert_eq!(get(address, "/events").text(), "[]");
    for number in 1..=120 {
        let frame = frame(number);
        let report = with_event(report(&frame, Some(1)), EventKind::Appeared, number);
        sink.show(&frame, &report).expect("noted");
    }
    let change = StateChange {
        state: CaptureState::Reopening,
        time: SystemTime::UNIX_EPOCH,
        reason: "unplugged".to_owned(),
    };
    sink.on_state_change(&change).expect("noted");
    let answer = get(address, "/events");
    assert_eq!(answer.header("content-type"), "application/json");
    let events = answer.json();
    let events = events.as_array().expect("a list");
    assert_eq!(events.len(), 100);
    let tracks: Vec<u64> = events
        .iter()
        .filter_map(|event| event["track"].as_u64())
        .collect();
    assert_eq!(tracks, (22..=120).collect::<Vec<_>>());
    assert_eq!(events[0]["event"], "appeared");
    assert_eq!(events[0]["detection"]["class"], "hot dog");
    let last = &events[99];
    assert_eq!(
        (&last["state"], &last["reason"]),
        (&"reopening".into(), &"unplugged".into())
    );
    let state = get(address, "/state").json();
    assert_eq!(state["events_total"], 121);
    assert_eq!(state["seen"]["class"], "hot dog");
    assert_eq!(
        (&state["seen"]["track"], &state["seen"]["duration_s"]),
        (&7.into(), &2.5.into())
    );
    assert_eq!(state["name"], settings(1).name);
}

#[test]
fn live_pictures_move_and_places_are_bounded() {
    let (sink, _, address) = serve(2);
    let work = || {
        let mut first = Live::open(address);
        let mut second = Live::open(address);
        let pictures: Vec<_> = (0..3).map(|_| first.picture()).collect();
        assert!(
            pictures
                .iter()
                .all(|picture| picture.dimensions() == (640, 480))
        );
        assert!(pictures[0] != pictures[1] && pictures[1] != pictures[2]);
        assert_eq!(second.picture().dimensions(), (640, 480));
        let full = get(address, "/live");
        assert_eq!(full.status, 503);
        assert!(full.text().contains("--web-clients"), "{}", full.text());
        drop(first);
        wait_until("a place is free again", || is_served_live(address));
        let single = get(address, "/picture.jpg");
        assert_eq!(
            (single.status, single.header("content-type")),
            (200, "image/jpeg")
        );
        let decoded = image::load_from_memory(&single.body).expect("a JPEG");
        assert_eq!((decoded.width(), decoded.height()), (640, 480));
    };
    let (sink, ()) = fed(sink, work);
    // Nobody feeds it any more: it says so instead of showing what was.
    let none = get(address, "/picture.jpg");
    assert_eq!(none.status, 503);
    assert!(none.text().contains("/healthz"));
    drop(sink);
}

/// A place is free without any picture coming, too: the server sees who has left.
#[test]
fn a_viewer_who_leaves_while_no_frame_comes_frees_the_place() {
    let (_sink, _, address) = serve(1);
    let mut waiting = TcpStream::connect(address).expect("connected");
    waiting
        .write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("sent");
    wait_until("the place is taken", || !is_served_live(address));
    drop(waiting);
    wait_until("the place is free", || is_served_live(address));
}

fn is_served_live(address: SocketAddr) -> bool {
    let answer = ask(address, "HEAD /live HTTP/1.1\r\nHost: localhost\r\n");
    answer.status == 200
}

#[test]
fn one_who_takes_nothing_holds_up_nobody() {
    let (sink, _, address) = serve(2);
    let (_sink, ()) = fed(sink, || {
        let mut deaf = TcpStream::connect(address).expect("connected");
        deaf.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("sent");
        let mut other = Live::open(address);
        // More than the system's buffers hold of the one who does not read.
        for _ in 0..40 {
            other.picture();
        }
        assert_eq!(get(address, "/state").status, 200);
    });
}

#[test]
fn connections_are_bounded_and_given_up_when_nothing_comes() {
    let (_sink, _, address) = serve(1);
    let idle: Vec<TcpStream> = (0..40)
        .map(|_| TcpStream::connect(address).expect("connected"))
        .collect();
    let sent_away = |stream: &TcpStream| {
        stream.set_nonblocking(true).expect("set");
        let mut start = [0; 12];
        let is_away = matches!(stream.peek(&mut start), Ok(12)) && &start == b"HTTP/1.1 503";
        stream.set_nonblocking(false).expect("set");
        is_away
    };
    wait_until("eight are sent away", || {
        idle.iter().filter(|stream| sent_away(stream)).count() == 8
    });
    // Half a request from the rest, and no more: they are closed all the same.
    for mut stream in idle {
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nX-Slow: ");
        stream.set_read_timeout(Some(SOON)).expect("set");
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
    assert_eq!(get(address, "/state").status, 200);
}

#[test]
fn an_end_frees_the_address() {
    let (sink, health, address) = serve(1);
    let mut viewer = TcpStream::connect(address).expect("connected");
    viewer
        .write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("sent");
    drop(sink);
    // Not at once: a program that another test just starts shares this one's sockets until it has loaded.
    wait_until("nobody answers", || TcpStream::connect(address).is_err());
    let settings = WebSettings {
        address,
        ..settings(1)
    };
    let again = WebSink::serve(settings, health).expect("free again");
    assert_eq!(get(again.address(), "/state").status, 200);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address").to_string();
    let place = TestDir::new();
    place.write_solid_image("red.png", "red");
    let words = ["run", "--source", "red.png", "--display", "none", "--web"];
    let said = place.run_tiny(&[&words[..], &[&address]].concat());
    said.assert_exit_code(5);
    said.assert_stderr_contains(&[&address, "--web"]);
}

#[cfg(all(unix, feature = "demo"))]
#[test]
fn the_program_serves_what_it_sees() {
    let place = TestDir::new();
    let words = [
        "run",
        "--source",
        "demo",
        "--display",
        "none",
        "--web",
        "0",
        "--name",
        "bench",
        "--model",
        "tiny.onnx",
        "--threshold",
        "0",
    ];
    let mut program = Running::with_stderr(&mut place.command(&words));
    let line = program.wait_for("address", |line| line.contains("web page at http://"));
    let address = line
        .rsplit("http://")
        .next()
        .expect("an address")
        .trim_end_matches('/');
    let address: SocketAddr = address.parse().expect("an address");
    assert!(address.ip().is_loopback(), "{address}");
    let mut live = Live::open(address);
    let (first, second) = (live.picture(), live.picture());
    assert_eq!(first.dimensions(), (640, 480));
    assert_ne!(first, second);
    let state = || get(address, "/state").json();
    assert_eq!(state()["name"], "bench");
    // A first frame alone is no evidence that something is there.
    wait_until("something is seen", || state()["seen"]["class"].is_string());
    wait_until("it is well", || get(address, "/healthz").status == 200);
    let samples = samples(&get(address, "/metrics").text());
    let is_more_than_none =
        |(name, value): &(String, f64)| name == "boxcam_frames_inferred_total" && *value > 0.0;
    assert!(samples.iter().any(is_more_than_none), "{samples:?}");
    // The tiny model sees something in everything.
    wait_until("something appeared", || {
        let events = get(address, "/events").json();
        let events = events.as_array().expect("a list");
        events
            .iter()
            .any(|event| event["event"] == "appeared" && event["detection"]["class"].is_string())
    });
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0), "{:?}", program.lines);
}
