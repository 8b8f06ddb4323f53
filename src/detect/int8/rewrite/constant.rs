//! Constants of a typed graph, looked for behind what only passes them on.

use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_hir::internal::*;

use super::qdq::{DequantizeLinear, Linear};

/// The tensor that a constant is dequantised from, and how.
pub(super) fn dequantised(model: &TypedModel, outlet: OutletId) -> Option<(&Linear, &Tensor)> {
    let node = model.node(outlet.node);
    if node.op_is::<Cast>() || node.op_is::<AxisOp>() {
        return dequantised(model, *node.inputs.first()?);
    }
    let DequantizeLinear(linear, _) = node.op_as()?;
    let tensor = model.node(node.inputs[0].node).op_as::<Const>()?.val();
    Some((linear, tensor))
}

/// The value of an outlet whose inputs are all constants, in the end.
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

/// The floats of a constant.
pub(super) fn floats(model: &TypedModel, outlet: OutletId) -> Option<Vec<f32>> {
    let tensor = constant(model, outlet)?;
    let floats = tensor.cast_to::<f32>().ok()?;
    Some(
        floats
            .to_plain_array_view::<f32>()
            .ok()?
            .iter()
            .copied()
            .collect(),
    )
}

/// The one float of a constant.
pub(super) fn scalar(model: &TypedModel, outlet: OutletId) -> Option<f32> {
    match floats(model, outlet)?.as_slice() {
        [scalar] => Some(*scalar),
        _ => None,
    }
}
