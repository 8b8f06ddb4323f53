//! Quantizing and dequantizing a model.

use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::preprocess::InputTensor;
use boxcam_train::quantize::activations::tensor_reports;
use boxcam_train::quantize::calibrate::{ActivationStats, Calibration};
use boxcam_train::quantize::search::{Overrides, SearchInputs, search};
use boxcam_train::quantize::{self, WeightScales};
use boxcam_train::temperature::scale_logits;
use prost::Message;
use tract_onnx::pb;

use super::test_models::{
    card, inputs, int8, model, residual_backbone, run_in_floats, structure, write_and_read,
};

/// Scores and corners of a model as one list.
fn outputs(model: &pb::ModelProto, input: &InputTensor) -> Vec<f32> {
    run_in_floats(model, input).concat()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    let off = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    off.fold(0.0, f32::max)
}

#[test]
fn a_dequantized_model_has_the_same_graph_and_nearly_the_same_outputs() {
    let backbone = residual_backbone(64);
    let float = model(&backbone);
    let inputs = inputs(&card(64), 4);
    let int8 = int8(&float, &inputs);
    let back = quantize::dequantize(&int8).expect("dequantized");
    assert_eq!(structure(&write_and_read(&back)), structure(&backbone));
    for input in &inputs {
        let off = distance(&outputs(&back, input), &outputs(&float, input));
        assert!(off < 0.02, "{off}");
    }
    let ops = |model: &pb::ModelProto| -> Vec<String> {
        let graph = model.graph.as_ref().expect("present");
        graph.node.iter().map(|node| node.op_type.clone()).collect()
    };
    assert_eq!(ops(&back), ops(&float));
}

/// In tract's float operators and in the program's own engine, whose layers are integers.
#[test]
fn the_logits_of_an_int8_model_are_scaled_without_rounding() {
    let inputs = inputs(&card(64), 4);
    let unscaled = int8(&model(&residual_backbone(64)), &inputs);
    let mut scaled = unscaled.clone();
    scale_logits(&mut scaled, 2.5).expect("has a class head");
    let engine = |model: &pb::ModelProto| {
        TractDetector::from_bytes("int8", &model.encode_to_vec()).expect("loads")
    };
    let [mut before, mut after] = [&unscaled, &scaled].map(engine);
    // Of two classes, the difference of the logits.
    let logit = |scores: &[f32]| (scores[0] / scores[1]).ln();
    for input in &inputs {
        let [[scores, corners], [new_scores, new_corners]] =
            [&unscaled, &scaled].map(|model| run_in_floats(model, input));
        assert!((logit(&new_scores) - 2.5 * logit(&scores)).abs() < 1e-4);
        assert_eq!(new_corners, corners);
        let [before, after] = [&mut before, &mut after].map(|engine| engine.predict(input));
        let (before, after) = (before.expect("runs"), after.expect("runs"));
        assert!((logit(after.scores()) - 2.5 * logit(before.scores())).abs() < 1e-4);
        assert_eq!(after.corners(), before.corners());
    }
}

#[test]
fn an_equalised_model_computes_the_same_in_floats() {
    let float = model(&residual_backbone(64));
    let inputs = inputs(&card(64), 6);
    let equalised = quantize::equalize(&float, &inputs).expect("runs");
    for input in &inputs {
        let off = distance(&outputs(&equalised, input), &outputs(&float, input));
        assert!(off < 1e-3, "{off}");
    }
    let graph = |model: &pb::ModelProto| model.graph.clone().expect("present");
    let (before, after) = (graph(&float), graph(&equalised));
    assert_eq!(before.node, after.node, "only constants change");
    let pairs = before.initializer.iter().zip(&after.initializer);
    let changed: Vec<&str> = pairs
        .filter(|(a, b)| a != b)
        .map(|(a, _)| a.name.as_str())
        .collect();
    assert!(changed.len() > 5, "{changed:?}");
}

/// Rounding shifts the means of the outputs; bias correction reduces the shift.
#[test]
fn bias_correction_reduces_the_mean_error() {
    let float = model(&residual_backbone(64));
    let inputs = inputs(&card(64), 6);
    let observations = ActivationStats::collect(&float, &inputs).expect("runs");
    let ranges = observations.ranges(Calibration::Percentile999);
    let int8 = quantize::quantize(&float, &ranges, WeightScales::LeastError).expect("fits");
    let corrected = quantize::correct_biases(&float, int8.clone(), &inputs).expect("runs");
    let graph = |model: &pb::ModelProto| model.graph.clone().expect("present");
    let (before, after) = (graph(&int8), graph(&corrected));
    assert_eq!(before.node, after.node, "only constants change");
    let mut moved = 0;
    for (a, b) in before.initializer.iter().zip(&after.initializer) {
        let is_bias = a.name.ends_with(".bias.int32");
        assert!(is_bias || a == b, "{}", a.name);
        moved += usize::from(a != b);
    }
    assert!(moved > 5, "{moved}");
    let mean = |model: &pb::ModelProto| {
        let off = inputs.iter().map(|input| {
            let (found, truth) = (outputs(model, input), outputs(&float, input));
            found
                .iter()
                .zip(&truth)
                .map(|(a, b)| a - b)
                .collect::<Vec<_>>()
        });
        let sums = off.fold(vec![0.0f32; 6], |sums, off| {
            sums.iter().zip(&off).map(|(a, b)| a + b).collect()
        });
        sums.iter().map(|sum| sum.abs()).sum::<f32>()
    };
    assert!(
        mean(&corrected) < mean(&int8),
        "{} {}",
        mean(&corrected),
        mean(&int8)
    );
}

#[test]
fn the_best_trial_is_kept_and_every_int8_tensor_is_reported() {
    let float = model(&residual_backbone(64));
    let mut scenes = inputs(&card(64), 16);
    let measuring = scenes.split_off(8);
    let pictures = SearchInputs {
        calibration: scenes,
        comparison: measuring,
    };
    let mut trials = Vec::new();
    let chosen = search(&float, &pictures, Overrides::default(), |trial| {
        trials.push(*trial);
    });
    let chosen = chosen.expect("runs");
    assert_eq!(trials.len(), 4 + 1 + 1 + 1);
    let sums = trials.iter().map(|trial| trial.distance.sum());
    let least = sums.fold(f64::INFINITY, f64::min);
    assert!((chosen.trial.distance.sum() - least).abs() < 1e-12);
    let wanted = Overrides {
        calibration: Some(Calibration::MinMax),
        weight_scales: Some(WeightScales::Max),
        correct_biases: Some(true),
        equalize: Some(true),
    };
    let given = search(&float, &pictures, wanted, |_| ()).expect("runs");
    assert_eq!(given.trial, trials[0], "given settings are used");

    let errors = tensor_reports(&given.source, &given.model, &pictures.comparison).expect("runs");
    // 13 layers and 2 sums, a pooling, 7 layers of the box and a sum.
    assert_eq!(errors.len(), 24, "{errors:?}");
    for error in &errors {
        assert!(
            error.rounding_db > 25.0 && error.rounding_db < 70.0,
            "{error:?}"
        );
        assert!(
            error.int8_db <= error.rounding_db + 0.5 && error.int8_db > 10.0,
            "{error:?}"
        );
        assert!(error.clipped < 0.05, "{error:?}");
    }
}
