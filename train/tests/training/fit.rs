//! `fit` keeps a development part of the training images apart, calibrates the confidence of the int8 model on it and chooses the
//! threshold; with too few images it keeps the defaults and says so.

use std::path::Path;

use boxcam::card::ModelCard;
use boxcam::dataset::Dataset;
use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::evaluate::Evaluator;
use boxcam::scene;
use image::Rgb;
use serde_json::Value;

use crate::common::{fail, succeed, succeed_saying, text};

/// Of a drawn image, in pixels; beside each square there is room for a part without a box.
const WIDTH: u32 = 300;
const HEIGHT: u32 = 120;

/// A data set of red and blue squares on drawn backgrounds: so many of each for training, twelve for validation.
fn draw(folder: &Path, count: u64) {
    let random = &mut fastrand::Rng::with_seed(3);
    for (split, count) in [("train", count), ("val", 12)] {
        let mut rows = "image_id,x_min,x_max,y_min,y_max,class_name,folder\n".to_owned();
        for (class, color) in [("blue", [30, 30, 240]), ("red", [240, 30, 30])] {
            let images = folder.join(split).join(class);
            std::fs::create_dir_all(&images).expect("made");
            for id in 0..count {
                let mut image = scene::background(random.u64(..), WIDTH, HEIGHT);
                let side = random.u32(80..110);
                let (x, y) = (random.u32(0..80), random.u32(0..HEIGHT - side));
                for (dx, dy) in (0..side * side).map(|at| (at % side, at / side)) {
                    image.put_pixel(x + dx, y + dy, Rgb(color));
                }
                image
                    .save(images.join(format!("{id}.png")))
                    .expect("written");
                let share = |at: u32, of: u32| at as f32 / of as f32;
                rows += &format!(
                    "{id},{},{},{},{},{class},{class}\n",
                    share(x, WIDTH),
                    share(x + side, WIDTH),
                    share(y, HEIGHT),
                    share(y + side, HEIGHT)
                );
            }
        }
        let csv = folder.join(format!("annotations-{split}.csv"));
        std::fs::write(csv, rows).expect("written");
    }
}

/// The arguments of a `fit` that takes seconds.
fn fit<'a>(data: &'a Path, output: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let quick = [
        "--input-size",
        "32",
        "--epochs",
        "6",
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
fn fit_calibrates_on_a_development_part_of_the_training_images() {
    let _alone = crate::common::train_alone();
    let folder = tempfile::tempdir().expect("a folder");
    let (data, output) = (folder.path().join("squares"), folder.path().join("mine"));
    draw(&data, 65);
    let (said, _) = succeed_saying(&fit(&data, &output, &[]));
    let (train, development) = (split(&output, "train"), split(&output, "development"));
    // Images that look nearly alike those of validation are left out.
    let trained = train.pictures.len();
    assert!((100..=110).contains(&trained), "{trained}");
    assert_eq!(development.pictures.len(), 20);
    assert_eq!(
        split(&output, "val").pictures.len(),
        24,
        "none of validation"
    );

    // What is reported is what the file's own outputs give.
    let report = confidence(&output);
    assert_eq!(
        (&report["train"], &report["development"]),
        (&trained.into(), &20.into())
    );
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
    let recall = correct.count() as f64 / 20.0;
    assert!(recall > 0.0, "{said}");
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
    // The finished training is not repeated; the same images give the same temperature.
    succeed(&fit(&data, &output, &["--negatives", text(&walls)]));
    let again = confidence(&output);
    assert_eq!(again["temperature"], report["temperature"]);
    assert_eq!(again["negatives"], "given");
    assert_eq!(again["threshold"]["chosen"]["negatives"], 20);
}

#[test]
fn with_too_few_images_fit_keeps_the_defaults_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, output) = (folder.path().join("squares"), folder.path().join("mine"));
    draw(&data, 16);
    let (said, words) = succeed_saying(&fit(&data, &output, &[]));
    let expected = "the 32 training images are too few to keep 20 of them apart";
    assert!(words.contains(expected), "{words}");
    assert!(said.contains("confidence: not calibrated"), "{said}");
    assert!(said.contains("threshold 0.40: the default"), "{said}");
    assert!(!output.join("data/development").exists());
    let first = card(&output);
    assert_eq!((first.threshold, first.training.pictures), (0.4, 32));

    let (said, _) = succeed_saying(&fit(&data, &output, &["--threshold", "0.7"]));
    assert!(said.contains("threshold 0.70: as given"), "{said}");
    assert_eq!(card(&output).threshold, 0.7);
    let objects = ["--objects-threshold", "0.2"];
    let (code, words) = fail(&fit(&data, &output, &objects));
    assert!(
        code == 2 && words.contains("--objects-threshold has no effect"),
        "{words}"
    );
}
