//! Filters over time: the class by smoothed scores with hysteresis, the bounding box by One Euro filters.

use std::f32::consts::TAU;
use std::time::Duration;

use super::settings::TrackSettings;
use crate::geometry::{NormBox, iou};
use crate::label::ClassId;

/// Smooths scores and holds a class until the smoothed score of another has been higher by a margin for a while.
#[derive(Debug)]
pub(super) struct ClassHysteresis {
    /// Smoothed, one for each class; never empty.
    scores: Vec<f32>,
    /// Sum of the weights of the frames in `scores`, so that the first frame weighs no more than others.
    weight: f32,
    class: usize,
    /// The class that scores higher than the held one, and since when on the tracker's clock.
    challenger: Option<(usize, Duration)>,
}

impl ClassHysteresis {
    /// Starts with the scores of a frame: one for each class, at least one.
    pub(super) fn new(scores: &[f32]) -> Self {
        let mut hysteresis = Self {
            scores: scores.to_vec(),
            weight: 1.0,
            class: 0,
            challenger: None,
        };
        hysteresis.set_class_to_top();
        hysteresis
    }

    /// Adds the scores of a frame, `step` after the last.
    pub(super) fn update(&mut self, scores: &[f32], step: Duration, settings: &TrackSettings) {
        let steps = step.as_secs_f32() / settings.score_time_constant.as_secs_f32();
        self.weight = 1.0 + self.weight * (-steps).exp();
        for (smoothed, score) in self.scores.iter_mut().zip(scores) {
            *smoothed += (score - *smoothed) / self.weight;
        }
    }

    /// Changes the class if a challenger has been ahead by the margin for long enough. Returns the previous class.
    pub(super) fn update_class(
        &mut self,
        now: Duration,
        settings: &TrackSettings,
    ) -> Option<ClassId> {
        let top = self.top();
        let margin = self.scores[top] - self.scores[self.class];
        if top == self.class || margin < settings.change_margin {
            self.challenger = None;
            return None;
        }
        let since = match self.challenger {
            Some((challenger, since)) if challenger == top => since,
            _ => now,
        };
        self.challenger = Some((top, since));
        if now.saturating_sub(since) < settings.change_after {
            return None;
        }
        let previous = self.class();
        self.set_class_to_top();
        Some(previous)
    }

    pub(super) fn set_class_to_top(&mut self) {
        self.class = self.top();
        self.challenger = None;
    }

    pub(super) fn class(&self) -> ClassId {
        ClassId::new(self.class)
    }

    /// The smoothed score of the class, in `0..=1`.
    pub(super) fn confidence(&self) -> f32 {
        self.scores[self.class].clamp(0.0, 1.0)
    }

    pub(super) fn class_count(&self) -> usize {
        self.scores.len()
    }

    /// The class with the highest smoothed score, the first of equals.
    fn top(&self) -> usize {
        let scores = self.scores.iter().enumerate();
        let higher = |best: (usize, f32), (class, &score): (usize, &f32)| {
            if score > best.1 { (class, score) } else { best }
        };
        scores.fold((0, f32::MIN), higher).0
    }
}

/// Cutoff of the speed's filter in hertz, as in the paper of the One Euro filter.
const SPEED_CUTOFF: f32 = 1.0;

/// A bounding box whose center and size each pass a One Euro filter (Casiez, Roussel and Vogel, "1€ Filter: A Simple
/// Speed-based Low-pass Filter for Noisy Input in Interactive Systems", CHI 2012). A jump is followed only once the box
/// has stayed away for a while.
#[derive(Debug)]
pub(super) struct SmoothedBox {
    /// Of the center x, center y, width and height.
    filters: [OneEuro; 4],
    smoothed: NormBox,
    /// Time of the last box that was not a jump, on the tracker's clock.
    last_followed: Duration,
}

impl SmoothedBox {
    pub(super) fn new(bounding_box: &NormBox, now: Duration) -> Self {
        Self {
            filters: center_and_size(bounding_box).map(OneEuro::new),
            smoothed: *bounding_box,
            last_followed: now,
        }
    }

    pub(super) fn update(
        &mut self,
        bounding_box: &NormBox,
        now: Duration,
        settings: &TrackSettings,
    ) {
        let step = now.saturating_sub(self.last_followed);
        if step >= settings.jump_after || !self.is_jump(bounding_box, settings) {
            self.follow(bounding_box, now, settings);
        }
    }

    /// Adds a box that is known to be of the same object. Where it has jumped, the smoothed box jumps with it.
    pub(super) fn follow(
        &mut self,
        bounding_box: &NormBox,
        now: Duration,
        settings: &TrackSettings,
    ) {
        if self.is_jump(bounding_box, settings) {
            *self = Self::new(bounding_box, now);
            return;
        }
        let step = now.saturating_sub(self.last_followed);
        self.last_followed = now;
        for (filter, value) in self.filters.iter_mut().zip(center_and_size(bounding_box)) {
            filter.update(value, step.as_secs_f32(), settings);
        }
        let values = self.filters.each_ref().map(|filter| filter.value);
        self.smoothed = from_center_and_size(values).unwrap_or(*bounding_box);
    }

    pub(super) fn smoothed(&self) -> NormBox {
        self.smoothed
    }

    fn is_jump(&self, bounding_box: &NormBox, settings: &TrackSettings) -> bool {
        iou(bounding_box, &self.smoothed) < settings.jump_iou
    }
}

pub(super) fn center_and_size(bounding_box: &NormBox) -> [f32; 4] {
    let [x_min, x_max, y_min, y_max] = bounding_box.corners();
    let center = [(x_min + x_max) / 2.0, (y_min + y_max) / 2.0];
    [center[0], center[1], x_max - x_min, y_max - y_min]
}

/// The part that lies in the picture of the box with this centre, width and height; `None` if a value is not finite.
pub(super) fn from_center_and_size([x, y, width, height]: [f32; 4]) -> Option<NormBox> {
    let (half_width, half_height) = (width / 2.0, height / 2.0);
    NormBox::from_regression([
        x - half_width,
        x + half_width,
        y - half_height,
        y + half_height,
    ])
}

/// A One Euro filter: a low-pass filter whose cutoff increases with the speed of the value.
#[derive(Debug)]
struct OneEuro {
    value: f32,
    /// Smoothed change per second.
    speed: f32,
}

impl OneEuro {
    fn new(value: f32) -> Self {
        Self { value, speed: 0.0 }
    }

    /// Adds a value `step` seconds after the last. A step of 0 is ignored.
    fn update(&mut self, value: f32, step: f32, settings: &TrackSettings) {
        if step <= 0.0 {
            return;
        }
        let speed = (value - self.value) / step;
        self.speed += (speed - self.speed) * smoothing_factor(SPEED_CUTOFF, step);
        let cutoff = settings.min_cutoff + settings.beta * self.speed.abs();
        self.value += (value - self.value) * smoothing_factor(cutoff, step);
    }
}

/// The weight of a new value in a low-pass filter, in `0..1`; `cutoff` in hertz, `step` in seconds.
fn smoothing_factor(cutoff: f32, step: f32) -> f32 {
    let ratio = TAU * cutoff * step;
    ratio / (ratio + 1.0)
}
