//! A mosquitto in its own folder, and its clients.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::common::reports::wait_until;
use crate::common::running::Running;
use test_support::tool_is_missing;

/// A broker; killed when it is dropped.
pub(crate) struct Broker {
    folder: tempfile::TempDir,
    port: u16,
    /// User name and password of the clients.
    login: Option<(String, String)>,
    /// Whether it speaks TLS, with a certificate of [`Broker::ca`].
    tls: bool,
    child: Child,
}

/// A message as a subscriber receives it.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) is_retained: bool,
    pub(crate) payload: String,
}

pub(crate) struct Subscriber(Running);

impl Broker {
    /// A broker without a login; `None` if mosquitto is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::new(None, false)
    }

    /// A broker with TLS, for the names `localhost` and `127.0.0.1`; `None` if mosquitto or openssl is not installed.
    pub(crate) fn start_with_tls() -> Option<Self> {
        if tool_is_missing("openssl") {
            return None;
        }
        Self::new(None, true)
    }

    /// The file with the certificate of the authority that its certificate comes from.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A broker with a login; `None` if mosquitto is not installed.
    pub(crate) fn start_with_login(name: &str, password: &str) -> Option<Self> {
        Self::new(Some((name.to_owned(), password.to_owned())), false)
    }

    fn new(login: Option<(String, String)>, tls: bool) -> Option<Self> {
        if tool_is_missing("mosquitto_sub") || tool_is_missing("mosquitto") {
            return None;
        }
        let folder = tempfile::tempdir().expect("created");
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
            listener.local_addr().expect("an address").port()
        };
        if tls {
            make_certificates(folder.path());
        }
        configure(folder.path(), port, login.as_ref(), tls);
        let child = spawn(folder.path(), port);
        Some(Self {
            folder,
            port,
            login,
            tls,
            child,
        })
    }

    /// The broker's URL, with `login` before the host.
    pub(crate) fn url(&self, login: &str) -> String {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        format!("{scheme}://{login}127.0.0.1:{}", self.port)
    }

    /// Receives all messages of a topic, the retained ones first.
    pub(crate) fn subscribe(&self, topic: &str) -> Subscriber {
        self.subscribe_with_format(topic, "%r %t %p")
    }

    fn subscribe_with_format(&self, topic: &str, format: &str) -> Subscriber {
        Subscriber(Running::with_stdout(
            &mut self.client("mosquitto_sub", &["-q", "1", "-F", format, "-t", topic]),
        ))
    }

    /// Receives all messages of a topic from now on, also those sent while the broker is restarted.
    pub(crate) fn subscribe_persistently(&self, topic: &str) -> Subscriber {
        let session = ["-c", "-i", "subscriber", "-q", "1", "-t", topic];
        // The subscription is made before anything is published.
        let done = self
            .client("mosquitto_sub", &[&session[..], &["-E"]].concat())
            .status();
        assert!(done.expect("runs").success());
        let arguments = [&session[..], &["-F", "%r %t %p"]].concat();
        Subscriber(Running::with_stdout(
            &mut self.client("mosquitto_sub", &arguments),
        ))
    }

    pub(crate) fn publish(&self, topic: &str, payload: &str) {
        self.publish_with(&["-t", topic, "-m", payload]);
    }

    pub(crate) fn publish_retained(&self, topic: &str, payload: &str) {
        self.publish_with(&["-r", "-t", topic, "-m", payload]);
    }

    /// Waits for a message of a topic. Returns its payload, which may be any bytes.
    pub(crate) fn payload(&self, topic: &str) -> Vec<u8> {
        let arguments = ["-q", "1", "-C", "1", "-W", "60", "-N", "-t", topic];
        let output = self.client("mosquitto_sub", &arguments).output();
        let output = output.expect("runs");
        assert!(output.status.success(), "no message of {topic}");
        output.stdout
    }

    fn publish_with(&self, arguments: &[&str]) {
        let arguments = [&["-q", "1"], arguments].concat();
        let done = self.client("mosquitto_pub", &arguments).status();
        assert!(done.expect("runs").success());
    }

    /// The topics of all retained messages.
    pub(crate) fn retained_topics(&self) -> Vec<String> {
        const START: &str = "test/start";
        const END: &str = "test/end";
        self.publish_with(&["-r", "-t", START, "-m", "x"]);
        // A payload may be any bytes.
        let mut subscriber = self.subscribe_with_format("#", "%r %t");
        subscriber.wait_for(START);
        // The broker sends all retained messages before those that are published after the subscription.
        self.publish(END, "x");
        subscriber.wait_for(END);
        self.publish_with(&["-r", "-t", START, "-n"]);
        let retained = subscriber
            .lines()
            .iter()
            .filter(|line| line.starts_with("1 "));
        let topics = retained.filter_map(|line| line.split(' ').nth(1));
        let mut topics: Vec<String> = topics.filter(|t| *t != START).map(str::to_owned).collect();
        topics.sort();
        topics
    }

    /// Stops it. It stores the messages for persistent subscribers.
    pub(crate) fn stop(&mut self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").arg(&id).status();
        assert!(sent.expect("kill runs").success());
        self.child.wait().expect("exited");
    }

    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.folder.path(), self.port);
    }

    /// The number of connections that clients have requested.
    pub(crate) fn connection_attempts(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("log")).expect("readable");
        log.matches("Sending CONNACK").count()
    }

    fn client(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        if let Some((name, password)) = &self.login {
            command.args(["-u", name, "-P", password]);
        }
        if self.tls {
            command.arg("--cafile").arg(self.ca());
        }
        command.args(arguments).stdin(Stdio::null());
        command
    }
}

