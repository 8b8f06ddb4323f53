//! As int8 a model runs in whole numbers from the picture to the answer.

use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam_train::golden::add_golden;
use boxcam_train::weights::BackboneWeights;
use prost::Message;
use tract_onnx::pb;

use crate::files::mobilenet_v2;
use crate::made_up::{card, in_floats, inputs, int8, made_up, model};

/// Holds the int8 model on a trunk against tract's floats, and looks that no layer is left to tract; it adds two maps
/// so many times.
fn runs_in_whole_numbers(trunk: &BackboneWeights, float: &pb::ModelProto, sums: usize, most: f32) {
    let inputs = inputs(&card(trunk.side as u32), 3);
    let int8 = int8(float, &inputs);
    let mut detector = TractDetector::from_bytes("int8", &int8.encode_to_vec()).expect("loads");
    for input in &inputs {
        let found = detector.predict(input).expect("runs");
        let [scores, corners] = in_floats(&int8, input);
        let found_all = [
            found.scores().to_vec(),
            found.bounding_box().corners().to_vec(),
        ]
        .concat();
        let expected = [scores, corners].concat();
        for (found, expected) in found_all.iter().zip(&expected) {
            let off = (found - expected.clamp(0.0, 1.0)).abs();
            assert!(off <= most, "{found_all:?}, expected {expected:?}");
        }
    }
    let layers = detector.layer_times(&inputs[0], 1).expect("runs");
    let operators: Vec<&str> = layers.iter().map(|l| l.operator.as_str()).collect();
    assert!(
        !operators.contains(&"Int8"),
        "a part is left to tract: {operators:?}"
    );
    let adds = operators.iter().filter(|o| **o == "add int8");
    assert_eq!(adds.count(), sums, "{operators:?}");
    let pairs = trunk.layers.iter().filter(|layer| layer.conv.groups > 1);
    let fused = operators
        .iter()
        .filter(|o| **o == "depthwise int8 + pointwise int8");
    assert!(fused.count() >= pairs.count(), "{operators:?}");
}

#[test]
fn a_made_up_net_runs_in_whole_numbers() {
    for side in [64, 96] {
        let trunk = made_up(side);
        let residual = trunk.layers.iter().filter(|layer| layer.add.is_some());
        runs_in_whole_numbers(&trunk, &model(&trunk), residual.count() + 1, 0.02);
    }
}

#[test]
fn golden_examples_hold_at_any_side() {
    for side in [64, 96] {
        let float = model(&made_up(side));
        let mut int8 = int8(&float, &inputs(&card(side as u32), 4));
        add_golden(&mut int8, "made up").expect("runs");
        let bytes = int8.encode_to_vec();
        let mut detector = TractDetector::from_bytes("made up", &bytes).expect("loads");
        let agreement = boxcam::golden::check(&mut detector).expect("agrees");
        assert_eq!(agreement.examples, 4);
    }
}

#[test]
fn mobilenet_v2_runs_in_whole_numbers_at_any_side() {
    let Some(mut trunk) = mobilenet_v2() else {
        return;
    };
    for side in [96, 224, 288] {
        trunk.side = side;
        runs_in_whole_numbers(&trunk, &model(&trunk), 11, 0.02);
    }
}
