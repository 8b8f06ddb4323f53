//! The model of COCO's classes and the tracker on photographs that a camera moves over, as `--source demo:FOLDER` shows them,
//! beside SORT on the same detections.
//!
//! The truth is what the float network finds in the whole photograph, moved along: detections of at least 0.5 must be tracked,
//! weaker ones and those that are mostly out of the frame are neither missed nor wrong. Needs the data, and for the other
//! trackers Python 3 with `venv`, and PyPI.
#![allow(
    clippy::print_stdout,
    reason = "shows what was measured with --nocapture"
)]
#![cfg(feature = "demo")]

use std::path::Path;

use crate::tracking::boxes::tracked_boxes;
use crate::tracking::python::{PeerFilm, peers, python, track_boxes};
use boxcam::detect::tract::TractDetector;
use boxcam::detect::{Detector as _, Prediction, Thresholds};
use boxcam::evaluate::{TrackBox, TrackEvaluation, TrackMetrics, TrackedFrame};
use boxcam::frame::{Frame, Origin};
use boxcam::geometry::NormBox;
use boxcam::label::Labels;
use boxcam::picture;
use boxcam::preprocess::preprocess;
use boxcam::scene::View;
use boxcam::track::{TrackSettings, Tracker};
use serde_json::Value;

const SEED: u64 = 4;

/// Frames per second, and the frames of a film.
const RATE: u32 = 15;
const FRAMES: u32 = 75;

/// Width and height of a frame in pixels.
const FRAME_SIZE: (u32, u32) = (640, 480);

/// Every so many photographs with an answer of at least [`CERTAIN`] become a film.
const STEP: usize = 12;

/// Score from which an answer of the float network must be tracked.
const CERTAIN: f64 = 0.5;

/// Share of a box that must be within the frame to count.
const MIN_VISIBLE: f32 = 0.5;

/// A film, and what the model finds in it.
struct Film {
    frames: Vec<FilmFrame>,
}

struct FilmFrame {
    truth: Vec<TrackBox>,
    ignored: Vec<NormBox>,
    prediction: Prediction,
}

/// An answer of the float network.
struct Answer {
    class: String,
    score: f64,
    /// `x_min, x_max, y_min, y_max`, perhaps beyond the photograph.
    corners: [f32; 4],
}

impl Answer {
    fn of(value: &Value) -> Self {
        let number = |name: &str| value[name].as_f64().expect("a number");
        Self {
            class: value["class"].as_str().expect("a text").to_owned(),
            score: number("score"),
            corners: ["x_min", "x_max", "y_min", "y_max"].map(|name| number(name) as f32),
        }
    }

    /// Its box in a view, and the share of it that is within the frame; `None` if nothing is.
    fn seen(&self, view: &View) -> Option<(NormBox, f32)> {
        let whole = view.corners(self.corners);
        let [x_min, x_max, y_min, y_max] = whole;
        let visible = NormBox::from_regression(whole)?;
        let share = visible.area() / ((x_max - x_min) * (y_max - y_min));
        (visible.area() > 0.0).then_some((visible, share))
    }
}

/// The films of every [`STEP`]th photograph of the data.
fn films(detector: &mut TractDetector, answers: &Path, pictures: &Path) -> Vec<Film> {
    let text = std::fs::read_to_string(answers).expect("answers");
    let parsed = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let detections = line["detections"].as_array().expect("a list");
        let answers: Vec<Answer> = detections.iter().map(Answer::of).collect();
        (
            line["picture"].as_str().expect("a text").to_owned(),
            answers,
        )
    });
    let certain = parsed.filter(|(_, answers)| answers.iter().any(|a| a.score >= CERTAIN));
    let chosen = certain.step_by(STEP);
    let films = (0..).zip(chosen).map(|(scene, (name, answers))| {
        let photograph = picture::open(&pictures.join(name)).expect("a picture");
        let frame = |number: u32| {
            let moment = number as f32 / (FRAMES - 1) as f32;
            let view = View::at(SEED, scene, moment, photograph.dimensions(), FRAME_SIZE);
            let image = view.show(&photograph, FRAME_SIZE).expect("has pixels");
            film_frame(detector, image, &answers, &view)
        };
        Film {
            frames: (0..FRAMES).map(frame).collect(),
        }
    });
    films.collect()
}

fn film_frame(
    detector: &mut TractDetector,
    image: image::RgbImage,
    answers: &[Answer],
    view: &View,
) -> FilmFrame {
    let frame = Frame::new(0, Origin::Live, image);
    let input = preprocess(&frame, detector.card()).expect("has pixels");
    let prediction = detector.predict(&input).expect("a prediction");
    let (truth, ignored) = true_boxes(answers, view, &detector.card().labels);
    FilmFrame {
        truth,
        ignored,
        prediction,
    }
}

