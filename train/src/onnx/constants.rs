//! The constants of a graph as floats, whatever they are stored as.

use std::collections::BTreeMap;

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::tensor_floats;

/// The constants of a graph and the nodes that dequantise them.
pub(crate) struct Constants<'a> {
    tensors: BTreeMap<&'a str, &'a pb::TensorProto>,
    dequantised: BTreeMap<&'a str, &'a pb::NodeProto>,
}

impl<'a> Constants<'a> {
    /// Of that graph.
    pub(crate) fn of(graph: &'a pb::GraphProto) -> Self {
        let tensors = graph.initializer.iter().map(|t| (t.name.as_str(), t));
        let nodes = graph.node.iter();
        let dequantised = nodes
            .filter(|node| node.op_type == "DequantizeLinear")
            .filter_map(|node| Some((node.output.first()?.as_str(), node)));
        Self {
            tensors: tensors.collect(),
            dequantised: dequantised.collect(),
        }
    }

    /// Shape and numbers of a constant, dequantised along its first dimension where it is quantised.
    pub(crate) fn numbers(&self, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let Some(node) = self.dequantised.get(name) else {
            let tensor = self.tensors.get(name)?;
            return Some((dims(tensor), tensor_floats(tensor)?));
        };
        let tensor = self.tensors.get(node.input.first()?.as_str())?;
        let scales = tensor_floats(self.tensors.get(node.input.get(1)?.as_str())?)?;
        let whole = whole_numbers(tensor)?;
        let each = (whole.len() / scales.len().max(1)).max(1);
        let channels = whole.chunks(each).zip(&scales);
        let floats = channels.flat_map(|(channel, scale)| channel.iter().map(move |q| q * scale));
        Some((dims(tensor), floats.collect()))
    }
}

fn dims(tensor: &pb::TensorProto) -> Vec<usize> {
    tensor.dims.iter().map(|&dim| dim as usize).collect()
}

fn whole_numbers(tensor: &pb::TensorProto) -> Option<Vec<f32>> {
    let bytes = &tensor.raw_data;
    match DataType::try_from(tensor.data_type).ok()? {
        DataType::Int8 => Some(bytes.iter().map(|&q| f32::from(q as i8)).collect()),
        DataType::Int32 => {
            let words = bytes.chunks_exact(4);
            let signed = words.map(|w| i32::from_le_bytes([w[0], w[1], w[2], w[3]]));
            Some(signed.map(|q| q as f32).collect())
        }
        _ => None,
    }
}
