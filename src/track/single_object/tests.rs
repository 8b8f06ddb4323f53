//! Sequences of predictions, and the events that they cause.

use std::time::{Duration, Instant, SystemTime};

use super::super::{Event, EventKind, StableDetection, TrackSettings, Tracker};
use crate::detect::{Prediction, Thresholds};
use crate::geometry::NormBox;

/// A tracker with a clock in milliseconds.
struct Playback {
    tracker: Tracker,
    start: Instant,
    time: SystemTime,
    at: u64,
}

/// Scores of three classes, of which one has this confidence.
fn scores(class: usize, confidence: f32) -> Vec<f32> {
    let score = |other| if other == class { confidence } else { 0.05 };
    (0..3).map(score).collect()
}

const HERE: [f32; 4] = [0.2, 0.6, 0.2, 0.6];
const THERE: [f32; 4] = [0.7, 0.9, 0.7, 0.9];

impl Playback {
    fn new() -> Self {
        Self {
            tracker: Tracker::new(TrackSettings::new(0.4)),
            start: Instant::now(),
            time: SystemTime::UNIX_EPOCH,
            at: 0,
        }
    }

    fn update(
        &mut self,
        scores: Vec<f32>,
        corners: [f32; 4],
    ) -> (Option<StableDetection>, Vec<Event>) {
        let prediction = Prediction::new(scores, corners).expect("valid");
        let passed = Duration::from_millis(self.at);
        let (at, time) = (self.start + passed, self.time + passed);
        let found = self.tracker.update(&prediction, &thresholds(0.4), at, time);
        assert!(found.tracks.len() <= 1, "one thing: {found:?}");
        (found.tracks.first().copied(), found.events)
    }

    fn finish(&mut self) -> Option<Event> {
        one(self.tracker.finish(self.time))
    }

    /// Frames every `step` milliseconds, one for each letter: `a`, `b` and `c` are classes with a high score, capital
    /// letters the same with a low score, a dot is no object. Returns the events: `12+a` is `a` that appeared at frame
    /// 12, `-` left, `>` changed.
    fn play(&mut self, step: u64, letters: &str) -> String {
        let mut log = Vec::new();
        for (frame, letter) in letters.chars().enumerate() {
            let scores = match letter {
                'a'..='c' => scores(letter as usize - 'a' as usize, 0.9),
                'A'..='C' => scores(letter as usize - 'A' as usize, 0.34),
                _ => vec![0.1, 0.1, 0.12],
            };
            let (_, events) = self.update(scores, HERE);
            log.extend(
                events
                    .iter()
                    .map(|event| format!("{frame}{}", brief(event))),
            );
            self.at += step;
        }
        log.join(" ")
    }
}

fn thresholds(primary: f32) -> Thresholds {
    Thresholds {
        primary,
        objects: primary,
        nms_iou: 1.0,
    }
}

/// The event, if there is one; there is no other.
fn one(events: Vec<Event>) -> Option<Event> {
    assert!(events.len() <= 1, "{events:?}");
    events.into_iter().next()
}

fn brief(event: &Event) -> String {
    let sign = match event.kind {
        EventKind::Appeared => '+',
        EventKind::Changed { .. } => '>',
        EventKind::Left => '-',
        other => panic!("the tracker has no event {other:?}"),
    };
    let class = ["a", "b", "c"][event.detection.class.index()];
    format!("{sign}{class}")
}

