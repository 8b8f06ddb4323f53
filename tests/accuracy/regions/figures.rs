//! How many small objects are found in large frames, and in how many inferences: `docs/regions.md` has the table.
#![allow(
    clippy::print_stdout,
    reason = "shows what was measured with --nocapture"
)]

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use boxcam::detect::tract::TractDetector;
use boxcam::detect::{Detection, Detector, Thresholds};
use boxcam::frame::{Frame, Origin};
use boxcam::geometry::{NormBox, iou};
use boxcam::preprocess::preprocess;
use boxcam::regions::{DEFAULT_REGION_RATE, FrameTiming, Hints, RegionDetector};
use boxcam::track::{TrackSettings, Tracker};
use embedded_graphics::prelude::{Point, Size};
use embedded_graphics::primitives::Rectangle;
use fastrand::Rng;
use image::imageops;

use super::scenes::{CLASSES, HEIGHT, SIDES, Scene, SceneMaker, SmallObject, WIDTH};

const MODEL: &str = "models/coco.onnx";

/// Number of frames.
const FRAMES: usize = 30;

const SEED: u64 = 1;

/// Side of the square around an object in longer sides of the object.
const SQUARE: f32 = 1.6;

/// How long a scene stands still for `run --regions`, in frames of 15 per second.
const STILL_FRAMES: u32 = 30;
const FRAME_INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 15);

/// A detection is right from this IoU on.
const RIGHT_IOU: f32 = 0.5;

/// What one way of looking has found in all frames.
#[derive(Default)]
struct Figures {
    /// Of each of [`SIDES`].
    found: [usize; SIDES.len()],
    objects: [usize; SIDES.len()],
    right: usize,
    wrong: usize,
    inferences: usize,
}

impl Figures {
    fn add(&mut self, scene: &Scene, detections: &[Detection], inferences: usize, labels: &Names) {
        self.inferences += inferences;
        let mut is_found = vec![false; scene.objects.len()];
        for detection in detections {
            let class = labels.name(detection);
            if !CLASSES.contains(&class) {
                continue;
            }
            let overlap =
                |index: &usize| iou(&scene.objects[*index].bounding_box, &detection.bounding_box);
            let is_free = |index: &usize| !is_found[*index] && scene.objects[*index].class == class;
            let free = (0..scene.objects.len()).filter(is_free);
            let best = free.max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
            match best.filter(|best| overlap(best) >= RIGHT_IOU) {
                Some(best) => {
                    is_found[best] = true;
                    self.right += 1;
                }
                None if is_ignored(scene, class, &detection.bounding_box) => {}
                None => self.wrong += 1,
            }
        }
        for (object, is_found) in scene.objects.iter().zip(is_found) {
            let side = SIDES
                .iter()
                .position(|side| *side == object.side)
                .expect("one of them");
            self.objects[side] += 1;
            self.found[side] += usize::from(is_found);
        }
    }

    fn recall(&self) -> f64 {
        share(self.found.iter().sum(), self.objects.iter().sum())
    }

    fn precision(&self) -> f64 {
        share(self.right, self.right + self.wrong)
    }

    fn print(&self, name: &str) {
        let of_side = |side: usize| share(self.found[side], self.objects[side]);
        let sides = [0, 1, 2, 3].map(|side| format!("{:.2}", of_side(side)));
        println!(
            "| {name} | {:.1} | {:.3} | {} | {:.2} |",
            self.inferences as f64 / FRAMES as f64,
            self.recall(),
            sides.join(" | "),
            self.precision(),
        );
    }
}

fn share(count: usize, all: usize) -> f64 {
    count as f64 / all.max(1) as f64
}

fn is_ignored(scene: &Scene, class: &str, found: &NormBox) -> bool {
    let is_there = |(other, bounding_box): &(String, NormBox)| {
        other == class && bounding_box.intersection_over_smaller(found) >= RIGHT_IOU
    };
    scene.ignored.iter().any(is_there)
}

/// The class names of a model.
struct Names(Vec<String>);

impl Names {
    fn name(&self, detection: &Detection) -> &str {
        &self.0[detection.class.index()]
    }
}

fn frame(scene: &Scene) -> Frame {
    Frame::new(0, Origin::Live, scene.image.clone())
}

fn in_whole(
    frame: &Frame,
    detector: &mut TractDetector,
    thresholds: &Thresholds,
) -> Vec<Detection> {
    let input = preprocess(frame, detector.card()).expect("has pixels");
    let prediction = detector.predict(&input).expect("runs");
    prediction.detections(thresholds)
}

