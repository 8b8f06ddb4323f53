//! What a file makes of its box codes and scores, found by trying: chosen values take the place of what the network's
//! heads give, and the file's own operators decode them.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::anchors::{Anchor, MapSize, generate};
use super::error::NetworkFault;
use super::evaluate::Known;
use super::graph::{Graph, Op, Tensor, Unary, Value};
use super::heads::{Heads, Joined, PostProcessNode, followers};

/// How box codes become boxes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decoding {
    pub(super) order: CodeOrder,
    /// Of x, y, width, height: what the codes are divided by.
    pub(super) scales: [f32; 4],
    pub(super) anchors: Vec<Anchor>,
}

/// Positions of x, y, width and height among the four codes of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeOrder(pub(super) [usize; 4]);

impl CodeOrder {
    /// y, x, height, width: TensorFlow's.
    pub const Y_FIRST: Self = Self([1, 0, 3, 2]);

    /// x, y, width, height.
    pub const X_FIRST: Self = Self([0, 1, 2, 3]);
}

/// TensorFlow's scales of x, y, width and height.
pub(super) const SCALES: [f32; 4] = [10.0, 10.0, 5.0, 5.0];

/// Which of the score outputs of an anchor the file gives on.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Columns {
    /// The file's outputs are all of them; there may be a background among them.
    Unknown,
    /// These, in this order; the others are a background.
    Known(Vec<usize>),
}

/// How the file decodes boxes, by [`TFLite_Detection_PostProcess`](PostProcessNode) or by operators; what `assumed` says
/// if it leaves that to its caller.
///
/// # Errors
/// [`NetworkFault::Decoding`], or [`NetworkFault::NoAnchors`].
pub(super) fn boxes(
    graph: &Graph,
    known: &Known,
    heads: &Heads,
    maps: &[MapSize],
    assumed: &Assumed,
) -> Result<Decoding, NetworkFault> {
    if let Some(post_process) = &heads.post_process {
        return post_process_decoding(graph, known, post_process);
    }
    let count = maps.iter().map(MapSize::count).sum();
    let probe =
        |codes: &dyn Fn(usize, usize) -> f32| decode(graph, known, &heads.boxes, count, codes);
    let zero = probe(&|_, _| 0.0);
    let Some((output, zero)) = zero.filter(|(_, boxes)| boxes.values.iter().any(|v| *v != 0.0))
    else {
        // The codes themselves are the output.
        let anchors = match &assumed.anchors {
            Some(anchors) => anchors.clone(),
            None => generate(maps)?,
        };
        return Ok(Decoding {
            order: assumed.order,
            scales: assumed.scales,
            anchors,
        });
    };
    let mut moved = Vec::with_capacity(4);
    for code in 0..4 {
        let (_, boxes) = probe(&|_, at| if at == code { 1.0 } else { 0.0 })
            .filter(|(found, _)| *found == output)
            .ok_or_else(|| broken("an output that changes its shape"))?;
        moved.push(boxes);
    }
    let decoding = solve(&zero, &moved, maps)?;
    // The four codes together, with values that differ from anchor to anchor.
    let mixed = |anchor: usize, code: usize| ((anchor * 7 + code * 5) % 11) as f32 * 0.3 - 1.5;
    let found = probe(&mixed).map(|(_, boxes)| boxes);
    let found = found.ok_or_else(|| broken("no boxes"))?;
    decoding.check(&found, mixed)?;
    Ok(decoding.decoding)
}

/// What is assumed of a file that leaves the decoding to its caller.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Assumed {
    pub(super) order: CodeOrder,
    /// Of x, y, width, height.
    pub(super) scales: [f32; 4],
    pub(super) anchors: Option<Vec<Anchor>>,
}

fn broken(message: &str) -> NetworkFault {
    NetworkFault::Decoding {
        message: message.to_owned(),
    }
}

/// `TFLite_Detection_PostProcess` decodes y, x, height, width; its anchors are centres and sizes in this order.
fn post_process_decoding(
    graph: &Graph,
    known: &Known,
    post_process: &PostProcessNode,
) -> Result<Decoding, NetworkFault> {
    let anchors = known.get(post_process.anchors);
    let anchors = anchors.filter(|anchors| anchors.shape.last() == Some(&4));
    let Some(anchors) = anchors else {
        let node = &graph.nodes[post_process.node];
        return Err(NetworkFault::at(
            node,
            "computed anchors",
            "constant ones, 4 numbers each",
        ));
    };
    let rows = anchors.values.as_chunks().0.iter();
    let anchors = rows.map(|&[y, x, height, width]| Anchor {
        x,
        y,
        width,
        height,
    });
    let [y, x, height, width] = post_process.options.scales;
    Ok(Decoding {
        order: CodeOrder::Y_FIRST,
        scales: [x, y, width, height],
        anchors: anchors.collect(),
    })
}

/// The tensor that takes the place of joined rows.
fn seed(joined: &Joined, count: usize, value: impl Fn(usize, usize) -> f32) -> Tensor {
    let shape: Vec<usize> = joined
        .sides
        .iter()
        .map(|side| side.unwrap_or(count))
        .collect();
    let width = shape.last().copied().unwrap_or(1);
    let total = shape.iter().product::<usize>();
    let values = (0..total).map(|i| value(i / width, i % width)).collect();
    Tensor { shape, values }
}

