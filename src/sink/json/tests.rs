//! Tests of the lines, written out in full.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use image::RgbImage;

use super::*;
use crate::detect::Detection;
use crate::frame::{GroundTruth, Origin};
use crate::geometry::NormBox;
use crate::health::CaptureState;
use crate::label::{ClassId, Labels};
use crate::track::{EventKind, StableDetection};

fn boxed([x_min, x_max, y_min, y_max]: [f32; 4]) -> NormBox {
    NormBox::new(x_min, x_max, y_min, y_max).expect("sound")
}

fn report(detection: Option<Detection>) -> Report {
    Report {
        detection,
        inference: Duration::from_nanos(12_345_678),
        frame_age: Duration::from_micros(20_500),
        frames_per_second: Some(30.0),
        dropped: 3,
        ..Report::waiting(
            Arc::new(Labels::new(vec!["apple".into(), "hot dog".into()]).expect("sound")),
            "0badcafe".into(),
        )
    }
}

fn hot_dog() -> Option<Detection> {
    Some(Detection {
        class: ClassId::new(1),
        confidence: 0.912_345,
        bounding_box: boxed([0.25, 0.5, 0.123_456_7, 1.0]),
    })
}

fn frame(origin: Origin) -> Frame {
    Frame {
        sequence: 7,
        captured_at: Instant::now(),
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250),
        position: None,
        scene_start: false,
        origin,
        image: RgbImage::new(640, 480),
    }
}

fn line(origin: Origin, detection: Option<Detection>) -> String {
    let mut text = Vec::new();
    let mut sink = JsonSink::new(&mut text, Path::new("memory"));
    sink.show(&frame(origin), &report(detection))
        .expect("written");
    String::from_utf8(text).expect("text")
}

#[test]
fn a_picture_and_its_detection_are_one_line() {
    let expected = concat!(
        r#"{"schema":1,"picture":"a \"b\"/c.jpg","width":640,"height":480,"#,
        r#""detection":{"class":"hot dog","confidence":0.9123,"x_min":0.25,"x_max":0.5,"#,
        r#""y_min":0.12346,"y_max":1.0,"pixels":[160,59,320,480]},"#,
        r#""inference_ms":12.346,"frame_age_ms":20.5,"model":"0badcafe"}"#,
        "\n"
    );
    assert_eq!(
        line(Origin::Picture("a \"b\"/c.jpg".into()), hot_dog()),
        expected
    );
}

#[test]
fn a_live_frame_has_time_and_number_and_may_be_empty() {
    let expected = concat!(
        r#"{"schema":1,"time":"2023-11-14T22:13:20.250Z","frame":7,"width":640,"height":480,"#,
        r#""detection":null,"inference_ms":12.346,"frame_age_ms":20.5,"model":"0badcafe"}"#,
        "\n"
    );
    assert_eq!(line(Origin::Live, None), expected);
}

