//! Loads ONNX files and runs them with tract and the integer network. Only this module and
//! [`super::int8::fuse`] use tract.
//!
//! A [`TractDetector`] has been run once when it is returned. A file without a model card, or whose card and graph
//! differ, is a [`ModelError`].

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use thiserror::Error;
use tract_onnx::pb;
use tract_onnx::prelude::*;

use engine::{Engine, EngineOutput};

use super::nms::MIN_SCORE;
use super::{CellOutputs, DetectError, Detector, Nms, ObjectOutputs, Prediction};
use crate::card::{
    BOX_OUTPUT, CLASS_OUTPUT, CardError, ModelCard, OBJECT_BOXES_OUTPUT, OBJECT_SCORES_OUTPUT,
};
use crate::diagnostics::reading_advice;
use crate::preprocess::InputTensor;

mod engine;
mod heads;

pub use engine::EngineOptions;

use heads::Heads;

/// The features of this processor that speed up a network; empty where none is known.
#[must_use]
pub fn cpu_features() -> Vec<&'static str> {
    #[cfg_attr(target_arch = "arm", allow(unused_mut))]
    let mut features = Vec::new();
    #[cfg_attr(target_arch = "arm", allow(unused_macros))]
    macro_rules! detect {
        ($is_detected:ident: $($feature:tt),+) => {
            $(if std::arch::$is_detected!($feature) {
                features.push($feature);
            })+
        };
    }
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    detect!(is_x86_feature_detected: "avx2", "fma", "avx512f", "avx512vnni", "avxvnni");
    #[cfg(target_arch = "aarch64")]
    detect!(is_aarch64_feature_detected: "neon", "dotprod", "i8mm", "fp16");
    features
}

/// A model file that can't be used.
#[derive(Debug, Error)]
pub enum ModelError {
    #[error("model {model}: can't be read ({source}); {}", reading_advice(source))]
    Read {
        model: String,
        source: std::io::Error,
    },
    #[error(
        "model {model}: not a complete ONNX file ({message}); copy it again or use another file"
    )]
    NotOnnx { model: String, message: String },
    /// It has no valid model card.
    #[error("model {model}: {source}")]
    Card { model: String, source: CardError },
    #[error(
        "model {model}: its input is {actual}, its card requires {expected:?} 32-bit floats; \
         export the model again so that both agree"
    )]
    Input {
        model: String,
        /// Shape required by the card.
        expected: [usize; 4],
        /// What the graph declares.
        actual: String,
    },
    #[error(
        "model {model}: has no output \"{output}\" (it has: {found}); boxcam needs \
         \"{CLASS_OUTPUT}\" and \"{BOX_OUTPUT}\", or \"{OBJECT_SCORES_OUTPUT}\" and \"{OBJECT_BOXES_OUTPUT}\", or all \
         four; create the model again with boxcam-train"
    )]
    MissingOutput {
        model: String,
        output: &'static str,
        /// Names of the graph's outputs.
        found: String,
    },
    /// It has object outputs, but its card does not say how objects are selected.
    #[error(
        "model {model}: its outputs \"{OBJECT_SCORES_OUTPUT}\" and \"{OBJECT_BOXES_OUTPUT}\" need \"objects\" (threshold, nms_iou, \
         most) in its card; create the model again with boxcam-train"
    )]
    NoObjectSettings { model: String },
    #[error(
        "model {model}: its output \"{output}\" has shape {actual:?}, its card requires {expected}; \
         export the model again so that both agree"
    )]
    Output {
        model: String,
        output: &'static str,
        /// Shape required by the card.
        expected: String,
        /// Shape as computed.
        actual: Vec<usize>,
    },
    /// An output is not finite, even for a blank image.
    #[error("model {model}: {source}")]
    Broken { model: String, source: DetectError },
    #[error("model {model}: the engine can't run it ({message}); export it with boxcam-train")]
    Engine { model: String, message: String },
}

