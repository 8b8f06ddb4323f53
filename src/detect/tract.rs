//! The engine: `tract` runs the ONNX file. With its own submodules the only file of the product that names
//! tract's model API.
//!
//! In go the bytes of a model file, out comes a [`TractDetector`] that has been run once, or a
//! [`ModelError`] that says what about the file is not as it should be. A file without a model card, or
//! whose card and graph disagree, is refused here and never reaches a camera.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;
use tract_onnx::pb;
use tract_onnx::prelude::*;

use engine::Engine;

use super::{DetectError, Detector, Prediction};
use crate::card::{BOX_OUTPUT, CLASS_OUTPUT, CardError, ModelCard};
use crate::preprocess::InputTensor;

mod cost;
mod engine;
mod layers;

pub use engine::EngineOptions;
pub use layers::LayerTime;

/// Features of this processor, as it tells when asked, that make a network faster; empty where it has none or
/// none is known of its kind.
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
    /// The file can't be read.
    #[error("model {model}: can't be read ({source}); check the path and its permissions")]
    Read {
        /// The file.
        model: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// The bytes are no ONNX, or only a part of one.
    #[error(
        "model {model}: is no complete ONNX file ({message}); copy it again or give another file"
    )]
    NotOnnx {
        /// The file.
        model: String,
        /// What is wrong.
        message: String,
    },
    /// It is ONNX, but no model of boxcam.
    #[error("model {model}: {source}")]
    Card {
        /// The file.
        model: String,
        /// What is wrong with its card.
        source: CardError,
    },
    /// Its input is not what its card says.
    #[error(
        "model {model}: its input is {actual}, its card says {expected:?} 32-bit floats; \
         export the model again so that both agree"
    )]
    Input {
        /// The file.
        model: String,
        /// Shape by the card.
        expected: [usize; 4],
        /// What the graph declares.
        actual: String,
    },
    /// It lacks one of the two outputs.
    #[error(
        "model {model}: has no output \"{output}\" (it has: {found}); boxcam needs \
         \"{CLASS_OUTPUT}\" and \"{BOX_OUTPUT}\""
    )]
    MissingOutput {
        /// The file.
        model: String,
        /// The one that is missing.
        output: &'static str,
        /// The ones there are.
        found: String,
    },
    /// An output has another shape than the card asks for.
    #[error(
        "model {model}: its output \"{output}\" has shape {actual:?}, its card asks for {expected:?}; \
         export the model again so that both agree"
    )]
    Output {
        /// The file.
        model: String,
        /// The output.
        output: &'static str,
        /// Shape by the card.
        expected: [usize; 2],
        /// Shape as computed.
        actual: Vec<usize>,
    },
    /// It puts out numbers that are none, already for an empty picture.
    #[error("model {model}: {source}")]
    Broken {
        /// The file.
        model: String,
        /// What it put out.
        source: DetectError,
    },
    /// The engine can't run the graph.
    #[error("model {model}: the engine can't run it ({message}); export it with boxcam-train")]
    Engine {
        /// The file.
        model: String,
        /// The engine's words.
        message: String,
    },
}

/// A model in `tract`, ready to run.
#[derive(Clone)]
pub struct TractDetector {
    engine: Engine,
    card: Arc<ModelCard>,
    hash: String,
    file_bytes: usize,
    multiply_adds: Option<u64>,
}

impl TractDetector {
    /// Loads a model file.
    ///
    /// # Errors
    /// [`ModelError`] with the path in it.
    pub fn from_file(path: &Path) -> Result<Self, ModelError> {
        Self::from_file_with(path, EngineOptions::default())
    }

