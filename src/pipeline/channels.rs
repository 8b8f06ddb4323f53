//! What the threads of a live run share: the latest frame, one queue per sink, and the shutdown.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};

use super::{Clock, PipelineError};
use crate::frame::Frame;
use crate::health::{CaptureState, Health, StateChange};
use crate::privacy::PublicFrame;
use crate::report::Report;
use crate::sink::SinkError;

/// Maximum number of state changes that wait for a display.
const MAX_DISPLAY_CHANGES: usize = 64;

/// Maximum number of reports without events in a queue, and of frames that the model did not get. They show the current state:
/// the oldest are dropped.
const MAX_PLAIN_REPORTS: usize = 8;

/// Maximum number of reports with events in a queue, and the number that is allowed whatever the size of the frames.
const MAX_EVENT_REPORTS: usize = 64;
const MIN_EVENT_REPORTS: usize = 8;

/// Maximum size of the frames of queued events, in bytes.
const MAX_EVENT_BYTES: usize = 64 << 20;

/// Maximum number of state changes in a queue.
const MAX_STATE_CHANGES: usize = 1024;

/// How often a thread that should finish is checked.
const JOIN_POLL_INTERVAL: Duration = Duration::from_millis(2);

/// A frame with the number of its scene, which increases by one at each frame that starts a scene. The number tells
/// that a new scene has started even if its first frame was dropped.
#[derive(Clone)]
pub(super) struct SceneFrame<F = Arc<Frame>> {
    pub(super) frame: F,
    pub(super) scene: u64,
}

impl<F> SceneFrame<F> {
    /// Another form of the frame, of the same scene.
    pub(super) const fn with<G>(&self, frame: G) -> SceneFrame<G> {
        SceneFrame {
            frame,
            scene: self.scene,
        }
    }
}

/// The frame that a display shows next.
pub(super) struct DisplayChannel {
    pub(super) latest: Latest<SceneFrame>,
    /// Whether it is a public one, which comes once the model has processed it.
    is_public: bool,
}

impl DisplayChannel {
    pub(super) const fn new(is_public: bool) -> Self {
        Self {
            latest: Latest::new(),
            is_public,
        }
    }
}

/// The latest report, with the scene of its frame.
#[derive(Clone)]
pub(super) struct SceneReport {
    pub(super) report: Arc<Report>,
    pub(super) scene: u64,
}

/// Shared by the threads of a live run.
pub(super) struct Shared {
    pub(super) health: Arc<Health>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) to_model: Latest<SceneFrame>,
    /// `None` without a display.
    pub(super) to_display: Option<DisplayChannel>,
    pub(super) queues: Vec<Arc<SinkQueue>>,
    pub(super) shutdown: Arc<Shutdown>,
    scene: Mutex<u64>,
    report: Mutex<SceneReport>,
    /// Whether sinks may see frames that the model did not get.
    are_skipped_public: bool,
    display_changes: Mutex<VecDeque<StateChange>>,
}

impl Shared {
    pub(super) fn new(
        health: Arc<Health>,
        clock: Arc<dyn Clock>,
        to_display: Option<DisplayChannel>,
        queues: Vec<Arc<SinkQueue>>,
        first_report: Report,
    ) -> Self {
        Self {
            health,
            clock,
            to_model: Latest::new(),
            to_display,
            queues,
            shutdown: Arc::default(),
            scene: Mutex::new(0),
            report: Mutex::new(SceneReport {
                report: Arc::new(first_report),
                scene: 0,
            }),
            are_skipped_public: false,
            display_changes: Mutex::default(),
        }
    }

    /// Whether frames that the model did not get go to the sinks: not if something must be hidden in them.
    pub(super) fn with_skipped_frames(self, are_skipped_public: bool) -> Self {
        Self {
            are_skipped_public,
            ..self
        }
    }

    /// Sends a new frame to the model, and to the display unless that shows public frames only.
    pub(super) fn publish_frame(&self, frame: Frame) {
        self.health.captured.add(1);
        let scene = {
            let mut scene = self.scene.lock();
            *scene += u64::from(frame.scene_start);
            *scene
        };
        let frame = SceneFrame {
            frame: Arc::new(frame),
            scene,
        };
        if let Some(display) = self.to_display.as_ref().filter(|to| !to.is_public) {
            display.latest.put(frame.clone());
        }
        if let Some(skipped) = self.to_model.put(frame) {
            self.health.dropped.add(1);
            if self.are_skipped_public {
                let public = PublicFrame::hiding_nothing(skipped.frame);
                self.send(&Message::Skipped(public));
            }
        }
    }

