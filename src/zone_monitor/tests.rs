//! Made-up tracks in zones and over lines. Each complaint of other programs' users is a test.

use super::*;
use crate::detect::{Detection, Prediction, Thresholds};
use crate::geometry::NormBox;
use crate::track::{TrackSettings, Tracker};

const APPLE: usize = 0;
const CAT: usize = 1;
const DOG: usize = 2;

/// A film of ten frames a second with a monitor.
struct Film {
    monitor: ZoneMonitor,
    labels: Labels,
    start: FrameTime,
    frames: u32,
}

/// Time between two frames.
const STEP: Duration = Duration::from_millis(100);

/// The lower right quarter of the picture.
const CORNER: &str = "corner=0.5,0.5;1,0.5;1,1;0.5,1";

/// From left to right, in the middle of the picture.
const DOOR: &str = "door=0.2,0.5;0.8,0.5";

/// A thing in a frame: its track, its class and where it stands.
type Thing = (u64, usize, (f32, f32));

impl Film {
    fn new(zones: &[&str], lines: &[&str]) -> Self {
        let zones = zones.iter().map(|text| text.parse().expect("a zone"));
        let lines = lines.iter().map(|text| text.parse().expect("a line"));
        let map = ZoneMap::new(zones.collect(), lines.collect(), false).expect("valid");
        let labels = ["apple", "cat", "dog"].map(str::to_owned);
        Self {
            monitor: ZoneMonitor::new(Arc::new(map)),
            labels: Labels::new(labels.to_vec()).expect("valid"),
            start: FrameTime {
                at: Instant::now(),
                time: SystemTime::UNIX_EPOCH,
            },
            frames: 0,
        }
    }

    fn time(&self) -> FrameTime {
        let since_start = STEP * self.frames;
        FrameTime {
            at: self.start.at + since_start,
            time: self.start.time + since_start,
        }
    }

    /// Adds a frame with these things; the tracks of `left` have ended.
    fn frame(&mut self, things: &[Thing], left: &[Thing]) -> Vec<String> {
        let time = self.time();
        let tracks: Vec<StableDetection> = things.iter().map(|thing| self.track(*thing)).collect();
        let left = left.iter().map(|thing| self.track(*thing));
        let left = left.map(|t| event(EventKind::Left, &t, t.duration, time.time));
        let left = left.collect();
        self.frames += 1;
        let events = self.monitor.update(&tracks, left, time, &self.labels);
        events.iter().map(|event| self.text(event)).collect()
    }

    /// Frames with one thing of track 1 at these places.
    fn walk(&mut self, class: usize, feet: impl IntoIterator<Item = (f32, f32)>) -> Vec<String> {
        let things = feet.into_iter().map(|foot| (1, class, foot));
        let frames: Vec<Thing> = things.collect();
        frames
            .iter()
            .flat_map(|thing| self.frame(&[*thing], &[]))
            .collect()
    }

    fn track(&self, (track, class, (x, y)): Thing) -> StableDetection {
        let (left, right) = ((x - 0.05).max(0.0), (x + 0.05).min(1.0));
        StableDetection {
            track,
            detection: Detection {
                class: ClassId::new(class),
                confidence: 0.9,
                bounding_box: NormBox::new(left, right, (y - 0.2).max(0.0), y).expect("valid"),
            },
            duration: STEP * self.frames,
            is_stationary: false,
        }
    }

    /// As `1.5 s: 7 cat entered corner`.
    fn text(&self, event: &Event) -> String {
        let map = self.monitor.counts.map();
        let zone = |zone| map.zone(zone).expect("of the map").name();
        let place = match event.kind {
            EventKind::Entered { zone: id }
            | EventKind::LeftZone { zone: id }
            | EventKind::Loitering { zone: id } => {
                format!(" {}", zone(id))
            }
            EventKind::Crossed { line, direction } => {
                let line = map.line(line).expect("of the map");
                format!(" {} {}", line.name(), line.direction_name(direction))
            }
            _ => String::new(),
        };
        let seconds = event.time.duration_since(self.start.time).expect("later");
        let class = self.labels.name(event.detection.class).expect("known");
        let (seconds, kind) = (seconds.as_secs_f64(), event.kind.name());
        format!("{seconds:.1} s: {} {class} {kind}{place}", event.track)
    }

