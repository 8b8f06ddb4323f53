//! The topics of a camera, and the message by which Home Assistant discovers it as a device: a sensor for the detected class, one
//! for the number of things, one for occupancy, one for camera failures, one for each class that is selected or was
//! detected, two for each zone, its events, and the picture of the last one.
//!
//! The message is that of device discovery, which Home Assistant has since 2024.11
//! (<https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload>). Earlier versions of boxcam had one message for
//! each entity, at [`Topics::former_entities`]; its place in the topic and its `unique_id` are the same, so that the entity
//! stays.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::track::EventKind;

mod class_sensor;
pub(super) mod zone_entities;

/// Payload of the status while connected.
pub(super) const ONLINE: &str = "online";
/// Payload of the status after the connection has ended.
pub(super) const OFFLINE: &str = "offline";

/// The topic of Home Assistant's birth message.
pub(super) const HOME_ASSISTANT_STATUS: &str = "homeassistant/status";

/// Maximum length of an ID. Longer names are cut.
const MAX_ID_LENGTH: usize = 64;

/// Hexadecimal digits of the hash in the ID of a name that can't be an ID itself.
const HASH_DIGITS: usize = 8;

/// The topics of one camera.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    /// The camera's name in the characters that are valid in a topic.
    id: String,
}

impl Topics {
    /// A name of ASCII letters, digits, `-` and `_`, of up to 64 characters, is its own ID. In others the characters
    /// that MQTT or Home Assistant do not allow in a topic become `_`, and a hash of the name is appended, so that
    /// different names have different IDs.
    pub(super) fn of(name: &str) -> Self {
        let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let has_no_letter = name.chars().all(|c| c == '_');
        if !has_no_letter && name.len() <= MAX_ID_LENGTH && name.chars().all(is_valid) {
            return Self::with_id(name);
        }
        let replaced = name.trim().chars().map(|c| match is_valid(c) {
            true => c,
            false => '_',
        });
        let mut id: String = replaced.take(MAX_ID_LENGTH - HASH_DIGITS - 1).collect();
        if id.chars().all(|c| c == '_') {
            id = "camera".to_owned();
        }
        Self::with_id(&format!("{id}-{}", short_hash(name.as_bytes())))
    }

    /// The topics of a camera with a known ID.
    pub(super) fn with_id(id: &str) -> Self {
        Self { id: id.to_owned() }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The MQTT client ID, which is also the prefix of the IDs in Home Assistant.
    pub(super) fn client_id(&self) -> String {
        format!("boxcam_{}", self.id)
    }

    pub(super) fn status(&self) -> String {
        self.topic("status")
    }

    pub(super) fn state(&self) -> String {
        self.topic("state")
    }

    /// The picture of the last event.
    pub(super) fn image(&self) -> String {
        self.topic("image")
    }

    pub(super) fn event(&self) -> String {
        self.topic("event")
    }

    /// The zones that have entities.
    pub(super) fn zone_list(&self) -> String {
        self.topic("zones")
    }

    /// Which installation publishes under this ID.
    pub(super) fn instance(&self) -> String {
        self.topic("instance")
    }

    /// All topics with a retained message, of a model with these classes, also those of earlier versions; the one that tells
    /// whose they are is the last.
    pub(super) fn retained<'a>(&self, classes: impl Iterator<Item = &'a str>) -> Vec<String> {
        let former = FORMER_ENTITIES.into_iter();
        let mut topics = vec![self.device()];
        topics.extend(former.map(|(component, entity)| self.former_entity(component, entity)));
        topics
            .extend(classes.map(|class| self.former_entity("binary_sensor", &class_entity(class))));
        topics.extend([self.image(), self.zone_list(), self.state()]);
        topics.extend([self.status(), self.instance()]);
        topics
    }

    /// The topic by which Home Assistant discovers the camera with all its entities.
    pub(super) fn device(&self) -> String {
        format!("homeassistant/device/{}/config", self.client_id())
    }

    /// Matches the topics at which earlier versions configured each entity.
    pub(super) fn former_entities(&self) -> String {
        format!("homeassistant/+/{}/+/config", self.client_id())
    }

