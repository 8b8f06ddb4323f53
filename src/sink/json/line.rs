//! The lines themselves: what stands in each, in which order and how exactly.

use std::path::Path;
use std::time::{Duration, SystemTime};

use embedded_graphics::primitives::Rectangle;
use serde::Serialize;

use super::LINE_SCHEMA;
use crate::detect::Detection;
use crate::frame::{Frame, Origin, UnreadableFrame};
use crate::geometry::NormBox;
use crate::health::StateChange;
use crate::label::Labels;
use crate::report::Report;
use crate::track::{Event, EventKind};

/// A frame and what was found in it.
#[derive(Serialize)]
pub(super) struct FrameLine<'a> {
    schema: u32,
    #[serde(flatten)]
    origin: OriginFields,
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<u64>,
    #[serde(flatten)]
    seen: SeenFields<'a>,
    #[serde(flatten)]
    truth: Option<TruthFields<'a>>,
    #[serde(flatten)]
    model: ModelFields<'a>,
}

/// Something that came, changed or went.
#[derive(Serialize)]
pub(super) struct EventLine<'a> {
    schema: u32,
    time: String,
    frame: u64,
    event: &'static str,
    track: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_s: Option<f64>,
    #[serde(flatten)]
    seen: SeenFields<'a>,
    #[serde(flatten)]
    model: ModelFields<'a>,
}

/// Which frame it is: a place in time, or a file.
#[derive(Serialize)]
#[serde(untagged)]
enum OriginFields {
    Live { time: String, frame: u64 },
    Picture { picture: String },
}

#[derive(Serialize)]
struct SeenFields<'a> {
    width: u32,
    height: u32,
    detection: Option<DetectionFields<'a>>,
}

#[derive(Serialize)]
struct DetectionFields<'a> {
    class: &'a str,
    confidence: f64,
    #[serde(flatten)]
    corners: Corners,
    /// `[left, top, right, bottom]`; right and bottom are the first pixels outside.
    pixels: [i64; 4],
}

/// What is truly there, in frames that were made up.
#[derive(Serialize)]
struct TruthFields<'a> {
    truth: Option<TrueBoxFields<'a>>,
    iou: Option<f64>,
}

#[derive(Serialize)]
struct TrueBoxFields<'a> {
    class: &'a str,
    #[serde(flatten)]
    corners: Corners,
}

#[derive(Serialize)]
struct Corners {
    x_min: f64,
    x_max: f64,
    y_min: f64,
    y_max: f64,
}

/// What said so, and how long it took.
#[derive(Serialize)]
struct ModelFields<'a> {
    inference_ms: f64,
    frame_age_ms: f64,
    model: &'a str,
}

/// A picture or a frame that can't be read.
#[derive(Serialize)]
pub(super) struct ErrorLine {
    schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<String>,
    error: String,
}

/// Capture went to another state.
#[derive(Serialize)]
pub(super) struct StateLine<'a> {
    schema: u32,
    time: String,
    state: &'static str,
    reason: &'a str,
}

/// Lines that should stand here and don't.
#[derive(Serialize)]
pub(super) struct LostLine<'a> {
    schema: u32,
    time: String,
    lost: u64,
    error: &'a str,
}

impl<'a> FrameLine<'a> {
    pub(super) fn of(frame: &'a Frame, report: &'a Report) -> Self {
        Self {
            schema: LINE_SCHEMA,
            origin: OriginFields::of(frame),
            track: report.stable.as_ref().map(|steady| steady.track),
            seen: SeenFields::of(frame, report.detection.as_ref(), &report.labels),
            truth: TruthFields::of(frame, report),
            model: ModelFields::of(report),
        }
    }
}

