//! Scenes of several objects, and what the tracker makes of them. Times are in milliseconds.

use std::time::{Duration, Instant, SystemTime};

use embedded_graphics::prelude::{Point, Size};
use embedded_graphics::primitives::Rectangle;

use super::super::{Event, EventKind, FrameTracks, TrackSettings, Tracker};
use crate::card::{ObjectDecode, ObjectSettings};
use crate::detect::{CellOutputs, Detection, Nms, Prediction, Thresholds};
use crate::geometry::{NormBox, iou};
use crate::regions::{Coverage, View};

const CLASSES: usize = 3;

const THRESHOLDS: Thresholds = Thresholds {
    primary: 0.4,
    objects: 0.4,
    nms_iou: 0.5,
};

/// Class (`a`, `b` or `c`), score and corners `x_min, x_max, y_min, y_max`.
type Seen = (char, f32, [f32; 4]);

const LEFT: [f32; 4] = [0.1, 0.3, 0.4, 0.6];
const RIGHT: [f32; 4] = [0.7, 0.9, 0.4, 0.6];
/// IoU with `LEFT`: 0.82.
const NEARLY_LEFT: [f32; 4] = [0.1, 0.3, 0.42, 0.62];

/// Time between frames, and what is seen at each time.
type Scene<'a> = (u64, &'a dyn Fn(u64) -> Vec<Seen>);

/// A tracker with its clock.
struct Playback {
    tracker: Tracker,
    start: Instant,
    at: u64,
    step: u64,
}

fn prediction(seen: &[Seen]) -> Prediction {
    let mut scores = vec![0.0; seen.len() * CLASSES];
    let mut boxes = Vec::new();
    for (row, (class, score, corners)) in scores.chunks_exact_mut(CLASSES).zip(seen) {
        row[index(*class)] = *score;
        boxes.extend(corners);
    }
    let settings = ObjectSettings {
        threshold: THRESHOLDS.objects,
        nms_iou: THRESHOLDS.nms_iou,
        most: 100,
        decode: ObjectDecode::InGraph,
    };
    let cells = CellOutputs {
        scores: &scores,
        boxes: &boxes,
    };
    let nms = &mut Nms::new(settings, seen.len(), CLASSES);
    Prediction::of_objects(cells, nms).expect("valid outputs")
}

fn index(class: char) -> usize {
    class as usize - 'a' as usize
}

fn name(class: usize) -> char {
    ['a', 'b', 'c'][class]
}

/// `12+1a` is track 1, an `a`, that appeared at 12 ms; `-` left, `>` changed.
fn brief(event: &Event) -> String {
    let after = event.time.duration_since(SystemTime::UNIX_EPOCH);
    let sign = match event.kind {
        EventKind::Appeared => '+',
        EventKind::Changed { .. } => '>',
        EventKind::Left => '-',
        other => panic!("the tracker has no event {other:?}"),
    };
    let class = name(event.detection.class.index());
    let at = after.expect("after the start").as_millis();
    format!("{at}{sign}{}{class}", event.track)
}

impl Playback {
    fn new(step: u64) -> Self {
        Self {
            tracker: Tracker::multi_object(TrackSettings::new(THRESHOLDS.primary)),
            start: Instant::now(),
            at: 0,
            step,
        }
    }

    fn update(&mut self, prediction: &Prediction) -> FrameTracks {
        let passed = Duration::from_millis(self.at);
        let (at, time) = (self.start + passed, SystemTime::UNIX_EPOCH + passed);
        self.at += self.step;
        self.tracker.update(prediction, &THRESHOLDS, at, time)
    }

    /// A frame of which only a part is looked at.
    fn observe(&mut self, seen: &[Seen], coverage: &Coverage) -> FrameTracks {
        let passed = Duration::from_millis(self.at);
        let at = (self.start + passed, SystemTime::UNIX_EPOCH + passed);
        self.at += self.step;
        self.tracker
            .update_observed(&prediction(seen), &THRESHOLDS, Some(coverage), at)
    }

