//! From a data set through training and quantization to metrics of boxcam's detector. Starts from the backbone of the
//! model that ships, so it needs no external files.
#![allow(
    clippy::print_stderr,
    reason = "shows what was measured with --nocapture"
)]

use std::path::Path;
use std::process::Command;

use boxcam::dataset::Dataset;
use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::evaluate::{Evaluator, Metrics};

use crate::common::{boxcam_train, fail, model_that_ships, succeed, text};

fn figures(model: &Path, data: &Path) -> Metrics {
    let split = Dataset::read(&data.join("val"), &data.join("annotations-val.csv")).expect("sound");
    let detector = TractDetector::from_file(model).expect("loads");
    let (evaluation, faults) = Evaluator::new(&detector, 2, &|| ())
        .evaluate(&split)
        .expect("runs");
    assert!(faults.is_empty());
    evaluation.metrics()
}

#[test]
fn a_model_is_trained_and_quantized_on_synthetic_scenes() {
    let _alone = crate::common::train_alone();
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let run = folder.path().join("run");
    let int8 = folder.path().join("int8.onnx");
    succeed(&[
        "data",
        "synthesize",
        "--output",
        text(&data),
        "--train",
        "480",
        "--val",
        "120",
    ]);
    let said = succeed(&[
        "train",
        "run",
        "--data",
        text(&data),
        "--weights",
        text(&model_that_ships()),
        "--run",
        text(&run),
        "--input-size",
        "128",
        "--epochs",
        "8",
        "--set",
        "cached_augmentations=2",
        "--set",
        "synthetic_negatives=32",
        "--name",
        "scenes",
    ]);
    assert_eq!(
        said.lines().count(),
        2 + 8,
        "a header and a line an epoch: {said}"
    );
    let history = std::fs::read_to_string(run.join("history.csv")).expect("written");
    assert_eq!(history.lines().count(), 1 + 8);
    let float = run.join("float.onnx");
    let said = succeed(&[
        "model",
        "quantize",
        "--calibration",
        "mse",
        "--weight-scales",
        "max",
        "--bias-correction",
        "true",
        "--model",
        text(&float),
        "--data",
        text(&data),
        "--calibration-images",
        "12",
        "--output",
        text(&int8),
    ]);
    assert!(said.contains("quantization costs"), "{said}");

    let found = figures(&int8, &data);
    eprintln!(
        "class accuracy {:.3}, mean IoU {:.3}",
        found.class_accuracy, found.mean_iou
    );
    assert!(found.class_accuracy >= ACCURACY, "{}", found.class_accuracy);
    assert!(found.mean_iou >= IOU, "{}", found.mean_iou);

    let detector = TractDetector::from_file(&int8).expect("loads");
    let card = detector.card();
    assert_eq!((card.name.as_str(), card.labels.len()), ("scenes", 20));
    assert!((card.figures["mean_iou"] - found.mean_iou).abs() < 1e-9);
    let size = |path: &Path| std::fs::metadata(path).expect("there").len();
    assert!(
        size(&int8) * 3 < size(&float),
        "int8 is a quarter of float, and a little"
    );
    let shown = succeed(&["model", "card", text(&int8)]);
    assert!(shown.contains("\"name\": \"scenes\""), "{shown}");
}

/// Floors, raised when beaten, never lowered.
const ACCURACY: f64 = 0.95;
const IOU: f64 = 0.7;

