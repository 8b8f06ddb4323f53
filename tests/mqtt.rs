//! MQTT with a real broker: mosquitto, started for each test on a port of its own.
#![cfg(all(unix, feature = "mqtt"))]

mod broker;
mod common;

use std::net::TcpListener;
use std::sync::Arc;

use boxcam::address::BrokerAddress;
use boxcam::health::{CaptureState, Health, StateChange};
use boxcam::sink::Sink;
use boxcam::sink::mqtt::{EVENTS_KEPT, MqttSink};
use boxcam::track::EventKind;
use broker::{Broker, Ear, Message};
use common::TestDir;
use common::reports::{frame, report, wait_until, with_event};
use common::running::Running;
use serde_json::Value;

/// Watches the demo with the tiny model until it is told to end.
fn watch(place: &TestDir, url: &str) -> Running {
    let words = [
        "run",
        "--source",
        "demo",
        "--display",
        "none",
        "--model",
        "tiny.onnx",
        "--threshold",
        "0",
        "--name",
        "Test Kitchen",
        "--mqtt",
        url,
    ];
    Running::with_stderr(&mut place.command(&words))
}

fn start(url: &str, health: &Arc<Health>) -> MqttSink {
    let address: BrokerAddress = url.parse().expect("an address");
    MqttSink::start(&address, "cam", Arc::clone(health)).expect("started")
}

/// Tells of things that appear with these numbers.
fn tell(sink: &mut MqttSink, tracks: impl Iterator<Item = u64>) {
    for track in tracks {
        let frame = frame(track);
        let report = with_event(report(&frame, Some(1)), EventKind::Appeared, track);
        sink.show(&frame, &report).expect("told");
    }
}

fn track(message: &Message) -> u64 {
    message.json()["track"].as_u64().expect("a track")
}

#[cfg(feature = "demo")]
#[test]
fn the_program_introduces_itself_and_says_goodbye() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let mut faithful = broker.listen_faithfully("boxcam/Test_Kitchen/event");
    let place = TestDir::new();
    let mut program = watch(&place, &broker.url(""));
    program.wait_for("word", |line| line.contains("connected"));
    let mut ear = broker.listen("homeassistant/#");
    let components = [
        "sensor/boxcam_Test_Kitchen/seen",
        "binary_sensor/boxcam_Test_Kitchen/occupancy",
        "binary_sensor/boxcam_Test_Kitchen/trouble",
    ];
    for component in components {
        let topic = format!("homeassistant/{component}/config");
        let message = ear.wait_for(&topic);
        assert!(message.is_retained, "{topic}");
        let thing = message.json();
        assert_eq!(thing["state_topic"], "boxcam/Test_Kitchen/state");
        assert_eq!(thing["availability_topic"], "boxcam/Test_Kitchen/status");
        assert_eq!(thing["device"]["name"], "Test Kitchen");
        assert!(
            thing["value_template"]
                .as_str()
                .is_some_and(|text| text.contains("value_json"))
        );
    }
    let mut ear = broker.listen("boxcam/#");
    let status = ear.wait_for("boxcam/Test_Kitchen/status");
    assert_eq!((status.text.as_str(), status.is_retained), ("online", true));
    let state = ear.wait_for("boxcam/Test_Kitchen/state").json();
    assert!(
        state["class"].is_string() && state["capture"].is_string(),
        "{state}"
    );
    let appeared = faithful.wait_for("boxcam/Test_Kitchen/event").json();
    assert_eq!(appeared["event"], "appeared", "{appeared}");
    program.signal("-TERM");
    assert_eq!(ear.wait_for("boxcam/Test_Kitchen/status").text, "offline");
    assert_eq!(program.wait().code(), Some(0), "{:?}", program.lines);
}

#[cfg(feature = "demo")]
#[test]
fn the_broker_tells_of_a_sudden_death() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let place = TestDir::new();
    let mut program = watch(&place, &broker.url(""));
    let mut ear = broker.listen("boxcam/Test_Kitchen/status");
    while ear.wait_for("boxcam/Test_Kitchen/status").text != "online" {}
    program.signal("-KILL");
    assert_eq!(ear.wait_for("boxcam/Test_Kitchen/status").text, "offline");
    assert_eq!(program.wait().code(), None);
    let kept = broker
        .listen("boxcam/Test_Kitchen/status")
        .wait_for("boxcam/Test_Kitchen/status");
    assert_eq!((kept.text.as_str(), kept.is_retained), ("offline", true));
}

