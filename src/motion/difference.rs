//! The differences of two frames that no change of brightness explains.

use crate::luma_grid::LumaGrid;

/// A block below this luma says little about a factor: its noise is a large share of it.
const DARK: f32 = 16.0;

/// Fewer blocks of a row than this don't tell its factor; that of the whole frame is taken.
const MIN_BLOCKS: usize = 8;

/// A larger factor between two frames, or a smaller one than its inverse, is no change of brightness: something covers the
/// picture, or a lamp was switched.
const MAX_GAIN: f32 = 1.3;

/// For each block, by how much `frame` is brighter than `reference` would be under the light of `frame`. Both are of one size.
pub(super) fn differences(frame: &LumaGrid, reference: &LumaGrid) -> Vec<f32> {
    let columns = frame.columns();
    let rows = || {
        let reference = reference.values().chunks(columns);
        frame.values().chunks(columns).zip(reference)
    };
    let mut ratios = Vec::with_capacity(columns);
    let gains: Vec<Option<f32>> = rows()
        .map(|(row, reference)| gain(row, reference, &mut ratios))
        .collect();
    let mut known: Vec<f32> = gains.iter().copied().flatten().collect();
    let whole = match known.is_empty() {
        true => gain_of_whole(frame, reference),
        false => median(&mut known),
    };
    let mut differences = Vec::with_capacity(frame.values().len());
    for ((row, reference), gain) in rows().zip(gains) {
        let gain = gain.unwrap_or(whole);
        let pairs = row.iter().zip(reference);
        differences.extend(pairs.map(|(value, reference)| value - gain * reference));
    }
    differences
}

/// The factor between two rows; `None` if too few blocks tell it. `ratios` is reused.
fn gain(row: &[f32], reference: &[f32], ratios: &mut Vec<f32>) -> Option<f32> {
    ratios.clear();
    let pairs = row.iter().zip(reference);
    let bright = pairs.filter(|(_, reference)| **reference >= DARK);
    ratios.extend(bright.map(|(value, reference)| value / reference));
    (ratios.len() >= MIN_BLOCKS).then(|| median(ratios).clamp(1.0 / MAX_GAIN, MAX_GAIN))
}

/// The factor between two frames whose rows are short; 1 if it can't be told.
fn gain_of_whole(frame: &LumaGrid, reference: &LumaGrid) -> f32 {
    gain(frame.values(), reference.values(), &mut Vec::new()).unwrap_or(1.0)
}

/// The upper median; the values are reordered. There is at least one.
fn median(values: &mut [f32]) -> f32 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}
