//! Weights and biases of a layer, from the constants of the typed graph, and what its sums begin with and become.

use tract_onnx::tract_hir::internal::*;

use super::super::arithmetic::Target;
use super::super::graph::{MapValue, ValueId};
use super::super::layer::Sums;
use super::super::map::MapSize;
use super::constant::{dequantised, floats};

/// Weights as the file has them, `q` in -128..=127 around 0, and a scale for each channel of the output.
pub(super) struct Weights {
    pub(super) numbers: Vec<i8>,
    pub(super) shape: Vec<usize>,
    pub(super) scales: Vec<f32>,
}

impl Weights {
    /// With the channels of the output along this axis.
    pub(super) fn new(model: &TypedModel, outlet: OutletId, out_axis: usize) -> Option<Self> {
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
pub(super) fn biases(model: &TypedModel, outlet: OutletId, steps: &[f32]) -> Option<Vec<i32>> {
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
pub(super) struct Product {
    /// Where the sums leave it.
    pub(super) outlet: OutletId,
    pub(super) input: ValueId,
    pub(super) steps: Vec<f32>,
    pub(super) bias: Vec<i32>,
    pub(super) output: MapSize,
}

/// The sum of a channel's weights, and that of their magnitudes.
#[derive(Clone, Copy)]
pub(super) struct Totals {
    sum: i32,
    magnitude: i32,
}

impl Totals {
    pub(super) fn of<'a>(weights: impl Iterator<Item = &'a i8> + Clone) -> Self {
        Self {
            sum: weights.clone().map(|&weight| i32::from(weight)).sum(),
            magnitude: weights.map(|&weight| i32::from(weight).abs()).sum(),
        }
    }
}

/// The sums of a layer, with the zero point of its input taken off; none where one could overflow 32 bits.
///
/// Without a scale of the output the multipliers are what a step of a sum is worth.
pub(super) fn sums(
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
