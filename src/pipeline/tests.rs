//! The pipeline with fake sources, models and sinks, and a clock that tests can advance.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use image::RgbImage;
use parking_lot::Mutex;

use super::*;
use crate::card::{ModelCard, test_card};
use crate::detect::Prediction;
use crate::frame::{Frame, Origin, UnreadableFrame};
use crate::health::{CaptureState, StateChange};
use crate::picture::PictureError;
use crate::preprocess::InputTensor;
use crate::privacy::PublicFrame;
use crate::report::Report;
use crate::source::{CancelHandle, MessageHandle};

mod flow;
mod privacy;
mod rest;
mod sinks;
mod supervision;

/// A real clock that tests can advance. It counts the waits of each thread.
struct TestClock {
    offset: Mutex<Duration>,
    waits: Mutex<HashMap<String, u64>>,
}

impl TestClock {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            offset: Mutex::default(),
            waits: Mutex::default(),
        })
    }

    fn advance(&self, time: Duration) {
        *self.offset.lock() += time;
    }

    /// Number of waits that a thread with this name has begun.
    fn waits_of(&self, thread: &str) -> u64 {
        self.waits.lock().get(thread).copied().unwrap_or_default()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        Instant::now() + *self.offset.lock()
    }

    fn poll_interval(&self) -> Duration {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default().to_owned();
        *self.waits.lock().entry(name).or_default() += 1;
        Duration::from_millis(1)
    }
}

/// So long that only [`TestClock::advance`] makes a source stall, however busy the machine is.
const STALL: Duration = Duration::from_secs(3600);

/// Timeouts for tests of failing sources.
const TEST_TIMEOUTS: Timeouts = Timeouts {
    stall: STALL,
    first_frame: Duration::ZERO,
    min_retry_delay: Duration::from_millis(2),
    max_retry_delay: Duration::from_millis(20),
    min_frame_interval: Duration::from_millis(1),
    redraw_interval: Duration::from_millis(20),
    leave_after_gap: Duration::from_secs(24 * 3600),
    shutdown_timeout: Duration::from_secs(5),
};

type NextFrame = Box<dyn FnMut() -> Result<Option<Frame>, SourceError> + Send>;

struct FakeSource {
    next_frame: NextFrame,
    cancel: Option<Arc<dyn Fn() + Send + Sync>>,
    message: Option<String>,
}

impl FrameSource for FakeSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        (self.next_frame)()
    }

    fn cancel_handle(&self) -> Option<CancelHandle> {
        let cancel = self.cancel.clone()?;
        Some(Box::new(move || cancel()))
    }

    fn message_handle(&self) -> Option<MessageHandle> {
        let message = self.message.clone()?;
        Some(Box::new(move || Some(message.clone())))
    }
}

fn fake(
    next_frame: impl FnMut() -> Result<Option<Frame>, SourceError> + Send + 'static,
) -> Box<FakeSource> {
    Box::new(FakeSource {
        next_frame: Box::new(next_frame),
        cancel: None,
        message: None,
    })
}

/// An offline source, or a live one that is not reopened.
fn once(
    is_live: bool,
    next_frame: impl FnMut() -> Result<Option<Frame>, SourceError> + Send + 'static,
) -> SourceConfig {
    let source = fake(next_frame);
    if !is_live {
        return SourceConfig::Offline(source);
    }
    let mut source = Some(source);
    SourceConfig::Live(LiveSource {
        open: Box::new(move || Ok(source.take().expect("opened once"))),
        reopen: false,
        wait: false,
    })
}

/// A live source that is reopened. `open` gets the number of the attempt, from 0.
fn reopened(
    mut open: impl FnMut(usize) -> Result<Box<FakeSource>, SourceError> + Send + 'static,
) -> SourceConfig {
    let mut attempts = 0..;
    SourceConfig::Live(LiveSource {
        open: Box::new(move || Ok(open(attempts.next().expect("endless"))?)),
        reopen: true,
        wait: false,
    })
}

fn frame(sequence: u64) -> Frame {
    Frame::new(sequence, Origin::Live, RgbImage::new(2, 2))
}

/// `count` frames, then the end.
fn counting(count: u64) -> impl FnMut() -> Result<Option<Frame>, SourceError> + Send {
    let mut numbers = 0..count;
    move || Ok(numbers.next().map(frame))
}

fn unplugged() -> SourceError {
    SourceError::Camera {
        device: "/dev/video7".to_owned(),
        message: "was unplugged".to_owned(),
    }
}

fn unreadable() -> SourceError {
    SourceError::BrokenFrame {
        stream: "fake".to_owned(),
        message: "no JPEG".to_owned(),
    }
}

/// Predicts an apple with a score of 0.75, after a call of `before`.
struct FakeDetector<F> {
    card: ModelCard,
    hash: &'static str,
    before: F,
}

impl<F: FnMut() + Send> Detector for FakeDetector<F> {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn model_hash(&self) -> &str {
        self.hash
    }

