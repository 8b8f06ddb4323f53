//! ONNX files: the graph of a model put together node by node, and written with its card in it.
//!
//! In go weights and the names of values, out comes a [`pb::ModelProto`] of operator set 13. Nothing is
//! computed here; what a graph means is for the engines to say, and `tests/` ask two of them.

use std::path::Path;

use boxcam::card::{BOX_OUTPUT, CLASS_OUTPUT, InputSpec, ModelCard};
use prost::Message;
use thiserror::Error;
use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;

use crate::layer::{ConvWeights, Layer};

/// Name of the model's one input.
pub const INPUT: &str = "image";

/// What the names of the trunk's convolutions begin with; their numbers follow.
pub const TRUNK: &str = "trunk.";

/// What the name of a `min(max(x, 0), 6)` ends with; that of its convolution stands before.
pub const RELU6: &str = ".relu6";

/// The operator set that the graphs are written in: the first with scales per channel.
const OPERATOR_SET: i64 = 13;

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

/// A graph in the making. Every method adds a node and gives back the name of its output.
#[derive(Debug)]
pub struct GraphBuilder {
    graph: pb::GraphProto,
}

impl GraphBuilder {
    /// A graph with nothing but its input, [`INPUT`].
    #[must_use]
    pub fn new(name: &str, input: &InputSpec) -> Self {
        let graph = pb::GraphProto {
            name: name.to_owned(),
            input: vec![value_info(INPUT, &input.shape())],
            ..pb::GraphProto::default()
        };
        Self { graph }
    }

    /// Convolution with TensorFlow's SAME padding, without its activation.
    pub fn conv(&mut self, name: &str, input: &str, layer: &ConvWeights) -> String {
        let kernel = layer.shape[2] as i64;
        let stride = layer.stride as i64;
        // On an even side, SAME at stride 2 pads only right and bottom.
        let pads = match (kernel, stride) {
            (1, _) => [0, 0, 0, 0],
            (_, 1) => [1, 1, 1, 1],
            _ => [0, 0, 1, 1],
        };
        let weight = self.floats(&format!("{name}.weight"), &layer.shape, &layer.weights);
        let bias = self.floats(&format!("{name}.bias"), &[layer.bias.len()], &layer.bias);
        let attributes = vec![
            ints("dilations", &[1, 1]),
            int("group", layer.groups as i64),
            ints("kernel_shape", &[kernel, kernel]),
            ints("pads", &pads),
            ints("strides", &[stride, stride]),
        ];
        self.node("Conv", name, &[input, &weight, &bias], attributes)
    }

    /// `min(max(x, 0), 6)`
    pub fn relu6(&mut self, name: &str, input: &str) -> String {
        let low = self.floats(&format!("{name}.min"), &[], &[0.0]);
        let high = self.floats(&format!("{name}.max"), &[], &[6.0]);
        self.node("Clip", name, &[input, &low, &high], vec![])
    }

    /// `max(x, 0)`
    pub fn relu(&mut self, name: &str, input: &str) -> String {
        self.node("Relu", name, &[input], vec![])
    }

    /// Convolution and `min(max(x, 0), 6)`.
    pub fn conv_relu6(&mut self, name: &str, input: &str, layer: &ConvWeights) -> String {
        let conv = self.conv(name, input, layer);
        self.relu6(&format!("{name}{RELU6}"), &conv)
    }

    /// A trunk on the value `input`; gives back the name of its last layer's output.
    pub fn trunk(&mut self, input: &str, layers: &[Layer]) -> String {
        let mut outputs: Vec<String> = Vec::with_capacity(layers.len());
        for layer in layers {
            let output = self.layer(input, layer, &outputs);
            outputs.push(output);
        }
        outputs.pop().unwrap_or_else(|| input.to_owned())
    }

    /// The next layer of a trunk; `before` are the outputs of all layers before it, none where it takes in `input`.
    ///
    /// # Panics
    /// When the layer adds the output of one that is not before it.
    pub fn layer(&mut self, input: &str, layer: &Layer, before: &[String]) -> String {
        let name = format!("{TRUNK}{}", before.len());
        let input = before.last().map_or(input, String::as_str);
        let output = match layer.relu6 {
            true => self.conv_relu6(&name, input, &layer.conv),
            false => self.conv(&name, input, &layer.conv),
        };
        match layer.add {
            Some(earlier) => self.binary("Add", &format!("{name}.add"), &output, &before[earlier]),
            None => output,
        }
    }

    /// Mean over height and width, flattened: `[1, channels, height, width]` to `[1, channels]`.
    pub fn pool(&mut self, name: &str, input: &str) -> String {
        let pooled = self.node("GlobalAveragePool", name, &[input], vec![]);
        let flat = format!("{name}.flat");
        self.node("Flatten", &flat, &[&pooled], vec![int("axis", 1)])
    }

