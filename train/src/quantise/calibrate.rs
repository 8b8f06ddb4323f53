//! Calibration: which range each value of a network takes on real pictures, and how much of it to keep.
//!
//! In go a float model and input tensors, out comes a [`Range`] for every value that will be stored in
//! 8 bits: the one with the least squared error of the stored values (`histogram.rs`).
//! `docs/measurements.md` has the figures of the choice.

use std::collections::BTreeMap;

use boxcam::preprocess::InputTensor;
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::*;

use super::histogram::Histogram;
use super::{QuantiseError, Range, stored_values};
use crate::onnx::{INPUT, value_info};

/// Ranges by the name of the value.
pub type Ranges = BTreeMap<String, Range>;

/// Runs the model on each input, once for the ends of each stored value and once for what lies between.
///
/// # Errors
/// [`QuantiseError`] when the engine can't run the model or there is no input.
pub fn calibrate(model: &pb::ModelProto, inputs: &[InputTensor]) -> Result<Ranges, QuantiseError> {
    let shape = inputs.first().ok_or(QuantiseError::NoPictures)?.shape();
    let graph = model.graph.as_ref().ok_or(QuantiseError::NoPictures)?;
    let names: Vec<String> = stored_values(graph)
        .into_iter()
        .filter(|name| name != INPUT)
        .collect();
    let plan = plan(model, &names, shape).map_err(engine)?;
    let mut whole = vec![Range::EMPTY; names.len()];
    for input in inputs {
        each_value(&plan, input, |place, values| whole[place].extend(values))?;
    }
    let mut histograms: Vec<Histogram> = whole.into_iter().map(Histogram::over).collect();
    for input in inputs {
        each_value(&plan, input, |place, values| {
            histograms[place].extend(values);
        })?;
    }
    let ranges = histograms.iter().map(Histogram::least_error);
    Ok(names.into_iter().zip(ranges).collect())
}

/// Runs the model on one input and hands on the place and the numbers of each of its outputs.
fn each_value(
    plan: &Arc<TypedRunnableModel>,
    input: &InputTensor,
    mut take: impl FnMut(usize, &mut dyn Iterator<Item = f32>),
) -> Result<(), QuantiseError> {
    let tensor = Tensor::from_shape(&input.shape(), &input.to_f32()).map_err(engine)?;
    let outputs = plan.run(tvec!(tensor.into())).map_err(engine)?;
    for (place, output) in outputs.iter().enumerate() {
        let view = output.to_plain_array_view::<f32>().map_err(engine)?;
        take(place, &mut view.iter().copied());
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
fn engine(error: TractError) -> QuantiseError {
    QuantiseError::Engine {
        message: format!("{error:#}"),
    }
}

/// The model with the named values as its outputs.
fn plan(
    model: &pb::ModelProto,
    names: &[String],
    shape: [usize; 4],
) -> TractResult<Arc<TypedRunnableModel>> {
    let mut model = model.clone();
    if let Some(graph) = &mut model.graph {
        // The engine reads only the names; it finds out the shapes by itself.
        let info = |name: &String| value_info(name, DataType::Float, &[]);
        graph.output = names.iter().map(info).collect();
        for output in &mut graph.output {
            output.r#type = None;
        }
    }
    onnx()
        .with_ignore_output_shapes(true)
        .model_for_proto_model(&model)?
        .with_input_fact(0, f32::fact(shape).into())?
        .into_optimized()?
        .into_runnable()
}
