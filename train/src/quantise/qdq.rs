//! The rewriting of a float graph into QDQ form.

use std::collections::{BTreeMap, BTreeSet};

use boxcam::card::InputSpec;
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::calibrate::Ranges;
use super::channels::{ChannelWeights, WeightScales};
use super::{QuantiseError, Scheme, stored_values};
use crate::onnx::{INPUT, int, node, tensor, tensor_floats};

/// The model in QDQ form, with the card that it had.
///
/// A `Relu`, or a `Clip` from 0, before a stored value goes away: the ends of the int8 range do its work.
///
/// # Errors
/// [`QuantiseError::Graph`] when a stored value has no range or a layer's weights are no constants.
pub fn quantise(
    model: &pb::ModelProto,
    ranges: &Ranges,
    weight_scales: WeightScales,
) -> Result<pb::ModelProto, QuantiseError> {
    let card = super::card(model)?;
    let mut model = model.clone();
    let graph = model.graph.take().ok_or_else(|| QuantiseError::Graph {
        node: "-".to_owned(),
        message: "there is no graph".to_owned(),
    })?;
    let mut rewrite = Rewrite::new(graph, ranges, &card.input, weight_scales)?;
    rewrite.store(INPUT, INPUT);
    for node in std::mem::take(&mut rewrite.graph.node) {
        rewrite.node(node)?;
    }
    model.graph = Some(rewrite.finish());
    Ok(model)
}

struct Rewrite {
    graph: pb::GraphProto,
    nodes: Vec<pb::NodeProto>,
    constants: BTreeMap<String, pb::TensorProto>,
    schemes: BTreeMap<String, Scheme>,
    /// Name of the dequantised value by the name of the value that it stands for.
    stored: BTreeMap<String, String>,
    weight_scales: WeightScales,
}

impl Rewrite {
    fn new(
        mut graph: pb::GraphProto,
        ranges: &Ranges,
        input: &InputSpec,
        weight_scales: WeightScales,
    ) -> Result<Self, QuantiseError> {
        let mut schemes = BTreeMap::new();
        for name in stored_values(&graph) {
            let scheme = match ranges.get(&name) {
                _ if name == INPUT => input_scheme(input),
                Some(&range) => Scheme::for_range(range),
                None => {
                    let message = "puts out a value that calibration did not see".to_owned();
                    return Err(QuantiseError::Graph {
                        node: name,
                        message,
                    });
                }
            };
            schemes.insert(name, scheme);
        }
        let constants = std::mem::take(&mut graph.initializer);
        let constants = constants.into_iter().map(|c| (c.name.clone(), c));
        Ok(Self {
            nodes: Vec::new(),
            constants: constants.collect(),
            schemes,
            stored: BTreeMap::new(),
            weight_scales,
            graph,
        })
    }

    fn node(&mut self, mut node: pb::NodeProto) -> Result<(), QuantiseError> {
        let output = node.output.first().cloned().unwrap_or_default();
        if self.is_done_by_rounding(&node, &output) {
            let before = node.input[0].clone();
            self.store(&output, &before);
            return Ok(());
        }
        for input in &mut node.input {
            if let Some(dequantised) = self.stored.get(input) {
                input.clone_from(dequantised);
            }
        }
        if node.op_type == "Conv" || node.op_type == "Gemm" {
            self.weights(&mut node)?;
        }
        self.nodes.push(node);
        self.store(&output, &output);
        Ok(())
    }

    /// Whether the node is a `Relu` or `Clip` that cuts nothing that the stored value's ends would not cut.
    fn is_done_by_rounding(&self, node: &pb::NodeProto, output: &str) -> bool {
        let Some(scheme) = self.schemes.get(output) else {
            return false;
        };
        let bound = |place: usize| {
            let constant = self.constants.get(node.input.get(place)?)?;
            tensor_floats(constant)?.first().copied()
        };
        let starts_at_zero = scheme.zero_point == i8::MIN;
        match node.op_type.as_str() {
            "Relu" => starts_at_zero,
            "Clip" => {
                let reaches_high = bound(2).is_some_and(|high| scheme.max() > high * 1.0001);
                starts_at_zero && bound(1) == Some(0.0) && !reaches_high
            }
            _ => false,
        }
    }

    /// Adds the quantise-dequantise pair of a value, if it is one that is stored; `from` is the float
    /// value it is made of.
    fn store(&mut self, value: &str, from: &str) {
        let Some(&Scheme { scale, zero_point }) = self.schemes.get(value) else {
            return;
        };
        let scale_name = format!("{value}.scale");
        let zero_name = format!("{value}.zero_point");
        self.constant(
            &scale_name,
            DataType::Float,
            &[],
            scale.to_le_bytes().to_vec(),
        );
        self.constant(
            &zero_name,
            DataType::Int8,
            &[],
            zero_point.to_le_bytes().to_vec(),
        );
        let quantised = format!("{value}.int8");
        let inputs = [from, &scale_name, &zero_name];
        self.nodes
            .push(node("QuantizeLinear", &quantised, &inputs, vec![]));
        let dequantised = format!("{value}.dequantised");
        let inputs = [quantised.as_str(), &scale_name, &zero_name];
        self.nodes
            .push(node("DequantizeLinear", &dequantised, &inputs, vec![]));
        self.stored.insert(value.to_owned(), dequantised);
    }

