//! One run of the program: its input, its output, its end.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read, Seek, Write};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};

use super::messages::{LineSplitter, ProgramMessages};
use super::{EventInput, EventProgram};
use crate::child_process::{self, ChildProcess};

/// How often a running program is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long to wait for a killed program; it may hang in the kernel.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// Variables of boxcam and of the service manager start with these. The program gets none of them: a password may be
/// among them.
const OWN_VARIABLES: [&str; 5] = [
    "BOXCAM_",
    "NOTIFY_SOCKET",
    "WATCHDOG_",
    "LISTEN_",
    "JOURNAL_STREAM",
];

pub(super) struct ProgramRun<'a> {
    pub(super) program: &'a EventProgram,
    pub(super) input: &'a EventInput,
    pub(super) timeout: Duration,
    pub(super) messages: &'a Mutex<ProgramMessages>,
}

/// How a run has ended.
#[derive(Debug)]
pub(super) enum Ending {
    Done(ExitStatus),
    TimedOut,
    /// It was killed because the run of boxcam ends.
    Stopped,
    NotStarted(io::Error),
}

impl ProgramRun<'_> {
    /// Runs the program until it ends, the timeout is over or `must_stop`. Its child processes do not outlive it.
    pub(super) fn run(&self, must_stop: impl Fn(Instant) -> bool) -> Ending {
        let (mut process, mut output) = match self.start() {
            Ok(started) => started,
            Err(error) => return Ending::NotStarted(error),
        };
        let deadline = Instant::now() + self.timeout;
        let mut lines = LineSplitter::default();
        let mut is_open = true;
        let ending = loop {
            if is_open {
                is_open = self.read(&mut output, &mut lines, POLL_INTERVAL);
            } else {
                thread::sleep(POLL_INTERVAL);
            }
            if let Some(status) = process.status() {
                break Ending::Done(status);
            }
            let now = Instant::now();
            if now >= deadline {
                break Ending::TimedOut;
            }
            if must_stop(now) {
                break Ending::Stopped;
            }
        };
        if !matches!(ending, Ending::Done(_)) {
            kill(&mut process);
        }
        // What it has written last. A process that has left the group may keep the pipe open.
        while is_open && is_readable(&output, Duration::ZERO) && Instant::now() < deadline {
            is_open = self.read(&mut output, &mut lines, Duration::ZERO);
        }
        lines.finish(|line| self.say(line));
        ending
    }

    fn start(&self) -> io::Result<(ChildProcess, PipeReader)> {
        // A file in memory, since writing to a pipe may block.
        let mut stdin = File::from(memfd_create("boxcam-event", MemfdFlags::CLOEXEC)?);
        stdin.write_all(self.input.line.as_bytes())?;
        stdin.rewind()?;
        let (output, stdout) = io::pipe()?;
        let stderr = stdout.try_clone()?;
        let mut command = child_process::command(self.program.path());
        command.args(&self.program.arguments);
        remove_own_variables(&mut command);
        command.envs(
            self.input
                .variables
                .iter()
                .map(|(name, value)| (name, value)),
        );
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        // The command holds the other ends of the pipe until it is dropped.
        Ok((ChildProcess::spawn(&mut command)?, output))
    }

    /// Reads what the program has written within that time. Returns whether more may follow.
    fn read(&self, output: &mut PipeReader, lines: &mut LineSplitter, timeout: Duration) -> bool {
        if !is_readable(output, timeout) {
            return true;
        }
        let mut bytes = [0; 4096];
        match output.read(&mut bytes) {
            Ok(0) => false,
            Ok(length) => {
                lines.add(&bytes[..length], |line| self.say(line));
                true
            }
            Err(error) => error.kind() == io::ErrorKind::Interrupted,
        }
    }

    fn say(&self, line: &str) {
        self.messages.lock().add(line, Instant::now());
    }
}

fn remove_own_variables(command: &mut Command) {
    let is_own = |name: &OsString| {
        let name = name.to_string_lossy();
        OWN_VARIABLES.iter().any(|own| name.starts_with(own))
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_own(name)) {
        command.env_remove(name);
    }
}

fn is_readable(output: &PipeReader, timeout: Duration) -> bool {
    let mut files = [PollFd::new(output, PollFlags::IN)];
    let timeout = Timespec::try_from(timeout).ok();
    matches!(poll(&mut files, timeout.as_ref()), Ok(1..))
}

/// Kills the program and waits for its end.
fn kill(process: &mut ChildProcess) {
    process.kill();
    let started = Instant::now();
    while process.status().is_none() && started.elapsed() < KILL_TIMEOUT {
        thread::sleep(POLL_INTERVAL);
    }
}
