//! Lowering of a quantized ONNX graph to integer layers, inside tract.
//!
//! Exporters write a quantized network as a float network with a `QuantizeLinear` and a `DequantizeLinear` around every
//! operator (QDQ). [`framework`] is tract's ONNX reader with its own implementation of these two, so that weights stay
//! bytes while the file is read. [`FuseInt8`] is a pass over the typed graph: from each quantized value on it matches
//! all operators that it supports and replaces them with one [`Int8Network`] operator. The `QuantizeLinear` and
//! `DequantizeLinear` that remain are computed as ONNX specifies.

use std::sync::Arc;

use parking_lot::Mutex;
use tract_onnx::tract_core::ops::source::TypedSource;
use tract_onnx::tract_core::optim::{OptimizerSession, TypedPass};
use tract_onnx::tract_hir::internal::*;

use super::graph::InputQuantizer;
use super::kernels::Kernels;
use super::network::{Network, NetworkInput, Workspace};
use crate::card::InputSpec;
use matcher::{Match, match_from};
use qdq::{DequantizeLinear, QuantizeLinear};

mod float_layers;
mod matcher;
mod qdq;
mod quantized_layers;
mod ssd_head;

pub use qdq::framework;

/// Replaces quantized operators with integer layers. Must run before any other pass, which might convert weights to
/// floats.
#[derive(Debug, Clone)]
pub struct FuseInt8 {
    /// How the card converts pixels to the model's input. A network that reads the model's input then takes the bytes
    /// of the image, and the model's input becomes `[1, height, width, 3]` bytes.
    pub pixels: Option<InputSpec>,
    pub kernels: &'static Kernels,
    /// At least 1.
    pub threads: usize,
}

impl TypedPass for FuseInt8 {
    fn reset(&mut self) -> TractResult<()> {
        Ok(())
    }

    fn next(
        &mut self,
        _: &mut OptimizerSession,
        _: &TypedModel,
    ) -> TractResult<Option<TypedModelPatch>> {
        Ok(None)
    }

    fn run_direct(&mut self, model: &mut TypedModel) -> TractResult<bool> {
        let mut changed = false;
        loop {
            let first = model
                .nodes()
                .iter()
                .filter(|node| node.op_is::<QuantizeLinear>())
                .find_map(|root| Some((root.id, match_from(model, root)?)));
            let Some((root, found)) = first else { break };
            self.replace(model, root, found)?;
            model.compact()?;
            changed = true;
        }
        changed |= release_constants(model);
        Ok(changed)
    }
}

impl FuseInt8 {
    fn replace(&self, model: &mut TypedModel, root: usize, found: Match) -> TractResult<()> {
        let Match { mut graph, outlets } = found;
        let input = model.node(root).inputs[0];
        let name = format!("{}.fused", model.node(root).name);
        let quantizer = self.input_quantizer(model, root)?;
        if let (InputQuantizer::Pixels(_), Some(spec)) = (&quantizer, &self.pixels) {
            let fact = u8::fact([1, spec.height as usize, spec.width as usize, 3]);
            let source = model.node_mut(input.node);
            source.op = Box::new(TypedSource::new(fact.clone()));
            source.outputs[0].fact = fact;
        }
        graph.input = Some(quantizer);
        let shapes = outlets.iter().map(|&outlet| {
            let fact = model.outlet_fact(outlet)?;
            let shape = fact.shape.as_concrete().context("a shape is not fixed")?;
            Ok(shape.into())
        });
        let shapes = shapes.collect::<TractResult<_>>()?;
        let network = Network::new(graph, self.kernels, self.threads)?;
        let fused = model.wire_node(name, Int8Network::new(network, shapes), &[input])?;
        for (old, new) in outlets.into_iter().zip(fused) {
            for reader in model.outlet_successors(old).to_vec() {
                model.add_edge(new, reader)?;
            }
            for output in model.outputs.iter_mut().filter(|output| **output == old) {
                *output = new;
            }
        }
        Ok(())
    }

