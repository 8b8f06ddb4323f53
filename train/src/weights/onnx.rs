//! The trunk of a model that this program wrote: float, half precision or int8.

use std::collections::BTreeMap;

use prost::Message;
use tract_onnx::pb;

use super::{Fault, TrunkWeights};
use crate::layer::{ConvWeights, Layer};
use crate::onnx::{Constants, INPUT, RELU6, TRUNK};
use crate::quantise::card;

/// The layers whose names begin with [`TRUNK`], in the order of the graph.
pub(super) fn trunk(bytes: &[u8]) -> Result<TrunkWeights, Fault> {
    let broken = |error: prost::DecodeError| Fault::Broken(error.to_string());
    let model = pb::ModelProto::decode(bytes).map_err(broken)?;
    let graph = model.graph.as_ref();
    let graph = graph.ok_or_else(|| Fault::Broken(format!("{} bytes", bytes.len())))?;
    let card = card(&model).map_err(|error| error.to_string())?;
    let mut row = Row::new(graph);
    for node in &graph.node {
        row.node(node)?;
    }
    if row.layers.is_empty() {
        return Err("it has no trunk".into());
    }
    Ok(TrunkWeights {
        side: card.input.width as usize,
        layers: row.layers,
    })
}

/// Layers found so far.
struct Row<'a> {
    constants: Constants<'a>,
    layers: Vec<Layer>,
    /// What a value is, by its name.
    values: BTreeMap<&'a str, Value>,
}

/// What a value of the trunk is: the picture, or the output of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Picture,
    Layer(usize),
}

impl<'a> Row<'a> {
    fn new(graph: &'a pb::GraphProto) -> Self {
        Self {
            constants: Constants::of(graph),
            layers: Vec::new(),
            values: BTreeMap::from([(INPUT, Value::Picture)]),
        }
    }

    /// Takes in the next node of the graph; one that has nothing to do with the trunk is passed over.
    fn node(&mut self, node: &'a pb::NodeProto) -> Result<(), String> {
        let value = |place: usize| self.values.get(node.input.get(place)?.as_str()).copied();
        let (first, second) = (value(0), value(1));
        let made = match (node.op_type.as_str(), first, second) {
            ("Conv", _, _) if node.name.starts_with(TRUNK) => {
                let conv = convolution(node, &self.constants)?;
                self.convolution(node, first, conv)?
            }
            ("Add", Some(Value::Layer(a)), Some(Value::Layer(b))) => self.add(node, a, b)?,
            ("Clip", Some(Value::Layer(layer)), _) => self.relu6(node, layer)?,
            ("QuantizeLinear", Some(Value::Layer(layer)), _) if node.name.contains(RELU6) => {
                // The ends of the int8 range do the cutting.
                self.relu6(node, layer)?
            }
            ("QuantizeLinear" | "DequantizeLinear", Some(value), _) => value,
            _ => return Ok(()),
        };
        let output = node.output.first().map(String::as_str);
        self.values.extend(output.map(|output| (output, made)));
        Ok(())
    }

    fn convolution(
        &mut self,
        node: &pb::NodeProto,
        input: Option<Value>,
        conv: ConvWeights,
    ) -> Result<Value, String> {
        let number = self.layers.len();
        let expected = number.checked_sub(1).map_or(Value::Picture, Value::Layer);
        if input != Some(expected) {
            return Err(format!(
                "{} does not take in what the layer before it puts out",
                node.name
            ));
        }
        self.layers.push(Layer {
            conv,
            relu6: false,
            add: None,
        });
        Ok(Value::Layer(number))
    }

    fn relu6(&mut self, node: &pb::NodeProto, number: usize) -> Result<Value, String> {
        let layer = &mut self.layers[number];
        if layer.add.is_some() {
            return Err(format!("{} cuts a sum", node.name));
        }
        layer.relu6 = true;
        Ok(Value::Layer(number))
    }

    /// The sum of the outputs of two layers, one of which must be the last.
    fn add(&mut self, node: &pb::NodeProto, a: usize, b: usize) -> Result<Value, String> {
        let (earlier, number) = (a.min(b), a.max(b));
        let is_last = number + 1 == self.layers.len() && earlier < number;
        let layer = &mut self.layers[number];
        if !is_last || layer.add.replace(earlier).is_some() {
            return Err(format!("{} is no end of a residual block", node.name));
        }
        Ok(Value::Layer(number))
    }
}

fn convolution(node: &pb::NodeProto, constants: &Constants) -> Result<ConvWeights, String> {
    let constant = |place: usize| {
        let found = node
            .input
            .get(place)
            .and_then(|name| constants.numbers(name));
        found.ok_or_else(|| format!("{} lacks its constant {place}", node.name))
    };
    let (shape, weights) = constant(1)?;
    let (_, bias) = constant(2)?;
    let shape = <[usize; 4]>::try_from(shape)
        .map_err(|shape| format!("{} has weights of shape {shape:?}", node.name))?;
    if weights.len() != shape.iter().product::<usize>() || bias.len() != shape[0] {
        return Err(format!("{} has weights that are cut short", node.name));
    }
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name == name);
    let stride = attribute("strides").and_then(|a| a.ints.first());
    Ok(ConvWeights {
        shape,
        weights,
        bias,
        stride: stride.map_or(1, |&stride| stride as usize),
        groups: attribute("group").map_or(1, |a| a.i as usize),
    })
}