    /// The things in the first zone.
    fn present(&self) -> Vec<(String, u64)> {
        let counts = self.monitor.counts();
        let (_, present) = counts.zones().next().expect("a zone");
        let present = present.clone().into_iter();
        present.filter(|(_, count)| *count > 0).collect()
    }

    /// The crossings of the first line in and out.
    fn crossed(&self) -> [Vec<(String, u64)>; 2] {
        let counts = self.monitor.counts();
        let (_, crossed) = counts.lines().next().expect("a line");
        crossed.clone().map(|counts| counts.into_iter().collect())
    }
}

fn counts(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    let owned = |&(class, count): &(&str, u64)| (class.to_owned(), count);
    expected.iter().map(owned).collect()
}

const INSIDE: (f32, f32) = (0.75, 0.8);
const OUTSIDE: (f32, f32) = (0.25, 0.8);

fn times<T: Copy>(value: T, count: usize) -> Vec<T> {
    vec![value; count]
}

/// Steps of 0.02 along a straight way.
fn way(from: (f32, f32), to: (f32, f32)) -> Vec<(f32, f32)> {
    let (width, height) = (to.0 - from.0, to.1 - from.1);
    let steps = (width.hypot(height) / 0.02).ceil();
    let share = |step: u32| step as f32 / steps;
    let steps = 0..=steps as u32;
    steps
        .map(|step| (from.0 + width * share(step), from.1 + height * share(step)))
        .collect()
}

#[test]
fn a_thing_enters_after_the_settle_time_and_leaves_after_it() {
    let film = &mut Film::new(&[CORNER], &[]);
    assert_eq!(film.walk(CAT, times(OUTSIDE, 3)), [""; 0]);
    assert_eq!(
        film.walk(CAT, times(INSIDE, 10)),
        ["0.8 s: 1 cat entered corner"]
    );
    assert_eq!(film.present(), counts(&[("cat", 1)]));
    assert_eq!(
        film.walk(CAT, times(OUTSIDE, 10)),
        ["1.8 s: 1 cat left_zone corner"]
    );
    assert_eq!(film.present(), []);
}

#[test]
fn the_settle_time_of_a_zone_can_be_set() {
    for (settle, expected) in [("0", "0.0"), ("100ms", "0.1"), ("2s", "2.0")] {
        let film = &mut Film::new(&[&format!("{CORNER};settle={settle}")], &[]);
        let entered = film.walk(CAT, times(INSIDE, 30));
        assert_eq!(entered, [format!("{expected} s: 1 cat entered corner")]);
    }
}

/// Complaint: occupancy that flickers at a zone's edge.
#[test]
fn complaint_occupancy_flickers_at_the_edge() {
    let film = &mut Film::new(&[CORNER], &[]);
    let edge = |frame: usize| (if frame.is_multiple_of(3) { 0.49 } else { 0.51 }, 0.8);
    assert_eq!(film.walk(CAT, (0..100).map(edge)), [""; 0]);
    assert_eq!(film.walk(CAT, times(INSIDE, 10)).len(), 1);
    let edge = |frame: usize| (if frame.is_multiple_of(3) { 0.51 } else { 0.49 }, 0.8);
    assert_eq!(film.walk(CAT, (0..100).map(edge)), [""; 0]);
    assert_eq!(film.present(), counts(&[("cat", 1)]));
}

/// Complaint: a thing that is cut by the frame's lower edge is in no zone.
#[test]
fn complaint_a_thing_cut_by_the_lower_edge_is_in_no_zone() {
    for foot in [(0.75, 1.0), (1.0, 1.0), (0.5, 1.0)] {
        let film = &mut Film::new(&[CORNER], &[]);
        assert_eq!(film.walk(CAT, times(foot, 10)).len(), 1, "{foot:?}");
        assert_eq!(film.present(), counts(&[("cat", 1)]));
    }
    let film = &mut Film::new(&["above=0.5,0.5;1,0.5;1,0.9;0.5,0.9"], &[]);
    assert_eq!(film.walk(CAT, times((0.75, 1.0), 10)), [""; 0]);
}

