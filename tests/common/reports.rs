//! Frames and reports for tests of sinks without a pipeline.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use boxcam::detect::Detection;
use boxcam::frame::{Frame, Origin};
use boxcam::geometry::NormBox;
use boxcam::health::CaptureState;
use boxcam::label::{ClassId, Labels};
use boxcam::privacy::PublicFrame;
use boxcam::report::Report;
use boxcam::track::{Event, EventKind, StableDetection};
use boxcam::zone::ZoneMap;
use boxcam::zone_monitor::{FrameTime, ZoneMonitor};
use image::{Rgb, RgbImage};

/// A grey frame, 640 x 480, with a light square whose position depends on the frame number.
pub(crate) fn frame(number: u64) -> PublicFrame {
    let mut picture = RgbImage::from_pixel(640, 480, Rgb([70, 80, 90]));
    let left = (number as u32 * 7) % 600;
    for (x, y) in (0..40).flat_map(|x| (0..40).map(move |y| (x, y))) {
        picture.put_pixel(left + x, 220 + y, Rgb([240, 200, 60]));
    }
    PublicFrame::hiding_nothing(Frame::new(number, Origin::Live, picture))
}

/// Class 0 is apple, class 1 hot dog.
pub(crate) fn detection(class: usize, confidence: f32) -> Detection {
    Detection {
        class: ClassId::new(class),
        confidence,
        bounding_box: NormBox::new(0.25, 0.75, 0.25, 0.75).expect("sound"),
    }
}

fn tracked(detection: Detection) -> StableDetection {
    StableDetection {
        track: 7,
        detection,
        duration: Duration::from_millis(2500),
        is_stationary: false,
    }
}

/// A report with a track of 2.5 s, of class 0 or 1; without a class there is no detection.
pub(crate) fn report(frame: &Frame, class: Option<usize>) -> Report {
    let labels = Labels::new(vec!["apple".into(), "hot dog".into()]).expect("sound");
    let found = class.map(|class| detection(class, 0.875));
    Report {
        sequence: frame.sequence,
        captured_at: Some(frame.captured_at),
        detection: found,
        numbers: found.map(|_| Some(7)).into_iter().collect(),
        tracks: found.into_iter().map(tracked).collect(),
        is_tracked: true,
        capture: CaptureState::Live,
        inference: Duration::from_millis(12),
        frame_age: Duration::from_millis(20),
        ..Report::waiting(Arc::new(labels), "0badcafe".into())
    }
}

/// The report with an event of that track.
pub(crate) fn with_event(report: Report, kind: EventKind, track: u64) -> Report {
    let event = Event {
        kind,
        track,
        detection: report.detection.unwrap_or_else(|| detection(0, 0.5)),
        time: SystemTime::now(),
        duration: Duration::from_millis(2500),
    };
    Report {
        events: vec![event],
        ..report
    }
}

/// The report with its track in the zone `table`, which it reached over the line `door`, and with the events of that.
pub(crate) fn with_zones(report: Report) -> Report {
    let zone = "table=0.1,0.6;0.9,0.6;0.9,1;0.1,1;settle=0";
    let line = "door=0.1,0.5;0.9,0.5;directions=down,up";
    let zones = vec![zone.parse().expect("a zone")];
    let lines = vec![line.parse().expect("a line")];
    let map = ZoneMap::new(zones, lines, false).expect("valid");
    let mut monitor = ZoneMonitor::new(Arc::new(map));
    let mut events = Vec::new();
    for y_max in [0.4, 0.75] {
        let mut track = report.tracks[0];
        track.detection.bounding_box = NormBox::new(0.25, 0.75, 0.25, y_max).expect("valid");
        let frame = FrameTime {
            at: Instant::now(),
            time: SystemTime::now(),
        };
        events = monitor.update(&[track], Vec::new(), frame, &report.labels);
    }
    Report {
        events,
        zones: monitor.counts(),
        ..report
    }
}

/// Polls the condition; panics after 60 s.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "timeout: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
