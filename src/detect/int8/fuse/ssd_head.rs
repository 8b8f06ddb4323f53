//! Matches the end of an SSD as a whole: from the logits and box codes of several feature maps to the scores and boxes of
//! all rows, which are outputs of the model.
//!
//! Operators that only move values (transpose, reshape, concatenate, slice) can be combined in many ways. So instead of
//! decoding them, they are evaluated on the indices of values, and the result is compared with the expected order.

use tract_onnx::tract_core::ops::array::{StridedSlice, TypedConcat};
use tract_onnx::tract_core::ops::binary::{BinMiniOp, TypedBinOp};
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::identity::Identity;
use tract_onnx::tract_core::ops::math::{Add, Exp, Mul, Sub};
use tract_onnx::tract_core::ops::nn::Sigmoid;
use tract_onnx::tract_hir::internal::*;

use super::super::graph::{BoxDecode, GraphOutput, MapId, Operation, SsdHead};
use super::super::ssd_head::CODE_LENGTH;
use super::super::tensor::MapSize;
use super::matcher::{PatternMatcher, ValueInfo, constant};

/// The most values that are moved, of all maps together.
const MAX_VALUES: usize = 4_000_000;

/// Values that are moved and not changed.
struct Moved {
    /// What computes the values.
    sources: Vec<OutletId>,
    /// Number of values of each source.
    lengths: Vec<usize>,
    shape: TVec<usize>,
    /// For each value, its index in all sources, one after the other.
    indices: Vec<i32>,
}

/// The scores of all rows.
struct Scores {
    logits: Vec<MapId>,
    classes: usize,
    rows: usize,
}

