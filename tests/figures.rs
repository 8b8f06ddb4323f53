//! The shipped models have the metrics that models/README.md gives, measured by `boxcam evaluate`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Lower bounds; raised with a better model, never lowered.
type LowerBounds = [(&'static str, f64); 4];

#[test]
fn the_shipped_model_has_its_documented_metrics() {
    let bounds = [
        ("class_accuracy", 0.888),
        ("mean_iou", 0.496),
        ("largest_box_mean_iou", 0.582),
        ("largest_box_iou_over_half", 0.673),
    ];
    assert_metrics("models/snacks.onnx", bounds);
}

#[test]
fn the_small_model_has_its_documented_metrics() {
    let bounds = [
        ("class_accuracy", 0.778),
        ("mean_iou", 0.465),
        ("largest_box_mean_iou", 0.548),
        ("largest_box_iou_over_half", 0.628),
    ];
    assert_metrics("models/snacks-small.onnx", bounds);
}

#[track_caller]
fn assert_metrics(model: &str, bounds: LowerBounds) {
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
        .output()
        .expect("boxcam starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let metrics: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(
        (&metrics["rows"], &metrics["pictures"]),
        (&1417.into(), &955.into())
    );
    for (name, bound) in bounds {
        let found = metrics[name].as_f64().expect("a number");
        eprintln!("{model}: {name} {found:.4}");
        assert!(found >= bound, "{name} {found:.4}, at least {bound}");
    }
}
