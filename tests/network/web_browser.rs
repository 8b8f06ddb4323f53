//! The web page in Chromium: the live picture, the events, and a camera failure.
#![cfg(all(unix, feature = "web"))]

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::browser::Browser;
use crate::common::reports::{frame, report, wait_until, with_event, with_zones};
use crate::reverse_proxy::{PREFIX, ReverseProxy, page_with_frame};
use boxcam::address::{FrameAncestors, WebLogin, WebPassword};
use boxcam::health::{CaptureState, Health, StateChange};
use boxcam::report::Report;
use boxcam::sink::Sink;
use boxcam::sink::web::{WebSettings, WebSink};
use boxcam::track::EventKind;
use test_support::tool_is_missing;

/// A hash of the pixels of the live picture; `null` while there is none, for example when the page opens it again.
const PIXELS: &str = "(() => { const live = document.getElementById('live'); if (!live.naturalWidth) return null; \
    const canvas = document.createElement('canvas'); canvas.width = live.naturalWidth; \
    canvas.height = live.naturalHeight; const context = canvas.getContext('2d'); \
    context.drawImage(live, 0, 0); \
    return context.getImageData(0, 0, canvas.width, canvas.height).data.reduce((h, b) => (h * 31 + b) | 0, 7); })()";

/// Shows frames until `is_disconnected`, then stalls.
fn run_camera(mut sink: WebSink, health: &Health, is_disconnected: &AtomicBool) -> WebSink {
    for number in 0.. {
        if is_disconnected.load(Ordering::Relaxed) {
            break;
        }
        let frame = frame(number);
        let plain = report(&frame, Some(0));
        let zoned = with_zones(report(&frame, Some(0)));
        let report = match number {
            10 => with_event(plain, EventKind::Appeared, 7),
            20 => with_event(report(&frame, Some(1)), EventKind::Left, 6),
            30 => zoned,
            31.. => Report {
                events: Vec::new(),
                ..zoned
            },
            _ => plain,
        };
        health.update(|status| {
            status.state = CaptureState::Live;
            status.last_inference = Some(Instant::now());
            status.inference = report.inference;
            status.frame_age = report.frame_age;
            status.frames_per_second = Some(30.0);
            status.model = "0badcafe".to_owned();
        });
        sink.show(&frame, &report).expect("recorded");
        std::thread::sleep(Duration::from_millis(30));
    }
    let reason = "no frame for 2 s; check the cable".to_owned();
    health.update(|status| {
        status.state = CaptureState::Stalled;
        status.reason.clone_from(&reason);
    });
    let change = StateChange {
        state: CaptureState::Stalled,
        time: SystemTime::now(),
        reason,
    };
    sink.on_state_change(&change).expect("recorded");
    sink
}

/// Disconnects the camera when it is dropped, so that a failed test does not hang.
struct DisconnectOnDrop<'a>(&'a AtomicBool);

impl Drop for DisconnectOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Saves a screenshot for a person to look at.
fn save_screenshot(browser: &mut Browser, name: &str) {
    let folder = std::env::var_os("CARGO_TARGET_TMPDIR").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    browser.save(&folder.join(name));
}

fn settings() -> WebSettings {
    WebSettings {
        address: "127.0.0.1:0".parse().expect("an address"),
        max_clients: NonZeroUsize::MIN,
        name: "Kitchen <b>door</b>".to_owned(),
        unhealthy_after: Duration::from_secs(10),
        hosts: None,
        frame_ancestors: FrameAncestors::default(),
        login: WebLogin::Open,
    }
}

/// Opens a page below a path of a reverse proxy, with a camera behind it. All requests are below that path.
fn with_proxied_page(page: &str, check: impl FnOnce(&mut Browser)) {
    let health = Arc::new(Health::default());
    let sink = WebSink::serve(settings(), Arc::clone(&health)).expect("served");
    let proxy = ReverseProxy::start(sink.address(), "127.0.0.1");
    let is_disconnected = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| run_camera(sink, &health, &is_disconnected));
        let _disconnect = DisconnectOnDrop(&is_disconnected);
        let url = format!("{}{page}", proxy.url());
        check(&mut Browser::open(&url, "1200,800"));
    });
    for path in proxy.requests() {
        // The browser asks for no icon of the site, since the page has one.
        assert!(path.starts_with(PREFIX), "{path}");
    }
}

