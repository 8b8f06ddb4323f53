//! Fitting: the loop that makes a model from features.
//!
//! In go a [`Model`], training and validation [`Features`] with what is true of them, and a [`Recipe`];
//! out comes, after each epoch, an [`Epoch`] with the losses and metrics of both. The same seed and data
//! give the same order of examples. Nothing is written to disk here: that is for whoever takes the epochs.

use boxcam::annotations::Annotation;
use boxcam::detect::{DetectError, Prediction};
use boxcam::evaluate::{Evaluation, Figures, Mean};
use boxcam::geometry::NormBox;
use boxcam::label::Labels;
use boxcam::split::AnnotatedPicture;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::prelude::*;
use burn::tensor::activation::softmax;
use fastrand::Rng;

use crate::examples::{Example, Examples};
use crate::features::Features;
use crate::loss::{box_loss, cross_entropy};
use crate::model::Model;
use crate::network::numbers;
use crate::recipe::Recipe;

mod progress;

pub use progress::{Epoch, Progress};

/// Validation pictures that go through the model at a time.
const VALIDATION_BATCH: usize = 32;

/// What is learnt from.
#[derive(Debug)]
pub struct TrainingData<'a> {
    /// Class names.
    pub labels: &'a Labels,
    /// The examples.
    pub examples: &'a Examples,
    /// Features of their pictures.
    pub features: &'a Features,
}

/// What is never learnt from.
#[derive(Debug)]
pub struct ValidationData<'a> {
    /// The pictures with their rows.
    pub pictures: &'a [AnnotatedPicture],
    /// Their features.
    pub features: &'a Features,
}

/// A model being fitted.
pub struct Fit<'a> {
    model: Model,
    recipe: &'a Recipe,
    device: Device,
    random: Rng,
    trunk_optimizer: ModuleOptimizer,
    heads_optimizer: ModuleOptimizer,
}

/// What is true of one batch.
struct Truth {
    classes: Tensor<2>,
    boxes: Tensor<2>,
    known: Tensor<1>,
    /// The same for the metrics: class index and box of each example.
    plain: Vec<(Option<usize>, Option<NormBox>)>,
}

impl<'a> Fit<'a> {
    /// A fit from a fresh model; `device` must be one with gradients.
    #[must_use]
    pub fn new(model: Model, recipe: &'a Recipe, seed: u64, device: Device) -> Self {
        let optimizer = || {
            AdamWConfig::new()
                .with_epsilon(1e-8)
                .with_weight_decay(recipe.weight_decay)
                .init()
        };
        Self {
            model,
            recipe,
            device,
            random: Rng::with_seed(seed),
            trunk_optimizer: optimizer(),
            heads_optimizer: optimizer(),
        }
    }

    /// The model as it is now.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// One pass over all examples; `step` is called after each batch. The last, partial batch is left
    /// out, as the chapter does.
    pub fn epoch(
        &mut self,
        epoch: usize,
        data: &TrainingData,
        mut step: impl FnMut(&Progress),
    ) -> Progress {
        let examples = &data.examples.examples;
        let mut order: Vec<usize> = (0..examples.len())
            .filter(|&index| data.features.has(examples[index].picture))
            .collect();
        self.random.shuffle(&mut order);
        let batches = order.chunks_exact(self.recipe.batch);
        let steps = batches.len();
        let mut progress = Progress::default();
        for (index, batch) in batches.enumerate() {
            let done = epoch as f64 - 1.0 + index as f64 / steps as f64;
            self.step(epoch, done, batch, data, &mut progress);
            step(&progress);
        }
        progress
    }

    fn step(
        &mut self,
        epoch: usize,
        done: f64,
        batch: &[usize],
        data: &TrainingData,
        progress: &mut Progress,
    ) {
        let shown: Vec<(&Example, usize)> = batch
            .iter()
            .map(|&index| {
                let example = &data.examples.examples[index];
                // Another view each epoch, all views in turn.
                (
                    example,
                    (epoch + example.picture) % data.features.views(example.picture),
                )
            })
            .collect();
        let places: Vec<_> = shown.iter().map(|(e, view)| (e.picture, *view)).collect();
        let truth = self.truth(&shown, data);
        let features = data.features.batch(&places, &self.device);
        let (logits, corners) = self.model.forward(features);
        let class_loss = cross_entropy(logits.clone(), truth.classes.clone());
        let box_loss = box_loss(
            self.recipe.box_loss,
            corners.clone(),
            truth.boxes.clone(),
            truth.known.clone(),
        );
        let mut loss = class_loss.clone() + box_loss.clone();
        if self.recipe.l2 > 0.0 {
            loss = loss + self.model.heads.class.squared_weights() * self.recipe.l2;
        }
        progress.add(&loss, &class_loss, &box_loss, &logits, &corners, &truth);
        self.learn(&loss, done);
    }

