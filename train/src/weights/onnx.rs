//! The trunk and the heads of a model that this program wrote: float, half precision or int8.

use std::collections::BTreeMap;

use prost::Message;
use tract_onnx::pb;

use super::{BackboneWeights, Fault, HeadWeights};
use crate::layer::{ConvWeights, DenseWeights, Layer};
use crate::onnx::card;
use crate::onnx::{BACKBONE_PREFIX, BOX_PREFIX, CLASS_LAYER, Constants, INPUT, RELU6_SUFFIX};

/// The layers whose names begin with [`BACKBONE_PREFIX`], in the order of the graph, and the heads where there are some.
pub(super) fn trunk(bytes: &[u8]) -> Result<BackboneWeights, Fault> {
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
    let heads = row.class.map(|class| HeadWeights {
        labels: card.labels.clone(),
        class,
        of_box: row.of_box,
    });
    Ok(BackboneWeights {
        heads,
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
    class: Option<DenseWeights>,
    of_box: BTreeMap<String, ConvWeights>,
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
            constants: Constants::new(graph),
            layers: Vec::new(),
            values: BTreeMap::from([(INPUT, Value::Picture)]),
            class: None,
            of_box: BTreeMap::new(),
        }
    }

    /// Takes in the next node of the graph; one without weights is passed over.
    fn node(&mut self, node: &'a pb::NodeProto) -> Result<(), String> {
        let value = |place: usize| self.values.get(node.input.get(place)?.as_str()).copied();
        let (first, second) = (value(0), value(1));
        let made = match (node.op_type.as_str(), first, second) {
            ("Conv", _, _) if node.name.starts_with(BACKBONE_PREFIX) => {
                let conv = convolution(node, &self.constants)?;
                self.convolution(node, first, conv)?
            }
            ("Conv", _, _) if node.name.starts_with(BOX_PREFIX) => {
                let conv = convolution(node, &self.constants)?;
                self.of_box.insert(node.name.clone(), conv);
                return Ok(());
            }
            ("Gemm", _, _) if node.name == CLASS_LAYER => {
                self.class = Some(dense(node, &self.constants)?);
                return Ok(());
            }
            ("Add", Some(Value::Layer(a)), Some(Value::Layer(b))) => self.add(node, a, b)?,
            ("Clip", Some(Value::Layer(layer)), _) => self.relu6(node, layer)?,
            ("QuantizeLinear", Some(Value::Layer(layer)), _)
                if node.name.contains(RELU6_SUFFIX) =>
            {
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

fn constant(
    node: &pb::NodeProto,
    constants: &Constants,
    place: usize,
) -> Result<(Vec<usize>, Vec<f32>), String> {
    let name = node.input.get(place);
    let found = name.and_then(|name| constants.floats(name));
    found.ok_or_else(|| format!("{} lacks its constant {place}", node.name))
}

fn dense(node: &pb::NodeProto, constants: &Constants) -> Result<DenseWeights, String> {
    let (shape, weights) = constant(node, constants, 1)?;
    let (_, bias) = constant(node, constants, 2)?;
    let shape = <[usize; 2]>::try_from(shape)
        .map_err(|shape| format!("{} has weights of shape {shape:?}", node.name))?;
    if weights.len() != shape[0] * shape[1] || bias.len() != shape[0] {
        return Err(format!("{} has weights that are cut short", node.name));
    }
    Ok(DenseWeights {
        shape,
        weights,
        bias,
    })
}

fn convolution(node: &pb::NodeProto, constants: &Constants) -> Result<ConvWeights, String> {
    let (shape, weights) = constant(node, constants, 1)?;
    let (_, bias) = constant(node, constants, 2)?;
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
