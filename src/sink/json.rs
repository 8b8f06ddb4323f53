//! JSON lines: one object a frame, for programs to read.
//!
//! In go frames with their reports, out come lines with the fields of the structures below, each line
//! flushed so that a reader sees it at once. A picture that can't be read gives a line too. A reader that has had enough
//! (`| head`) ends the run quietly.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use embedded_graphics::primitives::Rectangle;
use serde::Serialize;

use super::{Sink, SinkError};
use crate::frame::{Frame, Origin};
use crate::geometry::NormBox;
use crate::report::Report;
use crate::source::SourceError;

/// The version of the lines; it goes up when a field changes its meaning or goes away.
pub const LINE_SCHEMA: u32 = 1;

/// Writes JSON lines to a file or stream.
pub struct JsonSink<W> {
    to: W,
    /// What errors call it.
    name: PathBuf,
}

/// A frame and what was found in it.
#[derive(Serialize)]
struct FrameLine<'a> {
    schema: u32,
    #[serde(flatten)]
    origin: OriginFields,
    width: u32,
    height: u32,
    detection: Option<DetectionFields<'a>>,
    #[serde(flatten)]
    truth: Option<TruthFields<'a>>,
    inference_ms: f64,
    frame_age_ms: f64,
    model: &'a str,
}

/// Which frame it is: a place in time, or a file.
#[derive(Serialize)]
#[serde(untagged)]
enum OriginFields {
    Live { time: String, frame: u64 },
    Picture { picture: String },
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

/// A picture that can't be read.
#[derive(Serialize)]
struct ErrorLine {
    schema: u32,
    picture: String,
    error: String,
}

impl JsonSink<std::io::Stdout> {
    /// Writes to standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(std::io::stdout(), Path::new("standard output"))
    }
}

impl JsonSink<File> {
    /// Writes to a file, which is made anew.
    ///
    /// # Errors
    /// [`SinkError::Write`] when the file can't be made.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        match File::create(path) {
            Ok(file) => Ok(Self::new(file, path)),
            Err(source) => Err(SinkError::Write {
                path: path.into(),
                source,
            }),
        }
    }
}

impl<W: Write> JsonSink<W> {
    /// Writes to anything; `name` is what errors call it.
    pub fn new(to: W, name: &Path) -> Self {
        Self {
            to,
            name: name.into(),
        }
    }

    fn write_line(&mut self, line: &impl Serialize) -> Result<(), SinkError> {
        // In one piece, so that a line is there as a whole or not at all.
        let mut text = serde_json::to_vec(line).map_err(|error| self.failed(error.into()))?;
        text.push(b'\n');
        let written = self.to.write_all(&text).and_then(|()| self.to.flush());
        written.map_err(|error| self.failed(error))
    }

    fn failed(&self, source: std::io::Error) -> SinkError {
        match source.kind() {
            ErrorKind::BrokenPipe => SinkError::Closed,
            _ => SinkError::Write {
                path: self.name.clone(),
                source,
            },
        }
    }
}

impl<W: Write> Sink for JsonSink<W> {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        self.write_line(&FrameLine::of(frame, report))
    }

    fn skip(&mut self, error: &SourceError) -> Result<(), SinkError> {
        let path = error.path().unwrap_or(Path::new(""));
        self.write_line(&ErrorLine {
            schema: LINE_SCHEMA,
            picture: path.to_string_lossy().into_owned(),
            error: error.to_string(),
        })
    }
}

impl<'a> FrameLine<'a> {
    fn of(frame: &'a Frame, report: &'a Report) -> Self {
        let (width, height) = frame.image.dimensions();
        Self {
            schema: LINE_SCHEMA,
            origin: OriginFields::of(frame),
            width,
            height,
            detection: DetectionFields::of(report, width, height),
            truth: TruthFields::of(frame, report),
            inference_ms: rounded(report.inference.as_secs_f64() * 1e3, 3),
            frame_age_ms: rounded(report.frame_age.as_secs_f64() * 1e3, 3),
            model: &report.model_hash,
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

impl<'a> DetectionFields<'a> {
    fn of(report: &'a Report, width: u32, height: u32) -> Option<Self> {
        let found = report.detection?;
        Some(Self {
            class: report.label().unwrap_or("?"),
            confidence: rounded(f64::from(found.confidence), 4),
            corners: Corners::of(&found.bounding_box),
            pixels: edges(&found.bounding_box.to_pixels(width, height)),
        })
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

/// To the millisecond, in UTC. A clock before 1970 (a board without a battery) is shown as 1970.
fn rfc3339(time: SystemTime) -> String {
    let time = time.max(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests;
