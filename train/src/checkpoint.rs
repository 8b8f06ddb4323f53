//! Checkpoints: the whole state of a training in one `safetensors` file.
//!
//! A restored training continues bit for bit. A checkpoint holds the [`Identity`] of its training, so that two trainings
//! are never joined.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use boxcam::dataset::Dataset;
use boxcam::diagnostics::{reading_advice, writing_advice};
use boxcam::label::Labels;
use rayon::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::adamw::{AdamW, ParameterState};
use crate::layer::Layer;
use crate::recipe::Recipe;
use crate::storage;
use crate::trainer::Epoch;

/// A training after some epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub identity: Identity,
    /// The epochs so far.
    pub history: Vec<Epoch>,
    /// Optimizers of backbone and heads, weights included.
    pub state: [AdamW; 2],
}

/// What a training depends on, apart from the state in the checkpoint. Hashes are SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The recipe with all overrides, as TOML.
    pub recipe: String,
    pub seed: u64,
    /// See [`data_hash`].
    pub data: String,
    /// See [`network_hash`].
    pub network: String,
    /// Hash of the teacher's file.
    pub teacher: Option<String>,
    /// Hash of what scenes are made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenes: Option<String>,
}

impl Identity {
    /// The parts in which another identity differs, in words; empty if there are none.
    fn differences(&self, other: &Self) -> Vec<String> {
        let parts = [
            (self.seed != other.seed, "the seed"),
            (
                self.data != other.data,
                "the data (classes, images or annotations)",
            ),
            (
                self.network != other.network,
                "the frozen layers or the network (other --weights, or those of another version of boxcam-train)",
            ),
            (self.teacher != other.teacher, "the teacher"),
            (
                self.scenes != other.scenes,
                "the scenes (--backgrounds, --cutouts or their files)",
            ),
        ];
        let mut differences = recipe_differences(&self.recipe, &other.recipe);
        let differing = parts.into_iter().filter(|(differs, _)| *differs);
        differences.extend(differing.map(|(_, part)| part.to_owned()));
        differences
    }
}

/// The keys that differ between two recipes.
fn recipe_differences(a: &str, b: &str) -> Vec<String> {
    if a == b {
        return vec![];
    }
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let (a, b) = (lines(a), lines(b));
    let only = |a: &[String], b: &[String]| -> Vec<String> {
        a.iter().filter(|line| !b.contains(line)).cloned().collect()
    };
    vec![format!(
        "the recipe (checkpoint: {}; now: {})",
        only(&a, &b).join(", "),
        only(&b, &a).join(", ")
    )]
}

/// A recipe's part of an [`Identity`].
#[must_use]
pub fn recipe_text(recipe: &Recipe) -> String {
    // The description has no effect on a training.
    let recipe = Recipe {
        description: String::new(),
        ..recipe.clone()
    };
    toml::to_string(&recipe).unwrap_or_else(|_| format!("{recipe:?}"))
}

/// Hash of the class names, and of the images and annotations of splits. Where the data is on the disk does not matter.
#[must_use]
pub fn data_hash(labels: &Labels, splits: &[&Dataset]) -> String {
    let mut hash = Sha256::new();
    for label in labels.iter() {
        add_text(&mut hash, label);
    }
    for split in splits {
        add_text(&mut hash, "split");
        let files: Vec<PathBuf> = split.pictures.iter().map(|p| p.path.clone()).collect();
        let contents: Vec<_> = files.par_iter().map(|file| file_hash(file).ok()).collect();
        for (picture, content) in split.pictures.iter().zip(contents) {
            add_text(&mut hash, &picture.folder);
            // An unreadable image is left out of the training.
            add_text(&mut hash, &content.unwrap_or_default());
            if let Some(exhaustive) = picture.exhaustive {
                add_text(&mut hash, &exhaustive.to_string());
            }
            for row in &picture.annotations {
                add_text(&mut hash, &row.class_name);
                add_floats(&mut hash, &row.bounding_box.corners());
            }
        }
    }
    format!("{:x}", hash.finalize())
}

