//! The object branch: training, the exported float model and the int8 model predict the same.

use boxcam::card::{
    BOX_OUTPUT, CLASS_OUTPUT, ModelCard, OBJECT_BOXES_OUTPUT, OBJECT_SCORES_OUTPUT, ObjectDecode,
    ObjectSettings,
};
use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::preprocess::InputTensor;
use boxcam_train::golden::add_golden;
use boxcam_train::model::Model;
use boxcam_train::network::to_vec;
use boxcam_train::onnx;
use boxcam_train::recipe::{Override, Recipe};
use boxcam_train::weights::BackboneWeights;
use burn::prelude::*;
use burn::tensor::activation::softmax;
use tract_onnx::pb;

use super::test_models::{
    all_outputs_in_floats, card, inputs, int8, residual_backbone, write_and_read,
};

fn new_model(weights: &BackboneWeights) -> Model {
    // The frozen part must end before the stride-16 map.
    let overrides = [
        Override::new("head_channels", 16),
        Override::new("freeze_first", 3),
    ];
    let recipe = Recipe::load("objects", &overrides).expect("built in");
    let device = Device::flex();
    device.seed(5);
    Model::new(weights, &card(64).labels, &recipe, &device)
}

fn object_card() -> ModelCard {
    ModelCard {
        objects: Some(ObjectSettings {
            threshold: 0.01,
            nms_iou: 0.5,
            most: 10,
            decode: ObjectDecode::InGraph,
        }),
        ..card(64)
    }
}

fn export(model: &Model) -> pb::ModelProto {
    model.export(&model.net, &object_card())
}

/// The outputs of the network in training, in the order of the file.
fn outputs(model: &Model, input: &InputTensor, card: &ModelCard) -> Vec<Vec<f32>> {
    let device = Device::flex();
    let [_, channels, height, width] = input.shape();
    let data = TensorData::new(input.to_f32(), [1, channels, height, width]);
    let input = Tensor::<4>::from_data(data, &device).permute([0, 2, 3, 1]);
    let frozen = model.frozen_backbone(&device);
    let input = frozen.map_or(input.clone(), |frozen| frozen.forward(input));
    let output = model.net.forward(input);
    let objects = output.objects.expect("an object branch");
    assert_eq!(objects.logits.dims()[2], card.labels.len());
    vec![
        to_vec(softmax(output.logits, 1)),
        to_vec(output.corners),
        to_vec(objects.scores()),
        to_vec(objects.corners),
    ]
}

fn distances(a: &[Vec<f32>], b: &[Vec<f32>]) -> Vec<f32> {
    let pairs = a.iter().zip(b);
    let largest = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        assert_eq!(a.len(), b.len());
        let off = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        off.fold(0.0, f32::max)
    };
    pairs.map(largest).collect()
}

#[test]
fn the_exported_model_and_its_int8_form_predict_what_training_does() {
    let model = new_model(&residual_backbone(64));
    let float = export(&model);
    let graph = float.graph.as_ref().expect("a graph");
    let names: Vec<&str> = graph
        .output
        .iter()
        .map(|output| output.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            CLASS_OUTPUT,
            BOX_OUTPUT,
            OBJECT_SCORES_OUTPUT,
            OBJECT_BOXES_OUTPUT
        ]
    );
    let inputs = inputs(&card(64), 4);
    let quantized = int8(&float, &inputs);
    for input in &inputs {
        let expected = outputs(&model, input, &card(64));
        let found = all_outputs_in_floats(&float, input);
        let off = distances(&found, &expected);
        assert!(off.iter().all(|off| *off < 1e-4), "{off:?}");
        let off = distances(&all_outputs_in_floats(&quantized, input), &expected);
        assert!(off[2] < 0.01 && off[3] < 0.02, "{off:?}");
    }
}

/// The program's own engine takes the int8 model, finds objects, and its card proves them.
#[test]
fn the_int8_model_runs_in_the_program_and_its_golden_examples_have_objects() {
    let float = export(&new_model(&residual_backbone(64)));
    let inputs = inputs(&card(64), 4);
    let mut quantized = int8(&float, &inputs);
    add_golden(&mut quantized, "quantized").expect("recorded");
    let examples = onnx::card(&quantized).expect("a card").golden;
    assert!(!examples.is_empty() && examples.iter().all(|e| e.objects.is_some()));
    let bytes = prost::Message::encode_to_vec(&quantized);
    let mut detector = TractDetector::from_bytes("quantized", &bytes).expect("loads");
    for input in &inputs {
        let prediction = detector.predict(input).expect("runs");
        let objects = prediction.objects(0.0).expect("object heads");
        assert!((1..=10).contains(&objects.len()), "{}", objects.len());
    }
}

#[test]
fn the_heads_of_a_file_are_loaded_for_the_same_classes() {
    let first = new_model(&residual_backbone(64));
    let read = write_and_read(&export(&first));
    let again = new_model(&read);
    let input = &inputs(&card(64), 1)[0];
    let card = card(64);
    let off = distances(
        &outputs(&again, input, &card),
        &outputs(&first, input, &card),
    );
    assert!(off.iter().all(|off| *off < 1e-6), "{off:?}");
}
