//! What a model in training says of pictures that it never learns from.

use boxcam::dataset::AnnotatedPicture;
use boxcam::dataset::Annotation;
use boxcam::detect::{DetectError, Prediction};
use boxcam::evaluate::{Evaluation, Mean, Metrics};
use boxcam::label::Labels;
use burn::prelude::*;
use burn::tensor::activation::softmax;

use super::{Fit, ValidationData};
use crate::features::channels_last;
use crate::feed::{Feed, Look, Wanted};
use crate::network::to_vec;

/// Validation pictures that go through the model at a time.
const VALIDATION_BATCH: usize = 16;

impl Fit<'_> {
    /// What the model as it is now says of the validation pictures: figures, and the mean cross-entropy
    /// of the rows.
    ///
    /// # Errors
    /// [`DetectError`] when the model puts out NaN or infinity.
    pub fn validate(
        &self,
        labels: &Labels,
        data: &ValidationData,
    ) -> Result<(Metrics, f64), DetectError> {
        let net = self.made();
        let card = channels_last(self.card);
        let feed = Feed {
            pictures: data.pictures,
            card: &card,
            features: data.features,
        };
        let wanted = |picture| Wanted::alone(picture, picture, Look::Kept(0));
        let all: Vec<Wanted> = (0..data.pictures.len()).map(wanted).collect();
        let plan = all.chunks(VALIDATION_BATCH).map(<[_]>::to_vec).collect();
        let mut judge = Judge {
            labels,
            evaluation: Evaluation::new(labels.clone()),
            entropy: Mean::default(),
        };
        let mut result = Ok(());
        feed.batches(plan, |batch| {
            let pictures: Vec<&AnnotatedPicture> =
                batch.shown.iter().map(|w| &data.truth[w.picture]).collect();
            if !pictures.is_empty() {
                let answer = net.forward(self.input(batch.tensor(&self.plain())));
                result = judge.take(&pictures, answer.logits, answer.corners);
            }
            result.is_ok()
        });
        result?;
        Ok((judge.evaluation.metrics(), judge.entropy.value()))
    }
}

/// Sums over the validation pictures so far.
struct Judge<'a> {
    labels: &'a Labels,
    evaluation: Evaluation,
    entropy: Mean,
}

impl Judge<'_> {
    fn take(
        &mut self,
        pictures: &[&AnnotatedPicture],
        logits: Tensor<2>,
        corners: Tensor<2>,
    ) -> Result<(), DetectError> {
        let classes = self.labels.len();
        let scores = to_vec(softmax(logits, 1));
        let corners = to_vec(corners);
        let answers = scores.chunks_exact(classes).zip(corners.as_chunks::<4>().0);
        for (picture, (scores, corners)) in pictures.iter().zip(answers) {
            let prediction = Prediction::new(scores.to_vec(), *corners)?;
            for row in &picture.annotations {
                if let Some(surprise) = self.surprise(row, &prediction) {
                    self.entropy.add(surprise);
                }
            }
            self.evaluation
                .add(&picture.folder, &picture.annotations, &prediction);
        }
        Ok(())
    }

    fn surprise(&self, row: &Annotation, prediction: &Prediction) -> Option<f64> {
        let class = self.labels.find(&row.class_name)?;
        let score = f64::from(prediction.scores()[class.index()]);
        Some(-score.max(1e-12).ln())
    }
}
