//! Processes a frame: preprocess, model, tracker, report.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::observation::{Observation, RegionObserver, Tracked};
use super::rest::{Decision, Rest, RestSettings};
use super::{Clock, PipelineError};
use crate::class_selection::ClassSelection;
use crate::detect::{DetectionFilter, Detector, ModelFilter, Thresholds};
use crate::frame::{Frame, UndecodableImage};
use crate::health::Health;
use crate::label::Labels;
use crate::label::aliases::Aliases;
use crate::privacy::{Observed, PrivacyFilter, PublicFrame};
use crate::regions::{Coverage, MovedArea};
use crate::report::Report;
use crate::run_id::RunId;
use crate::sink::clips::ClipNamer;
use crate::track::{Event, EventKind, FrameTracks, TrackSettings, Tracker};
use crate::warn;
use crate::zone::ZoneMap;
use crate::zone_monitor::{FrameTime, ZoneMonitor};

/// Number of frames over which the frame rate is measured.
const RATE_FRAMES: usize = 30;

/// A model with its tracker.
pub(super) struct Inference {
    run: RunId,
    model: Model,
    new_models: Option<Receiver<Box<dyn Detector>>>,
    /// Overrides the thresholds of the model.
    threshold: Option<f32>,
    filter: DetectionFilter,
    aliases: Arc<Aliases>,
    /// Whether only the primary detection is reported.
    one: bool,
    /// Looks at parts of frames; `None` if a frame is looked at as a whole.
    observer: Option<RegionObserver>,
    /// `None` if frames do not follow each other.
    tracker: Option<Tracker>,
    privacy: PrivacyFilter,
    zones: ZoneMonitor,
    rest: Rest,
    last: Option<Computed>,
    rate: FrameRate,
    health: Arc<Health>,
    clock: Arc<dyn Clock>,
    /// The time of frame position 0; `None` if frames are at their capture time.
    start: Option<Instant>,
    /// `None` if no clips are saved.
    clip_namer: Option<ClipNamer>,
}

/// The last computed frame, as sinks got it.
#[derive(Clone)]
struct Computed {
    report: Report,
    public: PublicFrame,
}

/// What became of a frame, and the frame as sinks get it.
pub(super) enum Processed {
    Computed {
        report: Report,
        public: PublicFrame,
    },
    /// It was not computed. The report has the present tracks and the events of this frame; the rest is of the last computed
    /// frame.
    Rested {
        report: Report,
        public: PublicFrame,
    },
    Undecodable(UndecodableImage),
}

/// A detector, with copies of its card's values for the reports.
struct Model {
    detector: Box<dyn Detector>,
    thresholds: Thresholds,
    filter: ModelFilter,
    labels: Arc<Labels>,
    hash: Arc<str>,
}

