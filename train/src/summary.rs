//! Lists a model's layers with their output shapes, parameters and multiply-adds.
//!
//! Works on float and int8 ONNX files. tract infers the shapes. `QuantizeLinear` and `DequantizeLinear` are no layers, and
//! an activation belongs to the layer before it, so a float model and its int8 version have the same layers.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use thiserror::Error;
use tract_onnx::pb;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid as _;

mod text;

pub use text::{bytes, table};

/// Why a model can't be summarised.
#[derive(Debug, Error)]
pub enum SummaryError {
    #[error("model {model}: it has no graph; copy it again")]
    NoGraph { model: String },
    #[error("model {model}: its shapes can't be inferred ({message}); check the graph")]
    Shapes { model: String, message: String },
    #[error("model {model}: node \"{node}\" ({operator}): {problem}; check the graph")]
    Node {
        model: String,
        node: String,
        operator: String,
        problem: &'static str,
    },
}

/// The layers of a model in topological order.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Shape of the input, the batch first.
    pub input: Vec<usize>,
    pub layers: Vec<Layer>,
    /// Names of the outputs, each with the index of its layer.
    pub outputs: Vec<(String, usize)>,
    /// Whether the weights are stored as int8.
    pub is_int8: bool,
}

/// One layer, including its activation.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Name of its node.
    pub name: String,
    pub kind: LayerKind,
    pub activation: Option<&'static str>,
    /// Indices of the layers that it reads, in ascending order.
    pub inputs: Vec<usize>,
    /// Shape of its output.
    pub shape: Vec<usize>,
    /// Number of weights.
    pub weights: u64,
    /// Number of biases.
    pub biases: u64,
    /// Multiply-adds for one image.
    pub multiply_adds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerKind {
    Conv {
        /// Height and width.
        kernel: (usize, usize),
        /// Vertical and horizontal.
        stride: (usize, usize),
        depthwise: bool,
    },
    FullyConnected,
    /// A product of two tensors of which at least one is computed.
    MatMul,
    /// A sum of two computed tensors.
    ResidualAdd,
    AveragePool,
    /// Any other operator, by its ONNX name.
    Other(String),
}

/// Sums over layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Number of weights.
    pub weights: u64,
    /// Number of biases.
    pub biases: u64,
    /// Multiply-adds for one image.
    pub multiply_adds: u64,
}

impl Totals {
    #[must_use]
    pub const fn parameters(&self) -> u64 {
        self.weights + self.biases
    }

    /// Bytes of the parameters as 32-bit floats.
    #[must_use]
    pub const fn float_bytes(&self) -> u64 {
        4 * self.parameters()
    }

    /// Bytes of the parameters as int8 weights and int32 biases, without their scales.
    #[must_use]
    pub const fn int8_bytes(&self) -> u64 {
        self.weights + 4 * self.biases
    }
}

impl Summary {
    /// Summarises a model; errors call it `name`.
    ///
    /// # Errors
    /// [`SummaryError`] if there is no graph, or if tract can't infer its shapes.
    pub fn of(name: &str, model: &pb::ModelProto) -> Result<Self, SummaryError> {
        let Some(graph) = &model.graph else {
            return Err(SummaryError::NoGraph {
                model: name.to_owned(),
            });
        };
        let shapes = infer_shapes(model).map_err(|error| SummaryError::Shapes {
            model: name.to_owned(),
            message: format!("{error:#}"),
        })?;
        let mut reader = GraphReader::new(graph, &shapes);
        for node in &graph.node {
            reader.read(node).map_err(|problem| SummaryError::Node {
                model: name.to_owned(),
                node: node.name.clone(),
                operator: node.op_type.clone(),
                problem,
            })?;
        }
        let is_int8 = |node: &pb::NodeProto| node.op_type == "DequantizeLinear";
        let named = |output: &pb::ValueInfoProto| {
            let layer = *reader.layer_of.get(output.name.as_str())?;
            Some((output.name.clone(), layer))
        };
        Ok(Self {
            input: reader.input_shape(),
            outputs: graph.output.iter().filter_map(named).collect(),
            is_int8: graph.node.iter().any(is_int8),
            layers: reader.layers,
        })
    }

    /// Sums over all layers.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for layer in &self.layers {
            sum.weights += layer.weights;
            sum.biases += layer.biases;
            sum.multiply_adds += layer.multiply_adds;
        }
        sum
    }
}

/// Shapes by tensor name.
type Shapes = BTreeMap<String, Vec<usize>>;

