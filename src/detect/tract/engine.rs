//! Runs a model: in one integer network if the whole graph was fused, otherwise in tract's plan with integer networks
//! as operators.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tract_onnx::pb;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::DimLike as _;
use tract_onnx::tract_core::ops::cnn::Conv;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::{Cost, OpState};
use tract_onnx::tract_core::optim::Optimizer;
use tract_onnx::tract_core::plan::{EvalContext, SimpleState, eval};

use super::heads::Heads;
use crate::card::InputSpec;
use crate::detect::int8::fuse::{FuseInt8, Int8Network, framework};
use crate::detect::int8::kernels::Kernels;
use crate::detect::int8::network::{Network, NetworkInput, OutputValues, Workspace};
use crate::detect::int8::ssd_head::Candidates;
use crate::preprocess::InputTensor;

/// A model that is ready to run. A clone has its own workspace.
pub(super) enum Engine {
    /// One integer network.
    Int8 {
        network: Arc<Network>,
        workspace: Workspace,
        outputs: Heads<NetworkOutput>,
    },
    /// tract's plan.
    Plan {
        plan: Arc<TypedRunnableModel>,
        /// Whether the input is the bytes of an image.
        has_pixel_input: bool,
        /// Indices of the outputs in the plan's.
        outputs: Heads<usize>,
    },
}

/// Index of an output in the network's, and its shape.
type NetworkOutput = (usize, Arc<[usize]>);

/// An output of a run.
pub(super) enum EngineOutput<'a> {
    Slice {
        shape: &'a [usize],
        values: &'a [f32],
    },
    Tensor(TValue),
    /// The scores or the boxes of an SSD.
    Candidates {
        /// Of all scores or boxes.
        shape: &'a [usize],
        candidates: &'a Candidates,
    },
}

/// A layer's name, its operator and its time in one run.
pub(super) type TimedLayer = (String, String, Duration);

/// The most values of all tensors that a graph computes for one image: 1 GiB of 32-bit floats.
const MAX_VALUES: u64 = 256 * 1024 * 1024;

/// How a model is run.
#[derive(Debug, Clone, Copy)]
pub struct EngineOptions {
    /// Threads that compute each layer together; at least 1.
    pub threads: usize,
    pub kernels: &'static Kernels,
}

impl Default for EngineOptions {
    /// One thread and the fastest kernels.
    fn default() -> Self {
        Self {
            threads: 1,
            kernels: Kernels::best(),
        }
    }
}

impl Engine {
    /// Prepares a graph; `outputs` are the indices of the outputs to compute. Returns the graph's
    /// [`multiply_adds`] too.
    pub(super) fn new(
        proto: pb::ModelProto,
        input: &InputSpec,
        outputs: Heads<usize>,
        options: EngineOptions,
    ) -> TractResult<(Self, Option<u64>)> {
        let build = || Self::build(proto, input, outputs, options);
        // tract panics on some invalid graphs, such as an output that no node computes or an axis that does not exist.
        without_panic(build)
    }

    fn build(
        proto: pb::ModelProto,
        input: &InputSpec,
        outputs: Heads<usize>,
        options: EngineOptions,
    ) -> TractResult<(Self, Option<u64>)> {
        let model = framework().model_for_proto_model(&proto)?;
        // The model has its own copy of the weights.
        drop(proto);
        let mut model = model
            .with_input_fact(0, f32::fact(input.shape()).into())?
            .into_typed()?;
        check_size(&model)?;
        let multiply_adds = multiply_adds(&model);
        let fuse = FuseInt8 {
            pixels: Some(input.clone()),
            kernels: options.kernels,
            threads: options.threads,
        };
        let optimizer = Optimizer {
            passes: vec![Box::new(fuse)],
            steps: None,
        };
        optimizer.optimize(&mut model)?;
        if let Some(engine) = Self::int8(&model, outputs) {
            return Ok((engine, multiply_adds));
        }
        let has_pixel_input = model.input_fact(0)?.datum_type == u8::datum_type();
        let plan = model
            .into_decluttered()?
            .into_optimized()?
            .into_runnable()?;
        let engine = Self::Plan {
            plan,
            has_pixel_input,
            outputs,
        };
        Ok((engine, multiply_adds))
    }