#[test]
fn unusable_input_is_reported_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let run = folder.path().join("run");
    succeed(&[
        "data",
        "synthesize",
        "--output",
        text(&data),
        "--train",
        "4",
        "--val",
        "4",
    ]);
    let train = |data: &Path, weights: &Path| {
        let paths = [
            "--data",
            text(data),
            "--weights",
            text(weights),
            "--run",
            text(&run),
        ];
        fail(
            &[
                &["train", "run"],
                &paths[..],
                &["--set", "synthetic_negatives=0"],
                &["--set", "negative_crops=0"],
            ]
            .concat(),
        )
    };
    let weights = model_that_ships();

    let (code, words) = train(&folder.path().join("nowhere"), &weights);
    assert!(
        code == 4 && words.contains("nowhere/annotations-train.csv"),
        "{code} {words}"
    );

    let (code, words) = train(&data, &folder.path().join("no.tflite"));
    assert!(
        code == 3 && words.contains("no.tflite: can't be read"),
        "{code} {words}"
    );

    let cut = folder.path().join("cut.onnx");
    let whole = std::fs::read(&weights).expect("there");
    std::fs::write(&cut, &whole[..whole.len() / 2]).expect("written");
    let (code, words) = train(&data, &cut);
    assert!(
        code == 3 && words.contains("cut.onnx: not a complete"),
        "{code} {words}"
    );

    let (code, words) = train(&data, &weights);
    assert!(
        code == 1 && words.contains("4 samples are too few"),
        "{code} {words}"
    );
    assert!(
        !run.exists(),
        "a training that did not start writes nothing"
    );

    let int8 = folder.path().join("int8.onnx");
    let paths = [
        "--data",
        text(&data),
        "--model",
        text(&weights),
        "--output",
        text(&int8),
    ];
    let (code, words) = fail(&[&["model", "quantize"], &paths[..]].concat());
    assert!(
        code == 3 && words.contains("has no constant weights"),
        "{code} {words}"
    );
    assert!(!int8.exists(), "an int8 model cannot be quantized");

    let csv = data.join("annotations-train.csv");
    let rows = std::fs::read_to_string(&csv).expect("there");
    std::fs::write(&csv, rows.replace("y_max", "ymax")).expect("written");
    let (code, words) = train(&data, &weights);
    assert!(
        code == 4 && words.contains("no column \"y_max\""),
        "{code} {words}"
    );
}

#[test]
fn the_baseline_recipe_is_trained_calibrated_and_quantized() {
    let _alone = crate::common::train_alone();
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let run = folder.path().join("run");
    let int8 = folder.path().join("int8.onnx");
    succeed(&[
        "data",
        "synthesize",
        "--output",
        text(&data),
        "--train",
        "96",
        "--val",
        "40",
    ]);
    let weights = model_that_ships();
    let paths = [
        "--data",
        text(&data),
        "--weights",
        text(&weights),
        "--run",
        text(&run),
    ];
    succeed(
        &[
            &["train", "run"],
            &paths[..],
            &[
                "--recipe",
                "baseline",
                "--input-size",
                "128",
                "--epochs",
                "6",
            ],
        ]
        .concat(),
    );
    let float = run.join("float.onnx");
    let history = std::fs::read_to_string(run.join("history.csv")).expect("written");
    let last = history.lines().last().expect("has lines");
    let said: Vec<f64> = last
        .split(',')
        // Of a model without objects, their figure is empty.
        .filter(|field| !field.is_empty())
        .map(|f| f.parse().expect("numbers"))
        .collect();
    let found = figures(&float, &data);
    // The last two numbers. The framework and the exported graph compute the same network.
    assert!(
        (said[8] - found.class_accuracy).abs() < 0.03,
        "{last}: {found:?}"
    );
    assert!(
        (said[9] - found.mean_iou).abs() < 0.003,
        "{last}: {found:?}"
    );
    let tempered = folder.path().join("tempered.onnx");
    let to = |output| {
        [
            "--data",
            text(&data),
            "--model",
            text(&float),
            "--output",
            output,
        ]
    };
    let said = succeed(&[&["eval", "calibrate"], &to(text(&tempered))[..]].concat());
    // The confidence changes, the top class and the box do not.
    let after = figures(&tempered, &data);
    assert_eq!(
        (after.class_accuracy, after.mean_iou),
        (found.class_accuracy, found.mean_iou)
    );
    let line = said.lines().find(|line| line.starts_with("cross-entropy"));
    let numbers = line.expect("told").split_whitespace().skip(1);
    let numbers: Vec<f64> = numbers.map(|n| n.parse().expect("numbers")).collect();
    assert!(numbers[1] <= numbers[0], "{said}");
    let quantize = ["model", "quantize", "--calibration-images", "12"];
    let output = boxcam_train(&[&quantize, &to(text(&int8))[..]].concat());
    // On 40 pictures one may tip over; but then it must be refused, and nothing written.
    match output.status.code() {
        Some(0) => assert!((figures(&int8, &data).mean_iou - found.mean_iou).abs() <= 0.01),
        code => {
            assert_eq!(code, Some(3));
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(words.contains("refused: quantization costs"), "{words}");
            assert!(!int8.exists());
        }
    }
}

