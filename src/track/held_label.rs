//! The class of a thing, held against frames that say otherwise for a moment.
//!
//! In go the scores of frames, smoothed in time; the class changes when another one's smoothed score has
//! been higher by a margin for a while.

use std::time::Duration;

use super::settings::TrackSettings;
use crate::detect::Prediction;
use crate::label::ClassId;

/// Smoothed scores and the class that is held.
#[derive(Debug)]
pub(super) struct HeldLabel {
    /// One a class; never empty.
    scores: Vec<f32>,
    /// Frames in the mean, each counting for less the older it is; the first counts no more than others.
    weight: f32,
    held: usize,
    /// A class that scores higher, and since when, on the tracker's clock.
    rival: Option<(usize, Duration)>,
}

impl HeldLabel {
    pub(super) fn new(prediction: &Prediction) -> Self {
        Self {
            scores: prediction.scores().to_vec(),
            weight: 1.0,
            held: prediction.top().0.index(),
            rival: None,
        }
    }

    /// Takes in the scores of a frame `step` after the last.
    pub(super) fn see(
        &mut self,
        prediction: &Prediction,
        step: Duration,
        settings: &TrackSettings,
    ) {
        let memory = settings.label_memory.as_secs_f32();
        self.weight = 1.0 + self.weight * (-step.as_secs_f32() / memory).exp();
        for (smoothed, score) in self.scores.iter_mut().zip(prediction.scores()) {
            *smoothed += (score - *smoothed) / self.weight;
        }
    }

    /// Lets the class that is above by a margin for long enough take over; gives the class before.
    pub(super) fn contest(&mut self, now: Duration, settings: &TrackSettings) -> Option<ClassId> {
        let top = self.top();
        let margin = self.scores[top] - self.scores[self.held];
        if top == self.held || margin < settings.change_margin {
            self.rival = None;
            return None;
        }
        let since = match self.rival {
            Some((rival, since)) if rival == top => since,
            _ => now,
        };
        self.rival = Some((top, since));
        if now.saturating_sub(since) < settings.change_after {
            return None;
        }
        let from = self.class();
        self.take_top();
        Some(from)
    }

    /// Holds the class with the highest smoothed score from now on.
    pub(super) fn take_top(&mut self) {
        self.held = self.top();
        self.rival = None;
    }

    pub(super) fn class(&self) -> ClassId {
        ClassId::new(self.held)
    }

    /// The smoothed score of the class that is held, in `0..=1`.
    pub(super) fn confidence(&self) -> f32 {
        self.scores[self.held].clamp(0.0, 1.0)
    }

    pub(super) fn classes(&self) -> usize {
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
