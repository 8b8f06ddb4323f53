//! Rewrites a float graph into QDQ form (a quantize-dequantize pair around each int8 tensor), and back.
//!
//! An int8 tensor `t` is stored as `t.int8` (or `t.int32` for a bias) with `t.scale` and `t.zero_point`, and read as
//! `t.dequantised`. These names are part of the file format.

use std::collections::{BTreeMap, BTreeSet};

use boxcam::card::InputSpec;
use clap::ValueEnum;
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::calibrate::Ranges;
use super::{QuantParams, QuantizeError, quantized_tensors};
use crate::onnx::{Constants, INPUT, RELU6_SUFFIX, int, node, tensor, tensor_floats};

/// Largest magnitude of an int32 bias: leaves room for the sum that it is added to.
pub(super) const MAX_BIAS: f32 = (1u32 << 30) as f32;

/// Fractions of the largest scale that [`WeightScales::LeastError`] tries, in percent.
const TRIED_PERCENT: std::ops::RangeInclusive<u8> = 50..=100;

/// How the scale of a channel's weights is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WeightScales {
    /// The largest weight becomes 127
    Max,
    /// The scale with the smallest squared error of the channel's weights; the largest may be clipped
    #[value(name = "mse")]
    LeastError,
}

/// The model in QDQ form, with an unchanged card.
///
/// A `Relu`, or a `Clip` from 0, in front of an int8 tensor is dropped if the int8 range already clips the same values.
///
/// # Errors
/// [`QuantizeError::Graph`] when a tensor has no range or a layer's weights are not constant.
pub fn quantize(
    model: &pb::ModelProto,
    ranges: &Ranges,
    weight_scales: WeightScales,
) -> Result<pb::ModelProto, QuantizeError> {
    let card = crate::onnx::card(model)?;
    let mut model = model.clone();
    let graph = model.graph.take().ok_or_else(|| QuantizeError::Graph {
        node: "-".to_owned(),
        message: "is missing: the file has no graph".to_owned(),
    })?;
    let mut quantizer = Quantizer::new(graph, ranges, &card.input, weight_scales)?;
    quantizer.add_pair(INPUT, INPUT);
    for node in std::mem::take(&mut quantizer.graph.node) {
        quantizer.node(node)?;
    }
    model.graph = Some(quantizer.finish());
    Ok(model)
}

struct Quantizer {
    graph: pb::GraphProto,
    nodes: Vec<pb::NodeProto>,
    constants: BTreeMap<String, pb::TensorProto>,
    params: BTreeMap<String, QuantParams>,
    /// Name of the dequantized tensor by the name of the float tensor that it replaces.
    dequantized: BTreeMap<String, String>,
    weight_scales: WeightScales,
}

impl Quantizer {
    fn new(
        mut graph: pb::GraphProto,
        ranges: &Ranges,
        input: &InputSpec,
        weight_scales: WeightScales,
    ) -> Result<Self, QuantizeError> {
        let mut params = BTreeMap::new();
        for name in quantized_tensors(&graph) {
            let quant = match ranges.get(&name) {
                _ if name == INPUT => input_params(input),
                Some(&range) => QuantParams::for_range(range),
                None => {
                    return Err(QuantizeError::Graph {
                        node: name,
                        message: "has no calibrated range".to_owned(),
                    });
                }
            };
            params.insert(name, quant);
        }
        let constants = std::mem::take(&mut graph.initializer);
        let constants = constants.into_iter().map(|c| (c.name.clone(), c));
        Ok(Self {
            nodes: Vec::new(),
            constants: constants.collect(),
            params,
            dequantized: BTreeMap::new(),
            weight_scales,
            graph,
        })
    }

    fn node(&mut self, mut node: pb::NodeProto) -> Result<(), QuantizeError> {
        let output = node.output.first().cloned().unwrap_or_default();
        if self.is_done_by_clamping(&node, &output) {
            let input = node.input[0].clone();
            self.add_pair(&output, &input);
            return Ok(());
        }
        for input in &mut node.input {
            if let Some(dequantized) = self.dequantized.get(input) {
                input.clone_from(dequantized);
            }
        }
        if node.op_type == "Conv" || node.op_type == "Gemm" {
            self.quantize_layer(&mut node)?;
        }
        self.nodes.push(node);
        self.add_pair(&output, &output);
        Ok(())
    }

