//! A network in integer arithmetic, ready to run: weights packed for the processor, every feature map at its place in
//! one workspace.
//!
//! A [`Network`] is immutable after it is built; each thread that runs it has its own [`Workspace`]. A run allocates
//! nothing. A depthwise convolution whose only reader is a pointwise one runs together with it, a few rows at a time,
//! so that the intermediate map never leaves the caches.

use std::borrow::Cow;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::float_ops::FloatBuffers;
use super::graph::{
    Conv2d, DepthwiseConv2d, FeatureMap, FloatId, FloatOp, Graph, GraphLayer, GraphOutput,
    InputQuantizer, MapId, Operation,
};
use super::kernels::{Kernels, PackedConv2d, PackedDepthwise, PreparedLayer};
use super::ssd_head::{Candidates, PreparedSsdHead};
use super::tensor::{AlignedBuffer, ConvGeometry, MapLayout, Quantized, Window};
use memory_plan::{MemoryPlan, intermediate_layout, schedule};
use noncritical::{
    Addition, FloatConv2d, GlobalAveragePool, dequantize, fill_padding, quantize_floats,
    quantize_pixels, upsample_nearest,
};
use pool::{Pool, RowBlock};

mod memory_plan;
mod noncritical;
mod pool;

pub use pool::ThreadPoolError;

/// A network in integer arithmetic.
#[derive(Debug)]
pub struct Network {
    input: InputQuantizer,
    maps: Vec<PlacedMap>,
    steps: Vec<NamedStep>,
    float_lengths: Vec<usize>,
    outputs: Vec<GraphOutput>,
    /// Rows and classes of the SSD head; 0 without one.
    head_size: [usize; 2],
    workspace_bytes: usize,
    pool: Pool,
    kernels: &'static str,
}

/// A feature map with its place in the workspace.
#[derive(Debug, Clone)]
struct PlacedMap {
    info: FeatureMap,
    layout: MapLayout,
    range: Range<usize>,
}

/// A step with the names and operations of its layers.
#[derive(Debug)]
struct NamedStep {
    name: String,
    operation: String,
    step: NetworkStep,
}

/// The memory of one run at a time.
#[derive(Debug)]
pub struct Workspace {
    activations: AlignedBuffer<Quantized>,
    floats: FloatBuffers,
    /// Of the SSD head.
    candidates: Candidates,
}

