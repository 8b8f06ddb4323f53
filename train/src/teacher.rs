//! Knowledge distillation: a teacher model for the same classes gives soft targets and target features.
//!
//! Its scores are blended with the class target (Hinton et al. 2015), and the student learns its penultimate features,
//! so that the teacher's class head can read them too (Chen et al. 2022, "Knowledge distillation with the reused teacher
//! classifier"). The box is not distilled.

use boxcam::label::Labels;
use burn::prelude::*;
use burn::tensor::activation::softmax;
use thiserror::Error;

use crate::heads::{ClassHead, pool};
use crate::layer::DenseWeights;
use crate::network::Backbone;
use crate::weights::{BackboneWeights, HeadWeights};

#[derive(Debug)]
pub struct Teacher {
    backbone: Backbone,
    class: ClassHead,
}

/// Output of the teacher for a batch.
#[derive(Debug, Clone)]
pub struct TeacherOutput {
    /// `[batch, classes]`, softmax.
    pub scores: Tensor<2>,
    /// `[batch, channels]`, the input of the class head.
    pub features: Tensor<2>,
}

/// Why a model can't be a teacher.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TeacherError {
    #[error(
        "the teacher has the classes {found}, expected those of the data, {expected}; give a model that was trained on this data"
    )]
    Classes { expected: String, found: String },
    #[error(
        "the teacher has {found} features, expected {expected} as in the student's backbone; give a teacher of the same \
         architecture and width"
    )]
    Features { expected: usize, found: usize },
}

impl Teacher {
    /// A teacher with these weights on a device without gradients. The student's class head is initialized with the
    /// teacher's.
    ///
    /// # Errors
    /// [`TeacherError`] when it has other classes, no heads, or another number of features.
    pub fn new(
        weights: &BackboneWeights,
        student: &mut BackboneWeights,
        labels: &Labels,
        device: &Device,
    ) -> Result<Self, TeacherError> {
        let class = class_head(weights, labels)?;
        let [classes, found] = class.shape;
        let expected = student.layers.last().map_or(0, |last| last.conv.shape[0]);
        if found != expected {
            return Err(TeacherError::Features { expected, found });
        }
        let box_convs = student
            .heads_for(labels)
            .map(|heads| heads.box_convs.clone());
        student.heads = Some(HeadWeights {
            labels: labels.clone(),
            class: class.clone(),
            box_convs: box_convs.unwrap_or_default(),
        });
        let layers = &weights.layers;
        Ok(Self {
            backbone: Backbone::new(layers, 0, layers.len(), device),
            class: ClassHead::new(found, classes, 0.0, device).load_pretrained(class),
        })
    }

    /// `views` is `[batch, height, width, 3]`.
    #[must_use]
    pub fn predict(&self, views: Tensor<4>) -> TeacherOutput {
        let features = pool(self.backbone.forward(views));
        TeacherOutput {
            scores: softmax(self.class.forward(features.clone()), 1),
            features,
        }
    }
}

fn class_head<'a>(
    weights: &'a BackboneWeights,
    labels: &Labels,
) -> Result<&'a DenseWeights, TeacherError> {
    let names = |labels: &Labels| labels.iter().collect::<Vec<_>>().join(", ");
    let heads = weights.heads_for(labels).ok_or_else(|| {
        let found = weights.heads.as_ref().map(|heads| names(&heads.labels));
        TeacherError::Classes {
            expected: names(labels),
            found: found.unwrap_or_else(|| "(no class head)".to_owned()),
        }
    })?;
    Ok(&heads.class)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use boxcam::card::ModelCard;
    use boxcam::detect::Detector;
    use boxcam::detect::tract::TractDetector;
    use boxcam::frame::{Frame, Origin};
    use boxcam::preprocess::preprocess;
    use boxcam::scene::random_scene;

    use super::*;
    use crate::features::channels_last;
    use crate::network::to_vec;
    use crate::weights;

    fn small() -> (TractDetector, BackboneWeights) {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        let file = models.join("snacks-small.onnx");
        let detector = TractDetector::from_file(&file).expect("valid model");
        (detector, weights::read(&file).expect("valid weights"))
    }

    fn view(card: &ModelCard, frame: &Frame, device: &Device) -> Tensor<4> {
        let card = channels_last(card);
        let tensor = preprocess(frame, &card).expect("preprocessed").to_f32();
        let side = card.input.width as usize;
        Tensor::from_data(TensorData::new(tensor, [1, side, side, 3]), device)
    }

    #[test]
    fn a_teacher_predicts_the_scores_of_its_model() {
        let (mut detector, weights) = small();
        let device = Device::flex();
        let labels = detector.card().labels.clone();
        let mut student = weights::embedded().expect("valid weights");
        let teacher =
            Teacher::new(&weights, &mut student, &labels, &device).expect("valid teacher");
        assert_eq!(
            student.heads.expect("heads").class,
            weights.heads.as_ref().expect("heads").class
        );
        for seed in 1..=3 {
            let frame = Frame::new(0, Origin::Live, random_scene(seed, 320, 240).image);
            let scores = to_vec(
                teacher
                    .predict(view(detector.card(), &frame, &device))
                    .scores,
            );
            assert!(
                (scores.iter().sum::<f32>() - 1.0).abs() < 1e-4,
                "{scores:?}"
            );
            let tensor = preprocess(&frame, detector.card()).expect("preprocessed");
            let (class, model_score) = detector.predict(&tensor).expect("prediction").top();
            let teacher_score = scores[class.index()];
            assert!(
                (teacher_score - model_score).abs() < 0.1,
                "{teacher_score} {model_score}"
            );
        }
    }

    #[test]
    fn a_teacher_with_other_classes_or_features_is_refused() {
        let (detector, weights) = small();
        let labels =
            Labels::new(vec!["left".to_owned(), "right".to_owned()]).expect("valid labels");
        let device = Device::flex();
        let mut student = weights.clone();
        let error = Teacher::new(&weights, &mut student, &labels, &device).expect_err("refused");
        assert!(
            error.to_string().contains("has the classes apple, banana")
                && error.to_string().contains("left, right"),
            "{error}"
        );
        student.layers.pop();
        let labels = &detector.card().labels;
        let error = Teacher::new(&weights, &mut student, labels, &device).expect_err("refused");
        let (expected, found) = (320, 1280);
        assert_eq!(error, TeacherError::Features { expected, found });
    }
}
