//! MQTT with a real broker: mosquitto, started for each test on its own port.
#![cfg(all(unix, feature = "mqtt"))]

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;

use crate::broker::{Broker, Message, Subscriber};
use crate::common::TestDir;
use crate::common::reports::{frame, report, wait_until, with_event, with_zones};
use crate::common::running::Running;
use boxcam::address::BrokerAddress;
use boxcam::health::{CaptureState, Health, StateChange};
use boxcam::label::Labels;
use boxcam::sink::Sink;
use boxcam::sink::mqtt::{BrokerTls, InstanceId, MAX_EVENTS, MqttSettings, MqttSink, check_login};
use boxcam::track::EventKind;
use serde_json::Value;

/// Runs the demo with the tiny model until it gets a signal.
fn run_demo(folder: &TestDir, url: &str) -> Running {
    run_demo_as("Test Kitchen", folder, url)
}

fn run_demo_as(name: &str, folder: &TestDir, url: &str) -> Running {
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
        name,
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
    let mut events = broker.subscribe_persistently("boxcam/Test_Kitchen-ec646a5b/event");
    let folder = TestDir::new();
    let mut program = run_demo(&folder, &broker.url(""));
    program.wait_for("connection", |line| line.contains("connected"));
    let mut subscriber = broker.subscribe("homeassistant/#");
    let message = subscriber.wait_for("homeassistant/device/boxcam_Test_Kitchen-ec646a5b/config");
    let device = message.json();
    assert_eq!(device["state_topic"], "boxcam/Test_Kitchen-ec646a5b/state");
    assert_eq!(
        device["availability_topic"],
        "boxcam/Test_Kitchen-ec646a5b/status"
    );
    assert_eq!(device["device"]["name"], "Test Kitchen");
    for entity in ["seen", "count", "occupancy", "trouble", "event"] {
        let template = device["components"][entity]["value_template"].as_str();
        assert!(
            template.is_some_and(|text| text.contains("value_json")),
            "{entity}"
        );
    }
    let mut subscriber = broker.subscribe("boxcam/#");
    let status = subscriber.wait_for("boxcam/Test_Kitchen-ec646a5b/status");
    assert_eq!(
        (status.payload.as_str(), status.is_retained),
        ("online", true)
    );
    let state = subscriber
        .wait_for("boxcam/Test_Kitchen-ec646a5b/state")
        .json();
    assert!(
        state["class"].is_string() && state["capture"].is_string(),
        "{state}"
    );
    let appeared = events.wait_for("boxcam/Test_Kitchen-ec646a5b/event").json();
    assert_eq!(appeared["event"], "appeared", "{appeared}");
    program.signal("-TERM");
    assert_eq!(
        subscriber
            .wait_for("boxcam/Test_Kitchen-ec646a5b/status")
            .payload,
        "offline"
    );
    assert_eq!(program.wait().code(), Some(0), "{:?}", program.lines);
}

