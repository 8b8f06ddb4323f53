//! The queue between the model and one output, so that a slow output slows nobody.
//!
//! Plain reports are for showing what is so now: of too many the oldest go. Reports with events are the
//! memory of the run: they are kept as long as there is room, and nothing overtakes them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::frame::Frame;
use crate::health::StateChange;
use crate::report::Report;

/// Plain reports that wait at most.
const MOST_PLAIN: usize = 8;

/// Reports with events that wait at most, and at least however large their frames are.
const MOST_KEPT: usize = 64;
const LEAST_KEPT: usize = 8;

/// Bytes that the frames of waiting events may have.
const KEPT_BYTES: usize = 64 << 20;

/// Changes of capture's state that wait at most.
const MOST_CHANGES: usize = 1024;

/// Something that an output is to be told.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// A frame went through the model.
    Show(Arc<Frame>, Arc<Report>),
    /// What was there has left without another frame.
    Left(Arc<Frame>, Arc<Report>),
    /// Capture's state changed.
    State(StateChange),
}

/// What an output is still to be told.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    events_only: bool,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    is_closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Kept,
    Change,
}

impl Item {
    fn kind(&self) -> Kind {
        match self {
            Self::Show(_, report) if report.events.is_empty() => Kind::Plain,
            Self::Show(..) | Self::Left(..) => Kind::Kept,
            Self::State(_) => Kind::Change,
        }
    }

    /// How many of its kind may wait.
    fn limit(&self) -> usize {
        match self {
            Self::State(_) => MOST_CHANGES,
            Self::Show(frame, _) | Self::Left(frame, _) => match self.kind() {
                Kind::Plain => MOST_PLAIN,
                _ => (KEPT_BYTES / frame.image.len().max(1)).clamp(LEAST_KEPT, MOST_KEPT),
            },
        }
    }
}

impl Queue {
    /// An empty queue; with `events_only` plain reports are not taken.
    pub(super) fn new(events_only: bool) -> Self {
        Self {
            events_only,
            ..Self::default()
        }
    }

    /// Puts something at the end and says how many others had to go for it.
    pub(super) fn push(&self, item: Item) -> u64 {
        let kind = item.kind();
        if self.events_only && kind == Kind::Plain {
            return 0;
        }
        let mut state = self.lock();
        if state.is_closed {
            return 0;
        }
        let mut lost = 0;
        let waiting = state.items.iter().filter(|item| item.kind() == kind);
        for _ in item.limit()..=waiting.count() {
            let oldest = state.items.iter().position(|item| item.kind() == kind);
            lost += u64::from(oldest.and_then(|at| state.items.remove(at)).is_some());
        }
        state.items.push_back(item);
        drop(state);
        self.changed.notify_one();
        lost
    }

    /// The next item, once there is one; `None` when there is none left and the queue is closed.
    pub(super) fn pop(&self) -> Option<Item> {
        let is_idle = |state: &mut State| state.items.is_empty() && !state.is_closed;
        let waited = self.changed.wait_while(self.lock(), is_idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.items.pop_front()
    }

    /// Takes nothing any more; what waits is still given.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Takes nothing any more and says how many reports will never be given.
    pub(super) fn abandon(&self) -> u64 {
        let mut state = self.lock();
        state.is_closed = true;
        let reports = state.items.iter().filter(|i| i.kind() != Kind::Change);
        let lost = reports.count() as u64;
        state.items.clear();
        lost
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
