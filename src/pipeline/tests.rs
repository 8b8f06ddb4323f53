//! The pipeline with a source, a model and a sink that are made up.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use image::RgbImage;

use super::*;
use crate::card::{ModelCard, test_card};
use crate::detect::Prediction;
use crate::frame::Origin;
use crate::picture::PictureError;
use crate::preprocess::InputTensor;

type Step = Box<dyn FnMut() -> Result<Option<Frame>, SourceError> + Send>;

struct FakeSource {
    step: Step,
    is_live: bool,
}

impl FrameSource for FakeSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        (self.step)()
    }

    fn is_live(&self) -> bool {
        self.is_live
    }
}

fn source(
    is_live: bool,
    step: impl FnMut() -> Result<Option<Frame>, SourceError> + Send + 'static,
) -> Box<dyn FrameSource> {
    let step = Box::new(step);
    Box::new(FakeSource { step, is_live })
}

fn frame(sequence: u64) -> Frame {
    Frame::new(sequence, Origin::Live, RgbImage::new(2, 2))
}

/// `count` frames, then the end.
fn counting(count: u64) -> impl FnMut() -> Result<Option<Frame>, SourceError> + Send {
    let mut numbers = 0..count;
    move || Ok(numbers.next().map(frame))
}

fn unreadable() -> SourceError {
    let path = "x.jpg".into();
    PictureError::Empty { path }.into()
}

/// Says "apple, 0.75" of everything, and does something first.
struct FakeDetector<F> {
    card: ModelCard,
    first: F,
}

impl<F: FnMut() + Send> Detector for FakeDetector<F> {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn model_hash(&self) -> &str {
        "0badcafe"
    }

    fn predict(&mut self, _: &InputTensor) -> Result<Prediction, DetectError> {
        (self.first)();
        Prediction::new(vec![0.75, 0.25], [0.0, 0.5, 0.0, 0.5])
    }
}

fn detector<F: FnMut() + Send>(first: F) -> FakeDetector<F> {
    FakeDetector {
        card: test_card(2),
        first,
    }
}

/// Keeps what it is told, and fails when it is told to.
#[derive(Default)]
struct FakeSink {
    shown: Vec<u64>,
    reports: Vec<Report>,
    skipped: Vec<String>,
    closes_at: Option<u64>,
    lingered: bool,
}

impl Sink for FakeSink {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        if self.closes_at == Some(frame.sequence) {
            return Err(SinkError::Closed);
        }
        self.shown.push(frame.sequence);
        self.reports.push(report.clone());
        Ok(())
    }

    fn skip(&mut self, error: &SourceError) -> Result<(), SinkError> {
        self.skipped.push(error.to_string());
        Ok(())
    }

    fn linger(&mut self, _: &AtomicBool) -> Result<(), SinkError> {
        self.lingered = true;
        Ok(())
    }
}

fn run(
    source: Box<dyn FrameSource>,
    detector: &mut dyn Detector,
    sink: &mut FakeSink,
    frames: Option<u64>,
    stop: &AtomicBool,
) -> Result<Outcome, PipelineError> {
    let pipeline = Pipeline {
        detector,
        sinks: vec![sink],
        threshold: 0.5,
        frames: frames.and_then(NonZeroU64::new),
        stop,
    };
    pipeline.run(source)
}

static NEVER: AtomicBool = AtomicBool::new(false);

#[test]
fn a_replayed_source_loses_nothing() {
    let mut sink = FakeSink::default();
    let outcome = run(
        source(false, counting(50)),
        &mut detector(|| {}),
        &mut sink,
        None,
        &NEVER,
    );
    let expected = Outcome {
        frames: 50,
        skipped: 0,
        dropped: 0,
    };
    assert_eq!(outcome.expect("done"), expected);
    assert_eq!(sink.shown, (0..50).collect::<Vec<_>>());
    let report = &sink.reports[49];
    assert_eq!(
        (report.label(), &*report.model_hash),
        (Some("apple"), "0badcafe")
    );
    assert!(sink.reports[0].frames_per_second.is_none() && report.frames_per_second.is_some());
    assert!(report.frame_age >= report.inference);
    assert!(
        sink.lingered,
        "who looks may go on looking at the last frame"
    );
}

#[test]
fn the_threshold_is_applied() {
    let mut sink = FakeSink::default();
    let pipeline = Pipeline {
        detector: &mut detector(|| {}),
        sinks: vec![&mut sink],
        threshold: 0.8,
        frames: None,
        stop: &NEVER,
    };
    pipeline.run(source(false, counting(1))).expect("done");
    assert_eq!(sink.reports[0].detection, None);
}

