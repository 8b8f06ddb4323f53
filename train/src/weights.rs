//! The weights that training starts from: a quantised MobileNet v1 or v2 as a `.tflite` file, a detector on MobileNet v2
//! as TensorFlow.js has it (`model.json`), or a model that boxcam-train made, `models/snacks.onnx` for one.
//!
//! In goes the file, out come its layers in order of execution, dequantised to 32-bit floats
//! (`scale * (q - zero_point)`), batch norms already folded in as the file has them. Of the heads behind the
//! trunk only those are given that boxcam-train made. Anything that is no row of convolutions with sums of two of their outputs is refused.

use std::collections::BTreeMap;
use std::path::Path;

use boxcam::label::Labels;
use thiserror::Error;

use crate::layer::{ConvWeights, DenseWeights, Layer};

mod half;
mod onnx;
mod tfjs;
mod tflite;

pub use self::half::half_precision;

/// The trunk of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct BackboneWeights {
    /// Side of the input in pixels.
    pub side: usize,
    /// The layers in order of execution; each takes in what the one before it puts out.
    pub layers: Vec<Layer>,
    /// The heads behind it, where boxcam-train made them.
    pub heads: Option<HeadWeights>,
}

impl BackboneWeights {
    /// The heads, where they are for these very classes.
    #[must_use]
    pub fn heads_for(&self, labels: &Labels) -> Option<&HeadWeights> {
        self.heads.as_ref().filter(|heads| heads.labels == *labels)
    }
}

/// The heads of a model that boxcam-train made, for a model of the same classes to go on from.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadWeights {
    /// What the classes are.
    pub labels: Labels,
    /// From the pooled map to a logit a class.
    pub class: DenseWeights,
    /// The convolutions of the box head, by name.
    pub of_box: BTreeMap<String, ConvWeights>,
}

/// A file that gives no weights.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// The file can't be read.
    #[error("weights {file}: can't be read ({source}); check the path and its permissions")]
    Read {
        /// The file.
        file: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// It is neither a `.tflite`, an ONNX nor a `model.json` file, or a broken one.
    #[error(
        "weights {file}: is no complete .tflite, .onnx or model.json file ({message}); copy it again"
    )]
    Broken {
        /// The file.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// It holds another kind of network.
    #[error(
        "weights {file}: {message}; give a quantised MobileNet v1 or v2, the model.json of a detector on MobileNet v2, or a model that boxcam-train made"
    )]
    NotMobileNet {
        /// The file.
        file: String,
        /// What is not as in a MobileNet.
        message: String,
    },
    /// A number of it is none, or too large for half precision.
    #[error(
        "layer {layer} has the weight {weight}, half precision ends at 65504; train the model again"
    )]
    TooLarge {
        /// Number of the layer, from 0.
        layer: usize,
        /// The weight.
        weight: f32,
    },
}

/// Reads the trunk of a MobileNet v1 or v2 of any width and input size from a quantised `.tflite` file, or
/// from an ONNX file that this program wrote: float, half precision or int8; or that of a detector of TensorFlow's
/// object detection API from the `model.json` of its TensorFlow.js form, whose shards lie beside it.
///
/// # Errors
/// [`WeightsError`], which names the file.
pub fn read(path: &Path) -> Result<BackboneWeights, WeightsError> {
    match std::fs::read(path) {
        Ok(bytes) => parse(path, &bytes),
        Err(source) => Err(WeightsError::Read {
            file: path.display().to_string(),
            source,
        }),
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<BackboneWeights, WeightsError> {
    // Bytes 4 to 8 of a flatbuffer name its schema.
    let trunk = match bytes.get(4..8) {
        Some(b"TFL3") => tflite::trunk(bytes),
        _ if bytes.starts_with(b"{") => tfjs::trunk(bytes, path.with_file_name("").as_path()),
        _ => onnx::trunk(bytes),
    };
    let trunk = trunk.and_then(|trunk| {
        fit_together(&trunk.layers)?;
        Ok(trunk)
    });
    let file = path.display().to_string();
    trunk.map_err(|fault| match fault {
        Fault::Broken(message) => WeightsError::Broken { file, message },
        Fault::NotMobileNet(message) => WeightsError::NotMobileNet { file, message },
    })
}

/// Whether each layer is one of a MobileNet and takes in what the one before it puts out.
fn fit_together(layers: &[Layer]) -> Result<(), String> {
    let mut channels = 3;
    for (number, Layer { conv, add, .. }) in layers.iter().enumerate() {
        let [out, inner, ..] = conv.shape;
        let taken = if conv.groups > 1 { out } else { inner };
        let earlier = add.map_or(out, |add| layers[add].conv.shape[0]);
        if !conv.is_mobilenet() || taken != channels || earlier != out {
            return Err(format!(
                "its convolution {number} of shape {:?} is none on {channels} channels",
                conv.shape
            ));
        }
        channels = out;
    }
    Ok(())
}

/// The trunk that this program carries: that of the model that ships, `models/trunk.onnx`.
///
/// # Errors
/// [`WeightsError`] when the program was built with a broken file.
pub fn shipped() -> Result<BackboneWeights, WeightsError> {
    parse(
        Path::new("models/trunk.onnx"),
        include_bytes!("../../models/trunk.onnx"),
    )
}

/// What is wrong with a file whose name is known one call up.
enum Fault {
    Broken(String),
    NotMobileNet(String),
}

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self::NotMobileNet(message)
    }
}

impl From<&str> for Fault {
    fn from(message: &str) -> Self {
        Self::NotMobileNet(message.to_owned())
    }
}
