//! The topics of a camera, and the messages by which Home Assistant discovers it: a sensor for the detected class, one for
//! the number of things, one for occupancy, one for camera failures, and one for each class that is selected or was
//! detected.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

mod class_sensor;

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

    pub(super) fn event(&self) -> String {
        self.topic("event")
    }

    /// Which installation publishes under this ID.
    pub(super) fn instance(&self) -> String {
        self.topic("instance")
    }

    /// All topics with a retained message, of a model with these classes; the one that tells whose they are is the last.
    pub(super) fn retained<'a>(&self, classes: impl Iterator<Item = &'a str>) -> Vec<String> {
        let entities = ENTITIES.into_iter();
        let mut topics: Vec<String> = entities
            .map(|(component, entity)| self.discovery(component, entity))
            .collect();
        topics.extend(classes.map(|class| self.class_discovery(class)));
        topics.extend([self.state(), self.status(), self.instance()]);
        topics
    }

    /// The topic that configures an entity in Home Assistant.
    fn discovery(&self, component: &str, entity: &str) -> String {
        format!(
            "homeassistant/{component}/{}/{entity}/config",
            self.client_id()
        )
    }

    /// The topic that configures the sensor of a class.
    fn class_discovery(&self, class: &str) -> String {
        self.discovery("binary_sensor", &class_entity(class))
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

/// Component and name of each entity in Home Assistant.
const ENTITIES: [(&str, &str); 4] = [
    ("sensor", "seen"),
    ("sensor", "count"),
    ("binary_sensor", "occupancy"),
    ("binary_sensor", "trouble"),
];

/// The name of the entity of a class: no other one begins with `class_`, and different classes have different ones.
fn class_entity(class: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == ' ' || c == '-';
    let replaced = class.chars().map(|c| match is_plain(c) && c != ' ' {
        true => c,
        false => '_',
    });
    let id: String = replaced.take(MAX_ID_LENGTH).collect();
    let is_own = class.len() <= MAX_ID_LENGTH && class.chars().all(is_plain);
    match is_own {
        true => format!("class_{id}"),
        false => format!("class_{id}-{}", short_hash(class.as_bytes())),
    }
}

/// Topic and JSON payload of the discovery message of a class's sensor, to be retained. `camera` is the name of the camera,
/// `name` is shown for the class.
pub(super) fn class_message(
    topics: &Topics,
    camera: &str,
    class: &str,
    name: &str,
) -> (String, String) {
    let fields = class_sensor::fields(class, name);
    let payload = with_common_fields(fields, topics, camera, &class_entity(class));
    (topics.class_discovery(class), payload.to_string())
}

/// Topics and JSON payloads of the discovery messages, to be retained. `name` is the name of the camera.
pub(super) fn messages(topics: &Topics, name: &str) -> Vec<(String, String)> {
    let seen = json!({
        "name": "Seen",
        "icon": "mdi:eye",
        "value_template": "{{ value_json.class }}",
        "json_attributes_topic": topics.state(),
    });
    // Each class is an attribute.
    let count = json!({
        "name": "Count",
        "icon": "mdi:counter",
        "state_class": "measurement",
        "value_template": "{{ value_json.count }}",
        "json_attributes_topic": topics.state(),
        "json_attributes_template": "{{ value_json.counts | tojson }}",
    });
    let occupancy = json!({
        "name": "Occupancy",
        "device_class": "occupancy",
        "value_template": "{{ 'ON' if value_json.present else 'OFF' }}",
    });
    let trouble = json!({
        "name": "Camera trouble",
        "device_class": "problem",
        "entity_category": "diagnostic",
        "value_template": "{{ 'ON' if value_json.capture in ['stalled', 'reopening'] else 'OFF' }}",
    });
    let message = |((component, entity), fields)| {
        let payload = with_common_fields(fields, topics, name, entity);
        (topics.discovery(component, entity), payload.to_string())
    };
    let entities = ENTITIES.into_iter().zip([seen, count, occupancy, trouble]);
    entities.map(message).collect()
}

fn with_common_fields(fields: Value, topics: &Topics, name: &str, entity: &str) -> Value {
    let client_id = topics.client_id();
    let common = json!({
        "unique_id": format!("{client_id}_{entity}"),
        "object_id": format!("{client_id}_{entity}"),
        "state_topic": topics.state(),
        "availability_topic": topics.status(),
        "payload_available": ONLINE,
        "payload_not_available": OFFLINE,
        "device": {
            "identifiers": [client_id],
            "name": name,
            "model": "boxcam",
            "sw_version": env!("CARGO_PKG_VERSION"),
        },
        "origin": { "name": "boxcam", "sw_version": env!("CARGO_PKG_VERSION") },
    });
    let parts = [common, fields].into_iter().filter_map(|part| match part {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    Value::Object(parts.flatten().collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entity_has_its_own_id_and_the_same_device() {
        let messages = messages(&Topics::of("k"), "K \"x\"");
        let parsed: Vec<Value> = messages
            .iter()
            .map(|(_, payload)| serde_json::from_str(payload).expect("JSON"))
            .collect();
        let mut ids: Vec<&str> = parsed
            .iter()
            .filter_map(|entity| entity["unique_id"].as_str())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 4);
        for entity in &parsed {
            assert_eq!(entity["state_topic"], "boxcam/k/state");
            assert_eq!(entity["device"]["name"], "K \"x\"");
            assert_eq!(entity["device"]["identifiers"][0], "boxcam_k");
        }
    }

    #[test]
    fn the_sensor_of_a_class_belongs_to_the_camera() {
        let (topic, payload) = class_message(&Topics::of("k"), "K", "hot dog", "Hotdog");
        assert_eq!(
            topic,
            "homeassistant/binary_sensor/boxcam_k/class_hot_dog/config"
        );
        let sensor: Value = serde_json::from_str(&payload).expect("JSON");
        assert_eq!(sensor["name"], "Hotdog");
        assert_eq!(sensor["unique_id"], "boxcam_k_class_hot_dog");
        assert_eq!(sensor["state_topic"], "boxcam/k/state");
        assert_eq!(sensor["device"]["name"], "K");
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
        let discovery = Topics::of("a_b").discovery("sensor", "class");
        assert_eq!(discovery, "homeassistant/sensor/boxcam_a_b/class/config");
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
        let classes = ["person", "hot dog"];
        let retained = topics.retained(classes.into_iter());
        let of_classes = classes.map(|class| class_message(&topics, "k", class, class));
        for (topic, _) in messages(&topics, "k").into_iter().chain(of_classes) {
            assert!(retained.contains(&topic), "{topic}");
        }
        assert_eq!(retained.len(), 9);
        assert_eq!(retained.last(), Some(&"boxcam/k/instance".to_owned()));
    }
}