    /// Loads a model file, to be run as told.
    ///
    /// # Errors
    /// [`ModelError`] with the path in it.
    pub fn from_file_with(path: &Path, options: EngineOptions) -> Result<Self, ModelError> {
        let model = path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => Self::from_bytes_with(&model, &bytes, options),
            Err(source) => Err(ModelError::Read { model, source }),
        }
    }

    /// Loads a model from the bytes of an ONNX file; `name` is what errors call it.
    ///
    /// # Errors
    /// [`ModelError`] with the name in it.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, ModelError> {
        Self::from_bytes_with(name, bytes, EngineOptions::default())
    }

    /// Loads a model from the bytes of an ONNX file, to be run as told.
    ///
    /// # Errors
    /// [`ModelError`] with the name in it.
    pub fn from_bytes_with(
        name: &str,
        bytes: &[u8],
        options: EngineOptions,
    ) -> Result<Self, ModelError> {
        let model = || name.to_owned();
        let proto = read_proto(name, bytes)?;
        let card =
            ModelCard::from_metadata(metadata(&proto)).map_err(|source| ModelError::Card {
                model: model(),
                source,
            })?;
        let graph = proto.graph.as_ref().expect("checked by read_proto");
        check_input(name, graph, card.input.shape())?;
        let outputs = [
            find_output(name, graph, CLASS_OUTPUT)?,
            find_output(name, graph, BOX_OUTPUT)?,
        ];
        let built = Engine::new(proto, &card.input, outputs, options);
        let (engine, multiply_adds) = built.map_err(|error| ModelError::Engine {
            model: model(),
            message: format!("{error:#}"),
        })?;
        let mut detector = Self {
            engine,
            card: Arc::new(card),
            hash: short_hash(bytes),
            file_bytes: bytes.len(),
            multiply_adds,
        };
        detector.check_outputs(name)?;
        Ok(detector)
    }

    /// What the processor has that the integer layers are run with; none where no layer is in whole numbers.
    #[must_use]
    pub fn kernels(&self) -> Option<&'static str> {
        self.engine.kernels()
    }

    /// Runs the network once on nothing: what it puts out must be what the card says.
    fn check_outputs(&mut self, name: &str) -> Result<(), ModelError> {
        let nothing = InputTensor::zeros(&self.card);
        let ran = self.engine.run(&nothing).map(|answer| answer.shapes());
        let shapes = ran.map_err(|error| ModelError::Engine {
            model: name.to_owned(),
            message: format!("{error:#}"),
        })?;
        let wanted = [
            (CLASS_OUTPUT, [1, self.card.labels.len()]),
            (BOX_OUTPUT, [1, 4]),
        ];
        for ((output, expected), actual) in wanted.into_iter().zip(shapes) {
            if actual != expected {
                return Err(ModelError::Output {
                    model: name.to_owned(),
                    output,
                    expected,
                    actual,
                });
            }
        }
        match self.predict(&nothing) {
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
        let answer = self
            .engine
            .run(input)
            .map_err(|error| engine_error(&error))?;
        let prediction = answer.numbers(|[scores, corners]| {
            let corners = <[f32; 4]>::try_from(corners).map_err(|_| DetectError::Engine {
                message: format!("a box of {} numbers, expected 4", corners.len()),
            })?;
            Prediction::new(scores, corners)
        });
        prediction.map_err(|error| engine_error(&error))?
    }
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

/// The graph's one real input must be declared as the card says; a dimension may be left open.
fn check_input(name: &str, graph: &pb::GraphProto, expected: [usize; 4]) -> Result<(), ModelError> {
    let is_weight = |input: &str| graph.initializer.iter().any(|w| w.name == input);
    let mut inputs = graph.input.iter().filter(|input| !is_weight(&input.name));
    let declared = match (inputs.next(), inputs.next()) {
        (Some(input), None) => declared_shape(input),
        (None, _) => Err("missing".to_owned()),
        (Some(_), Some(_)) => Err("more than one tensor".to_owned()),
    };
    let actual = match declared {
        Ok(dims) => {
            let agrees =
                |(dim, want): (&Option<i64>, &usize)| dim.is_none_or(|d| d == *want as i64);
            if dims.len() == 4 && dims.iter().zip(&expected).all(agrees) {
                return Ok(());
            }
            let shown = dims
                .iter()
                .map(|d| d.map_or("?".to_owned(), |d| d.to_string()));
            format!("[{}] floats", shown.collect::<Vec<_>>().join(", "))
        }
        Err(what) => what,
    };
    Err(ModelError::Input {
        model: name.to_owned(),
        expected,
        actual,
    })
}

/// The dimensions of a 32-bit float tensor (`None` where left open), or what it is instead.
fn declared_shape(input: &pb::ValueInfoProto) -> Result<Vec<Option<i64>>, String> {
    use pb::tensor_shape_proto::dimension::Value::DimValue;
    let tensor = match input.r#type.as_ref().and_then(|t| t.value.as_ref()) {
        Some(pb::type_proto::Value::TensorType(tensor)) => tensor,
        _ => return Err("no tensor".to_owned()),
    };
    if tensor.elem_type != pb::tensor_proto::DataType::Float as i32 {
        return Err(format!("a tensor of ONNX data type {}", tensor.elem_type));
    }
    let dims = tensor.shape.iter().flat_map(|shape| &shape.dim);
    let known = dims.map(|dim| match dim.value {
        Some(DimValue(value)) => Some(value),
        _ => None,
    });
    Ok(known.collect())
}

fn find_output(
    name: &str,
    graph: &pb::GraphProto,
    output: &'static str,
) -> Result<usize, ModelError> {
    let names = || graph.output.iter().map(|o| o.name.as_str());
    names()
        .position(|n| n == output)
        .ok_or_else(|| ModelError::MissingOutput {
            model: name.to_owned(),
            output,
            found: names().collect::<Vec<_>>().join(", "),
        })
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
