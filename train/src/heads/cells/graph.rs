//! The same as nodes of a graph.

use super::{REVISIONS, SHARPNESS, SIGNS, TINY, VOTE, centres, neighbours};
use crate::onnx::GraphBuilder;

/// Adds what follows the votes, `[1, 5, side, side]`, to a graph; gives back the name of the corners.
pub(in crate::heads) fn export(graph: &mut GraphBuilder, votes: &str, side: usize) -> String {
    let cells = side * side;
    let votes = graph.reshape("box.votes", votes, &[1, VOTE as i64, cells as i64]);
    let logits = graph.slice_channels("box.weight_logits", &votes, 0, 1);
    let weights = graph.softmax("box.weights", &logits, 2);
    let raw = graph.slice_channels("box.raw_distances", &votes, 1, VOTE as i64);
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
    let place = cells.place(side);
    let mut found = cells.mean("box.first", &place);
    let edges = cells.edges();
    for revision in 1..=REVISIONS {
        let name = format!("box.revision{revision}");
        let overlap = cells.overlap(&name, &edges, &found);
        found = cells.mean(&name, &overlap);
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
    /// [`super::place`], as `[1, 1, cells]`.
    fn place(&mut self, side: usize) -> String {
        let map = [side as i64, side as i64];
        let graph = &mut *self.graph;
        let square = graph.floats("box.square", &[side, side], &neighbours(side));
        let weights = graph.reshape("box.weight_map", &self.weights, &map);
        let near = around(graph, "box.near", &weights, &square);
        let sharpness = graph.floats("box.sharpness", &[1, 1], &[SHARPNESS]);
        let near = graph.binary("Mul", "box.sharp", &near, &sharpness);
        let near = graph.reshape("box.sharp_row", &near, &[1, self.cells as i64]);
        let peak = graph.softmax("box.peak", &near, 1);
        let peak = graph.reshape("box.peak_map", &peak, &map);
        let place = around(graph, "box.place", &peak, &square);
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
        let corners = corners(self.graph, "box.cell", &self.corners);
        let area = area(self.graph, "box.cell", &corners);
        let tiny = self.graph.floats("box.tiny", &[1, 1, 1], &[TINY]);
        Edges {
            areas: self.graph.binary("Add", "box.cell.areas", &area, &tiny),
            corners,
            tiny,
        }
    }

    /// The square of the IoU of each cell's box with the one found, and a little more than nothing: `[1, 1, cells]`.
    fn overlap(&mut self, name: &str, edges: &Edges, found: &str) -> String {
        let found = corners(self.graph, name, found);
        let found_area = area(self.graph, name, &found);
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
        let overlap = graph.binary("Div", &part("iou"), &shared, &union);
        let squared = graph.binary("Mul", &part("squared"), &overlap, &overlap);
        graph.binary("Add", &part("counts"), &squared, &edges.tiny)
    }
}

/// The four corners of boxes, each a list.
fn corners(graph: &mut GraphBuilder, name: &str, boxes: &str) -> [String; 4] {
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

fn around(graph: &mut GraphBuilder, name: &str, map: &str, square: &str) -> String {
    let down = graph.binary("MatMul", &format!("{name}_down"), square, map);
    graph.binary("MatMul", name, &down, square)
}