impl<'a> EventLine<'a> {
    pub(super) fn of(frame: &Frame, report: &'a Report, event: &Event) -> Self {
        let (from, lasted) = match event.kind {
            EventKind::Appeared => (None, false),
            EventKind::Changed { from } => (Some(report.labels.name(from).unwrap_or("?")), true),
            EventKind::Left => (None, true),
        };
        Self {
            schema: LINE_SCHEMA,
            time: rfc3339(event.time),
            frame: report.sequence,
            event: event.kind.name(),
            track: event.track,
            from,
            duration_s: lasted.then(|| rounded(event.duration.as_secs_f64(), 3)),
            seen: SeenFields::of(frame, Some(&event.detection), &report.labels),
            model: ModelFields::of(report),
        }
    }
}

impl OriginFields {
    fn of(frame: &Frame) -> Self {
        match &frame.origin {
            Origin::Picture(path) => Self::Picture {
                picture: path.to_string_lossy().into_owned(),
            },
            Origin::Live | Origin::Scene(_) => Self::Live {
                time: rfc3339(frame.time),
                frame: frame.sequence,
            },
        }
    }
}

impl<'a> SeenFields<'a> {
    fn of(frame: &Frame, found: Option<&Detection>, labels: &'a Labels) -> Self {
        let (width, height) = frame.image.dimensions();
        Self {
            width,
            height,
            detection: found.map(|found| DetectionFields {
                class: labels.name(found.class).unwrap_or("?"),
                confidence: rounded(f64::from(found.confidence), 4),
                corners: Corners::of(&found.bounding_box),
                pixels: edges(&found.bounding_box.to_pixels(width, height)),
            }),
        }
    }
}

impl<'a> ModelFields<'a> {
    fn of(report: &'a Report) -> Self {
        Self {
            inference_ms: rounded(report.inference.as_secs_f64() * 1e3, 3),
            frame_age_ms: rounded(report.frame_age.as_secs_f64() * 1e3, 3),
            model: &report.model_hash,
        }
    }
}

impl ErrorLine {
    pub(super) fn of(frame: &UnreadableFrame) -> Self {
        let picture = frame.path.as_deref();
        Self {
            schema: LINE_SCHEMA,
            time: picture.is_none().then(|| rfc3339(SystemTime::now())),
            picture: picture.map(|path: &Path| path.to_string_lossy().into_owned()),
            error: frame.reason.clone(),
        }
    }
}

impl<'a> StateLine<'a> {
    pub(super) fn of(change: &'a StateChange) -> Self {
        Self {
            schema: LINE_SCHEMA,
            time: rfc3339(change.time),
            state: change.state.name(),
            reason: &change.reason,
        }
    }
}

impl<'a> LostLine<'a> {
    pub(super) fn of(count: u64, error: &'a str) -> Self {
        Self {
            schema: LINE_SCHEMA,
            time: rfc3339(SystemTime::now()),
            lost: count,
            error,
        }
    }
}

impl<'a> TruthFields<'a> {
    fn of(frame: &'a Frame, report: &Report) -> Option<Self> {
        if !matches!(frame.origin, Origin::Scene(_)) {
            return None;
        }
        let truth = report.truth(frame);
        Some(Self {
            truth: truth.map(|(truth, _)| TrueBoxFields {
                class: &truth.label,
                corners: Corners::of(&truth.bounding_box),
            }),
            iou: truth
                .filter(|_| report.detection.is_some())
                .map(|(_, iou)| rounded(f64::from(iou), 4)),
        })
    }
}

impl Corners {
    fn of(norm: &NormBox) -> Self {
        let [x_min, x_max, y_min, y_max] = norm.corners().map(|c| rounded(f64::from(c), 5));
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

fn rounded(value: f64, decimals: i32) -> f64 {
    let unit = 10_f64.powi(decimals);
    (value * unit).round() / unit
}

/// The last second that RFC 3339 can tell: the end of the year 9999.
const LAST_SECOND: Duration = Duration::from_secs(253_402_300_799);

/// To the millisecond, in UTC. A clock before 1970 (a board without a battery) is shown as 1970.
pub(in crate::sink) fn rfc3339(time: SystemTime) -> String {
    let first = SystemTime::UNIX_EPOCH;
    let time = time.clamp(first, first + LAST_SECOND);
    humantime::format_rfc3339_millis(time).to_string()
}
