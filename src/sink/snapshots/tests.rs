//! Snapshots in a real folder.

use std::fs;
use std::time::{Duration, SystemTime};

use super::*;
use crate::detect::Detection;
use crate::frame::Origin;
use crate::geometry::NormBox;
use crate::label::{ClassId, Labels};
use crate::track::{Event, EventKind};

fn frame(sequence: u64, origin: Origin) -> Frame {
    let grey = image::RgbImage::from_pixel(64, 48, image::Rgb([90; 3]));
    Frame::new(sequence, origin, grey)
}

fn live(sequence: u64) -> Frame {
    frame(sequence, Origin::Live)
}

fn report(kinds: &[EventKind], second: u64) -> Report {
    let labels = Labels::new(vec!["apple".into()]).expect("sound");
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

fn open(folder: &Path, lines: Lines, budget: u64) -> (SnapshotSink, Arc<Health>) {
    let health = Arc::new(Health::default());
    let sink = SnapshotSink::open(folder, lines, budget, Arc::clone(&health));
    (sink.expect("opened"), health)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("there").flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn events_get_a_picture_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut sink, _) = open(folder.path(), Lines::Events, 1_000_000);
    sink.show(&live(0), &report(&[], 0)).expect("nothing to do");
    let kinds = [EventKind::Left, EventKind::Appeared];
    sink.show(&live(1), &report(&kinds, 5)).expect("written");
    let expected = [
        "19700101T000005.000Z-appeared-apple-1.jpg",
        "19700101T000005.000Z-left-apple-1.jpg",
    ];
    assert_eq!(names(folder.path()), expected);
    let written = image::open(folder.path().join(expected[0])).expect("a picture");
    assert_eq!((written.width(), written.height()), (64, 48));
}

#[test]
fn the_budget_is_kept_over_restarts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let total = || -> u64 {
        let sizes = fs::read_dir(path).expect("there").flatten();
        sizes
            .map(|entry| entry.metadata().expect("a file").len())
            .sum()
    };
    let (mut sink, _) = open(path, Lines::Events, 1_000_000);
    sink.show(&live(0), &report(&[EventKind::Appeared], 0))
        .expect("written");
    let budget = total() * 3;
    for start in [1, 6, 11] {
        // A budget of three, and no more than three are ever there.
        let (mut sink, health) = open(path, Lines::Events, budget);
        for second in start..start + 5 {
            sink.show(&live(0), &report(&[EventKind::Appeared], second))
                .expect("written");
            assert!(total() <= budget);
        }
        assert_eq!(health.snapshots_lost.get(), 0);
        let newest = (start + 2..start + 5)
            .map(|s| format!("19700101T0000{s:02}.000Z-appeared-apple-1.jpg"));
        assert_eq!(names(path), newest.collect::<Vec<_>>());
    }
}

#[test]
fn frames_get_pngs_and_pictures_of_this_run_count_too() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("mine.png"), [0; 5000]).expect("written");
    let (mut sink, _) = open(folder.path(), Lines::Frames, 1_000_000);
    let last = live(1);
    sink.show(&last, &report(&[], 0)).expect("written");
    sink.left(&last, &report(&[EventKind::Left], 0))
        .expect("known");
    assert_eq!(names(folder.path()), ["frame-000001.png", "mine.png"]);
    let size = fs::metadata(folder.path().join("frame-000001.png")).expect("there");
    let (mut sink, health) = open(folder.path(), Lines::Frames, size.len() * 2);
    for name in ["a.jpg", "b.jpg", "c.jpg"] {
        let picture = frame(0, Origin::Picture(name.into()));
        sink.show(&picture, &report(&[], 0)).expect("written");
    }
    assert_eq!(names(folder.path()), ["b.png", "c.png", "mine.png"]);
    assert_eq!(health.snapshots_lost.get(), 0);
}

#[test]
fn what_cannot_be_written_is_counted_and_the_run_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut sink, health) = open(folder.path(), Lines::Frames, 1_000_000);
    let in_the_way = folder.path().join("frame-000000.png");
    fs::create_dir(&in_the_way).expect("made");
    for number in 0..3 {
        sink.show(&live(number), &report(&[], 0)).expect("goes on");
    }
    // The first failed, the others came within the second in which nothing is tried.
    assert_eq!(health.snapshots_lost.get(), 3);
    assert_eq!(names(folder.path()), ["frame-000000.png"]);
    let (mut sink, health) = open(folder.path(), Lines::Events, 10);
    sink.show(&live(0), &report(&[EventKind::Left], 0))
        .expect("goes on");
    assert_eq!(health.snapshots_lost.get(), 1, "larger than the budget");
}

#[test]
fn a_folder_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "in the way").expect("written");
    let opened = SnapshotSink::open(&file.join("below"), Lines::Events, 10, Arc::default());
    let error = opened.expect_err("a file is in the way");
    assert!(error.to_string().contains("below"), "{error}");
}
