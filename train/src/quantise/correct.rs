//! Bias correction: the mean of what rounding does to a channel is taken off its bias.
//!
//! Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2, with
//! pictures in place of their batch norms: a rounded weight moves the mean of a channel, and a move of the mean
//! is what a bias can undo.

use boxcam::preprocess::InputTensor;
use tract_onnx::pb;

use super::QuantiseError;
use super::engine::Probe;
use crate::onnx::tensor_floats;

/// The int8 model with the bias of every layer moved by the mean, over these inputs, of the float output less the
/// int8 output. Layer by layer in the order of the graph, so that each is measured behind corrected ones.
///
/// It takes a run of the int8 model over all inputs for each layer.
///
/// # Errors
/// [`QuantiseError`] when the engine can't run a model, or the int8 model is none of [`super::quantise`].
pub fn correct_biases(
    float: &pb::ModelProto,
    mut int8: pb::ModelProto,
    inputs: &[InputTensor],
) -> Result<pb::ModelProto, QuantiseError> {
    let layers = layers(&int8);
    let outputs: Vec<String> = layers.iter().map(|layer| layer.output.clone()).collect();
    let truth = channel_means(float, &outputs, inputs)?;
    for (layer, truth) in layers.iter().zip(&truth) {
        let found = channel_means(&int8, std::slice::from_ref(&layer.output), inputs)?;
        let found = found.first().map_or(&[][..], Vec::as_slice);
        let off = truth.iter().zip(found).map(|(truth, found)| truth - found);
        layer.add(&mut int8, &off.collect::<Vec<_>>())?;
    }
    Ok(int8)
}

/// A convolution or dense layer and its bias.
struct BiasedLayer {
    output: String,
    /// Constant of the whole numbers, and that of their scales.
    bias: [String; 2],
}

fn layers(int8: &pb::ModelProto) -> Vec<BiasedLayer> {
    let Some(graph) = &int8.graph else {
        return Vec::new();
    };
    let is_layer = |node: &&pb::NodeProto| matches!(node.op_type.as_str(), "Conv" | "Gemm");
    let layer = |node: &pb::NodeProto| {
        let bias = node.input.get(2)?;
        let dequantise = graph.node.iter().find(|n| n.output.first() == Some(bias))?;
        Some(BiasedLayer {
            output: node.output.first()?.clone(),
            bias: [
                dequantise.input.first()?.clone(),
                dequantise.input.get(1)?.clone(),
            ],
        })
    };
    graph
        .node
        .iter()
        .filter(is_layer)
        .filter_map(layer)
        .collect()
}

impl BiasedLayer {
    fn add(&self, int8: &mut pb::ModelProto, off: &[f64]) -> Result<(), QuantiseError> {
        let fault = || QuantiseError::Graph {
            node: self.output.clone(),
            message: "has no bias in whole numbers".to_owned(),
        };
        let [whole, scales] = &self.bias;
        let constants = &mut int8.graph.as_mut().ok_or_else(fault)?.initializer;
        let find = |name: &String| constants.iter().position(|constant| constant.name == *name);
        let (whole, scales) = (
            find(whole).ok_or_else(fault)?,
            find(scales).ok_or_else(fault)?,
        );
        let scales = tensor_floats(&constants[scales]).ok_or_else(fault)?;
        let words = constants[whole].raw_data.chunks_exact(4);
        let biases = words.map(|w| i32::from_le_bytes([w[0], w[1], w[2], w[3]]));
        let biases: Vec<i32> = biases.collect();
        if biases.len() != off.len() || scales.len() != off.len() {
            return Err(fault());
        }
        let corrected = biases
            .iter()
            .zip(&scales)
            .zip(off)
            .map(|((&bias, &scale), off)| {
                let bias = f64::from(bias) + off / f64::from(scale);
                // As far as `ChannelWeights` lets a bias go.
                bias.round().clamp(-f64::from(1 << 30), f64::from(1 << 30)) as i32
            });
        constants[whole].raw_data = corrected.flat_map(i32::to_le_bytes).collect();
        Ok(())
    }
}

/// The mean of each channel of each value, over all inputs.
fn channel_means(
    model: &pb::ModelProto,
    values: &[String],
    inputs: &[InputTensor],
) -> Result<Vec<Vec<f64>>, QuantiseError> {
    let shape = inputs.first().ok_or(QuantiseError::NoPictures)?.shape();
    let probe = Probe::new(model, values, shape)?;
    let mut sums = vec![Vec::new(); values.len()];
    for input in inputs {
        probe.each(input, |place, numbers| {
            let sums: &mut Vec<f64> = &mut sums[place];
            for (channel, mean) in numbers.means().enumerate() {
                match sums.get_mut(channel) {
                    Some(sum) => *sum += mean,
                    None => sums.push(mean),
                }
            }
        })?;
    }
    let mean = |sum: f64| sum / inputs.len() as f64;
    let means = sums
        .into_iter()
        .map(|sums| sums.into_iter().map(mean).collect());
    Ok(means.collect())
}
