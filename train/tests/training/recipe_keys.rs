//! Every key of every built-in recipe has an effect in its own recipe, on the pictures, the schedule, the network or what is
//! learned, or a change of it is refused.
//!
//! Both tests train, with random numbers of one generator of the process: one waits for the other.

#[allow(dead_code, reason = "the tests of backbones use all of it")]
#[path = "../models/backbone/test_models.rs"]
mod test_models;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use boxcam::dataset::Dataset;
use boxcam_train::adamw::AdamW;
use boxcam_train::features::{Features, channels_last};
use boxcam_train::model::Model;
use boxcam_train::plan::EpochPlan;
use boxcam_train::recipe::{Override, Recipe, RecipeError};
use boxcam_train::samples::TrainingSet;
use boxcam_train::scenes::SceneSource;
use boxcam_train::teacher::Teacher;
use boxcam_train::trainer::{Trainer, TrainingData};
use boxcam_train::weights::BackboneWeights;
use burn::prelude::Device;
use image::{GrayImage, Luma, Rgb, RgbImage};
use toml::{Table, Value};

use test_models::{card, model, residual_backbone, write_and_read};

static GENERATOR: Mutex<()> = Mutex::new(());

/// Width and height of the network's input in pixels.
const SIDE: usize = 32;

/// A small training with every kind of picture.
struct Data {
    _folder: tempfile::TempDir,
    train: Dataset,
    scenes: SceneSource,
    weights: BackboneWeights,
    teacher: BackboneWeights,
}

/// What follows from a recipe.
#[derive(PartialEq)]
struct Plan {
    /// Images with their cached augmentations, samples, the pictures of all epochs and the number of batches of each.
    pictures: String,
    /// Learning rates of backbone and heads.
    rates: Vec<[f64; 2]>,
    /// Frozen layers, and the numbers of all parameters.
    network: Vec<usize>,
    input_size: Option<u32>,
}

impl Data {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["apple", "banana", "backgrounds", "cutouts/masks"] {
            std::fs::create_dir_all(path(name)).expect("made");
        }
        let mut rows = "image_id,x_min,x_max,y_min,y_max,class_name,folder\n".to_owned();
        for id in 0..12_u8 {
            let class = ["apple", "banana"][usize::from(id % 2)];
            let image = RgbImage::from_fn(200, 120, |x, y| {
                let inside = x < 70 && (20..100).contains(&y);
                Rgb(if inside {
                    [20 * id, 200, 90]
                } else {
                    [90, 20 * id, 160]
                })
            });
            image
                .save(path(&format!("{class}/{id}.png")))
                .expect("written");
            let other = ["banana", "apple"][usize::from(id % 2)];
            rows += &match id {
                // Without a box, with a small one, with two.
                0..=1 => String::new(),
                2..=3 => format!("{id},0.1,0.26,0.3,0.5,{class},{class}\n"),
                _ => format!(
                    "{id},0,0.35,0.17,0.83,{class},{class}\n{id},0.2,0.4,0.4,0.9,{other},{class}\n"
                ),
            };
        }
        std::fs::write(path("boxes.csv"), rows).expect("written");
        for seed in 0..3 {
            let background = boxcam::scene::background(seed, 96, 72);
            background
                .save(path(&format!("backgrounds/{seed}.png")))
                .expect("written");
        }
        let mask = GrayImage::from_pixel(70, 80, Luma([255]));
        mask.save(path("cutouts/masks/4.png")).expect("written");
        let list = "mask,image_id,folder,class_name,left,top,right,bottom\n4.png,4,apple,apple,0,20,70,100\n";
        std::fs::write(path("cutouts/cutouts.csv"), list).expect("written");
        let train = Dataset::read(folder.path(), &path("boxes.csv")).expect("readable");
        // The folders of backgrounds and masks are no classes.
        let is_class = |class: &str| card(SIDE as u32).labels.find(class).is_some();
        let mut train = train;
        train.pictures.retain(|picture| is_class(&picture.folder));
        let cutouts = path("cutouts");
        let labels = card(SIDE as u32).labels;
        let scenes = SceneSource::read(&path("backgrounds"), Some(&cutouts), &train, &labels);
        Self {
            scenes: scenes.expect("readable"),
            train,
            weights: residual_backbone(SIDE),
            teacher: teacher(),
            _folder: folder,
        }
    }

    fn set(&self, recipe: &Recipe) -> TrainingSet {
        TrainingSet::new(&self.train, &card(SIDE as u32).labels, recipe, 1)
    }

    fn model(&self, recipe: &Recipe, device: &Device) -> Model {
        device.seed(1);
        Model::new(&self.weights, &card(SIDE as u32).labels, recipe, device)
    }

    fn plan(&self, recipe: &Recipe) -> Plan {
        let set = self.set(recipe);
        let mut pictures = format!("{:?}", set.samples);
        for image in &set.images {
            pictures += &format!("{:?}", image.augmentations);
        }
        for epoch in 1..=recipe.epochs {
            let requests = EpochPlan {
                recipe,
                set: &set,
                features: None,
                scenes: recipe.objects.map(|_| &self.scenes),
                seed: 1,
                epoch,
            }
            .requests();
            let batches = requests.len() / recipe.batch_size;
            pictures += &format!("{batches} of {}: {requests:?}", recipe.batch_size);
        }
        let rates = (0..40).map(|tenth| recipe.rates(f64::from(tenth) / 10.0));
        let model = self.model(recipe, &Device::flex());
        let parameters = [
            AdamW::new(&model.net.backbone),
            AdamW::new(&model.net.heads),
        ];
        let parameters = parameters.iter().flat_map(|part| &part.parameters);
        Plan {
            pictures,
            rates: rates.map(|rates| [rates.backbone, rates.head]).collect(),
            network: std::iter::once(model.frozen.len())
                .chain(parameters.map(|parameter| parameter.value.len()))
                .collect(),
            input_size: recipe.input_size,
        }
    }

    /// The optimizers of backbone and heads, with the weights, after the first epoch.
    fn trained(&self, recipe: &Recipe) -> [AdamW; 2] {
        let (device, card) = (Device::flex(), card(SIDE as u32));
        let learning = device.clone().autodiff();
        let set = self.set(recipe);
        let model = self.model(recipe, &learning);
        let frozen = model.frozen_backbone(&device);
        let frozen = frozen.filter(|_| recipe.caches_features());
        let features = frozen.map(|frozen| {
            let card = channels_last(&card);
            Features::compute(&set.images, &card, &frozen, &device, |fault| {
                assert!(fault.is_none());
            })
        });
        let teacher = (!recipe.caches_features()).then(|| {
            let student = &mut self.weights.clone();
            Teacher::new(&self.teacher, student, &card.labels, &device).expect("the same classes")
        });
        let data = TrainingData {
            labels: &card.labels,
            set: &set,
            features: features.as_ref(),
            scenes: recipe.objects.map(|_| &self.scenes),
        };
        let mut trainer = Trainer::new(model, recipe, &card, 1, learning).with_teacher(teacher);
        let done = trainer.epoch(1, &data, |_| (), |fault| panic!("{fault}"));
        assert!(done.loss().is_finite());
        trainer.state().map(Clone::clone)
    }
}