    /// Dense layer; `weights` is `[out, in]`.
    pub fn dense(&mut self, name: &str, input: &str, weights: &[f32], bias: &[f32]) -> String {
        let shape = [bias.len(), weights.len() / bias.len()];
        let weight = self.floats(&format!("{name}.weight"), &shape, weights);
        let bias = self.floats(&format!("{name}.bias"), &[bias.len()], bias);
        self.node(
            "Gemm",
            name,
            &[input, &weight, &bias],
            vec![int("transB", 1)],
        )
    }

    /// Softmax over one axis.
    pub fn softmax(&mut self, name: &str, input: &str, axis: i64) -> String {
        self.node("Softmax", name, &[input], vec![int("axis", axis)])
    }

    /// The same numbers in another shape.
    pub fn reshape(&mut self, name: &str, input: &str, shape: &[i64]) -> String {
        let shape_name = format!("{name}.shape");
        let bytes = shape.iter().flat_map(|dim| dim.to_le_bytes()).collect();
        let dims = [shape.len()];
        self.tensor(&shape_name, DataType::Int64, &dims, bytes);
        self.node("Reshape", name, &[input, &shape_name], vec![])
    }

    /// Channels `from..to` along axis 1.
    pub fn slice_channels(&mut self, name: &str, input: &str, from: i64, to: i64) -> String {
        let mut bound = |which: &str, value: i64| {
            let bound = format!("{name}.{which}");
            self.tensor(&bound, DataType::Int64, &[1], value.to_le_bytes().to_vec());
            bound
        };
        let (starts, ends, axes) = (bound("from", from), bound("to", to), bound("axis", 1));
        self.node("Slice", name, &[input, &starts, &ends, &axes], vec![])
    }

    /// Any operator of two inputs and no attributes, as `Add`, `Mul` or `MatMul`.
    pub fn binary(&mut self, operator: &str, name: &str, a: &str, b: &str) -> String {
        self.node(operator, name, &[a, b], vec![])
    }

    /// A constant of 32-bit floats.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.tensor(name, DataType::Float, dims, bytes)
    }

    fn tensor(&mut self, name: &str, kind: DataType, dims: &[usize], bytes: Vec<u8>) -> String {
        self.graph.initializer.push(tensor(name, kind, dims, bytes));
        name.to_owned()
    }

    fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        attribute: Vec<pb::AttributeProto>,
    ) -> String {
        self.graph
            .node
            .push(node(operator, name, inputs, attribute));
        name.to_owned()
    }

    /// The model: what the values `scores` and `corners` are becomes its two outputs.
    #[must_use]
    pub fn finish(mut self, scores: &str, corners: &str, card: &ModelCard) -> pb::ModelProto {
        for (output, value) in [(CLASS_OUTPUT, scores), (BOX_OUTPUT, corners)] {
            self.node("Identity", output, &[value], vec![]);
        }
        self.graph.output = vec![
            value_info(CLASS_OUTPUT, &[1, card.labels.len()]),
            value_info(BOX_OUTPUT, &[1, 4]),
        ];
        let mut model = pb::ModelProto {
            ir_version: 8,
            opset_import: vec![pb::OperatorSetIdProto {
                domain: String::new(),
                version: OPERATOR_SET,
            }],
            producer_name: env!("CARGO_PKG_NAME").to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(self.graph),
            ..pb::ModelProto::default()
        };
        set_card(&mut model, card);
        model
    }
}

/// A node with one output, which has the node's name.
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

/// A constant.
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

/// The numbers of a constant of 32-bit floats, written by [`GraphBuilder`] or by others.
pub(crate) fn tensor_floats(tensor: &pb::TensorProto) -> Option<Vec<f32>> {
    if tensor.data_type != DataType::Float as i32 {
        return None;
    }
    if !tensor.float_data.is_empty() {
        return Some(tensor.float_data.clone());
    }
    let words = tensor.raw_data.chunks_exact(4);
    Some(
        words
            .map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]]))
            .collect(),
    )
}

/// An attribute that is a whole number.
pub(crate) fn int(name: &str, value: i64) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..pb::AttributeProto::default()
    }
}

fn ints(name: &str, values: &[i64]) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..pb::AttributeProto::default()
    }
}

/// Name and shape of an input or output of 32-bit floats.
pub(crate) fn value_info(name: &str, shape: &[usize]) -> pb::ValueInfoProto {
    use pb::tensor_shape_proto::{Dimension, dimension::Value::DimValue};
    let dimension = |&dim: &usize| Dimension {
        value: Some(DimValue(dim as i64)),
        ..Dimension::default()
    };
    let tensor = pb::type_proto::Tensor {
        elem_type: DataType::Float as i32,
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
