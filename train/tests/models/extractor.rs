//! Pretrained weights, dequantized, give the same features as numpy and LiteRT.
#![allow(
    clippy::print_stderr,
    reason = "shows what was measured with --nocapture"
)]

use std::path::{Path, PathBuf};

use boxcam::card::ModelCard;
use boxcam::frame::{Frame, Origin};
use boxcam::preprocess::preprocess;
use boxcam_train::features::channels_last;
use boxcam_train::network::Backbone;
use boxcam_train::onnx;
use boxcam_train::weights::{self, BackboneWeights, WeightsError};
use burn::prelude::*;
use image::{Rgb, RgbImage};

/// Scale of LiteRT's output.
const STEP: f32 = 0.023_528_477;

fn near(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The picture that `data/extractor.py` draws.
fn drawing() -> RgbImage {
    let channel = |x: i32, y: i32, a: i32, b: i32, c: i32| {
        let mut value = (a * x + b * y) / 4 % 256;
        if (x - 112).pow(2) + (y - 100).pow(2) < 60 * 60 {
            value = 255 - value / 2;
        }
        if (x - 60).abs() < 12 && y > 40 {
            value = value / 4 + c;
        }
        value as u8
    };
    RgbImage::from_fn(224, 224, |x, y| {
        let (x, y) = (x as i32, y as i32);
        Rgb([
            channel(x, y, 3, 1, 10),
            channel(x, y, 1, 4, 40),
            channel(x, y, 2, 2, 90),
        ])
    })
}

fn card() -> ModelCard {
    let model = onnx::read(&near("../models/snacks.onnx")).expect("readable");
    onnx::card(&model).expect("card")
}

/// The pooled features of the drawing, `[channels]`.
fn pooled(backbone: &BackboneWeights) -> Vec<f32> {
    let device = Device::flex();
    let frame = Frame::new(0, Origin::Live, drawing());
    let mut card = channels_last(&card());
    (card.input.width, card.input.height) = (224, 224);
    let input = preprocess(&frame, &card).expect("preprocessed").to_f32();
    let input = Tensor::from_data(TensorData::new(input, [1, 224, 224, 3]), &device);
    let layers = backbone.layers.len();
    let map = Backbone::new(&backbone.layers, 0, layers, &device).forward(input);
    let [_, height, width, channels] = map.dims();
    let pooled = map.reshape([height * width, channels]).mean_dim(0);
    pooled.into_data().try_into_vec().expect("floats")
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Greatest difference to numpy in floats, and cosine to LiteRT in 8 bits; none where the weights are missing.
fn compared(weights: &str, layers: usize, references: &str) -> Option<(f32, f32)> {
    let file = test_support::data("weights")?.join(weights);
    let backbone = weights::read(&file).expect("readable");
    assert_eq!((backbone.side, backbone.layers.len()), (224, layers));
    let ours = pooled(&backbone);
    let read = |kind: &str| {
        let file = near("tests/data").join(format!("{references}-{kind}.bin"));
        std::fs::read(file).expect("in the repository")
    };
    let floats = read("floats");
    let floats: Vec<f32> = floats
        .as_chunks()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    let litert: Vec<f32> = read("litert")
        .iter()
        .map(|&q| f32::from(q) * STEP)
        .collect();
    assert_eq!((floats.len(), litert.len()), (ours.len(), ours.len()));
    let off = ours.iter().zip(&floats).map(|(a, b)| (a - b).abs());
    let max_difference = off.fold(0.0, f32::max);
    let similarity = cosine(&ours, &litert);
    println!(
        "{weights}: largest difference to numpy {max_difference:.6}, cosine similarity to LiteRT {similarity:.4}"
    );
    Some((max_difference, similarity))
}

#[test]
fn mobilenet_v1_features_equal_numpy_and_litert() {
    let weights = "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite";
    let Some((max_difference, similarity)) = compared(weights, 27, "extractor") else {
        return;
    };
    assert!(max_difference < 1e-4, "{max_difference}");
    // Int8 rounding accumulates over 27 layers; a misplaced layer gives a cosine below 0.5.
    assert!(similarity > COSINE, "{similarity}");
}

#[test]
fn mobilenet_v2_features_equal_numpy_and_litert() {
    let weights = "mobilenet_v2_1.0_224_quant.tflite";
    let Some((max_difference, similarity)) = compared(weights, 52, "extractor-v2") else {
        return;
    };
    assert!(max_difference < 1e-4, "{max_difference}");
    assert!(similarity > COSINE_V2, "{similarity}");
}

/// Lower bounds of the cosine similarity; never lower them. Int8 with one scale per tensor costs the deeper network more.
const COSINE: f32 = 0.994;
const COSINE_V2: f32 = 0.985;

#[test]
fn every_width_of_mobilenet_v1_is_read() {
    let Some(folder) = test_support::data("weights") else {
        return;
    };
    let truncated = tempfile::NamedTempFile::new().expect("temporary file");
    for (width, side, channels) in [("0.25", 128, 256), ("0.5", 160, 512), ("0.75", 192, 768)] {
        let file = folder.join(format!("mobilenet_v1_{width}_{side}_quant.tflite"));
        let backbone = weights::read(&file).expect("readable");
        assert_eq!((backbone.side, backbone.layers.len()), (side, 27));
        assert_eq!(backbone.layers[26].conv.shape[0], channels);
        // A truncated file may be readable or not, but must not panic.
        let bytes = std::fs::read(&file).expect("readable");
        for length in (0..bytes.len()).step_by(bytes.len() / 23) {
            std::fs::write(&truncated, &bytes[..length]).expect("written");
            let _ = weights::read(truncated.path());
        }
    }
}

#[test]
fn the_backbone_of_the_model_that_ships_is_read() {
    let backbone = weights::read(&near("../models/snacks.onnx")).expect("readable");
    assert_eq!((backbone.side, backbone.layers.len()), (288, 52));
    assert_eq!(backbone.layers[0].conv.shape, [32, 3, 3, 3]);
    assert_eq!(
        (
            backbone.layers[1].conv.groups,
            backbone.layers[4].conv.stride
        ),
        (32, 2)
    );
    assert!(pooled(&backbone).iter().any(|&feature| feature > 0.1));
}

#[test]
fn files_without_weights_are_errors() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("weights");
    let cases: [(&[u8], bool); 4] = [
        (b"", true),
        (b"no weights at all", true),
        (b"\x20\0\0\0TFL3 and then nothing", true),
        (&[0x08, 0x08], true),
    ];
    for (bytes, broken) in cases {
        std::fs::write(&file, bytes).expect("written");
        let error = weights::read(&file).expect_err("an error");
        assert_eq!(
            matches!(error, WeightsError::Broken { .. }),
            broken,
            "{error}"
        );
        assert!(
            error.to_string().contains("weights: not a complete"),
            "{error}"
        );
    }
}
