//! From predictions frame by frame to something steady: one box that does not flicker, and its events.
//!
//! In go predictions with the moment of their frame, out come a [`Steady`] detection, if something is there,
//! and the [`Event`]s of its coming, changing and going. It knows nothing of frames or clocks: whoever asks
//! says what time it is, so that a recording replayed gives the same events.
//!
//! Everything goes by time and nothing by a number of frames, so that 1 frame a second does as 60 do. A
//! frame *supports* a thing when the highest score reaches a threshold, or when the score of the class that
//! is held reaches a lower one. A single frame never makes anything appear.

use std::time::{Duration, Instant, SystemTime};

use crate::detect::{Detection, Prediction};
use crate::label::ClassId;

mod body;
mod held_label;
mod settings;
mod steady_box;

pub use settings::TrackSettings;

use body::Body;

/// Something that is there, steady in time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steady {
    /// Number of the thing, from 1, one more with each that appears.
    pub track: u64,
    /// Its class held, its box smoothed.
    pub detection: Detection,
    /// For how long it has been there, to the last frame that supported it.
    pub duration: Duration,
}

/// Something came, changed or went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Number of the thing, as in [`Steady::track`].
    pub track: u64,
    /// The thing as it now is; of one that left, as it last was.
    pub detection: Detection,
    /// When the frame was taken that decided it; of what was there before a gap, the last frame before it.
    pub time: SystemTime,
    /// How long it has been there: from its first frame to this one; of one that left, to its last frame.
    pub duration: Duration,
}

/// What happened to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It was not there before.
    Appeared,
    /// It is taken for another class than before.
    Changed {
        /// What it was taken for.
        from: ClassId,
    },
    /// It is gone.
    Left,
}

impl EventKind {
    /// Its name in logs: `appeared`, `changed` or `left`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Appeared => "appeared",
            Self::Changed { .. } => "changed",
            Self::Left => "left",
        }
    }
}

/// Makes one steady thing of the predictions of one model.
///
/// ```
/// use std::time::{Duration, Instant, SystemTime};
///
/// use boxcam::detect::Prediction;
/// use boxcam::track::{TrackSettings, Tracker};
///
/// let mut tracker = Tracker::new(TrackSettings::new(0.4));
/// let apple = Prediction::new(vec![0.9, 0.1], [0.2, 0.6, 0.2, 0.6])?;
/// let (start, time) = (Instant::now(), SystemTime::now());
/// let (steady, _) = tracker.update(&apple, start, time);
/// assert_eq!(steady, None);
/// let later = Duration::from_millis(500);
/// let (steady, events) = tracker.update(&apple, start + later, time + later);
/// assert!(steady.is_some());
/// assert_eq!(events[0].kind.name(), "appeared");
/// # Ok::<(), boxcam::detect::DetectError>(())
/// ```
#[derive(Debug)]
pub struct Tracker {
    settings: TrackSettings,
    /// Number of the last thing that appeared.
    tracks: u64,
    /// The last frame.
    last: Option<(Instant, SystemTime)>,
    /// Time that went by between all frames. A clock that jumps back stands still here.
    now: Duration,
    candidate: Option<Candidate>,
    thing: Option<Thing>,
}

/// What may be about to appear.
#[derive(Debug)]
struct Candidate {
    body: Body,
    /// Time with support, less the time without.
    evidence: Duration,
}

/// What has appeared.
#[derive(Debug)]
struct Thing {
    track: u64,
    body: Body,
    /// Time since the last frame that supported it.
    unsupported: Duration,
}

impl Tracker {
    /// Nothing is there yet.
    #[must_use]
    pub fn new(settings: TrackSettings) -> Self {
        Self {
            settings,
            tracks: 0,
            last: None,
            now: Duration::ZERO,
            candidate: None,
            thing: None,
        }
    }

    /// The same, but the next thing has the number after `tracks`, which is [`Tracker::tracks`] of a tracker
    /// before.
    #[must_use]
    pub fn counting_on(self, tracks: u64) -> Self {
        Self { tracks, ..self }
    }

    /// Number of the last thing that appeared; 0 if there was none.
    #[must_use]
    pub const fn tracks(&self) -> u64 {
        self.tracks
    }

