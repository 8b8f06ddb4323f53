//! `fit` keeps a development part of the training images apart, calibrates the confidence of the int8 model on it and chooses the
//! threshold; with too few images it keeps the defaults and says so.

mod common;

use std::path::Path;

use boxcam::card::ModelCard;
use boxcam::dataset::Dataset;
use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::evaluate::Evaluator;
use boxcam::scene;
use serde_json::Value;

use common::{fail, succeed, succeed_saying, text};

fn synthesize(folder: &Path, count: &str) {
    let count = ["--train", count, "--val", "40"];
    succeed(
        &[
            &["data", "synthesize", "--output", text(folder)],
            &count[..],
        ]
        .concat(),
    );
}

/// The arguments of a `fit` that takes seconds; the model is of no use.
fn fit<'a>(data: &'a Path, output: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let quick = [
        "--input-size",
        "32",
        "--epochs",
        "2",
        "--set",
        "cached_augmentations=1",
        "--set",
        "synthetic_negatives=0",
        "--set",
        "negative_crops=0",
    ];
    [
        &["fit", text(data), "--output", text(output)],
        &quick[..],
        more,
    ]
    .concat()
}

fn card(output: &Path) -> ModelCard {
    let model = TractDetector::from_file(&output.join("boxcam.onnx")).expect("loads");
    model.card().clone()
}

fn confidence(output: &Path) -> Value {
    let json = std::fs::read(output.join("run/confidence.json")).expect("written");
    serde_json::from_slice(&json).expect("JSON")
}

fn split(output: &Path, name: &str) -> Dataset {
    let data = output.join("data");
    let csv = data.join(format!("annotations-{name}.csv"));
    Dataset::read(&data.join(name), &csv).expect("sound")
}

#[test]
fn fit_calibrates_on_a_development_part_and_a_given_threshold_wins() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, output) = (folder.path().join("scenes"), folder.path().join("mine"));
    synthesize(&data, "260");
    let (said, _) = succeed_saying(&fit(&data, &output, &[]));
    let (train, development) = (split(&output, "train"), split(&output, "development"));
    let count = development.pictures.len();
    assert!((26..=60).contains(&count), "{count} of 260");
    assert_eq!(train.pictures.len() + count, 260);
    assert_eq!(
        split(&output, "val").pictures.len(),
        40,
        "none of validation"
    );

    // What is reported is what the file's own outputs give.
    let report = confidence(&output);
    assert_eq!(report["development"], count);
    assert_eq!(report["negatives"], "crops");
    let chosen = &report["threshold"]["chosen"];
    let detector = TractDetector::from_file(&output.join("boxcam.onnx")).expect("loads");
    let card = detector.card();
    assert_eq!(
        chosen["threshold"].as_f64().map(|t| t as f32),
        Some(card.threshold)
    );
    let predictions = Evaluator::new(&detector, 2, &|| ()).predict(&development);
    let predictions = predictions.expect("runs").pictures;
    let correct = predictions.iter().filter(|(picture, prediction)| {
        let found = prediction.detection(card.threshold);
        found.is_some_and(|found| card.labels.name(found.class) == Some(&picture.folder))
    });
    let recall = correct.count() as f64 / count as f64;
    assert_eq!(chosen["recall"].as_f64(), Some(recall));
    for words in ["confidence: temperature", "threshold 0."] {
        assert!(said.contains(words), "{said}");
        assert!(card.training.calibration.contains(words));
    }
    let page = std::fs::read_to_string(output.join("run/curves/report.html")).expect("written");
    assert!(page.contains("confidence: temperature"));
    for heading in ["What does not", "Which images to take next"] {
        assert!(
            said.contains(&format!("{heading}:\n- ")) && page.contains(heading),
            "{said}"
        );
    }

    // The finished training is not repeated; what follows it gives the same file.
    let model = || std::fs::read(output.join("boxcam.onnx")).expect("written");
    let first = model();
    succeed(&fit(&data, &output, &[]));
    assert!(model() == first, "the same data gives the same file");
    let given = ["--threshold", "0.7"];
    let (said, _) = succeed_saying(&fit(&data, &output, &given));
    assert!(said.contains("threshold 0.70: as given"), "{said}");
    assert_eq!(self::card(&output).threshold, 0.7);

    let walls = folder.path().join("walls");
    std::fs::create_dir(&walls).expect("made");
    let (code, words) = fail(&fit(&data, &output, &["--negatives", text(&walls)]));
    assert!(
        code == 4 && words.contains("no picture is there"),
        "{words}"
    );
    for seed in 0..20 {
        let wall = scene::background(seed, 96, 72);
        wall.save(walls.join(format!("{seed}.png")))
            .expect("written");
    }
    succeed(&fit(&data, &output, &["--negatives", text(&walls)]));
    let report = confidence(&output);
    assert_eq!(report["negatives"], "given");
    assert_eq!(report["threshold"]["chosen"]["negatives"], 20);
}

#[test]
fn with_too_few_images_fit_keeps_the_defaults_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, output) = (folder.path().join("scenes"), folder.path().join("mine"));
    synthesize(&data, "60");
    let (said, words) = succeed_saying(&fit(&data, &output, &[]));
    let expected = "the 60 training images are too few to keep 20 of them apart";
    assert!(words.contains(expected), "{words}");
    assert!(said.contains("confidence: not calibrated"), "{said}");
    assert!(said.contains("threshold 0.40: the default"), "{said}");
    assert!(!output.join("data/development").exists());
    let card = card(&output);
    assert_eq!((card.threshold, card.training.pictures), (0.4, 60));

    let objects = ["--objects-threshold", "0.2"];
    let (code, words) = fail(&fit(&data, &output, &objects));
    assert!(
        code == 2 && words.contains("--objects-threshold has no effect"),
        "{words}"
    );
}
