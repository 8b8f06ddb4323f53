//! `QuantizeLinear` and `DequantizeLinear` as operators that a pass can still see, with their constants in them.

use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

/// tract's reader of ONNX files, with the two operators of this file.
#[must_use]
pub fn framework() -> Onnx {
    let mut onnx = tract_onnx::onnx();
    onnx.op_register.insert("QuantizeLinear", quantize_linear);
    onnx.op_register
        .insert("DequantizeLinear", dequantize_linear);
    onnx
}

fn quantize_linear(
    _: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    read(node, Direction::Quantize)
}

fn dequantize_linear(
    _: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    read(node, Direction::Dequantize)
}

fn read(
    node: &NodeProto,
    direction: Direction,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let block = node.get_attr_opt::<i64>("block_size")?.unwrap_or(0);
    ensure!(
        block == 0,
        "{}: scales by blocks are not supported",
        node.op_type
    );
    let axis = node.get_attr_opt("axis")?.unwrap_or(1);
    let has_zero_point = node.input.get(2).is_some_and(|input| !input.is_empty());
    let operator = Reading {
        direction,
        axis,
        has_zero_point,
    };
    Ok((expand(operator), vec![]))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Direction {
    Quantize,
    Dequantize,
}

/// One of the two as it stands in the file.
#[derive(Debug, Clone)]
struct Reading {
    direction: Direction,
    axis: i64,
    has_zero_point: bool,
}

impl Expansion for Reading {
    fn name(&self) -> StaticName {
        match self.direction {
            Direction::Quantize => "QuantizeLinear".into(),
            Direction::Dequantize => "DequantizeLinear".into(),
        }
    }

    /// Weights would become floats before the pass sees them.
    fn runs_out_of_plan(&self) -> bool {
        false
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 2 + usize::from(self.has_zero_point))?;
        check_output_arity(outputs, 1)?;
        solver.equals(&inputs[1].datum_type, f32::datum_type())?;
        solver.equals(&inputs[0].shape, &outputs[0].shape)?;
        match (self.direction, self.has_zero_point) {
            (Direction::Quantize, true) => {
                solver.equals(&outputs[0].datum_type, &inputs[2].datum_type)
            }
            (Direction::Quantize, false) => solver.equals(&outputs[0].datum_type, u8::datum_type()),
            (Direction::Dequantize, _) => solver.equals(&outputs[0].datum_type, f32::datum_type()),
        }
    }

    fn wire(
        &self,
        prefix: &str,
        target: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let constant = |input: usize| {
            let fact = target.outlet_fact(inputs[input])?;
            fact.konst
                .clone()
                .context("scales and zero points must be constants")
        };
        let scales = constant(1)?;
        let scales = scales.cast_to::<f32>()?;
        let scales = scales
            .to_plain_array_view::<f32>()?
            .iter()
            .copied()
            .collect::<Vec<_>>();
        ensure!(
            !scales.is_empty() && scales.iter().all(|scale| scale.is_finite() && *scale > 0.0),
            "scales must be above 0"
        );
        let stored = target.outlet_fact(inputs[0])?.datum_type;
        let (zero_points, stored) = if self.has_zero_point {
            let tensor = constant(2)?;
            let numbers = tensor.cast_to::<i32>()?;
            let numbers = numbers
                .to_plain_array_view::<i32>()?
                .iter()
                .copied()
                .collect();
            (numbers, tensor.datum_type())
        } else if self.direction == Direction::Dequantize {
            (vec![0; scales.len()], stored)
        } else {
            (vec![0; scales.len()], u8::datum_type())
        };
        ensure!(
            zero_points.len() == scales.len(),
            "as many zero points as scales are needed"
        );
        let rank = target.outlet_fact(inputs[0])?.rank() as i64;
        let axis = if self.axis < 0 {
            self.axis + rank
        } else {
            self.axis
        };
        let linear = Linear {
            scales,
            zero_points,
            axis: axis as usize,
            stored,
        };
        match self.direction {
            Direction::Quantize => {
                ensure!(
                    linear.ends().is_some(),
                    "QuantizeLinear: {stored:?} is not supported"
                );
                target.wire_node(prefix, QuantizeLinear(linear), &[inputs[0]])
            }
            Direction::Dequantize => {
                let is_constant = false;
                target.wire_node(prefix, DequantizeLinear(linear, is_constant), &[inputs[0]])
            }
        }
    }
}

