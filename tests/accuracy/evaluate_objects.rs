//! `boxcam evaluate` with several detections in a picture: its figures equal those of pycocotools.
//!
//! Needs Python 3 with `venv`, and PyPI, except for the figures that were computed once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::common::TestDir;
use crate::common::tiny_model::{self, QUARTERS};
use fastrand::Rng;
use image::{Rgb, RgbImage};
use prost::Message;
use serde_json::{Value, json};
use test_support::PythonPackages;

const CLASSES: [&str; 3] = ["red", "green", "blue"];

const PICTURES: usize = 80;

const EXPECTED: &str = r#"{
    "ap": 0.14392398,
    "ap50": 0.216509939,
    "area_ap": [0.167213622, 0.177074046, 0.149445483],
    "area_ap50": [0.248613915, 0.254818648, 0.232631675],
    "area_recall": [0.588684691, 0.624438984, 0.600420066],
    "class_ap": [0.124612022, 0.172848729, 0.134311188],
    "class_ap50": [0.182117619, 0.274009866, 0.193402333],
    "class_recall": [0.572164948, 0.624752475, 0.612631579],
    "recall": [0.166335094, 0.603183001, 0.603183001]
}"#;

/// Pictures of random colors and sizes, with random boxes near the quarters, and `both.onnx`, a model for them. The ground
/// truth, also in the middle, is in `boxes.csv`, and as a file of COCO in `truth.json`.
fn dataset() -> TestDir {
    let folder = TestDir::new();
    folder.write("both.onnx", tiny_model::with_objects(true).encode_to_vec());
    let random = &mut Rng::with_seed(12);
    let mut csv = "image_id,x_min,x_max,y_min,y_max,class_name,folder\n".to_owned();
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for number in 0..PICTURES {
        // The quarters are small, medium and large.
        let (width, height) = [(48, 40), (120, 90), (320, 240)][number % 3];
        let colors = [(); 4].map(|()| any_color(random));
        let image = RgbImage::from_fn(width, height, |x, y| {
            let quarter = u32::from(y >= height / 2) * 2 + u32::from(x >= width / 2);
            colors[quarter as usize]
        });
        let class_folder = CLASSES[number % 3];
        let name = format!("p{number}");
        let mut png = std::io::Cursor::new(Vec::new());
        let written = image.write_to(&mut png, image::ImageFormat::Png);
        written.expect("written");
        folder.write(&format!("val/{class_folder}/{name}.png"), png.into_inner());
        images.push(json!({"id": name, "width": width, "height": height}));
        // The box of the image's heads is in the middle.
        for quarter in QUARTERS.into_iter().chain([tiny_model::MIDDLE]) {
            if random.u8(0..4) == 0 {
                continue;
            }
            let class = random.usize(0..3);
            let corners = near(random, quarter);
            let [x_min, x_max, y_min, y_max] = corners;
            csv += &format!(
                "{name},{x_min},{x_max},{y_min},{y_max},{},{class_folder}\n",
                CLASSES[class]
            );
            let [x_min, x_max, y_min, y_max] = corners.map(f64::from);
            let (width, height) = (f64::from(width), f64::from(height));
            let bbox = [
                x_min * width,
                y_min * height,
                (x_max - x_min) * width,
                (y_max - y_min) * height,
            ];
            annotations.push(json!({
                "id": annotations.len() + 1, "image_id": name, "category_id": class + 1,
                "bbox": bbox, "area": bbox[2] * bbox[3], "iscrowd": 0,
            }));
        }
    }
    let categories = (1..).zip(CLASSES);
    let categories: Vec<Value> = categories
        .map(|(id, name)| json!({"id": id, "name": name}))
        .collect();
    let truth = json!({"images": images, "annotations": annotations, "categories": categories});
    folder.write("truth.json", truth.to_string());
    folder.write("boxes.csv", csv);
    folder
}

/// Of few different ones, so that many scores are equal.
fn any_color(random: &mut Rng) -> Rgb<u8> {
    Rgb([(); 3].map(|()| random.u8(0..5) * 40 + 40))
}

fn near(random: &mut Rng, corners: [f32; 4]) -> [f32; 4] {
    let spread = [0.02, 0.1, 0.2][random.usize(0..3)];
    corners.map(|corner| (corner + (random.f32() - 0.5) * spread).clamp(0.0, 1.0))
}

fn evaluate(folder: &TestDir, model: &str, more: &[&str]) -> Value {
    let arguments = [
        "evaluate",
        "--pictures",
        "val",
        "--annotations",
        "boxes.csv",
        "--json",
        "--model",
        model,
    ];
    let output = folder.run(&[&arguments[..], more].concat());
    output.assert_exit_code(0);
    output.lines().remove(0)
}

