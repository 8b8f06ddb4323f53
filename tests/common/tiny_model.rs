//! An ONNX model that is small enough to be written by hand: its class is the strongest of red, green and blue in a
//! picture, its box is constant.

use std::collections::BTreeMap;

use boxcam::card::{
    BOX_OUTPUT, BoxOrder, CARD_SCHEMA, CLASS_OUTPUT, InputSpec, ModelCard, Training,
};
use boxcam::label::Labels;
use prost::Message;
use tract_onnx::pb;

/// Side of its input, in pixels.
pub(crate) const SIDE: u32 = 8;

/// The constant box: x_min, x_max, y_min, y_max.
pub(crate) const MIDDLE: [f32; 4] = [0.25, 0.75, 0.25, 0.75];

/// The scores are the softmax of the mean of each color channel times this factor.
const STEEPNESS: f32 = 8.0;

/// The model file.
pub(crate) fn bytes() -> Vec<u8> {
    model().encode_to_vec()
}

pub(crate) fn model() -> pb::ModelProto {
    let mut model = pb::ModelProto {
        ir_version: 8,
        opset_import: vec![pb::OperatorSetIdProto {
            domain: String::new(),
            version: 13,
        }],
        graph: Some(graph()),
        ..pb::ModelProto::default()
    };
    set_card(&mut model, &card());
    model
}

pub(crate) fn card() -> ModelCard {
    let names = ["red", "green", "blue"].map(str::to_owned);
    ModelCard {
        schema: CARD_SCHEMA,
        name: "tiny".to_owned(),
        labels: Labels::new(names.to_vec()).expect("valid"),
        input: InputSpec::mobilenet(SIDE),
        box_order: BoxOrder::Corners,
        threshold: 0.5,
        training: Training::default(),
        figures: BTreeMap::new(),
        golden: Vec::new(),
    }
}

/// Replaces the card of a model.
pub(crate) fn set_card(model: &mut pb::ModelProto, card: &ModelCard) {
    let (key, value) = card.to_metadata();
    let key = key.to_owned();
    model.metadata_props = vec![pb::StringStringEntryProto { key, value }];
}

pub(crate) fn graph_of(model: &mut pb::ModelProto) -> &mut pb::GraphProto {
    model.graph.as_mut().expect("it has one")
}

fn graph() -> pb::GraphProto {
    let diagonal = |at: usize| if at.is_multiple_of(4) { STEEPNESS } else { 0.0 };
    let identity: Vec<f32> = (0..9).map(diagonal).collect();
    let side = i64::from(SIDE);
    pb::GraphProto {
        name: "tiny".to_owned(),
        node: vec![
            node("GlobalAveragePool", &["image"], "pooled"),
            node("Flatten", &["pooled"], "mean"),
            node("Gemm", &["mean", "class_weights", "class_bias"], "logits"),
            node("Softmax", &["logits"], CLASS_OUTPUT),
            node("Gemm", &["mean", "box_weights", "box_bias"], BOX_OUTPUT),
        ],
        initializer: vec![
            weights("class_weights", &[3, 3], &identity),
            weights("class_bias", &[3], &[0.0; 3]),
            weights("box_weights", &[3, 4], &[0.0; 12]),
            weights("box_bias", &[4], &MIDDLE),
        ],
        input: vec![tensor("image", &[1, 3, side, side])],
        output: vec![tensor(CLASS_OUTPUT, &[1, 3]), tensor(BOX_OUTPUT, &[1, 4])],
        ..pb::GraphProto::default()
    }
}

fn node(operator: &str, inputs: &[&str], output: &str) -> pb::NodeProto {
    pb::NodeProto {
        name: output.to_owned(),
        op_type: operator.to_owned(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..pb::NodeProto::default()
    }
}

/// An initializer of the graph.
pub(crate) fn weights(name: &str, dims: &[i64], values: &[f32]) -> pb::TensorProto {
    pb::TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: pb::tensor_proto::DataType::Float as i32,
        float_data: values.to_vec(),
        ..pb::TensorProto::default()
    }
}

/// A declared input or output of 32-bit floats.
pub(crate) fn tensor(name: &str, dims: &[i64]) -> pb::ValueInfoProto {
    use pb::tensor_shape_proto::{Dimension, dimension::Value};
    let dim = dims.iter().map(|&size| Dimension {
        value: Some(Value::DimValue(size)),
        ..Dimension::default()
    });
    let tensor = pb::type_proto::Tensor {
        elem_type: pb::tensor_proto::DataType::Float as i32,
        shape: Some(pb::TensorShapeProto { dim: dim.collect() }),
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
