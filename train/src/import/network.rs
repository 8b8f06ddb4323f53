//! A foreign graph as plain layers: batch norms and constants folded into convolutions, the image's scaling into the first.

use std::collections::BTreeMap;

use super::error::NetworkFault;
use super::evaluate::Known;
use super::graph::{
    ActivationScale, Binary, Convolution, Graph, Node, Op, Padding, Tensor, Unary, Value,
};
use super::heads::Heads;
use crate::layer::ConvWeights;

/// Most pixels that a padding adds to a side.
const MAX_PADDING: usize = 64;

/// Layers in order of execution. The first is the image.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Network {
    pub(super) layers: Vec<NetworkLayer>,
    pub(super) maps: Vec<MapLayers>,
}

/// The last convolutions of a feature map's heads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MapLayers {
    pub(super) boxes: usize,
    pub(super) scores: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct NetworkLayer {
    pub(super) op: LayerOp,
    /// Layers before it.
    pub(super) inputs: Vec<usize>,
    /// Channels, height, width.
    pub(super) shape: [usize; 3],
    /// Of its output, in a network of integers.
    pub(super) scale: Option<ActivationScale>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum LayerOp {
    Image,
    Conv {
        weights: ConvWeights,
        /// Top, left, bottom, right, in pixels.
        pads: [usize; 4],
    },
    Unary(Unary),
    /// Of two maps; the second may have a side of 1.
    Binary(Binary),
    /// With a constant: one number, or one a channel.
    Constant {
        binary: Binary,
        values: Vec<f32>,
        is_first: bool,
    },
    /// The mean of each channel.
    Pool,
}

/// Turns the part of a graph between the image and the heads into layers. `image` is the input of the first convolution.
///
/// # Errors
/// [`NetworkFault::Operator`] for the first node that is none of the known layers.
pub(super) fn lower(
    graph: &Graph,
    known: &Known,
    heads: &Heads,
    stem: Stem,
) -> Result<Network, NetworkFault> {
    let ends: Vec<Value> = heads
        .maps
        .iter()
        .flat_map(|map| [map.boxes, map.scores])
        .collect();
    let needed = needed(graph, known, &ends, stem.image);
    let mut uses = vec![0; graph.nodes.len()];
    for (number, node) in graph.nodes.iter().enumerate() {
        if needed[number] {
            node.inputs.iter().for_each(|input| uses[input.node] += 1);
        }
    }
    ends.iter().for_each(|end| uses[end.node] += 1);
    let [height, width] = stem.size;
    let image = NetworkLayer {
        op: LayerOp::Image,
        inputs: Vec::new(),
        shape: [3, height, width],
        scale: None,
    };
    let mut lowering = Lowering {
        known,
        uses,
        layers: vec![image],
        tails: vec![stem.image.node],
        places: BTreeMap::from([(stem.image, 0)]),
        padded: BTreeMap::new(),
    };
    for (number, node) in graph.nodes.iter().enumerate() {
        if needed[number] && number != stem.image.node {
            let layer = lowering.lower(node, number)?;
            lowering.places.insert(Value::of(number), layer);
        }
    }
    let end = |value: Value| {
        let layer = lowering.places.get(&value).copied();
        let is_conv = |layer: &usize| matches!(lowering.layers[*layer].op, LayerOp::Conv { .. });
        layer.filter(is_conv).ok_or_else(|| {
            NetworkFault::at(
                graph.node(value),
                "no convolution",
                "the convolution of a head",
            )
        })
    };
    let maps = heads.maps.iter().map(|map| {
        Ok(MapLayers {
            boxes: end(map.boxes)?,
            scores: end(map.scores)?,
        })
    });
    let maps = maps.collect::<Result<_, _>>()?;
    Ok(Network {
        layers: lowering.layers,
        maps,
    })
}

/// Where the layers begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stem {
    /// The input of the first convolution, before its padding.
    pub(super) image: Value,
    /// Height and width in pixels.
    pub(super) size: [usize; 2],
}

