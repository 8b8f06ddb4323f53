//! Bias correction: the mean error that quantization adds to a channel is subtracted from its bias.
//!
//! Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2, with
//! calibration pictures in place of batch-norm statistics.

use boxcam::preprocess::InputTensor;
use tract_onnx::pb;

use super::QuantizeError;
use super::activations::ActivationReader;
use super::qdq::MAX_BIAS;
use crate::onnx::tensor_floats;

/// Adds to every bias of the int8 model the mean of float output minus int8 output over these inputs. Layers are
/// corrected in graph order, so each is measured with the layers before it corrected.
///
/// Runs the int8 model once per layer and input.
///
/// # Errors
/// [`QuantizeError`] when the engine can't run a model, or the int8 model was not made by [`super::quantize`].
pub fn correct_biases(
    float: &pb::ModelProto,
    mut int8: pb::ModelProto,
    inputs: &[InputTensor],
) -> Result<pb::ModelProto, QuantizeError> {
    let layers = layers(&int8);
    let outputs: Vec<String> = layers.iter().map(|layer| layer.output.clone()).collect();
    let expected = channel_means(float, &outputs, inputs)?;
    for (layer, expected) in layers.iter().zip(&expected) {
        let found = channel_means(&int8, std::slice::from_ref(&layer.output), inputs)?;
        let found = found.first().map_or(&[][..], Vec::as_slice);
        let error = expected.iter().zip(found).map(|(float, int8)| float - int8);
        layer.add(&mut int8, &error.collect::<Vec<_>>())?;
    }
    Ok(int8)
}

/// A convolution or dense layer of the int8 model.
struct BiasedLayer {
    output: String,
    /// Name of the int32 constant.
    bias: String,
    /// Name of the constant with its scales.
    scales: String,
}

fn layers(int8: &pb::ModelProto) -> Vec<BiasedLayer> {
    let Some(graph) = &int8.graph else {
        return Vec::new();
    };
    let layer = |node: &pb::NodeProto| {
        if !matches!(node.op_type.as_str(), "Conv" | "Gemm") {
            return None;
        }
        let bias = node.input.get(2)?;
        let dequantize = graph.node.iter().find(|n| n.output.first() == Some(bias))?;
        Some(BiasedLayer {
            output: node.output.first()?.clone(),
            bias: dequantize.input.first()?.clone(),
            scales: dequantize.input.get(1)?.clone(),
        })
    };
    graph.node.iter().filter_map(layer).collect()
}

impl BiasedLayer {
    /// Adds one float to the bias of each channel.
    fn add(&self, int8: &mut pb::ModelProto, error: &[f64]) -> Result<(), QuantizeError> {
        let fault = || QuantizeError::Graph {
            node: self.output.clone(),
            message: "has no int32 bias".to_owned(),
        };
        let constants = &mut int8.graph.as_mut().ok_or_else(fault)?.initializer;
        let find = |name: &String| constants.iter().position(|constant| constant.name == *name);
        let bias = find(&self.bias).ok_or_else(fault)?;
        let scales = find(&self.scales).ok_or_else(fault)?;
        let scales = tensor_floats(&constants[scales]).ok_or_else(fault)?;
        let biases = constants[bias].raw_data.as_chunks().0;
        let biases: Vec<i32> = biases.iter().map(|b| i32::from_le_bytes(*b)).collect();
        if biases.len() != error.len() || scales.len() != error.len() {
            return Err(fault());
        }
        let corrected = biases.iter().zip(&scales).zip(error);
        let corrected = corrected.map(|((&bias, &scale), error)| {
            let bias = f64::from(bias) + error / f64::from(scale);
            bias.round()
                .clamp(-f64::from(MAX_BIAS), f64::from(MAX_BIAS)) as i32
        });
        constants[bias].raw_data = corrected.flat_map(i32::to_le_bytes).collect();
        Ok(())
    }
}

/// The mean of each channel of each activation, over all inputs.
fn channel_means(
    model: &pb::ModelProto,
    names: &[String],
    inputs: &[InputTensor],
) -> Result<Vec<Vec<f64>>, QuantizeError> {
    let shape = inputs.first().ok_or(QuantizeError::NoPictures)?.shape();
    let reader = ActivationReader::new(model, names, shape)?;
    let mut sums = vec![Vec::new(); names.len()];
    for input in inputs {
        reader.run(input, |index, values| {
            let sums: &mut Vec<f64> = &mut sums[index];
            for (channel, mean) in values.channel_means().enumerate() {
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
