//! Writing and reading backbones.

use std::path::Path;
use std::process::Command;

use boxcam::card::ModelCard;
use boxcam::label::Labels;
use boxcam_train::model::Model;
use boxcam_train::onnx;
use boxcam_train::recipe::Recipe;
use boxcam_train::weights::{self, BackboneWeights, WeightsError};
use burn::prelude::Device;

use super::test_models::{
    card, inputs, int8, model, residual_backbone, run_in_floats, structure, write_and_read,
};

/// Largest difference between the weights of two backbones, relative to the largest weight of the channel.
fn difference(a: &BackboneWeights, b: &BackboneWeights) -> f32 {
    let mut max = 0.0f32;
    for (a, b) in a.layers.iter().zip(&b.layers) {
        assert_eq!(a.conv.shape, b.conv.shape);
        let each = a.conv.weights.len() / a.conv.shape[0];
        let channels = a.conv.weights.chunks(each).zip(b.conv.weights.chunks(each));
        for (a, b) in channels {
            let top = a.iter().fold(f32::MIN_POSITIVE, |top, w| top.max(w.abs()));
            let off = a.iter().zip(b).map(|(a, b)| (a - b).abs() / top);
            max = off.fold(max, f32::max);
        }
    }
    max
}

#[test]
fn a_float_model_is_read_back_unchanged() {
    let backbone = residual_backbone(64);
    let found = write_and_read(&model(&backbone));
    assert_eq!((found.side, found.layers), (backbone.side, backbone.layers));
}

#[test]
fn heads_of_the_same_classes_and_shape_are_loaded() {
    let float = model(&residual_backbone(64));
    let given = write_and_read(&float);
    let device = Device::flex();
    device.seed(99);
    let new_model = |labels: &Labels, hidden| {
        let recipe = Recipe {
            head_channels: hidden,
            ..Recipe::named("small").expect("built in")
        };
        let made = Model::new(&given, labels, &recipe, &device);
        let card = ModelCard {
            labels: labels.clone(),
            ..card(64)
        };
        made.export(&made.net, &card)
    };
    let same = card(64).labels;
    let others = Labels::new(vec!["pear".to_owned(), "plum".to_owned()]).expect("valid");
    for input in inputs(&card(64), 3) {
        let [scores, corners] = run_in_floats(&float, &input);
        let taken = run_in_floats(&new_model(&same, 32), &input);
        assert_eq!(taken, [scores.clone(), corners.clone()]);
        let fresh = run_in_floats(&new_model(&others, 32), &input);
        assert!(fresh[0] != scores && fresh[1] != corners, "{fresh:?}");
        // A box head of another shape is initialized randomly, the class head is loaded.
        let half = run_in_floats(&new_model(&same, 16), &input);
        assert!(half[0] == scores && half[1] != corners, "{half:?}");
    }
}

#[test]
fn an_int8_model_is_read_back_to_half_a_step() {
    let backbone = residual_backbone(64);
    let float = model(&backbone);
    let found = write_and_read(&int8(&float, &inputs(&card(64), 4)));
    assert_eq!(structure(&found), structure(&backbone));
    let off = difference(&backbone, &found);
    assert!(off <= 0.51 / 127.0, "{off}");
}

#[test]
fn a_half_precision_backbone_has_half_the_size_and_nearly_the_same_weights() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let backbone = residual_backbone(64);
    let float = model(&backbone);
    let source = folder.path().join("float.onnx");
    let half = folder.path().join("backbone.onnx");
    onnx::write(&source, &float).expect("written");
    let done = Command::new(env!("CARGO_BIN_EXE_boxcam-train"))
        .args(["model", "export-backbone"])
        .args([&source, Path::new("--output"), &half])
        .status();
    assert!(done.expect("starts").success());
    let found = weights::read(&half).expect("read back");
    assert_eq!(found.side, 64);
    assert_eq!(structure(&found), structure(&backbone));
    // 11 bits of significand.
    let off = difference(&backbone, &found);
    assert!(off > 0.0 && off <= 1.0 / 2048.0, "{off}");
    let card = onnx::card(&onnx::read(&half).expect("valid")).expect("present");
    assert_eq!(card.training.credits, "nobody");
    assert!(card.figures.is_empty() && card.golden.is_empty());
    let twice = weights::half_precision(&found, &card).expect("fits");
    assert_eq!(
        write_and_read(&twice),
        found,
        "rounding twice changes nothing"
    );
    let numbers: usize = backbone
        .layers
        .iter()
        .map(|layer| layer.conv.weights.len() + layer.conv.bias.len())
        .sum();
    let size = std::fs::metadata(&half).expect("there").len() as usize;
    assert!(
        size < 2 * numbers + 8_000,
        "{size} bytes, {numbers} numbers"
    );
}

#[test]
fn a_weight_beyond_half_precision_is_an_error() {
    let mut backbone = residual_backbone(64);
    backbone.layers[3].conv.bias[2] = 70_000.0;
    let error = weights::half_precision(&backbone, &card(64)).expect_err("an error");
    assert!(
        matches!(error, WeightsError::TooLarge { layer: 3, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("layer 3 has the weight 70000"),
        "{error}"
    );
}

pub(crate) fn mobilenet_v2() -> Option<BackboneWeights> {
    let file = test_support::data("weights")?.join("mobilenet_v2_1.0_224_quant.tflite");
    Some(weights::read(&file).expect("valid"))
}

#[test]
fn mobilenet_v2_is_read_block_by_block() {
    let Some(backbone) = mobilenet_v2() else {
        return;
    };
    assert_eq!((backbone.side, backbone.layers.len()), (224, 52));
    assert_eq!(backbone.layers[51].conv.shape, [1280, 320, 1, 1]);
    let linear = backbone.layers.iter().filter(|layer| !layer.relu6);
    assert_eq!(linear.count(), 17, "one per block");
    let adds = backbone.layers.iter().enumerate();
    let adds: Vec<_> = adds
        .filter_map(|(n, layer)| Some((n, layer.add?)))
        .collect();
    assert_eq!(adds.len(), 10);
    // The input of a block is the output of the projection before it.
    assert!(
        adds.iter().all(|(number, add)| number - add == 3),
        "{adds:?}"
    );
    assert_eq!(adds[0], (8, 5));
}
