//! Tests of the lines, written out in full.

use std::sync::Arc;
use std::time::{Duration, Instant};

use image::RgbImage;

use super::*;
use crate::detect::Detection;
use crate::frame::TrueBox;
use crate::label::{ClassId, Labels};
use crate::picture::PictureError;

fn boxed([x_min, x_max, y_min, y_max]: [f32; 4]) -> NormBox {
    NormBox::new(x_min, x_max, y_min, y_max).expect("sound")
}

fn report(detection: Option<Detection>) -> Report {
    Report {
        detection,
        labels: Arc::new(Labels::new(vec!["apple".into(), "hot dog".into()]).expect("sound")),
        model_hash: "0badcafe".into(),
        inference: Duration::from_nanos(12_345_678),
        frame_age: Duration::from_micros(20_500),
        frames_per_second: Some(30.0),
        dropped: 3,
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
    let truth = TrueBox {
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
    sink.skip(&PictureError::Empty { path }.into())
        .expect("written");
    let expected = concat!(
        r#"{"schema":1,"picture":"dir/empty.jpg","#,
        r#""error":"picture dir/empty.jpg: is empty (0 bytes); copy it again"}"#,
        "\n"
    );
    assert_eq!(String::from_utf8(text).expect("text"), expected);
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
}