/// Complaint: a second person who enters an occupied zone gives no event.
#[test]
fn complaint_a_second_thing_enters_an_occupied_zone_without_an_event() {
    let film = &mut Film::new(&[CORNER], &[]);
    let first = (1, CAT, INSIDE);
    let entered: Vec<String> = (0..10).flat_map(|_| film.frame(&[first], &[])).collect();
    assert_eq!(entered, ["0.5 s: 1 cat entered corner"]);
    let second = (2, CAT, (0.9, 0.9));
    let entered: Vec<String> = (0..10)
        .flat_map(|_| film.frame(&[first, second], &[]))
        .collect();
    assert_eq!(entered, ["1.5 s: 2 cat entered corner"]);
    assert_eq!(film.present(), counts(&[("cat", 2)]));
    let dog = (3, DOG, (0.6, 0.6));
    for _ in 0..10 {
        film.frame(&[first, second, dog], &[]);
    }
    assert_eq!(film.present(), counts(&[("cat", 2), ("dog", 1)]));
}

/// Complaint: a parked car that is missed for a second is announced as new.
#[test]
fn complaint_a_thing_that_is_missed_for_a_second_is_announced_as_new() {
    let film = &mut Film::new(&[CORNER], &[DOOR]);
    assert_eq!(film.walk(CAT, times(INSIDE, 10)).len(), 1);
    for _ in 0..10 {
        assert_eq!(film.frame(&[], &[]), [""; 0]);
        assert_eq!(film.present(), counts(&[("cat", 1)]));
    }
    assert_eq!(film.walk(CAT, times(INSIDE, 10)), [""; 0]);
}

/// Complaint: a thing that stops on a line and jitters is counted fifteen times.
#[test]
fn complaint_a_thing_that_stops_on_a_line_is_counted_often() {
    let film = &mut Film::new(&[], &[DOOR]);
    let mut events = film.walk(CAT, way((0.5, 0.3), (0.5, 0.5)));
    let random = &mut fastrand::Rng::with_seed(1);
    let jitter = (0..300).map(|_| (0.5, 0.5 + 0.018 * (2.0 * random.f32() - 1.0)));
    let jitter: Vec<(f32, f32)> = jitter.collect();
    events.extend(film.walk(CAT, jitter));
    assert_eq!(events, [""; 0]);
    let events = film.walk(CAT, way((0.5, 0.5), (0.5, 0.7)));
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].ends_with("1 cat crossed door in"), "{events:?}");
    assert_eq!(film.crossed(), [counts(&[("cat", 1)]), vec![]]);
}

/// Complaint: a track whose label changes is counted under two labels.
#[test]
fn complaint_a_track_whose_label_changes_is_counted_under_two_labels() {
    let film = &mut Film::new(&[CORNER], &[DOOR]);
    film.walk(CAT, way((0.7, 0.3), (0.7, 0.51)));
    film.walk(DOG, way((0.7, 0.51), (0.7, 0.8)));
    assert_eq!(film.crossed(), [counts(&[("dog", 1)]), vec![]]);
    assert_eq!(film.present(), counts(&[("dog", 1)]));
    let (track, frame) = (film.track((1, CAT, (0.7, 0.8))), film.time());
    let from = ClassId::new(DOG);
    let change = event(EventKind::Changed { from }, &track, STEP, frame.time);
    let events = film
        .monitor
        .update(&[track], vec![change], frame, &film.labels);
    assert_eq!(events, [change]);
    assert_eq!(film.present(), counts(&[("cat", 1)]));
    assert_eq!(film.crossed(), [counts(&[("dog", 1)]), vec![]]);
}

