//! Recipes: every setting of a training that is not the data.
//!
//! A recipe is a complete TOML file (`train/recipes/*.toml` are part of the program). It has exactly the keys that have
//! an effect in it: a key that has none is refused, and so is a missing one. [`Override`]s change single keys.

use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use toml::{Table, Value};

/// The built-in recipes: name and TOML text.
const BUILT_IN: [(&str, &str); 6] = [
    ("quick", include_str!("../recipes/quick.toml")),
    ("full", include_str!("../recipes/full.toml")),
    ("small", include_str!("../recipes/small.toml")),
    ("classifier", include_str!("../recipes/classifier.toml")),
    ("baseline", include_str!("../recipes/baseline.toml")),
    ("objects", include_str!("../recipes/objects.toml")),
];

/// Former names of recipes, and the present ones.
const FORMER_RECIPES: [(&str, &str); 2] = [("book", "baseline"), ("snacks", "full")];

/// Former names of keys, and the present ones.
const FORMER_KEYS: [(&str, &str); 26] = [
    ("side", "input_size"),
    ("examples", "sample_per"),
    ("box_head", "head"),
    ("box_head.fine.hidden", "head_channels"),
    ("views", "cached_augmentations"),
    ("scenes", "synthetic_images"),
    ("backgrounds", "synthetic_negatives"),
    ("empty_parts", "negative_crops"),
    ("taught", "kd_weight"),
    ("likeness", "feature_kd_weight"),
    ("mixed", "mixup_prob"),
    ("settling", "no_aug_epochs"),
    ("averaging", "ema_decay (1 - averaging)"),
    ("batch", "batch_size"),
    ("frozen", "freeze_first or train_last"),
    ("frozen.first.convolutions", "freeze_first"),
    ("frozen.all_but.convolutions", "train_last"),
    ("box_loss.squared_error.weight", "box_loss.mse_weight"),
    ("box_loss.overlap.smooth_l1", "box_loss.l1_weight"),
    ("box_loss.overlap.cells", "box_loss.cell_giou_weight"),
    ("box_loss.overlap.middle", "box_loss.location_weight"),
    ("schedule.steps.epochs", "epochs"),
    ("schedule.steps.rate", "lr.head"),
    ("schedule.cosine.epochs", "epochs"),
    ("schedule.cosine.heads", "lr.head"),
    ("schedule.cosine.trunk", "lr.backbone"),
];

/// Every setting of a training that is not the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Its name on the command line and in the card; that of a file is its path.
    #[serde(skip)]
    pub name: String,
    /// One line for `--help`.
    pub description: String,
    pub epochs: usize,
    pub batch_size: usize,
    /// Width and height of the network's input in pixels, a multiple of 32; `None`: that of the starting weights.
    pub input_size: Option<u32>,
    pub sample_per: SamplePer,
    /// See [`Recipe::frozen`].
    pub freeze_first: Option<usize>,
    /// See [`Recipe::frozen`].
    pub train_last: Option<usize>,
    /// Augmentations of each image whose features are cached, at least 1; the first is the image itself.
    #[serde(default = "one")]
    pub cached_augmentations: usize,
    pub head: HeadKind,
    /// Channels of the FCOS head's own layers.
    #[serde(default)]
    pub head_channels: usize,
    /// Synthetic scenes with one snack each.
    pub synthetic_images: usize,
    /// Drawn backgrounds, with a uniform class target.
    pub synthetic_negatives: usize,
    /// Most crops of the images that no box touches, with a uniform class target.
    pub negative_crops: usize,
    /// Dropout before the class head.
    pub dropout: f64,
    pub label_smoothing: f32,
    /// Share of the augmented samples that another one is blended into (Zhang et al. 2018).
    #[serde(default)]
    pub mixup_prob: f32,
    /// Epochs at the end with light augmentation only.
    #[serde(default)]
    pub no_aug_epochs: usize,
    /// Weight of a teacher's scores in the class target.
    #[serde(default)]
    pub kd_weight: f32,
    /// Weight of the feature distillation loss.
    #[serde(default)]
    pub feature_kd_weight: f32,
    /// Factor of the class head's squared weights in the loss.
    pub l2: f32,
    /// Decoupled weight decay of AdamW; 0 makes it Adam.
    pub weight_decay: f32,
    /// Largest L2 norm of a step's gradients, of backbone and heads separately.
    pub clip_norm: f32,
    /// Decay of the exponential moving average of the weights, `0..1`; 0: the weights of the last step.
    pub ema_decay: f64,
    pub lr: LearningRates,
    pub box_loss: BoxLoss,
    /// Of a head for several objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectTraining>,
    /// Unused where only the image and its mirror image are cached.
    #[serde(default)]
    pub augmentation: AugmentationSettings,
}

