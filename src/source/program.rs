//! A program that sends motion JPEG on its standard output, as a source.
//!
//! It never outlives boxcam. The last lines that it writes to standard error explain why it ended or sends nothing.

use std::io::{self, Read};
use std::process::{ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::cancellable_reader::{CancellableReader, PollResult, ReadCancelHandle};
use super::stream::{StreamKind, StreamSource};
use super::{CancelHandle, FrameSource, MessageHandle, SourceError};
use crate::child_process::ChildProcess;
use crate::frame::Frame;

/// How long opening waits for the first byte. A camera takes about a second to start; this wait can't be cancelled, so
/// the rest of it is left to the first `next_frame`.
const OPEN_TIMEOUT: Duration = Duration::from_millis(500);

/// How much of the program's standard error is kept, in bytes.
const MAX_STDERR: usize = 4096;

/// How many of its last lines are shown in an error message.
const SHOWN_LINES: usize = 4;

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long to wait for the end of the program; its thread waits on if it hangs in the kernel.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// A program that sends motion JPEG, and what its messages contain.
pub(super) struct ProgramConfig {
    /// The name of the source.
    pub(super) source: String,
    /// The name of the program.
    pub(super) program: &'static str,
    /// The program with its arguments.
    pub(super) command: Command,
    /// The next step if it can't be started.
    pub(super) start_advice: &'static str,
    /// The next step if it ends.
    pub(super) end_advice: &'static str,
    /// Removes what is secret from a message of the program.
    pub(super) redact: Redact,
}

pub(super) type Redact = Box<dyn Fn(&str) -> String + Send + Sync>;

/// Frames from a program.
pub struct ProgramSource {
    stream: StreamSource<CancellableReader>,
    program: Arc<Program>,
    cancel: ReadCancelHandle,
    source: String,
    end_advice: &'static str,
}

impl ProgramSource {
    /// Starts the program and waits a moment until it sends data or ends. A JPEG may be scaled down, but not below the
    /// width and height of `min_size`.
    ///
    /// # Errors
    /// [`SourceError::Stream`] if it can't be started or ends without a frame.
    pub(super) fn start(config: ProgramConfig, min_size: (u32, u32)) -> Result<Self, SourceError> {
        let ProgramConfig {
            source,
            program: name,
            command,
            start_advice,
            end_advice,
            redact,
        } = config;
        let start_error = |error: io::Error| {
            let message = format!("{name} can't be started ({error}); {start_advice}");
            stream_error(&source, message)
        };
        let (program, stdout) = Program::start(name, command, redact).map_err(start_error)?;
        let reader = CancellableReader::new(stdout.into()).map_err(start_error)?;
        let mut source = Self {
            cancel: reader.cancel_handle(),
            stream: StreamSource::new(&*source, reader, StreamKind::Live, min_size),
            program,
            source,
            end_advice,
        };
        source.wait_for_start()?;
        Ok(source)
    }

    fn wait_for_start(&mut self) -> Result<(), SourceError> {
        let waited = self.stream.reader().wait(Some(OPEN_TIMEOUT));
        if !matches!(waited, Ok(PollResult::TimedOut)) && !self.stream.wait_for_data()? {
            return Err(self.ended(None));
        }
        Ok(())
    }

    /// The program has ended, or sends what can't be read for this reason.
    fn ended(&self, reason: Option<&str>) -> SourceError {
        let ended = self.program.exit_message();
        let advice = self.end_advice;
        let message = match reason {
            Some(reason) => format!("{reason}; {ended}"),
            None => format!("{ended}; {advice}"),
        };
        stream_error(&self.source, message)
    }
}

impl FrameSource for ProgramSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        let next = self.stream.next_frame();
        if self.cancel.is_cancelled() {
            return Ok(None);
        }
        match next {
            Ok(None) => Err(self.ended(None)),
            Err(SourceError::Stream { message, .. }) => Err(self.ended(Some(&message))),
            next => next,
        }
    }

    fn defer_decoding(&mut self) {
        self.stream.defer_decoding();
    }

    /// Kills the program and ends the stream.
    fn cancel_handle(&self) -> Option<CancelHandle> {
        let (program, cancel) = (Arc::clone(&self.program), self.cancel.clone());
        Some(Box::new(move || {
            cancel.cancel();
            program.kill();
        }))
    }

    fn message_handle(&self) -> Option<MessageHandle> {
        let program = Arc::clone(&self.program);
        Some(Box::new(move || program.said()))
    }
}

impl Drop for ProgramSource {
    fn drop(&mut self) {
        self.program.kill();
        self.program.wait();
    }
}