    /// Whether the topic is one of [`Self::former_entities`].
    pub(super) fn is_former_entity(&self, topic: &str) -> bool {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
        let levels: Vec<&str> = topic.split('/').collect();
        match levels.as_slice() {
            // A broker could send anything else, too.
            ["homeassistant", _, id, _, "config"] => {
                *id == self.client_id() && topic.chars().all(is_plain)
            }
            _ => false,
        }
    }

    fn former_entity(&self, component: &str, entity: &str) -> String {
        format!(
            "homeassistant/{component}/{}/{entity}/config",
            self.client_id()
        )
    }

    fn topic(&self, last: &str) -> String {
        format!("boxcam/{}/{last}", self.id)
    }
}

/// The first digits of the SHA-256 of these bytes.
fn short_hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let mut digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.truncate(HASH_DIGITS);
    digits
}

/// Component and name of each entity that earlier versions configured by itself, but for those of classes.
const FORMER_ENTITIES: [(&str, &str); 4] = [
    ("sensor", "seen"),
    ("sensor", "count"),
    ("binary_sensor", "occupancy"),
    ("binary_sensor", "trouble"),
];

/// Payload at a topic of [`Topics::former_entities`] that lets Home Assistant keep an entity, with its name, area and history,
/// while its configuration moves into the message of the device
/// (<https://www.home-assistant.io/integrations/mqtt/#migration-from-single-component-to-device-based-discovery>).
pub(super) const MIGRATE: &str = r#"{"migrate_discovery": true}"#;

/// The name of the entity of a class: no other one begins with `class_`, and different classes have different ones.
fn class_entity(class: &str) -> String {
    entity_of("class", class)
}

/// The prefix and the name in the characters of an ID; names that differ give different ones.
fn entity_of(prefix: &str, name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == ' ' || c == '-';
    let replaced = name.chars().map(|c| match is_plain(c) && c != ' ' {
        true => c,
        false => '_',
    });
    let id: String = replaced.take(MAX_ID_LENGTH).collect();
    let is_own = name.len() <= MAX_ID_LENGTH && name.chars().all(is_plain);
    match is_own {
        true => format!("{prefix}_{id}"),
        false => format!("{prefix}_{id}-{}", short_hash(name.as_bytes())),
    }
}

/// What Home Assistant shows of a camera.
#[derive(Debug)]
pub(super) struct Device<'a> {
    pub(super) topics: &'a Topics,
    /// The name of the camera.
    pub(super) name: &'a str,
    /// Classes with a sensor, each with the name that is shown for it.
    pub(super) classes: Vec<(&'a str, &'a str)>,
    pub(super) zones: &'a [String],
    /// The IDs of former zones.
    pub(super) removed_zones: &'a BTreeSet<String>,
    /// Whether pictures of events are published.
    pub(super) has_image: bool,
}

