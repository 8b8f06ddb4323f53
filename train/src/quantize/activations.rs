//! Intermediate activations of a model, and the quantization noise of each int8 tensor.

use boxcam::preprocess::InputTensor;
use serde::Serialize;
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::*;

use super::{QuantParams, QuantizeError};
use crate::onnx::{Constants, INPUT, tensor, tensor_floats, value_info};

/// Runs a model and reads the activations with the given names.
pub(super) struct ActivationReader {
    plan: Arc<TypedRunnableModel>,
}

impl ActivationReader {
    /// `shape` is that of the model's input.
    pub(super) fn new(
        model: &pb::ModelProto,
        names: &[String],
        shape: [usize; 4],
    ) -> Result<Self, QuantizeError> {
        let mut model = model.clone();
        if let Some(graph) = &mut model.graph {
            make_constants_float(graph);
            // tract reads only the names and infers types and shapes.
            let output = |name: &String| pb::ValueInfoProto {
                r#type: None,
                ..value_info(name, DataType::Float, &[])
            };
            graph.output = names.iter().map(output).collect();
        }
        let plan = onnx()
            .with_ignore_output_shapes(true)
            .model_for_proto_model(&model)
            .and_then(|model| model.with_input_fact(0, f32::fact(shape).into()))
            .and_then(|model| model.into_optimized()?.into_runnable());
        let plan = plan.map_err(engine_error)?;
        Ok(Self { plan })
    }

    /// Runs the model on one input and calls `read` with the index and the values of each activation.
    pub(super) fn run(
        &self,
        input: &InputTensor,
        mut read: impl FnMut(usize, Values<'_>),
    ) -> Result<(), QuantizeError> {
        let tensor = Tensor::from_shape(&input.shape(), &input.to_f32()).map_err(engine_error)?;
        let outputs = self.plan.run(tvec!(tensor.into())).map_err(engine_error)?;
        for (index, output) in outputs.iter().enumerate() {
            let view = output.to_plain_array_view::<f32>().map_err(engine_error)?;
            let all = view.as_standard_layout();
            let channels = output.shape().get(1).copied().unwrap_or(1);
            let all = all.as_slice().unwrap_or_default();
            read(index, Values { all, channels });
        }
        Ok(())
    }
}

/// Replaces the constants that are dequantized by their floats. tract would compute them too, but slowly, and a model is read
/// once for each layer whose bias is corrected.
fn make_constants_float(graph: &mut pb::GraphProto) {
    let constants = Constants::new(graph);
    let outputs = graph.node.iter().filter_map(|node| node.output.first());
    let dequantized = outputs.filter(|output| constants.is_dequantized(output));
    let floats = dequantized.filter_map(|output| {
        let (dims, floats) = constants.floats(output)?;
        Some(tensor(
            output,
            DataType::Float,
            &dims,
            floats
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        ))
    });
    let floats: Vec<pb::TensorProto> = floats.collect();
    let is_replaced = |output: &String| floats.iter().any(|constant| constant.name == *output);
    let nodes = &mut graph.node;
    nodes.retain(|node| !node.output.first().is_some_and(is_replaced));
    graph.initializer.extend(floats);
}

/// Values of one activation for one input, channel by channel.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) all: &'a [f32],
    channels: usize,
}

impl<'a> Values<'a> {
    pub(super) fn by_channel(&self) -> impl Iterator<Item = &'a [f32]> {
        let each = (self.all.len() / self.channels.max(1)).max(1);
        self.all.chunks(each)
    }

    pub(super) fn channel_means(&self) -> impl Iterator<Item = f64> {
        let mean = |channel: &[f32]| {
            channel.iter().map(|&x| f64::from(x)).sum::<f64>() / channel.len() as f64
        };
        self.by_channel().map(mean)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of map_err")]
fn engine_error(error: TractError) -> QuantizeError {
    QuantizeError::Engine {
        message: format!("{error:#}"),
    }
}

/// Quantization noise of one int8 activation; a row of `model quantize --report`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorReport {
    /// Name of the tensor in the float model.
    pub value: String,
    pub scale: f32,
    pub zero_point: i8,
    /// Fraction of the float values outside the int8 range, `0..=1`.
    pub clipped: f64,
    /// Signal-to-noise ratio in dB of quantizing the float model's own values: the cost of this range alone.
    pub rounding_db: f64,
    /// Signal-to-noise ratio in dB of the int8 model's values: includes the noise of all layers before.
    pub int8_db: f64,
}

