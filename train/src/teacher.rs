//! A teacher: a model that knows the classes already and says of each view what it sees in it.
//!
//! In go the views of a batch, out come a score for each class, to be learnt beside the true class (Hinton et al. 2015).
//! So a trunk that has learnt to find things gets to know what another one, which it can't be averaged with, has learnt
//! of their looks. Of boxes a teacher says nothing.

use boxcam::label::Labels;
use burn::prelude::*;
use burn::tensor::activation::softmax;
use thiserror::Error;

use crate::heads::ClassHead;
use crate::network::Trunk;
use crate::weights::TrunkWeights;

/// A model that teaches.
#[derive(Debug)]
pub struct Teacher {
    trunk: Trunk,
    class: ClassHead,
}

/// A model that can't teach these classes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the teacher knows {found}, expected the classes of the data, {expected}; give a model that was made from it"
)]
pub struct TeacherError {
    /// The classes of the data.
    pub expected: String,
    /// Those of the teacher.
    pub found: String,
}

impl Teacher {
    /// The teacher with these weights, on a device without gradients.
    ///
    /// # Errors
    /// [`TeacherError`] when it has been made for other classes, or has no heads.
    pub fn new(
        weights: &TrunkWeights,
        labels: &Labels,
        device: &Device,
    ) -> Result<Self, TeacherError> {
        let names = |labels: &Labels| labels.iter().collect::<Vec<_>>().join(", ");
        let Some(heads) = weights.heads_for(labels) else {
            let found = weights.heads.as_ref().map(|heads| names(&heads.labels));
            return Err(TeacherError {
                expected: names(labels),
                found: found.unwrap_or_else(|| "no classes".to_owned()),
            });
        };
        let layers = &weights.layers;
        let [classes, channels] = heads.class.shape;
        Ok(Self {
            trunk: Trunk::new(layers, 0, layers.len(), device),
            class: ClassHead::new(channels, classes, 0.0, device).taken_over(&heads.class),
        })
    }

    /// `[batch, height, width, 3]` to `[batch, classes]`, each row with a sum of 1.
    #[must_use]
    pub fn scores(&self, views: Tensor<4>) -> Tensor<2> {
        softmax(self.class.forward(self.trunk.forward(views)), 1)
    }
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
    use crate::network::numbers;
    use crate::weights;

    fn small() -> (TractDetector, TrunkWeights) {
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
        let teacher = Teacher::new(&weights, &detector.card().labels, &device).expect("can teach");
        for seed in 1..=3 {
            let frame = Frame::new(0, Origin::Live, random_scene(seed, 320, 240).image);
            let said = numbers(teacher.scores(view(detector.card(), &frame, &device)));
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
    fn a_model_of_other_classes_can_not_teach() {
        let (_, weights) = small();
        let labels = Labels::new(vec!["left".to_owned(), "right".to_owned()]).expect("sound");
        let error = Teacher::new(&weights, &labels, &Device::flex()).expect_err("refused");
        assert_eq!(error.expected, "left, right");
        assert!(error.found.starts_with("apple, banana"), "{error}");
    }
}
