//! Where each map is: maps that are not needed at the same time have the same place.

use std::ops::Range;

use super::super::graph::{Graph, Operation, ValueId};
use super::super::map::{Border, Layout, SLACK};
use super::step::between_bytes;

/// Bytes to which places are rounded, so that each begins at a cache line.
const LINE: usize = 64;

/// Where everything is.
pub(super) struct Places {
    /// Of each value.
    pub(super) layouts: Vec<Layout>,
    /// Of each value; its slack is in it. Empty for one that never leaves its step.
    pub(super) maps: Vec<Range<usize>>,
    /// Of each step: where what is between its layers is, one behind the other for each thread.
    pub(super) between: Vec<Range<usize>>,
    /// All of it.
    pub(super) bytes: usize,
}

impl Places {
    /// For steps, each a group of layers by their numbers.
    pub(super) fn new(graph: &Graph, steps: &[Vec<usize>], threads: usize) -> Self {
        let layouts = layouts(graph);
        let lives = lives(graph, steps);
        let mut taken: Vec<(Range<usize>, Range<usize>)> = Vec::new();
        let mut place = |bytes: usize, life: Range<usize>| {
            let bytes = bytes.next_multiple_of(LINE);
            let overlaps = |other: &Range<usize>| other.start < life.end && life.start < other.end;
            let mut busy: Vec<Range<usize>> = taken
                .iter()
                .filter(|(_, other)| overlaps(other))
                .map(|(place, _)| place.clone())
                .collect();
            busy.sort_unstable_by_key(|place| place.start);
            let mut start = 0;
            for other in busy {
                if start + bytes <= other.start {
                    break;
                }
                start = start.max(other.end);
            }
            taken.push((start..start + bytes, life));
            start..start + bytes
        };
        let maps = layouts.iter().zip(lives).map(|(layout, life)| match life {
            Some(life) => place(layout.bytes() + SLACK, life),
            None => 0..0,
        });
        let maps: Vec<Range<usize>> = maps.collect();
        let between = steps.iter().enumerate().map(|(number, layers)| {
            match between_bytes(graph, &layouts, layers) {
                0 => 0..0,
                bytes => place(bytes.next_multiple_of(LINE) * threads, number..number + 1),
            }
        });
        let between: Vec<Range<usize>> = between.collect();
        let ends = maps.iter().chain(&between).map(|place| place.end);
        Self {
            bytes: ends.max().unwrap_or_default(),
            layouts,
            maps,
            between,
        }
    }
}

/// Each value with a border that is wide enough for all who read it.
fn layouts(graph: &Graph) -> Vec<Layout> {
    let mut borders = vec![Border::default(); graph.values.len()];
    for layer in &graph.layers {
        let (input, window) = match &layer.operation {
            Operation::Dense(input, layer, _) | Operation::Head(input, layer, _) => {
                (input, layer.window)
            }
            Operation::Depthwise(input, layer, _) => (input, layer.window),
            _ => continue,
        };
        borders[input.0] = borders[input.0].union(window.border);
    }
    // Only dense layers can step over three bytes.
    let is_dense = |operation: &Operation| {
        let reads_it = operation.reads().contains(&ValueId(0));
        !reads_it || matches!(operation, Operation::Dense(..) | Operation::Head(..))
    };
    let is_picture = graph.layers.iter().all(|layer| is_dense(&layer.operation));
    let layouts = graph.values.iter().zip(borders).enumerate();
    let layouts = layouts.map(|(number, (value, border))| {
        if number == 0 && is_picture {
            Layout::picture(value.size, border)
        } else {
            Layout::new(value.size, border)
        }
    });
    layouts.collect()
}

/// The steps during which each value is needed: from the one that makes it to behind the last that reads it. None for
/// one that is made and read in the same step.
fn lives(graph: &Graph, steps: &[Vec<usize>]) -> Vec<Option<Range<usize>>> {
    let mut lives: Vec<Range<usize>> = vec![0..0; graph.values.len()];
    for (number, layers) in steps.iter().enumerate() {
        for operation in layers.iter().map(|&layer| &graph.layers[layer].operation) {
            for read in operation.reads() {
                lives[read.0].end = number + 1;
            }
            if let Some(made) = operation.makes() {
                lives[made.0] = number..number + 1;
            }
        }
    }
    let is_between = |value: usize| {
        steps.iter().any(|layers| match layers.as_slice() {
            [first, _] => graph.layers[*first].operation.makes() == Some(ValueId(value)),
            _ => false,
        })
    };
    let lives = lives.into_iter().enumerate();
    lives
        .map(|(value, life)| (!is_between(value)).then_some(life))
        .collect()
}