    /// Whether the node is a `Relu` or `Clip` that clips nothing beyond the int8 range of its output.
    fn is_done_by_clamping(&self, node: &pb::NodeProto, output: &str) -> bool {
        let Some(params) = self.params.get(output) else {
            return false;
        };
        let bound = |operand: usize| {
            let constant = self.constants.get(node.input.get(operand)?)?;
            tensor_floats(constant)?.first().copied()
        };
        let starts_at_zero = params.zero_point == i8::MIN;
        match node.op_type.as_str() {
            "Relu" => starts_at_zero,
            "Clip" => {
                let exceeds_max = bound(2).is_some_and(|max| params.max() > max * 1.0001);
                starts_at_zero && bound(1) == Some(0.0) && !exceeds_max
            }
            _ => false,
        }
    }

    /// Adds the quantize-dequantize pair of a tensor if it is one that becomes int8; `from` is the float tensor that is
    /// quantized.
    fn add_pair(&mut self, name: &str, from: &str) {
        let Some(&QuantParams { scale, zero_point }) = self.params.get(name) else {
            return;
        };
        let scale_name = format!("{name}.scale");
        let zero_name = format!("{name}.zero_point");
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
        let int8 = format!("{name}.int8");
        let inputs = [from, &scale_name, &zero_name];
        self.nodes
            .push(node("QuantizeLinear", &int8, &inputs, vec![]));
        let dequantized = format!("{name}.dequantised");
        let inputs = [int8.as_str(), &scale_name, &zero_name];
        self.nodes
            .push(node("DequantizeLinear", &dequantized, &inputs, vec![]));
        self.dequantized.insert(name.to_owned(), dequantized);
    }