/// Infers the shape of every tensor for a batch of one.
fn infer_shapes(model: &pb::ModelProto) -> TractResult<Shapes> {
    // tract panics on some graphs that are no graphs, such as one with an axis out of range.
    let infer = AssertUnwindSafe(|| {
        // What the file declares is not believed.
        let reader = onnx()
            .with_ignore_output_shapes(true)
            .with_ignore_value_info(true);
        let mut inferred = reader.model_for_proto_model(model)?;
        for index in 0..inferred.inputs.len() {
            let fact = inferred.input_fact(index)?.clone();
            let sides = fact.shape.dims().map(|side| {
                let fixed = side.concretize().and_then(|side| side.to_i64().ok());
                fixed.map_or(1, |side| side.max(1) as usize)
            });
            let shape: TVec<usize> = sides.collect();
            let kind = fact.datum_type.concretize().unwrap_or(f32::datum_type());
            inferred.set_input_fact(index, kind.fact(&shape).into())?;
        }
        inferred.analyse(false)?;
        let mut shapes = Shapes::new();
        for node in &inferred.nodes {
            for (slot, output) in node.outputs.iter().enumerate() {
                let label = inferred.outlet_label(OutletId::new(node.id, slot));
                let name = label.unwrap_or(&node.name).to_owned();
                let Some(concrete) = output.fact.shape.concretize() else {
                    continue;
                };
                let sides = concrete.iter().map(TDim::to_i64);
                if let Ok(shape) = sides.collect::<Result<Vec<i64>, _>>() {
                    let shape = shape.into_iter().map(|side| side as usize).collect();
                    shapes.insert(name, shape);
                }
            }
        }
        Ok(shapes)
    });
    catch_unwind(infer).unwrap_or_else(|_| Err(TractError::msg("it is no valid graph")))
}

/// Reads a graph node by node and collects its layers.
struct GraphReader<'g> {
    graph: &'g pb::GraphProto,
    shapes: &'g Shapes,
    /// Shapes of constants, also behind `DequantizeLinear`.
    constants: BTreeMap<&'g str, Vec<usize>>,
    /// The layer that computes a tensor.
    layer_of: BTreeMap<&'g str, usize>,
    /// How many nodes read a tensor.
    readers: BTreeMap<&'g str, usize>,
    layers: Vec<Layer>,
}

impl<'g> GraphReader<'g> {
    fn new(graph: &'g pb::GraphProto, shapes: &'g Shapes) -> Self {
        let constant = |tensor: &'g pb::TensorProto| (tensor.name.as_str(), tensor_shape(tensor));
        let mut readers = BTreeMap::new();
        for name in graph.node.iter().flat_map(|node| &node.input) {
            *readers.entry(name.as_str()).or_insert(0) += 1;
        }
        Self {
            graph,
            shapes,
            constants: graph.initializer.iter().map(constant).collect(),
            layer_of: BTreeMap::new(),
            readers,
            layers: Vec::new(),
        }
    }

    /// Old files list their constants among the inputs.
    fn input_shape(&self) -> Vec<usize> {
        let mut inputs = self.graph.input.iter().map(|input| input.name.as_str());
        let image = inputs.find(|name| !self.constants.contains_key(name));
        let shape = image.and_then(|name| self.shapes.get(name));
        shape.cloned().unwrap_or_default()
    }

