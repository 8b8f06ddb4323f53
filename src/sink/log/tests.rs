use std::fs;
use std::time::SystemTime;

use image::RgbImage;
use serde_json::Value;

use super::*;
use crate::detect::Detection;
use crate::frame::{Frame, Origin};
use crate::geometry::NormBox;
use crate::health::CaptureState;
use crate::label::{ClassId, Labels};
use crate::track::{Event, EventKind};

const SETTINGS: LogSettings = LogSettings {
    max_size: 1_000_000,
    keep: 1,
    per: RecordPer::Frame,
};

fn frame(sequence: u64) -> PublicFrame {
    PublicFrame::hiding_nothing(Frame::new(sequence, Origin::Live, RgbImage::new(4, 4)))
}

fn report(events: &[EventKind]) -> Report {
    let labels = Labels::new(vec!["apple".into()]).expect("valid");
    let event = |&kind| Event {
        kind,
        track: 1,
        detection: Detection {
            class: ClassId::new(0),
            confidence: 0.9,
            bounding_box: NormBox::WHOLE,
        },
        time: SystemTime::now(),
        duration: Duration::from_secs(1),
    };
    Report {
        is_tracked: true,
        events: events.iter().map(event).collect(),
        ..Report::waiting(Arc::new(labels), "0badcafe".into())
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("readable");
    let parsed = |line| serde_json::from_str(line).expect("JSON");
    text.lines().map(parsed).collect()
}

fn open(path: &Path, per: RecordPer) -> (LogSink, Arc<Health>) {
    let health = Arc::new(Health::default());
    let settings = LogSettings { per, ..SETTINGS };
    let log = LogSink::open(path, settings, Arc::clone(&health)).expect("opened");
    (log, health)
}

#[test]
fn per_event_only_events_and_state_changes_get_lines() {
    let folder = tempfile::tempdir().expect("created");
    let path = folder.path().join("out.jsonl");
    let (mut log, _) = open(&path, RecordPer::Event);
    log.show(&frame(0), &report(&[])).expect("ignored");
    let events = [EventKind::Left, EventKind::Appeared];
    log.show(&frame(1), &report(&events)).expect("written");
    let broken = UnreadableFrame {
        path: None,
        reason: "cut off".to_owned(),
    };
    log.on_unreadable_frame(&broken).expect("ignored");
    log.on_track_ended(&frame(1), &report(&[EventKind::Left]))
        .expect("written");
    let change = StateChange {
        state: CaptureState::Live,
        time: SystemTime::now(),
        reason: String::new(),
    };
    log.on_state_change(&change).expect("written");
    let lines = lines(&path);
    assert_eq!(
        (&lines[0]["event"], &lines[1]["event"]),
        (&"left".into(), &"appeared".into())
    );
    assert_eq!(
        (&lines[2]["event"], &lines[3]["state"]),
        (&"left".into(), &"live".into())
    );
    assert_eq!(lines.len(), 4);
}

#[test]
fn per_frame_each_frame_gets_one_line() {
    let folder = tempfile::tempdir().expect("created");
    let path = folder.path().join("out.jsonl");
    let (mut log, _) = open(&path, RecordPer::Frame);
    log.show(&frame(0), &report(&[])).expect("written");
    let events = [EventKind::Left, EventKind::Appeared];
    log.show(&frame(1), &report(&events)).expect("written");
    log.on_track_ended(&frame(1), &report(&[EventKind::Left]))
        .expect("ignored");
    let numbers: Vec<Value> = lines(&path).iter().map(|l| l["frame"].clone()).collect();
    assert_eq!(numbers, [0, 1]);
}

#[test]
fn a_log_truncated_at_any_byte_has_only_complete_lines_afterwards() {
    let folder = tempfile::tempdir().expect("created");
    let path = folder.path().join("out.jsonl");
    let (mut log, _) = open(&path, RecordPer::Frame);
    for number in 0..3 {
        log.show(&frame(number), &report(&[])).expect("written");
    }
    drop(log);
    let text = fs::read(&path).expect("readable");
    for length in 0..=text.len() {
        fs::write(&path, &text[..length]).expect("written");
        let (mut log, health) = open(&path, RecordPer::Frame);
        log.show(&frame(7), &report(&[])).expect("written");
        let line_breaks = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'\n').count();
        let is_line_start = |at: usize| at == 0 || text[at - 1] == b'\n';
        // A line that lacks only its line break is completed, not lost.
        let lacks_line_break = length < text.len() && text[length] == b'\n';
        let complete = line_breaks(&text[..length]) + usize::from(lacks_line_break);
        let is_truncated = !is_line_start(length) && !lacks_line_break;
        let lines = lines(&path);
        let numbers: Vec<u64> = lines.iter().filter_map(|l| l["frame"].as_u64()).collect();
        let expected: Vec<u64> = (0..complete as u64).chain([7]).collect();
        assert_eq!(numbers, expected, "{length} bytes");
        let lost: Vec<u64> = lines.iter().filter_map(|l| l["lost"].as_u64()).collect();
        assert_eq!(lost, vec![1; usize::from(is_truncated)], "{length} bytes");
        assert_eq!(health.lines_lost.get(), 0, "this run lost none");
    }
}

#[test]
fn lines_lost_during_an_outage_are_counted_and_logged() {
    let folder = tempfile::tempdir().expect("created");
    let subfolder = folder.path().join("subfolder");
    fs::create_dir(&subfolder).expect("created");
    let path = subfolder.join("out.jsonl");
    let (mut log, health) = open(&path, RecordPer::Frame);
    log.show(&frame(0), &report(&[])).expect("written");
    let kept = folder.path().join("kept");
    fs::rename(&subfolder, &kept).expect("moved");
    for number in 1..6 {
        log.show(&frame(number), &report(&[]))
            .expect("not an error");
    }
    assert_eq!(health.lines_lost.get(), 5);
    fs::rename(&kept, &subfolder).expect("moved back");
    let later = Instant::now() + Duration::from_secs(1);
    for number in [6, 7] {
        let line = json::frame_line(&frame(number), &report(&[]));
        log.put(&line, later).expect("written");
    }
    let lines = lines(&path);
    assert_eq!(lines[1]["lost"], 5);
    let error = lines[1]["error"].as_str().expect("text");
    assert!(error.starts_with("No such file"), "{error}");
    let numbers: Vec<Value> = lines.iter().map(|l| l["frame"].clone()).collect();
    assert_eq!(numbers, [0.into(), Value::Null, 6.into(), 7.into()]);
    assert_eq!(health.lines_lost.get(), 5);
}

#[test]
fn the_error_names_a_file_that_cannot_be_opened() {
    let folder = tempfile::tempdir().expect("created");
    let path = folder.path().join("no/such/out.jsonl");
    let error = LogSink::open(&path, SETTINGS, Arc::default()).expect_err("no folder");
    assert!(
        error
            .to_string()
            .contains("no/such/out.jsonl: can't be written")
    );
}