impl Inference {
    pub(super) fn new(
        detector: Box<dyn Detector>,
        new_models: Option<Receiver<Box<dyn Detector>>>,
        threshold: Option<f32>,
        filter: DetectionFilter,
        health: Arc<Health>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            run: RunId::new(),
            model: Model::new(detector, threshold, &filter, &health),
            new_models,
            threshold,
            filter,
            aliases: Arc::default(),
            one: false,
            observer: None,
            tracker: None,
            privacy: PrivacyFilter::default(),
            zones: ZoneMonitor::new(Arc::default()),
            rest: Rest::new(&RestSettings::default()),
            last: None,
            rate: FrameRate::default(),
            health,
            clock,
            start: None,
            clip_namer: None,
        }
    }

    /// Names the clips of events in their reports.
    pub(super) fn with_clip_namer(self, clip_namer: Option<ClipNamer>) -> Self {
        Self { clip_namer, ..self }
    }

    pub(super) fn with_aliases(self, aliases: Arc<Aliases>) -> Self {
        Self { aliases, ..self }
    }

    pub(super) fn with_zones(self, zones: Arc<ZoneMap>) -> Self {
        Self {
            zones: ZoneMonitor::new(zones),
            ..self
        }
    }

    /// Reports and tracks only the primary detection. Comes before [`Self::with_tracking`].
    pub(super) fn with_primary_only(self, one: bool) -> Self {
        Self { one, ..self }
    }

    /// Looks at parts of frames, too, with at most `rate` inferences per second of frames that follow each other.
    pub(super) fn with_regions(self, rate: Option<NonZeroU32>) -> Self {
        Self {
            observer: rate.map(RegionObserver::new),
            ..self
        }
    }

    /// Frames that follow each other are not all computed.
    pub(super) fn with_rest(self, settings: &RestSettings) -> Self {
        Self {
            rest: Rest::new(settings),
            ..self
        }
    }

    /// Limits the rate because of heat, or no more.
    pub(super) fn set_heat_rate(&mut self, rate: Option<f64>) {
        self.rest.set_heat_rate(rate);
    }

    pub(super) fn with_tracking(self, track: bool) -> Self {
        Self {
            tracker: track.then(|| self.new_tracker()),
            ..self
        }
    }

    /// Hides the things of these classes in what sinks get. Comes after [`Self::with_tracking`].
    pub(super) fn with_hidden_classes(
        self,
        hidden: Option<ClassSelection>,
    ) -> Result<Self, PipelineError> {
        let card = self.model.detector.card();
        let is_tracked = self.tracker.is_some();
        let privacy = PrivacyFilter::new(hidden, card, self.threshold, is_tracked)?;
        Ok(Self { privacy, ..self })
    }

    /// Takes the time of a frame from its position in a recording, if it has one.
    pub(super) fn with_frame_positions(self) -> Self {
        Self {
            start: Some(self.clock.now()),
            ..self
        }
    }

    /// The report before the first frame.
    pub(super) fn waiting_report(&self) -> Report {
        Report {
            run: self.run,
            is_tracked: self.tracker.is_some(),
            zones: self.zones.counts(),
            thresholds: self.model.thresholds,
            aliases: Arc::clone(&self.aliases),
            ..Report::waiting(Arc::clone(&self.model.labels), Arc::clone(&self.model.hash))
        }
    }

    /// Switches to the newest waiting model. Returns a report if that ends a track. A model that could not find what is to be
    /// hidden is refused.
    pub(super) fn take_new_model(&mut self, last: Option<&Frame>) -> Option<Report> {
        let detector = self.new_models.as_ref()?.try_iter().last()?;
        self.privacy = match self.privacy.for_model(detector.card(), self.threshold) {
            Ok(privacy) => privacy,
            Err(error) => {
                let (new, old) = (detector.model_hash(), &self.model.hash);
                warn!("model {new}: --hide-classes: {error}; model {old} stays active");
                self.health.models_refused.add(1);
                return None;
            }
        };
        let report = last.and_then(|frame| self.end_track(frame));
        self.model = Model::new(detector, self.threshold, &self.filter, &self.health);
        self.warn_of_unknown_classes();
        self.observer = self.observer.take().map(RegionObserver::restarted);
        if self.observer.is_some() && self.model.detector.card().objects.is_none() {
            warn!("--regions has no effect: the new model has no object outputs");
        }
        let old = self.tracker.take();
        let renewed = |old: Tracker| self.new_tracker().with_track_count(old.track_count());
        self.tracker = old.map(renewed);
        self.rest.start_over();
        self.last = None;
        self.health.models_swapped.add(1);
        report
    }

    /// A tracker for the model: of all objects if it finds several and they are reported.
    fn new_tracker(&self) -> Tracker {
        let settings = TrackSettings::new(self.model.thresholds.primary);
        if self.one {
            Tracker::new(settings)
        } else {
            Tracker::of_model(self.model.detector.card(), settings)
        }
    }

    /// Runs the model on a frame, unless it is left out on purpose. `scene_start` ends all tracks first.
    pub(super) fn process(
        &mut self,
        frame: &Arc<Frame>,
        scene_start: bool,
    ) -> Result<Processed, PipelineError> {
        if scene_start {
            self.rest.start_over();
            self.last = None;
        }
        let at = self.time_of(frame);
        let moved = match self.decide(frame, at) {
            (Decision::Still, Some(last)) => {
                self.health.still.add(1);
                let report = self.keep_tracks(frame, at, last.report);
                let public = self.privacy.unobserved(frame, &last.public);
                return Ok(Processed::Rested { report, public });
            }
            (Decision::HeldBack, Some(last)) => {
                self.health.held_back.add(1);
                let report = self.rested_report(frame, last.report);
                let public = self.privacy.unobserved(frame, &last.public);
                return Ok(Processed::Rested { report, public });
            }
            (Decision::Compute(moved), _) => moved,
            (Decision::Still | Decision::HeldBack, None) => Vec::new(),
        };
        if let Err(error) = frame.image.decode() {
            return Ok(Processed::Undecodable(error));
        }
        self.rest.computed(at);
        let report = self.compute(frame, at, moved, scene_start)?;
        let public = self.privacy.public(frame);
        // Without a reason to leave frames out, nobody asks for it.
        self.last = self.rest.is_active().then(|| Computed {
            report: report.clone(),
            public: public.clone(),
        });
        Ok(Processed::Computed { report, public })
    }

    /// What to do with a frame, with the last computed one. Frames that do not follow each other are all computed.
    fn decide(&mut self, frame: &Frame, at: Instant) -> (Decision, Option<Computed>) {
        let Some(tracker) = &self.tracker else {
            return (Decision::Compute(Vec::new()), None);
        };
        let has_looked = self
            .observer
            .as_ref()
            .is_none_or(RegionObserver::has_looked_everywhere);
        let is_settled = tracker.is_settled() && has_looked;
        match self.rest.decide(frame, at, is_settled) {
            Decision::Compute(moved) => (Decision::Compute(moved), None),
            decision => (decision, self.last.clone()),
        }
    }

    /// The report on a frame in which nothing has moved: tracks go on, and zones may tell that one has stayed.
    fn keep_tracks(&mut self, frame: &Frame, at: Instant, last: Report) -> Report {
        let time = frame.time;
        let tracked = self.tracker.as_mut().map(|tracker| tracker.rest(at, time));
        let FrameTracks { tracks, events, .. } = tracked.unwrap_or_default();
        let (labels, frame_time) = (&self.model.labels, FrameTime { at, time });
        let events = self.zones.update(&tracks, events, frame_time, labels);
        let report = self.rested_report(frame, last);
        let report = Report {
            tracks,
            events,
            zones: self.zones.counts(),
            ..report
        };
        self.with_clip(frame, report)
    }

    /// Sets the name of the clip of the report's events.
    fn with_clip(&mut self, frame: &Frame, report: Report) -> Report {
        let namer = self.clip_namer.as_mut();
        let clip = namer.and_then(|namer| namer.name(frame, &report));
        Report { clip, ..report }
    }

    /// The last report, for a frame that is not computed.
    fn rested_report(&self, frame: &Frame, last: Report) -> Report {
        let now = self.clock.now();
        self.health.update(|health| health.last_rest = Some(now));
        Report {
            sequence: frame.sequence,
            captured_at: Some(frame.captured_at),
            events: Vec::new(),
            clip: None,
            capture: self.health.state(),
            frame_age: now.saturating_duration_since(frame.captured_at),
            dropped: self.health.dropped.get(),
            ..last
        }
    }

    fn compute(
        &mut self,
        frame: &Frame,
        at: Instant,
        moved: Vec<MovedArea>,
        scene_start: bool,
    ) -> Result<Report, PipelineError> {
        let Observation {
            mut prediction,
            coverage,
            inference,
        } = self.observe(frame, moved)?;
        self.privacy.observe(&Observed {
            prediction: &prediction,
            coverage: coverage.as_ref(),
            scene_start,
            at,
            time: frame.time,
        });
        self.model.filter.apply(&mut prediction);
        let now = self.clock.now();
        let thresholds = &match coverage {
            // A class of which no view shows an object has the score 0.
            Some(_) => self.model.thresholds.at_least(f32::MIN_POSITIVE),
            None => self.model.thresholds,
        };
        let mut tracked = FrameTracks::default();
        let mut ended = Vec::new();
        if let Some(tracker) = &mut self.tracker {
            if scene_start {
                ended = tracker.start_scene();
            }
            let coverage = coverage.as_ref();
            tracked = tracker.update_observed(&prediction, thresholds, coverage, (at, frame.time));
        }
        ended.append(&mut tracked.events);
        let frame_time = FrameTime {
            at,
            time: frame.time,
        };
        let labels = &self.model.labels;
        let events = self
            .zones
            .update(&tracked.tracks, ended, frame_time, labels);
        let detection = prediction.detection(thresholds.primary);
        let others = if self.one {
            tracked.numbers.truncate(usize::from(detection.is_some()));
            Vec::new()
        } else {
            prediction.others(thresholds)
        };
        let report = Report {
            detection,
            others,
            numbers: tracked.numbers,
            tracks: tracked.tracks,
            inference,
            views: coverage.map(Coverage::into_views),
            frame_age: now.saturating_duration_since(frame.captured_at),
            frames_per_second: self.rate.tick(now),
            ..self.report(frame, events)
        };
        self.update_health(&report, now);
        Ok(self.with_clip(frame, report))
    }

    /// Runs the model on the frame as a whole or, if its model finds objects, on parts of it.
    fn observe(
        &mut self,
        frame: &Frame,
        moved: Vec<MovedArea>,
    ) -> Result<Observation, PipelineError> {
        let is_live = self.start.is_none();
        let min_score = self.min_object_score();
        let Self {
            model,
            observer,
            tracker,
            privacy,
            clock,
            ..
        } = self;
        match observer {
            Some(observer) if model.detector.card().objects.is_some() => {
                let tracker = tracker.as_ref();
                let tracked = Tracked {
                    targets: tracker.map(|tracker| {
                        // What is to be hidden is looked at, whether or not it is reported.
                        let mut targets = tracker.targets();
                        targets.extend(privacy.targets());
                        targets
                    }),
                    moved,
                    needs_whole: self.one,
                    is_live,
                };
                observer.observe(
                    frame,
                    &mut *model.detector,
                    &model.thresholds,
                    &tracked,
                    &**clock,
                )
            }
            _ => {
                model.detector.set_min_object_score(min_score);
                Observation::whole(frame, &mut *model.detector, &**clock)
            }
        }
    }

    /// The lowest score of an object that a frame needs.
    fn min_object_score(&self) -> f32 {
        let thresholds = &self.model.thresholds;
        let tracked = self.tracker.as_ref();
        let tracked = tracked.map(|tracker| tracker.min_object_score(thresholds));
        let reported = thresholds.primary.min(thresholds.objects);
        let least = tracked.unwrap_or(reported).min(reported);
        least.min(self.privacy.min_object_score())
    }

    /// Time from the start of the run, or of the recording, to a frame.
    pub(super) fn elapsed(&self, frame: &Frame, start: Instant) -> Duration {
        self.time_of(frame)
            .saturating_duration_since(self.start.unwrap_or(start))
    }

    fn time_of(&self, frame: &Frame) -> Instant {
        let position = self.start.zip(frame.position);
        let time = position.and_then(|(start, position)| start.checked_add(position));
        time.unwrap_or(frame.captured_at)
    }

    /// Ends all tracks, because no frame follows `last` for now. Returns a report if there were any.
    pub(super) fn end_track(&mut self, last: &Frame) -> Option<Report> {
        let ended = self.tracker.as_mut()?.finish(last.time);
        let frame_time = FrameTime {
            at: self.time_of(last),
            time: last.time,
        };
        let labels = &self.model.labels;
        let events = self.zones.update(&[], ended, frame_time, labels);
        if events.is_empty() {
            return None;
        }
        let report = self.report(last, events);
        let namer = self.clip_namer.as_mut();
        let clip = namer.and_then(|namer| namer.name_of_end(last, &report));
        Some(Report { clip, ..report })
    }

    fn report(&self, frame: &Frame, events: Vec<Event>) -> Report {
        Report {
            sequence: frame.sequence,
            captured_at: Some(frame.captured_at),
            events,
            capture: self.health.state(),
            dropped: self.health.dropped.get(),
            ..self.waiting_report()
        }
    }

    /// A model that is loaded during the run may lack classes of the options. It is used nevertheless.
    fn warn_of_unknown_classes(&self) {
        let labels = &self.model.labels;
        if let Err(error) = self.filter.check(labels) {
            warn!("--classes: {error}");
        }
        if let Err(error) = self.zones.counts().map().check_classes(labels) {
            warn!("{error}");
        }
    }

    fn update_health(&self, report: &Report, at: Instant) {
        let appeared = |event: &&Event| event.kind == EventKind::Appeared;
        let appeared = report.events.iter().filter(appeared).count();
        self.health.appeared.add(appeared as u64);
        self.health.inferred.add(1);
        let inferences = report.views.as_ref().map_or(1, Vec::len);
        self.health.inferences.add(inferences as u64);
        self.health.inference_durations.add(report.inference);
        self.health.frame_ages.add(report.frame_age);
        self.health.update(|now| {
            now.last_inference = Some(at);
            now.inference = report.inference;
            now.frames_per_second = report.frames_per_second;
            now.frame_age = report.frame_age;
        });
    }
}

