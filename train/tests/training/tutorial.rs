//! The tutorial of `train/README.md`: `fit` on images with boxes in COCO's format.
#![allow(
    clippy::print_stderr,
    reason = "shows what was measured with --nocapture"
)]

use std::collections::BTreeMap;
use std::path::Path;

use boxcam::dataset::Dataset;
use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::evaluate::Evaluator;
use image::GenericImageView;
use serde_json::{Value, json};

use crate::common::{succeed, succeed_saying, text};

/// The least metrics that the tutorial states.
const ACCURACY: f64 = 0.9;
const IOU: f64 = 0.75;

/// A split of ours as COCO has it: all pictures in one folder, boxes in pixels.
fn as_coco(from: &Path, to: &Path) {
    let split = Dataset::read(&from.join("train"), &from.join("annotations-train.csv"));
    let split = split.expect("just drawn");
    std::fs::create_dir_all(to.join("images")).expect("made");
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    let (mut images, mut annotations) = (Vec::new(), Vec::<Value>::new());
    for (id, picture) in split.pictures.iter().enumerate() {
        let (width, height) = image::open(&picture.path).expect("readable").dimensions();
        let name = format!("{id}.jpg");
        std::fs::copy(&picture.path, to.join("images").join(&name)).expect("copied");
        images.push(json!({"id": id, "file_name": name, "width": width, "height": height}));
        for row in &picture.annotations {
            let next = classes.len();
            let class = *classes.entry(row.class_name.clone()).or_insert(next);
            let [x_min, x_max, y_min, y_max] = row.bounding_box.corners();
            let (across, down) = (width as f32, height as f32);
            let pixels = [
                x_min * across,
                y_min * down,
                (x_max - x_min) * across,
                (y_max - y_min) * down,
            ];
            annotations.push(json!({
                "id": annotations.len(), "image_id": id, "category_id": class, "bbox": pixels,
            }));
        }
    }
    let named = classes
        .into_iter()
        .map(|(name, id)| json!({"id": id, "name": name}));
    let coco = json!({
        "images": images, "annotations": annotations, "categories": named.collect::<Vec<_>>(),
    });
    std::fs::write(to.join("instances.json"), coco.to_string()).expect("written");
}

#[test]
fn fit_makes_a_model_from_a_coco_data_set() {
    let _alone = crate::common::train_alone();
    let folder = tempfile::tempdir().expect("a folder");
    let (drawn, mine) = (folder.path().join("drawn"), folder.path().join("mine"));
    let coco = folder.path().join("coco");
    succeed(&[
        "data",
        "synthesize",
        "--output",
        text(&drawn),
        "--train",
        "360",
        "--val",
        "20",
    ]);
    as_coco(&drawn, &coco);
    let arguments = [
        "fit",
        text(&coco),
        "--output",
        text(&mine),
        "--input-size",
        "192",
        "--name",
        "mine",
    ];
    let (_, words) = succeed_saying(&arguments);
    assert!(words.contains("training takes about"), "{words}");
    assert!(words.contains("boxcam run --source camera"), "{words}");

    let model = mine.join("boxcam.onnx");
    let detector = TractDetector::from_file(&model).expect("loads");
    let card = detector.card();
    assert_eq!(card.name, "mine");
    // The confidence is calibrated, and the threshold chosen, on images that were not trained on.
    let calibration = &card.training.calibration;
    eprintln!("{calibration}");
    assert!(
        calibration.contains("confidence: temperature"),
        "{calibration}"
    );
    assert!(calibration.contains("threshold 0."), "{calibration}");
    let read = |name: &str| {
        let csv = mine.join(format!("data/annotations-{name}.csv"));
        Dataset::read(&mine.join("data").join(name), &csv).expect("sound")
    };
    let (train, development) = (
        read("train").pictures.len(),
        read("development").pictures.len(),
    );
    assert!(
        development >= 20 && development * 4 <= train,
        "{development} beside {train}"
    );
    let data = mine.join("data");
    let split = Dataset::read(&data.join("val"), &data.join("annotations-val.csv")).expect("sound");
    let (evaluation, faults) = Evaluator::new(&detector, 2, &|| ())
        .evaluate(&split)
        .expect("runs");
    assert!(faults.is_empty());
    let figures = evaluation.metrics();
    eprintln!(
        "class accuracy {:.3}, mean IoU {:.3}",
        figures.class_accuracy, figures.mean_iou
    );
    assert!(
        figures.boxes >= 50,
        "a fifth of the pictures: {}",
        figures.boxes
    );
    assert!(
        figures.class_accuracy >= ACCURACY,
        "{}",
        figures.class_accuracy
    );
    assert!(figures.mean_iou >= IOU, "{}", figures.mean_iou);
}