#[test]
fn the_page_works_below_a_path_of_a_reverse_proxy() {
    if tool_is_missing("chromium") {
        return;
    }
    with_proxied_page("", |browser| {
        wait_until("the page is open", || !browser.text("name").is_empty());
        check_live(browser);
        let is_styled = "getComputedStyle(document.querySelector('header')).display";
        assert_eq!(browser.evaluate(is_styled), "flex");
    });
}

/// Opens a page of another origin with boxcam's page in a frame. Returns the requests of the frame when it has loaded
/// and `is_complete`.
fn requests_of_frame(
    ancestors: impl FnOnce(&str) -> String,
    is_complete: impl Fn(&[String]) -> bool,
) -> Vec<String> {
    // The proxy has an address before the sink, whose settings name the embedding page.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let backend = listener.local_addr().expect("an address");
    drop(listener);
    let proxy = ReverseProxy::start(backend, "127.0.0.1");
    let (page, address) = page_with_frame(&proxy.url());
    let settings = WebSettings {
        address: backend,
        frame_ancestors: ancestors(&format!("http://{address}"))
            .parse()
            .expect("valid"),
        ..settings()
    };
    let health = Arc::new(Health::default());
    let sink = WebSink::serve(settings, Arc::clone(&health)).expect("served");
    let is_disconnected = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| run_camera(sink, &health, &is_disconnected));
        let _disconnect = DisconnectOnDrop(&is_disconnected);
        let mut browser = Browser::open(&page, "1200,800");
        wait_until("the frame has loaded", || {
            browser.evaluate("window.isLoaded") == true && is_complete(&proxy.requests())
        });
        save_screenshot(&mut browser, "web-frame.png");
        proxy.requests()
    })
}

#[test]
fn an_allowed_page_of_another_origin_shows_the_page_in_a_frame() {
    if tool_is_missing("chromium") {
        return;
    }
    let live = format!("{PREFIX}live");
    let is_live = |requests: &[String]| requests.contains(&live);
    // The live picture is opened by the script of the page, after it got the state.
    let requests = requests_of_frame(str::to_owned, is_live);
    assert!(requests.contains(&format!("{PREFIX}state")), "{requests:?}");
}

#[test]
fn other_pages_do_not_show_the_page_in_a_frame() {
    if tool_is_missing("chromium") {
        return;
    }
    for ancestors in ["none", "self", "https://homeassistant.example"] {
        let is_requested = |requests: &[String]| !requests.is_empty();
        let requests = requests_of_frame(|_| ancestors.to_owned(), is_requested);
        // The browser asks for the page and, because of its headers, shows nothing and loads nothing else.
        assert_eq!(requests, [PREFIX], "{ancestors}");
    }
}

#[test]
fn the_page_shows_the_live_picture_and_a_camera_failure() {
    if tool_is_missing("chromium") {
        return;
    }
    let health = Arc::new(Health::default());
    let sink = WebSink::serve(settings(), Arc::clone(&health)).expect("served");
    let page = format!("http://{}/", sink.address());
    let mut browser = Browser::open(&page, "1200,800");
    wait_until("the page waits for the first frame", || {
        browser.text("state") == "starting" && browser.text("waiting").contains("first frame")
    });
    save_screenshot(&mut browser, "web-starting.png");
    let is_disconnected = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let camera = scope.spawn(|| run_camera(sink, &health, &is_disconnected));
        let disconnect = DisconnectOnDrop(&is_disconnected);
        check_live(&mut browser);
        save_screenshot(&mut browser, "web-live.png");
        // The first page holds the only permit.
        let mut phone = Browser::open(&page, "390,844");
        wait_until("the second page shows why it has no picture", || {
            phone.text("waiting").contains("limit reached")
        });
        save_screenshot(&mut phone, "web-phone.png");
        drop(phone);
        drop(disconnect);
        let _sink = camera.join().expect("no panic");
        check_stalled(&mut browser);
        save_screenshot(&mut browser, "web-stalled.png");
    });
    wait_until("the page shows that the server is gone", || {
        browser.text("state") == "no response"
    });
}

