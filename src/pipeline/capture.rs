//! One opened source and the thread that empties it, and what the supervisor is told of both.
//!
//! A source is known by its generation: what a source that was given up still gives is not taken any more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::hub::Hub;
use crate::frame::Frame;
use crate::health::CaptureState;
use crate::source::{CancelHandle, SourceError, SourceFactory};

/// Where frames of live sources come in.
pub(super) struct Intake {
    hub: Arc<Hub>,
    least_interval: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

/// How the source at hand is doing.
pub(super) struct State {
    generation: u64,
    /// Whether it has been opened.
    pub(super) is_open: bool,
    /// When it gave the last frame, or before the first, when it was opened.
    pub(super) since: Instant,
    /// When it gave the first frame.
    pub(super) live_since: Option<Instant>,
    /// Broken frames since the last whole one, and what was wrong with the newest.
    pub(super) broken: u64,
    pub(super) fault: Option<String>,
    /// How it ended.
    pub(super) end: Option<End>,
    interrupter: Option<CancelHandle>,
    /// What is added to its numbers, so that they go on over generations.
    offset: u64,
    /// The number after the last frame.
    next: u64,
}

/// How a source ended.
pub(super) enum End {
    /// It has no more frames.
    Ended,
    /// It failed, or could not be opened.
    Failed(SourceError),
    /// It panicked.
    Panicked,
}

impl Intake {
    pub(super) fn new(hub: Arc<Hub>, least_interval: Duration) -> Self {
        Self {
            hub,
            least_interval,
            state: Mutex::new(State {
                generation: 0,
                is_open: false,
                since: Instant::now(),
                live_since: None,
                broken: 0,
                fault: None,
                end: None,
                interrupter: None,
                offset: 0,
                next: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// Takes nothing any more from the source at hand, breaks off its read and returns the number of the next
    /// generation.
    pub(super) fn renew(&self) -> u64 {
        let mut state = self.lock();
        state.generation += 1;
        state.is_open = false;
        state.live_since = None;
        state.broken = 0;
        state.fault = None;
        state.end = None;
        state.since = Instant::now();
        state.offset = state.next;
        let (generation, interrupter) = (state.generation, state.interrupter.take());
        drop(state);
        if let Some(interrupt) = interrupter {
            interrupt();
        }
        generation
    }

    /// Waits no longer than `patience` for the source to be opened or to end.
    pub(super) fn wait(&self, patience: Duration) -> MutexGuard<'_, State> {
        let state = self.lock();
        if state.end.is_some() {
            return state;
        }
        let waited = self.changed.wait_timeout(state, patience);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Opens a source and empties it until it ends or is given up.
    pub(super) fn capture(&self, generation: u64, open: &Mutex<SourceFactory>) {
        let emptied = catch_unwind(AssertUnwindSafe(|| self.empty(generation, open)));
        if let Some(end) = emptied.unwrap_or(Some(End::Panicked)) {
            self.tell(generation, |state| {
                state.end = Some(end);
                state.interrupter = None;
            });
            self.changed.notify_all();
        }
    }

    /// `None` when the source was given up. It has been closed when this returns.
    fn empty(&self, generation: u64, open: &Mutex<SourceFactory>) -> Option<End> {
        let opened = (open.lock().unwrap_or_else(PoisonError::into_inner))();
        let mut source = match opened {
            Ok(source) => source,
            Err(error) => return Some(End::Failed(error)),
        };
        let interrupter = source.cancel_handle();
        let mut is_wanted = self.tell(generation, |state| {
            state.is_open = true;
            state.since = Instant::now();
            state.interrupter = interrupter;
            if generation > 1 {
                self.hub.health.reopened.add(1);
            }
        });
        self.changed.notify_all();
        while is_wanted {
            let asked = Instant::now();
            is_wanted = match source.next_frame() {
                Ok(Some(frame)) => self.take(generation, frame),
                Ok(None) => return Some(End::Ended),
                Err(error) if error.is_recoverable() => self.count(generation, &error.to_string()),
                Err(error) => return Some(End::Failed(error)),
            };
            thread::sleep(self.least_interval.saturating_sub(asked.elapsed()));
        }
        None
    }

    fn take(&self, generation: u64, mut frame: Frame) -> bool {
        if frame.image.is_empty() {
            return self.count(generation, "a frame without pixels came");
        }
        self.tell(generation, |state| {
            frame.sequence = frame.sequence.saturating_add(state.offset);
            state.next = frame.sequence.saturating_add(1);
            state.since = Instant::now();
            state.live_since.get_or_insert(state.since);
            state.broken = 0;
            state.fault = None;
            if self.hub.state() != CaptureState::Live {
                self.hub.change(CaptureState::Live, "");
            }
            self.hub.frame(frame);
        })
    }

    fn count(&self, generation: u64, fault: &str) -> bool {
        self.tell(generation, |state| {
            state.broken += 1;
            state.fault = Some(fault.to_owned());
            self.hub.health.broken.add(1);
        })
    }

    /// Whether the source is still the one at hand; if so, what it says is taken in.
    fn tell(&self, generation: u64, change: impl FnOnce(&mut State)) -> bool {
        let mut state = self.lock();
        let is_current = state.generation == generation;
        if is_current {
            change(&mut state);
        }
        is_current
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