/// The values of an output.
#[derive(Debug, Clone, Copy)]
pub enum OutputValues<'a> {
    Floats(&'a [f32]),
    /// The scores of the SSD head.
    ObjectScores(&'a Candidates),
    /// The boxes of the SSD head.
    ObjectBoxes(&'a Candidates),
}

/// The time that a step took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepTime<'a> {
    /// Names of its layers in the model file.
    pub name: &'a str,
    pub operation: &'a str,
    pub time: Duration,
}

/// Input of a [`Network`].
#[derive(Debug, Clone, Copy)]
pub enum NetworkInput<'a> {
    /// Bytes of an image, `[height, width, channels]`, for [`InputQuantizer::Pixels`].
    Pixels(&'a [u8]),
    /// `[channels, height, width]`, for [`InputQuantizer::Floats`].
    Floats(&'a [f32]),
}

impl Network {
    /// Packs a graph's weights for `kernels` and plans the workspace. With several threads, each computes a part of
    /// the rows of every map.
    ///
    /// # Errors
    /// [`ThreadPoolError`] if the threads can't be started.
    ///
    /// # Panics
    /// If the graph has no input quantizer, or a layer reads a map before it is written.
    pub fn new(
        graph: Graph,
        kernels: &'static Kernels,
        threads: usize,
    ) -> Result<Self, ThreadPoolError> {
        let pool = Pool::new(threads)?;
        let schedule = schedule(&graph);
        let plan = MemoryPlan::new(&graph, &schedule, pool.threads());
        let maps = graph.maps.iter().zip(&plan.layouts).zip(&plan.maps);
        let maps = maps.map(|((info, layout), range)| PlacedMap {
            info: *info,
            layout: *layout,
            range: range.clone(),
        });
        let maps: Vec<PlacedMap> = maps.collect();
        let head_size = graph
            .layers
            .iter()
            .find_map(|layer| match &layer.operation {
                Operation::SsdHead(head) => Some([head.rows(), head.classes]),
                _ => None,
            });
        // Each layer is dropped as soon as it is packed: two copies of all weights would be most of the peak memory.
        let mut layers: Vec<Option<GraphLayer>> = graph.layers.into_iter().map(Some).collect();
        let mut steps = Vec::new();
        for (numbers, intermediate) in schedule.iter().zip(&plan.intermediates) {
            let layers: Vec<GraphLayer> = numbers
                .iter()
                .filter_map(|&number| layers[number].take())
                .collect();
            let join = |names: Vec<&str>| names.join(" + ");
            steps.push(NamedStep {
                name: join(layers.iter().map(|layer| layer.name.as_str()).collect()),
                operation: join(layers.iter().map(|layer| layer.operation.name()).collect()),
                step: NetworkStep::new(&layers, &maps, kernels, intermediate.clone()),
            });
        }
        Ok(Self {
            input: graph.input.expect("the graph has an input quantizer"),
            steps,
            maps,
            float_lengths: graph.float_lengths,
            outputs: graph.outputs,
            head_size: head_size.unwrap_or_default(),
            workspace_bytes: plan.bytes,
            pool,
            kernels: kernels.name,
        })
    }

    #[must_use]
    pub fn workspace(&self) -> Workspace {
        Workspace {
            activations: AlignedBuffer::filled(0, self.workspace_bytes),
            floats: FloatBuffers::new(&self.float_lengths),
            candidates: Candidates::new(self.head_size[0], self.head_size[1]),
        }
    }

    /// Name of the kernels in use.
    #[must_use]
    pub fn kernels(&self) -> &'static str {
        self.kernels
    }

    /// An output of the last run in this workspace, by its index in the graph's outputs.
    #[must_use]
    pub fn output<'a>(&self, workspace: &'a Workspace, index: usize) -> OutputValues<'a> {
        match self.outputs[index] {
            GraphOutput::Floats(id) => OutputValues::Floats(workspace.floats.get(id)),
            GraphOutput::ObjectScores => OutputValues::ObjectScores(&workspace.candidates),
            GraphOutput::ObjectBoxes => OutputValues::ObjectBoxes(&workspace.candidates),
        }
    }

    /// Runs the network.
    ///
    /// # Panics
    /// If the input's kind or length is wrong, or the workspace belongs to another network.
    pub fn run(&self, input: NetworkInput<'_>, workspace: &mut Workspace) {
        self.pool.install(|| {
            self.quantize_input(input, workspace);
            for named in &self.steps {
                named.step.run(&self.maps, &self.pool, workspace);
            }
        });
    }

    /// Runs the network and measures the time of each step.
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn run_timed(
        &self,
        input: NetworkInput<'_>,
        workspace: &mut Workspace,
    ) -> Vec<StepTime<'_>> {
        self.pool.install(|| {
            let mut started = Instant::now();
            let mut lap = || {
                let now = Instant::now();
                now - std::mem::replace(&mut started, now)
            };
            self.quantize_input(input, workspace);
            let mut times = vec![StepTime {
                name: "input",
                operation: "quantize input",
                time: lap(),
            }];
            for named in &self.steps {
                named.step.run(&self.maps, &self.pool, workspace);
                times.push(StepTime {
                    name: &named.name,
                    operation: &named.operation,
                    time: lap(),
                });
            }
            times
        })
    }

    fn quantize_input(&self, input: NetworkInput<'_>, workspace: &mut Workspace) {
        let map = &self.maps[0];
        let to = &mut workspace.activations[map.range.clone()];
        fill_padding(&map.layout, map.info.zero_point, to);
        match (&self.input, input) {
            (InputQuantizer::Pixels(table), NetworkInput::Pixels(pixels)) => {
                quantize_pixels(table, pixels, &map.layout, to);
            }
            (InputQuantizer::Floats, NetworkInput::Floats(floats)) => {
                quantize_floats(&map.info, floats, &map.layout, to);
            }
            (InputQuantizer::Pixels(_), _) => {
                panic!("the network's input is the bytes of an image")
            }
            (InputQuantizer::Floats, _) => panic!("the network's input is floats"),
        }
    }
}