/// A class has a sensor from the start if it is selected, else from its first detection on.
#[cfg(feature = "demo")]
#[test]
fn classes_have_sensors_in_home_assistant() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let folder = TestDir::new();
    folder.write("de.toml", "red = \"rot\"\nblue = \"blau\"\n");
    folder.write_solid_image("photographs/a.png", "red");
    let url = broker.url("");
    let source = ["run", "--source", "demo:photographs", "--display", "none"];
    let model = ["--model", "tiny.onnx", "--aliases", "de.toml"];
    let topic = |camera: &str| format!("homeassistant/device/boxcam_{camera}/config");
    let run = |camera: &str, more: &[&str]| {
        let sink = ["--name", camera, "--mqtt", &url];
        let arguments = [&source[..], &model, &sink, more].concat();
        Running::with_stderr(&mut folder.command(&arguments))
    };
    let mut program = run("cam", &["--classes", "rot,blue"]);
    let mut subscriber = broker.subscribe("homeassistant/#");
    let device = subscriber.wait_for(&topic("cam")).json();
    for (class, name) in [("blue", "Blau"), ("red", "Rot")] {
        let entity = &device["components"][format!("class_{class}")];
        assert_eq!(entity["name"], name);
        let template = entity["value_template"].as_str().expect("a text");
        assert!(
            template.contains(&format!("value_json.counts.get(\"{class}\", 0) > 0")),
            "{template}"
        );
    }
    let mut states = broker.subscribe("boxcam/cam/state");
    let state = loop {
        let state = states.wait_for("boxcam/cam/state").json();
        if state["present"] == true {
            break state;
        }
    };
    assert_eq!(
        (&state["class"], &state["label"]),
        (&"red".into(), &"rot".into())
    );
    assert_eq!(state["counts"]["red"], 1);
    program.signal("-TERM");
    program.wait();
    let mut program = run("other", &[]);
    let components = loop {
        let device = subscriber.wait_for(&topic("other")).json();
        let components = device["components"].clone();
        if components.get("class_red").is_some() {
            break components;
        }
    };
    assert_eq!(components["class_red"]["name"], "Rot");
    assert!(components.get("class_blue").is_none(), "{components}");
    program.signal("-TERM");
    program.wait();
}

#[cfg(feature = "demo")]
#[test]
fn a_killed_program_is_offline_by_its_last_will() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let folder = TestDir::new();
    let mut program = run_demo(&folder, &broker.url(""));
    let mut subscriber = broker.subscribe("boxcam/Test_Kitchen-ec646a5b/status");
    while subscriber
        .wait_for("boxcam/Test_Kitchen-ec646a5b/status")
        .payload
        != "online"
    {}
    program.signal("-KILL");
    assert_eq!(
        subscriber
            .wait_for("boxcam/Test_Kitchen-ec646a5b/status")
            .payload,
        "offline"
    );
    assert_eq!(program.wait().code(), None);
    let kept = broker
        .subscribe("boxcam/Test_Kitchen-ec646a5b/status")
        .wait_for("boxcam/Test_Kitchen-ec646a5b/status");
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

#[test]
fn zones_and_lines_are_in_the_state_and_the_events() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let mut subscriber = broker.subscribe_persistently("boxcam/#");
    let mut sink = start(&broker.url(""), &Arc::default());
    let frame = frame(1);
    let report = with_zones(report(&frame, Some(0)));
    sink.show(&frame, &report).expect("published");
    let [entered, crossed] = [(); 2].map(|()| subscriber.wait_for("boxcam/cam/event").json());
    assert_eq!(
        (&entered["event"], &entered["zone"]),
        (&"entered".into(), &"table".into())
    );
    assert_eq!(
        (&crossed["event"], &crossed["line"]),
        (&"crossed".into(), &"door".into())
    );
    assert_eq!(crossed["direction"], "down");
    let state = broker
        .subscribe("boxcam/cam/state")
        .wait_for("boxcam/cam/state")
        .json();
    assert_eq!(state["zones"]["table"]["classes"]["apple"], 1);
    assert_eq!(state["lines"]["door"]["down"]["count"], 1);
    let change = StateChange {
        state: CaptureState::Stalled,
        time: std::time::SystemTime::now(),
        reason: "no frame".to_owned(),
    };
    sink.on_state_change(&change).expect("published");
    let stalled = loop {
        let state = subscriber.wait_for("boxcam/cam/state").json();
        if state["capture"] == "stalled" {
            break state;
        }
    };
    assert_eq!(stalled["zones"]["table"]["count"], 0);
    assert_eq!(stalled["lines"]["door"]["down"]["count"], 1);
}

/// The entities of zones in a discovery message, and the platforms of those without other fields.
fn zone_entities(device: &Value) -> Vec<(String, bool)> {
    let components = device["components"].as_object().expect("an object");
    let of_zones = components
        .iter()
        .filter(|(name, _)| name.starts_with("zone_"));
    let is_removed = |component: &Value| component.as_object().is_some_and(|c| c.len() == 1);
    of_zones
        .map(|(name, component)| (name.clone(), is_removed(component)))
        .collect()
}

