//! From input tensor to detection: what every engine offers, and the threshold.
//!
//! A [`Detector`] turns an [`InputTensor`] into a [`Prediction`], which is all that the network said. The
//! threshold turns a prediction into a [`Detection`] or into none: "nothing here" is an answer too.

use smallvec::SmallVec;
use thiserror::Error;

use crate::card::ModelCard;
use crate::geometry::NormBox;
use crate::label::ClassId;
use crate::preprocess::InputTensor;

pub mod int8;
pub mod tract;

/// Scores, one a class: within the prediction itself up to 32 of them, so that none is allocated for each frame.
type Scores = SmallVec<[f32; 32]>;

/// What a network said of a picture, without any threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// One score a class, in the order of the labels; never empty, no NaN.
    scores: Scores,
    /// The box output as it came.
    corners: [f32; 4],
    /// The one box.
    bounding_box: NormBox,
}

/// One thing found in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// What it is.
    pub class: ClassId,
    /// How sure the network is, in `0..=1`.
    pub confidence: f32,
    /// Where it is.
    pub bounding_box: NormBox,
}

/// A network that could not answer.
#[derive(Debug, Error)]
pub enum DetectError {
    /// The tensor was made for another model.
    #[error(
        "the model takes {expected:?}, the tensor is {actual:?}; preprocess with the card of this model"
    )]
    Shape {
        /// Shape that the model takes.
        expected: [usize; 4],
        /// Shape of the tensor.
        actual: [usize; 4],
    },
    /// The engine failed.
    #[error("the model could not be run: {message}; if it stays so, load another model file")]
    Engine {
        /// The engine's own words.
        message: String,
    },
    /// The network put out NaN or infinity.
    #[error(
        "the model's output \"{output}\" holds {value}; its weights are broken, load another model file"
    )]
    NotFinite {
        /// Name of the output.
        output: &'static str,
        /// The value.
        value: f32,
    },
}

/// An engine with a model in it.
pub trait Detector: Send {
    /// The card of the model.
    fn card(&self) -> &ModelCard;

    /// What tells this model file from any other, for logs: the first 8 hex digits of its SHA-256.
    fn model_hash(&self) -> &str;

    /// What the network says of a picture.
    ///
    /// # Errors
    /// [`DetectError`] when the tensor is of another model or the engine fails.
    fn predict(&mut self, input: &InputTensor) -> Result<Prediction, DetectError>;
}

impl Prediction {
    /// A prediction from a network's two outputs: scores, and corners `x_min, x_max, y_min, y_max`,
    /// which are clamped into the picture.
    ///
    /// # Errors
    /// [`DetectError::NotFinite`] when a number is none; [`DetectError::Engine`] without any score.
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
            let message = "it gave no scores".to_owned();
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

    /// One score a class, in the order of the labels.
    #[must_use]
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// The box output as the network put it out, `x_min, x_max, y_min, y_max`: finite, but neither kept in the
    /// picture nor in order. A box head that was never trained shows here.
    #[must_use]
    pub const fn corners(&self) -> [f32; 4] {
        self.corners
    }

    /// The one box: [`Self::corners`], clamped into the picture and put in order.
    #[must_use]
    pub fn bounding_box(&self) -> &NormBox {
        &self.bounding_box
    }

    /// The class with the highest score, the first of equals, and that score.
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

    /// The top class if its score reaches the threshold.
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
    fn the_threshold_decides_whether_something_is_there() {
        let prediction = Prediction::new(vec![0.1, 0.6, 0.3], [0.1, 0.9, 0.2, 0.8]).expect("sound");
        let found = prediction.detection(0.6).expect("reaches it");
        assert_eq!((found.class.index(), found.confidence), (1, 0.6));
        assert_eq!(found.bounding_box.corners(), [0.1, 0.9, 0.2, 0.8]);
        assert_eq!(prediction.detection(0.61), None);
    }

    #[test]
    fn the_first_of_equal_scores_is_the_top() {
        let prediction = Prediction::new(vec![0.5, 0.5], [0.0; 4]).expect("sound");
        assert_eq!(prediction.top().0.index(), 0);
    }

    #[test]
    fn noise_of_an_untrained_head_is_kept_beside_the_box() {
        let noise = [-0.04, 2.76, -1.58, 0.69];
        let prediction = Prediction::new(vec![1.0], noise).expect("finite");
        assert_eq!(prediction.corners(), noise);
        assert_eq!(prediction.bounding_box().corners(), [0.0, 1.0, 0.0, 0.69]);
    }

    #[test]
    fn broken_outputs_are_errors() {
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
