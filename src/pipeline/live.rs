//! Runs a live source: capture, model and sinks on threads of their own, the display on the calling thread.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use image::RgbImage;

use super::capture::Supervisor;
use super::channels::{
    DisplayChannel, Message, SceneFrame, Shared, SinkQueue, Taken, spawn, wait_for_thread,
};
use super::heat_control::{HeatChange, HeatControl};
use super::inference::{Inference, Processed};
use super::{LiveSource, Pipeline, PipelineError, RunSummary, Timeouts};
use crate::frame::{Frame, Origin};
use crate::health::CaptureState;
use crate::privacy::PublicFrame;
use crate::report::Report;
use crate::sink::{Display, Sink, SinkError};

/// Size of the black image that is shown before the first frame.
const BLACK_SIZE: (u32, u32) = (640, 480);

/// Runs a live source until it ends for good or the run is stopped.
pub(super) fn run(pipeline: Pipeline<'_>, source: LiveSource) -> Result<RunSummary, PipelineError> {
    let (stop, timeouts) = (pipeline.stop, pipeline.timeouts);
    let (health, clock) = (Arc::clone(&pipeline.health), Arc::clone(&pipeline.clock));
    let is_hiding = pipeline.hidden.is_some();
    let inference = Inference::new(
        pipeline.detector,
        pipeline.new_models,
        pipeline.threshold,
        pipeline.filter,
        Arc::clone(&health),
        Arc::clone(&clock),
    );
    let inference = inference
        .with_primary_only(pipeline.one)
        .with_regions(pipeline.regions)
        .with_rest(&pipeline.rest)
        .with_tracking(pipeline.track)
        .with_zones(pipeline.zones)
        .with_aliases(pipeline.aliases)
        .with_clip_namer(pipeline.clip_namer)
        .with_hidden_classes(pipeline.hidden)?;
    let sinks = pipeline.sinks;
    let queues = sinks.iter().map(|sink| {
        SinkQueue::new(sink.events_only())
            .with_rested_frames(sink.wants_rested_frames())
            .with_skipped_frames(sink.wants_skipped_frames())
    });
    let shared = Shared::new(
        Arc::clone(&health),
        Arc::clone(&clock),
        pipeline
            .display
            .is_some()
            .then(|| DisplayChannel::new(pipeline.hide_on_display)),
        queues.map(Arc::new).collect(),
        inference.waiting_report(),
    );
    let shared = Arc::new(shared.with_skipped_frames(!is_hiding));
    let mut workers = Workers::default();
    let (heat, max_rate) = (pipeline.rest.heat, pipeline.rest.max_rate);
    let model = ModelThread {
        shared: Arc::clone(&shared),
        inference,
        heat: heat.map(|heat| HeatControl::new(heat, max_rate)),
        max_frames: pipeline.max_frames,
        max_duration: pipeline.max_duration,
        leave_after_gap: timeouts.leave_after_gap,
    };
    match workers.start(&shared, sinks, model, source, timeouts) {
        Ok(()) => match pipeline.display {
            Some(display) => {
                let screen = DisplayLoop::new(&shared, timeouts.redraw_interval);
                if let Err(error) = screen.run(display, stop) {
                    shared.shutdown.fail(error.into());
                }
            }
            None => wait_for_shutdown(&shared, stop),
        },
        Err(error) => shared.shutdown.fail(error),
    }
    workers.finish(&shared, clock.now() + timeouts.shutdown_timeout);
    shared.shutdown.result()?;
    Ok(RunSummary {
        frames: health.inferred.get(),
        skipped: 0,
        dropped: health.dropped.get(),
    })
}

fn wait_for_shutdown(shared: &Shared, stop: &AtomicBool) {
    while !shared.shutdown.wait(shared.clock.poll_interval()) {
        if stop.load(Ordering::Relaxed) {
            shared.shutdown.begin();
        }
    }
}

/// The threads of a run.
#[derive(Default)]
struct Workers {
    sinks: Vec<SinkThread>,
    model: Option<JoinHandle<()>>,
    supervisor: Option<JoinHandle<()>>,
}

struct SinkThread {
    queue: Arc<SinkQueue>,
    thread: JoinHandle<()>,
}