#[test]
fn zones_have_entities_in_home_assistant_until_they_are_gone() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let mut subscriber = broker.subscribe_persistently("homeassistant/#");
    let mut run = |zones: &[&str]| {
        let address: BrokerAddress = broker.url("").parse().expect("an address");
        let zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
        let sink = start_with(MqttSettings {
            zones,
            ..MqttSettings::new(address, "cam".to_owned())
        });
        let topic = "homeassistant/device/boxcam_cam/config";
        // A subscriber that connects late gets the retained copy of an earlier message too.
        let device = loop {
            let message = subscriber.wait_for(topic);
            if !message.is_retained {
                break message.json();
            }
        };
        drop(sink);
        device
    };
    let expected = |entities: &[(&str, bool)]| -> Vec<(String, bool)> {
        let all = entities.iter().flat_map(|(zone, removed)| {
            ["count", "occupancy"].map(|kind| (format!("zone_{zone}_{kind}"), *removed))
        });
        all.collect()
    };
    let device = run(&["table", "door"]);
    assert_eq!(
        zone_entities(&device),
        expected(&[("door", false), ("table", false)])
    );
    let count = &device["components"]["zone_table_count"];
    assert_eq!(count["unique_id"], "boxcam_cam_zone_table_count");
    assert_eq!(count["json_attributes_topic"], "boxcam/cam/state");
    // A zone that is gone is removed once, and its message with the last one.
    let device = run(&["table"]);
    assert_eq!(
        zone_entities(&device),
        expected(&[("door", true), ("table", false)])
    );
    assert_eq!(
        zone_entities(&run(&["table"])),
        expected(&[("table", false)])
    );
    let list = "boxcam/cam/zones".to_owned();
    assert!(broker.retained_topics().contains(&list));
    assert_eq!(zone_entities(&run(&[])), expected(&[("table", true)]));
    assert!(!broker.retained_topics().contains(&list));
    assert!(zone_entities(&run(&[])).is_empty());
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
    let topic = "homeassistant/device/boxcam_cam/config";
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
    program.wait_for("refusal", |line| {
        line.contains("refuses the login (code 5, not authorized")
    });
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
fn a_percent_encoded_login_is_decoded() {
    let Some(broker) = Broker::start_with_login("anna b", "p@ss/%41 w") else {
        return;
    };
    let health = Arc::new(Health::default());
    let mut subscriber = broker.subscribe_persistently("boxcam/cam/event");
    for login in ["anna%20b:p%40ss%2F%2541%20w@", "anna b:p@ss/%2541 w@"] {
        let mut sink = start(&broker.url(login), &health);
        publish(&mut sink, 1..=1);
        assert_eq!(track(&subscriber.wait_for("boxcam/cam/event")), 1);
    }
}

#[test]
fn an_ipv6_address_is_connected_to() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        test_support::skip!("no IPv6");
        return;
    };
    let port = listener.local_addr().expect("an address").port();
    let _sink = start(&format!("mqtt://[::1]:{port}"), &Arc::default());
    let (mut stream, _) = listener.accept().expect("accepted");
    let mut login = [0; 8];
    stream.read_exact(&mut login).expect("a login");
    assert_eq!(&login[4..], b"MQTT");
}

