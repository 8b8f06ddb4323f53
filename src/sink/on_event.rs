//! Runs a program at each event of a track.
//!
//! The program gets the event's line of the log on standard input, and its main fields in variables
//! that start with `BOXCAM_`. Threads of their own run it, at most [`OnEventSettings::limit`] at a time; further
//! events wait in a queue. A full queue of a live run drops the oldest, which are counted, so that a slow program is never
//! in the way of detection; one of files waits for the program. A program that does not end in time is killed with its
//! child processes. What it writes to standard output and standard error becomes messages, a limited number of them.
//!
//! At the end of a run, waiting events are still handled and running programs may end, for two seconds; then they
//! are killed.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use thiserror::Error;

use super::{Sink, SinkError, json};
use crate::event_command::EventCommand;
use crate::health::Health;
use crate::privacy::PublicFrame;
use crate::report::Report;
use crate::warn;

mod messages;
mod program_run;
mod variables;

use messages::ProgramMessages;
use program_run::{Ending, ProgramRun};

/// Events that wait for a program.
const MAX_QUEUED: usize = 64;

/// Time for waiting events and running programs at the end of a run.
const GRACE: Duration = Duration::from_secs(2);

/// Least time between two messages about dropped events.
const DROP_MESSAGE_INTERVAL: Duration = Duration::from_secs(60);

/// How often the end of a recording looks whether the run is stopped.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A program that exists, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventProgram {
    /// As it was given, for messages.
    name: String,
    path: PathBuf,
    arguments: Vec<String>,
}

/// The program of `--on-event` can't be started.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "--on-event: there is no program \"{program}\" that may be executed; install it, give its whole path, or make it \
     executable with `chmod +x`"
)]
pub struct MissingProgram {
    program: String,
}