    /// The integer network, if it computes all outputs from the model's input.
    fn int8(model: &TypedModel, outputs: Heads<usize>) -> Option<Self> {
        let outlets = outputs.map(|output| model.outputs[output]);
        let node = model.node(outlets.values().next()?.node);
        let fused: &Int8Network = node.op_as()?;
        let has_all_outputs = outlets.values().all(|outlet| outlet.node == node.id);
        let has_model_input = node.inputs[..] == model.inputs[..];
        let has_pixel_input = model.input_fact(0).ok()?.datum_type == u8::datum_type();
        let shape = |slot: usize| Arc::from(fused.shape(slot));
        (has_all_outputs && has_model_input && has_pixel_input).then(|| Self::Int8 {
            network: Arc::clone(fused.network()),
            workspace: fused.network().workspace(),
            outputs: outlets.map(|outlet| (outlet.slot, shape(outlet.slot))),
        })
    }

    pub(super) fn run(&mut self, input: &InputTensor) -> TractResult<Heads<EngineOutput<'_>>> {
        match self {
            Self::Int8 {
                network,
                workspace,
                outputs,
            } => {
                network.run(NetworkInput::Pixels(input.pixels()), workspace);
                let (network, workspace) = (&*network, &*workspace);
                Ok(outputs
                    .as_ref()
                    .map(|(index, shape)| match network.output(workspace, *index) {
                        OutputValues::Floats(values) => EngineOutput::Slice { shape, values },
                        OutputValues::ObjectScores(candidates)
                        | OutputValues::ObjectBoxes(candidates) => {
                            EngineOutput::Candidates { shape, candidates }
                        }
                    }))
            }
            Self::Plan {
                plan,
                has_pixel_input,
                outputs,
            } => {
                let tensor = plan_input(input, *has_pixel_input)?;
                let values = without_panic(|| plan.run(tvec!(tensor.into())))?;
                Ok(outputs.map(|output| EngineOutput::Tensor(values[output].clone())))
            }
        }
    }

    /// Runs once and measures the time of each layer, in the order in which they run.
    pub(super) fn run_timed(&mut self, input: &InputTensor) -> TractResult<Vec<TimedLayer>> {
        match self {
            Self::Int8 {
                network, workspace, ..
            } => {
                let steps = network.run_timed(NetworkInput::Pixels(input.pixels()), workspace);
                Ok(steps
                    .into_iter()
                    .map(|step| (step.name.to_owned(), step.operation.to_owned(), step.time))
                    .collect())
            }
            Self::Plan {
                plan,
                has_pixel_input,
                ..
            } => {
                let tensor = plan_input(input, *has_pixel_input)?;
                let mut layers = Vec::new();
                let timed = |context: &EvalContext<'_>,
                             state: Option<&mut (dyn OpState + 'static)>,
                             node: &TypedNode,
                             inputs: TVec<TValue>| {
                    let started = Instant::now();
                    let outputs = eval(context, state, node, inputs);
                    let time = started.elapsed();
                    layers.push((node.name.clone(), node.op.name().into_owned(), time));
                    outputs
                };
                let mut state: SimpleState<_, _> = plan.spawn()?;
                state.run_plan_with_eval(tvec!(tensor.into()), timed)?;
                Ok(layers)
            }
        }
    }

    /// Lower scores of objects need not be computed from now on.
    pub(super) fn set_min_object_score(&mut self, score: f32) {
        match self {
            Self::Int8 { workspace, .. } => workspace.set_min_score(score),
            Self::Plan { .. } => {}
        }
    }

    /// Name of the kernels of the integer layers; `None` without integer layers.
    pub(super) fn kernels(&self) -> Option<&'static str> {
        match self {
            Self::Int8 { network, .. } => Some(network.kernels()),
            Self::Plan { plan, .. } => {
                let nodes = plan.model().nodes().iter();
                let mut fused = nodes.filter_map(|node| node.op_as::<Int8Network>());
                fused.next().map(|fused| fused.network().kernels())
            }
        }
    }
}

