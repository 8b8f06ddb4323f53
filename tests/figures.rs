//! The figures that the README gives of the models that ship, measured again by `boxcam evaluate`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Floors, raised when beaten, never lowered.
type Floors = [(&'static str, f64); 4];

#[test]
fn the_model_that_ships_is_as_good_as_the_readme_says() {
    let floors = [
        ("class_accuracy", 0.888),
        ("mean_iou", 0.496),
        ("largest_box_mean_iou", 0.582),
        ("largest_box_iou_over_half", 0.673),
    ];
    assert_as_good("models/snacks.onnx", floors);
}

#[test]
fn the_small_model_is_as_good_as_the_readme_says() {
    let floors = [
        ("class_accuracy", 0.778),
        ("mean_iou", 0.465),
        ("largest_box_mean_iou", 0.548),
        ("largest_box_iou_over_half", 0.628),
    ];
    assert_as_good("models/snacks-small.onnx", floors);
}

#[track_caller]
fn assert_as_good(model: &str, floors: Floors) {
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
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words}");
    let figures: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(
        (&figures["rows"], &figures["pictures"]),
        (&1417.into(), &955.into())
    );
    for (name, floor) in floors {
        let found = figures[name].as_f64().expect("a number");
        eprintln!("{model}: {name} {found:.4}");
        assert!(found >= floor, "{name} {found:.4}, floor {floor}");
    }
}
