//! Captures frames from a live source and reopens it when it fails or stalls.
//!
//! Each opened source has its own capture thread, which alone uses it. The supervisor observes the thread through a
//! [`Capture`] and never touches the source, so a read that never returns blocks only that thread. Such threads are
//! detached; their number is limited. Frames of a source that was given up are discarded: each opened source has a
//! generation number.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::channels::{Shared, wait_for_thread};
use super::{LiveSource, PipelineError, Timeouts};
use crate::frame::Frame;
use crate::health::CaptureState;
use crate::source::{CancelHandle, MessageHandle, SourceError, SourceFactory};

/// Maximum number of detached capture threads that have not finished.
const MAX_DETACHED: usize = 3;

/// Of this number of consecutive sources that delivered no frame, only the last gets the long timeout.
const SHORT_ATTEMPTS: u32 = 4;

/// The state of the current source, shared by its capture thread and the supervisor.
struct Capture {
    shared: Arc<Shared>,
    min_frame_interval: Duration,
    status: Mutex<SourceStatus>,
    changed: Condvar,
}

struct SourceStatus {
    generation: u64,
    is_open: bool,
    /// Time of the last frame; before the first frame, the time of opening.
    last_progress: Instant,
    first_frame: Option<Instant>,
    /// Unreadable frames since the last readable one, and the error of the last of them.
    unreadable: u64,
    last_error: Option<String>,
    end: Option<SourceEnd>,
    cancel_handle: Option<CancelHandle>,
    message_handle: Option<MessageHandle>,
    /// Added to the frame numbers of the source, so that they continue over generations.
    sequence_offset: u64,
    next_sequence: u64,
}

/// Why a source delivers no more frames.
enum SourceEnd {
    Finished,
    /// A read failed, or the source could not be opened.
    Failed(SourceError),
    Panicked,
}

