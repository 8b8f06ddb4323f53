//! Tracks one object: the primary detection of each frame.
//!
//! A frame *supports* a track if the highest score reaches a high threshold, or the score of the track's class a lower one.

use std::time::{Duration, SystemTime};

use super::filters::{ClassHysteresis, SmoothedBox};
use super::place::Place;
use super::{Event, EventKind, FrameTracks, StableDetection, TrackSettings};
use crate::detect::{Detection, Prediction, Thresholds};

#[derive(Debug)]
pub(super) struct SingleObjectTracker {
    settings: TrackSettings,
    /// Number of tracks so far, which is the number of the last.
    track_count: u64,
    /// Sum of the times between frames. It never goes back.
    now: Duration,
    candidate: Option<Candidate>,
    track: Option<Track>,
}

/// What may become a track.
#[derive(Debug)]
struct Candidate {
    state: TrackState,
    /// Time with support, less the time without.
    evidence: Duration,
}

#[derive(Debug)]
struct Track {
    number: u64,
    state: TrackState,
    /// Time since the last frame that supported it.
    unsupported: Duration,
    place: Place,
}

/// Class, box and lifetime of a track or a candidate.
#[derive(Debug)]
struct TrackState {
    class: ClassHysteresis,
    bounding_box: SmoothedBox,
    /// First and last frame that supported it, on the tracker's clock.
    first: Duration,
    last: Duration,
}

impl SingleObjectTracker {
    pub(super) const fn new(settings: TrackSettings) -> Self {
        Self {
            settings,
            track_count: 0,
            now: Duration::ZERO,
            candidate: None,
            track: None,
        }
    }

    pub(super) fn with_track_count(self, track_count: u64) -> Self {
        Self {
            track_count,
            ..self
        }
    }

    pub(super) const fn track_count(&self) -> u64 {
        self.track_count
    }

    /// Adds the prediction of a frame, `step` after the last.
    pub(super) fn update(
        &mut self,
        prediction: &Prediction,
        thresholds: &Thresholds,
        step: Duration,
        time: SystemTime,
    ) -> FrameTracks {
        let mut events = Vec::new();
        self.now += step;
        if !self.update_track(prediction, step, time, &mut events) {
            self.update_candidate(prediction, step, time, &mut events);
        }
        FrameTracks {
            tracks: self.stable_detection().into_iter().collect(),
            numbers: self.numbers(prediction, thresholds),
            events,
        }
    }

    /// The current track has the primary detection of a frame that supports it, and nothing else.
    fn numbers(&self, prediction: &Prediction, thresholds: &Thresholds) -> Vec<Option<u64>> {
        let mut numbers = vec![None; prediction.detections(thresholds).len()];
        let track = self.track.as_ref();
        let supported = track.filter(|track| track.state.last == self.now);
        if prediction.detection(thresholds.primary).is_some()
            && let Some(primary) = numbers.first_mut()
        {
            *primary = supported.map(|track| track.number);
        }
        numbers
    }

    /// Whether there is no candidate, and no track but one that stands still and was seen in the last frame.
    pub(super) fn is_settled(&self) -> bool {
        let is_still = |track: &Track| {
            let duration = track.place.duration(self.now);
            track.unsupported.is_zero() && duration >= self.settings.stationary_after
        };
        self.candidate.is_none() && self.track.as_ref().is_none_or(is_still)
    }

    /// Adds a frame that shows the same as the last one, `step` after it. Returns the visible track.
    pub(super) fn rest(&mut self, step: Duration) -> Vec<StableDetection> {
        self.now += step;
        if let Some(track) = &mut self.track {
            track.state.last = self.now;
        }
        self.stable_detection().into_iter().collect()
    }

    /// Ends the current track.
    pub(super) fn finish(&mut self, time: SystemTime) -> Option<Event> {
        self.candidate = None;
        let track = self.track.take()?;
        Some(track.event(EventKind::Left, time))
    }

    /// Number of classes of the model of which it has a track or a candidate.
    pub(super) fn class_count(&self) -> Option<usize> {
        let track = self.track.as_ref().map(|track| &track.state);
        let candidate = self.candidate.as_ref().map(|candidate| &candidate.state);
        Some(track.or(candidate)?.class.class_count())
    }

