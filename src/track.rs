//! Tracks one object over predictions: a stable detection, and events when it appears, changes or leaves.
//!
//! The tracker has no clock: the caller passes the time of each frame, so a recording always gives the same events.
//! Thresholds are in seconds, not frames, so the result is nearly independent of the frame rate. A frame *supports* a
//! track if the highest score reaches a high threshold, or the score of the track's class a lower one. A single frame
//! never starts a track.

use std::time::{Duration, Instant, SystemTime};

use crate::detect::{Detection, Prediction, Thresholds};
use crate::label::ClassId;
use crate::zone::{Direction, Line, LineId, Zone, ZoneId, ZoneMap};

mod filters;
mod settings;

pub use settings::TrackSettings;

use filters::{ClassHysteresis, SmoothedBox};

/// The current state of a track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StableDetection {
    /// Number of the track, from 1.
    pub track: u64,
    /// The held class with its smoothed score, and the smoothed box.
    pub detection: Detection,
    /// Time from the first to the last frame that supported it.
    pub duration: Duration,
    /// Whether it has not moved for a while.
    pub is_stationary: bool,
}

/// What a frame did to the tracks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FrameTracks {
    /// The visible tracks, by track number.
    pub tracks: Vec<StableDetection>,
    /// The number of the track of each of [`Prediction::detections`], if it has one.
    pub numbers: Vec<Option<u64>>,
    /// In order.
    pub events: Vec<Event>,
}

/// A track appeared, changed its class or left, or did something in a zone or at a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    pub kind: EventKind,
    /// Number of the track, as in [`StableDetection::track`].
    pub track: u64,
    /// Its current state; for a track that left, its last.
    pub detection: Detection,
    /// Capture time of the frame that caused the event; of a track that ended in a gap, the last frame before it.
    pub time: SystemTime,
    /// Time from the track's first frame to this one; for a track that left, to its last frame; for one that loiters in
    /// a zone or has left it, the time in the zone.
    pub duration: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Appeared,
    /// The class changed.
    Changed {
        from: ClassId,
    },
    Left,
    /// It is in a zone; of [`crate::zone_monitor`], as all below.
    Entered {
        zone: ZoneId,
    },
    /// It is no longer in a zone.
    LeftZone {
        zone: ZoneId,
    },
    /// It has been in a zone for the zone's loiter time.
    Loitering {
        zone: ZoneId,
    },
    /// It has crossed a line.
    Crossed {
        line: LineId,
        direction: Direction,
    },
}

impl EventKind {
    /// The name in logs: `appeared`, `changed`, `left`, `entered`, `left_zone`, `loitering` or `crossed`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Appeared => "appeared",
            Self::Changed { .. } => "changed",
            Self::Left => "left",
            Self::Entered { .. } => "entered",
            Self::LeftZone { .. } => "left_zone",
            Self::Loitering { .. } => "loitering",
            Self::Crossed { .. } => "crossed",
        }
    }

    /// The name of the zone or the line where it happened.
    #[must_use]
    pub fn place(self, map: &ZoneMap) -> Option<&str> {
        match self {
            Self::Entered { zone } | Self::LeftZone { zone } | Self::Loitering { zone } => {
                map.zone(zone).map(Zone::name)
            }
            Self::Crossed { line, .. } => map.line(line).map(Line::name),
            Self::Appeared | Self::Changed { .. } | Self::Left => None,
        }
    }
}

/// Tracks the object in the predictions of one model.
///
/// ```
/// use std::time::{Duration, Instant, SystemTime};
///
/// use boxcam::detect::{Prediction, Thresholds};
/// use boxcam::track::{TrackSettings, Tracker};
///
/// let thresholds = Thresholds { primary: 0.4, objects: 0.4, nms_iou: 0.6 };
/// let mut tracker = Tracker::new(TrackSettings::new(thresholds.primary));
/// let apple = Prediction::new(vec![0.9, 0.1], [0.2, 0.6, 0.2, 0.6])?;
/// let (start, time) = (Instant::now(), SystemTime::now());
/// let first = tracker.update(&apple, &thresholds, start, time);
/// assert!(first.tracks.is_empty());
/// let later = Duration::from_millis(500);
/// let second = tracker.update(&apple, &thresholds, start + later, time + later);
/// assert_eq!(second.tracks.len(), 1);
/// assert_eq!(second.events[0].kind.name(), "appeared");
/// # Ok::<(), boxcam::detect::DetectError>(())
/// ```
#[derive(Debug)]
pub struct Tracker {
    settings: TrackSettings,
    /// Number of tracks so far, which is the number of the last.
    track_count: u64,
    /// Time of the last frame.
    last: Option<(Instant, SystemTime)>,
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

impl Tracker {
    #[must_use]
    pub fn new(settings: TrackSettings) -> Self {
        Self {
            settings,
            track_count: 0,
            last: None,
            now: Duration::ZERO,
            candidate: None,
            track: None,
        }
    }

    /// Continues the numbering of another tracker: the next track has the number `track_count + 1`.
    #[must_use]
    pub fn with_track_count(self, track_count: u64) -> Self {
        Self {
            track_count,
            ..self
        }
    }

    /// Number of tracks that have appeared.
    #[must_use]
    pub const fn track_count(&self) -> u64 {
        self.track_count
    }

    /// Adds the prediction of a frame that was captured at `at`, which is `time` of the system clock.
    /// `thresholds` are those that make it detections.
    ///
    /// A frame that is not later than the last counts as captured at the same time.
    pub fn update(
        &mut self,
        prediction: &Prediction,
        thresholds: &Thresholds,
        at: Instant,
        time: SystemTime,
    ) -> FrameTracks {
        let mut events = Vec::new();
        let (last, last_time) = self.last.replace((at, time)).unwrap_or((at, time));
        let step = at.saturating_duration_since(last);
        if step > self.settings.reset_after || self.has_other_classes(prediction) {
            events.extend(self.finish(last_time));
        }
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

    /// Ends all tracks with the last frame, because the next frame starts a new scene.
    pub fn start_scene(&mut self) -> Vec<Event> {
        match self.last {
            Some((_, time)) => self.finish(time),
            None => Vec::new(),
        }
    }

    /// Ends all tracks at `time`: after the last frame, or before a pause.
    pub fn finish(&mut self, time: SystemTime) -> Vec<Event> {
        self.candidate = None;
        let track = self.track.take().into_iter();
        track
            .map(|track| track.event(EventKind::Left, time))
            .collect()
    }

    /// Whether the prediction is of a model with another number of classes.
    fn has_other_classes(&self, prediction: &Prediction) -> bool {
        let class_count = prediction.scores().len();
        let track = self.track.as_ref().map(|track| &track.state);
        let candidate = self.candidate.as_ref().map(|candidate| &candidate.state);
        let mut states = track.into_iter().chain(candidate);
        states.any(|state| state.class.class_count() != class_count)
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
            class: ClassHysteresis::new(prediction),
            bounding_box: SmoothedBox::new(prediction.bounding_box(), now),
            first: now,
            last: now,
        }
    }

    /// Adds a frame that supports the track.
    fn update(&mut self, prediction: &Prediction, now: Duration, settings: &TrackSettings) {
        let step = now.saturating_sub(self.last);
        self.class.update(prediction, step, settings);
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
