//! Builds a graph node by node.

use boxcam::card::{BOX_OUTPUT, CLASS_OUTPUT, InputSpec, ModelCard};
use half::f16;
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::{
    BACKBONE_PREFIX, INPUT, RELU6_SUFFIX, float, int, ints, node, set_card, string, tensor,
    value_info,
};
use crate::layer::{ConvWeights, Layer};

/// Operator set of the graphs: the first with scales per channel.
const OPERATOR_SET: i64 = 13;

/// A graph under construction. Every method adds a node and returns the name of its output.
#[derive(Debug)]
pub struct GraphBuilder {
    graph: pb::GraphProto,
    precision: Precision,
}

/// Type of all tensors of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    Single,
    /// 16-bit floats; values above 65,504 become infinite.
    Half,
}

impl Precision {
    fn data_type(self) -> DataType {
        match self {
            Self::Single => DataType::Float,
            Self::Half => DataType::Float16,
        }
    }

    fn bytes(self, values: &[f32]) -> Vec<u8> {
        let values = values.iter();
        match self {
            Self::Single => values.flat_map(|value| value.to_le_bytes()).collect(),
            Self::Half => values
                .flat_map(|value| f16::from_f32(*value).to_le_bytes())
                .collect(),
        }
    }
}

impl GraphBuilder {
    /// A graph with its input, [`INPUT`], and no nodes.
    #[must_use]
    pub fn new(name: &str, input: &InputSpec) -> Self {
        Self::with_precision(Precision::Single, name, input)
    }

    /// The same with another precision; engines run only [`Precision::Single`].
    #[must_use]
    pub fn with_precision(precision: Precision, name: &str, input: &InputSpec) -> Self {
        let input = value_info(INPUT, precision.data_type(), &input.shape());
        let graph = pb::GraphProto {
            name: name.to_owned(),
            input: vec![input],
            ..pb::GraphProto::default()
        };
        Self { graph, precision }
    }

    /// Convolution with TensorFlow's SAME padding on an even side, without its activation.
    pub fn conv(&mut self, name: &str, input: &str, layer: &ConvWeights) -> String {
        // On an even side, SAME at stride 2 pads only right and bottom.
        let pads = match (layer.shape[2], layer.stride) {
            (1, _) => [0, 0, 0, 0],
            (_, 1) => [1, 1, 1, 1],
            _ => [0, 0, 1, 1],
        };
        self.conv_padded(name, input, layer, pads)
    }

