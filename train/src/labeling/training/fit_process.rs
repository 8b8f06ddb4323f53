//! The process of a training.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lines of its output to keep.
const LINES: usize = 20;

/// Characters of a line to keep.
const LINE_LENGTH: usize = 4000;

/// Timeout for the process to end once it was asked to.
const END_TIMEOUT: Duration = Duration::from_secs(10);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    /// It was asked to, here or with Ctrl-C.
    Stopped,
    /// With the last lines of its output.
    Failed(String),
}

/// A running `fit`.
#[derive(Debug)]
pub(super) struct FitProcess {
    /// Not waited for yet, so its ID is no other process's.
    child: Child,
    lines: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
    was_asked_to_end: bool,
}

impl FitProcess {
    pub(super) fn start(program: &Path, arguments: &[OsString]) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let lines = Arc::default();
        let outputs = [
            child
                .stdout
                .take()
                .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            child.stderr.take().map(|pipe| Box::new(pipe) as _),
        ];
        let readers = outputs.into_iter().flatten();
        let readers = readers.map(|pipe| {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || keep_lines(pipe, &lines))
        });
        Ok(Self {
            readers: readers.collect(),
            child,
            lines,
            was_asked_to_end: false,
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn was_asked_to_end(&self) -> bool {
        self.was_asked_to_end
    }

    /// How it ended; `None` if it is running.
    pub(super) fn end(&mut self) -> Option<End> {
        let status = self.child.try_wait().ok()??;
        Some(self.ended(status))
    }

    fn ended(&mut self, status: ExitStatus) -> End {
        for reader in self.readers.drain(..) {
            // A panic was already reported.
            let _ = reader.join();
        }
        if status.success() {
            return End::Complete;
        }
        if self.was_asked_to_end || is_interrupt(status) {
            return End::Stopped;
        }
        let mut lines: Vec<String> = self.lines.lock().drain(..).collect();
        if status.code().is_none() {
            lines.push(format!(
                "It was ended by the system ({status}), maybe because the memory was used up."
            ));
        }
        End::Failed(lines.join("\n"))
    }

    /// Asks it to end, as Ctrl-C does.
    pub(super) fn ask_to_end(&mut self) -> io::Result<()> {
        self.was_asked_to_end = true;
        interrupt(&mut self.child)
    }

    /// Asks it to end and waits, at most for the timeout, after which it is ended without being asked.
    pub(super) fn stop_and_wait(&mut self) -> End {
        if let Some(end) = self.end() {
            return end;
        }
        let _ = self.ask_to_end();
        let asked = Instant::now();
        while asked.elapsed() < END_TIMEOUT {
            if let Some(end) = self.end() {
                return end;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        // Files are written whole or not at all, so nothing is damaged.
        let _ = self.child.kill();
        let _ = self.child.wait();
        End::Stopped
    }
}

#[cfg(unix)]
fn interrupt(child: &mut Child) -> io::Result<()> {
    let process = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    #[allow(unsafe_code, reason = "a call of the C library")]
    // SAFETY: `kill` takes two integers. The child was not waited for, so the ID is still its own.
    let result = unsafe { libc::kill(process, libc::SIGINT) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Other systems have no signals. Files are written whole or not at all, so nothing is damaged.
#[cfg(not(unix))]
fn interrupt(child: &mut Child) -> io::Result<()> {
    child.kill()
}

#[cfg(unix)]
fn is_interrupt(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(libc::SIGINT)
}

#[cfg(not(unix))]
fn is_interrupt(_: ExitStatus) -> bool {
    false
}

fn keep_lines(pipe: impl Read, lines: &Mutex<VecDeque<String>>) {
    let mut reader = BufReader::new(pipe);
    let mut bytes = Vec::new();
    while reader
        .read_until(b'\n', &mut bytes)
        .is_ok_and(|count| count > 0)
    {
        let line = String::from_utf8_lossy(&bytes);
        let line: String = line.trim_end().chars().take(LINE_LENGTH).collect();
        bytes.clear();
        let mut lines = lines.lock();
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn shell(script: &str) -> FitProcess {
        FitProcess::start(Path::new("sh"), &["-c".into(), script.into()]).expect("started")
    }

    fn end(process: &mut FitProcess) -> End {
        loop {
            if let Some(end) = process.end() {
                return end;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    #[test]
    fn the_last_lines_of_a_failure_are_kept() {
        let process = &mut shell("seq 100; exit 3");
        let End::Failed(lines) = end(process) else {
            panic!("it has failed");
        };
        let expected: Vec<String> = (81..=100).map(|number| number.to_string()).collect();
        assert_eq!(lines, expected.join("\n"));
        assert_eq!(end(&mut shell("exit 0")), End::Complete);
        let End::Failed(lines) = end(&mut shell("kill -9 $$")) else {
            panic!("it has failed");
        };
        assert!(lines.contains("ended by the system"), "{lines}");
    }

    #[test]
    fn it_ends_as_with_an_interrupt() {
        let process = &mut shell("exec sleep 1000");
        assert_eq!(process.end(), None);
        assert_eq!(process.stop_and_wait(), End::Stopped);
        // Ctrl-C in a terminal. A job in the background of a script inherits that the signal is ignored.
        let interrupted = "exec env --default-signal=INT sh -c 'kill -INT $$'";
        assert_eq!(end(&mut shell(interrupted)), End::Stopped);
    }
}