/// Hash of a backbone's structure, and of the weights of its first `frozen` layers: the checkpoint has those of the others.
#[must_use]
pub fn network_hash(layers: &[Layer], frozen: usize) -> String {
    let mut hash = Sha256::new();
    for (index, layer) in layers.iter().enumerate() {
        let conv = &layer.conv;
        let structure = (
            conv.shape,
            conv.stride,
            conv.groups,
            layer.relu6,
            layer.add,
            index < frozen,
        );
        add_text(&mut hash, &format!("{structure:?}"));
        if index < frozen {
            add_floats(&mut hash, &conv.weights);
            add_floats(&mut hash, &conv.bias);
        }
    }
    format!("{:x}", hash.finalize())
}

/// Hash of a file's content.
///
/// # Errors
/// If the file cannot be read.
pub fn file_hash(file: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    std::io::copy(&mut std::fs::File::open(file)?, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// With its length, so that two texts cannot be mistaken for one.
fn add_text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

fn add_floats(hash: &mut Sha256, values: &[f32]) {
    hash.update((values.len() as u64).to_le_bytes());
    for value in values {
        hash.update(value.to_le_bytes());
    }
}

/// A checkpoint that cannot be written or restored.
#[derive(Debug, Error)]
pub enum CheckpointError {
    #[error(
        "checkpoint {file}: can't be read ({source}); {}",
        reading_advice(source)
    )]
    Read {
        file: String,
        source: std::io::Error,
    },
    #[error(
        "checkpoint {file}: can't be written ({source}); {}",
        writing_advice(source)
    )]
    Write {
        file: String,
        source: std::io::Error,
    },
    #[error(
        "checkpoint {file}: is damaged, or was written by another version of boxcam-train ({message}); delete it to start \
         again"
    )]
    Broken { file: String, message: String },
    #[error(
        "checkpoint {file}: belongs to another training, it differs in {differences}; use the same settings, or another \
         folder (train run: --run, fit: --output)"
    )]
    OtherTraining { file: String, differences: String },
}

/// Everything but the tensors, as JSON in the file's metadata.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    identity: Identity,
    /// As CSV, which restores floats bit for bit.
    history: String,
    steps: [u64; 2],
}

/// Key of the header in the metadata.
const HEADER: &str = "boxcam-train";

/// Tensor names of a parameter's state.
const PARTS: [&str; 4] = ["value", "mean", "square", "averaged"];

/// Tensor names of the optimizers.
const OPTIMIZERS: [&str; 2] = ["backbone", "heads"];

impl Checkpoint {
    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// [`CheckpointError::Write`]; the old file is unchanged then.
    pub fn write(&self, path: &Path) -> Result<(), CheckpointError> {
        let refused = |source| CheckpointError::Write {
            file: path.display().to_string(),
            source,
        };
        let history = storage::csv(&self.history).map_err(|e| refused(e.into()))?;
        let header = Header {
            identity: self.identity.clone(),
            history: String::from_utf8_lossy(&history).into_owned(),
            steps: self.state.each_ref().map(|state| state.steps),
        };
        let header = serde_json::to_string(&header).map_err(|e| refused(e.into()))?;
        let mut parts = Vec::new();
        for (name, state) in OPTIMIZERS.iter().zip(&self.state) {
            for (index, slot) in state.parameters.iter().enumerate() {
                let lists = [
                    &slot.value,
                    &slot.first_moment,
                    &slot.second_moment,
                    &slot.ema,
                ];
                for (part, list) in PARTS.iter().zip(lists) {
                    let bytes: Vec<u8> = list.iter().flat_map(|v| v.to_le_bytes()).collect();
                    parts.push((format!("{name}.{index}.{part}"), list.len(), bytes));
                }
            }
        }
        let tensors: Result<Vec<_>, _> = parts
            .iter()
            .map(|(name, length, bytes)| {
                let view = TensorView::new(Dtype::F32, vec![*length], bytes)?;
                Ok((name, view))
            })
            .collect();
        let metadata = HashMap::from([(HEADER.to_owned(), header)]);
        let bytes = tensors.and_then(|tensors| safetensors::serialize(tensors, Some(metadata)));
        let bytes = bytes.map_err(|error| refused(std::io::Error::other(error)))?;
        storage::write_whole(path, &bytes).map_err(refused)
    }

