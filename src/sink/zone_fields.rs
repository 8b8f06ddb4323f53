//! The counts of zones and lines as JSON: the same for MQTT and the web page.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::zone::Direction;
use crate::zone_monitor::{ClassCounts, ZoneCounts};

/// The fields `zones` and `lines`, by name; each is left out if there are none.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct ZoneFields {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    zones: BTreeMap<String, CountFields>,
    /// By the names of the directions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    lines: BTreeMap<String, BTreeMap<String, CountFields>>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct CountFields {
    count: u64,
    classes: ClassCounts,
}

impl ZoneFields {
    pub(super) fn of(counts: &ZoneCounts) -> Self {
        let zones = counts.zones().map(|(zone, present)| {
            let name = zone.name().to_owned();
            (name, CountFields::of(present))
        });
        let lines = counts.lines().map(|(line, crossed)| {
            let directions = Direction::ALL.map(|direction| {
                let name = line.direction_name(direction).to_owned();
                (name, CountFields::of(&crossed[direction.index()]))
            });
            (line.name().to_owned(), directions.into())
        });
        Self {
            zones: zones.collect(),
            lines: lines.collect(),
        }
    }

    /// The same zones with nothing in them. What crossed the lines stays.
    #[cfg(feature = "mqtt")]
    pub(super) fn without_things(mut self) -> Self {
        for zone in self.zones.values_mut() {
            zone.count = 0;
            for count in zone.classes.values_mut() {
                *count = 0;
            }
        }
        self
    }
}

impl CountFields {
    fn of(classes: &ClassCounts) -> Self {
        Self {
            count: classes.values().sum(),
            classes: classes.clone(),
        }
    }
}
