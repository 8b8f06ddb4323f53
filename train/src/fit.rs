//! Fitting: the loop that makes a model from examples.
//!
//! In go a [`Model`], training and validation data, and a [`Recipe`]; out comes, after each epoch, an
//! [`Epoch`] with the losses and metrics of both. Whatever is drawn by chance in an epoch follows from the
//! seed and the epoch's number alone, so that an epoch can be done again with the same result. Nothing is
//! written to disk here: that is for whoever takes the epochs.

use boxcam::card::ModelCard;
use boxcam::dataset::AnnotatedPicture;
use boxcam::label::Labels;
use burn::optim::GradientsParams;
use burn::prelude::*;
use fastrand::Rng;

use crate::adamw::{AdamW, Step};
use crate::examples::{Examples, Picture};
use crate::features::{FeatureError, Features, channels_last};
use crate::feed::{Feed, Loaded, Look, Wanted};
use crate::loss::{box_loss, cross_entropy, dense_loss, feature_distillation_loss};
use crate::model::{Model, Net};
use crate::network::Backbone;
use crate::recipe::Recipe;
use crate::targets::Targets;
use crate::teacher::Teacher;
use crate::view::View;

mod progress;
mod rehearsal;
mod validation;

pub use progress::{Epoch, Progress};

/// What is learnt from.
#[derive(Debug)]
pub struct TrainingData<'a> {
    /// Class names.
    pub labels: &'a Labels,
    /// The examples.
    pub examples: &'a Examples,
    /// Features of their pictures, where part of the trunk is frozen.
    pub features: Option<&'a Features>,
}

/// What is never learnt from.
#[derive(Debug)]
pub struct ValidationData<'a> {
    /// The pictures with their rows.
    pub truth: &'a [AnnotatedPicture],
    /// The same as what is shown.
    pub pictures: &'a [Picture],
    /// Their features, where part of the trunk is frozen.
    pub features: Option<&'a Features>,
}

/// A model being fitted.
pub struct Fit<'a> {
    model: Model,
    recipe: &'a Recipe,
    card: &'a ModelCard,
    device: Device,
    seed: u64,
    /// The frozen start of the trunk, where no features of it are kept.
    start: Option<Backbone>,
    teacher: Option<Teacher>,
    trunk: AdamW,
    heads: AdamW,
}

impl<'a> Fit<'a> {
    /// A fit from a fresh model; `device` must be one with gradients. The card is that of the model on the
    /// device.
    #[must_use]
    pub fn new(
        model: Model,
        recipe: &'a Recipe,
        card: &'a ModelCard,
        seed: u64,
        device: Device,
    ) -> Self {
        let plain = device.clone().without_autodiff();
        let start = (!recipe.caches_features()).then(|| model.frozen_backbone(&plain));
        Self {
            start: start.flatten(),
            teacher: None,
            trunk: AdamW::new(&model.net.trunk),
            heads: AdamW::new(&model.net.heads),
            model,
            recipe,
            card,
            device,
            seed,
        }
    }

    /// The same with a teacher, whose word counts as the recipe says, where no features are kept.
    #[must_use]
    pub fn taught_by(mut self, teacher: Option<Teacher>) -> Self {
        self.teacher = teacher;
        self
    }

    /// What is put away to take the training up again: the optimizers of trunk and heads, weights included.
    #[must_use]
    pub fn state(&self) -> [&AdamW; 2] {
        [&self.trunk, &self.heads]
    }

    /// Takes a training up again.
    pub fn take_up(&mut self, [trunk, heads]: [AdamW; 2]) {
        self.model.net.trunk = trunk.load_weights(self.model.net.trunk.clone());
        self.model.net.heads = heads.load_weights(self.model.net.heads.clone());
        (self.trunk, self.heads) = (trunk, heads);
    }

    /// The model, whose net is that of the last step.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What the training has made: the mean of the weights, as it answers, without dropout and gradients.
    #[must_use]
    pub fn made(&self) -> Net {
        let net = self.model.net.valid();
        Net {
            trunk: self.trunk.load_ema(net.trunk),
            heads: self.heads.load_ema(net.heads),
        }
    }

    /// One pass over all examples; `step` is called after each batch, `fault` for each picture that can't be
    /// read. The last, partial batch is left out, as the chapter does.
    pub fn epoch(
        &mut self,
        epoch: usize,
        data: &TrainingData,
        mut step: impl FnMut(&Progress),
        mut fault: impl FnMut(FeatureError),
    ) -> Progress {
        self.device
            .seed(self.seed.wrapping_mul(0x9e37).wrapping_add(epoch as u64));
        let plan = self.plan(epoch, data);
        let steps = plan.len();
        let card = channels_last(self.card);
        let feed = Feed {
            pictures: &data.examples.pictures,
            card: &card,
            features: data.features,
        };
        let mut progress = Progress::default();
        let mut index = 0;
        feed.batches(plan, |mut batch| {
            batch.faults.drain(..).for_each(&mut fault);
            let done = epoch as f64 - 1.0 + index as f64 / steps as f64;
            index += 1;
            if !batch.shown.is_empty() {
                self.step(done, batch, data, &mut progress);
            }
            step(&progress);
            true
        });
        progress
    }

