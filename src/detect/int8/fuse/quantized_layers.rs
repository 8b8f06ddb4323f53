//! Matches convolutions, fully connected layers, means, additions and upsampling on quantized values.

use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::math::{Add, Div, Mul};
use tract_onnx::tract_core::ops::nn::{DataFormat, Reduce, Reducer};
use tract_onnx::tract_hir::internal::*;

use super::super::graph::{Conv2d, DepthwiseConv2d, Epilogue, FeatureMap, MapId, Operation};
use super::super::tensor::{MapSize, OutputQuant, Padding, Window};
use super::matcher::{PatternMatcher, ValueInfo, constant, constant_floats, map_size, scalar};
use super::qdq::{DequantizeLinear, QuantParams};

/// Largest number of multiplications of a layer with float output, which has no optimized kernel.
const MAX_FLOAT_PRODUCTS: usize = 2_000_000;

/// A convolution or fully connected layer, without its weights.
struct LinearLayer {
    /// Outlet of the sums.
    outlet: OutletId,
    input: MapId,
    /// The input's scale times the weights' scale, for each output channel.
    steps: Vec<f32>,
    /// In units of `steps`.
    bias: Vec<i32>,
    output: MapSize,
}

impl PatternMatcher<'_> {
    pub(super) fn match_convolution(&mut self, node: &TypedNode, input: MapId) -> Option<()> {
        let conv: &Conv = node.op_as()?;
        let size = self.graph.feature_map(input).size;
        let pool = &conv.pool_spec;
        let is_supported = conv.q_params.is_none()
            && conv.kernel_fmt == KernelFormat::OIHW
            && pool.data_format == DataFormat::NCHW
            && pool.rank() == 2
            && pool.dilations().iter().all(|&dilation| dilation == 1)
            && pool.stride(0) == pool.stride(1);
        if !is_supported {
            return None;
        }
        let weights = ConvWeights::new(self.model, node.inputs[1], 0)?;
        let padding = pool.computed_padding(&[size.height, size.width]);
        let window = Window {
            kernel: [pool.kernel_shape[0], pool.kernel_shape[1]],
            stride: pool.stride(0),
            padding: Padding {
                top: padding[0].pad_before,
                bottom: padding[0].pad_after,
                left: padding[1].pad_before,
                right: padding[1].pad_after,
            },
        };
        let output = map_size(self.model, node.id.into())?;
        let expected = window.output_size(size.height, size.width)?;
        (expected == [output.height, output.width]).then_some(())?;
        let layer = self.linear_layer(node.id.into(), input, node.inputs[2], &weights, output)?;
        match conv.group {
            1 => self.add_conv2d(node, window, weights, &layer),
            group if group == size.channels && group == output.channels => {
                self.add_depthwise(node, window, &weights, &layer)
            }
            _ => None,
        }
    }

    /// Matches a matrix product of a vector with constant weights, and the addition of its bias.
    pub(super) fn match_linear(&mut self, node: &TypedNode, input: MapId) -> Option<()> {
        let einsum: &EinSum = node.op_as()?;
        let size = self.graph.feature_map(input).size;
        let out_axis = match einsum.axes.to_string().as_str() {
            "mk,nk->mn" => 0,
            "mk,kn->mn" => 1,
            _ => return None,
        };
        if size.height * size.width != 1 || einsum.q_params.is_some() {
            return None;
        }
        let mut weights = ConvWeights::new(self.model, node.inputs[1], out_axis)?;
        if out_axis == 1 {
            let [inner, out] = weights.shape[..] else {
                return None;
            };
            let transposed = |index: usize| weights.values[index % inner * out + index / inner];
            weights.values = (0..inner * out).map(transposed).collect();
        }
        let output = map_size(self.model, node.id.into())?;
        let (outlet, bias) = self.bias_addition(node.id.into())?;
        let layer = self.linear_layer(outlet, input, bias, &weights, output)?;
        self.add_conv2d(node, Window::POINTWISE, weights, &layer)
    }

    /// The outlet of the addition of a constant to an outlet, and the constant.
    fn bias_addition(&self, outlet: OutletId) -> Option<(OutletId, OutletId)> {
        let [reader] = self.model.outlet_successors(outlet) else {
            return None;
        };
        let node = self.model.node(reader.node);
        let TypedBinOp(operator, _) = node.op_as()?;
        // ONNX's Gemm multiplies its bias by a beta, which is nearly always 1.
        let bias = self.without_factor_of_one(node.inputs[1 - reader.slot]);
        constant_floats(self.model, bias)?;
        operator.is::<Add>().then(|| (node.id.into(), bias))
    }

    fn without_factor_of_one(&self, outlet: OutletId) -> OutletId {
        let node = self.model.node(outlet.node);
        let is_product = node
            .op_as()
            .is_some_and(|TypedBinOp(operator, _)| operator.is::<Mul>());
        if !is_product {
            return outlet;
        }
        let is_one = |factor: OutletId| scalar(self.model, factor) == Some(1.0);
        let inputs = [(0, 1), (1, 0)].map(|(a, b)| (node.inputs[a], node.inputs[b]));
        let other = inputs.into_iter().find(|(factor, _)| is_one(*factor));
        other.map_or(outlet, |(_, other)| other)
    }

    fn linear_layer(
        &self,
        outlet: OutletId,
        input: MapId,
        bias: OutletId,
        weights: &ConvWeights,
        output: MapSize,
    ) -> Option<LinearLayer> {
        let scale = self.graph.feature_map(input).scale;
        let steps: Vec<f32> = weights.scales.iter().map(|weight| scale * weight).collect();
        let bias = quantized_bias(self.model, bias, &steps)?;
        Some(LinearLayer {
            outlet,
            input,
            steps,
            bias,
            output,
        })
    }

    fn add_conv2d(
        &mut self,
        node: &TypedNode,
        window: Window,
        weights: ConvWeights,
        layer: &LinearLayer,
    ) -> Option<()> {
        let input = *self.graph.feature_map(layer.input);
        let [rows, columns] = window.kernel;
        let (in_channels, taps) = (input.size.channels, rows * columns);
        let per_channel = taps * in_channels;
        (weights.values.len() == layer.output.channels * per_channel).then_some(())?;
        let weights: Vec<i8> = match taps {
            1 => weights.values,
            // From [out][in][row][column] to [out][row][column][in].
            _ => {
                let transposed = |index: usize| {
                    let (out, rest) = (index / per_channel, index % per_channel);
                    let (tap, channel) = (rest / in_channels, rest % in_channels);
                    weights.values[(out * in_channels + channel) * taps + tap]
                };
                (0..weights.values.len()).map(transposed).collect()
            }
        };
        let totals: Vec<WeightTotals> = weights
            .chunks_exact(per_channel)
            .map(WeightTotals::new)
            .collect();
        let quantized = self.quantized_output(layer.outlet);
        let products = weights.len() * layer.output.height * layer.output.width;
        let epilogue = match &quantized {
            Some(found) => epilogue(layer, &input, &totals, Some(found.scale), found.quant)?,
            None if products > MAX_FLOAT_PRODUCTS => return None,
            None => {
                let unused = OutputQuant::new(0, i8::MIN, i8::MAX);
                epilogue(layer, &input, &totals, None, unused)?
            }
        };
        let conv = Conv2d {
            window,
            in_channels,
            weights,
            epilogue,
        };
        let operation = match quantized {
            Some(found) => {
                let output = self.add_map(layer.output, &found);
                Operation::Conv2d(layer.input, conv, output)
            }
            None => {
                let floats = self.graph.add_floats(layer.output.volume());
                self.values.insert(layer.outlet, ValueInfo::Floats(floats));
                Operation::FloatConv2d(layer.input, conv, floats)
            }
        };
        self.add_layer(node, operation);
        Some(())
    }

    fn add_depthwise(
        &mut self,
        node: &TypedNode,
        window: Window,
        weights: &ConvWeights,
        layer: &LinearLayer,
    ) -> Option<()> {
        let input = *self.graph.feature_map(layer.input);
        let found = self.quantized_output(layer.outlet)?;
        let channels = input.size.channels;
        let taps = window.kernel[0] * window.kernel[1];
        (weights.values.len() == channels * taps).then_some(())?;
        // From [channel][row][column] to [row][column][channel].
        let transposed = |index: usize| weights.values[index % channels * taps + index / channels];
        let per_channel = weights.values.chunks_exact(taps);
        let totals: Vec<WeightTotals> = per_channel.map(WeightTotals::new).collect();
        let epilogue = epilogue(layer, &input, &totals, Some(found.scale), found.quant)?;
        let conv = DepthwiseConv2d {
            window,
            weights: (0..channels * taps).map(transposed).collect(),
            epilogue,
        };
        let output = self.add_map(layer.output, &found);
        self.add_layer(node, Operation::DepthwiseConv2d(layer.input, conv, output));
        Some(())
    }

    /// Matches a global average pool: the sum over height and width, divided by the number of pixels.
    pub(super) fn match_mean(&mut self, node: &TypedNode, input: MapId) -> Option<()> {
        let reduce: &Reduce = node.op_as()?;
        let size = self.graph.feature_map(input).size;
        (reduce.axes[..] == [2, 3] && matches!(reduce.reducer, Reducer::Sum)).then_some(())?;
        let [reader] = self.model.outlet_successors(node.id.into()) else {
            return None;
        };
        let division = self.model.node(reader.node);
        let TypedBinOp(operator, _) = division.op_as()?;
        let divisor = scalar(self.model, division.inputs[1])?;
        let pixels = (size.height * size.width) as f32;
        let is_mean = reader.slot == 0
            && ((operator.is::<Div>() && divisor == pixels)
                || (operator.is::<Mul>() && divisor == 1.0 / pixels));
        is_mean.then_some(())?;
        let found = self.quantized_output(division.id.into())?;
        let pooled = MapSize {
            height: 1,
            width: 1,
            ..size
        };
        let output = self.add_map(pooled, &found);
        self.add_layer(
            node,
            Operation::GlobalAveragePool(input, found.quant, output),
        );
        Some(())
    }

    /// Matches a `Resize` that repeats each pixel by an integer factor. Values do not change, so nothing is
    /// requantized.
    pub(super) fn match_upsample(&mut self, node: &TypedNode, input: MapId) -> Option<()> {
        let map = *self.graph.feature_map(input);
        let size = map_size(self.model, node.id.into())?;
        let factor = size.height / map.size.height;
        let expected = MapSize {
            height: map.size.height * factor,
            width: map.size.width * factor,
            channels: map.size.channels,
        };
        (factor > 1 && size == expected && self.repeats_pixels(node, map.size, factor)?)
            .then_some(())?;
        let output = self.graph.add_map(FeatureMap { size, ..map });
        self.values
            .insert(node.id.into(), ValueInfo::Dequantized(output));
        self.add_layer(node, Operation::UpsampleNearest(input, factor, output));
        Some(())
    }

    /// Whether a `Resize` repeats each pixel. Many combinations of its attributes do, so instead of decoding them this
    /// evaluates it on a map in which every pixel has a different value.
    fn repeats_pixels(&self, node: &TypedNode, size: MapSize, factor: usize) -> Option<bool> {
        let value = |y: usize, x: usize| (y * size.width + x) as f32;
        let shape = [1, size.channels, size.height, size.width];
        let map = tract_ndarray::Array4::from_shape_fn(shape, |(_, _, y, x)| value(y, x));
        let mut inputs: TVec<TValue> = tvec!(Tensor::from(map).into_tvalue());
        for &input in &node.inputs[1..] {
            inputs.push(constant(self.model, input)?.into_tvalue());
        }
        let outputs = node.op.eval(&EvalContext::out_of_plan(), inputs).ok()?;
        let resized = outputs.first()?.to_plain_array_view::<f32>().ok()?;
        let is_repeated = |(at, &found): (tract_ndarray::IxDyn, &f32)| {
            found == value(at[2] / factor, at[3] / factor)
        };
        Some(resized.indexed_iter().all(is_repeated))
    }

    /// Matches the sum of two maps of one size.
    pub(super) fn match_add(&mut self, node: &TypedNode) -> Option<()> {
        let TypedBinOp(operator, _) = node.op_as()?;
        let map = |input: usize| match self.values.get(&node.inputs[input]) {
            Some(ValueInfo::Dequantized(map)) => Some(*map),
            _ => None,
        };
        let inputs = [map(0)?, map(1)?];
        let [a, b] = inputs.map(|input| self.graph.feature_map(input).size);
        (operator.is::<Add>() && a == b).then_some(())?;
        let found = self.quantized_output(node.id.into())?;
        let output = self.add_map(a, &found);
        self.add_layer(node, Operation::Add(inputs, found.quant, output));
        Some(())
    }
}

