//! A model summarised: its layers with their shapes, parameters and multiply-adds, as a table and as a picture.
//!
//! In goes an ONNX graph, float or int8, out comes a [`Summary`]. Nothing is computed but shapes; an operator of which
//! no shape is known is refused by its name. What quantising adds (the pairs of `QuantizeLinear` and
//! `DequantizeLinear`) is no layer, and an activation belongs to the layer before it, so a float model and the int8
//! model made of it have the same layers.

use std::collections::BTreeMap;

use thiserror::Error;
use tract_onnx::pb;

pub mod blocks;
pub mod diagram;
mod kind;
mod shapes;
pub mod table;

pub use kind::Kind;

/// A model of which no summary can be made.
#[derive(Debug, Error)]
pub enum SummaryError {
    /// There is no graph in it.
    #[error("model {model}: holds no graph; copy it again")]
    NoGraph {
        /// The file.
        model: String,
    },
    /// The shape of a node's output can't be told.
    #[error(
        "model {model}: node \"{node}\" ({operator}): {message}; only graphs in the form that boxcam-train writes are summarised"
    )]
    Node {
        /// The file.
        model: String,
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// What is wrong.
        message: String,
    },
}

/// The layers of a model, each after those that it takes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Shape of the input, the batch first.
    pub input: Vec<usize>,
    /// The layers.
    pub layers: Vec<Layer>,
    /// Names of the outputs, and the layer that each is of.
    pub outputs: Vec<(String, usize)>,
    /// Whether the weights are stored as int8.
    pub is_int8: bool,
}

/// One layer, its activation with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Name of its node.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The activation after it, if any.
    pub activation: Option<&'static str>,
    /// Indices of the layers that it takes from; the model's input is none.
    pub inputs: Vec<usize>,
    /// Shape of what it puts out.
    pub shape: Vec<usize>,
    /// Numbers in its weights.
    pub weights: u64,
    /// Numbers in its biases.
    pub biases: u64,
    /// Multiplications, each with an addition, for one picture.
    pub multiply_adds: u64,
}

/// Sums over layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Numbers in weights.
    pub weights: u64,
    /// Numbers in biases.
    pub biases: u64,
    /// Multiplications, each with an addition, for one picture.
    pub multiply_adds: u64,
}

impl Totals {
    /// Over these layers.
    pub fn of<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> Self {
        layers.into_iter().fold(Self::default(), |sum, layer| Self {
            weights: sum.weights + layer.weights,
            biases: sum.biases + layer.biases,
            multiply_adds: sum.multiply_adds + layer.multiply_adds,
        })
    }

    /// Weights and biases.
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
    /// The summary of a model; `name` is what errors call it.
    ///
    /// # Errors
    /// [`SummaryError`] without a graph, or at the first node whose shape can't be told.
    pub fn of(name: &str, model: &pb::ModelProto) -> Result<Self, SummaryError> {
        let Some(graph) = &model.graph else {
            return Err(SummaryError::NoGraph {
                model: name.to_owned(),
            });
        };
        let mut reader = Reader::new(graph);
        for node in &graph.node {
            reader.node(node).map_err(|message| SummaryError::Node {
                model: name.to_owned(),
                node: node.name.clone(),
                operator: node.op_type.clone(),
                message,
            })?;
        }
        let outputs = graph.output.iter();
        let named = |output: &pb::ValueInfoProto| {
            Some((output.name.clone(), reader.values.get(&output.name)?.layer?))
        };
        Ok(Self {
            input: reader.input.clone(),
            outputs: outputs.filter_map(named).collect(),
            is_int8: graph
                .node
                .iter()
                .any(|node| node.op_type == "DequantizeLinear"),
            layers: reader.layers,
        })
    }

    /// Sums over all layers.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals::of(&self.layers)
    }
}

/// A tensor of the graph.
#[derive(Clone)]
struct Value<'g> {
    shape: Vec<usize>,
    /// The layer that it comes from; none for the input and for constants.
    layer: Option<usize>,
    constant: Option<&'g pb::TensorProto>,
}

/// The graph, read node by node.
struct Reader<'g> {
    values: BTreeMap<String, Value<'g>>,
    /// How many nodes take a value.
    uses: BTreeMap<&'g str, usize>,
    layers: Vec<Layer>,
    input: Vec<usize>,
}

