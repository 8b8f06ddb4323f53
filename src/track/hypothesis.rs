//! An object that the multi-object tracker follows: a track, or a candidate that may become one.

use std::time::{Duration, SystemTime};

use super::association::Expected;
use super::filters::{ClassHysteresis, SmoothedBox};
use super::motion::Motion;
use super::place::Place;
use super::{Event, EventKind, StableDetection, TrackSettings};
use crate::detect::{Detection, Scores};
use crate::geometry::NormBox;
use crate::label::ClassId;
use crate::regions::Target;

#[derive(Debug)]
pub(super) struct Hypothesis {
    pub(super) status: Status,
    class: ClassHysteresis,
    motion: Motion,
    bounding_box: SmoothedBox,
    place: Place,
    /// First and last frame that supported it, on the tracker's clock.
    first: Duration,
    last: Duration,
    /// Time since the last frame in which it was looked for.
    unobserved: Duration,
    /// Whether the last frame that supported it gives another class a score that is higher by the margin.
    is_contradicted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Candidate {
        /// Time with strong detections, less the time without detections.
        evidence: Duration,
    },
    Track {
        number: u64,
        /// Time since the last frame that supported it.
        unsupported: Duration,
    },
    /// It is forgotten at the end of this frame.
    Ended,
}

/// The detections of one object in one frame.
pub(super) struct Sighting {
    pub(super) bounding_box: NormBox,
    /// For each class the highest score, 0 for one that was not detected.
    pub(super) scores: Scores,
    pub(super) is_strong: bool,
}

impl Hypothesis {
    /// A candidate.
    pub(super) fn new(sighting: &Sighting, now: Duration) -> Self {
        let bounding_box = &sighting.bounding_box;
        Self {
            status: Status::Candidate {
                evidence: Duration::ZERO,
            },
            class: ClassHysteresis::new(&sighting.scores),
            motion: Motion::new(bounding_box, now),
            bounding_box: SmoothedBox::new(bounding_box, now),
            place: Place::new(*bounding_box, now),
            first: now,
            last: now,
            unobserved: Duration::ZERO,
            is_contradicted: false,
        }
    }

    /// Adds a frame that supports it, `step` after the last frame. Returns the class before, if it has changed.
    pub(super) fn support(
        &mut self,
        sighting: &Sighting,
        now: Duration,
        step: Duration,
        settings: &TrackSettings,
    ) -> Option<ClassId> {
        let since_last = now.saturating_sub(self.last);
        self.class.update(&sighting.scores, since_last, settings);
        self.motion.update(&sighting.bounding_box, now);
        self.bounding_box
            .follow(&sighting.bounding_box, now, settings);
        self.last = now;
        self.place.update(self.bounding_box.smoothed(), now);
        let changed_from = match &mut self.status {
            Status::Candidate { evidence } => {
                if sighting.is_strong {
                    *evidence += step + self.unobserved;
                }
                self.class.set_class_to_top();
                None
            }
            Status::Track { unsupported, .. } => {
                *unsupported = Duration::ZERO;
                self.class.update_class(now, settings)
            }
            Status::Ended => None,
        };
        self.unobserved = Duration::ZERO;
        let own = sighting.scores[self.class().index()];
        let highest = sighting.scores.iter().copied().fold(0.0, f32::max);
        self.is_contradicted = sighting.is_strong && highest - own >= settings.change_margin;
        changed_from
    }

    /// Adds a frame that does not support it, `step` after the last frame. It may end.
    pub(super) fn miss(&mut self, step: Duration, settings: &TrackSettings) {
        let step = step + std::mem::take(&mut self.unobserved);
        match &mut self.status {
            Status::Candidate { evidence } => {
                // One that has no evidence ends even if no time has passed, so that they cannot pile up.
                match evidence.checked_sub(step).filter(|_| !evidence.is_zero()) {
                    Some(left) => *evidence = left,
                    None => self.status = Status::Ended,
                }
            }
            Status::Track { unsupported, .. } => {
                *unsupported += step;
                if *unsupported > settings.leave_after {
                    self.status = Status::Ended;
                }
            }
            Status::Ended => {}
        }
    }

    /// Adds a frame in which it was not looked for, `step` after the last frame. The next frame that supports it, or does not,
    /// counts for this time, too.
    pub(super) fn skip(&mut self, step: Duration) {
        self.unobserved += step;
    }

