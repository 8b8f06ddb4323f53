//! The topics of a camera, and the messages by which Home Assistant discovers it: a sensor for the detected class, one
//! for occupancy, and one for camera failures.

use serde_json::{Map, Value, json};

/// Payload of the status while connected.
pub(super) const ONLINE: &str = "online";
/// Payload of the status after the connection has ended.
pub(super) const OFFLINE: &str = "offline";

/// The topic of Home Assistant's birth message.
pub(super) const HOME_ASSISTANT_STATUS: &str = "homeassistant/status";

/// Longer names are truncated.
const MAX_NAME_LENGTH: usize = 64;

/// The topics of one camera.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    /// The camera's name in the characters that are valid in a topic.
    id: String,
}

impl Topics {
    /// Replaces characters that MQTT or Home Assistant do not allow in a topic by `_`.
    pub(super) fn of(name: &str) -> Self {
        let sanitize = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        };
        let id: String = name
            .trim()
            .chars()
            .take(MAX_NAME_LENGTH)
            .map(sanitize)
            .collect();
        let is_empty = id.chars().all(|c| c == '_');
        Self {
            id: if is_empty { "camera".to_owned() } else { id },
        }
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

    /// The topic that configures an entity in Home Assistant.
    fn discovery(&self, component: &str, entity: &str) -> String {
        format!(
            "homeassistant/{component}/{}/{entity}/config",
            self.client_id()
        )
    }

    fn topic(&self, last: &str) -> String {
        format!("boxcam/{}/{last}", self.id)
    }
}

/// Topics and JSON payloads of the discovery messages, to be retained. `name` is the name of the camera.
pub(super) fn messages(topics: &Topics, name: &str) -> Vec<(String, String)> {
    let seen = json!({
        "name": "Seen",
        "icon": "mdi:eye",
        "value_template": "{{ value_json.class }}",
        "json_attributes_topic": topics.state(),
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
    let entities = [
        ("sensor", "seen", seen),
        ("binary_sensor", "occupancy", occupancy),
        ("binary_sensor", "trouble", trouble),
    ];
    let message = |(component, entity, fields)| {
        let payload = with_common_fields(fields, topics, name, entity);
        (topics.discovery(component, entity), payload.to_string())
    };
    entities.into_iter().map(message).collect()
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
        assert_eq!(ids.len(), 3);
        for entity in &parsed {
            assert_eq!(entity["state_topic"], "boxcam/k/state");
            assert_eq!(entity["device"]["name"], "K \"x\"");
            assert_eq!(entity["device"]["identifiers"][0], "boxcam_k");
        }
    }

    #[test]
    fn names_are_sanitized_for_topics() {
        let cases = [
            ("kitchen", "boxcam/kitchen/event"),
            ("Hans' k\u{fc}che/+#", "boxcam/Hans__k_che___/event"),
            (" ", "boxcam/camera/event"),
            ("###", "boxcam/camera/event"),
        ];
        for (name, expected) in cases {
            assert_eq!(Topics::of(name).event(), expected, "{name}");
        }
        let long = Topics::of(&"x".repeat(1000));
        assert_eq!(long.client_id().len(), "boxcam_".len() + MAX_NAME_LENGTH);
        let discovery = Topics::of("a b").discovery("sensor", "class");
        assert_eq!(discovery, "homeassistant/sensor/boxcam_a_b/class/config");
    }
}
