//! Finds the heads of an SSD by their wiring: two concatenations of reshaped convolutions, one pair for each feature map.

use super::error::NetworkFault;
use super::evaluate::Known;
use super::graph::{Graph, Op, PostProcess, Unary, Value};
use crate::formats::KernelLayout;

/// The heads of an SSD.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Heads {
    /// In the order in which they are joined.
    pub(super) maps: Vec<MapHeads>,
    pub(super) boxes: Joined,
    pub(super) scores: Joined,
    /// Score outputs of an anchor, with a background if there is one.
    pub(super) columns: usize,
    pub(super) post_process: Option<PostProcessNode>,
}

/// The heads of a feature map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MapHeads {
    /// `[1, height, width, anchors * 4]`
    pub(super) boxes: Value,
    /// `[1, height, width, anchors * columns]`
    pub(super) scores: Value,
    /// Anchors of a cell.
    pub(super) anchors: usize,
}

/// The rows of all feature maps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Joined {
    pub(super) value: Value,
    /// Sides, `None` for the number of anchors.
    pub(super) sides: Vec<Option<usize>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct PostProcessNode {
    pub(super) options: PostProcess,
    pub(super) node: usize,
    pub(super) anchors: Value,
}

/// A concatenation of reshaped convolutions.
struct Candidate {
    joined: Joined,
    /// The outputs of the convolutions, and their channels.
    heads: Vec<(Value, usize)>,
    /// Values of an anchor, if the file says it.
    width: Option<usize>,
}

impl Candidate {
    /// The joined rows, of this many values each.
    fn joined(&self, width: usize) -> Result<Joined, NetworkFault> {
        let mut joined = self.joined.clone();
        match joined.sides.last_mut() {
            Some(side @ None) => *side = Some(width),
            Some(Some(side)) if *side == width => {}
            _ => {
                let found = format!("rows of {:?} values", self.width);
                return Err(NetworkFault::NoHeads { found });
            }
        }
        Ok(joined)
    }
}

/// Finds the heads.
///
/// # Errors
/// [`NetworkFault::NoHeads`], or [`NetworkFault::Heads`] for two that do not fit each other.
pub(super) fn find(graph: &Graph, known: &Known) -> Result<Heads, NetworkFault> {
    let candidates: Vec<Candidate> = (0..graph.nodes.len())
        .filter_map(|node| candidate(graph, known, node))
        .collect();
    let post_process = post_process(graph)?;
    let pair = match &post_process {
        Some(found) => {
            let inputs = &graph.nodes[found.node].inputs;
            let at = |input: Value| {
                let joined = before_activation(graph, input);
                candidates.iter().find(|c| c.joined.value == joined)
            };
            at(inputs[0]).zip(at(inputs[1]))
        }
        None => pair(graph, &candidates),
    };
    let Some((boxes, scores)) = pair else {
        return Err(NetworkFault::NoHeads {
            found: description(graph, &candidates),
        });
    };
    let mut maps = Vec::with_capacity(boxes.heads.len());
    let mut columns = None;
    let heads = boxes.heads.iter().zip(&scores.heads);
    for (map, (&(boxes, box_channels), &(scores, score_channels))) in heads.enumerate() {
        let anchors = box_channels / 4;
        let found = score_channels.checked_div(anchors).unwrap_or(0);
        let fits = box_channels % 4 == 0 && found > 0 && score_channels % anchors == 0;
        if !fits || *columns.get_or_insert(found) != found {
            return Err(NetworkFault::Heads {
                map,
                boxes: box_channels,
                scores: score_channels,
            });
        }
        maps.push(MapHeads {
            boxes,
            scores,
            anchors,
        });
    }
    let columns = columns.unwrap_or(0);
    Ok(Heads {
        maps,
        boxes: boxes.joined(4)?,
        scores: scores.joined(columns)?,
        columns,
        post_process,
    })
}

/// The two concatenations of a network without post-processing.
fn pair<'c>(graph: &Graph, candidates: &'c [Candidate]) -> Option<(&'c Candidate, &'c Candidate)> {
    let (boxes, scores): (Vec<_>, Vec<_>) = candidates.iter().partition(|c| c.width == Some(4));
    let fit = |(boxes, scores): (&'c Candidate, &'c Candidate)| {
        (boxes.heads.len() == scores.heads.len()).then_some((boxes, scores))
    };
    match (&boxes[..], &scores[..]) {
        (&[boxes], &[scores]) => fit((boxes, scores)),
        // Four scores an anchor look like box codes; what follows, or else the name, tells them apart.
        (&[first, second], []) => {
            let is_scores = |c: &Candidate| leads_to_sigmoid(graph, c.joined.value);
            let is_boxes = |c: &Candidate| {
                let name = &graph.node(c.joined.value).name;
                let first = graph.node(c.heads[0].0);
                format!("{name} {}", first.name)
                    .to_lowercase()
                    .contains("box")
            };
            match (is_scores(first), is_scores(second)) {
                (true, false) => fit((second, first)),
                (false, true) => fit((first, second)),
                _ => match (is_boxes(first), is_boxes(second)) {
                    (true, false) => fit((first, second)),
                    (false, true) => fit((second, first)),
                    _ => None,
                },
            }
        }
        _ => None,
    }
}