impl Device<'_> {
    /// Topic and JSON payload of the discovery message, to be retained.
    pub(super) fn message(&self) -> (String, String) {
        let topics = self.topics;
        let payload = json!({
            "device": {
                "identifiers": [topics.client_id()],
                "name": self.name,
                "manufacturer": "boxcam",
                "model": "boxcam",
                "sw_version": env!("CARGO_PKG_VERSION"),
            },
            "origin": { "name": "boxcam", "sw_version": env!("CARGO_PKG_VERSION") },
            // These are for all components.
            "state_topic": topics.state(),
            "availability_topic": topics.status(),
            "payload_available": ONLINE,
            "payload_not_available": OFFLINE,
            "components": self.components(),
        });
        (topics.device(), payload.to_string())
    }

    fn components(&self) -> Value {
        let mut components = Map::new();
        let mut add = |platform: &str, entity: &str, fields: Value| {
            let id = format!("{}_{entity}", self.topics.client_id());
            let common = json!({
                "platform": platform,
                "unique_id": id,
                // Instead of `object_id`, which is deprecated since 2025.10 and ignored from 2026.4 on.
                "default_entity_id": format!("{platform}.{id}"),
            });
            components.insert(entity.to_owned(), merged([common, fields]));
        };
        let state = self.topics.state();
        add(
            "sensor",
            "seen",
            json!({
                "name": "Seen",
                "icon": "mdi:eye",
                "value_template": "{{ value_json.class }}",
                "json_attributes_topic": state,
            }),
        );
        // Each class is an attribute.
        add(
            "sensor",
            "count",
            json!({
                "name": "Count",
                "icon": "mdi:counter",
                "state_class": "measurement",
                "value_template": "{{ value_json.count }}",
                "json_attributes_topic": state,
                "json_attributes_template": "{{ value_json.counts | tojson }}",
            }),
        );
        add(
            "binary_sensor",
            "occupancy",
            json!({
                "name": "Occupancy",
                "device_class": "occupancy",
                "value_template": "{{ 'ON' if value_json.present else 'OFF' }}",
            }),
        );
        add(
            "binary_sensor",
            "trouble",
            json!({
                "name": "Camera trouble",
                "device_class": "problem",
                "entity_category": "diagnostic",
                "value_template": "{{ 'ON' if value_json.capture in ['stalled', 'reopening'] else 'OFF' }}",
            }),
        );
        // All fields of the event are attributes.
        add(
            "event",
            "event",
            json!({
                "name": "Event",
                "icon": "mdi:cctv",
                "state_topic": self.topics.event(),
                "event_types": EventKind::NAMES,
                "value_template": "{{ dict(value_json, event_type=value_json.event) | tojson }}",
            }),
        );
        if self.has_image {
            add(
                "image",
                "image",
                json!({
                    "name": "Last event",
                    "image_topic": self.topics.image(),
                    "content_type": "image/jpeg",
                }),
            );
        }
        for (class, name) in &self.classes {
            let fields = class_sensor::fields(class, name);
            add("binary_sensor", &class_entity(class), fields);
        }
        for zone in self.zones {
            for (platform, entity, fields) in zone_entities::entities(zone) {
                let attributes = match fields.get("json_attributes_template") {
                    Some(_) => json!({ "json_attributes_topic": state }),
                    None => json!({}),
                };
                add(platform, &entity, merged([fields, attributes]));
            }
        }
        let removed = self.removed_zones.iter();
        components.extend(removed.flat_map(|id| zone_entities::removal(id)));
        Value::Object(components)
    }
}