impl Model {
    /// Also records the model in `health`.
    fn new(
        detector: Box<dyn Detector>,
        threshold: Option<f32>,
        filter: &DetectionFilter,
        health: &Health,
    ) -> Self {
        let card = detector.card();
        let filter = filter.of_model(&card.labels);
        let mut thresholds = Thresholds::new(card, threshold);
        if !filter.is_open() {
            // A class that is left out has the score 0.
            thresholds = thresholds.at_least(f32::MIN_POSITIVE);
        }
        let hash = detector.model_hash();
        health.update(|now| hash.clone_into(&mut now.model));
        Self {
            thresholds,
            filter,
            labels: Arc::new(card.labels.clone()),
            hash: hash.into(),
            detector,
        }
    }
}

/// Frames per second over the last [`RATE_FRAMES`].
#[derive(Default)]
struct FrameRate(VecDeque<Instant>);

impl FrameRate {
    fn tick(&mut self, now: Instant) -> Option<f32> {
        if self.0.len() == RATE_FRAMES {
            self.0.pop_front();
        }
        self.0.push_back(now);
        let first = *self.0.front()?;
        let seconds = now.saturating_duration_since(first).as_secs_f32();
        let intervals = self.0.len() - 1;
        (intervals > 0 && seconds > 0.0).then(|| intervals as f32 / seconds)
    }
}
