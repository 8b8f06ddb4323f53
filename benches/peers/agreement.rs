//! Whether the engines compute the same network: the time of a wrong answer is not a result.

use serde::Serialize;

use crate::engine::EngineKind;

/// Scores and corners of each image.
pub(crate) type Predictions = [(Vec<f32>, Vec<f32>)];

/// Greatest difference of a score or a corner for boxcam, whose arithmetic differs from the reference's by rounding only.
const OURS_DIFFERENCE: f64 = 0.1;

/// Greatest difference for another engine. It is wide because int8 engines round in different places, ncnn with 7 bits, and
/// an image on the edge between two classes gets either.
const PEER_DIFFERENCE: f64 = 0.3;

/// Rounding alone does not explain a greater difference in an engine with 8 bits. On a processor without VNNI it is
/// attributed to saturation if the engine's kernels saturate there.
const ROUNDING_DIFFERENCE: f64 = 0.05;

/// Least share of images with the same top class.
const SAME_CLASS: f64 = 0.5;

/// The differences between an engine's predictions and the reference's.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Agreement {
    pub(crate) images: usize,
    /// Images with the same top class.
    pub(crate) same_class: usize,
    /// The greatest difference of a score.
    pub(crate) score_difference: f64,
    /// The greatest difference of a corner, as a share of the image, in images with the same top class.
    pub(crate) box_difference: f64,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Agrees,
    /// Different because the engine adds products in 16 bits, which saturate. Its time counts, its accuracy is lower.
    Saturates,
    /// Another network.
    Wrong,
}

impl Agreement {
    pub(crate) fn new(
        kind: &EngineKind,
        predictions: &Predictions,
        reference: &Predictions,
    ) -> Self {
        let mut agreement = Self {
            images: reference.len(),
            same_class: 0,
            score_difference: length_difference(predictions.len(), reference.len()),
            box_difference: 0.0,
            verdict: Verdict::Agrees,
        };
        for ((scores, corners), (expected_scores, expected_corners)) in
            predictions.iter().zip(reference)
        {
            let is_same_class = top(scores) == top(expected_scores);
            agreement.same_class += usize::from(is_same_class);
            let score = greatest_difference(scores, expected_scores, |score| score);
            agreement.score_difference = worse(agreement.score_difference, score);
            // The best object of another class is another object, elsewhere.
            if is_same_class {
                // boxcam clips boxes to the image.
                let corner =
                    greatest_difference(corners, expected_corners, |edge| edge.clamp(0.0, 1.0));
                agreement.box_difference = worse(agreement.box_difference, corner);
            }
        }
        agreement.verdict = agreement.judge(kind, has_vnni());
        agreement
    }

    fn judge(&self, kind: &EngineKind, has_vnni: bool) -> Verdict {
        let is_within = |limit| {
            // `<=`, because NaN is not within.
            self.score_difference <= limit && self.box_difference <= limit
        };
        let is_finite = is_within(f64::MAX);
        let limit = if kind.is_ours() {
            OURS_DIFFERENCE
        } else {
            PEER_DIFFERENCE
        };
        let has_classes = self.same_class as f64 >= SAME_CLASS * self.images as f64;
        if kind.saturates_without_vnni && !has_vnni && is_finite && !is_within(ROUNDING_DIFFERENCE)
        {
            Verdict::Saturates
        } else if is_within(limit) && has_classes {
            Verdict::Agrees
        } else {
            Verdict::Wrong
        }
    }
}

/// Whether the processor adds four products of bytes in 32 bits. ARM has no instruction that adds two in 16.
fn has_vnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni");
    #[cfg(not(target_arch = "x86_64"))]
    true
}

fn top(scores: &[f32]) -> Option<usize> {
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
}

/// Infinite if the lengths differ.
fn length_difference(length: usize, expected: usize) -> f64 {
    if length == expected {
        0.0
    } else {
        f64::INFINITY
    }
}

fn greatest_difference(numbers: &[f32], expected: &[f32], limited: impl Fn(f32) -> f32) -> f64 {
    let pairs = numbers.iter().zip(expected);
    let differences = pairs.map(|(&a, &b)| f64::from((limited(a) - limited(b)).abs()));
    differences.fold(length_difference(numbers.len(), expected.len()), worse)
}

/// The larger one, or NaN if one is NaN.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}
