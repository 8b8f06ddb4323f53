//! Runs the model on a frame: once on the whole, or on parts of it.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::{Clock, PipelineError};
use crate::detect::{Detector, Prediction, Thresholds};
use crate::frame::Frame;
use crate::preprocess::preprocess;
use crate::regions::{Coverage, FrameTiming, Hints, Looked, MovedArea, RegionDetector, Target};

/// What the model found in a frame.
pub(super) struct Observation {
    pub(super) prediction: Prediction,
    /// Where it looked; `None` if regions are not looked at.
    pub(super) coverage: Option<Coverage>,
    /// Duration of the inferences.
    pub(super) inference: Duration,
}

/// What the tracker, the source and the comparison with an earlier frame tell about a frame.
pub(super) struct Tracked {
    /// What is followed; `None` if frames do not follow each other.
    pub(super) targets: Option<Vec<Target>>,
    /// Where something moved; empty if nothing did, or it is not known.
    pub(super) moved: Vec<MovedArea>,
    /// Whether the whole frame must be looked at.
    pub(super) needs_whole: bool,
    pub(super) is_live: bool,
}

/// Looks at parts of frames.
pub(super) struct RegionObserver {
    rate: NonZeroU32,
    regions: RegionDetector,
    last: Option<LastFrame>,
}

/// When the last frame was.
#[derive(Clone, Copy)]
struct LastFrame {
    captured_at: Instant,
    sequence: u64,
    position: Option<Duration>,
}

impl Observation {
    /// Looks at the whole frame.
    pub(super) fn whole(
        frame: &Frame,
        detector: &mut dyn Detector,
        clock: &dyn Clock,
    ) -> Result<Self, PipelineError> {
        let input = preprocess(frame, detector.card())?;
        let started = clock.now();
        let prediction = detector.predict(&input)?;
        Ok(Self {
            prediction,
            coverage: None,
            inference: clock.now().saturating_duration_since(started),
        })
    }
}

impl RegionObserver {
    /// At most `rate` inferences per second of frames that follow each other.
    pub(super) fn new(rate: NonZeroU32) -> Self {
        Self {
            rate,
            regions: RegionDetector::new(rate),
            last: None,
        }
    }

    /// Whether all of a frame was looked at closely since something moved.
    pub(super) const fn has_looked_everywhere(&self) -> bool {
        self.regions.has_looked_everywhere()
    }

    /// For another model.
    pub(super) fn restarted(self) -> Self {
        Self::new(self.rate)
    }

    pub(super) fn observe(
        &mut self,
        frame: &Frame,
        detector: &mut dyn Detector,
        thresholds: &Thresholds,
        tracked: &Tracked,
        clock: &dyn Clock,
    ) -> Result<Observation, PipelineError> {
        let timing = self.timing(frame, tracked.is_live);
        let started = clock.now();
        let Looked {
            prediction,
            coverage,
        } = match &tracked.targets {
            None => self.regions.look_at_picture(frame, detector, thresholds)?,
            Some(targets) => {
                let hints = Hints {
                    timing,
                    targets,
                    moved: &tracked.moved,
                    needs_whole: tracked.needs_whole,
                };
                self.regions
                    .look_at_frame(frame, detector, thresholds, &hints)?
            }
        };
        let inference = clock.now().saturating_duration_since(started);
        self.regions.record(coverage.views().len(), inference);
        Ok(Observation {
            prediction,
            coverage: Some(coverage),
            inference,
        })
    }

    fn timing(&mut self, frame: &Frame, is_live: bool) -> FrameTiming {
        let last = self.last.replace(LastFrame {
            captured_at: frame.captured_at,
            sequence: frame.sequence,
            position: frame.position,
        });
        if !is_live {
            let before = last.and_then(|last| last.position);
            let interval = frame.position.zip(before);
            return FrameTiming::Offline(interval.map(|(now, before)| now.saturating_sub(before)));
        }
        FrameTiming::Live {
            interval: last.map(|last| {
                frame
                    .captured_at
                    .saturating_duration_since(last.captured_at)
            }),
            frames: last.map_or(1, |last| {
                frame.sequence.saturating_sub(last.sequence).max(1)
            }),
        }
    }
}
