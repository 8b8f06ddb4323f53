//! How well boxes fit, as counts: a mean hides that half of them may fit and the other half not at all.

use serde::Serialize;

use super::record::{Record, Records};

/// Bins over `0..=1`.
const BINS: usize = 10;

/// Counts of boxes by IoU, in ten bins of equal width: from `n / 10`, which is in it, to the next; 1 is in the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IouHistogram {
    /// Over all true rows.
    pub rows: [usize; BINS],
    /// Over the largest true box of each picture that has one.
    pub largest_box: [usize; BINS],
}

impl IouHistogram {
    /// Over all pictures.
    #[must_use]
    pub fn of(records: &Records) -> Self {
        let pictures = records.pictures().iter();
        let rows = pictures.clone().flat_map(|picture| &picture.rows);
        Self {
            rows: counts(rows.map(|row| row.iou)),
            largest_box: counts(pictures.filter_map(Record::largest_iou)),
        }
    }
}

fn counts(overlaps: impl Iterator<Item = f32>) -> [usize; BINS] {
    let mut counts = [0; BINS];
    for overlap in overlaps {
        // The edges in the width of an IoU, so that 0.7 is not taken for a little less.
        let edge = |bin: usize| bin as f32 / BINS as f32;
        let bin = (1..BINS).rev().find(|&bin| overlap >= edge(bin));
        counts[bin.unwrap_or(0)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::super::record::{records, seen};
    use super::*;

    #[test]
    fn a_lower_edge_belongs_to_its_bin() {
        let histogram = IouHistogram::of(&records(vec![
            seen(0, 0.9, &[(0, 0.5), (0, 0.0), (1, 0.499)]),
            seen(0, 0.9, &[(0, 1.0), (0, 0.7)]),
            seen(0, 0.9, &[]),
        ]));
        assert_eq!(histogram.rows, [1, 0, 0, 0, 1, 1, 0, 1, 0, 1]);
        assert_eq!(histogram.largest_box, [0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
    }
}
