//! The pass that puts [`Fused`] in the place of what was found.

use tract_onnx::tract_core::ops::source::TypedSource;
use tract_onnx::tract_core::optim::{OptimizerSession, TypedPass};
use tract_onnx::tract_hir::internal::*;

use super::super::graph::Entry;
use super::super::kernels::Kernels;
use super::super::network::Network;
use super::find::{Found, find};
use super::fused::Fused;
use super::qdq::{DequantizeLinear, QuantizeLinear};
use crate::card::InputSpec;

/// Puts integer layers in the place of quantised ones. To be run before any other pass, which might turn weights into
/// floats.
#[derive(Debug, Clone)]
pub struct FuseInt8 {
    /// What the model's input is made of: with it, a network that takes the input takes the bytes of the picture, and
    /// the model's input becomes `[1, height, width, 3]` bytes.
    pub pixels: Option<InputSpec>,
    /// What runs the layers.
    pub kernels: &'static Kernels,
    /// Threads that share the rows of a map; at least 1.
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
            let roots = model
                .nodes()
                .iter()
                .filter(|node| node.op_is::<QuantizeLinear>());
            let found = roots
                .filter_map(|root| Some((root.id, find(model, root)?)))
                .next();
            let Some((root, found)) = found else { break };
            self.replace(model, root, found)?;
            model.compact()?;
            changed = true;
        }
        changed |= release_constants(model);
        Ok(changed)
    }
}

impl FuseInt8 {
    fn replace(&self, model: &mut TypedModel, root: usize, found: Found) -> TractResult<()> {
        let Found { mut graph, outlets } = found;
        let input = model.node(root).inputs[0];
        let name = format!("{}.fused", model.node(root).name);
        graph.entry = Some(self.entry(model, root)?);
        if let (Some(Entry::Pixels(_)), Some(spec)) = (&graph.entry, &self.pixels) {
            let shape = [1, spec.height as usize, spec.width as usize, 3];
            let fact = u8::fact(shape);
            let source = model.node_mut(input.node);
            source.op = Box::new(TypedSource::new(fact.clone()));
            source.outputs[0].fact = fact;
        }
        let shapes = outlets.iter().map(|&outlet| {
            let fact = model.outlet_fact(outlet)?;
            let shape = fact.shape.as_concrete().context("shapes are known")?;
            Ok(shape.into())
        });
        let shapes = shapes.collect::<TractResult<_>>()?;
        let network = Network::new(graph, self.kernels, self.threads).map_err(TractError::msg)?;
        let fused = model.wire_node(name, Fused::new(network, shapes), &[input])?;
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

    /// The bytes of the picture, where the quantised value is the model's input and nothing else reads that.
    fn entry(&self, model: &TypedModel, root: usize) -> TractResult<Entry> {
        let QuantizeLinear(linear) = model.node(root).op_as().context("a root quantises")?;
        let input = model.node(root).inputs[0];
        let is_picture = model.inputs == [input] && model.outlet_successors(input).len() == 1;
        let (Some(spec), Some((scale, zero_point)), true) =
            (&self.pixels, linear.of_bytes(), is_picture)
        else {
            return Ok(Entry::Floats);
        };
        let shape = model
            .outlet_fact(input)?
            .shape
            .as_concrete()
            .map(<[usize]>::to_vec);
        let (height, width) = (spec.height as usize, spec.width as usize);
        if shape.as_deref() != Some(&[1, 3, height, width][..]) {
            return Ok(Entry::Floats);
        }
        Ok(Entry::of_pixels(|pixel| {
            let steps = (spec.normalized(pixel) / scale).round_ties_even() + f32::from(zero_point);
            steps.clamp(-128.0, 127.0) as i8
        }))
    }
}

/// Lets tract compute what is left of constants that are dequantised.
fn release_constants(model: &mut TypedModel) -> bool {
    let mut changed = false;
    for node in model.nodes_mut() {
        if let Some(DequantizeLinear(linear, false)) = node.op_as::<DequantizeLinear>() {
            node.op = Box::new(DequantizeLinear(linear.clone(), true));
            changed = true;
        }
    }
    changed
}
