//! Points and simple polygons in exact integer arithmetic.

use thiserror::Error;

use crate::geometry::NormBox;

/// Units of a point's coordinates in the width and in the height of the picture.
const UNITS: i32 = 1_000_000;

/// Most corners of a polygon; each pair of sides is checked.
const MAX_POINTS: usize = 100;

/// A point of the picture. Coordinates are whole millionths of its width and height, so that all decisions about a
/// point are exact: it is on one side of a line or on the other, in whatever direction the line is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NormPoint {
    /// In `0..=UNITS`.
    x: i32,
    y: i32,
}

impl NormPoint {
    /// From shares of the picture's width and height, rounded to millionths. `None` if one is not in `0..=1`.
    #[must_use]
    pub fn new(x: f64, y: f64) -> Option<Self> {
        let units = |share: f64| {
            let is_valid = (0.0..=1.0).contains(&share);
            is_valid.then(|| (share * f64::from(UNITS)).round() as i32)
        };
        Some(Self {
            x: units(x)?,
            y: units(y)?,
        })
    }

    /// Where a thing stands: the middle of the lower edge of its box.
    #[must_use]
    pub fn foot_of(bounding_box: &NormBox) -> Self {
        let [x_min, x_max, _, y_max] = bounding_box.corners().map(f64::from);
        let units = |share: f64| (share * f64::from(UNITS)).round() as i32;
        Self {
            x: units((x_min + x_max) / 2.0),
            y: units(y_max),
        }
    }

    /// Share of the picture's width, `0..=1`.
    #[must_use]
    pub fn x(self) -> f64 {
        f64::from(self.x) / f64::from(UNITS)
    }

    /// Share of the picture's height, `0..=1`.
    #[must_use]
    pub fn y(self) -> f64 {
        f64::from(self.y) / f64::from(UNITS)
    }

    /// Twice the signed area of the triangle `a`, `b`, `self`: positive if this point is on the right of the way from
    /// `a` to `b`, as the picture is seen. At most 2e12 in magnitude.
    pub(super) fn side_of(self, a: Self, b: Self) -> i64 {
        let [ax, ay, bx, by, x, y] = [a.x, a.y, b.x, b.y, self.x, self.y].map(i64::from);
        (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    }

    /// Distance in shares of the picture.
    pub(super) fn distance(self, other: Self) -> f64 {
        (self.x() - other.x()).hypot(self.y() - other.y())
    }

    fn is_between(self, a: Self, b: Self) -> bool {
        let is_in = |value: i32, a: i32, b: i32| (a.min(b)..=a.max(b)).contains(&value);
        is_in(self.x, a.x, b.x) && is_in(self.y, a.y, b.y)
    }
}

/// Whether two segments have a point in common.
pub(super) fn segments_touch([a, b]: [NormPoint; 2], [c, d]: [NormPoint; 2]) -> bool {
    let (side_c, side_d) = (c.side_of(a, b).signum(), d.side_of(a, b).signum());
    let (side_a, side_b) = (a.side_of(c, d).signum(), b.side_of(c, d).signum());
    (side_c * side_d < 0 && side_a * side_b < 0)
        || (side_c == 0 && c.is_between(a, b))
        || (side_d == 0 && d.is_between(a, b))
        || (side_a == 0 && a.is_between(c, d))
        || (side_b == 0 && b.is_between(c, d))
}

/// A polygon that does not touch itself and has an area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polygon(Vec<NormPoint>);

/// Points that are no polygon. Points and sides are counted from 1; side 1 is from point 1 to point 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PolygonError {
    #[error("a polygon needs at least 3 points, not {count}")]
    TooFew { count: usize },
    #[error("a polygon has at most {MAX_POINTS} points, not {count}")]
    TooMany { count: usize },
    #[error("points {first} and {second} are the same; remove one of them")]
    SamePoint { first: usize, second: usize },
    #[error("all points are on one line, so it has no area; move one of them")]
    NoArea,
    #[error(
        "side {first} (from point {first}) meets side {second} (from point {second}); list the points in order along the \
         outline"
    )]
    Crossing { first: usize, second: usize },
}

impl Polygon {
    /// A polygon with these corners, in order along its outline. The first may be repeated at the end.
    ///
    /// # Errors
    /// [`PolygonError`]
    pub fn new(mut points: Vec<NormPoint>) -> Result<Self, PolygonError> {
        if points.len() > 3 && points.first() == points.last() {
            points.pop();
        }
        let count = points.len();
        if count < 3 {
            return Err(PolygonError::TooFew { count });
        }
        if count > MAX_POINTS {
            return Err(PolygonError::TooMany { count });
        }
        for second in 1..count {
            let same = points[..second].iter().position(|p| *p == points[second]);
            if let Some(first) = same {
                let (first, second) = (first + 1, second + 1);
                return Err(PolygonError::SamePoint { first, second });
            }
        }
        if points.iter().all(|p| p.side_of(points[0], points[1]) == 0) {
            return Err(PolygonError::NoArea);
        }
        let polygon = Self(points);
        match polygon.first_crossing() {
            Some((first, second)) => Err(PolygonError::Crossing { first, second }),
            None => Ok(polygon),
        }
    }

    #[must_use]
    pub fn points(&self) -> &[NormPoint] {
        &self.0
    }

    /// Whether the point is in the polygon.
    ///
    /// A point on an edge that two polygons share is in exactly one of them: left and upper edges belong to a polygon,
    /// right and lower ones do not (the even-odd rule of W. R. Franklin's *pnpoly*). The right and the lower edge of the
    /// picture belong to the polygon that reaches them: a thing that the picture cuts off below stands there.
    #[must_use]
    pub fn contains(&self, point: NormPoint) -> bool {
        let point = NormPoint {
            x: point.x.min(UNITS - 1),
            y: point.y.min(UNITS - 1),
        };
        let is_left_of = |&[a, b]: &[NormPoint; 2]| {
            // From the lower to the upper end, whatever the order: both polygons at an edge decide alike.
            let (upper, lower) = if a.y <= b.y { (a, b) } else { (b, a) };
            let spans = upper.y <= point.y && point.y < lower.y;
            spans && point.side_of(lower, upper) < 0
        };
        self.sides().filter(is_left_of).count() % 2 == 1
    }

    fn sides(&self) -> impl Iterator<Item = [NormPoint; 2]> {
        let ends = self.0.iter().cycle().skip(1);
        self.0.iter().zip(ends).map(|(a, b)| [*a, *b])
    }

    /// The first two sides, from 1, that have more in common than a corner.
    fn first_crossing(&self) -> Option<(usize, usize)> {
        let sides: Vec<[NormPoint; 2]> = self.sides().collect();
        let count = sides.len();
        let mut pairs =
            (0..count).flat_map(|first| (first + 1..count).map(move |second| (first, second)));
        let meets = |&(first, second): &(usize, usize)| {
            let (a, b) = (sides[first], sides[second]);
            if second == first + 1 {
                folds_back(a, b)
            } else if first == 0 && second == count - 1 {
                folds_back(b, a)
            } else {
                segments_touch(a, b)
            }
        };
        pairs
            .find(meets)
            .map(|(first, second)| (first + 1, second + 1))
    }
}

/// Whether the second of two consecutive sides lies on the first.
fn folds_back([a, corner]: [NormPoint; 2], [_, b]: [NormPoint; 2]) -> bool {
    let is_straight = b.side_of(a, corner) == 0;
    is_straight && (b.is_between(a, corner) || a.is_between(corner, b))
}

#[cfg(test)]
mod tests;
