//! ONNX files (operator set 13): reading, writing, the model card in their metadata, and [`GraphBuilder`].

use std::collections::BTreeMap;
use std::path::Path;

use boxcam::card::{CardError, ModelCard};
use boxcam::diagnostics::{reading_advice, writing_advice};
use half::f16;
use prost::Message;
use thiserror::Error;
use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;

mod builder;

pub use builder::{GraphBuilder, Precision};

/// Name of the model's only input.
pub const INPUT: &str = "image";

/// Prefix of the backbone's convolutions, followed by their number.
pub const BACKBONE_PREFIX: &str = "trunk.";

/// Name of the class head's dense layer.
pub const CLASS_LAYER: &str = "class.logits";

/// Prefix of the box head's layers.
pub const BOX_PREFIX: &str = "box.";

/// Prefix of the object branch's layers.
pub const OBJECT_PREFIX: &str = "objects.";

/// Suffix of a `relu6` node, after the name of its convolution.
pub const RELU6_SUFFIX: &str = ".relu6";

/// Why a model file can't be read or written.
#[derive(Debug, Error)]
pub enum OnnxError {
    #[error("model {file}: can't be read ({source}); {}", reading_advice(source))]
    Read {
        file: String,
        source: std::io::Error,
    },
    #[error(
        "model {file}: can't be written ({source}); {}",
        writing_advice(source)
    )]
    Write {
        file: String,
        source: std::io::Error,
    },
    #[error("model {file}: not a complete ONNX file ({message}); copy it again")]
    NotOnnx { file: String, message: String },
}

/// Reads a model file.
///
/// # Errors
/// [`OnnxError`], which names the file.
pub fn read(path: &Path) -> Result<pb::ModelProto, OnnxError> {
    let file = path.display().to_string();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(OnnxError::Read { file, source }),
    };
    match pb::ModelProto::decode(bytes.as_slice()) {
        Ok(model) if model.graph.is_some() => Ok(model),
        Ok(_) => Err(OnnxError::NotOnnx {
            file,
            message: "it has no graph".to_owned(),
        }),
        Err(error) => Err(OnnxError::NotOnnx {
            file,
            message: error.to_string(),
        }),
    }
}

/// Writes a model file atomically.
///
/// # Errors
/// [`OnnxError`], which names the file.
pub fn write(path: &Path, model: &pb::ModelProto) -> Result<(), OnnxError> {
    crate::storage::write_whole(path, &model.encode_to_vec()).map_err(|source| OnnxError::Write {
        file: path.display().to_string(),
        source,
    })
}

/// The card in a model's metadata.
///
/// # Errors
/// [`CardError`] when it is missing or invalid.
pub fn card(model: &pb::ModelProto) -> Result<ModelCard, CardError> {
    let entries = model.metadata_props.iter();
    ModelCard::from_metadata(entries.map(|entry| (entry.key.as_str(), entry.value.as_str())))
}

/// Adds the card to a model's metadata, or replaces it.
pub fn set_card(model: &mut pb::ModelProto, card: &ModelCard) {
    let (key, value) = card.to_metadata();
    model.metadata_props.retain(|entry| entry.key != key);
    model.metadata_props.push(pb::StringStringEntryProto {
        key: key.to_owned(),
        value,
    });
}

/// The constants of a graph as floats, dequantized if they are integers.
pub(crate) struct Constants<'a> {
    tensors: BTreeMap<&'a str, &'a pb::TensorProto>,
    /// `DequantizeLinear` nodes by the name of their output.
    dequantizers: BTreeMap<&'a str, &'a pb::NodeProto>,
}

impl<'a> Constants<'a> {
    pub(crate) fn new(graph: &'a pb::GraphProto) -> Self {
        let tensors = graph.initializer.iter().map(|t| (t.name.as_str(), t));
        let nodes = graph.node.iter();
        let dequantizers = nodes
            .filter(|node| node.op_type == "DequantizeLinear")
            .filter_map(|node| Some((node.output.first()?.as_str(), node)));
        Self {
            tensors: tensors.collect(),
            dequantizers: dequantizers.collect(),
        }
    }

    /// Whether a `DequantizeLinear` without zero point makes this value of a constant.
    pub(crate) fn is_dequantized(&self, name: &str) -> bool {
        let constant = |name: &String| self.tensors.get(name.as_str());
        self.dequantizers.get(name).is_some_and(|node| {
            let zero_point = node.input.get(2).map_or(Some(&[][..]), |name| {
                constant(name).map(|zero_point| zero_point.raw_data.as_slice())
            });
            let is_constant = node
                .input
                .first()
                .is_some_and(|name| constant(name).is_some());
            is_constant && zero_point.is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
        })
    }

