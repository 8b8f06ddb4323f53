//! The training loop.
//!
//! All randomness of an epoch follows from the seed and the epoch's number, so that an epoch can be repeated with the same
//! result. Nothing is written to disk here.

use std::time::{Duration, Instant};

use boxcam::card::{MAX_OBJECTS, ModelCard, ObjectSettings};
use boxcam::dataset::{AnnotatedPicture, Annotation};
use boxcam::detect::{CellOutputs, DetectError, Nms, Prediction};
use boxcam::evaluate::{Evaluation, Mean, Metrics, ObjectEvaluation};
use boxcam::geometry::{NormBox, iou};
use boxcam::label::Labels;
use burn::optim::GradientsParams;
use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::softmax;
use serde::{Deserialize, Serialize};

use crate::adamw::{AdamW, Step};
use crate::data_loader::{Augmented, Batch, DataLoader, SampleRequest};
use crate::features::{FeatureError, Features, channels_last};
use crate::heads::ObjectPredictions;
use crate::loss::{box_loss, cross_entropy, dense_loss, feature_distillation_loss, object_loss};
use crate::model::{Answer, Model, Net};
use crate::network::{Backbone, to_vec};
use crate::plan::EpochPlan;
use crate::recipe::Recipe;
use crate::samples::{TrainingImage, TrainingSet};
use crate::scenes::SceneSource;
use crate::targets::Targets;
use crate::targets::objects::ObjectTargets;
use crate::teacher::Teacher;
use crate::truth::{ImageClass, Truth};

/// Images per batch of the validation.
const VALIDATION_BATCH: usize = 16;

#[derive(Debug)]
pub struct TrainingData<'a> {
    pub labels: &'a Labels,
    pub set: &'a TrainingSet,
    /// Cached features, if part of the backbone is frozen.
    pub features: Option<&'a Features>,
    /// What scenes are made of.
    pub scenes: Option<&'a SceneSource>,
}

#[derive(Debug)]
pub struct ValidationData<'a> {
    pub truth: &'a [AnnotatedPicture],
    /// The same images, for the data loader.
    pub images: &'a [TrainingImage],
    /// Cached features, if part of the backbone is frozen.
    pub features: Option<&'a Features>,
}

/// A model in training, with its optimizers.
pub struct Trainer<'a> {
    model: Model,
    recipe: &'a Recipe,
    card: &'a ModelCard,
    device: Device,
    seed: u64,
    /// The frozen part of the backbone, if its features are not cached.
    frozen: Option<Backbone>,
    teacher: Option<Teacher>,
    backbone: AdamW,
    heads: AdamW,
}

impl<'a> Trainer<'a> {
    /// `device` must be one with gradients; the card is that of the exported model.
    #[must_use]
    pub fn new(
        model: Model,
        recipe: &'a Recipe,
        card: &'a ModelCard,
        seed: u64,
        device: Device,
    ) -> Self {
        let plain = device.clone().without_autodiff();
        let frozen = (!recipe.caches_features()).then(|| model.frozen_backbone(&plain));
        Self {
            frozen: frozen.flatten(),
            teacher: None,
            backbone: AdamW::new(&model.net.backbone),
            heads: AdamW::new(&model.net.heads),
            model,
            recipe,
            card,
            device,
            seed,
        }
    }

    #[must_use]
    pub fn with_teacher(mut self, teacher: Option<Teacher>) -> Self {
        self.teacher = teacher;
        self
    }

    /// What a checkpoint saves: the optimizers of backbone and heads, weights included.
    #[must_use]
    pub fn state(&self) -> [&AdamW; 2] {
        [&self.backbone, &self.heads]
    }

    /// Continues from the state of a checkpoint.
    pub fn restore(&mut self, [backbone, heads]: [AdamW; 2]) {
        self.model.net.backbone = backbone.load_weights(self.model.net.backbone.clone());
        self.model.net.heads = heads.load_weights(self.model.net.heads.clone());
        (self.backbone, self.heads) = (backbone, heads);
    }