#[test]
fn sequences_cause_their_events() {
    let cases = [
        // A single frame starts no track, at any frame rate; nor do single frames now and then.
        (33, "..a.....a......a....", ""),
        (1000, "..a...b..c..a.", ""),
        (16, "a.a.a.a.a.a.a.a.a.a.", ""),
        // Two in a row start a track at 1 frame per second, seven at 30.
        (1000, ".aaa", "2+a"),
        (500, ".aaa", "2+a"),
        (100, ".aaa", "3+a"),
        (33, ".aaaaaaaa", "6+a"),
        (16, ".aaaaaaaaaaaa", "11+a"),
        // A low score starts no track, but supports the current one.
        (100, "AAAAAAAAAAAAA", ""),
        (100, "aaaaAAAAAAAAAAAAAAAAAAAA", "2+a"),
        // A low score of another class does not support it.
        (100, "aaaaBBBBBBBBBBBBBBBBBBBB", "2+a 16-a"),
        // A track survives a short pause, but leaves after a longer one.
        (100, "aaaa..........aaaa", "2+a"),
        (100, "aaaa.............aaaa", "2+a 16-a 19+a"),
        (1000, "aaa.aa.aaa", "1+a"),
        (1000, "aaa..aaa", "1+a 4-a 6+a"),
        // A short change of class is ignored, a longer one is not.
        (33, "aaaaaaaaaabbaaaabbbaaaa", "5+a"),
        (33, "aaaaaaaaaabbbbbbbbbbbbbbbbbbbb", "5+a 25>b"),
        (1000, "aaabaaabaaa", "1+a"),
        (1000, "aaabbbb", "1+a 4>b"),
        (100, "aaaabababababababab", "2+a"),
        // Another class after a pause is another track.
        (33, "aaaaaaaaaa.....bbbbbbbb", "5+a 20-a 20+b"),
    ];
    for (step, letters, expected) in cases {
        assert_eq!(
            Playback::new().play(step, letters),
            expected,
            "{step} {letters}"
        );
    }
}

#[test]
fn a_duration_is_from_the_first_to_the_last_supporting_frame() {
    let mut playback = Playback::new();
    playback.play(100, ".aaaaaaaaa.");
    let left = playback.finish().expect("a track");
    assert_eq!(
        (left.kind, left.track, left.duration),
        (EventKind::Left, 1, Duration::from_millis(800))
    );
    assert_eq!(playback.finish(), None);
}

#[test]
fn the_primary_detection_has_the_number_of_the_track_that_it_supports() {
    let mut playback = Playback::new();
    assert_eq!(playback.play(100, "aaaaa"), "2+a");
    let mut numbers = |scores| {
        let prediction = Prediction::new(scores, HERE).expect("valid");
        let at = playback.start + Duration::from_millis(playback.at);
        playback.at += 100;
        let found = playback
            .tracker
            .update(&prediction, &thresholds(0.4), at, playback.time);
        found.numbers
    };
    assert_eq!(numbers(scores(0, 0.9)), [Some(1)]);
    // Below the threshold of a detection.
    assert_eq!(numbers(scores(0, 0.34)), []);
    assert_eq!(numbers(vec![0.1; 3]), []);
    // Another thing after a pause.
    assert_eq!(numbers(scores(1, 0.9)), [None]);
}

#[test]
fn an_unsupported_track_is_hidden_and_shown_again() {
    let mut playback = Playback::new();
    assert_eq!(playback.play(100, "aaaaa"), "2+a");
    for expected in [true, true, false, false] {
        let (stable, events) = playback.update(vec![0.1; 3], HERE);
        assert_eq!((stable.is_some(), events.len()), (expected, 0));
        playback.at += 100;
    }
    let (stable, _) = playback.update(scores(0, 0.9), HERE);
    assert_eq!(stable.map(|stable| stable.track), Some(1));
}

#[test]
fn a_long_gap_ends_the_track() {
    let mut playback = Playback::new();
    playback.play(100, "aaaaa");
    playback.at += 6000;
    let (stable, events) = playback.update(scores(0, 0.9), HERE);
    assert_eq!(stable, None);
    let [left] = events.as_slice() else {
        panic!("one event, not {events:?}");
    };
    // The last frame is 400 ms after the first.
    let last = Duration::from_millis(400);
    assert_eq!((left.duration, left.time), (last, playback.time + last));
    playback.at += 100;
    assert_eq!(playback.play(100, "aaaa"), "1+a");
}

#[test]
fn equal_and_decreasing_times_are_accepted() {
    let mut playback = Playback::new();
    assert_eq!(playback.play(0, "aaaaaaaaaa"), "");
    playback.at = 200;
    assert_eq!(playback.play(100, "a"), "0+a");
    playback.at = 0;
    assert_eq!(playback.play(100, "aaaaaaaaaaaaaaa"), "");
    let left = playback.finish().expect("a track");
    assert_eq!(left.duration, Duration::from_millis(1600));
}