/// What one sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplePer {
    /// A row of the annotations, with its own class and box.
    Box,
    /// An image, with its folder's class and the largest box of that class (if there is none, of any); one without boxes
    /// has a class all the same.
    Image,
}

/// Which box head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadKind {
    /// One box from the globally pooled last feature map.
    Global,
    /// Dense predictions on stride 16; needs a backbone that trains from before its last downsampling on.
    Fcos,
    /// [`HeadKind::Fcos`], and on the same map every object of the image.
    Objects,
}

/// How a head for several objects is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectTraining {
    /// Whether every object of an image has a box. Otherwise negatives of the image's own classes count less.
    pub exhaustive: bool,
    /// Weight of those negatives.
    pub own_class_weight: f32,
    /// Weight of all negatives (varifocal loss, Zhang et al. 2021).
    pub negative_weight: f32,
    /// Weight of `1 - GIoU` of the cells that learn an object.
    pub giou_weight: f32,
    /// Most cells that learn one object.
    pub cells_per_object: usize,
    /// Share of the augmented samples that become a mosaic with three others.
    #[serde(default)]
    pub mosaic_prob: f32,
    /// Share of the epochs, from the first, that have mosaics.
    #[serde(default)]
    pub mosaic_epochs: f32,
    /// Share of the pictures of an epoch that are scenes: cut-outs on background photographs.
    #[serde(default)]
    pub scenes: f32,
    /// Share of the scenes that are a background alone.
    #[serde(default)]
    pub empty_scenes: f32,
}

/// Which part of the backbone is frozen; the border is moved towards the input until no residual block crosses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frozen {
    /// So many convolutions at the input. The rest trains on augmentations that are never repeated.
    First(usize),
    /// All but so many convolutions at the output. The features before them are computed once and cached.
    AllButLast(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields, tag = "type")]
pub enum BoxLoss {
    None,
    /// Mean squared error of the corners.
    Mse {
        mse_weight: f32,
    },
    /// `1 - GIoU` (Rezatofighi et al. 2019) and a smooth L1 of the corners; of an FCOS head also the dense loss.
    Giou {
        l1_weight: f32,
        /// Weight of `1 - GIoU` of each cell inside the true box.
        #[serde(default)]
        cell_giou_weight: f32,
        /// Weight of the cross-entropy of the cell weights with the central half of the true box.
        #[serde(default)]
        location_weight: f32,
    },
}

/// Learning rates and their schedule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearningRates {
    pub schedule: Schedule,
    /// Length of the linear warm-up of the cosine schedule.
    #[serde(default)]
    pub warmup_epochs: f64,
    /// Highest rate of the heads.
    pub head: f64,
    /// Highest rate of the trained part of the backbone.
    #[serde(default)]
    pub backbone: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Three equally long phases, each with a tenth of the rate before.
    Step,
    /// A linear warm-up from 0, then a half cosine to 0.
    Cosine,
}

/// Learning rates of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    pub head: f64,
    pub backbone: f64,
}

/// How images are augmented; the default leaves them as they are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentationSettings {
    /// Smallest and largest area of a crop, as a share of the image.
    pub crop_area: [f32; 2],
    /// Largest aspect ratio of a crop, relative to that of the image.
    pub crop_max_aspect: f32,
    /// How often the image is shrunk onto a plain canvas instead of cropped.
    pub zoom_out_prob: f32,
    /// Smallest and largest area of the canvas, in areas of the image.
    pub zoom_out_area: [f32; 2],
    /// Least visible share of the box that is learned; of an image with a class but without a box, of the image.
    pub min_visible: f32,
    /// Least share of the crop that the largest box covers, unless it is smaller in the image already.
    pub min_box_area: f32,
    /// Brightness, contrast and saturation are multiplied by `1 - color_jitter ..= 1 + color_jitter`.
    pub color_jitter: f32,
    /// Each color channel is multiplied by `1 - tint ..= 1 + tint`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tint: f32,
    /// How often a rectangle is erased.
    pub erase_prob: f32,
    /// Shortest and longest side of an erased rectangle, as shares of the crop.
    pub erase_side: [f32; 2],
    /// Largest share of the largest box that may be erased.
    pub max_erased: f32,
}

impl AugmentationSettings {
    /// Leaves images as they are.
    pub const NONE: Self = Self {
        crop_area: [1.0; 2],
        crop_max_aspect: 1.0,
        zoom_out_prob: 0.0,
        zoom_out_area: [1.0; 2],
        min_visible: 0.0,
        min_box_area: 0.0,
        color_jitter: 0.0,
        tint: 0.0,
        erase_prob: 0.0,
        erase_side: [0.0; 2],
        max_erased: 0.0,
    };
}

