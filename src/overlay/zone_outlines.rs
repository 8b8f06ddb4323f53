//! The outlines of zones, and lines with an arrow, each with its name and its count.

use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Line as Segment, PointsIter, Rectangle};

use super::placement::LabelPlacer;
use super::{BLACK, OverlayLayout, fill};
use crate::zone::{Direction, Line, NormPoint, Zone, ZoneMap};
use crate::zone_monitor::{ClassCounts, ZoneCounts};

/// Of outlines and captions. It is not a class color.
const VIOLET: Rgb888 = Rgb888::new(0xCC, 0x99, 0xFF);

/// Length of a line's arrow, as a divisor of the shorter side of the picture.
const ARROW_DIVISOR: u32 = 20;

impl OverlayLayout {
    pub(super) fn draw_zone_outlines<D>(
        &self,
        target: &mut D,
        map: &ZoneMap,
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        for (_, zone) in map.zones() {
            let corners = zone.polygon().points();
            let closed = corners.iter().chain(corners.first());
            let closed: Vec<Point> = closed.map(|corner| self.pixel(*corner)).collect();
            self.draw_path(target, &closed)?;
        }
        for (_, line) in map.lines() {
            let [first, second] = line.ends().map(|end| self.pixel(end));
            self.draw_path(target, &[first, second])?;
            for stroke in self.arrow(first, second) {
                self.draw_path(target, &stroke)?;
            }
        }
        Ok(())
    }

    /// Draws names and counts where `placer` has room for them.
    pub(super) fn draw_zone_captions<D>(
        &self,
        target: &mut D,
        placer: &mut LabelPlacer,
        counts: &ZoneCounts,
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let zones = counts.zones().map(|(zone, present)| {
            let corners = zone
                .polygon()
                .points()
                .iter()
                .map(|corner| self.pixel(*corner));
            (zone_caption(zone, present), corners.collect::<Vec<Point>>())
        });
        let lines = counts.lines().map(|(line, crossed)| {
            let ends = line.ends().map(|end| self.pixel(end));
            (line_caption(line, crossed), ends.to_vec())
        });
        for (text, places) in zones.chain(lines) {
            let label = self.small_label(text, VIOLET);
            self.draw_placed(target, placer, &label, &places)?;
        }
        Ok(())
    }

    /// The pixel at a point; that at the right or the lower edge is the last.
    fn pixel(&self, point: NormPoint) -> Point {
        let position = |share: f64, size: u32| {
            let pixel = (share * f64::from(size)) as u32;
            pixel.min(size.saturating_sub(1)) as i32
        };
        Point::new(
            position(point.x(), self.size.width),
            position(point.y(), self.size.height),
        )
    }

    /// A thin line between dark outlines.
    fn draw_path<D>(&self, target: &mut D, points: &[Point]) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        for (color, width) in [(BLACK, 3 * self.dash), (VIOLET, self.dash)] {
            for ends in points.windows(2) {
                self.draw_segment(target, [ends[0], ends[1]], width, color)?;
            }
        }
        Ok(())
    }

    /// Squares along a segment. The joints of a thick `Polyline` of embedded-graphics overflow in large pictures.
    fn draw_segment<D>(
        &self,
        target: &mut D,
        [start, end]: [Point; 2],
        width: u32,
        color: Rgb888,
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let whole = Rectangle::new(Point::zero(), self.size);
        let step = (width / 4).max(1) as usize;
        let centers = Segment::new(start, end).points().step_by(step);
        for center in centers.chain([end]) {
            let square = Rectangle::with_center(center, Size::new_equal(width));
            fill(target, &square.intersection(&whole), color)?;
        }
        Ok(())
    }

    /// An arrow from the middle of a line in the direction [`Direction::In`]: the shaft and the two sides of its head.
    fn arrow(&self, first: Point, second: Point) -> [[Point; 2]; 3] {
        let along = second - first;
        let length = f64::from(along.x).hypot(f64::from(along.y)).max(1.0);
        let side = f64::from(self.size.width.min(self.size.height) / ARROW_DIVISOR);
        // The unit vectors along the line and to its right, as y points downwards.
        let along = (f64::from(along.x) / length, f64::from(along.y) / length);
        let right = (-along.1, along.0);
        let middle = Segment::new(first, second).midpoint();
        let point = |forward: f64, aside: f64| {
            let x = forward * right.0 + aside * along.0;
            let y = forward * right.1 + aside * along.1;
            middle + Point::new((x * side).round() as i32, (y * side).round() as i32)
        };
        let tip = point(1.0, 0.0);
        [
            [middle, tip],
            [point(0.6, -0.3), tip],
            [point(0.6, 0.3), tip],
        ]
    }
}

fn zone_caption(zone: &Zone, present: &ClassCounts) -> String {
    let count: u64 = present.values().sum();
    format!("{}: {count}", zone.name())
}

fn line_caption(line: &Line, crossed: &[ClassCounts; 2]) -> String {
    let counts = Direction::ALL.map(|direction| {
        let count: u64 = crossed[direction.index()].values().sum();
        format!("{} {count}", line.direction_name(direction))
    });
    format!("{}: {}", line.name(), counts.join(", "))
}
