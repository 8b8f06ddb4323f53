//! How far it is, on a terminal.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) struct Progress {
    done: AtomicUsize,
    total: usize,
    is_shown: bool,
}

impl Progress {
    pub(super) fn new(total: usize) -> Self {
        Self {
            done: AtomicUsize::new(0),
            total,
            is_shown: std::io::stderr().is_terminal(),
        }
    }

    pub(super) fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.is_shown && (done.is_multiple_of(10) || done == self.total) {
            eprint!("\r{done} of {} pictures", self.total);
        }
    }

    pub(super) fn clear(&self) {
        if self.is_shown {
            eprint!("\r\x1b[K");
        }
    }
}
