//! The weights that training starts from, dequantised, compute what another engine computes with them.

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

/// One step of LiteRT's output.
const STEP: f32 = 0.023_528_477;

fn near(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The picture of `data/extractor.py`.
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
    let model = onnx::read(&near("../models/snacks.onnx")).expect("ships with the sources");
    onnx::card(&model).expect("has one")
}

/// The pooled features of the drawing, `[channels]`.
fn pooled(trunk: &BackboneWeights) -> Vec<f32> {
    let device = Device::flex();
    let frame = Frame::new(0, Origin::Live, drawing());
    let mut card = channels_last(&card());
    (card.input.width, card.input.height) = (224, 224);
    let input = preprocess(&frame, &card).expect("has pixels").to_f32();
    let input = Tensor::from_data(TensorData::new(input, [1, 224, 224, 3]), &device);
    let layers = trunk.layers.len();
    let map = Backbone::new(&trunk.layers, 0, layers, &device).forward(input);
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
    let trunk = weights::read(&file).expect("sound");
    assert_eq!((trunk.side, trunk.layers.len()), (224, layers));
    let ours = pooled(&trunk);
    let read = |kind: &str| {
        let file = near("tests/data").join(format!("{references}-{kind}.bin"));
        std::fs::read(file).expect("committed")
    };
    let floats = read("floats");
    let words = floats.chunks_exact(4);
    let floats: Vec<f32> = words
        .map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]]))
        .collect();
    let litert: Vec<f32> = read("litert")
        .iter()
        .map(|&q| f32::from(q) * STEP)
        .collect();
    assert_eq!((floats.len(), litert.len()), (ours.len(), ours.len()));
    let off = ours.iter().zip(&floats).map(|(a, b)| (a - b).abs());
    let greatest = off.fold(0.0, f32::max);
    let alike = cosine(&ours, &litert);
    eprintln!(
        "{weights}: greatest difference to numpy in floats {greatest:.6}, cosine to LiteRT in 8 bits {alike:.4}"
    );
    Some((greatest, alike))
}

#[test]
fn the_dequantised_extractor_says_what_others_say() {
    let weights = "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite";
    let Some((greatest, alike)) = compared(weights, 27, "extractor") else {
        return;
    };
    assert!(greatest < 1e-4, "{greatest}");
    // 27 layers deep, 8 bits leave their mark; a layer out of place gives a cosine below 0.5.
    assert!(alike > COSINE, "{alike}");
}

#[test]
fn a_trunk_with_residual_blocks_says_what_others_say() {
    let weights = "mobilenet_v2_1.0_224_quant.tflite";
    let Some((greatest, alike)) = compared(weights, 52, "extractor-v2") else {
        return;
    };
    assert!(greatest < 1e-4, "{greatest}");
    assert!(alike > COSINE_V2, "{alike}");
}

/// Floors, raised when beaten, never lowered. Eight bits with one scale a tensor cost the deeper net more.
const COSINE: f32 = 0.994;
const COSINE_V2: f32 = 0.985;

#[test]
fn every_width_of_mobilenet_v1_is_read() {
    let Some(folder) = test_support::data("weights") else {
        return;
    };
    for (width, side, channels) in [("0.25", 128, 256), ("0.5", 160, 512), ("0.75", 192, 768)] {
        let file = folder.join(format!("mobilenet_v1_{width}_{side}_quant.tflite"));
        let trunk = weights::read(&file).expect("sound");
        assert_eq!((trunk.side, trunk.layers.len()), (side, 27));
        assert_eq!(trunk.layers[26].conv.shape[0], channels);
    }
}

#[test]
fn the_trunk_of_the_model_that_ships_can_be_started_from() {
    let trunk = weights::read(&near("../models/snacks.onnx")).expect("sound");
    assert_eq!((trunk.side, trunk.layers.len()), (288, 52));
    assert_eq!(trunk.layers[0].conv.shape, [32, 3, 3, 3]);
    assert_eq!(
        (trunk.layers[1].conv.groups, trunk.layers[4].conv.stride),
        (32, 2)
    );
    assert!(pooled(&trunk).iter().any(|&feature| feature > 0.1));
}

#[test]
fn what_is_no_trunk_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("weights");
    let cases: [(&[u8], bool); 4] = [
        (b"", true),
        (b"no weights at all", true),
        (b"\x20\0\0\0TFL3 and then nothing", true),
        (&[0x08, 0x08], true),
    ];
    for (bytes, broken) in cases {
        std::fs::write(&file, bytes).expect("written");
        let error = weights::read(&file).expect_err("refused");
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
