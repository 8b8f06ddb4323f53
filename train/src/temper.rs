//! Confidences that mean what they say.
//!
//! Smoothed labels and mixed pictures leave a model less sure than it is right. In go its answers to pictures that it did not
//! learn from, out comes the one factor for all logits that makes the true classes likeliest (temperature scaling,
//! Guo, Pleiss, Sun and Weinberger 2017), and a model with that factor worked into its class head. Which class is
//! on top does not change, nor does the box, nor the time that it takes.

use thiserror::Error;
use tract_onnx::pb;

use crate::onnx::{CLASS_LAYER, tensor_floats};

/// The factor is looked for in this range: where every picture is right there is no best one.
pub const RANGE: (f64, f64) = (0.25, 4.0);

/// Halvings of the range.
const STEPS: usize = 40;

/// Below this a score counts as this.
const TINY: f64 = 1e-12;

/// A model that can't be tempered.
#[derive(Debug, Error)]
pub enum TemperError {
    /// There is no class head that boxcam-train made.
    #[error("it has no layer {CLASS_LAYER} of floats; take a float model that boxcam-train made")]
    NoHead,
    /// Nothing is known to hold confidences against.
    #[error(
        "none of the pictures is of a class that the model knows; give pictures of its classes"
    )]
    NoPictures,
}

/// What a model said of one picture, and what is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The scores of all classes, softmax.
    pub scores: Vec<f32>,
    /// Index of the true class.
    pub class: usize,
}

/// The factor within [`RANGE`] that makes the mean cross-entropy of the answers least.
///
/// # Errors
/// [`TemperError::NoPictures`] without an answer.
pub fn factor(answers: &[Answer]) -> Result<f64, TemperError> {
    if answers.is_empty() {
        return Err(TemperError::NoPictures);
    }
    // The cross-entropy is convex in the factor, so that its slope crosses 0 once.
    let (mut low, mut high) = RANGE;
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if slope(answers, middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(f64::midpoint(low, high))
}

/// Mean cross-entropy of the answers, their logits multiplied by the factor.
#[must_use]
pub fn cross_entropy(answers: &[Answer], factor: f64) -> f64 {
    let each = answers.iter().map(|answer| {
        let scores = multiplied(answer, factor);
        -scores[answer.class].max(TINY).ln()
    });
    each.sum::<f64>() / answers.len().max(1) as f64
}

fn slope(answers: &[Answer], factor: f64) -> f64 {
    let each = answers.iter().map(|answer| {
        let logits = answer.scores.iter().map(logit);
        let expected: f64 = logits
            .zip(multiplied(answer, factor))
            .map(|(z, p)| z * p)
            .sum();
        expected - logit(&answer.scores[answer.class])
    });
    each.sum()
}

/// Up to a constant, which softmax does not feel.
fn logit(score: &f32) -> f64 {
    f64::from(*score).max(TINY).ln()
}

/// The scores with all logits multiplied.
fn multiplied(answer: &Answer, factor: f64) -> Vec<f64> {
    let raised: Vec<f64> = answer
        .scores
        .iter()
        .map(|s| (logit(s) * factor).exp())
        .collect();
    let sum: f64 = raised.iter().sum();
    raised.into_iter().map(|score| score / sum).collect()
}

/// Works the factor into the class head's weights and biases.
///
/// # Errors
/// [`TemperError::NoHead`] where the model has no class head in floats.
pub fn temper(model: &mut pb::ModelProto, factor: f64) -> Result<(), TemperError> {
    let graph = model.graph.as_mut().ok_or(TemperError::NoHead)?;
    let head = graph.node.iter().find(|node| node.name == CLASS_LAYER);
    let constants: Vec<String> = head.map_or_else(Vec::new, |node| node.input[1..].to_vec());
    let mut tensors: Vec<_> = graph.initializer.iter_mut().collect();
    tensors.retain(|tensor| constants.contains(&tensor.name));
    if constants.len() != 2 || tensors.len() != 2 {
        return Err(TemperError::NoHead);
    }
    for tensor in tensors {
        let numbers = tensor_floats(tensor).ok_or(TemperError::NoHead)?;
        let numbers = numbers.into_iter().map(|w| (f64::from(w) * factor) as f32);
        tensor.raw_data = numbers.flat_map(f32::to_le_bytes).collect();
        tensor.float_data.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of ten answers with that score on top, so many are right.
    fn answers(score: f32, right: usize) -> Vec<Answer> {
        let answer = |index| Answer {
            scores: vec![score, 1.0 - score],
            class: usize::from(index >= right),
        };
        (0..10).map(answer).collect()
    }

    #[test]
    fn scores_become_what_comes_true() {
        for (score, right) in [(0.6, 8), (0.95, 8), (0.8, 8)] {
            let answers = answers(score, right);
            let factor = factor(&answers).expect("some");
            let found = multiplied(&answers[0], factor)[0];
            assert!((found - 0.8).abs() < 1e-6, "{score}: {found}");
            assert!(cross_entropy(&answers, factor) <= cross_entropy(&answers, 1.0) + 1e-12);
        }
    }

    #[test]
    fn where_all_is_right_the_factor_ends_with_its_range() {
        let found = factor(&answers(0.6, 10)).expect("some");
        assert!((found - RANGE.1).abs() < 1e-6, "{found}");
        assert!(matches!(factor(&[]), Err(TemperError::NoPictures)));
    }
}