#[test]
fn events_and_states_are_told() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let mut ear = broker.listen_faithfully("boxcam/#");
    let health = Arc::new(Health::default());
    let mut sink = start(&broker.url(""), &health);
    tell(&mut sink, 1..=100);
    for expected in 1..=100 {
        let message = ear.wait_for("boxcam/cam/event");
        let event = message.json();
        assert!(!message.is_retained);
        assert_eq!(
            (&event["event"], track(&message)),
            (&"appeared".into(), expected)
        );
        assert_eq!(
            (&event["detection"]["class"], &event["schema"]),
            (&"hot dog".into(), &1.into())
        );
    }
    let there = |state: &Value| {
        state["class"] == "hot dog" && state["track"] == 7 && state["present"] == true
    };
    let kept = broker
        .listen("boxcam/cam/state")
        .wait_for("boxcam/cam/state");
    assert!(kept.is_retained && there(&kept.json()), "{kept:?}");
    let change = StateChange {
        state: CaptureState::Stalled,
        time: std::time::SystemTime::now(),
        reason: "no frame".to_owned(),
    };
    sink.on_state_change(&change).expect("told");
    let nothing = loop {
        let state = ear.wait_for("boxcam/cam/state").json();
        if !there(&state) {
            break state;
        }
    };
    assert_eq!(
        (&nothing["class"], &nothing["capture"]),
        (&"nothing".into(), &"stalled".into())
    );
    drop(sink);
    assert_eq!(health.events_lost.get(), 0);
}

/// Waits for the event of a track. Those before it may come again: where a connection breaks, nobody knows
/// whether the last ones had arrived. None may be missing.
fn await_track(ear: &mut Ear, expected: u64) {
    loop {
        let track = track(&ear.wait_for("boxcam/cam/event"));
        if track == expected {
            return;
        }
        assert!(track < expected, "{expected} is missing");
    }
}

#[test]
fn events_of_a_time_without_a_broker_come_later() {
    let Some(mut broker) = Broker::start() else {
        return;
    };
    let mut ear = broker.listen_faithfully("boxcam/#");
    let health = Arc::new(Health::default());
    let mut sink = start(&broker.url(""), &health);
    tell(&mut sink, 1..=3);
    for expected in 1..=3 {
        assert_eq!(track(&ear.wait_for("boxcam/cam/event")), expected);
    }
    broker.stop();
    tell(&mut sink, 4..=60);
    broker.start_again();
    tell(&mut sink, 61..=70);
    for expected in 4..=70 {
        await_track(&mut ear, expected);
    }
    // Also what happens in the last moment arrives.
    tell(&mut sink, 71..=90);
    drop(sink);
    for expected in 71..=90 {
        await_track(&mut ear, expected);
    }
    assert_eq!(health.events_lost.get(), 0);
}

#[test]
fn too_many_events_lose_the_oldest_and_are_counted() {
    let health = Arc::new(Health::default());
    let mut sink = start(&format!("mqtt://127.0.0.1:{}", free_port()), &health);
    tell(&mut sink, 1..=EVENTS_KEPT as u64 + 25);
    assert_eq!(health.events_lost.get(), 25);
    drop(sink);
    assert_eq!(health.events_lost.get(), EVENTS_KEPT as u64 + 25);
}

#[test]
fn home_assistant_hears_it_all_again_when_it_starts() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let sink = start(&broker.url(""), &Arc::default());
    let topic = "homeassistant/sensor/boxcam_cam/seen/config";
    let mut ear = broker.listen(topic);
    ear.wait_for(topic);
    // It is heard once the subscription stands, which nobody outside sees: said until it is.
    let heard = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !heard.load(std::sync::atomic::Ordering::Relaxed) {
                broker.say("homeassistant/status", "online");
                std::thread::sleep(std::time::Duration::from_millis(200));
            }
        });
        let again = ear.wait_for(topic);
        heard.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(!again.is_retained);
    });
    drop(sink);
}

#[cfg(feature = "demo")]
#[test]
fn a_wrong_password_is_told_once_and_never_shown() {
    let Some(broker) = Broker::start_with_login("anna", "secret-1") else {
        return;
    };
    let place = TestDir::new();
    let mut program = watch(&place, &broker.url("anna:wrong-9@"));
    program.wait_for("refusal", |line| line.contains("refuses the login"));
    // Two more attempts, after one and two seconds.
    std::thread::sleep(std::time::Duration::from_secs(4));
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0));
    let said = program.lines.join("\n");
    assert_eq!(said.matches("refuses the login").count(), 1, "{said}");
    assert!(!said.contains("wrong-9"), "{said}");
    let mut program = watch(&place, &broker.url("anna:secret-1@"));
    program.wait_for("word", |line| line.contains("connected"));
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0));
    assert!(!program.lines.join("\n").contains("secret-1"));
}

#[cfg(feature = "demo")]
#[test]
fn without_a_broker_a_run_goes_on_and_ends_well() {
    let place = TestDir::new();
    let url = format!("mqtt://127.0.0.1:{}", free_port());
    let mut program = watch(&place, &url);
    let told = program.wait_for("failure", |line| line.contains("can't be reached"));
    assert!(
        told.contains(&url) && told.contains("Events wait"),
        "{told}"
    );
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0), "{:?}", program.lines);
}

/// One end after the other, and none waits for the others.
#[test]
fn many_ends_in_a_row_leave_no_thread() {
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let url = format!("mqtt://127.0.0.1:{}", free_port());
    drop(start(&url, &Arc::default()));
    let before = threads();
    for _ in 0..20 {
        drop(start(&url, &Arc::default()));
    }
    // Other tests of this program have threads too, but not as many.
    wait_until("they are gone", || threads() < before + 15);
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    listener.local_addr().expect("an address").port()
}