/// The input of the first convolution: the only value without a convolution before it that one reads.
///
/// # Errors
/// [`NetworkFault::Operator`] if there are several.
pub(super) fn first_input(
    graph: &Graph,
    known: &Known,
    heads: &Heads,
) -> Result<Value, NetworkFault> {
    let mut follows_conv = vec![false; graph.nodes.len()];
    for (number, node) in graph.nodes.iter().enumerate() {
        follows_conv[number] = matches!(node.op, Op::Conv(_))
            || node.inputs.iter().any(|input| follows_conv[input.node]);
    }
    let mut found = None;
    let mut open: Vec<usize> = heads
        .maps
        .iter()
        .flat_map(|map| [map.boxes.node, map.scores.node])
        .collect();
    let mut seen = vec![false; graph.nodes.len()];
    while let Some(number) = open.pop() {
        if std::mem::replace(&mut seen[number], true) {
            continue;
        }
        let node = &graph.nodes[number];
        match (&node.op, node.inputs.first()) {
            (Op::Conv(_), Some(&input)) if !follows_conv[input.node] => {
                // Its padding belongs to the convolution.
                let image = match graph.node(input) {
                    Node {
                        op: Op::Pad,
                        inputs,
                        ..
                    } if !inputs.is_empty() => inputs[0],
                    _ => input,
                };
                if found.replace(image).is_some_and(|other| other != image) {
                    return Err(NetworkFault::at(node, "a second image", "one input"));
                }
            }
            _ => open.extend(
                node.inputs
                    .iter()
                    .filter(|i| known.get(**i).is_none())
                    .map(|i| i.node),
            ),
        }
    }
    found.ok_or_else(|| NetworkFault::NoHeads {
        found: "heads without convolutions before them".to_owned(),
    })
}

/// The nodes that the ends depend on, without constants and without what makes the image.
fn needed(graph: &Graph, known: &Known, ends: &[Value], image: Value) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes.len()];
    let mut open: Vec<Value> = ends.to_vec();
    while let Some(value) = open.pop() {
        let is_open = value != image && known.get(value).is_none();
        if is_open && !std::mem::replace(&mut needed[value.node], true) {
            open.extend(&graph.node(value).inputs);
        }
    }
    needed
}

struct Lowering<'g> {
    known: &'g Known<'g>,
    /// How many needed nodes read each node.
    uses: Vec<usize>,
    layers: Vec<NetworkLayer>,
    /// The node whose output each layer's output is.
    tails: Vec<usize>,
    /// The layer that makes a value.
    places: BTreeMap<Value, usize>,
    /// Pixels around a map that a `Pad` adds: top, left, bottom, right, by its value.
    padded: BTreeMap<Value, [usize; 4]>,
}

/// `factor * x + offset` of each channel, or of all.
struct Affine {
    factor: Vec<f32>,
    offset: Vec<f32>,
}

