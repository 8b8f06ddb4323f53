//! A program that runs beside this one and never outlives it, nor stays as a zombie.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// What is kept of the program's talk, in bytes.
const KEPT: usize = 2048;

/// What is told of it, in lines.
const TOLD: usize = 4;

/// How often is looked whether it has ended.
const CHECK: Duration = Duration::from_millis(20);

/// Time for a killed program to be gone; one that hangs in the kernel stays to the guard.
const PATIENCE: Duration = Duration::from_secs(1);

/// A running program.
pub(super) struct Child {
    process: Mutex<Process>,
    /// What it said last on standard error.
    talk: Mutex<Vec<u8>>,
    /// Whether it will say no more.
    is_silent: AtomicBool,
}

impl Child {
    /// Starts a program in a process group of its own, from a thread that guards it until its end.
    ///
    /// The thread must be one that lasts: the kernel kills the child when the thread that started it ends.
    pub(super) fn start(mut command: Command) -> io::Result<(Arc<Self>, ChildStdout)> {
        let (sender, receiver) = mpsc::channel();
        thread::Builder::new()
            .name("rpicam".to_owned())
            .spawn(move || match Self::spawn(&mut command) {
                Err(error) => drop(sender.send(Err(error))),
                Ok((child, stdout, stderr)) => {
                    drop(sender.send(Ok((Arc::clone(&child), stdout))));
                    child.guard(stderr);
                }
            })?;
        let gone = || io::Error::other("its thread ended");
        receiver.recv().unwrap_or_else(|_| Err(gone()))
    }

    fn spawn(command: &mut Command) -> io::Result<(Arc<Self>, ChildStdout, ChildStderr)> {
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.process_group(0).spawn()?;
        let pipes = process.stdout.take().zip(process.stderr.take());
        let (stdout, stderr) = pipes.ok_or_else(|| io::Error::other("it has no pipes"))?;
        let child = Self {
            process: Mutex::new(Process {
                child: process,
                ended: None,
            }),
            talk: Mutex::default(),
            is_silent: AtomicBool::new(false),
        };
        Ok((Arc::new(child), stdout, stderr))
    }

    /// Listens to the program until it ends, and takes it off the system's list.
    fn guard(&self, mut stderr: ChildStderr) {
        let mut bytes = [0; 1024];
        while let Ok(length @ 1..) = stderr.read(&mut bytes) {
            let mut talk = lock(&self.talk);
            talk.extend_from_slice(&bytes[..length]);
            let surplus = talk.len().saturating_sub(KEPT);
            talk.drain(..surplus);
        }
        self.is_silent.store(true, Ordering::Release);
        while self.status().is_none() {
            thread::sleep(CHECK);
        }
    }

    /// How it ended, once it did.
    fn status(&self) -> Option<ExitStatus> {
        lock(&self.process).status()
    }

    /// Kills it and what it started.
    pub(super) fn kill(&self) {
        let mut process = lock(&self.process);
        process.kill_group();
        if process.ended.is_none() {
            let _ = process.child.kill();
        }
    }

    /// Waits for its end, not for ever.
    pub(super) fn wait(&self) -> Option<ExitStatus> {
        wait_for(|| self.status().is_some());
        self.status()
    }

    /// How it ended and what it said last, in words.
    pub(super) fn last_words(&self) -> String {
        let ended = match self.wait() {
            Some(status) => format!("rpicam-vid ended ({status})"),
            None => "rpicam-vid sends no more".to_owned(),
        };
        wait_for(|| self.is_silent.load(Ordering::Acquire));
        let talk = String::from_utf8_lossy(&lock(&self.talk)).into_owned();
        let lines: Vec<_> = talk
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        match &lines[lines.len().saturating_sub(TOLD)..] {
            [] => ended,
            last => format!("{ended} and said: {}", last.join(" / ")),
        }
    }
}

/// The process that was started, with its group.
struct Process {
    child: std::process::Child,
    /// How it ended, once it was waited for.
    ended: Option<ExitStatus>,
}

impl Process {
    fn number(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Kills all that is left of its group. Once it was waited for, another may have its number.
    fn kill_group(&self) {
        if let Some(number) = self.number().filter(|_| self.ended.is_none()) {
            let _ = kill_process_group(number, Signal::KILL);
        }
    }

    /// How it ended, if it did. What it started, and would stay and hold its pipes open, goes with it.
    fn status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() && self.has_ended() {
            self.kill_group();
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Whether it has ended; it stays on the system's list until it is waited for.
    fn has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let seen = |number| waitid(WaitId::Pid(number), look);
        // Where it can't be looked at, whoever waits for it finds out.
        !matches!(self.number().map(seen), Some(Ok(None)))
    }
}

/// Waits until it is so, but no longer than [`PATIENCE`].
fn wait_for(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() && start.elapsed() < PATIENCE {
        thread::sleep(CHECK);
    }
}

/// What a lock holds is sound even if a thread panicked with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
