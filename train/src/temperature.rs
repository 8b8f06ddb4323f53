//! Temperature scaling (Guo, Pleiss, Sun and Weinberger 2017): calibrates a model's confidence.
//!
//! Label smoothing and mixup make a model under-confident. One factor for all logits, 1 / temperature, is fitted on images
//! that the model was not trained on, and multiplied into the class head of the float or the int8 model. The top class, the
//! box and the inference time do not change.

use thiserror::Error;
use tract_onnx::pb;

use crate::onnx::{CLASS_LAYER, tensor_floats};

/// Range of the factor; if every prediction is correct there is no best one.
pub const RANGE: (f64, f64) = (0.25, 4.0);

/// Bisections of the range.
const STEPS: usize = 40;

/// Least score, so that its logarithm is finite.
const MIN_SCORE: f64 = 1e-12;

/// A model that cannot be calibrated.
#[derive(Debug, Error)]
pub enum TemperatureError {
    #[error(
        "it has no layer {CLASS_LAYER} with constant weights; give a model made by boxcam-train"
    )]
    NoHead,
    #[error("no image has a class of the model; give images of its classes")]
    NoImages,
}

/// A model's scores of one image, and its true class.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredImage {
    /// Softmax scores of all classes.
    pub scores: Vec<f32>,
    /// Index of the true class.
    pub class: usize,
}

/// The factor within [`RANGE`], 1 / temperature, of the least mean cross-entropy. A factor above 1 raises the mean confidence
/// at most to (k + 1) / (n + 2), where k of n predictions are correct (Laplace's rule of succession): otherwise a few images
/// whose predictions are all correct would ask for a confidence of 1.
///
/// # Errors
/// [`TemperatureError::NoImages`] without an image.
pub fn fit_factor(images: &[ScoredImage]) -> Result<f64, TemperatureError> {
    if images.is_empty() {
        return Err(TemperatureError::NoImages);
    }
    // The cross-entropy is convex in the factor, so its slope has one zero, and the confidence grows with the factor.
    let best = zero(|factor| slope(images, factor));
    let shown = zero(|factor| mean_confidence(images, factor) - smoothed_accuracy(images));
    Ok(best.min(shown.max(1.0)))
}

/// Where an increasing function has its zero in [`RANGE`]; the nearer end if it has none.
fn zero(function: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = RANGE;
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if function(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Mean score of the top class.
fn mean_confidence(images: &[ScoredImage], factor: f64) -> f64 {
    let top = |image| scaled(image, factor).into_iter().fold(0.0, f64::max);
    images.iter().map(top).sum::<f64>() / images.len() as f64
}

/// Laplace's rule of succession.
fn smoothed_accuracy(images: &[ScoredImage]) -> f64 {
    let is_correct = |image: &&ScoredImage| {
        let own = image.scores[image.class];
        image.scores.iter().all(|score| *score <= own)
    };
    let correct = images.iter().filter(is_correct).count();
    (correct as f64 + 1.0) / (images.len() as f64 + 2.0)
}

/// Mean cross-entropy with all logits multiplied by the factor.
#[must_use]
pub fn cross_entropy(images: &[ScoredImage], factor: f64) -> f64 {
    let each = images.iter().map(|image| {
        let scores = scaled(image, factor);
        -scores[image.class].max(MIN_SCORE).ln()
    });
    each.sum::<f64>() / images.len().max(1) as f64
}

/// Of the cross-entropy.
fn slope(images: &[ScoredImage], factor: f64) -> f64 {
    let each = images.iter().map(|image| {
        let logits = image.scores.iter().map(logit);
        let expected: f64 = logits.zip(scaled(image, factor)).map(|(z, p)| z * p).sum();
        expected - logit(&image.scores[image.class])
    });
    each.sum()
}

/// Up to a constant, which softmax ignores.
fn logit(score: &f32) -> f64 {
    f64::from(*score).max(MIN_SCORE).ln()
}

/// The scores with all logits multiplied by the factor.
fn scaled(image: &ScoredImage, factor: f64) -> Vec<f64> {
    let raised: Vec<f64> = image
        .scores
        .iter()
        .map(|s| (logit(s) * factor).exp())
        .collect();
    let sum: f64 = raised.iter().sum();
    raised.into_iter().map(|score| score / sum).collect()
}

/// Multiplies the class head's weights and biases by the factor; of an int8 model their scales, which has the same effect
/// without rounding.
///
/// # Errors
/// [`TemperatureError::NoHead`] if the model has no class head of its own making.
pub fn scale_logits(model: &mut pb::ModelProto, factor: f64) -> Result<(), TemperatureError> {
    let graph = model.graph.as_mut().ok_or(TemperatureError::NoHead)?;
    let head = graph.node.iter().find(|node| node.name == CLASS_LAYER);
    let operands = head.map_or(&[][..], |node| node.input.get(1..).unwrap_or_default());
    let scale = |operand: &String| {
        let mut nodes = graph.node.iter();
        let dequantizer =
            nodes.find(|node| node.op_type == "DequantizeLinear" && node.output.contains(operand));
        dequantizer
            .map_or(Some(operand), |node| node.input.get(1))
            .cloned()
    };
    let constants: Vec<String> = operands.iter().filter_map(scale).collect();
    let mut tensors: Vec<_> = graph.initializer.iter_mut().collect();
    tensors.retain(|tensor| constants.contains(&tensor.name));
    if constants.len() != 2 || tensors.len() != 2 {
        return Err(TemperatureError::NoHead);
    }
    for tensor in tensors {
        let numbers = tensor_floats(tensor).ok_or(TemperatureError::NoHead)?;
        let numbers = numbers.into_iter().map(|w| (f64::from(w) * factor) as f32);
        tensor.raw_data = numbers.flat_map(f32::to_le_bytes).collect();
        tensor.float_data.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten images with that top score, of which so many are correct.
    fn images(score: f32, correct: usize) -> Vec<ScoredImage> {
        let image = |index| ScoredImage {
            scores: vec![score, 1.0 - score],
            class: usize::from(index >= correct),
        };
        (0..10).map(image).collect()
    }

    #[test]
    fn scores_become_the_share_of_correct_predictions() {
        // Lowered to the share, raised to the share that so few images show.
        let cases = [
            (0.95, 8, 0.8),
            (0.8, 8, 0.8),
            (0.6, 8, 9.0 / 12.0),
            (0.8, 10, 11.0 / 12.0),
            // Nothing shows that it is too much.
            (0.99, 10, 0.99),
        ];
        for (score, correct, expected) in cases {
            let images = images(score, correct);
            let factor = fit_factor(&images).expect("some");
            let found = scaled(&images[0], factor)[0];
            assert!((found - expected).abs() < 1e-6, "{score}: {found}");
            assert!(cross_entropy(&images, factor) <= cross_entropy(&images, 1.0) + 1e-12);
        }
    }

    #[test]
    fn the_factor_stays_in_its_range() {
        let found = fit_factor(&images(0.51, 10)).expect("some");
        assert!((found - RANGE.1).abs() < 1e-6, "{found}");
        assert!(matches!(fit_factor(&[]), Err(TemperatureError::NoImages)));
    }
}