/// A model of the same classes whose features are not those that a training starts with.
fn teacher() -> BackboneWeights {
    let mut teacher = write_and_read(&model(&residual_backbone(SIDE)));
    let last = teacher.layers.last_mut().expect("layers");
    last.conv
        .weights
        .iter_mut()
        .for_each(|weight| *weight *= 0.5);
    teacher
}

/// The keys of a recipe that have no keys of their own, with their values.
fn leaves(prefix: &str, table: &Table) -> Vec<(String, Value)> {
    let keys = table
        .iter()
        .flat_map(|(key, value)| match value.as_table() {
            Some(table) => leaves(&format!("{prefix}{key}."), table),
            None => vec![(format!("{prefix}{key}"), value.clone())],
        });
    keys.filter(|(key, _)| key != "description").collect()
}

/// Another valid value.
fn changed(key: &str, value: &Value) -> Value {
    let other = |one: &str, two: &str| {
        Value::from(if value.as_str() == Some(one) {
            two
        } else {
            one
        })
    };
    match (key, value) {
        ("head", _) => other("fcos", "global"),
        ("sample_per", _) => other("image", "box"),
        ("box_loss.type", _) => other("none", "giou"),
        ("lr.schedule", _) => other("cosine", "step"),
        ("input_size", _) => Value::from(64),
        ("freeze_first", Value::Integer(0)) => Value::from(3),
        ("freeze_first", _) => Value::from(0),
        ("train_last", Value::Integer(0)) => Value::from(8),
        ("train_last", _) => Value::from(13),
        // Small enough for the gradients of a small network.
        ("clip_norm", _) => Value::from(1e-3),
        // Values that matter in the few pictures of the test; of twenty synthetic images, two have a class of the data.
        ("synthetic_images", _) => Value::from(60),
        ("augmentation.crop_max_aspect", _) => Value::from(2.0),
        ("augmentation.min_box_area", _) => Value::from(0.3),
        ("augmentation.max_erased", _) => Value::from(0.0),
        ("objects.empty_scenes", _) => Value::from(1.0),
        (_, Value::Boolean(value)) => Value::from(!value),
        (_, Value::Integer(value)) => Value::from(value + 1),
        (_, Value::Float(value)) if *value == 0.0 => Value::from(0.5),
        (_, Value::Float(value)) => Value::from(value / 2.0),
        (_, Value::Array(values)) => {
            let values = values.iter().filter_map(Value::as_float);
            Value::from(values.map(|value| 0.9 * value).collect::<Vec<f64>>())
        }
        _ => panic!("{key} = {value}"),
    }
}

