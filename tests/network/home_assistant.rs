//! The messages for Home Assistant, checked by its own code, which is installed from PyPI.
//!
//! Needs mosquitto, and Python 3.13 or later with `venv`. Python 3.13 takes the version of Home Assistant of December 2025, which
//! has `default_entity_id` and device discovery; Python 3.14 takes one of November 2026, which ignores `object_id`.
#![cfg(all(unix, feature = "mqtt"))]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::broker::Broker;
use crate::common::reports::{frame, report, with_event, with_zones};
use boxcam::address::BrokerAddress;
use boxcam::sink::Sink as _;
use boxcam::sink::mqtt::{MqttSettings, MqttSink};
use boxcam::track::EventKind;
use serde_json::{Value, json};
use test_support::PythonPackages;

/// Versions of Python, the release that Home Assistant requires of each, and the version of Home Assistant, the newest first.
/// An earlier release, as Debian 13 and others have, is enough for this part.
const VERSIONS: [(&str, &str, &str); 2] = [
    ("3.14", "3.14.2", "2026.11.0"),
    ("3.13", "3.13.2", "2025.12.5"),
];

/// A Python with Home Assistant; `None` if there is no Python for it, or it can't be installed.
fn python() -> Option<PathBuf> {
    let (interpreter, required, version) = VERSIONS
        .iter()
        .find_map(|(python, required, version)| Some((interpreter(python)?, required, version)))?;
    let packages = ["paho-mqtt".to_owned(), format!("homeassistant=={version}")];
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("home-assistant-{version}"));
    PythonPackages::for_version(interpreter, required, &packages).installed(&home)
}

/// The program of that version of Python: on the path, or one of pyenv, whose programs on the path need not work.
fn interpreter(version: &str) -> Option<PathBuf> {
    let names = [format!("python{version}"), "python3".to_owned()];
    let on_path = names.iter().map(PathBuf::from);
    let pyenv = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv/versions"));
    let versions = pyenv.and_then(|folder| folder.read_dir().ok());
    let versions = versions.into_iter().flatten().flatten();
    let own = versions.map(|entry| entry.path().join(format!("bin/python{version}")));
    let is_it = |program: &PathBuf| {
        let output = Command::new(program).arg("--version").output();
        let prefix = format!("Python {version}.");
        output.is_ok_and(|output| output.stdout.starts_with(prefix.as_bytes()))
    };
    on_path.chain(own).find(is_it)
}

/// What Home Assistant makes of the messages.
fn validated(python: &Path, messages: &Value) -> Value {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/network/home_assistant/validate.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin
        .write_all(messages.to_string().as_bytes())
        .expect("read");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(
        output.status.success(),
        "Home Assistant refuses {messages:#}"
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn home_assistant_takes_the_device_its_entities_and_their_messages() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let Some(python) = python() else {
        test_support::skip!("no Home Assistant: it needs Python 3.13 or later with venv, and PyPI");
        return;
    };
    let address: BrokerAddress = broker.url("").parse().expect("an address");
    let settings = MqttSettings {
        images: true,
        selected: vec!["person".to_owned(), "car".to_owned()],
        zones: vec!["table".to_owned(), "K\u{fc}che 2".to_owned()],
        ..MqttSettings::new(address, "K\u{fc}che \"1\"".to_owned())
    };
    let mut events = broker.subscribe_persistently("boxcam/+/event");
    let mut sink = MqttSink::start_with(settings, Arc::default()).expect("started");
    let frame = frame(1);
    let report = with_zones(report(&frame, Some(1)));
    sink.show(&frame, &report).expect("published");
    let kind = EventKind::Changed {
        from: report.tracks[0].detection.class,
    };
    sink.show(&frame, &with_event(report, kind, 7))
        .expect("published");
    drop(sink);
    let topics = broker.retained_topics();
    let find = |start: &str, end: &str| {
        let found = topics
            .iter()
            .find(|t| t.starts_with(start) && t.ends_with(end));
        found
            .unwrap_or_else(|| panic!("no {start} in {topics:?}"))
            .clone()
    };
    let topic = find("homeassistant/device/", "/config");
    let state_topic = find("boxcam/", "/state");
    let event_topic = state_topic.replace("/state", "/event");
    let text = |topic: &str| String::from_utf8(broker.payload(topic)).expect("UTF-8");
    let device = text(&topic);
    let state = text(&state_topic);
    for kind in ["entered", "crossed", "changed"] {
        let event = events.wait_for(&event_topic).payload;
        let messages = json!({
            "topic": topic,
            "device": device,
            "migrate": "{\"migrate_discovery\": true}",
            "state_topic": state_topic,
            "state": state,
            "event_topic": event_topic,
            "event": event,
        });
        let result = validated(&python, &messages);
        let components = result["components"].as_object().expect("an object");
        let entities = [
            ("class_car", "binary_sensor", Some("OFF")),
            ("class_hot_dog", "binary_sensor", Some("ON")),
            ("class_person", "binary_sensor", Some("OFF")),
            ("count", "sensor", Some("1")),
            ("event", "event", None),
            ("image", "image", None),
            ("occupancy", "binary_sensor", Some("ON")),
            ("seen", "sensor", Some("hot dog")),
            ("trouble", "binary_sensor", Some("OFF")),
            // This one is not in the state.
            ("zone_K_che_2-a0770762_count", "sensor", Some("0")),
            (
                "zone_K_che_2-a0770762_occupancy",
                "binary_sensor",
                Some("OFF"),
            ),
            ("zone_table_count", "sensor", Some("1")),
            ("zone_table_occupancy", "binary_sensor", Some("ON")),
        ];
        let names: Vec<&str> = components.keys().map(String::as_str).collect();
        assert_eq!(names, entities.map(|(name, ..)| name));
        for (name, platform, value) in entities {
            let component = &components[name];
            assert_eq!(component["platform"], platform, "{name}");
            assert_eq!(component["ignored"], json!([]), "{name}");
            let id = component["unique_id"].as_str().expect("a text");
            let entity = format!("{platform}.{id}");
            assert_eq!(component["default_entity_id"], entity, "{name}");
            let status = state_topic.replace("/state", "/status");
            assert_eq!(component["availability_topic"], status, "{name}");
            if let Some(value) = value {
                assert_eq!(component["value"], value, "{name}");
            }
        }
        let shown = components["event"]["value"].as_str().expect("a text");
        let shown: Value = serde_json::from_str(shown).expect("an object");
        assert_eq!(shown["event_type"], kind);
        let types = components["event"]["event_types"]
            .as_array()
            .expect("a list");
        assert!(types.contains(&shown["event_type"]), "{types:?}");
        assert_eq!(shown["detection"]["class"], "hot dog");
    }
}