    /// Sends the report of a frame to the sinks and, with the next frame, to the display.
    pub(super) fn publish_report(&self, frame: &SceneFrame<PublicFrame>, report: Report) {
        let report = self.set_latest(frame, report);
        self.display_public(frame);
        self.send(&Message::Report(frame.frame.clone(), report));
    }

    /// Sends a processed frame to a display that shows public frames only.
    fn display_public(&self, frame: &SceneFrame<PublicFrame>) {
        if let Some(display) = self.to_display.as_ref().filter(|to| to.is_public) {
            display.latest.put(frame.with(frame.frame.to_shared()));
        }
    }

    /// Shows a frame that was not computed with a report that has the present tracks.
    pub(super) fn publish_rest(&self, frame: &SceneFrame<PublicFrame>, report: Report) {
        if !report.events.is_empty() {
            return self.publish_report(frame, report);
        }
        let report = self.set_latest(frame, report);
        self.display_public(frame);
        self.send(&Message::Rested(frame.frame.clone(), report));
    }

    /// Sends a report on a track that ended without a new frame.
    pub(super) fn publish_track_end(&self, last: &SceneFrame<PublicFrame>, report: Report) {
        let report = self.set_latest(last, report);
        self.send(&Message::TrackEnded(last.frame.clone(), report));
    }

    fn set_latest(&self, frame: &SceneFrame<PublicFrame>, report: Report) -> Arc<Report> {
        let report = Arc::new(report);
        *self.report.lock() = SceneReport {
            report: Arc::clone(&report),
            scene: frame.scene,
        };
        report
    }

    pub(super) fn latest_report(&self) -> SceneReport {
        self.report.lock().clone()
    }

    pub(super) fn state(&self) -> CaptureState {
        self.health.state()
    }

    /// Changes the state of the capture and sends the change to the sinks and the display.
    pub(super) fn change_state(&self, state: CaptureState, reason: &str) {
        self.health.update(|now| {
            now.state = state;
            reason.clone_into(&mut now.reason);
            if state != CaptureState::Live {
                now.frames_per_second = None;
            }
        });
        self.announce(StateChange {
            state,
            time: SystemTime::now(),
            reason: reason.to_owned(),
        });
    }

    /// Tells the sinks and the display why the rate of inferences has changed. `lasting` is the reason while it lasts.
    pub(super) fn announce_rate(&self, reason: &str, lasting: &str) {
        self.health
            .update(|now| lasting.clone_into(&mut now.reason));
        self.announce(StateChange {
            state: self.state(),
            time: SystemTime::now(),
            reason: reason.to_owned(),
        });
    }

    fn announce(&self, change: StateChange) {
        self.send(&Message::State(change.clone()));
        if self.to_display.is_some() {
            let mut changes = self.display_changes.lock();
            if changes.len() == MAX_DISPLAY_CHANGES {
                changes.pop_front();
            }
            changes.push_back(change);
        }
    }

    /// Removes and returns the state changes that the display has not shown.
    pub(super) fn take_display_changes(&self) -> VecDeque<StateChange> {
        std::mem::take(&mut *self.display_changes.lock())
    }

    fn send(&self, message: &Message) {
        for queue in &self.queues {
            let dropped = queue.push(message.clone());
            if matches!(message, Message::Report(..) | Message::TrackEnded(..)) {
                self.health.reports_lost.add(dropped);
            }
        }
    }
}

/// Holds the newest value that was put into it, and no other.
#[derive(Debug)]
pub(super) struct Latest<T> {
    slot: Mutex<Slot<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Slot<T> {
    value: Option<T>,
    is_closed: bool,
}

/// The result of [`Latest::take`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<T> {
    Value(T),
    TimedOut,
    /// No value will follow.
    Closed,
}