/// Changes that make a recipe small enough for the test, of the keys that it has.
fn small(table: &Table) -> Vec<Override> {
    let sizes = [
        ("input_size", SIDE as i64),
        ("batch_size", 6),
        ("epochs", 4),
        ("head_channels", 8),
        ("synthetic_images", 3),
        ("synthetic_negatives", 2),
        ("negative_crops", 2),
    ];
    let mut overrides = vec![Override::new("clip_norm", 1.0)];
    let is_sized = |key: &str| {
        let value = table.get(key).and_then(Value::as_integer);
        key == "input_size" || value.is_some_and(|value| value > 0)
    };
    for (key, value) in sizes.into_iter().filter(|(key, _)| is_sized(key)) {
        overrides.push(Override::new(key, value));
    }
    for (key, value) in [("freeze_first", 3), ("train_last", 8)] {
        if is_sized(key) {
            overrides.push(Override::new(key, value));
            let cached = table.get("cached_augmentations").cloned();
            overrides.extend(cached.map(|count| Override::new("cached_augmentations", count)));
        }
    }
    overrides
}

#[test]
fn every_key_of_every_recipe_has_an_effect_or_is_refused() {
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    let data = Data::new();
    let mut refusals = Vec::new();
    for name in Recipe::names() {
        let file = format!("recipes/{name}.toml");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(file).expect("a built-in recipe");
        let table: Table = text.parse().expect("TOML");
        let base = small(&table);
        let recipe = Recipe::load(name, &base).unwrap_or_else(|error| panic!("{error}"));
        let (plan, trained) = (data.plan(&recipe), data.trained(&recipe));
        let is_same = data.plan(&recipe) == plan && data.trained(&recipe) == trained;
        assert!(is_same, "recipe {name}: the same recipe must give the same");
        let effective: Table = Table::try_from(&recipe).expect("as its file");
        for (key, value) in leaves("", &table) {
            let now = key
                .split('.')
                .try_fold(&Value::Table(effective.clone()), |value, part| {
                    value.get(part)
                })
                .cloned();
            let value = changed(&key, &now.unwrap_or(value));
            // Another head may have no channels to choose.
            let mut change = base.clone();
            change.retain(|other| key != "head" || other.key() != "head_channels");
            change.push(Override::new(&key, value.clone()));
            match Recipe::load(name, &change) {
                Ok(changed) => {
                    let has_effect =
                        data.plan(&changed) != plan || data.trained(&changed) != trained;
                    assert!(has_effect, "recipe {name}: {key} = {value} changes nothing");
                }
                Err(error) => {
                    let named = matches!(
                        error,
                        RecipeError::NoEffect { .. }
                            | RecipeError::Missing { .. }
                            | RecipeError::Invalid { .. }
                    );
                    let words = error.to_string();
                    let is_named = words.contains(name)
                        && words.contains(key.split('.').next_back().unwrap_or(&key));
                    let is_missing = matches!(error, RecipeError::Missing { .. });
                    assert!(
                        named && (is_named || is_missing),
                        "recipe {name}: {key}: {words}"
                    );
                    refusals.push(format!("{name}: {key}"));
                }
            }
        }
    }
    let expected = [
        // They need keys that the recipe lacks.
        "classifier: head",
        "classifier: box_loss.type",
        "baseline: train_last",
        "baseline: head",
        "baseline: lr.schedule",
        "objects: head",
        // The boxes of an image are learned at once.
        "objects: sample_per",
        // Nothing is erased.
        "objects: augmentation.erase_side",
        "objects: augmentation.max_erased",
    ];
    let is_there = |refusal: &String| refusal == "objects: augmentation.erase_side";
    assert!(refusals.iter().any(is_there));
    refusals.retain(|refusal| !expected.contains(&refusal.as_str()));
    assert!(refusals.is_empty(), "refused: {refusals:?}");
}

/// The norm of the gradients of one step is limited for backbone and heads by themselves.
#[test]
fn backbone_and_heads_are_clipped_separately() {
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    let data = Data::new();
    let load = |clip_norm: f64| {
        let overrides = [
            Override::new("input_size", SIDE as i64),
            Override::new("freeze_first", 3),
            Override::new("head_channels", 8),
            Override::new("synthetic_images", 0),
            Override::new("synthetic_negatives", 0),
            Override::new("negative_crops", 0),
            // All images: one step.
            Override::new("batch_size", 12),
            Override::new("clip_norm", clip_norm),
        ];
        Recipe::load("full", &overrides).expect("valid")
    };
    // After one step, the first moments are a tenth of the gradients.
    let norms = |clip_norm: f64| {
        data.trained(&load(clip_norm)).map(|part| {
            assert_eq!(part.steps, 1);
            let moments = part.parameters.iter().flat_map(|p| &p.first_moment);
            10.0 * moments.map(|m| f64::from(m * m)).sum::<f64>().sqrt()
        })
    };
    let whole = norms(1e9);
    assert!(whole.iter().all(|norm| *norm > 1e-3), "{whole:?}");
    let limit = whole[0].min(whole[1]) / 2.0;
    for norm in norms(limit) {
        assert!((norm / limit - 1.0).abs() < 1e-3, "{norm} of {limit}");
    }
    // Between the two, only the longer one is clipped.
    let between = (whole[0] * whole[1]).sqrt();
    for (norm, whole) in norms(between).into_iter().zip(whole) {
        let expected = whole.min(between);
        assert!((norm / expected - 1.0).abs() < 1e-3, "{norm}, {expected}");
    }
}