/// The values that nothing computed reads: what the file makes of the seed in the end.
fn results(graph: &Graph, values: BTreeMap<Value, Rc<Tensor>>) -> Vec<(Value, Rc<Tensor>)> {
    let mut is_read = vec![false; graph.nodes.len()];
    for value in values.keys() {
        for input in &graph.node(*value).inputs {
            is_read[input.node] = true;
        }
    }
    let is_last = |(value, _): &(Value, _)| !is_read[value.node];
    values.into_iter().filter(is_last).collect()
}

/// What the file makes of box codes: a tensor of `[count, 4]` after sides of 1.
fn decode(
    graph: &Graph,
    known: &Known,
    joined: &Joined,
    count: usize,
    codes: &dyn Fn(usize, usize) -> f32,
) -> Option<(Value, Rc<Tensor>)> {
    let values = known.with(joined.value, seed(joined, count, codes));
    let is_boxes = |(_, tensor): &(Value, Rc<Tensor>)| {
        let sides = tensor.shape.iter().filter(|&&side| side != 1);
        let sides: Vec<usize> = sides.copied().collect();
        tensor.values.len() == 4 * count && tensor.shape.last() == Some(&4) && sides.len() <= 2
    };
    results(graph, values).into_iter().find(is_boxes)
}

/// The columns of a decoded box, and how they came about.
struct Solved {
    decoding: Decoding,
    /// Columns of x_min, x_max, y_min, y_max.
    corners: [usize; 4],
}

/// An axis of a decoded box: its code of the centre and of the size, and the columns of its minimum and maximum.
#[derive(Clone, Copy)]
struct Axis {
    centre: usize,
    size: usize,
    min: usize,
    max: usize,
}

/// Finds anchors, order and scales from the boxes of codes that are all 0, and of those of which one is 1.
fn solve(zero: &Tensor, moved: &[Rc<Tensor>], maps: &[MapSize]) -> Result<Solved, NetworkFault> {
    let rows = zero.values.as_chunks::<4>().0;
    let count = rows.len() as f32;
    // Mean change of each column with each code, in both directions.
    let mut change = [[0.0f32; 4]; 4];
    for (code, boxes) in moved.iter().enumerate() {
        for (now, before) in boxes.values.as_chunks::<4>().0.iter().zip(rows) {
            for column in 0..4 {
                change[code][column] += (now[column] - before[column]) / count;
            }
        }
    }
    let axes = axes(&change)
        .ok_or_else(|| broken("two codes that move a box and two that scale it were not found"))?;
    // The columns of a map follow each other, then its rows: x is the axis that changes first.
    let [first, second] = axes;
    let centre = |axis: Axis, row: usize| (rows[row][axis.min] + rows[row][axis.max]) / 2.0;
    let mut start = 0;
    let mut x_is_second = true;
    for map in maps {
        if map.width > 1 {
            let next = start + map.anchors;
            let along = |axis| (centre(axis, next) - centre(axis, start)).abs();
            x_is_second = along(second) > along(first);
            break;
        }
        start += map.count();
    }
    let [x, y] = if x_is_second {
        [second, first]
    } else {
        [first, second]
    };
    let side = |axis: Axis, row: &[f32; 4]| row[axis.max] - row[axis.min];
    let middle = |axis: Axis, row: &[f32; 4]| (row[axis.max] + row[axis.min]) / 2.0;
    let anchors = rows.iter().map(|row| Anchor {
        x: middle(x, row),
        y: middle(y, row),
        width: side(x, row),
        height: side(y, row),
    });
    // By the mean over all anchors: rounding cancels out.
    let mean_side = |axis: Axis| rows.iter().map(|row| side(axis, row) / count).sum::<f32>();
    let of_centre = |axis: Axis| mean_side(axis) / change[axis.centre][axis.max];
    let of_size =
        |axis: Axis| 1.0 / (1.0 + 2.0 * change[axis.size][axis.max] / mean_side(axis)).ln();
    let scales = [of_centre(x), of_centre(y), of_size(x), of_size(y)];
    if !scales.iter().all(|scale| scale.is_finite() && *scale > 0.0) {
        return Err(broken(&format!("scales {scales:?}")));
    }
    Ok(Solved {
        decoding: Decoding {
            order: CodeOrder([x.centre, y.centre, x.size, y.size]),
            scales: scales.map(rounded),
            anchors: anchors.collect(),
        },
        corners: [x.min, x.max, y.min, y.max],
    })
}

/// A scale without the rounding errors of finding it: they are whole numbers.
fn rounded(scale: f32) -> f32 {
    match (scale - scale.round()).abs() < 1e-3 * scale {
        true => scale.round(),
        false => scale,
    }
}

