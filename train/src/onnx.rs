//! ONNX files: the graph of a model put together node by node, and written with its card in it.
//!
//! In go weights and the names of values, out comes a [`pb::ModelProto`] of operator set 13. Nothing is
//! computed here; what a graph means is for the engines to say, and `tests/` ask two of them.

use std::path::Path;

use boxcam::card::ModelCard;
use prost::Message;
use thiserror::Error;
use tract_onnx::pb;

mod builder;
mod constants;
mod parts;

pub use builder::{GraphBuilder, Precision};
pub(crate) use constants::Constants;
pub(crate) use parts::{int, node, tensor, tensor_floats, value_info};

/// Name of the model's one input.
pub const INPUT: &str = "image";

/// What the names of the trunk's convolutions begin with; their numbers follow.
pub const TRUNK: &str = "trunk.";

/// Name of the class head's dense layer.
pub const CLASS: &str = "class.logits";

/// What the names of the box head's layers begin with.
pub const BOX: &str = "box.";

/// What the name of a `min(max(x, 0), 6)` ends with; that of its convolution stands before.
pub const RELU6: &str = ".relu6";

/// A model file that can't be read or written.
#[derive(Debug, Error)]
pub enum OnnxError {
    /// The file can't be read or written.
    #[error("model {file}: {source}; check the path, its permissions and the space left")]
    File {
        /// The file.
        file: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// It is no ONNX file.
    #[error("model {file}: is no complete ONNX file ({message}); copy it again")]
    NotOnnx {
        /// The file.
        file: String,
        /// What is wrong.
        message: String,
    },
}

/// Puts the card into the model's metadata, in place of one that is there.
pub fn set_card(model: &mut pb::ModelProto, card: &ModelCard) {
    let (key, value) = card.to_metadata();
    model.metadata_props.retain(|entry| entry.key != key);
    model.metadata_props.push(pb::StringStringEntryProto {
        key: key.to_owned(),
        value,
    });
}

/// Reads a model file.
///
/// # Errors
/// [`OnnxError`], which names the file.
pub fn read(path: &Path) -> Result<pb::ModelProto, OnnxError> {
    let file = path.display().to_string();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(OnnxError::File { file, source }),
    };
    match pb::ModelProto::decode(bytes.as_slice()) {
        Ok(model) if model.graph.is_some() => Ok(model),
        Ok(_) => Err(OnnxError::NotOnnx {
            file,
            message: "it holds no graph".to_owned(),
        }),
        Err(error) => Err(OnnxError::NotOnnx {
            file,
            message: error.to_string(),
        }),
    }
}

/// Writes a model file, whole or not at all.
///
/// # Errors
/// [`OnnxError`], which names the file.
pub fn write(path: &Path, model: &pb::ModelProto) -> Result<(), OnnxError> {
    crate::storage::write_whole(path, &model.encode_to_vec()).map_err(|source| OnnxError::File {
        file: path.display().to_string(),
        source,
    })
}