pub(super) fn stream_error(source: &str, message: String) -> SourceError {
    SourceError::Stream {
        stream: source.to_owned(),
        message,
    }
}

/// A running program.
struct Program {
    name: &'static str,
    redact: Redact,
    process: Mutex<ChildProcess>,
    /// The end of its standard error.
    stderr: Mutex<Vec<u8>>,
    /// Whether its standard error was read to the end.
    has_closed_stderr: AtomicBool,
}

impl Program {
    /// Starts the program in its own process group, from a thread that lives until the program ends.
    ///
    /// The thread is needed because the kernel sends the signal of `--pdeathsig` when the starting thread ends.
    fn start(
        name: &'static str,
        mut command: Command,
        redact: Redact,
    ) -> io::Result<(Arc<Self>, ChildStdout)> {
        let (sender, receiver) = mpsc::channel();
        thread::Builder::new()
            .name("program".to_owned())
            .spawn(move || match Self::spawn(name, &mut command, redact) {
                Err(error) => drop(sender.send(Err(error))),
                Ok((program, stdout, stderr)) => {
                    drop(sender.send(Ok((Arc::clone(&program), stdout))));
                    program.supervise(stderr);
                }
            })?;
        let gone = || io::Error::other("its thread ended");
        receiver.recv().unwrap_or_else(|_| Err(gone()))
    }

    fn spawn(
        name: &'static str,
        command: &mut Command,
        redact: Redact,
    ) -> io::Result<(Arc<Self>, ChildStdout, ChildStderr)> {
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = ChildProcess::spawn(command)?;
        let child = process.child();
        let pipes = child.stdout.take().zip(child.stderr.take());
        let (stdout, stderr) = pipes.ok_or_else(|| io::Error::other("it has no pipes"))?;
        let program = Self {
            name,
            redact,
            process: Mutex::new(process),
            stderr: Mutex::default(),
            has_closed_stderr: AtomicBool::new(false),
        };
        Ok((Arc::new(program), stdout, stderr))
    }

    /// Reads standard error until the program ends, and reaps the process.
    fn supervise(&self, mut stderr: ChildStderr) {
        let mut bytes = [0; 1024];
        while let Ok(length @ 1..) = stderr.read(&mut bytes) {
            keep_end(&mut self.stderr.lock(), &bytes[..length]);
        }
        self.has_closed_stderr.store(true, Ordering::Release);
        while self.status().is_none() {
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// The exit status, once the program has ended.
    fn status(&self) -> Option<ExitStatus> {
        self.process.lock().status()
    }

    /// Kills the program and its child processes.
    fn kill(&self) {
        self.process.lock().kill();
    }

    /// Waits for the end of the program, at most [`EXIT_TIMEOUT`].
    fn wait(&self) -> Option<ExitStatus> {
        wait_for(|| self.status().is_some());
        self.status()
    }

    /// The exit status and the last lines of standard error.
    fn exit_message(&self) -> String {
        let name = self.name;
        let ended = match self.wait() {
            Some(status) => format!("{name} ended ({status})"),
            None => format!("{name} stopped sending frames"),
        };
        wait_for(|| self.has_closed_stderr.load(Ordering::Acquire));
        match self.last_lines() {
            None => ended,
            Some(lines) => format!("{ended} with the message: {lines}"),
        }
    }

    /// What the running program has said last.
    fn said(&self) -> Option<String> {
        let lines = self.last_lines()?;
        Some(format!("{} says: {lines}", self.name))
    }

    /// The last lines of standard error.
    fn last_lines(&self) -> Option<String> {
        let stderr = String::from_utf8_lossy(&self.stderr.lock()).into_owned();
        let lines = stderr.split(['\n', '\r']).map(str::trim);
        let lines: Vec<&str> = lines
            .filter(|line| !line.is_empty() && !is_about_a_frame(line))
            .collect();
        let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join(" / ");
        (!last.is_empty()).then(|| (self.redact)(&last))
    }
}

/// Appends to the end of a text and drops whole lines from its beginning, so that no secret is cut in two.
fn keep_end(kept: &mut Vec<u8>, more: &[u8]) {
    kept.extend_from_slice(more);
    if kept.len() > MAX_STDERR {
        let surplus = kept.len() - MAX_STDERR;
        let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let line_end = kept[surplus - 1..].iter().position(is_break);
        let dropped = line_end.map_or(kept.len(), |end| surplus + end);
        kept.drain(..dropped);
    }
}

/// `rpicam-vid` may print a line for each frame, as `#12 (30.00 fps) exp 33239.00 ag 8.00 dg 1.00`.
fn is_about_a_frame(line: &str) -> bool {
    let number = line
        .strip_prefix('#')
        .and_then(|rest| rest.split_once(" ("));
    number.is_some_and(|(number, rest)| number.parse::<u64>().is_ok() && rest.contains(" fps)"))
}

/// Waits for a condition, at most [`EXIT_TIMEOUT`].
fn wait_for(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() && start.elapsed() < EXIT_TIMEOUT {
        thread::sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    //! The whole source is tested with a script instead of `rpicam-vid` in `tests/live/stream.rs`, where PATH can be set.

    use std::fs;
    use std::path::Path;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn start(script: &str) -> (Arc<Program>, ChildStdout) {
        Program::start("rpicam-vid", shell(script), Box::new(str::to_owned)).expect("started")
    }

    /// Whether a process exists, as a zombie or otherwise.
    fn exists(process: &str) -> bool {
        Path::new("/proc").join(process.trim()).exists()
    }

    /// Whether a process has ended; it may be a zombie.
    fn has_ended(process: &str) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/stat", process.trim()));
        status.map_or(true, |status| status.contains(") Z "))
    }

    fn wait_until_ended(process: &str) -> bool {
        let start = Instant::now();
        while !has_ended(process) && start.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(5));
        }
        has_ended(process)
    }

