//! How a live run ends: the first word about it, and the threads that must have their say.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::PipelineError;
use crate::sink::SinkError;

/// How often a wait for threads to end looks again.
const END_CHECK: Duration = Duration::from_millis(2);

/// Whether a run is over, and how it went.
#[derive(Debug, Default)]
pub(super) struct Ending {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_over: bool,
    error: Option<PipelineError>,
}

impl Ending {
    /// Ends the run as soon as what is at hand is done.
    pub(super) fn stop(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    /// Ends the run with an error, the first of which counts; [`SinkError::Closed`] is a good end.
    pub(super) fn fail(&self, error: PipelineError) {
        self.note(error);
        self.stop();
    }

    /// Keeps an error for the end of the run, which is near.
    pub(super) fn note(&self, error: PipelineError) {
        if !matches!(error, PipelineError::Sink(SinkError::Closed)) {
            self.lock().error.get_or_insert(error);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().is_over
    }

    /// Waits until the run is over, no longer than `patience`; says whether it is.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        let goes_on = |state: &mut State| !state.is_over;
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), patience, goes_on);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_over
    }

    /// How the run went.
    pub(super) fn result(&self) -> Result<(), PipelineError> {
        self.lock().error.take().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a thread whose error, or panic, ends the run.
pub(super) fn spawn(
    what: &'static str,
    ending: &Arc<Ending>,
    panicked: PipelineError,
    body: impl FnOnce() -> Result<(), PipelineError> + Send + 'static,
) -> Result<JoinHandle<()>, PipelineError> {
    let ending = Arc::clone(ending);
    let guarded = move || match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => ending.fail(error),
        Err(_) => ending.fail(panicked),
    };
    let started = thread::Builder::new().name(what.to_owned()).spawn(guarded);
    started.map_err(|source: io::Error| PipelineError::Thread { what, source })
}

/// Waits for a thread to end, no longer than until `deadline`; says whether it has.
pub(super) fn has_ended(thread: &JoinHandle<()>, deadline: Instant) -> bool {
    while !thread.is_finished() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(END_CHECK);
    }
    true
}