/// Sums of squares of a signal and of its noise.
#[derive(Debug, Clone, Copy, Default)]
struct Power {
    signal: f64,
    noise: f64,
}

impl Power {
    fn add(&mut self, float: f32, quantized: f32) {
        self.signal += f64::from(float).powi(2);
        self.noise += f64::from(float - quantized).powi(2);
    }

    /// `10 log10(signal / noise)`, limited to ±200 dB so that it is finite without noise.
    fn db(self) -> f64 {
        let ratio = (self.signal + f64::MIN_POSITIVE) / (self.noise + f64::MIN_POSITIVE);
        (10.0 * ratio.log10()).clamp(-200.0, 200.0)
    }
}

/// Quantization noise of every int8 activation over these inputs, in graph order. The input picture is left out: its
/// pixels are int8 already.
///
/// # Errors
/// [`QuantizeError`] when the engine can't run one of the models.
pub fn tensor_reports(
    float: &pb::ModelProto,
    int8: &pb::ModelProto,
    inputs: &[InputTensor],
) -> Result<Vec<TensorReport>, QuantizeError> {
    let shape = inputs.first().ok_or(QuantizeError::NoPictures)?.shape();
    let tensors = int8_tensors(int8);
    let names: Vec<String> = tensors.iter().map(|(name, _)| name.clone()).collect();
    let dequantized: Vec<String> = names.iter().map(|n| format!("{n}.dequantised")).collect();
    let float = ActivationReader::new(float, &names, shape)?;
    let int8 = ActivationReader::new(int8, &dequantized, shape)?;
    let mut rounding = vec![Power::default(); names.len()];
    let mut total = vec![Power::default(); names.len()];
    let mut counts = vec![(0u64, 0u64); names.len()];
    for input in inputs {
        let mut reference: Vec<Vec<f32>> = vec![Vec::new(); names.len()];
        float.run(input, |index, values| {
            let params = &tensors[index].1;
            let (clipped, all) = &mut counts[index];
            for &value in values.all {
                let quantized = params.fake_quantize(value);
                rounding[index].add(value, quantized);
                *clipped += u64::from((value - quantized).abs() > 0.51 * params.scale);
                *all += 1;
            }
            reference[index] = values.all.to_vec();
        })?;
        int8.run(input, |index, values| {
            let pairs = reference[index].iter().zip(values.all);
            pairs.for_each(|(&float, &int8)| total[index].add(float, int8));
        })?;
    }
    let reports = tensors.into_iter().enumerate();
    let reports = reports.map(|(index, (value, params))| {
        let (clipped, all) = counts[index];
        TensorReport {
            value,
            scale: params.scale,
            zero_point: params.zero_point,
            clipped: clipped as f64 / all.max(1) as f64,
            rounding_db: rounding[index].db(),
            int8_db: total[index].db(),
        }
    });
    Ok(reports.collect())
}

/// Names and parameters of the int8 activations.
fn int8_tensors(int8: &pb::ModelProto) -> Vec<(String, QuantParams)> {
    let Some(graph) = &int8.graph else {
        return Vec::new();
    };
    let constant = |name: &String| graph.initializer.iter().find(|c| c.name == *name);
    let tensor = |node: &pb::NodeProto| {
        let value = node.output.first()?.strip_suffix(".int8")?;
        let scale = *tensor_floats(constant(node.input.get(1)?)?)?.first()?;
        let zero_point = *constant(node.input.get(2)?)?.raw_data.first()? as i8;
        (value != INPUT).then(|| (value.to_owned(), QuantParams { scale, zero_point }))
    };
    let nodes = graph.node.iter();
    let quantize = nodes.filter(|node| node.op_type == "QuantizeLinear");
    quantize.filter_map(tensor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_of_a_hundredth_of_the_power_is_20_db() {
        let mut power = Power::default();
        for _ in 0..10 {
            power.add(1.0, 0.9);
        }
        assert!((power.db() - 20.0).abs() < 1e-3, "{}", power.db());
        assert!((Power::default().db()).abs() < 1e-9);
        let mut exact = Power::default();
        exact.add(1.0, 1.0);
        assert!((exact.db() - 200.0).abs() < 1e-9);
    }
}
