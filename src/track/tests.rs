//! Sequences of frames and the events that they must give.

use super::*;
use crate::geometry::NormBox;

/// A tracker that is fed by the millisecond.
struct Watch {
    tracker: Tracker,
    start: Instant,
    time: SystemTime,
    at: u64,
}

/// Scores that name one of three classes with that confidence.
fn scores(class: usize, confidence: f32) -> Vec<f32> {
    let score = |other| if other == class { confidence } else { 0.05 };
    (0..3).map(score).collect()
}

const HERE: [f32; 4] = [0.2, 0.6, 0.2, 0.6];
const THERE: [f32; 4] = [0.7, 0.9, 0.7, 0.9];

impl Watch {
    fn new() -> Self {
        Self {
            tracker: Tracker::new(TrackSettings::new(0.4)),
            start: Instant::now(),
            time: SystemTime::UNIX_EPOCH,
            at: 0,
        }
    }

    fn see(&mut self, scores: Vec<f32>, corners: [f32; 4]) -> (Option<StableDetection>, Vec<Event>) {
        let prediction = Prediction::new(scores, corners).expect("sound");
        let passed = Duration::from_millis(self.at);
        self.tracker
            .update(&prediction, self.start + passed, self.time + passed)
    }

    /// Frames every `step` milliseconds, one a letter: `a`, `b`, `c` name a class surely, the capital
    /// letters barely, a dot nothing. Gives the events as `12+a`: at frame 12 `a` appeared; `-` left,
    /// `>` changed.
    fn play(&mut self, step: u64, letters: &str) -> String {
        let mut told = Vec::new();
        for (frame, letter) in letters.chars().enumerate() {
            let scores = match letter {
                'a'..='c' => scores(letter as usize - 'a' as usize, 0.9),
                'A'..='C' => scores(letter as usize - 'A' as usize, 0.34),
                _ => vec![0.1, 0.1, 0.12],
            };
            let (_, events) = self.see(scores, HERE);
            told.extend(
                events
                    .iter()
                    .map(|event| format!("{frame}{}", brief(event))),
            );
            self.at += step;
        }
        told.join(" ")
    }
}

fn brief(event: &Event) -> String {
    let sign = match event.kind {
        EventKind::Appeared => '+',
        EventKind::Changed { .. } => '>',
        EventKind::Left => '-',
    };
    let class = ["a", "b", "c"][event.detection.class.index()];
    format!("{sign}{class}")
}

#[test]
fn sequences_give_their_events() {
    let cases = [
        // A single frame is nothing, at any rate; nor is one now and then.
        (33, "..a.....a......a....", ""),
        (1000, "..a...b..c..a.", ""),
        (16, "a.a.a.a.a.a.a.a.a.a.", ""),
        // Two in a row are something at a frame a second, six at thirty.
        (1000, ".aaa", "2+a"),
        (500, ".aaa", "2+a"),
        (100, ".aaa", "3+a"),
        (33, ".aaaaaaaa", "6+a"),
        (16, ".aaaaaaaaaaaa", "11+a"),
        // A frame that is barely anything brings nothing in, but keeps what is there.
        (100, "AAAAAAAAAAAAA", ""),
        (100, "aaaaAAAAAAAAAAAAAAAAAAAA", "2+a"),
        // Another class barely is no support.
        (100, "aaaaBBBBBBBBBBBBBBBBBBBB", "2+a 16-a"),
        // Who is not seen for a while is still there; for longer, has left.
        (100, "aaaa..........aaaa", "2+a"),
        (100, "aaaa.............aaaa", "2+a 16-a 19+a"),
        (1000, "aaa.aa.aaa", "1+a"),
        (1000, "aaa..aaa", "1+a 4-a 6+a"),
        // Another class for a moment changes nothing; for longer it does.
        (33, "aaaaaaaaaabbaaaabbbaaaa", "5+a"),
        (33, "aaaaaaaaaabbbbbbbbbbbbbbbbbbbb", "5+a 25>b"),
        (1000, "aaabaaabaaa", "1+a"),
        (1000, "aaabbbb", "1+a 4>b"),
        (100, "aaaabababababababab", "2+a"),
        // Another class after a moment of nothing is another thing.
        (33, "aaaaaaaaaa.....bbbbbbbb", "5+a 20-a 20+b"),
    ];
    for (step, letters, expected) in cases {
        assert_eq!(
            Watch::new().play(step, letters),
            expected,
            "{step} {letters}"
        );
    }
}

