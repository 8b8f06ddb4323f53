//! Invalid models, through the real program.

use crate::common::tiny_model::{
    OBJECTS, card, graph_of, model, set_card, shape, tensor, weights, with_objects,
};
use crate::common::{CommandOutput, TestDir};
use boxcam::card::{
    BOX_OUTPUT, CLASS_OUTPUT, METADATA_KEY, ModelCard, OBJECT_BOXES_OUTPUT, OBJECT_SCORES_OUTPUT,
};
use boxcam::detect::tract::TractDetector;
use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, ModelProto};

/// The output of `detect` with these bytes as the model file.
fn detect_with_bytes(bytes: impl AsRef<[u8]>) -> CommandOutput {
    let directory = TestDir::new();
    directory.write_solid_image("a.png", "red");
    directory.write("bad.onnx", bytes);
    directory.run(&["detect", "a.png", "--model", "bad.onnx"])
}

/// The output of `detect` with a changed model.
fn detect_with(change: impl FnOnce(&mut ModelProto)) -> CommandOutput {
    let mut changed = model();
    change(&mut changed);
    detect_with_bytes(changed.encode_to_vec())
}

fn detect_with_card(change: impl FnOnce(&mut ModelCard)) -> CommandOutput {
    let mut changed = card();
    change(&mut changed);
    detect_with(|model| set_card(model, &changed))
}

#[track_caller]
fn assert_refused(output: &CommandOutput, expected: &[&str]) {
    output.assert_exit_code(3);
    assert_eq!(output.stdout, "", "no prediction is printed");
    output.assert_stderr_contains(&["boxcam: model bad.onnx: "]);
    output.assert_stderr_contains(expected);
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
}

#[test]
fn the_unchanged_model_is_accepted() {
    detect_with(|_| ()).assert_exit_code(0);
}

#[test]
fn incomplete_and_other_files_are_refused() {
    let whole = model().encode_to_vec();
    assert_refused(
        &detect_with_bytes(&whole[..whole.len() / 2]),
        &["not a complete ONNX file"],
    );
    assert_refused(
        &detect_with_bytes(&whole[..whole.len() - 1]),
        &["not a complete ONNX file"],
    );
    assert_refused(
        &detect_with_bytes("not a model at all"),
        &["not a complete ONNX file"],
    );
    assert_refused(
        &detect_with_bytes(""),
        &["not a complete ONNX file", "0 bytes"],
    );
    assert_refused(
        &detect_with_bytes(crate::common::data_file("rotated.jpg")),
        &["not a complete ONNX file"],
    );
}

#[test]
fn a_missing_file_is_named() {
    let directory = TestDir::new();
    directory.write_solid_image("a.png", "red");
    let output = directory.run(&["detect", "a.png", "--model", "none.onnx"]);
    output.assert_exit_code(3);
    output.assert_stderr_contains(&["model none.onnx: can't be read (No such file"]);
}

#[test]
fn a_model_without_a_card_is_refused() {
    let output = detect_with(|model| model.metadata_props.clear());
    assert_refused(&output, &["has no model card", METADATA_KEY]);
    let output = detect_with(|model| model.metadata_props[0].value = "{".to_owned());
    assert_refused(&output, &["its model card is invalid"]);
}

#[test]
fn a_newer_card_asks_for_an_update() {
    let output = detect_with_card(|card| card.schema = 9);
    assert_refused(
        &output,
        &["its model card has schema 9, this program reads up to 1; update boxcam"],
    );
}

#[test]
fn a_card_with_a_value_out_of_range_is_refused() {
    let output = detect_with_card(|card| card.threshold = 7.0);
    assert_refused(&output, &["threshold = 7, expected 0 to 1"]);
}

#[test]
fn an_input_shape_that_differs_from_the_card_is_refused() {
    let output = detect_with(|model| graph_of(model).input[0] = tensor("image", &[1, 3, 9, 9]));
    assert_refused(
        &output,
        &["its input is [1, 3, 9, 9] floats, its card requires [1, 3, 8, 8]"],
    );
    let output = detect_with(|model| graph_of(model).input[0] = tensor("image", &[1, 192]));
    assert_refused(&output, &["its input is [1, 192] floats"]);
    let output = detect_with(|model| graph_of(model).input.clear());
    assert_refused(&output, &["its input is missing"]);
    let second = tensor("mask", &[1]);
    let output = detect_with(|model| graph_of(model).input.push(second));
    assert_refused(&output, &["more than one tensor"]);
}

