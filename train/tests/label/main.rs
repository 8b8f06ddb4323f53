//! `boxcam-train data label`: its requests, and its page in Chromium with real mouse and key events.
#![cfg(unix)]

#[path = "../../../tests/browser/mod.rs"]
mod browser;
#[path = "../common/mod.rs"]
mod common;
#[path = "../../../tests/http/mod.rs"]
mod http;

mod page;
mod requests;
mod training;
mod windows;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use image::RgbImage;
use serde_json::{Value, json};

/// Longer than any step takes on a machine that does other things too.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The name of the file with the labels.
const LABELS: &str = "boxcam-labels.json";

/// A picture with labels: its name, classes and boxes in pixels (left, upper, width, height), and whether all objects have a
/// box.
type StoredPicture = (String, Vec<(String, [i64; 4])>, Value);

fn wait_until(what: &str, mut is_done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_done() {
        assert!(started.elapsed() < TIMEOUT, "timeout: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A picture of random scenes, different for each seed.
fn scene(seed: u64) -> RgbImage {
    boxcam::scene::random_scene(seed, 640, 480).image
}

/// A folder with these pictures.
fn folder(pictures: &[(&str, RgbImage)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("created");
    for (name, image) in pictures {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("has one")).expect("created");
        image.save(path).expect("written");
    }
    folder
}

/// A photograph in the repository.
fn photograph() -> RgbImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/photo.png");
    image::open(path).expect("a picture").to_rgb8()
}

/// The program while it serves its page; killed when it is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Server {
    /// Serves a folder with these options.
    fn start(folder: &Path, options: &[&str]) -> Self {
        let mut command = common::program(&["data", "label", common::text(folder)]);
        command.args(options);
        if !options.contains(&"--port") {
            command.args(["--port", "0"]);
        }
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let stdout = child.stdout.take().expect("piped");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("readable");
        let address = line
            .trim()
            .strip_prefix("http://")
            .map(|line| line.trim_end_matches('/'));
        let address = address.and_then(|address| address.parse().ok());
        let Some(address) = address else {
            let mut message = String::new();
            let stderr = child.stderr.as_mut().expect("piped");
            stderr.read_to_string(&mut message).expect("UTF-8");
            panic!("{line:?}: {message}");
        };
        Self {
            child,
            address,
            folder: folder.to_owned(),
        }
    }

    fn page(&self) -> String {
        format!("http://{}/", self.address)
    }

    fn get(&self, path: &str) -> http::Response {
        http::get(self.address, path)
    }

    /// Sends a change as the page does.
    fn post(&self, path: &str, body: &Value) -> http::Response {
        self.send(path, body.to_string().as_bytes())
    }

    fn send(&self, path: &str, body: &[u8]) -> http::Response {
        let address = self.address;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nX-Boxcam-Request: 1\r\n"
        );
        http::send_body(address, &head, body)
    }

    /// Changes the labels of a picture, based on the present ones.
    fn label(&self, index: usize, labels: &Value) -> Value {
        let path = format!("/pictures/{index}");
        let revision = &self.get(&path).json()["revision"];
        let body = json!({ "revision": revision, "labels": labels });
        let response = self.post(&path, &body);
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    /// Ends the program without giving it a chance to do anything.
    fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Ends the program with a signal. Returns its exit code and stderr.
    fn end(mut self, signal: &str) -> (Option<i32>, String) {
        let process = self.child.id().to_string();
        let mut kill = std::process::Command::new("kill");
        let sent = kill.args([signal, &process]).status();
        assert!(sent.expect("kill runs").success());
        let mut message = String::new();
        let stderr = self.child.stderr.as_mut().expect("piped");
        stderr.read_to_string(&mut message).expect("UTF-8");
        (self.child.wait().expect("ended").code(), message)
    }

    /// Each picture with labels.
    fn stored(&self) -> Vec<StoredPicture> {
        stored(&self.folder)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the file of the labels says, in whole pixels.
fn stored(folder: &Path) -> Vec<StoredPicture> {
    let text = std::fs::read_to_string(folder.join(LABELS)).expect("labels");
    let coco: Value = serde_json::from_str(&text).expect("JSON");
    let list = |name: &str| coco[name].as_array().expect("a list").clone();
    let images = list("images").into_iter().map(|image| {
        let of_image = |annotation: &&Value| annotation["image_id"] == image["id"];
        let annotations = list("annotations");
        let boxes = annotations.iter().filter(of_image).map(|annotation| {
            let category = list("categories")
                .into_iter()
                .find(|category| category["id"] == annotation["category_id"]);
            let name = category.expect("a category")["name"].clone();
            let bounds: [f64; 4] =
                serde_json::from_value(annotation["bbox"].clone()).expect("a box");
            (
                name.as_str().expect("text").to_owned(),
                bounds.map(|side| side.round() as i64),
            )
        });
        let name = image["file_name"].as_str().expect("text").to_owned();
        (name, boxes.collect(), image["exhaustive"].clone())
    });
    images.collect()
}

/// Labels with boxes as the page sends them.
fn boxes(boxes: &[(&str, [i64; 4])], exhaustive: Option<bool>) -> Value {
    let boxes = boxes
        .iter()
        .map(|(class, bounds)| json!({ "class": class, "box": bounds }));
    json!({ "state": "boxes", "boxes": boxes.collect::<Vec<_>>(), "exhaustive": exhaustive })
}
