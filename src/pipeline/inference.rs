//! A frame through the model and the tracker to its report.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::PipelineError;
use crate::detect::Detector;
use crate::frame::Frame;
use crate::health::Health;
use crate::label::Labels;
use crate::preprocess::preprocess;
use crate::report::Report;
use crate::track::{Event, EventKind, Steady, TrackSettings, Tracker};

/// Frames over which the rate is measured.
const RATE_FRAMES: usize = 30;

/// The model at work.
pub(super) struct Inference {
    model: Model,
    newer_models: Option<Receiver<Box<dyn Detector>>>,
    /// The threshold that was asked for.
    asked_for: Option<f32>,
    /// `None` where frames have nothing to do with each other.
    tracker: Option<Tracker>,
    rate: Rate,
    health: Arc<Health>,
    /// What the frames of a recording are counted from; `None` for live ones, which have their own moment.
    start: Option<Instant>,
}

/// A model, with what it says of itself.
struct Model {
    detector: Box<dyn Detector>,
    threshold: f32,
    labels: Arc<Labels>,
    hash: Arc<str>,
}

impl Inference {
    /// A model that is about to begin, with what the person asked for.
    pub(super) fn new(
        detector: Box<dyn Detector>,
        newer_models: Option<Receiver<Box<dyn Detector>>>,
        asked_for: Option<f32>,
        health: Arc<Health>,
    ) -> Self {
        Self {
            model: Model::new(detector, asked_for, &health),
            asked_for,
            newer_models,
            tracker: None,
            rate: Rate::default(),
            health,
            start: None,
        }
    }

    /// The same, and what is in its frames is tracked.
    pub(super) fn tracking(self, is_tracked: bool) -> Self {
        let settings = TrackSettings::new(self.model.threshold);
        Self {
            tracker: is_tracked.then(|| Tracker::new(settings)),
            ..self
        }
    }

    /// The same for frames of a recording, whose places in it are counted from now.
    pub(super) fn replaying(self) -> Self {
        Self {
            start: Some(Instant::now()),
            ..self
        }
    }

    /// What is told before any frame has been through the model.
    pub(super) fn waiting(&self) -> Report {
        Report {
            is_tracked: self.tracker.is_some(),
            ..Report::waiting(Arc::clone(&self.model.labels), Arc::clone(&self.model.hash))
        }
    }

    /// Lets a newer model take over, if one waits. What the one at hand has seen leaves with the report that
    /// comes back.
    pub(super) fn take_newer_model(&mut self, last: Option<&Frame>) -> Option<Report> {
        let newer = self.newer_models.as_ref()?.try_iter().last()?;
        let left = last.and_then(|frame| self.leave(frame));
        self.model = Model::new(newer, self.asked_for, &self.health);
        let settings = TrackSettings::new(self.model.threshold);
        let renewed = |old: Tracker| Tracker::new(settings).counting_on(old.tracks());
        self.tracker = self.tracker.take().map(renewed);
        self.health.models_swapped.add(1);
        left
    }

    /// What the model says of a frame.
    pub(super) fn look(&mut self, frame: &Frame) -> Result<Report, PipelineError> {
        let input = preprocess(frame, self.model.detector.card())?;
        let started = Instant::now();
        let prediction = self.model.detector.predict(&input)?;
        let now = Instant::now();
        let at = self.moment_of(frame);
        let tracker = self.tracker.as_mut();
        let tracked = tracker.map(|tracker| tracker.update(&prediction, at, frame.time));
        let (steady, events) = tracked.unwrap_or_default();
        let report = Report {
            detection: prediction.detection(self.model.threshold),
            inference: now.duration_since(started),
            frame_age: now.saturating_duration_since(frame.captured_at),
            frames_per_second: self.rate.tick(now),
            ..self.about(frame, steady, events)
        };
        self.count(&report, now);
        Ok(report)
    }

    fn moment_of(&self, frame: &Frame) -> Instant {
        let place = self.start.zip(frame.position);
        let moment = place.and_then(|(start, position)| start.checked_add(position));
        moment.unwrap_or(frame.captured_at)
    }

    /// What is still there leaves, as nothing more will be known of it.
    pub(super) fn leave(&mut self, last: &Frame) -> Option<Report> {
        let event = self.tracker.as_mut()?.finish(last.time)?;
        Some(self.about(last, None, vec![event]))
    }

    fn about(&self, frame: &Frame, steady: Option<Steady>, events: Vec<Event>) -> Report {
        Report {
            sequence: frame.sequence,
            captured_at: Some(frame.captured_at),
            stable: steady,
            events,
            capture: self.health.state(),
            dropped: self.health.dropped.get(),
            ..self.waiting()
        }
    }

    fn count(&self, report: &Report, at: Instant) {
        let appeared = |event: &&Event| event.kind == EventKind::Appeared;
        let appeared = report.events.iter().filter(appeared).count();
        self.health.appeared.add(appeared as u64);
        self.health.inferred.add(1);
        self.health.update(|now| {
            now.last_inference = Some(at);
            now.inference = report.inference;
            now.frames_per_second = report.frames_per_second;
            now.frame_age = report.frame_age;
        });
    }
}

impl Model {
    /// The model that is at work from now on, of which `health` takes note.
    fn new(detector: Box<dyn Detector>, asked_for: Option<f32>, health: &Health) -> Self {
        let card = detector.card();
        let hash = detector.model_hash();
        health.update(|now| hash.clone_into(&mut now.model));
        Self {
            threshold: asked_for.unwrap_or(card.threshold),
            labels: Arc::new(card.labels.clone()),
            hash: hash.into(),
            detector,
        }
    }
}

/// Frames a second, over the last few.
#[derive(Default)]
struct Rate(VecDeque<Instant>);

impl Rate {
    fn tick(&mut self, now: Instant) -> Option<f32> {
        if self.0.len() == RATE_FRAMES {
            self.0.pop_front();
        }
        self.0.push_back(now);
        let elapsed: Duration = now.duration_since(*self.0.front()?);
        let elapsed = elapsed.as_secs_f32();
        let passes = self.0.len() - 1;
        (passes > 0 && elapsed > 0.0).then(|| passes as f32 / elapsed)
    }
}
