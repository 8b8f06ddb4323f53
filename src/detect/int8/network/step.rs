//! The steps of a network: one layer, or a depthwise and a pointwise one together.

use std::ops::Range;

use super::super::arithmetic::Stored;
use super::super::floats::FloatOperation;
use super::super::graph::{FloatId, Graph, Operation, ValueId};
use super::super::kernels::{Kernels, PackedDense, PackedDepthwise, Ready};
use super::super::layer::{DenseLayer, DepthwiseLayer};
use super::super::map::{Border, Layout, MapSize, SLACK, Walk, Window};
use super::crew::{Crew, Share};
use super::entry::fill_border;
use super::plain::{Adding, Head, Mean, dequantise, enlarge};
use super::{Map, Memory};

/// Bytes between a depthwise and a pointwise layer that are made before they are read: they stay in the second
/// cache, and the pointwise weights are read anew only as often as there are such blocks.
const BLOCK: usize = 128 * 1024;

/// A layer with what it looks at.
#[derive(Debug)]
pub(super) struct Windowed<P> {
    ready: Ready<P>,
    window: Window,
}

/// What is run at once.
#[derive(Debug)]
pub(super) enum Step {
    Dense(ValueId, Windowed<PackedDense>, ValueId),
    Depthwise(ValueId, Windowed<PackedDepthwise>, ValueId),
    /// A depthwise and a pointwise layer, and where what is between them is.
    Separable(ValueId, Box<Separable>, ValueId),
    Add([ValueId; 2], Adding, ValueId),
    Enlarge(ValueId, usize, ValueId),
    Pool(ValueId, Mean, ValueId),
    Head(ValueId, Head, FloatId),
    Dequantise(ValueId, FloatId),
    Float(FloatOperation),
}

#[derive(Debug)]
pub(super) struct Separable {
    depthwise: Windowed<PackedDepthwise>,
    pointwise: Windowed<PackedDense>,
    /// Of as many rows as are made at once.
    between: Layout,
    place: Range<usize>,
}

/// Which layers run together, by their numbers, in the order of the steps.
pub(super) fn plan(graph: &Graph) -> Vec<Vec<usize>> {
    let mut steps: Vec<Vec<usize>> = Vec::new();
    let mut done = vec![false; graph.layers.len()];
    for number in 0..graph.layers.len() {
        if std::mem::replace(&mut done[number], true) {
            continue;
        }
        let mut step = vec![number];
        if let Some(pointwise) = pointwise_of(graph, number) {
            done[pointwise] = true;
            step.push(pointwise);
        }
        steps.push(step);
    }
    steps
}

/// The pointwise layer that is the only one to read what this depthwise layer makes.
fn pointwise_of(graph: &Graph, number: usize) -> Option<usize> {
    let Operation::Depthwise(.., made) = &graph.layers[number].operation else {
        return None;
    };
    let reads = |layer: &usize| graph.layers[*layer].operation.reads().contains(made);
    let mut readers = (0..graph.layers.len()).filter(reads);
    let (reader, None) = (readers.next()?, readers.next()) else {
        return None;
    };
    let is_pointwise = matches!(&graph.layers[reader].operation,
        Operation::Dense(_, layer, _) if layer.window == Window::POINT);
    is_pointwise.then_some(reader)
}

/// What is between the layers of a step: so many rows of the map as are made at once.
fn between(size: MapSize) -> Layout {
    let whole = Layout::new(size, Border::default());
    let blocks = whole.bytes().div_ceil(BLOCK).max(1);
    let height = size.height.div_ceil(blocks).max(1);
    Layout::new(MapSize { height, ..size }, Border::default())
}

/// Bytes that are between the layers of a step, for each thread.
pub(super) fn between_bytes(graph: &Graph, layouts: &[Layout], layers: &[usize]) -> usize {
    match layers {
        [first, _] => {
            let made = graph.layers[*first].operation.makes();
            made.map_or(0, |made| between(layouts[made.0].size).bytes() + SLACK)
        }
        _ => 0,
    }
}

impl Windowed<PackedDense> {
    fn dense(layer: &DenseLayer, input: &Layout, kernels: &Kernels) -> Self {
        Self {
            ready: kernels.ready_dense(layer, input.pixel),
            window: layer.window,
        }
    }
}

