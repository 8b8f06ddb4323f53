//! Which layers run together, and where each feature map is in the workspace: maps with disjoint lifetimes share
//! memory.

use std::ops::Range;

use super::super::graph::{Graph, MapId, Operation};
use super::super::tensor::{CACHE_LINE, MapLayout, MapSize, OVERREAD, Padding, Window};

/// Bytes of the intermediate map between a depthwise and a pointwise convolution that are computed before they are
/// read. They stay in the L2 cache, and the pointwise weights are read only once per block.
const INTERMEDIATE_BYTES: usize = 128 * 1024;

/// Byte ranges in the workspace.
pub(super) struct MemoryPlan {
    /// For each map.
    pub(super) layouts: Vec<MapLayout>,
    /// For each map, [`OVERREAD`] included. Empty for a map that exists only within a step.
    pub(super) maps: Vec<Range<usize>>,
    /// For each step: the intermediate maps of all threads, one after the other.
    pub(super) intermediates: Vec<Range<usize>>,
    /// Size of the workspace.
    pub(super) bytes: usize,
}

impl MemoryPlan {
    /// `steps` is the result of [`schedule`].
    pub(super) fn new(graph: &Graph, steps: &[Vec<usize>], threads: usize) -> Self {
        let layouts = layouts(graph);
        let mut allocator = Allocator::default();
        let mut maps = Vec::with_capacity(layouts.len());
        for (layout, lifetime) in layouts.iter().zip(lifetimes(graph, steps)) {
            maps.push(match lifetime {
                Some(lifetime) => allocator.allocate(layout.bytes() + OVERREAD, lifetime),
                None => 0..0,
            });
        }
        let mut intermediates = Vec::with_capacity(steps.len());
        for (number, layers) in steps.iter().enumerate() {
            intermediates.push(match intermediate_map(graph, layers) {
                Some(map) => {
                    let layout = intermediate_layout(graph.feature_map(map).size);
                    let bytes = (layout.bytes() + OVERREAD).next_multiple_of(CACHE_LINE);
                    allocator.allocate(bytes * threads, number..number + 1)
                }
                None => 0..0,
            });
        }
        let ends = maps.iter().chain(&intermediates).map(|range| range.end);
        Self {
            bytes: ends.max().unwrap_or_default(),
            layouts,
            maps,
            intermediates,
        }
    }
}

/// First-fit allocation of ranges that begin at a cache line.
#[derive(Default)]
struct Allocator {
    /// Bytes, and the steps during which they are in use.
    allocated: Vec<(Range<usize>, Range<usize>)>,
}

impl Allocator {
    fn allocate(&mut self, bytes: usize, lifetime: Range<usize>) -> Range<usize> {
        let bytes = bytes.next_multiple_of(CACHE_LINE);
        let overlaps =
            |other: &Range<usize>| other.start < lifetime.end && lifetime.start < other.end;
        let mut in_use: Vec<Range<usize>> = self
            .allocated
            .iter()
            .filter(|(_, other)| overlaps(other))
            .map(|(range, _)| range.clone())
            .collect();
        in_use.sort_unstable_by_key(|range| range.start);
        let mut start = 0;
        for other in in_use {
            if start + bytes <= other.start {
                break;
            }
            start = start.max(other.end);
        }
        self.allocated.push((start..start + bytes, lifetime));
        start..start + bytes
    }
}

/// Groups the layers, by their indices, into steps in execution order: a depthwise convolution and a pointwise one that
/// is its only reader form one step, every other layer is a step of its own.
pub(super) fn schedule(graph: &Graph) -> Vec<Vec<usize>> {
    let mut steps: Vec<Vec<usize>> = Vec::new();
    let mut scheduled = vec![false; graph.layers.len()];
    for layer in 0..graph.layers.len() {
        if std::mem::replace(&mut scheduled[layer], true) {
            continue;
        }
        let mut step = vec![layer];
        if let Some(pointwise) = only_pointwise_reader(graph, layer) {
            scheduled[pointwise] = true;
            step.push(pointwise);
        }
        steps.push(step);
    }
    steps
}

/// The pointwise convolution that is the only reader of a depthwise convolution's output.
fn only_pointwise_reader(graph: &Graph, layer: usize) -> Option<usize> {
    let Operation::DepthwiseConv2d(.., output) = &graph.layers[layer].operation else {
        return None;
    };
    let reads = |layer: &usize| graph.layers[*layer].operation.inputs().contains(output);
    let mut readers = (0..graph.layers.len()).filter(reads);
    let (reader, None) = (readers.next()?, readers.next()) else {
        return None;
    };
    let is_pointwise = matches!(&graph.layers[reader].operation,
        Operation::Conv2d(_, layer, _) if layer.window == Window::POINTWISE);
    is_pointwise.then_some(reader)
}

/// The map between the two layers of a step.
fn intermediate_map(graph: &Graph, layers: &[usize]) -> Option<MapId> {
    match layers {
        [depthwise, _] => graph.layers[*depthwise].operation.output(),
        _ => None,
    }
}

/// Layout of the rows of an intermediate map that are computed at once.
pub(super) fn intermediate_layout(size: MapSize) -> MapLayout {
    let whole = MapLayout::new(size, Padding::NONE);
    let blocks = whole.bytes().div_ceil(INTERMEDIATE_BYTES).max(1);
    let height = size.height.div_ceil(blocks).max(1);
    MapLayout::new(MapSize { height, ..size }, Padding::NONE)
}

/// Each map with enough padding for all its readers.
fn layouts(graph: &Graph) -> Vec<MapLayout> {
    let mut paddings = vec![Padding::NONE; graph.maps.len()];
    for layer in &graph.layers {
        let (input, window) = match &layer.operation {
            Operation::Conv2d(input, layer, _) | Operation::FloatConv2d(input, layer, _) => {
                (input, layer.window)
            }
            Operation::DepthwiseConv2d(input, layer, _) => (input, layer.window),
            _ => continue,
        };
        paddings[input.0] = paddings[input.0].union(window.padding);
    }
    // Only convolutions with one group can read pixels of three bytes.
    let can_read_image = |operation: &Operation| {
        let reads_input = operation.inputs().contains(&MapId(0));
        !reads_input
            || matches!(
                operation,
                Operation::Conv2d(..) | Operation::FloatConv2d(..)
            )
    };
    let is_image = graph
        .layers
        .iter()
        .all(|layer| can_read_image(&layer.operation));
    let maps = graph.maps.iter().zip(paddings).enumerate();
    maps.map(|(number, (map, padding))| {
        if number == 0 && is_image {
            MapLayout::image(map.size, padding)
        } else {
            MapLayout::new(map.size, padding)
        }
    })
    .collect()
}

/// The steps during which each map is in use, from the one that writes it to the last that reads it; `None` for an
/// intermediate map.
fn lifetimes(graph: &Graph, steps: &[Vec<usize>]) -> Vec<Option<Range<usize>>> {
    let mut lifetimes: Vec<Option<Range<usize>>> = vec![Some(0..0); graph.maps.len()];
    for (number, layers) in steps.iter().enumerate() {
        for operation in layers.iter().map(|&layer| &graph.layers[layer].operation) {
            for input in operation.inputs() {
                if let Some(lifetime) = &mut lifetimes[input.0] {
                    lifetime.end = number + 1;
                }
            }
            if let Some(output) = operation.output() {
                lifetimes[output.0] = Some(number..number + 1);
            }
        }
    }
    for map in steps
        .iter()
        .filter_map(|layers| intermediate_map(graph, layers))
    {
        lifetimes[map.0] = None;
    }
    lifetimes
}
