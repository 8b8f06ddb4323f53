//! A board to install to: a real ssh server on this machine, without rights, and a folder for its root.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{ScriptOutput, run, script};
use test_support::tool_is_missing;

/// Longest time that the server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where Debian has it; it wants to be called by its whole path.
const SERVER: &str = "/usr/sbin/sshd";

pub(crate) struct Board {
    place: tempfile::TempDir,
    server: Child,
}

impl Board {
    /// `None`, and why, where there is no ssh server.
    pub(crate) fn start() -> Option<Self> {
        if tool_is_missing("sshd") || tool_is_missing("ssh") {
            return None;
        }
        // As root it insists on a folder that Debian's service makes for it.
        let _ = fs::create_dir_all("/run/sshd");
        let place = tempfile::tempdir().expect("a folder");
        for key in ["host", "user"] {
            let words = ["-q", "-t", "ed25519", "-N", "", "-f"];
            let mut command = Command::new("ssh-keygen");
            run(command.args(words).arg(place.path().join(key))).expect(0, "");
        }
        let port = free_port();
        let path = place.path().display();
        let server = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {path}/host\nAuthorizedKeysFile {path}/user.pub\n\
             StrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\n"
        );
        let client = format!(
            "Host board\nHostName 127.0.0.1\nPort {port}\nIdentityFile {path}/user\nIdentitiesOnly yes\n\
             UserKnownHostsFile {path}/known\nStrictHostKeyChecking no\nLogLevel ERROR\n"
        );
        let (settings, log) = (
            place.path().join("sshd.conf"),
            place.path().join("sshd.log"),
        );
        fs::write(&settings, server).expect("written");
        fs::write(place.path().join("ssh.conf"), client).expect("written");
        let mut command = Command::new(SERVER);
        command
            .arg("-D")
            .arg("-f")
            .arg(settings)
            .arg("-E")
            .arg(&log);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = command.spawn().expect("the server starts");
        let board = Self { place, server };
        board.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
        board.write("etc/group", "root:x:0:\ntty:x:5:\nvideo:x:44:\n");
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log_text = || fs::read_to_string(&log).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "no ssh server: {}", log_text());
            sleep(Duration::from_millis(50));
        }
        Some(board)
    }

    /// A file of the board.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join("root").join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn write(&self, name: &str, words: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("made");
        fs::write(path, words).expect("written");
    }

    /// A program on this side that does nothing but say its version, or fail to.
    pub(crate) fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.place.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        path
    }

    /// `cross/install.sh` with this board.
    pub(crate) fn install(&self, words: &[&str]) -> ScriptOutput {
        let (settings, root) = (self.place.path().join("ssh.conf"), self.path(""));
        let path = |path: &Path| path.to_str().expect("plain").to_owned();
        let (settings, root) = (path(&settings), path(&root));
        let always = ["--ssh", "-F", "--ssh", &settings, "--root", &root, "board"];
        script("install.sh", &[words, &always].concat())
    }

    /// All of the board's files: name, kind and size, and when each was changed.
    pub(crate) fn files(&self) -> Vec<String> {
        let all = walkdir::WalkDir::new(self.path("")).sort_by_file_name();
        let line = |entry: walkdir::DirEntry| {
            let about = entry.metadata().expect("there");
            let changed = about.modified().expect("known");
            format!(
                "{} {:?} {changed:?}",
                entry.path().display(),
                about.file_type()
            )
        };
        all.into_iter()
            .map(|entry| line(entry.expect("read")))
            .collect()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("known").port()
}