/// Weights in the order of the file, as `q` with a zero point of 0, with a scale for each output channel.
struct ConvWeights {
    values: Vec<i8>,
    shape: Vec<usize>,
    scales: Vec<f32>,
}

impl ConvWeights {
    /// `out_axis` is the axis of the output channels.
    fn new(model: &TypedModel, outlet: OutletId, out_axis: usize) -> Option<Self> {
        let (params, tensor) = dequantized_constant(model, outlet)?;
        let (offset, values) = match params.datum_type {
            DatumType::I8 => (0, tensor_values(tensor, |q: i8| q)?),
            DatumType::U8 => (128, tensor_values(tensor, |q: u8| (q ^ 0x80) as i8)?),
            _ => return None,
        };
        // Weights with a zero point would need the sum of each input window.
        let is_symmetric = params.zero_points.iter().all(|&zero| zero == offset);
        let shape = tensor.shape().to_vec();
        let out = *shape.get(out_axis)?;
        let scales = match params.scales.as_slice() {
            [scale] => vec![*scale; out],
            scales if params.axis == out_axis && scales.len() == out => scales.to_vec(),
            _ => return None,
        };
        is_symmetric.then_some(Self {
            values,
            shape,
            scales,
        })
    }
}

/// The constant tensor that an outlet is dequantized from, and its parameters.
fn dequantized_constant(model: &TypedModel, outlet: OutletId) -> Option<(&QuantParams, &Tensor)> {
    let node = model.node(outlet.node);
    if node.op_is::<Cast>() || node.op_is::<AxisOp>() {
        return dequantized_constant(model, *node.inputs.first()?);
    }
    let dequantize: &DequantizeLinear = node.op_as()?;
    let tensor = model.node(node.inputs[0].node).op_as::<Const>()?.val();
    Some((&dequantize.params, tensor))
}