/// The table of `boxcam evaluate` with one more option.
fn table(folder: &TestDir, option: &str, value: &str) -> String {
    let arguments = [
        "evaluate",
        "--pictures",
        "val",
        "--annotations",
        "boxes.csv",
        "--model",
        "both.onnx",
        option,
        value,
    ];
    let output = folder.run(&arguments);
    output.assert_exit_code(0);
    output.stdout
}

/// Python with pycocotools in a virtual environment, kept between runs; `None` if it cannot be installed.
fn python() -> Option<&'static Path> {
    static PYTHON: LazyLock<Option<PathBuf>> = LazyLock::new(install);
    PYTHON.as_deref()
}

fn install() -> Option<PathBuf> {
    let requirements =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/accuracy/pycocotools/requirements.txt");
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pycocotools");
    PythonPackages::of_requirements(&requirements).installed(&home)
}

fn pycocotools(folder: &TestDir, python: &Path) -> Value {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/accuracy/pycocotools/evaluate.py");
    let output = Command::new(python)
        .arg("-B")
        .arg(script)
        .args([folder.path("truth.json"), folder.path("results.json")])
        .output()
        .expect("python starts");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The figures in the form of `tests/accuracy/pycocotools/evaluate.py`.
fn figures(report: &Value) -> Value {
    let objects = &report["objects"];
    let of_areas = |field: &str| {
        let areas = objects["per_area"].as_array().expect("a list").iter();
        areas.map(|area| area[field].clone()).collect::<Vec<_>>()
    };
    let of_classes = |field: &str| {
        let classes = report["per_class"].as_array().expect("a list").iter();
        classes
            .map(|class| class[field].clone())
            .collect::<Vec<_>>()
    };
    let recall = ["1", "10", "100"].map(|most| &objects["recall"][most]);
    json!({
        "ap50": objects["ap50"],
        "ap": objects["ap"],
        "recall": recall,
        "area_ap50": of_areas("ap50"),
        "area_ap": of_areas("ap"),
        "area_recall": of_areas("recall"),
        "class_ap50": of_classes("objects_ap50"),
        "class_ap": of_classes("objects_ap"),
        "class_recall": of_classes("objects_recall"),
    })
}

#[track_caller]
fn assert_near(found: &Value, expected: &Value, tolerance: f64) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            assert_eq!(found.len(), expected.len());
            for (name, expected) in expected {
                assert_near(&found[name], expected, tolerance);
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert_near(found, expected, tolerance);
            }
        }
        (Value::Null, Value::Null) => {}
        _ => {
            let difference = found
                .as_f64()
                .zip(expected.as_f64())
                .map(|(a, b)| (a - b).abs());
            assert!(
                difference.is_some_and(|d| d < tolerance),
                "{found}, expected {expected}"
            );
        }
    }
}

#[test]
fn figures_equal_those_of_pycocotools() {
    let Some(python) = python() else {
        test_support::skip!("no pycocotools: it needs Python 3 with venv, and PyPI");
        return;
    };
    let folder = dataset();
    for model in ["both.onnx", "tiny.onnx"] {
        let report = evaluate(&folder, model, &["--coco-results", "results.json"]);
        let expected = pycocotools(&folder, python);
        println!("{model} {expected}");
        assert!(expected["ap50"].as_f64() > Some(0.01), "{expected}");
        assert_near(&figures(&report), &expected, 1e-6);
    }
}

/// Those of pycocotools 2.0.11, for where it can't be installed.
#[test]
fn figures_equal_those_that_pycocotools_had() {
    let expected = serde_json::from_str(EXPECTED).expect("JSON");
    assert_near(
        &figures(&evaluate(&dataset(), "both.onnx", &[])),
        &expected,
        1e-6,
    );
}

#[test]
fn a_model_without_objects_has_the_figures_of_its_one_box() {
    let report = evaluate(&dataset(), "tiny.onnx", &[]);
    for figure in ["ap50", "ap"] {
        // Not exactly: equal scores are ordered by path in one, by name in the other.
        assert_near(&report["objects"][figure], &report[figure], 1e-3);
    }
}

#[test]
fn sizes_have_figures_of_their_own() {
    let report = evaluate(&dataset(), "both.onnx", &[]);
    let sizes = report["per_size"].as_array().expect("a list");
    // All boxes are near a quarter of the picture.
    let ap50: Vec<Option<f64>> = sizes
        .iter()
        .map(|size| size["objects_ap50"].as_f64())
        .collect();
    assert!(
        ap50[0].is_none() && ap50[2].is_some() && ap50[4].is_none(),
        "{ap50:?}"
    );
}

