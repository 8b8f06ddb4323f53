//! The pipeline with sources, models and sinks that are made up.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use image::RgbImage;

use super::*;
use crate::card::{ModelCard, test_card};
use crate::detect::Prediction;
use crate::frame::{Frame, Origin, UnreadableFrame};
use crate::health::{CaptureState, StateChange};
use crate::picture::PictureError;
use crate::preprocess::InputTensor;
use crate::report::Report;
use crate::source::CancelHandle;

mod flow;
mod outputs;
mod supervision;

type Step = Box<dyn FnMut() -> Result<Option<Frame>, SourceError> + Send>;

struct FakeSource {
    step: Step,
    interrupter: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl FrameSource for FakeSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        (self.step)()
    }

    fn cancel_handle(&self) -> Option<CancelHandle> {
        let interrupt = self.interrupter.clone()?;
        Some(Box::new(move || interrupt()))
    }
}

fn fake(
    step: impl FnMut() -> Result<Option<Frame>, SourceError> + Send + 'static,
) -> Box<FakeSource> {
    Box::new(FakeSource {
        step: Box::new(step),
        interrupter: None,
    })
}

/// That source as an input which is not opened again.
fn input(
    is_live: bool,
    step: impl FnMut() -> Result<Option<Frame>, SourceError> + Send + 'static,
) -> Input {
    let source = fake(step);
    if !is_live {
        return Input::Replayed(source);
    }
    let mut source = Some(source);
    Input::Live {
        open: Box::new(move || Ok(source.take().expect("opened once"))),
        reopens: false,
        wait: false,
    }
}

/// A source that is opened again and again, with the number of the attempt from 0.
fn reopened(
    mut open: impl FnMut(usize) -> Result<Box<FakeSource>, SourceError> + Send + 'static,
) -> Input {
    let mut attempts = 0..;
    Input::Live {
        open: Box::new(move || Ok(open(attempts.next().expect("endless"))?)),
        reopens: true,
        wait: false,
    }
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

fn garbage() -> SourceError {
    SourceError::BrokenFrame {
        stream: "fake".to_owned(),
        message: "no JPEG".to_owned(),
    }
}

/// Says "apple, 0.75" of everything, and does something first.
struct FakeDetector<F> {
    card: ModelCard,
    hash: &'static str,
    first: F,
}

impl<F: FnMut() + Send> Detector for FakeDetector<F> {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn model_hash(&self) -> &str {
        self.hash
    }

    fn predict(&mut self, _: &InputTensor) -> Result<Prediction, DetectError> {
        (self.first)();
        Prediction::new(vec![0.75, 0.25], [0.0, 0.5, 0.0, 0.5])
    }
}

fn detector<F: FnMut() + Send + 'static>(first: F) -> Box<FakeDetector<F>> {
    Box::new(FakeDetector {
        card: test_card(2),
        hash: "0badcafe",
        first,
    })
}

/// What a sink was told.
#[derive(Default)]
struct Told {
    shown: Vec<u64>,
    reports: Vec<Report>,
    skipped: Vec<String>,
    left: Vec<Report>,
    states: Vec<StateChange>,
    lingered: bool,
}

type Hook = Box<dyn FnMut(&Frame, &Report) -> Result<(), SinkError> + Send>;

/// Keeps what it is told, where a test can look at it, after the hook has been asked.
#[derive(Default)]
struct FakeSink {
    told: Arc<Mutex<Told>>,
    hook: Option<Hook>,
    events_only: bool,
}

impl FakeSink {
    fn new(hook: impl FnMut(&Frame, &Report) -> Result<(), SinkError> + Send + 'static) -> Self {
        Self {
            hook: Some(Box::new(hook)),
            ..Self::default()
        }
    }

    fn told(&self) -> Arc<Mutex<Told>> {
        Arc::clone(&self.told)
    }

    fn note(&self, note: impl FnOnce(&mut Told)) -> Result<(), SinkError> {
        note(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

impl Sink for FakeSink {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        if let Some(hook) = &mut self.hook {
            hook(frame, report)?;
        }
        self.note(|told| {
            told.shown.push(frame.sequence);
            told.reports.push(report.clone());
        })
    }

    fn events_only(&self) -> bool {
        self.events_only
    }

    fn on_track_ended(&mut self, _: &Frame, report: &Report) -> Result<(), SinkError> {
        self.note(|told| told.left.push(report.clone()))
    }

    fn on_unreadable_frame(&mut self, frame: &UnreadableFrame) -> Result<(), SinkError> {
        self.note(|told| told.skipped.push(frame.reason.clone()))
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        self.note(|told| told.states.push(change.clone()))
    }

    fn wait_until_closed(&mut self, _: &AtomicBool) -> Result<(), SinkError> {
        self.note(|told| told.lingered = true)
    }
}

static NEVER: AtomicBool = AtomicBool::new(false);

/// Times with which a test of failing sources is quick.
const QUICK: Times = Times {
    stall: Duration::from_millis(300),
    shortest_pause: Duration::from_millis(2),
    longest_pause: Duration::from_millis(20),
    least_interval: Duration::from_millis(1),
    refresh: Duration::from_millis(20),
    forget: Duration::from_secs(5),
    drain: Duration::from_secs(5),
};

/// A pipeline with one output.
fn pipeline(detector: Box<dyn Detector>, sink: FakeSink) -> Pipeline<'static> {
    Pipeline {
        detector,
        newer_models: None,
        outputs: vec![Box::new(sink)],
        display: None,
        threshold: None,
        is_tracked: false,
        frames: None,
        stop: &NEVER,
        health: Arc::new(Health::default()),
        times: QUICK,
    }
}

/// Runs a pipeline with a model that always answers; gives what the sink was told.
fn run(input: Input, frames: Option<u64>) -> (Result<Outcome, PipelineError>, Told) {
    let sink = FakeSink::default();
    let told = sink.told();
    let pipeline = Pipeline {
        frames: frames.and_then(NonZeroU64::new),
        ..pipeline(detector(|| {}), sink)
    };
    let outcome = pipeline.run(input);
    let told = std::mem::take(&mut *told.lock().expect("sound"));
    (outcome, told)
}

/// Waits until that is so, which is a matter of moments.
#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never was");
        std::thread::sleep(Duration::from_millis(1));
    }
}
