//! Decoding: from the predictions of all cells of a feature map to one box.
//!
//! Where a picture has two objects, the weighted mean of all cells' boxes is the box of neither. So each of nine
//! overlapping windows of cells proposes the mean of its own boxes, and the proposal with the highest expected IoU is
//! selected. Then the box is refined twice: the mean of all boxes, each weighted by its squared IoU with the box so far
//! (mean shift, Comaniciu and Meer 2002).
//!
//! The algorithm is written once over [`Ops`]: [`TensorOps`] runs it in training, [`GraphBuilder`] exports it.

use burn::prelude::*;
use burn::tensor::activation::{relu, softmax};

use crate::onnx::GraphBuilder;

/// Channels of a box head's output: the logit of the cell's weight, then the distances to the left, right, upper and
/// lower edge.
pub(super) const CELL_CHANNELS: usize = 5;

/// From a cell's centre to `x_min, x_max, y_min, y_max`.
const SIGNS: [f32; 4] = [-1.0, 1.0, -1.0, 1.0];

/// Windows along each side of the map.
const WINDOWS: usize = 3;

/// Softmax inverse temperature of the proposals: +0.01 expected IoU means a weight ratio of e.
const INVERSE_TEMPERATURE: f32 = 100.0;

const REFINE_ITERATIONS: usize = 2;

/// Added to divisors and weights to keep quotients finite.
const EPSILON: f32 = 1e-6;

/// Predictions of all cells of a feature map, as tensors or as names of ONNX values.
#[derive(Debug, Clone)]
pub struct CellPredictions<V = Tensor<3>> {
    /// `[batch, 1, cells]`
    pub logits: V,
    /// Softmax of the logits over the cells, `[batch, 1, cells]`.
    pub weights: V,
    /// Corners of each cell's box in `x_min, x_max, y_min, y_max` order, `[batch, 4, cells]`.
    pub corners: V,
}

impl CellPredictions {
    /// From the output of a box head, `[batch, height, width, 5]`.
    pub(super) fn new(output: Tensor<4>) -> Self {
        let [batch, height, width, _] = output.dims();
        let output = output.reshape([batch, height * width, CELL_CHANNELS]);
        let ops = &mut TensorOps::new(&output.device());
        cell_predictions(ops, &output.swap_dims(1, 2), height, width)
    }

    /// The decoded box of each example, `[batch, 4]`. The map must be square. Gradients flow through boxes and weights,
    /// not through the selection and the IoUs.
    #[must_use]
    pub fn decode(&self) -> Tensor<2> {
        let ops = &mut TensorOps::new(&self.corners.device());
        let [batch, _, cells] = self.corners.dims();
        let mut decoder = Decoder::new(ops, self, cells.isqrt());
        decoder.decode().reshape([batch, 4])
    }

    /// The mean of the cells' boxes, `[batch, 4]`, weighted by `weights * factors`; `factors` is `[batch, 1, cells]`.
    #[must_use]
    pub fn weighted_mean(&self, factors: &Tensor<3>) -> Tensor<2> {
        let ops = &mut TensorOps::new(&self.corners.device());
        let [batch, _, cells] = self.corners.dims();
        let mut decoder = Decoder::new(ops, self, cells.isqrt());
        decoder.mean("", factors).reshape([batch, 4])
    }

    /// Refines boxes `[batch, 4]` as [`CellPredictions::decode`] does.
    #[must_use]
    pub fn refine(&self, boxes: Tensor<2>) -> Tensor<2> {
        let ops = &mut TensorOps::new(&self.corners.device());
        let [batch, _, cells] = self.corners.dims();
        let mut decoder = Decoder::new(ops, self, cells.isqrt());
        let refined = decoder.refine(boxes.reshape([batch, 4, 1]));
        refined.reshape([batch, 4])
    }
}

/// Adds the decoding of a box head's output `[1, 5, side, side]` to a graph; returns the name of the corners `[1, 4]`.
pub(super) fn export(graph: &mut GraphBuilder, output: &str, side: usize) -> String {
    let output = graph.reshape(
        "box.votes",
        output,
        &[1, CELL_CHANNELS as i64, (side * side) as i64],
    );
    let cells = cell_predictions(graph, &output, side, side);
    let corners = Decoder::new(graph, &cells, side).decode();
    graph.reshape("box.corners", &corners, &[1, 4])
}

