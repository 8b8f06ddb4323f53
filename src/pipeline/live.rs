//! A live source: capture, model and outputs on threads of their own, the display on the calling thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use image::RgbImage;

use super::ending::{has_ended, spawn};
use super::hub::Hub;
use super::inference::Inference;
use super::outputs::Output;
use super::queue::Queue;
use super::slot::Next;
use super::supervisor::{Supervisor, Supply};
use super::{Outcome, Pipeline, PipelineError, Times};
use crate::frame::{Frame, Origin};
use crate::report::Report;
use crate::sink::{Sink, SinkError};

/// How often a wait looks whether it should end.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// Size of the black picture that is shown before the first frame.
const BLACK: (u32, u32) = (640, 480);

/// Runs a live source until it ends for good or somebody ends the run.
pub(super) fn run(pipeline: Pipeline<'_>, supply: Supply) -> Result<Outcome, PipelineError> {
    let Pipeline {
        display,
        stop,
        times,
        health,
        frames,
        ..
    } = pipeline;
    let inference = Inference::new(
        pipeline.detector,
        pipeline.newer_models,
        pipeline.threshold,
        Arc::clone(&health),
    );
    let inference = inference.tracking(pipeline.is_tracked);
    let outputs = pipeline.outputs;
    let queues = outputs.iter().map(|sink| Queue::new(sink.events_only()));
    let hub = Arc::new(Hub::new(
        Arc::clone(&health),
        display.is_some(),
        queues.map(Arc::new).collect(),
        inference.waiting(),
    ));
    let limit = frames.map(std::num::NonZeroU64::get);
    let mut crew = Crew::default();
    let started = crew.start(&hub, outputs, (inference, limit), supply, times);
    match started {
        Ok(()) => match display {
            Some(display) => {
                if let Err(error) = Screen::new(&hub, times).run(display, stop) {
                    hub.ending.fail(error.into());
                }
            }
            None => wait(&hub, stop),
        },
        Err(error) => hub.ending.fail(error),
    }
    crew.finish(&hub, Instant::now() + times.drain);
    hub.ending.result()?;
    Ok(Outcome {
        frames: health.inferred.get(),
        skipped: 0,
        dropped: health.dropped.get(),
    })
}

/// Waits for the run to be over.
fn wait(hub: &Hub, stop: &AtomicBool) {
    while !hub.ending.wait(STOP_CHECK) {
        if stop.load(Ordering::Relaxed) {
            hub.ending.stop();
        }
    }
}

/// The threads of a run.
#[derive(Default)]
struct Crew {
    outputs: Vec<Output>,
    inference: Option<JoinHandle<()>>,
    supervisor: Option<JoinHandle<()>>,
}

impl Crew {
    fn start(
        &mut self,
        hub: &Arc<Hub>,
        outputs: Vec<Box<dyn Sink + Send>>,
        (inference, limit): (Inference, Option<u64>),
        supply: Supply,
        times: Times,
    ) -> Result<(), PipelineError> {
        for (sink, queue) in outputs.into_iter().zip(&hub.queues) {
            let output = Output::start(sink, Arc::clone(queue), &hub.ending)?;
            self.outputs.push(output);
        }
        let shared = Arc::clone(hub);
        let body = move || infer(&shared, inference, limit, times.forget);
        let panicked = PipelineError::ModelPanicked;
        self.inference = Some(spawn("model", &hub.ending, panicked, body)?);
        let supervisor = Supervisor::new(Arc::clone(hub), supply, times);
        let panicked = PipelineError::SourcePanicked;
        let body = move || supervisor.run();
        self.supervisor = Some(spawn("supervise", &hub.ending, panicked, body)?);
        Ok(())
    }

