//! What is there now, as the broker is told.

use serde::Serialize;

use crate::health::CaptureState;
use crate::report::Report;
use crate::sink::presence::Presence;

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
        match Presence::of(report) {
            None => Self {
                capture,
                ..Self::default()
            },
            Some(presence) => Self {
                present: true,
                class: presence.class,
                confidence: Some(presence.confidence),
                track: presence.track,
                capture,
            },
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