#[test]
fn the_numbering_continues_in_the_next_tracker() {
    let mut first = Playback::new();
    first.play(1000, "aaa...bbb");
    assert_eq!(first.tracker.track_count(), 2);
    let mut second = Playback::new();
    second.tracker = second.tracker.with_track_count(first.tracker.track_count());
    second.play(1000, "aaa");
    let left = second.finish().expect("a track");
    assert_eq!(left.track, 3);
}

#[test]
fn a_new_scene_ends_the_track_with_the_last_frame() {
    let mut playback = Playback::new();
    assert_eq!(playback.tracker.start_scene(), []);
    assert_eq!(playback.play(100, "aaaaa"), "2+a");
    let left = one(playback.tracker.start_scene()).expect("a track");
    let last = Duration::from_millis(400);
    assert_eq!((left.kind, left.duration), (EventKind::Left, last));
    assert_eq!(left.time, playback.time + last);
    // The same object in the new scene is another track, which needs its own evidence.
    assert_eq!(playback.play(100, "aaaa"), "2+a");
    let left = playback.finish().expect("a track");
    assert_eq!(left.track, 2);
}

#[test]
fn a_model_with_other_classes_ends_the_track() {
    let mut playback = Playback::new();
    playback.play(100, "aaaaa");
    let (stable, events) = playback.update(vec![0.9, 0.1], HERE);
    assert_eq!((stable, events.len()), (None, 1));
    assert_eq!(events[0].kind, EventKind::Left);
}

#[test]
fn the_box_is_smooth_at_rest_and_follows_motion() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut playback = Playback::new();
    let (mut seen_before, mut held_before) = (None::<NormBox>, None::<NormBox>);
    let (mut seen_way, mut held_way) = (0.0, 0.0);
    let way = |a: &NormBox, b: &NormBox| (a.x_min() - b.x_min()).abs();
    for frame in 0..300 {
        let corners = HERE.map(|corner| corner + 0.03 * (random.f32() - 0.5));
        let (stable, _) = playback.update(scores(0, 0.9), corners);
        playback.at += 33;
        let seen = NormBox::from_regression(corners).expect("finite");
        if let (Some(stable), true) = (stable, frame >= 30) {
            let held = stable.detection.bounding_box;
            seen_way += seen_before.map_or(0.0, |before| way(&before, &seen));
            held_way += held_before.map_or(0.0, |before| way(&before, &held));
            (seen_before, held_before) = (Some(seen), Some(held));
        }
    }
    assert!(held_way < seen_way / 3.0, "{held_way} of {seen_way}");
    // Half an image width per second: at the end the box lags by less than a frame and a half.
    let mut lag = 0.0;
    for frame in 0..30 {
        let shift = 0.5 * frame as f32 / 30.0;
        let corners = [HERE[0] + shift, HERE[1] + shift, HERE[2], HERE[3]];
        let (stable, _) = playback.update(scores(0, 0.9), corners);
        playback.at += 33;
        let held = stable.expect("a track").detection.bounding_box;
        lag = (corners[0] - held.x_min()).abs();
    }
    assert!(lag < 0.025, "{lag}");
}

#[test]
fn a_jump_is_followed_once_the_box_stays() {
    let mut playback = Playback::new();
    playback.play(33, "aaaaaaaaaa");
    let mut place = |corners| {
        let (stable, _) = playback.update(scores(0, 0.9), corners);
        playback.at += 33;
        stable.expect("a track").detection.bounding_box.corners()
    };
    let near = |a: [f32; 4], b: [f32; 4]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
    assert!(near(place(THERE), HERE));
    assert!(near(place(HERE), HERE));
    let places: Vec<_> = (0..8).map(|_| place(THERE)).collect();
    assert!(
        near(places[0], HERE) && near(places[7], THERE),
        "{places:?}"
    );
}

