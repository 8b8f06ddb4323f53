//! A teacher: a model that knows the classes already and says of each view what it sees in it.
//!
//! In go the views of a batch, out come a score for each class, to be learnt beside the true class (Hinton et al. 2015),
//! and the features that they were read from, for those of the learner to become alike, so that the teacher's class head
//! reads them too (Chen et al. 2022, "Knowledge distillation with the reused teacher classifier").
//! So a trunk that has learnt to find things gets to know what another one, which it can't be averaged with, has learnt
//! of their looks. Of boxes a teacher says nothing.

use boxcam::label::Labels;
use burn::prelude::*;
use burn::tensor::activation::softmax;
use thiserror::Error;

use crate::heads::{ClassHead, pool};
use crate::layer::DenseWeights;
use crate::network::Backbone;
use crate::weights::{BackboneWeights, HeadWeights};

/// A model that teaches.
#[derive(Debug)]
pub struct Teacher {
    trunk: Backbone,
    class: ClassHead,
}

/// What a teacher says of a batch.
#[derive(Debug, Clone)]
pub struct TeacherOutput {
    /// `[batch, classes]`, each row with a sum of 1.
    pub scores: Tensor<2>,
    /// `[batch, channels]`, what the scores were read from.
    pub features: Tensor<2>,
}

/// A model that can't teach.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TeacherError {
    /// It has been made for other classes, or has no heads.
    #[error(
        "the teacher knows {found}, expected the classes of the data, {expected}; give a model that was made from it"
    )]
    Classes {
        /// The classes of the data.
        expected: String,
        /// Those of the teacher.
        found: String,
    },
    /// Its features are not as many as those of the trunk that is to learn from it.
    #[error(
        "the teacher has {found} features, expected the {expected} of the trunk that learns; give a teacher of the \
         same kind and width"
    )]
    Features {
        /// Those of the trunk that learns.
        expected: usize,
        /// Those of the teacher.
        found: usize,
    },
}

impl Teacher {
    /// The teacher with these weights, on a device without gradients. What learns from it gets its class head to
    /// start from.
    ///
    /// # Errors
    /// [`TeacherError`] when it knows other classes, has no heads, or features of another number.
    pub fn new(
        weights: &BackboneWeights,
        learner: &mut BackboneWeights,
        labels: &Labels,
        device: &Device,
    ) -> Result<Self, TeacherError> {
        let class = class_head(weights, labels)?;
        let [classes, found] = class.shape;
        let expected = learner.layers.last().map_or(0, |last| last.conv.shape[0]);
        if found != expected {
            return Err(TeacherError::Features { expected, found });
        }
        let of_box = learner.heads_for(labels).map(|heads| heads.of_box.clone());
        learner.heads = Some(HeadWeights {
            labels: labels.clone(),
            class: class.clone(),
            of_box: of_box.unwrap_or_default(),
        });
        let layers = &weights.layers;
        Ok(Self {
            trunk: Backbone::new(layers, 0, layers.len(), device),
            class: ClassHead::new(found, classes, 0.0, device).load_pretrained(class),
        })
    }

    /// What it says of views, `[batch, height, width, 3]`.
    #[must_use]
    pub fn predict(&self, views: Tensor<4>) -> TeacherOutput {
        let features = pool(self.trunk.forward(views));
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
            found: found.unwrap_or_else(|| "no classes".to_owned()),
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
        let detector = TractDetector::from_file(&file).expect("a model");
        (detector, weights::read(&file).expect("its weights"))
    }

    fn view(card: &ModelCard, frame: &Frame, device: &Device) -> Tensor<4> {
        let card = channels_last(card);
        let tensor = preprocess(frame, &card).expect("has pixels").to_f32();
        let side = card.input.width as usize;
        Tensor::from_data(TensorData::new(tensor, [1, side, side, 3]), device)
    }

    #[test]
    fn a_teacher_says_what_its_model_says() {
        let (mut detector, weights) = small();
        let device = Device::flex();
        let labels = detector.card().labels.clone();
        let mut learner = weights::shipped().expect("the program's own");
        let teacher = Teacher::new(&weights, &mut learner, &labels, &device).expect("can teach");
        assert_eq!(
            learner.heads.expect("given").class,
            weights.heads.as_ref().expect("has").class
        );
        for seed in 1..=3 {
            let frame = Frame::new(0, Origin::Live, random_scene(seed, 320, 240).image);
            let said = to_vec(
                teacher
                    .predict(view(detector.card(), &frame, &device))
                    .scores,
            );
            assert!((said.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{said:?}");
            let tensor = preprocess(&frame, detector.card()).expect("has pixels");
            let (class, of_model) = detector.predict(&tensor).expect("an answer").top();
            let of_teacher = said[class.index()];
            assert!(
                (of_teacher - of_model).abs() < 0.1,
                "{of_teacher} {of_model}"
            );
        }
    }

    #[test]
    fn a_model_of_other_classes_or_features_can_not_teach() {
        let (detector, weights) = small();
        let labels = Labels::new(vec!["left".to_owned(), "right".to_owned()]).expect("sound");
        let device = Device::flex();
        let mut learner = weights.clone();
        let error = Teacher::new(&weights, &mut learner, &labels, &device).expect_err("refused");
        assert!(
            error.to_string().contains("knows apple, banana")
                && error.to_string().contains("left, right"),
            "{error}"
        );
        learner.layers.pop();
        let labels = &detector.card().labels;
        let error = Teacher::new(&weights, &mut learner, labels, &device).expect_err("refused");
        let (expected, found) = (320, 1280);
        assert_eq!(error, TeacherError::Features { expected, found });
    }
}
