//! `model import`: detectors of the SSD family that the tests build, as TFLite and TensorFlow.js files, give the same
//! scores and boxes in boxcam's form.

mod errors;
mod flatbuffer;
mod formats;
mod integers;
mod network;
mod program;
mod tfjs;
mod tflite;
mod traps;

use std::path::Path;

use boxcam::card::{ModelCard, OBJECT_BOXES_OUTPUT, OBJECT_SCORES_OUTPUT};
use boxcam_train::import::{ImportOptions, Imported, LabelList, ModelImportError, import};
use boxcam_train::onnx;
use fastrand::Rng;
use tract_onnx::pb;
use tract_onnx::prelude::*;

use network::{ANCHORS, Rows, SIDE, Ssd};

/// Names in the order of the outputs; "???" for one without.
fn labels(names: &[&str]) -> LabelList {
    let name = |name: &&str| (*name != "???").then(|| (*name).to_owned());
    LabelList::Ordered(names.iter().map(name).collect())
}

fn options(names: &[&str]) -> ImportOptions {
    ImportOptions::new("test", labels(names))
}

fn import_bytes(bytes: &[u8], options: &ImportOptions) -> Result<Imported, ModelImportError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ssd.tflite");
    std::fs::write(&path, bytes).expect("written");
    import(&path, options)
}

fn import_file(path: &Path, options: &ImportOptions) -> Imported {
    import(path, options).unwrap_or_else(|error| panic!("{error}"))
}

/// An image of random pixels.
fn pixels(seed: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(seed);
    (0..SIDE * SIDE * 3).map(|_| random.u8(..)).collect()
}

/// What tract computes of an imported model: scores of the kept classes, and boxes.
fn run(model: &pb::ModelProto, pixels: &[u8]) -> (ModelCard, Rows) {
    let card = onnx::card(model).expect("a card");
    let input = &card.input;
    assert_eq!((input.width, input.height), (SIDE as u32, SIDE as u32));
    let scaled = |channel: usize| {
        let of_channel = pixels.iter().skip(channel).step_by(3);
        of_channel.map(|&value| input.normalized(value))
    };
    let image: Vec<f32> = (0..3).flat_map(scaled).collect();
    let names: Vec<&str> = model
        .graph
        .iter()
        .flat_map(|graph| &graph.output)
        .map(|o| o.name.as_str())
        .collect();
    assert_eq!(names, [OBJECT_SCORES_OUTPUT, OBJECT_BOXES_OUTPUT]);
    let runnable = onnx()
        .parse(model, None)
        .and_then(|parsed| parsed.model.into_optimized())
        .and_then(TypedModel::into_runnable)
        .expect("tract runs it");
    let image = Tensor::from_shape(&[1, 3, SIDE, SIDE], &image).expect("an image");
    let outputs = runnable.run(tvec!(image.into())).expect("runs");
    let values = |output: usize, width: usize| -> Vec<f32> {
        assert_eq!(outputs[output].shape(), [1, ANCHORS, width]);
        let view = outputs[output]
            .to_plain_array_view::<f32>()
            .expect("floats");
        view.iter().copied().collect()
    };
    let rows = Rows {
        scores: values(0, card.labels.len())
            .chunks_exact(card.labels.len())
            .map(<[f32]>::to_vec)
            .collect(),
        boxes: values(1, 4).as_chunks().0.to_vec(),
    };
    (card, rows)
}

/// Compares an imported model with the network: `columns` are the outputs of its labels.
fn check(imported: &Imported, ssd: &Ssd, columns: &[usize], tolerance: f32) {
    for seed in [5, 6] {
        let pixels = pixels(seed);
        let expected = ssd.rows(&pixels);
        let (card, found) = run(&imported.model, &pixels);
        assert_eq!(card.labels.len(), columns.len());
        for anchor in 0..ANCHORS {
            for (class, &column) in columns.iter().enumerate() {
                let (found, expected) =
                    (found.scores[anchor][class], expected.scores[anchor][column]);
                assert!(
                    (found - expected).abs() <= tolerance,
                    "anchor {anchor}, column {column}: {found}, {expected}"
                );
            }
            for (found, expected) in found.boxes[anchor].iter().zip(expected.boxes[anchor]) {
                assert!(
                    (found - expected).abs() <= tolerance,
                    "box {anchor}: {found}, {expected}"
                );
            }
        }
        // The network does not say the same of everything.
        let scores = expected.scores.iter().flatten();
        let (least, most) = scores.fold((1.0f32, 0.0f32), |(least, most), s| {
            (least.min(*s), most.max(*s))
        });
        assert!(most - least > 0.2, "{least} to {most}");
    }
}