    /// Lets everybody finish what is under way, no longer than until `deadline`. Who hangs is left behind.
    fn finish(self, hub: &Hub, deadline: Instant) {
        let last = self.inference.iter().chain(&self.supervisor);
        for thread in last {
            has_ended(thread, deadline);
        }
        // All at once, so that one that hangs takes nobody else's time.
        self.outputs.iter().for_each(Output::close);
        for output in self.outputs {
            hub.health.reports_lost.add(output.finish(deadline));
        }
    }
}

/// Frames through the model until there are no more, enough have been, or the run is over.
fn infer(
    hub: &Hub,
    mut inference: Inference,
    limit: Option<u64>,
    forget: Duration,
) -> Result<(), PipelineError> {
    let mut last: Option<Arc<Frame>> = None;
    let mut seen = 0;
    let mut quiet_since = Instant::now();
    let ended = loop {
        if hub.ending.is_over() || limit.is_some_and(|limit| seen >= limit) {
            break Ok(());
        }
        let left = inference.take_newer_model(last.as_deref());
        tell_left(hub, last.as_ref(), left);
        match hub.to_model.take(STOP_CHECK) {
            Next::Closed => break Ok(()),
            Next::Nothing if quiet_since.elapsed() < forget => {}
            Next::Nothing => {
                let left = last.as_deref().and_then(|last| inference.leave(last));
                tell_left(hub, last.as_ref(), left);
            }
            Next::Value(frame) => {
                match inference.look(&frame) {
                    Ok(report) => hub.report(&frame, report),
                    Err(error) => break Err(error),
                }
                seen += 1;
                quiet_since = Instant::now();
                last = Some(frame);
            }
        }
    };
    let left = last.as_deref().and_then(|last| inference.leave(last));
    tell_left(hub, last.as_ref(), left);
    hub.to_model.close();
    if let Next::Value(_) = hub.to_model.take(Duration::ZERO) {
        hub.health.dropped.add(1);
    }
    if let Err(error) = ended {
        hub.ending.note(error);
    }
    hub.ending.stop();
    Ok(())
}

fn tell_left(hub: &Hub, last: Option<&Arc<Frame>>, left: Option<Report>) {
    if let Some((last, left)) = last.zip(left) {
        hub.left(last, left);
    }
}

/// What the display shows.
struct Screen<'a> {
    hub: &'a Hub,
    refresh: Duration,
    frame: Arc<Frame>,
}

impl<'a> Screen<'a> {
    fn new(hub: &'a Hub, times: Times) -> Self {
        let (width, height) = BLACK;
        let black = Frame::new(0, Origin::Live, RgbImage::new(width, height));
        Self {
            hub,
            refresh: times.refresh,
            frame: Arc::new(black),
        }
    }

    /// Shows each newest frame at once with the latest report, and the last one again when none comes.
    fn run(mut self, display: &mut dyn Sink, stop: &AtomicBool) -> Result<(), SinkError> {
        let Some(frames) = &self.hub.to_display else {
            return Ok(());
        };
        self.show(display)?;
        let mut shown = Instant::now();
        while !self.hub.ending.is_over() {
            if stop.load(Ordering::Relaxed) {
                self.hub.ending.stop();
                break;
            }
            let news = self.hub.take_changes();
            for change in &news {
                display.on_state_change(change)?;
            }
            let left = self.refresh.saturating_sub(shown.elapsed());
            match frames.take(left.min(STOP_CHECK)) {
                Next::Value(frame) => self.frame = frame,
                _ if news.is_empty() && !left.is_zero() => {
                    display.idle()?;
                    continue;
                }
                _ => {}
            }
            self.show(display)?;
            shown = Instant::now();
        }
        for change in &self.hub.take_changes() {
            display.on_state_change(change)?;
        }
        Ok(())
    }

    fn show(&self, display: &mut dyn Sink) -> Result<(), SinkError> {
        let latest = self.hub.latest();
        let capture = self.hub.state();
        if latest.capture == capture {
            return display.show(&self.frame, &latest);
        }
        let report = Report {
            capture,
            ..Report::clone(&latest)
        };
        display.show(&self.frame, &report)
    }
}