/// What is found in a square around each object, one inference for each. Only its own object counts.
fn in_squares(
    scene: &Scene,
    detector: &mut TractDetector,
    thresholds: &Thresholds,
    labels: &Names,
) -> usize {
    let is_found = |object: &&SmallObject| {
        let side = ((object.side as f32 * SQUARE) as u32).min(HEIGHT);
        let [x_min, x_max, y_min, y_max] = object.bounding_box.corners();
        let start = |min: f32, max: f32, length: u32| {
            let center = (min + max) / 2.0 * length as f32;
            (center - side as f32 / 2.0).clamp(0.0, (length - side) as f32) as u32
        };
        let (left, top) = (start(x_min, x_max, WIDTH), start(y_min, y_max, HEIGHT));
        let square = imageops::crop_imm(&scene.image, left, top, side, side).to_image();
        let pixels = Rectangle::new(Point::new(left as i32, top as i32), Size::new(side, side));
        let square_in_frame = NormBox::from_pixels(&pixels, WIDTH, HEIGHT);
        let frame = Frame::new(0, Origin::Live, square);
        in_whole(&frame, detector, thresholds).iter().any(|found| {
            let in_frame = found.bounding_box.from_crop_to_frame(&square_in_frame);
            labels.name(found) == object.class && iou(&in_frame, &object.bounding_box) >= RIGHT_IOU
        })
    };
    scene.objects.iter().filter(is_found).count()
}

/// The tracks after a scene has stood still for a while, and the number of inferences for one frame.
fn in_run(
    frame: &Frame,
    detector: &mut TractDetector,
    thresholds: &Thresholds,
) -> (Vec<Detection>, usize) {
    let mut regions = RegionDetector::new(DEFAULT_REGION_RATE);
    let mut tracker = Tracker::multi_object(TrackSettings::new(thresholds.objects));
    let (start, time) = (Instant::now(), SystemTime::UNIX_EPOCH);
    let (mut inferences, mut tracks) = (0, Vec::new());
    for number in 0..STILL_FRAMES {
        let targets = tracker.targets();
        let hints = Hints {
            timing: FrameTiming::Offline(Some(FRAME_INTERVAL)),
            targets: &targets,
            moved: &[],
            needs_whole: false,
        };
        let looked = regions
            .look_at_frame(frame, detector, thresholds, &hints)
            .expect("runs");
        inferences += looked.coverage.views().len();
        let passed = FRAME_INTERVAL * number;
        let coverage = Some(&looked.coverage);
        let at = (start + passed, time + passed);
        let found = tracker.update_observed(&looked.prediction, thresholds, coverage, at);
        tracks = found.tracks;
    }
    let shown = tracks.iter().map(|track| track.detection).collect();
    (shown, inferences / STILL_FRAMES as usize)
}

#[test]
fn small_objects_are_found_by_regions() {
    let (Some(coco), Some(snacks), Some(shops)) = (
        test_support::data("coco/answers-val.jsonl"),
        test_support::data("snacks/val"),
        test_support::data("nothing/check"),
    ) else {
        return;
    };
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join(MODEL);
    let mut detector = TractDetector::from_file(&model).expect("loads");
    let labels = Names(detector.card().labels.iter().map(str::to_owned).collect());
    let thresholds = Thresholds::new(detector.card(), None);
    let maker = SceneMaker::read(&coco, &snacks, &shops);
    let random = &mut Rng::with_seed(SEED);
    let [mut whole, mut tiles, mut run] = [(); 3].map(|()| Figures::default());
    let (mut in_square, mut objects) = (0, 0);
    for _ in 0..FRAMES {
        let scene = maker.scene(random);
        let frame = frame(&scene);
        objects += scene.objects.len();
        in_square += in_squares(&scene, &mut detector, &thresholds, &labels);
        whole.add(
            &scene,
            &in_whole(&frame, &mut detector, &thresholds),
            1,
            &labels,
        );
        let looked = RegionDetector::new(DEFAULT_REGION_RATE)
            .look_at_picture(&frame, &mut detector, &thresholds)
            .expect("runs");
        let found = looked.prediction.detections(&thresholds);
        tiles.add(&scene, &found, looked.coverage.views().len(), &labels);
        let (found, inferences) = in_run(&frame, &mut detector, &thresholds);
        run.add(&scene, &found, inferences, &labels);
    }
    let square = share(in_square, objects);
    whole.print("the whole frame");
    tiles.print("`detect --regions`");
    run.print("`run --regions`, the tracks after 2 s");
    println!("| a square around each object | {SIDES:?} | {square:.3} |");
    assert!(square >= 0.8, "{square}");
    assert!(tiles.inferences <= 12 * FRAMES);
    assert!(tiles.recall() >= 0.52, "{}", tiles.recall());
    assert!(tiles.recall() >= 0.6 * square, "{}", tiles.recall());
    assert!(tiles.precision() >= 0.78, "{}", tiles.precision());
    assert!(run.recall() >= 0.64, "{}", run.recall());
    assert!(run.recall() >= 0.75 * square, "{}", run.recall());
    assert!(run.precision() >= 0.79, "{}", run.precision());
}