    fn read(&mut self, node: &'g pb::NodeProto) -> Result<(), &'static str> {
        let output = node.output.first().ok_or("it has no output")?.as_str();
        if node.op_type == "Constant" {
            let tensor = node.attribute.iter().find_map(|item| item.t.as_ref());
            let shape = tensor_shape(tensor.ok_or("it holds no tensor")?);
            self.constants.insert(output, shape);
            return Ok(());
        }
        let first = node.input.first().ok_or("it has no input")?.as_str();
        let source = self.layer_of.get(first).copied();
        let layer = match (node.op_type.as_str(), activation(&node.op_type), source) {
            ("QuantizeLinear" | "DequantizeLinear" | "Identity" | "Dropout", ..) => {
                if let Some(shape) = self.constants.get(first).cloned() {
                    self.constants.insert(output, shape);
                }
                source
            }
            (_, Some(activation), Some(layer)) if self.is_only_reader(layer, first) => {
                self.layers[layer].activation = Some(activation);
                source
            }
            _ => Some(self.add_layer(node, output)?),
        };
        if let Some(layer) = layer {
            self.layer_of.insert(output, layer);
        }
        Ok(())
    }

    /// Whether nothing but an activation reads the tensor of a layer without one.
    fn is_only_reader(&self, layer: usize, tensor: &str) -> bool {
        self.layers[layer].activation.is_none() && self.readers.get(tensor) == Some(&1)
    }

    fn shape_of(&self, tensor: &str) -> &[usize] {
        let known = self
            .constants
            .get(tensor)
            .or_else(|| self.shapes.get(tensor));
        known.map_or(&[], Vec::as_slice)
    }

    fn add_layer(&mut self, node: &'g pb::NodeProto, output: &str) -> Result<usize, &'static str> {
        let shape = self.shapes.get(output).cloned();
        let shape = shape.ok_or("the shape of its output is unknown")?;
        let inputs: Vec<&str> = node.input.iter().map(String::as_str).collect();
        let constant = |index: usize| inputs.get(index).and_then(|name| self.constants.get(name));
        let computed = inputs
            .iter()
            .filter(|name| !self.constants.contains_key(*name));
        let weights = self.shape_of(inputs.get(1).unwrap_or(&""));
        let kind = LayerKind::of(node, weights, computed.count());
        let reduced = kind.products_per_output(weights, self.shape_of(inputs[0]));
        let has_parameters = matches!(kind, LayerKind::Conv { .. } | LayerKind::FullyConnected);
        let parameters = |index: usize| match constant(index) {
            Some(shape) if has_parameters => product(shape),
            _ => 0,
        };
        let read = inputs
            .iter()
            .filter_map(|name| self.layer_of.get(name).copied());
        let mut read: Vec<usize> = read.collect();
        read.sort_unstable();
        read.dedup();
        let layer = Layer {
            name: node.name.clone(),
            activation: None,
            inputs: read,
            weights: parameters(1),
            biases: parameters(2),
            multiply_adds: product(&shape) * reduced,
            kind,
            shape,
        };
        self.layers.push(layer);
        Ok(self.layers.len() - 1)
    }
}

fn tensor_shape(tensor: &pb::TensorProto) -> Vec<usize> {
    tensor
        .dims
        .iter()
        .map(|&side| side.max(0) as usize)
        .collect()
}

fn product(shape: &[usize]) -> u64 {
    shape.iter().map(|&side| side as u64).product()
}

/// The name of an operator that belongs to the layer before it.
fn activation(operator: &str) -> Option<&'static str> {
    match operator {
        "Relu" => Some("relu"),
        // boxcam-train writes no other bounds than 0 and 6.
        "Clip" => Some("relu6"),
        "Sigmoid" => Some("sigmoid"),
        "HardSwish" => Some("hard swish"),
        "HardSigmoid" => Some("hard sigmoid"),
        "LeakyRelu" => Some("leaky relu"),
        _ => None,
    }
}

impl LayerKind {
    /// `weights` is the shape of the second input, `computed` the number of inputs that are no constants.
    fn of(node: &pb::NodeProto, weights: &[usize], computed: usize) -> Self {
        let attribute = |name: &str| node.attribute.iter().find(|item| item.name == name);
        match (node.op_type.as_str(), weights) {
            ("Conv", &[out, inner, height, width]) => {
                let groups = attribute("group").map_or(1, |group| group.i);
                let strides = attribute("strides").map_or(&[][..], |strides| &strides.ints);
                let stride =
                    |index: usize| strides.get(index).map_or(1, |&step| step.max(1) as usize);
                Self::Conv {
                    kernel: (height, width),
                    stride: (stride(0), stride(1)),
                    depthwise: inner == 1 && groups > 1 && groups as usize == out,
                }
            }
            ("Gemm", _) => Self::FullyConnected,
            ("MatMul", _) => Self::MatMul,
            ("Add", _) if computed == 2 => Self::ResidualAdd,
            ("GlobalAveragePool" | "AveragePool" | "ReduceMean", _) => Self::AveragePool,
            (other, _) => Self::Other(other.to_owned()),
        }
    }

    /// Multiply-adds for one number of the output. Convolution weights are `[out, in / groups, height, width]`; a matrix
    /// product sums over the last side of its first operand.
    fn products_per_output(&self, weights: &[usize], first: &[usize]) -> u64 {
        match self {
            Self::Conv { .. } => weights.get(1..).map_or(0, product),
            Self::FullyConnected | Self::MatMul => first.last().map_or(0, |&side| side as u64),
            Self::ResidualAdd | Self::AveragePool | Self::Other(_) => 0,
        }
    }
}

impl fmt::Display for LayerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conv {
                kernel: (height, width),
                stride,
                depthwise,
            } => {
                let name = if *depthwise { "depthwise conv" } else { "conv" };
                write!(f, "{name} {height}×{width}")?;
                match stride {
                    (1, 1) => Ok(()),
                    (down, across) if down == across => write!(f, " /{down}"),
                    (down, across) => write!(f, " /{down}×{across}"),
                }
            }
            Self::FullyConnected => f.write_str("fully connected"),
            Self::MatMul => f.write_str("matmul"),
            Self::ResidualAdd => f.write_str("residual add"),
            Self::AveragePool => f.write_str("average pool"),
            Self::Other(operator) => f.write_str(&operator.to_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests;
