//! The way back: the float model that an int8 model stands for, so that a model whose float file is gone can be
//! quantised anew.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::QuantiseError;
use crate::onnx::{Constants, RELU6, node, tensor};

/// The float model of an int8 model that [`super::quantise`] made: weights and biases are `scale * q`, activations are
/// not stored any more, and the activation functions that the ends of the int8 range stood for are there again.
///
/// # Errors
/// [`QuantiseError::Graph`] when a weight can't be dequantised.
pub fn dequantise(model: &pb::ModelProto) -> Result<pb::ModelProto, QuantiseError> {
    let mut model = model.clone();
    let graph = model.graph.take().unwrap_or_default();
    let constants = Constants::of(&graph);
    let mut floats = Floats::default();
    for node in &graph.node {
        floats.node(node, &constants)?;
    }
    // Such as shapes, which were never quantised.
    let kept = graph.initializer.iter().filter(|constant| {
        let mut used = floats.nodes.iter().flat_map(|node| &node.input);
        used.any(|input| *input == constant.name)
    });
    let kept: Vec<pb::TensorProto> = kept.cloned().collect();
    let made: BTreeSet<String> = floats.constants.iter().map(|c| c.name.clone()).collect();
    let kept = kept
        .into_iter()
        .filter(|constant| !made.contains(&constant.name));
    floats.constants.extend(kept);
    model.graph = Some(pb::GraphProto {
        node: floats.nodes,
        initializer: floats.constants,
        ..graph.clone()
    });
    Ok(model)
}

#[derive(Default)]
struct Floats {
    nodes: Vec<pb::NodeProto>,
    constants: Vec<pb::TensorProto>,
    /// Name of the float value by the name of what stands for it in the int8 model.
    names: BTreeMap<String, String>,
}

impl Floats {
    fn node(&mut self, old: &pb::NodeProto, constants: &Constants) -> Result<(), QuantiseError> {
        let output = old.output.first().cloned().unwrap_or_default();
        let input = old.input.first().map(|name| self.renamed(name));
        let input = input.unwrap_or_default();
        match old.op_type.as_str() {
            "QuantizeLinear" => {
                let value = output.strip_suffix(".int8").unwrap_or(&output).to_owned();
                if value != input {
                    self.activation(&value, &input);
                }
                self.names.insert(output, value);
            }
            "DequantizeLinear" => match constants.numbers(&output) {
                Some((dims, numbers)) => {
                    let name = output.strip_suffix(".dequantised").unwrap_or(&output);
                    self.constant(name, &dims, &numbers);
                    self.names.insert(output.clone(), name.to_owned());
                }
                None if old
                    .input
                    .first()
                    .is_some_and(|i| self.names.contains_key(i)) =>
                {
                    self.names.insert(output, input);
                }
                None => {
                    return Err(QuantiseError::Graph {
                        node: old.name.clone(),
                        message: "dequantises what is no constant of int8 or int32".to_owned(),
                    });
                }
            },
            _ => {
                let mut node = old.clone();
                for input in &mut node.input {
                    *input = self.renamed(input);
                }
                self.nodes.push(node);
            }
        }
        Ok(())
    }

    fn renamed(&self, name: &str) -> String {
        self.names.get(name).map_or(name, String::as_str).to_owned()
    }

    /// The function that went away because the ends of the range did its work.
    fn activation(&mut self, value: &str, input: &str) {
        if value.ends_with(RELU6) {
            let bounds = [(format!("{value}.min"), 0.0), (format!("{value}.max"), 6.0)];
            for (name, bound) in &bounds {
                self.constant(name, &[], &[*bound]);
            }
            let inputs = [input, &bounds[0].0, &bounds[1].0];
            self.nodes.push(node("Clip", value, &inputs, vec![]));
        } else {
            self.nodes.push(node("Relu", value, &[input], vec![]));
        }
    }

    fn constant(&mut self, name: &str, dims: &[usize], numbers: &[f32]) {
        let bytes = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.constants
            .push(tensor(name, DataType::Float, dims, bytes));
    }
}
