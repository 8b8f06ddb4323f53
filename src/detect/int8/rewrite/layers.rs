//! Convolutions, dense layers, means and sums, from the typed graph.

use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::math::{Add, Div, Mul};
use tract_onnx::tract_core::ops::nn::{DataFormat, Reduce, Reducer};
use tract_onnx::tract_hir::internal::*;

use super::super::arithmetic::Target;
use super::super::graph::{MapValue, Operation, ValueId};
use super::super::layer::{DenseLayer, DepthwiseLayer, Sums};
use super::super::map::{Border, MapSize, Window};
use super::constant::{dequantised, floats, scalar};
use super::find::{Finder, Known, map_size};

/// Most products of a layer that is computed one sum at a time, as heads are.
const MOST_PRODUCTS: usize = 2_000_000;

/// Weights as the file has them, `q` in -128..=127 around 0, and a scale for each channel of the output.
struct Weights {
    numbers: Vec<i8>,
    shape: Vec<usize>,
    scales: Vec<f32>,
}

impl Weights {
    /// With the channels of the output along this axis.
    fn new(model: &TypedModel, outlet: OutletId, out_axis: usize) -> Option<Self> {
        let (linear, tensor) = dequantised(model, outlet)?;
        let (offset, numbers) = match linear.stored {
            DatumType::I8 => (0, numbers_of(tensor, |q: i8| q)?),
            // With the zero point of 128 that these must have.
            DatumType::U8 => (128, numbers_of(tensor, |q: u8| (q ^ 0x80) as i8)?),
            _ => return None,
        };
        // With a zero point of their own, weights would have to be met by sums of the input.
        let is_symmetric = linear.zero_points.iter().all(|&zero| zero == offset);
        let shape = tensor.shape().to_vec();
        let out = *shape.get(out_axis)?;
        let scales = match linear.scales.as_slice() {
            [scale] => vec![*scale; out],
            scales if linear.axis == out_axis && scales.len() == out => scales.to_vec(),
            _ => return None,
        };
        is_symmetric.then_some(Self {
            numbers,
            shape,
            scales,
        })
    }
}

/// The numbers of a tensor, each made into another.
fn numbers_of<T: Datum + Copy, N>(tensor: &Tensor, each: impl Fn(T) -> N) -> Option<Vec<N>> {
    let view = tensor.to_plain_array_view::<T>().ok()?;
    Some(
        view.as_slice()?
            .iter()
            .map(|&number| each(number))
            .collect(),
    )
}

/// Biases in steps of the input's scale times that of each channel's weights.
fn biases(model: &TypedModel, outlet: OutletId, steps: &[f32]) -> Option<Vec<i32>> {
    if let Some((linear, tensor)) = dequantised(model, outlet) {
        let scales = &linear.scales;
        let is_same = |(at, &step): (usize, &f32)| {
            let scale = scales[if scales.len() == 1 { 0 } else { at }];
            (scale - step).abs() <= step * 1e-5
        };
        let has_all = scales.len() == 1 || scales.len() == steps.len();
        let is_plain = linear.zero_points.iter().all(|&zero| zero == 0);
        let fits = tensor.len() == steps.len() && has_all && is_plain;
        if linear.stored == i32::datum_type() && fits && steps.iter().enumerate().all(is_same) {
            return numbers_of(tensor, |q: i32| q);
        }
    }
    let floats = floats(model, outlet)?;
    let each = |at: usize| floats[if floats.len() == 1 { 0 } else { at }];
    let in_steps = |(at, &step): (usize, &f32)| {
        let steps = (f64::from(each(at)) / f64::from(step)).round_ties_even();
        (steps.abs() < f64::from(1 << 30)).then_some(steps as i32)
    };
    let has_all = floats.len() == 1 || floats.len() == steps.len();
    has_all.then(|| steps.iter().enumerate().map(in_steps).collect())?
}

/// What a layer is made into.
struct Product {
    /// Where the sums leave it.
    outlet: OutletId,
    input: ValueId,
    steps: Vec<f32>,
    bias: Vec<i32>,
    output: MapSize,
}