    fn see(&mut self, seen: &[Seen]) -> FrameTracks {
        self.update(&prediction(seen))
    }

    /// Frames from now on for so many milliseconds. Returns the events.
    fn play(&mut self, length: u64, seen: impl Fn(u64) -> Vec<Seen>) -> String {
        let (begin, mut log) = (self.at, Vec::new());
        while self.at < begin + length {
            let found = self.see(&seen(self.at - begin));
            log.extend(found.events.iter().map(brief));
        }
        log.join(" ")
    }

    /// The same.
    fn hold(&mut self, length: u64, seen: &[Seen]) -> String {
        self.play(length, |_| seen.to_vec())
    }
}

/// Track number and class of each shown track.
fn shown(found: &FrameTracks) -> Vec<(u64, char)> {
    let brief = |s: &super::StableDetection| (s.track, name(s.detection.class.index()));
    found.tracks.iter().map(brief).collect()
}

/// `corners`, moved to the right.
fn moved(corners: [f32; 4], way: f32) -> [f32; 4] {
    let [x_min, x_max, y_min, y_max] = corners;
    [x_min + way, x_max + way, y_min, y_max]
}

#[test]
fn objects_appear_and_leave_one_by_one_at_any_frame_rate() {
    for step in [33, 66, 100, 200, 500, 1000] {
        let mut playback = Playback::new(step);
        let log = playback.play(10_000, |at| {
            let left = (at < 6000).then_some(('a', 0.8, LEFT));
            let right = (at >= 2000).then_some(('a', 0.8, RIGHT));
            left.into_iter().chain(right).collect()
        });
        let last_frame = playback.at - step;
        // The first frame of a time from `from` on.
        let first = |from: u64| from.div_ceil(step) * step;
        let appeared = [0, 2000].map(|from| first(first(from) + 150));
        let left = first(first(6000) - step + 1201);
        let expected = format!("{}+1a {}+2a {left}-1a", appeared[0], appeared[1]);
        assert_eq!(log, expected, "every {step} ms");
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(last_frame);
        let ended: Vec<_> = playback.tracker.finish(time).iter().map(brief).collect();
        assert_eq!(ended, [format!("{last_frame}-2a")], "every {step} ms");
    }
}

#[test]
fn a_parked_object_that_is_missed_for_a_second_is_not_announced_as_new() {
    for step in [33, 100, 500, 1000] {
        let mut playback = Playback::new(step);
        playback.hold(3000, &[('a', 0.8, LEFT)]);
        assert_eq!(playback.hold(1000, &[]), "", "every {step} ms");
        assert_eq!(
            playback.hold(3000, &[('a', 0.8, NEARLY_LEFT)]),
            "",
            "every {step} ms"
        );
        let found = playback.see(&[('a', 0.8, LEFT)]);
        assert_eq!(shown(&found), [(1, 'a')], "every {step} ms");
    }
}

#[test]
fn a_parked_object_is_stationary_after_some_seconds_without_an_event() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut playback = Playback::new(100);
    let mut stationary = Vec::new();
    for _ in 0..100 {
        let seen = LEFT.map(|corner| corner + 0.02 * (random.f32() - 0.5));
        let found = playback.see(&[('a', 0.8, seen)]);
        stationary.extend(found.tracks.first().map(|track| track.is_stationary));
    }
    // It is tracked from 200 ms on, and parked since 0.
    let changes = stationary
        .windows(2)
        .filter(|pair| pair[0] != pair[1])
        .count();
    assert_eq!((stationary[47], stationary[48], changes), (false, true, 1));
    assert_eq!(playback.hold(30_000, &[('a', 0.8, LEFT)]), "");
    // It drives away.
    let log = playback.play(1500, |at| vec![('a', 0.8, moved(LEFT, at as f32 / 3000.0))]);
    assert_eq!(log, "");
    let found = playback.see(&[('a', 0.8, moved(LEFT, 0.5))]);
    assert_eq!(
        (found.tracks[0].track, found.tracks[0].is_stationary),
        (1, false)
    );
}

