//! Zones and lines of a picture: where things are noticed, and where their crossings are counted.
//!
//! Both are texts of options, `NAME=X,Y;X,Y;...;KEY=VALUE`, with points as shares of the picture's width and height.
//! [`ZoneMap`] is all that are given. What things do there is the matter of [`crate::zone_monitor`].

use std::time::Duration;

use thiserror::Error;

use crate::class_selection::{ClassSelection, UnknownClass};
use crate::label::Labels;
use crate::label::aliases::Aliases;

mod parse;
mod polygon;

pub use parse::{ZoneError, ZoneKey};
pub use polygon::{NormPoint, Polygon, PolygonError};

use polygon::segments_touch;

/// The default of [`Zone::settle`].
const SETTLE: Duration = Duration::from_millis(500);

/// The default of [`Line::margin`].
const MARGIN: f64 = 0.02;

/// A part of the picture. A thing is in it while the middle of its lower edge is.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    name: String,
    polygon: Polygon,
    classes: ClassSelection,
    settle: Duration,
    loiter: Option<Duration>,
}

/// A segment whose crossings are counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    name: String,
    ends: [NormPoint; 2],
    classes: ClassSelection,
    /// Of [`Direction::In`] and [`Direction::Out`].
    direction_names: [String; 2],
    margin: f64,
}

/// From which side a line is crossed, as the picture is seen on the way from its first to its second point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From left to right; over a line that was drawn from left to right, downwards.
    In,
    /// From right to left.
    Out,
}

/// Index of a zone in a [`ZoneMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZoneId(usize);

/// Index of a line in a [`ZoneMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineId(usize);

/// The zones and lines of a run. No two zones, and no two lines, have the same name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ZoneMap {
    zones: Vec<Zone>,
    lines: Vec<Line>,
    is_drawn: bool,
}

/// Two zones or two lines with the same name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("two {what}s are named \"{name}\"; give each another name")]
pub struct DuplicateName {
    /// `zone` or `line`.
    pub what: &'static str,
    pub name: String,
}

/// A class of a zone or of a line that the model does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} \"{name}\": {source}")]
pub struct UnknownZoneClass {
    /// `zone` or `line`.
    pub what: &'static str,
    pub name: String,
    pub source: UnknownClass,
}

impl Zone {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub const fn polygon(&self) -> &Polygon {
        &self.polygon
    }

    #[must_use]
    pub const fn classes(&self) -> &ClassSelection {
        &self.classes
    }

    /// A thing has entered after it was in the zone for this time, and has left after it was outside for this time.
    #[must_use]
    pub const fn settle(&self) -> Duration {
        self.settle
    }

    /// A thing loiters after it was in the zone for this time; `None` if that is not reported.
    #[must_use]
    pub const fn loiter(&self) -> Option<Duration> {
        self.loiter
    }
}

impl Line {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first and the second point.
    #[must_use]
    pub const fn ends(&self) -> [NormPoint; 2] {
        self.ends
    }

    #[must_use]
    pub const fn classes(&self) -> &ClassSelection {
        &self.classes
    }

    #[must_use]
    pub fn direction_name(&self, direction: Direction) -> &str {
        &self.direction_names[direction.index()]
    }

    /// The side of the line, extended without end, that a point is on: that where a crossing in this direction ends. A
    /// point on the line is on the right side.
    pub(crate) fn side(&self, point: NormPoint) -> Direction {
        let [first, second] = self.ends;
        match point.side_of(first, second) {
            0.. => Direction::In,
            _ => Direction::Out,
        }
    }

    /// As [`Self::side`]; `None` for a point that is nearer to the line than the margin.
    pub(crate) fn clear_side(&self, point: NormPoint) -> Option<Direction> {
        let [first, second] = self.ends;
        // In square shares; the area of a triangle is half of its base times its height.
        let doubled_area = point.side_of(first, second) as f64 / 1e12;
        let distance = doubled_area.abs() / first.distance(second);
        // A point has whole millionths, so less than one is rounding.
        (distance + 1e-7 >= self.margin).then(|| self.side(point))
    }

    /// Whether a straight way meets the segment.
    pub(crate) fn is_met_by(&self, from: NormPoint, to: NormPoint) -> bool {
        segments_touch(self.ends, [from, to])
    }
}

impl Direction {
    pub const ALL: [Self; 2] = [Self::In, Self::Out];

    /// Position in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::In => 0,
            Self::Out => 1,
        }
    }
}

impl ZoneMap {
    /// `is_drawn`: whether screens and snapshots show them, as the web page always does.
    ///
    /// # Errors
    /// [`DuplicateName`] if two zones or two lines have the same name.
    pub fn new(zones: Vec<Zone>, lines: Vec<Line>, is_drawn: bool) -> Result<Self, DuplicateName> {
        let map = Self {
            zones,
            lines,
            is_drawn,
        };
        let zones = map.zones.iter().map(Zone::name);
        check_unique("zone", zones)?;
        let lines = map.lines.iter().map(Line::name);
        check_unique("line", lines)?;
        Ok(map)
    }

    /// The same with aliases of classes replaced by the classes that they stand for.
    #[must_use]
    pub fn without_aliases(mut self, labels: &Labels, aliases: &Aliases) -> Self {
        let zones = self.zones.iter_mut().map(|zone| &mut zone.classes);
        let lines = self.lines.iter_mut().map(|line| &mut line.classes);
        for classes in zones.chain(lines) {
            *classes = classes.without_aliases(labels, aliases);
        }
        self
    }

    /// Checks that a model has the classes of all zones and lines.
    ///
    /// # Errors
    /// [`UnknownZoneClass`] of the first that it does not have.
    pub fn check_classes(&self, labels: &Labels) -> Result<(), UnknownZoneClass> {
        let zones = self.zones.iter().map(|z| ("zone", &z.name, &z.classes));
        let lines = self.lines.iter().map(|l| ("line", &l.name, &l.classes));
        for (what, name, classes) in zones.chain(lines) {
            classes.check(labels).map_err(|source| UnknownZoneClass {
                what,
                name: name.clone(),
                source,
            })?;
        }
        Ok(())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty() && self.lines.is_empty()
    }

    /// Whether screens and snapshots show them, as the web page always does.
    #[must_use]
    pub const fn is_drawn(&self) -> bool {
        self.is_drawn
    }

    pub fn zones(&self) -> impl ExactSizeIterator<Item = (ZoneId, &Zone)> {
        let zones = self.zones.iter().enumerate();
        zones.map(|(index, zone)| (ZoneId(index), zone))
    }

    pub fn lines(&self) -> impl ExactSizeIterator<Item = (LineId, &Line)> {
        let lines = self.lines.iter().enumerate();
        lines.map(|(index, line)| (LineId(index), line))
    }

    /// `None` if the zone is of another map.
    #[must_use]
    pub fn zone(&self, id: ZoneId) -> Option<&Zone> {
        self.zones.get(id.0)
    }

    /// `None` if the line is of another map.
    #[must_use]
    pub fn line(&self, id: LineId) -> Option<&Line> {
        self.lines.get(id.0)
    }
}

fn check_unique<'n>(
    what: &'static str,
    names: impl Iterator<Item = &'n str>,
) -> Result<(), DuplicateName> {
    let mut known = Vec::new();
    for name in names {
        if known.contains(&name) {
            let name = name.to_owned();
            return Err(DuplicateName { what, name });
        }
        known.push(name);
    }
    Ok(())
}

impl ZoneId {
    /// Position in [`ZoneMap::zones`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

impl LineId {
    /// Position in [`ZoneMap::lines`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests;