impl Workers {
    fn start(
        &mut self,
        shared: &Arc<Shared>,
        sinks: Vec<Box<dyn Sink + Send>>,
        model: ModelThread,
        source: LiveSource,
        timeouts: Timeouts,
    ) -> Result<(), PipelineError> {
        for (sink, queue) in sinks.into_iter().zip(&shared.queues) {
            let (queue, consumer) = (Arc::clone(queue), SinkConsumer(Arc::clone(queue)));
            let body = move || Ok(consumer.run(sink)?);
            let thread = spawn("sink", &shared.shutdown, PipelineError::SinkPanicked, body)?;
            self.sinks.push(SinkThread { queue, thread });
        }
        let body = move || {
            model.run();
            Ok(())
        };
        let panicked = PipelineError::ModelPanicked;
        self.model = Some(spawn("model", &shared.shutdown, panicked, body)?);
        let supervisor = Supervisor::new(Arc::clone(shared), source, timeouts);
        let panicked = PipelineError::SourcePanicked;
        let body = move || supervisor.run();
        self.supervisor = Some(spawn("supervisor", &shared.shutdown, panicked, body)?);
        Ok(())
    }

    /// Waits for all threads to finish until `deadline`. Threads that do not are detached.
    fn finish(self, shared: &Shared, deadline: Instant) {
        let clock = &*shared.clock;
        for thread in self.model.iter().chain(&self.supervisor) {
            wait_for_thread(thread, clock, deadline);
        }
        // All queues are closed first, so that the sinks finish at the same time.
        self.sinks.iter().for_each(|sink| sink.queue.close());
        for sink in self.sinks {
            if !wait_for_thread(&sink.thread, clock, deadline) {
                shared.health.reports_lost.add(sink.queue.discard());
            }
        }
    }
}

/// Passes the messages of a queue to a sink. Discards the queue when dropped, so that nothing is queued for a sink that
/// has failed or panicked.
struct SinkConsumer(Arc<SinkQueue>);

impl SinkConsumer {
    fn run(self, mut sink: Box<dyn Sink + Send>) -> Result<(), SinkError> {
        while let Some(message) = self.0.pop() {
            match message {
                Message::Report(frame, report) => sink.show(&frame, &report)?,
                Message::Rested(frame, report) => sink.on_rested_frame(&frame, &report)?,
                Message::Skipped(frame) => sink.on_skipped_frame(&frame)?,
                Message::TrackEnded(frame, report) => sink.on_track_ended(&frame, &report)?,
                Message::State(change) => sink.on_state_change(&change)?,
            }
        }
        Ok(())
    }
}

impl Drop for SinkConsumer {
    fn drop(&mut self) {
        self.0.discard();
    }
}

struct ModelThread {
    shared: Arc<Shared>,
    inference: Inference,
    heat: Option<HeatControl>,
    max_frames: Option<NonZeroU64>,
    max_duration: Option<Duration>,
    leave_after_gap: Duration,
}

