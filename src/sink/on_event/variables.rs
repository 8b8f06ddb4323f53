//! The variables that a program gets.
//!
//! | variable | value |
//! | --- | --- |
//! | `BOXCAM_EVENT` | `appeared`, `changed`, `left`, `entered`, `left_zone`, `loitering` or `crossed` |
//! | `BOXCAM_CLASS`, `BOXCAM_LABEL` | the class; its alias, or the class if it has none |
//! | `BOXCAM_CONFIDENCE` | 0 to 1 |
//! | `BOXCAM_COUNT` | the number of visible tracks of the class after the event |
//! | `BOXCAM_TRACK`, `BOXCAM_ID` | the track, in this run and in all runs |
//! | `BOXCAM_TIME` | RFC 3339 in UTC |
//! | `BOXCAM_CAMERA` | the name of the camera |
//! | `BOXCAM_FROM` | `changed`: the former class |
//! | `BOXCAM_DURATION` | `changed`, `left`: the age of the track in seconds; `left_zone`, `loitering`: the time in the zone |
//! | `BOXCAM_ZONE` | the zone of `entered`, `left_zone` and `loitering` |
//! | `BOXCAM_LINE`, `BOXCAM_DIRECTION` | `crossed` |
//! | `BOXCAM_CLIP` | if clips are saved: the name of the file that shows the event, once it is complete |

use crate::report::Report;
use crate::sink::json::{rfc3339, rounded};
use crate::track::{Event, EventKind};

/// The variables of an event, without those that do not apply to it.
pub(super) fn of(event: &Event, report: &Report, camera: &str) -> Vec<(&'static str, String)> {
    let map = report.zones.map();
    let class = report.class_name(event.detection.class);
    let label = report.alias(event.detection.class).unwrap_or(class);
    let count = report.counts().get(class).copied().unwrap_or(0);
    let seconds = rounded(event.duration.as_secs_f64(), 3).to_string();
    let place = event.kind.place(map).unwrap_or_default().to_owned();
    let mut variables = vec![
        ("BOXCAM_EVENT", event.kind.name().to_owned()),
        ("BOXCAM_CLASS", class.to_owned()),
        ("BOXCAM_LABEL", label.to_owned()),
        (
            "BOXCAM_CONFIDENCE",
            rounded(f64::from(event.detection.confidence), 4).to_string(),
        ),
        ("BOXCAM_COUNT", count.to_string()),
        ("BOXCAM_TRACK", event.track.to_string()),
        ("BOXCAM_ID", report.event_id(event.track)),
        ("BOXCAM_TIME", rfc3339(event.time)),
        ("BOXCAM_CAMERA", camera.to_owned()),
    ];
    if let Some(clip) = &report.clip {
        variables.push(("BOXCAM_CLIP", clip.to_string()));
    }
    match event.kind {
        EventKind::Appeared => {}
        EventKind::Changed { from } => {
            variables.push(("BOXCAM_FROM", report.class_name(from).to_owned()));
            variables.push(("BOXCAM_DURATION", seconds));
        }
        EventKind::Left => variables.push(("BOXCAM_DURATION", seconds)),
        EventKind::Entered { .. } => variables.push(("BOXCAM_ZONE", place)),
        EventKind::LeftZone { .. } | EventKind::Loitering { .. } => {
            variables.push(("BOXCAM_ZONE", place));
            variables.push(("BOXCAM_DURATION", seconds));
        }
        EventKind::Crossed { line, direction } => {
            let name = map.line(line).map(|line| line.direction_name(direction));
            variables.push(("BOXCAM_LINE", place));
            variables.push(("BOXCAM_DIRECTION", name.unwrap_or_default().to_owned()));
        }
    }
    for (_, value) in &mut variables {
        // No variable can have one.
        value.retain(|c| c != '\0');
    }
    variables
}
