//! Topics: where messages stand at the broker.

/// What is told when the connection stands.
pub(super) const ONLINE: &str = "online";
/// What is told when it ends, by us or by the broker.
pub(super) const OFFLINE: &str = "offline";

/// Where Home Assistant tells that it has started.
pub(super) const HOME_STATUS: &str = "homeassistant/status";

/// Characters of a name that are kept at most.
const LONGEST: usize = 64;

/// The topics of one camera.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    /// The camera's name as far as it can stand in a topic.
    id: String,
}

impl Topics {
    /// Topics for a camera of that name. What can't stand in a topic, or not in Home Assistant's, becomes `_`.
    pub(super) fn of(name: &str) -> Self {
        let safe = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        };
        let id: String = name.trim().chars().take(LONGEST).map(safe).collect();
        let is_empty = id.chars().all(|c| c == '_');
        Self {
            id: if is_empty { "camera".to_owned() } else { id },
        }
    }

    /// What this program is to the broker, and the start of the ids of what Home Assistant makes of it.
    pub(super) fn client(&self) -> String {
        format!("boxcam_{}", self.id)
    }

    /// `online` or `offline`.
    pub(super) fn status(&self) -> String {
        self.topic("status")
    }

    /// What is there.
    pub(super) fn state(&self) -> String {
        self.topic("state")
    }

    /// What happened.
    pub(super) fn event(&self) -> String {
        self.topic("event")
    }

    /// Where Home Assistant looks for one of our things.
    pub(super) fn discovery(&self, component: &str, thing: &str) -> String {
        format!("homeassistant/{component}/{}/{thing}/config", self.client())
    }

    fn topic(&self, last: &str) -> String {
        format!("boxcam/{}/{last}", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_something_that_can_stand_in_a_topic() {
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
        assert_eq!(long.client().len(), "boxcam_".len() + LONGEST);
        let discovery = Topics::of("a b").discovery("sensor", "class");
        assert_eq!(discovery, "homeassistant/sensor/boxcam_a_b/class/config");
    }
}