impl<T> Latest<T> {
    pub(super) const fn new() -> Self {
        Self {
            slot: Mutex::new(Slot {
                value: None,
                is_closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Replaces the value. Returns the value that will not be taken: the old one, or the new one if this is closed.
    pub(super) fn put(&self, value: T) -> Option<T> {
        let mut slot = self.slot.lock();
        if slot.is_closed {
            return Some(value);
        }
        let replaced = slot.value.replace(value);
        drop(slot);
        self.changed.notify_one();
        replaced
    }

    /// Waits for a value. One that was put in before this was closed is still returned.
    pub(super) fn take(&self, timeout: Duration) -> Taken<T> {
        let mut slot = self.slot.lock();
        let is_empty = |slot: &mut Slot<T>| slot.value.is_none() && !slot.is_closed;
        self.changed.wait_while_for(&mut slot, is_empty, timeout);
        match slot.value.take() {
            Some(value) => Taken::Value(value),
            None if slot.is_closed => Taken::Closed,
            None => Taken::TimedOut,
        }
    }

    pub(super) fn close(&self) {
        self.slot.lock().is_closed = true;
        self.changed.notify_all();
    }
}

/// A message for a sink.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// The model has processed a frame.
    Report(PublicFrame, Arc<Report>),
    /// A frame was not computed.
    Rested(PublicFrame, Arc<Report>),
    /// The model did not get a frame.
    Skipped(PublicFrame),
    /// A track has ended without a new frame; the frame is the last one.
    TrackEnded(PublicFrame, Arc<Report>),
    State(StateChange),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum MessageKind {
    PlainReport,
    EventReport,
    Rested,
    Skipped,
    StateChange,
}

impl Message {
    fn kind(&self) -> MessageKind {
        match self {
            Self::Report(_, report) if report.events.is_empty() => MessageKind::PlainReport,
            Self::Report(..) | Self::TrackEnded(..) => MessageKind::EventReport,
            Self::Rested(..) => MessageKind::Rested,
            Self::Skipped(_) => MessageKind::Skipped,
            Self::State(_) => MessageKind::StateChange,
        }
    }

    /// Maximum number of messages of this kind in a queue.
    fn limit(&self) -> usize {
        match self {
            Self::State(_) => MAX_STATE_CHANGES,
            Self::Rested(..) => 1,
            Self::Skipped(_) => MAX_PLAIN_REPORTS,
            Self::Report(frame, _) | Self::TrackEnded(frame, _) => match self.kind() {
                MessageKind::PlainReport => MAX_PLAIN_REPORTS,
                _ => {
                    let frame_bytes = frame.image.byte_count().max(1);
                    (MAX_EVENT_BYTES / frame_bytes).clamp(MIN_EVENT_REPORTS, MAX_EVENT_REPORTS)
                }
            },
        }
    }
}

/// The queue of one sink, so that a slow sink delays neither the model nor other sinks.
///
/// Each kind of message has its own limit; messages stay in order. Reports with events are only dropped when their
/// own limit is reached.
#[derive(Debug, Default)]
pub(super) struct SinkQueue {
    queue: Mutex<Queue>,
    changed: Condvar,
    events_only: bool,
    has_rested_frames: bool,
    has_skipped_frames: bool,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Message>,
    is_closed: bool,
}

impl SinkQueue {
    /// With `events_only` the queue ignores reports without events.
    pub(super) fn new(events_only: bool) -> Self {
        Self {
            events_only,
            ..Self::default()
        }
    }

    /// Whether frames that were not computed are queued, too.
    pub(super) fn with_rested_frames(self, has_rested_frames: bool) -> Self {
        Self {
            has_rested_frames,
            ..self
        }
    }

    /// Whether frames that the model did not get are queued, too.
    pub(super) fn with_skipped_frames(self, has_skipped_frames: bool) -> Self {
        Self {
            has_skipped_frames,
            ..self
        }
    }

    /// Appends a message and returns the number of messages that were dropped for it.
    pub(super) fn push(&self, message: Message) -> u64 {
        let kind = message.kind();
        let is_ignored = match kind {
            MessageKind::PlainReport => self.events_only,
            MessageKind::Rested => !self.has_rested_frames,
            MessageKind::Skipped => !self.has_skipped_frames,
            MessageKind::EventReport | MessageKind::StateChange => false,
        };
        if is_ignored {
            return 0;
        }
        let mut queue = self.queue.lock();
        if queue.is_closed {
            return 0;
        }
        let mut dropped = 0;
        let is_same_kind = |queued: &Message| queued.kind() == kind;
        let queued = queue.messages.iter().filter(|m| is_same_kind(m)).count();
        for _ in message.limit()..=queued {
            let oldest = queue.messages.iter().position(is_same_kind);
            dropped += u64::from(oldest.and_then(|at| queue.messages.remove(at)).is_some());
        }
        queue.messages.push_back(message);
        drop(queue);
        self.changed.notify_one();
        dropped
    }

    /// Waits for the next message; `None` when the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<Message> {
        let mut queue = self.queue.lock();
        let is_idle = |queue: &mut Queue| queue.messages.is_empty() && !queue.is_closed;
        self.changed.wait_while(&mut queue, is_idle);
        queue.messages.pop_front()
    }

    /// Accepts no more messages; queued ones can still be popped.
    pub(super) fn close(&self) {
        self.queue.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Closes the queue, drops what is queued and returns the number of dropped reports.
    pub(super) fn discard(&self) -> u64 {
        let mut queue = self.queue.lock();
        queue.is_closed = true;
        let is_report = |message: &&Message| {
            matches!(
                message.kind(),
                MessageKind::PlainReport | MessageKind::EventReport
            )
        };
        let dropped = queue.messages.iter().filter(is_report).count() as u64;
        queue.messages.clear();
        dropped
    }
}

/// Whether a live run is ending, and its first error.
#[derive(Debug, Default)]
pub(super) struct Shutdown {
    state: Mutex<ShutdownState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct ShutdownState {
    has_begun: bool,
    error: Option<PipelineError>,
}

impl Shutdown {
    pub(super) fn begin(&self) {
        self.state.lock().has_begun = true;
        self.changed.notify_all();
    }

    /// Begins the shutdown because of an error.
    pub(super) fn fail(&self, error: PipelineError) {
        self.record(error);
        self.begin();
    }

    /// Records an error; only the first counts. [`SinkError::Closed`] is none.
    pub(super) fn record(&self, error: PipelineError) {
        if !matches!(error, PipelineError::Sink(SinkError::Closed)) {
            self.state.lock().error.get_or_insert(error);
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.state.lock().has_begun
    }

    /// Waits for the shutdown to begin; returns whether it has.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let mut state = self.state.lock();
        let is_running = |state: &mut ShutdownState| !state.has_begun;
        self.changed.wait_while_for(&mut state, is_running, timeout);
        state.has_begun
    }

    /// The first error that was recorded.
    pub(super) fn result(&self) -> Result<(), PipelineError> {
        self.state.lock().error.take().map_or(Ok(()), Err)
    }
}

/// Starts a thread whose error, or panic, begins the shutdown.
pub(super) fn spawn(
    what: &'static str,
    shutdown: &Arc<Shutdown>,
    panicked: PipelineError,
    body: impl FnOnce() -> Result<(), PipelineError> + Send + 'static,
) -> Result<JoinHandle<()>, PipelineError> {
    let shutdown = Arc::clone(shutdown);
    let guarded = move || match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => shutdown.fail(error),
        Err(_) => shutdown.fail(panicked),
    };
    let started = thread::Builder::new().name(what.to_owned()).spawn(guarded);
    started.map_err(|source| PipelineError::Thread { what, source })
}

/// Waits for a thread to finish until `deadline`; returns whether it has.
pub(super) fn wait_for_thread(
    thread: &JoinHandle<()>,
    clock: &dyn Clock,
    deadline: Instant,
) -> bool {
    while !thread.is_finished() {
        if clock.now() >= deadline {
            return false;
        }
        thread::sleep(JOIN_POLL_INTERVAL);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_holds_the_newest_value_and_returns_it_after_closing() {
        let latest = Latest::new();
        assert_eq!(latest.take(Duration::ZERO), Taken::TimedOut);
        assert_eq!((latest.put(1), latest.put(2)), (None, Some(1)));
        latest.close();
        assert_eq!(latest.put(3), Some(3));
        assert_eq!(latest.take(Duration::ZERO), Taken::Value(2));
        assert_eq!(latest.take(Duration::from_secs(60)), Taken::Closed);
    }
}