#[test]
fn the_page_shows_everything_behind_its_password() {
    if tool_is_missing("chromium") {
        return;
    }
    let password = WebPassword::from_file_content(b"s3cret").expect("a password");
    let settings = WebSettings {
        login: WebLogin::Password(password),
        ..settings()
    };
    let health = Arc::new(Health::default());
    let sink = WebSink::serve(settings, Arc::clone(&health)).expect("served");
    let page = format!("http://anyone:s3cret@{}/", sink.address());
    let is_disconnected = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| run_camera(sink, &health, &is_disconnected));
        let _disconnect = DisconnectOnDrop(&is_disconnected);
        let mut browser = Browser::open(&page, "1200,800");
        // The picture, and what the scripts ask for.
        check_live(&mut browser);
    });
}

fn check_live(browser: &mut Browser) {
    wait_until("a picture", || {
        browser.evaluate("document.getElementById('live')?.naturalWidth") == 640
    });
    let mut pictures = std::collections::HashSet::new();
    wait_until("the picture changes", || {
        pictures.extend(browser.evaluate(PIXELS).as_i64());
        pictures.len() > 1
    });
    wait_until("the page shows the detection and the events", || {
        browser.text("state") == "live"
            && browser.text("class") == "apple"
            && browser.text("events").contains("hot dog left")
    });
    wait_until("the page shows zones, lines and their events", || {
        let (places, events) = (browser.text("places"), browser.text("events"));
        places.contains("table")
            && places.contains("down 1, up 0")
            && events.contains("apple entered table")
            && events.contains("apple crossed door: down")
    });
    // The name is inserted as text, not as HTML.
    assert_eq!(browser.text("name"), "Kitchen <b>door</b>");
    assert_eq!(
        browser.evaluate("document.querySelectorAll('h1 b').length"),
        0
    );
    let events = browser.text("events");
    let (newest, oldest) = (
        events.find("hot dog left after 3 s"),
        events.find("apple appeared"),
    );
    assert!(newest.is_some() && newest < oldest, "{events}");
    assert_eq!(
        (browser.text("inference"), browser.text("fps")),
        ("12.0 ms".to_owned(), "30.0".to_owned())
    );
    let things = browser.text("things");
    let words: Vec<&str> = things.split_whitespace().collect();
    assert_eq!(words.join(" "), "apple 88% for 3 s");
    // It is hidden when the page asks for the state the next time.
    wait_until("the page does not wait any more", || {
        browser.evaluate("document.getElementById('waiting').hidden") == true
    });
}

fn check_stalled(browser: &mut Browser) {
    wait_until("the page shows the failure", || {
        browser.text("state") == "stalled"
            && browser.text("failure").contains("check the cable")
            && browser.text("events").contains("camera stalled")
    });
    let age = browser.text("waiting");
    assert!(age.starts_with("No frame for"), "{age}");
    assert_eq!(
        (browser.text("when"), browser.text("fps")),
        ("Last detections".to_owned(), "–".to_owned())
    );
}

/// The value of an input field.
fn value(browser: &mut Browser, id: &str) -> String {
    let value = browser.evaluate(&format!("document.getElementById('{id}').value"));
    value.as_str().expect("text").to_owned()
}

/// Clicks on an element.
fn press(browser: &mut Browser, id: &str) {
    browser.evaluate(&format!("document.getElementById('{id}').click()"));
}

/// The position in the page of a point of the live picture.
fn on_picture(browser: &mut Browser, (x, y): (f64, f64)) -> (f64, f64) {
    let area = "(() => { const area = document.getElementById('shape').getBoundingClientRect(); \
                return [area.left, area.top, area.width, area.height]; })()";
    let area = browser.evaluate(area);
    let side = |index: usize| area[index].as_f64().expect("a number");
    (side(0) + x * side(2), side(1) + y * side(3))
}

