//! The shipped models have the metrics that models/README.md gives, measured by `boxcam evaluate`.
#![allow(
    clippy::print_stderr,
    reason = "shows what was measured with --nocapture"
)]

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Lower bounds by JSON pointer; raised with a better model, never lowered.
type LowerBounds<'a> = &'a [(&'static str, f64)];

#[test]
fn the_shipped_model_has_its_documented_metrics() {
    let bounds = [
        ("/class_accuracy", 0.888),
        ("/mean_iou", 0.496),
        ("/largest_box_mean_iou", 0.582),
        ("/largest_box_iou_over_half", 0.673),
    ];
    assert_metrics("models/snacks.onnx", &bounds);
}

#[test]
fn the_small_model_has_its_documented_metrics() {
    let bounds = [
        ("/class_accuracy", 0.778),
        ("/mean_iou", 0.465),
        ("/largest_box_mean_iou", 0.548),
        ("/largest_box_iou_over_half", 0.628),
    ];
    assert_metrics("models/snacks-small.onnx", &bounds);
}

#[test]
fn the_model_of_several_objects_has_its_documented_metrics() {
    let bounds = [
        ("/class_accuracy", 0.887),
        ("/mean_iou", 0.504),
        ("/largest_box_mean_iou", 0.592),
        ("/largest_box_iou_over_half", 0.678),
        ("/objects/ap50", 0.423),
    ];
    assert_metrics("models/snacks-objects.onnx", &bounds);
}

/// The classes that the snacks and COCO have in common, and the agreement with the float model, whose first class is person.
#[test]
fn the_coco_model_has_its_documented_metrics() {
    let Some(answers) = test_support::data("coco/answers-val.jsonl") else {
        return;
    };
    let bounds = [
        ("/objects/ap50", 0.384),
        ("/reference/agreement", 0.993),
        ("/reference/per_class/0/ap50", 0.995),
    ];
    let reference = ["--reference".as_ref(), answers.as_os_str()];
    let rename = ["--rename", "donut=doughnut"].map(OsStr::new);
    let more = [reference, rename].concat();
    assert_metrics_with(&more, "models/coco.onnx", &bounds);
}

#[track_caller]
fn assert_metrics(model: &str, bounds: LowerBounds<'_>) {
    assert_metrics_with(&[], model, bounds);
}

/// `more`: further arguments.
#[track_caller]
fn assert_metrics_with(more: &[&OsStr], model: &str, bounds: LowerBounds<'_>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(data) = test_support::data("snacks") else {
        return;
    };
    let annotations = data.join("annotations-val.csv");
    let output = Command::new(env!("CARGO_BIN_EXE_boxcam"))
        .args(["evaluate", "--json", "--model"])
        .arg(root.join(model))
        .arg("--pictures")
        .arg(data.join("val"))
        .arg("--annotations")
        .arg(annotations)
        .args(more)
        .output()
        .expect("boxcam starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let metrics: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(
        (&metrics["rows"], &metrics["pictures"]),
        (&1417.into(), &955.into())
    );
    for &(name, bound) in bounds {
        let found = metrics.pointer(name).and_then(Value::as_f64);
        let found = found.expect("a number");
        eprintln!("{model}: {name} {found:.4}");
        assert!(found >= bound, "{name} {found:.4}, at least {bound}");
    }
}