    fn first_line(stdout: &mut ChildStdout) -> String {
        let mut line = String::new();
        while !line.ends_with('\n') {
            let mut byte = [0];
            stdout.read_exact(&mut byte).expect("a line");
            line.push(char::from(byte[0]));
        }
        line
    }

    #[test]
    fn a_killed_program_leaves_no_process_behind() {
        let (program, mut stdout) = start("sleep 600 & echo $$ $!; wait");
        let pids = first_line(&mut stdout);
        let (shell, sleep) = pids.split_once(' ').expect("two numbers");
        assert!(exists(shell) && exists(sleep));
        program.kill();
        assert!(program.wait().is_some(), "it was reaped");
        assert!(!exists(shell), "no zombie");
        assert!(wait_until_ended(sleep), "its child process was killed");
        program.kill();
    }

    #[test]
    fn child_processes_that_outlive_the_program_are_killed() {
        let (program, mut stdout) = start("sleep 600 & echo $$ $!; exit 3");
        let pids = first_line(&mut stdout);
        // It has to end by itself before it is killed.
        let (shell, _) = pids.split_once(' ').expect("two numbers");
        wait_until_ended(shell);
        // The child process keeps the pipes open, so the stream has not ended; the pipeline's timeout cancels it.
        program.kill();
        assert_eq!(program.wait().and_then(|status| status.code()), Some(3));
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).expect("its end");
        assert!(rest.is_empty());
        assert!(program.exit_message().contains("exit status: 3"));
        program.kill();
    }

    #[test]
    fn the_exit_message_has_the_last_lines_of_stderr() {
        let script = "seq 100000 >&2; echo '  out of cameras ' >&2; exit 3";
        let (program, _stdout) = start(script);
        assert_eq!(
            program.exit_message(),
            "rpicam-vid ended (exit status: 3) with the message: 99998 / 99999 / 100000 / out of cameras"
        );
    }

    #[test]
    fn what_it_said_is_shown_without_secrets_and_lines_about_frames() {
        let script = "echo 'open rtsp://a:secret@cam/x' >&2; echo '#7 (29.97 fps) exp 1.0' >&2; \
                      printf 'half a \\rline' >&2; echo ready; exec sleep 600";
        let redact: Redact = Box::new(crate::stream_url::redact);
        let (program, mut stdout) =
            Program::start("ffmpeg", shell(script), redact).expect("started");
        first_line(&mut stdout);
        let expected = "ffmpeg says: open rtsp://***@cam/x / half a / line";
        wait_for(|| program.said().as_deref() == Some(expected));
        assert_eq!(program.said().as_deref(), Some(expected));
        program.kill();
    }

    #[test]
    fn only_whole_lines_are_kept() {
        let mut kept = Vec::new();
        let line = [&[b'x'; 99][..], b"\n"].concat();
        for _ in 0..200 {
            keep_end(&mut kept, &line);
        }
        assert_eq!(kept, line.repeat(MAX_STDERR / 100));
        keep_end(&mut kept, &[b'y'; 2 * MAX_STDERR]);
        assert!(kept.is_empty(), "the line is too long");
        keep_end(&mut kept, b"the end\n");
        assert_eq!(kept, b"the end\n");
    }
}
