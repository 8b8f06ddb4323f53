//! An int8 model runs in integer arithmetic from the picture to the heads.

use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam_train::golden::add_golden;
use boxcam_train::weights::BackboneWeights;
use prost::Message;
use tract_onnx::pb;

use super::files::mobilenet_v2;
use super::test_models::{card, inputs, int8, model, residual_backbone, run_in_floats};

/// Compares the int8 model with tract's float operators within `tolerance`, and checks that no layer is left to tract and
/// that it has `sums` residual additions.
fn assert_integer_inference(
    backbone: &BackboneWeights,
    float: &pb::ModelProto,
    sums: usize,
    tolerance: f32,
) {
    let inputs = inputs(&card(backbone.side as u32), 3);
    let int8 = int8(float, &inputs);
    let mut detector = TractDetector::from_bytes("int8", &int8.encode_to_vec()).expect("loads");
    for input in &inputs {
        let found = detector.predict(input).expect("runs");
        let [scores, corners] = run_in_floats(&int8, input);
        let found_all = [
            found.scores().to_vec(),
            found.bounding_box().corners().to_vec(),
        ]
        .concat();
        let expected = [scores, corners].concat();
        for (found, expected) in found_all.iter().zip(&expected) {
            let off = (found - expected.clamp(0.0, 1.0)).abs();
            assert!(off <= tolerance, "{found_all:?}, expected {expected:?}");
        }
    }
    let layers = detector.layer_times(&inputs[0], 1).expect("runs");
    let operators: Vec<&str> = layers.iter().map(|l| l.operator.as_str()).collect();
    assert!(
        !operators.contains(&"Int8"),
        "layers are left to tract: {operators:?}"
    );
    let adds = operators.iter().filter(|o| **o == "add int8");
    assert_eq!(adds.count(), sums, "{operators:?}");
    let pairs = backbone.layers.iter().filter(|layer| layer.conv.groups > 1);
    let fused = operators
        .iter()
        .filter(|o| **o == "depthwise int8 + pointwise int8");
    assert!(fused.count() >= pairs.count(), "{operators:?}");
}

#[test]
fn a_residual_model_runs_in_integer_arithmetic() {
    for side in [64, 96] {
        let backbone = residual_backbone(side);
        let residual = backbone.layers.iter().filter(|layer| layer.add.is_some());
        assert_integer_inference(&backbone, &model(&backbone), residual.count() + 1, 0.02);
    }
}

#[test]
fn golden_examples_agree_at_any_input_size() {
    for side in [64, 96] {
        let float = model(&residual_backbone(side));
        let mut int8 = int8(&float, &inputs(&card(side as u32), 4));
        add_golden(&mut int8, "test").expect("runs");
        let bytes = int8.encode_to_vec();
        let mut detector = TractDetector::from_bytes("test", &bytes).expect("loads");
        let agreement = boxcam::golden::check(&mut detector).expect("agrees");
        assert_eq!(agreement.examples, 4);
    }
}

#[test]
fn mobilenet_v2_runs_in_integer_arithmetic_at_any_input_size() {
    let Some(mut backbone) = mobilenet_v2() else {
        return;
    };
    for side in [96, 224, 288] {
        backbone.side = side;
        assert_integer_inference(&backbone, &model(&backbone), 11, 0.02);
    }
}
