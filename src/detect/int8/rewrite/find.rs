//! Goes through a typed graph from one quantised value on and takes in all that is known.

use std::collections::HashMap;

use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::Conv;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::math::{Max, Min};
use tract_onnx::tract_core::ops::nn::Reduce;
use tract_onnx::tract_hir::internal::*;

use super::super::arithmetic::{Target, stored};
use super::super::graph::{FloatId, Graph, Layer, MapValue, Operation, ValueId};
use super::super::map::MapSize;
use super::constant::scalar;
use super::qdq::{DequantizeLinear, QuantizeLinear};

/// What an outlet of the typed graph is in the graph that is being made.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// Bytes.
    Stored(ValueId),
    /// What these bytes stand for, in floats that are never made.
    Map(ValueId),
    /// Floats.
    Floats(FloatId),
}

/// Something found: a graph, and what of it is asked for.
pub(super) struct Found {
    pub(super) graph: Graph,
    /// In the order of the graph's outputs.
    pub(super) outlets: Vec<OutletId>,
}

/// The typed graph and what is known of it.
pub(super) struct Finder<'m> {
    pub(super) model: &'m TypedModel,
    pub(super) graph: Graph,
    pub(super) known: HashMap<OutletId, Known>,
}

/// What is found for a quantised value: none where nothing would be won.
pub(super) fn find(model: &TypedModel, root: &TypedNode) -> Option<Found> {
    let mut finder = Finder {
        model,
        graph: Graph::default(),
        known: HashMap::new(),
    };
    let QuantizeLinear(linear) = root.op_as()?;
    let (scale, zero_point) = linear.of_bytes()?;
    let input = finder.graph.add_value(MapValue {
        size: map_size(model, root.inputs[0])?,
        scale,
        zero_point: stored(zero_point),
    });
    finder.known.insert(root.id.into(), Known::Stored(input));
    for number in model.eval_order().ok()? {
        // What is not known stays as it is.
        let _ = finder.node(model.node(number));
    }
    finder.finish()
}