    /// Time since the last frame in which it was looked for.
    pub(super) const fn unobserved(&self) -> Duration {
        self.unobserved
    }

    /// What regions are chosen by.
    pub(super) fn target(&self, now: Duration) -> Target {
        Target {
            bounding_box: self.bounding_box(now),
            confidence: self.class.confidence(),
            unobserved: self.unobserved,
        }
    }

    /// Whether a candidate has become certain enough to be a track.
    pub(super) fn is_certain(&self, threshold: f32, settings: &TrackSettings) -> bool {
        matches!(self.status, Status::Candidate { evidence } if evidence >= settings.appear_after)
            && self.class.confidence() >= threshold
    }

    /// What a frame at `now` should show of it.
    pub(super) fn expected(&self, now: Duration, settings: &TrackSettings) -> Expected {
        let may_change_class = match self.status {
            Status::Track { unsupported, .. } => unsupported < settings.new_track_after,
            Status::Candidate { .. } | Status::Ended => true,
        };
        Expected {
            class: self.class(),
            position: self.motion.expected(now),
            may_change_class,
        }
    }

    /// Number of the track.
    pub(super) const fn number(&self) -> Option<u64> {
        match self.status {
            Status::Track { number, .. } => Some(number),
            Status::Candidate { .. } | Status::Ended => None,
        }
    }

    /// Time since the last frame that supported the track.
    pub(super) const fn unsupported(&self) -> Duration {
        match self.status {
            Status::Track { unsupported, .. } => unsupported,
            Status::Candidate { .. } | Status::Ended => Duration::ZERO,
        }
    }

    pub(super) fn class(&self) -> ClassId {
        self.class.class()
    }

    pub(super) fn class_count(&self) -> usize {
        self.class.class_count()
    }

    pub(super) const fn first(&self) -> Duration {
        self.first
    }

    pub(super) const fn last(&self) -> Duration {
        self.last
    }

    pub(super) const fn is_contradicted(&self) -> bool {
        self.is_contradicted
    }

    /// Whether it moves out of the picture.
    pub(super) fn is_leaving(&self) -> bool {
        self.motion.is_leaving()
    }

    /// The smoothed box, moved on to `now`.
    pub(super) fn bounding_box(&self, now: Duration) -> NormBox {
        let [x, y] = self.motion.shift(now);
        let [x_min, x_max, y_min, y_max] = self.bounding_box.smoothed().corners();
        let moved = [x_min + x, x_max + x, y_min + y, y_max + y];
        NormBox::from_regression(moved).unwrap_or(self.bounding_box.smoothed())
    }

    /// The smoothed box where it was seen last.
    pub(super) fn last_seen(&self) -> NormBox {
        self.bounding_box.smoothed()
    }

    /// Its state at `now`.
    pub(super) fn detection(&self, now: Duration) -> Detection {
        Detection {
            class: self.class(),
            confidence: self.class.confidence(),
            bounding_box: self.bounding_box(now),
        }
    }

    /// `None` for a candidate.
    pub(super) fn stable_detection(
        &self,
        now: Duration,
        settings: &TrackSettings,
    ) -> Option<StableDetection> {
        Some(StableDetection {
            track: self.number()?,
            detection: self.detection(now),
            duration: self.duration(),
            is_stationary: self.is_stationary(settings),
        })
    }

    fn is_stationary(&self, settings: &TrackSettings) -> bool {
        self.place.duration(self.last) >= settings.stationary_after
    }

    /// Whether it is a track that stands still and was seen when it was looked for.
    pub(super) fn is_settled(&self, settings: &TrackSettings) -> bool {
        let is_seen =
            matches!(self.status, Status::Track { unsupported, .. } if unsupported.is_zero());
        let is_observed = self.unobserved < settings.hide_unobserved_after;
        is_seen && is_observed && self.is_stationary(settings)
    }

    /// Adds a frame that shows the same as the last one.
    pub(super) fn rest(&mut self, now: Duration) {
        self.motion.update(&self.bounding_box.smoothed(), now);
        self.last = now;
        self.unobserved = Duration::ZERO;
    }

    /// An event of the track `number`, with the state in the last frame that supported it.
    pub(super) fn event(&self, number: u64, kind: EventKind, time: SystemTime) -> Event {
        Event {
            kind,
            track: number,
            detection: self.detection(self.last),
            time,
            duration: self.duration(),
        }
    }

    fn duration(&self) -> Duration {
        self.last.saturating_sub(self.first)
    }
}
