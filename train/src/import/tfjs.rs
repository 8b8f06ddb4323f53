//! The graph of a `model.json` file of TensorFlow.js.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use super::error::{NetworkFault, ReadFault};
use super::graph::{
    Binary, Convolution, Graph, Node, Op, Padding, SliceMasks, Tensor, Unary, Value,
};
use crate::formats::KernelLayout;
use crate::formats::tfjs::{self, Node as SourceNode, WeightTensor};

/// Reads `model.json`, whose shards are in `folder`.
pub(super) fn read(json: &[u8], folder: &Path) -> Result<Graph, ReadFault> {
    let model = tfjs::read(json, folder)?;
    let names = model.nodes.iter().enumerate();
    let names: BTreeMap<&str, usize> = names.map(|(i, node)| (node.name.as_str(), i)).collect();
    let mut reader = Reader {
        graph: Graph::default(),
        tensors: model.tensors,
        places: BTreeMap::new(),
    };
    for number in order(&model.nodes, &names)? {
        reader.add(&model.nodes[number])?;
    }
    Ok(reader.graph)
}

/// Name and output number of an operand; `None` for one that only says what must run before.
fn operand(input: &str) -> Option<(&str, usize)> {
    if input.starts_with('^') {
        return None;
    }
    match input.rsplit_once(':') {
        Some((name, output)) => Some((name, output.parse().ok()?)),
        None => Some((input, 0)),
    }
}

/// The operands that a node waits for. The loops of TensorFlow 1 are cut where they go around.
fn waits_for(node: &SourceNode) -> &[String] {
    match node.op.as_str() {
        "NextIteration" => &[],
        _ => &node.input,
    }
}

/// The nodes in an order in which each follows those that it reads.
fn order(nodes: &[SourceNode], names: &BTreeMap<&str, usize>) -> Result<Vec<usize>, ReadFault> {
    let mut order = Vec::with_capacity(nodes.len());
    // Whether a node is in the order; `None` while its operands are.
    let mut state = vec![Some(false); nodes.len()];
    for start in 0..nodes.len() {
        let mut stack = vec![(start, 0)];
        while let Some((number, next)) = stack.pop() {
            if state[number] == Some(true) {
                continue;
            }
            let operands = waits_for(&nodes[number]);
            let Some(operand_text) = operands.get(next) else {
                state[number] = Some(true);
                order.push(number);
                continue;
            };
            state[number] = None;
            stack.push((number, next + 1));
            let before = operand(operand_text).and_then(|(name, _)| names.get(name));
            match before.map(|&before| (before, state[before])) {
                Some((before, Some(false))) => stack.push((before, 0)),
                Some((before, None)) => {
                    let message = format!("node {:?} depends on itself", nodes[before].name);
                    return Err(ReadFault::Broken(message));
                }
                _ => {}
            }
        }
    }
    Ok(order)
}

struct Reader {
    graph: Graph,
    tensors: BTreeMap<String, WeightTensor>,
    /// Numbers of the nodes in the graph, by name.
    places: BTreeMap<String, usize>,
}

impl Reader {
    fn add(&mut self, source: &SourceNode) -> Result<(), ReadFault> {
        let mut inputs = Vec::with_capacity(source.input.len());
        for input in waits_for(source) {
            let Some((name, output)) = operand(input) else {
                continue;
            };
            let Some(&node) = self.places.get(name) else {
                let message = format!("node {:?} reads {name:?}, which is missing", source.name);
                return Err(ReadFault::Broken(message));
            };
            inputs.push(Value { node, output });
        }
        let op = self.op(source, &mut inputs)?;
        let activations = fused_activation(source)?;
        let fused_bias = is_fused(source) && inputs.len() > 3;
        if fused_bias {
            let found = format!("{} operands", inputs.len());
            return Err(fault(source, found, "at most a bias fused into it").into());
        }
        let mut last = self.push(source.name.clone(), source, op, inputs);
        if let Some(unary) = activations {
            let name = format!("{}/activation", source.name);
            last = self.push(name, source, Op::Unary(unary), vec![Value::of(last)]);
        }
        self.places.insert(source.name.clone(), last);
        Ok(())
    }

    fn push(&mut self, name: String, source: &SourceNode, op: Op, inputs: Vec<Value>) -> usize {
        self.graph.nodes.push(Node {
            name,
            operator: source.op.clone(),
            op,
            inputs,
            scale: None,
        });
        self.graph.nodes.len() - 1
    }

