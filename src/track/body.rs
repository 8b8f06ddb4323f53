//! What is known of one thing: where it is, what it is, since when.

use std::time::Duration;

use super::held_label::HeldLabel;
use super::settings::TrackSettings;
use super::steady_box::SteadyBox;
use crate::detect::{Detection, Prediction};

/// A thing, there or about to be.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) label: HeldLabel,
    place: SteadyBox,
    /// Its first frame and the last that supported it, on the tracker's clock.
    since: Duration,
    last: Duration,
}

impl Body {
    pub(super) fn new(prediction: &Prediction, now: Duration) -> Self {
        Self {
            label: HeldLabel::new(prediction),
            place: SteadyBox::new(prediction.bounding_box(), now),
            since: now,
            last: now,
        }
    }

    /// Takes in a frame that supports it.
    pub(super) fn see(&mut self, prediction: &Prediction, now: Duration, settings: &TrackSettings) {
        let step = now.saturating_sub(self.last);
        self.label.see(prediction, step, settings);
        self.place.see(prediction.bounding_box(), now, settings);
        self.last = now;
    }

    pub(super) fn classes(&self) -> usize {
        self.label.classes()
    }

    pub(super) fn duration(&self) -> Duration {
        self.last.saturating_sub(self.since)
    }

    pub(super) fn detection(&self) -> Detection {
        Detection {
            class: self.label.class(),
            confidence: self.label.confidence(),
            bounding_box: self.place.smoothed(),
        }
    }
}
