//! A model file that changes under a running boxcam: taken in when it proves itself, refused when not.
#![cfg(feature = "demo")]

mod common;

use std::fs;

use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::golden;
use common::reports::wait_until;
use common::running::Running;
use common::{TestDir, solid_image, tiny_model};
use prost::Message;
use serde_json::Value;
use tract_onnx::pb;

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
fn await_model(place: &TestDir, hash: &str) {
    let log = || fs::read_to_string(place.path("out.jsonl")).unwrap_or_default();
    let lines_before = log().lines().count();
    wait_until("a line of the model", || {
        let text = log();
        let newest = text.lines().skip(lines_before).last();
        // The last one may be half written.
        let newest = newest.and_then(|line| serde_json::from_str::<Value>(line).ok());
        newest.is_some_and(|line| line["model"] == hash)
    });
}

/// A tiny model that calls itself so, with a golden example.
fn model(name: &str) -> pb::ModelProto {
    let mut model = tiny_model::model();
    let mut card = tiny_model::card();
    card.name = name.to_owned();
    let mut detector = TractDetector::from_bytes(name, &model.encode_to_vec()).expect("sound");
    card.golden = golden::record(&mut detector, [solid_image("green")]).expect("recorded");
    tiny_model::set_card(&mut model, &card);
    model
}

fn hash_of(bytes: &[u8]) -> String {
    let detector = TractDetector::from_bytes("test", bytes).expect("sound");
    detector.model_hash().to_owned()
}

#[test]
fn a_changed_model_is_taken_in_or_refused_while_frames_go_on() {
    let place = TestDir::new();
    let (first, second) = (model("first"), model("second"));
    let (first, second) = (first.encode_to_vec(), second.encode_to_vec());
    place.write("model.onnx", &first);
    let mut running = Running::with_stderr(&mut place.command(&RUN));
    await_model(&place, &hash_of(&first));

    // Whole and sound: copied beside it and renamed, as a careful person does.
    place.write("new.onnx", &second);
    fs::rename(place.path("new.onnx"), place.path("model.onnx")).expect("renamed");
    let said = running.wait_for("taking in", |line| line.contains("now active"));
    assert!(said.contains("passed 1 golden examples"), "{said}");
    await_model(&place, &hash_of(&second));

    // Half of a file.
    place.write("model.onnx", &first[..first.len() / 2]);
    let said = running.wait_for("refusal", |line| line.contains("stays active"));
    assert!(said.contains("is no complete ONNX file"), "{said}");

    // A file that loads, but whose weights were damaged: it does not say what its card promises.
    let mut damaged = model("damaged");
    let weights = &mut tiny_model::graph_of(&mut damaged).initializer[0];
    weights.float_data.reverse();
    weights.float_data[4] = -8.0;
    place.write("model.onnx", damaged.encode_to_vec());
    let said = running.wait_for("refusal", |line| line.contains("stays active"));
    assert!(said.contains("differs by"), "{said}");
    assert!(said.contains(&hash_of(&second)), "{said}");

    // The old one has gone on all the time, and a sound one is taken in again.
    await_model(&place, &hash_of(&second));
    place.write("model.onnx", &first);
    running.wait_for("taking in", |line| line.contains("now active"));
    await_model(&place, &hash_of(&first));
}