#[cfg(feature = "demo")]
#[test]
fn doctor_tries_the_login_and_leaves_a_running_camera_alone() {
    let Some(broker) = Broker::start_with_login("anna", "secret-1") else {
        return;
    };
    let folder = TestDir::new();
    let url = broker.url("anna:secret-1@");
    let status = "boxcam/cam/status";
    let mut program = run_demo_as("cam", &folder, &url);
    program.wait_for("connection", |line| line.contains("connected"));
    let mut subscriber = broker.subscribe(status);
    assert_eq!(subscriber.wait_for(status).payload, "online");
    let doctor = |url: &str| {
        let options = "doctor --source demo --display none --model tiny.onnx --name cam --mqtt";
        let arguments: Vec<&str> = options.split(' ').chain([url]).collect();
        folder.run(&arguments)
    };
    let accepted = doctor(&url);
    accepted.assert_exit_code(0);
    let address = broker.url("");
    let line = format!("ok     broker      {address} accepts the login\n");
    assert!(accepted.stdout.contains(&line), "{accepted:?}");
    for login in ["anna:wrong-9@", "anna@", "bert:secret-1@", ""] {
        let refused = doctor(&broker.url(login));
        refused.assert_exit_code(1);
        let line =
            format!("FAILED broker      {address} refuses the login (code 5, not authorized");
        assert!(refused.stdout.contains(&line), "{login}: {refused:?}");
        let output = format!("{}{}", refused.stdout, refused.stderr);
        assert!(
            output.contains("--mqtt mqtt://USER:PASSWORD@HOST"),
            "{output}"
        );
        assert!(
            !output.contains("wrong-9") && !output.contains("secret-1"),
            "{output}"
        );
    }
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0));
    // Neither a lost connection nor the last will of a doctor comes before the end.
    assert_eq!(subscriber.wait_for(status).payload, "offline");
    assert_eq!(subscriber.lines().len(), 2, "{:?}", subscriber.lines());
    let connected = program
        .lines
        .iter()
        .filter(|line| line.contains(": connected"));
    assert_eq!(connected.count(), 1, "{:?}", program.lines);
}

#[cfg(feature = "demo")]
#[test]
fn doctor_only_notes_a_broker_that_may_come_back() {
    let folder = TestDir::new();
    let url = format!("mqtt://anna:secret-1@127.0.0.1:{}", free_port());
    let options = "doctor --source demo --display none --model tiny.onnx --mqtt";
    let arguments: Vec<&str> = options.split(' ').chain([url.as_str()]).collect();
    let output = folder.run(&arguments);
    output.assert_exit_code(0);
    assert!(output.stdout.contains("-      broker"), "{output:?}");
    assert!(output.stdout.contains("can't be reached"), "{output:?}");
    assert!(!output.stdout.contains("secret-1"), "{output:?}");
}

/// A board of its own, with copies of the same card: only the host name differs.
fn board(host_name: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("created");
    for (file, text) in [
        ("etc/machine-id", "0123456789abcdef"),
        ("proc/sys/kernel/hostname", host_name),
    ] {
        let path = root.path().join(file);
        std::fs::create_dir_all(path.parent().expect("has one")).expect("created");
        std::fs::write(path, text).expect("written");
    }
    root
}

fn start_on(board: &tempfile::TempDir, camera: &str, name: &str, broker: &Broker) -> MqttSink {
    let instance = InstanceId::on_board(board.path(), &[camera]);
    let address: BrokerAddress = broker.url("").parse().expect("an address");
    let frame = frame(0);
    let settings = MqttSettings {
        instance,
        labels: Some(Labels::clone(&report(&frame, None).labels)),
        ..MqttSettings::new(address, name.to_owned())
    };
    let sink = MqttSink::start_with(settings, Arc::default()).expect("started");
    let status = format!("boxcam/{name}/status");
    let mut subscriber = broker.subscribe(&status);
    while subscriber.wait_for(&status).payload != "online" {}
    sink
}

