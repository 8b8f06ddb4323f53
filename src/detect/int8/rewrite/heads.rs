//! What follows the heads in floats: a few operators on a few thousand numbers.

use tract_onnx::tract_core::ops::array::StridedSlice;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::identity::Identity;
use tract_onnx::tract_core::ops::math::{Add, Div, Max, Min, Mul, Sub};
use tract_onnx::tract_core::ops::nn::{Softmax, SoftmaxKind};
use tract_onnx::tract_hir::internal::*;

use super::super::floats::{FloatOperation, Numbers, Operand, PairFunction};
use super::super::graph::{FloatId, Operation};
use super::constant::{floats, scalar};
use super::find::{Finder, Known};

/// Most numbers that are taken in here; larger maps are tract's.
const MOST_NUMBERS: usize = 65_536;

impl Finder<'_> {
    pub(super) fn head(&mut self, node: &TypedNode, input: FloatId) -> Option<()> {
        let outlet = OutletId::from(node.id);
        let length: usize = self.shape(outlet)?.iter().product();
        (length <= MOST_NUMBERS).then_some(())?;
        if node.op_is::<Identity>() || self.only_renames(node) {
            self.known.insert(outlet, Known::Floats(input));
            return Some(());
        }
        let output = FloatId(self.graph.floats.len());
        let operation = if node.op_is::<StridedSlice>() {
            self.part(node, input, output)?
        } else if node.op_is::<TypedBinOp>() {
            self.pairs(node, output)?
        } else if node.op_is::<Softmax>() {
            self.softmax(node, input, output)?
        } else if node.op_is::<EinSum>() {
            self.matrices(node, output)?
        } else {
            return None;
        };
        let made = self.graph.add_floats(length);
        debug_assert_eq!(made, output);
        self.known.insert(outlet, Known::Floats(output));
        self.add_layer(node, Operation::Float(operation));
        Some(())
    }

    fn shape(&self, outlet: OutletId) -> Option<Vec<usize>> {
        let fact = self.model.outlet_fact(outlet).ok()?;
        (fact.datum_type == f32::datum_type()).then_some(())?;
        Some(fact.shape.as_concrete()?.to_vec())
    }

    /// Whether the numbers stay where they are.
    fn only_renames(&self, node: &TypedNode) -> bool {
        matches!(
            node.op_as(),
            Some(AxisOp::Add(_) | AxisOp::Rm(_) | AxisOp::Reshape(..))
        )
    }

    /// Numbers of one dimension from a place on, where all dimensions before it are 1.
    fn part(&self, node: &TypedNode, input: FloatId, output: FloatId) -> Option<FloatOperation> {
        let slice: &StridedSlice = node.op_as()?;
        let [shape, made] = [node.inputs[0], node.id.into()].map(|outlet| self.shape(outlet));
        let (shape, made) = (shape?, made?);
        let is_plain = slice.begin_mask == 0
            && slice.shrink_axis_mask == 0
            && shape.len() == made.len()
            && match slice.optional_steps_input {
                Some(steps) => scalar(self.model, *node.inputs.get(steps)?) == Some(1.0),
                None => true,
            };
        is_plain.then_some(())?;
        let axis = scalar(self.model, *node.inputs.get(slice.optional_axes_input?)?)?;
        let axis = if axis < 0.0 {
            axis + shape.len() as f32
        } else {
            axis
        } as usize;
        let begin = scalar(self.model, node.inputs[1])?;
        let length = *shape.get(axis)?;
        let begin = if begin < 0.0 {
            begin + length as f32
        } else {
            begin
        } as usize;
        let is_one_stretch = shape[..axis].iter().all(|&dim| dim == 1);
        let inner: usize = shape[axis + 1..].iter().product();
        let fits = begin + made[axis] <= length && made[axis + 1..] == shape[axis + 1..];
        (is_one_stretch && fits).then_some(FloatOperation::Part {
            input,
            from: begin * inner,
            output,
        })
    }

    fn pairs(&self, node: &TypedNode, output: FloatId) -> Option<FloatOperation> {
        let TypedBinOp(operator, _) = node.op_as()?;
        let function = if operator.is::<Add>() {
            PairFunction::Add
        } else if operator.is::<Sub>() {
            PairFunction::Subtract
        } else if operator.is::<Mul>() {
            PairFunction::Multiply
        } else if operator.is::<Div>() {
            PairFunction::Divide
        } else if operator.is::<Min>() {
            PairFunction::Min
        } else if operator.is::<Max>() {
            PairFunction::Max
        } else {
            return None;
        };
        let shape = self.shape(node.id.into())?;
        let operand = |input: usize| self.operand(node.inputs[input], &shape);
        let mut inputs = [operand(0)?, operand(1)?];
        // Of a dimension with one place nothing depends.
        let kept: Vec<usize> = (0..shape.len()).filter(|&at| shape[at] > 1).collect();
        for operand in &mut inputs {
            operand.strides = kept.iter().map(|&at| operand.strides[at]).collect();
        }
        Some(FloatOperation::Pairs {
            function,
            inputs,
            output,
            shape: kept.iter().map(|&at| shape[at]).collect(),
        })
    }

    fn operand(&self, outlet: OutletId, made: &[usize]) -> Option<Operand> {
        let shape = self.shape(outlet)?;
        (shape.len() == made.len()).then_some(())?;
        let mut strides = vec![0; shape.len()];
        let mut stride = 1;
        for (at, &length) in shape.iter().enumerate().rev() {
            if length > 1 {
                strides[at] = stride;
            }
            stride *= length;
        }
        let numbers = self.numbers(outlet)?;
        Some(Operand { numbers, strides })
    }

    fn numbers(&self, outlet: OutletId) -> Option<Numbers> {
        Some(match self.known.get(&outlet) {
            Some(Known::Floats(list)) => Numbers::List(*list),
            _ => Numbers::Constant(floats(self.model, outlet)?),
        })
    }

    fn softmax(&self, node: &TypedNode, input: FloatId, output: FloatId) -> Option<FloatOperation> {
        let softmax: &Softmax = node.op_as()?;
        let [axis] = softmax.axes[..] else {
            return None;
        };
        let is_plain = softmax.kind == SoftmaxKind::Softmax && softmax.quant_output_dt.is_none();
        let shape = self.shape(node.id.into())?;
        is_plain.then(|| FloatOperation::Softmax {
            input,
            axis: shape[axis],
            inner: shape[axis + 1..].iter().product(),
            output,
        })
    }

    fn matrices(&self, node: &TypedNode, output: FloatId) -> Option<FloatOperation> {
        let product: &EinSum = node.op_as()?;
        let is_plain = matches!(
            product.axes.to_string().as_str(),
            "amk,akn->amn" | "mk,kn->mn"
        );
        (is_plain && product.q_params.is_none()).then_some(())?;
        let [a, b] = [0, 1].map(|input| self.shape(node.inputs[input]));
        let (a, b) = (a?, b?);
        Some(FloatOperation::Product {
            inputs: [self.numbers(node.inputs[0])?, self.numbers(node.inputs[1])?],
            size: [a[a.len() - 2], a[a.len() - 1], b[b.len() - 1]],
            output,
        })
    }
}