#[test]
fn one_animal_that_is_seen_as_cat_and_dog_is_one_track() {
    // Both at once, in one order or the other.
    let mut playback = Playback::new(100);
    let log = playback.play(5000, |at| {
        let cat = if at % 300 == 0 { 0.5 } else { 0.6 };
        vec![('a', cat, LEFT), ('b', 0.55, NEARLY_LEFT)]
    });
    assert_eq!(log, "200+1a");
    let found = playback.see(&[('a', 0.6, LEFT), ('b', 0.55, NEARLY_LEFT)]);
    assert_eq!(
        (shown(&found), found.numbers),
        (vec![(1, 'a')], vec![Some(1); 2])
    );
    // By turns.
    let mut playback = Playback::new(100);
    let log = playback.play(5000, |at| {
        vec![(if at % 300 == 200 { 'b' } else { 'a' }, 0.7, LEFT)]
    });
    assert_eq!(log, "300+1a");
}

#[test]
fn a_part_of_an_object_is_no_object() {
    let part = [0.12, 0.22, 0.42, 0.55];
    let mut playback = Playback::new(100);
    assert_eq!(
        playback.hold(1000, &[('a', 0.8, LEFT), ('a', 0.7, part)]),
        "200+1a"
    );
    // Of another class, it is one in front of it.
    assert_eq!(
        playback.hold(1000, &[('a', 0.8, LEFT), ('b', 0.7, part)]),
        "1200+2b"
    );
    // An object that is known stays known when it comes before another.
    let mut playback = Playback::new(100);
    let passing = |at: u64| moved(part, 0.5 - 0.5 * at as f32 / 1000.0);
    let log = playback.play(1000, |at| vec![('a', 0.8, LEFT), ('a', 0.7, passing(at))]);
    assert_eq!(log, "200+1a 200+2a");
    let found = playback.see(&[('a', 0.8, LEFT), ('a', 0.7, part)]);
    assert_eq!(shown(&found), [(1, 'a'), (2, 'a')]);
}

#[test]
fn a_track_begins_with_a_score_above_the_threshold() {
    let mut playback = Playback::new(100);
    assert_eq!(playback.hold(3000, &[('a', 0.45, LEFT)]), "");
    assert_eq!(playback.hold(3000, &[('a', 0.5, LEFT)]), "3100+1a");
    assert_eq!(playback.hold(3000, &[('a', 0.42, LEFT)]), "");
}

#[test]
fn a_label_changes_once_and_its_track_goes_on() {
    for step in [33, 100, 250] {
        let mut playback = Playback::new(step);
        playback.hold(2000, &[('a', 0.8, LEFT), ('c', 0.8, RIGHT)]);
        let log = playback.hold(3000, &[('b', 0.8, NEARLY_LEFT), ('c', 0.8, RIGHT)]);
        assert!(
            log.ends_with(">1b") && !log.contains(' '),
            "every {step} ms: {log}"
        );
    }
}

#[test]
fn a_label_is_not_drawn_over_what_the_network_calls_otherwise() {
    let mut playback = Playback::new(33);
    playback.hold(1000, &[('a', 0.8, LEFT)]);
    // The object itself has another name.
    let found = playback.see(&[('b', 0.7, NEARLY_LEFT)]);
    assert_eq!((shown(&found), found.numbers), (vec![], vec![Some(1)]));
    let found = playback.see(&[('a', 0.7, LEFT)]);
    assert_eq!(shown(&found), [(1, 'a')]);
    // Two names with nearly the same score, or a name without confidence, do not count.
    let found = playback.see(&[('a', 0.6, LEFT), ('b', 0.65, NEARLY_LEFT)]);
    assert_eq!(shown(&found), [(1, 'a')]);
    let found = playback.see(&[('b', 0.39, LEFT)]);
    assert_eq!(shown(&found), [(1, 'a')]);
    // Another object covers it.
    for covering in [
        ('b', 0.8, moved(LEFT, 0.08)),
        ('c', 0.8, moved(LEFT, -0.08)),
    ] {
        let mut playback = Playback::new(33);
        playback.hold(1000, &[('a', 0.8, LEFT)]);
        assert_eq!(shown(&playback.see(&[])), [(1, 'a')]);
        assert_eq!(shown(&playback.see(&[covering])), []);
    }
}