    /// Reads the checkpoint of the training with this identity.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn read(path: &Path, identity: &Identity) -> Result<Self, CheckpointError> {
        let file = || path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| CheckpointError::Read {
            file: file(),
            source,
        })?;
        let checkpoint = parse(&bytes).map_err(|message| CheckpointError::Broken {
            file: file(),
            message,
        })?;
        let differences = checkpoint.identity.differences(identity);
        if !differences.is_empty() {
            return Err(CheckpointError::OtherTraining {
                file: file(),
                differences: differences.join(", "),
            });
        }
        Ok(checkpoint)
    }
}

fn parse(bytes: &[u8]) -> Result<Checkpoint, String> {
    let message = |error: &dyn std::fmt::Display| error.to_string();
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| message(&e))?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| message(&e))?;
    let header = metadata
        .metadata()
        .as_ref()
        .and_then(|entries| entries.get(HEADER));
    let header = header.ok_or("it has no header")?;
    let header: Header = serde_json::from_str(header).map_err(|e| message(&e))?;
    let list = |name: String| -> Option<Vec<f32>> {
        let data = tensors.tensor(&name).ok()?.data();
        Some(
            data.as_chunks()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect(),
        )
    };
    let optimizer = |which: usize| {
        let name = OPTIMIZERS[which];
        let slot = |index: usize| {
            let part = |part: usize| list(format!("{name}.{index}.{}", PARTS[part]));
            Some(ParameterState {
                value: part(0)?,
                first_moment: part(1)?,
                second_moment: part(2)?,
                ema: part(3)?,
            })
        };
        AdamW {
            parameters: (0..).map_while(slot).collect(),
            steps: header.steps[which],
        }
    };
    let state = [optimizer(0), optimizer(1)];
    let mut history = csv::Reader::from_reader(header.history.as_bytes());
    let history: Result<Vec<Epoch>, _> = history.deserialize().collect();
    Ok(Checkpoint {
        identity: header.identity,
        history: history.map_err(|e| message(&e))?,
        state,
    })
}

#[cfg(test)]
mod tests {
    use boxcam::geometry::NormBox;
    use image::RgbImage;

    use super::*;
    use crate::layer::ConvWeights;
    use crate::recipe::Override;

    fn identity() -> Identity {
        Identity {
            recipe: "epochs = 3\nbatch_size = 32\n".to_owned(),
            seed: 1,
            data: "d".to_owned(),
            network: "n".to_owned(),
            teacher: None,
            scenes: None,
        }
    }

    fn checkpoint() -> Checkpoint {
        let parameter = |value: f32| ParameterState {
            value: vec![value, 1e-30],
            first_moment: vec![0.1, f32::MIN_POSITIVE],
            second_moment: vec![0.2, 3.0],
            ema: vec![-value, 4.0],
        };
        let state = |count: usize| AdamW {
            parameters: (0..count).map(|i| parameter(i as f32 / 3.0)).collect(),
            steps: count as u64,
        };
        Checkpoint {
            identity: identity(),
            history: vec![Epoch {
                epoch: 1,
                loss: 0.1,
                class_loss: 0.2,
                box_loss: 1.0 / 3.0,
                object_loss: None,
                class_accuracy: 0.4,
                mean_iou: 0.5,
                val_class_loss: 0.6,
                val_box_mse: 0.7,
                val_class_accuracy: 0.8,
                val_mean_iou: 0.9,
                val_objects_ap50: Some(0.4),
            }],
            state: [state(12), state(3)],
        }
    }

