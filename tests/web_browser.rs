//! The web page in a real Chromium: the picture moves, the events come, and a camera that is gone is seen to be.
#![cfg(all(unix, feature = "web"))]

mod browser;
mod common;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use boxcam::health::{CaptureState, Health, StateChange};
use boxcam::sink::Sink;
use boxcam::sink::web::{WebSettings, WebSink};
use boxcam::track::EventKind;
use browser::Browser;
use common::reports::{frame, report, wait_until, with_event};
use test_support::tool_is_missing;

/// A hash of the pixels of the live picture.
const PIXELS: &str = "(() => { const live = document.getElementById('live'); \
    const canvas = document.createElement('canvas'); canvas.width = live.naturalWidth; \
    canvas.height = live.naturalHeight; const context = canvas.getContext('2d'); \
    context.drawImage(live, 0, 0); \
    return context.getImageData(0, 0, canvas.width, canvas.height).data.reduce((h, b) => (h * 31 + b) | 0, 7); })()";

/// Shows frames as a run would until it is told to stop, then what a run whose camera is gone would.
fn play(mut sink: WebSink, health: &Health, is_gone: &AtomicBool) -> WebSink {
    for number in 0.. {
        if is_gone.load(Ordering::Relaxed) {
            break;
        }
        let frame = frame(number);
        let plain = report(&frame, Some(0));
        let report = match number {
            10 => with_event(plain, EventKind::Appeared, 7),
            20 => with_event(report(&frame, Some(1)), EventKind::Left, 6),
            _ => plain,
        };
        health.update(|now| {
            now.state = CaptureState::Live;
            now.last_inference = Some(Instant::now());
            now.inference = report.inference;
            now.frame_age = report.frame_age;
            now.frames_per_second = Some(30.0);
            now.model = "0badcafe".to_owned();
        });
        sink.show(&frame, &report).expect("noted");
        std::thread::sleep(Duration::from_millis(30));
    }
    let reason = "no frame for 2 s; check the cable".to_owned();
    health.update(|now| {
        now.state = CaptureState::Stalled;
        now.reason.clone_from(&reason);
    });
    let change = StateChange {
        state: CaptureState::Stalled,
        time: SystemTime::now(),
        reason,
    };
    sink.on_state_change(&change).expect("noted");
    sink
}

/// Ends the play when it is dropped, so that a failure does not wait for it for ever.
struct Curtain<'a>(&'a AtomicBool);

impl Drop for Curtain<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Where pictures of the page are left for a person to look at, if anywhere.
fn keep(browser: &mut Browser, name: &str) {
    let folder = std::env::var_os("CARGO_TARGET_TMPDIR").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    browser.save(&folder.join(name));
}

#[test]
fn a_browser_sees_the_picture_move_and_the_camera_go() {
    if tool_is_missing("chromium") {
        return;
    }
    let health = Arc::new(Health::default());
    let settings = WebSettings {
        address: "127.0.0.1:0".parse().expect("an address"),
        max_clients: NonZeroUsize::MIN,
        name: "Kitchen <b>door</b>".to_owned(),
        unhealthy_after: Duration::from_secs(10),
    };
    let sink = WebSink::serve(settings, Arc::clone(&health)).expect("served");
    let page = format!("http://{}/", sink.address());
    let mut browser = Browser::open(&page, "1200,800");
    wait_until("the page says what it waits for", || {
        browser.text("state") == "starting" && browser.text("waiting").contains("first picture")
    });
    keep(&mut browser, "web-starting.png");
    let is_gone = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let player = scope.spawn(|| play(sink, &health, &is_gone));
        let curtain = Curtain(&is_gone);
        see_it_move(&mut browser);
        keep(&mut browser, "web-live.png");
        // The one place is taken by the first page.
        let mut phone = Browser::open(&page, "390,844");
        wait_until("the second page says why it has no picture", || {
            phone.text("waiting").contains("are taken")
        });
        keep(&mut phone, "web-phone.png");
        drop(phone);
        drop(curtain);
        let _sink = player.join().expect("played");
        see_it_gone(&mut browser);
        keep(&mut browser, "web-stalled.png");
    });
    wait_until("the page says that nobody answers", || {
        browser.text("state") == "no answer"
    });
}

fn see_it_move(browser: &mut Browser) {
    wait_until("a picture", || {
        browser.ask("document.getElementById('live').naturalWidth") == 640
    });
    let first = browser.ask(PIXELS);
    wait_until("it moves", || browser.ask(PIXELS) != first);
    wait_until("the page is whole", || {
        browser.text("state") == "live"
            && browser.text("class") == "apple"
            && browser.text("events").contains("hot dog left")
    });
    // Names are text, whatever stands in them.
    assert_eq!(browser.text("name"), "Kitchen <b>door</b>");
    assert_eq!(browser.ask("document.querySelectorAll('h1 b').length"), 0);
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
    assert_eq!(browser.text("more"), "88% sure, for 3 s");
    let is_shown = browser.ask("document.getElementById('waiting').hidden");
    assert_eq!(is_shown, true);
}

fn see_it_gone(browser: &mut Browser) {
    wait_until("the page says that the camera is gone", || {
        browser.text("state") == "stalled"
            && browser.text("trouble").contains("check the cable")
            && browser.text("events").contains("camera stalled")
    });
    let age = browser.text("waiting");
    assert!(age.starts_with("No frame for"), "{age}");
    assert_eq!(
        (browser.text("when"), browser.text("fps")),
        ("Seen last".to_owned(), "–".to_owned())
    );
}