impl Finder<'_> {
    pub(super) fn convolution(&mut self, node: &TypedNode, input: ValueId) -> Option<()> {
        let conv: &Conv = node.op_as()?;
        let map = *self.graph.value(input);
        let pool = &conv.pool_spec;
        let is_plain = conv.q_params.is_none()
            && conv.kernel_fmt == KernelFormat::OIHW
            && pool.data_format == DataFormat::NCHW
            && pool.rank() == 2
            && pool.dilations().iter().all(|&dilation| dilation == 1)
            && pool.stride(0) == pool.stride(1);
        if !is_plain {
            return None;
        }
        let weights = Weights::new(self.model, node.inputs[1], 0)?;
        let padding = pool.computed_padding(&[map.size.height, map.size.width]);
        let window = Window {
            kernel: [pool.kernel_shape[0], pool.kernel_shape[1]],
            stride: pool.stride(0),
            border: Border {
                top: padding[0].pad_before,
                bottom: padding[0].pad_after,
                left: padding[1].pad_before,
                right: padding[1].pad_after,
            },
        };
        let output = map_size(self.model, node.id.into())?;
        let places = window.places(map.size.height, map.size.width)?;
        (places == [output.height, output.width]).then_some(())?;
        let product = self.product(node.id.into(), input, node.inputs[2], &weights, output)?;
        match conv.group {
            1 => self.add_dense(node, window, weights, &product),
            group if group == map.size.channels && group == output.channels => {
                self.add_depthwise(node, window, &weights, &product)
            }
            _ => None,
        }
    }

    /// A matrix product with constant weights, and the sum with its bias that may follow.
    pub(super) fn dense(&mut self, node: &TypedNode, input: ValueId) -> Option<()> {
        let product: &EinSum = node.op_as()?;
        let map = *self.graph.value(input);
        let (is_list, out_axis) = match product.axes.to_string().as_str() {
            "mk,nk->mn" => (map.size.height * map.size.width == 1, 0),
            "mk,kn->mn" => (map.size.height * map.size.width == 1, 1),
            _ => return None,
        };
        if !is_list || product.q_params.is_some() {
            return None;
        }
        let mut weights = Weights::new(self.model, node.inputs[1], out_axis)?;
        if out_axis == 1 {
            let [inner, out] = weights.shape[..] else {
                return None;
            };
            let of = |at: usize| weights.numbers[at % inner * out + at / inner];
            weights.numbers = (0..inner * out).map(of).collect();
        }
        let output = map_size(self.model, node.id.into())?;
        let (outlet, bias) = self.added_constant(node.id.into())?;
        let product = self.product(outlet, input, bias, &weights, output)?;
        self.add_dense(node, Window::POINT, weights, &product)
    }

    /// The constant that is added to an outlet, and the outlet of the sum.
    fn added_constant(&self, outlet: OutletId) -> Option<(OutletId, OutletId)> {
        let [reader] = self.model.outlet_successors(outlet) else {
            return None;
        };
        let node = self.model.node(reader.node);
        let TypedBinOp(operator, _) = node.op_as()?;
        let other = node.inputs[1 - reader.slot];
        // ONNX's Gemm multiplies its bias by a beta, which is nearly always 1.
        let unscaled = self.without_factor_of_one(other);
        floats(self.model, unscaled)?;
        operator.is::<Add>().then(|| (node.id.into(), unscaled))
    }

    fn without_factor_of_one(&self, outlet: OutletId) -> OutletId {
        let node = self.model.node(outlet.node);
        let is_product = node
            .op_as()
            .is_some_and(|TypedBinOp(operator, _)| operator.is::<Mul>());
        let inputs = || [(0, 1), (1, 0)].map(|(a, b)| (node.inputs[a], node.inputs[b]));
        let is_one = |factor: OutletId| scalar(self.model, factor) == Some(1.0);
        if !is_product {
            return outlet;
        }
        let other = inputs().into_iter().find(|(factor, _)| is_one(*factor));
        other.map_or(outlet, |(_, other)| other)
    }

    /// Sums that cannot overflow; none where they could.
    fn product(
        &self,
        outlet: OutletId,
        input: ValueId,
        bias: OutletId,
        weights: &Weights,
        output: MapSize,
    ) -> Option<Product> {
        let scale = self.graph.value(input).scale;
        let steps: Vec<f32> = weights.scales.iter().map(|weight| scale * weight).collect();
        let bias = biases(self.model, bias, &steps)?;
        Some(Product {
            outlet,
            input,
            steps,
            bias,
            output,
        })
    }

    fn add_dense(
        &mut self,
        node: &TypedNode,
        window: Window,
        weights: Weights,
        product: &Product,
    ) -> Option<()> {
        let map = *self.graph.value(product.input);
        let [down, across] = window.kernel;
        let (inner, taps) = (map.size.channels, down * across);
        (weights.numbers.len() == product.output.channels * taps * inner).then_some(())?;
        let numbers = match taps {
            1 => weights.numbers,
            // From [out][in][down][across].
            _ => {
                let of = |at: usize| {
                    let (out, rest) = (at / (taps * inner), at % (taps * inner));
                    weights.numbers[(out * inner + rest % inner) * taps + rest / inner]
                };
                (0..weights.numbers.len()).map(of).collect()
            }
        };
        let of_channel = |weights: &[i8]| Totals::of(weights.iter());
        let totals: Vec<Totals> = numbers.chunks_exact(taps * inner).map(of_channel).collect();
        let quantised = self.quantised(product.outlet);
        let (sums, output) = match &quantised {
            Some(found) => (
                sums(product, &map, &totals, Some(found.scale), found.target)?,
                Some(self.make(product.output, found)),
            ),
            None if numbers.len() * product.output.height * product.output.width
                > MOST_PRODUCTS =>
            {
                return None;
            }
            None => {
                let target = Target::new(0, i8::MIN, i8::MAX);
                (sums(product, &map, &totals, None, target)?, None)
            }
        };
        let layer = DenseLayer {
            window,
            in_channels: inner,
            weights: numbers,
            sums,
        };
        let operation = match output {
            Some(output) => Operation::Dense(product.input, layer, output),
            None => {
                let MapSize {
                    height,
                    width,
                    channels,
                } = product.output;
                let floats = self.graph.add_floats(height * width * channels);
                self.known.insert(product.outlet, Known::Floats(floats));
                Operation::Head(product.input, layer, floats)
            }
        };
        self.add_layer(node, operation);
        Some(())
    }

    fn add_depthwise(
        &mut self,
        node: &TypedNode,
        window: Window,
        weights: &Weights,
        product: &Product,
    ) -> Option<()> {
        let map = *self.graph.value(product.input);
        let found = self.quantised(product.outlet)?;
        let channels = map.size.channels;
        let taps = window.kernel[0] * window.kernel[1];
        (weights.numbers.len() == channels * taps).then_some(())?;
        // From [channel][down][across].
        let of = |at: usize| weights.numbers[at % channels * taps + at / channels];
        let numbers: Vec<i8> = (0..channels * taps).map(of).collect();
        let of_channel = |weights: &[i8]| Totals::of(weights.iter());
        let totals: Vec<Totals> = weights.numbers.chunks_exact(taps).map(of_channel).collect();
        let sums = sums(product, &map, &totals, Some(found.scale), found.target)?;
        let layer = DepthwiseLayer {
            window,
            weights: numbers,
            sums,
        };
        let output = self.make(product.output, &found);
        self.add_layer(node, Operation::Depthwise(product.input, layer, output));
        Some(())
    }

    /// The sum over height and width, divided by their product.
    pub(super) fn mean(&mut self, node: &TypedNode, input: ValueId) -> Option<()> {
        let reduce: &Reduce = node.op_as()?;
        let size = self.graph.value(input).size;
        (reduce.axes[..] == [2, 3] && matches!(reduce.reducer, Reducer::Sum)).then_some(())?;
        let [reader] = self.model.outlet_successors(node.id.into()) else {
            return None;
        };
        let divided = self.model.node(reader.node);
        let TypedBinOp(operator, _) = divided.op_as()?;
        let by = scalar(self.model, divided.inputs[1])?;
        let pixels = (size.height * size.width) as f32;
        let is_mean = reader.slot == 0
            && ((operator.is::<Div>() && by == pixels)
                || (operator.is::<Mul>() && by == 1.0 / pixels));
        is_mean.then_some(())?;
        let found = self.quantised(divided.id.into())?;
        let point = MapSize {
            height: 1,
            width: 1,
            ..size
        };
        let output = self.make(point, &found);
        self.add_layer(node, Operation::Pool(input, found.target, output));
        Some(())
    }

    /// The sum of two maps.
    pub(super) fn sum(&mut self, node: &TypedNode, _: ValueId) -> Option<()> {
        let TypedBinOp(operator, _) = node.op_as()?;
        let map = |input: usize| match self.known.get(&node.inputs[input]) {
            Some(Known::Map(value)) => Some(*value),
            _ => None,
        };
        let inputs = [map(0)?, map(1)?];
        let sizes = inputs.map(|input| self.graph.value(input).size);
        (operator.is::<Add>() && sizes[0] == sizes[1]).then_some(())?;
        let found = self.quantised(node.id.into())?;
        let output = self.make(sizes[0], &found);
        self.add_layer(node, Operation::Add(inputs, found.target, output));
        Some(())
    }
}

