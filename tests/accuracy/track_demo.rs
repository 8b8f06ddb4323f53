//! The tracker of one thing on the demo's scenes with one snack, whose ground truth is known, with the model that ships.
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
use boxcam::scene::MovingScene;
use boxcam::source::demo::{HEIGHT, WIDTH};
use boxcam::track::{Event, EventKind, StableDetection, TrackSettings, Tracker};

/// Scenes with one snack.
const SCENES: usize = 8;

/// As long as the demo's are.
const FRAME_INTERVAL: Duration = Duration::from_nanos(33_333_333);

/// Maximum loss of mean IoU by smoothing.
const MAX_LOSS: f64 = 0.01;

/// A frame of the demo, and its prediction.
struct PredictedFrame {
    /// Number of the scene.
    scene: u64,
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
    let mut film = MovingScene::new(20, WIDTH, HEIGHT);
    let alone: Vec<u64> = (0..)
        .filter(|scene| film.snacks_in(*scene) == 1)
        .take(SCENES)
        .collect();
    let numbers = alone.iter().flat_map(|scene| {
        let first = scene * MovingScene::SCENE_FRAMES;
        first..first + MovingScene::SCENE_FRAMES
    });
    let predict = |(index, number)| {
        let scene = film.frame(number);
        let frame = Frame::new(number, Origin::Live, scene.image);
        let input = preprocess(&frame, detector.card()).expect("a frame");
        PredictedFrame {
            scene: MovingScene::scene_of(number),
            position: FRAME_INTERVAL * index,
            truth: scene.truth.into_iter().next(),
            prediction: detector.predict(&input).expect("a prediction"),
        }
    };
    (0..).zip(numbers).map(predict).collect()
}

fn follow(frames: &[PredictedFrame], every: usize, detector: &TractDetector) -> TrackResult {
    let card = detector.card();
    let thresholds = Thresholds::new(card, None);
    let mut tracker = Tracker::new(TrackSettings::new(thresholds.primary));
    let (start, time) = (Instant::now(), SystemTime::now());
    let mut result = TrackResult::default();
    let (mut raw_before, mut stable_before) = (None, None);
    let (mut scene, mut has_appeared) = (frames[0].scene, false);
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
fn each_snack_alone_appears_once_and_leaves_once() {
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
        assert_eq!(result.count("appeared"), SCENES, "{rate} frames/s");
        assert_eq!(result.count("left"), SCENES, "{rate} frames/s");
        assert_eq!(result.count("changed"), 0, "{rate} frames/s");
        let loss = result.raw_iou.value() - result.stable_iou.value();
        assert!(loss <= MAX_LOSS, "{rate} frames/s: {loss:.4}");
        let lasted = |event: &&Event| matches!(event.kind, EventKind::Left);
        for left in result.events.iter().filter(lasted) {
            // It takes up to 4.8 s to cross the picture, and the model does not find each one all the time.
            let seconds = left.duration.as_secs_f64();
            assert!((0.9..=4.9).contains(&seconds), "{seconds}");
        }
    }
}
