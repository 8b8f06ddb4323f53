//! A real Chromium, driven through its DevTools protocol over a pair of pipes.

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
    answers: Receiver<Value>,
    session: Value,
    asked: u64,
    _folder: tempfile::TempDir,
}

const FLAGS: &str = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync --remote-debugging-pipe";

impl Browser {
    /// Opens a page in a window of that size, as `1200,800`.
    pub(crate) fn open(page: &str, size: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (input, output) = (folder.path().join("in"), folder.path().join("out"));
        let made = Command::new("mkfifo").args([&input, &output]).status();
        assert!(made.expect("mkfifo is there").success());
        // Chromium reads orders on descriptor 3 and answers on 4.
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
            .expect("a shell");
        let to = OpenOptions::new().write(true).open(input).expect("opened");
        let from = File::open(output).expect("opened");
        let mut browser = Self {
            child,
            to,
            answers: answers(from),
            session: Value::Null,
            asked: 0,
            _folder: folder,
        };
        let target = browser.order("Target.createTarget", &json!({ "url": page }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session = browser.order("Target.attachToTarget", &target)["sessionId"].clone();
        browser
    }

    /// What an expression of JavaScript is in the page.
    pub(crate) fn ask(&mut self, expression: &str) -> Value {
        let order =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.order("Runtime.evaluate", &order);
        assert!(answer["exceptionDetails"].is_null(), "{answer}");
        answer["result"]["value"].clone()
    }

    /// The text of the element with that id.
    pub(crate) fn text(&mut self, id: &str) -> String {
        let text = self.ask(&format!("document.getElementById('{id}')?.innerText ?? ''"));
        text.as_str().expect("text").to_owned()
    }

    /// Saves what the window shows.
    pub(crate) fn save(&mut self, path: &Path) {
        let answer = self.order("Page.captureScreenshot", &json!({}));
        let png = answer["data"].as_str().expect("a picture");
        let png = BASE64_STANDARD.decode(png).expect("base64");
        std::fs::write(path, png).expect("written");
    }

    fn order(&mut self, method: &str, parameters: &Value) -> Value {
        self.asked += 1;
        let mut order = json!({ "id": self.asked, "method": method, "params": parameters });
        if !self.session.is_null() {
            order["sessionId"] = self.session.clone();
        }
        let text = format!("{order}\0");
        self.to.write_all(text.as_bytes()).expect("it listens");
        loop {
            let answer = self.answers.recv_timeout(Duration::from_secs(60));
            let answer = answer.unwrap_or_else(|_| panic!("no answer to {method}"));
            if answer["id"] == self.asked {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }
}

/// Answers and messages that nobody asked for, each ended by a zero byte.
fn answers(from: File) -> Receiver<Value> {
    let (to, answers) = channel();
    std::thread::spawn(move || {
        for text in BufReader::new(from).split(0).map_while(Result::ok) {
            let answer = serde_json::from_slice(&text).expect("JSON");
            if to.send(answer).is_err() {
                return;
            }
        }
    });
    answers
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The shell has become Chromium; its helpers end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
