//! Where the time of an inference goes, layer by layer.

use std::time::{Duration, Instant};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::OpState;
use tract_onnx::tract_core::plan::{EvalContext, SimpleState, eval};

use super::{TractDetector, engine_error};
use crate::detect::DetectError;
use crate::preprocess::InputTensor;

/// The time that one layer takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerTime {
    /// Name of the layer in the model file; what the engine added has a name made from it.
    pub name: String,
    /// What the engine runs for it.
    pub operator: String,
    /// The median over the runs.
    pub time: Duration,
}

impl TractDetector {
    /// Runs the network so many times (at least once) on one input and times each layer, in the order in which
    /// they run.
    ///
    /// # Errors
    /// As [`crate::detect::Detector::predict`].
    pub fn layer_times(
        &self,
        input: &InputTensor,
        runs: usize,
    ) -> Result<Vec<LayerTime>, DetectError> {
        self.check_shape(input)?;
        let mut layers: Vec<(String, String, Vec<Duration>)> = Vec::new();
        for run in 0..runs.max(1) {
            let mut at = 0;
            let timed = |context: &EvalContext<'_>,
                         state: Option<&mut (dyn OpState + 'static)>,
                         node: &TypedNode,
                         inputs: TVec<TValue>| {
                let started = Instant::now();
                let outputs = eval(context, state, node, inputs);
                let time = started.elapsed();
                if run == 0 {
                    layers.push((node.name.clone(), node.op.name().into_owned(), Vec::new()));
                }
                if let Some((_, _, times)) = layers.get_mut(at) {
                    times.push(time);
                }
                at += 1;
                outputs
            };
            let tensor = Tensor::from_shape(&input.shape(), &input.to_f32());
            let ran = tensor.and_then(|tensor| {
                let mut state: SimpleState<_, _> = self.plan.spawn()?;
                state.run_plan_with_eval(tvec!(tensor.into()), timed)
            });
            ran.map_err(|error| engine_error(&error))?;
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