#[test]
fn a_scene_tells_the_truth_beside_the_detection() {
    let truth = GroundTruth {
        label: "hot dog".to_owned(),
        bounding_box: boxed([0.25, 0.75, 0.0, 1.0]),
    };
    let found = line(Origin::Scene(vec![truth.clone()]), hot_dog());
    let expected = r#""truth":{"class":"hot dog","x_min":0.25,"x_max":0.75,"y_min":0.0,"y_max":1.0},"iou":0.4383,"#;
    assert!(found.contains(expected), "{found}");
    let missed = line(Origin::Scene(vec![truth]), None);
    assert!(missed.contains(r#""y_max":1.0},"iou":null,"#), "{missed}");
    let empty = line(Origin::Scene(vec![]), hot_dog());
    assert!(empty.contains(r#""truth":null,"iou":null,"#), "{empty}");
}

#[test]
fn a_picture_that_cannot_be_read_is_a_line_too() {
    let mut text = Vec::new();
    let mut sink = JsonSink::new(&mut text, Path::new("memory"));
    let path = "dir/empty.jpg".into();
    sink.skip(&UnreadableFrame {
        path: Some(path),
        reason: "picture dir/empty.jpg: is empty (0 bytes); copy it again".to_owned(),
    })
    .expect("written");
    let expected = concat!(
        r#"{"schema":1,"picture":"dir/empty.jpg","#,
        r#""error":"picture dir/empty.jpg: is empty (0 bytes); copy it again"}"#,
        "\n"
    );
    assert_eq!(String::from_utf8(text).expect("text"), expected);
}

#[test]
fn a_frame_of_a_stream_that_cannot_be_read_has_a_time() {
    let frame = UnreadableFrame {
        path: None,
        reason: "standard input: it is cut off".to_owned(),
    };
    let line = text(error_line(&frame));
    let fields: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert!(fields["time"].is_string() && fields.get("picture").is_none());
    assert!(line.contains("it is cut off"), "{line}");
}

fn text(line: serde_json::Result<Vec<u8>>) -> String {
    String::from_utf8(line.expect("can be written")).expect("text")
}

fn tracked(kind: EventKind) -> (Report, Event) {
    let event = Event {
        kind,
        track: 3,
        detection: hot_dog().expect("is one"),
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000),
        duration: Duration::from_micros(2_500_400),
    };
    let report = Report {
        sequence: 9,
        stable: Some(StableDetection {
            track: 3,
            detection: event.detection,
            duration: event.duration,
        }),
        is_tracked: true,
        events: vec![event],
        ..report(None)
    };
    (report, event)
}

#[test]
fn an_event_is_a_line_with_the_steady_detection() {
    let frame = frame(Origin::Live);
    let rest = concat!(
        r#""width":640,"height":480,"#,
        r#""detection":{"class":"hot dog","confidence":0.9123,"x_min":0.25,"x_max":0.5,"#,
        r#""y_min":0.12346,"y_max":1.0,"pixels":[160,59,320,480]},"#,
        r#""inference_ms":12.346,"frame_age_ms":20.5,"model":"0badcafe"}"#,
    );
    let from = ClassId::new(0);
    let cases = [
        (EventKind::Appeared, r#""appeared","track":3,"#),
        (
            EventKind::Changed { from },
            r#""changed","track":3,"from":"apple","duration_s":2.5,"#,
        ),
        (EventKind::Left, r#""left","track":3,"duration_s":2.5,"#),
    ];
    for (kind, said) in cases {
        let (report, event) = tracked(kind);
        let expected = format!(
            r#"{{"schema":1,"time":"2023-11-14T22:13:20.000Z","frame":9,"event":{said}{rest}"#
        );
        assert_eq!(text(event_line(&frame, &report, &event)), expected);
    }
}

#[test]
fn a_frame_with_something_steady_in_it_has_a_track() {
    let (report, _) = tracked(EventKind::Appeared);
    let line = text(frame_line(&frame(Origin::Live), &report));
    assert!(
        line.contains(r#""frame":7,"track":3,"width":640"#),
        "{line}"
    );
    assert!(line.contains(r#""detection":null"#), "{line}");
}

#[test]
fn states_and_gaps_are_lines_too() {
    let change = StateChange {
        state: CaptureState::Stalled,
        time: SystemTime::UNIX_EPOCH,
        reason: "no frame for 2s".to_owned(),
    };
    let expected = r#"{"schema":1,"time":"1970-01-01T00:00:00.000Z","state":"stalled","reason":"no frame for 2s"}"#;
    assert_eq!(text(state_line(&change)), expected);
    let line = text(lost_line(12, "No space left"));
    assert!(
        line.ends_with(r#""lost":12,"error":"No space left"}"#),
        "{line}"
    );
}

/// A writer that fails with the given kind and counts its flushes.
struct Failing(ErrorKind);

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_left_is_no_failure_but_a_full_disk_is() {
    let show = |kind| {
        let mut sink = JsonSink::new(Failing(kind), Path::new("out.jsonl"));
        sink.show(&frame(Origin::Live), &report(None))
            .expect_err("fails")
    };
    assert!(matches!(show(ErrorKind::BrokenPipe), SinkError::Closed));
    let said = show(ErrorKind::StorageFull).to_string();
    assert!(said.starts_with("out.jsonl: can't be written"), "{said}");
}

#[test]
fn a_clock_that_was_never_set_is_shown_as_1970() {
    let early = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
    assert_eq!(rfc3339(early), "1970-01-01T00:00:00.000Z");
    let late = SystemTime::UNIX_EPOCH + Duration::from_secs(400_000_000_000);
    assert_eq!(rfc3339(late), "9999-12-31T23:59:59.000Z");
}
