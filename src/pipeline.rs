//! Source, model and sinks in motion.
//!
//! In goes a source, out go its frames through the model to every sink. A replayed source is asked for one
//! frame after the other and nothing is lost. A live one is emptied by a thread of its own into a slot that
//! holds the newest frame only, so what a sink shows is never older than one pass through the model; frames
//! that nobody had time for are counted. It knows traits only: no file, camera or window is opened here.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::detect::{DetectError, Detector};
use crate::frame::Frame;
use crate::label::Labels;
use crate::preprocess::{PreprocessError, preprocess};
use crate::report::Report;
use crate::sink::{Sink, SinkError};
use crate::source::{FrameSource, SourceError};

mod slot;

use slot::{Next, Slot};

/// How often a wait for a frame looks whether it should end.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// Frames over which the rate is measured.
const RATE_FRAMES: usize = 30;

/// What frames go through.
pub struct Pipeline<'a> {
    /// The model.
    pub detector: &'a mut dyn Detector,
    /// Who is told, in this order.
    pub sinks: Vec<&'a mut dyn Sink>,
    /// Confidence from which a prediction is a detection, in `0..=1`.
    pub threshold: f32,
    /// Ends the run after so many frames.
    pub frames: Option<NonZeroU64>,
    /// Ends the run soon after it becomes true.
    pub stop: &'a AtomicBool,
}

/// How a run went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Frames that were shown to the sinks.
    pub frames: u64,
    /// Pictures and folders that could not be read.
    pub skipped: u64,
    /// Frames of a live source that were never looked at.
    pub dropped: u64,
}

/// What ends a run early.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The source's thread failed to start.
    #[error(
        "no thread could be started for the source ({source}); end other programs and try again"
    )]
    Thread {
        /// The system's words.
        source: std::io::Error,
    },
    /// The source's thread panicked.
    #[error("the source broke down; this is a fault of boxcam, please report what stands above")]
    SourcePanicked,
    /// A frame can't be given to the model.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// The model failed.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// A sink failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl Pipeline<'_> {
    /// Runs until the source ends, the limit of frames is reached, nobody looks any more
    /// ([`SinkError::Closed`]) or `stop` becomes true; all of these are well.
    ///
    /// A live source that never answers is left behind in its thread.
    ///
    /// # Errors
    /// [`PipelineError`]; a single picture that can't be read is none, the sinks are told of it.
    pub fn run(self, source: Box<dyn FrameSource>) -> Result<Outcome, PipelineError> {
        let labels = Arc::new(self.detector.card().labels.clone());
        let mut run = Run {
            model_hash: self.detector.model_hash().into(),
            labels,
            pipeline: self,
            rate: Rate::default(),
            outcome: Outcome::default(),
        };
        let ended = if source.is_live() {
            run.live(source)
        } else {
            run.replayed(source)
        };
        match ended {
            Ok(()) | Err(PipelineError::Sink(SinkError::Closed)) => Ok(run.outcome),
            Err(error) => Err(error),
        }
    }
}

/// A run in progress.
struct Run<'a> {
    pipeline: Pipeline<'a>,
    labels: Arc<Labels>,
    model_hash: Arc<str>,
    rate: Rate,
    outcome: Outcome,
}

impl Run<'_> {
    fn replayed(&mut self, mut source: Box<dyn FrameSource>) -> Result<(), PipelineError> {
        while !self.is_over() {
            match source.next_frame() {
                Ok(Some(frame)) => self.show(&frame)?,
                Ok(None) => return self.linger(),
                Err(error) => self.skip(error)?,
            }
        }
        Ok(())
    }

    /// The source is done; whoever looks at the last frame may go on doing so.
    fn linger(&mut self) -> Result<(), PipelineError> {
        for sink in &mut self.pipeline.sinks {
            sink.linger(self.pipeline.stop)?;
        }
        Ok(())
    }

    fn live(&mut self, source: Box<dyn FrameSource>) -> Result<(), PipelineError> {
        let slot = Slot::filled_by(source).map_err(|source| PipelineError::Thread { source })?;
        while !self.is_over() {
            match slot.next(STOP_CHECK) {
                Next::Frame(frame, dropped) => {
                    self.outcome.dropped = dropped;
                    self.show(&frame)?;
                }
                Next::Skipped(error) => self.skip(error)?,
                Next::Nothing => {}
                Next::End => break,
                Next::Panicked => return Err(PipelineError::SourcePanicked),
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        let enough = self
            .pipeline
            .frames
            .is_some_and(|limit| self.outcome.frames >= limit.get());
        enough || self.pipeline.stop.load(Ordering::Relaxed)
    }

    fn show(&mut self, frame: &Frame) -> Result<(), PipelineError> {
        let input = preprocess(frame, self.pipeline.detector.card())?;
        let started = Instant::now();
        let prediction = self.pipeline.detector.predict(&input)?;
        let now = Instant::now();
        let report = Report {
            detection: prediction.detection(self.pipeline.threshold),
            labels: Arc::clone(&self.labels),
            model_hash: Arc::clone(&self.model_hash),
            inference: now.duration_since(started),
            frame_age: now.saturating_duration_since(frame.captured_at),
            frames_per_second: self.rate.tick(now),
            dropped: self.outcome.dropped,
        };
        for sink in &mut self.pipeline.sinks {
            sink.show(frame, &report)?;
        }
        self.outcome.frames += 1;
        Ok(())
    }

    fn skip(&mut self, error: SourceError) -> Result<(), PipelineError> {
        if !error.source_goes_on() {
            return Err(error.into());
        }
        self.outcome.skipped += 1;
        for sink in &mut self.pipeline.sinks {
            sink.skip(&error)?;
        }
        Ok(())
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
        let elapsed = now.duration_since(*self.0.front()?).as_secs_f32();
        let passes = self.0.len() - 1;
        (passes > 0 && elapsed > 0.0).then(|| passes as f32 / elapsed)
    }
}

#[cfg(test)]
mod tests;