/// Random frames at random times.
fn random_sequence(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let threshold = random.f32();
    let mut tracker = Tracker::new(TrackSettings::new(threshold));
    let (start, time) = (Instant::now() + Duration::from_secs(900), SystemTime::now());
    let (mut at, mut current, mut track_count) = (0_i64, None::<Event>, 0);
    let mut class = 0;
    for _ in 0..400 {
        at += match random.u32(..100) {
            0 => -300,
            1 => 7000,
            2..10 => 0,
            _ => random.i64(1..400),
        };
        if random.u32(..10) == 0 {
            class = random.usize(..3);
        }
        let seen = scores(class, random.f32());
        let corners = [random.f32(), random.f32(), random.f32(), random.f32()];
        let prediction = Prediction::new(seen, corners).expect("valid");
        let passed = Duration::from_millis(at.unsigned_abs());
        let moment = if at < 0 {
            start - passed
        } else {
            start + passed
        };
        let found = tracker.update(&prediction, &thresholds(threshold), moment, time);
        let stable = found.tracks.first().copied();
        for event in found.events {
            check_order(current.as_ref(), &event, &mut track_count, seed);
            current = (event.kind != EventKind::Left).then_some(event);
        }
        assert!(stable.is_none() || current.is_some(), "seed {seed}");
        if let (Some(stable), Some(event)) = (stable, &mut current) {
            assert_eq!(stable.track, event.track, "seed {seed}");
            assert_eq!(stable.detection.class, event.detection.class, "seed {seed}");
            assert!(stable.duration >= event.duration, "seed {seed}");
            event.duration = stable.duration;
            let [a, b, c, d] = stable.detection.bounding_box.corners();
            assert!(NormBox::new(a, b, c, d).is_ok(), "seed {seed}");
            assert!(
                (0.0..=1.0).contains(&stable.detection.confidence),
                "seed {seed}"
            );
        }
    }
    let left = one(tracker.finish(time));
    assert_eq!(left.is_some(), current.is_some(), "seed {seed}");
}

/// Checks that an event may follow the previous one.
#[track_caller]
fn check_order(previous: Option<&Event>, event: &Event, track_count: &mut u64, seed: u64) {
    match (previous, event.kind) {
        (None, EventKind::Appeared) => *track_count += 1,
        (Some(previous), EventKind::Left) => {
            assert_eq!(
                previous.detection.class, event.detection.class,
                "seed {seed}"
            );
            assert!(event.duration >= previous.duration, "seed {seed}");
        }
        (Some(previous), EventKind::Changed { from }) => {
            assert_eq!(previous.detection.class, from, "seed {seed}");
            assert_ne!(event.detection.class, from, "seed {seed}");
            assert!(event.duration >= previous.duration, "seed {seed}");
        }
        other => panic!("seed {seed}: {other:?}"),
    }
    assert_eq!(event.track, *track_count, "seed {seed}");
}

#[test]
fn events_alternate_and_boxes_are_valid_for_random_frames() {
    for seed in 0..300 {
        random_sequence(seed);
    }
}

#[test]
fn a_track_that_rests_is_the_same_as_one_that_is_seen_again() {
    let mut playback = Playback::new();
    assert!(playback.tracker.is_settled(), "nothing is there");
    playback.play(100, "aa");
    assert!(!playback.tracker.is_settled(), "a candidate");
    playback.play(100, &"a".repeat(30));
    assert!(!playback.tracker.is_settled(), "it has just come");
    playback.play(100, &"a".repeat(30));
    assert!(playback.tracker.is_settled());
    playback.play(100, ".");
    assert!(!playback.tracker.is_settled(), "it was not seen");
    playback.play(100, "a");
    let passed = Duration::from_millis(playback.at);
    let (at, time) = (playback.start + passed, playback.time + passed);
    let before = playback.tracker.rest(at, time);
    let later = Duration::from_secs(60 * 60);
    for second in 0..100 {
        let passed = Duration::from_millis(playback.at) + Duration::from_secs(second);
        let rested = playback
            .tracker
            .rest(playback.start + passed, playback.time + passed);
        assert!(rested.events.is_empty());
        assert_eq!(rested.tracks[0].detection, before.tracks[0].detection);
        assert!(rested.tracks[0].duration >= Duration::from_secs(second));
    }
    let gap = playback
        .tracker
        .rest(playback.start + later, playback.time + later);
    assert_eq!(gap.events[0].kind, EventKind::Left);
    assert!(gap.tracks.is_empty());
}
