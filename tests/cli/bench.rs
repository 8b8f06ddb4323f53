//! `boxcam bench`, with the program itself. No assertion depends on the speed of the machine.
#![cfg(feature = "demo")]

use crate::common::TestDir;

const STAGES: [&str; 5] = ["decode", "preprocess", "inference", "draw", "frame"];

#[test]
fn every_stage_is_measured() {
    let dir = TestDir::new();
    let output = dir.run_tiny(&["bench", "--json", "--frames", "5", "--threads", "2"]);
    output.assert_exit_code(0);
    let measured = &output.lines()[0];
    for stage in STAGES {
        let of = |quantile: &str| {
            measured["stages"][stage][quantile]
                .as_f64()
                .expect("a number")
        };
        let (p50, p95, p99) = (of("p50_ms"), of("p95_ms"), of("p99_ms"));
        assert!(0.0 < p50 && p50 <= p95 && p95 <= p99, "{stage}: {measured}");
    }
    let whole = measured["stages"]["frame"]["p50_ms"]
        .as_f64()
        .expect("a number");
    let decode = measured["stages"]["decode"]["p50_ms"]
        .as_f64()
        .expect("a number");
    assert!(
        whole > decode,
        "decoding is a part of the frame: {measured}"
    );
    assert_eq!(measured["threads"], 2);
    let first_box = measured["first_box_ms"].as_f64().expect("a number");
    assert!(first_box > measured["load_ms"].as_f64().expect("a number"));
    for age in ["p50_ms", "p95_ms", "p99_ms"] {
        assert!(
            measured["camera_to_screen"][age]
                .as_f64()
                .expect("a number")
                > 0.0
        );
    }
    let layers = measured["layers"].as_array().expect("a list");
    let shares: f64 = layers
        .iter()
        .filter_map(|layer| layer["share"].as_f64())
        .sum();
    assert!((shares - 1.0).abs() < 0.01, "{shares}");
    if cfg!(target_os = "linux") {
        assert!(measured["peak_rss_mb"].as_f64().expect("a number") > 1.0);
    }
}

#[test]
fn a_given_picture_is_measured_and_printed_as_a_table() {
    let dir = TestDir::new();
    dir.write_solid_image("red.png", "red");
    let output = dir.run_tiny(&["bench", "--frames", "2", "--picture", "red.png"]);
    output.assert_exit_code(0);
    for expected in [
        "picture red.png (32 x 24)",
        "inference",
        "inference time by operator",
        "load ",
    ] {
        assert!(
            output.stdout.contains(expected),
            "no {expected:?} in {output:?}"
        );
    }
    let output = dir.run_tiny(&["bench", "--picture", "none.png"]);
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["picture none.png: can't be read"]);
}