/// The axes by how columns change with the codes: a centre moves two alike, a size moves two apart.
fn axes(change: &[[f32; 4]; 4]) -> Option<[Axis; 2]> {
    let mut centres = Vec::new();
    let mut sizes = Vec::new();
    for (code, columns) in change.iter().enumerate() {
        let largest = columns
            .iter()
            .fold(0.0f32, |most, change| most.max(change.abs()));
        let moving = |column: &usize| columns[*column].abs() > 1e-2 * largest;
        let moving: Vec<usize> = (0..4).filter(moving).collect();
        let &[a, b] = &moving[..] else {
            return None;
        };
        match (columns[a] > 0.0, columns[b] > 0.0) {
            (true, true) => centres.push((code, [a, b])),
            (false, true) => sizes.push((code, a, b)),
            (true, false) => sizes.push((code, b, a)),
            (false, false) => return None,
        }
    }
    let axis = |&(centre, columns): &(usize, [usize; 2])| {
        let same =
            |(_, min, max): &&(usize, usize, usize)| columns.contains(min) && columns.contains(max);
        let &(size, min, max) = sizes.iter().find(same)?;
        Some(Axis {
            centre,
            size,
            min,
            max,
        })
    };
    let axes: Vec<Axis> = centres.iter().map(axis).collect::<Option<_>>()?;
    axes.try_into().ok()
}

impl Solved {
    /// Compares the file's boxes of any codes with those of the decoding that was found.
    fn check(
        &self,
        found: &Tensor,
        codes: impl Fn(usize, usize) -> f32,
    ) -> Result<(), NetworkFault> {
        let Decoding {
            order: CodeOrder(order),
            scales,
            anchors,
        } = &self.decoding;
        let [x_min, x_max, y_min, y_max] = self.corners;
        for (number, (anchor, row)) in anchors
            .iter()
            .zip(found.values.as_chunks::<4>().0)
            .enumerate()
        {
            let code = |axis: usize| codes(number, order[axis]) / scales[axis];
            let (x, y) = (
                anchor.x + code(0) * anchor.width,
                anchor.y + code(1) * anchor.height,
            );
            let (width, height) = (anchor.width * code(2).exp(), anchor.height * code(3).exp());
            let expected = [
                (x_min, x - width / 2.0),
                (x_max, x + width / 2.0),
                (y_min, y - height / 2.0),
                (y_max, y + height / 2.0),
            ];
            for (column, expected) in expected {
                let difference = (row[column] - expected).abs();
                if difference.is_nan() || difference > 1e-3 {
                    return Err(broken(&format!(
                        "anchor {number} gives {} for {expected}",
                        row[column]
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Which scores the file gives on.
///
/// # Errors
/// [`NetworkFault::Operator`] for scores that are no sigmoid of the outputs.
pub(super) fn columns(
    graph: &Graph,
    known: &Known,
    heads: &Heads,
    count: usize,
) -> Result<Columns, NetworkFault> {
    for node in followers(graph, heads.scores.value) {
        let node = &graph.nodes[node];
        if node.op == Op::Softmax {
            return Err(NetworkFault::at(
                node,
                "scores by softmax",
                "a sigmoid of each score",
            ));
        }
    }
    if let Some(post_process) = &heads.post_process {
        // It leaves out the first columns if there are more than its classes.
        let classes = post_process.options.classes;
        return match heads.columns.checked_sub(classes) {
            Some(background) => Ok(Columns::Known((background..heads.columns).collect())),
            None => {
                let node = &graph.nodes[post_process.node];
                let found = format!("{classes} classes, but {} scores a box", heads.columns);
                Err(NetworkFault::at(
                    node,
                    found,
                    "at most as many classes as scores",
                ))
            }
        };
    }
    // A logit of its own for each column, all where a sigmoid is steep.
    let logit = |column: usize| 6.0 * column as f32 / heads.columns as f32 - 3.0;
    let values = known.with(
        heads.scores.value,
        seed(&heads.scores, count, |_, column| logit(column)),
    );
    let results = results(graph, values);
    let is_scores = |tensor: &Tensor| {
        let width = tensor.shape.last().copied().unwrap_or(0);
        width > 0 && width <= heads.columns && tensor.values.len() == count * width
    };
    let Some((_, scores)) = results.into_iter().find(|(_, tensor)| is_scores(tensor)) else {
        return Ok(Columns::Unknown);
    };
    let width = scores.shape.last().copied().unwrap_or(0);
    // A tenth of the distance of two neighbours where a sigmoid is flattest.
    let near = 0.02 / heads.columns as f32;
    let matched = |activation: &dyn Fn(f32) -> f32| -> Option<Vec<usize>> {
        let column = |score: &f32| {
            (0..heads.columns).find(|&column| (score - activation(logit(column))).abs() < near)
        };
        scores.values[..width].iter().map(column).collect()
    };
    let columns = matched(&|x| Unary::Sigmoid.compute(x)).or_else(|| matched(&|x| x));
    let columns = columns.ok_or_else(broken_scores)?;
    match columns.len() == heads.columns {
        true => Ok(Columns::Unknown),
        false => Ok(Columns::Known(columns)),
    }
}

fn broken_scores() -> NetworkFault {
    NetworkFault::Decoding {
        message: "its scores are not the sigmoid of its outputs".to_owned(),
    }
}
