//! Convolutions, dense layers, means and sums, from the typed graph.

use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::math::{Add, Div, Mul};
use tract_onnx::tract_core::ops::nn::{DataFormat, Reduce, Reducer};
use tract_onnx::tract_hir::internal::*;

use super::super::arithmetic::Target;
use super::super::graph::{MapValue, Operation, ValueId};
use super::super::layer::{DenseLayer, DepthwiseLayer};
use super::super::map::{Border, MapSize, Window};
use super::constant::{constant, floats, scalar};
use super::find::{Finder, Known, map_size};
use super::weights::{Product, Totals, Weights, biases, sums};

/// Most products of a layer that is computed one sum at a time, as heads are.
const MOST_PRODUCTS: usize = 2_000_000;

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

    /// A map of which each pixel is there so many times down and across: whatever numbers it has, they stay as they
    /// are, so that nothing is to be rounded.
    pub(super) fn enlarged(&mut self, node: &TypedNode, input: ValueId) -> Option<()> {
        let map = *self.graph.value(input);
        let size = map_size(self.model, node.id.into())?;
        let times = size.height / map.size.height;
        let expected = MapSize {
            height: map.size.height * times,
            width: map.size.width * times,
            channels: map.size.channels,
        };
        (times > 1 && size == expected && self.repeats_pixels(node, map.size, times)?)
            .then_some(())?;
        let output = self.graph.add_value(MapValue { size, ..map });
        self.known.insert(node.id.into(), Known::Map(output));
        self.add_layer(node, Operation::Enlarge(input, times, output));
        Some(())
    }

    /// Whether the operator repeats each pixel. There are more ways to say so than one, and more to say something else:
    /// it is asked to enlarge a map in which every pixel has its own number.
    fn repeats_pixels(&self, node: &TypedNode, size: MapSize, times: usize) -> Option<bool> {
        let MapSize {
            height,
            width,
            channels,
        } = size;
        let number = |y: usize, x: usize| (y * width + x) as f32;
        let asked = tract_ndarray::Array4::from_shape_fn([1, channels, height, width], |at| {
            number(at.2, at.3)
        });
        let mut inputs: TVec<TValue> = tvec!(Tensor::from(asked).into_tvalue());
        for &input in &node.inputs[1..] {
            inputs.push(constant(self.model, input)?.into_tvalue());
        }
        let outputs = node.op.eval(&EvalContext::out_of_plan(), inputs).ok()?;
        let enlarged = outputs.first()?.to_plain_array_view::<f32>().ok()?;
        let is_repeated = |(at, &found): (tract_ndarray::IxDyn, &f32)| {
            found == number(at[2] / times, at[3] / times)
        };
        Some(enlarged.indexed_iter().all(is_repeated))
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