/// Operators of two operands, with broadcasting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    MatMul,
}

/// The operators that decoding needs, on values of rank 3. A name is that of the ONNX node.
pub(super) trait Ops {
    type Value: Clone;

    fn constant(&mut self, name: &str, shape: [usize; 3], values: &[f32]) -> Self::Value;
    fn binary(
        &mut self,
        operator: Binary,
        name: &str,
        a: &Self::Value,
        b: &Self::Value,
    ) -> Self::Value;
    fn relu(&mut self, name: &str, input: &Self::Value) -> Self::Value;
    fn softmax(&mut self, name: &str, input: &Self::Value, axis: usize) -> Self::Value;
    /// `shape` is without the batch.
    fn reshape(&mut self, name: &str, input: &Self::Value, shape: [usize; 2]) -> Self::Value;
    /// Entries `from..to` of axis 1.
    fn slice(&mut self, name: &str, input: &Self::Value, from: usize, to: usize) -> Self::Value;
    /// The same value, through which no gradient flows.
    fn detach(&self, input: &Self::Value) -> Self::Value;
}

/// Runs the operators.
pub(super) struct TensorOps {
    device: Device,
}

impl TensorOps {
    pub(super) fn new(device: &Device) -> Self {
        Self {
            device: device.clone(),
        }
    }
}

impl Ops for TensorOps {
    type Value = Tensor<3>;

    fn constant(&mut self, _: &str, shape: [usize; 3], values: &[f32]) -> Tensor<3> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &self.device)
    }

    fn binary(&mut self, operator: Binary, _: &str, a: &Tensor<3>, b: &Tensor<3>) -> Tensor<3> {
        let (a_dims, b_dims) = (a.dims(), b.dims());
        let common = |axis: usize| a_dims[axis].max(b_dims[axis]);
        let (a_shape, b_shape) = match operator {
            Binary::MatMul => (
                [common(0), a_dims[1], a_dims[2]],
                [common(0), b_dims[1], b_dims[2]],
            ),
            _ => ([0, 1, 2].map(common), [0, 1, 2].map(common)),
        };
        let (a, b) = (a.clone().expand(a_shape), b.clone().expand(b_shape));
        match operator {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Min => a.min_pair(b),
            Binary::Max => a.max_pair(b),
            Binary::MatMul => a.matmul(b),
        }
    }

    fn relu(&mut self, _: &str, input: &Tensor<3>) -> Tensor<3> {
        relu(input.clone())
    }

    fn softmax(&mut self, _: &str, input: &Tensor<3>, axis: usize) -> Tensor<3> {
        softmax(input.clone(), axis)
    }

    fn reshape(&mut self, _: &str, input: &Tensor<3>, [rows, columns]: [usize; 2]) -> Tensor<3> {
        let [batch, ..] = input.dims();
        input.clone().reshape([batch, rows, columns])
    }

    fn slice(&mut self, _: &str, input: &Tensor<3>, from: usize, to: usize) -> Tensor<3> {
        input.clone().narrow(1, from, to - from)
    }

    fn detach(&self, input: &Tensor<3>) -> Tensor<3> {
        input.clone().detach()
    }
}

/// Adds the operators to a graph, with a batch of 1.
impl Ops for GraphBuilder {
    type Value = String;

    fn constant(&mut self, name: &str, shape: [usize; 3], values: &[f32]) -> String {
        self.floats(name, &shape, values)
    }

    fn binary(&mut self, operator: Binary, name: &str, a: &String, b: &String) -> String {
        // The variants are named as ONNX names the operators.
        self.binary(&format!("{operator:?}"), name, a, b)
    }

    fn relu(&mut self, name: &str, input: &String) -> String {
        self.relu(name, input)
    }

    fn softmax(&mut self, name: &str, input: &String, axis: usize) -> String {
        self.softmax(name, input, axis as i64)
    }

    fn reshape(&mut self, name: &str, input: &String, [rows, columns]: [usize; 2]) -> String {
        self.reshape(name, input, &[1, rows as i64, columns as i64])
    }

    fn slice(&mut self, name: &str, input: &String, from: usize, to: usize) -> String {
        self.slice_channels(name, input, from as i64, to as i64)
    }

    fn detach(&self, input: &String) -> String {
        input.clone()
    }
}