impl Windowed<PackedDepthwise> {
    fn depthwise(layer: &DepthwiseLayer, kernels: &Kernels) -> Self {
        Self {
            ready: kernels.ready_depthwise(layer),
            window: layer.window,
        }
    }
}

impl<P> Windowed<P> {
    /// So many rows of the output from row `from` on; `output` begins with the row's border.
    fn rows(
        &self,
        [from, rows]: [usize; 2],
        (input_layout, input): (&Layout, &[Stored]),
        (output_layout, output): (&Layout, &mut [Stored]),
    ) {
        let (walk, [read, _]) = Walk::new(&self.window, input_layout, output_layout, from, rows);
        let before = output_layout.border.left * output_layout.pixel;
        self.ready.run(&walk, &input[read..], &mut output[before..]);
    }
}

impl<P: Sync> Windowed<P> {
    fn all_rows(&self, maps: [&Map; 2], crew: &Crew, memory: &mut Memory) {
        rows(maps, 0..0, crew, memory, |input, out, share| {
            let rows = [share.rows.start, share.rows.len()];
            self.rows(rows, input, (out, share.output));
        });
    }
}

impl Separable {
    /// The rows of a share, a block at a time.
    fn run(
        &self,
        (input_layout, input): (&Layout, &[Stored]),
        output_layout: &Layout,
        share: Share<'_, Stored>,
    ) {
        let Share { rows, output, own } = share;
        let blocks = rows.len().div_ceil(self.between.size.height).max(1);
        let height = rows.len().div_ceil(blocks).max(1);
        let blocks = output.chunks_mut(height * output_layout.row);
        for (from, output) in rows.step_by(height).zip(blocks) {
            let count = output.len() / output_layout.row;
            let made = (&self.between, &mut *own);
            self.depthwise
                .rows([from, count], (input_layout, input), made);
            let read = (&self.between, &*own);
            self.pointwise
                .rows([0, count], read, (output_layout, output));
        }
    }
}

