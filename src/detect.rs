//! Input tensor to detection.
//!
//! A [`Detector`] runs a network on an [`InputTensor`] and returns its output as a [`Prediction`]: a class and a box for the
//! whole image, objects, or both. [`Thresholds`] convert a prediction to [`Detection`]s or to none.

use smallvec::SmallVec;
use thiserror::Error;

use crate::card::{MAX_OBJECTS, ModelCard};
use crate::geometry::NormBox;
use crate::label::ClassId;
use crate::preprocess::InputTensor;

mod filter;
pub mod int8;
mod nms;
pub mod tract;

pub use filter::{DetectionFilter, ModelFilter};
pub use nms::{CellOutputs, Nms, ObjectOutputs};

use nms::{Objects, Strongest};

/// One score per class. Up to 96 are stored inline, so that a prediction of COCO's 80 classes allocates nothing.
pub type Scores = SmallVec<[f32; 96]>;

/// The output of a network for one image, without a threshold. A model has image heads (a class and a box for the whole
/// image), object heads, or both.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Of the image heads; without them, of the cells with the highest scores.
    primary: Primary,
    has_image_heads: bool,
    /// After non-maximum suppression, the highest score first; `None` without object heads.
    objects: Option<Objects>,
}

#[derive(Debug, Clone, PartialEq)]
struct Primary {
    /// In the order of the labels; not empty, all finite.
    scores: Scores,
    /// The raw box output.
    corners: [f32; 4],
    bounding_box: NormBox,
}

/// From which score on something is a detection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Of the primary detection, `0..=1`.
    pub primary: f32,
    /// Of the objects, `0..=1`.
    pub objects: f32,
    /// From this IoU on, the primary detection and an object of its class are the same.
    pub nms_iou: f32,
}

impl Thresholds {
    /// Those of a model's card; `threshold` replaces both.
    #[must_use]
    pub fn new(card: &ModelCard, threshold: Option<f32>) -> Self {
        let objects = card.objects.as_ref();
        Self {
            primary: threshold.unwrap_or(card.threshold),
            objects: threshold
                .or(objects.map(|o| o.threshold))
                .unwrap_or(card.threshold),
            nms_iou: objects.map_or(1.0, |objects| objects.nms_iou),
        }
    }

    /// These, but none below `least`.
    #[must_use]
    pub fn at_least(self, least: f32) -> Self {
        Self {
            primary: self.primary.max(least),
            objects: self.objects.max(least),
            ..self
        }
    }
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
    /// A score is not in `0..=1`.
    #[error(
        "the model's output \"{output}\" holds {value}, expected scores from 0 to 1; export it with a sigmoid, or load another \
         model file"
    )]
    NoScore {
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

    /// Says that objects with lower scores, `0..=1`, are not needed. Predictions from now on may lack them; objects with at
    /// least this score do not change.
    fn set_min_object_score(&mut self, score: f32) {
        let _ = score;
    }
}

impl Prediction {
    /// Creates a prediction from the outputs of image heads: scores, and corners `x_min, x_max, y_min, y_max` in units of
    /// the image's width and height, which are clamped to the image.
    ///
    /// # Errors
    /// [`DetectError::NotFinite`] if a value is not finite; [`DetectError::Engine`] if there are no scores.
    pub fn new<S>(scores: S, corners: [f32; 4]) -> Result<Self, DetectError>
    where
        Scores: From<S>,
    {
        Ok(Self {
            primary: Primary::new(Scores::from(scores), corners)?,
            has_image_heads: true,
            objects: None,
        })
    }

