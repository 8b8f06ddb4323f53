//! The slot between a source and whoever looks at its frames: it holds the newest and nothing else.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Holds the newest of what is put into it.
#[derive(Debug)]
pub(super) struct Slot<T> {
    held: Mutex<Held<T>>,
    changed: Condvar,
}

/// What a slot had to give.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    /// The newest.
    Value(T),
    /// Nothing came within the time.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

#[derive(Debug)]
struct Held<T> {
    newest: Option<T>,
    is_closed: bool,
}

impl<T> Slot<T> {
    pub(super) const fn new() -> Self {
        Self {
            held: Mutex::new(Held {
                newest: None,
                is_closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Puts the newest in. What nobody will get comes back: the one before it, or itself when the slot is
    /// closed.
    pub(super) fn put(&self, value: T) -> Option<T> {
        let mut held = self.lock();
        if held.is_closed {
            return Some(value);
        }
        let before = held.newest.replace(value);
        drop(held);
        self.changed.notify_one();
        before
    }

    /// Waits for the newest, no longer than `patience`. What was put in before the slot was closed is still
    /// given.
    pub(super) fn take(&self, patience: Duration) -> Next<T> {
        let is_empty = |held: &mut Held<T>| held.newest.is_none() && !held.is_closed;
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), patience, is_empty);
        let (mut held, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match held.newest.take() {
            Some(value) => Next::Value(value),
            None if held.is_closed => Next::Closed,
            None => Next::Nothing,
        }
    }

    /// Lets nothing in any more.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Each field is sound by itself, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, Held<T>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_wins_and_a_closed_slot_gives_what_it_has() {
        let slot = Slot::new();
        assert_eq!(slot.take(Duration::ZERO), Next::Nothing);
        assert_eq!((slot.put(1), slot.put(2)), (None, Some(1)));
        slot.close();
        assert_eq!(slot.put(3), Some(3));
        assert_eq!(slot.take(Duration::ZERO), Next::Value(2));
        assert_eq!(slot.take(Duration::from_secs(60)), Next::Closed);
    }
}
