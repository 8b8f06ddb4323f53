//! What runs a model: the integer network alone where all of the graph was fused, else tract's plan with whatever
//! was fused as operators in it.

use std::sync::Arc;

use tract_onnx::pb;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::optim::Optimizer;

use super::cost::multiply_adds;
use crate::card::InputSpec;
use crate::detect::int8::kernels::Kernels;
use crate::detect::int8::network::{Input, Memory, Network};
use crate::detect::int8::rewrite::{FuseInt8, Fused, framework};
use crate::preprocess::InputTensor;

/// A graph ready to run. A clone has memory of its own.
pub(super) enum Engine {
    /// All of it in one network; the numbers of the two outputs among the network's.
    Fused {
        network: Arc<Network>,
        memory: Memory,
        outputs: [usize; 2],
    },
    /// In tract.
    Plan {
        plan: Arc<TypedRunnableModel>,
        /// Whether its input is the bytes of a picture.
        takes_pixels: bool,
        outputs: [usize; 2],
    },
}

/// What the two outputs hold after a run.
pub(super) enum Answer<'a> {
    Lists([&'a [f32]; 2]),
    Tensors([TValue; 2]),
}

/// How a model is run.
#[derive(Debug, Clone, Copy)]
pub struct EngineOptions {
    /// Threads that share each layer; at least 1.
    pub threads: usize,
    /// Loops for the processor.
    pub kernels: &'static Kernels,
}

impl Default for EngineOptions {
    /// One thread, the fastest loops there are.
    fn default() -> Self {
        Self {
            threads: 1,
            kernels: Kernels::best(),
        }
    }
}

impl Engine {
    /// Prepares the graph, of which two outputs are asked for, by their numbers; beside it the graph's
    /// [`multiply_adds`].
    pub(super) fn new(
        proto: pb::ModelProto,
        input: &InputSpec,
        outputs: [usize; 2],
        options: EngineOptions,
    ) -> TractResult<(Self, Option<u64>)> {
        let build = || Self::build(proto, input, outputs, options);
        // Graphs of nonsense (an output that nothing computes, an axis that isn't there) make it panic.
        let built = std::panic::catch_unwind(std::panic::AssertUnwindSafe(build));
        built.unwrap_or_else(|_| Err(TractError::msg("its graph makes no sense")))
    }

    fn build(
        proto: pb::ModelProto,
        input: &InputSpec,
        outputs: [usize; 2],
        options: EngineOptions,
    ) -> TractResult<(Self, Option<u64>)> {
        let model = framework().model_for_proto_model(&proto)?;
        // Its weights are in the graph too.
        drop(proto);
        let mut model = model
            .with_input_fact(0, f32::fact(input.shape()).into())?
            .into_typed()?;
        let multiply_adds = multiply_adds(&model);
        let fuse = FuseInt8 {
            pixels: Some(input.clone()),
            kernels: options.kernels,
            threads: options.threads,
        };
        let only_fuse = Optimizer {
            passes: vec![Box::new(fuse)],
            steps: None,
        };
        only_fuse.optimize(&mut model)?;
        if let Some(fused) = Self::fused(&model, outputs) {
            return Ok((fused, multiply_adds));
        }
        let takes_pixels = model.input_fact(0)?.datum_type == u8::datum_type();
        let plan = model
            .into_decluttered()?
            .into_optimized()?
            .into_runnable()?;
        let plan = Self::Plan {
            plan,
            takes_pixels,
            outputs,
        };
        Ok((plan, multiply_adds))
    }

    /// The network, where nothing is left for tract to do.
    fn fused(model: &TypedModel, outputs: [usize; 2]) -> Option<Self> {
        let wanted = outputs.map(|output| model.outputs[output]);
        let node = model.node(wanted[0].node);
        let fused: &Fused = node.op_as()?;
        let has_all = wanted.iter().all(|outlet| outlet.node == node.id);
        let is_first = node.inputs[..] == model.inputs[..];
        let takes_pixels = model.input_fact(0).ok()?.datum_type == u8::datum_type();
        (has_all && is_first && takes_pixels).then(|| Self::Fused {
            network: Arc::clone(fused.network()),
            memory: fused.network().memory(),
            outputs: wanted.map(|outlet| outlet.slot),
        })
    }

    /// Runs it on a picture.
    pub(super) fn run(&mut self, input: &InputTensor) -> TractResult<Answer<'_>> {
        match self {
            Self::Fused {
                network,
                memory,
                outputs,
            } => {
                network.run(Input::Pixels(input.pixels()), memory);
                Ok(Answer::Lists(
                    outputs.map(|output| network.output(memory, output)),
                ))
            }
            Self::Plan { plan, outputs, .. } => {
                let (plan, outputs) = (Arc::clone(plan), *outputs);
                let values = plan.run(tvec!(self.tensor(input)?.into()))?;
                Ok(Answer::Tensors(
                    outputs.map(|output| values[output].clone()),
                ))
            }
        }
    }

    /// The input as the plan takes it.
    pub(super) fn tensor(&self, input: &InputTensor) -> TractResult<Tensor> {
        let spec = input.spec();
        match self {
            Self::Plan {
                takes_pixels: false,
                ..
            } => Tensor::from_shape(&input.shape(), &input.to_f32()),
            _ => {
                let shape = [1, spec.height as usize, spec.width as usize, 3];
                Tensor::from_shape(&shape, input.pixels())
            }
        }
    }

    /// What runs the integer layers, if any are fused: the kernels' name.
    pub(super) fn kernels(&self) -> Option<&'static str> {
        match self {
            Self::Fused { network, .. } => Some(network.kernels()),
            Self::Plan { plan, .. } => {
                let fused = plan
                    .model()
                    .nodes()
                    .iter()
                    .filter_map(|node| node.op_as::<Fused>());
                fused.map(|fused| fused.network().kernels()).next()
            }
        }
    }
}

impl Clone for Engine {
    fn clone(&self) -> Self {
        match self {
            Self::Fused {
                network, outputs, ..
            } => Self::Fused {
                network: Arc::clone(network),
                memory: network.memory(),
                outputs: *outputs,
            },
            Self::Plan {
                plan,
                takes_pixels,
                outputs,
            } => Self::Plan {
                plan: Arc::clone(plan),
                takes_pixels: *takes_pixels,
                outputs: *outputs,
            },
        }
    }
}

impl Answer<'_> {
    /// Shapes of the two outputs.
    pub(super) fn shapes(&self) -> [Vec<usize>; 2] {
        match self {
            Self::Lists(lists) => lists.map(|list| vec![1, list.len()]),
            Self::Tensors(tensors) => tensors.each_ref().map(|tensor| tensor.shape().to_vec()),
        }
    }

    /// Calls with the numbers of the two outputs.
    pub(super) fn numbers<T>(&self, with: impl FnOnce([&[f32]; 2]) -> T) -> TractResult<T> {
        match self {
            Self::Lists(lists) => Ok(with(*lists)),
            Self::Tensors([a, b]) => {
                let (a, b) = (a.cast_to::<f32>()?, b.cast_to::<f32>()?);
                let (a, b) = (
                    a.to_plain_array_view::<f32>()?,
                    b.to_plain_array_view::<f32>()?,
                );
                let gaps = || TractError::msg("an output has gaps between its numbers");
                let a = a.as_slice().ok_or_else(gaps)?;
                Ok(with([a, b.as_slice().ok_or_else(gaps)?]))
            }
        }
    }
}
