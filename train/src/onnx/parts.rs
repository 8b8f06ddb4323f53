//! The parts of an ONNX file: nodes, constants, attributes, inputs and outputs.

use half::f16;
use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;

/// A node with one output, which has the node's name.
pub(crate) fn node(
    operator: &str,
    name: &str,
    inputs: &[&str],
    attribute: Vec<pb::AttributeProto>,
) -> pb::NodeProto {
    pb::NodeProto {
        op_type: operator.to_owned(),
        name: name.to_owned(),
        input: inputs.iter().map(|&input| input.to_owned()).collect(),
        output: vec![name.to_owned()],
        attribute,
        ..pb::NodeProto::default()
    }
}

/// A constant.
pub(crate) fn tensor(
    name: &str,
    kind: DataType,
    dims: &[usize],
    raw_data: Vec<u8>,
) -> pb::TensorProto {
    pb::TensorProto {
        name: name.to_owned(),
        data_type: kind as i32,
        dims: dims.iter().map(|&dim| dim as i64).collect(),
        raw_data,
        ..pb::TensorProto::default()
    }
}

/// The numbers of a constant of floats, of 32 or 16 bits, written by [`super::GraphBuilder`] or by others.
pub(crate) fn tensor_floats(tensor: &pb::TensorProto) -> Option<Vec<f32>> {
    let bytes = &tensor.raw_data;
    match DataType::try_from(tensor.data_type).ok()? {
        DataType::Float if !tensor.float_data.is_empty() => Some(tensor.float_data.clone()),
        DataType::Float => {
            let words = bytes.chunks_exact(4);
            let floats = words.map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]]));
            Some(floats.collect())
        }
        DataType::Float16 => {
            let words = bytes.chunks_exact(2);
            let floats = words.map(|w| f16::from_le_bytes([w[0], w[1]]).to_f32());
            Some(floats.collect())
        }
        _ => None,
    }
}

/// An attribute that is a whole number.
pub(crate) fn int(name: &str, value: i64) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..pb::AttributeProto::default()
    }
}

/// An attribute that is a list of whole numbers.
pub(crate) fn ints(name: &str, values: &[i64]) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..pb::AttributeProto::default()
    }
}

/// An attribute that is a word.
pub(crate) fn text(name: &str, value: &str) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::String as i32,
        s: value.as_bytes().to_vec(),
        ..pb::AttributeProto::default()
    }
}

/// Name, type and shape of an input or output.
pub(crate) fn value_info(name: &str, kind: DataType, shape: &[usize]) -> pb::ValueInfoProto {
    use pb::tensor_shape_proto::{Dimension, dimension::Value::DimValue};
    let dimension = |&dim: &usize| Dimension {
        value: Some(DimValue(dim as i64)),
        ..Dimension::default()
    };
    let tensor = pb::type_proto::Tensor {
        elem_type: kind as i32,
        shape: Some(pb::TensorShapeProto {
            dim: shape.iter().map(dimension).collect(),
        }),
    };
    pb::ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(pb::TypeProto {
            value: Some(pb::type_proto::Value::TensorType(tensor)),
            ..pb::TypeProto::default()
        }),
        ..pb::ValueInfoProto::default()
    }
}
