//! A network in whole numbers, ready to run: weights packed, each map with its place in one block of memory.
//!
//! In goes a [`Graph`] and the [`Kernels`] to run it with, out comes a [`Network`], which is never changed again, and
//! for each who runs it a [`Memory`]. A run allocates nothing. A depthwise layer whose only reader is a pointwise one
//! is run together with it, a few rows at a time, so that what is between them never leaves the caches.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::aligned::Aligned;
use super::arithmetic::Stored;
use super::floats::FloatLists;
use super::graph::{Entry, FloatId, Graph, Layer, MapValue, ValueId};
use super::kernels::Kernels;
use super::map::Layout;
use crew::Crew;
use place::Places;
use step::Step;

mod crew;
mod entry;
mod place;
mod plain;
mod step;

/// A network in whole numbers.
#[derive(Debug)]
pub struct Network {
    entry: Entry,
    maps: Vec<Map>,
    steps: Vec<NamedStep>,
    floats: Vec<usize>,
    outputs: Vec<FloatId>,
    /// Stored numbers of all maps, and of what is between two layers that run together.
    bytes: usize,
    crew: Crew,
    kernels: &'static str,
}

/// A map and where it is.
#[derive(Debug, Clone)]
struct Map {
    value: MapValue,
    layout: Layout,
    place: Range<usize>,
}

/// A step with the names of its layers.
#[derive(Debug)]
struct NamedStep {
    name: String,
    kind: String,
    step: Step,
}

/// What a network works in; one for each who runs it.
#[derive(Debug)]
pub struct Memory {
    stored: Aligned<Stored>,
    floats: FloatLists,
}

/// The time that a step took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepTime<'a> {
    /// Names of its layers in the model file.
    pub name: &'a str,
    /// What it does.
    pub kind: &'a str,
    /// How long it took.
    pub time: Duration,
}

/// What a network is given.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Bytes of a picture, `[height, width, channels]`, for [`Entry::Pixels`].
    Pixels(&'a [u8]),
    /// `[channels, height, width]`, for [`Entry::Floats`].
    Floats(&'a [f32]),
}

impl Network {
    /// Packs a graph's weights for these kernels and gives its maps their places. With more than one thread, the rows
    /// of a map are shared out.
    ///
    /// # Errors
    /// The system's words when the threads can't be had.
    ///
    /// # Panics
    /// When the graph has no entry, or reads a map before it is made.
    pub fn new(graph: Graph, kernels: &'static Kernels, threads: usize) -> Result<Self, String> {
        let crew = Crew::new(threads)?;
        let plan = step::plan(&graph);
        let places = Places::new(&graph, &plan, crew.size());
        let maps = graph.values.iter().enumerate().map(|(number, value)| Map {
            value: *value,
            layout: places.layouts[number],
            place: places.maps[number].clone(),
        });
        let maps: Vec<Map> = maps.collect();
        // Each layer is dropped as soon as it is packed: all weights twice would be most of what a run ever needs.
        let mut layers: Vec<Option<Layer>> = graph.layers.into_iter().map(Some).collect();
        let mut steps = Vec::new();
        for (group, between) in plan.iter().zip(&places.between) {
            let group: Vec<Layer> = group
                .iter()
                .filter_map(|&layer| layers[layer].take())
                .collect();
            let join = |names: Vec<&str>| names.join(" + ");
            steps.push(NamedStep {
                name: join(group.iter().map(|layer| layer.name.as_str()).collect()),
                kind: join(group.iter().map(|layer| layer.operation.kind()).collect()),
                step: Step::new(
                    group.iter().map(|l| &l.operation),
                    &maps,
                    kernels,
                    between.clone(),
                ),
            });
        }
        Ok(Self {
            entry: graph.entry.expect("a graph has an entry"),
            steps,
            maps,
            floats: graph.floats,
            outputs: graph.outputs,
            bytes: places.bytes,
            crew,
            kernels: kernels.name,
        })
    }

    /// Memory to run it in.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory {
            stored: Aligned::filled(0, self.bytes),
            floats: FloatLists::new(&self.floats),
        }
    }

    /// How the input becomes stored numbers.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// What the processor must have for the kernels in use.
    #[must_use]
    pub fn kernels(&self) -> &'static str {
        self.kernels
    }

    /// Floats of each output.
    pub fn output_lengths(&self) -> impl Iterator<Item = usize> {
        self.outputs.iter().map(|output| self.floats[output.0])
    }

    /// An output of the last run in this memory, in the order of the graph's outputs.
    #[must_use]
    pub fn output<'a>(&self, memory: &'a Memory, number: usize) -> &'a [f32] {
        memory.floats.list(self.outputs[number])
    }

    /// Runs it.
    ///
    /// # Panics
    /// When the input has another kind or length than the entry, or the memory is another network's.
    pub fn run(&self, input: Input<'_>, memory: &mut Memory) {
        self.crew.lead(|| {
            self.enter(input, memory);
            for named in &self.steps {
                named.step.run(&self.maps, &self.crew, memory);
            }
        });
    }

    /// Runs it and takes the time of each step.
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn run_timed(&self, input: Input<'_>, memory: &mut Memory) -> Vec<StepTime<'_>> {
        self.crew.lead(|| {
            let mut started = Instant::now();
            let mut lap = || {
                let now = Instant::now();
                now - std::mem::replace(&mut started, now)
            };
            self.enter(input, memory);
            let mut times = vec![StepTime {
                name: "input",
                kind: "picture to int8",
                time: lap(),
            }];
            for named in &self.steps {
                named.step.run(&self.maps, &self.crew, memory);
                times.push(StepTime {
                    name: &named.name,
                    kind: &named.kind,
                    time: lap(),
                });
            }
            times
        })
    }

    fn enter(&self, input: Input<'_>, memory: &mut Memory) {
        let map = &self.maps[ValueId(0).0];
        let stored = &mut memory.stored[map.place.clone()];
        entry::fill_border(&map.layout, map.value.zero_point, stored);
        match (&self.entry, input) {
            (Entry::Pixels(table), Input::Pixels(pixels)) => {
                entry::pixels(table, pixels, &map.layout, stored);
            }
            (Entry::Floats, Input::Floats(floats)) => {
                entry::floats(&map.value, floats, &map.layout, stored);
            }
            (entry, _) => panic!("the network takes {}", entry.kind()),
        }
    }
}

#[cfg(test)]
mod tests;