#[test]
fn a_box_that_jumps_is_another_object_and_the_old_one_is_hidden_at_once() {
    let mut playback = Playback::new(50);
    playback.hold(1000, &[('a', 0.8, LEFT)]);
    let jumped = [('a', 0.8, RIGHT)];
    for _ in 0..3 {
        let found = playback.see(&jumped);
        assert_eq!(
            (shown(&found), found.events, found.numbers),
            (vec![], vec![], vec![None])
        );
    }
    let found = playback.see(&jumped);
    assert_eq!(
        (shown(&found), found.numbers),
        (vec![(2, 'a')], vec![Some(2)])
    );
    assert_eq!(brief(&found.events[0]), "1150+2a");
    assert_eq!(playback.hold(2000, &jumped), "2200-1a");
}

#[test]
fn an_object_that_is_missed_is_shown_for_a_short_time() {
    let mut playback = Playback::new(50);
    playback.hold(1000, &[('a', 0.8, LEFT), ('b', 0.8, RIGHT)]);
    let both = vec![(1, 'a'), (2, 'b')];
    for missed in 1..=5 {
        assert_eq!(shown(&playback.see(&[('b', 0.8, RIGHT)])), both, "{missed}");
    }
    assert_eq!(shown(&playback.see(&[('b', 0.8, RIGHT)])), [(2, 'b')]);
    assert_eq!(
        shown(&playback.see(&[('a', 0.8, LEFT), ('b', 0.8, RIGHT)])),
        both
    );
}

#[test]
fn an_object_that_leaves_the_picture_is_hidden_at_once() {
    let mut playback = Playback::new(50);
    let leaving = |at: u64| {
        (
            'a',
            0.8,
            moved(LEFT, -0.4 * at as f32 / 1000.0).map(|c| c.max(0.0)),
        )
    };
    playback.play(600, |at| vec![leaving(at)]);
    assert_eq!(shown(&playback.see(&[leaving(600)])), [(1, 'a')]);
    assert_eq!(shown(&playback.see(&[])), []);
    // One that only lies at the edge is not.
    let mut playback = Playback::new(50);
    let edge = [0.0, 0.2, 0.4, 0.6];
    playback.hold(1000, &[('a', 0.8, edge)]);
    assert_eq!(shown(&playback.see(&[])), [(1, 'a')]);
}

#[test]
fn what_is_not_confirmed_is_never_counted() {
    // Single frames, weak detections, and what flickers between classes.
    let cases: [Scene<'_>; 5] = [
        (33, &|at| {
            [('a', 0.9, LEFT)][..usize::from(at % 330 == 0)].to_vec()
        }),
        (1000, &|at| {
            [('a', 0.9, LEFT)][..usize::from(at % 3000 == 0)].to_vec()
        }),
        (33, &|_| vec![('a', 0.39, LEFT)]),
        (16, &|at| {
            [('a', 0.9, LEFT)][..usize::from(at % 32 == 0)].to_vec()
        }),
        (33, &|at| vec![(name((at / 33 % 3) as usize), 0.6, LEFT)]),
    ];
    for (case, (step, seen)) in cases.into_iter().enumerate() {
        let mut playback = Playback::new(step);
        for _ in 0..100 {
            let found = playback.see(&seen(playback.at));
            let numbers = found.numbers.iter().flatten().count();
            let all = (found.tracks.len(), found.events.len(), numbers);
            assert_eq!(all, (0, 0, 0), "case {case}");
        }
        assert_eq!(playback.tracker.track_count(), 0, "case {case}");
        assert_eq!(
            playback.tracker.finish(SystemTime::UNIX_EPOCH),
            [],
            "case {case}"
        );
    }
}

