//! Input tensor to detection.
//!
//! A [`Detector`] runs a network on an [`InputTensor`] and returns its output as a [`Prediction`]. A confidence
//! threshold converts a prediction to a [`Detection`] or to none.

use smallvec::SmallVec;
use thiserror::Error;

use crate::card::ModelCard;
use crate::geometry::NormBox;
use crate::label::ClassId;
use crate::preprocess::InputTensor;

pub mod int8;
pub mod tract;

/// One score per class; up to 32 are stored inline, so that a prediction allocates nothing.
type Scores = SmallVec<[f32; 32]>;

/// The output of a network for one image, without a threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// In the order of the labels; not empty, all finite.
    scores: Scores,
    /// The raw box output.
    corners: [f32; 4],
    bounding_box: NormBox,
}

/// One object in an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    pub class: ClassId,
    /// In `0..=1`.
    pub confidence: f32,
    pub bounding_box: NormBox,
}

/// The network could not be run.
#[derive(Debug, Error)]
pub enum DetectError {
    /// The tensor was preprocessed for another model.
    #[error(
        "the model's input is {expected:?}, the tensor is {actual:?}; preprocess with the card of this model"
    )]
    Shape {
        /// Shape of the model's input.
        expected: [usize; 4],
        /// Shape of the tensor.
        actual: [usize; 4],
    },
    #[error("the model could not be run: {message}; if this repeats, load another model file")]
    Engine { message: String },
    /// An output is NaN or infinite.
    #[error(
        "the model's output \"{output}\" holds {value}; its weights are invalid, load another model file"
    )]
    NotFinite {
        /// Name of the output.
        output: &'static str,
        value: f32,
    },
}

/// A loaded model.
pub trait Detector: Send {
    fn card(&self) -> &ModelCard;

    /// The first 8 hex digits of the model file's SHA-256, which identify it in logs.
    fn model_hash(&self) -> &str;

    /// Runs the network on one image.
    ///
    /// # Errors
    /// [`DetectError`] if the tensor was preprocessed for another model or the engine fails.
    fn predict(&mut self, input: &InputTensor) -> Result<Prediction, DetectError>;
}

impl Prediction {
    /// Creates a prediction from a network's two outputs: scores, and corners `x_min, x_max, y_min, y_max` in units of
    /// the image's width and height, which are clamped to the image.
    ///
    /// # Errors
    /// [`DetectError::NotFinite`] if a value is not finite; [`DetectError::Engine`] if there are no scores.
    pub fn new<S>(scores: S, corners: [f32; 4]) -> Result<Self, DetectError>
    where
        SmallVec<[f32; 32]>: From<S>,
    {
        let scores = Scores::from(scores);
        if let Some(&value) = scores.iter().find(|s| !s.is_finite()) {
            let output = crate::card::CLASS_OUTPUT;
            return Err(DetectError::NotFinite { output, value });
        }
        if scores.is_empty() {
            let message = "it returned no scores".to_owned();
            return Err(DetectError::Engine { message });
        }
        let bounding_box = NormBox::from_regression(corners).ok_or_else(|| {
            let is_broken = |c: &f32| !c.is_finite();
            let value = corners.into_iter().find(is_broken).unwrap_or(f32::NAN);
            let output = crate::card::BOX_OUTPUT;
            DetectError::NotFinite { output, value }
        })?;
        Ok(Self {
            scores,
            corners,
            bounding_box,
        })
    }

    /// One score per class, in the order of the labels.
    #[must_use]
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// The raw box output, `x_min, x_max, y_min, y_max`: finite, but not clamped to the image and not ordered. Shows
    /// whether a box head was trained at all.
    #[must_use]
    pub const fn corners(&self) -> [f32; 4] {
        self.corners
    }

    /// [`Self::corners`], clamped to the image and ordered.
    #[must_use]
    pub fn bounding_box(&self) -> &NormBox {
        &self.bounding_box
    }

    /// The class with the highest score, the first of equal ones, and its score.
    #[must_use]
    pub fn top(&self) -> (ClassId, f32) {
        let mut best = (0, self.scores[0]);
        for (index, &score) in self.scores.iter().enumerate().skip(1) {
            if score > best.1 {
                best = (index, score);
            }
        }
        (ClassId::new(best.0), best.1)
    }

    /// The top class, if its score is at least the threshold.
    #[must_use]
    pub fn detection(&self, threshold: f32) -> Option<Detection> {
        let (class, confidence) = self.top();
        (confidence >= threshold).then_some(Detection {
            class,
            confidence,
            bounding_box: self.bounding_box,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_below_the_threshold_is_no_detection() {
        let prediction = Prediction::new(vec![0.1, 0.6, 0.3], [0.1, 0.9, 0.2, 0.8]).expect("valid");
        let found = prediction.detection(0.6).expect("at the threshold");
        assert_eq!((found.class.index(), found.confidence), (1, 0.6));
        assert_eq!(found.bounding_box.corners(), [0.1, 0.9, 0.2, 0.8]);
        assert_eq!(prediction.detection(0.61), None);
    }

    #[test]
    fn the_first_of_equal_scores_is_the_top() {
        let prediction = Prediction::new(vec![0.5, 0.5], [0.0; 4]).expect("valid");
        assert_eq!(prediction.top().0.index(), 0);
    }

    #[test]
    fn corners_are_kept_unclamped_beside_the_box() {
        let noise = [-0.04, 2.76, -1.58, 0.69];
        let prediction = Prediction::new(vec![1.0], noise).expect("finite");
        assert_eq!(prediction.corners(), noise);
        assert_eq!(prediction.bounding_box().corners(), [0.0, 1.0, 0.0, 0.69]);
    }

    #[test]
    fn non_finite_or_missing_outputs_are_errors() {
        let nan = Prediction::new(vec![0.1, f32::NAN], [0.0; 4]);
        let class = "class_prediction";
        assert!(matches!(nan, Err(DetectError::NotFinite { output, .. }) if output == class));
        let infinite = Prediction::new(vec![1.0], [0.0, f32::INFINITY, 0.0, 1.0]);
        let bbox = "bbox_prediction";
        assert!(matches!(infinite, Err(DetectError::NotFinite { output, .. }) if output == bbox));
        assert!(matches!(
            Prediction::new(Vec::new(), [0.0; 4]),
            Err(DetectError::Engine { .. })
        ));
    }
}
