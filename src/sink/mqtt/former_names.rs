//! Finds what this run published under former names, so that it can be removed from the broker.
//!
//! Each run retains its instance ID under its name. After the first connection, the retained IDs and states of all
//! cameras are received once. A name is a former one of this run if it has the same instance ID and is offline.

use std::collections::BTreeSet;

use super::discovery::{OFFLINE, Topics};

/// The retained messages to receive.
pub(super) const FILTERS: [&str; 2] = ["boxcam/+/status", "boxcam/+/instance"];

/// Maximum number of names to remember of each kind.
const MAX_NAMES: usize = 4096;

#[derive(Debug)]
pub(super) struct FormerNames {
    own_id: String,
    instance: String,
    /// IDs with the same instance ID.
    same_instance: BTreeSet<String>,
    offline: BTreeSet<String>,
}

impl FormerNames {
    pub(super) fn new(topics: &Topics, instance: &str) -> Self {
        Self {
            own_id: topics.id().to_owned(),
            instance: instance.to_owned(),
            same_instance: BTreeSet::new(),
            offline: BTreeSet::new(),
        }
    }

    /// Takes a message of [`FILTERS`]. When the run's own instance ID comes back from the broker, all retained messages
    /// have arrived; then it returns the topics of the former names.
    pub(super) fn on_message(
        &mut self,
        topic: &str,
        payload: &[u8],
        is_retained: bool,
    ) -> Option<Vec<Topics>> {
        let (id, kind) = topic.strip_prefix("boxcam/")?.split_once('/')?;
        if !is_retained {
            // Another run that ends now keeps its entries.
            let is_own = kind == "instance" && id == self.own_id;
            return is_own.then(|| self.found());
        }
        let names = match kind {
            "instance" if payload == self.instance.as_bytes() => &mut self.same_instance,
            "status" if payload == OFFLINE.as_bytes() => &mut self.offline,
            _ => return None,
        };
        if names.len() < MAX_NAMES {
            names.insert(id.to_owned());
        }
        None
    }

    fn found(&self) -> Vec<Topics> {
        let names = self.same_instance.intersection(&self.offline);
        let former = names.filter(|id| **id != self.own_id);
        former.map(|id| Topics::with_id(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(messages: &[(&str, &str, bool)]) -> Option<Vec<String>> {
        let mut names = FormerNames::new(&Topics::of("new"), "f00d");
        let results = messages.iter().map(|(topic, payload, is_retained)| {
            names.on_message(topic, payload.as_bytes(), *is_retained)
        });
        let topics = results.flatten().next()?;
        Some(topics.iter().map(|topics| topics.id().to_owned()).collect())
    }

    const END: (&str, &str, bool) = ("boxcam/new/instance", "f00d", false);

    #[test]
    fn only_offline_names_of_the_same_instance_are_found() {
        let messages = [
            ("boxcam/old/instance", "f00d", true),
            ("boxcam/old/status", "offline", true),
            ("boxcam/older/status", "offline", true),
            ("boxcam/older/instance", "f00d", true),
            ("boxcam/new/instance", "f00d", true),
            ("boxcam/new/status", "offline", true),
            ("boxcam/other_board/instance", "beef", true),
            ("boxcam/other_board/status", "offline", true),
            ("boxcam/running/instance", "f00d", true),
            ("boxcam/running/status", "online", true),
            ("boxcam/no_instance/status", "offline", true),
            ("boxcam/no_status/instance", "f00d", true),
            END,
        ];
        let expected = Some(vec!["old".to_owned(), "older".to_owned()]);
        assert_eq!(found(&messages), expected);
        assert_eq!(found(&messages[..messages.len() - 1]), None);
    }

    #[test]
    fn a_camera_that_goes_offline_meanwhile_is_kept() {
        let messages = [
            ("boxcam/sibling/instance", "f00d", true),
            ("boxcam/sibling/status", "online", true),
            ("boxcam/sibling/status", "offline", false),
            END,
        ];
        assert_eq!(found(&messages), Some(Vec::new()));
    }
}