/// The zones and lines of `boxcam run` with this options file.
fn zones_of_file(text: &str) -> boxcam::zone::ZoneMap {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("boxcam.toml");
    std::fs::write(&file, text).expect("written");
    let file = file.to_str().expect("UTF-8");
    let command = boxcam::options::parse(["boxcam", "run", "--config", file], &[]);
    match command.unwrap_or_else(|error| panic!("{text}: {error}")) {
        boxcam::options::Command::Run(run) => run.zones.map().expect("valid"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_page_draws_zones_and_lines_over_the_live_picture() {
    if tool_is_missing("chromium") {
        return;
    }
    with_proxied_page("zones", |browser| {
        wait_until("a picture", || {
            browser.evaluate("document.getElementById('live')?.naturalWidth ?? 0") == 640
                && browser.evaluate("document.getElementById('waiting').hidden") == true
        });
        assert_eq!(value(browser, "toml"), "");
        check_drawn_zone(browser);
        check_drawn_line(browser);
    });
}

fn check_drawn_zone(browser: &mut Browser) {
    // The last two are so near to the lower edge that they are set on it.
    for point in [(0.25, 0.5), (0.75, 0.5), (0.75, 0.99), (0.25, 0.995)] {
        let (x, y) = on_picture(browser, point);
        browser.click(x, y);
    }
    browser.evaluate("document.getElementById('name').select()");
    browser.evaluate(
        "document.getElementById('name').value = 'table 1'; \
         document.getElementById('name').dispatchEvent(new Event('input'))",
    );
    assert_eq!(browser.text("hint"), "The zone is complete.");
    save_screenshot(browser, "web-zones.png");
    let text = value(browser, "toml");
    let map = zones_of_file(&text);
    let (_, zone) = map.zones().next().expect("a zone");
    assert_eq!(zone.name(), "table 1");
    let corners = [(0.25, 0.5), (0.75, 0.5), (0.75, 1.0), (0.25, 1.0)];
    assert_eq!(zone.polygon().points().len(), corners.len());
    for (point, (x, y)) in zone.polygon().points().iter().zip(corners) {
        assert!((point.x() - x).abs() < 0.005, "{text}");
        assert!(
            (point.y() - y).abs() < 0.005 && (y < 1.0 || point.y() == 1.0),
            "{text}"
        );
    }
    let option = value(browser, "option");
    let option = option
        .strip_prefix("--zone \"")
        .and_then(|o| o.strip_suffix('"'));
    let option: boxcam::zone::Zone = option.expect("an option").parse().expect("a zone");
    assert_eq!(option, *zone);
    // A corner that is dragged over a side.
    let (from, to) = (
        on_picture(browser, (0.25, 0.5)),
        on_picture(browser, (0.9, 0.7)),
    );
    browser.drag(&[from, ((from.0 + to.0) / 2.0, from.1), to]);
    assert!(
        browser.text("hint").contains("cross"),
        "{}",
        browser.text("hint")
    );
    assert_eq!(value(browser, "toml"), "");
    browser.drag(&[to, from]);
    assert_eq!(value(browser, "toml"), text);
}

fn check_drawn_line(browser: &mut Browser) {
    press(browser, "clear");
    press(browser, "line");
    for point in [(0.2, 0.4), (0.8, 0.4)] {
        let (x, y) = on_picture(browser, point);
        browser.click(x, y);
    }
    let text = value(browser, "toml");
    let map = zones_of_file(&text);
    let (_, line) = map.lines().next().expect("a line");
    assert!(
        line.ends()[0].x() < 0.3 && line.ends()[1].x() > 0.7,
        "{text}"
    );
    save_screenshot(browser, "web-lines.png");
    press(browser, "reverse");
    let map = zones_of_file(&value(browser, "toml"));
    let (_, reversed) = map.lines().next().expect("a line");
    assert_eq!(reversed.ends()[0], line.ends()[1]);
}