impl Workspace {
    /// The next runs leave out lower scores of the SSD head, and the boxes of rows without another score. The minimum of a
    /// new workspace is 0.
    pub fn set_min_score(&mut self, score: f32) {
        self.candidates.set_min_score(score);
    }

    #[must_use]
    pub fn min_score(&self) -> f32 {
        self.candidates.min_score()
    }
}

impl OutputValues<'_> {
    /// All values; 0 for scores and boxes that were left out.
    #[must_use]
    pub fn dense(&self) -> Cow<'_, [f32]> {
        match self {
            Self::Floats(values) => Cow::Borrowed(values),
            Self::ObjectScores(candidates) => Cow::Owned(candidates.dense_scores()),
            Self::ObjectBoxes(candidates) => Cow::Owned(candidates.dense_boxes()),
        }
    }
}

/// One layer, or a depthwise and a pointwise convolution together, with packed weights.
#[derive(Debug)]
enum NetworkStep {
    Conv2d(MapId, WindowedLayer<PackedConv2d>, MapId),
    DepthwiseConv2d(MapId, WindowedLayer<PackedDepthwise>, MapId),
    SeparableConv2d(MapId, Box<SeparableConv2d>, MapId),
    Add([MapId; 2], Addition, MapId),
    UpsampleNearest(MapId, usize, MapId),
    GlobalAveragePool(MapId, GlobalAveragePool, MapId),
    FloatConv2d(MapId, FloatConv2d, FloatId),
    Dequantize(MapId, FloatId),
    Float(FloatOp),
    SsdHead(PreparedSsdHead),
}

/// A packed convolution with its window.
#[derive(Debug)]
struct WindowedLayer<P> {
    layer: PreparedLayer<P>,
    window: Window,
}

/// A depthwise and a pointwise convolution that run together.
#[derive(Debug)]
struct SeparableConv2d {
    depthwise: WindowedLayer<PackedDepthwise>,
    pointwise: WindowedLayer<PackedConv2d>,
    /// Of the rows that are computed at once.
    intermediate: MapLayout,
    /// Place of the intermediate maps in the workspace.
    scratch: Range<usize>,
}

impl WindowedLayer<PackedConv2d> {
    fn conv2d(layer: &Conv2d, input: &MapLayout, kernels: &Kernels) -> Self {
        Self {
            layer: kernels.prepare_conv2d(layer, input.pixel_stride),
            window: layer.window,
        }
    }
}

impl WindowedLayer<PackedDepthwise> {
    fn depthwise(layer: &DepthwiseConv2d, kernels: &Kernels) -> Self {
        Self {
            layer: kernels.prepare_depthwise(layer),
            window: layer.window,
        }
    }
}

impl<P> WindowedLayer<P> {
    /// Computes `rows` rows of the output from row `first` on; `output` begins with that row's left padding.
    fn run_rows(
        &self,
        [first, rows]: [usize; 2],
        (input_layout, input): (&MapLayout, &[Quantized]),
        (output_layout, output): (&MapLayout, &mut [Quantized]),
    ) {
        let (geometry, [start, _]) =
            ConvGeometry::new(&self.window, input_layout, output_layout, first, rows);
        let left = output_layout.padding.left * output_layout.pixel_stride;
        self.layer
            .run(&geometry, &input[start..], &mut output[left..]);
    }
}

impl<P: Sync> WindowedLayer<P> {
    fn run(&self, maps: [&PlacedMap; 2], pool: &Pool, workspace: &mut Workspace) {
        run_row_blocks(maps, 0..0, pool, workspace, |input, out_layout, block| {
            let rows = [block.rows.start, block.rows.len()];
            self.run_rows(rows, input, (out_layout, block.output));
        });
    }
}

impl SeparableConv2d {
    fn run(&self, maps: [&PlacedMap; 2], pool: &Pool, workspace: &mut Workspace) {
        let scratch = self.scratch.clone();
        run_row_blocks(
            maps,
            scratch,
            pool,
            workspace,
            |input, out_layout, block| {
                self.run_block(input, out_layout, block);
            },
        );
    }

