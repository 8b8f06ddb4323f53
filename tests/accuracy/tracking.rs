//! Tracking of several objects on made-up films whose true tracks are known, beside the trackers of other people, and the
//! figures for it beside those of TrackEval.
//!
//! Needs Python 3 with `venv`, and PyPI, except for the figures that were computed once.
#![allow(
    clippy::print_stdout,
    reason = "shows what was measured with --nocapture"
)]

pub(crate) mod boxes;
mod films;
pub(crate) mod python;

use std::fs;
use std::path::Path;

use boxcam::detect::Thresholds;
use boxcam::evaluate::{TrackBox, TrackEvaluation, TrackMetrics, TrackedFrame};
use boxcam::geometry::NormBox;
use boxcam::label::ClassId;
use boxcam::track::{TrackSettings, Tracker};
use boxes::tracked_boxes;
use fastrand::Rng;
use films::Film;
use python::{PeerFilm, peers, python, run, track_boxes};
use serde_json::{Value, json};

const THRESHOLDS: Thresholds = Thresholds {
    primary: films::SETTINGS.threshold,
    objects: films::SETTINGS.threshold,
    nms_iou: films::SETTINGS.nms_iou,
};

/// Frames per second.
const RATES: [u32; 4] = [5, 10, 15, 30];

/// Films for each rate and number of objects.
const FILMS: u64 = 3;

const MOST_OBJECTS: usize = 6;

/// SORT is better if boxes of different classes at one place are suppressed before.
const BEST_SORT: &str = "SORT after NMS across classes";

/// Its IDF1 and identity switches on the films of each rate, as `tests/accuracy/tracking/peers.py` finds them.
const SORT: [(f64, usize); 4] = [(0.8067, 19), (0.8561, 13), (0.8703, 14), (0.8934, 9)];

/// The films of a rate; none of them was used to choose the tracker's constants.
fn films_at(rate: u32) -> Vec<Film> {
    let seeds = (0..FILMS).map(|seed| 1000 + seed);
    let counts = |seed| (1..=MOST_OBJECTS).map(move |count| films::film(seed, count, rate));
    seeds.flat_map(counts).collect()
}

/// The film with the tracks that boxcam finds in it.
fn tracked(film: &Film) -> Vec<TrackedFrame> {
    let tracker = Tracker::multi_object(TrackSettings::new(THRESHOLDS.primary));
    let predictions = film.frames.iter().map(|frame| &frame.prediction);
    let found = tracked_boxes(tracker, predictions, &THRESHOLDS, film.rate);
    let frames = film.frames.iter().zip(found);
    let tracked = frames.map(|(frame, found)| TrackedFrame {
        truth: frame.truth.clone(),
        found,
    });
    tracked.collect()
}

fn metrics(films: &[Vec<TrackedFrame>]) -> TrackMetrics {
    let mut evaluation = TrackEvaluation::default();
    films.iter().for_each(|film| evaluation.add_film(film));
    evaluation.metrics()
}

fn print(rate: u32, name: &str, found: &TrackMetrics) {
    println!(
        "| {rate} | {name} | {:.3} | {} | {:.3} | {:.1}% | {:.1}% |",
        found.idf1,
        found.identity_switches,
        found.mota,
        100.0 * found.stray_share,
        100.0 * found.wrong_label_share,
    );
}

#[test]
fn tracks_of_made_up_films_are_better_than_those_that_sort_had() {
    for (rate, (idf1, switches)) in RATES.into_iter().zip(SORT) {
        let films: Vec<_> = films_at(rate).iter().map(tracked).collect();
        let found = metrics(&films);
        print(rate, "boxcam", &found);
        assert!(found.idf1 > idf1 + 0.05, "{rate} frames/s: {found:?}");
        assert!(
            found.identity_switches < switches,
            "{rate} frames/s: {found:?}"
        );
        assert!(found.stray_share <= 0.02, "{rate} frames/s: {found:?}");
        assert!(
            found.wrong_label_share <= 0.01,
            "{rate} frames/s: {found:?}"
        );
    }
}