    fn learn(&mut self, loss: &Tensor<1>, done: f64) {
        let mut gradients = loss.backward();
        let rates = self.recipe.schedule.rates(done);
        if self.recipe.trained_convolutions > 0 {
            let trunk = GradientsParams::from_module(&mut gradients, &self.model.trunk);
            let module = self.model.trunk.clone();
            self.model.trunk = self.trunk_optimizer.step(rates.trunk, module, trunk);
        }
        let heads = GradientsParams::from_module(&mut gradients, &self.model.heads);
        let module = self.model.heads.clone();
        self.model.heads = self.heads_optimizer.step(rates.heads, module, heads);
    }

    fn truth(&self, shown: &[(&Example, usize)], data: &TrainingData) -> Truth {
        let count = data.labels.len();
        let smoothing = self.recipe.label_smoothing;
        let mut classes = Vec::with_capacity(shown.len() * count);
        let mut boxes = Vec::with_capacity(shown.len() * 4);
        let mut known = Vec::with_capacity(shown.len());
        let mut plain = Vec::with_capacity(shown.len());
        for (example, view) in shown {
            let class = example.class.map(boxcam::label::ClassId::index);
            let even = if class.is_some() { smoothing } else { 1.0 } / count as f32;
            let share = |index: usize| match class {
                Some(class) if class == index => even + 1.0 - smoothing,
                _ => even,
            };
            classes.extend((0..count).map(share));
            let view = &data.examples.pictures[example.picture].views[*view];
            let seen = example.bounding_box.and_then(|truth| view.of_box(&truth));
            boxes.extend(seen.map_or([0.0; 4], |seen| seen.corners()));
            known.push(f32::from(u8::from(seen.is_some())));
            plain.push((class, seen));
        }
        let rows = shown.len();
        let tensor = |values, width| {
            Tensor::<2>::from_data(TensorData::new(values, [rows, width]), &self.device)
        };
        Truth {
            classes: tensor(classes, count),
            boxes: tensor(boxes, 4),
            known: Tensor::from_data(TensorData::new(known, [rows]), &self.device),
            plain,
        }
    }

    /// What the model as it is now says of the validation pictures: figures, and the mean cross-entropy
    /// of the rows.
    ///
    /// # Errors
    /// [`DetectError`] when the model puts out NaN or infinity.
    pub fn validate(
        &self,
        labels: &Labels,
        data: &ValidationData,
    ) -> Result<(Figures, f64), DetectError> {
        let model = self.model.valid();
        let device = self.device.clone().without_autodiff();
        let mut evaluation = Evaluation::new(labels.clone());
        let mut entropy = Mean::default();
        let readable: Vec<usize> = (0..data.pictures.len())
            .filter(|&picture| data.features.has(picture))
            .collect();
        for batch in readable.chunks(VALIDATION_BATCH) {
            let places: Vec<_> = batch.iter().map(|&picture| (picture, 0)).collect();
            let (logits, corners) = model.forward(data.features.batch(&places, &device));
            let scores = numbers(softmax(logits, 1));
            let corners = numbers(corners);
            for (row, &picture) in batch.iter().enumerate() {
                let scores = scores[row * labels.len()..][..labels.len()].to_vec();
                let corners = std::array::from_fn(|corner| corners[row * 4 + corner]);
                let prediction = Prediction::new(scores, corners)?;
                let picture = &data.pictures[picture];
                let surprise = |annotation: &Annotation| {
                    let class = labels.find(&annotation.class_name)?;
                    let score = f64::from(prediction.scores()[class.index()]);
                    Some(-score.max(1e-12).ln())
                };
                picture
                    .rows
                    .iter()
                    .filter_map(surprise)
                    .for_each(|s| entropy.add(s));
                evaluation.add(&picture.folder, &picture.rows, &prediction);
            }
        }
        Ok((evaluation.figures(), entropy.value()))
    }
}
