//! Where a frame differs: blocks that belong together.

use crate::geometry::NormBox;
use crate::regions::MovedArea;

/// A block has changed if it and a neighbour differ in the same direction by so many deviations.
const WITH_NEIGHBOR: f32 = 6.0;

/// A block has changed if it alone differs by so many deviations.
const ALONE: f32 = 12.0;

/// Most areas of a frame.
const MAX_AREAS: usize = 8;

/// The areas of blocks that have changed, each with a margin of one block, the largest first. `excess` is in deviations, row by
/// row.
pub(super) fn moved_areas(excess: &[f32], columns: usize) -> Vec<MovedArea> {
    let grid = Grid { excess, columns };
    let mut is_left: Vec<bool> = (0..excess.len()).map(|at| grid.has_changed(at)).collect();
    let mut areas = Vec::new();
    for first in 0..excess.len() {
        if is_left[first] {
            areas.push(grid.area(first, &mut is_left));
        }
    }
    areas.sort_by_key(|area| std::cmp::Reverse(area.blocks));
    areas.truncate(MAX_AREAS);
    areas.iter().filter_map(|area| grid.moved(area)).collect()
}

struct Grid<'a> {
    excess: &'a [f32],
    columns: usize,
}

/// Blocks that touch each other, from the first to the last column and row.
struct Area {
    blocks: usize,
    columns: (usize, usize),
    rows: (usize, usize),
}

impl Grid<'_> {
    fn rows(&self) -> usize {
        self.excess.len() / self.columns.max(1)
    }

    /// The blocks around one, also at its corners.
    fn neighbors(&self, at: usize) -> impl Iterator<Item = usize> {
        let (columns, rows) = (self.columns, self.rows());
        let (row, column) = (at / columns, at % columns);
        let (left, right) = (column.saturating_sub(1), (column + 1).min(columns - 1));
        let around = row.saturating_sub(1)..=(row + 1).min(rows - 1);
        around
            .flat_map(move |row| (left..=right).map(move |column| row * columns + column))
            .filter(move |&neighbor| neighbor != at)
    }

    fn has_changed(&self, at: usize) -> bool {
        let own = self.excess[at];
        if own.abs() < WITH_NEIGHBOR {
            return false;
        }
        let is_alike = |neighbor: usize| self.excess[neighbor] * own.signum() >= WITH_NEIGHBOR;
        own.abs() >= ALONE || self.neighbors(at).any(is_alike)
    }

    /// Takes the blocks that belong to `first` out of those that are left.
    fn area(&self, first: usize, is_left: &mut [bool]) -> Area {
        let (row, column) = (first / self.columns, first % self.columns);
        let mut area = Area {
            blocks: 0,
            columns: (column, column),
            rows: (row, row),
        };
        is_left[first] = false;
        let mut next = vec![first];
        while let Some(at) = next.pop() {
            let (row, column) = (at / self.columns, at % self.columns);
            area.blocks += 1;
            area.columns = (area.columns.0.min(column), area.columns.1.max(column));
            area.rows = (area.rows.0.min(row), area.rows.1.max(row));
            for neighbor in self.neighbors(at) {
                if std::mem::take(&mut is_left[neighbor]) {
                    next.push(neighbor);
                }
            }
        }
        area
    }

    fn moved(&self, area: &Area) -> Option<MovedArea> {
        let share = |(first, last): (usize, usize), count: usize| {
            let (start, end) = (first.saturating_sub(1), (last + 2).min(count));
            (start as f32 / count as f32, end as f32 / count as f32)
        };
        let (x_min, x_max) = share(area.columns, self.columns);
        let (y_min, y_max) = share(area.rows, self.rows());
        let bounding_box = NormBox::new(x_min, x_max, y_min, y_max).ok()?;
        Some(MovedArea { bounding_box })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Areas of a grid of 10 x 6 with these values, in blocks: left, right, top, bottom.
    fn areas(values: &[(usize, usize, f32)]) -> Vec<[f32; 4]> {
        let mut excess = vec![0.0; 60];
        for &(column, row, value) in values {
            excess[row * 10 + column] = value;
        }
        let areas = moved_areas(&excess, 10);
        let blocks = |area: &MovedArea| {
            let [x_min, x_max, y_min, y_max] = area.bounding_box.corners();
            [x_min * 10.0, x_max * 10.0, y_min * 6.0, y_max * 6.0].map(f32::round)
        };
        areas.iter().map(blocks).collect()
    }

    #[test]
    fn a_block_needs_a_neighbor_or_twice_the_difference() {
        assert!(areas(&[(3, 3, 11.0)]).is_empty());
        assert!(areas(&[(3, 3, 11.0), (5, 3, 11.0)]).is_empty());
        assert!(
            areas(&[(3, 3, 11.0), (4, 3, -11.0)]).is_empty(),
            "an edge that trembles"
        );
        assert_eq!(areas(&[(3, 3, -13.0)]), [[2.0, 5.0, 2.0, 5.0]]);
        assert_eq!(areas(&[(3, 3, 7.0), (4, 4, 7.0)]), [[2.0, 6.0, 2.0, 6.0]]);
    }

    #[test]
    fn the_largest_area_comes_first_and_ends_at_the_frame() {
        let found = areas(&[(9, 5, 20.0), (0, 0, 7.0), (1, 0, 7.0), (1, 1, 7.0)]);
        assert_eq!(found, [[0.0, 3.0, 0.0, 3.0], [8.0, 10.0, 4.0, 6.0]]);
        let many: Vec<_> = (0..5)
            .flat_map(|x| (0..3).map(move |y| (2 * x, 2 * y, 20.0)))
            .collect();
        assert_eq!(areas(&many).len(), MAX_AREAS);
    }
}
