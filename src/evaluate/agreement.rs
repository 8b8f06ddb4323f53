//! Agreement with another model: its confident detections are the ground truth.

use serde::Serialize;

use super::objects::ObjectEvaluation;
use super::{Predicted, Predictions};
use crate::detect::Detection;
use crate::label::Labels;

/// Detections of the other model with at least this score are the ground truth.
pub const REFERENCE_SCORE: f32 = 0.5;

/// How well a model finds what another one detects with a score of at least [`REFERENCE_SCORE`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// AP50, mean over the classes weighted by their boxes; 0 without boxes.
    pub agreement: f64,
    /// Number of boxes of the other model.
    #[serde(rename = "rows")]
    pub boxes: usize,
    /// The classes with boxes, in the order of the labels.
    pub per_class: Vec<ClassAgreement>,
}

/// The agreement on one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassAgreement {
    pub class: String,
    /// Number of boxes of the other model.
    #[serde(rename = "rows")]
    pub boxes: usize,
    pub ap50: f64,
}

impl Agreement {
    /// `reference`: the other model's detections in each of the pictures, in the same order.
    ///
    /// # Panics
    /// If the reference has fewer pictures.
    #[must_use]
    pub fn of<T: Predicted>(
        predictions: &Predictions<'_, T>,
        reference: &[Vec<Detection>],
        labels: &Labels,
    ) -> Self {
        let labels_of = labels.clone();
        let evaluation =
            ObjectEvaluation::against(predictions, reference, REFERENCE_SCORE, labels_of);
        Self::measured(&evaluation, labels)
    }

    /// Of the detections of two models, the highest score first, in the same pictures in the same order.
    #[must_use]
    pub fn between(
        detections: &[Vec<Detection>],
        reference: &[Vec<Detection>],
        labels: &Labels,
    ) -> Self {
        let labels_of = labels.clone();
        let evaluation =
            ObjectEvaluation::of_detections(detections, reference, REFERENCE_SCORE, labels_of);
        Self::measured(&evaluation, labels)
    }

    fn measured(evaluation: &ObjectEvaluation, labels: &Labels) -> Self {
        let classes = labels.iter().zip(evaluation.per_class());
        let per_class: Vec<ClassAgreement> = classes
            .filter_map(|(class, found)| {
                let found = found?;
                Some(ClassAgreement {
                    class: class.to_owned(),
                    boxes: found.boxes,
                    ap50: found.ap50,
                })
            })
            .collect();
        let boxes: usize = per_class.iter().map(|class| class.boxes).sum();
        let weighted = per_class
            .iter()
            .map(|class| class.boxes as f64 * class.ap50);
        Self {
            agreement: weighted.sum::<f64>() / boxes.max(1) as f64,
            boxes,
            per_class,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::picture;
    use super::*;
    use crate::dataset::AnnotatedPicture;
    use crate::evaluate::RecordedPrediction;
    use crate::geometry::NormBox;
    use crate::label::ClassId;

    const LEFT: [f32; 4] = [0.0, 0.4, 0.0, 0.4];
    const RIGHT: [f32; 4] = [0.6, 1.0, 0.0, 0.4];

    /// Class, score and corners of each detection, picture by picture.
    type Found<'a> = [&'a [(usize, f32, [f32; 4])]; 2];

    fn detections(found: Found<'_>) -> Vec<Vec<Detection>> {
        let detection = |&(class, confidence, corners): &(usize, f32, [f32; 4])| Detection {
            class: ClassId::new(class),
            confidence,
            bounding_box: NormBox::from_regression(corners).expect("finite"),
        };
        let pictures = found.into_iter();
        pictures
            .map(|found| found.iter().map(detection).collect())
            .collect()
    }

    fn predictions<'d>(
        pictures: &'d [AnnotatedPicture],
        found: Found<'_>,
    ) -> Predictions<'d, RecordedPrediction> {
        let recorded = |objects: Vec<Detection>| RecordedPrediction {
            primary: objects[0],
            objects: Some(objects),
        };
        let found = detections(found).into_iter().map(recorded);
        Predictions {
            pictures: pictures.iter().zip(found).collect(),
            sizes: vec![[100, 100]; pictures.len()],
            skipped: Vec::new(),
        }
    }

    #[test]
    fn classes_count_as_often_as_the_reference_detects_them() {
        let pictures = ["a", "b"].map(picture);
        let found: Found<'_> = [
            &[(0, 0.9, LEFT), (0, 0.5, RIGHT), (1, 0.49, LEFT)],
            &[(0, 0.7, LEFT), (1, 0.6, RIGHT)],
        ];
        let reference = detections(found);
        let labels = ["apple", "banana", "cake"].map(str::to_owned);
        let labels = Labels::new(labels.to_vec()).expect("valid");
        let same = Agreement::of(&predictions(&pictures, found), &reference, &labels);
        assert_eq!((same.boxes, same.per_class.len()), (4, 2));
        // The banana of 0.49 is no ground truth and has a lower score than all that is.
        assert!((same.agreement - 1.0).abs() < 1e-9, "{same:?}");
        let found: Found<'_> = [
            &[(0, 0.3, LEFT), (0, 0.2, RIGHT)],
            &[(0, 0.1, LEFT), (2, 0.6, RIGHT)],
        ];
        let other = Agreement::of(&predictions(&pictures, found), &reference, &labels);
        let without_sizes = Agreement::between(&detections(found), &reference, &labels);
        assert_eq!(without_sizes, other);
        let of_class = |class: &ClassAgreement| (class.class.clone(), class.boxes, class.ap50);
        let expected = [("apple".to_owned(), 3, 1.0), ("banana".to_owned(), 1, 0.0)];
        let found: Vec<_> = other.per_class.iter().map(of_class).collect();
        assert_eq!(found, expected);
        assert!((other.agreement - 0.75).abs() < 1e-9, "{other:?}");
    }
}