    fn op(&mut self, source: &SourceNode, inputs: &mut Vec<Value>) -> Result<Op, ReadFault> {
        let unary = |unary| Ok(Op::Unary(unary));
        let binary = |binary| Ok(Op::Binary(binary));
        match source.op.as_str() {
            "Placeholder" => Ok(Op::Input(source.shape("shape").unwrap_or_default())),
            "Const" => match self.tensors.remove(&source.name) {
                Some(WeightTensor { shape, values, .. }) => {
                    Ok(Op::Constant(Rc::new(Tensor { shape, values })))
                }
                None => {
                    let message = format!("the weights of {:?} are missing", source.name);
                    Err(ReadFault::Broken(message))
                }
            },
            "Identity" | "Cast" | "StopGradient" | "Enter" | "Exit" => Ok(Op::Identity),
            "Conv2D" | "_FusedConv2D" => Ok(Op::Conv(convolution(source, false)?)),
            "DepthwiseConv2dNative" | "FusedDepthwiseConv2dNative" => {
                Ok(Op::Conv(convolution(source, true)?))
            }
            "FusedBatchNorm" | "FusedBatchNormV2" | "FusedBatchNormV3" => Ok(Op::BatchNorm {
                // TensorFlow's default.
                epsilon: source.float("epsilon").unwrap_or(1e-4),
            }),
            "Add" | "AddV2" | "BiasAdd" => binary(Binary::Add),
            "Sub" => binary(Binary::Subtract),
            "Mul" => binary(Binary::Multiply),
            "RealDiv" | "Div" => binary(Binary::Divide),
            "Maximum" => binary(Binary::Maximum),
            "Minimum" => binary(Binary::Minimum),
            "AddN" => Ok(Op::Sum),
            "Relu" => unary(Unary::Relu),
            "Relu6" => unary(Unary::Relu6),
            "Sigmoid" => unary(Unary::Sigmoid),
            "Exp" => unary(Unary::Exponential),
            "Sqrt" => unary(Unary::SquareRoot),
            "Rsqrt" => unary(Unary::ReciprocalSquareRoot),
            "Neg" => unary(Unary::Negative),
            "Softmax" => Ok(Op::Softmax),
            "Mean" => Ok(Op::Mean {
                keeps_sides: source.flag("keep_dims"),
            }),
            "AvgPool" => match source.numbers("ksize").as_deref() {
                Some(&[1, height, width, 1]) => Ok(Op::AveragePool {
                    height: usize::try_from(height).unwrap_or(0),
                    width: usize::try_from(width).unwrap_or(0),
                }),
                other => Err(fault(source, format!("ksize {other:?}"), "4 sides").into()),
            },
            "Pad" => Ok(Op::Pad),
            "Reshape" => Ok(Op::Reshape),
            "Squeeze" => Ok(Op::Squeeze {
                axes: source.numbers("squeeze_dims").unwrap_or_default(),
            }),
            "ExpandDims" => Ok(Op::ExpandDims),
            "Transpose" => Ok(Op::Transpose),
            "ConcatV2" => self.concat(source, inputs),
            "Pack" => Ok(Op::Pack {
                axis: source.number("axis").unwrap_or(0),
            }),
            "Unpack" => Ok(Op::Unpack {
                axis: source.number("axis").unwrap_or(0),
                count: source
                    .number("num")
                    .and_then(|n| n.try_into().ok())
                    .unwrap_or(0),
            }),
            "Slice" => Ok(Op::Slice),
            "StridedSlice" => Ok(Op::StridedSlice(SliceMasks {
                begin: source.number("begin_mask").unwrap_or(0),
                end: source.number("end_mask").unwrap_or(0),
                shrink: source.number("shrink_axis_mask").unwrap_or(0),
                other: source.number("ellipsis_mask").unwrap_or(0)
                    | source.number("new_axis_mask").unwrap_or(0),
            })),
            "Tile" => Ok(Op::Tile),
            "Shape" => Ok(Op::Shape),
            "ResizeBilinear" => Ok(Op::ResizeImage {
                has_half_pixels: source.flag("half_pixel_centers"),
            }),
            _ => Ok(Op::Other),
        }
    }

    /// A concatenation, whose axis is its last input.
    fn concat(&self, source: &SourceNode, inputs: &mut Vec<Value>) -> Result<Op, ReadFault> {
        let axis = inputs
            .pop()
            .and_then(|axis| match &self.graph.node(axis).op {
                Op::Constant(tensor) => tensor.integers().first().copied(),
                _ => None,
            });
        match axis {
            Some(axis) => Ok(Op::Concat { axis }),
            None => Err(fault(source, "a computed axis", "a constant one").into()),
        }
    }
}

fn is_fused(source: &SourceNode) -> bool {
    matches!(
        source.op.as_str(),
        "_FusedConv2D" | "FusedDepthwiseConv2dNative"
    )
}

/// The activation that is part of a fused convolution.
fn fused_activation(source: &SourceNode) -> Result<Option<Unary>, NetworkFault> {
    let mut activation = None;
    for fused in source.texts("fused_ops").unwrap_or_default() {
        match fused.as_str() {
            "BiasAdd" => {}
            "Relu" => activation = Some(Unary::Relu),
            "Relu6" => activation = Some(Unary::Relu6),
            other => {
                let found = format!("fused {other}");
                return Err(fault(source, found, "BiasAdd, Relu or Relu6"));
            }
        }
    }
    Ok(activation)
}

fn convolution(source: &SourceNode, is_depthwise: bool) -> Result<Convolution, NetworkFault> {
    if let Some(format) = source.text("data_format").filter(|format| format != "NHWC") {
        return Err(fault(source, format!("data format {format}"), "NHWC"));
    }
    let padding = match source.text("padding").as_deref() {
        Some("SAME") => Padding::Same,
        Some("VALID") => Padding::Valid,
        other => {
            let found = format!("padding {}", other.unwrap_or("missing"));
            return Err(fault(source, found, "SAME or VALID"));
        }
    };
    let sides = |attribute| match source.numbers(attribute).as_deref() {
        None | Some([]) if attribute == "dilations" => Ok([1, 1]),
        Some(&[1, down, along, 1]) if down > 0 && along > 0 => Ok([down as usize, along as usize]),
        other => {
            let found = format!("{attribute} {:?}", other.unwrap_or_default());
            Err(fault(source, found, "[1, down, along, 1]"))
        }
    };
    Ok(Convolution {
        is_depthwise,
        layout: match is_depthwise {
            true => KernelLayout::Depthwise,
            false => KernelLayout::HeightWidthInOut,
        },
        strides: sides("strides")?,
        dilations: sides("dilations")?,
        padding,
    })
}

fn fault(source: &SourceNode, found: impl Into<String>, expected: &'static str) -> NetworkFault {
    NetworkFault::Operator {
        operator: source.op.clone(),
        node: source.name.clone(),
        found: found.into(),
        expected,
    }
}
