//! Models that can't be used, through the real program.

mod common;

use boxcam::card::{BOX_OUTPUT, CLASS_OUTPUT, METADATA_KEY, ModelCard};
use boxcam::detect::tract::TractDetector;
use common::tiny_model::{card, graph_of, model, set_card, tensor, weights};
use common::{CommandOutput, TestDir};
use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, ModelProto};

/// What `detect` says with such a model file.
fn with_bytes(bytes: impl AsRef<[u8]>) -> CommandOutput {
    let place = TestDir::new();
    place.write_solid_image("a.png", "red");
    place.write("bad.onnx", bytes);
    place.run(&["detect", "a.png", "--model", "bad.onnx"])
}

/// The same for a sound model after a change.
fn with(change: impl FnOnce(&mut ModelProto)) -> CommandOutput {
    let mut changed = model();
    change(&mut changed);
    with_bytes(changed.encode_to_vec())
}

fn with_card(change: impl FnOnce(&mut ModelCard)) -> CommandOutput {
    let mut changed = card();
    change(&mut changed);
    with(|model| set_card(model, &changed))
}

#[track_caller]
fn assert_refused(said: &CommandOutput, words: &[&str]) {
    said.assert_exit_code(3);
    assert_eq!(said.stdout, "", "nothing is said of the picture");
    said.assert_stderr_contains(&["boxcam: model bad.onnx: "]);
    said.assert_stderr_contains(words);
    assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
}

#[test]
fn the_sound_model_is_used() {
    with(|_| ()).assert_exit_code(0);
}

#[test]
fn what_is_no_onnx_file_is_refused() {
    let whole = model().encode_to_vec();
    assert_refused(
        &with_bytes(&whole[..whole.len() / 2]),
        &["not a complete ONNX file"],
    );
    assert_refused(
        &with_bytes(&whole[..whole.len() - 1]),
        &["not a complete ONNX file"],
    );
    assert_refused(
        &with_bytes("not a model at all"),
        &["not a complete ONNX file"],
    );
    assert_refused(&with_bytes(""), &["not a complete ONNX file", "0 bytes"]);
    assert_refused(
        &with_bytes(common::data_file("rotated.jpg")),
        &["not a complete ONNX file"],
    );
}

#[test]
fn a_missing_file_is_named() {
    let place = TestDir::new();
    place.write_solid_image("a.png", "red");
    let said = place.run(&["detect", "a.png", "--model", "none.onnx"]);
    said.assert_exit_code(3);
    said.assert_stderr_contains(&["model none.onnx: can't be read (No such file"]);
}

#[test]
fn a_model_without_a_card_is_not_ours() {
    let said = with(|model| model.metadata_props.clear());
    assert_refused(&said, &["has no model card", METADATA_KEY]);
    let said = with(|model| model.metadata_props[0].value = "{".to_owned());
    assert_refused(&said, &["its model card can't be read"]);
}

#[test]
fn a_card_of_the_future_asks_for_an_update() {
    let said = with_card(|card| card.schema = 9);
    assert_refused(
        &said,
        &["its model card has schema 9, this program reads up to 1; update boxcam"],
    );
}

#[test]
fn a_card_with_nonsense_in_it_is_refused() {
    let said = with_card(|card| card.threshold = 7.0);
    assert_refused(&said, &["threshold = 7, expected 0 to 1"]);
}

#[test]
fn an_input_of_another_shape_than_the_card_says_is_refused() {
    let said = with(|model| graph_of(model).input[0] = tensor("image", &[1, 3, 9, 9]));
    assert_refused(
        &said,
        &["its input is [1, 3, 9, 9] floats, its card requires [1, 3, 8, 8]"],
    );
    let said = with(|model| graph_of(model).input[0] = tensor("image", &[1, 192]));
    assert_refused(&said, &["its input is [1, 192] floats"]);
    let said = with(|model| graph_of(model).input.clear());
    assert_refused(&said, &["its input is missing"]);
    let second = tensor("mask", &[1]);
    let said = with(|model| graph_of(model).input.push(second));
    assert_refused(&said, &["more than one tensor"]);
}