/// Weights and boxes of all cells from a box head's output, `[batch, 5, cells]` (FCOS, Tian et al. 2019).
fn cell_predictions<O: Ops>(
    ops: &mut O,
    output: &O::Value,
    height: usize,
    width: usize,
) -> CellPredictions<O::Value> {
    let logits = ops.slice("box.weight_logits", output, 0, 1);
    let weights = ops.softmax("box.weights", &logits, 2);
    let raw = ops.slice("box.raw_distances", output, 1, CELL_CHANNELS);
    CellPredictions {
        logits,
        weights,
        corners: cell_corners(ops, "box", &raw, height, width),
    }
}

/// Corners of all cells' boxes, `[batch, 4, cells]`, from the distances of their edges, of the same shape; a negative
/// distance is 0. Node names begin with `prefix`.
pub(super) fn cell_corners<O: Ops>(
    ops: &mut O,
    prefix: &str,
    raw: &O::Value,
    height: usize,
    width: usize,
) -> O::Value {
    let name = |part: &str| format!("{prefix}.{part}");
    let distances = ops.relu(&name("distances"), raw);
    let signs = ops.constant(&name("signs"), [1, 4, 1], &SIGNS);
    let offsets = ops.binary(Binary::Mul, &name("offsets"), &distances, &signs);
    let centres = ops.constant(
        &name("centres"),
        [1, 4, height * width],
        &centres(height, width),
    );
    ops.binary(Binary::Add, &name("cell_corners"), &offsets, &centres)
}

/// Decodes the predictions of a square map.
struct Decoder<'c, O: Ops> {
    ops: &'c mut O,
    cells: &'c CellPredictions<O::Value>,
    side: usize,
    /// `[1, 1, cells]`
    ones: O::Value,
    /// The four corners of all cells' boxes, `[batch, 1, cells]` each, without gradients.
    edges: [O::Value; 4],
    /// Areas of all cells' boxes plus [`EPSILON`], `[batch, 1, cells]`.
    areas: O::Value,
    /// [`EPSILON`], `[1, 1, 1]`
    epsilon: O::Value,
}

impl<'c, O: Ops> Decoder<'c, O> {
    fn new(ops: &'c mut O, cells: &'c CellPredictions<O::Value>, side: usize) -> Self {
        let count = side * side;
        let ones = ops.constant("box.ones", [1, 1, count], &vec![1.0; count]);
        let corners = ops.detach(&cells.corners);
        let edges = split_corners(ops, "box.cell", &corners);
        let area = area(ops, "box.cell", &edges);
        let epsilon = ops.constant("box.tiny", [1, 1, 1], &[EPSILON]);
        let areas = ops.binary(Binary::Add, "box.cell.areas", &area, &epsilon);
        Self {
            ops,
            cells,
            side,
            ones,
            edges,
            areas,
            epsilon,
        }
    }

    fn count(&self) -> usize {
        self.side * self.side
    }

    /// The box, `[batch, 4, 1]`.
    fn decode(&mut self) -> O::Value {
        let factors = self.select_proposal();
        let first = self.mean("box.first", &factors);
        self.refine(first)
    }

    /// Factors for the cells' weights, `[batch, 1, cells]`, that make [`Self::mean`] the box of the best proposal.
    fn select_proposal(&mut self) -> O::Value {
        let windows = windows(self.side);
        let count = windows.len() / self.count();
        let windows = self
            .ops
            .constant("box.squares", [1, self.count(), count], &windows);
        let weights = self.ops.detach(&self.cells.weights);
        let corners = self.ops.detach(&self.cells.corners);
        let weights = self
            .ops
            .reshape("box.weight_column", &weights, [self.count(), 1]);
        let window_weights = self.binary(Binary::Mul, "box.square.weights", &weights, &windows);
        let sums = self.binary(
            Binary::MatMul,
            "box.square.sum",
            &self.ones.clone(),
            &window_weights,
        );
        let sums = self.binary(Binary::Add, "box.square.sums", &sums, &self.epsilon.clone());
        let boxes = self.binary(
            Binary::MatMul,
            "box.square.corners",
            &corners,
            &window_weights,
        );
        let boxes = self.binary(Binary::Div, "box.square.mean", &boxes, &sums);
        let proposals = split_corners(self.ops, "box.square", &boxes);
        let names = CORNERS.map(|corner| format!("box.square.{corner}.standing"));
        let proposals = [0, 1, 2, 3].map(|corner| {
            let proposal = &proposals[corner];
            self.ops.reshape(&names[corner], proposal, [count, 1])
        });
        let sums = self
            .ops
            .reshape("box.square.sums.standing", &sums, [count, 1]);
        let iou = self.iou("box.square", &proposals);
        let expected = self.binary(Binary::MatMul, "box.expected", &iou, &weights);
        let sharpness = self
            .ops
            .constant("box.sharpness", [1, 1, 1], &[INVERSE_TEMPERATURE]);
        let sharp = self.binary(Binary::Mul, "box.sharp", &expected, &sharpness);
        let best = self.ops.softmax("box.best", &sharp, 1);
        let shares = self.binary(Binary::Div, "box.shares", &best, &sums);
        let factors = self.binary(Binary::MatMul, "box.place", &windows, &shares);
        self.ops
            .reshape("box.place_row", &factors, [1, self.count()])
    }

