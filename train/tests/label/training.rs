//! A training from the page: it is started, stopped and resumed, its model is tried and sent to a board.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use test_support::tool_is_missing;

use super::browser::Browser;
use super::page::{assert_stored, drag, open, save_screenshot, wait_for_picture, wait_until_saved};
use super::{LABELS, Server, boxes, http, wait_until};

const WIDTH: u32 = 200;
const HEIGHT: u32 = 120;

/// Settings of a training that takes seconds.
const CHANGES: &str = "cached_augmentations=1 synthetic_negatives=0 negative_crops=0";

/// Squares on drawn backgrounds, alternately blue and red, in the folder `things`. Returns their boxes.
fn squares(parent: &Path, count: usize) -> (PathBuf, Vec<(&'static str, [i64; 4])>) {
    let folder = parent.join("things");
    std::fs::create_dir(&folder).expect("created");
    let random = &mut fastrand::Rng::with_seed(3);
    let labels = (0..count).map(|number| {
        let (class, color) = match number % 2 {
            0 => ("blue", [30, 30, 240]),
            _ => ("red", [240, 30, 30]),
        };
        let mut image: RgbImage = boxcam::scene::background(random.u64(..), WIDTH, HEIGHT);
        let side = random.u32(60..100);
        let (x, y) = (random.u32(0..WIDTH - side), random.u32(0..HEIGHT - side));
        for at in 0..side * side {
            image.put_pixel(x + at % side, y + at / side, Rgb(color));
        }
        let file = folder.join(format!("{number:02}.png"));
        image.save(file).expect("written");
        (class, [x, y, side, side].map(i64::from))
    });
    let labels = labels.collect();
    (folder, labels)
}

fn start(folder: &Path) -> Server {
    Server::start(folder, &["--model", "none", "--classes", "blue,red"])
}

fn status(server: &Server) -> Value {
    server.get("/training").json()
}

fn wait_for_state(server: &Server, state: &str) -> Value {
    let mut last = Value::Null;
    wait_until(state, || {
        last = status(server);
        assert!(
            last["state"] != "failed" || state == "failed",
            "{}",
            last["message"]
        );
        last["state"] == state
    });
    last
}

/// What the page sends to start a training.
fn request(output: &str, epochs: u16) -> Value {
    let set: Vec<&str> = CHANGES.split(' ').collect();
    json!({ "output": output, "epochs": epochs, "input_size": 32, "set": set })
}

/// Leaves the files of a finished training beside the folder.
fn finish(folder: &Path, model: &[u8], wrong: &Value) -> PathBuf {
    let output = folder.with_file_name("things-model");
    let run = output.join("run");
    std::fs::create_dir_all(&run).expect("created");
    let progress = json!({
        "schema": 1, "data": folder, "step": "finished", "step_share": 1.0, "epoch": 2, "epochs": 2,
        "estimate_seconds": 9.0, "seconds_left": null,
        "settings": { "name": "things", "recipe": "quick", "input_size": 32, "epochs": 2, "seed": 1 },
    });
    let review = json!({
        "works": ["recognized well: blue (9 of 9)"], "fails": ["red is taken for blue in 2 of 9 images"],
        "next": ["blue and red at the same place"], "wrong": wrong,
    });
    for (file, value) in [("progress.json", progress), ("review.json", review)] {
        std::fs::write(run.join(file), value.to_string()).expect("written");
    }
    let history = "epoch,loss,val_class_accuracy,val_mean_iou\n1,2.5,0.5,0.3\n2,1.5,0.75,0.6\n";
    std::fs::write(run.join("history.csv"), history).expect("written");
    std::fs::write(output.join("boxcam.onnx"), model).expect("written");
    output
}

/// Clicks the middle of an element, once it can be seen.
fn click(browser: &mut Browser, selector: &str) {
    let place = format!(
        "(() => {{ const found = document.querySelector('{selector}'); found.scrollIntoView({{ block: 'center' }}); \
         const {{ left, top, width, height }} = found.getBoundingClientRect(); \
         return [left + width / 2, top + height / 2]; }})()"
    );
    let [x, y]: [f64; 2] = serde_json::from_value(browser.evaluate(&place)).expect("a place");
    browser.hover(x, y);
    browser.click(x, y);
}

/// Replaces the text of a field.
fn fill(browser: &mut Browser, id: &str, text: &str) {
    click(browser, &format!("#{id}"));
    browser.evaluate(&format!("document.getElementById('{id}').select()"));
    browser.insert(text);
}

/// Puts a file into the field of the pictures to try: the content at an address, or a text.
fn try_file(browser: &mut Browser, name: &str, content: &str) {
    let script = format!(
        "(async () => {{ const content = {content}; const files = new DataTransfer(); \
         files.items.add(new File([content], '{name}')); const field = document.getElementById('trial-files'); \
         field.files = files.files; field.dispatchEvent(new Event('change')); return null; }})()"
    );
    browser.evaluate(&script);
}

#[test]
fn a_model_is_trained_and_tried_on_the_page() {
    if tool_is_missing("chromium") {
        return;
    }
    let parent = tempfile::tempdir().expect("created");
    let (folder, labels) = squares(parent.path(), 40);
    let server = start(&folder);
    for (index, label) in labels.iter().enumerate().skip(1) {
        server.label(index, &boxes(&[*label], Some(true)));
    }
    let browser = &mut open(&server, "#1");
    let [x, y, side, _] = labels[0].1.map(|side| side as f64);
    drag(browser, (x, y), (x + side, y + side));
    // The last change is saved before the training begins, so it is not waited for here.
    browser.press("t");
    wait_until("the name of the results is proposed", || {
        let value = browser.evaluate("document.getElementById('training-name-output').value");
        value == "things-model"
    });
    fill(browser, "training-name-output", "mine");
    fill(browser, "training-name", "squares");
    click(browser, "#training-form summary");
    fill(browser, "training-epochs", "4");
    fill(browser, "training-size", "32");
    fill(browser, "training-set", CHANGES);
    save_screenshot(browser, "training-form.png");
    click(browser, "#training-start");
    wait_until("the training is shown", || {
        !browser.text("training-state").is_empty()
    });
    assert_stored(&server, "00.png", &[labels[0]], None);
    let second = &mut open(&server, "");
    second.press("t");
    for window in [&mut *browser, &mut *second] {
        wait_until("the training is finished", || {
            assert_eq!(window.text("training-message"), "");
            window.text("training-state") == "Finished"
        });
        wait_until("the review is shown", || {
            window
                .text("review")
                .contains("Which pictures to take next")
        });
        assert_eq!(window.text("training-epoch"), "Epoch 4 of 4");
        assert!(window.text("training-legend").contains("class accuracy"));
    }
    save_screenshot(browser, "training-review.png");
    assert!(parent.path().join("mine/boxcam.onnx").is_file());
    let state = status(&server);
    assert_eq!(state["progress"]["settings"]["name"], "squares");
    assert_eq!(state["history"].as_array().map(Vec::len), Some(4));
    // The pictures were not changed, and nothing else was written beside them.
    let names = std::fs::read_dir(&folder).expect("a folder").count();
    assert_eq!(names, 40 + 2, "pictures, labels, lock");

    try_file(
        browser,
        "0.png",
        "await (await fetch('pictures/0/file')).blob()",
    );
    wait_until("what the model finds is shown", || {
        browser.text("trial-results").contains("0.png: ")
    });
    let is_drawn = "document.querySelector('#trial-results img').naturalWidth";
    wait_until("the picture is shown", || {
        browser.evaluate(is_drawn) == WIDTH
    });
    click(browser, "#trial-results figcaption");
    save_screenshot(browser, "training-trial.png");
    try_file(browser, "words.png", "'no picture'");
    wait_until("the problem is shown", || {
        browser
            .text("trial-problem")
            .starts_with("picture words.png: ")
    });
    browser.resize(420, 640);
    save_screenshot(browser, "training-small.png");
    assert_eq!(server.end("-INT").0, Some(0));
}

#[test]
fn a_stopped_training_is_resumed_also_by_another_server() {
    let parent = tempfile::tempdir().expect("created");
    let (folder, labels) = squares(parent.path(), 40);
    let server = start(&folder);
    for (index, label) in labels.iter().enumerate() {
        server.label(index, &boxes(&[*label], None));
    }
    // It would take minutes.
    let started = server.post("/training", &request("things-model", 9000));
    assert_eq!(started.status, 200, "{}", started.text());
    assert_eq!(started.json()["state"], "running");
    let epochs = |server: &Server| status(server)["history"].as_array().map_or(0, Vec::len);
    let run = parent.path().join("things-model/run");
    let checkpoint = run.join("checkpoint.safetensors");
    // It is written after the history.
    wait_until("an epoch is complete", || checkpoint.is_file());
    let running = status(&server);
    assert_eq!(running["progress"]["epochs"], 9000);
    assert!(
        running["progress"]["estimate_seconds"].is_number(),
        "{running}"
    );
    let again = server.post("/training", &request("other", 1));
    assert_eq!(again.status, 409);
    assert!(again.text().contains("a training is running"));
    assert_eq!(server.post("/training/stop", &json!({})).status, 200);
    wait_for_state(&server, "stopped");
    assert_eq!(server.post("/training/stop", &json!({})).status, 409);
    assert!(checkpoint.is_file());
    let occupied = server.post("/training", &request("things-model", 9000));
    assert_eq!(occupied.status, 422);
    assert!(occupied.text().contains("exists and is not empty"));

    let before = epochs(&server);
    let resume = json!({ "output": "things-model", "resume": true });
    assert_eq!(server.post("/training", &resume).status, 200);
    wait_until("it goes on", || epochs(&server) > before);
    // The end of the server ends it too, and says how to go on.
    let (code, message) = server.end("-TERM");
    assert_eq!(code, Some(0), "{message}");
    for part in [
        "was stopped after epoch",
        "of 9000",
        "boxcam-train fit",
        "--epochs=9000",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let server = start(&folder);
    let state = status(&server);
    assert_eq!(state["state"], "stopped", "{state}");
    let before = epochs(&server);
    assert_eq!(server.post("/training", &resume).status, 200);
    wait_until("it goes on", || epochs(&server) > before);
    assert_eq!(server.end("-INT").0, Some(0));
}

#[test]
fn too_few_labels_are_reported_and_nothing_is_left() {
    let parent = tempfile::tempdir().expect("created");
    let (folder, labels) = squares(parent.path(), 6);
    let server = start(&folder);
    for (index, label) in labels.iter().enumerate() {
        server.label(index, &boxes(&[*label], None));
    }
    assert_eq!(server.post("/training", &request("mine", 2)).status, 200);
    let failed = wait_for_state(&server, "failed");
    let message = failed["message"].as_str().expect("text");
    assert!(message.contains("training images are too few"), "{message}");
    assert!(!parent.path().join("mine").exists());
    // So the same name can be used once there are enough.
    assert_eq!(server.post("/training", &request("mine", 2)).status, 200);
    let unknown = json!({ "output": "mine", "set": ["unknown=1"] });
    wait_for_state(&server, "failed");
    assert_eq!(server.post("/training", &unknown).status, 200);
    wait_until("the key is refused", || {
        let message = status(&server)["message"].to_string();
        message.contains("unknown")
    });
    for body in [
        json!({}),
        json!({ "output": " " }),
        json!({ "output": "things/x" }),
    ] {
        assert_eq!(server.post("/training", &body).status, 422, "{body}");
    }
    assert_eq!(server.end("-INT").0, Some(0));
}

#[test]
fn the_review_of_an_earlier_training_leads_to_its_pictures() {
    let parent = tempfile::tempdir().expect("created");
    let (folder, labels) = squares(parent.path(), 3);
    let wrong = json!([
        { "id": "02", "error": "red is taken for blue, confidence 0.91" },
        { "id": "gone", "error": "the box of blue overlaps the object by only 0.20 (IoU)" },
    ]);
    finish(&folder, b"no model", &wrong);
    let server = start(&folder);
    for (index, label) in labels.iter().enumerate() {
        server.label(index, &boxes(&[*label], None));
    }
    let state = status(&server);
    assert_eq!(state["state"], "finished", "{state}");
    assert_eq!(state["wrong_pictures"], json!([2, null]));
    assert_eq!(state["history"][1]["mean_iou"], 0.6);
    assert_eq!(state["next_output"], "things-model-2");
    let finished = json!({ "output": "things-model", "resume": true });
    assert_eq!(server.post("/training", &finished).status, 422);
    if tool_is_missing("chromium") {
        return;
    }
    let browser = &mut open(&server, "#1");
    browser.press("t");
    wait_until("the review is shown", || {
        browser.text("review").contains("gone: the box of blue")
    });
    assert!(browser.text("review").contains("02.png"));
    click(browser, ".error");
    wait_for_picture(browser, 2);
    let is_open = browser.evaluate("document.getElementById('training').open");
    assert_eq!(is_open, false);
    // Keys are those of the picture again.
    browser.press("a");
    wait_for_picture(browser, 1);
    wait_until_saved(browser);
}

#[test]
fn pictures_are_tried_with_bounds() {
    let parent = tempfile::tempdir().expect("created");
    let (folder, _) = squares(parent.path(), 1);
    let photograph = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/photo.png");
    let photograph = std::fs::read(photograph).expect("readable");
    let server = start(&folder);
    assert_eq!(server.send("/trial", &photograph).status, 409, "no model");
    drop(server);
    let server = Server::start(&folder, &["--model", "snacks"]);
    let found = server.send("/trial", &photograph);
    assert_eq!(found.status, 200, "{}", found.text());
    let found = found.json();
    let (width, height) = (found["width"].as_f64(), found["height"].as_f64());
    let objects = found["objects"].as_array().expect("a list");
    assert!(!objects.is_empty(), "{found}");
    for object in objects {
        let [left, top, across, down]: [f64; 4] =
            serde_json::from_value(object["box"].clone()).expect("a box");
        assert!(left >= 0.0 && Some(left + across) <= width.map(|side| side + 0.1));
        assert!(top >= 0.0 && Some(top + down) <= height.map(|side| side + 0.1));
        assert!(!object["class"].as_str().unwrap_or_default().is_empty());
    }
    for bytes in [&b""[..], b"words", &photograph[..photograph.len() / 2]] {
        let refused = server.send("/trial", bytes);
        assert_eq!(refused.status, 422);
        let message = refused.json()["error"].to_string();
        assert!(message.contains("picture from the page"), "{message}");
    }
    let large = server.send("/trial", &vec![0; (32 << 20) + 1]);
    assert_eq!(large.status, 413);
    assert!(large.json()["error"].to_string().contains("32 MiB"));
    // A broken model of a training is named too.
    drop(server);
    finish(&folder, b"no model", &json!([]));
    let broken = start(&folder).send("/trial", &photograph);
    assert_eq!(broken.status, 422);
    assert!(broken.text().contains("boxcam.onnx"), "{}", broken.text());
}

/// A board that takes models with the password `secret`: requests and their bodies.
fn fake_board() -> (SocketAddr, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound");
    let (send, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("connected");
            let (head, body) = read_request(&mut stream);
            // ":secret" in Base64.
            let knows_password = head.contains("Authorization: Basic OnNlY3JldA==\r\n");
            let answer = match (knows_password, head.split(' ').nth(1)) {
                (false, _) => "401 Unauthorized\r\n\r\nno",
                (true, Some("/config")) => "200 OK\r\n\r\n{}",
                (true, Some("/model")) if body == b"bad" => {
                    "422 Unprocessable Entity\r\n\r\n{\"error\":\"not a complete ONNX file\"}"
                }
                (true, Some("/model" | "/reload")) => {
                    "200 OK\r\n\r\n{\"model\":\"0a1b2c3d\",\"golden_examples\":4,\"max_difference\":0.0,\"changed\":true}"
                }
                _ => "404 Not Found\r\n\r\n",
            };
            let answer = format!("HTTP/1.1 {answer}");
            stream.write_all(answer.as_bytes()).expect("sent");
            // The test may have ended.
            let _ = send.send((head, body));
        }
    });
    (address, requests)
}

