//! A program that runs on while a test looks at it from outside.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A program whose lines are read as they come; killed at the end of the test.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    /// All lines that were read so far.
    pub(crate) said: Vec<String>,
}

impl Running {
    /// Starts it and reads its standard error; standard output goes nowhere.
    pub(crate) fn talking(command: &mut Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stream = child.stderr.take().expect("piped");
        Self::reading(child, stream)
    }

    /// Starts it and reads its standard output.
    pub(crate) fn printing(command: &mut Command) -> Self {
        command.stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stream = child.stdout.take().expect("piped");
        Self::reading(child, stream)
    }

    fn reading(child: Child, stream: impl std::io::Read + Send + 'static) -> Self {
        let (to, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Waits for a line that is so, and gives it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no {what} in {:#?}", self.said);
            };
            self.said.push(line.clone());
            if is_it(&line) {
                return line;
            }
        }
    }

    /// Its process number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, as `-TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Waits until it has ended, and reads what it still said.
    #[track_caller]
    pub(crate) fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(60);
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status;
            }
            assert!(Instant::now() < deadline, "it never ends: {:#?}", self.said);
            std::thread::sleep(Duration::from_millis(20));
        };
        self.said.extend(self.lines.iter());
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