fn tensor_values<T: Datum + Copy, V>(tensor: &Tensor, convert: impl Fn(T) -> V) -> Option<Vec<V>> {
    let view = tensor.to_plain_array_view::<T>().ok()?;
    let values = view.as_slice()?.iter();
    Some(values.map(|&value| convert(value)).collect())
}

/// The bias in units of `steps`.
fn quantized_bias(model: &TypedModel, outlet: OutletId, steps: &[f32]) -> Option<Vec<i32>> {
    if let Some((params, tensor)) = dequantized_constant(model, outlet) {
        let scales = &params.scales;
        let is_same_step = |(channel, &step): (usize, &f32)| {
            let scale = scales[if scales.len() == 1 { 0 } else { channel }];
            (scale - step).abs() <= step * 1e-5
        };
        let has_all_scales = scales.len() == 1 || scales.len() == steps.len();
        let is_symmetric = params.zero_points.iter().all(|&zero| zero == 0);
        let fits = tensor.len() == steps.len() && has_all_scales && is_symmetric;
        let is_int32 = params.datum_type == i32::datum_type();
        if is_int32 && fits && steps.iter().enumerate().all(is_same_step) {
            return tensor_values(tensor, |q: i32| q);
        }
    }
    let floats = constant_floats(model, outlet)?;
    let has_all = floats.len() == 1 || floats.len() == steps.len();
    has_all.then_some(())?;
    let in_steps = |(channel, &step): (usize, &f32)| {
        let float = floats[if floats.len() == 1 { 0 } else { channel }];
        let steps = (f64::from(float) / f64::from(step)).round_ties_even();
        (steps.abs() < f64::from(1 << 30)).then_some(steps as i32)
    };
    steps.iter().enumerate().map(in_steps).collect()
}

