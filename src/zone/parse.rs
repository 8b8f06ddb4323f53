//! Zones and lines from texts: `NAME=X,Y;X,Y;...`, then settings, `;KEY=VALUE`.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use super::polygon::{NormPoint, Polygon, PolygonError};
use super::{Line, MARGIN, SETTLE, Zone};
use crate::class_selection::ClassSelection;

/// Longest name, in characters: it is drawn in the picture.
const MAX_NAME: usize = 40;

/// Longest time of a zone.
const MAX_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Largest margin of a line, as a share of the picture.
const MAX_MARGIN: f64 = 0.5;

/// A text that is no zone or line. No message repeats a part of the text that may be anything.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ZoneError {
    #[error("expected NAME=X,Y;X,Y;... with points as shares of the picture from 0 to 1")]
    NoName,
    #[error(
        "the name must have 1 to {MAX_NAME} letters, digits, spaces, \"-\", \"_\" and \".\", and none but letters and digits \
         at its ends"
    )]
    Name,
    #[error("point {number} is not X,Y: expected two numbers with a comma between them")]
    Point {
        /// From 1.
        number: usize,
    },
    #[error(
        "point {number} is outside of the picture; its coordinates are shares of the width and the height, from 0 to 1"
    )]
    Outside { number: usize },
    #[error(transparent)]
    Polygon(#[from] PolygonError),
    #[error("a line has 2 points, not {count}")]
    LinePoints { count: usize },
    #[error("both points of the line are the same; move one of them")]
    NoLength,
    #[error("unknown key, expected one of {expected}")]
    UnknownKey {
        /// Empty if it can't be a key.
        key: String,
        expected: &'static str,
    },
    #[error("expected a time up to 24h, as 500ms, 2s or 1min")]
    Time { key: ZoneKey },
    #[error("expected names of classes, with commas between them")]
    Classes,
    #[error(
        "expected two different names with a comma between them: that of crossings from left to right, as seen from the \
         first point to the second, and that of crossings from right to left"
    )]
    Directions,
    #[error("expected a share of the picture from 0 to {MAX_MARGIN}")]
    Margin,
}

/// A key of the table of a zone or a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneKey {
    Name,
    Points,
    Classes,
    Settle,
    Loiter,
    Directions,
    Margin,
}

impl ZoneKey {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Points => "points",
            Self::Classes => "classes",
            Self::Settle => "settle",
            Self::Loiter => "loiter",
            Self::Directions => "directions",
            Self::Margin => "margin",
        }
    }
}

impl ZoneError {
    /// The key whose value is wrong, or that is unknown.
    #[must_use]
    pub fn key(&self) -> &str {
        let key = match self {
            Self::UnknownKey { key, .. } => return key,
            Self::NoName | Self::Name => ZoneKey::Name,
            Self::Point { .. }
            | Self::Outside { .. }
            | Self::Polygon(_)
            | Self::LinePoints { .. }
            | Self::NoLength => ZoneKey::Points,
            Self::Time { key } => *key,
            Self::Classes => ZoneKey::Classes,
            Self::Directions => ZoneKey::Directions,
            Self::Margin => ZoneKey::Margin,
        };
        key.name()
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        let Parts {
            name,
            points,
            settings,
        } = Parts::of(text)?;
        let mut zone = Self {
            name,
            polygon: Polygon::new(points)?,
            classes: ClassSelection::default(),
            settle: SETTLE,
            loiter: None,
        };
        for (key, value) in settings {
            match key {
                "classes" => zone.classes = classes(value)?,
                "settle" => zone.settle = time(value, ZoneKey::Settle)?,
                "loiter" => zone.loiter = Some(time(value, ZoneKey::Loiter)?),
                _ => return Err(unknown(key, "name, points, classes, settle, loiter")),
            }
        }
        Ok(zone)
    }
}

