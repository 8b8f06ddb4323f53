//! A training put away and taken up again.
//!
//! In goes the state of a [`crate::fit::Fit`] after an epoch, out comes a `safetensors` file with every number
//! of it; the way back gives the same training to the bit. A checkpoint of other settings is refused.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::adamw::{AdamW, ParameterState};
use crate::fit::Epoch;
use crate::storage;

/// A training after some epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// What the training is of: recipe, data, seed. Another text is another training.
    pub settings: String,
    /// The epochs so far.
    pub history: Vec<Epoch>,
    /// Optimizers of trunk and heads, weights included.
    pub state: [AdamW; 2],
}

/// A checkpoint that can't be written or read.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The system refuses.
    #[error("checkpoint {file}: {source}; check the path, its permissions and the space left")]
    File {
        /// The file.
        file: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// It is no checkpoint, or a broken one.
    #[error("checkpoint {file}: is not complete ({message}); remove it to start anew")]
    Broken {
        /// The file.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// It is of another training.
    #[error(
        "checkpoint {file}: is of another training; go on with the same settings, or name another --run\n  \
         there: {found}\n  now:   {expected}"
    )]
    Other {
        /// The file.
        file: String,
        /// Settings now.
        expected: String,
        /// Settings in the file.
        found: String,
    },
}

/// What is no tensor, as JSON in the file's metadata.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    settings: String,
    /// As CSV: its numbers come back to the last bit, those of JSON may not.
    history: String,
    steps: [u64; 2],
}

/// The metadata's key of the header.
const HEADER: &str = "boxcam-train";

/// Names of a slot's lists.
const PARTS: [&str; 4] = ["value", "mean", "square", "averaged"];

/// Names of the optimizers.
const OPTIMIZERS: [&str; 2] = ["trunk", "heads"];

impl Checkpoint {
    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// [`CheckpointError::File`], after which the old file is as it was.
    pub fn write(&self, path: &Path) -> Result<(), CheckpointError> {
        let refused = |source| CheckpointError::File {
            file: path.display().to_string(),
            source,
        };
        let history = storage::csv(&self.history).map_err(|e| refused(e.into()))?;
        let header = Header {
            settings: self.settings.clone(),
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

    /// Reads a checkpoint of the training with these settings.
    ///
    /// # Errors
    /// [`CheckpointError`], which names the file.
    pub fn read(path: &Path, settings: &str) -> Result<Self, CheckpointError> {
        let file = || path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| CheckpointError::File {
            file: file(),
            source,
        })?;
        let checkpoint = parse(&bytes).map_err(|message| CheckpointError::Broken {
            file: file(),
            message,
        })?;
        if checkpoint.settings != settings {
            return Err(CheckpointError::Other {
                file: file(),
                expected: settings.to_owned(),
                found: checkpoint.settings,
            });
        }
        Ok(checkpoint)
    }
}

fn parse(bytes: &[u8]) -> Result<Checkpoint, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| words(&e))?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| words(&e))?;
    let header = metadata
        .metadata()
        .as_ref()
        .and_then(|entries| entries.get(HEADER));
    let header = header.ok_or("it has no header")?;
    let header: Header = serde_json::from_str(header).map_err(|e| words(&e))?;
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
        settings: header.settings,
        history: history.map_err(|e| words(&e))?,
        state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let slot = |value: f32| ParameterState {
            value: vec![value, 1e-30],
            first_moment: vec![0.1, f32::MIN_POSITIVE],
            second_moment: vec![0.2, 3.0],
            ema: vec![-value, 4.0],
        };
        let state = |count: usize| AdamW {
            parameters: (0..count).map(|i| slot(i as f32 / 3.0)).collect(),
            steps: count as u64,
        };
        Checkpoint {
            settings: "recipe snacks, seed 1".to_owned(),
            history: vec![Epoch {
                epoch: 1,
                loss: 0.1,
                class_loss: 0.2,
                box_loss: 1.0 / 3.0,
                class_accuracy: 0.4,
                mean_iou: 0.5,
                val_class_loss: 0.6,
                val_box_mse: 0.7,
                val_class_accuracy: 0.8,
                val_mean_iou: 0.9,
            }],
            state: [state(12), state(3)],
        }
    }

    #[test]
    fn what_is_read_is_what_was_written_to_the_bit() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoint.safetensors");
        let written = checkpoint();
        written.write(&path).expect("written");
        let read = Checkpoint::read(&path, &written.settings).expect("readable");
        assert_eq!(read, written);
    }

    #[test]
    fn other_settings_and_broken_files_are_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoint.safetensors");
        checkpoint().write(&path).expect("written");
        let other = Checkpoint::read(&path, "recipe book, seed 1");
        assert!(matches!(other, Err(CheckpointError::Other { .. })));
        let whole = std::fs::read(&path).expect("there");
        for length in [0, 7, 200, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).expect("written");
            let error = Checkpoint::read(&path, "recipe snacks, seed 1").expect_err("cut off");
            assert!(
                matches!(error, CheckpointError::Broken { .. }),
                "{length}: {error}"
            );
            assert!(error.to_string().contains("checkpoint.safetensors"));
        }
    }
}
