//! `boxcam doctor`, the real program.

mod common;

use common::TestDir;
use serde_json::Value;

/// A run that any machine can do.
const EASY: [&str; 4] = ["--source", "demo", "--display", "none"];

fn finding<'a>(diagnosis: &'a Value, about: &str) -> &'a Value {
    let findings = diagnosis["findings"].as_array().expect("a list");
    let found = findings.iter().find(|finding| finding["about"] == about);
    found.unwrap_or_else(|| panic!("nothing on {about} in {diagnosis}"))
}

#[test]
fn a_machine_on_which_all_works_is_told_so() {
    let place = TestDir::new();
    let said = place.run(&[&["doctor", "--json"], &EASY[..]].concat());
    said.assert_exit_code(0);
    let diagnosis = &said.lines()[0];
    assert_eq!(finding(diagnosis, "model")["verdict"], "good");
    let proof = finding(diagnosis, "self-test");
    assert_eq!(
        proof["verdict"], "good",
        "the model that ships has golden examples"
    );
    let processor = finding(diagnosis, "processor")["says"]
        .as_str()
        .expect("text");
    assert!(processor.starts_with(std::env::consts::ARCH), "{processor}");
    let words = place.run(&[&["doctor"], &EASY[..]].concat());
    words.assert_exit_code(0);
    assert!(
        words.stdout.contains("ok     model       snacks ("),
        "{words:?}"
    );
}

#[test]
fn what_is_wrong_is_told_with_its_mend() {
    let place = TestDir::new();
    place.write("half.onnx", &common::tiny_model::bytes()[..100]);
    let log = [
        "--log",
        "no/such/folder.jsonl",
        "--model",
        "half.onnx",
        "--json",
    ];
    let said = place.run(&[&["doctor"], &EASY[..], &log[..]].concat());
    said.assert_exit_code(1);
    said.assert_stderr_contains(&["2 checks failed; see the suggested fixes above"]);
    let diagnosis = &said.lines()[0];
    assert_eq!(diagnosis["verdict"], "bad");
    for about in ["model", "log"] {
        let found = finding(diagnosis, about);
        assert_eq!(found["verdict"], "bad", "{found}");
        assert!(found["mend"].is_string(), "{found}");
    }
}

#[test]
fn a_model_without_proof_is_noted() {
    let place = TestDir::new();
    let words = ["doctor", "--json", "--model", "tiny.onnx"];
    let said = place.run(&[&words, &EASY[..]].concat());
    said.assert_exit_code(0);
    assert_eq!(finding(&said.lines()[0], "self-test")["verdict"], "note");
}

#[test]
fn it_takes_the_options_of_run_from_a_file_too() {
    let place = TestDir::new();
    let text =
        "source = \"demo\"\ndisplay = \"none\"\nsnapshots = \"shots\"\nmodel = \"tiny.onnx\"\n";
    place.write("boxcam.toml", text);
    let said = place.run(&["doctor", "--json", "--config", "boxcam.toml"]);
    said.assert_exit_code(0);
    assert_eq!(finding(&said.lines()[0], "snapshots")["verdict"], "good");
    assert!(!place.path("shots").exists(), "doctor changes nothing");
    place.write("boxcam.toml", "source = \"demo\"\nrotate = 45\n");
    let said = place.run(&["run", "--config", "boxcam.toml"]);
    said.assert_exit_code(2);
    said.assert_stderr_contains(&["boxcam.toml: line 2: rotate: expected 0, 90, 180 or 270"]);
}
