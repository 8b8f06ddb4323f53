//! What holds for any frames at any times.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use fastrand::Rng;

use super::super::{Event, EventKind, FrameTracks, TrackSettings, Tracker};
use crate::card::{ObjectDecode, ObjectSettings};
use crate::detect::{CellOutputs, Nms, Prediction, Thresholds};
use crate::geometry::NormBox;

const CLASSES: usize = 3;

/// The tracks that have appeared and not left, with their last event.
#[derive(Default)]
struct Present {
    tracks: BTreeMap<u64, Event>,
    track_count: u64,
}

impl Present {
    fn add(&mut self, event: Event, seed: u64) {
        let before = self.tracks.insert(event.track, event);
        match (before, event.kind) {
            (None, EventKind::Appeared) => {
                self.track_count += 1;
                assert_eq!(event.track, self.track_count, "seed {seed}");
            }
            (Some(before), EventKind::Changed { from }) => {
                assert_eq!(before.detection.class, from, "seed {seed}");
                assert_ne!(event.detection.class, from, "seed {seed}");
                assert!(event.duration >= before.duration, "seed {seed}");
            }
            (Some(before), EventKind::Left) => {
                let classes = (before.detection.class, event.detection.class);
                assert_eq!(classes.0, classes.1, "seed {seed}");
                assert!(event.duration >= before.duration, "seed {seed}");
                self.tracks.remove(&event.track);
            }
            other => panic!("seed {seed}: {other:?}"),
        }
    }

    /// Checks what is shown after the events of its frame.
    fn check(&self, found: &FrameTracks, seed: u64) {
        let numbers: Vec<_> = found.tracks.iter().map(|track| track.track).collect();
        assert!(
            numbers.is_sorted_by(|a, b| a < b),
            "seed {seed}: {numbers:?}"
        );
        for track in &found.tracks {
            let event = &self.tracks[&track.track];
            assert_eq!(event.detection.class, track.detection.class, "seed {seed}");
            assert!(track.duration >= event.duration, "seed {seed}");
            let [a, b, c, d] = track.detection.bounding_box.corners();
            assert!(NormBox::new(a, b, c, d).is_ok(), "seed {seed}");
            let confidence = track.detection.confidence;
            assert!((0.0..=1.0).contains(&confidence), "seed {seed}");
        }
        for number in found.numbers.iter().flatten() {
            assert!(self.tracks.contains_key(number), "seed {seed}: {number}");
        }
    }
}

/// An object of the frames: it wanders, and is seen now and then.
struct Wanderer {
    class: usize,
    corners: [f32; 4],
}

impl Wanderer {
    fn new(random: &mut Rng) -> Self {
        Self {
            class: random.usize(0..CLASSES),
            corners: [(); 4].map(|()| random.f32()),
        }
    }

    fn pass(&mut self, random: &mut Rng) {
        let step = [0.0, 0.01, 0.05, 0.3][random.usize(0..4)];
        let shift = step * (random.f32() - 0.5);
        self.corners = self
            .corners
            .map(|corner| corner + shift + 0.005 * random.f32());
        if random.u8(0..60) == 0 {
            *self = Self::new(random);
        }
    }
}

fn prediction(wanderers: &[Wanderer], random: &mut Rng) -> Prediction {
    let (mut scores, mut boxes) = (Vec::new(), Vec::new());
    for wanderer in wanderers {
        if random.u8(0..4) == 0 {
            continue;
        }
        let mut row = [0.0; CLASSES];
        row[wanderer.class] = random.f32();
        row[random.usize(0..CLASSES)] = random.f32() * random.f32();
        scores.extend(row);
        boxes.extend(wanderer.corners);
    }
    let cells = CellOutputs {
        scores: &scores,
        boxes: &boxes,
    };
    let settings = ObjectSettings {
        threshold: 0.4,
        nms_iou: 0.5,
        most: 8,
        decode: ObjectDecode::InGraph,
    };
    let nms = &mut Nms::new(settings, wanderers.len(), CLASSES);
    let primary = &wanderers[0];
    let mut scores = vec![0.1; CLASSES];
    scores[primary.class] = random.f32();
    let prediction = match random.u8(0..3) {
        0 => return Prediction::new(scores, primary.corners).expect("valid"),
        1 => Prediction::of_objects(cells, nms),
        _ => Prediction::new(scores, primary.corners)
            .and_then(|prediction| prediction.with_objects(cells, nms)),
    };
    prediction.expect("valid outputs")
}

/// Milliseconds to the next frame: mostly forwards.
fn random_step(random: &mut Rng) -> i64 {
    match random.u32(..100) {
        0 => -300,
        1 => 7000,
        2..10 => 0,
        _ => random.i64(1..400),
    }
}

/// Plays random frames; returns all that was found in them.
fn play(seed: u64, start: Instant) -> Vec<FrameTracks> {
    let random = &mut Rng::with_seed(seed);
    let thresholds = Thresholds {
        primary: random.f32(),
        objects: random.f32(),
        nms_iou: 0.5,
    };
    let mut tracker = Tracker::multi_object(TrackSettings::new(thresholds.primary));
    let mut wanderers: Vec<_> = (0..random.usize(1..8))
        .map(|_| Wanderer::new(random))
        .collect();
    let (mut at, mut present, mut all) = (0, Present::default(), Vec::new());
    let mut time = SystemTime::UNIX_EPOCH;
    for _ in 0..300 {
        at += random_step(random);
        wanderers
            .iter_mut()
            .for_each(|wanderer| wanderer.pass(random));
        let prediction = prediction(&wanderers, random);
        let passed = Duration::from_millis(at.unsigned_abs());
        let moment = if at < 0 {
            start - passed
        } else {
            start + passed
        };
        time += Duration::from_millis(1);
        if random.u8(0..100) == 0 {
            tracker
                .start_scene()
                .into_iter()
                .for_each(|event| present.add(event, seed));
            assert!(present.tracks.is_empty(), "seed {seed}");
        }
        let found = tracker.update(&prediction, &thresholds, moment, time);
        found
            .events
            .iter()
            .for_each(|event| present.add(*event, seed));
        assert_eq!(
            found.numbers.len(),
            prediction.detections(&thresholds).len(),
            "seed {seed}"
        );
        present.check(&found, seed);
        assert_eq!(tracker.track_count(), present.track_count, "seed {seed}");
        all.push(found);
    }
    let ended = tracker.finish(time);
    assert!(ended.is_sorted_by(|a, b| a.track < b.track), "seed {seed}");
    ended.into_iter().for_each(|event| present.add(event, seed));
    assert!(
        present.tracks.is_empty(),
        "seed {seed}: {:?}",
        present.tracks.keys()
    );
    all
}

#[test]
fn events_are_in_order_and_the_same_each_time() {
    let start = Instant::now() + Duration::from_secs(900);
    let mut shown = 0;
    for seed in 0..300 {
        let all = play(seed, start);
        shown += all.iter().map(|found| found.tracks.len()).sum::<usize>();
        assert_eq!(play(seed, start), all, "seed {seed}");
    }
    assert!(shown > 10_000, "only {shown} tracks were shown");
}
