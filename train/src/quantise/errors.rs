//! The error of every stored value: what the float model computes held against what the int8 model does.

use boxcam::preprocess::InputTensor;
use serde::Serialize;
use tract_onnx::pb;

use super::engine::Probe;
use super::{QuantiseError, Scheme};
use crate::onnx::{INPUT, tensor_floats};

/// How well a value is stored in 8 bits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredError {
    /// Name of the value in the float model.
    pub value: String,
    /// Step of one unit.
    pub scale: f32,
    /// The int8 that stands for 0.
    pub zero_point: i8,
    /// Share of the float numbers outside what has a place in 8 bits, `0..=1`.
    pub clipped: f64,
    /// Signal to noise, in dB, of rounding the float model's own numbers to 8 bits: what the choice of the range
    /// costs by itself.
    pub rounding_db: f64,
    /// The same of what the int8 model has there: all rounding before it is in it too.
    pub int8_db: f64,
}

/// Power of a signal and of what was added to it.
#[derive(Debug, Clone, Copy, Default)]
struct Power {
    signal: f64,
    noise: f64,
}

impl Power {
    fn add(&mut self, float: f32, stored: f32) {
        self.signal += f64::from(float).powi(2);
        self.noise += f64::from(float - stored).powi(2);
    }

    /// 10 log10(signal / noise); kept within 0 noise's 200 dB, so that it is always a number.
    fn db(self) -> f64 {
        let ratio = (self.signal + f64::MIN_POSITIVE) / (self.noise + f64::MIN_POSITIVE);
        (10.0 * ratio.log10()).clamp(-200.0, 200.0)
    }
}

/// The error of every value that the int8 model stores, in the order of the graph, over these inputs. The picture is
/// left out: it is stored as it is.
///
/// # Errors
/// [`QuantiseError`] when the engine can't run one of the models.
pub fn stored_errors(
    float: &pb::ModelProto,
    int8: &pb::ModelProto,
    inputs: &[InputTensor],
) -> Result<Vec<StoredError>, QuantiseError> {
    let shape = inputs.first().ok_or(QuantiseError::NoPictures)?.shape();
    let stored = stored(int8);
    let names: Vec<String> = stored.iter().map(|(name, _)| name.clone()).collect();
    let dequantised: Vec<String> = names.iter().map(|n| format!("{n}.dequantised")).collect();
    let float = Probe::new(float, &names, shape)?;
    let int8 = Probe::new(int8, &dequantised, shape)?;
    let mut rounding = vec![Power::default(); names.len()];
    let mut whole = vec![Power::default(); names.len()];
    let mut counts = vec![(0u64, 0u64); names.len()];
    for input in inputs {
        let mut truth: Vec<Vec<f32>> = vec![Vec::new(); names.len()];
        float.each(input, |place, numbers| {
            let scheme = &stored[place].1;
            let (clipped, all) = &mut counts[place];
            for &number in numbers.all {
                let back = scheme.rounded(number);
                rounding[place].add(number, back);
                *clipped += u64::from((number - back).abs() > 0.51 * scheme.scale);
                *all += 1;
            }
            truth[place] = numbers.all.to_vec();
        })?;
        int8.each(input, |place, numbers| {
            let pairs = truth[place].iter().zip(numbers.all);
            pairs.for_each(|(&float, &stored)| whole[place].add(float, stored));
        })?;
    }
    let errors = stored
        .into_iter()
        .enumerate()
        .map(|(place, (value, scheme))| {
            let (clipped, all) = counts[place];
            StoredError {
                value,
                scale: scheme.scale,
                zero_point: scheme.zero_point,
                clipped: clipped as f64 / all.max(1) as f64,
                rounding_db: rounding[place].db(),
                int8_db: whole[place].db(),
            }
        });
    Ok(errors.collect())
}

/// The stored values with their schemes.
fn stored(int8: &pb::ModelProto) -> Vec<(String, Scheme)> {
    let Some(graph) = &int8.graph else {
        return Vec::new();
    };
    let constant = |name: &String| graph.initializer.iter().find(|c| c.name == *name);
    let scheme = |node: &pb::NodeProto| {
        let value = node.output.first()?.strip_suffix(".int8")?;
        let scale = *tensor_floats(constant(node.input.get(1)?)?)?.first()?;
        let zero_point = *constant(node.input.get(2)?)?.raw_data.first()? as i8;
        (value != INPUT).then(|| (value.to_owned(), Scheme { scale, zero_point }))
    };
    let nodes = graph.node.iter();
    let quantise = nodes.filter(|node| node.op_type == "QuantizeLinear");
    quantise.filter_map(scheme).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundredth_of_the_power_is_20_db() {
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