    /// Quantizes a layer's weights to int8 with a scale per output channel, and its bias to int32.
    fn quantize_layer(&mut self, layer: &mut pb::NodeProto) -> Result<(), QuantizeError> {
        let fault = |message: &str| QuantizeError::Graph {
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
        let is_input = |(_, name): &(&String, &String)| *name == input;
        let in_scale = match self.dequantized.iter().find(is_input) {
            Some((name, _)) => self.params[name].scale,
            None => self
                .scale_before_flatten(input)
                .ok_or(fault("has an input that is not quantized"))?,
        };
        let transposed = layer
            .attribute
            .iter()
            .any(|a| a.name == "transB" && a.i == 1);
        if layer.op_type == "Gemm" && !transposed {
            return Err(fault("has its weights as [in, out], expected [out, in]"));
        }
        let quantized = QuantizedLayer::new(&weights, &biases, in_scale, self.weight_scales);
        let (weight, bias) = (weight.clone(), bias.clone());
        let out = [biases.len()];
        self.constant(
            &format!("{weight}.scale"),
            DataType::Float,
            &out,
            bytes(&quantized.scales),
        );
        self.constant(
            &format!("{weight}.zero_point"),
            DataType::Int8,
            &out,
            vec![0; out[0]],
        );
        let int8 = quantized.weights.iter().map(|&w| w as u8).collect();
        self.constant(&format!("{weight}.int8"), DataType::Int8, &dims, int8);
        let bias_scales: Vec<f32> = quantized.scales.iter().map(|s| s * in_scale).collect();
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
        let int32 = quantized.biases.iter();
        let int32 = int32.flat_map(|b| b.to_le_bytes()).collect();
        self.constant(&format!("{bias}.int32"), DataType::Int32, &out, int32);
        for (operand, name, kind) in [(1, &weight, "int8"), (2, &bias, "int32")] {
            self.constants.remove(name);
            let inputs = [kind, "scale", "zero_point"].map(|part| format!("{name}.{part}"));
            let inputs = inputs.each_ref().map(String::as_str);
            let output = format!("{name}.dequantised");
            let attribute = vec![int("axis", 0)];
            self.nodes
                .push(node("DequantizeLinear", &output, &inputs, attribute));
            layer.input[operand] = output;
        }
        Ok(())
    }

    /// The scale of the int8 tensor that a `Flatten` gives the name `input`.
    fn scale_before_flatten(&self, input: &str) -> Option<f32> {
        let flatten = self.nodes.iter().find(|node| node.output[0] == input)?;
        let source = flatten
            .input
            .first()
            .filter(|_| flatten.op_type == "Flatten")?;
        let (name, _) = self.dequantized.iter().find(|(_, name)| *name == source)?;
        Some(self.params.get(name)?.scale)
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

/// Parameters with which a pixel keeps its value: `q = pixel - 128`.
fn input_params(input: &InputSpec) -> QuantParams {
    QuantParams {
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

/// Integer weights and biases of a layer, with one scale per output channel.
struct QuantizedLayer {
    scales: Vec<f32>,
    weights: Vec<i8>,
    biases: Vec<i32>,
}

impl QuantizedLayer {
    /// Quantizes `[out, ...]` weights per output channel, and biases with the scale `in_scale * scale`.
    fn new(weights: &[f32], biases: &[f32], in_scale: f32, choice: WeightScales) -> Self {
        let per_channel = (weights.len() / biases.len().max(1)).max(1);
        let mut layer = Self {
            scales: Vec::with_capacity(biases.len()),
            weights: Vec::with_capacity(weights.len()),
            biases: Vec::with_capacity(biases.len()),
        };
        for (channel, &bias) in weights.chunks(per_channel).zip(biases) {
            let scale = match choice {
                WeightScales::Max => max_scale(channel),
                WeightScales::LeastError => least_error_scale(channel),
            };
            // The bias of a channel with tiny weights would overflow int32. A coarser scale costs nothing there: the
            // output is the bias alone.
            let scale = scale.max(bias.abs() / (in_scale * MAX_BIAS));
            let scale = if scale > 0.0 { scale } else { 1.0 };
            let int8 = channel.iter().map(|w| to_int8(*w, scale) as i8);
            layer.weights.extend(int8);
            layer
                .biases
                .push((bias / (in_scale * scale)).round() as i32);
            layer.scales.push(scale);
        }
        layer
    }
}

fn to_int8(weight: f32, scale: f32) -> f32 {
    (weight / scale).round().clamp(-127.0, 127.0)
}

fn max_scale(channel: &[f32]) -> f32 {
    channel.iter().fold(0.0f32, |max, w| max.max(w.abs())) / 127.0
}

fn least_error_scale(channel: &[f32]) -> f32 {
    let max = max_scale(channel);
    let error = |scale: f32| -> f64 {
        let errors = channel.iter().map(|&w| w - to_int8(w, scale) * scale);
        errors.map(|error| f64::from(error).powi(2)).sum()
    };
    let mut best = (max, f64::INFINITY);
    for percent in TRIED_PERCENT.rev() {
        let scale = max * f32::from(percent) / 100.0;
        // All weights may be 0.
        if scale > 0.0 && error(scale) < best.1 {
            best = (scale, error(scale));
        }
    }
    best.0
}

/// The float model of an int8 model that [`quantize`] made, for quantizing it again: weights and biases become
/// `scale * q`, quantize-dequantize pairs of activations go, and the activation functions that [`quantize`] dropped come
/// back.
///
/// # Errors
/// [`QuantizeError::Graph`] when a weight can't be dequantized.
pub fn dequantize(model: &pb::ModelProto) -> Result<pb::ModelProto, QuantizeError> {
    let mut model = model.clone();
    let graph = model.graph.take().unwrap_or_default();
    let constants = Constants::new(&graph);
    let mut floats = Dequantizer::default();
    for node in &graph.node {
        floats.node(node, &constants)?;
    }
    // Constants that were never quantized, for example shapes.
    let made: BTreeSet<String> = floats.constants.iter().map(|c| c.name.clone()).collect();
    let unchanged = graph.initializer.iter().filter(|constant| {
        let mut used = floats.nodes.iter().flat_map(|node| &node.input);
        used.any(|input| *input == constant.name) && !made.contains(&constant.name)
    });
    floats.constants.extend(unchanged.cloned());
    model.graph = Some(pb::GraphProto {
        node: floats.nodes,
        initializer: floats.constants,
        ..graph.clone()
    });
    Ok(model)
}

#[derive(Default)]
struct Dequantizer {
    nodes: Vec<pb::NodeProto>,
    constants: Vec<pb::TensorProto>,
    /// Name in the float model by the name in the int8 model.
    names: BTreeMap<String, String>,
}

impl Dequantizer {
    fn node(&mut self, old: &pb::NodeProto, constants: &Constants) -> Result<(), QuantizeError> {
        let output = old.output.first().cloned().unwrap_or_default();
        let input = old.input.first().map(|name| self.renamed(name));
        let input = input.unwrap_or_default();
        match old.op_type.as_str() {
            "QuantizeLinear" => {
                let name = output.strip_suffix(".int8").unwrap_or(&output).to_owned();
                if name != input {
                    self.activation(&name, &input);
                }
                self.names.insert(output, name);
            }
            "DequantizeLinear" => match constants.floats(&output) {
                Some((dims, values)) => {
                    let name = output.strip_suffix(".dequantised").unwrap_or(&output);
                    self.constant(name, &dims, &values);
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
                    return Err(QuantizeError::Graph {
                        node: old.name.clone(),
                        message: "dequantizes something other than an int8 or int32 constant"
                            .to_owned(),
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

    /// Adds the activation function that [`quantize`] dropped.
    fn activation(&mut self, name: &str, input: &str) {
        if name.ends_with(RELU6_SUFFIX) {
            let bounds = [(format!("{name}.min"), 0.0), (format!("{name}.max"), 6.0)];
            for (name, bound) in &bounds {
                self.constant(name, &[], &[*bound]);
            }
            let inputs = [input, &bounds[0].0, &bounds[1].0];
            self.nodes.push(node("Clip", name, &inputs, vec![]));
        } else {
            self.nodes.push(node("Relu", name, &[input], vec![]));
        }
    }

    fn constant(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        self.constants
            .push(tensor(name, DataType::Float, dims, bytes(values)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_own_scale_and_keeps_its_largest_weight() {
        let weights = [1.0, -0.5, 100.0, 25.0];
        let layer = QuantizedLayer::new(&weights, &[0.5, -50.0], 0.1, WeightScales::Max);
        assert_eq!(layer.weights, [127, -64, 127, 32]);
        let bias = |channel: usize| layer.biases[channel] as f32 * layer.scales[channel] * 0.1;
        assert!((bias(0) - 0.5).abs() < 1e-3 && (bias(1) + 50.0).abs() < 0.1);
    }

    #[test]
    fn a_channel_without_weights_keeps_its_bias_and_does_not_overflow() {
        for choice in [WeightScales::Max, WeightScales::LeastError] {
            let layer = QuantizedLayer::new(&[0.0, 1e-20], &[3.0, -3.0], 0.02, choice);
            for (channel, bias) in [(0, 3.0), (1, -3.0)] {
                let found = layer.biases[channel] as f32 * layer.scales[channel] * 0.02;
                assert!((found - bias).abs() < 1e-3, "{found}");
            }
        }
    }

    #[test]
    fn the_least_error_scale_is_finer_than_the_max_scale_with_an_outlier() {
        let weights: Vec<f32> = (0..5_000)
            .map(|i| (i as f32 * 0.7).sin())
            .chain([1.4])
            .collect();
        let [max, fine] = [WeightScales::Max, WeightScales::LeastError]
            .map(|choice| QuantizedLayer::new(&weights, &[0.0], 1.0, choice));
        let error = |layer: &QuantizedLayer| -> f32 {
            let pairs = weights.iter().zip(&layer.weights);
            let errors = pairs.map(|(w, &q)| w - f32::from(q) * layer.scales[0]);
            errors.map(|error| error * error).sum()
        };
        assert!(fine.scales[0] < max.scales[0]);
        assert!(error(&fine) < error(&max));
    }
}