#[test]
fn predictions_are_written_line_by_line() {
    let folder = dataset();
    evaluate(
        &folder,
        "both.onnx",
        &["--predictions", "predictions.jsonl"],
    );
    let text = std::fs::read_to_string(folder.path("predictions.jsonl")).expect("written");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), PICTURES);
    let first = &lines[0];
    assert_eq!(first["scores"].as_array().map(Vec::len), Some(3));
    let objects = first["objects"].as_array().expect("a list");
    let confidences: Vec<f64> = objects
        .iter()
        .filter_map(|o| o["confidence"].as_f64())
        .collect();
    assert!(
        confidences.len() > 2 && confidences.is_sorted_by(|a, b| a >= b),
        "{confidences:?}"
    );
    for field in [
        "picture",
        "width",
        "height",
        "class",
        "confidence",
        "x_min",
        "model",
    ] {
        assert!(!first[field].is_null(), "{field}");
    }
    evaluate(
        &folder,
        "tiny.onnx",
        &["--predictions", "predictions.jsonl"],
    );
    let text = std::fs::read_to_string(folder.path("predictions.jsonl")).expect("written");
    assert!(
        text.lines().all(|line| line.contains(r#""objects":null"#)),
        "{text}"
    );
}

#[test]
fn a_model_is_compared_with_another_one_picture_by_picture() {
    let folder = dataset();
    let record = ["--predictions", "tiny.jsonl"];
    let tiny = evaluate(&folder, "tiny.onnx", &record);
    assert!(tiny["comparison"].is_null());
    let compare = ["--compare", "tiny.jsonl"];
    let report = evaluate(&folder, "both.onnx", &compare);
    let comparison = &report["comparison"];
    assert_eq!(comparison["model"], tiny["model"]);
    let number = |value: &Value| value.as_f64().expect("a number");
    for (figure, of_both, of_tiny) in [
        (
            "objects_ap50",
            &report["objects"]["ap50"],
            &tiny["objects"]["ap50"],
        ),
        (
            "objects_ap",
            &report["objects"]["ap"],
            &tiny["objects"]["ap"],
        ),
        (
            "class_accuracy",
            &report["class_accuracy"],
            &tiny["class_accuracy"],
        ),
        ("mean_iou", &report["mean_iou"], &tiny["mean_iou"]),
    ] {
        let found = &comparison[figure];
        assert_near(&found["value"], of_both, 1e-6);
        assert_near(&found["other"], of_tiny, 1e-6);
        let difference = number(of_both) - number(of_tiny);
        assert_near(&found["difference"], &difference.into(), 1e-6);
        assert!(number(&found["low"]) <= difference && difference <= number(&found["high"]));
    }
    // Both have the same image heads, and only one of them has objects.
    assert_eq!(number(&comparison["class_accuracy"]["standard_error"]), 0.0);
    assert!(number(&comparison["objects_ap50"]["standard_error"]) > 0.001);
    let itself = evaluate(&folder, "tiny.onnx", &compare);
    assert_eq!(itself["comparison"]["objects_ap"]["high"], 0.0);
}

#[test]
fn a_comparison_needs_the_same_pictures() {
    let folder = dataset();
    evaluate(&folder, "tiny.onnx", &["--predictions", "tiny.jsonl"]);
    std::fs::remove_file(folder.path("val/green/p1.png")).expect("removed");
    let evaluate = |file: &str| {
        folder.run_tiny(&[
            "evaluate",
            "--pictures",
            "val",
            "--annotations",
            "boxes.csv",
            "--compare",
            file,
        ])
    };
    let output = evaluate("tiny.jsonl");
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["tiny.jsonl, line", "val/green/p1.png is not among"]);
    let output = evaluate("nothing.jsonl");
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["predictions nothing.jsonl: can't be read"]);
}

#[test]
fn the_table_has_the_comparison() {
    let folder = dataset();
    evaluate(&folder, "tiny.onnx", &["--predictions", "tiny.jsonl"]);
    let table = table(&folder, "--compare", "tiny.jsonl");
    assert!(table.contains("compared with "), "{table}");
    assert!(table.contains("95% interval"), "{table}");
}

#[test]
fn a_model_agrees_with_its_own_detections() {
    let folder = dataset();
    let record = ["--predictions", "both.jsonl"];
    let alone = evaluate(&folder, "both.onnx", &record);
    assert!(alone["reference"].is_null());
    let report = evaluate(&folder, "both.onnx", &["--reference", "both.jsonl"]);
    let reference = &report["reference"];
    assert_near(&reference["agreement"], &json!(1.0), 1e-9);
    let classes = reference["per_class"].as_array().expect("a list");
    let names: Vec<&str> = classes.iter().filter_map(|c| c["class"].as_str()).collect();
    assert_eq!(names, CLASSES);
    let boxes: u64 = classes.iter().filter_map(|c| c["rows"].as_u64()).sum();
    assert!(boxes > 50 && reference["rows"] == json!(boxes), "{boxes}");
    // A model with one box finds only the few quarters that are like it: none.
    let tiny = evaluate(&folder, "tiny.onnx", &["--reference", "both.jsonl"]);
    assert_near(&tiny["reference"]["agreement"], &json!(0.0), 1e-9);
    assert_eq!(tiny["reference"]["rows"], json!(boxes));
}

