//! Runs a model for the numbers in the middle of it.

use boxcam::preprocess::InputTensor;
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::*;

use super::QuantiseError;
use crate::onnx::value_info;

/// A model whose outputs are the values that were asked for.
pub(super) struct Probe {
    plan: Arc<TypedRunnableModel>,
}

impl Probe {
    /// Of a model with inputs of that shape.
    pub(super) fn new(
        model: &pb::ModelProto,
        values: &[String],
        shape: [usize; 4],
    ) -> Result<Self, QuantiseError> {
        let mut model = model.clone();
        if let Some(graph) = &mut model.graph {
            // The engine reads only the names; it finds out the shapes by itself.
            let info = |name: &String| value_info(name, DataType::Float, &[]);
            graph.output = values.iter().map(info).collect();
            for output in &mut graph.output {
                output.r#type = None;
            }
        }
        let plan = onnx()
            .with_ignore_output_shapes(true)
            .model_for_proto_model(&model)
            .and_then(|model| model.with_input_fact(0, f32::fact(shape).into()))
            .and_then(|model| model.into_optimized()?.into_runnable());
        let plan = plan.map_err(fault)?;
        Ok(Self { plan })
    }

    /// Runs it on one input and hands on the place and the numbers of each value, channel by channel: the numbers of
    /// a channel together.
    pub(super) fn each(
        &self,
        input: &InputTensor,
        mut take: impl FnMut(usize, Numbers<'_>),
    ) -> Result<(), QuantiseError> {
        let tensor = Tensor::from_shape(&input.shape(), &input.to_f32()).map_err(fault)?;
        let outputs = self.plan.run(tvec!(tensor.into())).map_err(fault)?;
        for (place, output) in outputs.iter().enumerate() {
            let view = output.to_plain_array_view::<f32>().map_err(fault)?;
            let all = view.as_standard_layout();
            let channels = output.shape().get(1).copied().unwrap_or(1);
            let all = all.as_slice().unwrap_or_default();
            take(place, Numbers { all, channels });
        }
        Ok(())
    }
}

/// The numbers of a value for one picture.
#[derive(Clone, Copy)]
pub(super) struct Numbers<'a> {
    /// All of them.
    pub(super) all: &'a [f32],
    channels: usize,
}

impl Numbers<'_> {
    /// The mean of each channel.
    pub(super) fn means(&self) -> impl Iterator<Item = f64> {
        let each = (self.all.len() / self.channels.max(1)).max(1);
        let mean =
            move |channel: &[f32]| channel.iter().map(|&x| f64::from(x)).sum::<f64>() / each as f64;
        self.all.chunks(each).map(mean)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
fn fault(error: TractError) -> QuantiseError {
    QuantiseError::Engine {
        message: format!("{error:#}"),
    }
}
