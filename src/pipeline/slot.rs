//! The slot between a live source and the model: it holds the newest frame and nothing else.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::frame::Frame;
use crate::source::{FrameSource, SourceError};

/// The end of the slot that frames are taken from. Dropping it lets the source's thread end after the
/// frame that it is waiting for.
pub(super) struct Slot(Arc<Shared>);

/// What a slot had to give.
#[derive(Debug)]
pub(super) enum Next {
    /// The newest frame, and how many were dropped so far.
    Frame(Frame, u64),
    /// Nothing came within the time.
    Nothing,
    /// The source failed; whether for good is for the error to say.
    Skipped(SourceError),
    /// The source has ended.
    End,
    /// The source's thread panicked.
    Panicked,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    newest: Option<Frame>,
    dropped: u64,
    error: Option<SourceError>,
    end: Option<End>,
    is_abandoned: bool,
}

#[derive(Clone, Copy)]
enum End {
    Ended,
    Panicked,
}

impl Slot {
    /// A slot that a thread of its own fills from the source.
    pub(super) fn filled_by(source: Box<dyn FrameSource>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let filler = Filler(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("capture".to_owned());
        // The thread is not joined: a device that never answers must not keep the program.
        thread.spawn(move || filler.fill(source))?;
        Ok(Self(shared))
    }

    /// Waits for the next thing that the source gives, no longer than `patience`.
    pub(super) fn next(&self, patience: Duration) -> Next {
        let is_empty = |state: &mut State| {
            state.newest.is_none() && state.error.is_none() && state.end.is_none()
        };
        let waited = self
            .0
            .changed
            .wait_timeout_while(self.0.lock(), patience, is_empty);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(frame) = state.newest.take() {
            return Next::Frame(frame, state.dropped);
        }
        if let Some(error) = state.error.take() {
            return Next::Skipped(error);
        }
        match state.end {
            Some(End::Ended) => Next::End,
            Some(End::Panicked) => Next::Panicked,
            None => Next::Nothing,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.lock().is_abandoned = true;
    }
}

/// The end of the slot that frames are put into; the slot has ended when it is dropped.
struct Filler(Arc<Shared>);

impl Filler {
    fn fill(self, mut source: Box<dyn FrameSource>) {
        loop {
            let next = source.next_frame();
            let mut state = self.0.lock();
            if state.is_abandoned {
                return;
            }
            match next {
                Ok(None) => return,
                Ok(Some(frame)) => {
                    if state.newest.replace(frame).is_some() {
                        state.dropped += 1;
                    }
                }
                Err(error) => {
                    let goes_on = error.source_goes_on();
                    state.error = Some(error);
                    if !goes_on {
                        return;
                    }
                }
            }
            self.0.changed.notify_one();
        }
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        let end = if std::thread::panicking() {
            End::Panicked
        } else {
            End::Ended
        };
        self.0.lock().end = Some(end);
        self.0.changed.notify_one();
    }
}

impl Shared {
    /// The state; each field is sound by itself, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
