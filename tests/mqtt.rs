//! MQTT with a real broker: mosquitto, started for each test on its own port.
#![cfg(all(unix, feature = "mqtt"))]

mod broker;
mod common;

use std::net::TcpListener;
use std::sync::Arc;

use boxcam::address::BrokerAddress;
use boxcam::health::{CaptureState, Health, StateChange};
use boxcam::sink::Sink;
use boxcam::sink::mqtt::{MAX_EVENTS, MqttSink};
use boxcam::track::EventKind;
use broker::{Broker, Message, Subscriber};
use common::TestDir;
use common::reports::{frame, report, wait_until, with_event};
use common::running::Running;
use serde_json::Value;

/// Runs the demo with the tiny model until it gets a signal.
fn run_demo(folder: &TestDir, url: &str) -> Running {
    let arguments = [
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
    Running::with_stderr(&mut folder.command(&arguments))
}

fn start(url: &str, health: &Arc<Health>) -> MqttSink {
    let address: BrokerAddress = url.parse().expect("an address");
    MqttSink::start(&address, "cam", Arc::clone(health)).expect("started")
}

/// Publishes an `appeared` event for each track.
fn publish(sink: &mut MqttSink, tracks: impl Iterator<Item = u64>) {
    for track in tracks {
        let frame = frame(track);
        let report = with_event(report(&frame, Some(1)), EventKind::Appeared, track);
        sink.show(&frame, &report).expect("published");
    }
}

fn track(message: &Message) -> u64 {
    message.json()["track"].as_u64().expect("a track")
}

#[cfg(feature = "demo")]
#[test]
fn the_program_publishes_discovery_and_its_end() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let mut events = broker.subscribe_persistently("boxcam/Test_Kitchen/event");
    let folder = TestDir::new();
    let mut program = run_demo(&folder, &broker.url(""));
    program.wait_for("connection", |line| line.contains("connected"));
    let mut subscriber = broker.subscribe("homeassistant/#");
    let components = [
        "sensor/boxcam_Test_Kitchen/seen",
        "binary_sensor/boxcam_Test_Kitchen/occupancy",
        "binary_sensor/boxcam_Test_Kitchen/trouble",
    ];
    for component in components {
        let topic = format!("homeassistant/{component}/config");
        let message = subscriber.wait_for(&topic);
        assert!(message.is_retained, "{topic}");
        let entity = message.json();
        assert_eq!(entity["state_topic"], "boxcam/Test_Kitchen/state");
        assert_eq!(entity["availability_topic"], "boxcam/Test_Kitchen/status");
        assert_eq!(entity["device"]["name"], "Test Kitchen");
        assert!(
            entity["value_template"]
                .as_str()
                .is_some_and(|text| text.contains("value_json"))
        );
    }
    let mut subscriber = broker.subscribe("boxcam/#");
    let status = subscriber.wait_for("boxcam/Test_Kitchen/status");
    assert_eq!(
        (status.payload.as_str(), status.is_retained),
        ("online", true)
    );
    let state = subscriber.wait_for("boxcam/Test_Kitchen/state").json();
    assert!(
        state["class"].is_string() && state["capture"].is_string(),
        "{state}"
    );
    let appeared = events.wait_for("boxcam/Test_Kitchen/event").json();
    assert_eq!(appeared["event"], "appeared", "{appeared}");
    program.signal("-TERM");
    assert_eq!(
        subscriber.wait_for("boxcam/Test_Kitchen/status").payload,
        "offline"
    );
    assert_eq!(program.wait().code(), Some(0), "{:?}", program.lines);
}

#[cfg(feature = "demo")]
#[test]
fn a_killed_program_is_offline_by_its_last_will() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let folder = TestDir::new();
    let mut program = run_demo(&folder, &broker.url(""));
    let mut subscriber = broker.subscribe("boxcam/Test_Kitchen/status");
    while subscriber.wait_for("boxcam/Test_Kitchen/status").payload != "online" {}
    program.signal("-KILL");
    assert_eq!(
        subscriber.wait_for("boxcam/Test_Kitchen/status").payload,
        "offline"
    );
    assert_eq!(program.wait().code(), None);
    let kept = broker
        .subscribe("boxcam/Test_Kitchen/status")
        .wait_for("boxcam/Test_Kitchen/status");
    assert_eq!((kept.payload.as_str(), kept.is_retained), ("offline", true));
}