/// The boxes that must be tracked, numbered as the answers, and those that need not.
fn true_boxes(answers: &[Answer], view: &View, labels: &Labels) -> (Vec<TrackBox>, Vec<NormBox>) {
    let (mut truth, mut ignored) = (Vec::new(), Vec::new());
    for (track, answer) in (0..).zip(answers) {
        let Some((bounding_box, visible)) = answer.seen(view) else {
            continue;
        };
        if answer.score < CERTAIN || visible < MIN_VISIBLE {
            ignored.push(bounding_box);
            continue;
        }
        truth.push(TrackBox {
            track,
            class: labels.find(&answer.class).expect("a class of the model"),
            bounding_box,
        });
    }
    (truth, ignored)
}

/// The films with the tracks that boxcam finds.
fn tracked(film: &Film, detector: &TractDetector) -> Vec<TrackedFrame> {
    let thresholds = Thresholds::new(detector.card(), None);
    let settings = TrackSettings::new(thresholds.primary);
    let tracker = Tracker::of_model(detector.card(), settings);
    let predictions = film.frames.iter().map(|frame| &frame.prediction);
    let found = tracked_boxes(tracker, predictions, &thresholds, RATE);
    let frames = film.frames.iter().zip(found);
    frames.map(|(frame, found)| frame.with(found)).collect()
}

impl FilmFrame {
    fn with(&self, found: Vec<TrackBox>) -> TrackedFrame {
        let frame = TrackedFrame {
            truth: self.truth.clone(),
            found,
        };
        frame.ignoring(&self.ignored)
    }
}

fn metrics(films: &[Vec<TrackedFrame>]) -> TrackMetrics {
    let mut evaluation = TrackEvaluation::default();
    films.iter().for_each(|film| evaluation.add_film(film));
    evaluation.metrics()
}

fn print(name: &str, found: &TrackMetrics) {
    println!(
        "| {name} | {:.3} | {} | {} | {:.2} s | {} of {} | {:.1}% | {:.1}% |",
        found.idf1,
        found.identity_switches,
        found.drop_outs,
        found.frames_before_box / f64::from(RATE),
        found.tracks_without_box,
        found.true_tracks,
        100.0 * found.stray_share,
        100.0 * found.wrong_label_share,
    );
}

#[test]
fn photographs_that_move_are_tracked_with_fewer_switches_and_drop_outs_than_by_sort() {
    let (Some(answers), Some(pictures)) = (
        test_support::data("coco/answers-val.jsonl"),
        test_support::data("snacks/val"),
    ) else {
        return;
    };
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/coco.onnx");
    let mut detector = TractDetector::from_file(&model).expect("the model that ships");
    let films = films(&mut detector, &answers, &pictures);
    assert!(films.len() >= 20, "{}", films.len());
    let own: Vec<_> = films.iter().map(|film| tracked(film, &detector)).collect();
    let own = metrics(&own);
    print("**boxcam**", &own);
    let Some(python) = python() else {
        test_support::skip!(
            "no Python packages for tracking: it needs Python 3 with venv, and PyPI"
        );
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let detections: Vec<PeerFilm<'_>> = films.iter().map(Film::detections).collect();
    let threshold = Thresholds::new(detector.card(), None).objects;
    let tracks = peers(&detections, threshold, python, folder.path());
    for (name, tracks) in tracks.as_object().expect("an object") {
        let found: Vec<Vec<TrackedFrame>> = films
            .iter()
            .zip(track_boxes(tracks))
            .map(|(film, tracks)| film.with(tracks))
            .collect();
        let found = metrics(&found);
        print(name, &found);
        // SORT is plain without the suppression of boxes of other classes before.
        if name == "SORT" {
            assert!(
                own.identity_switches < found.identity_switches,
                "{own:?} {found:?}"
            );
            assert!(2 * own.drop_outs < found.drop_outs, "{own:?} {found:?}");
            assert!(own.idf1 >= found.idf1, "{own:?} {found:?}");
        }
    }
}

impl Film {
    fn detections(&self) -> PeerFilm<'_> {
        let frames = self.frames.iter();
        let objects = frames.map(|frame| frame.prediction.objects(0.0).expect("has objects"));
        PeerFilm {
            rate: RATE,
            frames: objects.collect(),
        }
    }

    fn with(&self, tracks: Vec<Vec<TrackBox>>) -> Vec<TrackedFrame> {
        let frames = self.frames.iter().zip(tracks);
        frames.map(|(frame, found)| frame.with(found)).collect()
    }
}