    /// Creates a prediction from the outputs of object heads alone. Its scores are the highest of each class over the
    /// candidates of non-maximum suppression, 0 for a class without one; its box is that of the best object.
    ///
    /// # Errors
    /// [`DetectError`] if a value is not finite or a score is not in `0..=1`.
    pub fn of_objects<'a>(
        outputs: impl Into<ObjectOutputs<'a>>,
        nms: &mut Nms,
    ) -> Result<Self, DetectError> {
        let outputs = outputs.into();
        let objects = nms.objects(outputs)?;
        let Strongest { scores, corners } = nms.strongest(outputs);
        Ok(Self {
            primary: Primary::new(scores, corners)?,
            has_image_heads: false,
            objects: Some(objects),
        })
    }

    /// Adds the outputs of object heads.
    ///
    /// # Errors
    /// [`DetectError`] if a value is not finite or a score is not in `0..=1`.
    pub fn with_objects<'a>(
        self,
        outputs: impl Into<ObjectOutputs<'a>>,
        nms: &mut Nms,
    ) -> Result<Self, DetectError> {
        Ok(Self {
            objects: Some(nms.objects(outputs.into())?),
            ..self
        })
    }

    /// Replaces the objects by those of several views of the image, the highest score first; at most [`MAX_OBJECTS`] are kept.
    /// The outputs of image heads stay.
    #[must_use]
    pub fn with_objects_of_views(mut self, objects: Vec<Detection>) -> Self {
        self.objects = Some(objects.into_iter().take(MAX_OBJECTS).collect());
        if !self.has_image_heads {
            self.take_primary_from_objects();
        }
        self
    }

    /// One score per class, in the order of the labels.
    #[must_use]
    pub fn scores(&self) -> &[f32] {
        &self.primary.scores
    }

    /// The raw box output, `x_min, x_max, y_min, y_max`: finite, but not clamped to the image and not ordered. Shows
    /// whether a box head was trained at all.
    #[must_use]
    pub const fn corners(&self) -> [f32; 4] {
        self.primary.corners
    }

    /// [`Self::corners`], clamped to the image and ordered.
    #[must_use]
    pub fn bounding_box(&self) -> &NormBox {
        &self.primary.bounding_box
    }

    /// The class with the highest score, the first of equal ones, and its score.
    #[must_use]
    pub fn top(&self) -> (ClassId, f32) {
        let scores = self.scores();
        let mut best = (0, scores[0]);
        for (index, &score) in scores.iter().enumerate().skip(1) {
            if score > best.1 {
                best = (index, score);
            }
        }
        (ClassId::new(best.0), best.1)
    }

    /// The primary detection: the top class, if its score is at least the threshold.
    #[must_use]
    pub fn detection(&self, threshold: f32) -> Option<Detection> {
        let (class, confidence) = self.top();
        (confidence >= threshold).then_some(Detection {
            class,
            confidence,
            bounding_box: *self.bounding_box(),
        })
    }

    /// Whether the scores and the box are those of image heads, not of the best object.
    #[must_use]
    pub const fn has_image_heads(&self) -> bool {
        self.has_image_heads
    }

    /// The objects with at least this score, the highest score first; `None` if the model has no object heads.
    #[must_use]
    pub fn objects(&self, threshold: f32) -> Option<&[Detection]> {
        let objects = self.objects.as_deref()?;
        let count = objects.partition_point(|object| object.confidence >= threshold);
        Some(&objects[..count])
    }

    /// All objects, the highest score first; of a model without object heads, its one detection. Without a threshold.
    #[must_use]
    pub fn ranked_detections(&self) -> SmallVec<[Detection; 1]> {
        match self.objects(0.0) {
            Some(objects) => SmallVec::from_slice(objects),
            None => self.detection(f32::NEG_INFINITY).into_iter().collect(),
        }
    }

    /// All detections: the primary, if it is one, then [`Self::others`].
    #[must_use]
    pub fn detections(&self, thresholds: &Thresholds) -> Vec<Detection> {
        let primary = self.detection(thresholds.primary);
        primary.into_iter().chain(self.others(thresholds)).collect()
    }

    /// Takes scores and box of a model without image heads from its objects, after some were left out.
    fn take_primary_from_objects(&mut self) {
        let objects = self.objects.as_deref().unwrap_or_default();
        self.primary.scores.fill(0.0);
        for object in objects {
            if let Some(score) = self.primary.scores.get_mut(object.class.index()) {
                *score = score.max(object.confidence);
            }
        }
        if let Some(best) = objects.first() {
            self.primary.corners = best.bounding_box.corners();
            self.primary.bounding_box = best.bounding_box;
        }
    }

    /// The objects beside the primary detection, the highest score first: none that is the same.
    #[must_use]
    pub fn others(&self, thresholds: &Thresholds) -> Vec<Detection> {
        let primary = self.detection(thresholds.primary);
        let is_other = |object: &&Detection| {
            primary.is_none_or(|primary| !object.is_same_object(&primary, thresholds.nms_iou))
        };
        let objects = self.objects(thresholds.objects).unwrap_or_default();
        objects.iter().filter(is_other).copied().collect()
    }
}

impl Primary {
    fn new(scores: Scores, corners: [f32; 4]) -> Result<Self, DetectError> {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::{ObjectDecode, ObjectSettings};

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

    const SETTINGS: ObjectSettings = ObjectSettings {
        threshold: 0.4,
        nms_iou: 0.5,
        most: 10,
        decode: ObjectDecode::InGraph,
    };

    /// Three cells: a banana, a weaker apple that the image's box overlaps, and a weak apple elsewhere.
    const CELLS: CellOutputs<'_> = CellOutputs {
        scores: &[0.1, 0.8, 0.7, 0.0, 0.45, 0.2],
        boxes: &[0.0, 0.3, 0.0, 0.3, 0.5, 1.0, 0.5, 1.0, 0.0, 0.2, 0.8, 1.0],
    };

    fn thresholds(primary: f32, objects: f32) -> Thresholds {
        Thresholds {
            primary,
            objects,
            nms_iou: SETTINGS.nms_iou,
        }
    }