#[test]
fn durations_go_from_the_first_frame_with_support_to_the_last() {
    let mut watch = Watch::new();
    watch.play(100, ".aaaaaaaaa.");
    let left = watch.tracker.finish(watch.time).expect("was there");
    assert_eq!(
        (left.kind, left.track, left.duration),
        (EventKind::Left, 1, Duration::from_millis(800))
    );
    assert_eq!(watch.tracker.finish(watch.time), None);
}

#[test]
fn what_is_not_seen_is_not_shown_for_long() {
    let mut watch = Watch::new();
    assert_eq!(watch.play(100, "aaaaa"), "2+a");
    for expected in [true, true, false, false] {
        let (steady, events) = watch.see(vec![0.1; 3], HERE);
        assert_eq!((steady.is_some(), events.len()), (expected, 0));
        watch.at += 100;
    }
    let (steady, _) = watch.see(scores(0, 0.9), HERE);
    assert_eq!(steady.map(|steady| steady.track), Some(1));
}

#[test]
fn after_a_gap_nothing_is_known_any_more() {
    let mut watch = Watch::new();
    watch.play(100, "aaaaa");
    watch.at += 6000;
    let (steady, events) = watch.see(scores(0, 0.9), HERE);
    assert_eq!(steady, None);
    let [left] = events.as_slice() else {
        panic!("one event, not {events:?}");
    };
    // The last frame was taken 400 ms after the first.
    let last = Duration::from_millis(400);
    assert_eq!((left.duration, left.time), (last, watch.time + last));
    watch.at += 100;
    assert_eq!(watch.play(100, "aaaa"), "1+a");
}

#[test]
fn times_that_stand_still_or_go_back_are_no_fault() {
    let mut watch = Watch::new();
    assert_eq!(watch.play(0, "aaaaaaaaaa"), "");
    watch.at = 200;
    assert_eq!(watch.play(100, "a"), "0+a");
    watch.at = 0;
    assert_eq!(watch.play(100, "aaaaaaaaaaaaaaa"), "");
    let left = watch.tracker.finish(watch.time).expect("was there");
    assert_eq!(left.duration, Duration::from_millis(1600));
}

#[test]
fn tracks_are_counted_on_by_the_next_tracker() {
    let mut first = Watch::new();
    first.play(1000, "aaa...bbb");
    assert_eq!(first.tracker.tracks(), 2);
    let mut second = Watch::new();
    second.tracker = second.tracker.counting_on(first.tracker.tracks());
    second.play(1000, "aaa");
    let left = second.tracker.finish(second.time).expect("was there");
    assert_eq!(left.track, 3);
}

#[test]
fn a_model_of_other_classes_sees_another_thing() {
    let mut watch = Watch::new();
    watch.play(100, "aaaaa");
    let (steady, events) = watch.see(vec![0.9, 0.1], HERE);
    assert_eq!((steady, events.len()), (None, 1));
    assert_eq!(events[0].kind, EventKind::Left);
}