/// The camera names with retained messages, with their number.
fn names(broker: &Broker) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for topic in broker.retained_topics() {
        let levels: Vec<&str> = topic.split('/').collect();
        let name = match levels.as_slice() {
            ["homeassistant", "device", id, "config"] => id.trim_start_matches("boxcam_"),
            ["boxcam", id, _] => id,
            _ => panic!("{topic}"),
        };
        *counts.entry(name.to_owned()).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

#[test]
fn a_renamed_camera_removes_its_former_name_only() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let (first, second) = (board("pi-1"), board("pi-2"));
    let all = |names: &[&str]| -> Vec<(String, usize)> {
        // The device, state, status and instance.
        names.iter().map(|name| ((*name).to_owned(), 4)).collect()
    };
    // A sink without a state has three.
    let with_state = |mut sink: MqttSink| {
        publish(&mut sink, 1..=1);
        sink
    };
    drop(with_state(start_on(
        &second,
        "camera:0",
        "c_other_board",
        &broker,
    )));
    drop(with_state(start_on(
        &first,
        "camera:1",
        "d_other_camera",
        &broker,
    )));
    let renamed_while_running = with_state(start_on(&first, "camera:0", "e_running", &broker));
    drop(with_state(start_on(
        &first, "camera:0", "a_former", &broker,
    )));
    let expected = all(&["a_former", "c_other_board", "d_other_camera", "e_running"]);
    assert_eq!(names(&broker), expected);
    let sink = with_state(start_on(&first, "camera:0", "b_new", &broker));
    let expected = all(&["b_new", "c_other_board", "d_other_camera", "e_running"]);
    wait_until("the former name is gone", || names(&broker) == expected);
    drop(renamed_while_running);
    drop(sink);
    // A restart under the same name removes nothing of its own.
    let _sink = with_state(start_on(&first, "camera:0", "b_new", &broker));
    let expected = all(&["b_new", "c_other_board", "d_other_camera"]);
    wait_until("the other former name is gone", || {
        names(&broker) == expected
    });
}

#[cfg(feature = "demo")]
#[test]
fn cameras_with_names_in_other_scripts_are_told_apart_and_can_be_renamed() {
    if !std::path::Path::new("/etc/machine-id").exists() {
        test_support::skip!("no /etc/machine-id");
        return;
    }
    let Some(broker) = Broker::start() else {
        return;
    };
    let (kitchen, living_room) = ("\u{53a8}\u{623f}", "\u{5ba2}\u{5385}");
    let folder = TestDir::new();
    let connect = |name| {
        let mut program = run_demo_as(name, &folder, &broker.url(""));
        let line = program.wait_for("connection", |line| line.contains(": connected as "));
        let id = line.rsplit("boxcam/").next().expect("an ID").to_owned();
        assert!(id.starts_with("camera-"), "{line}");
        (program, id)
    };
    let end = |mut program: Running| {
        program.signal("-TERM");
        assert_eq!(program.wait().code(), Some(0));
        program.lines.clone()
    };
    let (kitchen, kitchen_id) = connect(kitchen);
    let (living_room, living_room_id) = connect(living_room);
    wait_until("both are there", || names(&broker).len() == 2);
    end(kitchen);
    let (mut renamed, dining_room_id) = connect("\u{9910}\u{5385}");
    let message = renamed.wait_for("removal", |line| line.contains("former name"));
    assert!(message.ends_with(&kitchen_id), "{message}");
    let mut expected = [living_room_id, dining_room_id];
    expected.sort();
    // Each has sensors of the classes that it has detected.
    wait_until("the former name is gone", || {
        names(&broker)
            .into_iter()
            .map(|(id, _)| id)
            .eq(expected.iter().cloned())
    });
    let lines = end(living_room);
    let connections = lines.iter().filter(|line| line.contains(": connected"));
    assert_eq!(connections.count(), 1, "{lines:?}");
    end(renamed);
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

fn start_with(settings: MqttSettings) -> MqttSink {
    MqttSink::start_with(settings, Arc::default()).expect("started")
}

/// Versions before device discovery had a retained message for each entity.
#[test]
fn entities_of_an_earlier_version_move_into_the_device() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let former = [
        "homeassistant/sensor/boxcam_cam/seen/config",
        "homeassistant/binary_sensor/boxcam_cam/class_cat/config",
    ];
    let other = "homeassistant/sensor/boxcam_cam2/seen/config";
    for topic in former.iter().chain([&other]) {
        broker.publish_retained(topic, "{\"name\": \"old\"}");
    }
    let mut subscriber = broker.subscribe_persistently("homeassistant/#");
    let sink = start(&broker.url(""), &Arc::default());
    wait_until("the former entities are removed", || {
        let topics = broker.retained_topics();
        !former
            .iter()
            .any(|topic| topics.contains(&(*topic).to_owned()))
    });
    broker.publish("homeassistant/end", "x");
    subscriber.wait_for("homeassistant/end");
    let lines: Vec<&str> = subscriber
        .lines()
        .iter()
        .map(String::as_str)
        .filter(|line| line.starts_with("0 "))
        .collect();
    let position = |start: String| {
        let found = lines.iter().position(|line| line.starts_with(&start));
        found.unwrap_or_else(|| panic!("no {start} in {lines:#?}"))
    };
    let device = position("0 homeassistant/device/boxcam_cam/config {".to_owned());
    for topic in former {
        // Home Assistant keeps an entity that is migrated before the device has it, and not if it is removed before.
        let migrated = position(format!("0 {topic} {{\"migrate_discovery\": true}}"));
        let removed = lines
            .iter()
            .position(|line| line.trim_end() == format!("0 {topic}"));
        assert!(
            migrated < device && Some(device) < removed,
            "{topic}: {lines:#?}"
        );
    }
    drop(sink);
    let topics = broker.retained_topics();
    assert!(topics.contains(&other.to_owned()), "{topics:?}");
    for topic in former {
        assert!(!topics.contains(&topic.to_owned()), "{topics:?}");
    }
}

