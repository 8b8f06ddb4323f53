//! A grid of overlapping tiles that covers a frame.

use std::ops::RangeInclusive;

use embedded_graphics::prelude::{Point, Size};
use embedded_graphics::primitives::Rectangle;

use super::Sizes;

/// How a frame is divided into tiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tiling {
    /// Least side of a tile in pixels; it is never less than that of the network's input.
    pub min_side: u32,
    /// Most tiles.
    pub most: usize,
    /// Neighbouring tiles share at least this part of their side, so that an object of that size is whole in one of them;
    /// `0.0..1.0`.
    pub overlap: f64,
}

/// The smallest tiles that a tiling allows, row by row; together they are the frame.
///
/// A tile is nearly square: each side is as short as the overlap allows with the number of columns and rows that squares would
/// need. Empty if one tile would be the whole frame.
#[must_use]
pub fn tiles(sizes: &Sizes, tiling: &Tiling) -> Vec<Rectangle> {
    let frame = sizes.frame;
    let min_side = tiling.min_side.max(sizes.input_side()).max(1);
    let longest = frame.width.max(frame.height);
    let grid = |side| Grid::new(frame, min_side..=side, tiling.overlap);
    let count = |side| grid(side).count();
    if min_side >= longest || tiling.most < 2 {
        return Vec::new();
    }
    // The number of tiles falls with their side.
    let (mut too_small, mut enough) = (min_side - 1, longest);
    while enough - too_small > 1 {
        let middle = too_small + (enough - too_small) / 2;
        if count(middle) <= tiling.most {
            enough = middle;
        } else {
            too_small = middle;
        }
    }
    match grid(enough) {
        grid if grid.count() < 2 => Vec::new(),
        grid => grid.tiles().collect(),
    }
}

/// Tiles of one size, evenly spaced.
struct Grid {
    frame: Size,
    tile: Size,
    columns: u32,
    rows: u32,
}

impl Grid {
    /// As many columns and rows as squares of the longest of `sides` need.
    fn new(frame: Size, sides: RangeInclusive<u32>, overlap: f64) -> Self {
        let longest = *sides.end();
        let step = (f64::from(longest) * (1.0 - overlap)).max(1.0);
        let count = |length: u32| {
            let rest = f64::from(length.saturating_sub(longest));
            (rest / step).ceil() as u32 + 1
        };
        let shortest = |length: u32, count: u32| {
            let tiles = 1.0 + f64::from(count - 1) * (1.0 - overlap);
            let side = (f64::from(length) / tiles).ceil() as u32;
            side.clamp(*sides.start(), longest).min(length)
        };
        let (columns, rows) = (count(frame.width), count(frame.height));
        let tile = Size::new(shortest(frame.width, columns), shortest(frame.height, rows));
        Self {
            frame,
            tile,
            columns,
            rows,
        }
    }

    fn count(&self) -> usize {
        self.columns as usize * self.rows as usize
    }

    fn tiles(&self) -> impl Iterator<Item = Rectangle> {
        let start = |index: u32, count: u32, length: u32, tile: u32| {
            let rest = u64::from(length - tile) * u64::from(index);
            (rest / u64::from(count.saturating_sub(1).max(1))) as i32
        };
        let Self {
            frame,
            tile,
            columns,
            rows,
        } = *self;
        (0..rows).flat_map(move |row| {
            let top = start(row, rows, frame.height, tile.height);
            (0..columns).map(move |column| {
                let left = start(column, columns, frame.width, tile.width);
                Rectangle::new(Point::new(left, top), tile)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(width: u32, height: u32, input: u32) -> Sizes {
        Sizes {
            frame: Size::new(width, height),
            input: Size::new(input, input),
        }
    }

    fn tiling(min_side: u32, most: usize) -> Tiling {
        Tiling {
            min_side,
            most,
            overlap: OVERLAP,
        }
    }

    const OVERLAP: f64 = 0.2;

    #[test]
    fn a_full_hd_frame_has_four_by_two_tiles() {
        let found = tiles(&sizes(1920, 1080, 300), &tiling(0, 8));
        assert_eq!(found.len(), 8);
        assert!(found.iter().all(|tile| tile.size == Size::new(565, 600)));
        assert_eq!(found[0].top_left, Point::new(0, 0));
        assert_eq!(found[7].top_left, Point::new(1355, 480));
    }

    #[test]
    fn tiles_are_not_smaller_than_the_input_or_the_least_side() {
        let small = tiles(&sizes(640, 480, 300), &tiling(0, 100));
        assert_eq!(small.len(), 6);
        assert!(small.iter().all(|tile| tile.size == Size::new(300, 300)));
        let found = tiles(&sizes(1920, 1080, 300), &tiling(480, 100));
        assert!(found.iter().all(|tile| tile.size == Size::new(480, 480)));
        assert_eq!(tiles(&sizes(300, 300, 300), &tiling(0, 11)), []);
        assert_eq!(tiles(&sizes(200, 100, 300), &tiling(0, 11)), []);
        assert_eq!(tiles(&sizes(1920, 1080, 300), &tiling(0, 1)), []);
    }

    #[test]
    fn tiles_cover_frames_of_any_size_and_overlap() {
        let random = &mut fastrand::Rng::with_seed(5);
        for _ in 0..500 {
            let sizes = sizes(random.u32(1..5000), random.u32(1..5000), random.u32(8..600));
            let most = random.usize(0..=40);
            let found = tiles(&sizes, &tiling(0, most));
            assert!(found.len() <= most, "{sizes:?} {most}");
            if found.is_empty() {
                continue;
            }
            let (width, height) = (sizes.frame.width as i32, sizes.frame.height as i32);
            let tile = found[0].size;
            for rectangle in &found {
                let Point { x, y } = rectangle.top_left;
                assert!(x >= 0 && y >= 0 && rectangle.size == tile);
                assert!(x + tile.width as i32 <= width && y + tile.height as i32 <= height);
            }
            let lefts = found.iter().map(|tile| tile.top_left.x);
            let tops = found.iter().map(|tile| tile.top_left.y);
            assert_covers(lefts.collect(), tile.width as i32, width);
            assert_covers(tops.collect(), tile.height as i32, height);
        }
    }

    /// The positions along one side: from its start to its end, with overlaps.
    fn assert_covers(mut starts: Vec<i32>, tile: i32, length: i32) {
        starts.sort_unstable();
        starts.dedup();
        assert_eq!((starts[0], starts[starts.len() - 1]), (0, length - tile));
        let overlap = (f64::from(tile) * OVERLAP) as i32 - 1;
        for pair in starts.windows(2) {
            assert!(pair[1] - pair[0] <= tile - overlap, "{starts:?} {tile}");
        }
    }
}