/// One red and one blue detection of a reference in each picture, and a weak green one; the model's class `red` is `apple` in
/// the annotations.
#[test]
fn classes_are_renamed_in_the_model_and_in_the_reference() {
    let folder = dataset();
    let detection = |class: &str, score: f64, [x_min, x_max, y_min, y_max]: [f32; 4]| json!({"class": class, "score": score, "x_min": x_min, "x_max": x_max, "y_min": y_min, "y_max": y_max});
    let lines = (0..PICTURES).map(|number| {
        let detections = [
            detection("red", 0.9, [-0.4, 0.5, -0.2, 0.5]),
            detection("green", 0.49, QUARTERS[1]),
            detection("blue", 0.5, QUARTERS[2]),
        ];
        let picture = format!("elsewhere/{}/p{number}.png", CLASSES[number % 3]);
        json!({"picture": picture, "detections": detections}).to_string()
    });
    let lines: Vec<String> = lines.collect();
    folder.write("reference.jsonl", lines.join("\n"));
    let csv = std::fs::read_to_string(folder.path("boxes.csv")).expect("written");
    folder.write("boxes.csv", csv.replace(",red,", ",apple,"));
    let renamed = ["--reference", "reference.jsonl", "--rename", "red=apple"];
    let report = evaluate(&folder, "both.onnx", &renamed);
    let classes = report["reference"]["per_class"].as_array().expect("a list");
    let rows: Vec<_> = classes.iter().map(|c| (&c["class"], &c["rows"])).collect();
    assert_eq!(
        rows,
        [
            (&json!("apple"), &json!(PICTURES)),
            (&json!("blue"), &json!(PICTURES))
        ]
    );
    assert_eq!(report["unknown_class_rows"], 0);
    let mean = classes
        .iter()
        .filter_map(|c| c["ap50"].as_f64())
        .sum::<f64>()
        / 2.0;
    assert_near(&report["reference"]["agreement"], &mean.into(), 1e-9);
    assert!(mean > 0.05 && mean < 1.0, "{mean}");
    // The same picture by picture as with the names of the model.
    let all: Value = serde_json::from_str(EXPECTED).expect("JSON");
    assert_near(&report["objects"]["ap50"], &all["ap50"], 1e-6);
}

#[test]
fn classes_that_the_model_lacks_are_named() {
    let folder = dataset();
    let csv = std::fs::read_to_string(folder.path("boxes.csv")).expect("written");
    let reds = csv.matches(",red,").count();
    folder.write("boxes.csv", csv.replace(",red,", ",apple,"));
    let evaluate = |more: &[&str]| {
        let arguments = [
            "evaluate",
            "--pictures",
            "val",
            "--annotations",
            "boxes.csv",
        ];
        let model = ["--model", "both.onnx"];
        folder.run(&[&arguments[..], &model[..], more].concat())
    };
    let output = evaluate(&[]);
    output.assert_exit_code(0);
    let message = format!("{reds} boxes are of classes that the model lacks");
    output.assert_stderr_contains(&[&message, &format!("apple ({reds})"), "`--rename FROM=TO`"]);
    for (rename, expected) in [
        (
            "yellow=apple",
            "the model has no class \"yellow\"; it has: red, green, blue",
        ),
        ("red=blue", "\"red\" can't become \"blue\""),
        ("red", "expected FROM=TO"),
    ] {
        let output = evaluate(&["--rename", rename]);
        output.assert_exit_code(2);
        output.assert_stderr_contains(&[expected]);
    }
}

#[test]
fn the_table_has_the_agreement() {
    let folder = dataset();
    evaluate(&folder, "both.onnx", &["--predictions", "both.jsonl"]);
    let table = table(&folder, "--reference", "both.jsonl");
    let line = "agreement, AP at IoU 0.5";
    let line = table.lines().find(|found| found.starts_with(line));
    let agrees = line.is_some_and(|line| line.contains(" 1.0000, boxes "));
    assert!(agrees, "{table}");
}

#[test]
fn results_that_cannot_be_written_are_an_output_error() {
    let folder = dataset();
    for option in ["--coco-results", "--predictions"] {
        let arguments = [
            "evaluate",
            "--pictures",
            "val",
            "--annotations",
            "boxes.csv",
            option,
            "no/folder/file",
        ];
        let output = folder.run_tiny(&arguments);
        output.assert_exit_code(5);
        output.assert_stderr_contains(&["no/folder/file: can't be written"]);
    }
}