    /// Moves a box, `[batch, 4, 1]`, towards the cells' boxes that overlap it.
    fn refine(&mut self, first: O::Value) -> O::Value {
        let mut found = first;
        for iteration in 1..=REFINE_ITERATIONS {
            let name = format!("box.revision{iteration}");
            let detached = self.ops.detach(&found);
            let corners = split_corners(self.ops, &name, &detached);
            let iou = self.iou(&name, &corners);
            let squared = self.binary(Binary::Mul, &format!("{name}.squared"), &iou, &iou);
            let epsilon = self.epsilon.clone();
            let factors = self.binary(Binary::Add, &format!("{name}.counts"), &squared, &epsilon);
            found = self.mean(&name, &factors);
        }
        found
    }

    /// The mean of the cells' boxes, `[batch, 4, 1]`, weighted by `weights * factors`.
    fn mean(&mut self, name: &str, factors: &O::Value) -> O::Value {
        let node = |part: &str| format!("{name}.{part}");
        let cells = self.cells;
        let weights = self.binary(Binary::Mul, &node("weights"), &cells.weights, factors);
        let weights = self
            .ops
            .reshape(&node("column"), &weights, [self.count(), 1]);
        let corners = self.binary(Binary::MatMul, &node("corners"), &cells.corners, &weights);
        let ones = self.ones.clone();
        let sum = self.binary(Binary::MatMul, &node("sum"), &ones, &weights);
        self.binary(Binary::Div, &node("mean"), &corners, &sum)
    }

    /// IoU of all cells' boxes with boxes whose corners are `[batch, boxes, 1]` each: `[batch, boxes, cells]`.
    fn iou(&mut self, name: &str, boxes: &[O::Value; 4]) -> O::Value {
        let node = |part: &str| format!("{name}.{part}");
        let box_area = area(self.ops, name, boxes);
        let [width, height] = [(0, "across"), (2, "down")].map(|(low, axis)| {
            let node = |part: &str| format!("{name}.{axis}.{part}");
            let (start, end) = (self.edges[low].clone(), self.edges[low + 1].clone());
            let end = self.binary(Binary::Min, &node("end"), &end, &boxes[low + 1]);
            let start = self.binary(Binary::Max, &node("start"), &start, &boxes[low]);
            let extent = self.binary(Binary::Sub, &node("between"), &end, &start);
            self.ops.relu(&node("shared"), &extent)
        });
        let intersection = self.binary(Binary::Mul, &node("shared"), &width, &height);
        let areas = self.areas.clone();
        let both = self.binary(Binary::Add, &node("both"), &areas, &box_area);
        let union = self.binary(Binary::Sub, &node("union"), &both, &intersection);
        self.binary(Binary::Div, &node("iou"), &intersection, &union)
    }

    fn binary(&mut self, operator: Binary, name: &str, a: &O::Value, b: &O::Value) -> O::Value {
        self.ops.binary(operator, name, a, b)
    }
}

const CORNERS: [&str; 4] = ["x_min", "x_max", "y_min", "y_max"];

/// Splits `[batch, 4, boxes]` into four values `[batch, 1, boxes]`.
fn split_corners<O: Ops>(ops: &mut O, name: &str, boxes: &O::Value) -> [O::Value; 4] {
    [0, 1, 2, 3].map(|corner| {
        let name = format!("{name}.{}", CORNERS[corner]);
        ops.slice(&name, boxes, corner, corner + 1)
    })
}