#[test]
fn outputs_that_are_missing_or_of_another_shape_are_named() {
    let said = with(|model| drop(graph_of(model).output.remove(1)));
    assert_refused(
        &said,
        &["has no output \"bbox_prediction\" (it has: class_prediction)"],
    );
    let said = with(|model| graph_of(model).output[0].name = "logits".to_owned());
    assert_refused(
        &said,
        &[
            "has no output \"class_prediction\"",
            "logits, bbox_prediction",
        ],
    );
    let said = with(|model| {
        let graph = graph_of(model);
        graph.initializer[0] = weights("class_weights", &[3, 2], &[0.5; 6]);
        graph.initializer[1] = weights("class_bias", &[2], &[0.0; 2]);
        graph.output[0] = tensor(CLASS_OUTPUT, &[1, 2]);
    });
    assert_refused(
        &said,
        &["\"class_prediction\" has shape [1, 2], its card requires [1, 3]"],
    );
    let said = with(|model| {
        let graph = graph_of(model);
        graph.initializer[2] = weights("box_weights", &[3, 5], &[0.0; 15]);
        graph.initializer[3] = weights("box_bias", &[5], &[0.5; 5]);
        graph.output[1] = tensor(BOX_OUTPUT, &[1, 5]);
    });
    assert_refused(
        &said,
        &["\"bbox_prediction\" has shape [1, 5], its card requires [1, 4]"],
    );
}

#[test]
fn a_graph_that_the_engine_panics_at_is_an_error() {
    let mut nowhere = model();
    graph_of(&mut nowhere).node[4].output[0] = "elsewhere".to_owned();
    let mut axis = model();
    graph_of(&mut axis).node[1].attribute.push(AttributeProto {
        name: "axis".to_owned(),
        r#type: AttributeType::Int as i32,
        i: 9,
        ..AttributeProto::default()
    });
    for model in [nowhere, axis] {
        let refused = TractDetector::from_bytes("odd", &model.encode_to_vec());
        let said = refused.err().expect("refused").to_string();
        assert!(
            said.starts_with("model odd: the engine can't run it"),
            "{said}"
        );
    }
}

#[test]
fn bytes_changed_at_random_never_panic() {
    let random = &mut fastrand::Rng::with_seed(3);
    let sound = model().encode_to_vec();
    for _ in 0..5000 {
        let mut file = sound.clone();
        for _ in 0..random.usize(1..4) {
            let place = random.usize(..file.len());
            file[place] = random.u8(..);
        }
        if let Err(error) = TractDetector::from_bytes("changed", &file) {
            let said = error.to_string();
            assert!(said.starts_with("model changed: "), "{said}");
        }
    }
}

#[test]
fn broken_weights_are_found_before_any_picture_is_judged() {
    let nan = weights("class_bias", &[3], &[0.0, f32::NAN, 0.0]);
    let said = with(|model| graph_of(model).initializer[1] = nan);
    assert_refused(&said, &["\"class_prediction\" holds NaN"]);
    let infinite = weights("box_bias", &[4], &[0.0, f32::INFINITY, 0.0, 1.0]);
    let said = with(|model| graph_of(model).initializer[3] = infinite);
    assert_refused(&said, &["\"bbox_prediction\" holds inf"]);
}

#[test]
fn a_graph_that_no_engine_can_run_is_refused() {
    let said = with(|model| graph_of(model).node[0].op_type = "Teleport".to_owned());
    assert_refused(&said, &["the engine can't run it"]);
}

#[test]
fn every_command_refuses_a_bad_model_in_the_same_way() {
    let place = TestDir::new();
    place.write_solid_image("split/red/a.png", "red");
    place.write(
        "boxes.csv",
        "image_id,x_min,x_max,y_min,y_max,class_name,folder\n",
    );
    place.write("bad.onnx", "no");
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
    for words in [&run[..], &evaluate[..]] {
        assert_refused(&place.run(words), &["not a complete ONNX file"]);
    }
}
