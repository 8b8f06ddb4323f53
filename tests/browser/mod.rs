//! Chromium, controlled by its DevTools protocol over a pair of pipes.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// A browser with one page open; killed when it is dropped.
pub(crate) struct Browser {
    child: Child,
    to: File,
    responses: Receiver<Value>,
    session: Value,
    requests: u64,
    _folder: tempfile::TempDir,
}

const FLAGS: &str = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync --remote-debugging-pipe";

impl Browser {
    /// Opens a page in a window of that size, as `1200,800`.
    pub(crate) fn open(page: &str, size: &str) -> Self {
        let folder = tempfile::tempdir().expect("created");
        let (input, output) = (folder.path().join("in"), folder.path().join("out"));
        let made = Command::new("mkfifo").args([&input, &output]).status();
        assert!(made.expect("mkfifo runs").success());
        // Chromium reads requests from descriptor 3 and writes responses to 4.
        let script = format!(
            "exec chromium {FLAGS} --window-size={size} --user-data-dir=profile 3<in 4>out"
        );
        let child = Command::new("sh")
            .args(["-c", &script])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let to = OpenOptions::new().write(true).open(input).expect("opened");
        let from = File::open(output).expect("opened");
        let mut browser = Self {
            child,
            to,
            responses: responses(from),
            session: Value::Null,
            requests: 0,
            _folder: folder,
        };
        let target = browser.request("Target.createTarget", &json!({ "url": page }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session = browser.request("Target.attachToTarget", &target)["sessionId"].clone();
        browser
    }

    /// The value of a JavaScript expression in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let request =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let response = self.request("Runtime.evaluate", &request);
        assert!(response["exceptionDetails"].is_null(), "{response}");
        response["result"]["value"].clone()
    }

    /// The text of the element with that id.
    pub(crate) fn text(&mut self, id: &str) -> String {
        let text = self.evaluate(&format!("document.getElementById('{id}')?.innerText ?? ''"));
        text.as_str().expect("text").to_owned()
    }

    /// Clicks at this position in pixels of the page.
    pub(crate) fn click(&mut self, x: f64, y: f64) {
        self.drag(&[(x, y)]);
    }

    /// Moves the mouse to this position in pixels of the page.
    pub(crate) fn hover(&mut self, x: f64, y: f64) {
        let event = json!({ "type": "mouseMoved", "x": x, "y": y });
        self.request("Input.dispatchMouseEvent", &event);
    }

    /// Presses and releases a key, which has the name of the field `key` of a keyboard event: `Enter`, `ArrowLeft`, `a`.
    /// `Shift+` and `Ctrl+` may come before it.
    pub(crate) fn press(&mut self, key: &str) {
        let (modifiers, key) = match (key.strip_prefix("Shift+"), key.strip_prefix("Ctrl+")) {
            (Some(key), _) => (8, key),
            (_, Some(key)) => (2, key),
            _ => (0, key),
        };
        let mut event =
            json!({ "type": "keyDown", "key": key, "code": key, "modifiers": modifiers });
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            "Delete" => 46,
            _ => 0,
        };
        if code > 0 {
            event["windowsVirtualKeyCode"] = code.into();
        }
        if key == "Enter" {
            event["text"] = "\r".into();
        } else if key.chars().count() == 1 && modifiers != 2 {
            event["text"] = key.into();
        }
        self.request("Input.dispatchKeyEvent", &event);
        event["type"] = "keyUp".into();
        let event = event.as_object_mut().expect("an object");
        event.remove("text");
        let event = Value::Object(event.clone());
        self.request("Input.dispatchKeyEvent", &event);
    }

    /// Types a text into the focused field.
    pub(crate) fn insert(&mut self, text: &str) {
        self.request("Input.insertText", &json!({ "text": text }));
    }

    /// Sets the size of the page in pixels, which is that of the window without its frame.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.request("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Presses the button of the mouse at the first of these positions, and releases it at the last.
    pub(crate) fn drag(&mut self, positions: &[(f64, f64)]) {
        let mouse = |browser: &mut Self, kind: &str, (x, y): (f64, f64)| {
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            browser.request("Input.dispatchMouseEvent", &event);
        };
        mouse(self, "mousePressed", positions[0]);
        for position in &positions[1..] {
            mouse(self, "mouseMoved", *position);
        }
        mouse(self, "mouseReleased", positions[positions.len() - 1]);
    }

    /// Saves a screenshot.
    pub(crate) fn save(&mut self, path: &Path) {
        let response = self.request("Page.captureScreenshot", &json!({}));
        let png = response["data"].as_str().expect("a picture");
        let png = BASE64_STANDARD.decode(png).expect("base64");
        std::fs::write(path, png).expect("written");
    }

    fn request(&mut self, method: &str, parameters: &Value) -> Value {
        self.requests += 1;
        let mut request = json!({ "id": self.requests, "method": method, "params": parameters });
        if !self.session.is_null() {
            request["sessionId"] = self.session.clone();
        }
        let text = format!("{request}\0");
        self.to.write_all(text.as_bytes()).expect("sent");
        loop {
            let response = self.responses.recv_timeout(Duration::from_secs(60));
            let response = response.unwrap_or_else(|_| panic!("no response to {method}"));
            if response["id"] == self.requests {
                assert!(response["error"].is_null(), "{method}: {response}");
                return response["result"].clone();
            }
        }
    }
}

/// Responses and notifications, each terminated by a zero byte.
fn responses(from: File) -> Receiver<Value> {
    let (to, responses) = channel();
    std::thread::spawn(move || {
        for text in BufReader::new(from).split(0).map_while(Result::ok) {
            let response = serde_json::from_slice(&text).expect("JSON");
            if to.send(response).is_err() {
                return;
            }
        }
    });
    responses
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The shell has become Chromium, whose child processes exit with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