#[test]
fn the_thresholds_of_a_card_can_be_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let changed = folder.path().join("changed.onnx");
    let change = [
        "--threshold",
        "0.5",
        "--objects-threshold",
        "0.25",
        "--output",
        text(&changed),
    ];
    fn with<'a>(model: &'a Path, change: &[&'a str]) -> Vec<&'a str> {
        [&["model", "card", text(model)][..], change].concat()
    }
    let finds_several = model_that_ships().with_file_name("snacks-objects.onnx");
    succeed(&with(&finds_several, &change));
    let card = TractDetector::from_file(&changed)
        .expect("loads")
        .card()
        .clone();
    let objects = card.objects.expect("finds several objects");
    assert_eq!((card.threshold, objects.threshold), (0.5, 0.25));
    let (code, said) = fail(&with(&model_that_ships(), &change));
    assert!(
        code != 0 && said.contains("has no object outputs"),
        "{said}"
    );
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_boxcam-train"))
        .args(["model", "card"])
        .arg(model_that_ships())
        .stdout(writer)
        .output()
        .expect("starts");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && words.is_empty(), "{words}");
}

#[test]
fn help_and_usage_errors_have_their_exit_codes() {
    assert!(succeed(&["model", "--help"]).contains("quantize"));
    assert!(succeed(&["train", "run", "--help"]).contains("baseline: "));
    assert_eq!(fail(&["train", "run"]).0, 2);
    let recipe = |name| fail(&["train", "run", "--recipe", name]);
    assert!(recipe("soup").0 == 2 && recipe("soup").1.contains("quick, full"));
    let set = |setting| {
        fail(&[
            "train", "run", "--data", "x", "--run", "y", "--set", setting,
        ])
    };
    let (code, words) = set("colour=red");
    assert!(code == 2 && words.contains("label_smoothing"), "{words}");
    let (code, words) = set("mixup_prob");
    assert!(code == 2 && words.contains("KEY=VALUE"), "{words}");
    let (code, words) = set("mixup_prob=0");
    assert!(
        code == 2 && words.contains("recipe quick: mixup_prob has no effect"),
        "{words}"
    );
    let full = ["--recipe", "full", "--set", "kd_weight=1"];
    let (code, words) = fail(&[&["train", "run", "--data", "x", "--run", "y"][..], &full].concat());
    assert!(code == 2 && words.contains("--teacher"), "{words}");
    let shipped = model_that_ships();
    let shipped = text(&shipped);
    let average = [
        "model",
        "average",
        shipped,
        shipped,
        "--output",
        "mean.onnx",
    ];
    let (code, words) = fail(&average);
    assert!(
        code == 3 && words.contains("it is an int8 model"),
        "{words}"
    );
    let (code, words) = fail(&["train", "run", "--threshold", "1.5"]);
    assert!(code == 2 && words.contains("between 0 and 1"), "{words}");
}

#[test]
fn former_names_are_refused_with_the_present_ones() {
    let cases: [(&[&str], &str); 24] = [
        (&["new", "mydata", "--output", "x"], "\"fit\""),
        (&["prepare"], "\"data convert\""),
        (&["inspect", "mydata"], "\"data inspect\""),
        (&["batch"], "\"data show-batch\""),
        (&["scenes", "--output", "x"], "\"data synthesize\""),
        (&["backgrounds"], "\"data mine-negatives\""),
        (&["train", "--data", "x", "--run", "y"], "\"train run\""),
        (&["speed"], "\"train benchmark\""),
        (&["plot", "run"], "\"train plot\""),
        (&["predict"], "\"eval predict\""),
        (&["sanity", "model.onnx"], "\"eval predict --raw IMAGE\""),
        (&["temper"], "\"eval calibrate\""),
        (&["quantise"], "\"model quantize\""),
        (&["dequantise"], "\"model dequantize\""),
        (&["average"], "\"model average\""),
        (&["summary", "model.onnx"], "\"model summary\""),
        (&["card", "model.onnx"], "\"model card\""),
        (&["trunk"], "\"model export-backbone\""),
        (&["train", "run", "--side", "96"], "--input-size PIXELS"),
        (
            &["train", "run", "--views", "2"],
            "--set cached_augmentations=COUNT",
        ),
        (&["train", "run", "--set", "mixed=0"], "mixup_prob"),
        (
            &["train", "run", "--set", "schedule.cosine.trunk=1e-4"],
            "lr.backbone",
        ),
        (&["train", "run", "--recipe", "snacks"], "\"full\""),
        (&["data", "synthesize", "--empty", "9"], "--negatives COUNT"),
    ];
    for (arguments, present) in cases {
        let (code, words) = fail(arguments);
        assert!(
            code == 2 && words.contains(&format!("is now called {present}")),
            "{arguments:?}: {words}"
        );
    }
}