    /// Shape and values of a constant; an integer one is dequantized with a scale per entry of its first dimension.
    pub(crate) fn floats(&self, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let Some(node) = self.dequantizers.get(name) else {
            let tensor = self.tensors.get(name)?;
            return Some((dims(tensor), tensor_floats(tensor)?));
        };
        let tensor = self.tensors.get(node.input.first()?.as_str())?;
        let scales = tensor_floats(self.tensors.get(node.input.get(1)?.as_str())?)?;
        let integers = tensor_integers(tensor)?;
        let per_channel = (integers.len() / scales.len().max(1)).max(1);
        let channels = integers.chunks(per_channel).zip(&scales);
        let floats = channels.flat_map(|(channel, scale)| channel.iter().map(move |q| q * scale));
        Some((dims(tensor), floats.collect()))
    }
}

fn dims(tensor: &pb::TensorProto) -> Vec<usize> {
    tensor.dims.iter().map(|&dim| dim as usize).collect()
}

/// The values of an int8 or int32 constant.
fn tensor_integers(tensor: &pb::TensorProto) -> Option<Vec<f32>> {
    let bytes = &tensor.raw_data;
    match DataType::try_from(tensor.data_type).ok()? {
        DataType::Int8 => Some(bytes.iter().map(|&q| f32::from(q as i8)).collect()),
        DataType::Int32 => {
            let integers = bytes.as_chunks().0.iter();
            Some(integers.map(|b| i32::from_le_bytes(*b) as f32).collect())
        }
        _ => None,
    }
}

/// The values of a constant of 32-bit or 16-bit floats.
pub(crate) fn tensor_floats(tensor: &pb::TensorProto) -> Option<Vec<f32>> {
    let bytes = &tensor.raw_data;
    match DataType::try_from(tensor.data_type).ok()? {
        DataType::Float if !tensor.float_data.is_empty() => Some(tensor.float_data.clone()),
        DataType::Float => {
            let floats = bytes.as_chunks().0.iter();
            Some(floats.map(|b| f32::from_le_bytes(*b)).collect())
        }
        DataType::Float16 => {
            let floats = bytes.as_chunks().0.iter();
            Some(floats.map(|b| f16::from_le_bytes(*b).to_f32()).collect())
        }
        _ => None,
    }
}

/// A node with one output, named as the node.
pub(crate) fn node(
    operator: &str,
    name: &str,
    inputs: &[&str],
    attribute: Vec<pb::AttributeProto>,
) -> pb::NodeProto {
    pb::NodeProto {
        op_type: operator.to_owned(),
        name: name.to_owned(),
        input: inputs.iter().map(|&input| input.to_owned()).collect(),
        output: vec![name.to_owned()],
        attribute,
        ..pb::NodeProto::default()
    }
}

/// A constant; `raw_data` is little-endian.
pub(crate) fn tensor(
    name: &str,
    kind: DataType,
    dims: &[usize],
    raw_data: Vec<u8>,
) -> pb::TensorProto {
    pb::TensorProto {
        name: name.to_owned(),
        data_type: kind as i32,
        dims: dims.iter().map(|&dim| dim as i64).collect(),
        raw_data,
        ..pb::TensorProto::default()
    }
}

pub(crate) fn int(name: &str, value: i64) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..pb::AttributeProto::default()
    }
}

fn float(name: &str, value: f32) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Float as i32,
        f: value,
        ..pb::AttributeProto::default()
    }
}

/// The value of an integer attribute; `None` if the node does not have it.
pub(crate) fn int_attribute(node: &pb::NodeProto, name: &str) -> Option<i64> {
    let attribute = node
        .attribute
        .iter()
        .find(|attribute| attribute.name == name)?;
    Some(attribute.i)
}

fn ints(name: &str, values: &[i64]) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..pb::AttributeProto::default()
    }
}

fn string(name: &str, value: &str) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::String as i32,
        s: value.as_bytes().to_vec(),
        ..pb::AttributeProto::default()
    }
}

/// Name, type and shape of an input or output.
pub(crate) fn value_info(name: &str, kind: DataType, shape: &[usize]) -> pb::ValueInfoProto {
    use pb::tensor_shape_proto::{Dimension, dimension::Value::DimValue};
    let dimension = |&dim: &usize| Dimension {
        value: Some(DimValue(dim as i64)),
        ..Dimension::default()
    };
    let tensor = pb::type_proto::Tensor {
        elem_type: kind as i32,
        shape: Some(pb::TensorShapeProto {
            dim: shape.iter().map(dimension).collect(),
        }),
    };
    pb::ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(pb::TypeProto {
            value: Some(pb::type_proto::Value::TensorType(tensor)),
            ..pb::TypeProto::default()
        }),
        ..pb::ValueInfoProto::default()
    }
}