impl Lowering<'_> {
    fn lower(&mut self, node: &Node, number: usize) -> Result<usize, NetworkFault> {
        let layer = match &node.op {
            Op::Conv(conv) => return self.conv(node, number, *conv),
            Op::Pad => return self.pad(node, number),
            Op::Identity => self.map(node, 0)?,
            Op::Reshape | Op::Squeeze { .. } | Op::ExpandDims => {
                let layer = self.map(node, 0)?;
                if self.layers[layer].shape[1..] != [1, 1] {
                    let found = "a change of a map's shape";
                    return Err(NetworkFault::at(node, found, "one after the mean of a map"));
                }
                layer
            }
            Op::BatchNorm { epsilon } => {
                let layer = self.map(node, 0)?;
                let affine = self.batch_norm(node, *epsilon)?;
                self.affine(node, number, layer, affine)?
            }
            Op::Binary(binary) => self.binary(node, number, *binary)?,
            Op::Sum => self.sum(node, number)?,
            Op::Unary(unary @ (Unary::Relu | Unary::Relu6 | Unary::Sigmoid | Unary::HardSwish)) => {
                let input = self.map(node, 0)?;
                let shape = self.layers[input].shape;
                self.push(LayerOp::Unary(*unary), vec![input], shape, number)
            }
            Op::Mean { .. } => {
                let input = self.map(node, 0)?;
                let axes = node.inputs.get(1).and_then(|axes| self.known.get(*axes));
                let axes = axes.map(|axes| axes.integers());
                let is_all = axes.as_deref().is_some_and(|axes| {
                    axes.len() == 2 && axes.iter().all(|axis| [1, 2, -3, -2].contains(axis))
                });
                if !is_all {
                    let found = format!("the mean over axes {axes:?}");
                    return Err(NetworkFault::at(node, found, "over height and width"));
                }
                self.pool(input, number)
            }
            Op::AveragePool { height, width } => {
                let input = self.map(node, 0)?;
                let [_, rows, columns] = self.layers[input].shape;
                if (rows, columns) != (*height, *width) {
                    let found = format!("a window of {height} x {width} on {rows} x {columns}");
                    return Err(NetworkFault::at(node, found, "the mean of the whole map"));
                }
                self.pool(input, number)
            }
            Op::Softmax | Op::Unary(_) | Op::Other | Op::Concat { .. } | Op::ResizeImage { .. } => {
                let expected = "a layer of a MobileNet: a convolution, an addition, a product, a batch norm, an \
                                activation or the mean of a map";
                return Err(NetworkFault::at(
                    node,
                    "it is between image and heads",
                    expected,
                ));
            }
            _ => {
                let expected = "maps of batch, height, width and channels";
                return Err(NetworkFault::at(
                    node,
                    "a change of a map's shape",
                    expected,
                ));
            }
        };
        if let Some(scale) = node.scale {
            self.layers[layer].scale = Some(scale);
        }
        self.tails[layer] = number;
        Ok(layer)
    }

    fn push(&mut self, op: LayerOp, inputs: Vec<usize>, shape: [usize; 3], number: usize) -> usize {
        self.layers.push(NetworkLayer {
            op,
            inputs,
            shape,
            scale: None,
        });
        self.tails.push(number);
        self.layers.len() - 1
    }

    fn pool(&mut self, input: usize, number: usize) -> usize {
        let channels = self.layers[input].shape[0];
        self.push(LayerOp::Pool, vec![input], [channels, 1, 1], number)
    }

    /// The layer of an operand that is a map, and not the image.
    fn map(&self, node: &Node, operand: usize) -> Result<usize, NetworkFault> {
        let value = node.inputs.get(operand);
        let value =
            value.ok_or_else(|| NetworkFault::at(node, "an operand is missing", "a map"))?;
        if self.padded.contains_key(value) {
            return Err(NetworkFault::at(
                node,
                "a padded map",
                "a convolution after a padding",
            ));
        }
        match self.places.get(value) {
            Some(0) => Err(NetworkFault::at(node, "the image", "a convolution first")),
            Some(&layer) => Ok(layer),
            None => Err(NetworkFault::at(node, "an operand that is no map", "a map")),
        }
    }

    /// Whether nothing else reads what a layer gives so far.
    fn has_one_reader(&self, layer: usize) -> bool {
        self.uses[self.tails[layer]] == 1
    }

    fn constant(&self, node: &Node, operand: usize) -> Result<&Tensor, NetworkFault> {
        let value = node.inputs.get(operand);
        let tensor = value.and_then(|value| self.known.get(*value));
        tensor.map(AsRef::as_ref).ok_or_else(|| {
            NetworkFault::at(node, format!("operand {operand} is computed"), "a constant")
        })
    }

    /// A constant with one number, or one for each of `channels`.
    fn per_channel(
        &self,
        node: &Node,
        operand: usize,
        channels: usize,
    ) -> Result<Vec<f32>, NetworkFault> {
        let tensor = self.constant(node, operand)?;
        let is_per_channel = tensor.values.len() == channels
            && tensor.shape.last().is_none_or(|&last| last == channels);
        if tensor.values.len() == 1 || is_per_channel {
            return Ok(tensor.values.clone());
        }
        let found = format!(
            "a constant of shape {:?} for {channels} channels",
            tensor.shape
        );
        Err(NetworkFault::at(
            node,
            found,
            "one number, or one a channel",
        ))
    }

    fn batch_norm(&self, node: &Node, epsilon: f32) -> Result<Affine, NetworkFault> {
        let channels = self.layers[self.map(node, 0)?].shape[0];
        let row = |operand| {
            let values = self.per_channel(node, operand, channels)?;
            Ok::<_, NetworkFault>(match values[..] {
                [one] => vec![one; channels],
                _ => values,
            })
        };
        let (gamma, beta, mean, variance) = (row(1)?, row(2)?, row(3)?, row(4)?);
        let factor = gamma.iter().zip(&variance);
        let factor: Vec<f32> = factor.map(|(g, v)| g / (v + epsilon).sqrt()).collect();
        let offset = beta.iter().zip(&mean).zip(&factor);
        let offset = offset
            .map(|((beta, mean), factor)| beta - mean * factor)
            .collect();
        Ok(Affine { factor, offset })
    }

    fn binary(
        &mut self,
        node: &Node,
        number: usize,
        binary: Binary,
    ) -> Result<usize, NetworkFault> {
        let is_constant = |operand: usize| {
            let value = node.inputs.get(operand);
            value.is_some_and(|value| self.known.get(*value).is_some())
        };
        let (map, constant) = match (is_constant(0), is_constant(1)) {
            (false, false) => return self.two_maps(node, number, binary),
            (true, _) => (1, 0),
            (false, true) => (0, 1),
        };
        let layer = self.map(node, map)?;
        let [channels, height, width] = self.layers[layer].shape;
        let values = self.per_channel(node, constant, channels)?;
        let is_first = constant == 0;
        let negated = || values.iter().map(|value| -value).collect::<Vec<_>>();
        let (factor, offset) = match (binary, is_first) {
            (Binary::Add, _) => (vec![1.0], values),
            (Binary::Subtract, false) => (vec![1.0], negated()),
            (Binary::Subtract, true) => (vec![-1.0], values),
            (Binary::Multiply, _) => (values, vec![0.0]),
            (Binary::Divide, false) => (values.iter().map(|v| 1.0 / v).collect(), vec![0.0]),
            (Binary::Maximum | Binary::Minimum, _) => {
                let op = LayerOp::Constant {
                    binary,
                    values,
                    is_first,
                };
                return Ok(self.push(op, vec![layer], [channels, height, width], number));
            }
            (Binary::Divide, true) => {
                return Err(NetworkFault::at(
                    node,
                    "a division by a map",
                    "a division by a constant",
                ));
            }
        };
        self.affine(node, number, layer, Affine { factor, offset })
    }

    /// Folds `factor * x + offset` into the convolution before it, or adds layers that compute it.
    fn affine(
        &mut self,
        node: &Node,
        number: usize,
        layer: usize,
        affine: Affine,
    ) -> Result<usize, NetworkFault> {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        if !finite(&affine.factor) || !finite(&affine.offset) {
            return Err(NetworkFault::at(
                node,
                "a constant that is not finite",
                "numbers",
            ));
        }
        let Affine { factor, offset } = affine;
        let is_sum_only = factor.iter().all(|factor| *factor == 1.0);
        if let Some(conv) = self.foldable(layer, is_sum_only) {
            let LayerOp::Conv { weights, .. } = &mut self.layers[conv].op else {
                unreachable!("foldable gives convolutions");
            };
            scale(weights, &factor, &offset);
            return Ok(layer);
        }
        let shape = self.layers[layer].shape;
        let mut last = layer;
        for (binary, values, neutral) in
            [(Binary::Multiply, factor, 1.0), (Binary::Add, offset, 0.0)]
        {
            if values.iter().any(|value| *value != neutral) {
                let op = LayerOp::Constant {
                    binary,
                    values,
                    is_first: false,
                };
                last = self.push(op, vec![last], shape, number);
            }
        }
        Ok(last)
    }

    /// The convolution that an affine function of a layer's output can become part of.
    fn foldable(&self, layer: usize, is_sum_only: bool) -> Option<usize> {
        if !self.has_one_reader(layer) {
            return None;
        }
        match &self.layers[layer].op {
            LayerOp::Conv { .. } => Some(layer),
            // A bias that was moved behind a residual addition.
            LayerOp::Binary(Binary::Add) if is_sum_only => {
                let shape = self.layers[layer].shape;
                let is_conv = |&&input: &&usize| {
                    matches!(self.layers[input].op, LayerOp::Conv { .. })
                        && self.layers[input].shape == shape
                        && self.has_one_reader(input)
                };
                self.layers[layer].inputs.iter().find(is_conv).copied()
            }
            _ => None,
        }
    }

    fn two_maps(
        &mut self,
        node: &Node,
        number: usize,
        binary: Binary,
    ) -> Result<usize, NetworkFault> {
        let (a, b) = (self.map(node, 0)?, self.map(node, 1)?);
        let (left, right) = (self.layers[a].shape, self.layers[b].shape);
        let is_pooled = |shape: [usize; 3]| shape[1..] == [1, 1];
        let fits = left == right || (left[0] == right[0] && (is_pooled(left) || is_pooled(right)));
        if !fits || !matches!(binary, Binary::Add | Binary::Multiply) {
            let found = format!("maps of {left:?} and {right:?} channels and sides");
            let expected = "a sum or product of equal maps, or of a map and the mean of one";
            return Err(NetworkFault::at(node, found, expected));
        }
        // The map comes first.
        let (inputs, shape) = match is_pooled(left) && !is_pooled(right) {
            true => (vec![b, a], right),
            false => (vec![a, b], left),
        };
        Ok(self.push(LayerOp::Binary(binary), inputs, shape, number))
    }

    fn sum(&mut self, node: &Node, number: usize) -> Result<usize, NetworkFault> {
        let mut last = self.map(node, 0)?;
        for operand in 1..node.inputs.len() {
            let next = self.map(node, operand)?;
            let shape = self.layers[last].shape;
            if self.layers[next].shape != shape {
                let found = format!("maps of {shape:?} and {:?}", self.layers[next].shape);
                return Err(NetworkFault::at(node, found, "equal maps"));
            }
            last = self.push(
                LayerOp::Binary(Binary::Add),
                vec![last, next],
                shape,
                number,
            );
        }
        Ok(last)
    }

    /// A padding, which becomes part of the convolution after it.
    fn pad(&mut self, node: &Node, number: usize) -> Result<usize, NetworkFault> {
        let amounts = self.constant(node, 1)?.integers();
        let pad = |&pad: &i64| usize::try_from(pad).ok().filter(|pad| *pad <= MAX_PADDING);
        let pads: Option<Vec<usize>> = amounts.iter().map(pad).collect();
        let Some(&[0, 0, top, bottom, left, right, 0, 0]) = pads.as_deref() else {
            let found = format!("a padding of {amounts:?}");
            return Err(NetworkFault::at(node, found, "one of height and width"));
        };
        let input = node.inputs[0];
        let Some(&layer) = self.places.get(&input) else {
            return Err(NetworkFault::at(node, "an operand that is no map", "a map"));
        };
        self.padded
            .insert(Value::of(number), [top, left, bottom, right]);
        Ok(layer)
    }

    fn conv(
        &mut self,
        node: &Node,
        number: usize,
        conv: Convolution,
    ) -> Result<usize, NetworkFault> {
        let [stride, other_stride] = conv.strides;
        if stride != other_stride || conv.dilations != [1, 1] {
            let found = format!("strides {:?}, dilations {:?}", conv.strides, conv.dilations);
            let expected = "equal strides down and along, and no dilation";
            return Err(NetworkFault::at(node, found, expected));
        }
        let kernel = self.constant(node, 1)?;
        let converted = conv.layout.to_onnx(&kernel.shape, &kernel.values);
        let Some((shape, weights)) = converted else {
            let found = format!("a kernel of shape {:?}", kernel.shape);
            return Err(NetworkFault::at(
                node,
                found,
                "4 sides, one channel a depthwise channel",
            ));
        };
        let [out, inner, rows, columns] = shape;
        let value = node.inputs[0];
        let Some(&input) = self.places.get(&value) else {
            return Err(NetworkFault::at(node, "an operand that is no map", "a map"));
        };
        let [channels, height, width] = self.layers[input].shape;
        let groups = if conv.is_depthwise { out } else { 1 };
        let reads = if conv.is_depthwise { out } else { inner };
        if reads != channels || out == 0 || rows == 0 || columns == 0 {
            let found = format!("a kernel of {shape:?} on {channels} channels");
            return Err(NetworkFault::at(node, found, "as many as its map has"));
        }
        let pads = match (self.padded.get(&value), conv.padding) {
            (None, Padding::Same) => same(height, width, rows, columns, stride),
            (None, Padding::Valid) => [0; 4],
            (Some(pads), Padding::Valid) => *pads,
            (Some(_), Padding::Same) => {
                return Err(NetworkFault::at(
                    node,
                    "a padded map and padding SAME",
                    "VALID",
                ));
            }
        };
        let [top, left, bottom, right] = pads;
        let side = |side: usize, kernel: usize, stride: usize| {
            Some(side.checked_sub(kernel)? / stride + 1)
        };
        let sides = side(height + top + bottom, rows, stride).zip(side(
            width + left + right,
            columns,
            stride,
        ));
        let Some((down, along)) = sides else {
            let found = format!("a kernel of {rows} x {columns} on a map of {height} x {width}");
            return Err(NetworkFault::at(node, found, "a smaller one"));
        };
        let bias = match node.inputs.len() {
            3 => self.per_channel(node, 2, out)?,
            _ => vec![0.0; out],
        };
        let bias = if bias.len() == out {
            bias
        } else {
            vec![bias[0]; out]
        };
        if !weights.iter().chain(&bias).all(|weight| weight.is_finite()) {
            return Err(NetworkFault::at(
                node,
                "weights that are not finite",
                "numbers",
            ));
        }
        let op = LayerOp::Conv {
            weights: ConvWeights {
                shape,
                weights,
                bias,
                stride,
                groups,
            },
            pads,
        };
        let layer = self.push(op, vec![input], [out, down, along], number);
        self.layers[layer].scale = node.scale;
        Ok(layer)
    }
}

/// TensorFlow's SAME padding: top, left, bottom, right.
fn same(height: usize, width: usize, rows: usize, columns: usize, stride: usize) -> [usize; 4] {
    let total = |side: usize, kernel: usize| {
        let out = side.div_ceil(stride);
        (out.saturating_sub(1) * stride + kernel).saturating_sub(side)
    };
    let (down, along) = (total(height, rows), total(width, columns));
    [down / 2, along / 2, down - down / 2, along - along / 2]
}

/// Scales the outputs of a convolution; one number of each list is for all channels.
fn scale(conv: &mut ConvWeights, factor: &[f32], offset: &[f32]) {
    let of = |values: &[f32], channel: usize| values[if values.len() == 1 { 0 } else { channel }];
    let per_channel = conv.weights.len() / conv.shape[0];
    for (channel, weights) in conv.weights.chunks_exact_mut(per_channel).enumerate() {
        weights
            .iter_mut()
            .for_each(|weight| *weight *= of(factor, channel));
        let bias = &mut conv.bias[channel];
        *bias = *bias * of(factor, channel) + of(offset, channel);
    }
}