#[test]
fn events_and_states_are_published() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let mut subscriber = broker.subscribe_persistently("boxcam/#");
    let health = Arc::new(Health::default());
    let mut sink = start(&broker.url(""), &health);
    publish(&mut sink, 1..=100);
    for expected in 1..=100 {
        let message = subscriber.wait_for("boxcam/cam/event");
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
    let has_hot_dog = |state: &Value| {
        state["class"] == "hot dog" && state["track"] == 7 && state["present"] == true
    };
    let kept = broker
        .subscribe("boxcam/cam/state")
        .wait_for("boxcam/cam/state");
    assert!(kept.is_retained && has_hot_dog(&kept.json()), "{kept:?}");
    let change = StateChange {
        state: CaptureState::Stalled,
        time: std::time::SystemTime::now(),
        reason: "no frame".to_owned(),
    };
    sink.on_state_change(&change).expect("published");
    let nothing = loop {
        let state = subscriber.wait_for("boxcam/cam/state").json();
        if !has_hot_dog(&state) {
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

/// Waits for the event of a track. Earlier events may be repeated after a disconnection, since it is unknown whether
/// they arrived. None may be missing.
fn wait_for_track(subscriber: &mut Subscriber, expected: u64) {
    loop {
        let track = track(&subscriber.wait_for("boxcam/cam/event"));
        if track == expected {
            return;
        }
        assert!(track < expected, "{expected} is missing");
    }
}

#[test]
fn events_are_queued_while_the_broker_is_down() {
    let Some(mut broker) = Broker::start() else {
        return;
    };
    let mut subscriber = broker.subscribe_persistently("boxcam/#");
    let health = Arc::new(Health::default());
    let mut sink = start(&broker.url(""), &health);
    publish(&mut sink, 1..=3);
    for expected in 1..=3 {
        assert_eq!(track(&subscriber.wait_for("boxcam/cam/event")), expected);
    }
    broker.stop();
    publish(&mut sink, 4..=60);
    broker.restart();
    publish(&mut sink, 61..=70);
    for expected in 4..=70 {
        wait_for_track(&mut subscriber, expected);
    }
    // Events right before the shutdown arrive too.
    publish(&mut sink, 71..=90);
    drop(sink);
    for expected in 71..=90 {
        wait_for_track(&mut subscriber, expected);
    }
    assert_eq!(health.events_lost.get(), 0);
}

#[test]
fn beyond_the_maximum_the_oldest_events_are_dropped_and_counted() {
    let health = Arc::new(Health::default());
    let mut sink = start(&format!("mqtt://127.0.0.1:{}", free_port()), &health);
    publish(&mut sink, 1..=MAX_EVENTS as u64 + 25);
    assert_eq!(health.events_lost.get(), 25);
    drop(sink);
    assert_eq!(health.events_lost.get(), MAX_EVENTS as u64 + 25);
}

#[test]
fn discovery_is_published_again_when_home_assistant_starts() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let sink = start(&broker.url(""), &Arc::default());
    let topic = "homeassistant/sensor/boxcam_cam/seen/config";
    let mut subscriber = broker.subscribe(topic);
    subscriber.wait_for(topic);
    // It is received once boxcam has subscribed, which cannot be observed here, so it is repeated until then.
    let is_received = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_received.load(std::sync::atomic::Ordering::Relaxed) {
                broker.publish("homeassistant/status", "online");
                std::thread::sleep(std::time::Duration::from_millis(200));
            }
        });
        let again = subscriber.wait_for(topic);
        is_received.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(!again.is_retained);
    });
    drop(sink);
}

#[cfg(feature = "demo")]
#[test]
fn a_wrong_password_is_reported_once_and_never_shown() {
    let Some(broker) = Broker::start_with_login("anna", "secret-1") else {
        return;
    };
    let folder = TestDir::new();
    let mut program = run_demo(&folder, &broker.url("anna:wrong-9@"));
    program.wait_for("refusal", |line| line.contains("refuses the login"));
    wait_until("two more attempts", || broker.connection_attempts() >= 3);
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0));
    let stderr = program.lines.join("\n");
    assert_eq!(stderr.matches("refuses the login").count(), 1, "{stderr}");
    assert!(!stderr.contains("wrong-9"), "{stderr}");
    let mut program = run_demo(&folder, &broker.url("anna:secret-1@"));
    program.wait_for("connection", |line| line.contains("connected"));
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0));
    assert!(!program.lines.join("\n").contains("secret-1"));
}

#[cfg(feature = "demo")]
#[test]
fn without_a_broker_the_run_goes_on() {
    let folder = TestDir::new();
    let url = format!("mqtt://127.0.0.1:{}", free_port());
    let mut program = run_demo(&folder, &url);
    let message = program.wait_for("failure", |line| line.contains("can't be reached"));
    assert!(
        message.contains(&url) && message.contains("Events are queued"),
        "{message}"
    );
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0), "{:?}", program.lines);
}

#[test]
fn dropped_sinks_leave_no_thread() {
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let url = format!("mqtt://127.0.0.1:{}", free_port());
    drop(start(&url, &Arc::default()));
    let before = threads();
    for _ in 0..20 {
        drop(start(&url, &Arc::default()));
    }
    // Other tests of this process have threads too, but fewer.
    wait_until("the threads have ended", || threads() < before + 15);
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    listener.local_addr().expect("an address").port()
}