/// The size of a map of one picture, `[1, channels, height, width]`, or of a list, `[1, channels]`.
pub(super) fn map_size(model: &TypedModel, outlet: OutletId) -> Option<MapSize> {
    let shape = model
        .outlet_fact(outlet)
        .ok()?
        .shape
        .as_concrete()?
        .to_vec();
    let (channels, height, width) = match shape.as_slice() {
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

impl Finder<'_> {
    fn node(&mut self, node: &TypedNode) -> Option<()> {
        let outlet = OutletId::from(node.id);
        if self.known.contains_key(&outlet) {
            return None;
        }
        let first = self.known.get(node.inputs.first()?).cloned();
        match first {
            Some(Known::Stored(value)) => {
                let DequantizeLinear(linear, _) = node.op_as()?;
                let (scale, zero_point) = linear.of_bytes()?;
                let map = self.graph.value(value);
                let is_same = map.scale == scale && map.zero_point == stored(zero_point);
                is_same.then(|| self.known.insert(outlet, Known::Map(value)))?;
                Some(())
            }
            Some(Known::Map(value)) if node.op_is::<Conv>() => self.convolution(node, value),
            Some(Known::Map(value)) if node.op_is::<Reduce>() => self.mean(node, value),
            Some(Known::Map(value)) if node.op_is::<EinSum>() => self.dense(node, value),
            Some(Known::Map(value)) if node.op_is::<AxisOp>() => {
                // Of one pixel the order of the dimensions says nothing.
                let MapSize { height, width, .. } = self.graph.value(value).size;
                (height * width == 1).then(|| self.known.insert(outlet, Known::Map(value)))?;
                Some(())
            }
            Some(Known::Map(value)) if node.op_is::<TypedBinOp>() => self.sum(node, value),
            Some(Known::Map(value)) if node.op.name() == "Resize" => self.enlarged(node, value),
            Some(Known::Floats(floats)) => self.head(node, floats),
            Some(Known::Map(_)) => None,
            // The first operand may be the constant.
            None if node.op_is::<TypedBinOp>() || node.op_is::<EinSum>() => {
                match self.known.get(node.inputs.get(1)?)? {
                    Known::Floats(floats) => self.head(node, *floats),
                    _ => None,
                }
            }
            None => None,
        }
    }

    /// The `QuantizeLinear` that is the only one to read an outlet, behind activations that cut, and what it and they
    /// make of a sum.
    pub(super) fn quantised(&self, outlet: OutletId) -> Option<Quantised> {
        let mut outlet = outlet;
        let (mut low, mut high) = (f32::NEG_INFINITY, f32::INFINITY);
        loop {
            let [reader] = self.model.outlet_successors(outlet) else {
                return None;
            };
            if self.model.outputs.contains(&outlet) {
                return None;
            }
            let node = self.model.node(reader.node);
            if let Some(QuantizeLinear(linear)) = node.op_as() {
                let (scale, zero_point) = linear.of_bytes()?;
                // Rounding keeps the order of numbers, so it may come before or after they are cut.
                let end = |real: f32| {
                    let steps = (real / scale).round_ties_even() + f32::from(zero_point);
                    steps.clamp(-128.0, 127.0) as i8
                };
                return Some(Quantised {
                    outlet: node.id.into(),
                    scale,
                    zero_point,
                    target: Target::new(zero_point, end(low), end(high)),
                });
            }
            let TypedBinOp(operator, _) = node.op_as()?;
            let bound = scalar(self.model, node.inputs[1 - reader.slot])?;
            if operator.is::<Max>() {
                low = low.max(bound);
                high = high.max(bound);
            } else if operator.is::<Min>() {
                low = low.min(bound);
                high = high.min(bound);
            } else {
                return None;
            }
            outlet = node.id.into();
        }
    }

    /// A new map for what a `QuantizeLinear` puts out.
    pub(super) fn make(&mut self, size: MapSize, quantised: &Quantised) -> ValueId {
        let value = self.graph.add_value(MapValue {
            size,
            scale: quantised.scale,
            zero_point: stored(quantised.zero_point),
        });
        self.known.insert(quantised.outlet, Known::Stored(value));
        value
    }

    pub(super) fn add_layer(&mut self, node: &TypedNode, operation: Operation) {
        self.graph.layers.push(Layer {
            name: node.name.clone(),
            operation,
        });
    }

    /// All that somebody else reads becomes an output.
    fn finish(mut self) -> Option<Found> {
        let is_product = |layer: &Layer| {
            matches!(
                layer.operation,
                Operation::Dense(..) | Operation::Depthwise(..)
            )
        };
        if !self.graph.layers.iter().any(is_product) {
            return None;
        }
        let mut outlets: Vec<OutletId> = self.known.keys().copied().collect();
        outlets.sort_unstable();
        outlets.retain(|outlet| self.is_read_elsewhere(*outlet));
        for outlet in &outlets {
            let floats = match self.known[outlet] {
                Known::Floats(floats) => floats,
                Known::Map(value) => {
                    let MapSize {
                        height,
                        width,
                        channels,
                    } = self.graph.value(value).size;
                    let floats = self.graph.add_floats(height * width * channels);
                    let node = self.model.node(outlet.node);
                    self.add_layer(node, Operation::Dequantise(value, floats));
                    floats
                }
                // Bytes are read by nobody but what was looked at above: whatever else reads them would have to be
                // given bytes.
                Known::Stored(_) => return None,
            };
            self.graph.outputs.push(floats);
        }
        Some(Found {
            graph: self.graph,
            outlets,
        })
    }

    /// Whether a node that is not part of what was found reads the outlet, or it is an output of the model.
    fn is_read_elsewhere(&self, outlet: OutletId) -> bool {
        let readers = self.model.outlet_successors(outlet);
        let is_known = |reader: &InletId| self.is_part(reader.node);
        self.model.outputs.contains(&outlet) || !readers.iter().all(is_known)
    }

    /// Whether a node leads to nothing but what was found.
    fn is_part(&self, node: usize) -> bool {
        let outlet = OutletId::from(node);
        if self.known.contains_key(&outlet) {
            return true;
        }
        let readers = self.model.outlet_successors(outlet);
        !readers.is_empty()
            && !self.model.outputs.contains(&outlet)
            && readers.iter().all(|reader| self.is_part(reader.node))
    }
}

/// A `QuantizeLinear` behind a layer.
pub(super) struct Quantised {
    pub(super) outlet: OutletId,
    pub(super) scale: f32,
    pub(super) zero_point: i8,
    pub(super) target: Target,
}