#[test]
fn a_box_that_stands_still_is_calm_and_one_that_moves_is_followed() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut watch = Watch::new();
    let (mut seen_before, mut held_before) = (None::<NormBox>, None::<NormBox>);
    let (mut seen_way, mut held_way) = (0.0, 0.0);
    let way = |a: &NormBox, b: &NormBox| (a.x_min() - b.x_min()).abs();
    for frame in 0..300 {
        let corners = HERE.map(|corner| corner + 0.03 * (random.f32() - 0.5));
        let (steady, _) = watch.see(scores(0, 0.9), corners);
        watch.at += 33;
        let seen = NormBox::from_regression(corners).expect("finite");
        if let (Some(steady), true) = (steady, frame >= 30) {
            let held = steady.detection.bounding_box;
            seen_way += seen_before.map_or(0.0, |before| way(&before, &seen));
            held_way += held_before.map_or(0.0, |before| way(&before, &held));
            (seen_before, held_before) = (Some(seen), Some(held));
        }
    }
    assert!(held_way < seen_way / 3.0, "{held_way} of {seen_way}");
    // Half a picture in a second: at the end the box lags by less than a frame and a half.
    let mut lag = 0.0;
    for frame in 0..30 {
        let shift = 0.5 * frame as f32 / 30.0;
        let corners = [HERE[0] + shift, HERE[1] + shift, HERE[2], HERE[3]];
        let (steady, _) = watch.see(scores(0, 0.9), corners);
        watch.at += 33;
        let held = steady.expect("there").detection.bounding_box;
        lag = (corners[0] - held.x_min()).abs();
    }
    assert!(lag < 0.025, "{lag}");
}

#[test]
fn a_box_that_jumps_is_followed_once_it_stays() {
    let mut watch = Watch::new();
    watch.play(33, "aaaaaaaaaa");
    let mut place = |corners| {
        let (steady, _) = watch.see(scores(0, 0.9), corners);
        watch.at += 33;
        steady.expect("there").detection.bounding_box.corners()
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

/// A life of random frames at random times.
fn random_life(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let threshold = random.f32();
    let mut tracker = Tracker::new(TrackSettings::new(threshold));
    let (start, time) = (Instant::now() + Duration::from_secs(900), SystemTime::now());
    let (mut at, mut there, mut tracks) = (0_i64, None::<Event>, 0);
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
        let prediction = Prediction::new(seen, corners).expect("sound");
        let passed = Duration::from_millis(at.unsigned_abs());
        let moment = if at < 0 {
            start - passed
        } else {
            start + passed
        };
        let (steady, events) = tracker.update(&prediction, moment, time);
        for event in events {
            follows(there.as_ref(), &event, &mut tracks, seed);
            there = (event.kind != EventKind::Left).then_some(event);
        }
        assert!(steady.is_none() || there.is_some(), "seed {seed}");
        if let (Some(steady), Some(event)) = (steady, &mut there) {
            assert_eq!(steady.track, event.track, "seed {seed}");
            assert_eq!(steady.detection.class, event.detection.class, "seed {seed}");
            assert!(steady.duration >= event.duration, "seed {seed}");
            event.duration = steady.duration;
            let [a, b, c, d] = steady.detection.bounding_box.corners();
            assert!(NormBox::new(a, b, c, d).is_ok(), "seed {seed}");
            assert!(
                (0.0..=1.0).contains(&steady.detection.confidence),
                "seed {seed}"
            );
        }
    }
    let left = tracker.finish(time);
    assert_eq!(left.is_some(), there.is_some(), "seed {seed}");
}

/// An event is one that can come after the last one.
#[track_caller]
fn follows(before: Option<&Event>, event: &Event, tracks: &mut u64, seed: u64) {
    match (before, event.kind) {
        (None, EventKind::Appeared) => *tracks += 1,
        (Some(before), EventKind::Left) => {
            assert_eq!(before.detection.class, event.detection.class, "seed {seed}");
            assert!(event.duration >= before.duration, "seed {seed}");
        }
        (Some(before), EventKind::Changed { from }) => {
            assert_eq!(before.detection.class, from, "seed {seed}");
            assert_ne!(event.detection.class, from, "seed {seed}");
            assert!(event.duration >= before.duration, "seed {seed}");
        }
        other => panic!("seed {seed}: {other:?}"),
    }
    assert_eq!(event.track, *tracks, "seed {seed}");
}

#[test]
fn whatever_the_frames_events_alternate_and_boxes_are_sound() {
    for seed in 0..300 {
        random_life(seed);
    }
}