    /// Convolution without its activation; `pads` are top, left, bottom, right in pixels.
    pub fn conv_padded(
        &mut self,
        name: &str,
        input: &str,
        layer: &ConvWeights,
        pads: [usize; 4],
    ) -> String {
        let stride = layer.stride as i64;
        let weight = self.floats(&format!("{name}.weight"), &layer.shape, &layer.weights);
        let bias = self.floats(&format!("{name}.bias"), &[layer.bias.len()], &layer.bias);
        let attributes = vec![
            ints("dilations", &[1, 1]),
            int("group", layer.groups as i64),
            ints(
                "kernel_shape",
                &[layer.shape[2] as i64, layer.shape[3] as i64],
            ),
            ints("pads", &pads.map(|pad| pad as i64)),
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
        self.relu6(&format!("{name}{RELU6_SUFFIX}"), &conv)
    }

    /// All layers of a backbone; returns the names of their outputs.
    pub fn backbone(&mut self, input: &str, layers: &[Layer]) -> Vec<String> {
        let mut outputs: Vec<String> = Vec::with_capacity(layers.len());
        for layer in layers {
            let output = self.layer(input, layer, &outputs);
            outputs.push(output);
        }
        outputs
    }

    /// The next layer of a backbone; `before` are the outputs of all layers before it, empty for the first, which reads
    /// `input`.
    ///
    /// # Panics
    /// When the layer adds the output of a later one.
    pub fn layer(&mut self, input: &str, layer: &Layer, before: &[String]) -> String {
        let name = format!("{BACKBONE_PREFIX}{}", before.len());
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

    /// Nearest-neighbour upsampling by `factor` in both directions.
    pub fn upsample(&mut self, name: &str, input: &str, factor: u8) -> String {
        let factor = f32::from(factor);
        let scales = format!("{name}.scales");
        let bytes = [1.0, 1.0, factor, factor].map(f32::to_le_bytes).concat();
        // The operator requires 32-bit scales in any graph.
        self.tensor(&scales, DataType::Float, &[4], bytes);
        let attributes = vec![
            string("coordinate_transformation_mode", "asymmetric"),
            string("mode", "nearest"),
            string("nearest_mode", "floor"),
        ];
        self.node("Resize", name, &[input, "", &scales], attributes)
    }

    /// Global average pooling, flattened: `[1, channels, height, width]` to `[1, channels]`.
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

    pub fn softmax(&mut self, name: &str, input: &str, axis: i64) -> String {
        self.node("Softmax", name, &[input], vec![int("axis", axis)])
    }

    pub fn reshape(&mut self, name: &str, input: &str, shape: &[i64]) -> String {
        let shape_name = format!("{name}.shape");
        let bytes = shape.iter().flat_map(|dim| dim.to_le_bytes()).collect();
        let dims = [shape.len()];
        self.tensor(&shape_name, DataType::Int64, &dims, bytes);
        self.node("Reshape", name, &[input, &shape_name], vec![])
    }

    /// Channels `from..to` along axis 1.
    pub fn slice_channels(&mut self, name: &str, input: &str, from: i64, to: i64) -> String {
        self.slice_axis(name, input, 1, from, to)
    }

    /// Entries `from..to` along an axis.
    pub fn slice_axis(&mut self, name: &str, input: &str, axis: i64, from: i64, to: i64) -> String {
        let mut bound = |which: &str, value: i64| {
            let bound = format!("{name}.{which}");
            self.tensor(&bound, DataType::Int64, &[1], value.to_le_bytes().to_vec());
            bound
        };
        let (starts, ends, axes) = (bound("from", from), bound("to", to), bound("axis", axis));
        self.node("Slice", name, &[input, &starts, &ends, &axes], vec![])
    }

    /// The axes of the output in the order of the input's.
    pub fn transpose(&mut self, name: &str, input: &str, axes: &[i64]) -> String {
        self.node("Transpose", name, &[input], vec![ints("perm", axes)])
    }

    /// Joins tensors along an axis.
    pub fn concat(&mut self, name: &str, inputs: &[String], axis: i64) -> String {
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.node("Concat", name, &inputs, vec![int("axis", axis)])
    }

    /// A new side of 1 at an axis.
    pub fn unsqueeze(&mut self, name: &str, input: &str, axis: i64) -> String {
        let axes = format!("{name}.axes");
        self.tensor(&axes, DataType::Int64, &[1], axis.to_le_bytes().to_vec());
        self.node("Unsqueeze", name, &[input, &axes], vec![])
    }

    /// `min(max(x / 6 + 0.5, 0), 1)`
    pub fn hard_sigmoid(&mut self, name: &str, input: &str) -> String {
        let attributes = vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)];
        self.node("HardSigmoid", name, &[input], attributes)
    }

    /// An operator with one output and no attributes.
    pub fn node_of(&mut self, operator: &str, name: &str, inputs: &[&str]) -> String {
        self.node(operator, name, inputs, vec![])
    }

    pub fn sigmoid(&mut self, name: &str, input: &str) -> String {
        self.node("Sigmoid", name, &[input], vec![])
    }

    /// An operator with two inputs and no attributes, for example `Add`, `Mul` or `MatMul`.
    pub fn binary(&mut self, operator: &str, name: &str, a: &str, b: &str) -> String {
        self.node(operator, name, &[a, b], vec![])
    }

    /// A constant in the graph's precision.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        let bytes = self.precision.bytes(values);
        self.tensor(name, self.precision.data_type(), dims, bytes)
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

    /// A model with the outputs `scores` and `corners`.
    #[must_use]
    pub fn finish(self, scores: &str, corners: &str, card: &ModelCard) -> pb::ModelProto {
        let outputs = [
            (CLASS_OUTPUT, scores, vec![1, card.labels.len()]),
            (BOX_OUTPUT, corners, vec![1, 4]),
        ];
        self.finish_with(&outputs, card)
    }

    /// A model with the given outputs: name, value and shape of each.
    #[must_use]
    pub fn finish_with(
        mut self,
        outputs: &[(&str, &str, Vec<usize>)],
        card: &ModelCard,
    ) -> pb::ModelProto {
        for (output, value, shape) in outputs {
            self.node("Identity", output, &[value], vec![]);
            let info = value_info(output, self.precision.data_type(), shape);
            self.graph.output.push(info);
        }
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
