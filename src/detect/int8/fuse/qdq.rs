//! `QuantizeLinear` and `DequantizeLinear` as operators that remain visible to a pass, with their scales and zero
//! points.

use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

/// tract's ONNX reader with these two operators in place of its own.
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
        "{}: block quantization is not supported",
        node.op_type
    );
    let axis = node.get_attr_opt("axis")?.unwrap_or(1);
    let has_zero_point = node.input.get(2).is_some_and(|input| !input.is_empty());
    let operator = QdqNode {
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

/// One of the two as declared in the file.
#[derive(Debug, Clone)]
struct QdqNode {
    direction: Direction,
    axis: i64,
    has_zero_point: bool,
}

impl Expansion for QdqNode {
    fn name(&self) -> StaticName {
        match self.direction {
            Direction::Quantize => "QuantizeLinear".into(),
            Direction::Dequantize => "DequantizeLinear".into(),
        }
    }

    /// Otherwise tract would convert weights to floats before the pass runs.
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
                .context("scale and zero point must be constants")
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
            "a scale must be above 0"
        );
        let input_type = target.outlet_fact(inputs[0])?.datum_type;
        let (zero_points, datum_type) = if self.has_zero_point {
            let tensor = constant(2)?;
            let values = tensor.cast_to::<i32>()?;
            let values = values
                .to_plain_array_view::<i32>()?
                .iter()
                .copied()
                .collect();
            (values, tensor.datum_type())
        } else if self.direction == Direction::Dequantize {
            (vec![0; scales.len()], input_type)
        } else {
            (vec![0; scales.len()], u8::datum_type())
        };
        ensure!(
            zero_points.len() == scales.len(),
            "the number of zero points differs from the number of scales"
        );
        let rank = target.outlet_fact(inputs[0])?.rank() as i64;
        let axis = if self.axis < 0 {
            self.axis + rank
        } else {
            self.axis
        };
        let params = QuantParams {
            scales,
            zero_points,
            axis: axis as usize,
            datum_type,
        };
        match self.direction {
            Direction::Quantize => {
                ensure!(
                    params.range().is_some(),
                    "QuantizeLinear: {datum_type:?} is not supported"
                );
                target.wire_node(prefix, QuantizeLinear(params), &[inputs[0]])
            }
            Direction::Dequantize => {
                let operator = DequantizeLinear {
                    params,
                    can_fold: false,
                };
                target.wire_node(prefix, operator, &[inputs[0]])
            }
        }
    }
}

/// Scales and zero points, per tensor or per index of an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct QuantParams {
    pub(super) scales: Vec<f32>,
    pub(super) zero_points: Vec<i32>,
    pub(super) axis: usize,
    /// Type of the quantized values.
    pub(super) datum_type: DatumType,
}

impl Eq for QuantParams {}

impl QuantParams {
    /// Least and greatest quantized value.
    fn range(&self) -> Option<(f32, f32)> {
        match self.datum_type {
            DatumType::I8 => Some((-128.0, 127.0)),
            DatumType::U8 => Some((0.0, 255.0)),
            _ => None,
        }
    }

    /// The scale and zero point of bytes quantized per tensor, the zero point as `q` in -128..=127.
    pub(super) fn per_tensor(&self) -> Option<(f32, i8)> {
        let ([scale], [zero_point]) = (self.scales.as_slice(), self.zero_points.as_slice()) else {
            return None;
        };
        let offset = match self.datum_type {
            DatumType::I8 => 0,
            DatumType::U8 => 128,
            _ => return None,
        };
        Some((*scale, i8::try_from(zero_point - offset).ok()?))
    }

    /// Scale and zero point of each element of a tensor.
    fn per_element(&self, shape: &[usize]) -> impl Iterator<Item = (f32, i32)> {
        let inner: usize = shape.iter().skip(self.axis + 1).product();
        let count = self.scales.len();
        let volume: usize = shape.iter().product();
        (0..volume).map(move |element| {
            let index = if count == 1 {
                0
            } else {
                element / inner % count
            };
            (self.scales[index], self.zero_points[index])
        })
    }
}

/// `saturate(round_half_to_even(x / scale) + zero_point)`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QuantizeLinear(pub(super) QuantParams);

/// `(x - zero_point) * scale`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DequantizeLinear {
    pub(super) params: QuantParams,
    /// Whether tract may fold it into a constant; only after the pass that matches it.
    pub(super) can_fold: bool,
}

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
        let (min, max) = self
            .0
            .range()
            .context("QuantizeLinear: the output type is not supported")?;
        let quantized = view.iter().zip(self.0.per_element(floats.shape()));
        let quantized = quantized.map(|(x, (scale, zero_point))| {
            ((x / scale).round_ties_even() + zero_point as f32).clamp(min, max)
        });
        let shape = floats.shape();
        let tensor = if self.0.datum_type == i8::datum_type() {
            Tensor::from_shape(shape, &quantized.map(|q| q as i8).collect::<Vec<_>>())?
        } else {
            Tensor::from_shape(shape, &quantized.map(|q| q as u8).collect::<Vec<_>>())?
        };
        Ok(tvec!(tensor.into()))
    }

    op_out_of_plan!();
}

impl TypedOp for QuantizeLinear {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(self.0.datum_type.fact(inputs[0].shape.clone())))
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
        let values = inputs[0].cast_to::<i32>()?;
        let view = values.to_plain_array_view::<i32>()?;
        let floats = view.iter().zip(self.params.per_element(values.shape()));
        let floats = floats.map(|(q, (scale, zero_point))| (q - zero_point) as f32 * scale);
        let floats: Vec<f32> = floats.collect();
        Ok(tvec!(Tensor::from_shape(values.shape(), &floats)?.into()))
    }

    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        match self.can_fold {
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
