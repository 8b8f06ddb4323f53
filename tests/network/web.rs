//! The web page over real connections. [`web_browser`](super::web_browser) tests the page in a browser.
#![cfg(feature = "web")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::common::TestDir;
use crate::common::reports::{frame, report, wait_until, with_event, with_zones};
use crate::common::running::Running;
use crate::http::{LiveViewer, get, send};
use crate::reverse_proxy::{PREFIX, ReverseProxy};
use boxcam::address::{FrameAncestors, WebLogin};
use boxcam::frame::Frame;
use boxcam::health::{CaptureState, Health, StateChange};
use boxcam::report::Report;
use boxcam::sink::Sink;
use boxcam::sink::web::{WebSettings, WebSink};
use boxcam::track::EventKind;
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(60);

fn settings(clients: usize) -> WebSettings {
    WebSettings {
        address: "127.0.0.1:0".parse().expect("an address"),
        max_clients: NonZeroUsize::new(clients).expect("some"),
        name: "Hans' \"k\u{fc}che\"".to_owned(),
        unhealthy_after: TIMEOUT,
        hosts: None,
        frame_ancestors: FrameAncestors::default(),
        login: WebLogin::Open,
    }
}

fn serve(clients: usize) -> (WebSink, Arc<Health>, SocketAddr) {
    let health = Arc::new(Health::default());
    let sink = WebSink::serve(settings(clients), Arc::clone(&health)).expect("served");
    let address = sink.address();
    (sink, health, address)
}

/// Shows frames with an apple until `work` is done.
fn while_showing_frames<T>(sink: WebSink, work: impl FnOnce() -> T) -> (WebSink, T) {
    while_showing(sink, |frame| report(frame, Some(0)), work)
}

/// Shows frames with these reports until `work` is done.
fn while_showing<T>(
    mut sink: WebSink,
    report_of: impl Fn(&Frame) -> Report + Send + 'static,
    work: impl FnOnce() -> T,
) -> (WebSink, T) {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let mut number = 0;
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            let frame = frame(number);
            sink.show(&frame, &report_of(&frame)).expect("recorded");
            number += 1;
            std::thread::sleep(Duration::from_millis(10));
        }
        sink
    });
    let result = work();
    drop(stop);
    (thread.join().expect("no panic"), result)
}