fn read_request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a request");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.expect("a length").parse().expect("a number")];
    stream.read_exact(&mut body).expect("a body");
    (head, body)
}

#[test]
fn the_model_is_sent_to_a_board_and_it_goes_back() {
    let parent = tempfile::tempdir().expect("created");
    let (folder, _) = squares(parent.path(), 1);
    let (address, requests) = fake_board();
    let board = |password: &str, go_back: bool| json!({ "address": address.to_string(), "password": password, "go_back": go_back });
    let server = start(&folder);
    let none = server.post("/board", &board("secret", false));
    assert_eq!(none.status, 502);
    assert!(none.text().contains("no finished model"), "{}", none.text());
    let output = finish(&folder, b"the bytes of a model", &json!([]));
    drop(server);

    let server = start(&folder);
    let sent = server.post("/board", &board("secret", false));
    assert_eq!(sent.status, 200, "{}", sent.text());
    assert_eq!(sent.json()["golden_examples"], 4);
    let (head, _) = requests.recv().expect("the password is checked first");
    assert!(head.starts_with("GET /config "), "{head}");
    let (head, body) = requests.recv().expect("the model");
    assert!(
        head.starts_with("POST /model ") && head.contains("X-Boxcam-Request: 1"),
        "{head}"
    );
    assert_eq!(body, b"the bytes of a model");
    assert_eq!(server.post("/board", &board("secret", true)).status, 200);
    let (head, _) = requests.iter().nth(1).expect("the way back");
    assert!(head.starts_with("POST /reload "), "{head}");

    std::fs::write(output.join("boxcam.onnx"), "bad").expect("written");
    let refused = server.post("/board", &board("secret", false));
    assert_eq!(refused.status, 502);
    assert!(refused.text().contains("not a complete ONNX file"));
    let wrong = server.post("/board", &board("hunter2", false));
    assert!(
        wrong.text().contains("the password is wrong"),
        "{}",
        wrong.text()
    );
    let invalid = json!({ "address": "https://cam", "password": "hunter2" });
    let invalid = server.post("/board", &invalid);
    let typed = server.post("/board", &json!({ "password": ["hunter2"] }));
    assert_eq!(typed.status, 422);
    for answer in [&wrong, &invalid, &typed] {
        assert!(!answer.text().contains("hunter2"), "{}", answer.text());
    }
    let (code, message) = server.end("-INT");
    assert_eq!(code, Some(0));
    assert!(
        !message.contains("secret") && !message.contains("hunter2"),
        "{message}"
    );
    for entry in std::fs::read_dir(&folder).expect("a folder") {
        let content = std::fs::read(entry.expect("listed").path()).expect("readable");
        assert!(!content.windows(6).any(|bytes| bytes == b"secret"));
    }
}

