use std::fs;
use std::time::{Duration, SystemTime};

use test_support::file_names;

use super::*;
use crate::detect::Detection;
use crate::frame::{Frame, Origin};
use crate::geometry::NormBox;
use crate::label::{ClassId, Labels};
use crate::track::{Event, EventKind, StableDetection};

fn frame(sequence: u64, origin: Origin) -> PublicFrame {
    let grey = image::RgbImage::from_pixel(64, 48, image::Rgb([90; 3]));
    PublicFrame::hiding_nothing(Frame::new(sequence, origin, grey))
}

fn live(sequence: u64) -> PublicFrame {
    frame(sequence, Origin::Live)
}

fn report(kinds: &[EventKind], second: u64) -> Report {
    let labels = Labels::new(vec!["apple".into()]).expect("valid");
    let event = |&kind| Event {
        kind,
        track: 1,
        detection: Detection {
            class: ClassId::new(0),
            confidence: 0.9,
            bounding_box: NormBox::WHOLE,
        },
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
        duration: Duration::from_secs(1),
    };
    Report {
        events: kinds.iter().map(event).collect(),
        ..Report::waiting(Arc::new(labels), "0badcafe".into())
    }
}

fn open(folder: &Path, per: RecordPer, budget: u64) -> (SnapshotSink, Arc<Health>) {
    let health = Arc::new(Health::default());
    let sink = SnapshotSink::open(folder, per, budget, Arc::clone(&health));
    (sink.expect("opened"), health)
}

#[test]
fn each_event_gets_a_snapshot() {
    let folder = tempfile::tempdir().expect("created");
    let (mut sink, _) = open(folder.path(), RecordPer::Event, 1_000_000);
    sink.show(&live(0), &report(&[], 0)).expect("ignored");
    let kinds = [EventKind::Left, EventKind::Appeared];
    sink.show(&live(1), &report(&kinds, 5)).expect("written");
    let expected = [
        "19700101T000005.000Z-appeared-apple-1.jpg",
        "19700101T000005.000Z-left-apple-1.jpg",
    ];
    assert_eq!(file_names(folder.path()), expected);
    let written = image::open(folder.path().join(expected[0])).expect("valid");
    assert_eq!((written.width(), written.height()), (64, 48));
}

#[test]
fn the_budget_holds_across_restarts() {
    let folder = tempfile::tempdir().expect("created");
    let path = folder.path();
    let total = || -> u64 {
        let sizes = fs::read_dir(path).expect("readable").flatten();
        sizes
            .map(|entry| entry.metadata().expect("readable").len())
            .sum()
    };
    let (mut sink, _) = open(path, RecordPer::Event, 1_000_000);
    sink.show(&live(0), &report(&[EventKind::Appeared], 0))
        .expect("written");
    let budget = total() * 3;
    for start in [1, 6, 11] {
        // The budget is that of three snapshots.
        let (mut sink, health) = open(path, RecordPer::Event, budget);
        for second in start..start + 5 {
            sink.show(&live(0), &report(&[EventKind::Appeared], second))
                .expect("written");
            assert!(total() <= budget);
        }
        assert_eq!(health.snapshots_lost.get(), 0);
        let newest = (start + 2..start + 5)
            .map(|s| format!("19700101T0000{s:02}.000Z-appeared-apple-1.jpg"));
        assert_eq!(file_names(path), newest.collect::<Vec<_>>());
    }
}

#[test]
fn each_frame_gets_a_png_and_counts_toward_the_budget() {
    let folder = tempfile::tempdir().expect("created");
    fs::write(folder.path().join("mine.png"), [0; 5000]).expect("written");
    let (mut sink, _) = open(folder.path(), RecordPer::Frame, 1_000_000);
    let last = live(1);
    sink.show(&last, &report(&[], 0)).expect("written");
    sink.on_track_ended(&last, &report(&[EventKind::Left], 0))
        .expect("ignored");
    assert_eq!(file_names(folder.path()), ["frame-000001.png", "mine.png"]);
    let size = fs::metadata(folder.path().join("frame-000001.png")).expect("readable");
    let (mut sink, health) = open(folder.path(), RecordPer::Frame, size.len() * 2);
    for name in ["a.jpg", "b.jpg", "c.jpg"] {
        let picture = frame(0, Origin::Picture(name.into()));
        sink.show(&picture, &report(&[], 0)).expect("written");
    }
    assert_eq!(file_names(folder.path()), ["b.png", "c.png", "mine.png"]);
    assert_eq!(health.snapshots_lost.get(), 0);
}

#[test]
fn failed_snapshots_are_counted_and_are_no_error() {
    let folder = tempfile::tempdir().expect("created");
    let (mut sink, health) = open(folder.path(), RecordPer::Frame, 1_000_000);
    fs::remove_dir(folder.path()).expect("removed");
    for number in 0..3 {
        sink.show(&live(number), &report(&[], 0))
            .expect("not an error");
    }
    // The first one failed, and the others came within the retry delay.
    assert_eq!(health.snapshots_lost.get(), 3);
    let (mut sink, health) = open(folder.path(), RecordPer::Event, 10);
    sink.show(&live(0), &report(&[EventKind::Left], 0))
        .expect("not an error");
    assert_eq!(health.snapshots_lost.get(), 1, "larger than the budget");
}

