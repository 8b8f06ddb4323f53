//! The operator that stands in a tract graph for a network in whole numbers.

use std::sync::{Arc, Mutex, PoisonError};

use tract_onnx::tract_hir::internal::*;

use super::super::network::{Input, Memory, Network};

/// A network in whole numbers as one operator: the picture or floats in, floats out.
#[derive(Debug, Clone)]
pub struct Fused {
    network: Arc<Network>,
    /// Shape of each output.
    shapes: Vec<TVec<usize>>,
    /// Memory of runs that are over, for the next.
    idle: Arc<Mutex<Vec<Memory>>>,
}

impl Fused {
    pub(super) fn new(network: Network, shapes: Vec<TVec<usize>>) -> Self {
        Self {
            network: Arc::new(network),
            shapes,
            idle: Arc::default(),
        }
    }

    /// What it runs.
    #[must_use]
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    fn run(&self, input: Input<'_>) -> TractResult<TVec<TValue>> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = idle().pop();
        let mut memory = memory.unwrap_or_else(|| self.network.memory());
        self.network.run(input, &mut memory);
        let outputs = self.shapes.iter().enumerate().map(|(number, shape)| {
            let floats = self.network.output(&memory, number);
            Ok(Tensor::from_shape(shape, floats)?.into())
        });
        let outputs = outputs.collect();
        idle().push(memory);
        outputs
    }
}

impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.network, &other.network)
    }
}

impl Eq for Fused {}

impl Op for Fused {
    fn name(&self) -> StaticName {
        "Int8".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("kernels: {}", self.network.kernels())])
    }

    op_as_typed_op!();
}

impl EvalOp for Fused {
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        if inputs[0].datum_type() == u8::datum_type() {
            let view = inputs[0].to_plain_array_view::<u8>()?;
            self.run(Input::Pixels(
                view.as_slice().context("a picture without gaps")?,
            ))
        } else {
            let view = inputs[0].to_plain_array_view::<f32>()?;
            self.run(Input::Floats(
                view.as_slice().context("floats without gaps")?,
            ))
        }
    }

    not_out_of_plan!();
}

impl TypedOp for Fused {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.shapes.iter().map(f32::fact).collect())
    }

    as_op!();
}
