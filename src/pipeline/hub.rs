//! Where the threads of a live run meet: what they hand to each other.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::ending::Ending;
use super::queue::{Item, Queue};
use super::slot::Slot;
use crate::frame::Frame;
use crate::health::{CaptureState, Health, StateChange};
use crate::report::Report;

/// Changes of state that wait for a display at most.
const MOST_CHANGES: usize = 64;

/// What the threads of a live run share.
pub(super) struct Hub {
    pub(super) health: Arc<Health>,
    /// The newest frame for the model.
    pub(super) to_model: Slot<Arc<Frame>>,
    /// The newest frame for the display, if there is one.
    pub(super) to_display: Option<Slot<Arc<Frame>>>,
    /// What each output is still to be told.
    pub(super) queues: Vec<Arc<Queue>>,
    pub(super) ending: Arc<Ending>,
    latest: Mutex<Arc<Report>>,
    changes: Mutex<VecDeque<StateChange>>,
}

impl Hub {
    pub(super) fn new(
        health: Arc<Health>,
        has_display: bool,
        queues: Vec<Arc<Queue>>,
        waiting: Report,
    ) -> Self {
        Self {
            health,
            to_model: Slot::new(),
            to_display: has_display.then(Slot::new),
            queues,
            ending: Arc::default(),
            latest: Mutex::new(Arc::new(waiting)),
            changes: Mutex::default(),
        }
    }

    /// Hands a new frame to the display and to the model.
    pub(super) fn frame(&self, frame: Frame) {
        self.health.captured.add(1);
        let frame = Arc::new(frame);
        if let Some(display) = &self.to_display {
            display.put(Arc::clone(&frame));
        }
        if self.to_model.put(frame).is_some() {
            self.health.dropped.add(1);
        }
    }

    /// Tells the outputs and, with the next frame, the display.
    pub(super) fn report(&self, frame: &Arc<Frame>, report: Report) {
        let report = Arc::new(report);
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&report);
        self.tell(&Item::Show(Arc::clone(frame), report));
    }

    /// Tells the outputs that what was there has left, without a new frame.
    pub(super) fn left(&self, frame: &Arc<Frame>, report: Report) {
        let report = Arc::new(report);
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&report);
        self.tell(&Item::Left(Arc::clone(frame), report));
    }

    /// The report that was made last.
    pub(super) fn latest(&self) -> Arc<Report> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&latest)
    }

    pub(super) fn state(&self) -> CaptureState {
        self.health.state()
    }

    /// Takes note that capture is in that state now, and tells everybody.
    pub(super) fn change(&self, state: CaptureState, reason: &str) {
        self.health.update(|now| {
            now.state = state;
            reason.clone_into(&mut now.reason);
            if state != CaptureState::Live {
                now.frames_per_second = None;
            }
        });
        let change = StateChange {
            state,
            time: SystemTime::now(),
            reason: reason.to_owned(),
        };
        self.tell(&Item::State(change.clone()));
        if self.to_display.is_some() {
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            if changes.len() == MOST_CHANGES {
                changes.pop_front();
            }
            changes.push_back(change);
        }
    }

    /// The changes of state that the display has not been told of.
    pub(super) fn take_changes(&self) -> VecDeque<StateChange> {
        std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, item: &Item) {
        for queue in &self.queues {
            let lost = queue.push(item.clone());
            if !matches!(item, Item::State(_)) {
                self.health.reports_lost.add(lost);
            }
        }
    }
}