#[test]
fn a_picture_of_an_event_is_published_if_that_is_asked_for() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let address: BrokerAddress = broker.url("").parse().expect("an address");
    let settings = |images| MqttSettings {
        images,
        ..MqttSettings::new(address.clone(), "cam".to_owned())
    };
    let mut sink = start_with(settings(false));
    publish(&mut sink, 1..=1);
    drop(sink);
    let topic = "boxcam/cam/image".to_owned();
    assert!(!broker.retained_topics().contains(&topic));
    let mut sink = start_with(settings(true));
    publish(&mut sink, 2..=2);
    drop(sink);
    assert!(broker.retained_topics().contains(&topic));
    let picture = image::load_from_memory(&broker.payload(&topic)).expect("a picture");
    assert_eq!((picture.width(), picture.height()), (640, 480));
    let device = broker
        .subscribe("homeassistant/#")
        .wait_for("homeassistant/device/boxcam_cam/config")
        .json();
    assert_eq!(device["components"]["image"]["image_topic"], topic);
}

#[test]
fn a_broker_with_tls_is_trusted_by_its_authority_only() {
    let Some(broker) = Broker::start_with_tls() else {
        return;
    };
    let address: BrokerAddress = broker.url("").parse().expect("an address");
    let tls = BrokerTls::of_file(&broker.ca()).expect("certificates");
    let mut subscriber = broker.subscribe_persistently("boxcam/cam/event");
    let mut sink = start_with(MqttSettings {
        tls: Some(tls.clone()),
        ..MqttSettings::new(address.clone(), "cam".to_owned())
    });
    publish(&mut sink, 1..=3);
    for expected in 1..=3 {
        assert_eq!(track(&subscriber.wait_for("boxcam/cam/event")), expected);
    }
    let timeout = std::time::Duration::from_secs(60);
    check_login(&address, Some(&tls), "cam", timeout).expect("accepted");
    let error = check_login(&address, None, "cam", timeout).expect_err("another authority");
    let expected = "has a certificate that can't be trusted";
    assert!(error.to_string().contains(expected), "{error}");
    assert!(error.fix(&address).contains("--mqtt-ca"));
    let plain: BrokerAddress = broker
        .url("")
        .replace("mqtts", "mqtt")
        .parse()
        .expect("one");
    assert!(check_login(&plain, None, "cam", timeout).is_err());
}