#[test]
fn the_newest_frame_of_a_live_source_wins_and_drops_are_counted() {
    let (all_given, wait): (_, Receiver<()>) = channel();
    let mut frames = counting(100);
    let live = source(true, move || {
        let next = frames()?;
        if next.is_none() {
            all_given.send(()).expect("the detector waits");
        }
        Ok(next)
    });
    // The model is busy with its first frame until the source has given all.
    let wait = Mutex::new(Some(wait));
    let mut slow = detector(|| {
        if let Some(wait) = wait.lock().expect("sound").take() {
            wait.recv().expect("the source ends");
        }
    });
    let mut sink = FakeSink::default();
    let outcome = run(live, &mut slow, &mut sink, None, &NEVER).expect("done");
    assert_eq!(sink.shown.last(), Some(&99));
    assert!(outcome.frames <= 2, "{outcome:?}");
    assert_eq!(outcome.frames + outcome.dropped, 100);
    assert_eq!(
        sink.reports.last().map(|r| r.dropped),
        Some(outcome.dropped)
    );
}

#[test]
fn pictures_that_cannot_be_read_do_not_end_a_run() {
    for is_live in [false, true] {
        let mut steps = vec![Ok(None), Ok(Some(frame(5))), Err(unreadable())];
        let step = move || {
            if is_live {
                // Time for the slot to be emptied.
                std::thread::sleep(Duration::from_millis(100));
            }
            steps.pop().expect("nobody asks behind the end")
        };
        let mut sink = FakeSink::default();
        let ended = run(
            source(is_live, step),
            &mut detector(|| {}),
            &mut sink,
            None,
            &NEVER,
        );
        assert_eq!(
            ended.expect("done"),
            Outcome {
                frames: 1,
                skipped: 1,
                dropped: 0
            }
        );
        assert_eq!(sink.shown, [5]);
        assert!(sink.skipped[0].contains("x.jpg"));
    }
}

#[test]
fn a_source_that_fails_ends_the_run_with_its_error() {
    for is_live in [false, true] {
        let step = || {
            Err(SourceError::Camera {
                device: "/dev/video7".to_owned(),
                message: "was unplugged".to_owned(),
            })
        };
        let mut sink = FakeSink::default();
        let ended = run(
            source(is_live, step),
            &mut detector(|| {}),
            &mut sink,
            None,
            &NEVER,
        );
        let error = ended.expect_err("failed");
        assert_eq!(error.to_string(), "camera /dev/video7: was unplugged");
    }
}

#[test]
fn a_source_that_panics_is_an_error() {
    let live = source(true, || panic!("on purpose"));
    let ended = run(
        live,
        &mut detector(|| {}),
        &mut FakeSink::default(),
        None,
        &NEVER,
    );
    assert!(matches!(ended, Err(PipelineError::SourcePanicked)));
}

#[test]
fn a_limit_of_frames_ends_the_run() {
    for is_live in [false, true] {
        let mut sink = FakeSink::default();
        let endless = source(is_live, counting(u64::MAX));
        let outcome = run(endless, &mut detector(|| {}), &mut sink, Some(3), &NEVER);
        assert_eq!(outcome.expect("done").frames, 3);
        assert_eq!(sink.shown.len(), 3);
        assert!(!sink.lingered, "enough is enough");
    }
}

#[test]
fn a_sink_that_nobody_looks_at_ends_the_run() {
    let mut sink = FakeSink {
        closes_at: Some(4),
        ..FakeSink::default()
    };
    let endless = source(false, counting(u64::MAX));
    let outcome = run(endless, &mut detector(|| {}), &mut sink, None, &NEVER);
    assert_eq!(outcome.expect("done").frames, 4);
}

#[test]
fn a_stop_ends_the_run_though_the_source_never_answers() {
    let (_keep, never): (_, Receiver<()>) = channel();
    let silent = source(true, move || {
        never.recv().expect("kept open");
        Ok(None)
    });
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            stop.store(true, Ordering::Relaxed);
        });
        let outcome = run(
            silent,
            &mut detector(|| {}),
            &mut FakeSink::default(),
            None,
            &stop,
        );
        assert_eq!(outcome.expect("stopped"), Outcome::default());
    });
    let stop = AtomicBool::new(false);
    let mut stopping = detector(|| stop.store(true, Ordering::Relaxed));
    let mut sink = FakeSink::default();
    let endless = source(false, counting(u64::MAX));
    run(endless, &mut stopping, &mut sink, None, &stop).expect("stopped");
    assert_eq!(sink.shown, [0], "the frame at hand is finished");
}

#[test]
fn what_the_model_cannot_take_is_an_error() {
    let empty = source(false, || {
        Ok(Some(Frame::new(0, Origin::Live, RgbImage::new(0, 9))))
    });
    let ended = run(
        empty,
        &mut detector(|| {}),
        &mut FakeSink::default(),
        None,
        &NEVER,
    );
    assert!(matches!(ended, Err(PipelineError::Preprocess(_))));
}