impl Capture {
    fn new(shared: Arc<Shared>, min_frame_interval: Duration) -> Self {
        let now = shared.clock.now();
        Self {
            shared,
            min_frame_interval,
            status: Mutex::new(SourceStatus {
                generation: 0,
                is_open: false,
                last_progress: now,
                first_frame: None,
                unreadable: 0,
                last_error: None,
                end: None,
                cancel_handle: None,
                message_handle: None,
                sequence_offset: 0,
                next_sequence: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// Gives up the current source, cancels its read and returns the number of the next generation.
    fn next_generation(&self) -> u64 {
        let now = self.shared.clock.now();
        let mut status = self.status.lock();
        status.generation += 1;
        status.is_open = false;
        status.first_frame = None;
        status.unreadable = 0;
        status.last_error = None;
        status.end = None;
        status.last_progress = now;
        status.message_handle = None;
        status.sequence_offset = status.next_sequence;
        let (generation, cancel_handle) = (status.generation, status.cancel_handle.take());
        drop(status);
        if let Some(cancel) = cancel_handle {
            cancel();
        }
        generation
    }

    /// Waits for the source to be opened or to end, and returns its status.
    fn wait(&self, timeout: Duration) -> MutexGuard<'_, SourceStatus> {
        let mut status = self.status.lock();
        if status.end.is_none() {
            self.changed.wait_for(&mut status, timeout);
        }
        status
    }

    /// The body of a capture thread: opens a source and reads it until it ends or is given up.
    fn run(&self, generation: u64, open: &Mutex<SourceFactory>) {
        let result = catch_unwind(AssertUnwindSafe(|| self.read_all(generation, open)));
        if let Some(end) = result.unwrap_or(Some(SourceEnd::Panicked)) {
            self.update(generation, |status| {
                status.end = Some(end);
                status.cancel_handle = None;
            });
            self.changed.notify_all();
        }
    }

    /// Returns `None` if the source was given up. The source is closed on return.
    fn read_all(&self, generation: u64, open: &Mutex<SourceFactory>) -> Option<SourceEnd> {
        let opened = (open.lock())();
        let mut source = match opened {
            Ok(source) => source,
            Err(error) => return Some(SourceEnd::Failed(error)),
        };
        let cancel_handle = source.cancel_handle();
        let message_handle = source.message_handle();
        let mut is_current = self.update(generation, |status| {
            status.is_open = true;
            status.last_progress = self.shared.clock.now();
            status.cancel_handle = cancel_handle;
            status.message_handle = message_handle;
            if generation > 1 {
                self.shared.health.reopened.add(1);
            }
        });
        self.changed.notify_all();
        while is_current {
            let started = Instant::now();
            is_current = match source.next_frame() {
                Ok(Some(frame)) => self.accept(generation, frame),
                Ok(None) => return Some(SourceEnd::Finished),
                Err(error) if error.is_recoverable() => {
                    self.count_unreadable(generation, &error.to_string())
                }
                Err(error) => return Some(SourceEnd::Failed(error)),
            };
            thread::sleep(self.min_frame_interval.saturating_sub(started.elapsed()));
        }
        None
    }

    fn accept(&self, generation: u64, mut frame: Frame) -> bool {
        if frame.image.is_empty() {
            return self.count_unreadable(generation, "the frame has no pixels");
        }
        self.update(generation, |status| {
            frame.sequence = frame.sequence.saturating_add(status.sequence_offset);
            status.next_sequence = frame.sequence.saturating_add(1);
            status.last_progress = self.shared.clock.now();
            status.first_frame.get_or_insert(status.last_progress);
            status.unreadable = 0;
            status.last_error = None;
            if self.shared.state() != CaptureState::Live {
                self.shared.change_state(CaptureState::Live, "");
            }
            self.shared.publish_frame(frame);
        })
    }

    fn count_unreadable(&self, generation: u64, error: &str) -> bool {
        self.update(generation, |status| {
            status.unreadable += 1;
            status.last_error = Some(error.to_owned());
            self.shared.health.broken.add(1);
        })
    }

    /// Updates the status unless the source was given up; returns whether it is still the current one.
    fn update(&self, generation: u64, change: impl FnOnce(&mut SourceStatus)) -> bool {
        let mut status = self.status.lock();
        let is_current = status.generation == generation;
        if is_current {
            change(&mut status);
        }
        is_current
    }
}

/// Opens a live source, watches it and reopens it.
pub(super) struct Supervisor {
    shared: Arc<Shared>,
    capture: Arc<Capture>,
    open: Arc<Mutex<SourceFactory>>,
    reopen: bool,
    wait_at_start: bool,
    timeouts: Timeouts,
    /// Capture threads that may still run.
    threads: Vec<JoinHandle<()>>,
    retry_delay: Duration,
    /// When the current source was started.
    started: Instant,
    first_frame_timeout: Duration,
    /// Consecutive sources that were opened and delivered no frame.
    without_frames: u32,
    /// Whether the last source that delivered frames needed more than the short timeout for the first.
    is_slow: bool,
}

/// Why the supervisor stops watching a source.
enum Verdict {
    Shutdown,
    /// With the reason.
    Stalled(String),
    Ended(SourceEnd),
}

impl Supervisor {
    pub(super) fn new(shared: Arc<Shared>, source: LiveSource, timeouts: Timeouts) -> Self {
        let capture = Capture::new(Arc::clone(&shared), timeouts.min_frame_interval);
        Self {
            capture: Arc::new(capture),
            open: Arc::new(Mutex::new(source.open)),
            reopen: source.reopen,
            wait_at_start: source.wait,
            timeouts,
            threads: Vec::new(),
            retry_delay: timeouts.min_retry_delay,
            started: shared.clock.now(),
            first_frame_timeout: timeouts.first_frame.max(timeouts.stall * 2),
            without_frames: 0,
            is_slow: false,
            shared,
        }
    }

    /// Supervises the source until it ends for good or the shutdown begins; no frame follows.
    pub(super) fn run(mut self) -> Result<(), PipelineError> {
        if let Err(error) = self.supervise() {
            self.shared.shutdown.record(error);
        }
        self.capture.next_generation();
        self.shared.to_model.close();
        // The thread of a source closes it: it ends a child process or releases a device.
        let deadline = self.shared.clock.now() + self.timeouts.shutdown_timeout / 5;
        for thread in &self.threads {
            wait_for_thread(thread, &*self.shared.clock, deadline);
        }
        Ok(())
    }

    fn supervise(&mut self) -> Result<(), PipelineError> {
        while self.wait_for_free_thread() {
            if let Err(error) = self.start() {
                if self.shared.state() == CaptureState::Starting {
                    return Err(error);
                }
                self.delay_retry(&error.to_string());
                continue;
            }
            let verdict = self.watch();
            self.rate();
            match verdict {
                Verdict::Shutdown => return Ok(()),
                Verdict::Stalled(reason) => {
                    // A failed attempt to reopen does not change the state.
                    if self.shared.state() != CaptureState::Reopening {
                        self.shared.change_state(CaptureState::Stalled, &reason);
                    }
                    self.capture.next_generation();
                    let deadline = self.shared.clock.now() + self.retry_delay;
                    if let Some(thread) = self.threads.last() {
                        wait_for_thread(thread, &*self.shared.clock, deadline);
                    }
                    self.delay_retry(&reason);
                }
                Verdict::Ended(SourceEnd::Finished) if !self.reopen => return Ok(()),
                Verdict::Ended(SourceEnd::Panicked) if self.is_final() => {
                    return Err(PipelineError::SourcePanicked);
                }
                Verdict::Ended(SourceEnd::Failed(error)) if self.is_final() => {
                    return Err(error.into());
                }
                Verdict::Ended(SourceEnd::Finished) => self.delay_retry("the source has ended"),
                Verdict::Ended(SourceEnd::Failed(error)) => self.delay_retry(&error.to_string()),
                Verdict::Ended(SourceEnd::Panicked) => {
                    self.delay_retry("internal error in the source thread (this is a bug)");
                }
            }
        }
        Ok(())
    }

    /// Whether a failure of the source ends the run.
    fn is_final(&self) -> bool {
        !self.reopen || (self.shared.state() == CaptureState::Starting && !self.wait_at_start)
    }

    /// Waits until the number of detached threads allows another; `false` if the shutdown has begun.
    fn wait_for_free_thread(&mut self) -> bool {
        loop {
            self.threads.retain(|thread| !thread.is_finished());
            if self.threads.len() < MAX_DETACHED {
                return !self.shared.shutdown.has_begun();
            }
            let poll_interval = self.shared.clock.poll_interval();
            if self.shared.shutdown.wait(poll_interval) {
                return false;
            }
        }
    }

    fn start(&mut self) -> Result<(), PipelineError> {
        let generation = self.capture.next_generation();
        let (capture, open) = (Arc::clone(&self.capture), Arc::clone(&self.open));
        let builder = thread::Builder::new().name("capture".to_owned());
        // The thread is never joined: a device that does not answer must not block the program.
        let started = builder.spawn(move || capture.run(generation, &open));
        let thread = started.map_err(|source| PipelineError::Thread {
            what: "the source",
            source,
        })?;
        self.threads.push(thread);
        self.started = self.shared.clock.now();
        let factor = if self.may_be_slow() { 4 } else { 2 };
        let timeout = self.timeouts.stall.saturating_mul(factor);
        self.first_frame_timeout = timeout.max(self.timeouts.first_frame);
        Ok(())
    }

    /// Whether the first frame gets the long timeout. A source that delivered frames before and now hangs is retried
    /// sooner, because it may return at any time.
    fn may_be_slow(&self) -> bool {
        match self.shared.state() {
            CaptureState::Starting => self.without_frames > 0,
            _ => self.is_slow || self.without_frames % SHORT_ATTEMPTS == SHORT_ATTEMPTS - 1,
        }
    }

    /// Waits until the source stalls or ends. A source that may not be reopened is never given up.
    fn watch(&self) -> Verdict {
        let clock = &self.shared.clock;
        let mut status = self.capture.status.lock();
        loop {
            if let Some(end) = status.end.take() {
                return Verdict::Ended(end);
            }
            let timeout = match status.first_frame {
                Some(_) => self.timeouts.stall,
                None => self.first_frame_timeout,
            };
            let elapsed = clock.now().saturating_duration_since(status.last_progress);
            let remaining = timeout.saturating_sub(elapsed);
            if status.is_open && remaining.is_zero() {
                let reason = stall_reason(timeout, &status);
                if self.reopen {
                    return Verdict::Stalled(reason);
                }
                if self.shared.state() != CaptureState::Stalled {
                    self.shared.change_state(CaptureState::Stalled, &reason);
                }
            }
            drop(status);
            if self.shared.shutdown.has_begun() {
                return Verdict::Shutdown;
            }
            let poll_interval = clock.poll_interval();
            status = self.capture.wait(if remaining.is_zero() {
                poll_interval
            } else {
                remaining.min(poll_interval)
            });
        }
    }

    /// Records how the current source did, for the timeout and the delay of the next.
    fn rate(&mut self) {
        let status = self.capture.status.lock();
        if status.first_frame.is_some() {
            self.without_frames = 0;
            self.is_slow = self.first_frame_timeout > self.timeouts.stall * 2;
        } else if status.is_open {
            self.without_frames += 1;
        }
        let now = self.shared.clock.now();
        let was_stable = status
            .first_frame
            .is_some_and(|first| now.saturating_duration_since(first) >= self.timeouts.stall);
        if was_stable {
            self.retry_delay = self.timeouts.min_retry_delay;
        }
    }

    /// Waits before the source is reopened. The delay doubles each time, up to a maximum. The duration of the attempt
    /// counts towards the delay.
    fn delay_retry(&mut self, reason: &str) {
        let state = match self.shared.state() {
            CaptureState::Starting => CaptureState::Starting,
            _ => CaptureState::Reopening,
        };
        let now = self.shared.health.status();
        // A further failed attempt is not a change of state.
        if now.state == state && !now.reason.is_empty() {
            let health = &self.shared.health;
            health.update(|now| reason.clone_into(&mut now.reason));
        } else {
            self.shared.change_state(state, reason);
        }
        let clock = &self.shared.clock;
        let elapsed = clock.now().saturating_duration_since(self.started);
        let delay = self.retry_delay.saturating_sub(elapsed);
        let deadline = clock.now() + delay.max(self.timeouts.min_retry_delay);
        loop {
            let remaining = deadline.saturating_duration_since(clock.now());
            let is_over = remaining.is_zero();
            if is_over
                || self
                    .shared
                    .shutdown
                    .wait(remaining.min(clock.poll_interval()))
            {
                break;
            }
        }
        self.retry_delay = (self.retry_delay * 2).min(self.timeouts.max_retry_delay);
    }
}

fn stall_reason(timeout: Duration, status: &SourceStatus) -> String {
    let seconds = timeout.as_secs_f32();
    let reason = match &status.last_error {
        Some(error) => {
            let unreadable = status.unreadable;
            format!("no readable frame for {seconds} s, {unreadable} unreadable, the last: {error}")
        }
        None => format!("no frame for {seconds} s"),
    };
    match status.message_handle.as_ref().and_then(|said| said()) {
        Some(said) => format!("{reason}; {said}"),
        None => reason,
    }
}
