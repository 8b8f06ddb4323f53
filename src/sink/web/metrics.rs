//! The health of the run in the text format of Prometheus, version 0.0.4.

use std::fmt::Display;
use std::time::{Instant, SystemTime};

use super::app_state::AppState;
use crate::health::{CaptureState, Counter, Health, HistogramValues};
use crate::sink::json::rounded;
use crate::zone::Direction;

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A counter: its name, its help text and its value.
type CounterMetric = (&'static str, &'static str, fn(&Health) -> &Counter);

const COUNTERS: [CounterMetric; 19] = [
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
    ("clips_lost", "Clips that could not be written.", |h| {
        &h.clips_lost
    }),
    (
        "collected_lost",
        "Collected pictures that could not be written.",
        |h| &h.collected_lost,
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
    (
        "event_programs_dropped",
        "Events that --on-event did not handle because its program was too slow.",
        |h| &h.event_programs_dropped,
    ),
    (
        "event_programs_failed",
        "Programs of --on-event that failed or were killed.",
        |h| &h.event_programs_failed,
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

/// The response of `/metrics`. It has all metrics from the start, with 0 for what has not happened yet.
pub(super) fn text(app: &AppState) -> String {
    let mut text = MetricsText::default();
    for (name, help, counter) in COUNTERS {
        let value = counter(&app.health).get();
        text.add("counter", &format!("{name}_total"), help, value);
    }
    add_gauges(&mut text, app);
    text.add_histogram(
        "inference_duration_seconds",
        "Duration of the inference of a frame, or of all its inferences with --regions.",
        &app.health.inference_durations.values(),
    );
    text.add_histogram(
        "frame_age_seconds",
        "Time from the capture of a frame to its report.",
        &app.health.frame_ages.values(),
    );
    add_zones(&mut text, app);
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
        "frames_per_second",
        "Inferences per second; 0 before the second one.",
        status.frames_per_second.unwrap_or(0.0),
    );
    text.add(
        "gauge",
        "last_inference_timestamp_seconds",
        "When the last inference has ended, in Unix time; 0 before the first one.",
        status.last_inference.map_or(0.0, unix_time),
    );
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

/// The Unix time of an instant in seconds, to the millisecond.
fn unix_time(at: Instant) -> f64 {
    // The system clock may have been set since then, so the elapsed time counts.
    let time = SystemTime::now().checked_sub(at.elapsed());
    let since_epoch = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    rounded(since_epoch.unwrap_or_default().as_secs_f64(), 3)
}

fn add_zones(text: &mut MetricsText, app: &AppState) {
    let counts = app.zones();
    text.add_header(
        "gauge",
        "zone_things",
        "Things that are in a zone, by class.",
    );
    for (zone, present) in counts.zones() {
        for (class, count) in app.counted(zone.classes(), present) {
            let labels = [("zone", zone.name()), ("class", class.as_str())];
            text.add_value("zone_things", &labels, count);
        }
    }
    let help = "Things that have crossed a line, by direction and class.";
    text.add_header("counter", "line_crossings_total", help);
    for (line, crossed) in counts.lines() {
        for direction in Direction::ALL {
            for (class, count) in app.counted(line.classes(), &crossed[direction.index()]) {
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

    fn add_histogram(&mut self, name: &str, help: &str, values: &HistogramValues) {
        self.add_header("histogram", name, help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in &values.buckets {
            self.add_value(&bucket, &[("le", &bound.to_string())], count);
        }
        self.add_value(&bucket, &[("le", "+Inf")], values.count);
        self.add_value(&format!("{name}_sum"), &[], values.sum);
        self.add_value(&format!("{name}_count"), &[], values.count);
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
