//! The tracker on the demo's scenes, with the model that ships and the truth known.
#![cfg(feature = "demo")]

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use boxcam::detect::tract::TractDetector;
use boxcam::detect::{Detector, Prediction};
use boxcam::evaluate::Mean;
use boxcam::frame::{Frame, GroundTruth, Origin};
use boxcam::geometry::iou;
use boxcam::preprocess::preprocess;
use boxcam::source::FrameSource;
use boxcam::source::demo::{DemoSource, Timing};
use boxcam::track::{Event, EventKind, StableDetection, TrackSettings, Tracker};

/// Frames of the demo: every one of the 20 snacks once.
const FRAMES: usize = 600;

/// What a steady box may lose against the raw one.
const LOSS: f64 = 0.01;

/// A frame of the demo and what the model said of it.
struct Moment {
    position: Duration,
    truth: Option<GroundTruth>,
    prediction: Prediction,
}

/// What became of the demo at some rate.
#[derive(Default)]
struct Outcome {
    events: Vec<Event>,
    /// Changes between one frame's answer and the next one's: something or nothing, this class or that.
    raw_turns: usize,
    steady_turns: usize,
    raw_iou: Mean,
    steady_iou: Mean,
    /// Frames with a snack for which there was a steady box.
    shown: Mean,
    wrong_labels: usize,
}

fn moments(detector: &mut TractDetector) -> Vec<Moment> {
    let mut source = DemoSource::new(Timing::Immediate);
    let look = |_| {
        let frame: Frame = source.next_frame().expect("sound").expect("no end");
        let input = preprocess(&frame, detector.card()).expect("a frame");
        let Origin::Scene(truth) = frame.origin else {
            panic!("the demo knows its truth");
        };
        Moment {
            position: frame.position.expect("the demo has a position"),
            truth: truth.into_iter().next(),
            prediction: detector.predict(&input).expect("a prediction"),
        }
    };
    (0..FRAMES).map(look).collect()
}

fn follow(moments: &[Moment], every: usize, detector: &TractDetector) -> Outcome {
    let card = detector.card();
    let mut tracker = Tracker::new(TrackSettings::new(card.threshold));
    let (start, time) = (Instant::now(), SystemTime::now());
    let mut outcome = Outcome::default();
    let (mut raw_before, mut steady_before) = (None, None);
    for moment in moments.iter().step_by(every) {
        let (at, now) = (start + moment.position, time + moment.position);
        let (steady, events) = tracker.update(&moment.prediction, at, now);
        outcome.events.extend(events);
        let raw = moment.prediction.detection(card.threshold);
        outcome.raw_turns += usize::from(raw.map(|found| found.class) != raw_before);
        let held = steady.map(|steady| steady.detection.class);
        outcome.steady_turns += usize::from(held != steady_before);
        (raw_before, steady_before) = (raw.map(|found| found.class), held);
        if let Some(truth) = &moment.truth {
            outcome.measure(truth, &moment.prediction, steady, |class| {
                card.labels.name(class) == Some(&truth.label)
            });
        }
    }
    outcome.events.extend(tracker.finish(time));
    outcome
}

impl Outcome {
    /// Boxes are compared on the frames that have a steady one.
    fn measure(
        &mut self,
        truth: &GroundTruth,
        prediction: &Prediction,
        steady: Option<StableDetection>,
        is_right: impl Fn(boxcam::label::ClassId) -> bool,
    ) {
        let held = steady.filter(|steady| is_right(steady.detection.class));
        self.shown.add_hit(held.is_some());
        self.wrong_labels += usize::from(steady.is_some() && held.is_none());
        if let Some(StableDetection { detection, .. }) = held {
            let overlap = |seen| f64::from(iou(&truth.bounding_box, seen));
            self.raw_iou.add(overlap(prediction.bounding_box()));
            self.steady_iou.add(overlap(&detection.bounding_box));
        }
    }

    fn count(&self, name: &str) -> usize {
        let named = |event: &&Event| event.kind.name() == name;
        self.events.iter().filter(named).count()
    }
}

#[test]
fn every_snack_of_the_demo_comes_once_and_goes_once() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/snacks.onnx");
    let mut detector = TractDetector::from_file(&file).expect("the model that ships");
    let moments = moments(&mut detector);
    for every in [1, 2, 3] {
        let outcome = follow(&moments, every, &detector);
        let rate = 30 / every;
        eprintln!(
            "{rate} frames/s: {} appeared, {} changed, {} left; turns {} raw, {} steady; mean IoU {:.4} raw, \
             {:.4} steady; shown on {:.3} of frames, wrong label on {}",
            outcome.count("appeared"),
            outcome.count("changed"),
            outcome.count("left"),
            outcome.raw_turns,
            outcome.steady_turns,
            outcome.raw_iou.value(),
            outcome.steady_iou.value(),
            outcome.shown.value(),
            outcome.wrong_labels,
        );
        assert_eq!(outcome.count("appeared"), 20, "{rate} frames/s");
        assert_eq!(outcome.count("left"), 20, "{rate} frames/s");
        assert_eq!(outcome.count("changed"), 0, "{rate} frames/s");
        let loss = outcome.raw_iou.value() - outcome.steady_iou.value();
        assert!(loss <= LOSS, "{rate} frames/s: {loss:.4}");
        let lasted = |event: &&Event| matches!(event.kind, EventKind::Left);
        for left in outcome.events.iter().filter(lasted) {
            // A snack is there for 25 thirtieths of a second.
            let seconds = left.duration.as_secs_f64();
            assert!((0.5..=0.9).contains(&seconds), "{seconds}");
        }
    }
}
