//! The same as nodes of a graph.

use super::{CELL_CHANNELS, REFINE_ITERATIONS, SHARPNESS, SIGNS, TINY, centres, squares};
use crate::onnx::GraphBuilder;

/// Adds what follows the votes, `[1, 5, side, side]`, to a graph; gives back the name of the corners.
pub(in crate::heads) fn export(graph: &mut GraphBuilder, votes: &str, side: usize) -> String {
    let cells = side * side;
    let votes = graph.reshape("box.votes", votes, &[1, CELL_CHANNELS as i64, cells as i64]);
    let logits = graph.slice_channels("box.weight_logits", &votes, 0, 1);
    let weights = graph.softmax("box.weights", &logits, 2);
    let raw = graph.slice_channels("box.raw_distances", &votes, 1, CELL_CHANNELS as i64);
    let distance = graph.relu("box.distances", &raw);
    let signs = graph.floats("box.signs", &[1, 4, 1], &SIGNS);
    let signed = graph.binary("Mul", "box.offsets", &distance, &signs);
    let by_cell: Vec<f32> = centres(side, side).collect();
    let corner = |corner: usize| by_cell.iter().skip(corner).step_by(4).copied();
    let by_corner: Vec<f32> = (0..4).flat_map(corner).collect();
    let centres = graph.floats("box.centres", &[1, 4, cells], &by_corner);
    let corners = graph.binary("Add", "box.cell_corners", &signed, &centres);
    let ones = graph.floats("box.ones", &[1, 1, cells], &vec![1.0; cells]);
    let mut cells = CellNodes {
        graph,
        cells,
        corners,
        weights,
        ones,
    };
    let edges = cells.edges();
    let place = cells.place(&edges, side);
    let mut found = cells.mean("box.first", &place);
    for revision in 1..=REFINE_ITERATIONS {
        let name = format!("box.revision{revision}");
        let boxes = corners_of(cells.graph, &name, &found);
        let overlap = cells.overlap(&name, &edges, &boxes);
        let squared = cells.squared(&name, &edges, &overlap);
        found = cells.mean(&name, &squared);
    }
    graph.reshape("box.corners", &found, &[1, 4])
}

/// The graph with the names of what it has of the cells.
struct CellNodes<'g> {
    graph: &'g mut GraphBuilder,
    cells: usize,
    /// `[1, 4, cells]`
    corners: String,
    /// `[1, 1, cells]`
    weights: String,
    /// `[1, 1, cells]`
    ones: String,
}

/// Names of lists `[1, 1, cells]`.
struct Edges {
    corners: [String; 4],
    /// With [`TINY`].
    areas: String,
    /// [`TINY`], `[1, 1, 1]`.
    tiny: String,
}

