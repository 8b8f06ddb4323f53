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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant, SystemTime};

    use super::*;
    use crate::detect::Detection;
    use crate::geometry::NormBox;
    use crate::label::{ClassId, Labels};
    use crate::sink::json::to_json;
    use crate::track::StableDetection;
    use crate::zone::ZoneMap;
    use crate::zone_monitor::{FrameTime, ZoneMonitor};

    /// An apple that stands in the zone `table` after it crossed `door` downwards.
    fn counts() -> Arc<ZoneCounts> {
        let zones = ["table=0,0.6;1,0.6;1,1;0,1;settle=0", "empty=0,0;1,0;1,0.1"];
        let zones = zones.iter().map(|text| text.parse().expect("a zone"));
        let line = "door=0,0.5;1,0.5;directions=down,up".parse();
        let line = line.expect("a line");
        let map = ZoneMap::new(zones.collect(), vec![line], false).expect("valid");
        let mut monitor = ZoneMonitor::new(Arc::new(map));
        let labels = Labels::new(vec!["apple".to_owned()]).expect("valid");
        for y_max in [0.4, 0.8] {
            let track = StableDetection {
                track: 1,
                detection: Detection {
                    class: ClassId::new(0),
                    confidence: 0.9,
                    bounding_box: NormBox::new(0.4, 0.6, 0.1, y_max).expect("valid"),
                },
                duration: Duration::ZERO,
                is_stationary: false,
            };
            let frame = FrameTime {
                at: Instant::now(),
                time: SystemTime::UNIX_EPOCH,
            };
            monitor.update(&[track], Vec::new(), frame, &labels);
        }
        monitor.counts()
    }

    #[test]
    fn counts_are_by_name_and_class() {
        let expected = concat!(
            r#"{"zones":{"empty":{"count":0,"classes":{}},"table":{"count":1,"classes":{"apple":1}}},"#,
            r#""lines":{"door":{"down":{"count":1,"classes":{"apple":1}},"up":{"count":0,"classes":{}}}}}"#,
        );
        let fields = ZoneFields::of(&counts());
        assert_eq!(to_json(&fields), expected);
        assert_eq!(to_json(&ZoneFields::of(&ZoneCounts::default())), "{}");
    }

    #[cfg(feature = "mqtt")]
    #[test]
    fn without_things_the_zones_are_empty_and_the_lines_keep_their_counts() {
        let expected = concat!(
            r#"{"zones":{"empty":{"count":0,"classes":{}},"table":{"count":0,"classes":{"apple":0}}},"#,
            r#""lines":{"door":{"down":{"count":1,"classes":{"apple":1}},"up":{"count":0,"classes":{}}}}}"#,
        );
        assert_eq!(
            to_json(&ZoneFields::of(&counts()).without_things()),
            expected
        );
    }
}