#[test]
fn missing_outputs_and_other_shapes_are_named() {
    let output = detect_with(|model| drop(graph_of(model).output.remove(1)));
    assert_refused(
        &output,
        &["has no output \"bbox_prediction\" (it has: class_prediction)"],
    );
    let output = detect_with(|model| graph_of(model).output[0].name = "logits".to_owned());
    assert_refused(
        &output,
        &[
            "has no output \"class_prediction\"",
            "logits, bbox_prediction",
        ],
    );
    let output = detect_with(|model| {
        let graph = graph_of(model);
        graph.initializer[0] = weights("class_weights", &[3, 2], &[0.5; 6]);
        graph.initializer[1] = weights("class_bias", &[2], &[0.0; 2]);
        graph.output[0] = tensor(CLASS_OUTPUT, &[1, 2]);
    });
    assert_refused(
        &output,
        &["\"class_prediction\" has shape [1, 2], its card requires [1, 3]"],
    );
    let output = detect_with(|model| {
        let graph = graph_of(model);
        graph.initializer[2] = weights("box_weights", &[3, 5], &[0.0; 15]);
        graph.initializer[3] = weights("box_bias", &[5], &[0.5; 5]);
        graph.output[1] = tensor(BOX_OUTPUT, &[1, 5]);
    });
    assert_refused(
        &output,
        &["\"bbox_prediction\" has shape [1, 5], its card requires [1, 4]"],
    );
}

/// The output of `detect` with a changed model that has all four outputs.
fn detect_objects_with(change: impl FnOnce(&mut ModelProto)) -> CommandOutput {
    let mut changed = with_objects(true);
    change(&mut changed);
    detect_with_bytes(changed.encode_to_vec())
}

#[test]
fn outputs_come_in_pairs() {
    for has_image_heads in [true, false] {
        detect_with_bytes(with_objects(has_image_heads).encode_to_vec()).assert_exit_code(0);
    }
    let needed = "boxcam needs \"class_prediction\" and \"bbox_prediction\", or \"object_scores\" and \"object_boxes\"";
    for (index, missing) in [
        CLASS_OUTPUT,
        BOX_OUTPUT,
        OBJECT_SCORES_OUTPUT,
        OBJECT_BOXES_OUTPUT,
    ]
    .into_iter()
    .enumerate()
    {
        let output = detect_objects_with(|model| drop(graph_of(model).output.remove(index)));
        assert_refused(&output, &[&format!("has no output \"{missing}\""), needed]);
    }
    let output = detect_objects_with(|model| graph_of(model).output.clear());
    assert_refused(&output, &["model bad.onnx: "]);
    let output = detect_objects_with(|model| graph_of(model).output.truncate(2));
    assert_refused(&output, &["has no output \"object_scores\""]);
}

#[test]
fn object_outputs_need_settings_in_the_card() {
    let output = detect_objects_with(|model| set_card(model, &card()));
    assert_refused(
        &output,
        &["need \"objects\" (threshold, nms_iou, most) in its card"],
    );
    let output = detect_with_card(|card| card.objects = Some(OBJECTS));
    assert_refused(&output, &["has no output \"object_scores\""]);
    let output = detect_with_card(|card| {
        card.objects.insert(OBJECTS).most = 0;
    });
    assert_refused(&output, &["objects.most = 0, expected 1 to 100"]);
}

#[test]
fn object_outputs_of_other_shapes_are_named() {
    // Two classes for three labels, and an output without the batch.
    for (dims, found) in [([1, 2, 6], "[1, 6, 2]"), ([1, 12, 1], "[1, 1, 12]")] {
        let output = detect_objects_with(|model| {
            let graph = graph_of(model);
            let index = graph.initializer.len() - 4;
            graph.initializer[index] = shape("scores_shape", &dims);
            graph.output[2] = tensor(OBJECT_SCORES_OUTPUT, &[1, dims[2], dims[1]]);
        });
        let text = format!("\"object_scores\" has shape {found}, its card requires [1, cells, 3]");
        assert_refused(&output, &[&text]);
    }
    for (dims, found) in [
        ([1, 8, 2], "[1, 8, 2]"),
        ([1, 2, 8], "[1, 2, 8]"),
        ([2, 2, 4], "[2, 2, 4]"),
    ] {
        let output = detect_objects_with(|model| {
            let graph = graph_of(model);
            let index = graph.initializer.len() - 1;
            graph.initializer[index] = shape("boxes_shape", &dims);
            graph.output[3] = tensor(OBJECT_BOXES_OUTPUT, &dims);
        });
        let text = format!("\"object_boxes\" has shape {found}, its card requires [1, 4, 4]");
        assert_refused(&output, &[&text]);
    }
}