    #[test]
    fn a_checkpoint_is_read_back_bit_for_bit() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoint.safetensors");
        let written = checkpoint();
        written.write(&path).expect("written");
        let read = Checkpoint::read(&path, &written.identity).expect("readable");
        assert_eq!(read, written);
    }

    #[test]
    fn another_training_is_refused_with_what_differs() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoint.safetensors");
        checkpoint().write(&path).expect("written");
        let other = |change: fn(&mut Identity)| {
            let mut identity = identity();
            change(&mut identity);
            let error = Checkpoint::read(&path, &identity).expect_err("another training");
            assert!(matches!(error, CheckpointError::OtherTraining { .. }));
            error.to_string()
        };
        assert!(other(|now| now.seed = 2).contains("the seed;"));
        assert!(other(|now| now.data.clear()).contains("the data ("));
        assert!(other(|now| now.network.clear()).contains("the frozen layers"));
        assert!(other(|now| now.teacher = Some(String::new())).contains("the teacher;"));
        let recipe = other(|now| now.recipe = now.recipe.replace("= 3\n", "= 4\n"));
        assert!(
            recipe.contains("checkpoint: epochs = 3; now: epochs = 4"),
            "{recipe}"
        );
    }

    #[test]
    fn a_damaged_file_is_refused_by_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoint.safetensors");
        checkpoint().write(&path).expect("written");
        let whole = std::fs::read(&path).expect("written");
        for length in [0, 7, 200, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).expect("written");
            let error = Checkpoint::read(&path, &identity()).expect_err("cut off");
            assert!(
                matches!(error, CheckpointError::Broken { .. }),
                "{length}: {error}"
            );
            assert!(error.to_string().contains("checkpoint.safetensors"));
        }
    }

    #[test]
    fn the_hash_of_a_network_covers_frozen_weights_and_all_shapes() {
        let layer = |weight: f32| Layer {
            conv: ConvWeights {
                shape: [1, 1, 1, 1],
                weights: vec![weight],
                bias: vec![0.0],
                stride: 1,
                groups: 1,
            },
            relu6: true,
            add: None,
        };
        let hash = network_hash(&[layer(1.0), layer(2.0)], 1);
        assert_eq!(network_hash(&[layer(1.0), layer(3.0)], 1), hash);
        assert_ne!(network_hash(&[layer(9.0), layer(2.0)], 1), hash);
        assert_ne!(network_hash(&[layer(1.0), layer(2.0)], 2), hash);
        let mut linear = layer(2.0);
        linear.relu6 = false;
        assert_ne!(network_hash(&[layer(1.0), linear], 1), hash);
    }

    #[test]
    fn the_hash_of_data_covers_images_boxes_and_classes_but_not_the_folder() {
        let labels = |names: &[&str]| {
            Labels::new(names.iter().map(|&name| name.to_owned()).collect()).expect("valid labels")
        };
        let data = |level: u8| {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::create_dir(folder.path().join("apple")).expect("created");
            let image = RgbImage::from_pixel(8, 8, image::Rgb([level; 3]));
            image
                .save(folder.path().join("apple/a.png"))
                .expect("written");
            let csv = folder.path().join("boxes.csv");
            let rows = "image_id,x_min,x_max,y_min,y_max,class_name,folder\n\
                        a,0.1,0.3,0.1,0.3,apple,apple\n";
            std::fs::write(&csv, rows).expect("written");
            let split = Dataset::read(folder.path(), &csv).expect("readable");
            (folder, split)
        };
        let (_first, mut split) = data(7);
        let hash = data_hash(&labels(&["apple"]), &[&split]);
        let (_second, copy) = data(7);
        assert_eq!(data_hash(&labels(&["apple"]), &[&copy]), hash);
        let (_third, other) = data(8);
        assert_ne!(data_hash(&labels(&["apple"]), &[&other]), hash);
        assert_ne!(data_hash(&labels(&["apple", "pear"]), &[&split]), hash);
        split.pictures[0].annotations[0].bounding_box = NormBox::WHOLE;
        assert_ne!(data_hash(&labels(&["apple"]), &[&split]), hash);
    }

    #[test]
    fn the_text_of_a_recipe_has_its_overrides() {
        let text = |overrides: &[Override]| {
            recipe_text(&Recipe::load("full", overrides).expect("a recipe"))
        };
        assert!(text(&[Override::new("dropout", 0.25)]).contains("dropout = 0.25"));
        assert_ne!(text(&[Override::new("dropout", 0.25)]), text(&[]));
    }
}