impl ModelThread {
    /// Processes frames until the source ends, `max_frames` is reached or the shutdown begins.
    fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let result = self.process_frames(&shared);
        shared.to_model.close();
        if let Taken::Value(_) = shared.to_model.take(Duration::ZERO) {
            shared.health.dropped.add(1);
        }
        if let Err(error) = result {
            shared.shutdown.record(error);
        }
        shared.shutdown.begin();
    }

    fn process_frames(&mut self, shared: &Shared) -> Result<(), PipelineError> {
        let clock = &shared.clock;
        let mut last: Option<SceneFrame<PublicFrame>> = None;
        let mut processed = 0;
        let start = clock.now();
        let mut last_frame_at = start;
        let result = loop {
            let is_enough = self.max_frames.is_some_and(|max| processed >= max.get());
            if is_enough || shared.shutdown.has_begun() {
                break Ok(());
            }
            if let Some(duration) = self.max_duration
                && clock.now().saturating_duration_since(start) >= duration
            {
                break match shared.health.captured.get() {
                    0 => Err(PipelineError::NoFrame { duration }),
                    _ => Ok(()),
                };
            }
            self.check_heat(shared);
            let last_frame = last.as_ref().map(|last| &*last.frame);
            let ended = self.inference.take_new_model(last_frame);
            publish_track_end(shared, last.as_ref(), ended);
            match shared.to_model.take(clock.poll_interval()) {
                Taken::Closed => break Ok(()),
                Taken::TimedOut => {
                    let gap = clock.now().saturating_duration_since(last_frame_at);
                    if gap >= self.leave_after_gap {
                        self.end_track(shared, last.as_ref());
                    }
                }
                Taken::Value(frame) => {
                    let scene_start = last.as_ref().is_some_and(|last| last.scene != frame.scene);
                    match self.inference.process(&frame.frame, scene_start) {
                        Ok(Processed::Computed { report, public }) => {
                            let public = frame.with(public);
                            shared.publish_report(&public, report);
                            last = Some(public);
                        }
                        Ok(Processed::Rested { report, public }) => {
                            let public = frame.with(public);
                            shared.publish_rest(&public, report);
                            last = Some(public);
                        }
                        Ok(Processed::Undecodable(_)) => shared.health.broken.add(1),
                        Err(error) => break Err(error),
                    }
                    processed += 1;
                    last_frame_at = clock.now();
                }
            }
        };
        self.end_track(shared, last.as_ref());
        result
    }

    /// Limits the rate while the board is hot. A source without frames is trouble enough.
    fn check_heat(&mut self, shared: &Shared) {
        let Some(heat) = self
            .heat
            .as_mut()
            .filter(|_| shared.state() == CaptureState::Live)
        else {
            return;
        };
        let inference = || shared.health.status().inference;
        if let Some(HeatChange { rate, reason }) = heat.check(shared.clock.now(), inference) {
            self.inference.set_heat_rate(rate);
            let lasting = if rate.is_some() { reason.as_str() } else { "" };
            shared.announce_rate(&reason, lasting);
        }
    }

    fn end_track(&mut self, shared: &Shared, last: Option<&SceneFrame<PublicFrame>>) {
        let ended = last.and_then(|last| self.inference.end_track(&last.frame));
        publish_track_end(shared, last, ended);
    }
}

fn publish_track_end(
    shared: &Shared,
    last: Option<&SceneFrame<PublicFrame>>,
    ended: Option<Report>,
) {
    if let Some((last, report)) = last.zip(ended) {
        shared.publish_track_end(last, report);
    }
}

/// Shows frames on the display.
struct DisplayLoop<'a> {
    shared: &'a Shared,
    redraw_interval: Duration,
    frame: SceneFrame,
}

impl<'a> DisplayLoop<'a> {
    fn new(shared: &'a Shared, redraw_interval: Duration) -> Self {
        let (width, height) = BLACK_SIZE;
        let black = Frame::new(0, Origin::Live, RgbImage::new(width, height));
        Self {
            shared,
            redraw_interval,
            frame: SceneFrame {
                frame: Arc::new(black),
                scene: 0,
            },
        }
    }

    /// Shows each new frame at once with the latest report, and the last frame again after `redraw_interval`.
    fn run(mut self, display: &mut dyn Display, stop: &AtomicBool) -> Result<(), SinkError> {
        let clock = &self.shared.clock;
        let Some(frames) = &self.shared.to_display else {
            return Ok(());
        };
        self.show(display)?;
        let mut shown_at = clock.now();
        while !self.shared.shutdown.has_begun() {
            if stop.load(Ordering::Relaxed) {
                self.shared.shutdown.begin();
                break;
            }
            let changes = self.shared.take_display_changes();
            for change in &changes {
                display.on_state_change(change)?;
            }
            let elapsed = clock.now().saturating_duration_since(shown_at);
            let remaining = self.redraw_interval.saturating_sub(elapsed);
            match frames.latest.take(remaining.min(clock.poll_interval())) {
                Taken::Value(frame) => self.frame = frame,
                _ if changes.is_empty() && !remaining.is_zero() => {
                    display.idle()?;
                    continue;
                }
                _ => {}
            }
            self.show(display)?;
            shown_at = clock.now();
        }
        for change in &self.shared.take_display_changes() {
            display.on_state_change(change)?;
        }
        Ok(())
    }

    fn show(&self, display: &mut dyn Display) -> Result<(), SinkError> {
        let latest = self.shared.latest_report();
        let capture = self.shared.state();
        let is_of_old_scene = latest.scene < self.frame.scene;
        if latest.report.capture == capture && !is_of_old_scene {
            return display.show(&self.frame.frame, &latest.report);
        }
        let mut report = Report::clone(&latest.report);
        report.capture = capture;
        if is_of_old_scene {
            // Its bounding box is not of this frame.
            report.detection = None;
            report.others.clear();
            report.numbers.clear();
            report.tracks.clear();
            report.events.clear();
        }
        display.show(&self.frame.frame, &report)
    }
}
