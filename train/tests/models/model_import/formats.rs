//! Trunks and file formats.

use boxcam_train::import::{Imported, Scaling};
use boxcam_train::onnx;
use boxcam_train::quantize::{self, Range, WeightScales};
use tract_onnx::pb;

use super::integers::Integers;
use super::network::Ssd;
use super::{check, import_bytes, import_file, options, tfjs, tflite};

const NAMES: [&str; 4] = ["cat", "dog", "cow", "pig"];

/// The scaling of the test networks, whose 0 is a channel value: then nothing differs at the borders.
fn scaling() -> Option<Scaling> {
    Some(Scaling::normalized([128.0; 3], [128.0; 3]))
}

#[test]
fn all_trunks_are_read_from_tflite() {
    for ssd in [Ssd::v1(5), Ssd::v2(5), Ssd::v3(5)] {
        for form in [tflite::Form::raw(), tflite::Form::post_processed(4)] {
            let mut options = options(&NAMES);
            options.scaling = scaling();
            let bytes = tflite::write(&ssd, &form);
            let imported = import_bytes(&bytes, &options).unwrap_or_else(|e| panic!("{e}"));
            check(&imported, &ssd, &[1, 2, 3, 4], 2e-4);
        }
    }
}

#[test]
fn half_precision_weights_are_read() {
    let ssd = Ssd::v2(5);
    let form = tflite::Form {
        is_half: true,
        ..tflite::Form::raw()
    };
    let mut options = options(&NAMES);
    options.scaling = scaling();
    let imported = import_bytes(&tflite::write(&ssd, &form), &options).expect("reads");
    // Weights have 11 bits.
    check(&imported, &ssd, &[1, 2, 3, 4], 0.02);
}

#[test]
fn tensorflow_js_is_read_with_norms_decoding_and_scaling_in_the_graph() {
    for mut ssd in [Ssd::v1(5), Ssd::v2(5)] {
        // Other scales and another order than TensorFlow's, which only the graph tells.
        ssd.scales = [8.0, 12.0, 4.0, 6.0];
        ssd.order = [2, 0, 1, 3];
        for norms in [false, true] {
            let form = tfjs::Form {
                drops_background: true,
                decodes: true,
                norms,
            };
            let folder = tempfile::tempdir().expect("a folder");
            let path = tfjs::write(folder.path(), &ssd, form);
            let imported = import_file(&path, &options(&NAMES));
            check(&imported, &ssd, &[1, 2, 3, 4], 2e-4);
        }
    }
}

#[test]
fn tensorflow_js_without_decoding_has_tensorflows() {
    let ssd = Ssd::v2(4);
    let form = tfjs::Form {
        drops_background: false,
        decodes: false,
        norms: false,
    };
    let folder = tempfile::tempdir().expect("a folder");
    let imported = import_file(&tfjs::write(folder.path(), &ssd, form), &options(&NAMES));
    check(&imported, &ssd, &[0, 1, 2, 3], 2e-4);
}

#[test]
fn a_file_of_integers_keeps_its_scales() {
    for ssd in [Ssd::v1(5), Ssd::v2(5)] {
        for is_unsigned in [false, true] {
            let integers = Integers::new(&ssd, is_unsigned);
            let form = tflite::Form {
                integers: Some(integers.clone()),
                ..tflite::Form::post_processed(4)
            };
            let bytes = tflite::write(&ssd, &form);
            let imported = import_bytes(&bytes, &options(&NAMES)).unwrap_or_else(|e| panic!("{e}"));
            // In floats, the network that the integers stand for.
            check(&imported, &integers.network, &[1, 2, 3, 4], 1e-3);
            let int8 = int8(&imported);
            check(&int8, &integers.network, &[1, 2, 3, 4], 0.1);
            let (scales, expected) = (activation_scales(&int8.model), &integers.values);
            assert!(scales.len() > 10, "{scales:?}");
            let least = if is_unsigned { 128 } else { 0 };
            for (scale, zero_point) in scales {
                let is_own = |(own, own_zero): &(f32, i64)| {
                    (scale - own).abs() <= 1e-6 * own && i64::from(zero_point) == own_zero - least
                };
                assert!(
                    expected.iter().any(is_own),
                    "{scale}, {zero_point}: {expected:?}"
                );
            }
        }
    }
}

/// The int8 model with the scales of the file, as the command makes it.
fn int8(imported: &Imported) -> Imported {
    let ranges = imported.ranges.iter();
    let ranges = ranges.map(|(name, &[min, max])| (name.clone(), Range { min, max }));
    let model = quantize::quantize(&imported.model, &ranges.collect(), WeightScales::Max);
    let model = model.expect("has all ranges");
    assert_eq!(
        onnx::card(&model).expect("a card").labels.len(),
        NAMES.len()
    );
    Imported {
        model,
        ranges: [].into(),
        notes: Vec::new(),
    }
}

/// Scale and zero point of every activation of an int8 model.
fn activation_scales(model: &pb::ModelProto) -> Vec<(f32, i8)> {
    let graph = model.graph.as_ref().expect("a graph");
    let constant = |name: &str| {
        let found = graph
            .initializer
            .iter()
            .find(|constant| constant.name == name);
        found.expect("a constant").raw_data.as_slice()
    };
    let quantizers = graph
        .node
        .iter()
        .filter(|node| node.op_type == "QuantizeLinear");
    quantizers
        .map(|node| {
            let scale = constant(&node.input[1]).try_into().expect("one float");
            (f32::from_le_bytes(scale), constant(&node.input[2])[0] as i8)
        })
        .collect()
}