/// The sum of a channel's weights, and that of their magnitudes.
#[derive(Clone, Copy)]
struct Totals {
    sum: i32,
    magnitude: i32,
}

impl Totals {
    fn of<'a>(weights: impl Iterator<Item = &'a i8> + Clone) -> Self {
        Self {
            sum: weights.clone().map(|&weight| i32::from(weight)).sum(),
            magnitude: weights.map(|&weight| i32::from(weight).abs()).sum(),
        }
    }
}

/// The sums of a layer, with the zero point of its input taken off; none where one could overflow 32 bits.
///
/// Without a scale of the output the multipliers are what a step of a sum is worth.
fn sums(
    product: &Product,
    input: &MapValue,
    totals: &[Totals],
    scale: Option<f32>,
    target: Target,
) -> Option<Sums> {
    let multipliers = product
        .steps
        .iter()
        .map(|step| scale.map_or(*step, |scale| step / scale));
    let multipliers: Vec<f32> = multipliers.collect();
    let limit = f64::from(i32::MAX);
    let fits = |((bias, total), &multiplier): ((&i32, &Totals), &f32)| {
        // A byte as it is stored, and what the zero point takes off the bias.
        let greatest = f64::from(bias.abs()) + 2.0 * 255.0 * f64::from(total.magnitude);
        greatest.max(greatest * f64::from(multiplier)) < limit
    };
    let mut each = product.bias.iter().zip(totals).zip(&multipliers);
    each.all(fits).then_some(())?;
    let zero_point = i32::from(input.zero_point);
    let bias = product.bias.iter().zip(totals);
    Some(Sums {
        bias: bias
            .map(|(bias, total)| bias - zero_point * total.sum)
            .collect(),
        multipliers,
        target,
    })
}