    /// The model with the weights of the last step.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The network with the moving average of the weights, for inference.
    #[must_use]
    pub fn ema_model(&self) -> Net {
        let net = self.model.net.valid();
        Net {
            backbone: self.backbone.load_ema(net.backbone),
            heads: self.heads.load_ema(net.heads),
        }
    }

    /// One pass over all samples without the incomplete last batch. `step` is called after each batch, `unreadable` for
    /// each unreadable image.
    pub fn epoch(
        &mut self,
        epoch: usize,
        data: &TrainingData,
        mut step: impl FnMut(&Progress),
        mut unreadable: impl FnMut(FeatureError),
    ) -> Progress {
        self.device
            .seed(self.seed.wrapping_mul(0x9e37).wrapping_add(epoch as u64));
        let plan = EpochPlan {
            recipe: self.recipe,
            set: data.set,
            features: data.features,
            scenes: data.scenes,
            seed: self.seed,
            epoch,
        };
        let plan = plan.batches();
        let steps = plan.len();
        let card = channels_last(self.card);
        let loader = DataLoader {
            images: &data.set.images,
            card: &card,
            features: data.features,
            scenes: data.scenes,
        };
        let mut progress = Progress::default();
        let mut index = 0;
        loader.batches(plan, |mut batch| {
            batch.errors.drain(..).for_each(&mut unreadable);
            let done = epoch as f64 - 1.0 + index as f64 / steps as f64;
            index += 1;
            if !batch.samples.is_empty() {
                self.step(done, batch, data, &mut progress);
            }
            step(&progress);
            true
        });
        progress
    }

    fn step(&mut self, done: f64, batch: Batch, data: &TrainingData, progress: &mut Progress) {
        let smoothing = self.recipe.label_smoothing;
        let mut targets = Targets::new(
            &batch.samples,
            data.set,
            data.labels.len(),
            smoothing,
            &self.device,
        );
        let input = batch.tensor(&self.plain_device());
        if let Some(teacher) = &self.teacher {
            targets = targets.blend_teacher(teacher.predict(input.clone()), self.recipe.kd_weight);
        }
        let input = Tensor::from_inner(self.trainable_input(input));
        self.train_batch(done, input, &targets, progress);
    }

    /// The device without gradients.
    fn plain_device(&self) -> Device {
        self.device.clone().without_autodiff()
    }

    /// The input of the trainable part, from images or from cached features.
    fn trainable_input(&self, batch: Tensor<4>) -> Tensor<4> {
        match &self.frozen {
            Some(frozen) => frozen.forward(batch),
            None => batch,
        }
    }

    fn train_batch(
        &mut self,
        done: f64,
        input: Tensor<4>,
        targets: &Targets,
        progress: &mut Progress,
    ) {
        let output = self.model.net.forward(input);
        let kind = self.recipe.box_loss;
        let class_loss = cross_entropy(output.logits.clone(), targets.classes.clone());
        let mut total_box_loss = box_loss(
            kind,
            output.corners.clone(),
            targets.boxes.clone(),
            targets.has_box.clone(),
        );
        if let Some(cells) = &output.cells {
            let (box_weight, location) = targets.cells(cells.logits.dims()[2]);
            if let Some(dense) = dense_loss(kind, cells, &targets.boxes, box_weight, location) {
                total_box_loss = total_box_loss + dense;
            }
        }
        let mut loss = class_loss.clone() + total_box_loss.clone();
        if let (Some(objects), Some(settings)) = (&output.objects, &self.recipe.objects) {
            let of_objects = ObjectTargets::new(&targets.truths, objects, settings);
            let object_loss = object_loss(objects, &of_objects, settings);
            progress.add_objects(&object_loss);
            loss = loss + object_loss;
        }
        if let Some(teacher) = &targets.teacher_features {
            let distance = feature_distillation_loss(output.features.clone(), teacher.clone());
            loss = loss + distance * self.recipe.feature_kd_weight;
        }
        if self.recipe.l2 > 0.0 {
            loss = loss + self.model.net.heads.class.squared_weights() * self.recipe.l2;
        }
        progress.add(&loss, &class_loss, &total_box_loss, &output, targets);
        self.update(&loss, done);
    }