/// What was found instead of heads.
fn description(graph: &Graph, candidates: &[Candidate]) -> String {
    let name = |c: &Candidate| {
        let width = c.width.map_or("?".to_owned(), |width| width.to_string());
        format!(
            "{:?} ({width} values an anchor)",
            graph.node(c.joined.value).name
        )
    };
    match candidates {
        [] => "none".to_owned(),
        all => all.iter().map(name).collect::<Vec<_>>().join(", "),
    }
}

fn post_process(graph: &Graph) -> Result<Option<PostProcessNode>, NetworkFault> {
    for (node, found) in graph.nodes.iter().enumerate() {
        let Op::PostProcess(options) = &found.op else {
            continue;
        };
        let &[_, _, anchors] = &found.inputs[..] else {
            let inputs = format!("{} inputs", found.inputs.len());
            return Err(NetworkFault::at(
                found,
                inputs,
                "box codes, scores and anchors",
            ));
        };
        return Ok(Some(PostProcessNode {
            options: options.clone(),
            node,
            anchors,
        }));
    }
    Ok(None)
}

/// The value whose values these are, before changes of shape and a sigmoid.
fn before_activation(graph: &Graph, mut value: Value) -> Value {
    loop {
        let node = graph.node(value);
        let passes = graph.keeps_values(value.node) || node.op == Op::Unary(Unary::Sigmoid);
        match node.inputs.first() {
            Some(&input) if passes => value = input,
            _ => return value,
        }
    }
}

fn leads_to_sigmoid(graph: &Graph, value: Value) -> bool {
    let is_activation = |&node: &usize| {
        matches!(
            graph.nodes[node].op,
            Op::Unary(Unary::Sigmoid) | Op::Softmax
        )
    };
    followers(graph, value).iter().any(is_activation)
}

/// The nodes that read a value, directly or after changes of its shape.
pub(super) fn followers(graph: &Graph, value: Value) -> Vec<usize> {
    let readers = graph.readers();
    let mut open = vec![value.node];
    let mut found = Vec::new();
    while let Some(node) = open.pop() {
        for &reader in &readers[node] {
            if !found.contains(&reader) {
                found.push(reader);
                if graph.keeps_values(reader) {
                    open.push(reader);
                }
            }
        }
    }
    found
}

fn candidate(graph: &Graph, known: &Known, node: usize) -> Option<Candidate> {
    let found = &graph.nodes[node];
    let Op::Concat { axis } = found.op else {
        return None;
    };
    let mut heads = Vec::with_capacity(found.inputs.len());
    let mut sides: Option<Vec<Option<usize>>> = None;
    for &input in &found.inputs {
        // The last change of shape before the concatenation.
        let mut reshape = None;
        let mut value = input;
        while graph.keeps_values(value.node) || graph.node(value).op == Op::Unary(Unary::Sigmoid) {
            if graph.node(value).op == Op::Reshape {
                reshape = reshape.or(Some(value.node));
            }
            value = *graph.node(value).inputs.first()?;
        }
        let reshaped = known.reshaped_sides(reshape?)?;
        sides.get_or_insert(reshaped);
        heads.push((value, channels(graph, known, value)?));
    }
    let mut sides = sides?;
    let width = sides.last().copied().flatten();
    let rank = sides.len();
    let axis = usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok()?;
    for (position, side) in sides.iter_mut().enumerate() {
        *side = match (position, *side) {
            (joined, _) if joined == axis => None,
            (last, side) if last + 1 == rank => side,
            // The batch, and sides of 1.
            (_, None | Some(1)) => Some(1),
            _ => return None,
        };
    }
    (axis + 1 < rank).then_some(Candidate {
        joined: Joined {
            value: Value::of(node),
            sides,
        },
        heads,
        width,
    })
}

/// Output channels of the convolution that makes a value, after its bias and norm.
fn channels(graph: &Graph, known: &Known, mut value: Value) -> Option<usize> {
    loop {
        let node = graph.node(value);
        value = match &node.op {
            Op::Conv(conv) => {
                let kernel = known.get(*node.inputs.get(1)?)?;
                let &[a, _, c, d] = &kernel.shape[..] else {
                    return None;
                };
                return Some(match conv.layout {
                    KernelLayout::OutHeightWidthIn => a,
                    KernelLayout::Depthwise => c * d,
                    KernelLayout::HeightWidthInOut => d,
                });
            }
            Op::Binary(_) => match node.inputs[..] {
                [a, b] if known.get(b).is_some() => a,
                [a, b] if known.get(a).is_some() => b,
                _ => return None,
            },
            Op::BatchNorm { .. } | Op::Identity => *node.inputs.first()?,
            _ => return None,
        };
    }
}
