//! Optimal assignment of rows to columns, for what is matched one to one.

/// For each row its column, or `None`, so that the sum of the weights is the greatest. A pair whose weight is not positive is
/// never chosen. Among equal sums the choice depends on the order alone, so it is always the same.
///
/// The algorithm is the Hungarian method with potentials and shortest augmenting paths (Jonker and Volgenant, "A Shortest
/// Augmenting Path Algorithm for Dense and Sparse Linear Assignment Problems", Computing 38, 1987): `O(n^2 m)` for `n` rows and
/// `m` columns, of which `n` is the smaller.
pub(super) fn assign(
    rows: usize,
    columns: usize,
    weight: impl Fn(usize, usize) -> f64,
) -> Vec<Option<usize>> {
    let weight = |row, column| {
        let weight: f64 = weight(row, column);
        if weight > 0.0 { weight } else { 0.0 }
    };
    let mut column_of = vec![None; rows];
    if rows <= columns {
        for (column, row) in rows_of_columns(rows, columns, weight)
            .into_iter()
            .enumerate()
        {
            if let Some(row) = row.filter(|&row| weight(row, column) > 0.0) {
                column_of[row] = Some(column);
            }
        }
    } else {
        let transposed = rows_of_columns(columns, rows, |column, row| weight(row, column));
        for (row, column) in transposed.into_iter().enumerate() {
            column_of[row] = column.filter(|&column| weight(row, column) > 0.0);
        }
    }
    column_of
}

/// For each column its row. Every row has a column: there are at least as many columns as rows.
fn rows_of_columns(
    rows: usize,
    columns: usize,
    weight: impl Fn(usize, usize) -> f64,
) -> Vec<Option<usize>> {
    let mut potentials = Potentials {
        rows: vec![0.0; rows],
        columns: vec![0.0; columns],
    };
    let mut row_of = vec![None; columns];
    for row in 0..rows {
        augment(row, &mut row_of, &mut potentials, &weight);
    }
    row_of
}

/// The dual variables. `-weight - rows[row] - columns[column]`, the reduced cost, is 0 for assigned pairs and never negative.
struct Potentials {
    rows: Vec<f64>,
    columns: Vec<f64>,
}

/// Assigns one more row, along the path of the smallest cost from it to a free column.
fn augment(
    start: usize,
    row_of: &mut [Option<usize>],
    potentials: &mut Potentials,
    weight: &impl Fn(usize, usize) -> f64,
) {
    let columns = row_of.len();
    let mut cost = vec![f64::INFINITY; columns];
    let mut is_reached = vec![false; columns];
    // The column before each one on its path; `None` if the path is direct from `start`.
    let mut before: Vec<Option<usize>> = vec![None; columns];
    let (mut row, mut last) = (start, None);
    let end = loop {
        let base = last.map_or(0.0, |last: usize| cost[last]);
        let mut nearest: Option<usize> = None;
        for column in (0..columns).filter(|&column| !is_reached[column]) {
            let reduced = -weight(row, column) - potentials.rows[row] - potentials.columns[column];
            if base + reduced < cost[column] {
                (cost[column], before[column]) = (base + reduced, last);
            }
            if nearest.is_none_or(|nearest| cost[column] < cost[nearest]) {
                nearest = Some(column);
            }
        }
        // There are at least as many columns as rows, so one is left.
        let Some(column) = nearest else { return };
        let Some(next) = row_of[column] else {
            break column;
        };
        is_reached[column] = true;
        (row, last) = (next, Some(column));
    };
    let length = cost[end];
    potentials.rows[start] += length;
    for column in (0..columns).filter(|&column| is_reached[column]) {
        let slack = length - cost[column];
        potentials.columns[column] -= slack;
        if let Some(row) = row_of[column] {
            potentials.rows[row] += slack;
        }
    }
    let mut column = end;
    while let Some(previous) = before[column] {
        row_of[column] = row_of[previous];
        column = previous;
    }
    row_of[column] = Some(start);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The greatest sum, by trying everything.
    fn best_sum(weights: &[Vec<f64>], row: usize, taken: &mut Vec<bool>) -> f64 {
        let Some(of_row) = weights.get(row) else {
            return 0.0;
        };
        let mut best = best_sum(weights, row + 1, taken);
        for (column, weight) in of_row.iter().enumerate() {
            if !taken[column] && *weight > 0.0 {
                taken[column] = true;
                best = best.max(weight + best_sum(weights, row + 1, taken));
                taken[column] = false;
            }
        }
        best
    }

    #[test]
    fn the_sum_is_the_greatest() {
        let random = &mut fastrand::Rng::with_seed(3);
        for _ in 0..2000 {
            let (rows, columns) = (random.usize(0..6), random.usize(0..6));
            // Few different weights, so that many sums are equal.
            let mut any = || f64::from(random.i32(-2..6)) / 5.0;
            let weights: Vec<Vec<f64>> = (0..rows)
                .map(|_| (0..columns).map(|_| any()).collect())
                .collect();
            let found = assign(rows, columns, |row, column| weights[row][column]);
            let mut taken = vec![false; columns];
            let mut sum = 0.0;
            for (row, column) in found.iter().enumerate() {
                if let Some(column) = *column {
                    assert!(!taken[column] && weights[row][column] > 0.0, "{weights:?}");
                    taken[column] = true;
                    sum += weights[row][column];
                }
            }
            let best = best_sum(&weights, 0, &mut vec![false; columns]);
            assert!((sum - best).abs() < 1e-9, "{sum}, not {best}: {weights:?}");
        }
    }

    #[test]
    fn one_row_more_leaves_one_without_a_column() {
        let found = assign(3, 2, |row, column| {
            [[0.5, 0.4], [0.6, 0.0], [0.1, 0.3]][row][column]
        });
        assert_eq!(found, [Some(1), Some(0), None]);
        assert_eq!(assign(0, 3, |_, _| 1.0), []);
        assert_eq!(assign(2, 0, |_, _| 1.0), [None, None]);
    }
}