#[test]
fn a_weak_detection_continues_a_track() {
    let mut playback = Playback::new(100);
    let log = playback.play(6000, |at| {
        vec![('a', if at < 500 { 0.8 } else { 0.25 }, LEFT)]
    });
    assert_eq!(log, "200+1a");
    assert_eq!(shown(&playback.see(&[('a', 0.25, LEFT)])), [(1, 'a')]);
    // A weaker one does not, nor one of another class.
    assert_eq!(
        playback.hold(2000, &[('a', 0.19, LEFT), ('b', 0.3, LEFT)]),
        "7300-1a"
    );
}

#[test]
fn a_weak_detection_is_no_evidence_for_a_candidate() {
    let mut playback = Playback::new(50);
    let log = playback.play(1000, |at| {
        vec![('a', if at % 100 == 0 { 0.8 } else { 0.3 }, LEFT)]
    });
    assert_eq!(log, "300+1a");
}

#[test]
fn a_hidden_track_comes_back_with_a_strong_detection() {
    let mut playback = Playback::new(50);
    playback.hold(1000, &[('a', 0.8, LEFT)]);
    playback.hold(500, &[]);
    assert_eq!(shown(&playback.see(&[('a', 0.25, LEFT)])), []);
    assert_eq!(shown(&playback.see(&[('a', 0.5, LEFT)])), [(1, 'a')]);
}

#[test]
fn a_weak_name_of_an_object_does_not_keep_its_neighbour() {
    let mut playback = Playback::new(50);
    playback.hold(1000, &[('a', 0.8, LEFT), ('a', 0.7, moved(LEFT, 0.1))]);
    // The neighbour is gone. In every other frame, the object has another name, and its own is weak.
    let log = playback.play(2000, |at| match at % 100 {
        0 => vec![('c', 0.6, LEFT), ('a', 0.3, NEARLY_LEFT)],
        _ => vec![('a', 0.8, LEFT)],
    });
    assert_eq!(log, "2200-2a");
}

#[test]
fn objects_that_cross_keep_their_numbers() {
    let up =
        |corners: [f32; 4], way: f32| [corners[0], corners[1], corners[2] + way, corners[3] + way];
    for (step, classes) in [
        (33, ['a', 'a']),
        (66, ['a', 'a']),
        (66, ['a', 'b']),
        (200, ['a', 'b']),
    ] {
        let mut playback = Playback::new(step);
        let scene = |at: u64| {
            let way = 0.6 * at as f32 / 2500.0;
            let near = (classes[0], 0.8, moved(LEFT, way));
            let far = (classes[1], 0.7, up(moved(RIGHT, -way), 0.04));
            // The far one is not detected while most of it is covered.
            let is_covered = (way - 0.3).abs() < 0.06;
            [vec![near], if is_covered { vec![] } else { vec![far] }].concat()
        };
        let log = playback.play(2500, scene);
        assert_eq!(log.matches(' ').count(), 1, "{step} {classes:?}: {log}");
        let found = playback.see(&scene(2500));
        let middles: Vec<_> = found
            .tracks
            .iter()
            .map(|track| {
                let seen = track.detection.bounding_box;
                (track.track, (seen.x_min() + seen.x_max()) / 2.0 > 0.5)
            })
            .collect();
        assert_eq!(middles, [(1, true), (2, false)], "{step} {classes:?}");
    }
}

#[test]
fn a_small_object_is_followed_although_its_boxes_do_not_overlap() {
    // It is 0.04 wide and moves by 0.045 from frame to frame.
    let mut playback = Playback::new(66);
    let fast = |at: u64| {
        let way = 0.045 * at as f32 / 66.0;
        [('a', 0.8, moved([0.02, 0.06, 0.5, 0.56], way))]
    };
    assert_eq!(playback.play(1200, |at| fast(at).to_vec()), "198+1a");
    let last = fast(playback.at);
    assert_eq!(shown(&playback.see(&last)), [(1, 'a')]);
}

#[test]
fn another_object_at_the_same_place_takes_the_place_of_the_old_track() {
    let mut playback = Playback::new(50);
    playback.hold(1000, &[('a', 0.8, LEFT)]);
    playback.hold(200, &[]);
    assert_eq!(playback.hold(3000, &[('b', 0.8, LEFT)]), "1350-1a 1350+2b");
}