    /// Which view of which picture comes in which batch.
    fn plan(&self, epoch: usize, data: &TrainingData) -> Vec<Vec<Wanted>> {
        let Examples { pictures, examples } = data.examples;
        let readable = |picture: usize| data.features.is_none_or(|features| features.has(picture));
        let random = &mut Rng::with_seed(self.seed ^ (epoch as u64) << 32);
        let mut order: Vec<usize> = (0..examples.len())
            .filter(|&index| readable(examples[index].picture))
            .collect();
        random.shuffle(&mut order);
        let settles = epoch + self.recipe.no_aug_epochs > self.recipe.epochs;
        let mut wanted = |&example: &usize| {
            let picture = examples[example].picture;
            if self.recipe.caches_features() {
                // Another view each epoch, all views in turn.
                let look = Look::Kept((epoch + picture) % pictures[picture].views.len());
                return Wanted::alone(example, picture, look);
            }
            let truth = examples[example].bounding_box;
            if settles {
                return Wanted::alone(example, picture, Look::New(View::near(random)));
            }
            let look = Look::New(View::random(
                &self.recipe.augmentation,
                truth.as_ref(),
                random,
            ));
            let share = match random.f32() < self.recipe.mixup_prob {
                // Mostly a little.
                true => 0.5 * random.f32().powi(2),
                false => 0.0,
            };
            Wanted {
                share_of_next: share,
                ..Wanted::alone(example, picture, look)
            }
        };
        let batches = order.chunks_exact(self.recipe.batch_size);
        batches
            .map(|batch| batch.iter().map(&mut wanted).collect())
            .collect()
    }

    fn step(&mut self, done: f64, batch: Loaded, data: &TrainingData, progress: &mut Progress) {
        let smoothing = self.recipe.label_smoothing;
        let mut truth = Targets::new(
            &batch.shown,
            data.examples,
            data.labels.len(),
            smoothing,
            &self.device,
        );
        let views = batch.tensor(&self.plain());
        if let Some(teacher) = &self.teacher {
            truth = truth.blend_teacher(teacher.predict(views.clone()), self.recipe.kd_weight);
        }
        let input = Tensor::from_inner(self.input(views));
        self.learn_batch(done, input, &truth, progress);
    }

    /// The device without gradients.
    fn plain(&self) -> Device {
        self.device.clone().without_autodiff()
    }

    /// What the part that learns takes in, of pictures or of their features.
    fn input(&self, batch: Tensor<4>) -> Tensor<4> {
        match &self.start {
            Some(start) => start.forward(batch),
            None => batch,
        }
    }

    fn learn_batch(
        &mut self,
        done: f64,
        input: Tensor<4>,
        truth: &Targets,
        progress: &mut Progress,
    ) {
        let answer = self.model.net.forward(input);
        let kind = self.recipe.box_loss;
        let class_loss = cross_entropy(answer.logits.clone(), truth.classes.clone());
        let mut of_box = box_loss(
            kind,
            answer.corners.clone(),
            truth.boxes.clone(),
            truth.has_box.clone(),
        );
        if let Some(cells) = &answer.cells {
            let (inside, middle) = truth.cells(cells.logits.dims()[2]);
            if let Some(more) = dense_loss(kind, cells, &truth.boxes, inside, middle) {
                of_box = of_box + more;
            }
        }
        let mut loss = class_loss.clone() + of_box.clone();
        if let Some(wanted) = &truth.teacher_features {
            let unlike = feature_distillation_loss(answer.features.clone(), wanted.clone());
            loss = loss + unlike * self.recipe.feature_kd_weight;
        }
        if self.recipe.l2 > 0.0 {
            loss = loss + self.model.net.heads.class.squared_weights() * self.recipe.l2;
        }
        progress.add(&loss, &class_loss, &of_box, &answer, truth);
        self.learn(&loss, done);
    }

    fn learn(&mut self, loss: &Tensor<1>, done: f64) {
        let mut gradients = loss.backward();
        let rates = self.recipe.rates(done);
        let step = |rate| Step {
            learning_rate: rate,
            weight_decay: self.recipe.weight_decay,
            ema_update: (1.0 - self.recipe.ema_decay) as f32,
            clip_norm: self.recipe.clip_norm,
        };
        let net = &mut self.model.net;
        let found = GradientsParams::from_module(&mut gradients, &net.trunk);
        net.trunk = self
            .trunk
            .step(net.trunk.clone(), found, step(rates.backbone));
        let found = GradientsParams::from_module(&mut gradients, &net.heads);
        net.heads = self.heads.step(net.heads.clone(), found, step(rates.head));
    }
}
