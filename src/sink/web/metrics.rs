//! How the run is doing, in the text format of Prometheus, version 0.0.4.

use std::fmt::Display;

use super::board::Board;
use crate::health::{CaptureState, Counter, Health};

/// The type of the answer.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A counter: its name, what it counts, where it stands.
type Count = (&'static str, &'static str, fn(&Health) -> &Counter);

const COUNTERS: [Count; 12] = [
    ("frames_captured", "Frames that the source gave.", |h| {
        &h.captured
    }),
    (
        "frames_inferred",
        "Frames that went through the model.",
        |h| &h.inferred,
    ),
    ("frames_dropped", "Frames that nobody had time for.", |h| {
        &h.dropped
    }),
    (
        "frames_broken",
        "Pictures and frames that could not be read.",
        |h| &h.broken,
    ),
    (
        "source_reopened",
        "Times that the source was opened again.",
        |h| &h.reopened,
    ),
    ("things_appeared", "Things that appeared.", |h| &h.appeared),
    (
        "log_lines_lost",
        "Lines of the log that could not be written.",
        |h| &h.lines_lost,
    ),
    (
        "snapshots_lost",
        "Snapshots that could not be written.",
        |h| &h.snapshots_lost,
    ),
    (
        "reports_lost",
        "Reports that a sink was too slow to take.",
        |h| &h.reports_lost,
    ),
    (
        "mqtt_events_lost",
        "Events that never reached the MQTT broker.",
        |h| &h.events_lost,
    ),
    (
        "models_swapped",
        "Models that were taken in while running.",
        |h| &h.models_swapped,
    ),
    (
        "models_refused",
        "Changed model files that were refused.",
        |h| &h.models_refused,
    ),
];

/// All metrics.
pub(super) fn text(board: &Board) -> String {
    let mut page = Page::default();
    for (name, help, counter) in COUNTERS {
        page.plain(
            "counter",
            &format!("{name}_total"),
            help,
            counter(&board.health).get(),
        );
    }
    gauges(&mut page, board);
    page.0
}

fn gauges(page: &mut Page, board: &Board) {
    let now = board.health.status();
    page.head(
        "gauge",
        "capture_state",
        "What capture is at: 1 for the state that it is in.",
    );
    for state in CaptureState::ALL {
        let is_it = u8::from(state == now.state);
        page.value("capture_state", &[("state", state.name())], is_it);
    }
    let (healthy, _) = board.healthz();
    let healthy = u8::from(healthy);
    page.plain(
        "gauge",
        "healthy",
        "1 while /healthz says that all is well.",
        healthy,
    );
    let inference = now.inference.as_secs_f64();
    page.plain(
        "gauge",
        "inference_seconds",
        "Time that the network took for the last frame.",
        inference,
    );
    let age = now.frame_age.as_secs_f64();
    page.plain(
        "gauge",
        "frame_age_seconds",
        "Age of the last frame when it was told of.",
        age,
    );
    // Before there is a number there is no sample: 0 would be taken for one.
    if let Some(rate) = now.frames_per_second {
        page.plain(
            "gauge",
            "frames_per_second",
            "Frames a second that go through the model.",
            rate,
        );
    }
    if let Some(last) = now.last_inference {
        let since = last.elapsed().as_secs_f64();
        page.plain(
            "gauge",
            "last_frame_seconds",
            "Time since a frame went through the model.",
            since,
        );
    }
    page.plain(
        "gauge",
        "web_clients",
        "Live pictures that are served.",
        board.clients(),
    );
    page.head("gauge", "info", "Always 1; the labels tell what runs.");
    let labels = [
        ("camera", board.settings.name.as_str()),
        ("model", now.model.as_str()),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    page.value("info", &labels, 1);
}

/// The text so far.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, kind: &str, name: &str, help: &str) {
        let head = format!("# HELP boxcam_{name} {help}\n# TYPE boxcam_{name} {kind}\n");
        self.0.push_str(&head);
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
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

    /// A metric without labels.
    fn plain(&mut self, kind: &str, name: &str, help: &str, value: impl Display) {
        self.head(kind, name, help);
        self.value(name, &[], value);
    }
}

/// A label's value as it stands between quotes.
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
        let mut page = Page::default();
        page.value("info", &[("camera", "a \"b\"\\\nc"), ("n", "1")], 1.5);
        let expected = "boxcam_info{camera=\"a \\\"b\\\"\\\\\\nc\",n=\"1\"} 1.5\n";
        assert_eq!(page.0, expected);
    }
}
