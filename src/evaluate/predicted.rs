//! What evaluation needs of a prediction: that of a network, or one that was recorded in a file.

use smallvec::SmallVec;

use crate::detect::{Detection, Prediction};

/// A prediction for a picture, without a threshold.
pub trait Predicted {
    /// The class with the highest score, that score, and the box of the picture.
    fn primary(&self) -> Detection;

    /// All objects, the highest score first; of a model without object outputs, its one detection.
    fn ranked_detections(&self) -> SmallVec<[Detection; 1]>;
}

/// What the evaluation of another model found in a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedPrediction {
    pub primary: Detection,
    /// The highest score first; `None` if the model has no object outputs.
    pub objects: Option<Vec<Detection>>,
}

impl Predicted for Prediction {
    fn primary(&self) -> Detection {
        let (class, confidence) = self.top();
        Detection {
            class,
            confidence,
            bounding_box: *self.bounding_box(),
        }
    }

    fn ranked_detections(&self) -> SmallVec<[Detection; 1]> {
        Self::ranked_detections(self)
    }
}

impl Predicted for RecordedPrediction {
    fn primary(&self) -> Detection {
        self.primary
    }

    fn ranked_detections(&self) -> SmallVec<[Detection; 1]> {
        match &self.objects {
            Some(objects) => SmallVec::from_slice(objects),
            None => SmallVec::from_buf([self.primary]),
        }
    }
}
