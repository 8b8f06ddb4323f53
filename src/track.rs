//! Tracks objects over predictions: stable detections, and events when one appears, changes or leaves.
//!
//! The tracker has no clock: the caller passes the time of each frame, so a recording always gives the same events.
//! Thresholds are in seconds, not frames, so the result is nearly independent of the frame rate. A single frame never
//! starts a track.
//!
//! [`Tracker::new`] follows one object, the primary detection. [`Tracker::multi_object`] follows all objects of a model that
//! has object outputs. [`Tracker::of_model`] chooses.

use std::time::{Duration, Instant, SystemTime};

use crate::card::ModelCard;
use crate::detect::{Detection, Prediction, Thresholds};
use crate::geometry::NormBox;
use crate::label::ClassId;
use crate::regions::{Coverage, Target};
use crate::zone::{Direction, Line, LineId, Zone, ZoneId, ZoneMap};

mod association;
mod filters;
mod frame_detections;
mod hypothesis;
mod motion;
mod multi_object;
mod place;
mod settings;
mod single_object;

pub use settings::TrackSettings;

use frame_detections::{FrameDetections, weak_threshold};
use multi_object::MultiObjectTracker;
use single_object::SingleObjectTracker;

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
    /// All of [`Self::name`].
    pub const NAMES: [&str; 7] = [
        "appeared",
        "changed",
        "left",
        "entered",
        "left_zone",
        "loitering",
        "crossed",
    ];

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

/// Tracks what is in the predictions of one model: the primary detection, or several objects.
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
    mode: Mode,
    /// All is forgotten after this time without a frame.
    reset_after: Duration,
    /// Time of the last frame.
    last: Option<(Instant, SystemTime)>,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one tracker in a run")]
enum Mode {
    SingleObject(SingleObjectTracker),
    MultiObject(MultiObjectTracker),
}

impl Tracker {
    /// Tracks one object, the primary detection.
    #[must_use]
    pub const fn new(settings: TrackSettings) -> Self {
        Self {
            reset_after: settings.reset_after,
            mode: Mode::SingleObject(SingleObjectTracker::new(settings)),
            last: None,
        }
    }

    /// Tracks all objects of a model that has object outputs, and the primary detection of any other.
    #[must_use]
    pub const fn of_model(card: &ModelCard, settings: TrackSettings) -> Self {
        match card.objects {
            Some(_) => Self::multi_object(settings),
            None => Self::new(settings),
        }
    }

    /// Tracks all objects of a model that has object outputs. The primary detection has the number of the object that is the
    /// same, and is not tracked otherwise.
    #[must_use]
    pub const fn multi_object(settings: TrackSettings) -> Self {
        Self {
            reset_after: settings.reset_after,
            mode: Mode::MultiObject(MultiObjectTracker::new(settings)),
            last: None,
        }
    }

    /// Continues the numbering of another tracker: the next track has the number `track_count + 1`.
    #[must_use]
    pub fn with_track_count(self, track_count: u64) -> Self {
        let mode = match self.mode {
            Mode::SingleObject(tracker) => {
                Mode::SingleObject(tracker.with_track_count(track_count))
            }
            Mode::MultiObject(tracker) => Mode::MultiObject(tracker.with_track_count(track_count)),
        };
        Self { mode, ..self }
    }

    /// Number of tracks that have appeared.
    #[must_use]
    pub const fn track_count(&self) -> u64 {
        match &self.mode {
            Mode::SingleObject(tracker) => tracker.track_count(),
            Mode::MultiObject(tracker) => tracker.track_count(),
        }
    }

    /// The lowest score of an object that [`Self::update`] looks at: weaker ones need not be computed.
    #[must_use]
    pub fn min_object_score(&self, thresholds: &Thresholds) -> f32 {
        match &self.mode {
            // It smooths the scores of all classes.
            Mode::SingleObject(_) => 0.0,
            Mode::MultiObject(_) => weak_threshold(thresholds),
        }
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
        self.update_observed(prediction, thresholds, None, (at, time))
    }

    /// As [`Self::update`], for a frame of which only parts were looked at: what is not detected is missed only where
    /// `coverage` shows it well. With `None` all of it was looked at.
    pub fn update_observed(
        &mut self,
        prediction: &Prediction,
        thresholds: &Thresholds,
        coverage: Option<&Coverage>,
        (at, time): (Instant, SystemTime),
    ) -> FrameTracks {
        let mut events = Vec::new();
        let (last, last_time) = self.last.replace((at, time)).unwrap_or((at, time));
        let step = at.saturating_duration_since(last);
        if step > self.reset_after || self.has_other_classes(prediction) {
            events = self.finish(last_time);
        }
        let mut found = match &mut self.mode {
            Mode::SingleObject(tracker) => tracker.update(prediction, thresholds, step, time),
            Mode::MultiObject(tracker) => {
                let frame = FrameDetections::new(prediction, thresholds);
                tracker.update(&frame, coverage, step, time)
            }
        };
        events.append(&mut found.events);
        FrameTracks { events, ..found }
    }

    /// Whether another frame that shows the same as the last would change nothing but times: all that it follows are tracks
    /// that stand still and were seen in the last frame.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match &self.mode {
            Mode::SingleObject(tracker) => tracker.is_settled(),
            Mode::MultiObject(tracker) => tracker.is_settled(),
        }
    }

    /// As [`Self::update`], for a frame without a prediction that shows the same as the last one. For a tracker that
    /// [is settled](Self::is_settled).
    pub fn rest(&mut self, at: Instant, time: SystemTime) -> FrameTracks {
        let (last, last_time) = self.last.replace((at, time)).unwrap_or((at, time));
        let step = at.saturating_duration_since(last);
        let events = match step > self.reset_after {
            true => self.finish(last_time),
            false => Vec::new(),
        };
        let tracks = match &mut self.mode {
            Mode::SingleObject(tracker) => tracker.rest(step),
            Mode::MultiObject(tracker) => tracker.rest(step),
        };
        FrameTracks {
            tracks,
            numbers: Vec::new(),
            events,
        }
    }

    /// Where the objects that it follows were last expected, also those that are no tracks yet; empty if it follows the primary
    /// detection.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        match &self.mode {
            Mode::SingleObject(_) => Vec::new(),
            Mode::MultiObject(tracker) => tracker.targets(),
        }
    }

    /// Where the objects that it follows were seen last, as [`Self::targets`].
    #[must_use]
    pub fn last_seen(&self) -> Vec<NormBox> {
        match &self.mode {
            Mode::SingleObject(_) => Vec::new(),
            Mode::MultiObject(tracker) => tracker.last_seen(),
        }
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
        match &mut self.mode {
            Mode::SingleObject(tracker) => tracker.finish(time).into_iter().collect(),
            Mode::MultiObject(tracker) => tracker.finish(time),
        }
    }

    /// Whether the prediction is of a model with another number of classes.
    fn has_other_classes(&self, prediction: &Prediction) -> bool {
        let class_count = match &self.mode {
            Mode::SingleObject(tracker) => tracker.class_count(),
            Mode::MultiObject(tracker) => tracker.class_count(),
        };
        class_count.is_some_and(|count| count != prediction.scores().len())
    }
}