#[test]
fn other_sites_start_and_read_no_training() {
    let parent = tempfile::tempdir().expect("created");
    let (folder, _) = squares(parent.path(), 1);
    let server = start(&folder);
    let address = server.address;
    let evil = format!(
        "GET /training HTTP/1.1\r\nHost: evil.example:{}\r\n",
        address.port()
    );
    assert_eq!(http::send(address, &evil).status, 403);
    let own = format!("Host: {address}\r\n");
    let body = request("mine", 1).to_string();
    for headers in [
        own.clone(),
        format!("{own}Origin: http://{address}\r\n"),
        format!("{own}X-Boxcam-Request: 1\r\nOrigin: http://evil.example\r\n"),
        format!("{own}X-Boxcam-Request: 1\r\nSec-Fetch-Site: cross-site\r\n"),
        "Host: evil.example\r\nX-Boxcam-Request: 1\r\n".to_owned(),
    ] {
        for path in ["/training", "/training/stop", "/trial", "/board"] {
            let head = format!("POST {path} HTTP/1.1\r\n{headers}");
            let response = http::send_body(address, &head, body.as_bytes());
            assert_eq!(response.status, 403, "{path}: {headers}");
        }
    }
    assert_eq!(status(&server)["state"], "none");
    assert!(!parent.path().join("mine").exists());
    assert!(!folder.join(LABELS).exists());
}
