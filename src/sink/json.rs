//! JSON lines: one object per line, for programs to read.
//!
//! [`JsonSink`] flushes each line, so that a reader gets it at once, and ends the run on a write error; a closed pipe
//! (`| head`) is not an error. The sink that continues after write errors and rotates files is [`super::log`].
//!
//! Every line has `schema`, which is [`LINE_SCHEMA`]; the other fields depend on its kind:
//!
//! | line | fields |
//! | --- | --- |
//! | a frame | `time` and `frame`, or `picture`, or for a frame of a file `picture`, `frame` and `position_s`; `track` if there is one; `width`, `height`, `detection`, `detections`; `truth`, `iou` and `truths` for synthetic frames; `crops` and `inferences` with regions; `inference_ms`, `frame_age_ms`, `model` |
//! | an event | `time`, `frame`, `picture` and `position_s` for a frame of a file, `event` (`appeared`, `changed`, `left`, `entered`, `left_zone`, `loitering`, `crossed`), `zone`, or `line` and `direction`, if it was there, `id`, `track`, `from` (the previous class, if it changed), `duration_s` (not with `appeared`, `entered` and `crossed`), `counts`, `clip` if clips are saved, `width`, `height`, `detection`, `inferences` with regions, `inference_ms`, `frame_age_ms`, `model` |
//! | a state | `time`, `state` (`starting`, `live`, `stalled`, `reopening`), `reason`, empty if there is no failure |
//! | a read failure | `picture`, or `time` for a frame of a stream, and `error` |
//! | a gap | `time`, `lost` (the number of lines missing here) and `error` (the cause) |
//!
//! `time` is RFC 3339 in UTC to the millisecond: when the frame was captured, when the state changed, or when the gap
//! ended. `picture` is a path as it was given. One that is not UTF-8 has `picture_encoding`, which is `percent`: each byte
//! that is not UTF-8, and each `%`, is `%` with two hexadecimal digits ([`PathText`]). `detection` is `null` or has `class`,
//! `confidence`, the corners `x_min`, `x_max`, `y_min`, `y_max` as fractions of the frame, and `pixels`. `detections` lists
//! everything in the frame, the primary first, which `detection` repeats. A frame's detections are those of the frame alone,
//! each with the number of its `track` if it has one; an event's is the tracked one. `track` of a frame is that of its
//! primary detection; without one, that of the visible track which appeared first. A track's number is unique in a run,
//! its `id` over all runs: all events of a track have the same. `counts` has the number of visible tracks of each class
//! after the event, as `{"apple": 2}`. `clip` is the name of the file that shows it, once it is complete. `truths` are all true boxes, `truth` is the one that `iou` belongs to.
//! `duration_s` is in seconds: the age of the track or, with `left_zone` and `loitering`, the time in the zone.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use embedded_graphics::primitives::Rectangle;
use serde::Serialize;

use super::{Sink, SinkError};
use crate::detect::Detection;
use crate::frame::{Frame, GroundTruth, Origin, UnreadableFrame};
use crate::geometry::NormBox;
use crate::health::StateChange;
use crate::path_text::PathText;
use crate::privacy::PublicFrame;
use crate::regions::View;
use crate::report::Report;
use crate::track::{Event, EventKind};
use crate::zone::ZoneMap;

/// The version of the lines. It is incremented when a field is removed or changes its meaning.
pub const LINE_SCHEMA: u32 = 1;

/// Writes one JSON line per frame to a stream.
pub struct JsonSink<W> {
    stream: W,
    /// The name of the stream in errors.
    name: PathBuf,
}

impl JsonSink<std::io::Stdout> {
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(std::io::stdout(), Path::new("standard output"))
    }
}

impl<W: Write> JsonSink<W> {
    /// `name` is the name of the stream in errors.
    pub fn new(stream: W, name: &Path) -> Self {
        Self {
            stream,
            name: name.into(),
        }
    }