/// One object with the fields of both.
fn merged(parts: [Value; 2]) -> Value {
    let parts = parts.into_iter().filter_map(|part| match part {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    Value::Object(parts.flatten().collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(has_image: bool) -> Value {
        let topics = Topics::of("k");
        let device = Device {
            topics: &topics,
            name: "K \"x\"",
            classes: vec![("hot dog", "Hotdog"), ("person", "person")],
            zones: &["table".to_owned()],
            removed_zones: &["zone_chair".to_owned()].into(),
            has_image,
        };
        let (topic, payload) = device.message();
        assert_eq!(topic, "homeassistant/device/boxcam_k/config");
        serde_json::from_str(&payload).expect("JSON")
    }

    #[test]
    fn each_entity_has_its_own_id_in_the_same_device() {
        let device = device(true);
        assert_eq!(device["device"]["name"], "K \"x\"");
        assert_eq!(device["device"]["identifiers"][0], "boxcam_k");
        assert_eq!(device["state_topic"], "boxcam/k/state");
        let mut components = device["components"].clone();
        let components = components.as_object_mut().expect("an object");
        for (removed, platform) in [
            ("zone_chair_count", "sensor"),
            ("zone_chair_occupancy", "binary_sensor"),
        ] {
            let component = components.remove(removed);
            assert_eq!(
                component,
                Some(json!({ "platform": platform })),
                "{removed}"
            );
        }
        let names: Vec<&str> = components.keys().map(String::as_str).collect();
        let expected = [
            "class_hot_dog",
            "class_person",
            "count",
            "event",
            "image",
            "occupancy",
            "seen",
            "trouble",
            "zone_table_count",
            "zone_table_occupancy",
        ];
        assert_eq!(names, expected);
        for (name, component) in &*components {
            let platform = component["platform"].as_str().expect("a text");
            assert_eq!(component["unique_id"], format!("boxcam_k_{name}"));
            let entity = format!("{platform}.boxcam_k_{name}");
            assert_eq!(component["default_entity_id"], entity);
        }
        assert_eq!(components["class_hot_dog"]["name"], "Hotdog");
        assert_eq!(components["event"]["state_topic"], "boxcam/k/event");
        assert_eq!(components["image"]["image_topic"], "boxcam/k/image");
        let topic = &components["zone_table_count"]["json_attributes_topic"];
        assert_eq!(topic, "boxcam/k/state");
    }

    #[test]
    fn without_pictures_there_is_no_image() {
        assert!(device(false)["components"].get("image").is_none());
    }

    #[test]
    fn entities_of_earlier_versions_are_recognized() {
        let topics = Topics::of("k");
        let former = topics.former_entity("binary_sensor", "class_cat");
        assert_eq!(
            former,
            "homeassistant/binary_sensor/boxcam_k/class_cat/config"
        );
        assert!(topics.is_former_entity(&former));
        for other in [
            "homeassistant/device/boxcam_k/config",
            "homeassistant/sensor/boxcam_k2/seen/config",
            "homeassistant/sensor/boxcam_k/s\u{e9}en/config",
            "boxcam/k/state",
        ] {
            assert!(!topics.is_former_entity(other), "{other}");
        }
    }

    #[test]
    fn classes_have_distinct_entities_of_valid_characters() {
        let long = "x".repeat(100);
        let classes = [
            "cup",
            "hot dog",
            "hot_dog",
            "hot-dog",
            "猫",
            "狗",
            "a/b",
            "a+b",
            "",
            &long,
            &long[..99],
        ];
        let mut entities = classes.map(class_entity);
        for entity in &entities {
            let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            assert!(
                entity.chars().all(is_valid) && entity.len() < 90,
                "{entity}"
            );
        }
        assert_eq!(entities[..2], ["class_cup", "class_hot_dog"]);
        entities.sort_unstable();
        assert!(entities.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_name_that_is_a_valid_id_is_kept() {
        let longest = "x".repeat(MAX_ID_LENGTH);
        for name in ["kitchen", "Kitchen", "a_b", "a-b", "cam_", "7", &longest] {
            assert_eq!(Topics::of(name).event(), format!("boxcam/{name}/event"));
        }
        let device = Topics::of("a_b").device();
        assert_eq!(device, "homeassistant/device/boxcam_a_b/config");
    }

    #[test]
    fn other_names_have_distinct_ids_of_valid_characters() {
        let long = "x".repeat(1000);
        let longer = "x".repeat(1001);
        let names = [
            "\u{53a8}\u{623f}",
            "\u{5ba2}\u{5385}",
            "Hans' k\u{fc}che/+#",
            "Hans' ku\u{308}che/+#",
            "HANS' k\u{fc}che/+#",
            "a b",
            "a.b",
            "a/b",
            "a b ",
            " a b",
            "a  b",
            "a_b",
            "\u{1f431}",
            "\u{1f436}",
            "###",
            "#",
            "_",
            "__",
            " ",
            "camera",
            &long,
            &longer,
            &long[..MAX_ID_LENGTH + 1],
            &long[..MAX_ID_LENGTH],
        ];
        let mut ids: Vec<String> = names.map(|name| Topics::of(name).client_id()).into();
        for id in &ids {
            let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            assert!(id.chars().all(is_valid), "{id}");
            assert!(id.len() <= "boxcam_".len() + MAX_ID_LENGTH, "{id}");
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), names.len());
        // They do not change from one version to the next.
        assert_eq!(Topics::of("a b").id(), "a_b-c8687a08");
        assert_eq!(Topics::of("\u{53a8}\u{623f}").id(), "camera-4ae988a2");
    }

    #[test]
    fn the_topics_of_all_retained_messages_are_listed() {
        let topics = Topics::of("k");
        let retained = topics.retained(["person", "hot dog"].into_iter());
        for topic in [
            "homeassistant/device/boxcam_k/config",
            "homeassistant/sensor/boxcam_k/seen/config",
            "homeassistant/binary_sensor/boxcam_k/class_hot_dog/config",
            "boxcam/k/image",
            "boxcam/k/zones",
            "boxcam/k/state",
        ] {
            assert!(retained.contains(&topic.to_owned()), "{topic}");
        }
        assert_eq!(retained.len(), 12);
        assert_eq!(retained.last(), Some(&"boxcam/k/instance".to_owned()));
    }
}
