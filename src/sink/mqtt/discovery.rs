//! What Home Assistant reads to show the camera without being set up: a sensor for what is seen, one for whether
//! anything is, and one for trouble with the camera.

use serde_json::{Map, Value, json};

use super::topics::{OFFLINE, ONLINE, Topics};

/// The messages: topic and JSON, each to be retained. `name` is what a person calls the camera.
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
    let things = [
        ("sensor", "seen", seen),
        ("binary_sensor", "occupancy", occupancy),
        ("binary_sensor", "trouble", trouble),
    ];
    let message = |(component, thing, fields)| {
        let all = with_common(fields, topics, name, thing);
        (topics.discovery(component, thing), all.to_string())
    };
    things.into_iter().map(message).collect()
}

/// The fields of a thing with those that all things have.
fn with_common(fields: Value, topics: &Topics, name: &str, thing: &str) -> Value {
    let client = topics.client();
    let common = json!({
        "unique_id": format!("{client}_{thing}"),
        "object_id": format!("{client}_{thing}"),
        "state_topic": topics.state(),
        "availability_topic": topics.status(),
        "payload_available": ONLINE,
        "payload_not_available": OFFLINE,
        "device": {
            "identifiers": [client],
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
    fn each_thing_has_an_id_of_its_own_and_one_device() {
        let messages = messages(&Topics::of("k"), "K \"x\"");
        let parsed: Vec<Value> = messages
            .iter()
            .map(|(_, text)| serde_json::from_str(text).expect("JSON"))
            .collect();
        let mut ids: Vec<&str> = parsed
            .iter()
            .filter_map(|thing| thing["unique_id"].as_str())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3);
        for thing in &parsed {
            assert_eq!(thing["state_topic"], "boxcam/k/state");
            assert_eq!(thing["device"]["name"], "K \"x\"");
            assert_eq!(thing["device"]["identifiers"][0], "boxcam_k");
        }
    }
}
