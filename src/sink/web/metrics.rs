//! The health of the run in the text format of Prometheus, version 0.0.4.

use std::fmt::Display;

use super::app_state::AppState;
use crate::health::{CaptureState, Counter, Health};
use crate::zone::Direction;
use crate::zone_monitor::ZoneCounts;

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A counter: its name, its help text and its value.
type CounterMetric = (&'static str, &'static str, fn(&Health) -> &Counter);

const COUNTERS: [CounterMetric; 15] = [
    ("frames_captured", "Frames from the source.", |h| {
        &h.captured
    }),
    ("frames_inferred", "Frames processed by the model.", |h| {
        &h.inferred
    }),
    (
        "inferences",
        "Inferences, several for a frame with --regions.",
        |h| &h.inferences,
    ),
    (
        "frames_dropped",
        "Frames dropped because the model was busy.",
        |h| &h.dropped,
    ),
    (
        "frames_still",
        "Frames not computed because nothing had moved.",
        |h| &h.still,
    ),
    (
        "frames_held_back",
        "Frames not computed because the rate is limited.",
        |h| &h.held_back,
    ),
    (
        "frames_broken",
        "Pictures and frames that could not be read.",
        |h| &h.broken,
    ),
    ("source_reopened", "Times the source was reopened.", |h| {
        &h.reopened
    }),
    ("things_appeared", "Tracks started.", |h| &h.appeared),
    (
        "log_lines_lost",
        "Log lines that could not be written.",
        |h| &h.lines_lost,
    ),
    (
        "snapshots_lost",
        "Snapshots that could not be written.",
        |h| &h.snapshots_lost,
    ),
    (
        "reports_lost",
        "Reports dropped because an output was too slow.",
        |h| &h.reports_lost,
    ),
    (
        "mqtt_events_lost",
        "Events that did not reach the MQTT broker.",
        |h| &h.events_lost,
    ),
    ("models_swapped", "Models loaded while running.", |h| {
        &h.models_swapped
    }),
    (
        "models_refused",
        "Changed model files that failed their checks.",
        |h| &h.models_refused,
    ),
];

/// The response of `/metrics`.
pub(super) fn text(app: &AppState) -> String {
    let mut text = MetricsText::default();
    for (name, help, counter) in COUNTERS {
        let value = counter(&app.health).get();
        text.add("counter", &format!("{name}_total"), help, value);
    }
    add_gauges(&mut text, app);
    add_zones(&mut text, &app.zones());
    text.0
}

fn add_gauges(text: &mut MetricsText, app: &AppState) {
    let status = app.health.status();
    text.add_header(
        "gauge",
        "capture_state",
        "The capture state: 1 for the current one, 0 for the others.",
    );
    for state in CaptureState::ALL {
        let is_current = u8::from(state == status.state);
        text.add_value("capture_state", &[("state", state.name())], is_current);
    }
    text.add_header("gauge", "things", "Things that are present, by class.");
    for (class, count) in app.counts() {
        text.add_value("things", &[("class", &class)], count);
    }
    let (healthy, _) = app.healthz();
    text.add(
        "gauge",
        "healthy",
        "1 if /healthz succeeds.",
        u8::from(healthy),
    );
    text.add(
        "gauge",
        "inference_seconds",
        "Duration of the last inference.",
        status.inference.as_secs_f64(),
    );
    text.add(
        "gauge",
        "frame_age_seconds",
        "Age of the last frame when its report was made.",
        status.frame_age.as_secs_f64(),
    );
    // An unknown value has no sample: 0 would be misread as a measurement.
    if let Some(rate) = status.frames_per_second {
        text.add("gauge", "frames_per_second", "Inferences per second.", rate);
    }
    if let Some(last) = status.last_inference {
        text.add(
            "gauge",
            "last_frame_seconds",
            "Time since the last inference.",
            last.elapsed().as_secs_f64(),
        );
    }
    text.add(
        "gauge",
        "web_clients",
        "Viewers of the live picture.",
        app.viewers(),
    );
    text.add_header(
        "gauge",
        "info",
        "Always 1; the labels identify the program.",
    );
    let labels = [
        ("camera", app.settings.name.as_str()),
        ("model", status.model.as_str()),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    text.add_value("info", &labels, 1);
}

fn add_zones(text: &mut MetricsText, counts: &ZoneCounts) {
    if counts.zones().len() > 0 {
        text.add_header(
            "gauge",
            "zone_things",
            "Things that are in a zone, by class.",
        );
    }
    for (zone, present) in counts.zones() {
        for (class, count) in present {
            let labels = [("zone", zone.name()), ("class", class.as_str())];
            text.add_value("zone_things", &labels, count);
        }
    }
    if counts.lines().len() > 0 {
        let help = "Things that have crossed a line, by direction and class.";
        text.add_header("counter", "line_crossings_total", help);
    }
    for (line, crossed) in counts.lines() {
        for direction in Direction::ALL {
            for (class, count) in &crossed[direction.index()] {
                let labels = [
                    ("line", line.name()),
                    ("direction", line.direction_name(direction)),
                    ("class", class.as_str()),
                ];
                text.add_value("line_crossings_total", &labels, count);
            }
        }
    }
}

#[derive(Default)]
struct MetricsText(String);

impl MetricsText {
    /// Adds a metric without labels.
    fn add(&mut self, kind: &str, name: &str, help: &str, value: impl Display) {
        self.add_header(kind, name, help);
        self.add_value(name, &[], value);
    }

    fn add_header(&mut self, kind: &str, name: &str, help: &str) {
        let header = format!("# HELP boxcam_{name} {help}\n# TYPE boxcam_{name} {kind}\n");
        self.0.push_str(&header);
    }

    fn add_value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = match labels.as_slice() {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        self.0.push_str(&format!("boxcam_{name}{labels} {value}\n"));
    }
}

/// Escapes the value of a label.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let mut text = MetricsText::default();
        text.add_value("info", &[("camera", "a \"b\"\\\nc"), ("n", "1")], 1.5);
        let expected = "boxcam_info{camera=\"a \\\"b\\\"\\\\\\nc\",n=\"1\"} 1.5\n";
        assert_eq!(text.0, expected);
    }
}
