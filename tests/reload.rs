//! A model file that changes under a running boxcam: taken in when it proves itself, refused when not.
#![cfg(feature = "demo")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use boxcam::golden;
use common::{Workplace, painted, tiny_model};
use prost::Message;
use serde_json::Value;
use tract_onnx::pb;

/// Long enough for any machine; nothing is measured.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running boxcam, its lines and its talk.
struct Running {
    child: Child,
    lines: Receiver<String>,
    talk: Receiver<String>,
}

impl Running {
    fn start(place: &Workplace) -> Self {
        let words = [
            "run",
            "--source",
            "demo",
            "--display",
            "none",
            "--model",
            "model.onnx",
        ];
        let mut child = place
            .command(&words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = read(child.stdout.take().expect("piped"));
        let talk = read(child.stderr.take().expect("piped"));
        Self { child, lines, talk }
    }

    /// Waits for a line of the log from the model with this hash.
    fn await_model(&self, hash: &str) {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("a line in time");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            if line["model"] == hash {
                return;
            }
        }
    }

    /// Waits until these words are said.
    fn await_talk(&self, words: &str) -> String {
        loop {
            let said = self
                .talk
                .recv_timeout(PATIENCE)
                .expect("it is said in time");
            if said.contains(words) {
                return said;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A tiny model that calls itself so, with a golden example.
fn model(name: &str) -> pb::ModelProto {
    let mut model = tiny_model::model();
    let mut card = tiny_model::card();
    card.name = name.to_owned();
    let mut detector = TractDetector::from_bytes(name, &model.encode_to_vec()).expect("sound");
    card.golden = golden::record(&mut detector, [painted("green")]).expect("recorded");
    tiny_model::set_card(&mut model, &card);
    model
}

fn hash_of(bytes: &[u8]) -> String {
    let detector = TractDetector::from_bytes("test", bytes).expect("sound");
    detector.model_hash().to_owned()
}

#[test]
fn a_changed_model_is_taken_in_or_refused_while_frames_go_on() {
    let place = Workplace::new();
    let (first, second) = (model("first"), model("second"));
    let (first, second) = (first.encode_to_vec(), second.encode_to_vec());
    place.write("model.onnx", &first);
    let running = Running::start(&place);
    running.await_model(&hash_of(&first));

    // Whole and sound: copied beside it and renamed, as a careful person does.
    place.write("new.onnx", &second);
    fs::rename(place.path("new.onnx"), place.path("model.onnx")).expect("renamed");
    let said = running.await_talk("it is taken in");
    assert!(said.contains("1 golden examples agree"), "{said}");
    running.await_model(&hash_of(&second));

    // Half of a file.
    place.write("model.onnx", &first[..first.len() / 2]);
    let said = running.await_talk("goes on");
    assert!(said.contains("is no complete ONNX file"), "{said}");

    // A file that loads, but whose weights were damaged: it does not say what its card promises.
    let mut damaged = model("damaged");
    let weights = &mut tiny_model::graph_of(&mut damaged).initializer[0];
    weights.float_data.reverse();
    weights.float_data[4] = -8.0;
    place.write("model.onnx", damaged.encode_to_vec());
    let said = running.await_talk("goes on");
    assert!(said.contains("off what the card promises"), "{said}");
    assert!(said.contains(&hash_of(&second)), "{said}");

    // The old one has gone on all the time, and a sound one is taken in again.
    running.await_model(&hash_of(&second));
    place.write("model.onnx", &first);
    running.await_talk("it is taken in");
    running.await_model(&hash_of(&first));
}
