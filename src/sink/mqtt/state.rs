//! What is there now, as the broker is told.

use serde::Serialize;

use crate::health::CaptureState;
use crate::report::Report;

/// What stands for no class.
const NOTHING: &str = "nothing";

/// What is there now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct State {
    /// Whether anything is; a class of a model may be called `nothing`.
    present: bool,
    class: String,
    confidence: Option<f64>,
    track: Option<u64>,
    capture: &'static str,
}

impl Default for State {
    fn default() -> Self {
        Self {
            present: false,
            class: NOTHING.to_owned(),
            confidence: None,
            track: None,
            capture: CaptureState::default().name(),
        }
    }
}

impl State {
    /// What a report says is there.
    pub(super) fn of(report: &Report) -> Self {
        let capture = report.capture.name();
        let Some(shown) = report.shown() else {
            return Self {
                capture,
                ..Self::default()
            };
        };
        let steady = report.stable.filter(|_| report.is_tracked);
        Self {
            present: true,
            class: report.labels.name(shown.class).unwrap_or("?").to_owned(),
            confidence: Some((f64::from(shown.confidence) * 100.0).round() / 100.0),
            track: steady.map(|steady| steady.track),
            capture,
        }
    }

    /// The same with capture at something else.
    pub(super) fn with_capture(&self, capture: CaptureState) -> Self {
        Self {
            capture: capture.name(),
            ..self.clone()
        }
    }

    /// Whether the two differ in their confidence at most.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let without = |state: &Self| Self {
            confidence: None,
            ..state.clone()
        };
        without(self) == without(other)
    }

    pub(super) fn to_json(&self) -> String {
        // Names and numbers only: there is nothing that JSON can't hold.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_differ_in_confidence_are_alike() {
        let apple = |confidence, track| State {
            present: true,
            class: "apple".to_owned(),
            confidence: Some(confidence),
            track: Some(track),
            capture: "live",
        };
        assert!(apple(0.5, 1).is_like(&apple(0.75, 1)));
        assert!(!apple(0.5, 1).is_like(&apple(0.5, 2)));
        assert!(!apple(0.5, 1).is_like(&State::default()));
        let expected =
            r#"{"present":true,"class":"apple","confidence":0.5,"track":1,"capture":"live"}"#;
        assert_eq!(apple(0.5, 1).to_json(), expected);
        let nothing = r#"{"present":false,"class":"nothing","confidence":null,"track":null,"capture":"starting"}"#;
        assert_eq!(State::default().to_json(), nothing);
    }
}