#[cfg(feature = "demo")]
#[test]
fn the_program_connects_with_tls_and_names_a_wrong_certificate() {
    let Some(broker) = Broker::start_with_tls() else {
        return;
    };
    let folder = TestDir::new();
    std::fs::copy(broker.ca(), folder.path("ca.pem")).expect("copied");
    let options = "--source demo --display none --model tiny.onnx --threshold 0 --name cam --mqtt";
    let url = broker.url("");
    let run = |command: &str, more: &[&str]| {
        let options = options.split(' ').chain([url.as_str()]);
        let arguments: Vec<&str> = [command].into_iter().chain(options).collect();
        folder.command(&[&arguments[..], more].concat())
    };
    let mut program = Running::with_stderr(&mut run("run", &["--mqtt-ca", "ca.pem"]));
    let line = program.wait_for("connection", |line| line.contains("connected as"));
    assert!(line.contains(&url), "{line}");
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0));
    let mut program = Running::with_stderr(&mut run("run", &[]));
    let line = program.wait_for("refusal", |line| line.contains("can't be trusted"));
    assert!(line.contains("--mqtt-ca"), "{line}");
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0));
    let wrong = run("run", &["--mqtt-ca", "tiny.onnx"])
        .output()
        .expect("starts");
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    let doctor = run("doctor", &["--mqtt-ca", "ca.pem"])
        .output()
        .expect("starts");
    let text = String::from_utf8_lossy(&doctor.stdout);
    assert!(text.contains("ok     broker"), "{text}");
}

#[cfg(feature = "demo")]
#[test]
fn the_login_comes_from_a_file_or_the_environment() {
    let Some(broker) = Broker::start_with_login("anna", "secret-1") else {
        return;
    };
    let folder = TestDir::new();
    folder.write("password", "secret-1\n");
    folder.write("wrong", "wrong-9\n");
    let options = "doctor --source demo --display none --model tiny.onnx --name cam --mqtt";
    let doctor = |login: &str, more: &[&str], variables: &[(&str, &str)]| {
        let url = broker.url(login);
        let options: Vec<&str> = options.split(' ').chain([url.as_str()]).collect();
        let mut command = folder.command(&[&options[..], more].concat());
        let output = command.envs(variables.iter().copied()).output();
        let output = output.expect("starts");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(
            !text.contains("secret-1") && !text.contains("wrong-9"),
            "{text}"
        );
        text
    };
    let (user, password) = ("BOXCAM_MQTT_USER", "BOXCAM_MQTT_PASSWORD");
    let file = ["--mqtt-password-file", "password"];
    let accepted = [
        doctor("anna@", &file, &[]),
        doctor("anna@", &file, &[(password, "wrong-9")]),
        doctor("anna@", &[], &[(password, "secret-1")]),
        doctor("", &[], &[(user, "anna"), (password, "secret-1")]),
        doctor("", &file, &[(user, "anna")]),
        doctor("anna:secret-1@", &[], &[(password, "wrong-9")]),
    ];
    for text in accepted {
        assert!(text.contains("ok     broker"), "{text}");
    }
    let wrong = ["--mqtt-password-file", "wrong"];
    let refused = [
        (doctor("anna@", &wrong, &[]), "refuses the login"),
        (
            doctor("anna:secret-1@", &file, &[]),
            "leave one of them out",
        ),
        (doctor("", &file, &[]), user),
        (
            doctor("anna@", &["--mqtt-password-file", "none"], &[]),
            "none: can't be read",
        ),
    ];
    for (text, reason) in refused {
        assert!(
            text.contains("FAILED broker") && text.contains(reason),
            "{text}"
        );
    }
    let url = broker.url("");
    let run = "run --source demo --frames 1 --display none --model tiny.onnx --mqtt-password-file password --mqtt";
    let arguments: Vec<&str> = run.split(' ').chain([url.as_str()]).collect();
    let output = folder.run(&arguments);
    output.assert_exit_code(2);
    output.assert_stderr_contains(&[user]);
}