impl<'g> Reader<'g> {
    fn new(graph: &'g pb::GraphProto) -> Self {
        let mut values = BTreeMap::new();
        for tensor in &graph.initializer {
            values.insert(tensor.name.clone(), constant(tensor));
        }
        let mut first = Vec::new();
        for input in &graph.input {
            // Old files list their constants among the inputs.
            if !values.contains_key(&input.name) {
                let shape = shapes::declared(input);
                first = if first.is_empty() {
                    shape.clone()
                } else {
                    first
                };
                let value = Value {
                    shape,
                    layer: None,
                    constant: None,
                };
                values.insert(input.name.clone(), value);
            }
        }
        let mut uses = BTreeMap::new();
        for name in graph.node.iter().flat_map(|node| &node.input) {
            *uses.entry(name.as_str()).or_insert(0) += 1;
        }
        Self {
            values,
            uses,
            layers: Vec::new(),
            input: first,
        }
    }

    fn node(&mut self, node: &'g pb::NodeProto) -> Result<(), String> {
        let output = node.output.first().cloned().ok_or("puts out nothing")?;
        if node.op_type == "Constant" {
            let value = node
                .attribute
                .iter()
                .find_map(|attribute| attribute.t.as_ref());
            let value = constant(value.ok_or("holds no tensor")?);
            self.values.insert(output, value);
            return Ok(());
        }
        let inputs = self.inputs(node)?;
        let value = match node.op_type.as_str() {
            // The same numbers, as far as layers are concerned.
            "QuantizeLinear" | "DequantizeLinear" | "Identity" | "Dropout" => inputs[0].clone(),
            operator => match (kind::activation(operator), inputs[0].layer) {
                (Some(activation), Some(layer)) if self.takes_in(layer, node) => {
                    self.layers[layer].activation = Some(activation);
                    inputs[0].clone()
                }
                _ => self.layer(node, &inputs)?,
            },
        };
        self.values.insert(output, value);
        Ok(())
    }

    /// Whether an activation is the only one that takes what a layer puts out.
    fn takes_in(&self, layer: usize, node: &pb::NodeProto) -> bool {
        let used = self.uses.get(node.input[0].as_str()).copied();
        self.layers[layer].activation.is_none() && used == Some(1)
    }

    fn inputs(&self, node: &pb::NodeProto) -> Result<Vec<Value<'g>>, String> {
        let given = node.input.iter().filter(|name| !name.is_empty());
        let found: Result<Vec<_>, String> = given
            .map(|name| {
                let value = self.values.get(name).cloned();
                value.ok_or_else(|| format!("takes \"{name}\", which no node before it puts out"))
            })
            .collect();
        match found {
            Ok(inputs) if inputs.is_empty() => Err("takes nothing".to_owned()),
            found => found,
        }
    }

    fn layer(&mut self, node: &pb::NodeProto, inputs: &[Value<'g>]) -> Result<Value<'g>, String> {
        let shape = shapes::output(node, inputs)?;
        let kind = Kind::of(node, inputs)?;
        let elements: u64 = shape.iter().map(|&side| side as u64).product();
        let numbers = |place: usize| match (&kind, inputs.get(place)) {
            (Kind::Convolution { .. } | Kind::Dense, Some(value)) if value.constant.is_some() => {
                value.shape.iter().map(|&side| side as u64).product()
            }
            _ => 0,
        };
        let mut from: Vec<usize> = inputs.iter().filter_map(|value| value.layer).collect();
        from.sort_unstable();
        from.dedup();
        self.layers.push(Layer {
            name: node.name.clone(),
            activation: None,
            inputs: from,
            weights: numbers(1),
            biases: numbers(2),
            multiply_adds: elements * kind.products(inputs),
            kind,
            shape: shape.clone(),
        });
        Ok(Value {
            shape,
            layer: Some(self.layers.len() - 1),
            constant: None,
        })
    }
}

fn constant(tensor: &pb::TensorProto) -> Value<'_> {
    Value {
        shape: tensor
            .dims
            .iter()
            .map(|&side| side.max(0) as usize)
            .collect(),
        layer: None,
        constant: Some(tensor),
    }
}

#[cfg(test)]
mod tests;
