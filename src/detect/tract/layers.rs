//! Where the time of an inference goes, layer by layer.

use std::time::{Duration, Instant};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::OpState;
use tract_onnx::tract_core::plan::{EvalContext, SimpleState, eval};

use super::engine::Engine;
use super::{TractDetector, engine_error};
use crate::detect::DetectError;
use crate::detect::int8::network::Input;
use crate::preprocess::InputTensor;

/// The time that one layer takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerTime {
    /// Name of the layer in the model file; of several that are run as one, all their names.
    pub name: String,
    /// What the engine runs for it.
    pub operator: String,
    /// The median over the runs.
    pub time: Duration,
}

/// A layer's name and operator, and what it took in one run.
type Timed = (String, String, Duration);

impl TractDetector {
    /// Runs the network so many times (at least once) on one input and times each layer, in the order in which
    /// they run.
    ///
    /// # Errors
    /// As [`crate::detect::Detector::predict`].
    pub fn layer_times(
        &mut self,
        input: &InputTensor,
        runs: usize,
    ) -> Result<Vec<LayerTime>, DetectError> {
        self.check_shape(input)?;
        let mut layers: Vec<(String, String, Vec<Duration>)> = Vec::new();
        for run in 0..runs.max(1) {
            let timed = self.engine.run_timed(input);
            let timed = timed.map_err(|error| engine_error(&error))?;
            if run == 0 {
                let empty =
                    |(name, operator, _): &Timed| (name.clone(), operator.clone(), Vec::new());
                layers = timed.iter().map(empty).collect();
            }
            for (layer, (_, _, time)) in layers.iter_mut().zip(timed) {
                layer.2.push(time);
            }
        }
        let median = |mut times: Vec<Duration>| {
            times.sort_unstable();
            times[times.len() / 2]
        };
        let layers = layers.into_iter().map(|(name, operator, times)| LayerTime {
            name,
            operator,
            time: median(times),
        });
        Ok(layers.collect())
    }
}

impl Engine {
    fn run_timed(&mut self, input: &InputTensor) -> TractResult<Vec<Timed>> {
        if let Self::Fused {
            network, memory, ..
        } = self
        {
            let steps = network.run_timed(Input::Pixels(input.pixels()), memory);
            let steps = steps.into_iter();
            let timed = steps.map(|step| (step.name.to_owned(), step.kind.to_owned(), step.time));
            return Ok(timed.collect());
        }
        let tensor = self.tensor(input)?;
        let Self::Plan { plan, .. } = self else {
            return Ok(Vec::new());
        };
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