#[test]
fn the_error_names_a_folder_that_cannot_be_created() {
    let folder = tempfile::tempdir().expect("created");
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").expect("written");
    let opened = SnapshotSink::open(&file.join("below"), RecordPer::Event, 10, Arc::default());
    let error = opened.expect_err("its parent is a file");
    assert!(error.to_string().contains("below"), "{error}");
}

#[test]
fn a_snapshot_shows_the_tracks_of_a_tracked_frame_and_else_its_detections() {
    let folder = tempfile::tempdir().expect("created");
    let (mut sink, _) = open(folder.path(), RecordPer::Frame, 1_000_000);
    let detection = |corners: [f32; 4]| {
        let [x_min, x_max, y_min, y_max] = corners;
        Detection {
            class: ClassId::new(0),
            confidence: 0.9,
            bounding_box: NormBox::new(x_min, x_max, y_min, y_max).expect("valid"),
        }
    };
    let tracked = Report {
        detection: Some(detection([0.5, 0.9, 0.5, 0.9])),
        tracks: vec![StableDetection {
            track: 1,
            detection: detection([0.0, 0.4, 0.0, 0.4]),
            duration: Duration::from_secs(1),
            is_stationary: false,
        }],
        is_tracked: true,
        ..report(&[], 0)
    };
    let own = Report {
        is_tracked: false,
        tracks: Vec::new(),
        ..tracked.clone()
    };
    for (number, report) in [tracked, own].iter().enumerate() {
        let frame = live(number as u64);
        sink.show(&frame, report).expect("written");
        let saved = image::open(folder.path().join(format!("frame-00000{number}.png")));
        assert_eq!(saved.expect("valid").into_rgb8(), annotate(&frame, report));
    }
}

#[test]
fn each_snapshot_marks_the_thing_of_its_event() {
    let folder = tempfile::tempdir().expect("created");
    let (mut sink, _) = open(folder.path(), RecordPer::Event, 1_000_000);
    let mut report = report(&[EventKind::Appeared, EventKind::Appeared], 5);
    let corners = [[0.0, 0.4, 0.4, 0.9], [0.5, 0.9, 0.4, 0.9]];
    for (event, [x_min, x_max, y_min, y_max]) in report.events.iter_mut().zip(corners) {
        event.detection.bounding_box = NormBox::new(x_min, x_max, y_min, y_max).expect("valid");
    }
    report.events[1].track = 2;
    sink.show(&live(1), &report).expect("written");
    let saved = [1, 2].map(|track| {
        let name = format!("19700101T000005.000Z-appeared-apple-{track}.jpg");
        image::open(folder.path().join(name)).expect("valid")
    });
    assert_ne!(saved[0], saved[1]);
}

#[test]
fn files_of_the_user_are_kept_and_the_rest_is_written() {
    let folder = tempfile::tempdir().expect("created");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.png"), "mine").expect("written");
    fs::create_dir(at("frame-000000.png")).expect("created");
    for round in 1..=2 {
        let (mut sink, health) = open(folder.path(), RecordPer::Frame, 1_000_000);
        let frames = [
            frame(0, Origin::Picture("x/a.jpg".into())),
            live(0),
            live(1),
        ];
        for frame in frames {
            sink.show(&frame, &report(&[], 0)).expect("no error");
        }
        assert_eq!(fs::read(at("a.png")).expect("there"), b"mine");
        let lost = (health.files_kept.get(), health.snapshots_lost.get());
        assert_eq!(lost, (2, 2), "round {round}");
        assert!(at("frame-000001.png").is_file());
    }
}

#[test]
fn snapshots_from_before_the_clock_was_set_are_not_deleted_first() {
    let folder = tempfile::tempdir().expect("created");
    let path = folder.path();
    let show = |sink: &mut SnapshotSink, second| {
        let report = report(&[EventKind::Appeared], second);
        sink.show(&live(0), &report).expect("written");
    };
    let (mut sink, _) = open(path, RecordPer::Event, 1_000_000);
    show(&mut sink, 1_700_000_000);
    let first = file_names(path).remove(0);
    // The clock was right in an earlier run, and is an hour behind in this one.
    let later = SystemTime::now() + Duration::from_secs(3600);
    let file = fs::File::options().append(true).open(path.join(&first));
    let file = file.expect("there");
    file.set_modified(later).expect("set");
    let size = file.metadata().expect("there").len();
    let (mut sink, _) = open(path, RecordPer::Event, 1_000_000);
    show(&mut sink, 5);
    let (mut sink, _) = open(path, RecordPer::Event, 2 * size + 10);
    show(&mut sink, 6);
    let expected =
        ["05", "06"].map(|second| format!("19700101T0000{second}.000Z-appeared-apple-1.jpg"));
    assert_eq!(file_names(path), expected);
}

#[test]
fn snapshots_are_recognized_by_their_names() {
    for name in [
        "frame-000000.png",
        "frame-1234567.png",
        "20261123T204501.123Z-appeared-apple-17.jpg",
    ] {
        assert!(is_snapshot(name), "{name}");
    }
    for other in [
        "",
        "apple.png",
        "frame-12.png",
        "frame-0001234.png",
        "frame-000001.jpg",
        "frame-00000x.png",
        "20261123T204501.123Z-appeared-apple-17.avi",
        "film-000012-appeared-apple-17.jpg",
    ] {
        assert!(!is_snapshot(other), "{other}");
    }
}