    fn update(&mut self, loss: &Tensor<1>, done: f64) {
        let mut gradients = loss.backward();
        let rates = self.recipe.rates(done);
        let step = |learning_rate| Step {
            learning_rate,
            weight_decay: self.recipe.weight_decay,
            ema_update: (1.0 - self.recipe.ema_decay) as f32,
            clip_norm: self.recipe.clip_norm,
        };
        let net = &mut self.model.net;
        let own = GradientsParams::from_module(&mut gradients, &net.backbone);
        net.backbone = self
            .backbone
            .step(net.backbone.clone(), own, step(rates.backbone));
        let own = GradientsParams::from_module(&mut gradients, &net.heads);
        net.heads = self.heads.step(net.heads.clone(), own, step(rates.head));
    }

    /// Figures of the EMA model on the validation images.
    ///
    /// # Errors
    /// [`DetectError`] if the model outputs NaN or infinity.
    pub fn validate(
        &self,
        labels: &Labels,
        data: &ValidationData,
    ) -> Result<ValidationFigures, DetectError> {
        let net = self.ema_model();
        let card = channels_last(self.card);
        let loader = DataLoader {
            images: data.images,
            card: &card,
            features: data.features,
            scenes: None,
        };
        let request = |image| SampleRequest::new(image, image, Augmented::Cached(0));
        let all: Vec<SampleRequest> = (0..data.images.len()).map(request).collect();
        let plan = all.chunks(VALIDATION_BATCH).map(<[_]>::to_vec).collect();
        let mut validation = Validation {
            labels,
            evaluation: Evaluation::new(labels.clone()),
            objects: self
                .card
                .objects
                .map(|_| ObjectEvaluation::new(labels.clone())),
            size: [card.input.width, card.input.height],
            nll: Mean::default(),
            // Recall at fewer objects would depend on the card.
            settings: self.card.objects.map(|settings| ObjectSettings {
                most: MAX_OBJECTS,
                ..settings
            }),
        };
        let mut result = Ok(());
        loader.batches(plan, |batch| {
            let shown = batch.samples.iter();
            let pictures: Vec<&AnnotatedPicture> = shown.map(|s| &data.truth[s.image]).collect();
            if !pictures.is_empty() {
                let input = self.trainable_input(batch.tensor(&self.plain_device()));
                let output = net.forward(input);
                result = validation.add(&pictures, output);
            }
            result.is_ok()
        });
        result?;
        Ok(ValidationFigures {
            metrics: validation.evaluation.metrics(),
            class_loss: validation.nll.value(),
            objects_ap50: validation.objects.map(|objects| objects.ap50()),
        })
    }

    /// The durations of so many steps (forward, backward, update) on noise of `[batch, height, width, channels]`, the
    /// input of the trainable part. Overwrites the model's weights.
    #[must_use]
    pub fn benchmark_steps(
        &mut self,
        shape: [usize; 4],
        classes: usize,
        steps: usize,
    ) -> Vec<Duration> {
        const NOTHING: Truth = Truth {
            image_class: ImageClass::Negative,
            objects: Vec::new(),
            ignored: Vec::new(),
            incomplete: Vec::new(),
        };
        let batch = shape[0];
        let noise = Distribution::Uniform(-1.0, 1.0);
        let input = Tensor::random(shape, noise, &self.device);
        let targets = Targets {
            classes: Tensor::ones([batch, classes], &self.device) / classes as f32,
            boxes: Tensor::from_data(
                TensorData::new(NormBox::WHOLE.corners().repeat(batch), [batch, 4]),
                &self.device,
            ),
            has_box: Tensor::ones([batch], &self.device),
            teacher_features: None,
            examples: vec![(None, Some(NormBox::WHOLE)); batch],
            truths: vec![NOTHING; batch],
        };
        let mut progress = Progress::default();
        let mut step = |_| {
            let start = Instant::now();
            // Progress reads the losses, which waits for an asynchronous device.
            self.train_batch(0.5, input.clone(), &targets, &mut progress);
            start.elapsed()
        };
        (0..steps).map(&mut step).collect()
    }
}