    /// Updates the current track; returns whether the frame supports it.
    fn update_track(
        &mut self,
        prediction: &Prediction,
        step: Duration,
        time: SystemTime,
        events: &mut Vec<Event>,
    ) -> bool {
        let settings = &self.settings;
        let Some(track) = &mut self.track else {
            return false;
        };
        if track.matches(prediction, settings) {
            track.unsupported = Duration::ZERO;
            track.state.update(prediction, self.now, settings);
            let smoothed = track.state.bounding_box.smoothed();
            track.place.update(smoothed, self.now);
            let previous = track.state.class.update_class(self.now, settings);
            events.extend(previous.map(|from| track.event(EventKind::Changed { from }, time)));
            self.candidate = None;
            return true;
        }
        track.unsupported += step;
        if track.unsupported > settings.leave_after {
            events.push(track.event(EventKind::Left, time));
            self.track = None;
        }
        false
    }

    /// Updates the candidate with a frame that does not support the current track.
    fn update_candidate(
        &mut self,
        prediction: &Prediction,
        step: Duration,
        time: SystemTime,
        events: &mut Vec<Event>,
    ) {
        let supports = prediction.top().1 >= self.settings.high_threshold;
        let Some(mut candidate) = self.candidate.take() else {
            self.candidate = supports.then(|| Candidate {
                state: TrackState::new(prediction, self.now),
                evidence: Duration::ZERO,
            });
            return;
        };
        if !supports {
            let evidence = candidate.evidence.checked_sub(step);
            self.candidate = evidence.map(|evidence| Candidate {
                evidence,
                ..candidate
            });
            return;
        }
        candidate.evidence += step;
        let state = &mut candidate.state;
        state.update(prediction, self.now, &self.settings);
        state.class.set_class_to_top();
        let is_enough = candidate.evidence >= self.settings.appear_after
            && state.class.confidence() >= self.settings.high_threshold;
        if is_enough {
            self.start_track(candidate.state, time, events);
        } else {
            self.candidate = Some(candidate);
        }
    }

    fn start_track(&mut self, state: TrackState, time: SystemTime, events: &mut Vec<Event>) {
        if let Some(replaced) = self.track.take() {
            events.push(replaced.event(EventKind::Left, time));
        }
        self.track_count += 1;
        let track = Track {
            number: self.track_count,
            place: Place::new(state.bounding_box.smoothed(), self.now),
            state,
            unsupported: Duration::ZERO,
        };
        events.push(track.event(EventKind::Appeared, time));
        self.track = Some(track);
    }

    fn stable_detection(&self) -> Option<StableDetection> {
        let track = self.track.as_ref()?;
        (track.unsupported <= self.settings.hide_after).then(|| StableDetection {
            track: track.number,
            detection: track.state.detection(),
            duration: track.state.duration(),
            is_stationary: false,
        })
    }
}

impl Track {
    /// Whether a frame supports this track. Another class after a pause is another object.
    fn matches(&self, prediction: &Prediction, settings: &TrackSettings) -> bool {
        let (top_class, top_score) = prediction.top();
        let class = self.state.class.class();
        if self.unsupported >= settings.new_track_after && top_class != class {
            return false;
        }
        let own_score = prediction.scores()[class.index()];
        own_score >= settings.low_threshold || top_score >= settings.high_threshold
    }

    fn event(&self, kind: EventKind, time: SystemTime) -> Event {
        Event {
            kind,
            track: self.number,
            detection: self.state.detection(),
            time,
            duration: self.state.duration(),
        }
    }
}

impl TrackState {
    fn new(prediction: &Prediction, now: Duration) -> Self {
        Self {
            class: ClassHysteresis::new(prediction.scores()),
            bounding_box: SmoothedBox::new(prediction.bounding_box(), now),
            first: now,
            last: now,
        }
    }

    /// Adds a frame that supports the track.
    fn update(&mut self, prediction: &Prediction, now: Duration, settings: &TrackSettings) {
        let step = now.saturating_sub(self.last);
        self.class.update(prediction.scores(), step, settings);
        let bounding_box = prediction.bounding_box();
        self.bounding_box.update(bounding_box, now, settings);
        self.last = now;
    }

    fn duration(&self) -> Duration {
        self.last.saturating_sub(self.first)
    }

    fn detection(&self) -> Detection {
        Detection {
            class: self.class.class(),
            confidence: self.class.confidence(),
            bounding_box: self.bounding_box.smoothed(),
        }
    }
}

#[cfg(test)]
mod tests;