impl Step {
    /// Packs the one or two layers of a step.
    pub(super) fn new<'a>(
        mut layers: impl Iterator<Item = &'a Operation>,
        maps: &[Map],
        kernels: &Kernels,
        place: Range<usize>,
    ) -> Self {
        let map = |id: &ValueId| &maps[id.0];
        let first = layers.next().expect("a step has a layer");
        match (first, layers.next()) {
            (
                Operation::Depthwise(input, depthwise, middle),
                Some(Operation::Dense(_, pointwise, output)),
            ) => {
                let between = between(map(middle).value.size);
                let separable = Separable {
                    depthwise: Windowed::depthwise(depthwise, kernels),
                    pointwise: Windowed::dense(pointwise, &between, kernels),
                    between,
                    place,
                };
                Self::Separable(*input, Box::new(separable), *output)
            }
            (Operation::Dense(input, layer, output), _) => {
                let ready = Windowed::dense(layer, &map(input).layout, kernels);
                Self::Dense(*input, ready, *output)
            }
            (Operation::Depthwise(input, layer, output), _) => {
                Self::Depthwise(*input, Windowed::depthwise(layer, kernels), *output)
            }
            (Operation::Add(inputs, target, output), _) => {
                let values = inputs.each_ref().map(|input| map(input).value);
                let adding = Adding::new(values, map(output).value.scale, *target);
                Self::Add(*inputs, adding, *output)
            }
            (Operation::Enlarge(input, times, output), _) => Self::Enlarge(*input, *times, *output),
            (Operation::Pool(input, target, output), _) => {
                let mean = Mean::new(&map(input).value, map(output).value.scale, *target);
                Self::Pool(*input, mean, *output)
            }
            (Operation::Head(input, layer, output), _) => {
                Self::Head(*input, Head::new(layer, &map(input).layout), *output)
            }
            (Operation::Dequantise(input, output), _) => Self::Dequantise(*input, *output),
            (Operation::Float(operation), _) => Self::Float(operation.clone()),
        }
    }

    /// Runs it.
    pub(super) fn run(&self, maps: &[Map], crew: &Crew, memory: &mut Memory) {
        let map = |id: &ValueId| &maps[id.0];
        match self {
            Self::Dense(input, layer, output) => {
                layer.all_rows([map(input), map(output)], crew, memory);
            }
            Self::Depthwise(input, layer, output) => {
                layer.all_rows([map(input), map(output)], crew, memory);
            }
            Self::Separable(input, both, output) => {
                let between = both.place.clone();
                rows(
                    [map(input), map(output)],
                    between,
                    crew,
                    memory,
                    |input, out, share| {
                        both.run(input, out, share);
                    },
                );
            }
            Self::Add(inputs, adding, output) => {
                let [a, b] = inputs.each_ref().map(map);
                let out = map(output);
                // Both may be the same map.
                let (inputs, written) = around(&mut memory.stored, &out.place);
                adding.run(
                    [(a, inputs.of(a)), (b, inputs.of(b))],
                    (&out.layout, written),
                );
                fill_border(&out.layout, out.value.zero_point, written);
            }
            Self::Enlarge(input, times, output) => {
                let (input, output) = (map(input), map(output));
                let [read, written] = two(&mut memory.stored, &input.place, &output.place);
                enlarge(*times, (&input.layout, read), (&output.layout, written));
                fill_border(&output.layout, output.value.zero_point, written);
            }
            Self::Pool(input, mean, output) => {
                let (input, output) = (map(input), map(output));
                let [read, written] = two(&mut memory.stored, &input.place, &output.place);
                mean.run((&input.layout, read), (&output.layout, written));
                fill_border(&output.layout, output.value.zero_point, written);
            }
            Self::Head(input, head, output) => {
                let input = map(input);
                let read = &memory.stored[input.place.clone()];
                head.run(&input.layout, read, memory.floats.list_mut(*output));
            }
            Self::Dequantise(input, output) => {
                let input = map(input);
                let read = &memory.stored[input.place.clone()];
                dequantise(
                    &input.value,
                    &input.layout,
                    read,
                    memory.floats.list_mut(*output),
                );
            }
            Self::Float(operation) => operation.run(&mut memory.floats),
        }
    }
}

/// All of the memory but one place in it.
struct Around<'a> {
    before: &'a [Stored],
    behind: &'a [Stored],
    behind_from: usize,
}

impl Around<'_> {
    fn of(&self, map: &Map) -> &[Stored] {
        let Range { start, end } = map.place.clone();
        match start.checked_sub(self.behind_from) {
            Some(from) => &self.behind[from..end - self.behind_from],
            None => &self.before[start..end],
        }
    }
}

fn around<'a>(stored: &'a mut [Stored], place: &Range<usize>) -> (Around<'a>, &'a mut [Stored]) {
    let (before, rest) = stored.split_at_mut(place.start);
    let (written, behind) = rest.split_at_mut(place.len());
    let around = Around {
        before,
        behind,
        behind_from: place.end,
    };
    (around, written)
}

fn two<'a>(stored: &'a mut [Stored], a: &Range<usize>, b: &Range<usize>) -> [&'a mut [Stored]; 2] {
    stored
        .get_disjoint_mut([a.clone(), b.clone()])
        .expect("maps that are needed together have places of their own")
}

/// Shares out the rows of an output: `work` gets the input and its layout, the layout of the output, and its share.
fn rows(
    [input, output]: [&Map; 2],
    between: Range<usize>,
    crew: &Crew,
    memory: &mut Memory,
    work: impl Fn((&Layout, &[Stored]), &Layout, Share<'_, Stored>) + Sync,
) {
    let places = [input.place.clone(), output.place.clone(), between];
    let [read, written, own] = memory
        .stored
        .get_disjoint_mut(places)
        .expect("maps that are needed together have places of their own");
    let layout = &output.layout;
    fill_border(layout, output.value.zero_point, written);
    let inner = &mut written[layout.border.top * layout.row..];
    let whole = Share {
        rows: 0..layout.size.height,
        output: &mut inner[..layout.size.height * layout.row],
        own,
    };
    let read = &*read;
    crew.share(whole, layout.row, &|share| {
        work((&input.layout, read), layout, share);
    });
}
