use std::fs;
use std::time::SystemTime;

use image::{Rgb, RgbImage};
use test_support::file_names;

use super::*;
use crate::detect::Thresholds;
use crate::frame::{FrameImage, Origin};
use crate::geometry::NormBox;
use crate::label::Labels;
use crate::track::StableDetection;

fn open(folder: &Path, every: u64, budget: u64) -> (CollectSink, Arc<Health>) {
    let health = Arc::new(Health::default());
    let sink = CollectSink::open(folder, NonZeroU64::new(every), budget, Arc::clone(&health));
    (sink.expect("opened"), health)
}

/// A picture with a bar at a place of its own.
fn picture(place: u32) -> RgbImage {
    let bar = place * 20..place * 20 + 60;
    RgbImage::from_fn(320, 240, |x, _| match bar.contains(&x) {
        true => Rgb([250; 3]),
        false => Rgb([20; 3]),
    })
}

fn jpeg(place: u32) -> Vec<u8> {
    encode_jpeg(&picture(place), 80).expect("encoded")
}

/// A frame at this second that shows a place.
fn frame(second: u64, place: u32) -> PublicFrame {
    let image = FrameImage::from(picture(place)).with_jpeg(jpeg(place).into());
    let time = Duration::from_secs(second);
    PublicFrame::hiding_nothing(Frame {
        position: Some(time),
        time: SystemTime::UNIX_EPOCH + time,
        ..Frame::new(second, Origin::Live, image)
    })
}

fn detection(class: usize, confidence: f32) -> Detection {
    Detection {
        class: ClassId::new(class),
        confidence,
        bounding_box: NormBox::WHOLE,
    }
}

/// A report with these detections, each with a track of the class `tracked`.
fn report(detections: &[Detection], tracked: usize) -> Report {
    let labels = Labels::new(vec!["apple".into(), "hot dog".into()]).expect("valid");
    let track = |(detection, track): (&Detection, u64)| StableDetection {
        track,
        detection: Detection {
            class: ClassId::new(tracked),
            ..*detection
        },
        duration: Duration::from_secs(1),
        is_stationary: false,
    };
    Report {
        detection: detections.first().copied(),
        others: detections.iter().skip(1).copied().collect(),
        numbers: (1..=detections.len() as u64).map(Some).collect(),
        tracks: detections.iter().zip(1..).map(track).collect(),
        is_tracked: true,
        thresholds: Thresholds {
            primary: 0.5,
            objects: 0.4,
            nms_iou: 0.5,
        },
        ..Report::waiting(Arc::new(labels), "0badcafe".into())
    }
}

#[test]
fn frames_are_kept_for_a_reason() {
    let folder = tempfile::tempdir().expect("created");
    let (mut sink, _) = open(folder.path(), 0, 1_000_000);
    let shown = [
        report(&[], 0),
        report(&[detection(0, 0.95)], 0),
        report(&[detection(0, 0.59)], 0),
        report(&[detection(0, 0.61)], 0),
        report(&[detection(0, 0.95), detection(1, 0.51)], 1),
        report(&[detection(1, 0.95), detection(1, 0.51)], 1),
        report(&[detection(1, 0.95), detection(1, 0.53)], 1),
    ];
    for (second, report) in shown.iter().enumerate() {
        let shown = sink.show(&frame(second as u64, 2 * second as u32), report);
        shown.expect("no error");
    }
    let expected = [
        "19700101T000002.000Z-uncertain-apple.jpg",
        "19700101T000004.000Z-disagreement-apple.jpg",
        "19700101T000005.000Z-uncertain-hot_dog.jpg",
    ];
    assert_eq!(file_names(folder.path()), expected);
    assert!(expected.iter().all(|name| is_collected(name)));
    // The JPEG of the camera, with boxcam's mark.
    let stored = fs::read(folder.path().join(expected[0])).expect("there");
    assert_eq!(stored, *crate::output_file::marked(&jpeg(4)));
}

