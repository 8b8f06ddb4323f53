//! A replayed source: one frame after the other on the calling thread, nothing dropped.

use std::sync::Arc;

use super::inference::Inference;
use super::{Outcome, Pipeline, PipelineError};
use crate::frame::Frame;
use crate::health::{CaptureState, Health};
use crate::report::Report;
use crate::sink::{Sink, SinkError};
use crate::source::{FrameSource, SourceError};

/// Runs a replayed source to its end.
pub(super) fn run(
    pipeline: Pipeline<'_>,
    mut source: Box<dyn FrameSource>,
) -> Result<Outcome, PipelineError> {
    let (stop, limit) = (pipeline.stop, pipeline.frames);
    let inference = Inference::new(
        pipeline.detector,
        pipeline.newer_models,
        pipeline.threshold,
        Arc::clone(&pipeline.health),
    );
    let mut run = Run {
        inference: inference.replaying().tracking(pipeline.is_tracked),
        sinks: Sinks {
            outputs: pipeline.outputs,
            display: pipeline.display,
        },
        health: pipeline.health,
        last: None,
        outcome: Outcome::default(),
    };
    let is_over = |run: &Run<'_>| {
        let enough = limit.is_some_and(|limit| run.outcome.frames >= limit.get());
        enough || stop.load(std::sync::atomic::Ordering::Relaxed)
    };
    let ended = loop {
        if is_over(&run) {
            break run.leave();
        }
        let step = match source.next_frame() {
            Ok(Some(frame)) => run.show(frame),
            Ok(None) => {
                let left = run.leave();
                break left
                    .and_then(|()| Ok(run.sinks.each(|sink| sink.wait_until_closed(stop))?));
            }
            Err(error) => run.skip(&error).and_then(|()| match error {
                error if error.is_recoverable() => Ok(()),
                error => Err(error.into()),
            }),
        };
        if step.is_err() {
            break step;
        }
    };
    match ended {
        Ok(()) | Err(PipelineError::Sink(SinkError::Closed)) => Ok(run.outcome),
        Err(error) => Err(error),
    }
}

/// A run in progress.
struct Run<'a> {
    inference: Inference,
    sinks: Sinks<'a>,
    health: Arc<Health>,
    last: Option<Frame>,
    outcome: Outcome,
}

impl Run<'_> {
    fn show(&mut self, frame: Frame) -> Result<(), PipelineError> {
        self.health.captured.add(1);
        self.health.update(|now| now.state = CaptureState::Live);
        if let Some(left) = self.inference.take_newer_model(self.last.as_ref()) {
            self.tell_left(&left)?;
        }
        let report = self.inference.look(&frame)?;
        self.sinks.each(|sink| show(sink, &frame, &report))?;
        self.last = Some(frame);
        self.outcome.frames += 1;
        Ok(())
    }

    fn skip(&mut self, error: &SourceError) -> Result<(), PipelineError> {
        if let Some(frame) = error.unreadable_frame() {
            self.outcome.skipped += 1;
            self.health.broken.add(1);
            self.sinks.each(|sink| sink.on_unreadable_frame(&frame))?;
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), PipelineError> {
        let last = self.last.as_ref();
        match last.and_then(|last| self.inference.leave(last)) {
            Some(left) => self.tell_left(&left),
            None => Ok(()),
        }
    }

    fn tell_left(&mut self, left: &Report) -> Result<(), PipelineError> {
        if let Some(last) = &self.last {
            self.sinks.each(|sink| sink.on_track_ended(last, left))?;
        }
        Ok(())
    }
}

fn show(sink: &mut dyn Sink, frame: &Frame, report: &Report) -> Result<(), SinkError> {
    if sink.events_only() && report.events.is_empty() {
        return Ok(());
    }
    sink.show(frame, report)
}

/// All sinks of a run, the display last.
struct Sinks<'a> {
    outputs: Vec<Box<dyn Sink + Send>>,
    display: Option<&'a mut dyn Sink>,
}

impl Sinks<'_> {
    /// Tells each of them; one that fails keeps nobody from being told.
    fn each(
        &mut self,
        mut tell: impl FnMut(&mut dyn Sink) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let mut first = Ok(());
        for sink in &mut self.outputs {
            first = first.and(tell(&mut **sink));
        }
        if let Some(display) = &mut self.display {
            first = first.and(tell(&mut **display));
        }
        first
    }
}