#[test]
fn sort_has_the_figures_that_are_compared_with() {
    let Some(python) = python() else {
        test_support::skip!(
            "no Python packages for tracking: it needs Python 3 with venv, and PyPI"
        );
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    for (rate, (idf1, switches)) in RATES.into_iter().zip(SORT) {
        let films = films_at(rate);
        let peers = peers_of(&films, python, folder.path());
        let by_name = peers.as_object().expect("an object");
        for (name, tracks) in by_name {
            print(rate, name, &metrics(&found_by(&films, tracks)));
        }
        let sort = metrics(&found_by(&films, &peers[BEST_SORT]));
        assert!((sort.idf1 - idf1).abs() < 1e-3, "{rate} frames/s: {sort:?}");
        let difference = sort.identity_switches.abs_diff(switches);
        assert!(difference * 100 <= switches, "{rate} frames/s: {sort:?}");
    }
}

#[test]
fn figures_equal_those_of_trackeval() {
    let Some(python) = python() else {
        test_support::skip!(
            "no Python packages for tracking: it needs Python 3 with venv, and PyPI"
        );
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let made_up: Vec<_> = films_at(5).iter().map(tracked).collect();
    for films in [random_tracks(), made_up] {
        let expected = trackeval(&films, python, folder.path());
        println!("{expected}");
        assert_figures(&films, &expected);
    }
}

/// Those of TrackEval 1.3.0, for where it can't be installed.
#[test]
fn figures_equal_those_that_trackeval_had() {
    let expected = json!({
        "idf1": 0.586804398533822,
        "id_precision": 0.5846613545816733,
        "id_recall": 0.5889632107023411,
        "mota": 0.474247491638796,
        "identity_switches": 176,
    });
    assert_figures(&random_tracks(), &expected);
}

#[track_caller]
fn assert_figures(films: &[Vec<TrackedFrame>], expected: &Value) {
    let found = serde_json::to_value(metrics(films)).expect("JSON");
    let expected = expected.as_object().expect("an object");
    assert_eq!(expected.len(), 5);
    for (name, expected) in expected {
        let difference = found[name]
            .as_f64()
            .zip(expected.as_f64())
            .map(|(a, b)| (a - b).abs());
        assert!(
            difference.is_some_and(|d| d < 1e-6),
            "{name}: {found}, expected {expected}"
        );
    }
}

/// Films of true tracks that stand, and found ones that change between them, miss and stray.
fn random_tracks() -> Vec<Vec<TrackedFrame>> {
    let random = &mut Rng::with_seed(4);
    (0..20).map(|_| random_film(random)).collect()
}

fn random_film(random: &mut Rng) -> Vec<TrackedFrame> {
    let count = random.usize(0..6);
    let mut names: Vec<u64> = (0..8).collect();
    let frame = |_| {
        if random.u8(0..8) == 0 {
            let (a, b) = (random.usize(0..8), random.usize(0..8));
            names.swap(a, b);
        }
        let (mut truth, mut found) = (Vec::new(), Vec::new());
        for (place, name) in names.iter().take(count).enumerate() {
            let mut at = || 0.12 * place as f32 + 0.1 * random.f32();
            let (left, shifted) = (at(), at());
            if random.u8(0..6) > 0 {
                truth.push(track_box(10 * place as u64, left));
            }
            if random.u8(0..6) > 0 {
                found.push(track_box(*name, shifted));
            }
        }
        TrackedFrame { truth, found }
    };
    (0..60).map(frame).collect()
}

fn track_box(track: u64, x: f32) -> TrackBox {
    TrackBox {
        track,
        class: ClassId::new(0),
        bounding_box: NormBox::new(x, x + 0.2, 0.3, 0.7).expect("valid"),
    }
}

/// The tracks of other trackers, by name.
fn peers_of(films: &[Film], python: &Path, folder: &Path) -> Value {
    let mut detections = Vec::new();
    for film in films {
        let frames = film.frames.iter();
        detections.push(PeerFilm {
            rate: film.rate,
            frames: frames
                .map(|frame| frame.prediction.objects(0.0).expect("has objects"))
                .collect(),
        });
    }
    peers(&detections, THRESHOLDS.objects, python, folder)
}

/// The films with the tracks of another tracker.
fn found_by(films: &[Film], tracks: &Value) -> Vec<Vec<TrackedFrame>> {
    let film = |(film, tracks): (&Film, Vec<Vec<TrackBox>>)| {
        let frames = film.frames.iter().zip(tracks);
        let frame = |(frame, found): (&films::FilmFrame, Vec<TrackBox>)| TrackedFrame {
            truth: frame.truth.clone(),
            found,
        };
        frames.map(frame).collect()
    };
    films.iter().zip(track_boxes(tracks)).map(film).collect()
}

/// The figures of TrackEval.
fn trackeval(films: &[Vec<TrackedFrame>], python: &Path, folder: &Path) -> Value {
    let rows = |boxes: &[TrackBox]| {
        let row = |tracked: &TrackBox| {
            let [x_min, x_max, y_min, y_max] = tracked.bounding_box.corners();
            json!([tracked.track, x_min, x_max, y_min, y_max])
        };
        boxes.iter().map(row).collect::<Vec<_>>()
    };
    let frame =
        |frame: &TrackedFrame| json!({"truth": rows(&frame.truth), "found": rows(&frame.found)});
    let film = |film: &Vec<TrackedFrame>| film.iter().map(frame).collect::<Vec<_>>();
    let films: Vec<_> = films.iter().map(film).collect();
    let input = folder.join("tracks.json");
    fs::write(&input, json!(films).to_string()).expect("written");
    serde_json::from_slice(&run(python, "evaluate.py", &[input])).expect("JSON")
}
