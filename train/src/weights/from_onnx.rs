//! The backbone and the heads of a model that boxcam-train wrote: float, half precision or int8.

use std::collections::BTreeMap;

use prost::Message;
use tract_onnx::pb;

use super::{BackboneWeights, FormatError, HeadWeights};
use crate::layer::{ConvWeights, DenseWeights, Layer};
use crate::onnx::{
    BACKBONE_PREFIX, BOX_PREFIX, CLASS_LAYER, Constants, INPUT, OBJECT_PREFIX, RELU6_SUFFIX, card,
};

/// Prefixes of the convolutions of box heads.
const HEAD_PREFIXES: [&str; 2] = [BOX_PREFIX, OBJECT_PREFIX];

/// Layers named [`BACKBONE_PREFIX`]..., in graph order, and the heads if there are any.
pub(super) fn read(bytes: &[u8]) -> Result<BackboneWeights, FormatError> {
    let broken = |error: prost::DecodeError| FormatError::Broken(error.to_string());
    let model = pb::ModelProto::decode(bytes).map_err(broken)?;
    let graph = model.graph.as_ref();
    let graph = graph.ok_or_else(|| FormatError::Broken("it has no graph".to_owned()))?;
    let card = card(&model).map_err(|error| error.to_string())?;
    let mut layers = Layers::new(graph);
    for node in &graph.node {
        layers.node(node)?;
    }
    if layers.layers.is_empty() {
        return Err(format!("it has no layer {BACKBONE_PREFIX}0").into());
    }
    let heads = layers.class.map(|class| HeadWeights {
        labels: card.labels.clone(),
        class,
        box_convs: layers.box_convs,
    });
    Ok(BackboneWeights {
        heads,
        side: card.input.width as usize,
        layers: layers.layers,
    })
}

/// Layers read so far.
struct Layers<'a> {
    constants: Constants<'a>,
    layers: Vec<Layer>,
    /// What makes a tensor, by the tensor's name.
    producers: BTreeMap<&'a str, Producer>,
    class: Option<DenseWeights>,
    box_convs: BTreeMap<String, ConvWeights>,
}

/// What makes a tensor of the backbone.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Producer {
    Input,
    Layer(usize),
}

impl<'a> Layers<'a> {
    fn new(graph: &'a pb::GraphProto) -> Self {
        Self {
            constants: Constants::new(graph),
            layers: Vec::new(),
            producers: BTreeMap::from([(INPUT, Producer::Input)]),
            class: None,
            box_convs: BTreeMap::new(),
        }
    }

    /// Reads the next node of the graph; nodes without weights outside the backbone are ignored.
    fn node(&mut self, node: &'a pb::NodeProto) -> Result<(), FormatError> {
        let producer = |operand: usize| {
            let name = node.input.get(operand)?.as_str();
            self.producers.get(name).copied()
        };
        let (first, second) = (producer(0), producer(1));
        let producer = match (node.op_type.as_str(), first, second) {
            ("Conv", _, _) if node.name.starts_with(BACKBONE_PREFIX) => {
                let conv = convolution(node, &self.constants)?;
                self.convolution(node, first, conv)?
            }
            ("Conv", _, _) if HEAD_PREFIXES.iter().any(|head| node.name.starts_with(head)) => {
                let conv = convolution(node, &self.constants)?;
                self.box_convs.insert(node.name.clone(), conv);
                return Ok(());
            }
            ("Gemm", _, _) if node.name == CLASS_LAYER => {
                self.class = Some(dense(node, &self.constants)?);
                return Ok(());
            }
            ("Add", Some(Producer::Layer(a)), Some(Producer::Layer(b))) => self.add(node, a, b)?,
            ("Clip", Some(Producer::Layer(layer)), _) => self.relu6(node, layer)?,
            // In an int8 model the int8 range does the clipping.
            ("QuantizeLinear", Some(Producer::Layer(layer)), _)
                if node.name.contains(RELU6_SUFFIX) =>
            {
                self.relu6(node, layer)?
            }
            ("QuantizeLinear" | "DequantizeLinear", Some(producer), _) => producer,
            _ => return Ok(()),
        };
        let output = node.output.first().map(String::as_str);
        self.producers
            .extend(output.map(|output| (output, producer)));
        Ok(())
    }

    fn convolution(
        &mut self,
        node: &pb::NodeProto,
        input: Option<Producer>,
        conv: ConvWeights,
    ) -> Result<Producer, FormatError> {
        let number = self.layers.len();
        let expected = number
            .checked_sub(1)
            .map_or(Producer::Input, Producer::Layer);
        if input != Some(expected) {
            let message = format!("{} does not read the output of the layer before", node.name);
            return Err(message.into());
        }
        self.layers.push(Layer {
            conv,
            relu6: false,
            add: None,
        });
        Ok(Producer::Layer(number))
    }

    fn relu6(&mut self, node: &pb::NodeProto, number: usize) -> Result<Producer, FormatError> {
        let layer = &mut self.layers[number];
        if layer.add.is_some() {
            return Err(format!("{} clips a residual sum", node.name).into());
        }
        layer.relu6 = true;
        Ok(Producer::Layer(number))
    }

    /// A residual addition of two layers' outputs, one of which must be the last layer's.
    fn add(&mut self, node: &pb::NodeProto, a: usize, b: usize) -> Result<Producer, FormatError> {
        let (earlier, number) = (a.min(b), a.max(b));
        let is_last = number + 1 == self.layers.len() && earlier < number;
        let layer = &mut self.layers[number];
        if !is_last || layer.add.replace(earlier).is_some() {
            return Err(format!("{} is not the end of a residual block", node.name).into());
        }
        Ok(Producer::Layer(number))
    }
}

/// Shape and values of a node's constant operand.
fn constant(
    node: &pb::NodeProto,
    constants: &Constants,
    operand: usize,
) -> Result<(Vec<usize>, Vec<f32>), FormatError> {
    let name = node.input.get(operand);
    let found = name.and_then(|name| constants.floats(name));
    found.ok_or_else(|| format!("{} has no constant operand {operand}", node.name).into())
}

/// Shape and values.
type Shaped<const D: usize> = ([usize; D], Vec<f32>);

/// Weights of rank `D` and biases of a layer.
fn weights_and_bias<const D: usize>(
    node: &pb::NodeProto,
    constants: &Constants,
) -> Result<(Shaped<D>, Vec<f32>), FormatError> {
    let (shape, weights) = constant(node, constants, 1)?;
    let (_, bias) = constant(node, constants, 2)?;
    let shape = <[usize; D]>::try_from(shape)
        .map_err(|shape| format!("{} has weights of shape {shape:?}", node.name))?;
    if weights.len() != shape.iter().product::<usize>() || bias.len() != shape[0] {
        return Err(format!("{} has too few or too many weights", node.name).into());
    }
    Ok(((shape, weights), bias))
}

fn dense(node: &pb::NodeProto, constants: &Constants) -> Result<DenseWeights, FormatError> {
    let ((shape, weights), bias) = weights_and_bias(node, constants)?;
    Ok(DenseWeights {
        shape,
        weights,
        bias,
    })
}

fn convolution(node: &pb::NodeProto, constants: &Constants) -> Result<ConvWeights, FormatError> {
    let ((shape, weights), bias) = weights_and_bias(node, constants)?;
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
