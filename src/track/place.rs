//! Where an object was at some time, to tell whether it moves.

use std::time::Duration;

use crate::geometry::{NormBox, iou};

/// An object is at the same place while the IoU with the box that it had there is at least this.
const SAME_PLACE_IOU: f32 = 0.6;

#[derive(Debug)]
pub(super) struct Place {
    bounding_box: NormBox,
    since: Duration,
}

impl Place {
    pub(super) const fn new(bounding_box: NormBox, now: Duration) -> Self {
        Self {
            bounding_box,
            since: now,
        }
    }

    /// Adds a smoothed box.
    pub(super) fn update(&mut self, bounding_box: NormBox, now: Duration) {
        if iou(&bounding_box, &self.bounding_box) < SAME_PLACE_IOU {
            *self = Self::new(bounding_box, now);
        }
    }

    /// How long the object has been here at `now`.
    pub(super) fn duration(&self, now: Duration) -> Duration {
        now.saturating_sub(self.since)
    }
}