    fn write_line(&mut self, mut line: String) -> Result<(), SinkError> {
        // One write per line, so that a reader never gets a part of one.
        line.push('\n');
        let written = self.stream.write_all(line.as_bytes());
        let flushed = written.and_then(|()| self.stream.flush());
        flushed.map_err(|source| match source.kind() {
            ErrorKind::BrokenPipe => SinkError::Closed,
            _ => SinkError::Write {
                path: self.name.clone(),
                source,
            },
        })
    }
}

impl<W: Write> Sink for JsonSink<W> {
    fn show(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        self.write_line(frame_line(frame, report))
    }

    fn on_unreadable_frame(&mut self, unreadable: &UnreadableFrame) -> Result<(), SinkError> {
        self.write_line(unreadable_line(unreadable))
    }
}

/// The line of a frame, without a line break.
pub(super) fn frame_line(frame: &Frame, report: &Report) -> String {
    let detections = all_detections(frame, report);
    let primary = report.detection.and(detections.first());
    to_json(&FrameLine {
        schema: LINE_SCHEMA,
        origin: OriginFields::of(frame),
        track: report.primary_track(),
        detection: FrameFields::of(frame, primary.cloned()),
        detections,
        crops: report.views.as_deref().map(crops),
        truth: TruthFields::of(frame, report),
        model: ModelFields::of(report),
    })
}

fn crops(views: &[View]) -> Vec<[i64; 4]> {
    let crops = views.iter().filter(|view| !view.is_whole());
    crops.map(|crop| edges(&crop.pixels())).collect()
}

/// The lines of a report's events, in order and without line breaks.
pub(super) fn event_lines(frame: &Frame, report: &Report) -> impl Iterator<Item = String> {
    report
        .events
        .iter()
        .map(|event| event_line(frame, report, event))
}

fn event_line(frame: &Frame, report: &Report, event: &Event) -> String {
    let from = match event.kind {
        EventKind::Changed { from } => Some(from),
        _ => None,
    };
    let origin = OriginFields::of(frame);
    let (picture, position_s) = match origin {
        OriginFields::Recording {
            picture,
            position_s,
            ..
        } => (Some(picture), position_s),
        OriginFields::Live { .. } | OriginFields::Picture { .. } => (None, None),
    };
    let has_duration = !matches!(
        event.kind,
        EventKind::Appeared | EventKind::Entered { .. } | EventKind::Crossed { .. }
    );
    to_json(&EventLine {
        schema: LINE_SCHEMA,
        time: rfc3339(event.time),
        frame: report.sequence,
        picture,
        position_s,
        event: event.kind.name(),
        place: PlaceFields::of(event.kind, report.zones.map()),
        id: report.event_id(event.track),
        track: event.track,
        from: from.map(|class| report.class_name(class)),
        from_label: from.and_then(|class| report.alias(class)),
        duration_s: has_duration.then(|| rounded(event.duration.as_secs_f64(), 3)),
        counts: report.counts(),
        clip: report.clip.as_deref(),
        detection: FrameFields::of(
            frame,
            Some(DetectionFields::of(frame, &event.detection, report)),
        ),
        model: ModelFields::of(report),
    })
}

/// The line of a picture or frame that cannot be read, without a line break.
pub(super) fn unreadable_line(unreadable: &UnreadableFrame) -> String {
    let path = unreadable.path.as_ref();
    to_json(&UnreadableLine {
        schema: LINE_SCHEMA,
        time: path.is_none().then(|| rfc3339(SystemTime::now())),
        picture: path.map(|path| PictureFields::of(path)),
        error: &unreadable.reason,
    })
}

/// The line of a state change, without a line break.
pub(super) fn state_line(change: &StateChange) -> String {
    to_json(&StateLine {
        schema: LINE_SCHEMA,
        time: rfc3339(change.time),
        state: change.state.name(),
        reason: &change.reason,
    })
}

/// The line that replaces `count` missing lines, without a line break.
pub(super) fn gap_line(count: u64, error: &str) -> String {
    to_json(&GapLine {
        schema: LINE_SCHEMA,
        time: rfc3339(SystemTime::now()),
        lost: count,
        error,
    })
}