/// Figures of a model on the validation images.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidationFigures {
    pub metrics: Metrics,
    /// Mean cross-entropy of the annotations' classes.
    pub class_loss: f64,
    /// Average precision of the objects at an IoU of 0.5; `None` of a model without them.
    pub objects_ap50: Option<f64>,
}

/// Sums over the validation images so far.
struct Validation<'a> {
    labels: &'a Labels,
    evaluation: Evaluation,
    objects: Option<ObjectEvaluation>,
    /// Width and height of the network's input in pixels.
    size: [u32; 2],
    /// Negative log-likelihood of the annotations' classes.
    nll: Mean,
    /// How objects are selected, if the model has any.
    settings: Option<ObjectSettings>,
}

impl Validation<'_> {
    fn add(&mut self, pictures: &[&AnnotatedPicture], output: Answer) -> Result<(), DetectError> {
        let classes = self.labels.len();
        let scores = to_vec(softmax(output.logits, 1));
        let corners = to_vec(output.corners);
        let mut objects = match (output.objects, self.settings) {
            (Some(objects), Some(settings)) => Some(PredictedObjects::new(&objects, settings)),
            _ => None,
        };
        let outputs = scores.chunks_exact(classes).zip(corners.as_chunks::<4>().0);
        for (index, (picture, (scores, corners))) in pictures.iter().zip(outputs).enumerate() {
            let mut prediction = Prediction::new(scores.to_vec(), *corners)?;
            if let Some(objects) = &mut objects {
                prediction = objects.add_to(prediction, index)?;
            }
            for row in &picture.annotations {
                if let Some(nll) = self.nll(row, &prediction) {
                    self.nll.add(nll);
                }
            }
            self.evaluation
                .add(&picture.folder, &picture.annotations, &prediction);
            if let Some(objects) = &mut self.objects {
                objects.add(self.size, &picture.annotations, &prediction);
            }
        }
        Ok(())
    }

    fn nll(&self, row: &Annotation, prediction: &Prediction) -> Option<f64> {
        let class = self.labels.find(&row.class_name)?;
        let score = f64::from(prediction.scores()[class.index()]);
        Some(-score.max(1e-12).ln())
    }
}

/// The predictions of all cells for a batch.
struct PredictedObjects {
    /// `[batch, cells, classes]`
    scores: Vec<f32>,
    /// `[batch, cells, 4]`
    boxes: Vec<f32>,
    cells: usize,
    classes: usize,
    nms: Nms,
}

impl PredictedObjects {
    fn new(objects: &ObjectPredictions, settings: ObjectSettings) -> Self {
        let [_, cells, classes] = objects.logits.dims();
        Self {
            scores: to_vec(objects.scores()),
            boxes: to_vec(objects.corners.clone()),
            cells,
            classes,
            nms: Nms::new(settings, cells, classes),
        }
    }

    fn add_to(
        &mut self,
        prediction: Prediction,
        picture: usize,
    ) -> Result<Prediction, DetectError> {
        let first = picture * self.cells;
        let cells = CellOutputs {
            scores: &self.scores[first * self.classes..][..self.cells * self.classes],
            boxes: &self.boxes[first * 4..][..self.cells * 4],
        };
        prediction.with_objects(cells, &mut self.nms)
    }
}