impl PatternMatcher<'_> {
    /// Adds the head if the model has one.
    pub(super) fn match_ssd_head(&mut self) -> Option<()> {
        let outputs = &self.model.outputs;
        let (scores_outlet, scores) = outputs
            .iter()
            .find_map(|&outlet| Some((outlet, self.object_scores(outlet)?)))?;
        let (boxes_outlet, codes, decode) = outputs.iter().find_map(|&outlet| {
            let (codes, decode) = self.object_boxes(outlet, scores.rows)?;
            Some((outlet, codes, decode))
        })?;
        let maps = self.paired_maps(&scores, &codes)?;
        let head = SsdHead {
            maps,
            classes: scores.classes,
            decode,
        };
        let node = self.model.node(scores_outlet.node);
        self.add_layer(node, Operation::SsdHead(Box::new(head)));
        let outputs = [
            (scores_outlet, GraphOutput::ObjectScores),
            (boxes_outlet, GraphOutput::ObjectBoxes),
        ];
        let values = outputs.map(|(outlet, output)| (outlet, ValueInfo::Objects(output)));
        self.values.extend(values);
        Some(())
    }

    /// Logits and box codes of each feature map, if they have the same pixels and rows.
    fn paired_maps(&self, scores: &Scores, codes: &[MapId]) -> Option<Vec<[MapId; 2]>> {
        let fits = |(&logits, &codes): (&MapId, &MapId)| {
            let [logits, codes] = [logits, codes].map(|map| self.graph.feature_map(map).size);
            let rows = logits.channels / scores.classes;
            logits.channels % scores.classes == 0
                && codes.channels == rows * CODE_LENGTH
                && (codes.height, codes.width) == (logits.height, logits.width)
        };
        let pairs = || scores.logits.iter().zip(codes);
        let all_fit = scores.logits.len() == codes.len() && pairs().all(fits);
        all_fit.then(|| pairs().map(|(&logits, &codes)| [logits, codes]).collect())
    }

    /// The sigmoid of the logits of all rows.
    fn object_scores(&self, outlet: OutletId) -> Option<Scores> {
        let node = self.model.node(self.without_identity(outlet).node);
        let ElementWiseOp(operator, None) = node.op_as()? else {
            return None;
        };
        operator.is::<Sigmoid>().then_some(())?;
        let moved = self.moved(node.inputs[0])?;
        let [1, rows, classes] = moved.shape[..] else {
            return None;
        };
        let sizes = self.map_sizes(&moved)?;
        let expected = channels_last(&sizes);
        (moved.indices == expected).then_some(())?;
        Some(Scores {
            logits: self.maps(&moved)?,
            classes,
            rows,
        })
    }

    /// The corners of the boxes of all rows: the maps of the box codes, and how they are decoded.
    fn object_boxes(&self, outlet: OutletId, rows: usize) -> Option<(Vec<MapId>, BoxDecode)> {
        let corners = self.moved(outlet)?;
        let &[mins, maxs] = corners.sources.as_slice() else {
            return None;
        };
        // Least and greatest x, least and greatest y.
        let (row_length, all_mins) = (2, 2 * rows);
        let expected = (0..rows).flat_map(|row| {
            let (x, y) = (row * row_length, row * row_length + 1);
            [x, all_mins + x, y, all_mins + y]
        });
        let is_in_order = corners.shape[..] == [1, rows, 4]
            && corners.lengths == [all_mins; 2]
            && corners
                .indices
                .iter()
                .copied()
                .eq(expected.map(|index| index as i32));
        is_in_order.then_some(())?;
        let [centres, half_sizes] = self.operands::<Sub>(mins)?;
        let same = self.operands::<Add>(maxs)?;
        (same == [centres, half_sizes] || same == [half_sizes, centres]).then_some(())?;
        let (offsets, centres) = self.constant_operand::<Add>(centres, rows)?;
        let (offset_codes, offset_factors) = self.constant_operand::<Mul>(offsets, rows)?;
        let (factors, half_sizes) = self.constant_operand::<Mul>(half_sizes, rows)?;
        let exponential = self.model.node(factors.node);
        let ElementWiseOp(operator, None) = exponential.op_as()? else {
            return None;
        };
        operator.is::<Exp>().then_some(())?;
        let (size_codes, log_factors) =
            self.constant_operand::<Mul>(exponential.inputs[0], rows)?;
        let codes = self.box_codes(offset_codes, 0)?;
        let decode = BoxDecode {
            offset_factors,
            centres,
            log_factors,
            half_sizes,
        };
        (self.box_codes(size_codes, 2)? == codes).then_some((codes, decode))
    }

    /// The maps of the box codes, of which an outlet has two numbers of each row, from number `first` on.
    fn box_codes(&self, outlet: OutletId, first: usize) -> Option<Vec<MapId>> {
        let moved = self.moved(outlet)?;
        let all = channels_last(&self.map_sizes(&moved)?);
        let rows = all.chunks_exact(CODE_LENGTH);
        let expected = rows.flat_map(|row| &row[first..first + 2]);
        moved.indices.iter().eq(expected).then_some(())?;
        self.maps(&moved)
    }

    fn maps(&self, moved: &Moved) -> Option<Vec<MapId>> {
        let map = |outlet: &OutletId| match self.values.get(outlet) {
            Some(ValueInfo::Dequantized(map)) => Some(*map),
            _ => None,
        };
        moved.sources.iter().map(map).collect()
    }

    /// The size of each map that values are moved from.
    fn map_sizes(&self, moved: &Moved) -> Option<Vec<MapSize>> {
        let maps = self.maps(moved)?;
        let sizes = maps.iter().map(|&map| self.graph.feature_map(map).size);
        Some(sizes.collect())
    }

    /// The two operands of an operator.
    fn operands<O: BinMiniOp>(&self, outlet: OutletId) -> Option<[OutletId; 2]> {
        let node = self.model.node(outlet.node);
        let TypedBinOp(operator, _) = node.op_as()?;
        operator.is::<O>().then_some(())?;
        node.inputs[..].try_into().ok()
    }

    /// The computed operand of a commutative operator, and the constant one, repeated for each row.
    fn constant_operand<O: BinMiniOp>(
        &self,
        outlet: OutletId,
        rows: usize,
    ) -> Option<(OutletId, Vec<[f32; 2]>)> {
        let [a, b] = self.operands::<O>(outlet)?;
        let pair = |computed, other| Some((computed, self.constant_rows(other, rows)?));
        pair(a, b).or_else(|| pair(b, a))
    }

    /// The values of a constant for `[1, rows, 2]`.
    fn constant_rows(&self, outlet: OutletId, rows: usize) -> Option<Vec<[f32; 2]>> {
        let tensor = constant(self.model, outlet)?;
        let is_float = tensor.datum_type() == f32::datum_type() && tensor.rank() == 3;
        is_float.then_some(())?;
        let tensor = tensor.broadcast_to_shape(&[1, rows, 2]).ok()?;
        let view = tensor.to_plain_array_view::<f32>().ok()?;
        let values: Vec<f32> = view.iter().copied().collect();
        Some(values.as_chunks().0.to_vec())
    }

    fn without_identity(&self, outlet: OutletId) -> OutletId {
        let node = self.model.node(outlet.node);
        match node.op_is::<Identity>() {
            true => self.without_identity(node.inputs[0]),
            false => outlet,
        }
    }

    /// Where the values of an outlet come from.
    fn moved(&self, outlet: OutletId) -> Option<Moved> {
        let (mut sources, mut lengths) = (Vec::new(), Vec::new());
        let tensor = self.moved_indices(outlet, &mut sources, &mut lengths)?;
        let view = tensor.to_plain_array_view::<i32>().ok()?;
        Some(Moved {
            sources,
            lengths,
            shape: tensor.shape().into(),
            indices: view.iter().copied().collect(),
        })
    }

    /// The indices of the values of an outlet. A source is added when it is first met.
    fn moved_indices(
        &self,
        outlet: OutletId,
        sources: &mut Vec<OutletId>,
        lengths: &mut Vec<usize>,
    ) -> Option<Tensor> {
        let node = self.model.node(outlet.node);
        let moved_inputs = if node.op_is::<TypedConcat>() {
            node.inputs.len()
        } else if node.op_is::<AxisOp>() || node.op_is::<Identity>() || node.op_is::<StridedSlice>()
        {
            1
        } else {
            return self.source_indices(outlet, sources, lengths);
        };
        let mut inputs: TVec<TValue> = tvec!();
        for (number, &input) in node.inputs.iter().enumerate() {
            inputs.push(if number < moved_inputs {
                self.moved_indices(input, sources, lengths)?.into_tvalue()
            } else {
                constant(self.model, input)?.into_tvalue()
            });
        }
        let outputs = node.op.eval(&EvalContext::out_of_plan(), inputs).ok()?;
        Some(outputs.first()?.clone().into_tensor())
    }

    fn source_indices(
        &self,
        outlet: OutletId,
        sources: &mut Vec<OutletId>,
        lengths: &mut Vec<usize>,
    ) -> Option<Tensor> {
        let shape = self.model.outlet_fact(outlet).ok()?.shape.as_concrete()?;
        let length: usize = shape.iter().product();
        let known = sources.iter().position(|source| *source == outlet);
        let number = known.unwrap_or_else(|| {
            sources.push(outlet);
            lengths.push(length);
            sources.len() - 1
        });
        (lengths.iter().sum::<usize>() <= MAX_VALUES).then_some(())?;
        let first: usize = lengths[..number].iter().sum();
        let indices: Vec<i32> = (first..first + length).map(|index| index as i32).collect();
        Tensor::from_shape(shape, &indices).ok()
    }
}

/// The indices of the values of maps, `[channels, height, width]` one after the other, pixel by pixel.
fn channels_last(sizes: &[MapSize]) -> Vec<i32> {
    let mut indices = Vec::new();
    let mut first = 0;
    for size in sizes {
        let pixels = size.height * size.width;
        let of_pixel = |pixel: usize| {
            (0..size.channels).map(move |channel| (first + channel * pixels + pixel) as i32)
        };
        indices.extend((0..pixels).flat_map(of_pixel));
        first += size.volume();
    }
    indices
}
