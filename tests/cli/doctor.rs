//! `boxcam doctor`, with the program itself.

use crate::common::TestDir;
use serde_json::Value;

/// Options of a run that works on any machine.
const EASY: [&str; 4] = ["--source", "demo", "--display", "none"];

fn finding<'a>(diagnosis: &'a Value, about: &str) -> &'a Value {
    let findings = diagnosis["findings"].as_array().expect("a list");
    let found = findings.iter().find(|finding| finding["about"] == about);
    found.unwrap_or_else(|| panic!("no finding about {about} in {diagnosis}"))
}

#[test]
fn a_working_machine_passes_all_checks() {
    let dir = TestDir::new();
    let output = dir.run(&[&["doctor", "--json"], &EASY[..]].concat());
    output.assert_exit_code(0);
    let diagnosis = &output.lines()[0];
    assert_eq!(finding(diagnosis, "model")["verdict"], "good");
    let self_test = finding(diagnosis, "self-test");
    assert_eq!(
        self_test["verdict"], "good",
        "the model that ships has golden examples"
    );
    let processor = finding(diagnosis, "processor")["says"]
        .as_str()
        .expect("text");
    assert!(processor.starts_with(std::env::consts::ARCH), "{processor}");
    let text = dir.run(&[&["doctor"], &EASY[..]].concat());
    text.assert_exit_code(0);
    assert!(
        text.stdout.contains("ok     model       snacks ("),
        "{text:?}"
    );
}

#[test]
fn a_failed_check_has_a_fix() {
    let dir = TestDir::new();
    dir.write("half.onnx", &crate::common::tiny_model::bytes()[..100]);
    let log = [
        "--log",
        "no/such/folder.jsonl",
        "--model",
        "half.onnx",
        "--json",
    ];
    let output = dir.run(&[&["doctor"], &EASY[..], &log[..]].concat());
    output.assert_exit_code(1);
    output.assert_stderr_contains(&["failed checks: 2; see the suggested fixes above"]);
    let diagnosis = &output.lines()[0];
    assert_eq!(diagnosis["verdict"], "bad");
    for about in ["model", "log"] {
        let found = finding(diagnosis, about);
        assert_eq!(found["verdict"], "bad", "{found}");
        assert!(found["mend"].is_string(), "{found}");
    }
}

#[test]
fn a_model_without_golden_examples_is_noted() {
    let dir = TestDir::new();
    let arguments = ["doctor", "--json", "--model", "tiny.onnx"];
    let output = dir.run(&[&arguments, &EASY[..]].concat());
    output.assert_exit_code(0);
    assert_eq!(finding(&output.lines()[0], "self-test")["verdict"], "note");
}

#[test]
fn the_options_of_run_may_come_from_a_file() {
    let dir = TestDir::new();
    let text =
        "source = \"demo\"\ndisplay = \"none\"\nsnapshots = \"shots\"\nmodel = \"tiny.onnx\"\n";
    dir.write("boxcam.toml", text);
    let output = dir.run(&["doctor", "--json", "--config", "boxcam.toml"]);
    output.assert_exit_code(0);
    assert_eq!(finding(&output.lines()[0], "snapshots")["verdict"], "good");
    assert!(!dir.path("shots").exists(), "doctor changes nothing");
    dir.write("boxcam.toml", "source = \"demo\"\nrotate = 45\n");
    let output = dir.run(&["run", "--config", "boxcam.toml"]);
    output.assert_exit_code(2);
    output.assert_stderr_contains(&["boxcam.toml: line 2: rotate: expected 0, 90, 180 or 270"]);
}