/// A model in tract, ready to run.
#[derive(Clone)]
pub struct TractDetector {
    engine: Engine,
    card: Arc<ModelCard>,
    /// `None` without object outputs.
    nms: Option<Nms>,
    hash: String,
    file_bytes: usize,
    multiply_adds: Option<u64>,
}

/// The time that one layer takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerTime {
    /// Name of the layer in the model file, or the names of all layers that run together.
    pub name: String,
    /// What the engine runs for it.
    pub operator: String,
    /// Median over the runs.
    pub time: Duration,
}

impl TractDetector {
    /// Loads a model file.
    ///
    /// # Errors
    /// [`ModelError`] with the path.
    pub fn from_file(path: &Path) -> Result<Self, ModelError> {
        Self::from_file_with(path, EngineOptions::default())
    }

    /// Loads a model file, to be run with these options.
    ///
    /// # Errors
    /// [`ModelError`] with the path.
    pub fn from_file_with(path: &Path, options: EngineOptions) -> Result<Self, ModelError> {
        let model = path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => Self::from_bytes_with(&model, &bytes, options),
            Err(source) => Err(ModelError::Read { model, source }),
        }
    }

    /// Loads a model from the bytes of an ONNX file; `name` is its name in errors.
    ///
    /// # Errors
    /// [`ModelError`] with the name.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, ModelError> {
        Self::from_bytes_with(name, bytes, EngineOptions::default())
    }

    /// Loads a model from the bytes of an ONNX file, to be run with these options.
    ///
    /// # Errors
    /// [`ModelError`] with the name.
    pub fn from_bytes_with(
        name: &str,
        bytes: &[u8],
        options: EngineOptions,
    ) -> Result<Self, ModelError> {
        let model = || name.to_owned();
        let proto = read_proto(name, bytes)?;
        let mut card =
            ModelCard::from_metadata(metadata(&proto)).map_err(|source| ModelError::Card {
                model: model(),
                source,
            })?;
        let graph = proto.graph.as_ref().expect("checked by read_proto");
        check_input(name, graph, card.input.shape())?;
        let outputs = Heads::find(name, graph, &card)?;
        if let (None, Some(objects)) = (outputs.image, &card.objects) {
            // The primary detection is the best object.
            card.threshold = objects.threshold;
        }
        let built = Engine::new(proto, &card.input, outputs, options);
        let (engine, multiply_adds) = built.map_err(|error| ModelError::Engine {
            model: model(),
            message: format!("{error:#}"),
        })?;
        let mut detector = Self {
            engine,
            card: Arc::new(card),
            nms: None,
            hash: short_hash(bytes),
            file_bytes: bytes.len(),
            multiply_adds,
        };
        detector.check_outputs(name)?;
        Ok(detector)
    }

    /// Name of the kernels that run the integer layers; `None` if no layer runs in integer arithmetic.
    #[must_use]
    pub fn kernels(&self) -> Option<&'static str> {
        self.engine.kernels()
    }

    /// Bytes of the model file, including its card.
    #[must_use]
    pub const fn file_bytes(&self) -> usize {
        self.file_bytes
    }

    /// Multiply-adds of the convolutions and matrix products for one image; `None` if a shape in the file is not fixed.
    #[must_use]
    pub const fn multiply_adds(&self) -> Option<u64> {
        self.multiply_adds
    }

    /// Runs the network `runs` times (at least once) on one input and measures the time of each layer, in the order in
    /// which they run.
    ///
    /// # Errors
    /// As [`Detector::predict`].
    pub fn layer_times(
        &mut self,
        input: &InputTensor,
        runs: usize,
    ) -> Result<Vec<LayerTime>, DetectError> {
        self.check_shape(input)?;
        let mut layers: Vec<(String, String, Vec<Duration>)> = Vec::new();
        for run in 0..runs.max(1) {
            let timed = self.engine.run_timed(input);
            let timed = timed.map_err(|error| engine_error(&error))?;
            if run == 0 {
                let names = timed.iter();
                layers = names
                    .map(|(name, operator, _)| (name.clone(), operator.clone(), Vec::new()))
                    .collect();
            }
            for (layer, (_, _, time)) in layers.iter_mut().zip(timed) {
                layer.2.push(time);
            }
        }
        let layers = layers
            .into_iter()
            .map(|(name, operator, mut times)| LayerTime {
                name,
                operator,
                time: {
                    times.sort_unstable();
                    times[times.len() / 2]
                },
            });
        Ok(layers.collect())
    }

    /// Runs the network once on a blank image and compares its outputs with the card.
    fn check_outputs(&mut self, name: &str) -> Result<(), ModelError> {
        let blank = InputTensor::zeros(&self.card);
        self.engine.set_min_object_score(MIN_SCORE);
        let output = self
            .engine
            .run(&blank)
            .map_err(|error| ModelError::Engine {
                model: name.to_owned(),
                message: format!("{error:#}"),
            })?;
        let shapes = output.as_ref().map(|output| output.shape().to_vec());
        let cells = shapes.check(name, &self.card)?;
        let settings = self.card.objects;
        self.nms = settings.map(|settings| Nms::new(settings, cells, self.card.labels.len()));
        match predict(&output, self.nms.as_mut()) {
            Ok(_) => Ok(()),
            Err(source) => Err(ModelError::Broken {
                model: name.to_owned(),
                source,
            }),
        }
    }

    fn check_shape(&self, input: &InputTensor) -> Result<(), DetectError> {
        let (expected, actual) = (self.card.input.shape(), input.shape());
        if expected == actual {
            Ok(())
        } else {
            Err(DetectError::Shape { expected, actual })
        }
    }
}