impl Clone for Engine {
    fn clone(&self) -> Self {
        match self {
            Self::Int8 {
                network,
                workspace,
                outputs,
            } => {
                let min_score = workspace.min_score();
                let mut workspace = network.workspace();
                workspace.set_min_score(min_score);
                Self::Int8 {
                    network: Arc::clone(network),
                    workspace,
                    outputs: outputs.clone(),
                }
            }
            Self::Plan {
                plan,
                has_pixel_input,
                outputs,
            } => Self::Plan {
                plan: Arc::clone(plan),
                has_pixel_input: *has_pixel_input,
                outputs: *outputs,
            },
        }
    }
}

fn plan_input(input: &InputTensor, has_pixel_input: bool) -> TractResult<Tensor> {
    if has_pixel_input {
        let spec = input.spec();
        let shape = [1, spec.height as usize, spec.width as usize, 3];
        Tensor::from_shape(&shape, input.pixels())
    } else {
        Tensor::from_shape(&input.shape(), &input.to_f32())
    }
}

impl EngineOutput<'_> {
    pub(super) fn shape(&self) -> &[usize] {
        match self {
            Self::Slice { shape, .. } | Self::Candidates { shape, .. } => shape,
            Self::Tensor(tensor) => tensor.shape(),
        }
    }

    pub(super) fn values(&self) -> TractResult<Cow<'_, [f32]>> {
        let tensor = match self {
            Self::Slice { values, .. } => return Ok(Cow::Borrowed(values)),
            Self::Tensor(tensor) => tensor,
            Self::Candidates { .. } => {
                return Err(TractError::msg("the objects are computed as candidates"));
            }
        };
        let not_contiguous = || TractError::msg("an output is not contiguous");
        if tensor.datum_type() == f32::datum_type() {
            let view = tensor.to_plain_array_view::<f32>()?;
            return Ok(Cow::Borrowed(view.to_slice().ok_or_else(not_contiguous)?));
        }
        let floats = tensor.cast_to::<f32>()?;
        let view = floats.to_plain_array_view::<f32>()?;
        let values = view.as_slice().ok_or_else(not_contiguous)?;
        Ok(Cow::Owned(values.to_vec()))
    }
}

/// Runs something of tract, whose panics become errors.
fn without_panic<T>(run: impl FnOnce() -> TractResult<T>) -> TractResult<T> {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    result.unwrap_or_else(|_| Err(TractError::msg("its graph is invalid")))
}

/// Refuses a graph of a few bytes that would take all memory, for example by a large padding.
fn check_size(model: &TypedModel) -> TractResult<()> {
    let outputs = model.nodes.iter().flat_map(|node| &node.outputs);
    let shapes = outputs.filter_map(|output| output.fact.shape.as_concrete());
    let values = shapes.map(|shape| {
        let sides = shape.iter().map(|&side| side as u64);
        sides.fold(1, u64::saturating_mul)
    });
    let values = values.fold(0, u64::saturating_add);
    if values > MAX_VALUES {
        let message = format!("its tensors have {values} values, at most {MAX_VALUES} are allowed");
        return Err(TractError::msg(message));
    }
    Ok(())
}

/// Multiply-adds of the convolutions and matrix products for one image, before any fusion; `None` if a shape is not
/// fixed.
fn multiply_adds(model: &TypedModel) -> Option<u64> {
    let mut sum = 0;
    for node in &model.nodes {
        // Additions and pools have costs without multiplications too.
        if !(node.op_is::<Conv>() || node.op_is::<EinSum>()) {
            continue;
        }
        let inputs = model.node_input_facts(node.id).ok()?;
        for (cost, count) in node.op.cost(&inputs).ok()? {
            if matches!(cost, Cost::FMA(_)) {
                sum += count.to_usize().ok()? as u64;
            }
        }
    }
    Some(sum)
}
