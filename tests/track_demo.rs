//! The tracker on the demo's scenes, whose ground truth is known, with the model that ships.
#![allow(
    clippy::print_stderr,
    reason = "shows what was measured with --nocapture"
)]
#![cfg(feature = "demo")]

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use boxcam::detect::tract::TractDetector;
use boxcam::detect::{Detector, Prediction, Thresholds};
use boxcam::evaluate::Mean;
use boxcam::frame::{Frame, GroundTruth, Origin};
use boxcam::geometry::iou;
use boxcam::preprocess::preprocess;
use boxcam::source::FrameSource;
use boxcam::source::demo::{DemoSource, Timing};
use boxcam::track::{Event, EventKind, StableDetection, TrackSettings, Tracker};

/// Frames of the demo, in which each of the 20 snacks appears once.
const FRAMES: usize = 600;

/// Maximum loss of mean IoU by smoothing.
const MAX_LOSS: f64 = 0.01;

/// A frame of the demo, and its prediction.
struct PredictedFrame {
    /// Number of the scene, from 1.
    scene: u32,
    position: Duration,
    truth: Option<GroundTruth>,
    prediction: Prediction,
}

/// What the tracker made of the demo at one frame rate.
#[derive(Default)]
struct TrackResult {
    events: Vec<Event>,
    /// Changes of the class, or between a detection and none, from one frame to the next.
    raw_changes: usize,
    stable_changes: usize,
    raw_iou: Mean,
    stable_iou: Mean,
    /// Share of the frames with a snack that have a stable detection of its class.
    shown: Mean,
    wrong_labels: usize,
}

fn frames(detector: &mut TractDetector) -> Vec<PredictedFrame> {
    let mut source = DemoSource::new(Timing::Immediate);
    let mut scene = 0;
    let predict = |_| {
        let frame: Frame = source.next_frame().expect("a frame").expect("no end");
        scene += u32::from(frame.scene_start);
        let input = preprocess(&frame, detector.card()).expect("a frame");
        let Origin::Scene(truth) = frame.origin else {
            panic!("the demo has ground truth");
        };
        PredictedFrame {
            scene,
            position: frame.position.expect("the demo has a position"),
            truth: truth.into_iter().next(),
            prediction: detector.predict(&input).expect("a prediction"),
        }
    };
    (0..FRAMES).map(predict).collect()
}

fn follow(frames: &[PredictedFrame], every: usize, detector: &TractDetector) -> TrackResult {
    let card = detector.card();
    let thresholds = Thresholds::new(card, None);
    let mut tracker = Tracker::new(TrackSettings::new(thresholds.primary));
    let (start, time) = (Instant::now(), SystemTime::now());
    let mut result = TrackResult::default();
    let (mut raw_before, mut stable_before) = (None, None);
    let (mut scene, mut has_appeared) = (1, false);
    for frame in frames.iter().step_by(every) {
        let (at, now) = (start + frame.position, time + frame.position);
        if frame.scene != scene {
            (scene, has_appeared) = (frame.scene, false);
            result.events.extend(tracker.start_scene());
        }
        let found = tracker.update(&frame.prediction, &thresholds, at, now);
        let stable = found.tracks.first().copied();
        has_appeared |= found
            .events
            .iter()
            .any(|event| event.kind == EventKind::Appeared);
        assert!(
            stable.is_none() || has_appeared,
            "a track of the scene before"
        );
        result.events.extend(found.events);
        let raw = frame.prediction.detection(card.threshold);
        result.raw_changes += usize::from(raw.map(|found| found.class) != raw_before);
        let held = stable.map(|stable| stable.detection.class);
        result.stable_changes += usize::from(held != stable_before);
        (raw_before, stable_before) = (raw.map(|found| found.class), held);
        if let Some(truth) = &frame.truth {
            result.measure(truth, &frame.prediction, stable, |class| {
                card.labels.name(class) == Some(&truth.label)
            });
        }
    }
    result.events.extend(tracker.finish(time));
    result
}

impl TrackResult {
    /// Boxes are compared in the frames that have a stable detection.
    fn measure(
        &mut self,
        truth: &GroundTruth,
        prediction: &Prediction,
        stable: Option<StableDetection>,
        is_right: impl Fn(boxcam::label::ClassId) -> bool,
    ) {
        let held = stable.filter(|stable| is_right(stable.detection.class));
        self.shown.add_hit(held.is_some());
        self.wrong_labels += usize::from(stable.is_some() && held.is_none());
        if let Some(StableDetection { detection, .. }) = held {
            let overlap = |seen| f64::from(iou(&truth.bounding_box, seen));
            self.raw_iou.add(overlap(prediction.bounding_box()));
            self.stable_iou.add(overlap(&detection.bounding_box));
        }
    }

    fn count(&self, name: &str) -> usize {
        let named = |event: &&Event| event.kind.name() == name;
        self.events.iter().filter(named).count()
    }
}

#[test]
fn each_snack_of_the_demo_appears_once_and_leaves_once() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/snacks.onnx");
    let mut detector = TractDetector::from_file(&file).expect("the model that ships");
    let frames = frames(&mut detector);
    for every in [1, 2, 3] {
        let result = follow(&frames, every, &detector);
        let rate = 30 / every;
        eprintln!(
            "{rate} frames/s: {} appeared, {} changed, {} left; class changes {} raw, {} stable; mean IoU {:.4} raw, \
             {:.4} stable; shown on {:.3} of frames, wrong label on {}",
            result.count("appeared"),
            result.count("changed"),
            result.count("left"),
            result.raw_changes,
            result.stable_changes,
            result.raw_iou.value(),
            result.stable_iou.value(),
            result.shown.value(),
            result.wrong_labels,
        );
        assert_eq!(result.count("appeared"), 20, "{rate} frames/s");
        assert_eq!(result.count("left"), 20, "{rate} frames/s");
        assert_eq!(result.count("changed"), 0, "{rate} frames/s");
        let loss = result.raw_iou.value() - result.stable_iou.value();
        assert!(loss <= MAX_LOSS, "{rate} frames/s: {loss:.4}");
        let lasted = |event: &&Event| matches!(event.kind, EventKind::Left);
        for left in result.events.iter().filter(lasted) {
            // A snack is visible for 25 frames at 30 per second.
            let seconds = left.duration.as_secs_f64();
            assert!((0.5..=0.9).contains(&seconds), "{seconds}");
        }
    }
}
