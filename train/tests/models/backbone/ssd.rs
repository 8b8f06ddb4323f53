//! Quantizing an SSD: two feature maps with heads of their own, no image heads.

use boxcam::card::{
    ModelCard, OBJECT_BOXES_OUTPUT, OBJECT_SCORES_OUTPUT, ObjectDecode, ObjectSettings,
};
use boxcam::detect::Detector as _;
use boxcam::detect::tract::TractDetector;
use boxcam::frame::{Frame, Origin};
use boxcam::preprocess::{InputTensor, preprocess};
use boxcam_train::onnx;
use boxcam_train::quantize::search::{Overrides, SearchInputs, search};
use boxcam_train::quantize::{QuantizeError, check_agreement};
use image::{Rgb, RgbImage};
use prost::Message as _;
use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;

use super::test_models;

const SIDE: usize = 32;

/// Cells of the two maps, in a row.
const MAPS: [usize; 2] = [4, 2];

fn card() -> ModelCard {
    ModelCard {
        objects: Some(ObjectSettings {
            threshold: 0.5,
            nms_iou: 0.6,
            most: 20,
            decode: ObjectDecode::InGraph,
        }),
        ..test_models::card(SIDE as u32)
    }
}

fn constant(name: &str, dims: &[usize], values: &[f32]) -> pb::TensorProto {
    pb::TensorProto {
        name: name.to_owned(),
        data_type: DataType::Float as i32,
        dims: dims.iter().map(|&dim| dim as i64).collect(),
        raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..pb::TensorProto::default()
    }
}

fn shape(name: &str, values: &[i64]) -> pb::TensorProto {
    pb::TensorProto {
        name: name.to_owned(),
        data_type: DataType::Int64 as i32,
        dims: vec![values.len() as i64],
        raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..pb::TensorProto::default()
    }
}

fn node(
    operator: &str,
    name: &str,
    inputs: &[&str],
    attributes: &[(&str, &[i64])],
) -> pb::NodeProto {
    let attribute = attributes.iter().map(|&(name, values)| {
        let is_list = matches!(name, "perm" | "strides" | "kernel_shape" | "pads");
        let kind = if is_list {
            AttributeType::Ints
        } else {
            AttributeType::Int
        };
        pb::AttributeProto {
            name: name.to_owned(),
            r#type: kind as i32,
            i: if is_list { 0 } else { values[0] },
            ints: if is_list { values.to_vec() } else { Vec::new() },
            ..pb::AttributeProto::default()
        }
    });
    pb::NodeProto {
        op_type: operator.to_owned(),
        name: name.to_owned(),
        input: inputs.iter().map(|&input| input.to_owned()).collect(),
        output: vec![name.to_owned()],
        attribute: attribute.collect(),
        ..pb::NodeProto::default()
    }
}

/// A convolution that keeps the mean of each of three channels, times a factor, in a window of `side`, and a `relu6`.
fn mean_of_window(graph: &mut pb::GraphProto, name: &str, input: &str, side: usize, factor: f32) {
    let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
    let area = side * side;
    let weights: Vec<f32> = (0..9 * area)
        .map(|at| match (at / area) % 4 {
            0 => factor / area as f32,
            _ => 0.0,
        })
        .collect();
    graph.initializer.extend([
        constant(&weight, &[3, 3, side, side], &weights),
        constant(&bias, &[3], &[0.0; 3]),
        constant(&format!("{name}.min"), &[], &[0.0]),
        constant(&format!("{name}.max"), &[], &[6.0]),
    ]);
    let (sides, pads) = ([side as i64; 2], [0; 4]);
    let window: [(&str, &[i64]); 3] = [
        ("kernel_shape", &sides),
        ("strides", &sides),
        ("pads", &pads),
    ];
    let clipped = format!("{name}.relu6");
    let bounds = [name, &format!("{name}.min"), &format!("{name}.max")];
    graph.node.extend([
        node("Conv", name, &[input, &weight, &bias], &window),
        node("Clip", &clipped, &bounds, &[]),
    ]);
}