/// Complaint: unconfirmed tracks are counted.
#[test]
fn complaint_unconfirmed_tracks_are_counted() {
    let film = &mut Film::new(&[&format!("{CORNER};settle=0")], &[DOOR]);
    let thresholds = Thresholds {
        primary: 0.5,
        objects: 0.5,
        nms_iou: 0.5,
    };
    let mut tracker = Tracker::new(TrackSettings::new(thresholds.primary));
    let mut kinds = |film: &mut Film, frames: u32| -> Vec<&'static str> {
        let mut kinds = Vec::new();
        for _ in 0..frames {
            // Every fourth frame has a false alarm.
            let score = if film.frames.is_multiple_of(4) || frames == 7 {
                0.9
            } else {
                0.1
            };
            let prediction = Prediction::new(vec![0.0, score, 0.0], [0.6, 0.8, 0.6, 0.8]);
            let prediction = prediction.expect("valid");
            let frame = film.time();
            film.frames += 1;
            let tracked = tracker.update(&prediction, &thresholds, frame.at, frame.time);
            let events = film
                .monitor
                .update(&tracked.tracks, tracked.events, frame, &film.labels);
            kinds.extend(events.iter().map(|event| event.kind.name()));
        }
        kinds
    };
    assert_eq!(kinds(film, 100), [""; 0]);
    assert_eq!(film.present(), []);
    // The same thing, when it stays.
    assert_eq!(kinds(film, 7), ["appeared", "entered"]);
    assert_eq!(film.present(), counts(&[("cat", 1)]));
}