    /// Pixels, if the quantized value is the model's input and has no other reader.
    fn input_quantizer(&self, model: &TypedModel, root: usize) -> TractResult<InputQuantizer> {
        let node = model.node(root);
        let QuantizeLinear(params) = node.op_as().context("the root is a QuantizeLinear")?;
        let input = node.inputs[0];
        let is_model_input = model.inputs == [input] && model.outlet_successors(input).len() == 1;
        let (Some(spec), Some((scale, zero_point)), true) =
            (&self.pixels, params.per_tensor(), is_model_input)
        else {
            return Ok(InputQuantizer::Floats);
        };
        let shape = model.outlet_fact(input)?.shape.as_concrete();
        let (height, width) = (spec.height as usize, spec.width as usize);
        if shape != Some(&[1, 3, height, width][..]) {
            return Ok(InputQuantizer::Floats);
        }
        Ok(InputQuantizer::from_pixels(|pixel| {
            let steps = (spec.normalized(pixel) / scale).round_ties_even() + f32::from(zero_point);
            steps.clamp(-128.0, 127.0) as i8
        }))
    }
}

/// Lets tract compute the remaining dequantized constants.
fn release_constants(model: &mut TypedModel) -> bool {
    let mut changed = false;
    for node in model.nodes_mut() {
        if let Some(operator) = node.op_as_mut::<DequantizeLinear>() {
            changed |= !std::mem::replace(&mut operator.can_fold, true);
        }
    }
    changed
}

/// A network in integer arithmetic as one tract operator: an image or floats in, floats out.
#[derive(Debug, Clone)]
pub struct Int8Network {
    network: Arc<Network>,
    /// Of each output.
    shapes: Vec<TVec<usize>>,
    /// Workspaces of finished runs, for reuse.
    idle: Arc<Mutex<Vec<Workspace>>>,
}

impl Int8Network {
    fn new(network: Network, shapes: Vec<TVec<usize>>) -> Self {
        Self {
            network: Arc::new(network),
            shapes,
            idle: Arc::default(),
        }
    }

    #[must_use]
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// The shape of an output.
    ///
    /// # Panics
    /// If there is no such output.
    #[must_use]
    pub fn shape(&self, output: usize) -> &[usize] {
        &self.shapes[output]
    }

    fn run(&self, input: NetworkInput<'_>) -> TractResult<TVec<TValue>> {
        let idle = self.idle.lock().pop();
        let mut workspace = idle.unwrap_or_else(|| self.network.workspace());
        self.network.run(input, &mut workspace);
        let outputs = self.shapes.iter().enumerate().map(|(index, shape)| {
            let values = self.network.output(&workspace, index);
            Ok(Tensor::from_shape(shape, &values.dense())?.into())
        });
        let outputs = outputs.collect();
        self.idle.lock().push(workspace);
        outputs
    }
}

impl PartialEq for Int8Network {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.network, &other.network)
    }
}

impl Eq for Int8Network {}

impl Op for Int8Network {
    fn name(&self) -> StaticName {
        "Int8".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("kernels: {}", self.network.kernels())])
    }

    op_as_typed_op!();
}

impl EvalOp for Int8Network {
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        const NOT_CONTIGUOUS: &str = "the input of the int8 network is not contiguous";
        if inputs[0].datum_type() == u8::datum_type() {
            let view = inputs[0].to_plain_array_view::<u8>()?;
            let pixels = view.as_slice().context(NOT_CONTIGUOUS)?;
            self.run(NetworkInput::Pixels(pixels))
        } else {
            let view = inputs[0].to_plain_array_view::<f32>()?;
            let floats = view.as_slice().context(NOT_CONTIGUOUS)?;
            self.run(NetworkInput::Floats(floats))
        }
    }

    not_out_of_plan!();
}

impl TypedOp for Int8Network {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.shapes.iter().map(f32::fact).collect())
    }

    as_op!();
}