    /// Takes in what the model said of a frame that was taken `at` that moment, `time` on the clock, and
    /// tells what is there now and what happened.
    ///
    /// Frames should come in their order; one that is not later than the last counts as taken at the same
    /// moment.
    pub fn update(
        &mut self,
        prediction: &Prediction,
        at: Instant,
        time: SystemTime,
    ) -> (Option<Steady>, Vec<Event>) {
        let mut events = Vec::new();
        let (last, last_time) = self.last.replace((at, time)).unwrap_or((at, time));
        let step = at.saturating_duration_since(last);
        if step > self.settings.gap || self.is_of_another_model(prediction) {
            events.extend(self.finish(last_time));
        }
        self.now += step;
        if !self.follow(prediction, step, time, &mut events) {
            self.consider(prediction, step, time, &mut events);
        }
        (self.steady(), events)
    }

    /// Ends the watch at `time`, after the last frame or before a pause: what is still there leaves.
    pub fn finish(&mut self, time: SystemTime) -> Option<Event> {
        self.candidate = None;
        let thing = self.thing.take()?;
        Some(thing.event(EventKind::Left, time))
    }

    fn is_of_another_model(&self, prediction: &Prediction) -> bool {
        let classes = prediction.scores().len();
        let thing = self.thing.as_ref().map(|thing| &thing.body);
        let candidate = self.candidate.as_ref().map(|candidate| &candidate.body);
        let mut bodies = thing.into_iter().chain(candidate);
        bodies.any(|body| body.classes() != classes)
    }

    /// Whether the frame supports what is there, which then moves and may change.
    fn follow(
        &mut self,
        prediction: &Prediction,
        step: Duration,
        time: SystemTime,
        events: &mut Vec<Event>,
    ) -> bool {
        let settings = &self.settings;
        let Some(thing) = &mut self.thing else {
            return false;
        };
        let (class, score) = prediction.top();
        // What comes after a moment of nothing and has another name is another thing.
        let is_another =
            thing.unsupported >= settings.renew_after && class != thing.body.label.class();
        let own = prediction.scores()[thing.body.label.class().index()];
        let supports = own >= settings.stay || score >= settings.appear;
        if supports && !is_another {
            thing.unsupported = Duration::ZERO;
            thing.body.see(prediction, self.now, settings);
            let changed = thing.body.label.contest(self.now, settings);
            events.extend(changed.map(|from| thing.event(EventKind::Changed { from }, time)));
            self.candidate = None;
            return true;
        }
        thing.unsupported += step;
        if thing.unsupported > settings.leave_after {
            events.push(thing.event(EventKind::Left, time));
            self.thing = None;
        }
        false
    }

    /// Takes a frame that supports nothing that is there for something that may be coming.
    fn consider(
        &mut self,
        prediction: &Prediction,
        step: Duration,
        time: SystemTime,
        events: &mut Vec<Event>,
    ) {
        let supports = prediction.top().1 >= self.settings.appear;
        let Some(mut candidate) = self.candidate.take() else {
            self.candidate = supports.then(|| Candidate {
                body: Body::new(prediction, self.now),
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
        candidate.body.see(prediction, self.now, &self.settings);
        candidate.body.label.take_top();
        let is_enough = candidate.evidence >= self.settings.appear_after
            && candidate.body.label.confidence() >= self.settings.appear;
        if is_enough {
            self.appear(candidate.body, time, events);
        } else {
            self.candidate = Some(candidate);
        }
    }

    fn appear(&mut self, body: Body, time: SystemTime, events: &mut Vec<Event>) {
        if let Some(gone) = self.thing.take() {
            events.push(gone.event(EventKind::Left, time));
        }
        self.tracks += 1;
        let thing = Thing {
            track: self.tracks,
            body,
            unsupported: Duration::ZERO,
        };
        events.push(thing.event(EventKind::Appeared, time));
        self.thing = Some(thing);
    }

    fn steady(&self) -> Option<Steady> {
        let thing = self.thing.as_ref()?;
        (thing.unsupported <= self.settings.hide_after).then(|| Steady {
            track: thing.track,
            detection: thing.body.detection(),
            duration: thing.body.duration(),
        })
    }
}

impl Thing {
    fn event(&self, kind: EventKind, time: SystemTime) -> Event {
        Event {
            kind,
            track: self.track,
            detection: self.body.detection(),
            time,
            duration: self.body.duration(),
        }
    }
}

#[cfg(test)]
mod tests;
