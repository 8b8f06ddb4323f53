use std::sync::Arc;

use image::RgbImage;

use super::*;
use crate::detect::Detection;
use crate::frame::{GroundTruth, Origin};
use crate::geometry::NormBox;
use crate::health::CaptureState;
use crate::label::{ClassId, Labels};
use crate::track::{EventKind, StableDetection};

fn boxed([x_min, x_max, y_min, y_max]: [f32; 4]) -> NormBox {
    NormBox::new(x_min, x_max, y_min, y_max).expect("valid")
}

fn report(detection: Option<Detection>) -> Report {
    Report {
        detection,
        inference: Duration::from_nanos(12_345_678),
        frame_age: Duration::from_micros(20_500),
        frames_per_second: Some(30.0),
        dropped: 3,
        ..Report::waiting(
            Arc::new(Labels::new(vec!["apple".into(), "hot dog".into()]).expect("valid")),
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

fn frame(origin: Origin) -> PublicFrame {
    PublicFrame::hiding_nothing(Frame {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250),
        ..Frame::new(7, origin, RgbImage::new(640, 480))
    })
}

fn line(origin: Origin, detection: Option<Detection>) -> String {
    let mut text = Vec::new();
    let mut sink = JsonSink::new(&mut text, Path::new("memory"));
    sink.show(&frame(origin), &report(detection))
        .expect("written");
    String::from_utf8(text).expect("text")
}

#[test]
fn a_picture_line_has_its_path_and_detection() {
    let expected = concat!(
        r#"{"schema":1,"picture":"a \"b\"/c.jpg","width":640,"height":480,"#,
        r#""detection":{"class":"hot dog","confidence":0.9123,"x_min":0.25,"x_max":0.5,"#,
        r#""y_min":0.12346,"y_max":1.0,"pixels":[160,59,320,480]},"#,
        r#""detections":[{"class":"hot dog","confidence":0.9123,"x_min":0.25,"x_max":0.5,"#,
        r#""y_min":0.12346,"y_max":1.0,"pixels":[160,59,320,480]}],"#,
        r#""inference_ms":12.346,"frame_age_ms":20.5,"model":"0badcafe"}"#,
        "\n"
    );
    assert_eq!(
        line(Origin::Picture("a \"b\"/c.jpg".into()), hot_dog()),
        expected
    );
}

#[test]
fn a_live_line_has_time_and_frame_and_detection_may_be_null() {
    let expected = concat!(
        r#"{"schema":1,"time":"2023-11-14T22:13:20.250Z","frame":7,"width":640,"height":480,"#,
        r#""detection":null,"detections":[],"inference_ms":12.346,"frame_age_ms":20.5,"model":"0badcafe"}"#,
        "\n"
    );
    assert_eq!(line(Origin::Live, None), expected);
}

#[test]
fn detections_are_all_of_the_frame_and_the_primary_is_first() {
    let apple = Detection {
        class: ClassId::new(0),
        confidence: 0.95,
        bounding_box: boxed([0.0, 0.5, 0.0, 0.5]),
    };
    let classes = |detection| {
        let report = Report {
            others: vec![apple],
            ..report(detection)
        };
        let line = frame_line(&frame(Origin::Live), &report);
        let fields: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let all = fields["detections"].as_array().expect("a list").clone();
        if report.detection.is_some() {
            assert_eq!(all[0], fields["detection"]);
        }
        all.iter()
            .map(|found| found["class"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(classes(hot_dog()), ["hot dog", "apple"]);
    assert_eq!(classes(None), ["apple"]);
}

#[test]
fn a_synthetic_frame_has_its_ground_truth() {
    let truth = GroundTruth {
        label: "hot dog".to_owned(),
        bounding_box: boxed([0.25, 0.75, 0.0, 1.0]),
    };
    let found = line(Origin::Scene(vec![truth.clone()]), hot_dog());
    let expected = concat!(
        r#""truth":{"class":"hot dog","x_min":0.25,"x_max":0.75,"y_min":0.0,"y_max":1.0},"iou":0.4383,"#,
        r#""truths":[{"class":"hot dog","x_min":0.25,"x_max":0.75,"y_min":0.0,"y_max":1.0}],"#,
    );
    assert!(found.contains(expected), "{found}");
    let missed = line(Origin::Scene(vec![truth]), None);
    assert!(missed.contains(r#""y_max":1.0},"iou":null,"#), "{missed}");
    let empty = line(Origin::Scene(vec![]), hot_dog());
    assert!(
        empty.contains(r#""truth":null,"iou":null,"truths":[],"#),
        "{empty}"
    );
}

#[test]
fn an_unreadable_picture_is_a_line_with_an_error() {
    let mut text = Vec::new();
    let mut sink = JsonSink::new(&mut text, Path::new("memory"));
    sink.on_unreadable_frame(&UnreadableFrame {
        path: Some("dir/empty.jpg".into()),
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
fn an_unreadable_frame_of_a_stream_has_a_time() {
    let line = unreadable_line(&UnreadableFrame {
        path: None,
        reason: "standard input: skipping an unreadable frame: it is cut off".to_owned(),
    });
    let fields: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert!(fields["time"].is_string() && fields.get("picture").is_none());
    assert!(line.contains("it is cut off"), "{line}");
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
        tracks: vec![StableDetection {
            track: 3,
            detection: event.detection,
            duration: event.duration,
            is_stationary: false,
        }],
        is_tracked: true,
        events: vec![event],
        ..report(None)
    };
    (report, event)
}

#[test]
fn an_event_line_names_its_clip() {
    let (mut report, event) = tracked(EventKind::Appeared);
    assert!(!event_line(&frame(Origin::Live), &report, &event).contains("clip"));
    report.clip = Some("a.avi".into());
    let line = event_line(&frame(Origin::Live), &report, &event);
    assert!(
        line.contains(r#""counts":{"hot dog":1},"clip":"a.avi","width":640"#),
        "{line}"
    );
}

#[test]
fn an_event_line_has_the_tracked_detection() {
    let frame = frame(Origin::Live);
    let rest = concat!(
        r#""counts":{"hot dog":1},"width":640,"height":480,"#,
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
    for (kind, fields) in cases {
        let (report, event) = tracked(kind);
        let id = format!("{}-3", report.run);
        let fields = fields.replacen(r#""track""#, &format!(r#""id":"{id}","track""#), 1);
        let expected = format!(
            r#"{{"schema":1,"time":"2023-11-14T22:13:20.000Z","frame":9,"event":{fields}{rest}"#
        );
        assert_eq!(event_line(&frame, &report, &event), expected);
    }
}

#[test]
fn a_tracked_frame_has_a_track() {
    let (report, _) = tracked(EventKind::Appeared);
    let line = frame_line(&frame(Origin::Live), &report);
    assert!(
        line.contains(r#""frame":7,"track":3,"width":640"#),
        "{line}"
    );
    assert!(line.contains(r#""detection":null"#), "{line}");
}

#[test]
fn each_detection_of_a_tracked_frame_has_its_track() {
    let (tracked, _) = tracked(EventKind::Appeared);
    let apple = |left| Detection {
        class: ClassId::new(0),
        confidence: 0.95,
        bounding_box: boxed([left, 1.0, 0.0, 0.5]),
    };
    let report = Report {
        detection: hot_dog(),
        others: vec![apple(0.5), apple(0.6)],
        numbers: vec![Some(4), None, Some(3)],
        ..tracked
    };
    let line = frame_line(&frame(Origin::Live), &report);
    let fields: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let track = |index: usize| fields["detections"][index].get("track");
    assert_eq!(
        [0, 1, 2].map(track),
        [Some(&4.into()), None, Some(&3.into())]
    );
    assert_eq!(fields["detection"], fields["detections"][0]);
    assert_eq!(fields["track"], 4);
}

#[test]
fn all_events_of_a_track_have_one_id_that_no_other_run_has() {
    let id = |report: &Report, track| {
        let (_, event) = tracked(EventKind::Left);
        let line = event_line(&frame(Origin::Live), report, &Event { track, ..event });
        let fields: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        fields["id"].as_str().expect("text").to_owned()
    };
    let (first, second) = (report(None), report(None));
    assert_eq!(id(&first, 3), id(&first, 3));
    assert_ne!(id(&first, 3), id(&first, 4));
    assert_ne!(id(&first, 3), id(&second, 3));
}

#[test]
fn state_changes_and_gaps_are_lines() {
    let change = StateChange {
        state: CaptureState::Stalled,
        time: SystemTime::UNIX_EPOCH,
        reason: "no frame for 2s".to_owned(),
    };
    let expected = r#"{"schema":1,"time":"1970-01-01T00:00:00.000Z","state":"stalled","reason":"no frame for 2s"}"#;
    assert_eq!(state_line(&change), expected);
    let line = gap_line(12, "No space left");
    assert!(
        line.ends_with(r#""lost":12,"error":"No space left"}"#),
        "{line}"
    );
}

/// A writer that fails with the given kind of error.
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
fn a_closed_pipe_is_not_an_error_but_a_full_disk_is() {
    let show = |kind| {
        let mut sink = JsonSink::new(Failing(kind), Path::new("out.jsonl"));
        sink.show(&frame(Origin::Live), &report(None))
            .expect_err("fails")
    };
    assert!(matches!(show(ErrorKind::BrokenPipe), SinkError::Closed));
    let message = show(ErrorKind::StorageFull).to_string();
    assert!(
        message.starts_with("out.jsonl: can't be written"),
        "{message}"
    );
}

#[test]
fn times_outside_of_rfc_3339_are_clamped() {
    let early = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
    assert_eq!(rfc3339(early), "1970-01-01T00:00:00.000Z");
    let late = SystemTime::UNIX_EPOCH + Duration::from_secs(400_000_000_000);
    assert_eq!(rfc3339(late), "9999-12-31T23:59:59.000Z");
}