impl Default for AugmentationSettings {
    fn default() -> Self {
        Self::NONE
    }
}

/// A recipe that cannot be used.
#[derive(Debug, Error)]
pub enum RecipeError {
    #[error(
        "there is no recipe \"{name}\"; choose one of {known}, or give the path of a .toml file"
    )]
    UnknownRecipe { name: String, known: String },
    #[error("the recipe \"{former}\" is now called \"{name}\"")]
    FormerRecipe { former: String, name: &'static str },
    #[error("recipe {file}: cannot be read ({source}); check the path")]
    Read {
        file: String,
        source: std::io::Error,
    },
    #[error("recipe {recipe}: {message}")]
    Invalid { recipe: String, message: String },
    #[error("expected KEY=VALUE, e.g. mixup_prob=0 or lr.backbone=1e-4")]
    NoPair,
    #[error("a recipe has no key \"{key}\"; the keys are: {known}")]
    UnknownKey { key: String, known: String },
    #[error("the key \"{former}\" is now called {key}")]
    FormerKey { former: String, key: &'static str },
    #[error("recipe {recipe}: {key} has no effect here: {reason}; leave it out")]
    NoEffect {
        recipe: String,
        key: &'static str,
        reason: &'static str,
    },
    #[error("recipe {recipe}: the key {key} is missing; add --set {key}=VALUE")]
    Missing { recipe: String, key: &'static str },
}

/// A key of a recipe and its new value, `KEY=VALUE`. A dot separates a table from its key: `lr.head=1e-3`.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    key: String,
    value: Value,
}

impl Override {
    #[must_use]
    pub fn new(key: &str, value: impl Into<Value>) -> Self {
        Self {
            key: key.to_owned(),
            value: value.into(),
        }
    }

    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl FromStr for Override {
    type Err = RecipeError;

    /// A value that is not valid TOML is a string: `sample_per=box`.
    fn from_str(text: &str) -> Result<Self, RecipeError> {
        let (key, value) = text.split_once('=').ok_or(RecipeError::NoPair)?;
        if key.is_empty() {
            return Err(RecipeError::NoPair);
        }
        if let Some(&(former, key)) = FORMER_KEYS.iter().find(|(former, _)| *former == key) {
            let former = former.to_owned();
            return Err(RecipeError::FormerKey { former, key });
        }
        Ok(Self::new(
            key,
            value.parse().unwrap_or_else(|_| Value::from(value)),
        ))
    }
}

/// A key that has an effect in some recipes only.
struct Condition {
    key: &'static str,
    applies: fn(&Table) -> bool,
    /// Why it has no effect otherwise.
    otherwise: &'static str,
}

const CONDITIONS: [Condition; 18] = [
    Condition {
        key: "cached_augmentations",
        applies: caches_features,
        otherwise: "with freeze_first no features are cached",
    },
    Condition {
        key: "mixup_prob",
        applies: |recipe| augments_anew(recipe) && !has_objects(recipe),
        otherwise: "with train_last features are cached, and cached features are not mixed; with head = \"objects\" \
                    two images in one place have no exact boxes",
    },
    Condition {
        key: "no_aug_epochs",
        applies: augments_anew,
        otherwise: "with train_last the augmentations are cached and the same in every epoch",
    },
    Condition {
        key: "kd_weight",
        applies: augments_anew,
        otherwise: "with train_last features are cached, and a teacher needs images",
    },
    Condition {
        key: "feature_kd_weight",
        applies: augments_anew,
        otherwise: "with train_last features are cached, and a teacher needs images",
    },
    Condition {
        key: "head_channels",
        applies: has_fcos_head,
        otherwise: "only head = \"fcos\" and head = \"objects\" have channels to choose",
    },
    Condition {
        key: "objects",
        applies: has_objects,
        otherwise: "only head = \"objects\" finds several objects",
    },
    Condition {
        key: "objects.mosaic_prob",
        applies: composes,
        otherwise: "mosaics need head = \"objects\", and with train_last the augmentations are cached",
    },
    Condition {
        key: "objects.mosaic_epochs",
        applies: composes,
        otherwise: "mosaics need head = \"objects\", and with train_last the augmentations are cached",
    },
    Condition {
        key: "objects.scenes",
        applies: composes,
        otherwise: "scenes need head = \"objects\", and with train_last the augmentations are cached",
    },
    Condition {
        key: "objects.empty_scenes",
        applies: composes,
        otherwise: "scenes need head = \"objects\", and with train_last the augmentations are cached",
    },
    Condition {
        key: "lr.backbone",
        applies: trains_backbone,
        otherwise: "with train_last = 0 the whole backbone is frozen",
    },
    Condition {
        key: "lr.warmup_epochs",
        applies: |recipe| is(recipe, "lr.schedule", "cosine"),
        otherwise: "only lr.schedule = \"cosine\" has a warm-up",
    },
    Condition {
        key: "box_loss.mse_weight",
        applies: |recipe| is(recipe, "box_loss.type", "mse"),
        otherwise: "box_loss.type is not \"mse\"",
    },
    Condition {
        key: "box_loss.l1_weight",
        applies: has_giou_loss,
        otherwise: "box_loss.type is not \"giou\"",
    },
    Condition {
        key: "box_loss.cell_giou_weight",
        applies: |recipe| has_giou_loss(recipe) && has_fcos_head(recipe),
        otherwise: "cells need head = \"fcos\" or \"objects\", and box_loss.type = \"giou\"",
    },
    Condition {
        key: "box_loss.location_weight",
        applies: |recipe| has_giou_loss(recipe) && has_fcos_head(recipe),
        otherwise: "cells need head = \"fcos\" or \"objects\", and box_loss.type = \"giou\"",
    },
    Condition {
        key: "augmentation",
        applies: |recipe| {
            let cached = get(recipe, "cached_augmentations").and_then(Value::as_integer);
            augments_anew(recipe) || cached.is_some_and(|count| count > 2)
        },
        otherwise: "only the image and its mirror image are cached (cached_augmentations is 2 or less)",
    },
];

/// Keys that a recipe may have without an effect, since another key switches them off: the other key, and why. Changing
/// them alone is refused.
const SWITCHED_OFF: [(&str, &str, &str); 6] = [
    (
        "augmentation.zoom_out_area",
        "augmentation.zoom_out_prob",
        "augmentation.zoom_out_prob is 0, so that no image is shrunk",
    ),
    (
        "augmentation.erase_side",
        "augmentation.erase_prob",
        "augmentation.erase_prob is 0, so that nothing is erased",
    ),
    (
        "augmentation.max_erased",
        "augmentation.erase_prob",
        "augmentation.erase_prob is 0, so that nothing is erased",
    ),
    (
        "objects.mosaic_epochs",
        "objects.mosaic_prob",
        "objects.mosaic_prob is 0, so that there are no mosaics",
    ),
    (
        "objects.mosaic_prob",
        "objects.mosaic_epochs",
        "objects.mosaic_epochs is 0, so that there are no mosaics",
    ),
    (
        "objects.empty_scenes",
        "objects.scenes",
        "objects.scenes is 0, so that there are no scenes",
    ),
];

fn caches_features(recipe: &Table) -> bool {
    recipe.contains_key("train_last")
}

fn augments_anew(recipe: &Table) -> bool {
    !caches_features(recipe)
}

fn trains_backbone(recipe: &Table) -> bool {
    get(recipe, "train_last").and_then(Value::as_integer) != Some(0)
}

fn has_fcos_head(recipe: &Table) -> bool {
    is(recipe, "head", "fcos") || has_objects(recipe)
}

fn has_objects(recipe: &Table) -> bool {
    is(recipe, "head", "objects")
}

/// Whether pictures are composed of several images.
fn composes(recipe: &Table) -> bool {
    has_objects(recipe) && augments_anew(recipe)
}

fn has_giou_loss(recipe: &Table) -> bool {
    is(recipe, "box_loss.type", "giou")
}

fn is(recipe: &Table, key: &str, value: &str) -> bool {
    get(recipe, key).and_then(Value::as_str) == Some(value)
}

/// Smallest and largest values of numbers.
const RANGES: [(&str, f64, f64); 26] = [
    ("epochs", 1.0, 1e6),
    ("batch_size", 1.0, 1e6),
    ("input_size", 32.0, 4096.0),
    ("cached_augmentations", 1.0, 1e6),
    ("head_channels", 1.0, 4096.0),
    ("dropout", 0.0, 0.99),
    ("label_smoothing", 0.0, 1.0),
    ("mixup_prob", 0.0, 1.0),
    ("kd_weight", 0.0, 1.0),
    ("clip_norm", 1e-6, f64::MAX),
    ("ema_decay", 0.0, 0.999_999),
    ("lr.warmup_epochs", 0.0, 1e6),
    ("augmentation.crop_max_aspect", 1.0, 100.0),
    ("augmentation.zoom_out_prob", 0.0, 1.0),
    ("augmentation.color_jitter", 0.0, 1.0),
    ("augmentation.erase_prob", 0.0, 1.0),
    ("augmentation.tint", 0.0, 1.0),
    ("objects.own_class_weight", 0.0, 1.0),
    ("objects.negative_weight", 0.0, 1e6),
    ("objects.giou_weight", 0.0, 1e6),
    ("objects.cells_per_object", 1.0, 1e6),
    ("objects.mosaic_prob", 0.0, 1.0),
    ("objects.mosaic_epochs", 0.0, 1.0),
    // A training of scenes alone would not know its own images.
    ("objects.scenes", 0.0, 0.9),
    ("objects.empty_scenes", 0.0, 1.0),
    ("augmentation.min_visible", 0.0, 1.0),
];

impl Recipe {
    /// The names of the built-in recipes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in recipe.
    ///
    /// # Errors
    /// [`RecipeError::UnknownRecipe`] or [`RecipeError::FormerRecipe`].
    pub fn named(name: &str) -> Result<Self, RecipeError> {
        Self::load(name, &[])
    }

    /// The recipe that a model's card names, which may have a former name.
    ///
    /// # Errors
    /// [`RecipeError::UnknownRecipe`].
    pub fn of_card(name: &str) -> Result<Self, RecipeError> {
        let present = FORMER_RECIPES.iter().find(|(former, _)| *former == name);
        Self::named(present.map_or(name, |(_, present)| present))
    }

    /// A built-in recipe, or that of a `.toml` file, with some keys changed. Keys that lose their effect by a change
    /// are dropped.
    ///
    /// # Errors
    /// [`RecipeError`]; a changed key without an effect is [`RecipeError::NoEffect`].
    pub fn load(name: &str, overrides: &[Override]) -> Result<Self, RecipeError> {
        let text = text(name)?;
        let invalid = |message: String| RecipeError::Invalid {
            recipe: name.to_owned(),
            message,
        };
        let mut recipe: Table = text
            .parse()
            .map_err(|error: toml::de::Error| invalid(error.to_string()))?;
        check_effects(name, &recipe)?;
        if !overrides.is_empty() {
            apply(name, &mut recipe, overrides)?;
        }
        if caches_features(&recipe) == recipe.contains_key("freeze_first") {
            return Err(invalid(
                "expected one of the keys freeze_first and train_last".to_owned(),
            ));
        }
        check_ranges(&recipe).map_err(invalid)?;
        let recipe = Self::deserialize(recipe).map_err(|error| invalid(error.to_string()))?;
        Ok(Self {
            name: name.to_owned(),
            ..recipe
        })
    }

    /// Whether an epoch, from 1, has mosaics.
    #[must_use]
    pub fn has_mosaics(&self, epoch: usize) -> bool {
        self.objects.is_some_and(|objects| {
            objects.mosaic_prob > 0.0
                && epoch as f32 <= (self.epochs as f32 * objects.mosaic_epochs).round()
        })
    }

    #[must_use]
    pub fn frozen(&self) -> Frozen {
        match self.train_last {
            Some(count) => Frozen::AllButLast(count),
            None => Frozen::First(self.freeze_first.unwrap_or(0)),
        }
    }

    /// Whether the features of the frozen part are computed once and cached; otherwise no augmentation is repeated.
    #[must_use]
    pub fn caches_features(&self) -> bool {
        self.train_last.is_some()
    }

    /// The learning rates after `done` epochs, a fraction of the current one included.
    #[must_use]
    pub fn rates(&self, done: f64) -> Rates {
        let lr = &self.lr;
        let epochs = self.epochs as f64;
        let factor = match lr.schedule {
            Schedule::Step => 0.1f64.powi((3.0 * done / epochs).floor().min(2.0) as i32),
            Schedule::Cosine => {
                let warm_up = (done / lr.warmup_epochs).min(1.0);
                let angle = std::f64::consts::PI * (done / epochs).min(1.0);
                warm_up * 0.5 * (1.0 + angle.cos())
            }
        };
        Rates {
            head: lr.head * factor,
            backbone: lr.backbone * factor,
        }
    }
}

fn text(name: &str) -> Result<String, RecipeError> {
    if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
        return Ok((*text).to_owned());
    }
    if Path::new(name).extension().is_some_and(|end| end == "toml") {
        return std::fs::read_to_string(name).map_err(|source| RecipeError::Read {
            file: name.to_owned(),
            source,
        });
    }
    match FORMER_RECIPES.iter().find(|(former, _)| *former == name) {
        Some(&(former, name)) => Err(RecipeError::FormerRecipe {
            former: former.to_owned(),
            name,
        }),
        None => Err(RecipeError::UnknownRecipe {
            name: name.to_owned(),
            known: Recipe::names().collect::<Vec<_>>().join(", "),
        }),
    }
}

/// Every conditional key is there if it has an effect, and only then.
fn check_effects(name: &str, recipe: &Table) -> Result<(), RecipeError> {
    for condition in &CONDITIONS {
        let key = condition.key;
        match ((condition.applies)(recipe), get(recipe, key).is_some()) {
            (false, true) => {
                return Err(RecipeError::NoEffect {
                    recipe: name.to_owned(),
                    key,
                    reason: condition.otherwise,
                });
            }
            (true, false) => {
                return Err(RecipeError::Missing {
                    recipe: name.to_owned(),
                    key,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn apply(name: &str, recipe: &mut Table, overrides: &[Override]) -> Result<(), RecipeError> {
    let known = known_keys();
    for Override { key, value } in overrides {
        if !known.contains(key) {
            return Err(RecipeError::UnknownKey {
                key: key.clone(),
                known: known.join(", "),
            });
        }
        check_type(recipe, key, value).map_err(|message| RecipeError::Invalid {
            recipe: name.to_owned(),
            message,
        })?;
        match key.as_str() {
            "freeze_first" => drop(recipe.remove("train_last")),
            "train_last" => drop(recipe.remove("freeze_first")),
            _ => {}
        }
        // A bare number for [lr] is the rate of every part that trains.
        if key == "lr" && value.as_table().is_none() {
            for part in ["lr.head", "lr.backbone"] {
                if get(recipe, part).is_some() {
                    set(recipe, part, value.clone());
                }
            }
        } else {
            set(recipe, key, value.clone());
        }
    }
    for condition in &CONDITIONS {
        if (condition.applies)(recipe) {
            continue;
        }
        let is_override = |o: &Override| {
            o.key == condition.key || o.key.starts_with(&format!("{}.", condition.key))
        };
        if overrides.iter().any(is_override) {
            return Err(RecipeError::NoEffect {
                recipe: name.to_owned(),
                key: condition.key,
                reason: condition.otherwise,
            });
        }
        remove(recipe, condition.key);
    }
    for (key, switch, reason) in SWITCHED_OFF {
        let is_off = get(recipe, switch).and_then(number) == Some(0.0);
        // 0 switches off, which needs no effect.
        let changes = |o: &Override| o.key == key && number(&o.value) != Some(0.0);
        if is_off && overrides.iter().any(changes) {
            return Err(RecipeError::NoEffect {
                recipe: name.to_owned(),
                key,
                reason,
            });
        }
    }
    check_effects(name, recipe)
}

/// The value of a number of either type.
fn number(value: &Value) -> Option<f64> {
    let integer = || value.as_integer().map(|integer| integer as f64);
    value.as_float().or_else(integer)
}

/// A new value has the type of the recipe's own.
fn check_type(recipe: &Table, key: &str, value: &Value) -> Result<(), String> {
    let is_number = |value: &Value| value.is_integer() || value.is_float();
    match get(recipe, key) {
        Some(own) if !own.is_table() && !own.same_type(value) => {
            match is_number(own) && is_number(value) {
                true => Ok(()),
                false => Err(format!(
                    "{key} is {value}, expected {own} or another {}",
                    own.type_str()
                )),
            }
        }
        _ => Ok(()),
    }
}

fn check_ranges(recipe: &Table) -> Result<(), String> {
    for (key, low, high) in RANGES {
        let value = get(recipe, key);
        if value
            .and_then(number)
            .is_some_and(|number| !(low..=high).contains(&number))
        {
            let value = value.map_or(String::new(), Value::to_string);
            return Err(format!("{key} is {value}, expected {low} to {high}"));
        }
    }
    if has_objects(recipe) && is(recipe, "sample_per", "box") {
        return Err(
            "head = \"objects\" learns all boxes of an image at once, expected sample_per = \"image\""
                .to_owned(),
        );
    }
    match get(recipe, "input_size").and_then(Value::as_integer) {
        Some(size) if size % 32 != 0 => {
            Err(format!("input_size is {size}, expected a multiple of 32"))
        }
        _ => Ok(()),
    }
}

fn get<'t>(recipe: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        Some((table, key)) => get(recipe.get(table)?.as_table()?, key),
        None => recipe.get(key),
    }
}

fn set(recipe: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        Some((table, key)) => {
            let table = recipe.entry(table).or_insert_with(|| Table::new().into());
            if let Some(table) = table.as_table_mut() {
                set(table, key, value);
            }
        }
        None => drop(recipe.insert(key.to_owned(), value)),
    }
}

fn remove(recipe: &mut Table, key: &str) {
    match key.split_once('.') {
        Some((table, key)) => {
            if let Some(table) = recipe.get_mut(table).and_then(Value::as_table_mut) {
                remove(table, key);
            }
        }
        None => drop(recipe.remove(key)),
    }
}

/// All keys of all built-in recipes, sorted; those of tables with a dot.
fn known_keys() -> Vec<String> {
    let mut keys = Vec::new();
    for table in BUILT_IN.iter().filter_map(|(_, text)| text.parse().ok()) {
        collect_keys("", &table, &mut keys);
    }
    keys.retain(|key| key != "description");
    keys.sort();
    keys.dedup();
    keys
}

fn collect_keys(prefix: &str, table: &Table, keys: &mut Vec<String>) {
    for (key, value) in table {
        keys.push(format!("{prefix}{key}"));
        if let Some(table) = value.as_table() {
            collect_keys(&format!("{prefix}{key}."), table, keys);
        }
    }
}

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature of serde")]
fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(name: &str, overrides: &[&str]) -> Result<Recipe, RecipeError> {
        let overrides: Result<Vec<Override>, _> = overrides.iter().map(|o| o.parse()).collect();
        Recipe::load(name, &overrides?)
    }

    fn message(name: &str, overrides: &[&str]) -> String {
        load(name, overrides).expect_err("refused").to_string()
    }

    #[test]
    fn every_built_in_recipe_is_complete() {
        for name in Recipe::names() {
            let recipe = Recipe::named(name).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(recipe.name, name);
            let same = format!("batch_size={}", recipe.batch_size);
            assert_eq!(load(name, &[&same]).expect("a known key"), recipe);
        }
        let known = known_keys();
        for Condition { key, .. } in CONDITIONS {
            assert!(known.iter().any(|known| known == key), "{key}");
        }
        for (key, ..) in RANGES {
            assert!(known.iter().any(|known| known == key), "{key}");
        }
    }

    #[test]
    fn the_step_schedule_has_three_phases_of_five_epochs() {
        let recipe = Recipe::named("baseline").expect("built in");
        assert_eq!(recipe.epochs, 15);
        for (done, rate) in [(0.0, 1e-3), (4.99, 1e-3), (5.0, 1e-4), (14.9, 1e-5)] {
            let head = recipe.rates(done).head;
            assert!((head / rate - 1.0).abs() < 1e-9, "{done}: {head}");
        }
    }

    #[test]
    fn the_cosine_schedule_starts_and_ends_at_zero() {
        let recipe = Recipe::named("full").expect("built in");
        assert_eq!(recipe.rates(0.0).head, 0.0);
        assert!(recipe.rates(recipe.epochs as f64).head < 1e-12);
        assert!(recipe.rates(0.3).head > 0.99e-3);
        assert!(recipe.rates(0.3).backbone < recipe.rates(0.3).head);
        let without = load("full", &["lr.warmup_epochs=0"]).expect("no warm-up");
        assert_eq!(without.rates(0.0).head, 1e-3);
    }

    #[test]
    fn an_override_changes_one_key_and_no_other() {
        let full = Recipe::named("full").expect("built in");
        let expected = Recipe {
            mixup_prob: 0.0,
            ..full.clone()
        };
        assert_eq!(load("full", &["mixup_prob=0"]).expect("a number"), expected);
        let changed = load("full", &["lr.backbone=0.25"]).expect("a rate");
        assert_eq!((changed.lr.backbone, changed.lr.head), (0.25, 1e-3));
        let both = load("full", &["lr=0.5"]).expect("a rate");
        assert_eq!((both.lr.backbone, both.lr.head), (0.5, 0.5));
        let boxes = load("full", &["sample_per=box"]).expect("a string");
        assert_eq!(boxes.sample_per, SamplePer::Box);
        let small = load("full", &["input_size=96"]).expect("a number");
        assert_eq!(small.input_size, Some(96));
        let erased = load("full", &["augmentation.erase_side=[0.2, 0.3]"]).expect("an array");
        assert_eq!(erased.augmentation.erase_side, [0.2, 0.3]);
    }

    #[test]
    fn keys_that_lose_their_effect_are_dropped() {
        let global = load("full", &["head=global"]).expect("another head");
        assert_eq!(global.head_channels, 0);
        let BoxLoss::Giou {
            cell_giou_weight, ..
        } = global.box_loss
        else {
            panic!("{global:?}");
        };
        assert_eq!(cell_giou_weight, 0.0);
        let cached = load("full", &["train_last=13", "cached_augmentations=2"]).expect("cached");
        assert_eq!(cached.frozen(), Frozen::AllButLast(13));
        assert_eq!((cached.freeze_first, cached.mixup_prob), (None, 0.0));
    }

    #[test]
    fn mosaics_end_before_the_last_third() {
        let recipe = Recipe::named("objects").expect("built in");
        let has: Vec<bool> = (1..=6).map(|epoch| recipe.has_mosaics(epoch)).collect();
        assert_eq!(has, [true, true, true, true, false, false]);
        let without = load("objects", &["objects.mosaic_prob=0"]).expect("a share");
        assert!((1..=6).all(|epoch| !without.has_mosaics(epoch)));
        let full = load("objects", &["head=fcos", "mixup_prob=0"]).expect("one box");
        assert_eq!(full.objects, None);
        assert!(!full.has_mosaics(1));
        let boxes = message("objects", &["sample_per=box"]);
        assert!(boxes.contains("expected sample_per"), "{boxes}");
    }

    #[test]
    fn keys_without_an_effect_are_refused() {
        for key in ["mixup_prob=0.5", "no_aug_epochs=1", "kd_weight=1"] {
            let refused = message("quick", &[key]);
            assert!(
                refused.contains("has no effect here: with train_last"),
                "{refused}"
            );
        }
        for (name, keys, reason) in [
            (
                "full",
                vec!["cached_augmentations=4"],
                "no features are cached",
            ),
            (
                "full",
                vec!["head=global", "head_channels=64"],
                "only head = \"fcos\"",
            ),
            ("objects", vec!["mixup_prob=0.5"], "no exact boxes"),
            (
                "full",
                vec!["objects.mosaic_prob=0.5"],
                "head = \"objects\"",
            ),
            (
                "objects",
                vec![
                    "train_last=13",
                    "cached_augmentations=2",
                    "objects.scenes=0.1",
                ],
                "augmentations are cached",
            ),
            (
                "objects",
                vec!["augmentation.erase_side=[0.2, 0.3]"],
                "erase_prob is 0",
            ),
            (
                "objects",
                vec!["objects.scenes=0", "objects.empty_scenes=0.5"],
                "objects.scenes is 0",
            ),
            ("full", vec!["box_loss.mse_weight=1"], "not \"mse\""),
            ("baseline", vec!["lr.backbone=1e-3"], "backbone is frozen"),
            (
                "baseline",
                vec!["augmentation.erase_prob=0"],
                "mirror image",
            ),
        ] {
            let refused = message(name, &keys);
            assert!(refused.contains(reason), "{keys:?}: {refused}");
        }
        let erased = ["augmentation.erase_prob=0.5", "augmentation.max_erased=0.2"];
        assert!(load("objects", &erased).is_ok());
        let missing = message("full", &["train_last=13"]);
        assert!(missing.contains("--set cached_augmentations"), "{missing}");
    }

    #[test]
    fn unknown_and_former_names_are_refused_with_the_valid_ones() {
        assert!(message("full", &["colour=red"]).contains("lr.backbone"));
        let string = message("full", &["mixup_prob=much"]);
        assert!(
            string.contains("mixup_prob is \"much\", expected 0.5"),
            "{string}"
        );
        assert!(message("full", &["mixup_prob=2"]).contains("expected 0 to 1"));
        assert!(message("full", &["input_size=100"]).contains("multiple of 32"));
        assert!(message("full", &["mixup_prob"]).contains("KEY=VALUE"));
        assert!(message("full", &["=1"]).contains("KEY=VALUE"));
        assert!(message("soup", &[]).contains("quick, full, small"));
        for (former, name) in FORMER_RECIPES {
            assert!(message(former, &[]).contains(name));
            assert!(Recipe::named(name).is_ok(), "{name}");
        }
        let known = known_keys();
        for (former, key) in FORMER_KEYS {
            let refused = message("full", &[&format!("{former}=0")]);
            assert!(
                refused.contains(former) && refused.contains(key),
                "{refused}"
            );
            let first = key.split(' ').next().expect("a key");
            assert!(known.iter().any(|known| known == first), "{key}");
        }
    }

    #[test]
    fn a_recipe_is_read_from_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("mine.toml");
        let name = file.to_str().expect("a plain name");
        assert!(message(name, &[]).contains("mine.toml: cannot be read"));
        let quick = include_str!("../recipes/quick.toml");
        std::fs::write(&file, quick).expect("written");
        let mine = load(name, &[]).expect("complete");
        let quick = Recipe::named("quick").expect("built in");
        assert_eq!(
            Recipe {
                name: "quick".to_owned(),
                ..mine
            },
            quick
        );
        let incomplete = include_str!("../recipes/quick.toml").replace("dropout", "dropped");
        std::fs::write(&file, incomplete).expect("written");
        assert!(message(name, &[]).contains("unknown field `dropped`"));
    }
}