#[test]
fn object_outputs_that_are_no_scores_are_found_before_the_first_picture() {
    // Without the sigmoid, the scores are logits.
    let output = detect_objects_with(|model| {
        let graph = graph_of(model);
        let sigmoid = graph.node.iter_mut().find(|node| node.op_type == "Sigmoid");
        sigmoid.expect("one").op_type = "Identity".to_owned();
        graph.initializer.push(weights("far", &[], &[-9.0]));
        let steep = graph.node.iter_mut().find(|node| node.op_type == "Mul");
        let steep = steep.expect("one");
        steep.op_type = "Add".to_owned();
        steep.input[1] = "far".to_owned();
    });
    assert_refused(
        &output,
        &["\"object_scores\" holds -9, expected scores from 0 to 1"],
    );
    let output = detect_objects_with(|model| {
        let graph = graph_of(model);
        let index = graph.initializer.len() - 2;
        graph.initializer[index] = weights("boxes_bias", &[16], &[f32::NAN; 16]);
    });
    assert_refused(&output, &["\"object_boxes\" holds NaN"]);
}

#[test]
fn a_graph_on_which_the_engine_panics_is_an_error() {
    let mut unconnected = model();
    graph_of(&mut unconnected).node[4].output[0] = "elsewhere".to_owned();
    let mut axis = model();
    graph_of(&mut axis).node[1].attribute.push(AttributeProto {
        name: "axis".to_owned(),
        r#type: AttributeType::Int as i32,
        i: 9,
        ..AttributeProto::default()
    });
    for model in [unconnected, axis] {
        let refused = TractDetector::from_bytes("odd", &model.encode_to_vec());
        let error = refused.err().expect("refused").to_string();
        assert!(
            error.starts_with("model odd: the engine can't run it"),
            "{error}"
        );
    }
}

#[test]
fn a_small_graph_with_huge_tensors_is_refused() {
    let ints = |name: &str, values: &[i64]| AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..AttributeProto::default()
    };
    let output = detect_with(|model| {
        let graph = graph_of(model);
        let mut pool = graph.node[0].clone();
        pool.name = "pool".to_owned();
        pool.op_type = "MaxPool".to_owned();
        pool.output = vec!["padded".to_owned()];
        pool.attribute = vec![ints("kernel_shape", &[1; 2]), ints("pads", &[100_000; 4])];
        graph.node[0].input = pool.output.clone();
        graph.node.insert(0, pool);
    });
    assert_refused(
        &output,
        &["its tensors have", "at most 268435456 are allowed"],
    );
}

#[test]
fn bytes_changed_at_random_never_panic() {
    let random = &mut fastrand::Rng::with_seed(3);
    let valid = model().encode_to_vec();
    for _ in 0..5000 {
        let mut file = valid.clone();
        for _ in 0..random.usize(1..4) {
            let index = random.usize(..file.len());
            file[index] = random.u8(..);
        }
        if let Err(error) = TractDetector::from_bytes("changed", &file) {
            let error = error.to_string();
            assert!(error.starts_with("model changed: "), "{error}");
        }
    }
}

#[test]
fn weights_that_are_not_finite_are_found_before_the_first_picture() {
    let nan = weights("class_bias", &[3], &[0.0, f32::NAN, 0.0]);
    let output = detect_with(|model| graph_of(model).initializer[1] = nan);
    assert_refused(&output, &["\"class_prediction\" holds NaN"]);
    let infinite = weights("box_bias", &[4], &[0.0, f32::INFINITY, 0.0, 1.0]);
    let output = detect_with(|model| graph_of(model).initializer[3] = infinite);
    assert_refused(&output, &["\"bbox_prediction\" holds inf"]);
}

#[test]
fn an_unknown_operator_is_refused() {
    let output = detect_with(|model| graph_of(model).node[0].op_type = "Teleport".to_owned());
    assert_refused(&output, &["the engine can't run it"]);
}

#[test]
fn every_command_refuses_an_invalid_model() {
    let directory = TestDir::new();
    directory.write_solid_image("split/red/a.png", "red");
    directory.write(
        "boxes.csv",
        "image_id,x_min,x_max,y_min,y_max,class_name,folder\n",
    );
    directory.write("bad.onnx", "no");
    let run = ["run", "--source", "split", "--model", "bad.onnx"];
    let evaluate = [
        "evaluate",
        "--pictures",
        "split",
        "--annotations",
        "boxes.csv",
        "--model",
        "bad.onnx",
    ];
    for arguments in [&run[..], &evaluate[..]] {
        assert_refused(&directory.run(arguments), &["not a complete ONNX file"]);
    }
}