#[test]
fn one_of_some_computed_frames_is_a_sample() {
    let folder = tempfile::tempdir().expect("created");
    let (mut sink, _) = open(folder.path(), 3, 1_000_000);
    for second in 0..8 {
        let frame = frame(second, second as u32);
        sink.show(&frame, &report(&[], 0)).expect("no error");
        sink.on_rested_frame(&frame, &report(&[], 0))
            .expect("no error");
    }
    let expected = [
        "19700101T000002.000Z-sample.jpg",
        "19700101T000005.000Z-sample.jpg",
    ];
    assert_eq!(file_names(folder.path()), expected);
    assert!(expected.iter().all(|name| is_collected(name)));
}

#[test]
fn frames_that_look_alike_are_kept_once_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("created");
    for run in 0..2 {
        let (mut sink, _) = open(folder.path(), 1, 1_000_000);
        for second in 0..12 {
            let frame = frame(run * 100 + second, [0, 5, 10][second as usize % 3]);
            sink.show(&frame, &report(&[], 0)).expect("no error");
        }
        assert_eq!(file_names(folder.path()).len(), 3);
    }
}

#[test]
fn at_most_one_frame_a_second_is_kept() {
    let folder = tempfile::tempdir().expect("created");
    let (mut sink, _) = open(folder.path(), 1, 1_000_000);
    for number in 0..20 {
        let frame = Frame {
            position: Some(Duration::from_millis(number * 250)),
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(number * 250),
            ..Frame::new(
                number,
                Origin::Recording("film.mjpeg".into()),
                picture(number as u32 / 2),
            )
        };
        let frame = PublicFrame::hiding_nothing(frame);
        sink.show(&frame, &report(&[], 0)).expect("no error");
    }
    let expected = [0, 4, 8, 12, 16].map(|number| format!("film-{number:06}-sample.jpg"));
    assert_eq!(file_names(folder.path()), expected);
    assert!(expected.iter().all(|name| is_collected(name)));
    // Without a JPEG it is encoded.
    let stored = picture::open(&folder.path().join(&expected[1])).expect("a picture");
    assert!(Thumbnail::of(&stored).is_near(&Thumbnail::of(&picture(2))));
}

#[test]
fn the_budget_holds_and_files_of_the_user_are_kept() {
    let folder = tempfile::tempdir().expect("created");
    let mine = "19700101T000001.000Z-sample.jpg";
    fs::write(folder.path().join(mine), "mine").expect("written");
    let size = crate::output_file::marked(&jpeg(0)).len() as u64;
    let (mut sink, health) = open(folder.path(), 1, size * 4);
    for second in 0..12 {
        let frame = frame(second, second as u32);
        sink.show(&frame, &report(&[], 0)).expect("no error");
    }
    assert_eq!(
        (health.files_kept.get(), health.collected_lost.get()),
        (1, 1)
    );
    assert_eq!(fs::read(folder.path().join(mine)).expect("there"), b"mine");
    let names = file_names(folder.path());
    assert!((3..=5).contains(&names.len()), "{names:?}");
    assert_eq!(
        names.last().expect("one"),
        "19700101T000011.000Z-sample.jpg"
    );
}

#[test]
fn pictures_that_cannot_be_written_are_counted_and_are_no_error() {
    let folder = tempfile::tempdir().expect("created");
    let (mut sink, health) = open(folder.path(), 1, 1_000_000);
    fs::remove_dir(folder.path()).expect("removed");
    for second in 0..3 {
        let frame = frame(second, 3 * second as u32);
        sink.show(&frame, &report(&[], 0)).expect("no error");
    }
    // The first one failed, and the others came within the retry delay.
    assert_eq!(health.collected_lost.get(), 3);
}

#[test]
fn names_of_other_files_are_not_collected_pictures() {
    for other in [
        "",
        "apple.jpg",
        "sample.jpg",
        "mine-sample.jpg",
        "19700101T000001.000Z-sample.png",
        "19700101T000001.000Z-uncertain-.jpg",
        "19700101T000001.000Z-appeared-apple-1.jpg",
        "19700101T000001.000Z-sample-apple-1.jpg",
    ] {
        assert!(!is_collected(other), "{other}");
    }
}