#[test]
fn a_gap_and_a_new_scene_end_all_tracks_with_the_last_frame() {
    let both = [('a', 0.8, LEFT), ('b', 0.8, RIGHT)];
    let mut playback = Playback::new(100);
    playback.hold(1000, &both);
    playback.at += 6000;
    let found = playback.see(&both);
    let log: Vec<_> = found.events.iter().map(brief).collect();
    assert_eq!(
        (log, found.tracks),
        (vec!["900-1a".to_owned(), "900-2b".to_owned()], vec![])
    );
    assert_eq!(playback.hold(1000, &both), "7200+3a 7200+4b");
    let log: Vec<_> = playback.tracker.start_scene().iter().map(brief).collect();
    assert_eq!(log, ["8000-3a", "8000-4b"]);
    assert_eq!(playback.tracker.start_scene(), []);
    assert_eq!(playback.hold(1000, &both), "8300+5a 8300+6b");
}

#[test]
fn nothing_is_lost_over_a_short_gap_without_frames() {
    for gap in [200, 1000, 1200, 4900] {
        let mut playback = Playback::new(100);
        playback.hold(1000, &[('a', 0.8, LEFT), ('b', 0.8, RIGHT)]);
        playback.at += gap;
        let both = [('a', 0.8, NEARLY_LEFT), ('b', 0.8, RIGHT)];
        assert_eq!(playback.hold(1000, &both), "", "{gap} ms");
        assert_eq!(
            shown(&playback.see(&both)),
            [(1, 'a'), (2, 'b')],
            "{gap} ms"
        );
    }
}

#[test]
fn a_model_with_other_classes_ends_all_tracks() {
    let mut playback = Playback::new(100);
    playback.hold(1000, &[('a', 0.8, LEFT), ('c', 0.8, RIGHT)]);
    let cells = CellOutputs {
        scores: &[0.9, 0.0],
        boxes: &LEFT,
    };
    let settings = ObjectSettings {
        threshold: 0.4,
        nms_iou: 0.5,
        most: 10,
        decode: ObjectDecode::InGraph,
    };
    let two_classes = Prediction::of_objects(cells, &mut Nms::new(settings, 1, 2)).expect("valid");
    let found = playback.update(&two_classes);
    let log: Vec<_> = found.events.iter().map(brief).collect();
    assert_eq!(log, ["900-1a", "900-2c"]);
    assert_eq!(found.numbers, [None]);
    playback.update(&two_classes);
    let found = playback.update(&two_classes);
    assert_eq!(brief(&found.events[0]), "1200+3a");
}

#[test]
fn the_numbering_continues_in_the_next_tracker() {
    let mut playback = Playback::new(100);
    playback.hold(1000, &[('a', 0.8, LEFT), ('c', 0.8, RIGHT)]);
    let count = playback.tracker.track_count();
    let settings = TrackSettings::new(THRESHOLDS.primary);
    playback.tracker = Tracker::multi_object(settings).with_track_count(count);
    assert_eq!(playback.hold(1000, &[('a', 0.8, LEFT)]), "1200+3a");
}

#[test]
fn equal_and_decreasing_times_are_accepted() {
    let mut playback = Playback::new(0);
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..1000 {
        let (x, y) = (random.f32() * 0.9, random.f32() * 0.9);
        let found = playback.see(&[('a', 0.8, [x, x + 0.1, y, y + 0.1])]);
        assert_eq!((found.tracks, found.events), (vec![], vec![]));
    }
    playback.at = 200;
    playback.see(&[('a', 0.8, LEFT)]);
    playback.at = 0;
    playback.see(&[('a', 0.8, LEFT)]);
    playback.at = 300;
    let found = playback.see(&[('a', 0.8, LEFT)]);
    assert_eq!(brief(&found.events[0]), "300+1a");
}