impl Detector for TractDetector {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn model_hash(&self) -> &str {
        &self.hash
    }

    fn predict(&mut self, input: &InputTensor) -> Result<Prediction, DetectError> {
        self.check_shape(input)?;
        let output = self.engine.run(input);
        let output = output.map_err(|error| engine_error(&error))?;
        predict(&output, self.nms.as_mut())
    }

    fn set_min_object_score(&mut self, score: f32) {
        if let Some(nms) = &mut self.nms {
            nms.set_min_score(score);
            self.engine.set_min_object_score(nms.min_score());
        }
    }
}

/// The prediction of the outputs of a run.
fn predict(
    output: &Heads<EngineOutput<'_>>,
    nms: Option<&mut Nms>,
) -> Result<Prediction, DetectError> {
    let values = |output| EngineOutput::values(output).map_err(|error| engine_error(&error));
    let image = match &output.image {
        None => None,
        Some([scores, corners]) => {
            let corners = values(corners)?;
            let corners = <[f32; 4]>::try_from(&*corners).map_err(|_| DetectError::Engine {
                message: format!("a box has {} values, expected 4", corners.len()),
            })?;
            Some(Prediction::new(&*values(scores)?, corners)?)
        }
    };
    let (Some([scores, boxes]), Some(nms)) = (&output.objects, nms) else {
        return image.ok_or_else(|| DetectError::Engine {
            message: "it has no outputs".to_owned(),
        });
    };
    let of_objects = |outputs: ObjectOutputs<'_>, nms: &mut Nms| match image {
        Some(image) => image.with_objects(outputs, nms),
        None => Prediction::of_objects(outputs, nms),
    };
    if let EngineOutput::Candidates { candidates, .. } = scores {
        return of_objects(ObjectOutputs::Candidates(candidates), nms);
    }
    let cells = CellOutputs {
        scores: &values(scores)?,
        boxes: &values(boxes)?,
    };
    of_objects(ObjectOutputs::Cells(cells), nms)
}