impl FromStr for Line {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        let Parts {
            name,
            points,
            settings,
        } = Parts::of(text)?;
        let count = points.len();
        let ends: [NormPoint; 2] = points
            .try_into()
            .map_err(|_| ZoneError::LinePoints { count })?;
        if ends[0] == ends[1] {
            return Err(ZoneError::NoLength);
        }
        let mut line = Self {
            name,
            ends,
            classes: ClassSelection::default(),
            direction_names: ["in", "out"].map(str::to_owned),
            margin: MARGIN,
        };
        for (key, value) in settings {
            match key {
                "classes" => line.classes = classes(value)?,
                "directions" => line.direction_names = directions(value)?,
                "margin" => line.margin = margin(value)?,
                _ => return Err(unknown(key, "name, points, classes, directions, margin")),
            }
        }
        Ok(line)
    }
}

/// The parts of a text.
struct Parts<'t> {
    name: String,
    points: Vec<NormPoint>,
    /// Keys and values.
    settings: Vec<(&'t str, &'t str)>,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Result<Self, ZoneError> {
        let (name, rest) = text.split_once('=').ok_or(ZoneError::NoName)?;
        let mut parts = Self {
            name: valid_name(name).ok_or(ZoneError::Name)?,
            points: Vec::new(),
            settings: Vec::new(),
        };
        let texts = rest.split(';').map(str::trim);
        for text in texts.filter(|text| !text.is_empty()) {
            match text.split_once('=') {
                Some((key, value)) => parts.settings.push((key.trim(), value.trim())),
                None => parts.points.push(point(text, parts.points.len() + 1)?),
            }
        }
        Ok(parts)
    }
}

/// Names are drawn, and are parts of file names, of JSON and of metrics.
fn valid_name(name: &str) -> Option<String> {
    let name = name.trim();
    let is_valid = |c: char| c.is_alphanumeric() || " -_.".contains(c);
    let ends = [name.chars().next()?, name.chars().next_back()?];
    let is_name = ends.into_iter().all(char::is_alphanumeric)
        && name.chars().all(is_valid)
        && name.chars().count() <= MAX_NAME;
    is_name.then(|| name.to_owned())
}

fn point(text: &str, number: usize) -> Result<NormPoint, ZoneError> {
    let coordinate = |text: &str| text.trim().parse::<f64>().ok();
    let pair = text.split_once(',');
    let pair = pair.and_then(|(x, y)| Some((coordinate(x)?, coordinate(y)?)));
    let (x, y) = pair.ok_or(ZoneError::Point { number })?;
    NormPoint::new(x, y).ok_or(ZoneError::Outside { number })
}

fn classes(text: &str) -> Result<ClassSelection, ZoneError> {
    text.parse().map_err(|_| ZoneError::Classes)
}

fn time(text: &str, key: ZoneKey) -> Result<Duration, ZoneError> {
    let time = text.parse::<humantime::Duration>().ok().map(Duration::from);
    let is_valid = |time: &Duration| *time <= MAX_TIME;
    time.filter(is_valid).ok_or(ZoneError::Time { key })
}

fn directions(text: &str) -> Result<[String; 2], ZoneError> {
    let pair = text.split_once(',');
    let names = pair.and_then(|(first, second)| Some([valid_name(first)?, valid_name(second)?]));
    let is_different = |names: &[String; 2]| names[0] != names[1];
    names.filter(is_different).ok_or(ZoneError::Directions)
}

fn margin(text: &str) -> Result<f64, ZoneError> {
    let margin = text.parse().ok();
    let is_valid = |margin: &f64| (0.0..=MAX_MARGIN).contains(margin);
    margin.filter(is_valid).ok_or(ZoneError::Margin)
}

fn unknown(key: &str, expected: &'static str) -> ZoneError {
    let is_valid = |c: char| c.is_ascii_lowercase() || c == '-';
    let key = match key.chars().all(is_valid) {
        true => key.to_owned(),
        false => String::new(),
    };
    ZoneError::UnknownKey { key, expected }
}