/// Serializes a structure of strings and numbers, which cannot fail.
pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers can be serialized")
}

#[derive(Serialize)]
struct FrameLine<'a> {
    schema: u32,
    #[serde(flatten)]
    origin: OriginFields,
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<u64>,
    #[serde(flatten)]
    detection: FrameFields<'a>,
    detections: Vec<DetectionFields<'a>>,
    /// `[left, top, right, bottom]` of each crop that was looked at; right and bottom are exclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    crops: Option<Vec<[i64; 4]>>,
    #[serde(flatten)]
    truth: Option<TruthFields<'a>>,
    #[serde(flatten)]
    model: ModelFields<'a>,
}

#[derive(Serialize)]
struct EventLine<'a> {
    schema: u32,
    time: String,
    frame: u64,
    #[serde(flatten)]
    picture: Option<PictureFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position_s: Option<f64>,
    event: &'static str,
    #[serde(flatten)]
    place: PlaceFields<'a>,
    id: String,
    track: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_s: Option<f64>,
    counts: BTreeMap<&'a str, usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clip: Option<&'a str>,
    #[serde(flatten)]
    detection: FrameFields<'a>,
    #[serde(flatten)]
    model: ModelFields<'a>,
}

/// Where an event of a zone or a line was.
#[derive(Serialize)]
struct PlaceFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'a str>,
}

#[derive(Serialize)]
struct UnreadableLine<'a> {
    schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(flatten)]
    picture: Option<PictureFields>,
    error: &'a str,
}

#[derive(Serialize)]
struct StateLine<'a> {
    schema: u32,
    time: String,
    state: &'static str,
    reason: &'a str,
}

#[derive(Serialize)]
struct GapLine<'a> {
    schema: u32,
    time: String,
    lost: u64,
    error: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum OriginFields {
    Live {
        time: String,
        frame: u64,
    },
    Picture(PictureFields),
    Recording {
        #[serde(flatten)]
        picture: PictureFields,
        frame: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        position_s: Option<f64>,
    },
}

/// The path of a picture or a recording.
#[derive(Serialize)]
struct PictureFields {
    picture: String,
    /// `percent` if the path is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    picture_encoding: Option<&'static str>,
}

#[derive(Serialize)]
struct FrameFields<'a> {
    width: u32,
    height: u32,
    detection: Option<DetectionFields<'a>>,
}

#[derive(Clone, Serialize)]
struct DetectionFields<'a> {
    class: &'a str,
    /// The alias of the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    confidence: f64,
    #[serde(flatten)]
    corners: Corners,
    /// `[left, top, right, bottom]`; right and bottom are exclusive.
    pixels: [i64; 4],
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<u64>,
}

/// The ground truth of a synthetic frame.
#[derive(Serialize)]
struct TruthFields<'a> {
    truth: Option<TrueBoxFields<'a>>,
    iou: Option<f64>,
    truths: Vec<TrueBoxFields<'a>>,
}

#[derive(Serialize)]
struct TrueBoxFields<'a> {
    class: &'a str,
    #[serde(flatten)]
    corners: Corners,
}

#[derive(Clone, Serialize)]
struct Corners {
    x_min: f64,
    x_max: f64,
    y_min: f64,
    y_max: f64,
}

#[derive(Serialize)]
struct ModelFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    inferences: Option<usize>,
    inference_ms: f64,
    frame_age_ms: f64,
    model: &'a str,
}

impl OriginFields {
    fn of(frame: &Frame) -> Self {
        match &frame.origin {
            Origin::Picture(path) => Self::Picture(PictureFields::of(path)),
            Origin::Recording(path) => Self::Recording {
                picture: PictureFields::of(path),
                frame: frame.sequence,
                position_s: frame
                    .position
                    .map(|position| rounded(position.as_secs_f64(), 3)),
            },
            Origin::Live | Origin::Scene(_) => Self::Live {
                time: rfc3339(frame.time),
                frame: frame.sequence,
            },
        }
    }
}

