//! The system's files, and the output of other programs.

use std::io::Read;
#[cfg(test)]
use std::path::Path;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// How often a child process is checked for its end.
const CHILD_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The files of a machine.
pub(super) struct Machine {
    /// `/`; another folder in tests.
    root: PathBuf,
}

impl Machine {
    /// The machine that runs this program.
    pub(super) fn this() -> Self {
        Self { root: "/".into() }
    }

    #[cfg(test)]
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// `path` is without the leading `/`.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The text of a file, without trailing space; `None` if it can't be read.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        let bytes = std::fs::read(self.path(path)).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        // The device tree terminates its texts with a zero.
        Some(text.trim_end_matches(['\0', '\n', ' ']).to_owned())
    }

    /// The names in a folder, sorted; none if it can't be read.
    pub(super) fn list(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder))
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    pub(super) fn is_raspberry_pi(&self) -> bool {
        self.read("proc/device-tree/model")
            .is_some_and(|model| model.contains("Raspberry Pi"))
    }
}

/// What a program prints, first its standard output, then its standard error. `None` if it can't be started or does not
/// end within `timeout`; then it is killed.
pub(super) fn output_of(program: &str, arguments: &[&str], timeout: Duration) -> Option<String> {
    let deadline = Instant::now() + timeout;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    // The pipes are read while the child runs: it would block on a full pipe and never end.
    let stdout = read_in_background(child.stdout.take());
    let stderr = read_in_background(child.stderr.take());
    let output = collect(&mut child, &[stdout, stderr], deadline);
    if output.is_none() {
        // It may have ended just now, so errors do not matter.
        let _ = child.kill();
        let _ = child.wait();
    }
    output
}

/// Reads a pipe to its end on a thread of its own. The thread is detached, because a grandchild may keep the pipe open.
fn read_in_background(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe
            && pipe.read_to_end(&mut bytes).is_ok()
        {
            let _ = sender.send(bytes);
        }
    });
    receiver
}

/// The text of the pipes once all are closed and the child has ended; `None` if that is not before `deadline`.
fn collect(child: &mut Child, pipes: &[Receiver<Vec<u8>>], deadline: Instant) -> Option<String> {
    let mut output = Vec::new();
    for pipe in pipes {
        let remaining = deadline.saturating_duration_since(Instant::now());
        output.extend(pipe.recv_timeout(remaining).ok()?);
    }
    while child.try_wait().ok()?.is_none() {
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(CHILD_POLL_INTERVAL);
    }
    Some(String::from_utf8_lossy(&output).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn the_output_of_a_program_is_both_its_streams() {
        let output = output_of("sh", &["-c", "echo a; echo b >&2"], LONG);
        assert_eq!(output.as_deref(), Some("a\nb\n"));
        assert_eq!(output_of("no such program", &[], LONG), None);
    }

    #[test]
    fn a_program_may_print_more_than_a_pipe_holds() {
        let script = "i=0; while [ $i -lt 5000 ]; do echo 'a line of more than fifty characters, as long as this one'; \
                      echo 'another line of that length for the standard error output' >&2; i=$((i+1)); done";
        let output = output_of("sh", &["-c", script], LONG).expect("it ends");
        assert!(output.len() > 500_000, "{}", output.len());
    }

    #[test]
    fn a_program_is_killed_after_the_timeout() {
        let started = Instant::now();
        assert_eq!(output_of("sleep", &["60"], Duration::from_millis(50)), None);
        // Its child keeps the pipe open.
        let background = ["-c", "sleep 3 & exit 0"];
        assert_eq!(
            output_of("sh", &background, Duration::from_millis(50)),
            None
        );
        assert!(started.elapsed() < LONG);
    }
}
