//! A box smoothed in time: calm while it stands still, quick while it moves.
//!
//! In go boxes with their moments, out comes one that follows them. Centre and size each go through a One
//! Euro filter (Casiez, Roussel and Vogel, "1€ Filter: A Simple Speed-based Low-pass Filter for Noisy Input
//! in Interactive Systems", CHI 2012). A box that jumps is not followed until it has stayed there.

use std::f32::consts::TAU;
use std::time::Duration;

use super::settings::TrackSettings;
use crate::geometry::{NormBox, iou};

/// Cutoff of the filter of the speed, in hertz, as in the paper.
const SPEED_CUTOFF: f32 = 1.0;

/// A smoothed box.
#[derive(Debug)]
pub(super) struct SteadyBox {
    /// Of the centre's place and the size, each across and down.
    filters: [OneEuro; 4],
    smoothed: NormBox,
    /// The last frame whose box was where the smoothed one is, on the tracker's clock.
    followed: Duration,
}

impl SteadyBox {
    pub(super) fn new(seen: &NormBox, now: Duration) -> Self {
        Self {
            filters: centre_and_size(seen).map(OneEuro::new),
            smoothed: *seen,
            followed: now,
        }
    }

    /// Takes in the box of a frame.
    pub(super) fn see(&mut self, seen: &NormBox, now: Duration, settings: &TrackSettings) {
        let away = now.saturating_sub(self.followed);
        if iou(seen, &self.smoothed) < settings.jump_iou {
            if away >= settings.jump_after {
                *self = Self::new(seen, now);
            }
            return;
        }
        self.followed = now;
        for (filter, value) in self.filters.iter_mut().zip(centre_and_size(seen)) {
            filter.see(value, away.as_secs_f32(), settings);
        }
        let [x, y, width, height] = self.filters.each_ref().map(|filter| filter.value);
        let (across, down) = (width / 2.0, height / 2.0);
        let corners = [x - across, x + across, y - down, y + down];
        self.smoothed = NormBox::from_regression(corners).unwrap_or(*seen);
    }

    pub(super) fn smoothed(&self) -> NormBox {
        self.smoothed
    }
}

fn centre_and_size(bounds: &NormBox) -> [f32; 4] {
    let [x_min, x_max, y_min, y_max] = bounds.corners();
    let centre = [(x_min + x_max) / 2.0, (y_min + y_max) / 2.0];
    [centre[0], centre[1], x_max - x_min, y_max - y_min]
}

/// The filter of one number.
#[derive(Debug)]
struct OneEuro {
    value: f32,
    /// Smoothed change a second.
    speed: f32,
}

impl OneEuro {
    fn new(value: f32) -> Self {
        Self { value, speed: 0.0 }
    }

    /// Takes in a value `step` seconds after the last; one at the same moment is left out.
    fn see(&mut self, value: f32, step: f32, settings: &TrackSettings) {
        if step <= 0.0 {
            return;
        }
        let speed = (value - self.value) / step;
        self.speed += (speed - self.speed) * share(SPEED_CUTOFF, step);
        let cutoff = settings.calm + settings.haste * self.speed.abs();
        self.value += (value - self.value) * share(cutoff, step);
    }
}

/// What a value `step` seconds after the last counts in a low-pass filter, in `0..1`.
fn share(cutoff: f32, step: f32) -> f32 {
    let ratio = TAU * cutoff * step;
    ratio / (ratio + 1.0)
}