/// Scales and zero points: one for all, or one for each place along an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Linear {
    pub(super) scales: Vec<f32>,
    pub(super) zero_points: Vec<i32>,
    pub(super) axis: usize,
    /// Type of the whole numbers.
    pub(super) stored: DatumType,
}

impl Eq for Linear {}

impl Linear {
    /// Least and greatest whole number.
    fn ends(&self) -> Option<(f32, f32)> {
        match self.stored {
            DatumType::I8 => Some((-128.0, 127.0)),
            DatumType::U8 => Some((0.0, 255.0)),
            _ => None,
        }
    }

    /// The one scale and the one zero point of bytes, as `q` in -128..=127.
    pub(super) fn of_bytes(&self) -> Option<(f32, i8)> {
        let ([scale], [zero_point]) = (self.scales.as_slice(), self.zero_points.as_slice()) else {
            return None;
        };
        let offset = match self.stored {
            DatumType::I8 => 0,
            DatumType::U8 => 128,
            _ => return None,
        };
        Some((*scale, i8::try_from(zero_point - offset).ok()?))
    }

    /// Scale and zero point of each number of a tensor, in order.
    fn each(&self, shape: &[usize]) -> impl Iterator<Item = (f32, i32)> {
        let inner: usize = shape.iter().skip(self.axis + 1).product();
        let count = self.scales.len();
        let volume: usize = shape.iter().product();
        (0..volume).map(move |at| {
            let place = if count == 1 { 0 } else { at / inner % count };
            (self.scales[place], self.zero_points[place])
        })
    }
}

/// `saturate(round_half_to_even(x / scale) + zero_point)`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QuantizeLinear(pub(super) Linear);

/// `(x - zero_point) * scale`. The flag is set once no pass has to see it any more, so that tract may compute it when
/// its input is constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DequantizeLinear(pub(super) Linear, pub(super) bool);

impl Op for QuantizeLinear {
    fn name(&self) -> StaticName {
        "QuantizeLinear".into()
    }

    op_as_typed_op!();
}

impl EvalOp for QuantizeLinear {
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let floats = inputs[0].cast_to::<f32>()?;
        let view = floats.to_plain_array_view::<f32>()?;
        let (low, high) = self.0.ends().context("QuantizeLinear puts out bytes")?;
        let quantised = view.iter().zip(self.0.each(floats.shape()));
        let quantised = quantised.map(|(x, (scale, zero_point))| {
            ((x / scale).round_ties_even() + zero_point as f32).clamp(low, high)
        });
        let shape = floats.shape();
        let tensor = if self.0.stored == i8::datum_type() {
            Tensor::from_shape(shape, &quantised.map(|q| q as i8).collect::<Vec<_>>())?
        } else {
            Tensor::from_shape(shape, &quantised.map(|q| q as u8).collect::<Vec<_>>())?
        };
        Ok(tvec!(tensor.into()))
    }

    op_out_of_plan!();
}

impl TypedOp for QuantizeLinear {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(self.0.stored.fact(inputs[0].shape.clone())))
    }

    as_op!();
}

impl Op for DequantizeLinear {
    fn name(&self) -> StaticName {
        "DequantizeLinear".into()
    }

    op_as_typed_op!();
}

impl EvalOp for DequantizeLinear {
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let numbers = inputs[0].cast_to::<i32>()?;
        let view = numbers.to_plain_array_view::<i32>()?;
        let floats = view.iter().zip(self.0.each(numbers.shape()));
        let floats = floats.map(|(q, (scale, zero_point))| (q - zero_point) as f32 * scale);
        let floats: Vec<f32> = floats.collect();
        Ok(tvec!(Tensor::from_shape(numbers.shape(), &floats)?.into()))
    }

    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        match self.1 {
            true => Ok(Some(self.eval(&EvalContext::out_of_plan(), inputs)?)),
            false => Ok(None),
        }
    }
}

impl TypedOp for DequantizeLinear {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(inputs[0].shape.clone())))
    }

    as_op!();
}
