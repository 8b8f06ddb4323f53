//! The entities of a zone in Home Assistant: a binary sensor that is on while something is in it, and the number of things.
//!
//! Home Assistant keeps an entity that the message of the device no longer has. It removes one of which the message has the
//! platform alone. So a camera keeps a list of its zones at the broker ([`list`]), and removes those that it no longer has.

use serde_json::{Map, Value, json};

use super::class_sensor::capitalized;
use super::{MAX_ID_LENGTH, entity_of};

/// What comes before the name of a zone in the names of its entities.
const PREFIX: &str = "zone";

/// The longest ID of a zone in a list, with prefix and hash.
const MAX_LENGTH: usize = MAX_ID_LENGTH + 20;

/// The most zones of a list that are removed.
const MAX_ZONES: usize = 1000;

/// The entities of a zone: platform and last part of the name.
const ENTITIES: [(&str, &str); 2] = [("binary_sensor", "occupancy"), ("sensor", "count")];

/// The ID of a zone: no entity of a class begins with it, and different zones have different ones.
pub(in crate::sink::mqtt) fn zone_id(zone: &str) -> String {
    entity_of(PREFIX, zone)
}

/// Platform, name and fields of each entity of a zone.
pub(super) fn entities(zone: &str) -> [(&'static str, String, Value); 2] {
    // A JSON string is one of Jinja, too. There are no zones before the first frame.
    let counts = format!(
        "(value_json.zones | default({{}})).get({}, {{}})",
        Value::from(zone)
    );
    let (id, name) = (zone_id(zone), capitalized(zone));
    ENTITIES.map(|(platform, kind)| {
        let fields = match platform {
            "sensor" => json!({
                "name": format!("{name} count"),
                "icon": "mdi:counter",
                "state_class": "measurement",
                "value_template": format!("{{{{ {counts}.get('count', 0) }}}}"),
                "json_attributes_template": format!("{{{{ {counts}.get('classes', {{}}) | tojson }}}}"),
            }),
            _ => json!({
                "name": format!("{name} occupancy"),
                "device_class": "occupancy",
                "value_template": format!("{{{{ 'ON' if {counts}.get('count', 0) > 0 else 'OFF' }}}}"),
            }),
        };
        (platform, format!("{id}_{kind}"), fields)
    })
}

/// The components that remove the entities of the zone with this ID.
pub(super) fn removal(id: &str) -> Map<String, Value> {
    let removed =
        |(platform, kind): (&str, &str)| (format!("{id}_{kind}"), json!({ "platform": platform }));
    ENTITIES.map(removed).into_iter().collect()
}

/// The IDs of zones as a JSON array; empty if there are none, which removes the message.
pub(in crate::sink::mqtt) fn list(zones: &[String]) -> String {
    if zones.is_empty() {
        return String::new();
    }
    let ids = zones.iter().map(|zone| zone_id(zone));
    Value::from_iter(ids).to_string()
}

/// The IDs of a [`list`]. A broker could send anything else, too.
pub(in crate::sink::mqtt) fn listed(payload: &[u8]) -> Vec<String> {
    let ids: Vec<String> = serde_json::from_slice(payload).unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let is_id = |id: &String| {
        let name = id.strip_prefix(PREFIX).and_then(|id| id.strip_prefix('_'));
        name.is_some() && id.len() <= MAX_LENGTH && id.chars().all(is_plain)
    };
    ids.into_iter().filter(is_id).take(MAX_ZONES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_has_an_occupancy_and_a_count() {
        let [
            (platform, name, occupancy),
            (count_platform, count_name, count),
        ] = entities("front door");
        assert_eq!(
            (platform, &*name),
            ("binary_sensor", "zone_front_door_occupancy")
        );
        assert_eq!(
            (count_platform, &*count_name),
            ("sensor", "zone_front_door_count")
        );
        assert_eq!(occupancy["name"], "Front door occupancy");
        assert_eq!(count["name"], "Front door count");
        let counts = r#"(value_json.zones | default({})).get("front door", {})"#;
        let expected = format!("{{{{ {counts}.get('count', 0) }}}}");
        assert_eq!(count["value_template"], expected);
        let expected = format!("{{{{ 'ON' if {counts}.get('count', 0) > 0 else 'OFF' }}}}");
        assert_eq!(occupancy["value_template"], expected);
    }

    #[test]
    fn zones_are_removed_by_their_platforms_alone() {
        let removed = Value::from(removal("zone_table"));
        let expected = json!({
            "zone_table_count": { "platform": "sensor" },
            "zone_table_occupancy": { "platform": "binary_sensor" },
        });
        assert_eq!(removed, expected);
    }

    #[test]
    fn a_list_has_the_ids_of_all_zones_and_nothing_else_is_taken() {
        let zones = ["table", "T\u{fc}r", "a.b", &"x".repeat(200)].map(str::to_owned);
        let ids = listed(list(&zones).as_bytes());
        assert_eq!(ids, zones.each_ref().map(|zone| zone_id(zone)));
        assert_eq!(ids[0], "zone_table");
        assert_eq!(list(&[]), "");
        let foreign = [
            "",
            "{}",
            "[1]",
            r#"["count"]"#,
            r#"["zone"]"#,
            r#"["zone_a/b"]"#,
            r#"["zone_{{ 1 }}"]"#,
            &format!(r#"["zone_{}"]"#, "x".repeat(100)),
        ];
        for payload in foreign {
            assert_eq!(listed(payload.as_bytes()), [""; 0], "{payload}");
        }
    }
}