/// Losses and metrics of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number, from 1.
    pub epoch: usize,
    /// Mean training loss.
    pub loss: f64,
    /// Its class part.
    pub class_loss: f64,
    /// Its box part.
    pub box_loss: f64,
    /// Its part of the object branch, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_loss: Option<f64>,
    /// Share of the augmented training samples with the correct top class.
    pub class_accuracy: f64,
    /// Mean IoU of the augmented training samples with a box.
    pub mean_iou: f64,
    /// Mean cross-entropy of the validation annotations.
    pub val_class_loss: f64,
    /// Mean squared error of the corners, validation annotations.
    pub val_box_mse: f64,
    /// Class accuracy of the validation annotations.
    pub val_class_accuracy: f64,
    /// Mean IoU of the validation annotations.
    pub val_mean_iou: f64,
    /// Average precision of the objects at an IoU of 0.5, validation annotations. Always a column, since an older
    /// checkpoint has epochs without it.
    #[serde(default)]
    pub val_objects_ap50: Option<f64>,
}

/// Sums over the samples of an epoch so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    loss: Mean,
    class_loss: Mean,
    box_loss: Mean,
    object_loss: Option<Mean>,
    class_accuracy: Mean,
    iou: Mean,
}

fn number(loss: &Tensor<1>) -> f64 {
    f64::from(to_vec(loss.clone().inner())[0])
}

impl Progress {
    fn add_objects(&mut self, loss: &Tensor<1>) {
        let mean = self.object_loss.get_or_insert_default();
        mean.add(number(loss));
    }

    fn add(
        &mut self,
        loss: &Tensor<1>,
        class_loss: &Tensor<1>,
        box_loss: &Tensor<1>,
        output: &Answer,
        targets: &Targets,
    ) {
        self.loss.add(number(loss));
        self.class_loss.add(number(class_loss));
        self.box_loss.add(number(box_loss));
        let [_, classes] = output.logits.dims();
        let logits = to_vec(output.logits.clone().inner());
        let corners = to_vec(output.corners.clone().inner());
        for (row, (class, truth)) in targets.examples.iter().enumerate() {
            if let Some(class) = class {
                let logits = &logits[row * classes..][..classes];
                let is_top = logits.iter().all(|&other| other <= logits[*class]);
                self.class_accuracy.add_hit(is_top);
            }
            let found = std::array::from_fn(|corner| corners[row * 4 + corner]);
            if let (Some(truth), Some(found)) = (truth, NormBox::from_regression(found)) {
                self.iou.add(f64::from(iou(truth, &found)));
            }
        }
    }

    /// Mean loss so far.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss.value()
    }

    /// Mean class loss so far.
    #[must_use]
    pub fn class_loss(&self) -> f64 {
        self.class_loss.value()
    }

    /// Mean box loss so far.
    #[must_use]
    pub fn box_loss(&self) -> f64 {
        self.box_loss.value()
    }

    /// Mean loss of the object branch so far, if there is one.
    #[must_use]
    pub fn object_loss(&self) -> Option<f64> {
        self.object_loss.map(|mean| mean.value())
    }

    #[must_use]
    pub fn class_accuracy(&self) -> f64 {
        self.class_accuracy.value()
    }

    #[must_use]
    pub fn mean_iou(&self) -> f64 {
        self.iou.value()
    }

    /// The epoch with these training metrics and the given validation ones.
    #[must_use]
    pub fn epoch(&self, epoch: usize, validation: &ValidationFigures) -> Epoch {
        let metrics = &validation.metrics;
        Epoch {
            epoch,
            loss: self.loss(),
            class_loss: self.class_loss(),
            box_loss: self.box_loss(),
            object_loss: self.object_loss(),
            class_accuracy: self.class_accuracy(),
            mean_iou: self.mean_iou(),
            val_class_loss: validation.class_loss,
            val_box_mse: metrics.box_mse,
            val_class_accuracy: metrics.class_accuracy,
            val_mean_iou: metrics.mean_iou,
            val_objects_ap50: validation.objects_ap50,
        }
    }
}
