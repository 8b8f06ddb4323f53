//! Runs an offline source on the calling thread. No frame is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::inference::{Inference, Processed};
use super::{Pipeline, PipelineError, RunSummary};
use crate::frame::{Frame, Origin, UndecodableImage, UnreadableFrame};
use crate::health::{CaptureState, Health};
use crate::privacy::PublicFrame;
use crate::report::Report;
use crate::sink::{Display, Sink, SinkError};
use crate::source::FrameSource;

/// Runs an offline source to its end.
pub(super) fn run(
    pipeline: Pipeline<'_>,
    mut source: Box<dyn FrameSource>,
) -> Result<RunSummary, PipelineError> {
    let stop = pipeline.stop;
    let max_frames = pipeline
        .max_frames
        .map_or(u64::MAX, std::num::NonZeroU64::get);
    let start = pipeline.clock.now();
    let inference = Inference::new(
        pipeline.detector,
        pipeline.new_models,
        pipeline.threshold,
        pipeline.filter,
        Arc::clone(&pipeline.health),
        pipeline.clock,
    );
    let inference = inference
        .with_frame_positions()
        .with_primary_only(pipeline.one)
        .with_regions(pipeline.regions)
        .with_rest(&pipeline.rest)
        .with_tracking(pipeline.track)
        .with_zones(pipeline.zones)
        .with_aliases(pipeline.aliases)
        .with_clip_namer(pipeline.clip_namer)
        .with_hidden_classes(pipeline.hidden)?;
    let mut run = OfflineRun {
        inference,
        sinks: AllSinks {
            sinks: pipeline.sinks,
            display: pipeline.display,
            hide_on_display: pipeline.hide_on_display,
        },
        health: pipeline.health,
        last: None,
        max_frames,
        max_duration: pipeline.max_duration,
        start,
        taken: 0,
        summary: RunSummary::default(),
    };
    match run.read_all(&mut *source, stop) {
        Ok(()) | Err(PipelineError::Sink(SinkError::Closed)) => Ok(run.summary),
        Err(error) => Err(error),
    }
}

struct OfflineRun<'a> {
    inference: Inference,
    sinks: AllSinks<'a>,
    health: Arc<Health>,
    last: Option<PublicFrame>,
    max_frames: u64,
    max_duration: Option<Duration>,
    start: Instant,
    /// Frames so far, those that were not computed among them.
    taken: u64,
    summary: RunSummary,
}

impl OfflineRun<'_> {
    fn read_all(
        &mut self,
        source: &mut dyn FrameSource,
        stop: &AtomicBool,
    ) -> Result<(), PipelineError> {
        while self.taken < self.max_frames && !stop.load(Ordering::Relaxed) {
            match source.next_frame() {
                Ok(Some(frame)) if self.is_over(&frame) => break,
                Ok(Some(frame)) => self.process(frame)?,
                Ok(None) => {
                    self.end_track()?;
                    return Ok(self.sinks.wait_until_closed(stop)?);
                }
                Err(error) => match error.unreadable_frame() {
                    Some(frame) => self.skip(&frame)?,
                    None => return Err(error.into()),
                },
            }
        }
        self.end_track()
    }

    /// Whether a frame comes after the end of the run.
    fn is_over(&self, frame: &Frame) -> bool {
        let elapsed = self.inference.elapsed(frame, self.start);
        self.max_duration
            .is_some_and(|duration| elapsed >= duration)
    }

    fn process(&mut self, frame: Frame) -> Result<(), PipelineError> {
        self.health.captured.add(1);
        self.health.update(|now| now.state = CaptureState::Live);
        if let Some(report) = self.inference.take_new_model(self.last.as_deref()) {
            self.report_track_end(&report)?;
        }
        let scene_start = frame.scene_start && self.last.is_some();
        self.taken += 1;
        let frame = Arc::new(frame);
        let public = match self.inference.process(&frame, scene_start)? {
            Processed::Computed { report, public } => {
                self.sinks.show(&frame, &public, &report)?;
                self.summary.frames += 1;
                public
            }
            Processed::Rested { report, public } => {
                self.sinks.show_rested(&frame, &public, &report)?;
                public
            }
            Processed::Undecodable(error) => return self.skip(&unreadable(&frame, &error)),
        };
        self.last = Some(public);
        Ok(())
    }

    fn skip(&mut self, frame: &UnreadableFrame) -> Result<(), PipelineError> {
        self.summary.skipped += 1;
        self.health.broken.add(1);
        Ok(self
            .sinks
            .for_each(|sink| sink.on_unreadable_frame(frame))?)
    }

    fn end_track(&mut self) -> Result<(), PipelineError> {
        let last = self.last.as_deref();
        match last.and_then(|last| self.inference.end_track(last)) {
            Some(report) => self.report_track_end(&report),
            None => Ok(()),
        }
    }

    fn report_track_end(&mut self, report: &Report) -> Result<(), PipelineError> {
        if let Some(last) = &self.last {
            self.sinks
                .for_each(|sink| sink.on_track_ended(last, report))?;
        }
        Ok(())
    }
}

fn unreadable(frame: &Frame, error: &UndecodableImage) -> UnreadableFrame {
    let path = match &frame.origin {
        Origin::Picture(path) | Origin::Recording(path) => Some(path.clone()),
        Origin::Live | Origin::Scene(_) => None,
    };
    let number = frame.sequence;
    UnreadableFrame {
        path,
        reason: format!("unreadable frame {number} skipped: {error}"),
    }
}

/// The sinks of a run, and the display.
struct AllSinks<'a> {
    sinks: Vec<Box<dyn Sink + Send>>,
    display: Option<&'a mut dyn Display>,
    hide_on_display: bool,
}

impl AllSinks<'_> {
    /// Shows a frame, on the display last.
    fn show(
        &mut self,
        frame: &Frame,
        public: &PublicFrame,
        report: &Report,
    ) -> Result<(), SinkError> {
        let result = self.for_each(|sink| match report.events.is_empty() {
            true if sink.events_only() => Ok(()),
            _ => sink.show(public, report),
        });
        result.and(self.display(frame, public, report))
    }

    /// Shows a frame that was not computed.
    fn show_rested(
        &mut self,
        frame: &Frame,
        public: &PublicFrame,
        report: &Report,
    ) -> Result<(), SinkError> {
        let result = self.for_each(|sink| match report.events.is_empty() {
            true => sink.on_rested_frame(public, report),
            false => sink.show(public, report),
        });
        result.and(self.display(frame, public, report))
    }

    fn display(
        &mut self,
        frame: &Frame,
        public: &PublicFrame,
        report: &Report,
    ) -> Result<(), SinkError> {
        let displayed = if self.hide_on_display { public } else { frame };
        match &mut self.display {
            Some(display) => display.show(displayed, report),
            None => Ok(()),
        }
    }

    fn wait_until_closed(&mut self, stop: &AtomicBool) -> Result<(), SinkError> {
        let result = self.for_each(|sink| sink.wait_until_done(stop));
        match &mut self.display {
            Some(display) => result.and(display.wait_until_closed(stop)),
            None => result,
        }
    }

    /// Calls each sink, even if one fails, and returns the first error.
    fn for_each(
        &mut self,
        mut call: impl FnMut(&mut dyn Sink) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let mut result = Ok(());
        for sink in &mut self.sinks {
            result = result.and(call(&mut **sink));
        }
        result
    }
}
