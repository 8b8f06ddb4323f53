//! Several detections in a picture, with the program itself and models made by hand.

use crate::common::tiny_model::{self, OBJECTS, QUARTERS};
use crate::common::{CommandOutput, TestDir, quarters_image, solid_image};
use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::golden;
use prost::Message;
use serde_json::{Value, json};

/// With `both.onnx`, which has all four outputs, and `objects.onnx`, which has no image heads.
fn folder() -> TestDir {
    let folder = TestDir::new();
    for (name, has_image_heads) in [("both.onnx", true), ("objects.onnx", false)] {
        let model = tiny_model::with_objects(has_image_heads);
        folder.write(name, model.encode_to_vec());
    }
    folder
}

fn write_quarters(folder: &TestDir, name: &str, colors: [&str; 4]) {
    let path = folder.path(name);
    quarters_image(colors).save(path).expect("written");
}

/// The class and the corners of each detection.
fn found(line: &Value) -> Vec<(String, [f64; 4])> {
    let detections = line["detections"].as_array().expect("a list");
    let of = |detection: &Value| {
        let corner = |name: &str| detection[name].as_f64().expect("a number");
        let class = detection["class"].as_str().expect("text").to_owned();
        (class, ["x_min", "x_max", "y_min", "y_max"].map(corner))
    };
    detections.iter().map(of).collect()
}

fn expected(classes: &[(&str, [f32; 4])]) -> Vec<(String, [f64; 4])> {
    let of = |(class, corners): &(&str, [f32; 4])| ((*class).to_owned(), corners.map(f64::from));
    classes.iter().map(of).collect()
}

fn detect(folder: &TestDir, model: &str, more: &[&str]) -> CommandOutput {
    let output = folder.run(&[&["detect", "a.png", "--model", model], more].concat());
    output.assert_exit_code(0);
    output
}

/// Red is the class of the image. Its box overlaps each quarter with an IoU of 1/7, so no quarter is the same thing.
const MOSTLY_RED: [&str; 4] = ["red", "red", "black", "blue"];

#[test]
fn the_primary_detection_is_first_and_objects_follow() {
    let folder = folder();
    write_quarters(&folder, "a.png", MOSTLY_RED);
    let line = detect(&folder, "both.onnx", &[]).lines().remove(0);
    assert_eq!(line["detection"], line["detections"][0]);
    let all = [
        ("red", tiny_model::MIDDLE),
        ("red", QUARTERS[0]),
        ("red", QUARTERS[1]),
        ("blue", QUARTERS[3]),
    ];
    let mut listed = found(&line);
    listed[1..].sort_by(|a, b| b.0.cmp(&a.0).then(a.1[0].total_cmp(&b.1[0])));
    assert_eq!(listed, expected(&all));
    assert_eq!(line["detections"][3]["pixels"], json!([16, 12, 32, 24]));
}

#[test]
fn with_one_only_the_primary_detection_is_reported() {
    let folder = folder();
    write_quarters(&folder, "a.png", MOSTLY_RED);
    let run = |more: &[&str]| {
        let model = ["run", "--source", "a.png", "--display", "none", "--model"];
        let output = folder.run(&[&model[..], &["both.onnx"], more].concat());
        output.assert_exit_code(0);
        output.lines().remove(0)
    };
    assert_eq!(found(&run(&[])).len(), 4);
    let line = run(&["--one"]);
    assert_eq!(line["detection"], line["detections"][0]);
    assert_eq!(found(&line), expected(&[("red", tiny_model::MIDDLE)]));
}

#[test]
fn an_object_that_is_the_primary_detection_is_listed_once() {
    let folder = folder();
    let mut model = tiny_model::with_objects(true);
    let card = boxcam::card::ModelCard {
        objects: Some(boxcam::card::ObjectSettings {
            // Below the IoU of the middle with a quarter, which is 1/7.
            nms_iou: 0.14,
            ..OBJECTS
        }),
        ..tiny_model::card()
    };
    tiny_model::set_card(&mut model, &card);
    folder.write("near.onnx", model.encode_to_vec());
    write_quarters(&folder, "a.png", MOSTLY_RED);
    let line = detect(&folder, "near.onnx", &[]).lines().remove(0);
    let all = [("red", tiny_model::MIDDLE), ("blue", QUARTERS[3])];
    assert_eq!(found(&line), expected(&all));
}

#[test]
fn without_a_primary_detection_objects_are_listed_all_the_same() {
    let folder = folder();
    // Neither red nor blue reaches the threshold of the image.
    write_quarters(&folder, "a.png", ["red", "black", "black", "blue"]);
    let line = detect(&folder, "both.onnx", &[]).lines().remove(0);
    assert_eq!(line["detection"], Value::Null);
    assert_eq!(found(&line).len(), 2);
}