/// Sums over the weights of an output channel.
#[derive(Clone, Copy)]
struct WeightTotals {
    sum: i32,
    sum_of_magnitudes: i32,
}

impl WeightTotals {
    fn new(weights: &[i8]) -> Self {
        let weights = weights.iter().map(|&weight| i32::from(weight));
        Self {
            sum: weights.clone().sum(),
            sum_of_magnitudes: weights.map(i32::abs).sum(),
        }
    }
}

/// The epilogue of a layer; `None` if a sum could overflow 32 bits.
///
/// Without the scale of an output the multipliers convert sums to real values.
fn epilogue(
    layer: &LinearLayer,
    input: &FeatureMap,
    totals: &[WeightTotals],
    scale: Option<f32>,
    output_quant: OutputQuant,
) -> Option<Epilogue> {
    let multipliers = layer
        .steps
        .iter()
        .map(|step| scale.map_or(*step, |scale| step / scale));
    let multipliers: Vec<f32> = multipliers.collect();
    let limit = f64::from(i32::MAX);
    let fits = |((bias, total), &multiplier): ((&i32, &WeightTotals), &f32)| {
        // Once for the products of the bytes in memory, once for the correction of the bias.
        let products = 2.0 * 255.0 * f64::from(total.sum_of_magnitudes);
        let greatest = f64::from(bias.abs()) + products;
        greatest.max(greatest * f64::from(multiplier)) < limit
    };
    let mut channels = layer.bias.iter().zip(totals).zip(&multipliers);
    channels.all(fits).then_some(())?;
    let zero_point = i32::from(input.zero_point);
    let bias = layer.bias.iter().zip(totals);
    Some(Epilogue {
        bias: bias
            .map(|(bias, total)| bias - zero_point * total.sum)
            .collect(),
        multipliers,
        output_quant,
    })
}
