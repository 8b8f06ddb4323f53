//! Reads the weights that a training starts from.
//!
//! Formats: a quantized MobileNet v1 or v2 as a `.tflite` file, a detector with a MobileNet v2 backbone in TensorFlow.js
//! form (`model.json`), or a model that boxcam-train wrote (ONNX; float, half precision or int8). Quantized weights are
//! dequantized (`scale * (q - zero_point)`) and batch norms are folded, so every layer is a plain float convolution.
//! Heads are read only from models of boxcam-train.

use std::collections::BTreeMap;
use std::path::Path;

use boxcam::card::ModelCard;
use boxcam::diagnostics::reading_advice;
use boxcam::label::Labels;
use half::f16;
use thiserror::Error;
use tract_onnx::pb;

use crate::formats::{self, FormatError};
use crate::layer::{ConvWeights, DenseWeights, Layer};
use crate::onnx::{GraphBuilder, INPUT, Precision};

mod from_onnx;
mod tfjs;
mod tflite;

/// Name of the output of an exported backbone.
const FEATURES: &str = "features";

/// The backbone of a model, and its heads if boxcam-train made it.
#[derive(Debug, Clone, PartialEq)]
pub struct BackboneWeights {
    /// Side of the square input in pixels.
    pub side: usize,
    /// Layers in order of execution; each reads the output of the one before.
    pub layers: Vec<Layer>,
    pub heads: Option<HeadWeights>,
}

impl BackboneWeights {
    /// The heads if they were trained for exactly these classes.
    #[must_use]
    pub fn heads_for(&self, labels: &Labels) -> Option<&HeadWeights> {
        self.heads.as_ref().filter(|heads| heads.labels == *labels)
    }
}

/// Heads of a model that boxcam-train made.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadWeights {
    pub labels: Labels,
    pub class: DenseWeights,
    /// Convolutions of the box head and of its object branch by name.
    pub box_convs: BTreeMap<String, ConvWeights>,
}

/// Why weights can't be read or written.
#[derive(Debug, Error)]
pub enum WeightsError {
    #[error("weights {file}: can't be read ({source}); {}", reading_advice(source))]
    Read {
        file: String,
        source: std::io::Error,
    },
    #[error(
        "weights {file}: not a complete .tflite, .onnx or model.json file ({message}); copy it again"
    )]
    Broken { file: String, message: String },
    #[error(
        "weights {file}: {message}; give a quantized MobileNet v1 or v2, the model.json of a detector on MobileNet v2, or a model of boxcam-train"
    )]
    Unsupported { file: String, message: String },
    #[error(
        "layer {layer} has the weight {weight}, the largest half-precision number is 65504; train the model again"
    )]
    TooLarge { layer: usize, weight: f32 },
}

/// Reads a weights file of any supported format. The shards of a `model.json` must be in the same folder.
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

/// The backbone that the program contains, `models/trunk.onnx`: that of the model that ships.
///
/// # Errors
/// [`WeightsError`] if the program was built with a broken file.
pub fn embedded() -> Result<BackboneWeights, WeightsError> {
    parse(
        Path::new("models/trunk.onnx"),
        include_bytes!("../../models/trunk.onnx"),
    )
}

fn parse(path: &Path, bytes: &[u8]) -> Result<BackboneWeights, WeightsError> {
    let backbone = if formats::is_tflite(bytes) {
        tflite::read(bytes)
    } else if formats::is_tfjs(bytes) {
        tfjs::read(bytes, path.with_file_name("").as_path())
    } else {
        from_onnx::read(bytes)
    };
    let backbone = backbone.and_then(|backbone| {
        check(&backbone.layers)?;
        Ok(backbone)
    });
    let file = path.display().to_string();
    backbone.map_err(|error| match error {
        FormatError::Broken(message) => WeightsError::Broken { file, message },
        FormatError::Unsupported(message) => WeightsError::Unsupported { file, message },
    })
}

/// Checks that each layer is one of a MobileNet and fits the output of the one before.
fn check(layers: &[Layer]) -> Result<(), FormatError> {
    let mut channels = 3;
    for (number, Layer { conv, add, .. }) in layers.iter().enumerate() {
        let [out, inputs, ..] = conv.shape;
        let read = if conv.groups > 1 { out } else { inputs };
        let added = add.map_or(out, |add| layers[add].conv.shape[0]);
        if !conv.is_mobilenet() || read != channels || added != out {
            return Err(format!(
                "its convolution {number} of shape {:?} does not fit {channels} channels or is not one of a MobileNet",
                conv.shape
            )
            .into());
        }
        channels = out;
    }
    Ok(())
}

/// An ONNX model of the backbone alone in half precision, which [`read`] reads: half the size, for a training to start
/// from.
///
/// The card is that of the whole model without figures and golden examples; labels and credits stay.
///
/// # Errors
/// [`WeightsError::TooLarge`] for a weight that would become infinite.
pub fn half_precision(
    backbone: &BackboneWeights,
    card: &ModelCard,
) -> Result<pb::ModelProto, WeightsError> {
    for (layer, Layer { conv, .. }) in backbone.layers.iter().enumerate() {
        let is_too_large = |weight: &&f32| !f16::from_f32(**weight).is_finite();
        if let Some(&weight) = conv.weights.iter().chain(&conv.bias).find(is_too_large) {
            return Err(WeightsError::TooLarge { layer, weight });
        }
    }
    let card = ModelCard {
        figures: BTreeMap::new(),
        golden: Vec::new(),
        ..card.clone()
    };
    let mut graph = GraphBuilder::with_precision(Precision::Half, &card.name, &card.input);
    let maps = graph.backbone(INPUT, &backbone.layers);
    let map = maps.last().map_or(INPUT, String::as_str);
    let channels = backbone.layers.last().map_or(3, |last| last.conv.shape[0]);
    let strides = backbone.layers.iter().map(|layer| layer.conv.stride);
    let side = strides.fold(backbone.side, usize::div_ceil);
    let shape = vec![1, channels, side, side];
    Ok(graph.finish_with(&[(FEATURES, map, shape)], &card))
}
