//! Matches the operators of a typed graph that can run in integer arithmetic, from one quantized value on.

use std::collections::HashMap;

use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::Conv;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::math::{Max, Min};
use tract_onnx::tract_core::ops::nn::Reduce;
use tract_onnx::tract_hir::internal::*;

use super::super::graph::{FeatureMap, FloatId, Graph, GraphLayer, GraphOutput, MapId, Operation};
use super::super::tensor::{MapSize, OutputQuant, encode};
use super::qdq::{DequantizeLinear, QuantizeLinear};

/// What an outlet of the typed graph corresponds to in the graph that is built.
#[derive(Debug, Clone)]
pub(super) enum ValueInfo {
    /// The output of a `QuantizeLinear`: the bytes of a feature map.
    Quantized(MapId),
    /// The output of a `DequantizeLinear`: the real values of a feature map. They are not computed unless an operator
    /// outside the match reads them.
    Dequantized(MapId),
    Floats(FloatId),
    /// An output of the SSD head.
    Objects(GraphOutput),
}

/// A graph, and the outlets that its outputs replace.
pub(super) struct Match {
    pub(super) graph: Graph,
    /// In the order of the graph's outputs.
    pub(super) outlets: Vec<OutletId>,
}

/// The typed graph and the part of it that is matched so far.
pub(super) struct PatternMatcher<'m> {
    pub(super) model: &'m TypedModel,
    pub(super) graph: Graph,
    pub(super) values: HashMap<OutletId, ValueInfo>,
}

/// A `QuantizeLinear` after a layer.
pub(super) struct QuantizedOutput {
    pub(super) outlet: OutletId,
    pub(super) scale: f32,
    pub(super) zero_point: i8,
    /// Range clamped by the activations before the `QuantizeLinear`.
    pub(super) quant: OutputQuant,
}

/// Matches from a `QuantizeLinear` on; `None` if that includes no convolution.
pub(super) fn match_from(model: &TypedModel, root: &TypedNode) -> Option<Match> {
    let mut matcher = PatternMatcher {
        model,
        graph: Graph::default(),
        values: HashMap::new(),
    };
    let QuantizeLinear(params) = root.op_as()?;
    let (scale, zero_point) = params.per_tensor()?;
    let input = matcher.graph.add_map(FeatureMap {
        size: map_size(model, root.inputs[0])?,
        scale,
        zero_point: encode(zero_point),
    });
    matcher
        .values
        .insert(root.id.into(), ValueInfo::Quantized(input));
    for number in model.eval_order().ok()? {
        // Operators that do not match stay in the typed graph.
        let _ = matcher.match_node(model.node(number));
    }
    let _ = matcher.match_ssd_head();
    matcher.finish()
}

/// The size of a value of shape `[1, channels, height, width]` or `[1, channels]`.
pub(super) fn map_size(model: &TypedModel, outlet: OutletId) -> Option<MapSize> {
    let fact = model.outlet_fact(outlet).ok()?;
    let (channels, height, width) = match fact.shape.as_concrete()? {
        [1, channels, height, width] => (*channels, *height, *width),
        [1, channels] => (*channels, 1, 1),
        _ => return None,
    };
    Some(MapSize {
        height,
        width,
        channels,
    })
}

