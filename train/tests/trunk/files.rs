//! From file to file a trunk stays what it is.

use std::path::Path;
use std::process::Command;

use boxcam::card::ModelCard;
use boxcam::label::Labels;
use boxcam_train::model::Model;
use boxcam_train::onnx;
use boxcam_train::recipe::Recipe;
use boxcam_train::weights::{self, BackboneWeights, WeightsError};
use burn::prelude::Device;

use crate::made_up::{card, flags, in_floats, inputs, int8, made_up, model, written};

/// Greatest difference between two trunks' weights, as a share of their channel's greatest.
fn difference(a: &BackboneWeights, b: &BackboneWeights) -> f32 {
    let mut greatest = 0.0f32;
    for (a, b) in a.layers.iter().zip(&b.layers) {
        assert_eq!(a.conv.shape, b.conv.shape);
        let each = a.conv.weights.len() / a.conv.shape[0];
        let channels = a.conv.weights.chunks(each).zip(b.conv.weights.chunks(each));
        for (a, b) in channels {
            let top = a.iter().fold(f32::MIN_POSITIVE, |top, w| top.max(w.abs()));
            let off = a.iter().zip(b).map(|(a, b)| (a - b).abs() / top);
            greatest = off.fold(greatest, f32::max);
        }
    }
    greatest
}

#[test]
fn a_float_model_gives_its_trunk_back() {
    let trunk = made_up(64);
    let found = written(&model(&trunk));
    assert_eq!((found.side, found.layers), (trunk.side, trunk.layers));
}

#[test]
fn a_training_of_the_same_classes_goes_on_with_the_heads() {
    let float = model(&made_up(64));
    let given = written(&float);
    let device = Device::flex();
    device.seed(99);
    let goes_on = |labels: &Labels, hidden| {
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
    let others = Labels::new(vec!["pear".to_owned(), "plum".to_owned()]).expect("sound");
    for input in inputs(&card(64), 3) {
        let [scores, corners] = in_floats(&float, &input);
        let taken = in_floats(&goes_on(&same, 32), &input);
        assert_eq!(taken, [scores.clone(), corners.clone()]);
        let fresh = in_floats(&goes_on(&others, 32), &input);
        assert!(fresh[0] != scores && fresh[1] != corners, "{fresh:?}");
        // A box head of another shape starts anew, the class head does not.
        let half = in_floats(&goes_on(&same, 16), &input);
        assert!(half[0] == scores && half[1] != corners, "{half:?}");
    }
}

#[test]
fn an_int8_model_gives_its_trunk_back_to_half_a_step() {
    let trunk = made_up(64);
    let float = model(&trunk);
    let found = written(&int8(&float, &inputs(&card(64), 4)));
    assert_eq!(flags(&found), flags(&trunk));
    let off = difference(&trunk, &found);
    assert!(off <= 0.51 / 127.0, "{off}");
}

#[test]
fn a_trunk_in_half_precision_is_half_as_large_and_nearly_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let trunk = made_up(64);
    let float = model(&trunk);
    let source = folder.path().join("float.onnx");
    let half = folder.path().join("trunk.onnx");
    onnx::write(&source, &float).expect("written");
    let done = Command::new(env!("CARGO_BIN_EXE_boxcam-train"))
        .args(["model", "export-backbone"])
        .args([&source, Path::new("--output"), &half])
        .status();
    assert!(done.expect("starts").success());
    let found = weights::read(&half).expect("read back");
    assert_eq!(found.side, 64);
    assert_eq!(flags(&found), flags(&trunk));
    // 11 bits of significand.
    let off = difference(&trunk, &found);
    assert!(off > 0.0 && off <= 1.0 / 2048.0, "{off}");
    let card = onnx::card(&onnx::read(&half).expect("sound")).expect("has one");
    assert_eq!(card.training.credits, "nobody");
    assert!(card.figures.is_empty() && card.golden.is_empty());
    let twice = weights::half_precision(&found, &card).expect("fits");
    assert_eq!(written(&twice), found, "what is rounded stays as it is");
    let numbers: usize = trunk
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
fn a_weight_that_half_precision_has_no_place_for_is_named() {
    let mut trunk = made_up(64);
    trunk.layers[3].conv.bias[2] = 70_000.0;
    let error = weights::half_precision(&trunk, &card(64)).expect_err("refused");
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
    Some(weights::read(&file).expect("sound"))
}

#[test]
fn mobilenet_v2_is_read_block_by_block() {
    let Some(trunk) = mobilenet_v2() else { return };
    assert_eq!((trunk.side, trunk.layers.len()), (224, 52));
    assert_eq!(trunk.layers[51].conv.shape, [1280, 320, 1, 1]);
    let linear = trunk.layers.iter().filter(|layer| !layer.relu6);
    assert_eq!(linear.count(), 17, "one a block");
    let adds = trunk.layers.iter().enumerate();
    let adds: Vec<_> = adds
        .filter_map(|(n, layer)| Some((n, layer.add?)))
        .collect();
    assert_eq!(adds.len(), 10);
    // The input of a block is what the projection before it puts out.
    assert!(
        adds.iter().all(|(number, add)| number - add == 3),
        "{adds:?}"
    );
    assert_eq!(adds[0], (8, 5));
}