    /// Computes a thread's rows, as many at a time as the intermediate map has.
    fn run_block(
        &self,
        input: (&MapLayout, &[Quantized]),
        output_layout: &MapLayout,
        block: RowBlock<'_, Quantized>,
    ) {
        let RowBlock {
            rows,
            output,
            scratch,
        } = block;
        let parts = rows.len().div_ceil(self.intermediate.size.height).max(1);
        let height = rows.len().div_ceil(parts).max(1);
        let parts = output.chunks_mut(height * output_layout.row_stride);
        for (first, output) in rows.step_by(height).zip(parts) {
            let count = output.len() / output_layout.row_stride;
            let intermediate = (&self.intermediate, &mut *scratch);
            self.depthwise.run_rows([first, count], input, intermediate);
            let intermediate = (&self.intermediate, &*scratch);
            self.pointwise
                .run_rows([0, count], intermediate, (output_layout, output));
        }
    }
}

impl NetworkStep {
    /// Packs the one or two layers of a step.
    fn new(
        layers: &[GraphLayer],
        maps: &[PlacedMap],
        kernels: &Kernels,
        scratch: Range<usize>,
    ) -> Self {
        let map = |id: &MapId| &maps[id.0];
        if let [first, second] = layers {
            let (
                Operation::DepthwiseConv2d(input, depthwise, intermediate),
                Operation::Conv2d(_, pointwise, output),
            ) = (&first.operation, &second.operation)
            else {
                unreachable!("only a depthwise and a pointwise convolution share a step");
            };
            let intermediate = intermediate_layout(map(intermediate).info.size);
            let separable = SeparableConv2d {
                depthwise: WindowedLayer::depthwise(depthwise, kernels),
                pointwise: WindowedLayer::conv2d(pointwise, &intermediate, kernels),
                intermediate,
                scratch,
            };
            return Self::SeparableConv2d(*input, Box::new(separable), *output);
        }
        match &layers[0].operation {
            Operation::Conv2d(input, layer, output) => {
                let layer = WindowedLayer::conv2d(layer, &map(input).layout, kernels);
                Self::Conv2d(*input, layer, *output)
            }
            Operation::DepthwiseConv2d(input, layer, output) => {
                Self::DepthwiseConv2d(*input, WindowedLayer::depthwise(layer, kernels), *output)
            }
            Operation::Add(inputs, output_quant, output) => {
                let infos = inputs.each_ref().map(|input| map(input).info);
                let addition = Addition::new(infos, map(output).info.scale, *output_quant);
                Self::Add(*inputs, addition, *output)
            }
            Operation::UpsampleNearest(input, factor, output) => {
                Self::UpsampleNearest(*input, *factor, *output)
            }
            Operation::GlobalAveragePool(input, output_quant, output) => {
                let scale = map(output).info.scale;
                let pool = GlobalAveragePool::new(&map(input).info, scale, *output_quant);
                Self::GlobalAveragePool(*input, pool, *output)
            }
            Operation::FloatConv2d(input, layer, output) => {
                let layer = FloatConv2d::new(layer, &map(input).layout);
                Self::FloatConv2d(*input, layer, *output)
            }
            Operation::Dequantize(input, output) => Self::Dequantize(*input, *output),
            Operation::Float(operation) => Self::Float(operation.clone()),
            Operation::SsdHead(head) => {
                Self::SsdHead(PreparedSsdHead::new(head, |id| map(&id).info))
            }
        }
    }