/// The rows of a head's map: a convolution of 1 x 1 with `weights` `[outputs, 3]`, output by output in a cell.
fn head(
    graph: &mut pb::GraphProto,
    name: &str,
    input: &str,
    weights: &[f32],
    bias: &[f32],
) -> String {
    let (weight, biases) = (format!("{name}.weight"), format!("{name}.bias"));
    let (last, rows) = (format!("{name}.last"), format!("{name}.rows"));
    let outputs = bias.len();
    graph.initializer.extend([
        constant(&weight, &[outputs, 3, 1, 1], weights),
        constant(&biases, &[outputs], bias),
    ]);
    if !graph
        .initializer
        .iter()
        .any(|c| c.name == format!("{outputs}.shape"))
    {
        graph
            .initializer
            .push(shape(&format!("{outputs}.shape"), &[1, -1, outputs as i64]));
    }
    let ones: [(&str, &[i64]); 3] = [
        ("kernel_shape", &[1, 1]),
        ("strides", &[1, 1]),
        ("pads", &[0; 4]),
    ];
    graph.node.extend([
        node("Conv", name, &[input, &weight, &biases], &ones),
        node("Transpose", &last, &[name], &[("perm", &[0, 2, 3, 1])]),
        node("Reshape", &rows, &[&last, &format!("{outputs}.shape")], &[]),
    ]);
    rows
}