#[test]
fn the_page_is_served_and_read_only() {
    let (_sink, _, address) = serve(1);
    let files = [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/zones", "text/html; charset=utf-8"),
        ("/zones.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ];
    for (path, kind) in files {
        let response = get(address, path);
        assert_eq!(
            (response.status, response.header("content-type")),
            (200, kind)
        );
        assert!(
            response
                .header("content-security-policy")
                .starts_with("default-src 'none'")
        );
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        // The page loads nothing from elsewhere. The SVG namespace is not loaded.
        let text = response.text().replace("http://www.w3.org/2000/svg", "");
        assert!(
            !text.contains("http:") && !text.contains("https:"),
            "{path}"
        );
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let response = send(
            address,
            &format!("{method} /state HTTP/1.1\r\nHost: localhost\r\n"),
        );
        assert_eq!(response.status, 405, "{method}");
    }
    let response = get(address, "/../etc/passwd");
    assert_eq!(response.status, 404);
    assert!(response.text().contains("/healthz"));
    let response = send(address, "HEAD / HTTP/1.1\r\nHost: localhost\r\n");
    assert_eq!((response.status, response.body.len()), (200, 0));
}

#[test]
fn other_host_names_are_refused() {
    let (_sink, _, address) = serve(1);
    for host in ["evil.example", "localhost.evil.example:80"] {
        let response = send(address, &format!("GET /state HTTP/1.1\r\nHost: {host}\r\n"));
        assert_eq!(response.status, 403, "{host}");
        let name = host.split(':').next().expect("a name");
        let option = format!("--web-hosts {name},");
        let text = response.text();
        assert!(
            text.contains("localhost") && text.contains(&option),
            "{text}"
        );
    }
    for host in ["localhost:8080", "127.0.0.1", "[::1]:1"] {
        let response = send(address, &format!("GET /state HTTP/1.1\r\nHost: {host}\r\n"));
        assert_eq!(response.status, 200, "{host}");
    }
}

fn status_for_host(address: SocketAddr, host: &str) -> u16 {
    send(address, &format!("GET /state HTTP/1.1\r\nHost: {host}\r\n")).status
}

#[test]
fn listed_host_names_are_accepted() {
    let serve = |address: &str, hosts: Option<&str>| {
        let settings = WebSettings {
            address: address.parse().expect("an address"),
            hosts: hosts.map(|hosts| hosts.parse().expect("names")),
            ..settings(1)
        };
        WebSink::serve(settings, Arc::default()).expect("served")
    };
    for listening in ["127.0.0.1:0", "0.0.0.0:0"] {
        let sink = serve(listening, Some("cam.lan,Cam.example.org"));
        let address = SocketAddr::from(([127, 0, 0, 1], sink.address().port()));
        for host in [
            "cam.lan",
            "CAM.LAN:8443",
            "cam.example.org.",
            "localhost",
            "10.0.0.2",
        ] {
            assert_eq!(status_for_host(address, host), 200, "{listening}: {host}");
        }
        for host in ["evil.example", "cam.lan.evil.example", "xcam.lan", ""] {
            assert_eq!(status_for_host(address, host), 403, "{listening}: {host}");
        }
    }
    let any = serve("127.0.0.1:0", Some("*"));
    assert_eq!(status_for_host(any.address(), "evil.example"), 200);
    let open = serve("0.0.0.0:0", None);
    let address = SocketAddr::from(([127, 0, 0, 1], open.address().port()));
    assert_eq!(status_for_host(address, "cam.lan"), 200);
}

#[test]
fn the_headers_say_who_may_embed_the_page() {
    let cases = [
        ("none", "frame-ancestors 'none'", "DENY"),
        ("self", "frame-ancestors 'self'", "SAMEORIGIN"),
        (
            "http://ha.lan:8123,https://ha.example",
            "frame-ancestors http://ha.lan:8123 https://ha.example",
            "",
        ),
    ];
    for (ancestors, directive, x_frame_options) in cases {
        let settings = WebSettings {
            frame_ancestors: ancestors.parse().expect("valid"),
            ..settings(1)
        };
        let sink = WebSink::serve(settings, Arc::default()).expect("served");
        for path in ["/", "/state", "/missing"] {
            let response = get(sink.address(), path);
            let policy = response.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; "), "{policy}");
            assert!(policy.ends_with(&format!("; {directive}")), "{policy}");
            assert_eq!(response.header("x-frame-options"), x_frame_options);
        }
    }
}

/// The values of `href` and `src` in an HTML text.
fn links(html: &str) -> Vec<&str> {
    let starts = ["href=\"", "src=\""];
    let values = starts.iter().flat_map(|start| html.split(start).skip(1));
    values.filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn a_reverse_proxy_can_serve_the_page_below_a_path() {
    let settings = WebSettings {
        hosts: Some("cams.example.org".parse().expect("a name")),
        ..settings(1)
    };
    let sink = WebSink::serve(settings, Arc::default()).expect("served");
    let address = sink.address();
    let proxy = ReverseProxy::start(address, "cams.example.org");
    let (_sink, ()) = while_showing_frames(sink, || {
        let page = get(proxy.address, PREFIX);
        assert_eq!(page.status, 200);
        let html = page.text();
        let links = links(&html);
        assert!(links.len() >= 8, "{links:?}");
        for link in links {
            assert!(!link.starts_with('/') && !link.contains(':'), "{link}");
            if link != "live" {
                let response = get(proxy.address, &format!("{PREFIX}{link}"));
                // Nothing is inferred here, so `healthz` fails.
                let expected = if link == "healthz" { 503 } else { 200 };
                assert_eq!(response.status, expected, "{link}");
            }
        }
        for script in ["page.js", "zones.js"] {
            let script = get(proxy.address, &format!("{PREFIX}{script}")).text();
            for absolute in ["\"/", "'/", "`/"] {
                assert!(!script.contains(absolute), "{absolute}");
            }
        }
    });
    let live = send(address, "HEAD /live HTTP/1.1\r\nHost: localhost\r\n");
    assert_eq!(live.header("x-accel-buffering"), "no");
}

#[test]
fn health_follows_the_frames() {
    let health = Arc::new(Health::default());
    let unhealthy_after = Duration::from_millis(300);
    let sink = WebSink::serve(
        WebSettings {
            unhealthy_after,
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
    wait_until("healthy", || {
        health.update(|status| {
            status.state = CaptureState::Live;
            status.last_inference = Some(Instant::now());
            status.model = "0badcafe".to_owned();
        });
        let response = get(address, "/healthz");
        let body = response.json();
        assert_eq!(body["model"], "0badcafe");
        assert!(body["version"].is_string() && body["seconds_since_frame"].is_f64());
        response.status == 200 && body["healthy"] == true
    });
    health.update(|status| {
        status.state = CaptureState::Stalled;
        status.reason = "no frame for 2 s".to_owned();
    });
    wait_until("unhealthy", || get(address, "/healthz").status == 503);
    let body = get(address, "/healthz").json();
    assert_eq!(body["reason"], "no frame for 2 s");
    assert_eq!(
        (&body["healthy"], &body["state"]),
        (&false.into(), &"stalled".into())
    );
}

#[test]
fn metrics_have_the_format_of_prometheus() {
    let (_sink, health, address) = serve(3);
    health.captured.add(12);
    health.dropped.add(2);
    for millis in [4, 250, 250] {
        let duration = Duration::from_millis(millis);
        health.inference_durations.add(duration);
    }
    let before = SystemTime::now();
    health.update(|status| {
        status.state = CaptureState::Live;
        status.last_inference = Some(Instant::now());
        status.model = "0badcafe".to_owned();
    });
    let response = get(address, "/metrics");
    assert_eq!(
        response.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let samples = samples(&response.text());
    let value = |name: &str| {
        let sample = samples.iter().find(|(has, _)| has == name);
        sample.unwrap_or_else(|| panic!("no {name}")).1
    };
    assert_eq!(value("boxcam_frames_captured_total"), 12.0);
    assert_eq!(value("boxcam_frames_dropped_total"), 2.0);
    let bucket = |bound: &str| {
        value(&format!(
            "boxcam_inference_duration_seconds_bucket{{le=\"{bound}\"}}"
        ))
    };
    assert_eq!(
        ["0.0025", "0.005", "0.1", "0.25", "+Inf"].map(bucket),
        [0.0, 1.0, 1.0, 3.0, 3.0]
    );
    assert_eq!(value("boxcam_inference_duration_seconds_sum"), 0.504);
    assert_eq!(value("boxcam_inference_duration_seconds_count"), 3.0);
    assert_eq!(value("boxcam_frame_age_seconds_count"), 0.0);
    let since_epoch = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        since.expect("after 1970").as_secs_f64()
    };
    let timestamp = value("boxcam_last_inference_timestamp_seconds");
    let range = since_epoch(before) - 0.002..=since_epoch(SystemTime::now()) + 0.002;
    assert!(range.contains(&timestamp), "{timestamp}");
    assert_eq!(value("boxcam_healthy"), 1.0);
    assert_eq!(value("boxcam_capture_state{state=\"live\"}"), 1.0);
    assert_eq!(value("boxcam_capture_state{state=\"stalled\"}"), 0.0);
    let version = env!("CARGO_PKG_VERSION");
    let info = format!(
        "boxcam_info{{camera=\"Hans' \\\"k\u{fc}che\\\"\",model=\"0badcafe\",version=\"{version}\"}}"
    );
    assert_eq!(value(&info), 1.0);
}

/// A query must not depend on what has happened already.
#[test]
fn all_metrics_are_there_from_the_start() {
    let (mut sink, health, address) = serve(1);
    let frame = frame(1);
    let report = with_zones(report(&frame, Some(0)));
    sink.expect(
        Arc::clone(&report.labels),
        Arc::new(report.zones.map().clone()),
    );
    let series = || -> Vec<String> {
        let text = get(address, "/metrics").text();
        let series = samples(&text).into_iter().map(|(name, _)| name);
        series
            .filter(|name| !name.starts_with("boxcam_info"))
            .collect()
    };
    let first = series();
    let is_zero = |name: &str| {
        let samples = samples(&get(address, "/metrics").text());
        samples.contains(&(name.to_owned(), 0.0))
    };
    let crossings = "boxcam_line_crossings_total{line=\"door\",direction=\"down\",class=\"apple\"}";
    for name in [
        "boxcam_things_appeared_total",
        "boxcam_things{class=\"hot dog\"}",
        "boxcam_zone_things{zone=\"table\",class=\"apple\"}",
        crossings,
        "boxcam_last_inference_timestamp_seconds",
        "boxcam_frames_per_second",
    ] {
        assert!(is_zero(name), "{name} in {first:#?}");
    }
    health.inference_durations.add(Duration::from_millis(5));
    health.update(|status| {
        status.frames_per_second = Some(7.5);
        status.last_inference = Some(Instant::now());
        status.state = CaptureState::Live;
    });
    sink.show(&frame, &report).expect("recorded");
    assert!(!is_zero(crossings));
    assert_eq!(series(), first);
}

#[test]
fn promtool_has_nothing_to_say_about_the_metrics() {
    if test_support::tool_is_missing("promtool") {
        return;
    }
    let (mut sink, health, address) = serve(1);
    health.inference_durations.add(Duration::from_millis(5));
    let frame = frame(1);
    let report = with_zones(report(&frame, Some(0)));
    sink.show(&frame, &report).expect("recorded");
    let mut promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("promtool starts");
    let metrics = get(address, "/metrics").body;
    let mut stdin = promtool.stdin.take().expect("piped");
    stdin.write_all(&metrics).expect("read");
    drop(stdin);
    let output = promtool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success() && said.is_empty(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn zones_and_lines_are_in_the_state_the_metrics_and_the_live_picture() {
    let (mut sink, _, address) = serve(1);
    let frame = frame(1);
    let plain = report(&frame, Some(0));
    assert!(!get(address, "/metrics").text().contains("zone="));
    sink.show(&frame, &with_zones(plain.clone()))
        .expect("recorded");
    let state = get(address, "/state").json();
    let expected = json!({ "table": { "count": 1, "classes": { "apple": 1 } } });
    assert_eq!(state["zones"], expected);
    let down = &state["lines"]["door"]["down"];
    assert_eq!(*down, json!({ "count": 1, "classes": { "apple": 1 } }));
    assert_eq!(state["lines"]["door"]["up"]["count"], 0);
    let samples = samples(&get(address, "/metrics").text());
    let crossings = "boxcam_line_crossings_total{line=\"door\",direction=\"down\",class=\"apple\"}";
    for name in [
        "boxcam_zone_things{zone=\"table\",class=\"apple\"}",
        crossings,
    ] {
        assert!(samples.contains(&(name.to_owned(), 1.0)), "{samples:?}");
    }
    let events = get(address, "/events").json();
    let places: Vec<(&Value, &Value)> = events
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| (&event["event"], &event["zone"]))
        .collect();
    let entered = (&json!("entered"), &json!("table"));
    assert_eq!(places, [entered, (&json!("crossed"), &Value::Null)]);
    // Drawn over the live picture, although they are not to be drawn on a screen.
    assert!(!with_zones(plain).zones.map().is_drawn());
    let zoned = |frame: &Frame| with_zones(report(frame, Some(0)));
    let (_sink, picture) = while_showing(sink, zoned, || get(address, "/picture.jpg").body);
    let picture = image::load_from_memory(&picture)
        .expect("a picture")
        .to_rgb8();
    let is_violet = |x: u32, y: u32| {
        let [red, green, blue] = picture.get_pixel(x, y).0.map(i32::from);
        red > green + 25 && blue > green + 25
    };
    // The upper edge of the zone, where no box is.
    assert!((70..150).any(|x| (286..291).any(|y| is_violet(x, y))));
}

/// Each sample with its value. Each belongs to the metric of the header before it.
fn samples(text: &str) -> Vec<(String, f64)> {
    let mut samples = Vec::new();
    let (mut helped, mut typed) = (String::new(), String::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        let fields: Vec<&str> = line.splitn(4, ' ').collect();
        match fields.as_slice() {
            ["#", "HELP", name, help] if !help.is_empty() => helped = (*name).to_owned(),
            ["#", "TYPE", name, "counter"] => {
                assert!(name.ends_with("_total"), "{line}");
                typed = (*name).to_owned();
            }
            ["#", "TYPE", name, "gauge" | "histogram"] => typed = (*name).to_owned(),
            _ => {
                let (sample, value) = line.rsplit_once(' ').expect("a value");
                let name = sample.split('{').next().expect("a name");
                let mut parts = ["_bucket", "_sum", "_count"].iter();
                let part = parts.find_map(|part| name.strip_suffix(part));
                let name = part.filter(|name| *name == typed).unwrap_or(name);
                assert_eq!((name, name), (helped.as_str(), typed.as_str()), "{line}");
                samples.push((sample.to_owned(), value.parse().expect("a number")));
            }
        }
    }
    samples
}

#[test]
fn the_last_hundred_events_are_served() {
    let (mut sink, _, address) = serve(1);
    assert_eq!(get(address, "/events").text(), "[]");
    for number in 1..=120 {
        let frame = frame(number);
        let report = with_event(report(&frame, Some(1)), EventKind::Appeared, number);
        sink.show(&frame, &report).expect("recorded");
    }
    let change = StateChange {
        state: CaptureState::Reopening,
        time: SystemTime::UNIX_EPOCH,
        reason: "unplugged".to_owned(),
    };
    sink.on_state_change(&change).expect("recorded");
    let response = get(address, "/events");
    assert_eq!(response.header("content-type"), "application/json");
    let events = response.json();
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
fn the_live_picture_changes_and_viewers_are_limited() {
    let (sink, _, address) = serve(2);
    let work = || {
        let mut first = LiveViewer::open(address);
        let mut second = LiveViewer::open(address);
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
        wait_until("a permit is free again", || is_served_live(address));
        let single = get(address, "/picture.jpg");
        assert_eq!(
            (single.status, single.header("content-type")),
            (200, "image/jpeg")
        );
        let decoded = image::load_from_memory(&single.body).expect("a JPEG");
        assert_eq!((decoded.width(), decoded.height()), (640, 480));
    };
    let (sink, ()) = while_showing_frames(sink, work);
    // Without new frames, it fails instead of serving an old picture.
    let none = get(address, "/picture.jpg");
    assert_eq!(none.status, 503);
    assert!(none.text().contains("/healthz"));
    drop(sink);
}

/// The server notices the disconnection also without a picture to send.
#[test]
fn a_viewer_that_disconnects_without_frames_returns_its_permit() {
    let (_sink, _, address) = serve(1);
    let mut waiting = TcpStream::connect(address).expect("connected");
    waiting
        .write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("sent");
    wait_until("the permit is taken", || !is_served_live(address));
    drop(waiting);
    wait_until("the permit is free", || is_served_live(address));
}

fn is_served_live(address: SocketAddr) -> bool {
    let response = send(address, "HEAD /live HTTP/1.1\r\nHost: localhost\r\n");
    response.status == 200
}

#[test]
fn a_viewer_that_does_not_read_does_not_block_others() {
    let (sink, _, address) = serve(2);
    let (_sink, ()) = while_showing_frames(sink, || {
        let mut blocked = TcpStream::connect(address).expect("connected");
        blocked
            .write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("sent");
        let mut other = LiveViewer::open(address);
        // More than the system's buffers hold for the one that does not read.
        for _ in 0..40 {
            other.picture();
        }
        assert_eq!(get(address, "/state").status, 200);
    });
}

#[test]
fn connections_are_limited_and_time_out() {
    let (_sink, _, address) = serve(1);
    let idle: Vec<TcpStream> = (0..40)
        .map(|_| TcpStream::connect(address).expect("connected"))
        .collect();
    let is_refused = |stream: &TcpStream| {
        stream.set_nonblocking(true).expect("set");
        let mut start = [0; 12];
        let is_refused = matches!(stream.peek(&mut start), Ok(12)) && &start == b"HTTP/1.1 503";
        stream.set_nonblocking(false).expect("set");
        is_refused
    };
    wait_until("eight are refused", || {
        idle.iter().filter(|stream| is_refused(stream)).count() == 8
    });
    // The rest send half a request and are closed after the timeout.
    for mut stream in idle {
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nX-Slow: ");
        stream.set_read_timeout(Some(TIMEOUT)).expect("set");
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
    assert_eq!(get(address, "/state").status, 200);
}

#[test]
fn dropping_the_sink_frees_the_address() {
    let (sink, health, address) = serve(1);
    let mut viewer = TcpStream::connect(address).expect("connected");
    viewer
        .write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("sent");
    drop(sink);
    // Not at once: a child process that another test starts shares the sockets until it calls `exec`.
    wait_until("the connection is refused", || {
        TcpStream::connect(address).is_err()
    });
    let settings = WebSettings {
        address,
        ..settings(1)
    };
    let again = WebSink::serve(settings, health).expect("free again");
    assert_eq!(get(again.address(), "/state").status, 200);
}

#[test]
fn the_error_names_an_address_in_use() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address").to_string();
    let folder = TestDir::new();
    folder.write_solid_image("red.png", "red");
    let arguments = ["run", "--source", "red.png", "--display", "none", "--web"];
    let output = folder.run_tiny(&[&arguments[..], &[&address]].concat());
    output.assert_exit_code(5);
    output.assert_stderr_contains(&[&address, "--web"]);
}

#[cfg(all(unix, feature = "demo"))]
#[test]
fn the_options_name_hosts_and_embedding_pages() {
    let folder = TestDir::new();
    let options = "source = \"demo\"\ndisplay = \"none\"\nmodel = \"tiny.onnx\"\nweb = 0\n\
                   web-hosts = \"cam.lan, other.lan\"\nweb-frame-ancestors = \"none\"\n";
    folder.write("boxcam.toml", options);
    let ancestors = "http://homeassistant.local:8123";
    let arguments = [
        "run",
        "--config",
        "boxcam.toml",
        "--web-frame-ancestors",
        ancestors,
    ];
    let mut program = Running::with_stderr(&mut folder.command(&arguments));
    let line = program.wait_for("address", |line| line.contains("web page at http://"));
    let address = line.rsplit("http://").next().expect("an address");
    let address: SocketAddr = address.trim_end_matches('/').parse().expect("an address");
    assert_eq!(status_for_host(address, "other.lan"), 200);
    assert_eq!(status_for_host(address, "evil.example"), 403);
    let response = get(address, "/");
    let policy = response.header("content-security-policy");
    assert!(
        policy.ends_with(&format!("frame-ancestors {ancestors}")),
        "{policy}"
    );
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0), "{:?}", program.lines);
}

#[cfg(all(unix, feature = "demo"))]
#[test]
fn the_program_serves_its_detections() {
    let folder = TestDir::new();
    let arguments = [
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
    let mut program = Running::with_stderr(&mut folder.command(&arguments));
    let line = program.wait_for("address", |line| line.contains("web page at http://"));
    let address = line
        .rsplit("http://")
        .next()
        .expect("an address")
        .trim_end_matches('/');
    let address: SocketAddr = address.parse().expect("an address");
    assert!(address.ip().is_loopback(), "{address}");
    let mut viewer = LiveViewer::open(address);
    let (first, second) = (viewer.picture(), viewer.picture());
    assert_eq!(first.dimensions(), (640, 480));
    assert_ne!(first, second);
    let state = || get(address, "/state").json();
    assert_eq!(state()["name"], "bench");
    // A single frame does not start a track.
    wait_until("a detection", || state()["seen"]["class"].is_string());
    wait_until("healthy", || get(address, "/healthz").status == 200);
    let samples = samples(&get(address, "/metrics").text());
    let is_positive_count =
        |(name, value): &(String, f64)| name == "boxcam_frames_inferred_total" && *value > 0.0;
    assert!(samples.iter().any(is_positive_count), "{samples:?}");
    // The tiny model has a detection in every frame.
    wait_until("an event", || {
        let events = get(address, "/events").json();
        let events = events.as_array().expect("a list");
        events
            .iter()
            .any(|event| event["event"] == "appeared" && event["detection"]["class"].is_string())
    });
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0), "{:?}", program.lines);
}
