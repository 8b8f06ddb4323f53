//! A program that runs while a test reads its output.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A running program whose output is read line by line; killed when dropped.
pub(crate) struct Running {
    child: Child,
    receiver: Receiver<String>,
    /// All lines read so far.
    pub(crate) lines: Vec<String>,
}

impl Running {
    /// Starts the program and reads its standard error; standard output is discarded.
    pub(crate) fn with_stderr(command: &mut Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stream = child.stderr.take().expect("piped");
        Self::reading(child, stream)
    }

    /// Starts the program and reads its standard output.
    pub(crate) fn with_stdout(command: &mut Command) -> Self {
        command.stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stream = child.stdout.take().expect("piped");
        Self::reading(child, stream)
    }

    fn reading(child: Child, stream: impl std::io::Read + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            receiver,
            lines: Vec::new(),
        }
    }

    /// Waits up to 60 s for a line that matches, and returns it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, matches: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.receiver.recv_timeout(left) else {
                panic!("no {what} in {:#?}", self.lines);
            };
            self.lines.push(line.clone());
            if matches(&line) {
                return line;
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, for example `-TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.expect("kill starts").success());
    }

    /// Waits up to 60 s for the program to end, and reads its remaining output.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(60);
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the status is known") {
                break status;
            }
            assert!(
                Instant::now() < deadline,
                "the program does not end: {:#?}",
                self.lines
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        self.lines.extend(self.receiver.iter());
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