impl PatternMatcher<'_> {
    fn match_node(&mut self, node: &TypedNode) -> Option<()> {
        let outlet = OutletId::from(node.id);
        if self.values.contains_key(&outlet) {
            return None;
        }
        let first = self.values.get(node.inputs.first()?).cloned();
        match first {
            Some(ValueInfo::Quantized(map)) => {
                let dequantize: &DequantizeLinear = node.op_as()?;
                let (scale, zero_point) = dequantize.params.per_tensor()?;
                let info = self.graph.feature_map(map);
                let is_inverse = info.scale == scale && info.zero_point == encode(zero_point);
                is_inverse.then(|| self.values.insert(outlet, ValueInfo::Dequantized(map)))?;
                Some(())
            }
            Some(ValueInfo::Dequantized(map)) if node.op_is::<Conv>() => {
                self.match_convolution(node, map)
            }
            Some(ValueInfo::Dequantized(map)) if node.op_is::<Reduce>() => {
                self.match_mean(node, map)
            }
            Some(ValueInfo::Dequantized(map)) if node.op_is::<EinSum>() => {
                self.match_linear(node, map)
            }
            Some(ValueInfo::Dequantized(map)) if node.op_is::<AxisOp>() => {
                // With one pixel, the order of the dimensions is irrelevant.
                let MapSize { height, width, .. } = self.graph.feature_map(map).size;
                (height * width == 1)
                    .then(|| self.values.insert(outlet, ValueInfo::Dequantized(map)))?;
                Some(())
            }
            Some(ValueInfo::Dequantized(_)) if node.op_is::<TypedBinOp>() => self.match_add(node),
            Some(ValueInfo::Dequantized(map)) if node.op.name() == "Resize" => {
                self.match_upsample(node, map)
            }
            Some(ValueInfo::Floats(floats)) => self.match_float_op(node, floats),
            Some(ValueInfo::Dequantized(_) | ValueInfo::Objects(_)) => None,
            // The first operand may be a constant.
            None if node.op_is::<TypedBinOp>() || node.op_is::<EinSum>() => {
                match self.values.get(node.inputs.get(1)?)? {
                    ValueInfo::Floats(floats) => self.match_float_op(node, *floats),
                    _ => None,
                }
            }
            None => None,
        }
    }

    /// The `QuantizeLinear` that is the only reader of an outlet, possibly after clamping activations.
    pub(super) fn quantized_output(&self, outlet: OutletId) -> Option<QuantizedOutput> {
        let mut outlet = outlet;
        let (mut min, mut max) = (f32::NEG_INFINITY, f32::INFINITY);
        loop {
            let [reader] = self.model.outlet_successors(outlet) else {
                return None;
            };
            if self.model.outputs.contains(&outlet) {
                return None;
            }
            let node = self.model.node(reader.node);
            if let Some(QuantizeLinear(params)) = node.op_as() {
                let (scale, zero_point) = params.per_tensor()?;
                // Rounding is monotonic, so it gives the same result before and after clamping.
                let limit = |real: f32| {
                    let steps = (real / scale).round_ties_even() + f32::from(zero_point);
                    steps.clamp(-128.0, 127.0) as i8
                };
                return Some(QuantizedOutput {
                    outlet: node.id.into(),
                    scale,
                    zero_point,
                    quant: OutputQuant::new(zero_point, limit(min), limit(max)),
                });
            }
            let TypedBinOp(operator, _) = node.op_as()?;
            let bound = scalar(self.model, node.inputs[1 - reader.slot])?;
            if operator.is::<Max>() {
                min = min.max(bound);
                max = max.max(bound);
            } else if operator.is::<Min>() {
                min = min.min(bound);
                max = max.min(bound);
            } else {
                return None;
            }
            outlet = node.id.into();
        }
    }

    /// Adds a map for the output of a `QuantizeLinear`.
    pub(super) fn add_map(&mut self, size: MapSize, output: &QuantizedOutput) -> MapId {
        let map = self.graph.add_map(FeatureMap {
            size,
            scale: output.scale,
            zero_point: encode(output.zero_point),
        });
        self.values.insert(output.outlet, ValueInfo::Quantized(map));
        map
    }

    pub(super) fn add_layer(&mut self, node: &TypedNode, operation: Operation) {
        self.graph.layers.push(GraphLayer {
            name: node.name.clone(),
            operation,
        });
    }

    /// Makes every value with a reader outside the match an output.
    fn finish(mut self) -> Option<Match> {
        let is_convolution = |layer: &GraphLayer| {
            matches!(
                layer.operation,
                Operation::Conv2d(..) | Operation::DepthwiseConv2d(..)
            )
        };
        if !self.graph.layers.iter().any(is_convolution) {
            return None;
        }
        let mut outlets: Vec<OutletId> = self.values.keys().copied().collect();
        outlets.sort_unstable();
        outlets.retain(|outlet| self.has_outside_reader(*outlet));
        for outlet in &outlets {
            let output = match self.values[outlet] {
                ValueInfo::Floats(floats) => GraphOutput::Floats(floats),
                ValueInfo::Objects(output) => output,
                ValueInfo::Dequantized(map) => {
                    let length = self.graph.feature_map(map).size.volume();
                    let floats = self.graph.add_floats(length);
                    let node = self.model.node(outlet.node);
                    self.add_layer(node, Operation::Dequantize(map, floats));
                    GraphOutput::Floats(floats)
                }
                // An outside reader of the bytes themselves is not supported.
                ValueInfo::Quantized(_) => return None,
            };
            self.graph.outputs.push(output);
        }
        Some(Match {
            graph: self.graph,
            outlets,
        })
    }

    fn has_outside_reader(&self, outlet: OutletId) -> bool {
        let readers = self.model.outlet_successors(outlet);
        self.model.outputs.contains(&outlet)
            || !readers.iter().all(|reader| self.is_inside(reader.node))
    }

    /// Whether all paths from a node lead into the match.
    fn is_inside(&self, node: usize) -> bool {
        let outlet = OutletId::from(node);
        if self.values.contains_key(&outlet) {
            return true;
        }
        let readers = self.model.outlet_successors(outlet);
        !readers.is_empty()
            && !self.model.outputs.contains(&outlet)
            && readers.iter().all(|reader| self.is_inside(reader.node))
    }
}

/// The value of an outlet that is computed from constants only.
pub(super) fn constant(model: &TypedModel, outlet: OutletId) -> Option<Arc<Tensor>> {
    let node = model.node(outlet.node);
    if let Some(constant) = node.op_as::<Const>() {
        return Some(Arc::clone(constant.val()));
    }
    if node.inputs.is_empty() {
        return None;
    }
    let inputs = node
        .inputs
        .iter()
        .map(|&input| Some(constant(model, input)?.into_tvalue()));
    let inputs: TVec<TValue> = inputs.collect::<Option<_>>()?;
    let outputs = node.op.eval(&EvalContext::out_of_plan(), inputs).ok()?;
    Some(outputs.get(outlet.slot)?.clone().into_arc_tensor())
}

/// The values of a constant as floats.
pub(super) fn constant_floats(model: &TypedModel, outlet: OutletId) -> Option<Vec<f32>> {
    let tensor = constant(model, outlet)?;
    let floats = tensor.cast_to::<f32>().ok()?;
    let view = floats.to_plain_array_view::<f32>().ok()?;
    Some(view.iter().copied().collect())
}

/// The value of a constant with one element.
pub(super) fn scalar(model: &TypedModel, outlet: OutletId) -> Option<f32> {
    match constant_floats(model, outlet)?.as_slice() {
        [scalar] => Some(*scalar),
        _ => None,
    }
}