fn area<O: Ops>(ops: &mut O, name: &str, [x_min, x_max, y_min, y_max]: &[O::Value; 4]) -> O::Value {
    let width = ops.binary(Binary::Sub, &format!("{name}.width"), x_max, x_min);
    let height = ops.binary(Binary::Sub, &format!("{name}.height"), y_max, y_min);
    ops.binary(Binary::Mul, &format!("{name}.area"), &width, &height)
}

/// Whether each cell of a square map lies in each window, 1 or 0: `[cells, 9]`, cells row by row.
///
/// A window is two thirds of the map's side wide and the next one starts a third further, so they overlap and those at
/// the border are cut off.
fn windows(side: usize) -> Vec<f32> {
    let third = side as f32 / WINDOWS as f32;
    let is_in = |cell: usize, window: usize| {
        let (cell, centre) = (cell as f32 + 0.5, (window as f32 + 0.5) * third);
        (cell - centre).abs() <= third
    };
    let cells = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
    let each = cells.flat_map(|(x, y)| {
        let windows = (0..WINDOWS).flat_map(|row| (0..WINDOWS).map(move |column| (column, row)));
        windows.map(move |(column, row)| is_in(x, column) && is_in(y, row))
    });
    each.map(|inside| f32::from(u8::from(inside))).collect()
}

/// Centres of all cells in `0..=1`, once for each corner `x, x, y, y`: `[4, cells]`.
fn centres(height: usize, width: usize) -> Vec<f32> {
    let x = |cell: usize| ((cell % width) as f32 + 0.5) / width as f32;
    let y = |cell: usize| ((cell / width) as f32 + 0.5) / height as f32;
    let cells = || 0..height * width;
    let xs: Vec<f32> = cells().map(x).collect();
    let ys: Vec<f32> = cells().map(y).collect();
    [&*xs, &*xs, &*ys, &*ys].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::to_vec;

    /// Decodes a 9 x 9 map in which only these cells have weight: index, weight, corners.
    fn decode(cells: &[(usize, f32, [f32; 4])]) -> Vec<f32> {
        let device = Device::flex();
        let mut logits = vec![-20.0f32; 81];
        let mut corners = vec![[0.5f32; 4]; 81];
        for &(cell, weight, corner) in cells {
            logits[cell] = weight.ln();
            corners[cell] = corner;
        }
        let logits = Tensor::<3>::from_data(TensorData::new(logits, [1, 1, 81]), &device);
        let corners = TensorData::new(corners.concat(), [1, 81, 4]);
        let cells = CellPredictions {
            weights: softmax(logits.clone(), 2),
            logits,
            corners: Tensor::<3>::from_data(corners, &device).swap_dims(1, 2),
        };
        to_vec(cells.decode())
    }

    fn assert_near(found: &[f32], expected: [f32; 4]) {
        for (one, other) in found.iter().zip(expected) {
            assert!((one - other).abs() < 1e-2, "{found:?}, not {expected:?}");
        }
    }

    #[test]
    fn the_window_with_more_weight_is_selected() {
        let found = decode(&[
            (0, 0.35, [0.0, 0.2, 0.0, 0.2]),
            (10, 0.25, [0.0, 0.4, 0.0, 0.2]),
            (80, 0.4, [0.8, 1.0, 0.8, 1.0]),
        ]);
        // Squared IoU with the mean: the wide box's is 0.7 of the narrow one's, then 0.6 and so on.
        assert!(found[1] > 0.2 && found[1] < 0.35, "{found:?}");
        assert_near(&found, [0.0, found[1], 0.0, 0.2]);
    }

    #[test]
    fn a_box_that_most_cells_agree_on_beats_the_window_with_most_weight() {
        let whole = [0.0, 1.0, 0.0, 1.0];
        let found = decode(&[
            (0, 0.2, whole),
            (8, 0.2, whole),
            (40, 0.2, whole),
            (80, 0.4, [0.8, 1.0, 0.8, 1.0]),
        ]);
        assert_near(&found, whole);
    }

    #[test]
    fn windows_cover_all_cells_and_share_the_centre() {
        for side in [3, 6, 7, 16, 18] {
            let windows = windows(side);
            assert_eq!(windows.len(), side * side * 9);
            let mut cells = windows.chunks(9);
            assert!(cells.all(|cell| cell.contains(&1.0)), "{side}");
        }
        assert_eq!(windows(3).chunks(9).nth(4), Some(&[1.0; 9][..]));
    }
}