#[test]
fn a_box_is_smooth_at_rest() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut playback = Playback::new(33);
    let (mut seen_way, mut held_way) = (0.0, 0.0);
    let mut before: Option<([f32; 4], [f32; 4])> = None;
    for _ in 0..300 {
        let seen = LEFT.map(|corner| corner + 0.015 * (random.f32() - 0.5));
        let found = playback.see(&[('a', 0.8, seen)]);
        let Some(track) = found.tracks.first() else {
            continue;
        };
        let held = track.detection.bounding_box.corners();
        if let Some((seen_before, held_before)) = before.replace((seen, held)) {
            seen_way += (seen[0] - seen_before[0]).abs();
            held_way += (held[0] - held_before[0]).abs();
        }
    }
    assert!(held_way < seen_way / 3.0, "{held_way} of {seen_way}");
}

#[test]
fn a_missed_object_moves_on() {
    let mut playback = Playback::new(50);
    let moving = |at: u64| moved(LEFT, 0.4 * at as f32 / 1000.0);
    let overlap = |found: &Detection, at| {
        let [x_min, x_max, y_min, y_max] = moving(at);
        let truth = NormBox::new(x_min, x_max, y_min, y_max).expect("valid");
        iou(&found.bounding_box, &truth)
    };
    playback.play(1000, |at| vec![('a', 0.8, moving(at))]);
    for at in [1000, 1050, 1100, 1150] {
        let found = playback.see(&[]);
        let overlap = overlap(&found.tracks[0].detection, at);
        // Without motion it would be 0.43 in the end.
        assert!(overlap > 0.7, "{overlap} at {at}");
    }
    // An event has the box of the last frame that showed the object.
    let left = playback.tracker.finish(SystemTime::UNIX_EPOCH).remove(0);
    let overlap = overlap(&left.detection, 950);
    assert!(overlap > 0.85, "{overlap}");
}

/// Sees what is in the left half of the frame, where a crop is; `LEFT` is large there.
fn left_half() -> Coverage {
    let frame = Size::new(1000, 1000);
    let half = Rectangle::new(Point::zero(), Size::new(500, 1000));
    Coverage::new(vec![View::crop(half, frame)])
}

#[test]
fn what_is_not_looked_at_is_not_missed() {
    let mut playback = Playback::new(100);
    let both = [('a', 0.9, LEFT), ('b', 0.9, RIGHT)];
    for _ in 0..6 {
        playback.see(&both);
    }
    for frame in 0..10 {
        let found = playback.observe(&[], &left_half());
        let shown: Vec<u64> = found.tracks.iter().map(|track| track.track).collect();
        // The left one is looked at and missed. The right one is shown while that is not long ago.
        let expected: &[u64] = match frame {
            0..2 => &[1, 2],
            2..5 => &[2],
            _ => &[],
        };
        assert_eq!(shown, expected, "{frame}");
    }
    let found = playback.see(&both[1..]);
    assert_eq!(found.tracks.len(), 1, "it is the same track");
    assert_eq!(found.tracks[0].track, 2);
}

#[test]
fn a_track_that_is_never_looked_at_ends() {
    let mut playback = Playback::new(100);
    for _ in 0..6 {
        playback.see(&[('b', 0.9, RIGHT)]);
    }
    let mut events = Vec::new();
    for _ in 0..30 {
        events.extend(playback.observe(&[], &left_half()).events);
    }
    let kinds: Vec<EventKind> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Left]);
    assert!(playback.tracker.targets().is_empty());
}

#[test]
fn a_candidate_becomes_a_track_although_it_is_not_looked_at_in_each_frame() {
    let mut playback = Playback::new(50);
    let seen = [('b', 0.9, RIGHT)];
    let mut appeared = 0;
    for round in 0..3 {
        appeared += playback.see(&seen).events.len();
        let target = playback.tracker.targets()[0];
        assert!(target.unobserved.is_zero() && (target.confidence - 0.9).abs() < 1e-6);
        for _ in 0..3 {
            let found = playback.observe(&[], &left_half());
            assert_eq!(found.events, [], "{round}");
        }
        let unobserved = playback.tracker.targets()[0].unobserved;
        assert_eq!(unobserved, Duration::from_millis(150));
    }
    assert_eq!(appeared, 1);
}