/// Finds a red cell as an apple, a green one as a banana, on both maps. Its box codes are corners in the cell.
fn ssd() -> pb::ModelProto {
    let mut graph = pb::GraphProto {
        name: "ssd".to_owned(),
        ..pb::GraphProto::default()
    };
    mean_of_window(&mut graph, "first", "image", 8, 2.0);
    mean_of_window(&mut graph, "second", "first.relu6", 2, 0.5);
    let (mut scores, mut boxes, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    for (map, (input, strength)) in [("first.relu6", 6.0), ("second.relu6", 12.0)]
        .into_iter()
        .enumerate()
    {
        let [on, off] = [strength, -strength];
        let weights = [on, off, off, off, on, off];
        let name = format!("objects.scores.{map}");
        scores.push(head(&mut graph, &name, input, &weights, &[-3.0, -4.0]));
        let name = format!("objects.boxes.{map}");
        let slopes = [0.01, 0.0, 0.0].repeat(4);
        boxes.push(head(
            &mut graph,
            &name,
            input,
            &slopes,
            &[0.1, 0.9, 0.2, 0.8],
        ));
        let side = MAPS[map];
        cells.extend((0..side * side).flat_map(|cell| {
            let (x, y) = ((cell % side) as f32, (cell / side) as f32);
            [x, x, y, y].map(|at| at / side as f32)
        }));
    }
    let sizes = MAPS.map(|side| vec![1.0 / side as f32; side * side * 4]);
    let rows = cells.len() / 4;
    graph.initializer.extend([
        constant("cells", &[1, rows, 4], &cells),
        constant("sizes", &[1, rows, 4], &sizes.concat()),
    ]);
    let names = |list: &[String]| list.to_vec();
    for (name, rows) in [("logits", names(&scores)), ("codes", names(&boxes))] {
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        graph
            .node
            .push(node("Concat", name, &rows, &[("axis", &[1])]));
    }
    graph.node.extend([
        node("Sigmoid", "probabilities", &["logits"], &[]),
        node("Identity", OBJECT_SCORES_OUTPUT, &["probabilities"], &[]),
        node("Mul", "offsets", &["codes", "sizes"], &[]),
        node("Add", "corners", &["offsets", "cells"], &[]),
        node("Identity", OBJECT_BOXES_OUTPUT, &["corners"], &[]),
    ]);
    let value = |name: &str, dims: &[i64]| {
        use pb::tensor_shape_proto::{Dimension, dimension::Value::DimValue};
        let dim = |&dim: &i64| Dimension {
            value: Some(DimValue(dim)),
            ..Dimension::default()
        };
        let tensor = pb::type_proto::Tensor {
            elem_type: DataType::Float as i32,
            shape: Some(pb::TensorShapeProto {
                dim: dims.iter().map(dim).collect(),
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
    };
    let side = SIDE as i64;
    graph.input = vec![value("image", &[1, 3, side, side])];
    graph.output = vec![
        value(OBJECT_SCORES_OUTPUT, &[1, rows as i64, 2]),
        value(OBJECT_BOXES_OUTPUT, &[1, rows as i64, 4]),
    ];
    let mut model = pb::ModelProto {
        ir_version: 8,
        opset_import: vec![pb::OperatorSetIdProto {
            domain: String::new(),
            version: 13,
        }],
        graph: Some(graph),
        ..pb::ModelProto::default()
    };
    onnx::set_card(&mut model, &card());
    model
}

/// Pictures of 4 x 4 squares of red, green, blue and black of several brightnesses.
fn pictures(count: u64) -> Vec<InputTensor> {
    let picture = |seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let colors = [(); 16].map(|()| {
            let mut color = [0; 3];
            color[random.usize(0..3)] = random.u8(0..=255);
            Rgb(color)
        });
        let cell = SIDE as u32 / 4;
        let color = |x: u32, y: u32| colors[(y / cell * 4 + x / cell) as usize];
        RgbImage::from_fn(SIDE as u32, SIDE as u32, color)
    };
    let frames = (1..=count).map(|seed| Frame::new(0, Origin::Live, picture(seed)));
    frames
        .map(|frame| preprocess(&frame, &card()).expect("preprocessed"))
        .collect()
}

fn scale(model: &pb::ModelProto, tensor: &str) -> f32 {
    let graph = model.graph.as_ref().expect("present");
    let name = format!("{tensor}.scale");
    let found = graph.initializer.iter().find(|c| c.name == name);
    let bytes = &found.expect(&name).raw_data;
    f32::from_le_bytes(bytes[..].try_into().expect("one float"))
}

#[test]
fn an_ssd_is_quantized_without_labels_and_agrees_with_its_float_model() {
    let float = ssd();
    let inputs = SearchInputs {
        calibration: pictures(12),
        comparison: pictures(40).split_off(20),
    };
    let mut trials = Vec::new();
    let chosen = search(&float, &inputs, Overrides::default(), |trial| {
        trials.push(*trial);
    })
    .expect("can be quantized");
    for trial in &trials {
        // There are no image heads that could differ.
        assert_eq!((trial.distance.scores, trial.distance.boxes), (0.0, 0.0));
    }
    let agreement = chosen.agreement.expect("no image heads");
    assert!(agreement.boxes > 40 && agreement.per_class.len() == 2);
    assert!(agreement.agreement > 0.98, "{agreement:?}");
    check_agreement(&agreement).expect("agrees");
    // All maps of scores have one scale, and that of the boxes is finer.
    let scores = [0, 1].map(|map| scale(&chosen.model, &format!("objects.scores.{map}")));
    assert_eq!(scores[0], scores[1]);
    assert!(scale(&chosen.model, "objects.boxes.0") < 0.01);
    let mut detector =
        TractDetector::from_bytes("int8", &chosen.model.encode_to_vec()).expect("loads");
    let prediction = detector.predict(&inputs.comparison[0]).expect("runs");
    assert!(!prediction.objects(0.5).expect("object heads").is_empty());
}

#[test]
fn an_ssd_that_detects_nothing_cannot_be_checked() {
    let black = RgbImage::new(SIDE as u32, SIDE as u32);
    let black = preprocess(&Frame::new(0, Origin::Live, black), &card()).expect("preprocessed");
    let inputs = SearchInputs {
        calibration: pictures(4),
        comparison: vec![black],
    };
    let given = Overrides {
        calibration: Some(boxcam_train::quantize::calibrate::Calibration::MinMax),
        weight_scales: Some(boxcam_train::quantize::WeightScales::Max),
        correct_biases: Some(false),
        equalize: Some(true),
    };
    let chosen = search(&ssd(), &inputs, given, |_| ()).expect("can be quantized");
    let checked = check_agreement(&chosen.agreement.expect("no image heads"));
    assert!(matches!(checked, Err(QuantizeError::NothingDetected)));
}