    fn run(&self, maps: &[PlacedMap], pool: &Pool, workspace: &mut Workspace) {
        let map = |id: &MapId| &maps[id.0];
        match self {
            Self::Conv2d(input, layer, output) => {
                layer.run([map(input), map(output)], pool, workspace);
            }
            Self::DepthwiseConv2d(input, layer, output) => {
                layer.run([map(input), map(output)], pool, workspace);
            }
            Self::SeparableConv2d(input, layers, output) => {
                layers.run([map(input), map(output)], pool, workspace);
            }
            Self::Add(inputs, addition, output) => {
                let [a, b] = inputs.each_ref().map(map);
                let output = map(output);
                // Both inputs may be the same map.
                let (rest, written) = split_out(&mut workspace.activations, &output.range);
                let inputs = [a, b].map(|map| (&map.layout, rest.get(&map.range)));
                addition.run(inputs, (&output.layout, &mut *written));
                fill_padding(&output.layout, output.info.zero_point, written);
            }
            Self::UpsampleNearest(input, factor, output) => {
                run_map([map(input), map(output)], workspace, |input, output| {
                    upsample_nearest(*factor, input, output);
                });
            }
            Self::GlobalAveragePool(input, pool, output) => {
                run_map([map(input), map(output)], workspace, |input, output| {
                    pool.run(input, output);
                });
            }
            Self::FloatConv2d(input, layer, output) => {
                let input = map(input);
                let values = &workspace.activations[input.range.clone()];
                layer.run(&input.layout, values, workspace.floats.get_mut(*output));
            }
            Self::Dequantize(input, output) => {
                let input = map(input);
                let values = &workspace.activations[input.range.clone()];
                let output = workspace.floats.get_mut(*output);
                dequantize(&input.info, &input.layout, values, output);
            }
            Self::Float(operation) => operation.run(&mut workspace.floats),
            Self::SsdHead(head) => {
                let activations = &workspace.activations;
                let bytes = |id: MapId| (&map(&id).layout, &activations[map(&id).range.clone()]);
                head.run(bytes, &mut workspace.candidates);
            }
        }
    }
}

/// The workspace around a range that is borrowed mutably.
struct Rest<'a> {
    before: &'a [Quantized],
    after: &'a [Quantized],
    after_start: usize,
}

impl Rest<'_> {
    fn get(&self, range: &Range<usize>) -> &[Quantized] {
        match range.start.checked_sub(self.after_start) {
            Some(start) => &self.after[start..range.end - self.after_start],
            None => &self.before[range.clone()],
        }
    }
}

fn split_out<'a>(
    activations: &'a mut [Quantized],
    range: &Range<usize>,
) -> (Rest<'a>, &'a mut [Quantized]) {
    let (before, rest) = activations.split_at_mut(range.start);
    let (written, after) = rest.split_at_mut(range.len());
    let rest = Rest {
        before,
        after,
        after_start: range.end,
    };
    (rest, written)
}

const DISJOINT: &str = "maps with overlapping lifetimes do not share memory";

/// Computes a map in the calling thread and fills its padding.
fn run_map(
    [input, output]: [&PlacedMap; 2],
    workspace: &mut Workspace,
    work: impl FnOnce((&MapLayout, &[Quantized]), (&MapLayout, &mut [Quantized])),
) {
    let [read, written] = workspace
        .activations
        .get_disjoint_mut([input.range.clone(), output.range.clone()])
        .expect(DISJOINT);
    work((&input.layout, read), (&output.layout, &mut *written));
    fill_padding(&output.layout, output.info.zero_point, written);
}

/// Fills a map's padding and calls `work` for each thread's rows with the input, the output's layout and the rows.
fn run_row_blocks(
    [input, output]: [&PlacedMap; 2],
    scratch: Range<usize>,
    pool: &Pool,
    workspace: &mut Workspace,
    work: impl Fn((&MapLayout, &[Quantized]), &MapLayout, RowBlock<'_, Quantized>) + Sync,
) {
    let [read, written, scratch] = workspace
        .activations
        .get_disjoint_mut([input.range.clone(), output.range.clone(), scratch])
        .expect(DISJOINT);
    let layout = &output.layout;
    fill_padding(layout, output.info.zero_point, written);
    let rows = &mut written[layout.padding.top * layout.row_stride..];
    let all = RowBlock {
        rows: 0..layout.size.height,
        output: &mut rows[..layout.size.height * layout.row_stride],
        scratch,
    };
    let read = &*read;
    pool.for_each_row_block(all, layout.row_stride, &|block| {
        work((&input.layout, read), layout, block);
    });
}

#[cfg(test)]
mod tests;