fn read_proto(name: &str, bytes: &[u8]) -> Result<pb::ModelProto, ModelError> {
    let not_onnx = |message: String| ModelError::NotOnnx {
        model: name.to_owned(),
        message,
    };
    let proto = onnx()
        .proto_model_for_read(&mut &*bytes)
        .map_err(|error| not_onnx(error.root_cause().to_string()))?;
    match &proto.graph {
        Some(_) => Ok(proto),
        None => Err(not_onnx(format!("{} bytes without a graph", bytes.len()))),
    }
}

fn metadata(proto: &pb::ModelProto) -> impl Iterator<Item = (&str, &str)> {
    let props = proto.metadata_props.iter();
    props.map(|entry| (entry.key.as_str(), entry.value.as_str()))
}

/// The graph must declare one input of the card's shape; dimensions may be left open.
fn check_input(name: &str, graph: &pb::GraphProto, expected: [usize; 4]) -> Result<(), ModelError> {
    let declared = DeclaredInput::new(graph);
    if declared.accepts(expected) {
        return Ok(());
    }
    Err(ModelError::Input {
        model: name.to_owned(),
        expected,
        actual: declared.to_string(),
    })
}

/// What a graph declares as its input.
enum DeclaredInput {
    Missing,
    Several,
    NoTensor,
    /// ONNX's number of the element type.
    NoFloats(i32),
    /// Dimensions of 32-bit floats; `None` where left open.
    Floats(Vec<Option<i64>>),
}

impl DeclaredInput {
    fn new(graph: &pb::GraphProto) -> Self {
        // Older files list their weights as inputs too.
        let is_weight = |input: &str| graph.initializer.iter().any(|w| w.name == input);
        let mut inputs = graph.input.iter().filter(|input| !is_weight(&input.name));
        match (inputs.next(), inputs.next()) {
            (Some(input), None) => Self::from_info(input),
            (None, _) => Self::Missing,
            (Some(_), Some(_)) => Self::Several,
        }
    }

    fn from_info(input: &pb::ValueInfoProto) -> Self {
        use pb::tensor_shape_proto::dimension::Value::DimValue;
        let tensor = match input.r#type.as_ref().and_then(|t| t.value.as_ref()) {
            Some(pb::type_proto::Value::TensorType(tensor)) => tensor,
            _ => return Self::NoTensor,
        };
        if tensor.elem_type != pb::tensor_proto::DataType::Float as i32 {
            return Self::NoFloats(tensor.elem_type);
        }
        let dims = tensor.shape.iter().flat_map(|shape| &shape.dim);
        let fixed = dims.map(|dim| match dim.value {
            Some(DimValue(value)) => Some(value),
            _ => None,
        });
        Self::Floats(fixed.collect())
    }

    fn accepts(&self, shape: [usize; 4]) -> bool {
        let Self::Floats(dims) = self else {
            return false;
        };
        let agrees = |(dim, side): (&Option<i64>, &usize)| dim.is_none_or(|d| d == *side as i64);
        dims.len() == 4 && dims.iter().zip(&shape).all(agrees)
    }
}

impl Display for DeclaredInput {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Several => f.write_str("more than one tensor"),
            Self::NoTensor => f.write_str("not a tensor"),
            Self::NoFloats(elem_type) => write!(f, "a tensor of ONNX data type {elem_type}"),
            Self::Floats(dims) => {
                let dims = dims.iter();
                let dims = dims.map(|d| d.map_or("?".to_owned(), |d| d.to_string()));
                write!(f, "[{}] floats", dims.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn engine_error(error: &TractError) -> DetectError {
    DetectError::Engine {
        message: format!("{error:#}"),
    }
}

fn short_hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(all(test, feature = "embedded-model"))]
mod tests {
    use super::*;

    /// `boxcam-train` counts the same number in the file.
    #[test]
    fn the_multiply_adds_of_the_shipped_model_are_counted() {
        let bytes = include_bytes!("../../models/snacks.onnx");
        let detector = TractDetector::from_bytes("snacks", bytes).expect("loads");
        assert_eq!(detector.multiply_adds(), Some(544_236_088));
        assert_eq!(detector.file_bytes(), bytes.len());
    }
}
