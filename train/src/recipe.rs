//! Recipes: every setting of a training that is not the data.
//!
//! A recipe is a complete TOML file (`train/recipes/*.toml` are part of the program). It has exactly the keys that have
//! an effect in it: a key that has none is refused, and so is a missing one. [`Override`]s change single keys.

use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use toml::Table;

mod keys;
mod overrides;

use keys::{caches_features, check_effects, check_ranges};
pub use overrides::Override;
use overrides::apply;

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

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature of serde")]
fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

#[cfg(test)]
mod tests;