    /// Puts a layer's weights into int8 with a scale a channel and its bias into int32.
    fn weights(&mut self, layer: &mut pb::NodeProto) -> Result<(), QuantiseError> {
        let fault = |message: &str| QuantiseError::Graph {
            node: layer.name.clone(),
            message: message.to_owned(),
        };
        let [input, weight, bias] = layer.input.as_slice() else {
            return Err(fault("has no bias"));
        };
        let (dims, weights) = self
            .floats(weight)
            .ok_or(fault("has no constant weights"))?;
        let (_, biases) = self.floats(bias).ok_or(fault("has no constant bias"))?;
        let is_stored = |(_, name): &(&String, &String)| *name == input;
        let in_scale = match self.stored.iter().find(is_stored) {
            Some((value, _)) => self.schemes[value].scale,
            // Behind a Flatten the name is that of the Flatten.
            None => self
                .scale_behind(input)
                .ok_or(fault("has an input that is not stored"))?,
        };
        let transposed = layer
            .attribute
            .iter()
            .any(|a| a.name == "transB" && a.i == 1);
        if layer.op_type == "Gemm" && !transposed {
            return Err(fault("has its weights as [in, out], expected [out, in]"));
        }
        let channels = ChannelWeights::quantise(&weights, &biases, in_scale, self.weight_scales);
        let (weight, bias) = (weight.clone(), bias.clone());
        let out = [biases.len()];
        self.constant(
            &format!("{weight}.scale"),
            DataType::Float,
            &out,
            bytes(&channels.scales),
        );
        self.constant(
            &format!("{weight}.zero_point"),
            DataType::Int8,
            &out,
            vec![0; out[0]],
        );
        let int8 = channels.weights.iter().map(|&w| w as u8).collect();
        self.constant(&format!("{weight}.int8"), DataType::Int8, &dims, int8);
        let bias_scales: Vec<f32> = channels.scales.iter().map(|s| s * in_scale).collect();
        self.constant(
            &format!("{bias}.scale"),
            DataType::Float,
            &out,
            bytes(&bias_scales),
        );
        self.constant(
            &format!("{bias}.zero_point"),
            DataType::Int32,
            &out,
            vec![0; 4 * out[0]],
        );
        let int32 = channels
            .biases
            .iter()
            .flat_map(|b| b.to_le_bytes())
            .collect();
        self.constant(&format!("{bias}.int32"), DataType::Int32, &out, int32);
        for (place, name, kind) in [(1, &weight, "int8"), (2, &bias, "int32")] {
            self.constants.remove(name);
            let inputs = [kind, "scale", "zero_point"].map(|part| format!("{name}.{part}"));
            let inputs = inputs.each_ref().map(String::as_str);
            let output = format!("{name}.dequantised");
            let attribute = vec![int("axis", 0)];
            self.nodes
                .push(node("DequantizeLinear", &output, &inputs, attribute));
            layer.input[place] = output;
        }
        Ok(())
    }

    /// The scale of the stored value that only changes its shape on the way to `input`.
    fn scale_behind(&self, input: &str) -> Option<f32> {
        let flatten = self.nodes.iter().find(|node| node.output[0] == input)?;
        let source = flatten
            .input
            .first()
            .filter(|_| flatten.op_type == "Flatten")?;
        let (value, _) = self.stored.iter().find(|(_, name)| *name == source)?;
        Some(self.schemes.get(value)?.scale)
    }

    fn floats(&self, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let constant = self.constants.get(name)?;
        let dims = constant.dims.iter().map(|&dim| dim as usize).collect();
        Some((dims, tensor_floats(constant)?))
    }

    fn constant(&mut self, name: &str, kind: DataType, dims: &[usize], bytes: Vec<u8>) {
        self.constants
            .insert(name.to_owned(), tensor(name, kind, dims, bytes));
    }

    fn finish(mut self) -> pb::GraphProto {
        let used: BTreeSet<&String> = self.nodes.iter().flat_map(|node| &node.input).collect();
        self.constants.retain(|name, _| used.contains(name));
        self.graph.initializer = self.constants.into_values().collect();
        self.graph.node = self.nodes;
        self.graph
    }
}

/// The scheme in which a pixel of the picture keeps its value: `q = pixel - 128`.
fn input_scheme(input: &InputSpec) -> Scheme {
    Scheme {
        scale: input.scale,
        zero_point: (input.zero_point - 128.0).round().clamp(-128.0, 127.0) as i8,
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}
