//! A real mosquitto in a folder of its own, and ears on it.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::common::reports::wait_until;
use crate::common::running::Running;
use test_support::tool_is_missing;

/// A broker; killed when it is dropped.
pub(crate) struct Broker {
    folder: tempfile::TempDir,
    port: u16,
    /// Name and password that the ears give.
    login: Option<(String, String)>,
    child: Child,
}

/// A message as somebody hears it.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) is_retained: bool,
    pub(crate) text: String,
}

/// Somebody who listens at the broker.
pub(crate) struct Ear(Running);

impl Broker {
    /// A broker for everybody; `None` where there is none.
    pub(crate) fn start() -> Option<Self> {
        Self::new(None)
    }

    /// A broker for one who knows the password; `None` where there is none.
    pub(crate) fn start_with_login(name: &str, password: &str) -> Option<Self> {
        Self::new(Some((name.to_owned(), password.to_owned())))
    }

    fn new(login: Option<(String, String)>) -> Option<Self> {
        if tool_is_missing("mosquitto_sub") || tool_is_missing("mosquitto") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
            listener.local_addr().expect("an address").port()
        };
        configure(folder.path(), port, login.as_ref());
        let child = spawn(folder.path(), port);
        Some(Self {
            folder,
            port,
            login,
            child,
        })
    }

    /// Where it is, with what stands before the host.
    pub(crate) fn url(&self, login: &str) -> String {
        format!("mqtt://{login}127.0.0.1:{}", self.port)
    }

    /// Hears all messages of a topic, those that are retained first.
    pub(crate) fn listen(&self, topic: &str) -> Ear {
        Ear(Running::with_stdout(&mut self.client(
            "mosquitto_sub",
            &["-q", "1", "-F", "%r %t %p", "-t", topic],
        )))
    }

    /// Hears all messages of a topic from now on, those too that come while the broker is restarted.
    pub(crate) fn listen_faithfully(&self, topic: &str) -> Ear {
        let session = ["-c", "-i", "ear", "-q", "1", "-t", topic];
        // The subscription stands before anything is told.
        let done = self
            .client("mosquitto_sub", &[&session[..], &["-E"]].concat())
            .status();
        assert!(done.expect("it runs").success());
        let words = [&session[..], &["-F", "%r %t %p"]].concat();
        Ear(Running::with_stdout(
            &mut self.client("mosquitto_sub", &words),
        ))
    }

    /// Says something to all.
    pub(crate) fn say(&self, topic: &str, text: &str) {
        let done = self
            .client("mosquitto_pub", &["-q", "1", "-t", topic, "-m", text])
            .status();
        assert!(done.expect("it runs").success());
    }

    /// Ends it; it keeps what it owes to those who listen faithfully.
    pub(crate) fn stop(&mut self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").arg(&id).status();
        assert!(sent.expect("kill is there").success());
        self.child.wait().expect("it ends");
    }

    /// Starts it again at the same place.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.folder.path(), self.port);
    }

    fn client(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        if let Some((name, password)) = &self.login {
            command.args(["-u", name, "-P", password]);
        }
        command.args(words).stdin(Stdio::null());
        command
    }
}

fn configure(folder: &Path, port: u16, login: Option<&(String, String)>) {
    let place = folder.display();
    let mut lines = vec![
        format!("listener {port} 127.0.0.1"),
        "persistence true".to_owned(),
        format!("persistence_location {place}/"),
        "set_tcp_nodelay true".to_owned(),
        "max_queued_messages 0".to_owned(),
        format!("allow_anonymous {}", login.is_none()),
    ];
    if let Some((name, password)) = login {
        let file = format!("{place}/passwords");
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

/// Whether mosquitto would become somebody who can't read the folder.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id is there");
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
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ear {
    /// Waits for the next message of that topic.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, topic: &str) -> Message {
        let line = self
            .0
            .wait_for(topic, |line| line.split(' ').nth(1) == Some(topic));
        Message {
            is_retained: line.starts_with("1 "),
            text: line.splitn(3, ' ').nth(2).unwrap_or_default().to_owned(),
        }
    }
}

impl Message {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }
}