    fn predict(&mut self, _: &InputTensor) -> Result<Prediction, DetectError> {
        (self.before)();
        Prediction::new(vec![0.75, 0.25], [0.0, 0.5, 0.0, 0.5])
    }
}

fn detector<F: FnMut() + Send + 'static>(before: F) -> Box<FakeDetector<F>> {
    Box::new(FakeDetector {
        card: test_card(2),
        hash: "0badcafe",
        before,
    })
}

/// The calls of a sink.
#[derive(Default)]
struct Calls {
    shown: Vec<u64>,
    reports: Vec<Report>,
    skipped: Vec<String>,
    skipped_frames: Vec<u64>,
    track_ends: Vec<Report>,
    states: Vec<StateChange>,
    waited_until_closed: bool,
}

impl Calls {
    fn state_names(&self) -> Vec<&'static str> {
        let names = self.states.iter().map(|change| change.state.name());
        names.collect()
    }
}

type Hook = Box<dyn FnMut(&Frame, &Report) -> Result<(), SinkError> + Send>;

/// Records its calls. The hook is called first.
#[derive(Default)]
struct FakeSink {
    calls: Arc<Mutex<Calls>>,
    hook: Option<Hook>,
    events_only: bool,
    wants_rested_frames: bool,
    wants_skipped_frames: bool,
}

impl FakeSink {
    fn new(hook: impl FnMut(&Frame, &Report) -> Result<(), SinkError> + Send + 'static) -> Self {
        Self {
            hook: Some(Box::new(hook)),
            ..Self::default()
        }
    }

    fn calls(&self) -> Arc<Mutex<Calls>> {
        Arc::clone(&self.calls)
    }
}

impl FakeSink {
    fn record(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        if let Some(hook) = &mut self.hook {
            hook(frame, report)?;
        }
        let mut calls = self.calls.lock();
        calls.shown.push(frame.sequence);
        calls.reports.push(report.clone());
        Ok(())
    }
}

impl Sink for FakeSink {
    fn show(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        self.record(frame, report)
    }

    fn events_only(&self) -> bool {
        self.events_only
    }

    fn wants_rested_frames(&self) -> bool {
        self.wants_rested_frames
    }

    fn wants_skipped_frames(&self) -> bool {
        self.wants_skipped_frames
    }

    fn on_skipped_frame(&mut self, frame: &PublicFrame) -> Result<(), SinkError> {
        self.calls.lock().skipped_frames.push(frame.sequence);
        Ok(())
    }

    fn on_track_ended(&mut self, _: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        self.calls.lock().track_ends.push(report.clone());
        Ok(())
    }

    fn on_unreadable_frame(&mut self, frame: &UnreadableFrame) -> Result<(), SinkError> {
        self.calls.lock().skipped.push(frame.reason.clone());
        Ok(())
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        self.calls.lock().states.push(change.clone());
        Ok(())
    }
}

impl Display for FakeSink {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        self.record(frame, report)
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        Sink::on_state_change(self, change)
    }

    fn wait_until_closed(&mut self, _: &AtomicBool) -> Result<(), SinkError> {
        self.calls.lock().waited_until_closed = true;
        Ok(())
    }
}

static NEVER: AtomicBool = AtomicBool::new(false);

/// A pipeline with one sink.
fn pipeline(detector: Box<dyn Detector>, sink: FakeSink) -> Pipeline<'static> {
    Pipeline {
        sinks: vec![Box::new(sink)],
        timeouts: TEST_TIMEOUTS,
        clock: TestClock::new(),
        ..Pipeline::new(detector, &NEVER)
    }
}

/// Runs a pipeline with one sink; returns the calls of the sink, too.
fn run(
    source: SourceConfig,
    max_frames: Option<u64>,
) -> (Result<RunSummary, PipelineError>, Calls) {
    let sink = FakeSink::default();
    let calls = sink.calls();
    let pipeline = Pipeline {
        max_frames: max_frames.and_then(NonZeroU64::new),
        ..pipeline(detector(|| {}), sink)
    };
    let result = pipeline.run(source);
    let calls = std::mem::take(&mut *calls.lock());
    (result, calls)
}

#[track_caller]
fn wait_until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "timeout");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Frames at 20 ms intervals of capture time. Each waits until the sink has shown the previous one, so that a live run
/// drops none.
struct PacedFrames {
    start: Instant,
    next: u64,
    calls: Arc<Mutex<Calls>>,
}

impl PacedFrames {
    fn new(calls: Arc<Mutex<Calls>>) -> Self {
        Self {
            start: Instant::now(),
            next: 0,
            calls,
        }
    }

    fn next(&mut self) -> Frame {
        wait_until(|| self.calls.lock().shown.len() as u64 >= self.next);
        let position = Duration::from_millis(20) * self.next as u32;
        self.next += 1;
        Frame {
            captured_at: self.start + position,
            position: Some(position),
            ..frame(self.next - 1)
        }
    }
}
