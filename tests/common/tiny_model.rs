//! An ONNX model that is small enough to be written by hand: its class is the strongest of red, green and blue in a
//! picture, its box is constant. [`with_objects`] also has an object for each quarter of the picture.

use std::collections::BTreeMap;

use boxcam::card::{
    BOX_OUTPUT, BoxOrder, CARD_SCHEMA, CLASS_OUTPUT, InputSpec, ModelCard, OBJECT_BOXES_OUTPUT,
    OBJECT_SCORES_OUTPUT, ObjectDecode, ObjectSettings, Training,
};
use boxcam::label::Labels;
use prost::Message;
use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;

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
        objects: None,
        training: Training::default(),
        origin: None,
        figures: BTreeMap::new(),
        golden: Vec::new(),
    }
}

/// The model with a box that is the lower, the more blue a picture has: its lower edge is at 0.2 without blue and at 1.0 with
/// nothing but blue.
pub(crate) fn with_moving_box() -> pb::ModelProto {
    let mut model = model();
    let slope = 0.4;
    for values in &mut graph_of(&mut model).initializer {
        match values.name.as_str() {
            // Colors are from -1 to 1. The rows are red, green and blue.
            "box_weights" => values.float_data[10..].fill(slope),
            "box_bias" => values.float_data = vec![0.4, 0.6, 0.4, 0.6],
            _ => {}
        }
    }
    model
}

/// How [`with_objects`] selects objects.
pub(crate) const OBJECTS: ObjectSettings = ObjectSettings {
    threshold: 0.6,
    nms_iou: 0.3,
    most: 20,
    decode: ObjectDecode::InGraph,
};

/// The boxes of the objects: the quarters of a picture, row by row.
pub(crate) const QUARTERS: [[f32; 4]; 4] = [
    [0.0, 0.5, 0.0, 0.5],
    [0.5, 1.0, 0.0, 0.5],
    [0.0, 0.5, 0.5, 1.0],
    [0.5, 1.0, 0.5, 1.0],
];

/// The model with object outputs, with or without those of the image. A quarter of a picture is an object of its color with a
/// score of nearly 1; a black one has a score of nearly 0.
pub(crate) fn with_objects(has_image_heads: bool) -> pb::ModelProto {
    let mut model = model();
    let graph = graph_of(&mut model);
    let mut pool = node("AveragePool", &["image"], "quarters");
    pool.attribute = vec![ints("kernel_shape", &[4, 4]), ints("strides", &[4, 4])];
    let mut transpose = node("Transpose", &["cell_scores"], OBJECT_SCORES_OUTPUT);
    transpose.attribute = vec![ints("perm", &[0, 2, 1])];
    graph.node.extend([
        pool,
        node("Mul", &["quarters", "steepness"], "steep"),
        node("Sigmoid", &["steep"], "sigmoid"),
        node("Reshape", &["sigmoid", "scores_shape"], "cell_scores"),
        transpose,
        node(
            "Gemm",
            &["mean", "boxes_weights", "boxes_bias"],
            "cell_boxes",
        ),
        node(
            "Reshape",
            &["cell_boxes", "boxes_shape"],
            OBJECT_BOXES_OUTPUT,
        ),
    ]);
    graph.initializer.extend([
        weights("steepness", &[], &[STEEPNESS]),
        shape("scores_shape", &[1, 3, 4]),
        weights("boxes_weights", &[3, 16], &[0.0; 48]),
        weights("boxes_bias", &[16], &QUARTERS.concat()),
        shape("boxes_shape", &[1, 4, 4]),
    ]);
    if !has_image_heads {
        graph.output.clear();
    }
    graph.output.extend([
        tensor(OBJECT_SCORES_OUTPUT, &[1, 4, 3]),
        tensor(OBJECT_BOXES_OUTPUT, &[1, 4, 4]),
    ]);
    let card = ModelCard {
        objects: Some(OBJECTS),
        ..card()
    };
    set_card(&mut model, &card);
    model
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

fn ints(name: &str, values: &[i64]) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..pb::AttributeProto::default()
    }
}

/// An initializer that is a shape.
pub(crate) fn shape(name: &str, dims: &[i64]) -> pb::TensorProto {
    pb::TensorProto {
        name: name.to_owned(),
        dims: vec![dims.len() as i64],
        data_type: DataType::Int64 as i32,
        int64_data: dims.to_vec(),
        ..pb::TensorProto::default()
    }
}

/// An initializer of the graph.
pub(crate) fn weights(name: &str, dims: &[i64], values: &[f32]) -> pb::TensorProto {
    pb::TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
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
        elem_type: DataType::Float as i32,
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
