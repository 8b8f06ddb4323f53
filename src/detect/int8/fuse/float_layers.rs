//! Matches the operators on floats after the heads.

use tract_onnx::tract_core::ops::array::StridedSlice;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::identity::Identity;
use tract_onnx::tract_core::ops::math::{Add, Div, Exp, Ln, Max, Min, Mul, Sub};
use tract_onnx::tract_core::ops::nn::{Sigmoid, Softmax, SoftmaxKind};
use tract_onnx::tract_hir::internal::*;

use super::super::graph::{
    BinaryOp, BroadcastOperand, FloatId, FloatOp, Operand, Operation, UnaryOp,
};
use super::matcher::{PatternMatcher, ValueInfo, constant_floats, scalar};

/// Largest output that is matched; tract computes larger ones.
const MAX_ELEMENTS: usize = 65_536;

impl PatternMatcher<'_> {
    pub(super) fn match_float_op(&mut self, node: &TypedNode, input: FloatId) -> Option<()> {
        let outlet = OutletId::from(node.id);
        let length: usize = self.float_shape(outlet)?.iter().product();
        (1..=MAX_ELEMENTS).contains(&length).then_some(())?;
        let is_reshape = matches!(
            node.op_as(),
            Some(AxisOp::Add(_) | AxisOp::Rm(_) | AxisOp::Reshape(..))
        );
        if node.op_is::<Identity>() || is_reshape {
            self.values.insert(outlet, ValueInfo::Floats(input));
            return Some(());
        }
        // The buffer is added only if the operator matches.
        let output = FloatId(self.graph.float_lengths.len());
        let operation = if let Some(AxisOp::Move(from, to)) = node.op_as() {
            self.transpose(node, input, [*from, *to], output)?
        } else if node.op_is::<ElementWiseOp>() {
            unary(node, input, output)?
        } else if node.op_is::<StridedSlice>() {
            self.slice(node, input, output)?
        } else if node.op_is::<TypedBinOp>() {
            self.elementwise(node, output)?
        } else if node.op_is::<Softmax>() {
            self.softmax(node, input, output)?
        } else if node.op_is::<EinSum>() {
            self.matmul(node, output)?
        } else {
            return None;
        };
        let added = self.graph.add_floats(length);
        debug_assert_eq!(added, output);
        self.values.insert(outlet, ValueInfo::Floats(output));
        self.add_layer(node, Operation::Float(operation));
        Some(())
    }

    fn float_shape(&self, outlet: OutletId) -> Option<Vec<usize>> {
        let fact = self.model.outlet_fact(outlet).ok()?;
        (fact.datum_type == f32::datum_type()).then_some(())?;
        Some(fact.shape.as_concrete()?.to_vec())
    }

    /// One axis is moved to another place, over those between.
    fn transpose(
        &self,
        node: &TypedNode,
        input: FloatId,
        [from, to]: [usize; 2],
        output: FloatId,
    ) -> Option<FloatOp> {
        let shape = self.float_shape(node.inputs[0])?;
        let volume = |axes: std::ops::Range<usize>| shape[axes].iter().product::<usize>();
        let size = if from <= to {
            [
                shape[from],
                volume(from + 1..to + 1),
                volume(to + 1..shape.len()),
            ]
        } else {
            [volume(to..from), shape[from], volume(from + 1..shape.len())]
        };
        Some(FloatOp::Transpose {
            input,
            size,
            output,
        })
    }

    /// A contiguous slice: along one axis with step 1, where all dimensions before the axis are 1.
    fn slice(&self, node: &TypedNode, input: FloatId, output: FloatId) -> Option<FloatOp> {
        let slice: &StridedSlice = node.op_as()?;
        let shape = self.float_shape(node.inputs[0])?;
        let out_shape = self.float_shape(node.id.into())?;
        let is_supported = slice.begin_mask == 0
            && slice.shrink_axis_mask == 0
            && shape.len() == out_shape.len()
            && match slice.optional_steps_input {
                Some(steps) => scalar(self.model, *node.inputs.get(steps)?) == Some(1.0),
                None => true,
            };
        is_supported.then_some(())?;
        // ONNX counts negative axes and indices from the end.
        let from_end = |index: f32, length: usize| {
            let offset = if index < 0.0 { length as f32 } else { 0.0 };
            (index + offset) as usize
        };
        let axis = scalar(self.model, *node.inputs.get(slice.optional_axes_input?)?)?;
        let axis = from_end(axis, shape.len());
        let length = *shape.get(axis)?;
        let begin = from_end(scalar(self.model, node.inputs[1])?, length);
        let is_contiguous = shape[..axis].iter().all(|&dim| dim == 1);
        let inner: usize = shape[axis + 1..].iter().product();
        let fits = begin + out_shape[axis] <= length && out_shape[axis + 1..] == shape[axis + 1..];
        (is_contiguous && fits).then_some(FloatOp::Slice {
            input,
            start: begin * inner,
            output,
        })
    }

    fn elementwise(&self, node: &TypedNode, output: FloatId) -> Option<FloatOp> {
        let TypedBinOp(operator, _) = node.op_as()?;
        let function = if operator.is::<Add>() {
            BinaryOp::Add
        } else if operator.is::<Sub>() {
            BinaryOp::Subtract
        } else if operator.is::<Mul>() {
            BinaryOp::Multiply
        } else if operator.is::<Div>() {
            BinaryOp::Divide
        } else if operator.is::<Min>() {
            BinaryOp::Min
        } else if operator.is::<Max>() {
            BinaryOp::Max
        } else {
            return None;
        };
        let shape = self.float_shape(node.id.into())?;
        let input = |index: usize| self.broadcast_operand(node.inputs[index], &shape);
        let mut inputs = [input(0)?, input(1)?];
        // Dimensions of length 1 do not affect the result.
        let kept: Vec<usize> = (0..shape.len()).filter(|&axis| shape[axis] > 1).collect();
        for input in &mut inputs {
            input.strides = kept.iter().map(|&axis| input.strides[axis]).collect();
        }
        Some(FloatOp::Elementwise {
            function,
            inputs,
            output,
            shape: kept.iter().map(|&axis| shape[axis]).collect(),
        })
    }

    fn broadcast_operand(&self, outlet: OutletId, out_shape: &[usize]) -> Option<BroadcastOperand> {
        let shape = self.float_shape(outlet)?;
        (shape.len() == out_shape.len()).then_some(())?;
        let mut strides = vec![0; shape.len()];
        let mut stride = 1;
        for (axis, &length) in shape.iter().enumerate().rev() {
            if length > 1 {
                strides[axis] = stride;
            }
            stride *= length;
        }
        let operand = self.operand(outlet)?;
        Some(BroadcastOperand { operand, strides })
    }

    fn operand(&self, outlet: OutletId) -> Option<Operand> {
        Some(match self.values.get(&outlet) {
            Some(ValueInfo::Floats(floats)) => Operand::Computed(*floats),
            _ => Operand::Constant(constant_floats(self.model, outlet)?),
        })
    }

    fn softmax(&self, node: &TypedNode, input: FloatId, output: FloatId) -> Option<FloatOp> {
        let softmax: &Softmax = node.op_as()?;
        let [axis] = softmax.axes[..] else {
            return None;
        };
        let is_float = softmax.kind == SoftmaxKind::Softmax && softmax.quant_output_dt.is_none();
        let shape = self.float_shape(node.id.into())?;
        is_float.then(|| FloatOp::Softmax {
            input,
            axis: shape[axis],
            inner: shape[axis + 1..].iter().product(),
            output,
        })
    }

    fn matmul(&self, node: &TypedNode, output: FloatId) -> Option<FloatOp> {
        let einsum: &EinSum = node.op_as()?;
        let is_matmul = matches!(
            einsum.axes.to_string().as_str(),
            "amk,akn->amn" | "mk,kn->mn"
        );
        (is_matmul && einsum.q_params.is_none()).then_some(())?;
        let a = self.float_shape(node.inputs[0])?;
        let b = self.float_shape(node.inputs[1])?;
        Some(FloatOp::MatMul {
            inputs: [self.operand(node.inputs[0])?, self.operand(node.inputs[1])?],
            size: [a[a.len() - 2], a[a.len() - 1], b[b.len() - 1]],
            output,
        })
    }
}

fn unary(node: &TypedNode, input: FloatId, output: FloatId) -> Option<FloatOp> {
    let ElementWiseOp(operator, None) = node.op_as()? else {
        return None;
    };
    let function = if operator.is::<Exp>() {
        UnaryOp::Exp
    } else if operator.is::<Ln>() {
        UnaryOp::Ln
    } else if operator.is::<Sigmoid>() {
        UnaryOp::Sigmoid
    } else {
        return None;
    };
    Some(FloatOp::Unary {
        function,
        input,
        output,
    })
}