/// An authority, and a certificate of it for the broker.
fn make_certificates(folder: &Path) {
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
    std::fs::write(folder.join("names"), names).expect("written");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout";
    for line in [
        &format!("req -x509 -days 2 -subj /CN=boxcam-test {key} ca.key -out ca.pem"),
        &format!("req -subj /CN=localhost {key} broker.key -out broker.csr"),
        "x509 -req -days 2 -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out broker.pem",
    ] {
        let done = Command::new("openssl")
            .args(line.split(' '))
            .current_dir(folder)
            .output();
        let done = done.expect("openssl starts");
        assert!(done.status.success(), "{line}: {done:?}");
    }
}

fn configure(folder: &Path, port: u16, login: Option<&(String, String)>, tls: bool) {
    let path = folder.display();
    let mut lines = vec![
        format!("listener {port} 127.0.0.1"),
        "persistence true".to_owned(),
        format!("persistence_location {path}/"),
        "set_tcp_nodelay true".to_owned(),
        "max_queued_messages 0".to_owned(),
        format!("log_dest file {path}/log"),
        "log_type all".to_owned(),
        format!("allow_anonymous {}", login.is_none()),
    ];
    if tls {
        lines.push(format!("certfile {path}/broker.pem"));
        lines.push(format!("keyfile {path}/broker.key"));
    }
    if let Some((name, password)) = login {
        let file = format!("{path}/passwords");
        let made = Command::new("mosquitto_passwd")
            .args(["-b", "-c", &file, name, password])
            .status();
        assert!(made.expect("it comes with mosquitto").success());
        lines.push(format!("password_file {file}"));
    }
    if is_root() {
        lines.push("user root".to_owned());
    }
    std::fs::write(folder.join("mosquitto.conf"), lines.join("\n") + "\n").expect("written");
}

/// As root, mosquitto would change to a user that cannot read the folder.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout == b"0\n"
}

fn spawn(folder: &Path, port: u16) -> Child {
    let path = std::env::var("PATH").unwrap_or_default();
    let child = Command::new("mosquitto")
        .args(["-c", "mosquitto.conf"])
        .current_dir(folder)
        .env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("mosquitto starts");
    wait_until("mosquitto listens", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    child
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Subscriber {
    /// All messages so far, one per line: whether it is retained, its topic, its payload.
    pub(crate) fn lines(&self) -> &[String] {
        &self.0.lines
    }

    /// Waits for the next message of that topic.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, topic: &str) -> Message {
        let line = self
            .0
            .wait_for(topic, |line| line.split(' ').nth(1) == Some(topic));
        Message {
            is_retained: line.starts_with("1 "),
            payload: line.splitn(3, ' ').nth(2).unwrap_or_default().to_owned(),
        }
    }
}

impl Message {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.payload).expect("JSON")
    }
}