#[test]
fn a_thing_loiters_once_for_each_stay() {
    let film = &mut Film::new(&[&format!("{CORNER};loiter=2s")], &[]);
    let mut events = film.walk(CAT, times(INSIDE, 40));
    events.extend(film.walk(CAT, times(OUTSIDE, 10)));
    events.extend(film.walk(CAT, times(INSIDE, 15)));
    events.extend(film.walk(CAT, times(OUTSIDE, 10)));
    events.extend(film.walk(CAT, times(INSIDE, 25)));
    let expected = [
        "0.5 s: 1 cat entered corner",
        "2.0 s: 1 cat loitering corner",
        "4.5 s: 1 cat left_zone corner",
        "5.5 s: 1 cat entered corner",
        "7.0 s: 1 cat left_zone corner",
        "8.0 s: 1 cat entered corner",
        "9.5 s: 1 cat loitering corner",
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_track_that_ends_leaves_its_zones_first() {
    let film = &mut Film::new(&[CORNER, "all=0,0;1,0;1,1;0,1"], &[]);
    film.walk(CAT, times(INSIDE, 10));
    let left = film.frame(&[], &[(1, CAT, INSIDE), (2, CAT, INSIDE)]);
    let expected = [
        "1.0 s: 1 cat left_zone corner",
        "1.0 s: 1 cat left_zone all",
        "1.0 s: 1 cat left",
        "1.0 s: 2 cat left",
    ];
    assert_eq!(left, expected);
    assert_eq!(film.present(), []);
}

#[test]
fn the_stay_has_a_duration() {
    let mut film = Film::new(&[&format!("{CORNER};loiter=1s")], &[]);
    let mut durations = Vec::new();
    for foot in [times(INSIDE, 21), times(OUTSIDE, 10)].concat() {
        let (track, time) = (film.track((1, CAT, foot)), film.time());
        film.frames += 1;
        let events = film
            .monitor
            .update(&[track], Vec::new(), time, &film.labels);
        durations.extend(
            events
                .iter()
                .map(|event| (event.kind.name(), event.duration.as_millis())),
        );
    }
    assert_eq!(
        durations,
        [("entered", 500), ("loitering", 1000), ("left_zone", 2000)]
    );
}

#[test]
fn only_selected_classes_count() {
    let film = &mut Film::new(
        &[&format!("{CORNER};classes=dog,apple")],
        &[&format!("{DOOR};classes=dog")],
    );
    assert_eq!(film.walk(CAT, way((0.7, 0.3), (0.7, 0.7))), [""; 0]);
    assert_eq!(film.walk(CAT, times(INSIDE, 10)), [""; 0]);
    assert_eq!(film.walk(APPLE, times(INSIDE, 10)).len(), 1);
    assert_eq!(film.present(), counts(&[("apple", 1)]));
    assert_eq!(film.crossed(), [vec![], vec![]]);
}

#[test]
fn a_line_counts_each_direction() {
    let film = &mut Film::new(&[], &[&format!("{DOOR};directions=down,up")]);
    let mut events = film.walk(CAT, way((0.5, 0.3), (0.5, 0.7)));
    events.extend(film.walk(CAT, way((0.5, 0.7), (0.6, 0.3))));
    events.extend(film.walk(CAT, way((0.6, 0.3), (0.4, 0.7))));
    let kinds: Vec<&str> = events.iter().filter_map(|e| e.rsplit(' ').next()).collect();
    assert_eq!(kinds, ["down", "up", "down"]);
    assert_eq!(
        film.crossed(),
        [counts(&[("cat", 2)]), counts(&[("cat", 1)])]
    );
}

#[test]
fn a_crossing_back_within_the_margin_is_none() {
    let film = &mut Film::new(&[], &[DOOR]);
    let there = way((0.5, 0.3), (0.5, 0.515));
    let back = way((0.5, 0.515), (0.5, 0.3));
    assert_eq!(film.walk(CAT, [there, back].concat()), [""; 0]);
}

#[test]
fn a_way_around_the_end_of_a_line_is_no_crossing() {
    let film = &mut Film::new(&[], &[DOOR]);
    let around = [(0.5, 0.3), (0.9, 0.3), (0.9, 0.7), (0.5, 0.7)];
    let feet: Vec<(f32, f32)> = around
        .windows(2)
        .flat_map(|ends| way(ends[0], ends[1]))
        .collect();
    assert_eq!(film.walk(CAT, feet), [""; 0]);
    // Back through the door.
    assert_eq!(film.walk(CAT, way((0.5, 0.7), (0.5, 0.3))).len(), 1);
}

#[test]
fn a_thing_that_appears_on_a_line_has_not_crossed_it() {
    for end in [0.3, 0.7] {
        let film = &mut Film::new(&[], &[DOOR]);
        assert_eq!(film.walk(CAT, way((0.5, 0.495), (0.5, end))), [""; 0]);
    }
}

#[test]
fn a_track_that_ended_has_no_past() {
    let film = &mut Film::new(&[], &[DOOR]);
    film.walk(CAT, way((0.5, 0.3), (0.5, 0.4)));
    film.frame(&[], &[(1, CAT, (0.5, 0.4))]);
    assert_eq!(film.walk(CAT, way((0.5, 0.6), (0.5, 0.7))), [""; 0]);
    assert!(film.monitor.passages[0].len() == 1 && film.monitor.classes.len() == 1);
    film.frame(&[], &[(1, CAT, (0.5, 0.4))]);
    assert!(film.monitor.passages[0].is_empty() && film.monitor.classes.is_empty());
}

#[test]
fn the_same_film_gives_the_same_events() {
    let run = || {
        let random = &mut fastrand::Rng::with_seed(9);
        let film = &mut Film::new(&[CORNER, "all=0,0;1,0;1,1;0,1;settle=0"], &[DOOR]);
        let mut events = Vec::new();
        let mut things: Vec<Thing> = (1..6)
            .map(|n| (n, CAT, (random.f32(), random.f32())))
            .collect();
        for _ in 0..300 {
            for (_, _, foot) in &mut things {
                let moved = |c: f32, r: f32| (c + 0.1 * (r - 0.5)).clamp(0.05, 1.0);
                *foot = (moved(foot.0, random.f32()), moved(foot.1, random.f32()));
            }
            events.extend(film.frame(&things, &[]));
        }
        (events, film.crossed())
    };
    let (events, crossed) = run();
    assert!(events.len() > 20, "{events:?}");
    assert_eq!(run(), (events, crossed));
}