impl PictureFields {
    fn of(path: &Path) -> Self {
        let PathText { text, is_encoded } = PathText::of(path);
        Self {
            picture: text.into_owned(),
            picture_encoding: is_encoded.then_some("percent"),
        }
    }
}

impl<'a> PlaceFields<'a> {
    fn of(kind: EventKind, map: &'a ZoneMap) -> Self {
        let place = kind.place(map);
        match kind {
            EventKind::Crossed { line, direction } => Self {
                zone: None,
                line: place,
                direction: map.line(line).map(|line| line.direction_name(direction)),
            },
            _ => Self {
                zone: place,
                line: None,
                direction: None,
            },
        }
    }
}

impl<'a> FrameFields<'a> {
    fn of(frame: &Frame, detection: Option<DetectionFields<'a>>) -> Self {
        let (width, height) = frame.image.dimensions();
        Self {
            width,
            height,
            detection,
        }
    }
}

impl<'a> DetectionFields<'a> {
    fn of(frame: &Frame, detection: &Detection, report: &'a Report) -> Self {
        let (width, height) = frame.image.dimensions();
        Self {
            class: report.class_name(detection.class),
            label: report.alias(detection.class),
            confidence: rounded(f64::from(detection.confidence), 4),
            corners: Corners::of(&detection.bounding_box),
            pixels: edges(&detection.bounding_box.to_pixels(width, height)),
            track: None,
        }
    }
}

/// All detections in a frame, the primary first, with their tracks.
fn all_detections<'a>(frame: &Frame, report: &'a Report) -> Vec<DetectionFields<'a>> {
    let fields = |(detection, track)| DetectionFields {
        track,
        ..DetectionFields::of(frame, detection, report)
    };
    report.numbered_detections().map(fields).collect()
}

impl<'a> ModelFields<'a> {
    fn of(report: &'a Report) -> Self {
        Self {
            inferences: report.views.as_ref().map(Vec::len),
            inference_ms: rounded(report.inference.as_secs_f64() * 1e3, 3),
            frame_age_ms: rounded(report.frame_age.as_secs_f64() * 1e3, 3),
            model: &report.model_hash,
        }
    }
}

impl<'a> TruthFields<'a> {
    /// `None` for a frame whose ground truth is unknown.
    fn of(frame: &'a Frame, report: &Report) -> Option<Self> {
        let Origin::Scene(truths) = &frame.origin else {
            return None;
        };
        let truth = report.ground_truth(frame);
        Some(Self {
            truths: truths.iter().map(TrueBoxFields::of).collect(),
            truth: truth.map(|(truth, _)| TrueBoxFields::of(truth)),
            iou: truth
                .filter(|_| report.detection.is_some())
                .map(|(_, iou)| rounded(f64::from(iou), 4)),
        })
    }
}

impl<'a> TrueBoxFields<'a> {
    fn of(truth: &'a GroundTruth) -> Self {
        Self {
            class: &truth.label,
            corners: Corners::of(&truth.bounding_box),
        }
    }
}

impl Corners {
    fn of(bounding_box: &NormBox) -> Self {
        let corners = bounding_box.corners();
        let [x_min, x_max, y_min, y_max] = corners.map(|c| rounded(f64::from(c), 5));
        Self {
            x_min,
            x_max,
            y_min,
            y_max,
        }
    }
}

fn edges(pixels: &Rectangle) -> [i64; 4] {
    let (left, top) = (i64::from(pixels.top_left.x), i64::from(pixels.top_left.y));
    let (width, height) = (i64::from(pixels.size.width), i64::from(pixels.size.height));
    [left, top, left + width, top + height]
}

pub(super) fn rounded(value: f64, decimals: i32) -> f64 {
    let unit = 10_f64.powi(decimals);
    (value * unit).round() / unit
}

/// The last second that RFC 3339 can represent: the end of the year 9999.
const LAST_SECOND: Duration = Duration::from_secs(253_402_300_799);

/// To the millisecond, in UTC. A time before 1970 (a board without a battery) becomes 1970.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let first = SystemTime::UNIX_EPOCH;
    let time = time.clamp(first, first + LAST_SECOND);
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests;