impl EventProgram {
    /// Looks up the program in `PATH`, unless it is a path.
    ///
    /// # Errors
    /// [`MissingProgram`]
    pub fn find(command: &EventCommand) -> Result<Self, MissingProgram> {
        let name = command.program.clone();
        match which::which(&name) {
            Ok(path) => Ok(Self {
                name,
                path,
                arguments: command.arguments.clone(),
            }),
            Err(_) => Err(MissingProgram { program: name }),
        }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What happens to an event that finds the queue full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest in the queue is dropped: for a live source.
    DropOldest,
    /// The sink waits for a program to end: for files.
    Wait,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnEventSettings {
    pub program: EventProgram,
    /// The most programs that run at the same time.
    pub limit: NonZeroUsize,
    /// A program that runs longer is killed.
    pub timeout: Duration,
    /// The name of the camera.
    pub camera: String,
    pub when_full: WhenFull,
}

/// Runs a program at each event until it is dropped.
pub struct OnEventSink {
    camera: String,
    when_full: WhenFull,
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl OnEventSink {
    /// Starts the threads. `health` counts dropped events and failed programs.
    ///
    /// # Errors
    /// [`SinkError::Thread`]
    pub fn start(settings: OnEventSettings, health: Arc<Health>) -> Result<Self, SinkError> {
        let OnEventSettings {
            program,
            limit,
            timeout,
            camera,
            when_full,
        } = settings;
        let shared = Arc::new(Shared {
            messages: Mutex::new(ProgramMessages::new(&program.name)),
            program,
            timeout,
            health,
            queue: Mutex::default(),
            changed: Condvar::new(),
        });
        let mut sink = Self {
            camera,
            when_full,
            shared,
            workers: Vec::new(),
        };
        for _ in 0..limit.get() {
            let shared = Arc::clone(&sink.shared);
            let worker = thread::Builder::new()
                .name("on-event".to_owned())
                .spawn(move || shared.run_programs())
                .map_err(|source| SinkError::Thread {
                    what: "--on-event",
                    source,
                })?;
            sink.workers.push(worker);
        }
        Ok(sink)
    }
}

impl Sink for OnEventSink {
    fn show(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        let lines = json::event_lines(frame, report);
        for (event, mut line) in report.events.iter().zip(lines) {
            line.push('\n');
            let input = EventInput {
                line,
                variables: variables::of(event, report, &self.camera),
            };
            self.shared.push(input, self.when_full);
        }
        Ok(())
    }

    fn events_only(&self) -> bool {
        true
    }

    /// Waits until all events were handled.
    fn wait_until_done(&mut self, stop: &AtomicBool) -> Result<(), SinkError> {
        let mut queue = self.shared.queue.lock();
        while !queue.is_idle() && !stop.load(Ordering::Relaxed) {
            self.shared.changed.wait_for(&mut queue, STOP_POLL_INTERVAL);
        }
        Ok(())
    }
}

impl Drop for OnEventSink {
    fn drop(&mut self) {
        self.shared.queue.lock().kill_at = Some(Instant::now() + GRACE);
        self.shared.changed.notify_all();
        for worker in self.workers.drain(..) {
            // A panic was already reported on standard error.
            let _ = worker.join();
        }
        self.shared.finish();
    }
}

/// What the program gets.
struct EventInput {
    /// The event's line of the log, with its line break.
    line: String,
    variables: Vec<(&'static str, String)>,
}

/// Shared by the sink and its threads.
struct Shared {
    program: EventProgram,
    timeout: Duration,
    health: Arc<Health>,
    messages: Mutex<ProgramMessages>,
    queue: Mutex<Queue>,
    /// An event was queued, a program has ended, or the run ends.
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<EventInput>,
    running: usize,
    /// When all programs are killed; `None` before the end of the run.
    kill_at: Option<Instant>,
    unreported_drops: u64,
    drops_reported_at: Option<Instant>,
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running == 0
    }

    fn is_grace_over(&self, now: Instant) -> bool {
        self.kill_at.is_some_and(|kill_at| now >= kill_at)
    }

    /// The number of dropped events to report now.
    fn drops_to_report(&mut self, now: Instant) -> Option<u64> {
        let is_due = |at: Instant| now.saturating_duration_since(at) >= DROP_MESSAGE_INTERVAL;
        if self.unreported_drops == 0 || !self.drops_reported_at.is_none_or(is_due) {
            return None;
        }
        self.drops_reported_at = Some(now);
        Some(std::mem::take(&mut self.unreported_drops))
    }
}

impl Shared {
    fn push(&self, input: EventInput, when_full: WhenFull) {
        let mut queue = self.queue.lock();
        if when_full == WhenFull::Wait {
            let is_full = |queue: &mut Queue| queue.waiting.len() >= MAX_QUEUED;
            self.changed.wait_while(&mut queue, is_full);
        } else if queue.waiting.len() >= MAX_QUEUED {
            queue.waiting.pop_front();
            queue.unreported_drops += 1;
            self.health.event_programs_dropped.add(1);
        }
        queue.waiting.push_back(input);
        let dropped = queue.drops_to_report(Instant::now());
        drop(queue);
        // The sink's thread waits for this, too.
        self.changed.notify_all();
        if let Some(count) = dropped {
            self.report_drops(count);
        }
    }

    /// Runs the program for one event after the other until the run ends.
    fn run_programs(&self) {
        while let Some(input) = self.next() {
            self.run(&input);
            self.queue.lock().running -= 1;
            self.changed.notify_all();
        }
    }

    /// Waits for an event, which counts as running then; `None` at the end.
    fn next(&self) -> Option<EventInput> {
        let mut queue = self.queue.lock();
        let is_idle = |queue: &mut Queue| queue.waiting.is_empty() && queue.kill_at.is_none();
        self.changed.wait_while(&mut queue, is_idle);
        if queue.is_grace_over(Instant::now()) {
            return None;
        }
        let next = queue.waiting.pop_front()?;
        queue.running += 1;
        Some(next)
    }

    fn run(&self, input: &EventInput) {
        let run = ProgramRun {
            program: &self.program,
            input,
            timeout: self.timeout,
            messages: &self.messages,
        };
        let ending = run.run(|now| self.queue.lock().is_grace_over(now));
        let message = match ending {
            Ending::Done(status) if status.success() => return,
            Ending::Done(status) => format!("failed ({status})"),
            Ending::TimedOut => format!(
                "was killed after {}; let it end sooner, or raise --on-event-timeout",
                humantime::format_duration(self.timeout)
            ),
            Ending::Stopped => "was killed at the end of the run".to_owned(),
            Ending::NotStarted(error) => format!("can't be started ({error})"),
        };
        self.health.event_programs_failed.add(1);
        self.messages.lock().add(&message, Instant::now());
    }

    fn report_drops(&self, count: u64) {
        warn!(
            "on-event: events dropped: {count}; they come faster than the program ends; raise --on-event-limit, or let the \
             program end sooner"
        );
    }

    /// Reports what was left out, after all threads have ended.
    fn finish(&self) {
        let count = {
            let mut queue = self.queue.lock();
            let left = queue.waiting.drain(..).count() as u64;
            self.health.event_programs_dropped.add(left);
            queue.unreported_drops += left;
            queue.unreported_drops
        };
        if count > 0 {
            self.report_drops(count);
        }
        self.messages.lock().finish();
    }
}

#[cfg(test)]
mod tests;
