//! A model file that changes during a run is used if it passes its golden examples, else refused.
#![cfg(feature = "demo")]

use std::fs;

use crate::common::proved_model::{hash_of, proved};
use crate::common::reports::wait_until;
use crate::common::running::Running;
use crate::common::{TestDir, tiny_model};
use prost::Message;
use serde_json::Value;

const RUN: [&str; 9] = [
    "run",
    "--source",
    "demo",
    "--display",
    "none",
    "--log",
    "out.jsonl",
    "--model",
    "model.onnx",
];

/// Waits until the newest line of the log is from the model with this hash, and not an older one.
fn await_model(dir: &TestDir, hash: &str) {
    let log = || fs::read_to_string(dir.path("out.jsonl")).unwrap_or_default();
    let lines_before = log().lines().count();
    wait_until("a line of the model", || {
        let text = log();
        let newest = text.lines().skip(lines_before).last();
        // The last one may be half written.
        let newest = newest.and_then(|line| serde_json::from_str::<Value>(line).ok());
        newest.is_some_and(|line| line["model"] == hash)
    });
}

#[test]
fn a_changed_model_is_used_or_refused_during_a_run() {
    let dir = TestDir::new();
    let (first, second) = (proved("first"), proved("second"));
    let (first, second) = (first.encode_to_vec(), second.encode_to_vec());
    dir.write("model.onnx", &first);
    let mut running = Running::with_stderr(&mut dir.command(&RUN));
    await_model(&dir, &hash_of(&first));

    // Complete and valid: copied beside the old file and renamed.
    dir.write("new.onnx", &second);
    fs::rename(dir.path("new.onnx"), dir.path("model.onnx")).expect("renamed");
    let line = running.wait_for("the new model", |line| line.contains("now active"));
    assert!(line.contains("passed 1 golden examples"), "{line}");
    await_model(&dir, &hash_of(&second));

    // Half of a file.
    dir.write("model.onnx", &first[..first.len() / 2]);
    let line = running.wait_for("the refusal", |line| line.contains("stays active"));
    assert!(line.contains("not a complete ONNX file"), "{line}");

    // A file that loads, but whose weights were damaged: it gives other answers than its card.
    let mut damaged = proved("damaged");
    let weights = &mut tiny_model::graph_of(&mut damaged).initializer[0];
    weights.float_data.reverse();
    weights.float_data[4] = -8.0;
    dir.write("model.onnx", damaged.encode_to_vec());
    let line = running.wait_for("the refusal", |line| line.contains("stays active"));
    assert!(line.contains("differs by"), "{line}");
    assert!(line.contains(&hash_of(&second)), "{line}");

    // The old model stayed active, and a valid one is used again.
    await_model(&dir, &hash_of(&second));
    dir.write("model.onnx", &first);
    running.wait_for("the new model", |line| line.contains("now active"));
    await_model(&dir, &hash_of(&first));
}