#[test]
fn without_image_heads_the_best_object_is_the_primary() {
    let folder = folder();
    write_quarters(&folder, "a.png", ["black", "green", "black", "blue"]);
    let line = detect(&folder, "objects.onnx", &[]).lines().remove(0);
    assert_eq!(line["detection"], line["detections"][0]);
    let mut listed = found(&line);
    listed.sort_by(|a, b| b.0.cmp(&a.0));
    assert_eq!(
        listed,
        expected(&[("green", QUARTERS[1]), ("blue", QUARTERS[3])])
    );
    write_quarters(&folder, "a.png", ["black"; 4]);
    let line = detect(&folder, "objects.onnx", &[]).lines().remove(0);
    assert_eq!(
        (&line["detection"], &line["detections"]),
        (&Value::Null, &json!([]))
    );
}

#[test]
fn a_threshold_is_that_of_the_image_and_of_the_objects() {
    let folder = folder();
    write_quarters(&folder, "a.png", MOSTLY_RED);
    for (threshold, count) in [("1", 0), ("0.99", 3), ("0.9", 4)] {
        for model in ["both.onnx", "objects.onnx"] {
            let line = detect(&folder, model, &["--threshold", threshold])
                .lines()
                .remove(0);
            let has_image_heads = model == "both.onnx";
            let expected = if count == 4 && !has_image_heads {
                3
            } else {
                count
            };
            assert_eq!(found(&line).len(), expected, "{model} {threshold}: {line}");
        }
    }
}

/// Files from before there were objects.
#[test]
fn a_model_without_object_outputs_lists_its_one_detection() {
    let folder = folder();
    solid_image("red")
        .save(folder.path("a.png"))
        .expect("written");
    let line = detect(&folder, "tiny.onnx", &[]).lines().remove(0);
    assert_eq!(line["detections"], json!([line["detection"]]));
    assert_eq!(found(&line), expected(&[("red", tiny_model::MIDDLE)]));
    let line = detect(&folder, "tiny.onnx", &["--threshold", "1"])
        .lines()
        .remove(0);
    assert_eq!(
        (&line["detection"], &line["detections"]),
        (&Value::Null, &json!([]))
    );
    let run = folder.run_tiny(&["run", "--source", "a.png", "--display", "none"]);
    run.assert_exit_code(0);
    assert_eq!(run.lines()[0]["detections"][0]["class"], "red");
}

#[test]
fn run_lists_all_detections_of_a_picture() {
    let folder = folder();
    write_quarters(&folder, "a.png", MOSTLY_RED);
    let arguments = [
        "run",
        "--source",
        "a.png",
        "--display",
        "none",
        "--model",
        "both.onnx",
    ];
    let output = folder.run(&arguments);
    output.assert_exit_code(0);
    assert_eq!(found(&output.lines()[0]).len(), 4);
}

#[test]
fn annotated_pictures_show_all_detections() {
    let folder = folder();
    let drawn = |model: &str, colors: [&str; 4]| {
        write_quarters(&folder, "a.png", colors);
        detect(&folder, model, &["--annotate", "out"]);
        let picture = image::open(folder.path("out/a.png")).expect("a picture");
        (picture.into_rgb8(), quarters_image(colors))
    };
    // The middle's box is in none of these corners.
    let (picture, original) = drawn("both.onnx", MOSTLY_RED);
    for (x, y) in [(31, 0), (31, 12)] {
        assert_ne!(picture.get_pixel(x, y), original.get_pixel(x, y), "{x} {y}");
    }
}

#[test]
fn golden_examples_hold_the_objects() {
    for has_image_heads in [true, false] {
        let mut model = tiny_model::with_objects(has_image_heads);
        let load = |model: &tract_onnx::pb::ModelProto| {
            TractDetector::from_bytes("test", &model.encode_to_vec()).expect("loads")
        };
        let mut detector = load(&model);
        let pictures = [quarters_image(MOSTLY_RED), quarters_image(["black"; 4])];
        let mut card = detector.card().clone();
        card.golden = golden::record(&mut detector, pictures).expect("recorded");
        let objects = card.golden[0].objects.as_ref().expect("has objects");
        assert_eq!(objects.len(), 3);
        tiny_model::set_card(&mut model, &card);
        let agreement = golden::check(&mut load(&model)).expect("agrees");
        assert_eq!((agreement.examples, agreement.difference), (2, 0.0));
        // A box in another place.
        let graph = tiny_model::graph_of(&mut model);
        let bias = graph
            .initializer
            .iter_mut()
            .find(|w| w.name == "boxes_bias");
        bias.expect("present").float_data[0] = 0.1;
        let error = golden::check(&mut load(&model))
            .expect_err("differs")
            .to_string();
        assert!(
            error.contains("golden example 1: the prediction differs by 0.100"),
            "{error}"
        );
    }
}