impl CellNodes<'_> {
    /// [`super::CellPredictions::place`], as `[1, 1, cells]`.
    fn place(&mut self, edges: &Edges, side: usize) -> String {
        let squares = squares(side);
        let count = squares.len() / self.cells;
        let (list, column) = (count as i64, [1, self.cells as i64, 1]);
        let graph = &mut *self.graph;
        let squares = graph.floats("box.squares", &[1, self.cells, count], &squares);
        let weights = graph.reshape("box.weight_column", &self.weights, &column);
        let of_square = graph.binary("Mul", "box.square.weights", &weights, &squares);
        let sums = graph.binary("MatMul", "box.square.sum", &self.ones, &of_square);
        let sums = graph.binary("Add", "box.square.sums", &sums, &edges.tiny);
        let boxes = graph.binary("MatMul", "box.square.corners", &self.corners, &of_square);
        let boxes = graph.binary("Div", "box.square.mean", &boxes, &sums);
        let standing = |graph: &mut GraphBuilder, name: &str| {
            graph.reshape(&format!("{name}.standing"), name, &[1, list, 1])
        };
        let proposed = corners_of(graph, "box.square", &boxes);
        let proposed = proposed.map(|corner| standing(graph, &corner));
        let sums = standing(graph, &sums);
        let overlap = self.overlap("box.square", edges, &proposed);
        let graph = &mut *self.graph;
        let expected = graph.binary("MatMul", "box.expected", &overlap, &weights);
        let sharpness = graph.floats("box.sharpness", &[1, 1, 1], &[SHARPNESS]);
        let sharp = graph.binary("Mul", "box.sharp", &expected, &sharpness);
        let best = graph.softmax("box.best", &sharp, 1);
        let shares = graph.binary("Div", "box.shares", &best, &sums);
        let place = graph.binary("MatMul", "box.place", &squares, &shares);
        graph.reshape("box.place_row", &place, &[1, 1, self.cells as i64])
    }

    /// The mean of the boxes, each with its weight and this factor: `[1, 4, 1]`.
    fn mean(&mut self, name: &str, factors: &str) -> String {
        let column = [1, self.cells as i64, 1];
        let graph = &mut *self.graph;
        let part = |part: &str| format!("{name}.{part}");
        let weights = graph.binary("Mul", &part("weights"), &self.weights, factors);
        let weights = graph.reshape(&part("column"), &weights, &column);
        let corners = graph.binary("MatMul", &part("corners"), &self.corners, &weights);
        let sum = graph.binary("MatMul", &part("sum"), &self.ones, &weights);
        graph.binary("Div", &part("mean"), &corners, &sum)
    }

    fn edges(&mut self) -> Edges {
        let corners = corners_of(self.graph, "box.cell", &self.corners);
        let area = area(self.graph, "box.cell", &corners);
        let tiny = self.graph.floats("box.tiny", &[1, 1, 1], &[TINY]);
        Edges {
            areas: self.graph.binary("Add", "box.cell.areas", &area, &tiny),
            corners,
            tiny,
        }
    }

    /// IoU of each cell's box with boxes whose corners are `[1, boxes, 1]` each: `[1, boxes, cells]`.
    fn overlap(&mut self, name: &str, edges: &Edges, found: &[String; 4]) -> String {
        let found_area = area(self.graph, name, found);
        let graph = &mut *self.graph;
        let part = |part: &str| format!("{name}.{part}");
        let [across, down] = [(0, "across"), (2, "down")].map(|(low, which)| {
            let part = |part: &str| format!("{name}.{which}.{part}");
            let end = graph.binary(
                "Min",
                &part("end"),
                &edges.corners[low + 1],
                &found[low + 1],
            );
            let start = graph.binary("Max", &part("start"), &edges.corners[low], &found[low]);
            let shared = graph.binary("Sub", &part("between"), &end, &start);
            graph.relu(&part("shared"), &shared)
        });
        let shared = graph.binary("Mul", &part("shared"), &across, &down);
        let both = graph.binary("Add", &part("both"), &edges.areas, &found_area);
        let union = graph.binary("Sub", &part("union"), &both, &shared);
        graph.binary("Div", &part("iou"), &shared, &union)
    }

    /// The square of an overlap, and a little more than nothing.
    fn squared(&mut self, name: &str, edges: &Edges, overlap: &str) -> String {
        let part = |part: &str| format!("{name}.{part}");
        let squared = self.graph.binary("Mul", &part("squared"), overlap, overlap);
        self.graph
            .binary("Add", &part("counts"), &squared, &edges.tiny)
    }
}

/// The four corners of boxes, each a list.
fn corners_of(graph: &mut GraphBuilder, name: &str, boxes: &str) -> [String; 4] {
    [(0, "x_min"), (1, "x_max"), (2, "y_min"), (3, "y_max")].map(|(corner, which)| {
        graph.slice_channels(&format!("{name}.{which}"), boxes, corner, corner + 1)
    })
}

fn area(
    graph: &mut GraphBuilder,
    name: &str,
    [x_min, x_max, y_min, y_max]: &[String; 4],
) -> String {
    let width = graph.binary("Sub", &format!("{name}.width"), x_max, x_min);
    let height = graph.binary("Sub", &format!("{name}.height"), y_max, y_min);
    graph.binary("Mul", &format!("{name}.area"), &width, &height)
}
