//! Whether the engines compute the same network: a fast wrong answer is no figure.

use crate::engine::{Engine, OURS, REFERENCE};
use crate::report::Row;

/// Scores and edges further than this from the reference's are another network's. It is wide because int8 engines
/// round in different places, ncnn with 7 bits, and a picture on the edge between two classes falls to one side.
const MOST_DIFFERENCE: f64 = 0.3;

/// Least share of pictures with the same top class.
const SAME_CLASS: f64 = 0.5;

/// How far an engine's answers are from the reference's.
#[derive(Clone, Copy, serde::Serialize)]
pub(crate) struct Agreement {
    pub(crate) pictures: usize,
    /// Pictures with the same top class.
    pub(crate) same_class: usize,
    /// The largest difference of any score.
    pub(crate) score_difference: f64,
    /// The largest difference of any edge of a box, as a share of the picture.
    pub(crate) box_difference: f64,
}

impl Agreement {
    /// Whether it is the same network at all.
    pub(crate) fn is_wrong(&self) -> bool {
        // `<=` and a `!`, as a NaN is not near either.
        let is_near =
            self.score_difference <= MOST_DIFFERENCE && self.box_difference <= MOST_DIFFERENCE;
        !is_near || (self.same_class as f64) < SAME_CLASS * self.pictures as f64
    }
}

/// Compares all that run with the reference; gives its name.
pub(crate) fn check(rows: &mut [Row], engines: &[(usize, Engine)]) -> &'static str {
    let named = |name| engines.iter().find(|(row, _)| rows[*row].name == name);
    let (name, reference) = match (named(REFERENCE), named(OURS)) {
        (Some((_, reference)), _) => (REFERENCE, reference),
        (None, Some((_, ours))) => {
            eprintln!("SKIPPED: without {REFERENCE} the answers are only set against our own");
            (OURS, ours)
        }
        (None, None) => return "nothing",
    };
    for (row, engine) in engines {
        let agreement = compare(&engine.hello.answers, &reference.hello.answers);
        if agreement.is_wrong() {
            eprintln!(
                "WRONG: {} computes something else than {name}",
                rows[*row].name
            );
        }
        rows[*row].agreement = Some(agreement);
    }
    name
}

fn compare(answers: &[(Vec<f32>, Vec<f32>)], reference: &[(Vec<f32>, Vec<f32>)]) -> Agreement {
    let mut agreement = Agreement {
        pictures: reference.len(),
        same_class: 0,
        score_difference: difference(answers.len(), reference.len()),
        box_difference: 0.0,
    };
    for ((scores, corners), (right_scores, right_corners)) in answers.iter().zip(reference) {
        agreement.same_class += usize::from(top(scores) == top(right_scores));
        let score = furthest(scores, right_scores, |score| score);
        agreement.score_difference = worse(agreement.score_difference, score);
        // boxcam keeps boxes inside the picture.
        let edge = furthest(corners, right_corners, |edge| edge.clamp(0.0, 1.0));
        agreement.box_difference = worse(agreement.box_difference, edge);
    }
    agreement
}

fn top(scores: &[f32]) -> Option<usize> {
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
}

/// Infinite where one has more numbers than the other.
fn difference(length: usize, right: usize) -> f64 {
    if length == right { 0.0 } else { f64::INFINITY }
}

fn furthest(numbers: &[f32], right: &[f32], kept: impl Fn(f32) -> f32) -> f64 {
    let pairs = numbers.iter().zip(right);
    let differences = pairs.map(|(&a, &b)| f64::from((kept(a) - kept(b)).abs()));
    differences.fold(difference(numbers.len(), right.len()), worse)
}

/// The larger one, or NaN if one is.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}