    fn classes(found: &[Detection]) -> Vec<(usize, f32)> {
        let fields = |found: &Detection| (found.class.index(), found.confidence);
        found.iter().map(fields).collect()
    }

    #[test]
    fn objects_are_those_above_the_threshold() {
        let nms = &mut Nms::new(SETTINGS, 3, 2);
        let apple = Prediction::new(vec![0.9, 0.1], [0.5, 1.0, 0.5, 0.9]).expect("valid");
        assert_eq!(apple.objects(0.0), None);
        let both = apple.with_objects(CELLS, nms).expect("valid");
        let of = |threshold| classes(both.objects(threshold).expect("has objects"));
        assert_eq!(of(0.45), [(1, 0.8), (0, 0.7), (0, 0.45)]);
        assert_eq!(of(0.46), [(1, 0.8), (0, 0.7)]);
        assert_eq!(of(0.9), []);
    }

    #[test]
    fn an_object_that_is_the_primary_detection_is_not_listed_again() {
        let nms = &mut Nms::new(SETTINGS, 3, 2);
        let corners = [0.5, 1.0, 0.5, 0.9];
        let of = |scores: [f32; 2], thresholds: &Thresholds, nms: &mut Nms| {
            let image = Prediction::new(scores.to_vec(), corners).expect("valid");
            let both = image.with_objects(CELLS, nms).expect("valid");
            assert!(both.has_image_heads());
            let (primary, others) = (both.detection(thresholds.primary), both.others(thresholds));
            let all: Vec<Detection> = primary.iter().chain(&others).copied().collect();
            assert_eq!(both.detections(thresholds), all);
            (primary, classes(&others))
        };
        let (primary, others) = of([0.9, 0.1], &thresholds(0.5, 0.4), nms);
        assert_eq!(
            primary.map(|found| found.bounding_box.corners()),
            Some(corners)
        );
        assert_eq!(others, [(1, 0.8), (0, 0.45)]);
        // Of another class, it is another thing.
        let (_, others) = of([0.1, 0.9], &thresholds(0.5, 0.4), nms);
        assert_eq!(others, [(1, 0.8), (0, 0.7), (0, 0.45)]);
        // Without a primary detection, all objects are listed.
        let (primary, others) = of([0.4, 0.1], &thresholds(0.5, 0.6), nms);
        assert_eq!((primary, others), (None, vec![(1, 0.8), (0, 0.7)]));
    }

    #[test]
    fn without_image_heads_the_best_object_is_the_primary() {
        let nms = &mut Nms::new(SETTINGS, 3, 2);
        let prediction = Prediction::of_objects(CELLS, nms).expect("valid");
        assert!(!prediction.has_image_heads());
        assert_eq!(prediction.scores(), [0.7, 0.8]);
        let thresholds = thresholds(0.4, 0.4);
        let primary = prediction.detection(thresholds.primary).expect("found");
        assert_eq!(
            Some(&primary),
            prediction.objects(0.4).expect("some").first()
        );
        assert_eq!(
            classes(&prediction.others(&thresholds)),
            [(0, 0.7), (0, 0.45)]
        );
    }

    #[test]
    fn objects_of_views_replace_those_of_the_image() {
        let nms = &mut Nms::new(SETTINGS, 3, 2);
        let object = Detection {
            class: ClassId::new(0),
            confidence: 0.95,
            bounding_box: NormBox::new(0.4, 0.5, 0.4, 0.5).expect("valid"),
        };
        let apple = Prediction::new(vec![0.9, 0.1], [0.5, 1.0, 0.5, 0.9]).expect("valid");
        let both = apple.with_objects(CELLS, nms).expect("valid");
        let both = both.with_objects_of_views(vec![object]);
        assert_eq!(both.scores(), [0.9, 0.1]);
        assert_eq!(both.objects(0.0), Some(&[object][..]));
        let objects = Prediction::of_objects(CELLS, nms).expect("valid");
        let objects = objects.with_objects_of_views(vec![object]);
        assert_eq!(objects.scores(), [0.95, 0.0]);
        assert_eq!(objects.detection(0.5), Some(object));
        let none = objects.with_objects_of_views(Vec::new());
        assert_eq!((none.detection(0.5), none.scores()), (None, &[0.0; 2][..]));
    }

    #[test]
    fn a_threshold_replaces_both_of_the_card() {
        let mut card = crate::card::test_card(8);
        let of = |card: &ModelCard, threshold| {
            let found = Thresholds::new(card, threshold);
            (found.primary, found.objects)
        };
        assert_eq!(of(&card, None), (0.5, 0.5));
        card.objects = Some(SETTINGS);
        assert_eq!(of(&card, None), (0.5, 0.4));
        assert_eq!(of(&card, Some(0.7)), (0.7, 0.7));
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
